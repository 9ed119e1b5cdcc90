"""A reader that remembers what was said to the last cards: their traces, for a tester to look at afterwards."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime

from cardreader.lab.trace import Recorder, Trace
from cardreader.reader import Reader

MOST = 12
"""Cards that are remembered; a payment whose card was pulled and put back has two."""


class RecordingReader:
    """Another reader's slot. Safe to use from several threads.

    Args:
        monotonic: seconds of a clock that only goes forward.
        now: the present instant, aware.
    """

    def __init__(self, reader: Reader, monotonic: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._reader = reader
        self._monotonic = monotonic
        self._now = now
        self._last: deque[tuple[str, datetime, Recorder]] = deque(maxlen=MOST)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def simulated(self) -> bool:
        return self._reader.simulated

    def card_present(self) -> bool:
        return self._reader.card_present()

    def wait_for_card(self, timeout: float, cancel: threading.Event) -> Recorder:
        recorder = Recorder(self._reader.wait_for_card(timeout, cancel), self._monotonic)
        with self._lock:
            self._last.appendleft((self._reader.name, self._now(), recorder))
        return recorder

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        self._reader.wait_for_removal(timeout, cancel)

    def traces(self) -> tuple[Trace, ...]:
        """What was said to the last cards so far, newest first; without those that nothing was said to."""
        with self._lock:
            last = tuple(self._last)
        return tuple(
            Trace(name, recorder.atr, at.isoformat(timespec="seconds"), tuple(recorder.exchanges))
            for name, at, recorder in last
            if recorder.exchanges
        )
