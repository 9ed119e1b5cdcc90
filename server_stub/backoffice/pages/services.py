"""A service that was opened is taken back: it ends at once, and the money follows with the night's reconciliation."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from server_stub.backoffice.errors import REASON_WANTED, Clash, Impossible, Unknown
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.boss import cancelling
from server_stub.boss.tables import boxes, orders, products, subscribers, subscriptions

OPENED = "opened"
pages = Pages()


@pages.get("/boxes/{box}/services/{subscription}", Right.DECIDE)
async def one(visit: Visit) -> Response:
    """What would be taken back, and what comes of that."""
    return visit.page("take_back.html", service=await _find(visit))


@pages.post("/boxes/{box}/services/{subscription}", Right.DECIDE)
async def take_back(visit: Visit) -> Response:
    """Takes it back."""
    office, actor, service = visit.office, visit.person.name, await _find(visit)
    reason = visit.form.text("reason", 500)
    if service.order_state != OPENED:
        raise Clash(N_("Only what is open can be taken back."))
    if not reason:
        return visit.page("take_back.html", 422, service=service, wrong={"reason": visit.t(REASON_WANTED)})
    title = N_("Take this service back?")
    text = N_("It ends at once. The money follows with the night's reconciliation.")
    if (asked := visit.ask(title, text, N_("Take back"), destroys=True)) is not None:
        return asked

    def work(conn: Connection) -> None:
        cancelling.cancel(conn, office.clock, service.order_id, reason=reason, actor=actor)

    try:
        await office.books("boss").write(work)
    except cancelling.NotCancellable as refused:
        raise Impossible(refused.said) from refused
    return visit.go(f"/boxes/{visit.path['box']}", "taken-back")


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
