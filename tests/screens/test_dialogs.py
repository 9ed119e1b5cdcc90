"""Dialogs: the question, the INFO page, the tray of demo cards."""

from __future__ import annotations

from typing import Any

import pytest

from stb_app.journeys.card_lab import OwnCard
from stb_app.kit import theme
from tests.screens import data
from tests.screens.dummies import Television
from tests.screens.dummy_payments import PaymentVerbs, Slot
from tests.screens.scenes_payment import NORMAL, post


@pytest.fixture
def tv() -> Television:
    return Television(PaymentVerbs(), "en")


def _ask(tv: Television, countdown: int | None = None) -> list[Any]:
    answers: list[Any] = []
    tv.app.push(
        "question",
        answers.append,
        sign="question",
        title="Really?",
        text="It matters.",
        options=(("keep", "Keep it"), ("drop", "Drop it")),
        default="drop",
        countdown=countdown,
    )
    tv.show()
    return answers


def test_the_default_has_the_focus_and_ok_answers(tv: Television) -> None:
    answers = _ask(tv)
    assert tv.focus == "drop"
    assert "Really?" in tv.words()
    tv.press("UP", "OK")
    assert (answers, tv.screen) == (["keep"], "home")


def test_back_is_no_answer(tv: Television) -> None:
    answers = _ask(tv)
    tv.press("BACK")
    assert (answers, tv.screen) == ([None], "home")


def test_a_count_is_visible_and_silence_is_an_answer_of_its_own(tv: Television) -> None:
    answers = _ask(tv, countdown=5)
    assert "Drop it (5)" in tv.words()
    tv.wait(4)
    assert "Drop it (1)" in tv.words()
    assert answers == []
    tv.wait(1)
    assert (answers, tv.screen) == (["timeout"], "home")


def test_without_a_count_it_waits(tv: Television) -> None:
    answers = _ask(tv)
    tv.wait(60)
    assert answers == []


@pytest.mark.parametrize("key", ["BACK", "OK", "INFO"])
def test_info_shows_the_keys_and_is_closed_by(tv: Television, key: str) -> None:
    tv.open("card", order=data.ORDER)
    post(tv, *NORMAL)
    tv.press("1", "INFO")
    assert tv.screen == "help"
    for words in ("0-9", "PIN", "Delete a digit", "Cancel the payment", "INFO"):
        assert words in tv.words()
    assert ["KEY_LEFT"] in tv.state["keys"]
    tv.press(key)
    assert tv.screen == "card"


def test_the_tray_puts_a_card_in(tv: Television) -> None:
    slot = tv.app.slot = Slot()
    tv.press("BLUE")
    assert (tv.screen, tv.focus) == ("card-tray", "insert:good")
    assert "PIN 123456" in tv.words()
    tv.ok("insert:little-money")
    tv.app.close(1.0)
    assert (tv.screen, slot.profile) == ("home", "little-money")


def test_the_tray_pulls_the_card_that_is_in(tv: Television) -> None:
    slot = tv.app.slot = Slot("expired")
    tv.press("BLUE")
    assert (tv.focus, tv.state["inside"]) == ("pull", "expired")
    assert "Pull the card out\nAn expired card" in tv.words()
    tv.press("OK")
    tv.app.close(1.0)
    assert (tv.screen, slot.profile) == ("home", None)


def test_the_tray_shows_a_bad_file_of_a_tester_and_why_and_reads_it_again_each_time(tv: Television) -> None:
    slot = tv.app.slot = Slot(None, OwnCard("mine.toml", "a card", "profile mine.toml: card: is missing"))
    tv.press("BLUE", *["DOWN"] * 10)
    assert tv.focus == "own:0"
    assert tv.state["bad"] == {"mine.toml": "profile mine.toml: card: is missing"}
    assert "Cannot be put in: profile mine.toml: card: is missing" in tv.words()
    slot.own = (OwnCard("mine.toml", "a card"),)
    tv.press("BACK", "BLUE")
    assert (tv.state["bad"], "Cannot be put in" in tv.words()) == ({}, False)
    tv.ok("own:0")
    tv.app.close(1.0)
    assert (slot.read, slot.profile) == (2, "mine.toml")


@pytest.mark.parametrize("key", ["BACK", "BLUE"])
def test_the_tray_closes_without_touching_the_card(tv: Television, key: str) -> None:
    slot = tv.app.slot = Slot("good")
    tv.press("BLUE", key)
    tv.app.close(1.0)
    assert (tv.screen, slot.profile) == ("home", "good")


def test_the_tray_offers_the_simulator_s_profiles() -> None:
    from cardreader.sim.profiles import PROFILES
    from screens.card_tray import CARDS

    assert {profile for profile, _, _ in CARDS} == {*PROFILES, "debit", "credit", "electronic-cash"}


def test_info_does_not_stay_in_the_language_that_was_left() -> None:
    tv = Television(PaymentVerbs(), "zh").press("INFO")
    assert tv.screen == "help"
    assert tv.press("LANGUAGE").screen == "home"


@pytest.mark.parametrize("text_scale", [100, 150])
@pytest.mark.parametrize("keys", ["INFO", "BLUE", "BACK"])
def test_the_test_mark_stands_undimmed_above_every_dialog(keys: str, text_scale: int) -> None:
    tv = Television(PaymentVerbs(), "zh", text_scale)
    tv.app.slot = Slot()
    tv.press(keys)
    assert tv.app.navigator.top.modal
    mark = next(text for text in tv.app.stage.texts() if "TEST" in text.text)
    x, y, _, tall = mark.rect
    assert tv.picture().get_at((x - 8, y + tall // 2))[:3] == theme.MONEY


def test_a_tester_s_own_card_is_shown_by_its_file_s_name_and_in_the_page_s_language() -> None:
    files = OwnCard("mine.toml", "a debit card in order"), OwnCard("mein.toml", "一张正常的卡")
    shown = {}
    for language in ("zh", "en"):
        tv = Television(PaymentVerbs(), language)
        tv.app.slot = Slot("mine.toml", *files)
        tv.press("BLUE", *["DOWN"] * 12)
        shown[language] = tv.words()
    assert "mine.toml\n自己的卡" in shown["zh"]
    assert "mein.toml\n一张正常的卡" in shown["zh"]
    assert "in order" not in shown["zh"]
    assert "mine.toml\na debit card in order" in shown["en"]
