"""Time as it is passed in: wall clock and monotonic, real or frozen."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Protocol

CHINA = timezone(timedelta(hours=8), "CST")


class Clock(Protocol):
    """What everybody asks for the time."""

    def now(self) -> datetime:
        """Aware wall-clock time."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's own clock, shown in China's time unless told otherwise."""

    def __init__(self, zone: tzinfo = CHINA) -> None:
        self._zone = zone

    def now(self) -> datetime:
        return datetime.now(self._zone)

    def monotonic(self) -> float:
        return time.monotonic()


class FreezableClock:
    """A clock that testers can stop: countdowns, animations and the time in the top bar stand still until it is thawed.

    Attributes:
        ahead: how much the true time is ahead of the machine's, which nobody may ever have set.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: tuple[datetime, float] | None = None
        self._lost = 0.0
        self.ahead = timedelta()

    @property
    def frozen(self) -> bool:
        return self._at is not None

    def freeze(self, at: datetime | None = None) -> None:
        """Stops at ``at`` (aware), or at this moment."""
        self._at = (at or self.now(), self.monotonic())

    def thaw(self) -> None:
        """Goes on: the wall clock with the machine's, the monotonic one where it stood."""
        if self._at is not None:
            self._lost = self._clock.monotonic() - self._at[1]
            self._at = None

    def now(self) -> datetime:
        return self._at[0] if self._at else self._clock.now() + self.ahead

    def monotonic(self) -> float:
        return self._at[1] if self._at else self._clock.monotonic() - self._lost
