"""One box with one slot and one subscriber: what the tests of purse payments are played on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cardreader.emv import capk
from cardreader.emv.settings import TerminalSettings
from cardreader.lab.sessions import RecordingReader
from cardreader.readers import open_reader
from cardreader.sim.reader import SimReader
from stb_app.journeys.card_payment import CardPayment
from stb_app.journeys.memory import Memory
from stb_app.journeys.online_payment import TERMINAL
from stb_app.journeys.steps import CardPrompt, CardStep, Finished
from tests.stb_app.journeys.dummy_tsp import ORDER, DummyTsp

PIN = "123456"
BOX: tuple[Callable[[], TerminalSettings], Callable[[], datetime]] = (
    lambda: replace(TERMINAL, ca_keys=capk.simulated()),
    lambda: datetime(2026, 11, 21, tzinfo=UTC),
)
"""This box as a terminal, and its time."""


class FastWaits:
    """Pauses take no time but let the clock run; the events are real."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def pause(self, seconds: float, until: threading.Event) -> bool:
        self.at += seconds
        return until.is_set()


class Bench:
    """One box with one slot, and a subscriber who answers prompts as told."""

    def __init__(self, profile: str, folder: Path | None = None) -> None:
        reader = open_reader(f"sim:{profile}")
        assert isinstance(reader, SimReader)
        self.reader = reader
        self.recorded = RecordingReader(reader, lambda: 0.0, BOX[1])
        self.tsp = DummyTsp()
        self.memory = Memory(folder)
        self.waits = FastWaits()
        self.alone = threading.Lock()
        self.steps: list[CardStep] = []
        self.answers: dict[str, Callable[[], object]] = {
            "enter-pin": lambda: self.journey.enter_pin(PIN),
            "confirm-cash": lambda: self.journey.agree(),
            "remove": lambda: self.journey.go_on(),
        }
        keys = iter(range(10_000))
        self.journey = CardPayment(
            self.tsp,
            self.recorded,
            self.memory,
            self.waits,
            lambda: f"key-{next(keys)}",
            ORDER,
            BOX[1],
            self.alone,
            terminal=BOX[0],
        )  # type: ignore[arg-type]

    def pay(self) -> Finished:
        self.journey.run(self._on_step)
        end = self.steps[-1]
        assert isinstance(end, Finished)
        return end

    def prompts(self) -> list[str]:
        return [step.prompt for step in self.steps if isinstance(step, CardPrompt)]

    def balance(self) -> int:
        from cardreader.purse import Purse

        return Purse(self.reader.wait_for_card(1, threading.Event())).balance_fen()

    def _on_step(self, step: CardStep) -> None:
        self.steps.append(step)
        if isinstance(step, CardPrompt) and step.prompt in self.answers:
            self.answers[step.prompt]()
