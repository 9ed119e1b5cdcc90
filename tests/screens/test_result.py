"""The result: what became of the money in so many words, a way on, and a count that any key stops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from screens.count import COUNT_S
from stb_app.journeys.steps import CardMoved, Finished
from stb_app.kit import theme
from tests.screens import data
from tests.screens.dummies import Television
from tests.screens.dummy_payments import (
    NOT_TAKEN,
    NUMBER,
    PAID,
    SUCCESS,
    SUCCESS_WALLET,
    UNKNOWN,
    PaymentVerbs,
    failed,
)
from tests.screens.scenes_payment import journey, post, ways


def _open(end: Finished, order: Any = data.ORDER) -> Television:
    return Television(PaymentVerbs(), "en").open("result", finished=end, order=order)


def test_keys_that_were_meant_for_the_page_before_do_not_press_it_away() -> None:
    tv = Television(PaymentVerbs(), "en").open("card", order=data.ORDER)
    journey(tv).post(SUCCESS)
    tv.app.settle()

    def mash() -> None:
        for key in ("OK", "BACK", "HOME", "OK", "LEFT", "POWER"):
            assert not tv.app.key(f"KEY_{key}")
            tv.app.settle()

    # It is there, but nobody has seen it yet, however long the drawing takes.
    tv.clock.passed += 5
    mash()
    tv.show()
    for _ in range(3):
        tv.clock.passed += 0.26
        mash()
    assert tv.screen == "result"
    assert tv.state["seconds_left"] is not None
    tv.clock.passed += 0.03
    assert tv.app.key("KEY_OK")
    assert tv.screen == "home"


def test_a_success_says_everything() -> None:
    tv = _open(SUCCESS)
    state = tv.state
    assert (state["outcome"], state["money_taken"], state["money"]) == ("success", True, "taken")
    assert SUCCESS.payment is not None
    assert (state["order"], state["number"]) == (SUCCESS.payment.order, "4C7F 20A1")
    assert state["valid_until"] == "2026-12-21T23:59:59+08:00"
    assert (state["balance_before_fen"], state["balance_after_fen"]) == (23640, 22140)
    for words in (
        "The money was taken.",
        "2026-12-21",
        NUMBER,
        "¥236.40",
        "¥221.40",
        "¥15.00",
        "4C7F 20A1",
    ):
        assert words in tv.words()
    assert tv.focus == "done"


def test_a_success_goes_on_by_itself_after_a_visible_count() -> None:
    tv = _open(SUCCESS)
    assert "Done (10)" in tv.words()
    tv.wait(2)
    assert "Done (8)" in tv.words()
    tv.wait(7)
    assert tv.screen == "result"
    tv.wait(1)
    assert tv.screen == "home"


@pytest.mark.parametrize(
    "key", ["RIGHT", "UP", "DOWN", "LEFT", "BACK", "5", "RED", "GREEN", "LANGUAGE", "INFO"]
)
def test_any_key_stops_the_count(key: str) -> None:
    tv = _open(SUCCESS)
    tv.wait(3)
    tv.press(key)
    tv.wait(30)
    if key == "INFO":
        assert tv.screen == "help"
        tv.press("BACK")
    assert tv.state["seconds_left"] is None
    assert tv.screen == "result"


@pytest.mark.parametrize(
    "end", [failed("declined"), Finished("pending", "unknown", "tsp-unreachable", UNKNOWN)]
)
def test_what_is_no_success_stays(end: Finished) -> None:
    tv = _open(end)
    tv.wait(60)
    assert tv.screen == "result"
    assert tv.state["seconds_left"] is None


@pytest.mark.parametrize(
    ("end", "taken", "sentence"),
    [
        (failed("declined"), False, "No money was taken."),
        (Finished("cancelled", "not-taken", None, NOT_TAKEN), False, "No money was taken."),
        (Finished("expired", "not-taken", "expired", NOT_TAKEN), False, "No money was taken."),
        (
            Finished("pending", "unknown", "card-away", UNKNOWN),
            None,
            "It is not yet known whether money was taken.",
        ),
        (Finished("pending", "taken", None, replace(PAID, state="paid")), True, "The money was taken."),
        (Finished("late", "returned", "expired", NOT_TAKEN), False, "The money was sent back to you."),
    ],
)
def test_it_is_said_whether_money_was_taken(end: Finished, taken: bool | None, sentence: str) -> None:
    tv = _open(end)
    assert tv.state["money_taken"] is taken
    assert sentence in tv.words()


def test_while_the_end_is_not_known_nobody_is_invited_to_pay_again() -> None:
    tv = _open(Finished("pending", "unknown", "tsp-unreachable", UNKNOWN))
    assert ways(tv) == ["done", "records"]
    assert "Please do not pay again" in tv.words()


def test_what_stands_in_the_way_of_a_payment_is_an_earlier_one_that_is_open() -> None:
    tv = _open(Finished("pending", "unknown", "payment-in-progress", replace(UNKNOWN, term="yearly")))
    assert "An earlier payment for it is still open." in tv.words()
    assert tv.state["payment"] == UNKNOWN.payment
    assert "12 months" in tv.words() or "Yearly" in tv.words()


def test_again_leads_to_the_service_and_replays_nothing() -> None:
    tv = _open(failed("declined"))
    tv.ok("again")
    assert tv.screen == "service"
    assert [entry.screen.id for entry in tv.app.navigator.entries] == ["home", "service"]
    tv.press("BACK")
    assert tv.screen == "home"


@pytest.mark.parametrize(
    ("end", "first"),
    [
        (failed("declined"), "again"),
        (Finished("expired", "not-taken", "expired", NOT_TAKEN), "again"),
        (Finished("cancelled", "not-taken", None, NOT_TAKEN), "done"),
        (Finished("failed", "unknown", "internal", UNKNOWN), "done"),
        (Finished("late", "returned", "expired", replace(NOT_TAKEN, money="returned", state="late")), "done"),
        (Finished("failed", "not-taken", "paid-elsewhere", NOT_TAKEN), "done"),
    ],
)
def test_trying_again_comes_first_where_nothing_was_taken_and_nobody_wanted_it_so(
    end: Finished, first: str
) -> None:
    tv = _open(end)
    assert (tv.focus, ways(tv)[0]) == (first, first)


def test_what_comes_after_all_takes_the_focus_away_from_trying_again() -> None:
    tv = _open(Finished("expired", "not-taken", "expired", NOT_TAKEN))
    post(tv, SUCCESS)
    assert tv.focus == "done"


def test_done_and_back_lead_home_and_records_to_the_records() -> None:
    assert _open(failed("declined")).ok("done").screen == "home"
    assert _open(failed("declined")).press("BACK").screen == "home"
    assert _open(failed("declined")).ok("records").screen == "records"


def test_a_pending_payment_is_followed_until_it_is_known() -> None:
    tv = _open(Finished("pending", "unknown", "tsp-unreachable", UNKNOWN))
    assert tv.verbs.asked[-1] == ("follow", UNKNOWN.payment)  # type: ignore[union-attr]
    post(tv, SUCCESS)
    assert (tv.state["outcome"], tv.state["money_taken"], tv.state["seconds_left"]) == ("success", True, 10)


def test_what_the_box_knows_of_the_card_stays_said_while_the_payment_service_knows_no_more() -> None:
    tv = _open(Finished("pending", "unknown", "card-away", replace(UNKNOWN, state="preparing")))
    assert "Put the same card in at any time" in tv.words()
    post(tv, Finished("pending", "unknown", None, UNKNOWN))
    assert tv.state["reason"] == "card-away"
    assert "Put the same card in at any time" in tv.words()
    post(tv, SUCCESS)
    assert tv.state["reason"] is None


def test_money_that_comes_late_is_told() -> None:
    tv = _open(Finished("expired", "not-taken", "expired", NOT_TAKEN))
    post(tv, Finished("late", "returned", "expired", replace(NOT_TAKEN, state="late", money="returned")))
    assert tv.state["outcome"] == "late"
    assert "The order was closed already. The service was not switched on." in tv.words()
    assert "Sent back\n¥15.00" in tv.words()


def test_money_on_its_way_back_is_followed_until_it_has_arrived() -> None:
    on_its_way = replace(PAID, state="late", valid_until=None)
    tv = _open(Finished("late", "taken", "service-not-opened", on_its_way))
    assert "The service could not be switched on" in tv.words()
    assert "The money is being sent back to you." in tv.words()
    assert "To be sent back\n¥15.00" in tv.words()
    post(tv, Finished("late", "returned", "service-not-opened", replace(on_its_way, money="returned")))
    assert "The money was sent back to you." in tv.words()
    assert tv.state["money_taken"] is False


def test_a_service_that_is_refused_for_good_is_not_said_to_be_on_its_way() -> None:
    refused = replace(PAID, state="paid", valid_until=None, reason="service-not-opened")
    tv = _open(Finished("pending", "taken", "service-not-opened", refused))
    assert "Paid; the service could not be switched on" in tv.words()
    assert "Please do not pay again." in tv.words()
    assert "being switched on" not in tv.words()


def test_following_ends_with_the_page_and_a_known_end_is_not_followed() -> None:
    tv = _open(Finished("expired", "not-taken", "expired", NOT_TAKEN))
    tv.press("OK")
    assert journey(tv).cancelled
    assert not [asked for asked in _open(SUCCESS).verbs.asked if asked[0] == "follow"]  # type: ignore[union-attr]


def test_after_a_wrong_pin_the_way_back_to_the_pin_is_short() -> None:
    tv = _open(Finished("failed", "not-taken", "pin-refused", replace(NOT_TAKEN, method="card")))
    assert tv.focus == "pin-again"
    assert "After three wrong PINs in a row the card's bank locks the card." in tv.words()
    tv.press("OK")
    assert (tv.screen, tv.state["method"]) == ("confirm", "card")


def test_before_what_may_be_the_last_try_of_the_pin_the_way_out_comes_first() -> None:
    tv = _open(Finished("failed", "not-taken", "pin-refused-last", replace(NOT_TAKEN, method="card")))
    assert tv.focus == "done"
    assert "The next may be the last try: the bank locks the card after three." in tv.words()
    assert "pin-again" in tv.targets(), "it is only not what OK does"


def test_a_card_in_the_slot_is_not_forgotten() -> None:
    assert "Please take your card" in _open(replace(SUCCESS, card_in_slot=True)).words()
    assert "Please take your card" not in _open(SUCCESS).words()


def test_a_success_does_not_leave_without_the_card() -> None:
    tv = _open(replace(SUCCESS, card_in_slot=True))
    assert isinstance(tv.verbs, PaymentVerbs)
    tv.wait(120)
    assert (tv.screen, tv.state["seconds_left"]) == ("result", None)
    assert "Please take your card" in tv.words()
    assert "any other key" not in "".join(binding.label for binding in tv.app.navigator.top.bindings())
    tv.verbs.watches[-1].post(CardMoved(inside=False))
    tv.show()
    assert "Please take your card" not in tv.words()
    assert tv.verbs.watches[-1].cancelled
    tv.wait(9)
    assert tv.screen == "result"
    tv.wait(1)
    assert tv.screen == "home"


def test_who_presses_a_key_while_the_card_is_in_is_not_sent_away_later() -> None:
    tv = _open(replace(SUCCESS, card_in_slot=True))
    assert isinstance(tv.verbs, PaymentVerbs)
    tv.press("RIGHT")
    tv.verbs.watches[-1].post(CardMoved(inside=False))
    tv.wait(60)
    assert tv.screen == "result"
    tv = _open(replace(SUCCESS, card_in_slot=True)).press("BACK")
    assert tv.screen == "home"


def test_a_failure_s_reminder_goes_with_the_card_and_comes_with_it() -> None:
    end = Finished("pending", "unknown", "mac2-refused", UNKNOWN, card_in_slot=True)
    tv = _open(end)
    assert isinstance(tv.verbs, PaymentVerbs)
    tv.verbs.watches[-1].post(CardMoved(inside=False))
    tv.show()
    assert "Please take your card" not in tv.words()
    post(tv, replace(end, card_in_slot=True))
    assert "Please take your card" in tv.words()
    assert len(tv.verbs.watches) == 2
    assert not _open(SUCCESS).verbs.watches  # type: ignore[union-attr]


def test_a_code_without_words_is_shown_small_with_an_apology() -> None:
    tv = _open(failed("frobnicated"))
    assert "Sorry, this did not work" in tv.words()
    assert "frobnicated" in tv.words()


def test_without_payment_or_order_there_is_still_a_page() -> None:
    tv = _open(Finished("failed", "not-taken", "tsp-unreachable"), None)
    assert ways(tv) == ["done", "records"]
    assert tv.state["order"] is None


def test_one_ok_too_many_does_not_skip_the_result() -> None:
    tv = Television(PaymentVerbs(), "en").open("card", order=data.ORDER)
    post(tv, SUCCESS)
    tv.clock.passed += 1
    tv.app.key("KEY_OK")
    tv.app.key("KEY_OK")
    tv.show()
    assert tv.screen == "home"
    assert [entry.screen.id for entry in tv.app.navigator.entries] == ["home"]


def test_while_a_result_is_shown_nobody_else_need_tell_of_its_payment() -> None:
    tv = _open(SUCCESS)
    assert tv.verbs is not None
    assert tv.verbs.looked_at == [PAID.payment]
    tv.ok("done")
    assert tv.screen == "home"
    assert tv.verbs.looked_at == []


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("text_scale", [100, 125, 150])
def test_paid_and_not_ready_yet_has_the_form_of_paid(language: str, text_scale: int) -> None:
    opening = Finished("pending", "taken", None, replace(PAID, state="paid", valid_until=None))
    places = []
    for end in (SUCCESS, opening):
        tv = Television(PaymentVerbs(), language, text_scale).open("result", finished=end, order=data.ORDER)
        tv.press("RIGHT", "LEFT")  # the count stops
        # The table does not scroll, and nothing else is a target.
        assert ways(tv) == ["done", "records"]
        pairs = [
            text.rect[0] for text in tv.app.stage.texts() if text.text in (PAID.number, "¥236.40", "¥221.40")
        ]
        places.append((pairs, [target.rect[0] for target in tv.app.stage.targets()]))
    assert places[0] == places[1]
    assert "96123" in tv.words()


def test_an_end_counts_as_told_when_it_was_on_the_screen_for_a_moment_and_a_new_end_anew() -> None:
    tv = _open(Finished("pending", "unknown", "tsp-unreachable", UNKNOWN))
    assert tv.verbs is not None
    assert tv.verbs.was_told == []
    tv.wait(1)
    assert tv.verbs.was_told == [UNKNOWN.payment]
    post(tv, SUCCESS)
    tv.wait(5)
    assert tv.verbs.was_told == [UNKNOWN.payment, PAID.payment]
    tv.press("OK")
    assert tv.screen == "home"
    assert len(tv.verbs.was_told) == 2


def test_whoever_leaves_a_result_at_once_has_been_told() -> None:
    tv = _open(SUCCESS)
    assert tv.verbs is not None
    tv.ok("done")
    assert tv.verbs.was_told == [PAID.payment]


def test_a_proof_that_a_person_checks_is_said_so() -> None:
    end = Finished("pending", "unknown", "proof-kept", UNKNOWN)
    tv = _open(end)
    assert "Our staff will check" in tv.words()


def test_an_earlier_payment_says_what_became_of_the_order_just_now() -> None:
    order = replace(data.REDUCED, order="order-new")
    tv = _open(replace(SUCCESS, earlier=True), order)
    assert "Earlier payment (Monthly) went through" in tv.words()
    assert "¥15.00 was taken for it. The yearly order just made was not paid." in tv.words()
    assert "Your service is ready" not in tv.words()
    assert ways(tv) == ["done", "again", "records"]
    assert "kind='info'" in repr(tv.app.navigator.top.compose())
    tv = _open(replace(SUCCESS, outcome="pending", earlier=True), order)
    assert "Earlier payment (Monthly) went through" in tv.words()
    assert "The service is being switched on. We keep trying." in tv.words()
    tv = _open(
        Finished("late", "returned", "expired", replace(NOT_TAKEN, money="returned"), earlier=True), order
    )
    assert "Earlier payment (Monthly): The payment came too late" in tv.words()
    tv = _open(Finished("pending", "unknown", "payment-in-progress", UNKNOWN, earlier=True), order)
    assert "We are finding out. The records will say how it ended." in tv.words()
    tv = _open(Finished("pending", "taken", "tsp-unreachable", earlier=True), order)
    assert "Earlier payment went through" in tv.words()
    assert "The yearly order just made was not paid." in tv.words()
    # Nothing is known of the earlier one but that it stands against this: this one's amount is not told as its own.
    assert "¥135.00" not in tv.words()
    assert tv.state["order"] is None
    assert "arlier payment" not in _open(SUCCESS).words()


def test_an_earlier_payment_does_not_leave_by_itself() -> None:
    tv = _open(replace(SUCCESS, earlier=True), replace(data.REDUCED, order="order-new"))
    assert tv.state["seconds_left"] is None
    assert tv.wait(COUNT_S + 5).screen == "result"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (replace(SUCCESS, earlier=True), "这笔已扣款 ¥15.00。刚才的包年订单没有支付。"),
        (Finished("pending", "unknown", "card-away", data.UNSETTLED, earlier=True), "还不知道有没有扣款。"),
    ],
)
def test_what_is_said_of_the_money_of_two_payments_does_not_contradict_itself(
    end: Finished, said: str
) -> None:
    tv = Television(PaymentVerbs()).open(
        "result", finished=end, order=replace(data.REDUCED, order="order-new")
    )
    assert said in tv.words()
    assert "刚才的包年订单没有支付。" in tv.words()
    assert "没有扣款。" not in tv.words().replace("有没有扣款。", "")


def test_a_success_that_is_not_all_in_sight_does_not_leave_by_itself() -> None:
    name = "A name " * 60
    payment = replace(PAID, service=replace(PAID.service, name=data.words(name, name)))
    tv = Television(PaymentVerbs(), "en", 150).open("result", finished=replace(SUCCESS, payment=payment))
    assert "words" in ways(tv)
    assert tv.wait(COUNT_S + 5).screen == "result"
    assert "Done (" not in tv.words()


@pytest.mark.parametrize(
    "end",
    [
        *(
            Finished("pending", "unknown", reason, UNKNOWN)
            for reason in (
                "tsp-unreachable",
                "card-away",
                "mac2-refused",
                "proof-kept",
                "payment-in-progress",
            )
        ),
        Finished("pending", "unknown", "card-away", replace(UNKNOWN, card=PAID.card)),
        Finished("pending", "taken", "tsp-unreachable", PAID),
        Finished("pending", "taken", "not-found", PAID),
        Finished("pending", "taken", "service-not-opened", PAID),
        Finished("failed", "unknown", "paying-elsewhere", earlier=True),
    ],
    ids=lambda end: f"{end.money}-{end.reason}",
)
def test_not_to_pay_again_is_a_line_of_its_own_in_amber(end: Finished) -> None:
    tv = _open(end)
    assert tv.words().split("\n").count("Please do not pay again.") == 1
    assert tv.words().count("not pay again") == 1
    assert tv.color("Please do not pay again.") == theme.TEXT["warning"]


def test_nothing_is_promised_for_a_debit_that_the_platform_does_not_know() -> None:
    tv = _open(Finished("pending", "taken", "not-found", PAID))
    assert "The card has paid, but the payment cannot be found" in tv.words()
    assert "Please do not pay again" in tv.words()
    assert "switched on" not in tv.words()
    assert "keep trying" not in tv.words()
    assert "switched on" in _open(Finished("pending", "taken", "tsp-unreachable", PAID)).words()


def test_a_payment_by_code_names_how_it_was_paid() -> None:
    words = _open(SUCCESS_WALLET).words().split("\n")
    assert {"Paid with", "Demo wallet (scan)"} <= set(words)
    words = _open(Finished("cancelled", "not-taken", None, NOT_TAKEN)).words().split("\n")
    assert {"Chosen", "UnionPay card"} <= set(words)


def test_who_declined_gets_no_alarm() -> None:
    end = Finished("failed", "not-taken", "declined", NOT_TAKEN)
    assert "kind='cancelled'" in repr(_open(end).app.navigator.top.compose())


def test_nobody_is_told_to_take_the_card_that_the_first_way_needs() -> None:
    """After a wrong PIN the same card is tried again as it is: whoever gives up takes it."""
    again = _open(replace(failed("pin-refused"), card_in_slot=True))
    assert again.focus == "pin-again"
    assert again.color("Done? Take your card") == theme.TEXT["secondary"]
    done = _open(replace(failed("card-listed"), card_in_slot=True))
    assert done.color("Please take your card") == theme.TEXT["warning"]
    assert "Done?" not in done.words()
