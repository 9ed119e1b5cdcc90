"""Payments by code that a television left when it was switched off: followed until their end is known, and told. ONL-13"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cardreader.readers import open_reader
from stb_app.journeys.memory import Memory
from stb_app.journeys.recovery import LONGEST_PAUSE_S, Recovery
from stb_app.journeys.steps import CodesOpen, Finished
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.dummy_tsp import DummyTsp


class Rounds:
    """Lets so many rounds pass, doing something before some of them; remembers the pauses."""

    def __init__(self, rounds: int) -> None:
        self.left = rounds
        self.pauses: list[float] = []
        self.before: dict[int, Callable[[], object]] = {}

    def monotonic(self) -> float:
        return 0.0

    def pause(self, seconds: float, until: threading.Event) -> bool:
        if len(self.pauses) in self.before:
            self.before[len(self.pauses)]()
        self.pauses.append(seconds)
        return len(self.pauses) > self.left


class Left:
    """A television that is switched on again while a code it had shown is open."""

    def __init__(self, folder: Path, rounds: int) -> None:
        before = Memory(folder)
        before.keep_code("pay-1")
        self.tsp = DummyTsp()
        self.tsp.pay("order-1", "wallet:demo", "key-1")
        self.memory = Memory(folder)
        self.folder = folder
        self.rounds = Rounds(rounds)
        self.alone = threading.Lock()
        self.told: list[object] = []

    def on(self) -> list[object]:
        reader = open_reader("sim:")
        Recovery(self.tsp, reader, self.memory, self.rounds, self.alone).run(self.told.append)  # type: ignore[arg-type]
        return self.told


@pytest.mark.parametrize(
    ("state", "money", "outcome"),
    [
        ("done", "taken", "success"),
        ("expired", "not-taken", "expired"),
        ("failed", "not-taken", "failed"),
        ("late", "returned", "late"),
    ],
)
def test_its_end_is_told_once(tmp_path: Path, state: str, money: str, outcome: str) -> None:
    left = Left(tmp_path, 4)
    left.rounds.before[2] = lambda: left.tsp.become(state=state, money=money)
    told = left.on()
    assert told[:2] == [CodesOpen(1), CodesOpen(0)]
    (end,) = told[2:]
    assert isinstance(end, Finished)
    assert (end.outcome, end.money) == (outcome, money)
    assert Memory(tmp_path).open_codes() == ()
    # While it can be paid it is looked at every moment: the subscriber is in front of the television.
    assert set(left.rounds.pauses) == {2.0}


def test_it_is_followed_also_while_a_card_is_being_used(tmp_path: Path) -> None:
    left = Left(tmp_path, 2)
    left.tsp.become(state="done", money="taken")
    left.alone.acquire()
    assert isinstance(left.on()[-1], Finished)


def test_what_stays_unknown_is_asked_about_with_growing_pauses_and_kept(tmp_path: Path) -> None:
    left = Left(tmp_path, 8)
    left.tsp.become(state="unknown", money="unknown")
    assert left.on() == [CodesOpen(1)]
    assert left.rounds.pauses[:4] == [2.0, 4.0, 8.0, 16.0]
    assert left.rounds.pauses[-1] == LONGEST_PAUSE_S
    assert Memory(tmp_path).open_codes() == ("pay-1",)


def test_a_platform_out_of_reach_is_asked_again(tmp_path: Path) -> None:
    left = Left(tmp_path, 3)
    left.tsp.become(state="done", money="taken")
    left.tsp.faults["payment"] = ["lost", "lost"]
    told = left.on()
    assert isinstance(told[-1], Finished)
    assert left.tsp.calls.count("payment") == 3


def test_a_platform_that_does_not_know_it_is_asked_once(tmp_path: Path) -> None:
    left = Left(tmp_path, 3)
    left.tsp.faults["payment"] = [Problem("not-found")] * 3
    assert left.on() == [CodesOpen(1), CodesOpen(0)]
    assert left.tsp.calls.count("payment") == 1


def test_a_code_that_is_on_the_screen_is_none_of_its_business(tmp_path: Path) -> None:
    left = Left(tmp_path, 3)
    left.memory.keep_code("pay-1")
    assert left.on() == []
    assert left.tsp.calls.count("payment") == 0
