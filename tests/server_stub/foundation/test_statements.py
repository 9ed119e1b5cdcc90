"""What the library does on its way to the driver, where statements take a shorter one: defaults, types, errors, snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Boolean, Column, Connection, Float, Integer, MetaData, String, Table, bindparam, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from server_stub.foundation import correlation, statements
from server_stub.foundation.clock import CHINA
from server_stub.foundation.database import Database, Instant
from server_stub.foundation.statements import Statement
from tests.server_stub.system import databases

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String, unique=True),
    Column("at", Instant),
    Column("good", Boolean, nullable=False, default=True),
    Column("share", Float),
    correlation.column(),
)
AT = datetime(2026, 6, 21, 12, 30, 0, 123456, tzinfo=CHINA)
LATER = Statement(
    select(things.c.name, things.c.at).where(things.c.at > bindparam("at")).order_by(things.c.at)
)


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    one = databases.open(tmp_path / "things.db", metadata.create_all)
    yield one
    one.close()


def put(conn: Connection, name: str, at: datetime = AT) -> None:
    statements.insert(conn, things, {"name": name, "at": at, "share": 0.5})


def test_what_goes_in_comes_out_with_its_types_and_its_defaults(database: Database) -> None:
    def work(conn: Connection) -> None:
        put(conn, "one")
        with correlation.under("c" * 32):
            put(conn, "two", AT + timedelta(seconds=1))

    database.submit(work).result()
    one, two = database.submit(
        lambda conn: [statements.one(conn, things, name=name) for name in ("one", "two")]
    ).result()
    assert one is not None
    assert two is not None
    assert (one.at, one.good, one.share, one.correlation, two.correlation) == (AT, True, 0.5, None, "c" * 32)
    assert one.good is True
    assert one._mapping["name"] == "one"
    assert two.id > one.id
    later = database.submit(lambda conn: LATER.all(conn, {"at": AT})).result()
    assert [tuple(row) for row in later] == [("two", AT + timedelta(seconds=1))]


def test_changes_are_counted(database: Database) -> None:
    def work(conn: Connection) -> tuple[int, int, int]:
        put(conn, "one")
        changed = statements.change(conn, things, {"good": False, "at": None}, name="one")
        rows = [{"name": name, "good": True} for name in ("one", "two", "three")]
        inserted = statements.insert_all_once(conn, things, rows)
        return changed, statements.change(conn, things, {"good": True}, name="none"), inserted

    assert database.submit(work).result() == (1, 0, 2)
    row = database.submit(lambda conn: statements.one(conn, things, name="one")).result()
    assert row is not None
    assert (row.good, row.at) == (False, None)


def test_an_error_is_the_library_s_and_does_not_tell_the_values(database: Database) -> None:
    database.submit(lambda conn: put(conn, "31337")).result()
    with pytest.raises(IntegrityError) as caught:
        database.submit(lambda conn: put(conn, "31337")).result()
    assert "31337" not in str(caught.value).partition("DETAIL")[0]


@pytest.mark.anyio
async def test_readers_see_one_moment_and_cannot_write(database: Database) -> None:
    def twice(conn: Connection) -> list[int]:
        seen = [len(LATER.all(conn, {"at": AT}))]
        database.submit(lambda other: put(other, "new", AT + timedelta(seconds=1))).result()
        return [*seen, len(LATER.all(conn, {"at": AT}))]

    assert await database.read(twice) == [0, 0]
    assert await database.read(lambda conn: len(LATER.all(conn, {"at": AT}))) == 1
    with pytest.raises(DBAPIError, match=r"readonly|read-only"):
        await database.read(lambda conn: put(conn, "no"))
    # The reader's connection is as good as before.
    assert await database.read(lambda conn: statements.one(conn, things, lock=True, name="no")) is None
