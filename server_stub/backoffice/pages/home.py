"""The first page: what needs somebody now, today's takings, and whether everything answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select
from starlette.responses import Response

from server_stub.backoffice import tables
from server_stub.backoffice.office import METADATA, Office
from server_stub.backoffice.pages.reconciliation import UNCOMPARED, uncompared
from server_stub.backoffice.pairs import pairs
from server_stub.backoffice.proposals import BROKEN_OFF_AFTER, CONFIRMED, OPEN
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.transactions import first_id
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import NP_
from server_stub.foundation.clock import CHINA
from server_stub.foundation.database import DatabaseFault, outage
from server_stub.tsp import measures, settlement
from server_stub.tsp.tables import book, cases, jobs, payments, psam_locks, settlements

READY_SECONDS = 2.0
TAKEN = ("paid", "opened", "service-refused")
"""States of payments whose money is in, and stays."""
CASES = NP_("case waits for a decision", "cases wait for a decision")
BREAKS = NP_("difference waits for a decision", "differences wait for a decision")
DAYS = NP_("day could not be compared", "days could not be compared")
BATCHES = NP_("card batch differs from UnionPay", "card batches differ from UnionPay")
PSAMS = NP_("PSAM has locked itself", "PSAMs have locked themselves")
JOBS = NP_("job failed the last time", "jobs failed the last time")
PROPOSALS = NP_("decision waits for a second person", "decisions wait for a second person")
pages = Pages()


class Need(NamedTuple):
    """Something that waits for a person.

    Attributes:
        number: of it; 0: nothing waits.
        text: what it is, of one and of several.
        since: the oldest of it, a day where it is about days.
        pair: of books that it is about; "" of what is about none.
    """

    path: str
    number: int
    text: tuple[str, str]
    tone: str
    since: datetime | str | None = None
    pair: str = ""


class Taking(NamedTuple):
    """What one way of paying has brought today."""

    method: str
    number: int
    fen: int


class Today(NamedTuple):
    """What the TSP's books say on the first page."""

    needs: tuple[Need, ...]
    takings: tuple[Taking, ...]
    unknown: int
    unknown_fen: int


@pages.get("/", Right.SEE)
async def home(visit: Visit) -> Response:
    """The overview."""
    return visit.page("home.html", **await _facts(visit.office))


@pages.get("/today", Right.SEE, live=True)
async def today(visit: Visit) -> Response:
    """The part of it that looks again by itself."""
    return visit.page("home_live.html", **await _facts(visit.office))


async def _facts(office: Office) -> dict[str, Any]:
    now = office.clock.now()
    told: Today | None = None
    if "tsp" in office.databases:
        told = await office.books("tsp").read(lambda conn: look(conn, now))
    waiting = await office.database.read(lambda conn: _proposals(conn, now))
    needs = (*(told.needs if told else ()), waiting)
    waits = [one for one in needs if one.number]
    return {"told": told, "needs": waits, "pairs": pairs(), "health": await _health(office)}


def look(conn: Connection, now: datetime) -> Today:
    """All of one moment."""
    midnight = now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    open_cases = _count(conn, cases, cases.c.state == "open", cases.c.at)
    failed = _count(conn, jobs, jobs.c.failures > 0, jobs.c.finished_at)
    differ = _count(conn, settlements, settlements.c.state == settlement.DIFFERS, settlements.c.begun_at)
    locked = _count(conn, psam_locks, True, psam_locks.c.locked_at)
    breaks = _count(conn, book.breaks, _waits(), book.breaks.c.opened_at)
    taken = (
        select(payments.c.method, func.count().label("number"), func.sum(payments.c.amount_fen).label("fen"))
        # Nobody pays a day after the beginning: of ten million payments only the last are read.
        .with_hint(payments, "INDEXED BY sqlite_autoindex_payments_1", "sqlite")
        .where(payments.c.id >= first_id(midnight - timedelta(days=1)))
        .where((payments.c.paid_at >= midnight) & payments.c.state.in_(TAKEN))
        .group_by(payments.c.method)
        .order_by(payments.c.method)
    )
    unknown = select(func.count().label("number"), func.sum(payments.c.amount_fen).label("fen"))
    row = conn.execute(unknown.where(payments.c.state.in_(measures.UNKNOWN))).one()
    return Today(
        (
            Need("/cases", open_cases[0], CASES, "bad", open_cases[1]),
            Need("/breaks?state=open", breaks[0], BREAKS, "bad", breaks[1]),
            *(_days(conn, pair) for pair in pairs()),
            Need("/batches", differ[0], BATCHES, "bad", differ[1]),
            Need("/psams", locked[0], PSAMS, "bad", locked[1]),
            Need("/jobs", failed[0], JOBS, "wait", failed[1]),
        ),
        tuple(Taking(one.method, one.number, int(one.fen)) for one in conn.execute(taken)),
        row.number,
        int(row.fen or 0),
    )


def _waits() -> ColumnElement[bool]:
    """Open breaks; in words that name the index of those that are not closed."""
    return book.breaks.c.closed_at.is_(None) & (book.breaks.c.state == "open")


def _days(conn: Connection, pair: str) -> Need:
    """Those of a pair that could not be compared."""
    which = (book.runs.c.pair == pair) & uncompared()
    number, oldest = _count(conn, book.runs, which, book.runs.c.day)
    return Need(f"/reconciliation?pair={pair}&state={UNCOMPARED}", number, DAYS, "bad", oldest, pair)


def _count(conn: Connection, table: Any, which: Any, since: Any) -> tuple[int, Any]:
    query = select(func.count(), func.min(since)).select_from(table)
    number, oldest = conn.execute(query if which is True else query.where(which)).one()
    return number, oldest


def _proposals(conn: Connection, now: datetime) -> Need:
    """Those that somebody has to confirm, for the first time or again."""
    table = tables.proposals
    broken_off = (table.c.state == CONFIRMED) & (table.c.decided_at <= now - BROKEN_OFF_AFTER)
    found = _count(conn, table, (table.c.state == OPEN) | broken_off, table.c.proposed_at)
    return Need("/proposals", found[0], PROPOSALS, "wait", found[1])


async def _health(office: Office) -> Mapping[str, str]:
    """Whether each role's database answers: ``good``, ``bad``, or ``off`` for one that is not here."""

    async def one(role: str) -> str:
        if role not in office.databases:
            return "off"
        try:
            await asyncio.wait_for(office.databases[role].probe(), READY_SECONDS)
        except (DatabaseFault, TimeoutError):
            return "bad"
        except Exception as error:
            if outage(error) is None:
                raise
            return "bad"
        return "good"

    return dict(zip(METADATA, await asyncio.gather(*map(one, METADATA)), strict=True))
