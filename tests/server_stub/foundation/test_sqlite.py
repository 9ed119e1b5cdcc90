"""The single writer: groups, savepoints, many threads, other processes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from server_stub.foundation import sqlite
from server_stub.foundation.database import outage
from server_stub.foundation.sqlite import GROUP, SqliteDatabase
from server_stub.foundation.startup import CannotStart

metadata = MetaData()
numbers = Table("numbers", metadata, Column("number", Integer, primary_key=True))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    one = SqliteDatabase(tmp_path / "a file?.db", metadata.create_all)
    yield one
    one.close()


def count(conn: Connection) -> int:
    return conn.execute(select(func.count()).select_from(numbers)).scalar_one()


def add(conn: Connection, number: int) -> int:
    return conn.execute(insert(numbers).values(number=number)).rowcount


async def in_a_row(database: SqliteDatabase, *works: Callable[[Connection], Any]) -> list[Any]:
    """What came of works that are handed in at the same moment."""
    return await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)


def test_a_group_shares_one_commit_and_one_failure_does_not_touch_the_others(
    database: SqliteDatabase,
) -> None:
    groups: list[int] = []
    database.committed = lambda transactions, _: groups.append(transactions)
    adding = [partial(add, number=number) for number in (1, 2, 2, 3)]
    outside: list[int] = []

    def look(conn: Connection) -> int:
        with closing(sqlite3.connect(database._path)) as other:
            outside.append(other.execute("SELECT count(*) FROM numbers").fetchone()[0])
        return count(conn)

    # A job sees what its whole group has written so far, and other connections see none of it.
    first, second, again, third, inside = asyncio.run(in_a_row(database, *adding, look))
    assert (first, second, third, inside) == (1, 1, 1, 3)
    assert isinstance(again, IntegrityError)
    assert (groups, outside) == ([5], [0])
    assert database.submit(count).result() == 3
    assert asyncio.run(database.look(count)) == asyncio.run(database.read(count)) == 3


def test_more_than_a_group_is_written_in_several(database: SqliteDatabase) -> None:
    groups: list[int] = []
    database.committed = lambda transactions, _: groups.append(transactions)
    works = [partial(add, number=number) for number in range(3 * GROUP)]
    assert asyncio.run(in_a_row(database, *works)) == [1] * len(works)
    assert groups == [GROUP] * 3


def test_what_many_threads_hand_in_is_kept_once_each(database: SqliteDatabase) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = threads.map(lambda number: database.submit(partial(add, number=number)).result(), range(100))
    assert sum(made) == database.submit(count).result() == 100


def test_the_loop_goes_on_while_another_process_has_the_file(database: SqliteDatabase) -> None:
    async def work(other: sqlite3.Connection) -> int:
        waiting = asyncio.create_task(database.write(partial(add, number=1)))
        async with asyncio.timeout(5):
            while not database._held.locked():
                await asyncio.sleep(0)
        assert await database.look(count) == 0
        other.execute("ROLLBACK")
        return await waiting

    with closing(sqlite3.connect(database._path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert asyncio.run(work(other)) == 1


def test_who_has_gone_leaves_nothing_behind(database: SqliteDatabase) -> None:
    async def work() -> Any:
        gone = asyncio.create_task(database.write(partial(add, number=1)))
        await asyncio.sleep(0)
        gone.cancel()
        return await in_a_row(database, partial(add, number=2), count)

    assert asyncio.run(work()) == [1, 1]


def test_the_file_is_as_safe_as_asked(database: SqliteDatabase) -> None:
    settings = ("journal_mode", "synchronous", "foreign_keys")
    found = database.submit(
        lambda conn: [conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in settings]
    )
    assert found.result() == ["wal", 2, 1]


class Full(sqlite3.OperationalError):
    sqlite_errorcode = sqlite3.SQLITE_FULL


def test_a_disk_that_is_full_at_the_first_start_is_said(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "one.db", MetaData().create_all)

    def work(conn: Connection) -> None:
        raise OperationalError("INSERT", {}, Full("database or disk is full"))

    with pytest.raises(CannotStart, match=r"one\.db cannot be written, the disk is full; make room"):
        database.load(work)


def test_a_full_disk_is_told_until_something_can_be_written_again(database: SqliteDatabase) -> None:
    """Readiness asks; a server that answers every payment with a fault is not ready."""

    def pages(most: int) -> None:
        database.submit(lambda conn: conn.exec_driver_sql(f"PRAGMA max_page_count={most}").all()).result()

    asyncio.run(database.probe())
    pages(1)  # as many as there are
    big = insert(numbers).values([{"number": number} for number in range(5000)])
    with pytest.raises(OperationalError) as caught:
        database.submit(lambda conn: conn.execute(big)).result()
    assert outage(caught.value) == "database or disk is full"
    with pytest.raises(OperationalError):
        asyncio.run(database.probe())
    pages(1_000_000)
    asyncio.run(database.probe())
    assert database.submit(count).result() == 0


def test_a_full_disk_keeps_nobody_from_looking(tmp_path: Path) -> None:
    """Without room for what SQLite keeps beside the file, whoever is alone needs none."""
    path = tmp_path / "one.db"
    database = SqliteDatabase(path, metadata.create_all)
    database.submit(lambda conn: conn.execute(insert(numbers).values(number=7))).result()
    database.close()

    def look(conn: Connection) -> int:
        if conn.exec_driver_sql("PRAGMA locking_mode").scalar_one() != "exclusive":
            raise OperationalError("SELECT", {}, Full("disk I/O error"))
        return count(conn)

    reader = sqlite.SqliteReader(path, look)
    assert asyncio.run(reader.read(count)) == 1
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith("-shm")] == []
    with pytest.raises(OperationalError):
        asyncio.run(reader.read(lambda conn: conn.execute(insert(numbers).values(number=8))))
    reader.close()
