"""Who waits for a PSAM: first come, first served, within this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from server_stub.foundation.changes import Changes
from server_stub.foundation.clock import Clock, wait_for

LOOK_AGAIN = timedelta(seconds=0.2)
"""How often the first in a queue looks for a PSAM that another process has given back, or whose lease has run out."""


class PsamQueue:
    """One queue for each issuer, whose cards other PSAMs may serve.

    Args:
        changes: wakes those who wait when the server stops.
    """

    def __init__(self, changes: Changes, clock: Clock) -> None:
        self._changes = changes
        self._clock = clock
        self._queues: dict[str, _Queue] = {}

    def waited_for(self, issuer: str) -> bool:
        """Whether somebody waits: whoever comes now comes after them."""
        return issuer in self._queues

    @property
    def waiting(self) -> int:
        """How many wait, for whichever issuer."""
        return sum(len(queue.places) for queue in self._queues.values())

    @contextmanager
    def place(self, issuer: str, payment: str) -> Iterator[Place]:
        """The last place in the queue of an issuer, for as long as the block lasts."""
        with self._changes.watch(f"psam for {payment}") as called:
            queue = self._queues.setdefault(issuer, _Queue(self._clock.now() + LOOK_AGAIN))
            place = Place(queue, called, self._changes, self._clock)
            queue.places.append(place)
            try:
                yield place
            finally:
                queue.places.remove(place)
                if not queue.places:
                    del self._queues[issuer]
                else:
                    if place.looked:
                        queue.look_at = self._clock.now()  # where one was found there may be more
                    if place.turn:
                        self.wake()  # what was given back while this one tried is for the next
                    queue.places[0].called.set()  # it may be the first now

    def wake(self) -> None:
        """A PSAM was given back, and that is committed: the first of each queue whose turn it is not already may try."""
        for queue in self._queues.values():
            first = next((place for place in queue.places if not place.turn), None)
            if first is not None:
                first.turn = True
                first.called.set()


@dataclass(slots=True)
class _Queue:
    look_at: datetime
    """When the first looks by itself."""
    places: list[Place] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Place:
    """A place in a queue.

    Attributes:
        turn: a PSAM was given back, and nobody before this one wants it.
        looked: it tried last without that.
    """

    queue: _Queue
    called: asyncio.Event
    changes: Changes
    clock: Clock
    turn: bool = False
    looked: bool = False

    async def wait(self, deadline: datetime) -> bool:
        """Returns True when it is time to try, False when the deadline has come or the server stops."""
        while not self.changes.closed and (now := self.clock.now()) < deadline:
            first = self.queue.places[0] is self
            self.looked = not self.turn and first and self.queue.look_at <= now
            if self.looked:
                self.queue.look_at = now + LOOK_AGAIN
            if self.turn or self.looked:
                self.turn = False
                return True
            self.called.clear()
            await wait_for(self.clock, self.called, min(deadline, self.queue.look_at) if first else deadline)
        return False
