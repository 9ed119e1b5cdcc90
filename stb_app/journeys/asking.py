"""Asking the TSP what moves no money: a silence is waited out for a few seconds, then it is said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from cardreader.errors import Cancelled
from stb_app.journeys.waiting import Waits
from stb_app.tsp.problem import Problem

T = TypeVar("T")

PATIENCE_S = 10.0
"""A bundled server that has died is back within this; a person who sees why waits as long."""
RETRY_S = 1.0


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
