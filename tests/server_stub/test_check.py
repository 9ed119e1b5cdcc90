"""``stb-server check`` and ``audit verify``: nothing is wrong with a server that works; each breach is told."""

from __future__ import annotations

from asyncio import to_thread
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, text, update

from server_stub import audit, check
from server_stub.app import ROLES
from server_stub.boss import tables as boss
from server_stub.cli import parse
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
    clash = await box.pay("card", "drama", "monthly")
    await card.pay(done)
    await box.state(done["payment"], "done")
    await card.pay(clash)
    await box.until(clash["payment"], lambda view: view["reason"] is not None)
    unknown = await box.pay("card", "kids", "quarterly")
    await Card(box).authorised(unknown)
    assert await faults(system) == []
    return {
        "done": done["payment"],
        "clash": clash["payment"],
        "unknown": unknown["payment"],
        "order": done["order"],
    }


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


TSP: list[tuple[str, Any, str]] = [
    ("balance", lambda made: update(tsp.ledger.balances).values(balance_fen=1), "books balance"),
    (
        "entries",
        lambda made: update(tsp.ledger.entries).where(tsp.ledger.entries.c.line == 0).values(amount_fen=77),
        "books balance",
    ),
    ("state", lambda made: payment("done", made, state="paid"), "payments stand in the books"),
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
    ("owed", lambda made: payment("clash", made, state="paid"), "nothing in the outbox sees to that"),
]  # fmt: skip
BOSS: list[tuple[str, Any, str]] = [
    ("balance", lambda made: update(boss.ledger.balances).values(balance_fen=1), "boss: books balance"),
    ("revenue", lambda made: update(boss.orders).values(state="quoted"), "revenue is what was opened"),
    ("subscription", lambda made: update(boss.subscriptions).values(paid_fen=1), "what is opened has its subscription"),
    ("agree", lambda made: update(boss.orders).values(payment=None), check.AGREE),
    ("never opened", lambda made: update(boss.orders).values(state="quoted"), check.AGREE),
    ("audit", lambda made: update(boss.audit.head).values(sequence=99), "boss: audit log is whole"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in TSP], ids=[row[0] for row in TSP])
async def test_what_is_wrong_at_the_tsp_is_told(system: System, change: Any, said: str) -> None:
    made = await busy(system)

    def break_it(conn: Connection) -> None:
        untie(conn)
        conn.execute(change(made))

    await system.tsp.database.write(break_it)
    assert any(said in fault for fault in await faults(system))


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in BOSS], ids=[row[0] for row in BOSS])
async def test_what_is_wrong_at_boss_is_told(system: System, change: Any, said: str) -> None:
    made = await busy(system)

    def break_it(conn: Connection) -> None:
        untie(conn)
        conn.execute(change(made))

    await system.boss(break_it)
    assert any(said in fault for fault in await faults(system))


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
        assert [line.split()[0] for line in told.splitlines()] == ["ok"] * 16
        code, told = await said("audit", "verify")
        assert (code, told.count("ok     ")) == (0, 2)
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


async def test_where_no_role_has_run_there_is_nothing_to_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = databases.empty(tmp_path)
    where = ["--data", str(tmp_path), *(["--database", url] if url else [])]
    assert check.run(parse(["check", *where], ROLES)) == 2
    assert audit.run(parse(["audit", "verify", *where], ROLES)) == 2
    assert "has run here" in capsys.readouterr().err
