"""Timers of the drawing thread: they run on the clock that testers can stop, and go when their owner goes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from stb_app.kit.clock import Clock


@dataclass(eq=False, slots=True)
class Timer:
    """One appointment; ``cancel`` is harmless at any time."""

    due: float
    action: Callable[[], None]
    owner: object
    period: float | None = None
    live: bool = True

    def cancel(self) -> None:
        self.live = False


class Timers:
    """All appointments of one television."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def after(self, seconds: float, action: Callable[[], None], owner: object = None) -> Timer:
        """Calls ``action`` once, ``seconds`` from now."""
        return self._add(Timer(self._clock.monotonic() + seconds, action, owner))

    def every(self, seconds: float, action: Callable[[], None], owner: object = None) -> Timer:
        """Calls ``action`` every ``seconds`` (> 0), the first time ``seconds`` from now.

        Beats that were missed because the thread was late are dropped, never made up for.
        """
        return self._add(Timer(self._clock.monotonic() + seconds, action, owner, period=seconds))

    def drop(self, owner: object) -> None:
        """Cancels whatever belongs to ``owner``."""
        for _, _, timer in self._heap:
            if timer.owner is owner:
                timer.live = False

    def wait(self) -> float | None:
        """Seconds until the next one is due (0 when one is); None when there is none."""
        while self._heap and not self._heap[0][2].live:
            heapq.heappop(self._heap)
        return max(0.0, self._heap[0][0] - self._clock.monotonic()) if self._heap else None

    def due(self) -> list[Timer]:
        """Takes out what is due now, in order.

        A repeating one is put back first, so that its action may cancel it.
        """
        now, ready = self._clock.monotonic(), []
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            if not timer.live:
                continue
            ready.append(timer)
            if timer.period is not None:
                late = now - timer.due
                timer.due += timer.period * (1 + late // timer.period)
                self._add(timer)
        return ready

    def _add(self, timer: Timer) -> Timer:
        heapq.heappush(self._heap, (timer.due, next(self._order), timer))
        return timer
