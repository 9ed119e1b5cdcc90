"""A debit or credit card at the box: the real kernel and card, and an issuer that answers, or does not. ONL-7, ONL-12, ONL-13"""

from __future__ import annotations

from pathlib import Path

import pytest

from cardreader.errors import CardRemoved
from cardreader.secret import Pin
from cardreader.sim.reader import SimConnection
from stb_app.journeys.memory import Memory
from stb_app.journeys.settling import end_told
from stb_app.journeys.steps import CardPrompt
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import Bench

COMMANDS = 15
"""Of an online payment with the debit card, the look for a purse among them."""


@pytest.fixture(params=["debit", "credit"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return online(request.param, tmp_path)


def online(profile: str, folder: Path) -> Bench:
    bench = Bench(profile, folder)
    bench.tsp.issuer_of = profile
    bench.answers["enter-pin"] = lambda: bench.journey.enter_pin(Pin("123456"))
    return bench


def test_it_is_paid(bench: Bench) -> None:
    end = bench.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert bench.prompts()[-1] == "remove"
    asked = next(step for step in bench.steps if isinstance(step, CardPrompt) and step.prompt == "enter-pin")
    assert asked.pin_for_issuer
    assert asked.number.replace(" ", "").endswith("6101" if bench.tsp.issuer_of == "debit" else "3654")
    assert bench.tsp.with_pin


def test_the_issuer_says_no(bench: Bench) -> None:
    bench.tsp.issuer = "05"
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "declined-by-issuer")
    assert "complete" not in bench.tsp.calls


@pytest.mark.parametrize("issuer", ["00", "05"])
def test_what_the_card_did_with_scripts_is_told(bench: Bench, issuer: str) -> None:
    bench.tsp.issuer = issuer
    bench.tsp.gives_tries_back = True
    assert bench.pay().outcome == ("success" if issuer == "00" else "failed")
    assert bench.tsp.script_results == [bytes.fromhex("2000000001")]


@pytest.mark.parametrize("verb", ["authorise", "complete"])
@pytest.mark.parametrize("fault", ["lost", "unanswered"])
def test_what_is_not_answered_is_sent_again_with_its_key(tmp_path: Path, verb: str, fault: str) -> None:
    bench = online("debit", tmp_path)
    bench.tsp.faults[verb] = [fault, fault]
    end = bench.pay()
    assert (end.outcome, end.money) == ("success", "taken")
    assert bench.tsp.calls.count(verb) == 3


def test_an_issuer_that_is_silent_costs_nothing_in_the_end(tmp_path: Path) -> None:
    bench = online("debit", tmp_path)
    bench.tsp.issuer = ""
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "declined-by-card")


@pytest.mark.parametrize("verb", ["authorise", "complete"])
def test_what_nobody_answers_stays_unknown_and_is_found_out_later(tmp_path: Path, verb: str) -> None:
    bench = online("debit", tmp_path)
    bench.tsp.faults[verb] = ["lost"] * 99
    end = bench.pay()
    assert (end.outcome, end.money) == ("pending", "unknown")
    # Also after a power cut: the box asks how it ended, and tells.
    assert Memory(tmp_path).open_codes() == ("pay-1",)
    end_told(bench.memory, bench.tsp.become(state="failed", money="not-taken", reason="ppp-silent"))
    assert Memory(tmp_path).open_codes() == ()


def test_a_refusal_before_anything_has_left_is_no_riddle(tmp_path: Path) -> None:
    bench = online("debit", tmp_path)
    bench.tsp.faults["authorise"] = [Problem("ppp-unreachable", money="not-taken", retryable=True)]
    end = bench.pay()
    assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "ppp-unreachable")
    assert bench.tsp.calls.count("authorise") == 1
    assert Memory(tmp_path).open_codes() == ()


@pytest.fixture
def pulled_at(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The card leaves at this command of its first insertion, and is put back."""
    where, really = {"at": 0, "count": 0}, SimConnection.transmit

    def transmit(self: SimConnection, apdu: bytes) -> tuple[bytes, int]:
        where["count"] += 1
        if where["count"] == where["at"]:
            raise CardRemoved("pulled")
        return really(self, apdu)

    monkeypatch.setattr(SimConnection, "transmit", transmit)
    return where


@pytest.mark.parametrize("at", range(1, COMMANDS + 1))
def test_it_is_pulled_at_any_command(tmp_path: Path, pulled_at: dict[str, int], at: int) -> None:
    """Either nothing had left, and it pays when it is back; or the issuer has been asked, and that is undone."""
    bench = online("debit", tmp_path)
    pulled_at["at"] = at
    end = bench.pay()
    assert pulled_at["count"] >= at, "there are fewer commands"
    asked = "complete" in bench.tsp.calls
    if end.money == "taken":
        assert end.outcome == "success"
    else:
        assert asked
        assert (end.outcome, end.money, end.reason) == ("failed", "not-taken", "card-removed")
    assert bench.tsp.payments == 1


def test_whoever_cancels_at_the_pin_pays_nothing(tmp_path: Path) -> None:
    bench = online("debit", tmp_path)
    bench.answers["enter-pin"] = bench.journey.cancel
    end = bench.pay()
    assert (end.outcome, end.money) == ("cancelled", "not-taken")
    assert "authorise" not in bench.tsp.calls
