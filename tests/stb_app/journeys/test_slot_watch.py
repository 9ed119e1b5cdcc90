"""Watching the slot beside a page: what it sees of hands, readers that go, and that it powers nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from cardreader.errors import CardTimeout, ReaderUnavailable
from cardreader.sim.reader import SimReader
from stb_app.journeys.slot_watch import LOOK_S, SlotWatch
from stb_app.journeys.steps import CardMoved

NEVER = threading.Event()


class Hands:
    """Pauses that take no time: at each one a hand does the next thing, and at the end the page is left."""

    def __init__(self, *hands: Callable[[], Any]) -> None:
        self.hands = list(hands)
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return 0.0

    def pause(self, seconds: float, until: threading.Event) -> bool:
        self.pauses.append(seconds)
        if self.hands:
            self.hands.pop(0)()
        else:
            until.set()
        return until.is_set()


def told(watch: SlotWatch) -> list[bool]:
    steps: list[CardMoved] = []
    watch.run(steps.append)
    return [step.inside for step in steps]


def test_a_card_that_is_taken_and_another_that_comes() -> None:
    reader = SimReader("good")
    reader.wait_for_card(1, NEVER)
    threading.Timer(0.02, reader.pull).start()
    hands = Hands(lambda: None, lambda: reader.insert("debit"))
    assert told(SlotWatch(reader, hands)) == [False, True]
    assert hands.pauses == [LOOK_S, LOOK_S]
    assert reader._powered == 1, "whoever reads it powers it"


def test_a_quick_hand_that_swaps_the_card_is_seen() -> None:
    reader = SimReader("good")
    reader.wait_for_card(1, NEVER)
    reader.insert("debit")
    assert told(SlotWatch(reader, Hands())) == [False, True]


def test_it_ends_when_the_page_is_left() -> None:
    reader = SimReader("good")
    reader.wait_for_card(1, NEVER)
    watch = SlotWatch(reader, Hands())
    threading.Timer(0.02, watch.cancel).start()
    assert told(watch) == []
    reader.pull()
    assert told(SlotWatch(reader, Hands())) == [False]


class Going:
    """A reader that nobody touches for a while, then is unplugged, and comes back with a card."""

    name, simulated = "Reader", False

    def __init__(self) -> None:
        self.waits: list[type[Exception]] = [CardTimeout, CardTimeout, ReaderUnavailable]
        self.looks: list[bool | Exception] = [ReaderUnavailable("gone"), False, True]

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        raise self.waits.pop(0)("nothing")

    def card_present(self) -> bool:
        look = self.looks.pop(0)
        if isinstance(look, Exception):
            raise look
        return look


def test_a_reader_that_goes_takes_its_card_with_it() -> None:
    reader: Any = Going()
    assert told(SlotWatch(reader, Hands(lambda: None, lambda: None))) == [False, True]


def test_a_failure_is_logged_and_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    reader: Any = Going()
    reader.waits = [ZeroDivisionError]
    assert told(SlotWatch(reader, Hands())) == []
    assert "watching the card slot" in caplog.text
