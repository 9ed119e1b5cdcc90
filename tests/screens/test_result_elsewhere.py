"""The result of a payment that another television of the household has overtaken: nobody is invited to pay once more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stb_app.journeys.steps import Finished
from stb_app.kit import theme
from tests.screens import data
from tests.screens.dummies import Television
from tests.screens.dummy_payments import NOT_TAKEN, PaymentVerbs
from tests.screens.scenes_payment import ways


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Finished("failed", "unknown", "paying-elsewhere", earlier=True), "no result yet"),
        (Finished("failed", "taken", "paid-elsewhere", earlier=True), "You need not pay again."),
        (Finished("cancelled", "not-taken", "paying-elsewhere", NOT_TAKEN), "no result yet"),
    ],
)
def test_another_television_is_named_and_nothing_is_offered_to_be_paid(end: Any, words: str) -> None:
    tv = Television(PaymentVerbs(), "en").open("result", finished=end, order=data.ORDER)
    assert "on another television" in tv.words()
    # One thing is said of the money, and it is said of this television; what the other one took is no failure here.
    assert "Nothing was taken here" in tv.words()
    assert not {
        "The money was taken.",
        "It is not yet known whether money was taken.",
        "No money was taken.",
    } & set(tv.words().split("\n"))
    assert data.ORDER.number in tv.words()
    assert "96123" in tv.words()
    assert words in tv.words()
    assert ways(tv) == ["done", "records"]
    moving = end.reason == "paying-elsewhere"
    assert tv.color("Nothing was taken here") == theme.TEXT["warning" if moving else "text"]
    if end.money != "not-taken":
        # How much that was is not known here.
        assert "¥15.00" not in tv.words()
        assert "Amount" not in tv.words()


def test_money_that_may_be_taken_is_not_asked_for_again() -> None:
    end = Finished("failed", "unknown", "internal", replace(NOT_TAKEN, money="unknown"))
    tv = Television(PaymentVerbs(), "en").open("result", finished=end, order=data.ORDER)
    assert ways(tv) == ["done", "records"]


@pytest.mark.parametrize("reason", ["card-away", "payment-in-progress", "service-not-opened", "proof-kept"])
def test_whoever_is_told_not_to_pay_again_is_offered_no_way_to(reason: str) -> None:
    end = Finished("failed", "not-taken", reason, replace(NOT_TAKEN, state="failed", reason=reason))
    tv = Television(PaymentVerbs(), "en").open("result", finished=end, order=data.ORDER)
    assert "Please do not pay again." in tv.words()
    assert tv.focus == "done"
    assert not {"again", "pay-otherwise"} & set(ways(tv))


@pytest.mark.parametrize(
    "reason", ["box-stolen", "key-copied", "tls-expired", "tsp-not-trusted", "clock-skew"]
)
def test_a_box_that_can_pay_for_nothing_offers_no_way_to_pay(reason: str) -> None:
    end = Finished("failed", "not-taken", reason, replace(NOT_TAKEN, state="failed", reason=reason))
    tv = Television(PaymentVerbs(), "en").open("result", finished=end, order=data.ORDER)
    assert tv.focus == "done"
    assert not {"again", "pay-otherwise"} & set(ways(tv))


@pytest.mark.parametrize("reason", ["already-subscribed", "already-paid", "order-clash", "service-withdrawn"])
def test_a_service_that_cannot_be_had_is_not_offered_again(reason: str) -> None:
    end = Finished("failed", "not-taken", reason, replace(NOT_TAKEN, state="failed", reason=reason))
    tv = Television(PaymentVerbs(), "en").open("result", finished=end, order=data.ORDER)
    assert ways(tv) == ["done", "services", "records"]
    assert tv.focus == "done"
    assert tv.ok("services").screen == "services"
