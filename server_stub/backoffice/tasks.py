"""What takes longer than a page may: done by this process, told of in the database, so that any process can show how far.

A task whose process died says nothing more: after a while it counts as failed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Connection, Row, delete, select, update

from server_stub.backoffice.tables import tasks
from server_stub.foundation import statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database, left_for_later
from server_stub.foundation.ids import Ids

SILENT = timedelta(seconds=30)
"""A task that has told nothing for so long has no process any more."""
KEPT = timedelta(days=7)
TOLD_EVERY = timedelta(seconds=0.5)
log = structlog.get_logger(__name__)


class Task(NamedTuple):
    """How far something is.

    Attributes:
        state: running, done or failed.
        percent: 0 to 100.
        step: what is being done, as a message of the catalogue or a name.
        result: what came of it.
    """

    id: str
    kind: str
    name: str
    state: str
    percent: int
    step: str
    result: Mapping[str, Any]
    begun_at: datetime


class Progress:
    """What the work tells: from any thread."""

    def __init__(self) -> None:
        self.percent, self.step = 0, ""

    def __call__(self, percent: float, step: str = "") -> None:
        self.percent = min(99, max(0, int(percent)))
        self.step = step or self.step


Work = Callable[[Progress], Awaitable[Mapping[str, Any]]]
"""Does it; returns what came of it, for JSON."""


class Tasks:
    """The tasks that this process does."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._running: set[asyncio.Task[None]] = set()

    async def begin(self, kind: str, name: str, work: Work) -> str:
        """Begins something; returns its id at once.

        Args:
            kind: what it is, for whoever shows it.
            name: of whoever wants it; nobody else is shown it.
        """
        task, now = self._ids.row(), self._clock.now()
        row = {"id": task, "kind": kind, "name": name, "state": "running", "percent": 0, "step": ""}

        def enter(conn: Connection) -> None:
            conn.execute(delete(tasks).where(tasks.c.begun_at < now - KEPT))
            statements.insert(conn, tasks, {**row, "result": "{}", "begun_at": now, "seen_at": now})

        await self._database.write(enter)
        running = asyncio.get_running_loop().create_task(self._run(task, work), name=f"task-{kind}")
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return task

    async def shown(self, task: str) -> Task | None:
        """How far one is; None where there is none of that id."""
        row = await self._database.look(lambda conn: statements.one(conn, tasks, id=task))
        return None if row is None else self._task(row)

    async def of(self, kind: str, name: str) -> list[Task]:
        """What somebody has wanted of a kind, the newest first."""
        mine = select(tasks).where(tasks.c.kind == kind, tasks.c.name == name)
        rows = await self._database.look(
            lambda conn: conn.execute(mine.order_by(tasks.c.begun_at.desc())).all()
        )
        return [self._task(row) for row in rows]

    def _task(self, row: Row[Any]) -> Task:
        lost = row.state == "running" and self._clock.now() - row.seen_at > SILENT
        state = "failed" if lost else row.state
        result = json.loads(row.result)
        return Task(row.id, row.kind, row.name, state, row.percent, row.step, result, row.begun_at)

    async def stop(self) -> None:
        """Breaks off what is under way."""
        running = list(self._running)
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, task: str, work: Work) -> None:
        progress = Progress()
        telling = asyncio.create_task(self._tell(task, progress))
        state, result = "failed", dict[str, Any]()
        try:
            result = dict(await work(progress))
            state = "done"
        except Exception:
            log.exception("backoffice-task-failed", task=task)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            percent = 100 if state == "done" else progress.percent
            values = {"state": state, "percent": percent, "result": json.dumps(result, ensure_ascii=False)}
            with left_for_later("end of a task"):
                await self._note(task, values)

    async def _tell(self, task: str, progress: Progress) -> None:
        while True:
            await self._clock.sleep_until(self._clock.now() + TOLD_EVERY)
            await self._note(task, {"percent": progress.percent, "step": progress.step})

    async def _note(self, task: str, values: dict[str, Any]) -> None:
        seen = {**values, "seen_at": self._clock.now()}
        mine = update(tasks).where(tasks.c.id == task).values(**seen)
        await self._database.write(lambda conn: conn.execute(mine))
