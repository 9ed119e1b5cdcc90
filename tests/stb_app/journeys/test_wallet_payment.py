"""Paying by code as a journey: shown, scanned, paid, declined, expired, late, unreachable. ONL-14"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stb_app.journeys.following import Follow
from stb_app.journeys.steps import Finished, QrStep, WalletStep
from stb_app.journeys.wallet_payment import GRACE_S, WalletPayment, modules_of
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.dummy_tsp import ORDER, DummyTsp
from tests.stb_app.journeys.test_card_payment import FastWaits


class Phone:
    """A box that shows a code, and a phone that does something at each state of it."""

    def __init__(self) -> None:
        self.tsp = DummyTsp()
        self.waits = FastWaits()
        self.steps: list[WalletStep] = []
        self.does: dict[str, Callable[[], object]] = {}
        keys = iter(range(1000))
        self.journey = WalletPayment(self.tsp, self.waits, lambda: f"key-{next(keys)}", ORDER, "wallet:demo")  # type: ignore[arg-type]

    def pay(self) -> Finished:
        self.journey.run(self._on_step)
        end = self.steps[-1]
        assert isinstance(end, Finished)
        return end

    def states(self) -> list[str]:
        return [step.state for step in self.steps if isinstance(step, QrStep)]

    def _on_step(self, step: WalletStep) -> None:
        self.steps.append(step)
        if isinstance(step, QrStep) and step.state in self.does:
            self.does.pop(step.state)()


def test_scanned_and_paid_follows_by_itself() -> None:
    phone = Phone()
    phone.does["shown"] = lambda: phone.tsp.become(state="scanned")
    phone.does["scanned"] = lambda: phone.tsp.become(
        state="done", money="taken", valid_until=ORDER.valid_until
    )
    end = phone.pay()
    assert (end.outcome, end.money_taken) == ("success", True)
    assert phone.states() == ["making", "shown", "scanned"]
    shown = phone.steps[1]
    assert isinstance(shown, QrStep)
    assert (shown.deadline, shown.payload, len(shown.modules)) == (
        180,
        "http://127.0.0.1:8780/w/Ab3dE6gH",
        29,
    )


@pytest.mark.parametrize(
    ("state", "money", "reason", "outcome"),
    [
        ("failed", "not-taken", "declined", "failed"),
        ("expired", "not-taken", "expired", "expired"),
        ("late", "returned", None, "late"),
    ],
)
def test_other_ends_have_their_own_outcome(state: str, money: str, reason: str | None, outcome: str) -> None:
    phone = Phone()
    phone.does["shown"] = lambda: phone.tsp.become(state=state, money=money, reason=reason)
    end = phone.pay()
    assert (end.outcome, end.money, end.reason) == (outcome, money, reason)


def test_cancelling_asks_the_server_and_believes_what_it_says() -> None:
    phone = Phone()
    phone.does["shown"] = phone.journey.cancel
    assert (phone.pay().outcome, phone.tsp.current.state) == ("cancelled", "cancelled")

    late = Phone()

    def paid_while_cancelling() -> None:
        late.tsp.become(state="done", money="taken", valid_until=ORDER.valid_until)
        late.journey.cancel()

    late.does["shown"] = paid_while_cancelling
    assert late.pay().outcome == "success"


def test_a_server_that_comes_back_is_followed_again() -> None:
    phone = Phone()
    phone.tsp.faults["payment"] = ["lost", "lost"]
    phone.does["reconnecting"] = lambda: phone.tsp.become(
        state="done", money="taken", valid_until=ORDER.valid_until
    )
    assert phone.pay().outcome == "success"
    assert "reconnecting" in phone.states()


def test_a_server_that_stays_away_leaves_the_money_unknown() -> None:
    phone = Phone()
    phone.tsp.faults["payment"] = ["lost"] * int(180 + GRACE_S + 5)
    end = phone.pay()
    assert (end.outcome, end.money, end.reason) == ("pending", "unknown", "tsp-unreachable")
    assert phone.states()[-1] == "reconnecting"


def test_no_code_no_money() -> None:
    phone = Phone()
    phone.tsp.faults["pay"] = [Problem("wallet-unreachable", retryable=True)]
    end = phone.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "wallet-unreachable")


def test_late_money_is_seen_by_whoever_follows() -> None:
    phone = Phone()
    phone.does["shown"] = lambda: phone.tsp.become(state="expired", reason="expired")
    end = phone.pay()
    assert end.payment is not None
    phone.tsp.become(state="late", money="returned")
    seen: list[Finished] = []
    Follow(phone.tsp, phone.waits, end.payment, 60).run(seen.append)  # type: ignore[arg-type]
    assert [(f.outcome, f.money) for f in seen] == [("late", "returned")]


def test_a_code_of_up_to_62_characters_stays_at_version_4() -> None:
    """tv.md, Paying: whole pixels a module need a small code."""
    assert len(modules_of("http://192.168.100.200:8780/w/" + "x" * 32)) == 33
