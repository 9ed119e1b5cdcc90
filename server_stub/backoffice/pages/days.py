"""Days whose debits of purses go to UnionPay: where each is, what was answered, and sending one again."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select
from starlette.responses import Response

from server_stub.backoffice.errors import Clash, Unknown
from server_stub.backoffice.office import Office
from server_stub.backoffice.pairs import day_of
from server_stub.backoffice.recon_words import DAY_STATES
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.foundation import jobs
from server_stub.tsp import tables, uploads
from server_stub.tsp.tables import audit, upload_days

SHOWN = 50
pages = Pages()


@pages.get("/days", Right.SEE)
async def listed(visit: Visit) -> Response:
    """The days, the newest first."""
    state, before = visit.query.text("state"), visit.query.text("before")
    days = upload_days.c
    query = select(upload_days).order_by(days.day.desc()).limit(SHOWN + 1)
    if state in DAY_STATES:
        query = query.where(days.state == state)
    if before:
        query = query.where(days.day < before)
    rows = await visit.office.books("tsp").read(lambda conn: conn.execute(query).all())
    older = rows[SHOWN - 1].day if len(rows) > SHOWN else ""
    facts: dict[str, Any] = {"rows": rows[:SHOWN], "before": before, "older": older}
    states = [("", N_("All")), *((name, mark.text) for name, mark in DAY_STATES.items())]
    return visit.page("days.html", **facts, told={"state": state}, states=states, made=uploads.MADE)


@pages.post("/days/{day}/again", Right.RUN)
async def again(visit: Visit) -> Response:
    """A day goes once more, as it was."""
    office, actor, day = visit.office, visit.person.name, day_of(visit.path["day"])
    if day is None:
        raise Unknown
    title = f"{visit.t(N_('Send this day once more?'))} · {day}"
    text = N_("UnionPay gets the same debits again, and answers again. What it has accepted stays accepted.")
    if (asked := visit.ask(title, text, N_("Send again"))) is not None:
        return asked
    now = office.clock.now()
    if not await office.books("tsp").write(lambda conn: _again(conn, office, day, actor, now)):
        raise Clash(N_("This day was not sent yet."))
    if office.tsp is not None:
        office.tsp.due(uploads.UPLOAD, now)
    return visit.go("/days", "day-again")


def _again(conn: Connection, office: Office, day: date, actor: str, now: datetime) -> bool:
    if not uploads.send_again(conn, day):
        return False
    audit.append(conn, office.clock, actor, "day-sent-again", day.isoformat())
    jobs.order(conn, tables.jobs, uploads.UPLOAD, now)
    return True
