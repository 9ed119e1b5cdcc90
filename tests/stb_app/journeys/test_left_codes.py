"""Payments by code that a television left when it was switched off: followed until their end is known, and told. ONL-13"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cardreader.readers import open_reader
from stb_app.journeys.memory import Memory
from stb_app.journeys.recovery import LAST_LOOK_S, LONGEST_PAUSE_S, Recovery
from stb_app.journeys.steps import CodesOpen, Finished
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import BOX
from tests.stb_app.journeys.dummy_tsp import DummyTsp


class Rounds:
    """Lets so many rounds pass, doing something before some of them; remembers the pauses."""

    def __init__(self, rounds: int) -> None:
        self.left = rounds
        self.pauses: list[float] = []
        self.before: dict[int, Callable[[], object]] = {}
        self.over: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return 0.0

    def pause(self, seconds: float, until: threading.Event) -> bool:
        if len(self.pauses) in self.before:
            self.before[len(self.pauses)]()
        self.pauses.append(seconds)
        if len(self.pauses) > self.left:
            self.over()
        return until.is_set()


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
        recovery = Recovery(self.tsp, reader, self.memory, self.rounds, self.alone, *BOX)  # type: ignore[arg-type]
        self.rounds.over = recovery.cancel
        recovery.run(self.told.append)
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
    waiting = CodesOpen((left.tsp.payment("pay-1"),))
    left.rounds.before[2] = lambda: left.tsp.become(state=state, money=money)
    told = left.on()
    assert told[:2] == [waiting, CodesOpen(())]
    (end,) = told[2:]
    assert isinstance(end, Finished)
    assert (end.outcome, end.money) == (outcome, money)
    assert Memory(tmp_path).open_codes() == ()
    # While it can be paid it is looked at every moment: the subscriber is in front of the television.
    assert set(left.rounds.pauses) == {2.0}


def test_what_was_cancelled_while_nobody_answered_is_cancelled_when_the_power_is_back(tmp_path: Path) -> None:
    left = Left(tmp_path, 4)
    left.memory.unwant_code("pay-1")
    left.memory = Memory(tmp_path)
    left.tsp.faults["cancel"] = ["lost"]
    (end,) = (step for step in left.on() if isinstance(step, Finished))
    assert (end.outcome, left.tsp.current.state) == ("cancelled", "cancelled")
    assert left.tsp.calls.count("cancel") == 2
    assert not list(tmp_path.glob("*.unwanted"))


def test_a_phone_that_was_quicker_than_what_was_cancelled_is_believed(tmp_path: Path) -> None:
    left = Left(tmp_path, 4)
    left.memory.unwant_code("pay-1")
    left.tsp.become(state="done", money="taken")
    (end,) = (step for step in left.on() if isinstance(step, Finished))
    assert end.outcome == "success"
    assert not list(tmp_path.glob("*.unwanted"))


def test_that_it_is_paid_is_told_while_boss_is_waited_for(tmp_path: Path) -> None:
    left = Left(tmp_path, 6)
    left.rounds.before[1] = lambda: left.tsp.become(state="paid", money="taken")
    left.rounds.before[4] = lambda: left.tsp.become(state="done", money="taken")
    opening, done = (step for step in left.on() if isinstance(step, Finished))
    assert (opening.outcome, opening.money) == ("pending", "taken")
    assert done.outcome == "success"
    assert left.told.index(CodesOpen(())) < left.told.index(done)
    assert Memory(tmp_path).open_codes() == ()


def test_that_a_person_has_to_see_to_it_is_told_once_and_how_that_ended(tmp_path: Path) -> None:
    left = Left(tmp_path, 6)
    left.tsp.become(state="paid", money="taken", reason="service-not-opened")
    left.rounds.before[4] = lambda: left.tsp.become(state="done", money="taken", reason=None)
    ends = [step for step in left.on() if isinstance(step, Finished)]
    assert [(end.outcome, end.reason) for end in ends] == [
        ("pending", "service-not-opened"),
        ("success", None),
    ]


def test_it_is_followed_also_while_a_card_is_being_used(tmp_path: Path) -> None:
    left = Left(tmp_path, 2)
    left.tsp.become(state="done", money="taken")
    left.alone.acquire()
    assert isinstance(left.on()[-1], Finished)


def test_what_stays_unknown_is_asked_about_with_growing_pauses_and_kept(tmp_path: Path) -> None:
    left = Left(tmp_path, 8)
    left.tsp.become(state="unknown", money="unknown")
    assert left.on() == [CodesOpen((left.tsp.payment("pay-1"),))]
    assert left.rounds.pauses[:4] == [2.0, 4.0, 8.0, 16.0]
    assert left.rounds.pauses[-1] == LONGEST_PAUSE_S
    assert Memory(tmp_path).open_codes() == ("pay-1",)


def test_it_is_asked_about_as_soon_as_the_page_that_told_of_it_is_left(tmp_path: Path) -> None:
    left = Left(tmp_path, 4)
    left.tsp.become(state="unknown", money="unknown")
    unknown = left.tsp.payment("pay-1")
    left.tsp.calls.clear()
    left.memory.look_at("pay-1")
    left.rounds.before[1] = lambda: left.memory.look_away("pay-1")
    assert left.on() == [CodesOpen((unknown,))]
    assert left.tsp.calls.count("payment") == 3  # the first round had nothing to ask
    assert left.rounds.pauses[:3] == [2.0, 2.0, 4.0]


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
    assert left.on() == []
    assert left.tsp.calls.count("payment") == 1


def test_a_code_that_is_on_the_screen_is_none_of_its_business(tmp_path: Path) -> None:
    left = Left(tmp_path, 3)
    left.memory.look_at("pay-1")
    assert left.on() == []
    assert left.tsp.calls.count("payment") == 0


# Money that comes after a code was closed


class Ticking(Rounds):
    """Rounds that take the time they pause."""

    def monotonic(self) -> float:
        return sum(self.pauses)


def _ends(told: list[object]) -> list[tuple[str, str]]:
    return [(step.outcome, step.money) for step in told if isinstance(step, Finished)]


@pytest.mark.parametrize("closed", ["expired", "cancelled", "failed"])
def test_money_that_comes_late_is_told_after_the_code_was_called_closed(tmp_path: Path, closed: str) -> None:
    left = Left(tmp_path, 8)
    left.tsp.become(state=closed, money="not-taken")
    left.rounds.before[3] = lambda: left.tsp.become(state="late", money="taken")
    left.rounds.before[6] = lambda: left.tsp.become(state="late", money="returned")
    told = left.on()
    assert _ends(told) == [(closed, "not-taken"), ("late", "taken"), ("late", "returned")]
    # Closed is not open: nobody is told that it might still be paid.
    assert not [step for step in told if isinstance(step, CodesOpen)]
    assert Memory(tmp_path).closed_codes() == {}


def test_a_television_that_was_switched_off_meanwhile_tells_only_what_is_new(tmp_path: Path) -> None:
    left = Left(tmp_path, 2)
    left.tsp.become(state="expired", money="not-taken")
    assert _ends(left.on()) == [("expired", "not-taken")]
    left.memory, left.rounds, left.told = Memory(tmp_path), Rounds(4), []
    left.rounds.before[2] = lambda: left.tsp.become(state="late", money="taken")
    assert left.on() == [Finished("late", "taken", payment=left.tsp.all["pay-1"])]
    assert Memory(tmp_path).closed_codes() == {"pay-1": "late"}


def test_a_closed_code_has_a_last_look_but_money_on_its_way_back_has_none(tmp_path: Path) -> None:
    left = Left(tmp_path, 200)
    left.rounds = Ticking(200)
    left.tsp.become(state="expired", money="not-taken")
    left.on()
    assert left.memory.closed_codes() == {}
    assert LAST_LOOK_S / 2 <= left.tsp.calls.count("payment") <= LAST_LOOK_S / 2 + 5

    again = Left(tmp_path, 50)
    again.rounds = Ticking(50)
    again.tsp.become(state="late", money="taken")
    again.on()
    assert again.memory.closed_codes() == {"pay-1": "late"}
    assert again.rounds.pauses[-1] == LONGEST_PAUSE_S


def test_a_closed_code_that_the_platform_does_not_know_or_tell_of_is_no_end(tmp_path: Path) -> None:
    left = Left(tmp_path, 6)
    left.tsp.become(state="expired", money="not-taken")
    left.tsp.faults["payment"] = [
        None,
        Problem("tsp-unreachable", retryable=True),
        Problem("not-found"),
        None,
    ]
    left.on()
    assert left.tsp.calls.count("payment") == 3
    assert left.memory.closed_codes() == {}
