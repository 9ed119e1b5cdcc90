"""A service that was opened is taken back, above the limit by a proposal that another one confirms: it ends at once, and the
money follows with the night's reconciliation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from server_stub.backoffice import proposals
from server_stub.backoffice.errors import Clash, Impossible, Unknown, unfit
from server_stub.backoffice.office import Office
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.boss import cancelling
from server_stub.boss.tables import boxes, orders, products, subscribers, subscriptions

KIND = "take-back"
OPENED = "opened"
pages = Pages()


@pages.get("/boxes/{box}/services/{subscription}", Right.DECIDE)
async def one(visit: Visit) -> Response:
    """What would be taken back, and what comes of that."""
    return await _shown(visit, await _find(visit))


async def _shown(
    visit: Visit, service: Row[Any], wrong: Mapping[str, str] = MappingProxyType({})
) -> Response:
    office = visit.office
    said = await office.database.read(lambda conn: proposals.about(conn, KIND, service.order_id))
    told: dict[str, Any] = {"waiting": said[:1] if said and said[0].state in proposals.WAITS else []}
    told |= {"service": service, "second": above(office, service), "wrong": wrong}
    return visit.page("take_back.html", 422 if wrong else 200, **told)


@pages.post("/boxes/{box}/services/{subscription}", Right.DECIDE)
async def take_back(visit: Visit) -> Response:
    """Takes it back, or proposes that above the limit."""
    office, actor, service = visit.office, visit.person.name, await _find(visit)
    reason = visit.form.text("reason", 500)
    if service.order_state != OPENED:
        told = await office.books("boss").read(lambda conn: cancelling.cancelled_by(conn, service.order_id))
        if told == (actor, None, reason):
            return visit.go(f"/boxes/{visit.path['box']}", "taken-back")
        raise Clash(N_("Only what is open can be taken back."))
    if why := unfit(reason):
        return await _shown(visit, service, {"reason": visit.t(why)})
    if above(office, service):
        facts = {"reason": reason, "amount_fen": service.amount_fen, "number": service.box_number}
        await proposals.propose(office, KIND, service.order_id, actor, facts)
        return visit.go(f"/boxes/{visit.path['box']}/services/{service.id}", "proposed")
    title = N_("Take this service back?")
    text = N_("It ends at once. The money follows with the night's reconciliation.")
    if (asked := visit.ask(title, text, N_("Take back"), destroys=True)) is not None:
        return asked
    try:
        await _take_back(office, service.order_id, reason, actor, None)
    except proposals.CannotBeDone as refused:
        raise Impossible(refused.said) from refused
    return visit.go(f"/boxes/{visit.path['box']}", "taken-back")


def above(office: Office, service: Row[Any]) -> bool:
    """Whether a second person is wanted."""
    return bool(service.amount_fen >= office.settings.case_second_fen)


async def _take_back(office: Office, order: str, reason: str, actor: str, second: str | None) -> str | None:
    """Returns the second person it is done with, as other decisions do. Raises CannotBeDone."""

    def work(conn: Connection) -> str | None:
        try:
            cancelling.cancel(conn, office.clock, order, reason=reason, actor=actor, second=second)
        except cancelling.NotCancellable:
            by, earlier, why = cancelling.cancelled_by(conn, order) or ("", None, "")
            if (by, earlier, why) == (actor, second, reason):
                return second
            if second is None or earlier is None or by != actor:
                raise
            return earlier
        return second

    try:
        return await office.books("boss").write(work)
    except cancelling.NotCancellable as refused:
        raise proposals.CannotBeDone(refused.said) from refused


async def _confirmed(office: Office, proposal: Row[Any], facts: Mapping[str, Any], second: str) -> str:
    told = (facts["reason"], proposal.proposed_by, second)
    return await _take_back(office, proposal.subject, *told) or second


async def _find(visit: Visit) -> Row[Any]:
    """Raises Unknown."""
    number, name = visit.path["box"], visit.path["subscription"]
    query = select(
        subscriptions,
        orders.c.id.label("order_id"),
        orders.c.state.label("order_state"),
        orders.c.amount_fen,
        orders.c.payment,
        boxes.c.box_number,
        *(products.c[one].label(f"service_{one}") for one in ("name_zh", "name_en")),
        *(subscribers.c[one] for one in ("name_zh", "name_en")),
    )
    query = query.join(orders, orders.c.subscription_id == subscriptions.c.id)
    query = query.join(products, products.c.service == subscriptions.c.service)
    query = query.join(subscribers, subscribers.c.id == subscriptions.c.subscriber_id)
    query = query.join(boxes, boxes.c.subscriber_id == subscribers.c.id)
    mine = query.where((boxes.c.box_number == number) & (subscriptions.c.id == name))
    row = await visit.office.books("boss").read(lambda conn: conn.execute(mine).first())
    if row is None:
        raise Unknown
    return row


proposals.KINDS[KIND] = proposals.Kind(N_("Take a service back"), "/transactions?order={subject}", _confirmed)
