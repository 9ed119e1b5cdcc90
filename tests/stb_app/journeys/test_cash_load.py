"""Electronic cash is loaded at the box: the real kernel and card, pulled at every command, and an issuer that answers or not. ONL-7, ONL-13"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from cardreader.secret import Pin
from stb_app.journeys.cash_load import CashLoad
from stb_app.journeys.steps import CardPrompt, LoadEnded, LoadStep
from tests.stb_app.journeys.bench import BOX, Bench
from tests.stb_app.journeys.test_electronic_cash import HELD_FEN, held
from tests.stb_app.journeys.test_online_payment import pulled_at as pulled_at

AMOUNT_FEN, COMMANDS = 10000, 24
KEYS = itertools.count()


class LoadBench(Bench):
    """The same box, on which a card is loaded."""

    def load(self, amount_fen: int = AMOUNT_FEN) -> LoadEnded:
        self.told: list[LoadStep] = []
        self.loading = CashLoad(
            self.tsp, self.recorded, self.memory, self.waits, lambda: f"load-{next(KEYS)}", BOX[1], self.alone, BOX[0],
            amount_fen,
        )  # type: ignore[arg-type]  # fmt: skip
        self.loading.run(self._on_load)
        end = self.told[-1]
        assert isinstance(end, LoadEnded), end
        return end

    def _on_load(self, step: LoadStep) -> None:
        self.told.append(step)
        if isinstance(step, CardPrompt) and step.prompt == "enter-pin":
            self.loading.enter_pin(Pin("123456"))
        elif isinstance(step, CardPrompt) and step.prompt in self.answers:
            self.answers[step.prompt]()


@pytest.fixture
def bench(tmp_path: Path) -> LoadBench:
    return LoadBench("electronic-cash", tmp_path)


def test_it_is_loaded(bench: LoadBench) -> None:
    end = bench.load()
    assert (end.outcome, end.reason, end.balance_fen) == ("loaded", None, HELD_FEN + AMOUNT_FEN)
    assert end.load_number == bench.tsp.load_now.number
    assert held(bench) == HELD_FEN + AMOUNT_FEN
    assert bench.tsp.with_pin
    assert not bench.memory.waits_for_cash()
    known = {step.balance_fen for step in bench.told if isinstance(step, CardPrompt) and step.number}
    assert known == {HELD_FEN}


def test_the_issuer_says_no(bench: LoadBench) -> None:
    bench.tsp.issuer = "51"
    end = bench.load()
    assert (end.outcome, end.reason) == ("failed", "declined-by-issuer")
    assert held(bench) == HELD_FEN
    assert not bench.memory.waits_for_cash()


def test_a_second_wrong_pin_in_a_row_is_told_as_what_may_be_the_last_but_one(bench: LoadBench) -> None:
    bench.tsp.issuer = "55"
    assert [bench.load().reason, bench.load().reason] == ["pin-refused", "pin-refused-last"]
    assert held(bench) == HELD_FEN


def test_an_issuer_that_is_silent_costs_nothing_in_the_end(bench: LoadBench) -> None:
    bench.tsp.issuer = ""
    end = bench.load()
    assert (end.outcome, end.reason) == ("failed", "ppp-silent")
    assert held(bench) == HELD_FEN


def test_more_than_the_card_holds_is_said_before_anybody_is_asked(bench: LoadBench) -> None:
    bench.answers["cash-full"] = lambda: bench.loading.cancel()
    end = bench.load(90000)
    assert (end.outcome, end.reason) == ("failed", "cancelled")
    assert "begin_load" not in bench.tsp.calls


def test_a_card_without_electronic_cash_is_said_so(tmp_path: Path) -> None:
    bench = LoadBench("credit", tmp_path)
    bench.answers["no-cash"] = lambda: bench.loading.cancel()
    assert bench.load().reason == "cancelled"


@pytest.mark.parametrize("verb", ["authorise_load", "complete_load"])
@pytest.mark.parametrize("fault", ["lost", "unanswered"])
def test_what_is_not_answered_is_sent_again_with_its_key(bench: LoadBench, verb: str, fault: str) -> None:
    bench.tsp.faults[verb] = [fault, fault]
    assert bench.load().outcome == "loaded"
    assert bench.tsp.calls.count(verb) == 3


@pytest.mark.parametrize("at", range(1, COMMANDS + 1))
def test_it_is_pulled_at_any_command(bench: LoadBench, pulled_at: dict[str, int], at: int) -> None:
    """Put back it is loaded; or the card tells that it is not, and what was booked goes back."""
    pulled_at["at"] = at
    end = bench.load()
    assert pulled_at["count"] >= at, "there are fewer commands"
    pulled_at["at"] = 0
    assert held(bench) == HELD_FEN + (AMOUNT_FEN if end.outcome == "loaded" else 0)
    assert end.outcome in ("loaded", "failed")
    assert not bench.memory.waits_for_cash()


def test_a_payment_that_the_card_may_have_made_is_explained_before_it_is_loaded(bench: LoadBench) -> None:
    """Its balance will be another one then, and proves nothing about that payment."""
    bench.tsp.faults |= {"begin_cash": ["unanswered"], "not_certified": ["lost"] * 99}
    assert bench.pay().money == "unknown"
    bench.tsp.faults.clear()
    bench.tsp.calls.clear()
    assert bench.load().outcome == "loaded"
    assert bench.tsp.calls.index("not_certified") < bench.tsp.calls.index("authorise_load")
    assert (bench.tsp.current.state, bench.tsp.current.reason) == ("failed", "card-removed")


def test_nothing_is_loaded_while_a_payment_of_the_card_cannot_be_explained(bench: LoadBench) -> None:
    bench.tsp.faults |= {"begin_cash": ["lost"], "not_certified": ["lost"] * 99}
    assert bench.pay().money == "unknown"
    end = bench.load()
    assert (end.outcome, held(bench)) == ("failed", HELD_FEN)
    assert "authorise_load" not in bench.tsp.calls
