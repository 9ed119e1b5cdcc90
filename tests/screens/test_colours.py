"""What became of the money has one colour, on whichever page it is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from screens.words import money_color, notice_tone, payment_state
from stb_app.journeys import Load, Money, Payment
from stb_app.journeys.steps import Finished, LoadEnded, finished
from stb_app.kit import theme
from stb_app.kit.nodes import Color
from tests.screens import data
from tests.screens.dummies import Television
from tests.screens.dummy_payments import BY_OPERATOR, LOADED, PAID, PaymentVerbs, prompt
from tests.screens.scenes_payment import BANK_CARD, post

ENDS: tuple[tuple[str, Money, str, Color], ...] = (
    ("done", "taken", "The money was taken.", "good"),
    ("paid", "taken", "The money was taken.", "warning"),
    ("late", "taken", "The money is being sent back to you.", "warning"),
    ("late", "returned", "The money was sent back to you.", "text"),
    ("failed", "not-taken", "No money was taken.", "text"),
    ("cancelled", "not-taken", "No money was taken.", "text"),
    ("unknown", "unknown", "It is not yet known whether money was taken.", "warning"),
)
LOADS: tuple[tuple[str, Money, str, Color], ...] = (
    ("loaded", "taken", "¥100.00 was taken from the account.", "good"),
    ("failed", "not-taken", "Nothing was taken from the account.", "text"),
    ("unknown", "unknown", "It is not yet known whether money was taken.", "warning"),
)
ALL: tuple[Money, ...] = ("not-taken", "taken", "unknown", "returned")


def payment_of(state: str, money: Money) -> Payment:
    until = PAID.valid_until if state == "done" else None
    return replace(PAID, state=state, money=money, valid_until=until)


@pytest.mark.parametrize(("state", "money", "words", "color"), ENDS)
@pytest.mark.parametrize("scale", [100, 150])
def test_a_payment_s_money_on_its_result_and_in_its_record(
    state: str, money: Money, words: str, color: Color, scale: int
) -> None:
    payment = payment_of(state, money)
    result = Television(PaymentVerbs(), "en", scale).open(
        "result", finished=finished(payment), order=data.ORDER
    )
    record = Television(PaymentVerbs(), "en", scale).open("record", payment=payment)
    assert [tv.color(words) for tv in (result, record)] == [theme.TEXT[color]] * 2


@pytest.mark.parametrize(("state", "money", "words", "color"), LOADS)
def test_a_load_s_money_on_its_page_and_in_its_record(
    state: str, money: Money, words: str, color: Color
) -> None:
    end: LoadEnded = replace(LOADED, outcome=state, reason=None if state == "loaded" else "card-away")
    page = Television(PaymentVerbs(), "en").open("card-inquiry")
    post(page, BANK_CARD)
    page.ok("load").ok("10000").ok("load")
    post(page, end)
    load = Load("l9", state, money, end.reason, None, end.amount_fen, data.NOW, "4C7F 20A1")
    record = Television(PaymentVerbs(), "en").open("load-record", load=load)
    assert [tv.color(words) for tv in (page, record)] == [theme.TEXT[color]] * 2


def test_money_that_has_gone_before_the_service_is_on_is_amber_with_the_card_in_the_slot_too() -> None:
    tv = Television(PaymentVerbs(), "en").open("card", order=data.ORDER)
    post(tv, prompt("silent-paid"))
    assert tv.color("The money was taken. Please do not pay again.") == theme.TEXT["warning"]


@pytest.mark.parametrize("page", ["result", "record"])
def test_what_counts_as_paid_is_no_amount_to_look_after(page: str) -> None:
    """The operator bears it: a reminder in amber would be of money that nobody owes."""
    tv = Television(PaymentVerbs(), "en")
    if page == "result":
        tv.open("result", finished=finished(BY_OPERATOR), order=data.ORDER)
    else:
        tv.open("record", payment=BY_OPERATOR)
    assert tv.color("¥15.00") != theme.TEXT["money"]


@pytest.mark.parametrize("money", ALL)
@pytest.mark.parametrize("served", [True, False])
def test_green_only_where_all_is_well_and_amber_wherever_something_is_open(
    money: Money, served: bool
) -> None:
    color = money_color(money, served=served)
    assert (color == "good") == (served and money == "taken")
    assert (color == "warning") == (money == "unknown" or (money == "taken" and not served))
    assert (notice_tone(money, served=served) == "warning") == (color == "warning")


def test_the_mark_of_money_on_its_way_back_is_amber_until_it_is_there() -> None:
    marks = {money: payment_state(str, payment_of("late", money))[1] for money in ("taken", "returned")}  # type: ignore[arg-type]
    assert marks == {"taken": "warning", "returned": "neutral"}


def test_a_service_that_was_not_opened_is_amber_though_it_was_paid() -> None:
    end = Finished("pending", "taken", "service-not-opened", payment_of("paid", "taken"))
    tv = Television(PaymentVerbs(), "en").open("result", finished=end, order=data.ORDER)
    assert tv.color("The money was taken.") == theme.TEXT["warning"]
