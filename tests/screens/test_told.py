"""What is told at the next start of a payment whose result nobody saw: what was to be paid, and exactly what became of the money."""

from __future__ import annotations

from dataclasses import replace

import pytest

from screens.told import told
from screens.words import notice_tone, payment_state
from stb_app.journeys import Payment
from stb_app.journeys.steps import finished
from stb_app.shell.words import say
from tests.screens.dummies import Television
from tests.screens.dummy_payments import PAID

HOW = {
    ("done", "taken"): "has been completed: {what}. The service is ready.",
    ("paid", "taken"): "has gone through: {what}. The service is being switched on.",
    ("failed", "not-taken"): "did not take place: {what}. Nothing was taken.",
    ("cancelled", "not-taken"): "did not take place: {what}. Nothing was taken.",
    ("expired", "not-taken"): "did not take place: {what}. Nothing was taken.",
    ("late", "taken"): "came too late: {what}. The money is being sent back to you.",
    ("late", "returned"): "came too late: {what}. The money was sent back to you.",
}
WHAT = f"Sports Pack · Monthly · ¥15.00 · Order {PAID.number} · 11-21 19:33"


def line(payment: Payment, language: str = "en") -> str:
    app = Television(None, language).app
    return told(finished(payment), payment, app.t, lambda text: say(text, language))


@pytest.mark.parametrize(("state", "money"), HOW)
@pytest.mark.parametrize(("method", "of"), [("card", "card"), ("wallet:demo", "wallet")])
def test_every_end_is_told_with_what_was_to_be_paid(state: str, money: str, method: str, of: str) -> None:
    payment = replace(PAID, state=state, money=money, method=method)  # type: ignore[arg-type]
    assert line(payment) == f"An earlier {of} payment " + HOW[state, money].format(what=WHAT)
    settled = (state, money) in (("done", "taken"), ("late", "returned")) or money == "not-taken"
    assert notice_tone(payment.money, served=state == "done") == ("info" if settled else "warning")
    assert "¥15.00" in line(payment, "zh")
    assert "payment" not in line(payment, "zh")


@pytest.mark.parametrize("method", ["card", "wallet:demo"])
def test_money_of_which_nobody_knows_is_not_called_taken_or_not(method: str) -> None:
    payment = replace(PAID, state="unknown", money="unknown", method=method)
    assert "Please do not pay again." in line(payment)
    assert WHAT in line(payment)
    assert "completed" not in line(payment)
    assert notice_tone(payment.money, served=False) == "warning"


def test_a_service_that_is_refused_for_good_is_not_called_being_switched_on() -> None:
    payment = replace(PAID, state="paid", money="taken", reason="service-not-opened")
    assert "could not be switched on; our staff see to it" in line(payment)
    assert payment_state(str, payment) == ("Paid, being looked into", "warning")
    assert payment_state(str, replace(payment, reason=None))[0] == "Paid, being switched on"


@pytest.mark.parametrize(("money", "back"), [("taken", "is being sent back"), ("returned", "was sent back")])
def test_a_service_that_was_never_switched_on_is_not_called_paid_late(money: str, back: str) -> None:
    payment = replace(PAID, state="late", money=money, reason="service-not-opened")  # type: ignore[arg-type]
    assert line(payment).startswith("The service could not be switched on: ")
    assert back in line(payment)
