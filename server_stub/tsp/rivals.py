"""Other payments for the same service: of all that a household has begun for it, at most one may take money.

A television that was switched off leaves its payment behind: its code can still be paid by whoever has scanned it. Before
another payment for the same service begins, on any box of the subscriber, the older one is settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Row, bindparam, select

from server_stub.foundation import statements
from server_stub.foundation.problems import Money, Problem
from server_stub.foundation.wire import Service
from server_stub.tsp import core, machines, tables
from server_stub.tsp.core import Core
from server_stub.tsp.tables import orders, payments
from server_stub.tsp.wallet import WalletPayments
from server_stub.wallets.provider import WalletUnreachable

HARMLESS = frozenset({"service-refused"})
"""Live, but the money is in and BOSS has said no: nothing more is taken or opened without a person."""
CARD_EXPLAINS = ("mac1-issued",)
"""Only here can the card still say what it did; later its proof is kept and a person has the case."""
_LIVE = (
    select(payments, orders.c.service)
    .join(orders, orders.c.id == payments.c.order_id)
    .where(payments.c.box_number.in_(bindparam("boxes", expanding=True)))
    .where(payments.c.live & (payments.c.order_id != bindparam("order")))
    .order_by(payments.c.created_at, payments.c.id)
)
_HOUSEHOLD = (
    select(tables.boxes.c.box_number)
    .where(tables.boxes.c.box_number.in_(bindparam("boxes", expanding=True)))
    .order_by(tables.boxes.c.box_number)
    # No key is changed: rows that refer to the boxes can be written meanwhile.
    .with_for_update(key_share=True)
)

log = structlog.get_logger(__name__)


def rivals(conn: Connection, boxes: Sequence[str], order: Row[Any]) -> list[Row[Any]]:
    """Payments of other orders of these boxes, for the service of this one, that may still take money or open it."""
    service = _service(order)
    found = conn.execute(_LIVE, {"boxes": list(boxes), "order": order.id})
    return [row for row in found if _service(row) == service and row.state not in HARMLESS]


def refuse_rivals(conn: Connection, boxes: Sequence[str], order: Row[Any], method: str) -> None:
    """Raises Problem ``already-paid`` or ``payment-in-progress`` for a payment that another one stands against.

    A card that may have debited for an earlier payment of the same box is no obstacle yet to another payment by card: the
    same card, once it is put in, explains what it did. ``refuse_card`` asks again when the card is there.

    The household's boxes stay locked: whoever begins for one of them, in whatever process, sees what this begins.
    """
    conn.execute(_HOUSEHOLD, {"boxes": list(boxes)}).all()
    for rival in rivals(conn, boxes, order):
        # With a reason it has explained what it could, and a person finds out.
        may_explain = method == "card" and rival.box_number == order.box_number and rival.reason is None
        if not (may_explain and rival.state in CARD_EXPLAINS):
            raise problem_of(rival, order.box_number)


def refuse_card(conn: Connection, payment: Row[Any]) -> None:
    """The card is here and has explained what it could: a payment that is still unknown was made with another one.

    Raises:
        Problem: ``payment-in-progress``, ``already-paid``.
    """
    order = statements.one(conn, orders, id=payment.order_id)
    assert order is not None
    for rival in rivals(conn, [payment.box_number], order):
        raise problem_of(rival, payment.box_number)


def problem_of(rival: Row[Any], box_number: str, money: Money | None = None) -> Problem:
    """The refusal because of an older payment; it names that one where it is the box's own."""
    known = money or core.money_of(rival)
    code = "already-paid" if known == "taken" else "payment-in-progress"
    facts = {"payment": rival.id} if rival.box_number == box_number else {}
    return Problem(code, money=known, **facts)


class Rivals:
    """Settles what stands against a new payment."""

    def __init__(self, parts: Core, wallets: WalletPayments) -> None:
        self._core = parts
        self._wallets = wallets

    async def settle(self, boxes: Sequence[str], order: Row[Any]) -> None:
        """Ends what an older payment can still be ended; what it was paid meanwhile wins.

        Raises:
            Problem: ``already-paid``; ``payment-in-progress``, money unknown, when its wallet decides nothing.
        """
        for rival in await self._core.database.read(lambda conn: rivals(conn, boxes, order)):
            if rival.state in machines.CARD_PREPARING:
                await self._end_card(rival.id, _why(rival, order))
            elif rival.method != "card" and rival.state != "paid":
                await self._end_wallet(rival, order)

    async def _end_card(self, payment: str, reason: str) -> None:
        def work(conn: Connection) -> None:
            row = core.load_payment(conn, payment)
            if row.state in machines.CARD_PREPARING:
                self._core.move(conn, row, "cancelled", actor="box", reason=reason)

        async with self._core.locks.hold(payment):
            await self._core.change(payment, work)

    async def _end_wallet(self, rival: Row[Any], order: Row[Any]) -> None:
        box_number = order.box_number
        try:
            await self._wallets.settle(rival.id, "cancelled", actor="box", reason=_why(rival, order))
        except WalletUnreachable as error:
            log.warning("wallet-silent", payment=rival.id, error=str(error))
            raise problem_of(rival, box_number, "unknown") from error
        now = await self._core.database.read(lambda conn: core.load_payment(conn, rival.id))
        money = core.money_of(now)
        if money == "taken":
            raise problem_of(now, box_number)
        if now.state in machines.LIVE:
            # It answers, but nothing that ends the payment.
            raise problem_of(now, box_number, "unknown")


def _why(rival: Row[Any], order: Row[Any]) -> str:
    """Why an older payment is cancelled; somebody may be looking at it on another television."""
    return "cancelled" if rival.box_number == order.box_number else "paying-elsewhere"


def _service(order: Row[Any]) -> str:
    return Service.model_validate_json(order.service).service
