"""Looking at bank cards: the real kernel and simulated cards, their electronic cash and their own logs. ONL-10"""

from __future__ import annotations

from pathlib import Path

import pytest

from stb_app.journeys.card_inquiry import CardInquiry
from stb_app.journeys.memory import Memory
from stb_app.journeys.steps import BankCardRead, CashHeld, InquiryStep
from tests.stb_app.journeys.bench import BOX, Bench
from tests.stb_app.journeys.test_electronic_cash import answer_lost


def look(bench: Bench) -> BankCardRead:
    steps: list[InquiryStep] = []
    journey = CardInquiry(
        bench.tsp,
        bench.reader,
        bench.memory,
        bench.waits,
        iter("abc").__next__,
        bench.alone,
        *BOX,  # type: ignore[arg-type]
    )
    journey.run(steps.append)
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
