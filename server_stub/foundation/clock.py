"""Time, passed in: the machine's clock for running, a simulated one for tests."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Protocol

CHINA = timezone(timedelta(hours=8), "CST")
"""China has had one zone without summer time since 1992; calendar dates on the wire are in it."""


class Clock(Protocol):
    """Where every module gets the time from."""

    def now(self) -> datetime:
        """The present instant, aware, in China's zone."""
        ...

    async def sleep_until(self, instant: datetime) -> None:
        """Returns when the clock has come to that instant; at once if it has."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(CHINA)

    async def sleep_until(self, instant: datetime) -> None:
        await asyncio.sleep(max(0.0, (instant - self.now()).total_seconds()))


@dataclass(frozen=True, slots=True)
class Pauses:
    """How a thread that tries again lets time pass between two tries.

    Attributes:
        monotonic: seconds since whenever, never going back.
        sleep: returns after so many seconds.
        random: so that two who have collided do not meet again.
    """

    monotonic: Callable[[], float]
    sleep: Callable[[float], object]
    random: Callable[[int], bytes]

    def pause(self, seconds: float) -> None:
        """Returns after so many seconds, or up to half of them earlier."""
        self.sleep(seconds * (0.5 + self.random(1)[0] / 512))


def machine_pauses() -> Pauses:
    """Those of the machine."""
    return Pauses(time.monotonic, time.sleep, os.urandom)


class SimulatedClock:
    """A clock that stands still until it is told to advance; sleepers whose time has come then wake."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(CHINA)
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, instant: datetime) -> None:
        if instant <= self._now:
            return
        sleeper = (instant, asyncio.Event())
        self._sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            self._sleepers.remove(sleeper)

    def advance(self, seconds: float) -> None:
        """Moves the clock on and wakes whoever was waiting for an instant up to there."""
        self._now += timedelta(seconds=seconds)
        for due, event in self._sleepers:
            if due <= self._now:
                event.set()


async def wait_for(clock: Clock, event: asyncio.Event, until: datetime) -> bool:
    """Waits for the event, at the longest until that instant; returns whether it is set."""
    if event.is_set() or until <= clock.now():
        return event.is_set()
    waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep_until(until))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return event.is_set()
