"""A background task that does what is due, then sleeps until the next thing is due or somebody kicks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from server_stub.foundation.clock import Clock, wait_for
from server_stub.foundation.database import outage

LONGEST = timedelta(seconds=60)
"""It looks at least this often, unless told otherwise, so that a row put there by another process is found too."""
AFTER_FAULT = timedelta(seconds=5)
LATEST = datetime.max.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


class Worker:
    """Runs ``work`` again and again.

    Args:
        work: does everything that is due and returns the instant of what is due next, or None.
        longest: it looks at least this often.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        work: Callable[[], Awaitable[datetime | None]],
        longest: timedelta = LONGEST,
    ) -> None:
        self._name = name
        self._clock = clock
        self._work = work
        self._longest = longest
        self._kicked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._until = LATEST

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    def kick(self) -> None:
        """There is something to do now."""
        self._kicked.set()

    def due(self, instant: datetime) -> None:
        """There will be something to do at an instant, perhaps before the one that it sleeps until."""
        if instant < self._until:
            self._kicked.set()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            self._kicked.clear()
            self._until = LATEST  # whatever is told meanwhile may not have been seen
            now = self._clock.now()
            try:
                due = await self._work()
                until = min(due or LATEST, now + self._longest)
            except Exception as error:
                # A fault of one round must not end the task: money may hang on the next one.
                if (said := outage(error)) is None:
                    log.exception("worker-fault", worker=self._name)
                else:
                    log.error("database-away", worker=self._name, error=said)
                until = now + AFTER_FAULT
            self._until = until
            await wait_for(self._clock, self._kicked, until)
