"""What waits for a second person: confirmed by another one, refused, or withdrawn by who proposed it."""

from __future__ import annotations

import json

from starlette.responses import Response

from server_stub.backoffice import proposals
from server_stub.backoffice.errors import Impossible
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_

pages = Pages()


@pages.get("/proposals", Right.SEE)
async def listed(visit: Visit) -> Response:
    """Those that wait, or the last of all."""
    return await _page(visit, everything=visit.query.text("state") == "all")


async def _page(visit: Visit, *, everything: bool, error: Impossible | None = None) -> Response:
    rows = await visit.office.database.read(lambda conn: proposals.listed(conn, everything=everything))
    told = [(row, proposals.KINDS.get(row.kind), json.loads(row.facts)) for row in rows]
    facts = {"everything": everything, "error": visit.worded(error.said) if error else ""}
    return visit.page("proposals.html", error.status if error else 200, rows=told, **facts)


@pages.post("/proposals/{proposal}/confirm", Right.CONFIRM)
async def confirm(visit: Visit) -> Response:
    """The second person's word: it is done."""
    title, text = N_("Confirm and have it done?"), N_("It is done at once, with both names in the audit log.")
    if (asked := visit.ask(title, text, N_("Confirm"))) is not None:
        return asked
    try:
        await proposals.confirm(visit.office, visit.path["proposal"], visit.person.name)
    except Impossible as error:
        # With what it was about, which leads to what has become of that.
        return await _page(visit, everything=True, error=error)
    return visit.go(visit.back(), "confirmed")


@pages.post("/proposals/{proposal}/refuse", Right.CONFIRM)
async def refuse(visit: Visit) -> Response:
    """The second person's no."""
    note = visit.form.text("note", 500)
    await proposals.refuse(visit.office, visit.path["proposal"], visit.person.name, note)
    return visit.go(visit.back(), "proposal-refused")


@pages.post("/proposals/{proposal}/withdraw", Right.DECIDE)
async def withdraw(visit: Visit) -> Response:
    """Whoever proposed it thinks otherwise."""
    await proposals.withdraw(visit.office, visit.path["proposal"], visit.person.name)
    return visit.go(visit.back(), "withdrawn")
