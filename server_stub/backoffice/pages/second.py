"""What waits for a second person: confirmed by another one, refused, or withdrawn by who proposed it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from server_stub.backoffice import proposals, tables
from server_stub.backoffice.errors import Impossible, NotAllowed, Unknown, unfit
from server_stub.backoffice.office import Office
from server_stub.backoffice.pages.breaks import KIND as BREAK
from server_stub.backoffice.pairs import pairs
from server_stub.backoffice.recon_words import BREAK_ACTIONS
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import CASE_ACTIONS, N_, yuan
from server_stub.foundation import statements
from server_stub.foundation.card_numbers import hidden
from server_stub.foundation.people import same_person
from server_stub.reconciliation.break_rows import records
from server_stub.tsp.tables import book

pages = Pages()


@pages.get("/proposals", Right.SEE)
async def listed(visit: Visit) -> Response:
    """Those that wait, or the last of all."""
    return await _page(visit, everything=visit.query.text("state") == "all")


async def _page(visit: Visit, *, everything: bool, error: Impossible | None = None) -> Response:
    rows = await visit.office.database.read(lambda conn: proposals.listed(conn, everything=everything))
    told = [
        (
            row,
            proposals.KINDS.get(row.kind),
            facts := json.loads(row.facts),
            action_of(visit, row.kind, facts),
        )
        for row in rows
    ]
    facts = {"everything": everything, "error": visit.worded(error.said) if error else ""}
    now = visit.office.clock.now()
    facts |= {"being_done": [row.id for row in rows if proposals.being_done(row, now)]}
    facts |= {"breaks": await _breaks(visit.office, [row.subject for row in rows if row.kind == BREAK])}
    return visit.page(
        "proposals.html", error.status if error else 200, rows=told, summary=partial(summary, visit), **facts
    )


async def _breaks(office: Office, names: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """What differs, by the name of each difference: its pair and both sides' records; nothing, where the books are not here."""
    if not names or "tsp" not in office.databases:
        return {}

    def look(conn: Connection) -> list[Row[Any]]:
        return list(conn.execute(select(book.breaks).where(book.breaks.c.id.in_(names))))

    found = {}
    for row in await office.books("tsp").read(look):
        here, there = records(row)
        found[row.id] = {"pair": pairs().get(row.pair), "here": here, "there": there}
    return found


def summary(visit: Visit, row: Row[Any]) -> str:
    """What is proposed, of which amount, about what."""
    facts, kind = json.loads(row.facts), proposals.KINDS.get(row.kind)
    what = action_of(visit, row.kind, facts) or visit.t(kind.title if kind else row.kind)
    amount = yuan(facts["amount_fen"]) if "amount_fen" in facts else ""
    return " · ".join(filter(None, (what, amount, facts.get("number", ""))))


def action_of(visit: Visit, kind: str, facts: Mapping[str, Any]) -> str:
    """What is to be done; "" where the kind says it."""
    action = facts.get("action", "")
    named = (BREAK_ACTIONS if kind == BREAK else CASE_ACTIONS).get(action)
    return visit.t(named[0]) if named else action


@pages.post("/proposals/{proposal}/confirm", Right.CONFIRM)
async def confirm(visit: Visit) -> Response:
    """The second person's word: it is done."""
    office, wanted = visit.office, visit.path["proposal"]
    row = await office.database.read(lambda conn: statements.one(conn, tables.proposals, id=wanted))
    if row is None:
        raise Unknown
    if same_person(row.proposed_by, visit.person.name):
        raise NotAllowed(proposals.OWN)
    title, text = N_("Confirm and have it done?"), N_("It is done at once, with both names in the audit log.")
    if (asked := visit.ask(title, text, N_("Confirm"), what=summary(visit, row))) is not None:
        return asked
    try:
        await proposals.confirm(office, wanted, visit.person.name)
    except Impossible as error:
        # With what it was about, which leads to what has become of that.
        return await _page(visit, everything=True, error=error)
    return visit.go(visit.back(), "confirmed")


@pages.get("/proposals/{proposal}/refuse", Right.CONFIRM)
async def refusal(visit: Visit) -> Response:
    """Asks why not: whoever proposed it is to know."""
    return await _refusal(visit)


async def _refusal(visit: Visit, wrong: Mapping[str, str] = MappingProxyType({}), note: str = "") -> Response:
    wanted = visit.path["proposal"]
    row = await visit.office.database.read(lambda conn: statements.one(conn, tables.proposals, id=wanted))
    if row is None:
        raise Unknown
    facts = {"row": row, "summary": summary(visit, row), "wrong": wrong, "note": hidden(note)}
    return visit.page("refusal.html", 422 if wrong else 200, facts=json.loads(row.facts), **facts)


@pages.post("/proposals/{proposal}/refuse", Right.CONFIRM)
async def refuse(visit: Visit) -> Response:
    """The second person's no."""
    note = visit.form.text("note", 500)
    if why := unfit(note):
        return await _refusal(visit, {"note": visit.t(why)}, note)
    await proposals.refuse(visit.office, visit.path["proposal"], visit.person.name, note)
    return visit.go("/proposals", "proposal-refused")


@pages.post("/proposals/{proposal}/withdraw", Right.DECIDE)
async def withdraw(visit: Visit) -> Response:
    """Whoever proposed it thinks otherwise."""
    await proposals.withdraw(visit.office, visit.path["proposal"], visit.person.name)
    return visit.go(visit.back(), "withdrawn")
