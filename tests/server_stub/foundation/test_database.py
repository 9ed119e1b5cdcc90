"""The single writer: groups, savepoints, many threads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from server_stub.foundation.database import GROUP, Database
from server_stub.foundation.startup import CannotStart

metadata = MetaData()
numbers = Table("numbers", metadata, Column("number", Integer, primary_key=True))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = Database(tmp_path / "a file?.db", metadata)
    yield one
    one.close()


def add(database: Database, number: int) -> None:
    database.submit(lambda conn: conn.execute(insert(numbers).values(number=number))).result()


def count(conn: Connection) -> int:
    return conn.execute(select(func.count()).select_from(numbers)).scalar_one()


def test_many_threads_write_and_nothing_is_lost_or_locked(database: Database) -> None:
    failures: list[Exception] = []

    def run(thread: int) -> None:
        try:
            for place in range(50):
                add(database, thread * 100 + place)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert database.submit(count).result() == 400


def test_a_group_shares_one_commit_and_one_failure_does_not_touch_the_others(database: Database) -> None:
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


def test_more_than_a_group_is_written_in_several(database: Database) -> None:
    writes = [
        database.submit(lambda conn, one=number: conn.execute(insert(numbers).values(number=one)).rowcount)  # type: ignore[misc]
        for number in range(3 * GROUP)
    ]
    assert [write.result() for write in writes] == [1] * len(writes)


@pytest.mark.anyio
async def test_readers_see_what_is_committed_and_cannot_write(database: Database) -> None:
    await database.write(lambda conn: conn.execute(insert(numbers).values(number=7)))
    assert await database.read(count) == 1
    with pytest.raises(OperationalError, match="readonly"):
        await database.read(lambda conn: conn.execute(insert(numbers).values(number=8)))


def test_the_file_is_as_safe_as_asked(database: Database) -> None:
    settings = ("journal_mode", "synchronous", "foreign_keys")
    found = database.submit(
        lambda conn: [conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in settings]
    )
    assert found.result() == ["wal", 2, 1]


def test_an_error_does_not_tell_the_values(database: Database) -> None:
    add(database, 31337)
    with pytest.raises(IntegrityError) as caught:
        add(database, 31337)
    assert "31337" not in str(caught.value)


class Full(sqlite3.OperationalError):
    sqlite_errorcode = sqlite3.SQLITE_FULL


def test_a_disk_that_is_full_at_the_first_start_is_said(tmp_path: Path) -> None:
    database = Database(tmp_path / "one.db", MetaData())

    def work(conn: Connection) -> None:
        raise OperationalError("INSERT", {}, Full("database or disk is full"))

    with pytest.raises(CannotStart, match=r"one\.db cannot be written, the disk is full; make room"):
        database.load(work)
