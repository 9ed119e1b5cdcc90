"""Payments: begun, watched, cancelled, told to BOSS, ended by time."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Connection, Row, bindparam, func, select, union_all

from server_stub.foundation import statements, states
from server_stub.foundation.clock import wait_for
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.outbox import Acknowledged
from server_stub.foundation.problems import Problem
from server_stub.foundation.statements import Statement
from server_stub.foundation.wire import Service
from server_stub.tsp import core, machines, models
from server_stub.tsp.card import refuse_box
from server_stub.tsp.card_proofs import CardProofs
from server_stub.tsp.core import Core
from server_stub.tsp.online_card import OnlineCards
from server_stub.tsp.orders import Orders
from server_stub.tsp.rivals import OF_RIVALS, Reach, Rivals, refuse_rivals, service_of
from server_stub.tsp.tables import LIVE, orders, payments
from server_stub.tsp.wallet import WalletPayments

SWEPT = {
    "card": machines.CARD_PREPARING,
    "wallet": machines.CODE_OUT,
    "waiting": tuple(machines.WATCHED),
}
BATCH = 50
LOOK_AGAIN = timedelta(seconds=0.2)
"""How often a long poll looks whether another process has changed the payment."""
_LIVE = Statement(select(payments).where(payments.c.order_id == bindparam("order"), LIVE))

log = structlog.get_logger(__name__)


class SweepFault(Exception):
    """Something could not be swept, for a reason nobody thought of; all else was."""


class Payments:
    """What is common to all ways to pay."""

    def __init__(
        self, parts: Core, all_orders: Orders, wallets: WalletPayments, proofs: CardProofs, online: OnlineCards
    ) -> None:  # fmt: skip
        self._online = online
        self._core = parts
        self._orders = all_orders
        self._wallets = wallets
        self._proofs = proofs
        self._rivals = Rivals(parts, wallets)

    async def begin(self, box_number: str, order: str, method: str, use: KeyUse) -> Answer:
        """Begins to pay an order; a wallet's code is made at once.

        Raises:
            Problem: ``order-expired``, ``order-closed``, ``payment-in-progress``, ``already-paid``,
                ``method-not-offered``, ``wallet-unreachable``, ``not-found``; BOSS's refusal or
                ``boss-unreachable``.
        """
        identity = self._core.ids.row()

        def look(conn: Connection) -> tuple[Row[Any], bool]:
            use.recall(conn)
            row = core.find_order(conn, box_number, order)
            begun = self._begun(conn, row, use) is not None
            if not begun:
                self._refuse(row, method)
            return row, begun

        quoted, already = await self._core.database.look(look)
        reach = Reach.of(quoted) if already else await self._orders.may_pay(quoted)

        def work(conn: Connection) -> tuple[Row[Any] | None, Answer | None]:
            use.claim(conn)
            row = core.find_order(conn, box_number, order)
            begun = self._begun(conn, row, use)
            if begun is not None:
                return begun, None
            self._refuse(row, method)
            if method == "card":
                refuse_box(conn, self._core, box_number)
            refuse_rivals(conn, reach, row, method)
            self._insert(conn, row, identity, method, use)
            if method == "card":
                return None, use.answer(conn, self._core.answer(conn, identity, 201))
            return core.load_payment(conn, identity), None

        # Two boxes of one household that begin at the same moment do so one after the other.
        async with self._core.locks.hold(f"household {reach.boxes[0]}"):
            try:
                payment, answer = await self._core.change(identity, work)
            except Problem as problem:
                if already or problem.code not in OF_RIVALS:
                    raise
                await self._rivals.settle(reach, quoted)
                payment, answer = await self._core.change(identity, work)
        self._core.sweep_by(quoted.expires_at if payment is None else payment.expires_at)
        if answer is None:
            assert payment is not None
            answer = await self._wallets.show_code(payment, use)
        return answer

    async def watch(self, box_number: str, payment: str, after: int, seconds: float) -> models.Payment:
        """The payment, once its version is greater than ``after``; at the latest after that many seconds."""
        clock = self._core.clock
        deadline = clock.now() + timedelta(seconds=seconds)
        while True:
            with self._core.changes.watch(payment) as changed:
                view = await self._core.database.look(lambda conn: self._view(conn, box_number, payment))
                if view.version > after or clock.now() >= deadline or self._core.changes.closed:
                    return view
                until = deadline
                if self._core.database.shared:  # another process wakes nobody here
                    until = min(deadline, clock.now() + LOOK_AGAIN)
                await wait_for(clock, changed, until)

    async def cancel(self, box_number: str, payment: str, reason: str, use: KeyUse) -> Answer:
        """Cancels what is not paid and cannot be any more.

        Args:
            reason: why a payment by card has come to nothing; a code always ends as ``cancelled``.

        Raises:
            Problem: ``payment-not-cancellable``, ``wallet-unreachable``.
        """

        def find(conn: Connection) -> Row[Any]:
            use.recall(conn)
            return core.find_payment(conn, box_number, payment)

        row = await self._core.database.look(find)
        if row.method == "card":
            async with self._core.locks.hold(payment):
                return await self._core.change(
                    payment, lambda conn: self._cancel_card(conn, payment, reason, use)
                )
        if row.state not in ("code-shown", "code-opened"):
            raise Problem("payment-not-cancellable", money=core.money_of(row))
        await self._wallets.cancel(row)

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            return use.answer(conn, self._core.answer(conn, payment))

        return await self._core.change(payment, work)

    async def open_service(self, payload: dict[str, Any]) -> Acknowledged:
        """Tells BOSS of a payment until BOSS has answered. Raises Problem ``boss-unreachable``."""
        identity = payload["payment"]
        payment, order = await self._core.database.look(lambda conn: _with_order(conn, identity))
        body = {
            "payment": identity,
            "amount_fen": payment.amount_fen,
            "method": payment.method,
            "paid_at": payment.paid_at.isoformat(),
        }
        path = f"orders/{order.id}/opening"
        # BOSS answers a key it knows as before: who wants another answer than that asks with another.
        key = payload.get("key", identity)
        try:
            answer = await self._core.boss.post(payment.box_number, path, body, key)
        except Problem as problem:
            if problem.code == "boss-unreachable":
                raise
            code = problem.code
            return self._acknowledged(identity, lambda conn: self._service_refused(conn, identity, code))
        service = Service.model_validate(answer["service"])
        valid_until = datetime.fromisoformat(answer["valid_until"])
        return self._acknowledged(
            identity, lambda conn: self._service_opened(conn, identity, service, valid_until)
        )

    async def sweep(self) -> str:
        """Ends what has run out of time, and looks at what waits; says how much that was."""
        now = self._core.clock.now()
        due = await self._core.database.read(lambda conn: _due(conn, now))
        steps = [partial(self._end_card, payment) for payment in due.cards]
        steps += [partial(self._wallets.expire, payment) for payment in due.wallets]
        steps += [partial(self._end_order, order) for order in due.orders]
        steps += [partial(self._look, payment) for payment in due.waiting]
        failed: list[str] = []
        for step in steps:
            try:
                await step()
            except Problem as problem:
                # It has moved on in the meantime; that never stops the others.
                log.warning("not-swept", row=step.args[0], code=problem.code)
            except Exception:
                # Nor does one that nobody thought of; but it is due again at once, and must not be tried at once.
                log.exception("sweep-fault", row=step.args[0])
                failed.append(str(step.args[0]))
        if failed:
            raise SweepFault(f"{len(failed)} of {len(steps)} not swept, {failed[0]} first")
        return f"{len(steps)} swept"

    def _begun(self, conn: Connection, order: Row[Any], use: KeyUse) -> Row[Any] | None:
        """A payment this very request began before the server stopped; another live one is refused."""
        payment = _LIVE.one_or_none(conn, {"order": order.id})
        if payment is None:
            return None
        if payment.created_key == use.key and payment.state == "code-wanted":
            return payment
        raise Problem("payment-in-progress", money=core.money_of(payment), payment=payment.id)

    def _refuse(self, order: Row[Any], method: str) -> None:
        if order.state in ("completed", "closed", "paying"):
            raise Problem("order-closed", state=machines.ORDER_SHOWN[order.state])
        if order.state == "expired" or order.expires_at <= self._core.clock.now():
            raise Problem("order-expired")
        wallet = self._core.wallets.get(method.removeprefix("wallet:"))
        if method != "card" and (wallet is None or wallet.refusal(order.amount_fen) is not None):
            raise Problem("method-not-offered", method=method)

    def _insert(self, conn: Connection, order: Row[Any], identity: str, method: str, use: KeyUse) -> None:
        now = self._core.clock.now()
        until = now + timedelta(seconds=self._core.settings.qr_seconds)
        values = {
            "id": identity,
            "order_id": order.id,
            "box_number": order.box_number,
            "service": service_of(order).service,
            "term": order.term,
            "method": method,
            "amount_fen": order.amount_fen,
            "state": "created" if method == "card" else "code-wanted",
            "created_key": use.key,
            "created_at": now,
            "expires_at": order.expires_at if method == "card" else until,
        }
        statements.insert(conn, payments, values)
        states.move(conn, machines.ORDER, order.id, "paying", actor="box", at=now, seen=order)

    def _view(self, conn: Connection, box_number: str, payment: str) -> models.Payment:
        core.find_payment(conn, box_number, payment)
        return self._core.view(conn, payment)

    def _cancel_card(self, conn: Connection, payment: str, reason: str, use: KeyUse) -> Answer:
        use.claim(conn)
        row = core.load_payment(conn, payment)
        if row.state not in machines.CARD_PREPARING:
            raise Problem("payment-not-cancellable", money=core.money_of(row))
        self._core.move(conn, row, "cancelled", actor="box", reason=reason)
        return use.answer(conn, self._core.answer(conn, payment))

    async def _end_card(self, payment: str) -> None:
        async with self._core.locks.hold(payment):
            await self._core.change(payment, lambda conn: self._expire_card(conn, payment))

    async def _end_order(self, order: str) -> None:
        await self._core.change(order, lambda conn: self._orders.expire(conn, order))

    async def _look(self, payment: str) -> None:
        """A payment waits: what can be done without anybody is done; after its schedule it is a case."""
        now = self._core.clock.now()

        def look(conn: Connection) -> None:
            row = core.load_payment(conn, payment)
            if row.state in machines.WATCHED and row.expires_at <= now:
                kind = self._core.look(conn, row)
                if kind is not None:
                    log.error("case-open", payment=payment, kind=kind, state=row.state)

        # The next look is on the disk before anything is tried: what fails here is not tried at once again.
        async with self._core.locks.hold(payment):
            await self._core.database.write(look)
        await self._proofs.complete_kept(payment)
        await self._online.give_up(payment)

    def _expire_card(self, conn: Connection, payment: str) -> None:
        row = core.load_payment(conn, payment)
        if row.state in machines.CARD_PREPARING:
            self._core.move(conn, row, "expired", actor="sweep", reason="expired")

    def _acknowledged(self, payment: str, change: Any) -> Acknowledged:
        return Acknowledged(change, lambda: self._core.changes.wake(payment))

    def _service_opened(
        self, conn: Connection, payment: str, service: Service, valid_until: datetime
    ) -> None:
        row = core.load_payment(conn, payment)
        self._core.move(conn, row, "opened", actor="boss", valid_until=valid_until)
        text, now = service.model_dump_json(by_alias=True), self._core.clock.now()
        states.move(conn, machines.ORDER, row.order_id, "completed", actor="boss", at=now, service=text)

    def _service_refused(self, conn: Connection, payment: str, code: str) -> None:
        """BOSS has said a final no after the money was in: a wallet's goes back, a card's is for a person."""
        row = core.load_payment(conn, payment)
        log.error("service-not-opened", payment=payment, code=code)
        reason = "service-not-opened"
        self._core.case(conn, payment, reason, code=code)
        if row.method == "card":
            self._core.move(conn, row, "service-refused", actor="boss", reason=reason)
            return
        self._core.close_order(conn, row, actor="boss")
        self._core.begin_refund(conn, row, row.amount_fen, actor="boss", reason=reason)


class _Due(NamedTuple):
    """Ids of what has run out of time."""

    cards: list[str]
    wallets: list[str]
    orders: list[str]
    waiting: list[str]


def _with_order(conn: Connection, payment: str) -> tuple[Row[Any], Row[Any]]:
    row = core.load_payment(conn, payment)
    order = statements.one(conn, orders, id=row.order_id)
    assert order is not None
    return row, order


def _due(conn: Connection, now: datetime) -> _Due:
    def over(kind: str) -> list[str]:
        condition = payments.c.state.in_(SWEPT[kind]) & (payments.c.expires_at <= now)
        return list(conn.execute(select(payments.c.id).where(condition).limit(BATCH)).scalars())

    quoted = (orders.c.state == "quoted") & (orders.c.expires_at <= now)
    old = list(conn.execute(select(orders.c.id).where(quoted).limit(BATCH)).scalars())
    return _Due(over("card"), over("wallet"), old, over("waiting"))


def next_due(conn: Connection) -> datetime | None:
    """When the next thing runs out of time."""
    # One look into the index for each state.
    firsts = [
        select(func.min(payments.c.expires_at).label("at")).where(payments.c.state == state)
        for states_ in SWEPT.values()
        for state in states_
    ]
    firsts.append(select(func.min(orders.c.expires_at).label("at")).where(orders.c.state == "quoted"))
    every = union_all(*firsts).subquery()
    found: datetime | None = conn.execute(select(func.min(every.c.at))).scalar()
    return found
