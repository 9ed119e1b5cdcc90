"""The ledger: what it books, and what the database itself refuses, on both databases."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
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

from server_stub.foundation.clock import CHINA
from server_stub.foundation.database import Database
from server_stub.foundation.ledger import (
    PARTS,
    Account,
    Entry,
    Journal,
    JournalClash,
    Ledger,
    NotBookable,
    part_of,
)
from server_stub.foundation.sqlite import SqliteDatabase
from tests.server_stub.system import databases

metadata = MetaData()
ledger = Ledger(metadata)
NOW = datetime(2026, 6, 21, tzinfo=CHINA)
CHART = (Account("cash", "asset"), Account("owed", "liability"), Account("earned", "income"))
NAMES = [account.name for account in CHART]


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    with closing(databases.open(tmp_path / "ledger.db", metadata.create_all)) as one:
        run(one, lambda conn: ledger.open_accounts(conn, CHART))
        yield one


def run(database: Database, work: Callable[[Connection], Any]) -> Any:
    return database.submit(work).result()


def journal(*lines: tuple[str, int], kind: str = "paid", reference: str = "p1") -> Journal:
    return Journal(kind, reference, "test", NOW, tuple(Entry(*line) for line in lines))


SALE = journal(("cash", 500), ("owed", -500))


def test_a_journal_moves_balances_and_is_booked_once(database: Database) -> None:
    assert run(database, lambda conn: ledger.post(conn, SALE))
    assert not run(database, lambda conn: ledger.post(conn, SALE))
    assert run(database, lambda conn: ledger.balance(conn, "cash")) == 500
    assert run(database, ledger.balance_sheet) == {"cash": 500, "earned": 0, "owed": -500}
    assert run(database, lambda conn: ledger.standing(conn, "p1")) == {"cash": 500, "owed": -500}
    assert run(database, ledger.faults) == []
    kept = run(database, lambda conn: conn.execute(select(ledger.journals)).one())
    assert (kept.kind, kept.reference, kept.actor, kept.at) == ("paid", "p1", "test", NOW)


def test_another_journal_of_a_kind_and_reference_is_refused(database: Database) -> None:
    run(database, lambda conn: ledger.post(conn, SALE))
    for other in (
        journal(("cash", 400), ("owed", -400)),
        journal(("cash", 500), ("owed", -400), ("earned", -100)),
    ):
        with pytest.raises(JournalClash):
            run(database, lambda conn, other=other: ledger.post(conn, other))
    assert run(database, ledger.faults) == []


@pytest.mark.parametrize(
    "lines",
    [
        [("cash", 500), ("owed", -499)],
        [("cash", 500)],
        [],
        [("cash", 500), ("nowhere", -500)],
        [("cash", 0), ("owed", 0)],
    ],
)
def test_what_does_not_balance_is_refused_whole(database: Database, lines: list[tuple[str, int]]) -> None:
    with pytest.raises(NotBookable):
        run(database, lambda conn: ledger.post(conn, journal(*lines)))
    assert run(database, lambda conn: ledger.balance(conn, "cash")) == 0
    assert run(database, lambda conn: conn.execute(select(ledger.entries)).all()) == []
    assert run(database, lambda conn: ledger.post(conn, SALE))


@pytest.mark.parametrize(
    "change",
    [
        update(ledger.entries).values(amount_fen=1),
        delete(ledger.entries),
        update(ledger.journals).values(kind="other"),
        delete(ledger.journals),
        insert(ledger.entries).values(journal="p1 0 paid", line=2, account="cash", part=0, amount_fen=1),
        update(ledger.balances).values(balance_fen=ledger.balances.c.balance_fen + 500),
        delete(ledger.balances),
        insert(ledger.balances).values(account="cash", part=PARTS, balance_fen=1),
    ],
)
def test_what_stands_is_not_changed(database: Database, change: Any) -> None:
    run(database, lambda conn: ledger.post(conn, SALE))
    with pytest.raises(IntegrityError):
        run(database, lambda conn: conn.execute(change))
    assert run(database, lambda conn: ledger.standing(conn, "p1")) == {"cash": 500, "owed": -500}
    assert run(database, ledger.faults) == []


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize("table", ["ledger_journals, ledger_entries", "ledger_balances"])
def test_tables_are_not_emptied(database: Database, table: str) -> None:
    with pytest.raises(IntegrityError):
        run(database, lambda conn: conn.execute(text(f"TRUNCATE {table}")))


def by_hand(path: Path, *statements: str) -> None:
    """As the sqlite3 program: its foreign keys are off."""
    with closing(sqlite3.connect(path)) as conn:
        for statement in statements:
            with pytest.raises(sqlite3.IntegrityError):
                conn.execute(statement)


def test_without_keys_nothing_one_sided_gets_in(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(SqliteDatabase(path, metadata.create_all)) as one:
        run(one, lambda conn: ledger.open_accounts(conn, CHART))
        run(one, lambda conn: ledger.post(conn, SALE))
        by_hand(
            path,
            "INSERT INTO ledger_entries VALUES ('hand 0 x', 0, 'cash', 0, 100)",
            "INSERT INTO ledger_entries VALUES ('hand 0 x', 1, 'cash', 0, 100)",
            "INSERT OR REPLACE INTO ledger_journals SELECT id, kind, 'other', step, 'hand', at, correlation"
            " FROM ledger_journals",
            "INSERT OR REPLACE INTO ledger_entries SELECT journal, line, account, part, 9 FROM ledger_entries",
            "INSERT OR REPLACE INTO ledger_balances SELECT account, part, 0 FROM ledger_balances",
        )
        assert run(one, ledger.faults) == []


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_nothing_is_slipped_into_a_journal_that_another_makes(database: Database) -> None:
    """Two sessions: what one has put in, the other does not see when it makes the journal."""
    began, made = threading.Event(), threading.Event()

    def slip(conn: Connection) -> None:
        row = {"journal": SALE.id, "line": 7, "account": "cash", "part": PARTS - 1, "amount_fen": 100}
        conn.execute(insert(ledger.entries).values(row))
        began.set()
        assert made.wait(10)

    slipped = database.submit(slip)
    assert began.wait(10)
    assert part_of(SALE.reference) != PARTS - 1  # neither waits for the other's balance
    assert run(database, lambda conn: ledger.post(conn, SALE))
    made.set()
    with pytest.raises(IntegrityError, match="all its entries in one transaction"):
        slipped.result()
    assert run(database, ledger.faults) == []


def test_entries_without_their_journal_are_not_kept(database: Database) -> None:
    alone = insert(ledger.entries).values(journal="x", line=0, account="cash", part=0, amount_fen=1)
    with pytest.raises(IntegrityError):
        run(database, lambda conn: conn.execute(alone))
    assert run(database, lambda conn: conn.execute(select(ledger.entries)).all()) == []


def test_accounts_are_split_and_opened_once(database: Database) -> None:
    run(database, lambda conn: ledger.open_accounts(conn, (*CHART, Account("fees", "income"))))
    for number in range(40):
        sale = journal(("cash", 5), ("owed", -5), reference=f"p{number}")
        run(database, lambda conn, sale=sale: ledger.post(conn, sale))
    rows = run(database, lambda conn: conn.execute(select(ledger.balances)).all())
    moved = {row.part for row in rows if row.account == "cash" and row.balance_fen}
    assert moved == {part_of(f"p{number}") for number in range(40)}
    assert len(moved) > PARTS // 2
    assert run(database, lambda conn: ledger.balance(conn, "cash")) == 200
    standings = run(database, lambda conn: dict(ledger.standings(conn)))
    assert standings == {f"p{number}": {"cash": 5, "owed": -5} for number in range(40)}


AROUND: list[tuple[list[str], str]] = [
    (["UPDATE ledger_balances SET balance_fen = 7 WHERE account = 'owed' AND part = 2"], "account owed part 2 has"),
    (
        ["UPDATE ledger_entries SET amount_fen = 501 WHERE line = 0", "UPDATE ledger_balances SET balance_fen = 501 "
         f"WHERE account = 'cash' AND part = {part_of('p1')}"],
        "journal p1 0 paid has 2 entries that add up to 0.01 yuan",
    ),
    (["DELETE FROM ledger_entries"], "journal p1 0 paid has 0 entries"),
    (["DELETE FROM ledger_journals"], "entries belong to journal p1 0 paid, which is not there"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), AROUND)
def test_who_goes_round_the_triggers_is_found(database: Database, changes: list[str], said: str) -> None:
    def tamper(conn: Connection) -> None:
        without_triggers(conn, ("ledger_entries", "ledger_journals", "ledger_balances"))
        for change in changes:
            conn.execute(text(change))

    run(database, lambda conn: ledger.post(conn, SALE))
    run(database, tamper)
    assert any(said in fault for fault in run(database, ledger.faults))


def without_triggers(conn: Connection, tables: tuple[str, ...]) -> None:
    """What somebody who owns the database can do."""
    if conn.dialect.name == "postgresql":
        for table in tables:
            conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            conn.execute(
                text("ALTER TABLE ledger_entries DROP CONSTRAINT IF EXISTS ledger_entries_journal_fkey")
            )
        return
    # The key of the entries cannot be switched off inside a transaction; a table without it can be put in its place.
    named = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    for name in list(conn.execute(text(named)).scalars()):
        conn.execute(text(f"DROP TRIGGER {name}"))
    conn.execute(text("CREATE TABLE copied AS SELECT * FROM ledger_entries"))
    conn.execute(text("DROP TABLE ledger_entries"))
    conn.execute(text("ALTER TABLE copied RENAME TO ledger_entries"))


Lines = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(-9_999, 9_999)), min_size=0, max_size=4)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["p1", "p2", "p3"]), st.sampled_from(["a", "b"]), Lines), max_size=12)
)
def test_whatever_is_posted_the_books_are_right(posted: list[tuple[str, str, list[tuple[str, int]]]]) -> None:
    """Random journals, balanced and not, repeated and clashing: the model keeps what must be kept."""
    model: dict[str, dict[str, int]] = {}
    with (
        TemporaryDirectory() as folder,
        closing(SqliteDatabase(Path(folder) / "ledger.db", metadata.create_all)) as one,
    ):
        run(one, lambda conn: ledger.open_accounts(conn, CHART))
        stand: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for reference, kind, lines in posted:
            # Half of them are made to balance.
            rest = -sum(fen for _, fen in lines)
            balanced = [*lines, ("earned", rest)] if kind == "a" and rest else lines
            made = journal(*balanced, kind=kind, reference=reference)
            right = (
                len(balanced) > 1 and all(fen for _, fen in balanced) and not sum(fen for _, fen in balanced)
            )
            before = stand.get((reference, kind))
            if before is None and right:
                assert run(one, lambda conn, made=made: ledger.post(conn, made))
                stand[reference, kind] = sorted(balanced)
                for account, fen in balanced:
                    sums = model.setdefault(reference, {})
                    sums[account] = sums.get(account, 0) + fen
            elif before is not None and before == sorted(balanced):
                assert not run(one, lambda conn, made=made: ledger.post(conn, made))
            else:
                with pytest.raises((NotBookable, JournalClash)):
                    run(one, lambda conn, made=made: ledger.post(conn, made))
        assert run(one, ledger.faults) == []
        wanted = {name: {k: v for k, v in sums.items() if v} for name, sums in model.items()}
        assert run(one, lambda conn: dict(ledger.standings(conn))) == wanted
        for name in NAMES:
            whole = sum(sums.get(name, 0) for sums in model.values())
            assert run(one, lambda conn, name=name: ledger.balance(conn, name)) == whole
