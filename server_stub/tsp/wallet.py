"""Paying with a wallet: the code, what the wallet says of it, the end of its time, late money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import structlog
from sqlalchemy import Connection, Row, select

from server_stub.foundation import correlation, states
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.outbox import Acknowledged
from server_stub.foundation.problems import Problem
from server_stub.foundation.text import Text
from server_stub.foundation.wire import Service
from server_stub.tsp import core, machines
from server_stub.tsp.core import Core
from server_stub.tsp.moves import ASK_WALLET
from server_stub.tsp.tables import orders, payments
from server_stub.wallets.provider import NoticeRefused, Purchase, Status, Wallet, WalletUnreachable

LOOK_AGAIN_SECONDS = 60
"""After a code was closed the wallet is asked once more, for money whose notice was lost."""
ASK_AGAIN_SECONDS = 5
"""A wallet that has had another amount is asked first after this time, then with the outbox's pauses."""
ENDED_BY_WALLET = frozenset({"closed", "absent"})

Ending = Literal["expired", "cancelled"]
log = structlog.get_logger(__name__)


TERMS = {
    "per-use": Text(zh="按次", en="Per use"),
    "monthly": Text(zh="包月", en="Monthly"),
    "quarterly": Text(zh="包季", en="Quarterly"),
    "yearly": Text(zh="包年", en="Yearly"),
}


def _subject(order: Row[Any]) -> Text:
    """What is bought, as the phone says it: the service and its term."""
    name = Service.model_validate_json(order.service).name
    term = TERMS.get(order.term)
    return name if term is None else Text(zh=f"{name.zh} · {term.zh}", en=f"{name.en} · {term.en}")


def _ended(row: Row[Any], ending: Ending, reason: str | None) -> tuple[Ending, str]:
    """How a payment that has had no money ends, and why."""
    if row.state == "wallet-silent":
        # It was past its time before anybody could cancel it.
        return "expired", "expired"
    return ending, reason or ending


class WalletPayments:
    """Wallet payments of the boxes."""

    def __init__(self, parts: Core) -> None:
        self._core = parts

    async def show_code(self, row: Row[Any], use: KeyUse) -> Answer:
        """Has the wallet make the code of a payment that was begun.

        Raises:
            Problem: ``wallet-unreachable``; the payment has failed; the order can be paid in another way.
        """
        wallet = self._wallet(row)
        order = await self._core.database.look(
            lambda conn: conn.execute(select(orders).where(orders.c.id == row.order_id)).one()
        )
        # Rounded up: it is for us to end the code, not for the wallet to end it before the countdown does.
        seconds = math.ceil((row.expires_at - self._core.clock.now()).total_seconds())
        subject = _subject(order)
        purchase = Purchase(row.id, row.amount_fen, subject, order.number, max(1, seconds))
        try:
            payload = await wallet.prepare(purchase)
        except WalletUnreachable as error:
            log.warning("wallet-unreachable", payment=row.id, error=str(error))
            await self._core.change(row.id, lambda conn: self._no_code(conn, row.id))
            self._core.sweep_by(order.expires_at)
            raise Problem("wallet-unreachable") from error

        def work(conn: Connection) -> Answer:
            self._core.move(conn, row, "code-shown", actor="box", qr_payload=payload)
            return use.answer(conn, self._core.answer(conn, row.id, 201))

        return await self._core.change(row.id, work)

    async def cancel(self, row: Row[Any]) -> None:
        """Asks the wallet, then closes; leaves the payment ``paid`` when it was paid.

        Raises:
            Problem: ``wallet-unreachable``, money unknown: nothing has changed.
        """
        try:
            await self.settle(row.id, "cancelled", actor="box")
        except WalletUnreachable as error:
            raise Problem("wallet-unreachable", money="unknown") from error

    async def settle(
        self, payment: str, ending: Ending | None, *, actor: str, reason: str | None = None
    ) -> None:
        """Makes of a payment what the wallet says it is; ends it, with an ending, where it was not paid.

        Args:
            reason: why it is ended, where the ending alone does not say.

        Raises:
            WalletUnreachable
        """
        async with self._core.locks.hold(payment):
            row = await self._core.database.look(lambda conn: core.load_payment(conn, payment))
            wallet = self._wallet(row)
            with correlation.under(row.correlation):
                status = await wallet.query(payment)
                if ending is not None and status.state in ("absent", "waiting", "scanned"):
                    _, why = _ended(row, ending, reason)
                    status = await wallet.close(payment, why)
                await self._core.change(
                    payment, lambda conn: self._apply(conn, payment, status, ending, actor, reason)
                )

    async def expire(self, payment: str) -> None:
        """The code's time is over: ask once more, close, end. A wallet that is silent makes it unknown."""
        try:
            await self.settle(payment, "expired", actor="sweep")
        except WalletUnreachable as error:
            log.warning("wallet-silent", payment=payment, error=str(error))
        # Also a wallet that has answered may have said nothing that ends a payment ("waiting", once closed).
        async with self._core.locks.hold(payment):
            await self._core.change(payment, lambda conn: self._silent(conn, payment))

    async def notice(self, key: str, headers: Mapping[str, str], body: bytes) -> None:
        """A wallet says that something has happened; it is asked what. Idempotent.

        Raises:
            Problem: ``not-found``, ``notice-refused``, ``wallet-unreachable`` (it will come again).
        """
        wallet = self._core.wallets.get(key)
        if wallet is None:
            raise Problem("not-found", wallet=key)
        try:
            reference = wallet.verify_notice(headers, body)
        except NoticeRefused as error:
            raise Problem("notice-refused") from error
        mine = select(payments).where((payments.c.id == reference) & (payments.c.method == f"wallet:{key}"))
        if await self._core.database.look(lambda conn: conn.execute(mine).one_or_none()) is None:
            raise Problem("not-found", payment=reference)
        try:
            await self.settle(reference, None, actor="wallet")
        except WalletUnreachable as error:
            raise Problem("wallet-unreachable") from error

    # What the outbox delivers

    async def ask_again(self, payload: dict[str, Any]) -> Acknowledged:
        """Asks again about a payment that was ended, or of which the wallet has decided nothing.

        Raises:
            WalletUnreachable: also when it has decided nothing again: the outbox asks once more, later.
        """
        row = await self._core.database.look(lambda conn: core.load_payment(conn, payload["payment"]))
        ending: Ending | None = "expired" if row.state == "wallet-silent" else None
        await self.settle(row.id, ending, actor="sweep")
        row = await self._core.database.look(lambda conn: core.load_payment(conn, row.id))
        if row.state in machines.WALLET_UNDECIDED:
            raise WalletUnreachable(f"still {row.state}")
        return Acknowledged()

    async def refund(self, payload: dict[str, Any]) -> Acknowledged:
        """Money goes back. Raises WalletUnreachable."""
        payment = payload["payment"]
        row = await self._core.database.look(lambda conn: core.load_payment(conn, payment))
        amount_fen = payload.get("amount_fen", row.amount_fen)
        await self._wallet(row).refund(payment, f"refund-{payment}", amount_fen, row.reason)

        def change(conn: Connection) -> None:
            now_row = core.load_payment(conn, payment)
            if now_row.state == "refunding":
                self._core.move(conn, now_row, "refunded", actor="wallet")

        return Acknowledged(change, lambda: self._core.changes.wake(payment))

    def _apply(
        self, conn: Connection, payment: str, status: Status, ending: Ending | None, actor: str, reason: str | None = None,
    ) -> None:  # fmt: skip
        row = core.load_payment(conn, payment)
        open_ = row.state in (*machines.CODE_OUT, *machines.WALLET_UNDECIDED)
        if status.state == "paid":
            if status.amount_fen != row.amount_fen:
                self._core.case(conn, payment, "amount-differs", paid_fen=status.amount_fen)
            if open_ and status.amount_fen == row.amount_fen:
                self._core.paid(conn, row, actor=actor)
            elif row.state in machines.ENDED_WITHOUT_MONEY:
                self._core.begin_refund(conn, row, status.amount_fen, actor=actor, reason=row.reason)
            elif open_ and row.state != "amount-differs":
                self._core.move(conn, row, "amount-differs", actor=actor, received_fen=status.amount_fen)
                if row.state != "wallet-silent":  # that one is being asked about already
                    self._owe_question(conn, row, ASK_AGAIN_SECONDS)
            elif row.state == "amount-differs" and row.received_fen != status.amount_fen:
                self._core.received(conn, row, status.amount_fen, actor=actor)
        elif row.state == "amount-differs":
            # It has had money for this: whatever else it says now, a person has to look.
            return
        elif status.state == "scanned" and row.state == "code-shown":
            self._core.move(conn, row, "code-opened", actor=actor)
        elif status.state == "declined" and open_:
            self._core.move(conn, row, "failed", actor=actor, reason="declined")
        elif status.state in ENDED_BY_WALLET and open_ and ending is not None:
            ending, why = _ended(row, ending, reason)
            self._core.move(conn, row, ending, actor=actor, reason=why)
            self._owe_question(conn, row, LOOK_AGAIN_SECONDS)

    def _silent(self, conn: Connection, payment: str) -> None:
        row = core.load_payment(conn, payment)
        if row.state in machines.CODE_OUT:
            self._core.move(conn, row, "wallet-silent", actor="sweep")
            self._owe_question(conn, row, 1)

    def _owe_question(self, conn: Connection, row: Row[Any], delay: float) -> None:
        self._core.outbox.put(conn, ASK_WALLET, {"payment": row.id}, delay, of=row.correlation)

    def _no_code(self, conn: Connection, payment: str) -> None:
        """Nobody has seen a code: the payment has failed, and the order is as before."""
        row = core.load_payment(conn, payment)
        now = self._core.clock.now()
        states.move(
            conn,
            machines.WALLET_PAYMENT,
            payment,
            "failed",
            actor="wallet",
            at=now,
            live=False,
            reason="wallet-unreachable",
        )
        states.move(conn, machines.ORDER, row.order_id, "quoted", actor="wallet", at=now)

    def _wallet(self, row: Row[Any]) -> Wallet:
        key = row.method.removeprefix("wallet:")
        if key not in self._core.wallets:
            raise WalletUnreachable(f"{row.method} is not installed")
        return self._core.wallets[key]
