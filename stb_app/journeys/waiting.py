"""How journeys wait: on a cancel event, for at most so long, with a clock that is passed in."""

from __future__ import annotations

import threading
from typing import Protocol

from stb_app.kit.clock import Clock


class Waits(Protocol):
    """Time for journeys."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def pause(self, seconds: float, until: threading.Event) -> bool:
        """Waits so long, or until the event is set; True if it was set."""
        ...


class RealWaits:
    """Waits on the given clock's monotonic time and the machine's own pauses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def pause(self, seconds: float, until: threading.Event) -> bool:
        return until.wait(seconds)
