"""The single writer: groups, savepoints, many threads."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

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


def test_a_group_shares_one_commit_and_one_failure_does_not_touch_the_others(
    database: SqliteDatabase,
) -> None:
    gate = threading.Event()
    held = database.submit(lambda _: gate.wait(10))
    commits: list[int] = []
    writes = [
        database.submit(lambda conn, one=number: conn.execute(insert(numbers).values(number=one)).rowcount)  # type: ignore[misc]
        for number in (1, 2, 2, 3)
    ]
    # A job sees what its whole group has written so far, and other connections see none of it.
    inside = database.submit(lambda conn: commits.append(count(conn)))
    gate.set()
    held.result()
    inside.result()
    assert commits == [3]
    assert [write.exception() is None for write in writes] == [True, True, False, True]
    assert isinstance(writes[2].exception(), IntegrityError)
    assert database.submit(count).result() == 3


def test_more_than_a_group_is_written_in_several(database: SqliteDatabase) -> None:
    writes = [
        database.submit(lambda conn, one=number: conn.execute(insert(numbers).values(number=one)).rowcount)  # type: ignore[misc]
        for number in range(3 * GROUP)
    ]
    assert [write.result() for write in writes] == [1] * len(writes)


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
