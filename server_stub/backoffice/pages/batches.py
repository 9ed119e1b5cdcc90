"""Batches of card sales and their totals at UnionPay; a person's word on those that differ."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, select
from starlette.responses import Response

from server_stub.backoffice.errors import Clash, unfit
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.foundation import statements
from server_stub.tsp import housekeeping, settlement
from server_stub.tsp.tables import jobs, settlements

SHOWN = 50
pages = Pages()


@pages.get("/batches", Right.SEE)
async def listed(visit: Visit) -> Response:
    """All batches, the newest first."""
    return await _listed(visit, {})


async def _listed(visit: Visit, wrong: Mapping[str, str]) -> Response:
    page = visit.query.number("page")
    query = select(settlements).order_by(settlements.c.begun_at.desc(), settlements.c.batch.desc())
    query = query.limit(SHOWN + 1).offset(page * SHOWN)
    ordered = select(func.count()).select_from(jobs).where(jobs.c.id == housekeeping.SETTLE)
    books = visit.office.books("tsp")
    rows = await books.read(lambda conn: conn.execute(query).all())
    with_ppp = bool(await books.read(lambda conn: conn.scalar(ordered)))
    facts = {"rows": rows[:SHOWN], "page": page, "more": len(rows) > SHOWN, "with_ppp": with_ppp}
    return visit.page("batches.html", 422 if wrong else 200, **facts, wrong=wrong)


@pages.post("/batches/{batch}", Right.DECIDE)
async def decide(visit: Visit) -> Response:
    """Somebody has found out why the totals differ."""
    batch, terminal = visit.path["batch"], visit.form.text("terminal")
    reason = visit.form.text("reason", 500)
    if why := unfit(reason):
        return await _listed(visit, {f"{terminal}-{batch}": visit.t(why)})
    title, text = N_("Is it known why the batch differs?"), N_("The reason stays with the batch for good.")
    if (asked := visit.ask(title, text, N_("Decide"))) is not None:
        return asked
    actor, clock = visit.person.name, visit.office.clock

    def work(conn: Connection) -> bool:
        if settlement.decide(conn, clock, batch, reason, actor, f"staff:{actor}", terminal):
            return True
        row = statements.one(conn, settlements, terminal=terminal, batch=batch)
        # The same form once more finds it done.
        done = (settlement.DECIDED, reason, actor)
        return row is not None and (row.state, row.reason, row.actor) == done

    if not await visit.office.books("tsp").write(work):
        raise Clash(N_("This batch does not differ, or is decided already."))
    return visit.go("/batches", "batch-decided")


@pages.post("/batches", Right.RUN)
async def settle(visit: Visit) -> Response:
    """The open batch is settled now, not at night."""
    office, actor = visit.office, visit.person.name
    if not await office.books("tsp").write(
        lambda conn: housekeeping.order_settlement(conn, office.clock, actor)
    ):
        raise Clash(N_("No server with a way to UnionPay has run here."))
    if office.tsp is not None and office.tsp.settlement is not None:
        office.tsp.jobs.due(housekeeping.SETTLE, office.clock.now())
    return visit.go("/batches", "settle-ordered")
