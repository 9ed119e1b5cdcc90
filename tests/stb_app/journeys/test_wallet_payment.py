"""Paying by code as a journey: shown, scanned, paid, declined, expired, late, unreachable. ONL-14"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardreader.readers import open_reader
from stb_app.journeys.following import Follow
from stb_app.journeys.memory import Memory
from stb_app.journeys.settling import end_told
from stb_app.journeys.steps import Finished, QrStep, WalletStep
from stb_app.journeys.wallet_payment import GRACE_S, WalletPayment, modules_of
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import FastWaits
from tests.stb_app.journeys.dummy_tsp import ORDER, DummyTsp


class Phone:
    """A box that shows a code, and a phone that does something at each state of it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.tsp = DummyTsp()
        self.memory = Memory(folder)
        self.waits = FastWaits()
        self.steps: list[WalletStep] = []
        self.does: dict[str, Callable[[], object]] = {}
        keys = iter(range(1000))
        self.journey = WalletPayment(
            self.tsp, self.memory, self.waits, lambda: f"key-{next(keys)}", ORDER, "wallet:demo"
        )  # type: ignore[arg-type]

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


@pytest.mark.parametrize("silent", [True, False], ids=["the platform is away", "it takes no cancellation"])
def test_what_nobody_heard_is_cancelled_once_somebody_answers_again(tmp_path: Path, silent: bool) -> None:
    phone = Phone(tmp_path)
    told: list[str] = []
    really = phone.tsp.cancel

    def unheard(payment: str, key: str, reason: str | None = None) -> Any:
        told.append(key)
        if len(told) <= 3:  # as often as it is tried at once
            raise Problem("tsp-unreachable", retryable=True)
        return really(payment, key)

    def wanted() -> None:
        phone.journey.cancel()
        for thread in threading.enumerate():
            if thread.name == "cancel-wallet-payment":
                thread.join(5)
        # The plug may be pulled now.
        assert Memory(tmp_path).is_unwanted("pay-1")

    phone.tsp.cancel = unheard  # type: ignore[method-assign, assignment]
    if silent:
        phone.tsp.faults["payment"] = ["lost"]
    phone.does["reconnecting" if silent else "shown"] = wanted
    assert (phone.pay().outcome, phone.tsp.current.state) == ("cancelled", "cancelled")
    assert len(told) == 4


def test_a_phone_that_is_quicker_than_the_cancelling_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    phone = Phone()
    told = phone.tsp.cancel

    def too_late(payment: str, key: str) -> object:
        phone.tsp.become(state="done", money="taken", valid_until=ORDER.valid_until)
        return told(payment, key)

    phone.tsp.cancel = too_late  # type: ignore[method-assign, assignment]
    phone.does["shown"] = phone.journey.cancel
    with caplog.at_level(logging.INFO):
        assert phone.pay().outcome == "success"
        for thread in threading.enumerate():
            if thread.name == "cancel-wallet-payment":
                thread.join()
    assert phone.tsp.calls.count("cancel") == 1
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_an_open_code_is_on_the_disk_until_its_end_is_known(tmp_path: Path) -> None:
    phone = Phone(tmp_path)
    seen: list[tuple[str, ...]] = []

    def look() -> None:
        seen.append(Memory(tmp_path).open_codes())  # what a television finds that is switched on now
        assert phone.memory.open_codes() == ()  # this one looks at it itself
        phone.tsp.become(state="done", money="taken", valid_until=ORDER.valid_until)

    phone.does["shown"] = look
    end = phone.pay()
    assert end.outcome == "success"
    assert seen == [("pay-1",)]
    # The power may go before anybody has seen how it ended.
    assert Memory(tmp_path).open_codes() == ("pay-1",)
    assert end.payment is not None
    end_told(phone.memory, end.payment)
    assert Memory(tmp_path).open_codes() == ()


def test_a_code_without_an_end_is_left_to_the_background() -> None:
    phone = Phone()
    phone.tsp.faults["payment"] = ["lost"] * int(180 + GRACE_S + 5)
    assert phone.pay().outcome == "pending"
    assert phone.memory.open_codes() == ("pay-1",)


def test_a_disk_that_is_full_does_not_stop_a_payment() -> None:
    phone = Phone()

    def full(payment: str) -> None:
        raise OSError("full")

    phone.memory.keep_code = full  # type: ignore[method-assign]
    phone.does["shown"] = lambda: phone.tsp.become(state="done", money="taken", valid_until=ORDER.valid_until)
    assert phone.pay().outcome == "success"


def earlier(phone: Phone, **state: object) -> None:
    """An earlier payment for the same service stands so, and the new one is refused because of it."""
    phone.tsp.pay("order-0", "wallet:demo", "earlier-key")
    phone.tsp.become(**state)
    phone.memory.keep_code("pay-1")


def test_refused_because_an_earlier_payment_turned_out_paid_shows_that_one() -> None:
    phone = Phone()
    earlier(phone, state="done", money="taken", valid_until=ORDER.valid_until)
    phone.tsp.faults["pay"] = [Problem("already-paid", money="taken", facts={"payment": "pay-1"})]
    end = phone.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert end.payment is not None
    assert end.payment.order == "order-0"
    end_told(phone.memory, end.payment)
    assert phone.memory.open_codes() == ()  # told: the background has nothing to add


def test_refused_because_an_earlier_payment_is_open_does_not_call_its_money_not_taken() -> None:
    phone = Phone()
    earlier(phone, state="waiting")
    phone.tsp.faults["pay"] = [Problem("payment-in-progress", money="unknown", facts={"payment": "pay-1"})]
    end = phone.pay()
    assert (end.outcome, end.money, end.reason) == ("pending", "unknown", "payment-in-progress")
    assert phone.memory.open_codes() == ("pay-1",)


@pytest.mark.parametrize(
    ("facts", "outcome", "reason"),
    [({}, "failed", "paid-elsewhere"), ({"payment": "pay-1"}, "pending", "already-paid")],
)
def test_another_television_s_payment_cannot_be_shown_and_is_said_in_words(
    facts: dict[str, str], outcome: str, reason: str
) -> None:
    phone = Phone()
    phone.tsp.faults["pay"] = [Problem("already-paid", money="taken", facts=facts)]
    phone.tsp.faults["payment"] = [Problem("not-found")]
    end = phone.pay()
    assert (end.outcome, end.money, end.reason, end.payment) == (outcome, "taken", reason, None)


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
    Follow(phone.tsp, phone.waits, end.payment, 60, open_reader("sim:good")).run(seen.append)  # type: ignore[arg-type]
    # A card that happens to be in the slot has nothing to do with it.
    assert [(f.outcome, f.money, f.card_in_slot) for f in seen] == [("late", "returned", False)]


def test_a_code_of_up_to_62_characters_stays_at_version_4() -> None:
    """tv.md, Paying: whole pixels a module need a small code."""
    assert len(modules_of("http://192.168.100.200:8780/w/" + "x" * 32)) == 33


def test_a_code_that_was_closed_on_the_screen_is_still_followed_for_late_money(tmp_path: Path) -> None:
    phone = Phone(tmp_path)
    phone.does["shown"] = lambda: phone.tsp.become(state="expired", money="not-taken", reason="expired")
    end = phone.pay()
    assert end.outcome == "expired"
    assert end.payment is not None
    changed: list[int] = []
    phone.memory.changed = lambda: changed.append(1)
    end_told(phone.memory, end.payment)
    assert changed
    for memory in (phone.memory, Memory(tmp_path)):
        assert (memory.open_codes(), memory.closed_codes()) == ((), {"pay-1": "expired"})


def test_a_full_disk_does_not_stop_the_end_of_a_code() -> None:
    phone = Phone()

    def full(payment: str, told: str) -> None:
        raise OSError("full")

    phone.memory.close_code = full  # type: ignore[method-assign]
    phone.does["shown"] = lambda: phone.tsp.become(state="expired", money="not-taken", reason="expired")
    end = phone.pay()
    assert end.payment is not None
    end_told(phone.memory, end.payment)
    assert phone.memory.open_codes() == ("pay-1",)  # told once more some day, rather than never
