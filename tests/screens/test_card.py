"""The card's page: the PIN goes to the card alone, Back asks, nothing is cancelled by accident, the end is the result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cardreader.secret import Pin
from screens.card_parts import pose_of
from stb_app.journeys.steps import CANCELLABLE_PROMPTS, EARLIER_NOT_TAKEN, CardPrompt, Finished, Prompt
from stb_app.kit import theme
from stb_app.kit.items import CardPicture, Run
from stb_app.kit.nodes import Icon, Spinner, Steps
from stb_app.shell.footer import cap
from tests.screens import data
from tests.screens.dummies import Television
from tests.screens.dummy_payments import NOT_TAKEN, SUCCESS, PaymentVerbs, earlier, prompt
from tests.screens.scenes_payment import NORMAL, journey, post
from tests.screens.test_ordering import nodes

PIN = ("7", "3", "9", "1", "8", "2")


@pytest.fixture
def tv() -> Television:
    return Television(PaymentVerbs(), "en").open("card", order=data.ORDER)


def _told_everywhere(tv: Television) -> str:
    return json.dumps(tv.app.snapshot(), ensure_ascii=False) + repr(tv.app.navigator.layers())


def test_six_digits_and_ok_go_to_the_card_and_nowhere_else(
    tv: Television, caplog: pytest.LogCaptureFixture
) -> None:
    post(tv, *NORMAL)
    assert tv.state["prompt"] == "enter-pin"
    for count, digit in enumerate(PIN, 1):
        tv.press(digit)
        assert tv.state["digits"] == count
        assert "".join(PIN[:count]) not in _told_everywhere(tv) or count < 3
    tv.press("OK")
    assert journey(tv).pins == [Pin("739182")]
    assert tv.state["digits"] == 0
    assert "739182" not in _told_everywhere(tv)
    assert "739182" not in caplog.text
    assert "739182" not in repr(vars(tv.app.navigator.top))
    assert "739182" not in repr(vars(tv.app.navigator.top._pin))  # type: ignore[attr-defined]
    assert tv.app.snapshot()["busy"]


def test_left_and_back_take_a_digit_away_and_only_then_back_asks(tv: Television) -> None:
    post(tv, *NORMAL)
    tv.press("1", "2", "3", "LEFT")
    assert tv.state["digits"] == 2
    tv.press("BACK", "BACK")
    assert (tv.screen, tv.state["digits"]) == ("card", 0)
    tv.press("LEFT", "BACK")
    assert tv.screen == "question"


def _foot(tv: Television) -> dict[str, str]:
    return {key.cap: key.label for key in tv.app._composer.picture.foot}  # type: ignore[union-attr]


def test_the_footer_says_what_back_does_with_digits_and_without(tv: Television) -> None:
    post(tv, *NORMAL)
    assert _foot(tv)["Back"] == "Cancel the payment"
    tv.press("1")
    tv.show()
    assert _foot(tv)["Back"] == "Delete a digit"
    tv.press("BACK")
    tv.show()
    assert _foot(tv)["Back"] == "Cancel the payment"


@pytest.mark.parametrize("key", ["HOME", "POWER"])
def test_home_and_power_ask_to_cancel_and_leave_the_digits_alone(tv: Television, key: str) -> None:
    post(tv, *NORMAL)
    tv.press("1", "2", "INFO")
    for way_out in ("Home", "Power"):
        assert _help(tv)[way_out] == "Cancel the payment"
    assert _help(tv)["Back"] == "Delete a digit"
    tv.press("BACK", key)
    assert tv.screen == "question"
    tv.ok("keep")
    assert (tv.screen, tv.state["digits"]) == ("card", 2)


def _help(tv: Television) -> dict[str, str]:
    """What the page of all keys says, by the key's cap."""
    shown = tv.app.navigator.top._shown  # type: ignore[attr-defined]
    return {cap(binding.keys, str): binding.label for binding in shown}


def test_too_few_digits_are_not_sent_and_a_seventh_is_not_taken(tv: Television) -> None:
    post(tv, *NORMAL)
    tv.press("1", "2", "OK")
    assert journey(tv).pins == []
    assert "Still missing:\u00a04." in tv.words()
    tv.press("3", "4", "5", "6", "7", "OK")
    assert journey(tv).pins == [Pin("123456")]


def test_a_double_ok_sends_the_pin_once(tv: Television) -> None:
    post(tv, *NORMAL)
    tv.press(*PIN, "OK", "OK", "OK")
    assert journey(tv).pins == [Pin("739182")]


def test_a_wrong_pin_starts_empty_and_warns_of_the_last_try(tv: Television) -> None:
    post(tv, *NORMAL)
    tv.press(*PIN, "OK")
    post(tv, prompt("wrong-pin", 2))
    assert (tv.state["digits"], tv.state["tries_left"], tv.focus) == (0, 2, "pin")
    assert "2 tries left" in tv.words()
    post(tv, prompt("wrong-pin", 1))
    assert "last try" in tv.words()


def test_a_card_that_leaves_takes_the_digits_along(tv: Television) -> None:
    post(tv, *NORMAL)
    tv.press("1", "2", "3")
    post(tv, prompt("removed-early"), prompt("enter-pin"))
    assert tv.state["digits"] == 0


def test_back_asks_and_keeping_is_the_default(tv: Television) -> None:
    post(tv, prompt("insert"))
    tv.press("BACK")
    assert (tv.screen, tv.focus) == ("question", "keep")
    tv.press("OK")
    assert (tv.screen, journey(tv).cancels) == ("card", 0)
    tv.press("BACK", "BACK")
    assert (tv.screen, journey(tv).cancels) == ("card", 0)


def test_cancelling_waits_for_the_answer_and_then_shows_the_result(tv: Television) -> None:
    post(tv, prompt("insert"))
    tv.press("BACK").ok("cancel-payment")
    assert journey(tv).cancels == 1
    assert tv.app.snapshot()["busy"]
    tv.press("BACK", "OK")
    assert (tv.screen, journey(tv).cancels) == ("card", 1)
    post(tv, Finished("cancelled", "not-taken", None, NOT_TAKEN))
    assert (tv.screen, tv.state["outcome"], tv.state["money_taken"]) == ("result", "cancelled", False)


def test_a_reader_that_does_not_answer_a_cancellation_leaves_a_way_out(tv: Television) -> None:
    post(tv, prompt("insert"))
    tv.press("BACK").ok("cancel-payment").wait(21)
    assert tv.focus == "records"
    tv.press("OK")
    assert tv.screen == "records"


def steps(node: object) -> Iterator[Steps]:
    if isinstance(node, Steps):
        yield node
    for name in ("children", "options", "child"):
        inner = getattr(node, name, ())
        for one in inner if isinstance(inner, tuple) else (inner,):
            yield from steps(one)


@pytest.mark.parametrize(
    ("prompts", "at"),
    [
        ((prompt("starting"),), -1),
        ((prompt("starting"), prompt("reconnecting", known=False)), -1),
        ((prompt("insert"),), 0),
        ((prompt("insert"), prompt("reconnecting")), -1),
        ((prompt("processing"), prompt("reconnecting")), 2),
        ((prompt("silent-paid"),), 3),
        ((prompt("remove"),), 3),
    ],
)
def test_a_step_is_lit_while_it_is_its_turn(tv: Television, prompts: tuple[CardPrompt, ...], at: int) -> None:
    post(tv, *prompts)
    assert {s.current for s in steps(tv.app.navigator.top.compose())} == {at}


def test_while_a_payment_is_cancelled_no_step_has_its_turn(tv: Television) -> None:
    post(tv, prompt("enter-pin"))
    tv.press("BACK").ok("cancel-payment")
    assert {s.current for s in steps(tv.app.navigator.top.compose())} == {-1}


@pytest.mark.parametrize(("before", "pose"), [("starting", "empty"), ("settling", "inside")])
def test_the_card_of_an_earlier_payment_is_drawn_where_it_is(
    tv: Television, before: Prompt, pose: str
) -> None:
    post(tv, earlier(before), earlier("reconnecting"))
    assert f"CardSlot(pose='{pose}'" in repr(tv.app.navigator.top.compose())


def test_a_locked_pin_is_shown_at_the_step_of_the_pin(tv: Television) -> None:
    for word, at in (("pin-blocked", 1), ("expired", 0)):
        post(tv, prompt(word))  # type: ignore[arg-type]
        assert {(s.current, s.failed) for s in steps(tv.app.navigator.top.compose())} == {(at, True)}


@pytest.mark.parametrize("word", ["processing", "settling"])
def test_where_money_may_have_moved_nothing_can_be_cancelled(tv: Television, word: str) -> None:
    assert word not in CANCELLABLE_PROMPTS
    post(tv, prompt(word))  # type: ignore[arg-type]
    tv.press("BACK")
    assert (tv.screen, journey(tv).cancels) == ("card", 0)
    assert "can't be cancelled now" in tv.words()
    assert "It is not yet known whether money was taken." in tv.words()


def test_a_question_goes_when_the_payment_has_gone_on_to_where_it_cannot_be_cancelled(tv: Television) -> None:
    post(tv, prompt("enter-pin"))
    tv.press("BACK")
    post(tv, prompt("processing"))
    assert (tv.screen, tv.state["prompt"]) == ("card", "processing")
    assert "Nothing has been taken" not in tv.words()
    assert "can't be cancelled now" in tv.words()
    tv.press("OK", "BACK")
    assert (tv.screen, journey(tv).cancels) == ("card", 0)


def test_before_mac1_is_asked_for_back_asks_at_once(tv: Television) -> None:
    post(tv, replace(prompt("processing"), before_mac1=True))
    assert tv.press("BACK").screen == "question"
    post(
        tv, replace(prompt("reconnecting"), before_mac1=True), replace(prompt("processing"), before_mac1=True)
    )
    assert tv.screen == "question"
    tv.ok("cancel-payment")
    assert (tv.screen, tv.state["leaving"], journey(tv).cancels) == ("card", True, 1)


def test_the_footer_offers_the_way_out_while_the_platform_is_silent(tv: Television) -> None:
    post(tv, replace(prompt("processing"), before_mac1=True))
    assert "Cancel the payment" not in tv.words()
    post(tv, replace(prompt("reconnecting"), before_mac1=True))
    assert "Cancel the payment" in tv.words()


def test_the_end_closes_the_question_too(tv: Television) -> None:
    post(tv, prompt("enter-pin"))
    tv.press("BACK")
    post(tv, SUCCESS)
    assert tv.screen == "result"
    assert [entry.screen.id for entry in tv.app.navigator.entries] == ["home", "result"]


def test_a_card_that_is_away_can_be_left_with_clear_words(tv: Television) -> None:
    post(tv, prompt("put-back"))
    assert "Please do not pay again" in tv.words()
    tv.press("BACK")
    assert (tv.screen, tv.focus) == ("question", "keep")
    assert "not yet known whether money was taken" in tv.words()
    tv.ok("leave")
    assert journey(tv).cancels == 1
    post(tv, Finished("pending", "unknown", "card-away", NOT_TAKEN))
    assert (tv.screen, tv.state["money_taken"]) == ("result", None)


def test_paying_another_way_makes_a_fresh_order(tv: Television) -> None:
    post(tv, prompt("balance-too-low"))
    assert "¥11.80" in tv.words()
    assert tv.focus == "pay-otherwise"
    tv.press("OK")
    post(tv, Finished("cancelled", "not-taken", None, NOT_TAKEN))
    assert ("order", "sports", "monthly") in tv.verbs.asked  # type: ignore[union-attr]
    assert tv.screen == "payment-methods"
    tv.press("BACK")
    assert tv.screen == "fee"
    tv.press("BACK")
    assert tv.screen == "service"


def test_a_payment_that_went_through_while_changing_one_s_mind_is_shown(tv: Television) -> None:
    post(tv, prompt("insert"))
    tv.ok("pay-otherwise")
    post(tv, SUCCESS)
    assert (tv.screen, tv.state["outcome"]) == ("result", "success")


def test_the_result_can_be_had_before_the_card_is_taken(tv: Television) -> None:
    post(tv, prompt("remove"))
    tv.press("OK")
    assert journey(tv).went_on == 1


def test_the_television_stays_while_a_payment_runs(tv: Television) -> None:
    post(tv, prompt("insert"))
    tv.wait(200)
    assert tv.screen == "card"
    tv.press("HOME")
    assert tv.screen == "question"


def test_once_the_card_has_paid_nothing_is_due_any_more(tv: Television) -> None:
    post(tv, prompt("insert"))
    assert "To pay" in tv.words()
    post(tv, prompt("remove"))
    assert {"Amount paid", "Balance after", "¥15.00"} <= set(tv.words().split("\n"))
    assert "To pay" not in tv.words()


@pytest.mark.parametrize("text_scale", [100, 125, 150])
def test_the_cells_of_the_pin_stand_below_the_title_with_nothing_around_them(text_scale: int) -> None:
    tv = Television(PaymentVerbs(), "en", text_scale).open("card", order=data.ORDER)
    post(tv, *NORMAL)
    title = next(text for text in tv.app.stage.texts() if text.text == "Please enter the card's PIN")
    (pin,) = (target for target in tv.app.stage.targets() if target.key == "pin")
    assert pin.focused
    assert pin.rect[0] == title.rect[0]
    assert pin.rect[3] == round(120 * min(1.25, text_scale / 100))


def test_a_card_wanted_for_an_earlier_payment_is_asked_for_with_that_payment() -> None:
    tv = Television(PaymentVerbs(), "en").open(
        "card", order=data.REDUCED, settles_for=data.METHODS[1], settles=data.UNSETTLED.payment
    )
    assert tv.verbs is not None
    assert tv.verbs.asked[-1] == ("pay_by_card", data.REDUCED.order, f"settles {data.UNSETTLED.payment}")
    post(tv, earlier("put-back"))
    words, before = tv.words(), data.UNSETTLED
    for fact in ("Amount", "¥15.00", f"Sports Pack · Monthly · Order {before.number}", "2047"):
        assert fact in words
    assert "To pay" not in words
    assert "¥135.00" not in words
    assert (tv.state["order"], tv.state["amount_fen"]) == (before.order, before.amount_fen)
    assert tv.press("BACK").screen == "question"


def test_once_that_payment_is_settled_and_took_nothing_the_chosen_way_is_confirmed_again() -> None:
    tv = Television(PaymentVerbs(), "en").open(
        "card", order=data.REDUCED, settles_for=data.METHODS[1], settles=data.UNSETTLED.payment
    )
    post(tv, earlier("put-back"), Finished("cancelled", "not-taken", EARLIER_NOT_TAKEN))
    assert (tv.screen, tv.focus, tv.state["method"]) == ("confirm", "cancel", data.METHODS[1].key)
    assert "The earlier payment has taken nothing." in tv.words()


@pytest.mark.parametrize("word", ["put-back", "other-card", "reader-away", "settling"])
def test_once_a_card_may_have_paid_nobody_is_told_to_pay(tv: Television, word: str) -> None:
    post(tv, prompt(word))  # type: ignore[arg-type]
    assert "To pay" not in tv.words()
    assert "On the card" not in tv.words()


@pytest.mark.parametrize("word", ["starting", "reconnecting"])
def test_while_an_earlier_payment_is_looked_for_nobody_says_that_nothing_was_taken(word: str) -> None:
    tv = Television(PaymentVerbs(), "en").open("card", order=data.REDUCED)
    post(tv, earlier(word))  # type: ignore[arg-type]
    assert "It is not yet known whether money was taken." in tv.words()
    assert "Nothing has been taken" not in tv.words()


@pytest.mark.parametrize(
    ("word", "words", "label"),
    [("silent", "It is not yet known", "Amount"), ("silent-paid", "The money was taken.", "Amount paid")],
)
@pytest.mark.parametrize("key", ["OK", "BACK"])
def test_silence_during_the_debit_says_what_is_known_of_the_money_and_lets_go(
    tv: Television, word: str, words: str, label: str, key: str
) -> None:
    post(tv, prompt("processing"), prompt(word))  # type: ignore[arg-type]
    assert words in tv.words()
    assert label in tv.words().split("\n")
    assert "To pay" not in tv.words()
    assert "This takes a few seconds" not in tv.words()
    assert tv.targets() == ["leave"]
    tv.press(key)
    assert journey(tv).cancelled
    assert (tv.screen, tv.state["leaving"]) == ("card", True)


def test_a_card_that_has_paid_is_done_whoever_is_silent(tv: Television) -> None:
    """The service is not on yet, so the money's colour warns; the card's part went well, as when nobody is silent."""
    post(tv, prompt("silent"))
    assert spinners(tv)
    post(tv, prompt("silent-paid"))
    icons = {node.name for node in nodes(tv.app.navigator.top.compose()) if isinstance(node, Icon)}
    assert (icons, spinners(tv)) == ({"check", "info"}, [])
    assert tv.color("The money was taken. Please do not pay again.") == theme.TEXT["warning"]


def spinners(tv: Television) -> list[Spinner]:
    return [node for node in nodes(tv.app.navigator.top.compose()) if isinstance(node, Spinner)]


def test_while_somebody_pays_what_can_wait_is_not_spoken_of() -> None:
    tv = Television(PaymentVerbs(), "en").open("card", order=data.ORDER)
    tv.app.notice("Something older", about="codes", waits=True)
    post(tv, prompt("insert"))
    assert "Something older" not in tv.words()
    tv.press("BACK")
    assert "Something older" not in tv.words()
    tv.app.home()
    tv.show()
    assert "Something older" in tv.words()


PROMPTS: tuple[Prompt, ...] = (
    "starting",
    "insert",
    "enter-pin",
    "wrong-pin",
    "processing",
    "put-back",
    "silent",
    "silent-paid",
    "remove",
)
"""From those with the fewest words to those with the most."""
LOAD_PROMPTS: tuple[Prompt, ...] = (
    "insert",
    "enter-pin",
    "wrong-pin",
    "processing",
    "put-back",
    "other-card",
    "not-readable",
    "settling",
)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("text_scale", [100, 125, 150])
def test_the_drawing_keeps_its_size_and_its_place_and_the_title_its_size(
    language: str, text_scale: int
) -> None:
    for screen, prompts, params in (
        ("card", PROMPTS, {"order": data.ORDER}),
        ("card-inquiry", PROMPTS[:4], {}),
        ("card-load", LOAD_PROMPTS, {"amount_fen": 10_000, "held_fen": 18_650}),
    ):
        tv = Television(PaymentVerbs(), language, text_scale).open(screen, **params)
        places, titles = set(), set()
        for word in prompts:
            post(tv, prompt(word, 1 if word == "wrong-pin" else None))
            items = tv.app.stage._laid.items  # type: ignore[attr-defined]
            places |= {item.rect for item in items if isinstance(item.what, CardPicture)}
            letters = [item.what for item in items if isinstance(item.what, Run) and item.rect[1] > 240]
            titles.add(max(run.size for run in letters if run.bold))
        assert len(places) == 1
        assert len(titles) == 1


@pytest.mark.parametrize("text_scale", [100, 150])
def test_what_is_to_be_paid_has_one_size_and_beside_card_and_code_one_place(text_scale: int) -> None:
    found = []
    for screen, params in (
        ("confirm", {"method": data.METHODS[0]}),
        ("card", {}),
        ("qr", {"method": "wallet:demo"}),
    ):
        tv = Television(PaymentVerbs(), "en", text_scale).open(screen, order=data.ORDER, **params)
        amounts = [text.rect for text in tv.app.stage.texts() if text.text == "¥15.00"]
        found.append(amounts[0])
    assert len({rect[2:] for rect in found}) == 1
    assert found[1][1] == found[2][1]
    assert text_scale > 100 or found[1] == found[2]


def test_two_ways_out_keep_their_places_and_only_the_focus_moves(tv: Television) -> None:
    places = []
    for word, focus in (("insert", "cancel"), ("not-readable", "pay-otherwise"), ("insert", "cancel")):
        post(tv, prompt(word))  # type: ignore[arg-type]
        assert tv.focus == focus
        places.append({t.key: t.rect[0] for t in tv.app.stage.targets()})
    assert places[0] == places[1] == places[2]


@pytest.mark.parametrize("word", ["enter-pin", "wrong-pin"])
def test_while_the_pin_is_asked_for_nothing_has_been_taken(tv: Television, word: str) -> None:
    post(tv, prompt(word))  # type: ignore[arg-type]
    assert "Nothing has been taken yet." in tv.words()
    tv.press("1", "OK")
    assert "Still missing:\u00a05. Nothing has been taken yet." in tv.words()


def test_a_bank_that_takes_its_time_is_told_of(tv: Television) -> None:
    post(tv, prompt("processing"))
    tv.wait(7)
    assert "This takes a few seconds." in tv.words()
    tv.wait(2)
    assert "This takes longer than usual, up to a minute and a half." in tv.words()
    post(tv, prompt("settling"), prompt("processing"))
    assert "This takes a few seconds." in tv.words()


def test_a_card_that_takes_its_time_is_told_of_and_its_pin_too(tv: Television) -> None:
    longer = "This takes longer than usual. Please leave the card in."
    post(tv, prompt("reading"))
    tv.wait(7)
    assert longer not in tv.words()
    tv.wait(2)
    assert longer in tv.words()
    post(tv, prompt("enter-pin"))
    tv.wait(20)  # a person may take as long as he likes
    assert longer not in tv.words()
    tv.press(*PIN, "OK").wait(7)
    assert longer not in tv.words()
    post(tv, prompt("reading"))  # the card has it, and the page says the same
    tv.wait(2)
    assert {"Checking the PIN", longer} <= set(tv.words().split("\n"))
    post(tv, prompt("wrong-pin", 2))
    assert longer not in tv.words()


def test_nothing_is_taken_until_mac1_is_asked_for(tv: Television) -> None:
    post(tv, replace(prompt("processing"), before_mac1=True))
    assert "Nothing has been taken yet. Please do not switch the box off." in tv.words()
    post(tv, prompt("processing"))
    assert "It is not yet known whether money was taken. Please do not switch the box off." in tv.words()


@pytest.mark.parametrize(
    ("word", "words"), [("silent", "leave the card in"), ("silent-paid", "please take it")]
)
def test_whoever_may_leave_is_told_what_to_do_with_the_card(tv: Television, word: str, words: str) -> None:
    post(tv, prompt(word))  # type: ignore[arg-type]
    assert words in tv.words()


def test_electronic_cash_says_what_will_be_left_and_waits_for_ok(tv: Television) -> None:
    post(tv, *NORMAL[:3], prompt("confirm-cash"))
    assert (tv.focus, tv.targets()) == ("cancel", ["cancel", "agree"])
    assert "¥221.40" in tv.words()
    assert next(steps(tv.app.navigator.top.compose())).names[1] == "Confirm"
    tv.ok("agree")
    assert journey(tv).agreed == 1
    # Another card that is put in afterwards may ask for its PIN.
    post(tv, prompt("enter-pin"))
    assert next(steps(tv.app.navigator.top.compose())).names[1] == "PIN"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("text_scale", [100, 150])
def test_what_the_card_has_and_will_have_stand_beside_each_other(language: str, text_scale: int) -> None:
    tv = Television(PaymentVerbs(), language, text_scale).open("card", order=data.ORDER)
    post(tv, prompt("confirm-cash"))
    tops = {text.text: text.rect[1] for text in tv.app.stage.texts()}
    assert tops["¥236.40"] == tops["¥221.40"]


def test_a_reader_that_another_program_uses_is_not_drawn_unplugged() -> None:
    missing = prompt("reader-missing")
    assert (pose_of(missing), pose_of(replace(missing, trouble="in-use"))) == ("missing", "inside")
