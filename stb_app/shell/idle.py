"""Nobody there: after a while in a menu the television asks, and then goes home by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stb_app.kit.clock import Clock
from stb_app.shell.timers import Timer, Timers

QUIET_S = 90.0
WARNING_S = 20


class Watched(Protocol):
    """What the watch asks the television."""

    def may_idle(self) -> bool:
        """Whether this is a page that may be left by itself: not home, no payment."""

    def warn(self, seconds: int, over: Callable[[], None]) -> None:
        """Opens the warning with its countdown; ``over`` is called when the warning closes by itself."""

    def end_warning(self) -> None:
        """Closes the warning."""

    def home(self) -> None: ...


class IdleWatch:
    """Counts on the clock that testers can stop: a frozen television waits for ever."""

    def __init__(self, timers: Timers, clock: Clock, watched: Watched) -> None:
        self._timers = timers
        self._clock = clock
        self._watched = watched
        self._last_key = clock.monotonic()
        self._end: Timer | None = None
        timers.after(QUIET_S, self._look)

    def key(self) -> bool:
        """A key was pressed. True if it only ended the warning and must do nothing else."""
        self._last_key = self._clock.monotonic()
        if self._end is None:
            return False
        self._forget()
        self._watched.end_warning()
        return True

    def anew(self) -> None:
        """A page that stays by itself has gone: only from now on is it quiet."""
        self._last_key = self._clock.monotonic()

    def _look(self) -> None:
        left = self._last_key + QUIET_S - self._clock.monotonic()
        if left <= 0 and self._end is None and self._watched.may_idle():
            self._end = self._timers.after(WARNING_S, self._go)
            self._watched.warn(WARNING_S, self._go)
        self._timers.after(left if left > 0 else QUIET_S, self._look)

    def _go(self) -> None:
        if self._end is not None:
            self._forget()
            self._watched.home()

    def _forget(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
