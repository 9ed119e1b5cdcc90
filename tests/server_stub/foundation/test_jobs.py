"""Periodic jobs: when they run, that one process runs them, and what happens when they fail; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, select, update

from server_stub.foundation.clock import CHINA, SimulatedClock
from server_stub.foundation.database import Database
from server_stub.foundation.jobs import LEASE_SECONDS, PAUSES, Job, Jobs, every, jobs_table, nightly
from tests.server_stub.system import databases

pytestmark = pytest.mark.anyio
metadata = MetaData(info={"role": "test"})
table = jobs_table(metadata)
START = datetime(2026, 6, 21, 10, 0, tzinfo=CHINA)


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    with closing(databases.open(tmp_path / "jobs.db", metadata.create_all)) as one:
        yield one


class Work:
    """A job that counts its runs, and fails when it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.broken = False

    async def __call__(self) -> str:
        self.runs += 1
        if self.broken:
            raise ValueError("no")
        return f"run {self.runs}"


class Process:
    """One process with jobs on the database."""

    def __init__(self, database: Database, clock: SimulatedClock, who: str, **jobs: Job) -> None:
        self.jobs = Jobs(database, table, clock, who, jobs)
        database.submit(self.jobs.load).result()


async def row(database: Database, name: str) -> Any:
    return await database.read(lambda conn: conn.execute(select(table).where(table.c.id == name)).one())


async def test_a_job_runs_when_it_is_due_and_says_when_next(database: Database) -> None:
    clock, work = SimulatedClock(START), Work()
    jobs = Process(database, clock, "a", tidy=Job(work, every(60))).jobs
    assert await jobs.run_due("tidy") == START + timedelta(seconds=60)
    assert work.runs == 0
    clock.advance(60)
    assert await jobs.run_due("tidy") == START + timedelta(seconds=120)
    kept = await row(database, "tidy")
    assert (work.runs, kept.result, kept.failures, kept.claimed_by) == (1, "run 1", 0, None)
    assert kept.started_at == kept.finished_at == clock.now()
    assert nightly(3)(START) == datetime(2026, 6, 22, 3, tzinfo=CHINA)
    assert nightly(3)(datetime(2026, 6, 22, 3, tzinfo=CHINA)) == datetime(2026, 6, 23, 3, tzinfo=CHINA)


async def test_failures_are_tried_again_with_growing_pauses(database: Database) -> None:
    clock, work = SimulatedClock(START), Work()
    jobs = Process(database, clock, "a", tidy=Job(work, every(60))).jobs
    work.broken = True
    clock.advance(60)
    for count, pause in enumerate((*PAUSES, PAUSES[-1]), 1):
        due = await jobs.run_due("tidy")
        assert due == clock.now() + timedelta(seconds=pause)
        assert work.runs == count
        assert (await row(database, "tidy")).failures == count
        clock.advance(pause)
    assert "ValueError" in (await row(database, "tidy")).result
    work.broken = False
    assert await jobs.run_due("tidy") == clock.now() + timedelta(seconds=60)
    assert (await row(database, "tidy")).failures == 0


async def test_two_processes_run_a_job_once_and_inherit_it(database: Database) -> None:
    clock, work = SimulatedClock(START), Work()
    one = Process(database, clock, "a", tidy=Job(work, every(60))).jobs
    two = Process(database, clock, "b", tidy=Job(work, every(60))).jobs
    clock.advance(60)
    await one.run_due("tidy")
    await two.run_due("tidy")
    assert work.runs == 1

    def die(conn: Connection) -> None:
        until = clock.now() + timedelta(seconds=LEASE_SECONDS)
        conn.execute(update(table).values(due_at=clock.now(), claimed_by="a", claimed_until=until))

    await database.write(die)
    assert await two.run_due("tidy") == clock.now() + timedelta(seconds=LEASE_SECONDS)
    assert work.runs == 1
    clock.advance(LEASE_SECONDS)
    await two.run_due("tidy")
    assert work.runs == 2


async def test_a_job_that_the_data_ask_for_runs_when_they_do(database: Database) -> None:
    clock, work, wanted = SimulatedClock(START), Work(), [None]
    job = Job(work, wanted=lambda conn: wanted[0])
    jobs = Process(database, clock, "a", sweep=job).jobs
    assert await jobs.run_due("sweep") is None
    wanted[0] = START  # type: ignore[call-overload]
    work.broken = True
    assert await jobs.run_due("sweep") == START + timedelta(seconds=PAUSES[0])
    assert await jobs.run_due("sweep") == START + timedelta(seconds=PAUSES[0])
    assert work.runs == 1
    work.broken = False
    clock.advance(PAUSES[0])
    await jobs.run_due("sweep")
    assert work.runs == 2
    assert (await row(database, "sweep")).due_at is None


async def test_a_failure_is_over_though_nothing_is_wanted_any_more(database: Database) -> None:
    clock, work, wanted = SimulatedClock(START), Work(), [START]
    jobs = Process(database, clock, "a", sweep=Job(work, wanted=lambda conn: wanted[0])).jobs
    work.broken = True
    await jobs.run_due("sweep")
    wanted[0] = None  # type: ignore[call-overload]
    work.broken = False
    clock.advance(PAUSES[0])
    assert await jobs.run_due("sweep") is None
    assert (work.runs, (await row(database, "sweep")).failures) == (2, 0)
