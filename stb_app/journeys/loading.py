"""Journeys that ask the TSP one thing and bring the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from stb_app.journeys.steps import Loaded, Loading, Refused
from stb_app.tsp.problem import Problem

T = TypeVar("T")


class Ask(Generic[T]):
    """Posts Loading, then Loaded with the answer or Refused with the reason.

    Args:
        question: blocks; raises Problem.
        attempts: how often a question without an answer is put again before it counts as refused.
    """

    def __init__(self, question: Callable[[], T], attempts: int = 1) -> None:
        self._question = question
        self._attempts = attempts
        self._cancelled = False

    def run(self, post: Callable[[Loading | Loaded[T] | Refused], None]) -> None:
        post(Loading())
        for attempt in range(1, self._attempts + 1):
            try:
                answer = self._question()
            except Problem as problem:
                if problem.unanswered and attempt < self._attempts and not self._cancelled:
                    continue
                step: Loaded[T] | Refused = Refused.of(problem)
            else:
                step = Loaded(answer)
            if not self._cancelled:
                post(step)
            return

    def cancel(self) -> None:
        self._cancelled = True
