"""The audit log: records are chained, and whatever is done to them is found, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, MetaData, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from server_stub.foundation.audit import NOTHING, Audit, Verdict, record_hash
from server_stub.foundation.clock import CHINA, SimulatedClock
from server_stub.foundation.database import Database
from server_stub.foundation.sqlite import SqliteDatabase
from tests.server_stub.system import databases

metadata = MetaData()
audit = Audit(metadata)
CLOCK = SimulatedClock(datetime(2026, 6, 21, 10, 0, 0, 123456, tzinfo=CHINA))
COLUMNS = ("actor", "action", "subject", "facts", "previous", "hash")


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    with closing(databases.open(tmp_path / "audit.db", metadata.create_all)) as one:
        yield one


def run(database: Database, work: Callable[[Connection], Any]) -> Any:
    return database.submit(work).result()


def write(database: Database, count: int) -> None:
    for number in range(count):
        run(database, lambda conn, n=number: audit.append(conn, CLOCK, "张", "did", f"box {n}", n=n))


def verify(database: Database, head: str | None = None) -> Verdict:
    found: Verdict = run(database, lambda conn: audit.verify(conn, head))
    return found


def test_records_follow_each_other(database: Database) -> None:
    assert str(verify(database).fault) == "it is empty: the first record is of the making of the tables"
    write(database, 3)
    verdict = verify(database)
    rows = run(database, lambda conn: conn.execute(select(audit.records)).all())
    assert verdict == Verdict(3, rows[-1].hash, None)
    assert (rows[0].actor, rows[0].subject, rows[0].facts, rows[0].at) == (
        "张",
        "box 0",
        '{"n":0}',
        CLOCK.now(),
    )
    assert [row.previous for row in rows] == [NOTHING, rows[0].hash, rows[1].hash]
    assert verify(database, rows[1].hash).fault is None
    assert (
        str(verify(database, "f" * 64).fault)
        == "no record has the given hash: records were cut off at the end"
    )


def test_many_who_write_at_once_make_one_chain(database: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: write(database, 3), range(8)))
    assert (verify(database).count, verify(database).fault) == (24, None)


def test_a_record_of_work_that_failed_is_not_kept(database: Database) -> None:
    def work(conn: Connection) -> None:
        audit.append(conn, CLOCK, "a", "did", "x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(database, work)
    write(database, 1)
    assert verify(database).count == 1


def other(sequence: int, previous: str) -> dict[str, Any]:
    made = record_hash(sequence, CLOCK.now(), "a", "b", "c", "{}", previous)
    return {"sequence": sequence, "at": CLOCK.now(), "actor": "a", "action": "b", "subject": "c"} | {
        "facts": "{}", "previous": previous, "hash": made,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        update(audit.records).values(actor="nobody"),
        delete(audit.records),
        insert(audit.records).values(**other(9, NOTHING)),
        insert(audit.records).values(**other(3, NOTHING)),
        update(audit.head).values(sequence=1),
        update(audit.head).values(sequence=3, hash=NOTHING),
        delete(audit.head),
        insert(audit.head).values(id=2, sequence=0, hash=NOTHING),
    ],
)
def test_the_database_lets_only_the_next_record_in(database: Database, change: Any) -> None:
    write(database, 2)
    with pytest.raises(IntegrityError):
        run(database, lambda conn: conn.execute(change))
    assert verify(database).fault is None


def without_triggers(conn: Connection) -> None:
    """What somebody who owns the database can do."""
    if conn.dialect.name == "postgresql":
        for table in ("audit_log", "audit_head"):
            conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        return
    for name in list(conn.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))):
        conn.execute(text(f"DROP TRIGGER {name}"))


def test_a_chain_cut_at_its_end_with_its_head_does_not_have_the_hash_that_was_written_down(
    database: Database,
) -> None:
    write(database, 4)
    last = verify(database).last

    def cut(conn: Connection) -> None:
        without_triggers(conn)
        conn.execute(delete(audit.records).where(audit.records.c.sequence == 4))
        row = conn.execute(select(audit.records).where(audit.records.c.sequence == 3)).one()
        conn.execute(update(audit.head).values(sequence=3, hash=row.hash))

    run(database, cut)
    assert verify(database).fault is None  # the chain by itself cannot know
    assert (
        str(verify(database, last).fault) == "no record has the given hash: records were cut off at the end"
    )


@st.composite
def tampering(draw: st.DrawFn, count: int = 6) -> tuple[str, int, Any]:
    what = draw(st.sampled_from(["change", "remove", "insert", "swap", "later", "head"]))
    at = draw(st.integers(1, count))
    match what:
        case "change":
            return (
                what,
                at,
                (draw(st.sampled_from(COLUMNS)), draw(st.text("0123456789abcdef", min_size=1, max_size=64))),
            )
        case "swap":
            return what, at, draw(st.integers(1, count).filter(lambda other: other != at))
        case "later":
            return what, at, draw(st.integers(1, 10**9))
    return what, at, None


def apply(conn: Connection, what: str, at: int, more: Any) -> bool:
    """Does it; returns whether anything is different now."""
    without_triggers(conn)
    table, here = audit.records, audit.records.c.sequence == at
    before = conn.execute(select(table).order_by(table.c.sequence)).all()
    row = conn.execute(select(table).where(here)).one()
    match what:
        case "change":
            conn.execute(update(table).where(here).values({more[0]: more[1]}))
        case "later":
            conn.execute(text(f"UPDATE audit_log SET at = at + {more} WHERE sequence = {at}"))
        case "remove":
            conn.execute(delete(table).where(here))
        case "insert":
            conn.execute(insert(table).values(**other(at + 100, row.hash)))
        case "swap":
            conn.execute(update(table).where(here).values(sequence=1000))
            conn.execute(update(table).where(table.c.sequence == more).values(sequence=at))
            conn.execute(update(table).where(table.c.sequence == 1000).values(sequence=more))
        case "head":
            conn.execute(update(audit.head).values(sequence=at, hash=NOTHING))
            return True
    return conn.execute(select(table).order_by(table.c.sequence)).all() != before


@settings(max_examples=60, deadline=None)
@given(tampering())
def test_random_tampering_is_found(tampered: tuple[str, int, Any]) -> None:
    with (
        TemporaryDirectory() as folder,
        closing(SqliteDatabase(Path(folder) / "audit.db", metadata.create_all)) as one,
    ):
        write(one, 6)
        different = run(one, lambda conn: apply(conn, *tampered))
        assert (verify(one).fault is not None) is different


def test_the_first_record_that_does_not_fit_is_named(database: Database) -> None:
    write(database, 4)
    run(database, lambda conn: apply(conn, "change", 2, ("actor", "else")))
    assert str(verify(database).fault) == "record 2 was changed"
    run(database, lambda conn: apply(conn, "remove", 2, None))
    assert str(verify(database).fault) == "record 2 is missing"
