"""What the card lab says of earlier cards against what became of the money: paid, loaded, or not, pulled at any command."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardreader.secret import Pin
from stb_app.journeys.card_lab import Outcome, session
from tests.stb_app.journeys.bench import PIN, Bench
from tests.stb_app.journeys.test_cash_load import LoadBench

NO_ISSUER = {"good": "8054", "electronic-cash": "80AE"}
"""Cards that pay by themselves, and the command with which they do."""
COMMANDS = 30
"""More than any of them has; a fault behind the last never happens."""


def outcomes(bench: Bench, purpose: str) -> list[Outcome | None]:
    """Of each stay, the first one first; of none has anything else become anything."""
    told = [session(one) for one in reversed(bench.recorded.traces())]
    assert {one.purpose for one in told if one.outcome is not None} <= {purpose}
    return [one.outcome for one in told]


def bench_for(profile: str, folder: Path) -> LoadBench:
    bench = LoadBench(profile, folder)
    bench.tsp.issuer_of = profile
    if profile != "good":
        bench.answers["enter-pin"] = lambda: bench.journey.enter_pin(Pin(PIN))
    for prompt in ("insert", "removed-early", "put-back"):
        bench.answers[prompt] = lambda: bench.reader.insert(profile)
    return bench


@pytest.mark.parametrize("profile", ["good", "debit", "credit", "electronic-cash"])
def test_a_card_that_paid_is_told_from_one_that_did_not(profile: str, tmp_path: Path) -> None:
    paid = bench_for(profile, tmp_path / "paid")
    assert paid.pay().money == "taken"
    assert outcomes(paid, "payment") == ["done"]
    lost = bench_for(profile, tmp_path / "lost")
    lost.tsp.issuer = "05"
    if profile in NO_ISSUER:
        lost.reader.order_fault(f"word@{NO_ISSUER[profile]}:6985")
    assert lost.pay().money == "not-taken"
    assert outcomes(lost, "payment") == ["not done"]


def test_one_that_was_lost_at_the_second_cryptogram_has_not_paid(tmp_path: Path) -> None:
    bench = bench_for("debit", tmp_path)
    whole = bench_for("debit", tmp_path / "whole")
    whole.pay()
    commands = [one.command[:2] for one in whole.recorded.traces()[0].exchanges]
    second = max(number for number, one in enumerate(commands, 1) if one == b"\x80\xae")
    bench.reader.order_fault(f"lose@{second}")
    assert bench.pay().money == "not-taken"
    assert outcomes(bench, "payment") == ["not done"]


def test_one_that_left_instead_of_answering_may_have_debited_and_tells_when_it_is_back(
    tmp_path: Path,
) -> None:
    bench = bench_for("good", tmp_path)
    bench.reader.order_fault("lose@8054")
    assert bench.pay().money == "taken"
    assert outcomes(bench, "payment") == ["not known", "done"]


@pytest.mark.parametrize("profile", ["good", "debit", "electronic-cash"])
@pytest.mark.parametrize("kind", ["pull", "lose"])
def test_it_never_says_otherwise_than_the_books(kind: str, profile: str, tmp_path: Path) -> None:
    for number in range(1, COMMANDS):
        bench = bench_for(profile, tmp_path / f"{number}")
        bench.reader.order_fault(f"{kind}@{number}")
        money, told = bench.pay().money, outcomes(bench, "payment")
        if "done" in told or "not known" not in told:
            assert money == ("taken" if "done" in told else "not-taken"), number


@pytest.mark.parametrize("kind", ["pull", "lose"])
def test_of_a_load_neither(kind: str, tmp_path: Path) -> None:
    seen = set()
    for number in range(1, COMMANDS):
        bench = bench_for("electronic-cash", tmp_path / f"{number}")
        bench.reader.order_fault(f"{kind}@{number}")
        outcome, told = bench.load().outcome, outcomes(bench, "load")
        seen |= {*told}
        if "done" in told or "not known" not in told:
            assert ("done" in told) == (outcome == "loaded"), number
    assert {"done", "not known"} <= seen
