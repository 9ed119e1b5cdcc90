"""Claims: of many who want rows, each row is one's; a claim ends by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Row, Table, insert

from server_stub.foundation import claims
from server_stub.foundation.clock import CHINA
from server_stub.foundation.database import Database, Instant
from tests.server_stub.system import databases

metadata = MetaData()
work = Table(
    "work",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("due_at", Instant),
    *claims.claim_columns(),
)
NOW = datetime(2026, 6, 21, tzinfo=CHINA)


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    one = databases.open(tmp_path / "work.db", metadata.create_all)
    rows = [{"id": number, "due_at": NOW + timedelta(seconds=number)} for number in range(40)]
    one.submit(lambda conn: conn.execute(insert(work), rows)).result()
    yield one
    one.close()


def take(conn: Connection, who: str, seconds_on: float = 100, limit: int = 5) -> Sequence[Row[Any]]:
    now = NOW + timedelta(seconds=seconds_on)
    due = work.c.due_at <= now
    return claims.claim(conn, due, (work.c.due_at, work.c.id), limit, who=who, now=now, seconds=30)


def test_many_at_once_share_the_rows(database: Database) -> None:
    tries = [database.submit(lambda conn, who=str(number): take(conn, who)) for number in range(20)]  # type: ignore[misc]
    taken = [row.id for one in tries for row in one.result()]
    # Who comes just when another is claiming the same rows passes those over, and may have fewer.
    while rest := database.submit(lambda conn: take(conn, "last")).result():
        taken += [row.id for row in rest]
    assert sorted(taken) == list(range(40))


def test_only_what_is_due_is_claimed_oldest_first(database: Database) -> None:
    rows = database.submit(lambda conn: take(conn, "a", seconds_on=2)).result()
    assert [row.id for row in rows] == [0, 1, 2]


def test_a_claim_ends_by_itself(database: Database) -> None:
    database.submit(lambda conn: take(conn, "a", 100, 40)).result()
    assert database.submit(lambda conn: take(conn, "b", 129)).result() == []
    assert len(database.submit(lambda conn: take(conn, "b", 130)).result()) == 5


def test_the_next_that_can_be_claimed(database: Database) -> None:
    def following(conn: Connection) -> datetime | None:
        return claims.next_due(conn, work.c.due_at)

    assert database.submit(following).result() == NOW
    database.submit(lambda conn: take(conn, "a", 0)).result()
    assert database.submit(following).result() == NOW + timedelta(seconds=1)
    database.submit(lambda conn: take(conn, "a", 100, 40)).result()
    assert database.submit(following).result() == NOW + timedelta(seconds=130)
