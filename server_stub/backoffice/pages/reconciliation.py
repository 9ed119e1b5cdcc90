"""Comparisons of our books with others': their history, one of them, and one that somebody wants now."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, select
from starlette.responses import Response

from server_stub.backoffice import run_charts
from server_stub.backoffice.errors import Clash, Unknown
from server_stub.backoffice.office import Office
from server_stub.backoffice.pairs import day_of, options, pairs, wrong_days
from server_stub.backoffice.recon_words import BREAK_CLASSES, RUN_STATES, RUN_STEPS
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.foundation import jobs, statements
from server_stub.reconciliation.healing import Healed
from server_stub.reconciliation.runs import sample_of
from server_stub.tsp import tables
from server_stub.tsp.own_books import earliest
from server_stub.tsp.reconciling import RECONCILE
from server_stub.tsp.tables import audit, book, files

SHOWN = 40
ISO = 10
"""Letters of a day."""
UNDER_WAY = ("wanted", "running")
UNCOMPARED = "uncompared"
"""Days before are not missed any more, as in ``tsp.reconciling``."""
STATES = (
    ("", N_("All")),
    (UNCOMPARED, N_("Days that could not be compared")),
    *((name, mark.text) for name, mark in RUN_STATES.items()),
)
"""What the history can be narrowed to."""
pages = Pages()


class Going(NamedTuple):
    """How far a run is, as the macro ``progress`` wants it.

    Attributes:
        steps: what it does from beginning to end, each ``done``, ``now`` or ``next``.
    """

    state: str
    percent: int
    step: str
    steps: tuple[tuple[str, str], ...]


def going_of(run: Row[Any]) -> Going | None:
    """How far a run is; None of one that is over."""
    if run.state not in UNDER_WAY:
        return None
    step = run.step if run.state == "running" else ""
    names = list(RUN_STEPS)
    at = names.index(step) if step in names else 0
    places = [("done" if place < at else "now" if place == at else "next") for place in range(len(names))]
    told = zip(RUN_STEPS.values(), places, strict=True)
    return Going(run.state, run.percent, RUN_STEPS.get(step, step), tuple(told))


@pages.get("/reconciliation", Right.SEE)
async def listed(visit: Visit) -> Response:
    """The runs of a pair, and charts of its last days."""
    pair = visit.query.text("pair")
    return await _listed(visit, pair if pair in pairs() else next(iter(pairs())))


async def _listed(visit: Visit, pair: str, error: str = "", typed: str | None = None) -> Response:
    """The same, and what is wrong with the form."""
    office, said = visit.office, visit.query
    told, before = {name: said.text(name) for name in ("state", "day")} | {"pair": pair}, said.text("before")
    last = office.settings.calendar.last_over(office.clock.now())

    def look(conn: Connection) -> dict[str, Any]:
        runs = book.runs.c
        wanted = [runs.pair == pair]
        if told["day"]:
            wanted.append(runs.day == told["day"])
        if told["state"]:
            wanted.append(uncompared() if told["state"] == UNCOMPARED else runs.state == told["state"])
        if before:
            day, run = before[:ISO], before[ISO:]
            wanted.append((runs.day < day) | ((runs.day == day) & (runs.id < run)))
        query = select(book.runs).where(and_(*wanted)).order_by(runs.day.desc(), runs.id.desc())
        first = (last - timedelta(days=run_charts.DAYS - 1)).isoformat()
        drawn = select(book.runs).where((runs.pair == pair) & (runs.day >= first) & ~runs.dry_run)
        ordered = select(tables.jobs.c.id).where(tables.jobs.c.id == RECONCILE)
        return {
            "rows": conn.execute(query.limit(SHOWN + 1)).all(),
            "drawn": conn.execute(drawn.order_by(runs.wanted_at, runs.id)).all(),
            "can": conn.execute(ordered).first() is not None,
        }

    found = await office.books("tsp").read(look)
    rows = found["rows"]
    days = run_charts.days_of(found["drawn"], last)
    facts: dict[str, Any] = {"rows": [(row, _counts(row)) for row in rows[:SHOWN]], "told": told}
    facts |= {
        "before": before,
        "older": _place(rows[SHOWN - 1]) if len(rows) > SHOWN else "",
        "can": found["can"],
    }
    facts |= {"pairs": pairs(), "pair": pairs()[pair], "options": options(visit.language)}
    widths = ((days, run_charts.WIDTH), (days[-run_charts.FEW_DAYS :], run_charts.NARROW))
    facts |= {"charts": [run_charts.chart_of(*one) for one in widths] if any(day.run for day in days) else []}
    facts |= {"states": STATES, "last": last, "geometry": run_charts}
    facts |= {"wrong": {"want": error} if error else wrong_days(visit, "day")}
    facts |= {"typed": last if typed is None else typed}
    return visit.page("reconciliation.html", 422 if error else 200, **facts)


def uncompared() -> ColumnElement[bool]:
    """Runs that came to nothing, where they are the last of their day: whatever came before them, however old the day."""
    runs = book.runs.c
    return runs.state.in_(("failed", "refused", "stopped")) & ~runs.dry_run & book.newest()


def _place(row: Row[Any]) -> str:
    """Where the list goes on after a row."""
    return f"{row.day}{row.id}"


def _counts(row: Row[Any]) -> list[tuple[str, int, int]]:
    """Class, count and sum of what a run has found, in the order of the words; nothing, before it is done."""
    found = json.loads(row.counts or "{}")
    return [
        (name, *found[name]) for name in (*BREAK_CLASSES, *(found.keys() - BREAK_CLASSES)) if name in found
    ]


@pages.post("/reconciliation", Right.RUN)
async def want(visit: Visit) -> Response:
    """A comparison is wanted now, or only what would come of it."""
    office, form, actor = visit.office, visit.form, visit.person.name
    pair, day, dry = form.text("pair"), day_of(form.text("day")), form.text("how") == "dry"
    if pair not in pairs():
        raise Unknown
    now = office.clock.now()
    if day is None or day > office.settings.calendar.last_over(now):
        wrong = (
            N_("Choose a day that is over.")
            if day is None
            else N_("%(day)s is not over yet. Choose a day that is over.")
        )
        return await _listed(visit, pair, visit.t(wrong, day=day), typed=form.text("day"))
    look = partial(earliest, partner=pair, calendar=office.settings.calendar)
    first = await office.books("tsp").read(look)
    if first is None or day < first:
        early = (
            N_("There is nothing to compare yet: neither a payment here nor a file of the other side.")
            if first is None
            else N_("There is nothing to compare before %(first)s.")
        )
        return await _listed(visit, pair, visit.t(early, first=first), typed=form.text("day"))
    title = N_("Compare this day now?")
    text = N_("%(books)s · %(day)s. What the rules may put right is put right at once.")
    about = {"books": getattr(pairs()[pair].title, visit.language), "day": day}
    if not dry and (asked := visit.ask(title, text, N_("Compare now"), **about)) is not None:
        return asked
    run = await office.books("tsp").write(lambda conn: _want(conn, office, pair, day, actor, dry, now))
    if office.tsp is not None:
        office.tsp.due(RECONCILE, now)
    return visit.go(f"/reconciliation/{run}")


def _want(
    conn: Connection, office: Office, pair: str, day: date, actor: str, dry: bool, now: datetime
) -> str:
    """Enters it, and has the job done at once. Raises Clash."""
    if not jobs.order(conn, tables.jobs, RECONCILE, now):
        raise Clash(N_("No server that exchanges files with the other sides has run here."))
    run = book.want(conn, office.ids, office.clock, pair, day, actor, dry_run=dry)
    audit.append(conn, office.clock, actor, "run-wanted", day.isoformat(), pair=pair, dry_run=dry)
    return run


@pages.get("/reconciliation/{run}", Right.SEE)
async def one(visit: Visit) -> Response:
    """One run: how far it is, or what it has found."""
    return visit.page("run.html", **await _facts(visit))


@pages.get("/reconciliation/{run}/live", Right.SEE, live=True)
async def live(visit: Visit) -> Response:
    """The part of it that looks again by itself until the run is at its end."""
    return visit.page("run_live.html", **await _facts(visit))


async def _facts(visit: Visit) -> dict[str, Any]:
    name = visit.path["run"]

    def look(conn: Connection) -> tuple[Row[Any], list[Any], list[Any]]:
        row = statements.one(conn, book.runs, id=name)
        if row is None:
            raise Unknown
        same = (book.runs.c.pair == row.pair) & (book.runs.c.day == row.day) & (book.runs.c.id != name)
        others = select(book.runs).where(same).order_by(book.runs.c.id.desc()).limit(SHOWN)
        there = files.listed(conn, partner=row.pair, day=date.fromisoformat(row.day), most=SHOWN)
        return row, list(conn.execute(others)), there

    row, others, there = await visit.office.books("tsp").read(look)
    counts = _counts(row)
    healed = json.loads(row.healed or "{}").values()
    return {
        "run": row,
        "pair": pairs().get(row.pair),
        "going": going_of(row),
        "counts": counts,
        "differing": sum(count for name, count, _ in counts if not name.startswith("matched")),
        "sample": sample_of(row),
        "healed": [Healed(**one) for one in healed],
        "used": json.loads(row.files or "{}"),
        "files": there,
        "others": others,
    }
