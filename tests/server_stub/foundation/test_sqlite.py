"""The single writer: groups, savepoints, many threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select
from sqlalchemy.exc import IntegrityError

from server_stub.foundation.sqlite import GROUP, SqliteDatabase

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
