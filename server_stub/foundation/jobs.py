"""Periodic jobs: each a row with its next time, run by one process at a time, after a failure again with growing pauses.

A lease covers a run; it ends by itself, so a job of a process that died goes to another. A job that outlives its lease
may be begun by another process: what it writes must be right all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Column, ColumnElement, Connection, Integer, MetaData, String, Table, select, update

from server_stub.foundation import claims, statements
from server_stub.foundation.clock import CHINA, Clock
from server_stub.foundation.database import Database, Instant, left_for_later
from server_stub.foundation.worker import Worker

PAUSES = (5, 30, 120, 600, 3600)
"""Seconds after the first, second ... failure in a row; the last one from then on."""
LEASE_SECONDS = 300
LONGEST_RESULT = 200

log = structlog.get_logger(__name__)


def jobs_table(metadata: MetaData) -> Table:
    """The jobs of a role, each with its next time and its last result."""
    return Table(
        "jobs",
        metadata,
        Column("id", String, primary_key=True),
        Column("due_at", Instant),  # null: when the data say so
        Column("started_at", Instant),
        Column("finished_at", Instant),
        Column("result", String),  # of the last run
        Column("failures", Integer, nullable=False, server_default="0"),  # in a row
        *claims.claim_columns(),
    )


def order(conn: Connection, table: Table, name: str, now: datetime) -> bool:
    """A job is to be run now, whenever it would be due; False where there is none of that name.

    A process that does not hear of it (``Jobs.due``) finds it within a minute.
    """
    return bool(conn.execute(update(table).where(table.c.id == name).values(due_at=now)).rowcount)


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done, and when.

    Args:
        run: does it; returns what came of it, for people. Raises where it could not be done.
        following: when it is done next, from when it was done last; None: see ``wanted``.
        longest_pause: seconds after a failure at most: of what cannot wait longer.
        wanted: reads when there is something to do; the job is never run before.
    """

    run: Callable[[], Awaitable[str]]
    following: Callable[[datetime], datetime] | None = None
    wanted: Callable[[Connection], datetime | None] | None = None
    longest_pause: float = PAUSES[-1]


def every(seconds: float) -> Callable[[datetime], datetime]:
    """So long after the last time."""
    return lambda last: last + timedelta(seconds=seconds)


def nightly(hour: int) -> Callable[[datetime], datetime]:
    """At the next full hour of that name in China.

    >>> nightly(3)(datetime(2026, 6, 21, 10, 30, tzinfo=CHINA)).isoformat()
    '2026-06-22T03:00:00+08:00'
    """

    def following(last: datetime) -> datetime:
        day = last.astimezone(CHINA).replace(hour=hour, minute=0, second=0, microsecond=0)
        return day if day > last else day + timedelta(days=1)

    return following


class Jobs:
    """The jobs of one role in one process.

    Args:
        who: this process; a name no other one has.
        jobs: by name.
    """

    def __init__(
        self, database: Database, table: Table, clock: Clock, who: str, jobs: Mapping[str, Job]
    ) -> None:
        self._database = database
        self._table = table
        self._clock = clock
        self._who = who
        self._jobs = jobs
        # One each: a job that takes long does not hold up another.
        self._workers = {name: Worker(f"job-{name}", clock, self._round(name)) for name in jobs}

    def load(self, conn: Connection) -> None:
        """Enters jobs that are new; to be called once, before the start."""
        now = self._clock.now()
        for name, job in self._jobs.items():
            due = None if job.following is None else job.following(now)
            statements.insert_once(conn, self._table, {"id": name, "due_at": due, "failures": 0})

    def start(self) -> None:
        """Begins to work; called in the event loop."""
        if not self._database.shared:
            # Nobody else is there: whoever has claimed anything was killed.
            left = self._table.c.claimed_by.is_not(None)
            self._database.load(lambda conn: self._give_back(conn, left))
        for worker in self._workers.values():
            worker.start()

    async def stop(self) -> None:
        """Ends that; what is under way is another process's, or the next one's, at once."""
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))
        mine = self._table.c.claimed_by == self._who
        with left_for_later("claims of jobs"):
            await self._database.write(lambda conn: self._give_back(conn, mine))

    def __contains__(self, name: str) -> bool:
        return name in self._jobs

    def due(self, name: str, instant: datetime) -> None:
        """There will be something to do for a job at an instant, perhaps before the one it waits for."""
        self._workers[name].due(instant)

    async def run_due(self, name: str) -> datetime | None:
        """Runs a job if it is due and nobody else's; returns when it is due next."""
        due = await self._database.read(lambda conn: self._due(conn, name))
        if due is None or due > self._clock.now():
            return due
        if await self._database.write(lambda conn: self._claim(conn, name)):
            await self._run(name)
        return await self._database.read(lambda conn: self._due(conn, name))

    def _round(self, name: str) -> Callable[[], Awaitable[datetime | None]]:
        return lambda: self.run_due(name)

    def _due(self, conn: Connection, name: str) -> datetime | None:
        row = conn.execute(select(self._table).where(self._table.c.id == name)).one()
        wanted = self._jobs[name].wanted
        due: datetime | None = row.due_at
        if wanted is not None:
            ready = wanted(conn)
            # After a failure its row says how long to wait; then it is run in any case, so that the failure is over.
            due = max(filter(None, (ready, due)), default=None)
        if due is not None and row.claimed_until is not None:
            due = max(due, row.claimed_until)
        return due

    def _claim(self, conn: Connection, name: str) -> bool:
        table, now = self._table.c, self._clock.now()
        mine = (table.id == name) & (table.due_at.is_(None) | (table.due_at <= now))
        rows = claims.claim(conn, mine, (table.id,), 1, who=self._who, now=now, seconds=LEASE_SECONDS)
        if rows:
            conn.execute(update(self._table).where(table.id == name).values(started_at=now))
        return bool(rows)

    async def _run(self, name: str) -> None:
        job = self._jobs[name]
        try:
            said = await job.run()
        except Exception as error:
            log.exception("job-failed", job=name)
            said, failed = repr(error), True
        else:
            failed = False

        def note(conn: Connection) -> None:
            mine = (self._table.c.id == name) & (self._table.c.claimed_by == self._who)
            row = conn.execute(select(self._table).where(mine).with_for_update()).one_or_none()
            if row is None:
                return  # its lease has ended, and another process has it
            now = self._clock.now()
            due: datetime | None
            if failed:
                pause = min(PAUSES[min(row.failures, len(PAUSES) - 1)], job.longest_pause)
                due = now + timedelta(seconds=pause)
            else:
                due = None if job.following is None else job.following(now)
            values = {"due_at": due, "failures": row.failures + 1 if failed else 0, "finished_at": now}
            values |= {"result": said[:LONGEST_RESULT], "claimed_by": None, "claimed_until": None}
            conn.execute(update(self._table).where(mine).values(**values))

        await self._database.write(note)

    def _give_back(self, conn: Connection, which: ColumnElement[bool]) -> None:
        conn.execute(update(self._table).where(which).values(claimed_by=None, claimed_until=None))
