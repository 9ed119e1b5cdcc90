"""``stb-server check`` and ``audit verify``: nothing is wrong with a server that works; each breach is told."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, literal, select, text, update

from server_stub import audit, check
from server_stub.app import ROLES
from server_stub.boss import tables as boss
from server_stub.cli import parse
from server_stub.foundation.startup import CannotStart
from server_stub.opening import open_role
from server_stub.tsp import tables as tsp
from tests.server_stub import system as systems
from tests.server_stub.system import Card, System, databases, faults, running

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _broken_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(system: System) -> None:
        """What is wrong at the end was made so."""

    monkeypatch.setattr(systems, "proved", nothing)


async def busy(system: System) -> dict[str, Any]:
    """A server with a payment that is done, one that is unknown, and one that was refused by BOSS."""
    box = await system.box()
    card = Card(box)
    done = await box.pay("card", "movies", "monthly")
    await card.pay(done)
    await box.state(done["payment"], "done")
    refused = await box.pay("card", "sports", "monthly")
    mine = boss.orders.c.id == refused["order"]
    lost = await system.boss(lambda conn: conn.execute(select(boss.orders).where(mine)).one())
    await system.boss(lambda conn: conn.execute(delete(boss.orders).where(mine)))
    await card.pay(refused)
    await box.until(refused["payment"], lambda view: view["reason"] is not None)
    await system.boss(lambda conn: conn.execute(insert(boss.orders).values(**lost._mapping)))
    unknown = await box.pay("card", "kids", "quarterly")
    await Card(box).authorised(unknown)
    quoted = await box.order("news", "monthly")
    another = insert(tsp.boxes).values(box_number="85312047", enrolled_at=systems.START)
    await system.tsp.database.write(lambda conn: conn.execute(another))
    assert await faults(system) == []
    return {
        "done": done["payment"],
        "refused": refused["payment"],
        "unknown": unknown["payment"],
        "order": done["order"],
        "quoted": quoted["order"],
    }


Lived = tuple[System, dict[str, Any]]
_LIVED: dict[str, tuple[Path, str, dict[str, Any]]] = {}
"""By kind of database: what a busy server has left, and the ids of its payments."""


@pytest.fixture
async def lived(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str, kind: str
) -> AsyncIterator[Lived]:
    """A server that has been busy: lived through once, and copied."""
    if kind not in _LIVED:
        first = tmp_path_factory.mktemp("busy")
        async with running(first) as system:
            made = await busy(system)
        _LIVED[kind] = first, databases.keep(first), made
    first, kept, made = _LIVED[kind]
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    databases.copy(kept, tmp_path)
    async with running(tmp_path) as system:
        yield system, made


PYTHON = re.compile(r"[{}]|None|[0-9] fen|\('|odd value")
"""What people do not read; amounts are in yuan, as everywhere."""
GUARDED = ("ledger_entries", "ledger_journals", "ledger_balances", "audit_log", "audit_head")


def untie(conn: Connection) -> None:
    """Takes the triggers away, as whoever owns the database can."""
    if conn.dialect.name == "postgresql":
        for table in GUARDED:
            conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        return
    for name in list(conn.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))):
        conn.execute(text(f"DROP TRIGGER {name}"))


def payment(name: str, made: dict[str, Any], **values: Any) -> Any:
    return update(tsp.payments).where(tsp.payments.c.id == made[name]).values(**values)


def copied_key(name: str, generation: int, **values: Any) -> Any:
    columns = [column.name for column in tsp.box_keys.columns]
    other = {"key_id": literal(name), "generation": literal(generation), **values}
    rows = select(*(other.get(column, tsp.box_keys.c[column]) for column in columns))
    return insert(tsp.box_keys).from_select(columns, rows)


def free() -> Any:
    """A subscription like one that is there, but nobody has paid for it."""
    columns = [column.name for column in boss.subscriptions.columns]
    other = {"id": literal("free"), "paid_fen": literal(0)}
    rows = select(*(other.get(column, boss.subscriptions.c[column]) for column in columns)).limit(1)
    return insert(boss.subscriptions).from_select(columns, rows)


TSP: list[tuple[str, Any, str]] = [
    (
        "batch",
        lambda made: insert(tsp.settlements).values(
            terminal="88310001", batch="000001", state="closing", told_fen=0, told_count=0,
            begun_at=systems.START - timedelta(days=2),
        ),
        "batches are settled",
    ),
    ("balance", lambda made: update(tsp.ledger.balances).values(balance_fen=1), "books balance"),
    (
        "entries",
        lambda made: update(tsp.ledger.entries).where(tsp.ledger.entries.c.line == 0).values(amount_fen=77),
        "books balance",
    ),
    ("state", lambda made: payment("done", made, state="paid"), "is paid and must stand as "),
    ("state of unknown", lambda made: payment("unknown", made, state="failed", live=False), "payments stand"),
    (
        "journal",
        lambda made: update(tsp.ledger.journals).where(tsp.ledger.journals.c.kind == "opened").values(kind="refunded"),
        "has a journal refunded, but never was that",
    ),
    ("history", lambda made: delete(tsp.moves).where(tsp.moves.c.target == "paid"), "histories are legal"),
    ("history's end", lambda made: payment("done", made, state="expired"), "its history ends with opened"),
    ("expiry", lambda made: payment("unknown", made, expires_at=systems.START.replace(year=2020)), "its time was over"),
    ("case", lambda made: payment("unknown", made, looks=9), "after its schedule, and no case is open"),
    ("live", lambda made: payment("unknown", made, live=False), "one payment of an order lives"),
    (
        "order",
        lambda made: update(tsp.orders).where(tsp.orders.c.id == made["order"]).values(state="paying"),
        "orders agree with payments",
    ),
    ("proof", lambda made: update(tsp.debits).values(mac2=None), "without a proof"),
    ("amount", lambda made: payment("done", made, received_fen=1), "what is paid is proved and whole"),
    ("lease", lambda made: update(tsp.leases).values(payment_id=made["done"]), "PSAMs are leased to the living"),
    ("audit", lambda made: delete(tsp.audit.records).where(tsp.audit.records.c.sequence == 1), "record 1 is missing"),
    ("job", lambda made: update(tsp.jobs).values(failures=2, result="no"), "jobs do not fail"),
    (
        "overdue",
        lambda made: update(tsp.outbox).values(due_at=systems.START.replace(year=2020)),
        "was due at 2020",
    ),
    ("owed", lambda made: payment("refused", made, state="paid"), "nothing in the outbox sees to that"),
    (
        "amount of the order",
        lambda made: update(tsp.orders).where(tsp.orders.c.id == made["order"]).values(amount_fen=1),
        "payments are of their orders",
    ),
    (
        "another's order",
        lambda made: update(tsp.orders).where(tsp.orders.c.id == made["order"]).values(box_number="85312047"),
        "payments are of their orders",
    ),
    ("answers", lambda made: delete(tsp.keys), "an idempotency key that is not kept"),
    (
        "number",
        lambda made: update(tsp.debits).values(psam="sim:1", terminal_transaction_number="00000001"),
        "transaction number sim:1 00000001 stands for several payments",
    ),
    (
        "proof",
        lambda made: update(tsp.debits).values(terminal_number="1", terminal_transaction_number="2", tac="3"),
        "proof 1 2 3 stands for several payments",
    ),
    ("a copied key", lambda made: copied_key("copy", 1), "has not the name of its bytes"),
    ("a copied one", lambda made: copied_key("copy", 1, ended=literal("key-copied")), "one of its enrolment was copied"),
    ("two enrolments", lambda made: copied_key("copy", 2), "has good keys of several enrolments"),
    ("no debit", lambda made: delete(tsp.debits).where(tsp.debits.c.payment_id == made["unknown"]), "kept of its card"),
    ("end of a key", lambda made: update(tsp.box_keys).values(ended="nonsense"), "has ended as nonsense"),
    ("bytes of a key", lambda made: update(tsp.box_keys).values(public_key="nonsense"), "the name of its bytes"),
    ("enrolment of a key", lambda made: update(tsp.box_keys).values(generation=9), "of enrolment 9 at the TSP, of 1"),
    ("payload", lambda made: update(tsp.outbox).values(payload="{", due_at=systems.START), "has no payload"),
    (
        "asked too much",
        lambda made: update(tsp.orders).where(tsp.orders.c.id == made["quoted"]).values(amount_fen=9277),
        "orders are as BOSS quoted them",
    ),
    ("never", lambda made: payment("unknown", made, expires_at=systems.START.replace(year=5138)), "its time is over only"),
]  # fmt: skip
BOSS: list[tuple[str, Any, str]] = [
    ("balance", lambda made: update(boss.ledger.balances).values(balance_fen=1), "boss: books balance"),
    ("revenue", lambda made: update(boss.orders).values(state="quoted"), "revenue is what was opened"),
    ("subscription", lambda made: update(boss.subscriptions).values(paid_fen=1), "what is opened has its subscription"),
    ("agree", lambda made: update(boss.orders).values(payment=None), check.AGREE),
    ("never opened", lambda made: update(boss.orders).values(state="quoted"), check.AGREE),
    ("term", lambda made: update(boss.subscriptions).values(term="nonsense"), "is for the term nonsense"),
    ("end of a key", lambda made: update(boss.box_keys).values(ended="nonsense"), "has ended as nonsense"),
    ("quoted", lambda made: update(boss.orders).where(boss.orders.c.id == made["quoted"]).values(term="yearly"), "yearly"),
    ("not quoted", lambda made: delete(boss.orders).where(boss.orders.c.id == made["quoted"]), "of nothing at BOSS"),
    ("free", lambda made: free(), "is not what was there at first"),
    (
        "given away",
        lambda made: update(boss.subscriptions).values(
            subscriber_id=select(boss.boxes.c.subscriber_id)
            .where(boss.boxes.c.box_number == "85312051")
            .scalar_subquery()
        ),
        "is not its order's",
    ),
    (
        "longer",
        lambda made: update(boss.subscriptions).values(valid_until=systems.START.replace(year=2040)),
        "ends 2040-06-21, not as its term",
    ),
    ("state of a box", lambda made: update(boss.boxes).values(state="elephant"), "is elephant"),
    ("owner of a key", lambda made: update(boss.box_keys).values(smart_card_number="1"), "subscriber and smart card"),
    ("box of a key", lambda made: update(boss.box_keys).values(box_number="85312047"), "at the TSP, of 85312047 at BOSS"),
    ("audit", lambda made: update(boss.audit.head).values(sequence=99), "boss: audit log is whole"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in TSP], ids=[row[0] for row in TSP])
async def test_what_is_wrong_at_the_tsp_is_told(lived: Lived, change: Any, said: str) -> None:
    system, made = lived

    def break_it(conn: Connection) -> None:
        untie(conn)
        conn.execute(change(made))

    await system.tsp.database.write(break_it)
    told = await faults(system)
    assert any(said in fault for fault in told)
    assert [fault for fault in told if PYTHON.search(fault)] == []


async def test_what_came_due_while_the_server_was_switched_off_is_not_late(system: System) -> None:
    await busy(system)
    tomorrow = system.clock.now() + timedelta(days=1)
    assert [
        fault for fault in await faults(system, tomorrow) if "was due" in fault or "was over" in fault
    ] == []


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in BOSS], ids=[row[0] for row in BOSS])
async def test_what_is_wrong_at_boss_is_told(lived: Lived, change: Any, said: str) -> None:
    system, made = lived

    def break_it(conn: Connection) -> None:
        untie(conn)
        conn.execute(change(made))

    await system.boss(break_it)
    told = await faults(system)
    assert any(said in fault for fault in told)
    assert [fault for fault in told if PYTHON.search(fault)] == []


async def test_a_service_that_boss_opened_for_nothing_is_told(system: System) -> None:
    made = await busy(system)
    undone = tsp.payments.c.id == made["done"]
    await system.tsp.database.write(
        lambda conn: conn.execute(update(tsp.payments).where(undone).values(state="failed", live=False))
    )
    assert any("BOSS has opened it for payment" in fault for fault in await faults(system))


async def test_the_commands_beside_a_server_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as system:
        await busy(system)
        url = databases.of(tmp_path)
        where = ["--data", str(tmp_path), *(["--database", url] if url else [])]

        async def said(*words: str) -> tuple[int, str]:
            options = parse([*words, *where], ROLES)
            code = await to_thread(
                lambda: check.run(options, system.clock) if words[0] == "check" else audit.run(options)
            )
            return code, capsys.readouterr().out

        code, told = await said("check")
        assert code == 0, told
        assert [line.split()[0] for line in told.splitlines()] == ["ok"] * 52
        code, told = await said("audit", "verify")
        assert (code, told.count("ok     ")) == (0, 5)
        last = told.splitlines()[-1].split()[-1]
        assert (await said("audit", "verify", "--role", "tsp", "--head", last))[0] == 0
        assert (await said("audit", "verify", "--role", "tsp", "--head", "f" * 64))[0] == 1

        def tamper(conn: Connection) -> None:
            untie(conn)
            conn.execute(update(tsp.audit.records).where(tsp.audit.records.c.sequence == 2).values(actor="x"))

        await system.tsp.database.write(tamper)
        code, told = await said("audit", "verify")
        assert (code, "WRONG  tsp: record 2 was changed" in told) == (1, True)
        code, told = await said("check")
        assert (code, "WRONG  tsp: audit log is whole" in told) == (1, True)


PLAYED: list[tuple[list[str], str]] = [
    (["DROP TABLE cases"], "WRONG  tsp: no table is missing\n       table cases is missing"),
    (["DROP INDEX one_live_payment"], "index one_live_payment of payments is missing"),
    (
        ["DROP INDEX one_live_payment", "CREATE UNIQUE INDEX one_live_payment ON payments (order_id) WHERE live AND looks > 9"],
        "index one_live_payment of payments is of other rows than it was",
    ),
]  # fmt: skip


def disarm(conn: Connection) -> list[str]:
    """Triggers that are gone, that do nothing any more, that nobody of ours has made."""
    if conn.dialect.name == "sqlite":
        return [
            "DROP TRIGGER audit_written",
            "DROP TRIGGER ledger_entries_no_UPDATE",
            "CREATE TRIGGER ledger_entries_no_UPDATE BEFORE UPDATE ON ledger_entries BEGIN SELECT 1; END",
        ]
    return [
        "DROP TRIGGER audit_written ON audit_log",
        "CREATE OR REPLACE FUNCTION ledger_stands() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "ALTER TABLE ledger_balances DISABLE TRIGGER ledger_balance_opened",
        "ALTER FUNCTION ledger_entry_made() RESET search_path",
    ]


async def test_tables_and_triggers_that_are_not_as_they_were_made_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as system:
        made = await busy(system)
    url = databases.of(tmp_path)
    where = ["--data", str(tmp_path), *(["--database", url] if url else [])]

    def play(*statements: str) -> None:
        with closing(databases.open_role(tmp_path, tsp.metadata)) as one:
            one.submit(
                lambda conn: [conn.exec_driver_sql(words) for words in statements or disarm(conn)]
            ).result()

    async def told() -> str:
        code = await to_thread(check.run, parse(["check", *where], ROLES), system.clock)
        assert code == 1
        return capsys.readouterr().out

    play()
    said = await told()
    assert "trigger audit_written is missing" in said
    assert said.count(" was changed") + said.count(" is missing") == (2 if not url else 4)
    if not url:  # PostgreSQL lets nobody do that
        with closing(sqlite3.connect(tmp_path / "tsp.db")) as conn, conn:
            conn.execute("UPDATE psam_leases SET payment_id = 'nobody'")
            conn.execute("UPDATE cases SET payment_id = 'nobody'")
        assert "rows of cases belong to payment_id nobody" in await told()
    assert made["done"]
    for statements, words in reversed(PLAYED):
        play(*statements)
        assert words in await told()
    with pytest.raises(CannotStart, match="table cases is missing"):
        open_role(tsp.metadata, tmp_path, url, os.urandom)


ODD = [
    ("tsp", "payments", "expires_at = 'x'", "payments.expires_at is no instant in the row with id '"),
    (
        "tsp",
        "orders",
        "created_at = 9000000000000000000",
        "orders.created_at is no instant in the row with id '",
    ),
    ("tsp", "orders", "amount_fen = 'much'", "orders.amount_fen is no integer in the row with id '"),
    ("boss", "audit_log", "at = 'x'", "audit_log.at is no instant in the row with sequence "),
    ("boss", "subscriptions", "service = x'ff'", "subscriptions.service is no text in the row with id '"),
]


async def test_odd_values_are_named_and_everything_else_is_looked_at_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as system:
        await busy(system)
        url = databases.of(tmp_path)
        # PostgreSQL takes in nothing but what the column's type has.
        odd = ODD if not url else ODD[1:2]

        def spoil(conn: Connection, of: str) -> None:
            untie(conn)
            if not url:
                conn.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            for role, table, change, _ in odd:
                if role == of:
                    conn.exec_driver_sql(f"UPDATE {table} SET {change}")

        await system.tsp.database.write(lambda conn: spoil(conn, "tsp"))
        if not url:
            with closing(sqlite3.connect(tmp_path / "boss.db")) as conn, conn:
                conn.execute("DROP TRIGGER audit_log_no_UPDATE")
                for role, table, change, _ in odd:
                    if role == "boss":
                        conn.execute(f"UPDATE {table} SET {change}")
        where = ["--data", str(tmp_path), *(["--database", url] if url else [])]
        assert await to_thread(check.run, parse(["check", *where], ROLES), system.clock) == 1
        told = capsys.readouterr().out
        for _, _, _, words in odd:
            assert words in told, told
        assert "ok     boss: books balance" in told
        assert "ok     tsp: PSAMs are leased to the living" in told
        assert await to_thread(audit.run, parse(["audit", "verify", *where], ROLES)) == (0 if url else 1)
        assert url or "WRONG  boss: record 1 was changed" in capsys.readouterr().out


async def test_where_no_role_has_run_there_is_nothing_to_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = databases.empty(tmp_path)
    where = ["--data", str(tmp_path), *(["--database", url] if url else [])]
    assert check.run(parse(["check", *where], ROLES)) == 2
    assert audit.run(parse(["audit", "verify", *where], ROLES)) == 2
    assert "has run here" in capsys.readouterr().err
