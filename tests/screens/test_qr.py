"""The code's page: what is on the screen can be scanned, the time runs down, and nothing is cancelled by accident."""

from __future__ import annotations

import pygame
import pytest
import zxingcpp
from PIL import Image, ImageChops

from stb_app.journeys.steps import Finished, QrState
from tests.screens import data
from tests.screens.dummies import Television
from tests.screens.dummy_payments import NOT_TAKEN, PAYLOAD, SUCCESS_WALLET, PaymentVerbs, code
from tests.screens.scenes_payment import journey, post


def _open(size: tuple[int, int] = (1920, 1080), text_scale: int = 100) -> Television:
    return Television(PaymentVerbs(), "en", text_scale, size).open(
        "qr", order=data.ORDER, method="wallet:demo"
    )


@pytest.fixture
def tv() -> Television:
    return _open()


def _image(tv: Television) -> Image.Image:
    surface = tv.picture()
    return Image.frombytes("RGB", surface.get_size(), pygame.image.tobytes(surface, "RGB"))


def _scan(tv: Television) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(_image(tv))]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("text_scale", [100, 150])
@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_the_code_can_be_scanned_from_the_picture(
    size: tuple[int, int], text_scale: int, large: bool
) -> None:
    tv = _open(size, text_scale)
    post(tv, code())
    if large:
        tv.press("OK")
    assert tv.state["enlarged"] is large
    assert _scan(tv) == [PAYLOAD]


def test_a_long_payload_can_be_scanned_too(tv: Television) -> None:
    payload = "https://pay.example.net/q/" + "4C7F20A1" * 20
    post(tv, code(payload=payload))
    assert _scan(tv) == [payload]


def test_around_the_code_are_four_white_modules(tv: Television) -> None:
    post(tv, code())
    surface = tv.picture()
    target = next(t for t in tv.app.stage.targets() if t.key == "code")
    left, top, width, height = target.rect
    row = [surface.get_at((x, top + height // 2))[:3] == (255, 255, 255) for x in range(left, left + width)]
    first = row.index(True)
    white = row.index(False, first) - first
    assert white >= 4 * 12


def test_a_code_that_has_run_out_is_not_to_be_scanned(tv: Television) -> None:
    post(tv, code("checking", 0.0))
    assert "once more" in tv.words()
    assert tv.app.snapshot()["busy"]


@pytest.mark.parametrize(
    ("state", "label", "words"),
    [
        (None, "To pay", "Nothing has been taken yet."),
        ("shown", "To pay", "Nothing has been taken yet."),
        ("scanned", "To pay", "Nothing has been taken yet."),
        ("reconnecting", "Amount", "It is not yet known whether money was taken. Please do not pay again."),
        ("confirming", "Amount paid", "The money was taken."),
        ("checking", "Amount", "It is not yet known whether money was taken. Please do not pay again."),
    ],
)
@pytest.mark.parametrize("text_scale", [100, 150])
def test_every_state_says_what_has_become_of_the_money(
    state: QrState | None, label: str, words: str, text_scale: int
) -> None:
    tv = _open(text_scale=text_scale)
    if state is not None:
        post(tv, code(state))
    assert words in tv.words()
    assert label in tv.words().split("\n")
    assert ("Nothing has been taken" in tv.words()) is (label == "To pay")


def test_while_nobody_answers_the_code_does_not_take_the_place_of_the_words(tv: Television) -> None:
    post(tv, code(), code("reconnecting"))
    assert "Enlarge the code" not in tv.words()
    tv.press("OK")
    assert not tv.state["enlarged"]
    assert "Please do not pay again." in tv.words()
    assert "Waiting to be paid." not in tv.words()


def test_while_nobody_answers_the_question_offers_nothing_that_pays_once_more(tv: Television) -> None:
    post(tv, code(), code("reconnecting"))
    tv.press("BACK")
    assert "Please do not pay again." in tv.words()
    assert "in a moment" not in tv.words()
    assert "Pay another way" not in tv.words()
    assert "Keep waiting" in tv.words()


def test_whoever_cancels_while_nobody_answers_may_leave_at_once_and_is_told_of_it_elsewhere(
    tv: Television,
) -> None:
    post(tv, code(), code("reconnecting"))
    tv.verbs.looked_at.append(data.RECORDS[1].payment)
    tv.press("BACK").ok("cancel-payment")
    assert "You may leave." in tv.words()
    tv.press("BACK")
    assert (tv.screen, tv.verbs.looked_at) == ("home", [])


def test_while_it_is_cancelled_nobody_knows_what_the_phone_has_done(tv: Television) -> None:
    post(tv, code())
    tv.press("BACK").ok("cancel-payment")
    assert "It is not yet known whether money was taken. Please do not pay again." in tv.words()
    assert "Nothing has been taken" not in tv.words()


def test_the_time_runs_down_by_the_second(tv: Television) -> None:
    post(tv, code(left=125.0))
    assert (tv.state["seconds_left"], tv.state["payload"], tv.state["qr_state"]) == (125, PAYLOAD, "shown")
    assert "2:05" in tv.words()
    tv.wait(6)
    assert tv.state["seconds_left"] == 119
    assert "1:59" in tv.words()
    tv.wait(300)
    assert "0:00" in tv.words()
    assert tv.screen == "qr"


def test_ok_enlarges_and_ok_or_back_returns_without_a_question(tv: Television) -> None:
    post(tv, code())
    for key in ("OK", "BACK"):
        tv.press("OK")
        assert tv.state["enlarged"]
        tv.press(key)
        assert (tv.screen, tv.state["enlarged"]) == ("qr", False)


def test_enlarged_the_keys_are_told_and_home_asks_to_cancel(tv: Television) -> None:
    post(tv, code())
    tv.press("OK")
    for words in ("OK / Back", "Make it smaller", "INFO", "中/EN", "Order 4C7F 20A1"):
        assert words in tv.words()
    tv.press("INFO")
    assert "Cancel the payment" in tv.words()
    assert "To the home page" not in tv.words()
    tv.press("BACK", "HOME")
    assert (tv.screen, tv.focus) == ("question", "keep")
    tv.press("OK")
    assert (tv.screen, tv.state["enlarged"]) == ("qr", False)


def test_news_from_the_phone_brings_the_page_back(tv: Television) -> None:
    post(tv, code())
    tv.press("OK")
    post(tv, code("scanned", 90.0))
    assert not tv.state["enlarged"]
    assert "Scanned by your phone" in tv.words()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("scanned", "confirm the payment on the phone"),
        ("confirming", "Confirmed on the phone"),
        ("reconnecting", "If you have paid, the payment will be found"),
        ("checking", "The code has run out"),
    ],
)
def test_every_state_has_its_words(tv: Television, state: str, words: str) -> None:
    post(tv, code(state))  # type: ignore[arg-type]
    assert words in tv.words()
    assert tv.state["qr_state"] == state


def test_back_asks_first(tv: Television) -> None:
    post(tv, code())
    tv.press("BACK")
    assert (tv.screen, tv.focus) == ("question", "keep")
    assert "already confirmed on the phone" in tv.words()
    tv.press("OK")
    assert (tv.screen, journey(tv).cancels) == ("qr", 0)
    tv.press("BACK").ok("cancel-payment")
    assert journey(tv).cancels == 1
    post(tv, Finished("cancelled", "not-taken", "cancelled", NOT_TAKEN))
    assert (tv.screen, tv.state["money_taken"]) == ("result", False)


def test_a_payment_that_came_before_the_cancellation_counts(tv: Television) -> None:
    post(tv, code())
    tv.press("BACK").ok("cancel-payment")
    post(tv, SUCCESS_WALLET)
    assert (tv.screen, tv.state["outcome"]) == ("result", "success")


@pytest.mark.parametrize("state", ["confirming", "checking"])
def test_at_the_end_nothing_can_be_cancelled(tv: Television, state: str) -> None:
    post(tv, code(state, 0.0))  # type: ignore[arg-type]
    tv.press("BACK")
    assert (tv.screen, journey(tv).cancels) == ("qr", 0)
    assert "can't be cancelled now" in tv.words()


def test_paying_another_way_makes_a_fresh_order(tv: Television) -> None:
    post(tv, code())
    tv.press("BACK").ok("pay-otherwise")
    post(tv, Finished("cancelled", "not-taken", "cancelled", NOT_TAKEN))
    assert tv.screen == "payment-methods"


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("text_scale", [100, 150])
def test_the_countdown_stays_in_its_place(text_scale: int, large: bool) -> None:
    tv = _open(text_scale=text_scale)
    post(tv, code(left=125.0))
    if large:
        tv.press("OK")
    places = []
    for _ in range(8):
        before = _image(tv)
        tv.wait(1)
        places.append(ImageChops.difference(before, _image(tv)).getbbox())
    lefts, tops, rights, bottoms = zip(*(place for place in places if place), strict=True)
    assert len(lefts) == 8
    assert max(rights) - min(lefts) <= 420
    assert max(bottoms) - min(tops) <= 170
    assert min(lefts) > (1080 if large else 600)


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_enlarged_the_white_goes_from_edge_to_edge_and_the_amount_stands_beside_it(
    size: tuple[int, int],
) -> None:
    tv = _open(size)
    post(tv, code())
    tv.press("OK")
    height = size[1]
    surface = tv.picture()
    edges = [(x, y) for y in (0, height - 1) for x in range(height)] + [(0, y) for y in range(height)]
    assert {tuple(surface.get_at(place)[:3]) for place in edges} == {(255, 255, 255)}
    texts = {text.text: text.rect for text in tv.app.stage.texts()}
    assert {"¥15.00", "Make it smaller"} <= set(texts)
    assert "TV Services" not in texts
    assert all(rect[0] > 1080 and rect[0] + rect[2] <= 1920 - 96 for rect in texts.values())
    assert tv.focus == "code"


def test_enlarged_the_picture_still_says_that_it_is_a_test(tv: Television) -> None:
    tv.app.test_mode = True
    tv.app.refresh_all()
    post(tv, code())
    tv.press("OK")
    assert "TEST" in tv.words()


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("text_scale", [100, 150])
def test_code_and_words_stand_in_the_same_place_whatever_happens(text_scale: int, language: str) -> None:
    tv = Television(PaymentVerbs(), language, text_scale).open("qr", order=data.ORDER, method="wallet:demo")
    labels = {tv.app.t(label) for label in ("To pay", "Amount", "Amount paid")}
    words, codes = set(), set()
    for step in (None, "shown", "scanned", "reconnecting", "confirming", "checking"):
        if step is not None:
            post(tv, code(step))  # type: ignore[arg-type]
        words.add(next(text.rect[0] for text in tv.app.stage.texts() if text.text in labels))
        codes |= {target.rect for target in tv.app.stage.targets() if target.key == "code"}
        number = next(text for text in tv.app.stage.texts() if "4C7F 20A1" in text.text)
        assert number.text in ("Order 4C7F 20A1", "订单 4C7F 20A1")
        assert number.rect[1] + number.rect[3] <= 970 - 32
    assert (len(words), len(codes)) == (1, 1)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("text_scale", [100, 125, 150])
def test_the_three_steps_and_what_the_amount_is_stand_beside_the_code(text_scale: int, language: str) -> None:
    tv = Television(PaymentVerbs(), language, text_scale).open("qr", order=data.ORDER, method="wallet:demo")
    post(tv, code())
    lines = [text.text for text in tv.app.stage.texts()]
    assert {"1", "2", "3"} <= set(lines)
    assert any(line.startswith({"zh": "应付", "en": "To pay"}[language]) for line in lines)
