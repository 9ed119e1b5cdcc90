"""The first page: what it shows, that it never blocks, and that news leave the focus alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stb_app.journeys.steps import Loading, Refused
from tests.screens import data
from tests.screens.dummies import DummyVerbs, Television


def test_the_current_service_and_what_is_left_of_it() -> None:
    tv = Television(DummyVerbs(), "en")
    assert tv.focus == "renew"
    for words in (
        "HD Movies",
        "Valid until 2026-12-01 · 10 days left",
        "¥68.00",
        "12 to choose from",
        "Last: 11-21 ¥15.00",
    ):
        assert words in tv.words()
    assert tv.state == {"connection": "online", "problem": None, "current": "movies"}
    assert "Ms Zhang · 8531 2047" in tv.words()


def test_renew_opens_the_current_service() -> None:
    verbs = DummyVerbs()
    tv = Television(verbs).press("OK")
    assert tv.screen == "service"
    assert ("service", "movies") in verbs.asked


def test_every_tile_opens_its_page() -> None:
    for key in ("services", "records", "card-inquiry", "settings"):
        assert Television(DummyVerbs()).ok(key).screen == key


def test_a_suggestion_opens_its_service() -> None:
    verbs = DummyVerbs()
    assert Television(verbs).ok("service:kids").screen == "service"
    assert verbs.asked[-1] == ("service", "kids")


def test_without_a_connection_the_tiles_work_and_the_page_fills_by_itself() -> None:
    tv = Television(None, "en")
    assert tv.state["connection"] == "connecting"
    assert "Connecting" in tv.words()
    assert {"services", "records", "card-inquiry", "settings"} <= set(tv.targets())
    tv.app.connected(DummyVerbs())
    tv.show()
    assert tv.state["connection"] == "online"
    assert tv.focus == "renew"


def test_news_do_not_take_the_focus_from_somebody_who_has_moved_it() -> None:
    tv = Television(None).press("DOWN", "DOWN")
    focus = tv.focus
    assert focus not in (None, "services")
    tv.app.connected(DummyVerbs())
    tv.show()
    assert tv.state["connection"] == "online"
    assert tv.focus == focus


def test_an_unreachable_server_is_asked_again_without_a_press() -> None:
    verbs = DummyVerbs(home=Refused("tsp-unreachable", True))
    tv = Television(verbs)
    assert tv.state["connection"] == "offline"
    assert tv.focus == "retry"
    asked = len(verbs.asked)
    tv.wait(6)
    assert len(verbs.asked) > asked
    verbs.answers["home"] = data.HOME
    tv.wait(6)
    assert tv.state["connection"] == "online"


def test_retry_asks_at_once() -> None:
    verbs = DummyVerbs(home=Refused("tsp-unreachable", True))
    tv = Television(verbs)
    verbs.answers["home"] = data.HOME
    assert tv.ok("retry").state["connection"] == "online"


def test_a_box_that_is_not_known_is_told_whom_to_call() -> None:
    tv = Television(DummyVerbs(home=Refused("box-unknown")), "en")
    assert data.HOTLINE in tv.words()


def test_a_box_that_is_turned_away_later_says_so_until_it_is_let_in_again() -> None:
    verbs = DummyVerbs()
    tv = Television(verbs, "en")
    verbs.answers["home"] = Refused("not-enrolled")
    tv.ok("settings").press("BACK")
    for _ in range(2):
        assert "This box is not registered" in tv.words()
        assert data.HOTLINE in tv.words()
        tv.wait(6)
    verbs.answers["home"] = data.HOME
    tv.wait(6)
    assert "This box is not registered" not in tv.words()
    assert tv.state["connection"] == "online"


def test_a_box_that_was_registered_elsewhere_says_so() -> None:
    verbs = DummyVerbs()
    tv = Television(verbs, "en").ok("settings")
    verbs.answers["home"] = Refused("key-replaced")
    tv.press("BACK")
    assert "This box number is registered on another device" in tv.words()
    assert data.HOTLINE in tv.words()


def test_what_was_paid_is_asked_anew_when_an_earlier_payment_has_ended() -> None:
    verbs = DummyVerbs()
    tv = Television(verbs, "en")
    verbs.answers["home"] = replace(data.HOME, last_payment=("2026-11-22", 5800))
    tv.app.settled()
    tv.show()
    assert "Last: 11-22 ¥58.00" in tv.words()
    assert tv.focus == "renew"


@pytest.mark.parametrize("text_scale", [100, 150])
@pytest.mark.parametrize("heard", ["on the way", "back home"])
def test_home_begins_at_its_top_after_something_was_paid_for(heard: str, text_scale: int) -> None:
    verbs = DummyVerbs()
    tv = Television(verbs, "en", text_scale).ok("service:documentary")
    spent = (*data.HOME.spending[:-1], (data.HOME.spending[-1][0], 7100))
    left = tuple(one for one in data.HOME.suggestions if one.service != "documentary")
    verbs.answers["home"] = replace(data.HOME, spending=spent, suggestions=left)
    if heard == "on the way":
        tv.app.settled()
        tv.show()
    tv.press("HOME")
    assert (tv.screen, tv.focus) == ("home", "renew")
    top = next(text for text in tv.app.stage.texts() if text.text.startswith("My service"))
    assert top.rect[1] > 150


def test_home_stays_where_it_was_left_when_nothing_was_paid_for() -> None:
    assert (
        Television(DummyVerbs(), "en").ok("service:documentary").press("HOME").focus == "service:documentary"
    )


def test_somebody_without_services_is_invited() -> None:
    tv = Television(DummyVerbs(home=data.NEWCOMER), "en")
    assert tv.focus == "browse"
    assert tv.press("OK").screen == "services"


def test_somebody_whose_service_has_ended_has_ordered_before() -> None:
    tv = Television(DummyVerbs(home=replace(data.HOME, current=None)), "en")
    assert "No service at present" in tv.words()
    assert "¥68.00" in tv.words()
    assert "Jun" in tv.words()
    tv = Television(DummyVerbs(home=data.NEWCOMER), "en")
    assert "No service ordered yet" in tv.words()
    assert "Jun" not in tv.words()


def test_coming_home_asks_anew() -> None:
    verbs = DummyVerbs()
    tv = Television(verbs).ok("settings")
    verbs.answers["home"] = data.NEWCOMER
    assert tv.press("BACK").state["current"] is None


@pytest.mark.parametrize("language", ["zh", "en"])
def test_right_from_renewing_leads_to_the_first_tile(language: str) -> None:
    tv = Television(DummyVerbs(), language)
    assert tv.focus == "renew"
    tv.press("RIGHT")
    assert tv.focus == "services"


@pytest.mark.parametrize("tile", ["services", "records", "card-inquiry", "settings"])
def test_left_from_every_tile_leads_to_what_stands_beside_them(tile: str) -> None:
    tv = Television(DummyVerbs())
    tv.app.focus(tile)
    tv.show()
    assert tv.press("LEFT").focus == "renew"


def test_asking_again_leaves_the_focus_and_the_reason_where_they_are() -> None:
    verbs = DummyVerbs(home=Refused("tsp-unreachable", True))
    tv = Television(verbs, "en")
    verbs.answers["home"] = Loading()
    for _ in range(2):
        tv.press("OK").wait(6)
        assert (tv.focus, tv.state["connection"]) == ("retry", "offline")
        assert "The payment service cannot be reached" in tv.words()
    verbs.answers["home"] = data.HOME
    assert tv.press("OK").state["connection"] == "online"


def test_a_notice_moves_no_button_and_takes_no_words_away() -> None:
    tv = Television(DummyVerbs(), "en")
    before = {target.key: target.rect for target in tv.app.stage.targets()}
    tv.app.notice("A card payment is not settled yet.", about="open")
    tv.show()
    after = {target.key: target.rect for target in tv.app.stage.targets()}
    assert "12 to choose from" in tv.words()
    assert after["renew"] == before["renew"]
    assert before.keys() == after.keys()


def test_a_box_that_is_turned_away_keeps_its_message_in_sight_with_large_letters() -> None:
    verbs = DummyVerbs()
    tv = Television(verbs, "en", 150)
    verbs.answers["home"] = Refused("not-enrolled")
    tv.ok("settings").press("BACK")
    retry = next(target for target in tv.app.stage.targets() if target.key == "retry")
    title = next(text for text in tv.app.stage.texts() if text.text == "This box is not registered")
    assert tv.focus == "settings"
    assert title.rect[1] >= 130
    assert retry.rect[1] >= 130


@pytest.mark.parametrize("text_scale", [100, 150])
def test_without_an_answer_the_hotline_is_the_one_that_was_told_last(text_scale: int) -> None:
    tv = Television(DummyVerbs(home=Refused("tsp-unreachable", retryable=True)), "en", text_scale)
    assert "Questions? Call 96123." in tv.words()
    del tv.app.facts["hotline"]
    tv.app.refresh_all()
    tv.show()
    assert "Questions?" not in tv.words()


def test_how_many_more_services_are_in_use_is_said() -> None:
    assert "My service · and 4 more in use" in Television(DummyVerbs(), "en").words()
    alone = replace(data.HOME, active_count=1)
    assert "more in use" not in Television(DummyVerbs(home=alone), "en").words()


@pytest.mark.parametrize("text_scale", [100, 125, 150])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_ways_on_keep_their_form_whatever_there_is_to_tell(language: str, text_scale: int) -> None:
    heads = ("services", "records", "card-inquiry", "settings")
    for home in (
        data.HOME,
        data.NEWCOMER,
        Loading(),
        Refused("tsp-unreachable", True),
        Refused("box-unknown"),
    ):
        tv = Television(DummyVerbs(home=home), language, text_scale)
        tv.app.facts["hotline"] = data.HOTLINE
        tv.app.refresh_all()
        tv.show()
        tiles = [target for target in tv.app.stage.targets() if target.key in heads]
        assert tv.app.t("Language, text size, sound") in tv.words()
        assert len({tile.rect[0] for tile in tiles}) == (1 if text_scale == 100 else 2)
