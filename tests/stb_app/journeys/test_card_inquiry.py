"""Looking at bank cards: the real kernel and simulated cards, their electronic cash and their own logs. ONL-10"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from cardreader.secret import Pin
from stb_app.journeys.card_inquiry import CardInquiry
from stb_app.journeys.memory import Memory
from stb_app.journeys.steps import BankCardRead, CardPrompt, CashHeld, InquiryStep
from tests.stb_app.journeys.bench import BOX, Bench
from tests.stb_app.journeys.test_electronic_cash import answer_lost
from tests.stb_app.journeys.test_online_payment import online

KEYS = itertools.count()


def look(bench: Bench, *, account: bool = False) -> BankCardRead:
    steps: list[InquiryStep] = []

    def on_step(step: InquiryStep) -> None:
        steps.append(step)
        if isinstance(step, CardPrompt) and step.prompt == "enter-pin":
            journey.enter_pin(Pin("123456"))

    journey = CardInquiry(
        bench.tsp,
        bench.reader,
        bench.memory,
        bench.waits,
        lambda: f"look-{next(KEYS)}",
        bench.alone,
        *BOX,
        account=account,  # type: ignore[arg-type]
    )
    journey.run(on_step)
    read = steps[-1]
    assert isinstance(read, BankCardRead), read
    return read


@pytest.mark.parametrize(
    ("profile", "kind", "last"), [("debit", "debit", "6101"), ("credit", "credit", "3654")]
)
def test_a_card_of_an_account(profile: str, kind: str, last: str, tmp_path: Path) -> None:
    read = look(Bench(profile, tmp_path))
    assert (read.kind, read.usable, read.cash) == (kind, True, None)
    assert read.number.replace(" ", "").endswith(last)
    assert "*" in read.number


def test_electronic_cash_with_its_limits_and_what_was_paid_with_it(tmp_path: Path) -> None:
    bench = Bench("electronic-cash", tmp_path)
    assert bench.pay().outcome == "success"
    read = look(bench)
    assert (read.kind, read.cash) == ("electronic-cash", CashHeld(17150, 100_000, 50_000))
    assert [(line.kind, line.amount_fen, line.when[:10]) for line in read.log] == [
        ("purchase", 1500, "2026-11-21")
    ]


def test_a_card_that_has_a_payment_to_explain_does_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench("electronic-cash", tmp_path)
    answer_lost(monkeypatch)
    bench.answers["settling"] = bench.journey.cancel
    bench.tsp.faults["not_certified"] = ["lost"] * 20
    assert bench.pay().outcome == "pending"
    bench.tsp.faults.clear()
    bench.memory = Memory(tmp_path)
    look(bench)
    assert bench.tsp.current.reason == "certificate-lost"


@pytest.mark.parametrize(("issuer", "fen", "refusal"), [("00", 498_500, None), ("55", None, "pin-refused")])
def test_the_bank_is_asked_what_is_in_the_account(
    tmp_path: Path, issuer: str, fen: int | None, refusal: str | None
) -> None:
    bench = Bench("debit", tmp_path)
    bench.tsp.issuer = issuer
    read = look(bench, account=True)
    assert (read.account_fen, read.account_refusal) == (fen, refusal)
    assert bench.tsp.with_pin


def test_before_what_may_be_the_last_try_of_the_pin_it_is_said(tmp_path: Path) -> None:
    """The issuer does not tell how many tries are left."""

    def told(issuer: str) -> str | None:
        bench.tsp.issuer = issuer
        return look(bench, account=True).account_refusal

    bench = Bench("debit", tmp_path)
    assert [told("55"), told("55"), told("55")] == ["pin-refused", "pin-refused-last", "pin-refused-last"]
    assert [told("00"), told("55")] == [None, "pin-refused"], "a right PIN begins anew"
    assert [told("05"), told("55")] == ["declined-by-issuer", "pin-refused"], "so does another refusal"
    bench.reader.insert("credit")
    bench.tsp.issuer_of = "credit"
    assert told("55") == "pin-refused", "each card has tries of its own"


def test_a_payment_s_wrong_pin_counts_with_an_inquiry_s(tmp_path: Path) -> None:
    bench = online("debit", tmp_path)
    bench.tsp.issuer = "55"
    assert look(bench, account=True).account_refusal == "pin-refused"
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "pin-refused-last")
