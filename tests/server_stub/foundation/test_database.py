"""The contract, on both databases: many threads, all or nothing, readers that cannot write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from server_stub.foundation import statements
from server_stub.foundation.database import Database
from tests.server_stub.system import databases

metadata = MetaData()
numbers = Table("numbers", metadata, Column("number", Integer, primary_key=True))
counters = Table("counters", metadata, Column("id", Integer, primary_key=True), Column("value", Integer))


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    one = databases.open(tmp_path / "a file?.db", metadata.create_all)
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
            for place in range(25):
                add(database, thread * 100 + place)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert database.submit(count).result() == 200


def test_rows_that_are_read_to_be_changed_take_turns(database: Database) -> None:
    database.submit(lambda conn: conn.execute(insert(counters).values(id=1, value=0))).result()

    def increase(conn: Connection) -> None:
        mine = counters.c.id == 1
        value = conn.execute(select(counters.c.value).where(mine).with_for_update()).scalar_one()
        conn.execute(update(counters).where(mine).values(value=value + 1))

    for one in [database.submit(increase) for _ in range(100)]:
        one.result()
    assert database.submit(lambda conn: conn.execute(select(counters.c.value)).scalar_one()).result() == 100


def test_rows_locked_in_opposite_orders_come_through_all_the_same(database: Database) -> None:
    for row in (1, 2):
        database.submit(
            lambda conn, row=row: conn.execute(insert(counters).values(id=row, value=0)).rowcount  # type: ignore[misc]
        ).result()

    def both(conn: Connection, order: tuple[int, int]) -> None:
        for row in order:
            mine = counters.c.id == row
            value = conn.execute(select(counters.c.value).where(mine).with_for_update()).scalar_one()
            conn.execute(update(counters).where(mine).values(value=value + 1))

    orders = ((1, 2), (2, 1)) * 10
    for one in [database.submit(lambda conn, o=order: both(conn, o)) for order in orders]:  # type: ignore[misc]
        one.result()
    values = database.submit(lambda conn: conn.execute(select(counters.c.value)).scalars().all()).result()
    assert values == [20, 20]


def test_of_a_work_that_fails_nothing_is_kept(database: Database) -> None:
    def work(conn: Connection) -> None:
        conn.execute(insert(numbers).values(number=1))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        database.submit(work).result()
    assert database.submit(count).result() == 0


@pytest.mark.anyio
async def test_a_work_that_looks_for_what_is_not_there_holds_up_nobody(database: Database) -> None:
    """A StopIteration in a future is never told, and SQLite's one writer ended with it."""

    def work(conn: Connection) -> int:
        return next(iter(conn.scalars(select(numbers.c.number))))

    for ask in (database.write, database.read):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.wait_for(ask(work), 20)
    await database.write(lambda conn: conn.execute(insert(numbers).values(number=7)))
    assert await database.read(work) == 7


def test_of_all_who_insert_the_same_one_is_told_that_it_did(database: Database) -> None:
    tries = [
        database.submit(lambda conn: statements.insert_once(conn, numbers, {"number": 5})) for _ in range(50)
    ]
    assert sorted(one.result() for one in tries) == [False] * 49 + [True]


@pytest.mark.anyio
async def test_readers_see_what_is_committed_and_cannot_write(database: Database) -> None:
    await database.write(lambda conn: conn.execute(insert(numbers).values(number=7)))
    assert await database.read(count) == 1
    with pytest.raises(DBAPIError, match=r"readonly|read-only"):
        await database.read(lambda conn: conn.execute(insert(numbers).values(number=8)))


@pytest.mark.anyio
async def test_a_read_is_of_one_moment_and_takes_no_locks(database: Database) -> None:
    await database.write(lambda conn: conn.execute(insert(numbers).values(number=7)))

    def twice(conn: Connection) -> tuple[int, int]:
        conn.execute(select(numbers).with_for_update()).all()
        before = count(conn)
        add(database, 8)
        database.submit(
            lambda conn: conn.execute(update(numbers).values(number=numbers.c.number + 10))
        ).result()
        return before, count(conn)

    assert await database.read(twice) == (1, 1)
    assert await database.read(count) == 2


def test_an_error_does_not_tell_the_values(database: Database) -> None:
    add(database, 31337)
    with pytest.raises(IntegrityError) as caught:
        add(database, 31337)
    # PostgreSQL's own detail names the key, on a line of its own that nobody logs.
    assert "31337" not in str(caught.value).partition("DETAIL")[0]
