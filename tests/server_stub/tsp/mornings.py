"""Mornings of the platform, BOSS and PPP: a day ends, its files go out, are answered and compared; what came of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from server_stub.backoffice.pages.reconciliation import uncompared
from server_stub.boss import cancelling
from server_stub.boss.day_work import DayWork as BossDayWork
from server_stub.reconciliation.book import Decision
from server_stub.tsp import tables
from server_stub.tsp.reconciling import Reconciling
from tests.server_stub.system import Box, System
from tests.server_stub.tsp.test_uploads import DAY, answering, exchanged, next_day

SECOND_FEN = 50_000


def reconciling(system: System) -> Reconciling:
    assert system.tsp.reconciling is not None
    return system.tsp.reconciling


def telling(system: System) -> BossDayWork:
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    return system.roles.boss.days


async def told_files(system: System, days: int = 1) -> None:
    """The day ends, and its files are here."""
    next_day(system, days)
    await exchanged(system)
    await telling(system).publish()
    await answering(system).publish()


async def morning(system: System, days: int = 1) -> None:
    """The day ends; files go out, are answered, and are compared."""
    await told_files(system, days)
    await reconciling(system).run()


async def told_until(system: System, days: int) -> None:
    """BOSS has told every day until then; those between are of no interest, and left out."""
    next_day(system, days)
    day_work = telling(system)
    day = DAY + timedelta(days=days - 1)
    await day_work._exchange.send("DZMX", day, partial(day_work._opened, day=day))


async def told_and_compared(system: System, days: int) -> None:
    """A morning without PPP."""
    next_day(system, days)
    await telling(system).publish()
    await reconciling(system).run()


async def wanted(system: System, day: date = DAY, *, dry_run: bool = False) -> str:
    """Somebody wants a day compared with BOSS's once more; returns the run's id."""
    core = system.tsp.core
    return await core.database.write(
        lambda conn: tables.book.want(conn, core.ids, core.clock, "boss", day, "person:Wu", dry_run=dry_run)
    )


async def compared_again(system: System, day: date) -> None:
    """Somebody wants it, and it is done."""
    await wanted(system, day)
    system.clock.advance(1)
    await reconciling(system).run()


def pair_with(system: System, monkeypatch: pytest.MonkeyPatch, **changed: object) -> None:
    """The pair with BOSS is another one in these."""
    books = reconciling(system).books
    there = books["boss"]
    other = replace(there, pair=there.pair.model_copy(update=changed))
    monkeypatch.setitem(books, "boss", other)  # type: ignore[arg-type]


def limited(system: System, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Each rule about BOSS heals no more than so many."""
    rules = reconciling(system).books["boss"].pair.heal
    pair_with(
        system, monkeypatch, heal=tuple(rule.model_copy(update={"limit_count": count}) for rule in rules)
    )


async def runs(system: System, day: date = DAY) -> dict[str, tuple[str, dict[str, int]]]:
    """The last run of each pair of a day: its state, and how many of each class."""
    found = {}
    # The clock stands still within a morning, and ids of one instant have no order: who has found more came later.
    rows = await system.rows(tables.book.runs)
    for row in sorted(rows, key=lambda row: (row.wanted_at, len(row.counts or ""))):
        if row.day == day.isoformat():
            counts = {cls: count for cls, (count, _) in json.loads(row.counts or "{}").items()}
            found[row.pair] = row.state, counts
    return found


async def run_of(system: System, pair: str = "boss", day: date = DAY) -> Any:
    """The only run of a pair and day."""
    (row,) = [
        row for row in await system.rows(tables.book.runs) if (row.pair, row.day) == (pair, day.isoformat())
    ]
    return row


async def not_compared(system: System) -> list[tuple[str, str]]:
    """Pairs and days that the overview shows as not compared."""
    runs = tables.book.runs
    query = select(runs.c.pair, runs.c.day).where(uncompared()).order_by(runs.c.pair, runs.c.day)
    return await system.tsp.database.read(lambda conn: [(row.pair, row.day) for row in conn.execute(query)])


async def breaks(system: System) -> list[tuple[str, str, str, str | None]]:
    return sorted((row.pair, row.cls, row.state, row.action) for row in await system.rows(tables.book.breaks))


async def at_boss(system: System, table: Any) -> list[Any]:
    assert system.roles.boss is not None
    return await system.roles.boss.database.read(lambda conn: list(conn.execute(table.select())))


def put_file(tmp_path: Path, keys: list[str], day: date = DAY) -> None:
    """BOSS's file of a day, which says that it has opened these for ten yuan each."""
    named = f"{day:%Y%m%d}"
    lines = "".join(f"D|{key}|1000|CNY|opened|{named}|o|b|kids\n" for key in keys)
    totals = f"|DZMX|{named}|{len(keys):010d}|{1000 * len(keys):015d}\n"
    path = tmp_path / "exchange" / "boss" / "DZMX" / f"DZMX{named}.TXT"
    path.write_text(f"H{totals}{lines}T{totals}", "ascii")


async def bought(system: System, box: Box, service: str, term: str = "monthly") -> Any:
    """Paid with the demo wallet; open."""
    payment = await box.pay("wallet:demo", service, term)
    payment = await box.until(payment["payment"], lambda view: view["qr"] is not None)
    await system.phone(payment["qr"]["payload"], "pay")
    return await box.state(payment["payment"], "done")


async def taken_back(system: System, order: str) -> None:
    """BOSS's staff take a service back."""
    clock = system.clock
    await system.boss(
        lambda conn: cancelling.cancel(conn, clock, order, reason="sold by mistake", actor="Li")
    )


async def delivered(system: System) -> None:
    """Everything that was owed has arrived."""
    while any(row.delivered_at is None for row in await system.rows(tables.outbox)):
        pass


async def decide(system: System, action: str, **told: Any) -> Any:
    """A person decides about the break that is open."""
    (row,) = [one for one in await system.rows(tables.book.breaks) if one.state == "open"]
    actions = system.tsp.remedies.actions(row.pair)
    decision = Decision(row.id, action, told.pop("reason", "looked into"), "Wu", **told)
    clock = system.clock
    return await system.tsp.database.write(
        lambda conn: tables.book.decide(conn, clock, tables.audit, actions, decision, second_fen=SECOND_FEN)
    )
