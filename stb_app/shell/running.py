"""Journeys under way: a thread each, whose steps reach their screen on the drawing thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from stb_app.journeys.base import Journey

log = logging.getLogger(__name__)


class Running:
    """A journey that has been started."""

    def __init__(
        self, journey: Journey[Any], deliver: Callable[[Any], None], failed: Callable[[], None]
    ) -> None:
        """``deliver`` and ``failed`` are called on the journey's thread;
        they pass on to the drawing thread.
        """
        self._journey = journey
        self._deliver = deliver
        self._failed = failed
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(journey).__name__, daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """It has returned, one way or the other."""
        return self._over.is_set()

    def cancel(self) -> None:
        """Asks it to stop. It stops where it safely can; its steps still arrive while its screen is there."""
        self._journey.cancel()

    def join(self, timeout: float) -> bool:
        """Waits until it is over; for the end of the program and for tests. False when it still runs."""
        return self._over.wait(timeout)

    def _run(self) -> None:
        try:
            self._journey.run(self._deliver)
        except Exception:
            # A journey promises to turn every failure into a step; one that breaks the promise
            # must not go unseen.
            log.exception("journey %s failed", type(self._journey).__name__)
            self._failed()
        finally:
            self._over.set()
