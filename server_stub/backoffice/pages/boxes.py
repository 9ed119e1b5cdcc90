"""Boxes and their subscribers: found by what somebody has in hand, and the operator's word on them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, or_, select
from starlette.responses import Response

from server_stub.backoffice.errors import Unknown, unfit
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.transactions import kinds_of
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.boss import keys, word
from server_stub.boss.tables import box_keys, boxes, orders, products, subscribers, subscriptions
from server_stub.tsp import tables as tsp

SHOWN = 50
PAYMENTS = 20
pages = Pages()
ACTIONS: dict[str, tuple[str, str]] = {
    "suspend": (N_("Suspend"), N_("The box is refused until it is put back in service.")),
    "activate": (N_("Put in service"), N_("The box may be used again.")),
    "stolen": (N_("Report stolen"), N_("The box is refused, and told why.")),
    "revoke": (
        N_("Revoke the key"),
        N_("The key and the activation code end for good; the box has to be registered anew."),
    ),
    "activation": (
        N_("New activation code"),
        N_("The code before it is no longer good. The new one is shown once: tell the subscriber."),
    ),
}
"""What can be said about a box, and what it means."""
DESTROYS = frozenset({"revoke"})
"""Of these, what cannot be had back."""


@pages.get("/boxes", Right.SEE)
async def listed(visit: Visit) -> Response:
    """Boxes whose number, smart card or subscriber has what was searched."""
    wanted, page = visit.query.text("q"), visit.query.number("page")
    state = visit.query.text("state")

    def look(conn: Connection) -> list[Any]:
        query = select(boxes, subscribers.c.name_zh, subscribers.c.name_en, subscribers.c.arrears_fen)
        query = query.join(subscribers, subscribers.c.id == boxes.c.subscriber_id)
        if wanted:
            letters = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            begins = (boxes.c.box_number, boxes.c.smart_card_number)
            said = [column.like(f"{''.join(letters.split())}%", escape="\\") for column in begins]
            names = (subscribers.c.name_zh, func.lower(subscribers.c.name_en))
            said += [column.like(f"%{letters.lower()}%", escape="\\") for column in names]
            query = query.where(or_(*said))
        if state in keys.STATES:
            query = query.where(boxes.c.state == state)
        query = query.order_by(boxes.c.box_number).limit(SHOWN + 1).offset(page * SHOWN)
        return list(conn.execute(query))

    rows = await visit.office.books("boss").read(look)
    facts: dict[str, Any] = {"rows": rows[:SHOWN], "page": page, "more": len(rows) > SHOWN}
    return visit.page("boxes.html", **facts, told={"q": wanted, "state": state})


@pages.get("/boxes/{box}", Right.SEE)
async def one(visit: Visit) -> Response:
    """A box, its subscriber, what they have, and what was paid there."""
    return await _shown(visit, {})


async def _shown(visit: Visit, wrong: Mapping[str, str]) -> Response:
    number = visit.path["box"]

    def look(conn: Connection) -> dict[str, Any]:
        query = select(boxes, subscribers.c.name_zh, subscribers.c.name_en, subscribers.c.arrears_fen)
        query = query.join(subscribers, subscribers.c.id == boxes.c.subscriber_id)
        box = conn.execute(query.where(boxes.c.box_number == number)).one_or_none()
        if box is None:
            raise Unknown
        mine = select(
            subscriptions, products.c.name_zh, products.c.name_en, orders.c.state.label("order_state")
        )
        mine = mine.join(products, products.c.service == subscriptions.c.service)
        mine = mine.outerjoin(orders, orders.c.subscription_id == subscriptions.c.id)
        mine = mine.where(subscriptions.c.subscriber_id == box.subscriber_id)
        others = select(boxes).where(boxes.c.subscriber_id == box.subscriber_id, boxes.c.box_number != number)
        had = (
            select(box_keys).where(box_keys.c.box_number == number).order_by(box_keys.c.registered_at.desc())
        )
        return {
            "box": box,
            "services": conn.execute(mine.order_by(subscriptions.c.valid_until.desc()).limit(SHOWN)).all(),
            "others": conn.execute(others.order_by(boxes.c.box_number)).all(),
            "keys": conn.execute(had).all(),
        }

    def paid(conn: Connection) -> tuple[list[Any], dict[str, str | None]]:
        ordered = tsp.orders.c
        named = (ordered.service.label("service_named"), ordered.term.label("ordered_term"))
        query = select(tsp.payments, ordered.number, *named)
        query = query.join(tsp.orders, tsp.orders.c.id == tsp.payments.c.order_id)
        query = query.where(tsp.payments.c.box_number == number)
        found = list(conn.execute(query.order_by(tsp.payments.c.created_at.desc()).limit(PAYMENTS)))
        return found, kinds_of(conn, [row.id for row in found])

    facts = await visit.office.books("boss").read(look)
    payments: list[Any] | None = None
    kinds: dict[str, str | None] = {}
    if "tsp" in visit.office.databases:
        payments, kinds = await visit.office.books("tsp").read(paid)
    return visit.page(
        "box.html",
        422 if wrong else 200,
        **facts,
        payments=payments,
        kinds=kinds,
        actions=ACTIONS,
        destroys=DESTROYS,
        wrong=wrong,
    )


@pages.post("/boxes/{box}/{action}", Right.BOXES)
async def change(visit: Visit) -> Response:
    """The operator's word on a box."""
    box, action, reason = visit.path["box"], visit.path["action"], visit.form.text("reason", 500)
    if action not in ACTIONS:
        raise Unknown
    if why := unfit(reason):
        return await _shown(visit, {action: visit.t(why)})
    asked = visit.ask(
        f"{visit.t(ACTIONS[action][0])} · {box}",
        ACTIONS[action][1],
        ACTIONS[action][0],
        destroys=action in DESTROYS,
    )
    if asked is not None:
        return asked
    office, actor, code, code_hash = visit.office, visit.person.name, "", ""
    if action == "activation":
        code = word.fresh_code(office.random)
        code_hash = await asyncio.to_thread(keys.activation_hash, box, code)

    def work(conn: Connection) -> bool:
        return word.change(conn, action, box, office.clock, actor, code_hash, reason=reason)

    if not await office.books("boss").write(work):
        raise Unknown
    if code:
        # Shown once, and in no address.
        return visit.page("box_code.html", box=box, code=code)
    return visit.go(f"/boxes/{box}", f"box-{action}")
