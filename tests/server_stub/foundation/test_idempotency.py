"""Keys inside transactions: the unique insert holds without any lock of this process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select

from server_stub.foundation.clock import CHINA, SimulatedClock
from server_stub.foundation.database import Database
from server_stub.foundation.idempotency import Answer, KeyUse, Replayed, idempotency_table, request_hash
from server_stub.foundation.problems import Problem
from tests.server_stub.system import databases

metadata = MetaData()
keys = idempotency_table(metadata)
effects = Table("effects", metadata, Column("id", Integer, primary_key=True))
CLOCK = SimulatedClock(datetime(2026, 6, 21, tzinfo=CHINA))


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    one = databases.open(tmp_path / "keys.db", metadata.create_all)
    yield one
    one.close()


def use(body: bytes = b"{}", scope: str = "box:1") -> KeyUse:
    return KeyUse(keys, CLOCK, scope, "the-same-key", request_hash("POST", "/orders", body))


def work(one: KeyUse, conn: Connection) -> Answer:
    one.claim(conn)
    conn.execute(insert(effects))
    return one.answer(conn, Answer(201, '{"made": 1}'))


def count(database: Database) -> int:
    return database.submit(
        lambda conn: conn.execute(select(func.count()).select_from(effects)).scalar_one()
    ).result()


def test_a_hundred_at_once_have_one_effect_and_one_answer(database: Database) -> None:
    tries = [database.submit(lambda conn: work(use(), conn)) for _ in range(100)]
    # With threads it need not be the one that was handed in first.
    (first,) = (one.result() for one in tries if one.exception() is None)
    for replayed in (one.exception() for one in tries):
        assert replayed is None or (isinstance(replayed, Replayed) and replayed.answer == first)
    assert count(database) == 1


def test_another_body_is_refused_and_another_scope_is_another_key(database: Database) -> None:
    database.submit(lambda conn: work(use(), conn)).result()
    with pytest.raises(Problem) as caught:
        database.submit(lambda conn: work(use(b"[]"), conn)).result()
    assert caught.value.code == "idempotency-key-reused"
    database.submit(lambda conn: work(use(scope="box:2"), conn)).result()
    assert count(database) == 2


def test_a_key_that_was_claimed_but_not_answered_is_carried_on(database: Database) -> None:
    database.submit(lambda conn: use().claim(conn)).result()
    assert database.submit(lambda conn: work(use(), conn)).result().status == 201
