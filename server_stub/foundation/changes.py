"""Who waits for a change of which row: long polls wake at once, without looking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Changes:
    """Events by row id, within this process."""

    def __init__(self) -> None:
        # A dict for each row, not a set: who waits longest is woken first.
        self._watchers: dict[str, dict[asyncio.Event, None]] = {}
        self.closed = False

    @contextmanager
    def watch(self, row: str) -> Iterator[asyncio.Event]:
        """An event that is set by the next change. Watch first, then read: nothing is missed in between."""
        event = asyncio.Event()
        if self.closed:
            event.set()
        watchers = self._watchers.setdefault(row, {})
        watchers[event] = None
        try:
            yield event
        finally:
            del watchers[event]
            if not watchers:
                self._watchers.pop(row, None)

    def wake(self, row: str) -> None:
        """The row has changed, and the change is committed."""
        for event in self._watchers.get(row, ()):
            event.set()

    def close(self) -> None:
        """The server stops: everybody is answered now."""
        self.closed = True
        for row in self._watchers:
            self.wake(row)
