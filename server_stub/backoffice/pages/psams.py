"""The PSAM pool as it is now, and somebody's word that one is not locked any more."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, select
from starlette.responses import Response

from server_stub.backoffice.criteria import Criteria
from server_stub.backoffice.errors import Clash, Unknown, unfit
from server_stub.backoffice.office import Office
from server_stub.backoffice.pages.transactions import WORDS
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.transactions import search
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_, Mark
from server_stub.foundation import statements
from server_stub.tsp import psam_pool
from server_stub.tsp.tables import audit, leases, orders, payments, psam_locks

pages = Pages()
UNLOCKED = "psam-unlock"
SHOWN = 50
STATES = {
    "free": Mark(N_("Free"), "good"),
    "leased": Mark(N_("In use"), "wait"),
    "run-out": Mark(N_("Reservation has run out"), "plain"),
    "locked": Mark(N_("Locked"), "bad"),
    "silent": Mark(N_("Does not answer"), "bad"),
}


class Module(NamedTuple):
    """One PSAM.

    Attributes:
        terminal: its terminal number; "" where this process does not know it.
        since: of its state.
    """

    name: str
    state: str
    terminal: str
    issuer: str
    since: datetime | None
    until: datetime | None
    payment: Any


@pages.get("/psams", Right.SEE)
async def pool(visit: Visit) -> Response:
    """The pool."""
    return visit.page("psams.html", **await _facts(visit.office))


@pages.get("/psams/module", Right.SEE)
async def one(visit: Visit) -> Response:
    """What was done with one: the payments it has counted, and what people did."""
    office, name = visit.office, visit.query.text("psam")
    if not name:
        return visit.go("/psams")
    told = await _facts(office)
    module = next((one for one in told["modules"] if one.name == name), None)
    found = await office.books("tsp").read(partial(search, asked=[Criteria(psam=name)]))
    mine = select(audit.records).where(audit.records.c.subject == name, audit.records.c.action == UNLOCKED)
    by_hand = mine.order_by(audit.records.c.sequence.desc()).limit(SHOWN)
    done = await office.books("tsp").read(lambda conn: conn.execute(by_hand).all())
    if module is None and not found.rows and not done:
        raise Unknown
    facts: dict[str, Any] = {
        "name": name,
        "module": module,
        "found": found,
        "done": done,
        "PSAM_STATES": STATES,
    }
    return visit.page("psam.html", **facts, **WORDS)


@pages.get("/psams/live", Right.SEE, live=True)
async def live(visit: Visit) -> Response:
    """The part that looks again by itself."""
    return visit.page("psams_live.html", **await _facts(visit.office))


@pages.post("/psams/unlock", Right.PSAMS)
async def unlock(visit: Visit) -> Response:
    """Somebody has unlocked one, or changed it."""
    psam, reason = visit.form.text("psam"), visit.form.text("reason", 500)
    if why := unfit(reason):
        facts = await _facts(visit.office)
        places = [f"reason-{place}" for place, one in enumerate(facts["modules"], 1) if one.name == psam]
        return visit.page("psams.html", 422, **facts, wrong=dict.fromkeys(places, visit.t(why)))
    if (
        asked := visit.ask(
            visit.t(N_("Is %(psam)s not locked any more?"), psam=psam),
            N_(
                "The pool uses it again at once. Each wrong proof from then on brings it nearer to locking for good."
            ),
            N_("Use it again"),
        )
    ) is not None:
        return asked
    clock, actor, seen = visit.office.clock, visit.person.name, visit.form.text("seen")

    def work(conn: Connection) -> bool:
        if (lock := _instant(seen)) is None:
            return False
        if psam_pool.unlock(conn, psam, clock, actor, lock, reason=reason):
            return True
        # The same form once more finds it done, unless it has locked itself since.
        if statements.one(conn, psam_locks, psam=psam) is not None:
            return False
        mine = select(audit.records).where(
            audit.records.c.subject == psam, audit.records.c.action == UNLOCKED
        )
        last = conn.execute(mine.order_by(audit.records.c.sequence.desc()).limit(1)).first()
        told = {"locked_at": lock.isoformat(), "reason": reason}
        return last is not None and last.actor == actor and told.items() <= json.loads(last.facts).items()

    if not await visit.office.books("tsp").write(work):
        raise Clash(N_("This PSAM is not noted as locked, or has locked itself again."))
    return visit.go("/psams", "psam-unlocked")


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


async def _facts(office: Office) -> dict[str, Any]:
    units = {} if office.tsp is None else dict(office.tsp.core.psams)
    now, urls = office.clock.now(), office.settings.psam_urls

    def look(conn: Connection) -> list[Module]:
        locked = {row.psam: row.locked_at for row in conn.execute(select(psam_locks))}
        columns = (orders.c.number, payments.c.amount_fen, payments.c.box_number, payments.c.state)
        joined = leases.join(payments, payments.c.id == leases.c.payment_id)
        joined = joined.join(orders, orders.c.id == payments.c.order_id)
        leased = {row.psam: row for row in conn.execute(select(leases, *columns).select_from(joined))}
        modules = []
        for name in dict.fromkeys((*urls, *sorted(locked), *sorted(leased))):
            lease, unit = leased.get(name), units.get(name)
            under_way = lease is not None and lease.expires_at > now
            state = "free" if lease is None else "leased" if under_way else "run-out"
            since = None if lease is None else lease.acquired_at
            if name in locked:
                state, since = "locked", locked[name]
            elif office.tsp is not None and unit is None:
                state, since = "silent", None
            terminal = "" if unit is None else unit.terminal_number.hex().upper()
            issuer = "" if unit is None else unit.issuer_id.hex().upper()
            until = lease.expires_at if lease is not None and under_way else None
            modules.append(Module(name, state, terminal, issuer, since, until, lease))
        return modules

    modules = await office.books("tsp").read(look)
    waiting = None if office.tsp is None else office.tsp.core.psam_queue.waiting
    in_use = sum(module.state == "leased" for module in modules)
    return {"modules": modules, "waiting": waiting, "in_use": in_use, "PSAM_STATES": STATES}
