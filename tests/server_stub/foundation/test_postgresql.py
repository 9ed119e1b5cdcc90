"""What only PostgreSQL does: connections that break, collisions, addresses that are wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, func, insert, select, text

from server_stub.foundation import postgresql, statements
from server_stub.foundation.clock import machine_pauses
from server_stub.foundation.database import NoConnection, OutcomeUnknown
from server_stub.foundation.startup import CannotStart
from tests.postgres import cluster
from tests.server_stub.system import databases

metadata = MetaData()
numbers = Table("numbers", metadata, Column("number", Integer, primary_key=True))
KILL = text("SELECT pg_terminate_backend(:pid)")


@pytest.fixture
def one(tmp_path: Path) -> Iterator[postgresql.PostgresqlDatabase]:
    databases.kind = "postgresql"
    opened = databases.open(tmp_path / "one", metadata.create_all)
    assert isinstance(opened, postgresql.PostgresqlDatabase)
    yield opened
    opened.close()


def count(conn: Connection) -> int:
    return conn.execute(select(func.count()).select_from(numbers)).scalar_one()


def pid(conn: Connection) -> int:
    return int(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())


@pytest.mark.parametrize(
    "put",
    [
        lambda conn, number: conn.execute(insert(numbers).values(number=number)),
        lambda conn, number: statements.insert(conn, numbers, {"number": number}),
    ],
    ids=["library", "driver"],
)
def test_a_connection_that_breaks_before_the_commit_is_made_anew_and_the_work_run_again(
    one: postgresql.PostgresqlDatabase, put: Callable[[Connection, int], object]
) -> None:
    runs: list[int] = []

    def work(conn: Connection) -> None:
        put(conn, 1)
        runs.append(pid(conn))
        if len(runs) == 1:
            one.submit(lambda other: other.execute(KILL, {"pid": runs[0]})).result()
        put(conn, 2)

    one.submit(work).result()
    assert len(runs) == 2
    assert one.submit(count).result() == 2


def test_a_commit_whose_answer_is_lost_is_not_run_again(one: postgresql.PostgresqlDatabase) -> None:
    runs: list[int] = []

    def work(conn: Connection) -> None:
        conn.execute(insert(numbers).values(number=len(runs)))
        runs.append(pid(conn))
        one.submit(lambda other: other.execute(KILL, {"pid": runs[-1]})).result()

    with pytest.raises(OutcomeUnknown):
        one.submit(work).result()
    assert len(runs) == 1


@pytest.mark.anyio
async def test_a_reader_whose_connection_broke_reads_again(one: postgresql.PostgresqlDatabase) -> None:
    first = await one.read(pid)
    await one.write(lambda conn: conn.execute(KILL, {"pid": first}))
    assert await one.read(count) == 0


def test_what_cannot_go_through_ends_with_a_word(
    one: postgresql.PostgresqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "WAIT_SECONDS", 0.2)
    gate = threading.Event()
    holders = [one.submit(lambda _: gate.wait(20)) for _ in range(postgresql.WRITERS)]
    late = one.submit(count)
    # All threads are taken; when one is free again, whoever asked has been gone for long.
    threading.Timer(0.4, gate.set).start()
    with pytest.raises(NoConnection, match="all connections were in use"):
        late.result(10)
    assert all(holder.result() for holder in holders)


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://u:secret@h/d", "postgresql://u:secret@h", "postgresql://u:secret@h:port/d"],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(CannotStart, match="postgresql://user@host") as caught:
        postgresql.address(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://stb:a-secret@127.0.0.1:1/stb", "127.0.0.1:1/stb cannot be used"),
        ("postgresql://stb:a-secret@/no_such?host={folder}", '"no_such" does not exist'),
        (
            "postgresql://stb:a-secret@/postgres?host={folder}&nonsense=1",
            'invalid connection option "nonsense"',
        ),
    ],
)
def test_a_database_that_cannot_be_used_is_said_in_one_line_without_password(url: str, said: str) -> None:
    made = postgresql.address(url.format(folder=cluster().folder))
    with pytest.raises(CannotStart) as caught:
        postgresql.PostgresqlDatabase(made, "role", metadata.create_all, machine_pauses())
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert "a-secret" not in message


def test_an_older_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "OLDEST", 99)
    made = postgresql.address(cluster().url("postgres"))
    with pytest.raises(CannotStart, match="99 or newer is wanted"):
        postgresql.PostgresqlDatabase(made, "role", metadata.create_all, machine_pauses())


def test_roles_have_a_schema_each(tmp_path: Path, one: postgresql.PostgresqlDatabase) -> None:
    url = postgresql.address(databases.of(tmp_path / "one"))
    other = postgresql.PostgresqlDatabase(url, "other", metadata.create_all, machine_pauses())
    other.submit(lambda conn: conn.execute(insert(numbers).values(number=1))).result()
    assert (other.submit(count).result(), one.submit(count).result()) == (1, 0)
    other.close()
