"""What the roles do by themselves: when next, what came of it last, and now instead of then."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import Connection, Table, select
from starlette.responses import Response

from server_stub.backoffice.errors import Unknown
from server_stub.backoffice.office import METADATA
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.foundation import jobs
from server_stub.foundation.audit import Audit

pages = Pages()
MEANINGS = {
    "sweep": N_("looks again at payments that wait for something"),
    "books": N_("checks balances against entries"),
    "cases": N_("closes cases whose payment came to its end by itself"),
    "forget-answers": N_("forgets old answers to requests"),
    "loads": N_("looks again at loads of electronic cash"),
    "settle": N_("settles the open batch with UnionPay"),
    "settlements": N_("goes on with batches that are not at their end"),
    "upload": N_("sends the days' debits to UnionPay and reads its answers"),
    "reconcile": N_("compares our days with those of BOSS and UnionPay"),
    "opened": N_("tells the platform what BOSS has opened each day"),
    "details": N_("checks the platform's days and answers them"),
    "settled": N_("tells the platform what was settled each day"),
}
"""What jobs do, by name; one that is not here is shown by its name alone."""


def table_of(role: str) -> Table | None:
    """The jobs of a role; None of one that has none."""
    return METADATA[role].tables.get("jobs")


@pages.get("/jobs", Right.SEE)
async def listed(visit: Visit) -> Response:
    """The jobs of every role."""
    found: dict[str, list[Any]] = {}
    for role in METADATA:
        table = table_of(role)
        if table is not None and role in visit.office.databases:
            found[role] = await visit.office.books(role).read(partial(_rows, table=table))
    return visit.page("jobs.html", found=found, meanings=MEANINGS)


def _rows(conn: Connection, table: Table) -> list[Any]:
    return list(conn.execute(select(table).order_by(table.c.id)))


@pages.post("/jobs/{role}/{job}", Right.RUN)
async def run(visit: Visit) -> Response:
    """One is run now."""
    office, role, job = visit.office, visit.path["role"], visit.path["job"]
    table = table_of(role) if role in METADATA else None
    if table is None:
        raise Unknown
    ordered, now, actor = table, office.clock.now(), visit.person.name

    def work(conn: Connection) -> bool:
        if not jobs.order(conn, ordered, job, now):
            return False
        log: Audit | None = METADATA[role].info.get("audit")
        if log is not None:
            log.append(conn, office.clock, actor, "job-ordered", job)
        return True

    if not await office.books(role).write(work):
        raise Unknown
    if role == "tsp" and office.tsp is not None:
        office.tsp.due(job, now)
    return visit.go("/jobs", "job-ordered")
