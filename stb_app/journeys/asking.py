"""Asking the TSP what moves no money: a silence is waited out for a few seconds, then it is said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from cardreader.errors import Cancelled
from stb_app.journeys.card_slot import GLANCE_S, CardSlot
from stb_app.journeys.steps import CardPrompt
from stb_app.journeys.waiting import Waits
from stb_app.tsp.problem import Problem

T = TypeVar("T")

PATIENCE_S = 10.0
"""A bundled server that has died is back within this; a person who sees why waits as long."""
RETRY_S = 1.0
NO_SERVICE_S = 180.0
"""For so long a payment that the TSP does not answer can be gone on with; nothing was taken."""


def patiently(
    question: Callable[[], T], waits: Waits, cancel: threading.Event, on_silence: Callable[[], None]
) -> T:
    """Puts a question again while nobody answers. The same idempotency key each time, so that nothing happens twice.

    Args:
        question: blocks; raises Problem.
        cancel: set when the subscriber leaves.
        on_silence: called after every attempt without an answer that is followed by another one.

    Returns:
        The answer.

    Raises:
        Problem: a refusal at once; the silence when it has lasted for ``PATIENCE_S``.
        Cancelled: the subscriber left while nobody answered.
    """
    until = waits.monotonic() + PATIENCE_S
    while True:
        try:
            return question()
        except Problem as problem:
            if not problem.unanswered:
                raise
            if cancel.is_set():
                raise Cancelled from problem
            if waits.monotonic() + RETRY_S >= until:
                raise
            on_silence()
            if waits.pause(RETRY_S, cancel):
                raise Cancelled from problem


class Questions:
    """What a payment by card asks the TSP before the card may have paid.

    Attributes:
        silent: the last that was heard of the TSP is nothing.
    """

    def __init__(self, waits: Waits, cancel: threading.Event, slot: CardSlot) -> None:
        self._waits = waits
        self._cancel = cancel
        self._slot = slot
        self._again = threading.Event()
        self.silent = False

    def try_again(self) -> None:
        """The subscriber wants it asked once more."""
        self._again.set()

    def ask(self, question: Callable[[], T], about: CardPrompt) -> T:
        """Asks. While the TSP is silent the subscriber is told, and after a while asked.

        Args:
            about: what is on the screen; it comes back when the subscriber has it tried again.

        Raises:
            Problem: refused, or silent until the subscriber had gone.
            Cancelled: the subscriber left.
        """
        while True:
            try:
                answer = patiently(
                    question,
                    self._waits,
                    self._cancel,
                    lambda: self._slot.say(replace(about, prompt="reconnecting")),
                )
            except Problem as problem:
                self.silent = problem.unanswered
                if not problem.unanswered or not self._wanted_again(about):
                    raise
            except Cancelled:
                self.silent = True
                raise
            else:
                self.silent = False
                return answer

    def _wanted_again(self, about: CardPrompt) -> bool:
        """Says that the TSP cannot be reached and waits for the subscriber. False: nobody is there any more."""
        self._again.clear()
        self._slot.say(replace(about, prompt="no-service"))
        until = self._waits.monotonic() + NO_SERVICE_S
        while self._waits.monotonic() < until:
            if self._cancel.is_set():
                raise Cancelled
            if self._waits.pause(GLANCE_S, self._again):
                self._slot.say(about)
                return True
        return False
