"""Other payments for the same service, or one that excludes it: of all that a household has begun, one may take money.

A television that was switched off leaves its payment behind: its code can still be paid by whoever has scanned it. Before
another payment for the same service begins, on any box of the subscriber, the older one is settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from sqlalchemy import Connection, Row, bindparam, select

from server_stub.foundation import statements
from server_stub.foundation.problems import Money, Problem
from server_stub.foundation.statements import Statement
from server_stub.foundation.wire import Service
from server_stub.tsp import core, machines, tables
from server_stub.tsp.core import Core
from server_stub.tsp.tables import LIVE, OF_PAYMENT, orders, payments
from server_stub.tsp.wallet import WalletPayments
from server_stub.wallets.provider import WalletUnreachable

OF_RIVALS = frozenset({"already-paid", "payment-in-progress", "order-clash"})
"""What a payment is refused with because of another one: it may be settled."""
HARMLESS = frozenset({"service-refused"})
"""Live, but the money is in and BOSS has said no: nothing more is taken or opened without a person."""
CARD_EXPLAINS = ("mac1-issued", "cash-begun")
"""Only here can the card still say what it did; later its proof is kept and a person has the case."""


@cache
def _live(boxes: int) -> Statement:
    """Live payments of so many boxes for other orders than one."""
    return Statement(
        select(*OF_PAYMENT, orders.c.service)
        .join(orders, orders.c.id == payments.c.order_id)
        .where(payments.c.box_number.in_([bindparam(f"box_{place}") for place in range(boxes)]))
        .where(LIVE, payments.c.order_id != bindparam("order"))
        .order_by(payments.c.created_at, payments.c.id)
    )


@cache
def _household(boxes: int) -> Statement:
    """So many boxes."""
    return Statement(
        select(tables.boxes.c.box_number)
        .where(tables.boxes.c.box_number.in_([bindparam(f"box_{place}") for place in range(boxes)]))
        .order_by(tables.boxes.c.box_number)
        # No key is changed: rows that refer to the boxes can be written meanwhile.
        .with_for_update(key_share=True)
    )


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reach:
    """What another payment has to be for, to stand against one.

    Attributes:
        boxes: all of the subscriber, in order.
        services: what is paid for, and the services that nobody can have together with it.
    """

    boxes: tuple[str, ...]
    services: frozenset[str]

    @classmethod
    def of(cls, order: Row[Any], boxes: Iterable[str] = (), excludes: Iterable[str] = ()) -> Reach:
        """That of a payment for this order, on its own box and these."""
        return cls(
            tuple(sorted({order.box_number, *boxes})), frozenset({service_of(order).service, *excludes})
        )


def rivals(conn: Connection, reach: Reach, order: Row[Any]) -> list[Row[Any]]:
    """Payments of other orders within reach of this one that may still take money or open what they are for."""
    return _within(reach, _others(conn, reach, order))


def _others(conn: Connection, reach: Reach, order: Row[Any]) -> Sequence[Row[Any]]:
    return _live(len(reach.boxes)).all(conn, {**_named(reach.boxes), "order": order.id})


def _within(reach: Reach, others: Iterable[Row[Any]]) -> list[Row[Any]]:
    return [row for row in others if service_of(row).service in reach.services and row.state not in HARMLESS]


def refuse_rivals(conn: Connection, reach: Reach, order: Row[Any], method: str) -> None:
    """Raises Problem ``already-paid``, ``payment-in-progress`` or ``order-clash`` for a payment that another one stands against.

    A card that may have debited for an earlier payment of the same box is no obstacle yet to another payment by card: the
    same card, once it is put in, explains what it did. ``refuse_card`` asks again when the card is there.

    The household's boxes stay locked: whoever begins for one of them, in whatever process, sees what this begins.
    """
    _household(len(reach.boxes)).all(conn, _named(reach.boxes))
    for rival in rivals(conn, reach, order):
        # With a reason it has explained what it could, and a person finds out.
        may_explain = method == "card" and rival.box_number == order.box_number and rival.reason is None
        if not (may_explain and rival.state in CARD_EXPLAINS and _same_service(rival, order)):
            raise problem_of(rival, order)


def refuse_card(conn: Connection, payment: Row[Any]) -> list[str]:
    """The card is here and has explained what it could: a payment that is still unknown was made with another one.

    Returns:
        the box's other payments, for whatever, whose card has been checked. Its row stays locked: there will be no more.

    Raises:
        Problem: ``payment-in-progress``, ``already-paid``.
    """
    order = statements.one(conn, orders, id=payment.order_id)
    assert order is not None
    reach = Reach.of(order)
    _household(len(reach.boxes)).all(conn, _named(reach.boxes))
    others = _others(conn, reach, order)
    for rival in _within(reach, others):
        raise problem_of(rival, order)
    return [row.id for row in others if row.state == "card-checked"]


def problem_of(rival: Row[Any], order: Row[Any], money: Money | None = None) -> Problem:
    """The refusal because of an older payment; it names that one where it is the box's own, or the service it is for."""
    if not _same_service(rival, order):
        return Problem(
            "order-clash", service=service_of(order).service, clashes_with=service_of(rival).name.model_dump()
        )
    known = money or core.money_of(rival)
    code = "already-paid" if known == "taken" else "payment-in-progress"
    facts = {"payment": rival.id} if rival.box_number == order.box_number else {}
    return Problem(code, money=known, **facts)


class Rivals:
    """Settles what stands against a new payment."""

    def __init__(self, parts: Core, wallets: WalletPayments) -> None:
        self._core = parts
        self._wallets = wallets

    async def settle(self, reach: Reach, order: Row[Any]) -> None:
        """Ends what an older payment can still be ended; what it was paid meanwhile wins.

        Raises:
            Problem: ``already-paid``; ``payment-in-progress``, money unknown, when its wallet decides nothing;
                ``order-clash`` for either, where it is for a service that excludes this one.
        """
        for rival in await self._core.database.look(lambda conn: rivals(conn, reach, order)):
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
        try:
            await self._wallets.settle(rival.id, "cancelled", actor="box", reason=_why(rival, order))
        except WalletUnreachable as error:
            log.warning("wallet-silent", payment=rival.id, error=str(error))
            raise problem_of(rival, order, "unknown") from error
        now = await self._core.database.look(lambda conn: core.load_payment(conn, rival.id))
        money = core.money_of(now)
        if money == "taken":
            raise problem_of(rival, order, money)
        if now.state in machines.LIVE:
            # It answers, but nothing that ends the payment.
            raise problem_of(rival, order, "unknown")


def _named(boxes: Sequence[str]) -> dict[str, str]:
    return {f"box_{place}": box for place, box in enumerate(boxes)}


def _why(rival: Row[Any], order: Row[Any]) -> str:
    """Why an older payment is cancelled; somebody may be looking at it on another television."""
    return "cancelled" if rival.box_number == order.box_number else "paying-elsewhere"


def service_of(order: Row[Any]) -> Service:
    """What an order is for, as it was when it was made."""
    return Service.model_validate_json(order.service)


def _same_service(rival: Row[Any], order: Row[Any]) -> bool:
    return service_of(rival).service == service_of(order).service
