"""What can be done about a difference with BOSS or PPP, by a rule or a person (docs/reconciliation.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row

from server_stub.foundation import states
from server_stub.foundation.sentences import N_
from server_stub.reconciliation.actions import ALWAYS, CLOSE, Action, DecisionRefused
from server_stub.reconciliation.break_rows import BreakRow
from server_stub.reconciliation.records import Cls
from server_stub.tsp import core, machines, uploads
from server_stub.tsp.moves import REFUND, REVERSE, Moves
from server_stub.tsp.reopening import REOPEN
from server_stub.tsp.tables import authorisations

BOSS, PPP = "boss", uploads.PAIR
"""The pairs."""
SERVICE_CANCELLED = "service-cancelled"
"""The reason of a payment that goes back because BOSS has taken the service back."""


def facts_of(row: BreakRow) -> dict[str, Any]:
    """What our record says of its payment: ``payment``, ``number``, ``box``, ``method``; nothing where there is none."""
    if row.here is None:
        return {}
    note = json.loads(row.here)["note"]
    facts: dict[str, Any] = json.loads(note) if note else {}
    return facts


MOVED_ON = N_("payment %(payment)s is %(state)s now")


class Remedies:
    """The actions on breaks of both pairs.

    Args:
        moves: what moves payments.
    """

    def __init__(self, moves: Moves) -> None:
        self._moves = moves

    def actions(self, pair: str) -> Mapping[str, Action]:
        """By name."""
        if pair == BOSS:
            return {
                "open": Action(_has(Cls.MISSING_THERE, Cls.STATUS), self._open),
                "refund": Action(_taken_back("wallet:"), self._refund, ends=True),
                "returned-by-hand": Action(_taken_back("card"), self._returned, ends=True),
                # What is closed is not compared again when our books come to know: nobody would give the money back.
                CLOSE: replace(ALWAYS[CLOSE], fits=lambda row: not unheard(row)),
            }
        return {
            "present-again": Action(_has(Cls.STATUS), self._present_again),
            "reverse": Action(_has(Cls.REVERSED), self._reverse),
        }

    def _open(self, conn: Connection, row: BreakRow, actor: str) -> None:
        payment = self._payment(conn, row)
        if payment.state not in ("paid", "opened"):
            raise DecisionRefused(MOVED_ON, payment=payment.id, state=payment.state)
        owed = {"payment": payment.id, "break": row.id}
        self._moves.outbox.put(conn, REOPEN, owed, of=payment.correlation)

    def _refund(self, conn: Connection, row: BreakRow, actor: str) -> None:
        payment = self._opened(conn, row)
        self._moves.move(conn, payment, "refunding", actor=actor, reason=SERVICE_CANCELLED)
        self._close_order(conn, payment, actor)
        owed = {"payment": payment.id, "amount_fen": payment.received_fen}
        self._moves.outbox.put(conn, REFUND, owed, of=payment.correlation)

    def _returned(self, conn: Connection, row: BreakRow, actor: str) -> None:
        payment = self._opened(conn, row)
        self._moves.move(conn, payment, "refunded", actor=actor, reason=SERVICE_CANCELLED)
        self._close_order(conn, payment, actor)

    def _present_again(self, conn: Connection, row: BreakRow, actor: str) -> None:
        if not uploads.present_again(conn, row.key):
            raise DecisionRefused(N_("%(key)s is no debit of a purse that PPP has refused"), key=row.key)

    def _reverse(self, conn: Connection, row: BreakRow, actor: str) -> None:
        payment = self._payment(conn, row)
        mine = authorisations.c.payment_id == payment.id
        kept = conn.execute(authorisations.select().where(mine)).one_or_none()
        if kept is None or kept.reversal_reason is None or payment.state in machines.PAID:
            said = N_("payment %(payment)s is %(state)s, and was not reversed here")
            raise DecisionRefused(said, payment=payment.id, state=payment.state)
        self._moves.outbox.put(conn, REVERSE, {"payment": payment.id}, of=payment.correlation)

    def _opened(self, conn: Connection, row: BreakRow) -> Row[Any]:
        payment = self._payment(conn, row)
        if payment.state != "opened":
            raise DecisionRefused(MOVED_ON, payment=payment.id, state=payment.state)
        return payment

    def _payment(self, conn: Connection, row: BreakRow) -> Row[Any]:
        """The payment of a break's record, locked."""
        name = facts_of(row).get("payment")
        if name is None:
            raise DecisionRefused(N_("nothing of it is in our books"))
        return core.load_payment(conn, name)

    def _close_order(self, conn: Connection, payment: Row[Any], actor: str) -> None:
        now = self._moves.clock.now()
        states.move(conn, machines.ORDER, payment.order_id, "closed", actor=actor, at=now)


def unheard(row: BreakRow) -> bool:
    """Whether BOSS has taken a service back of which our books did not know, when they were compared, that it was ever opened. Until they
    know, and the day is compared once more, nothing can go back.
    """
    return row.pair == BOSS and row.cls == Cls.REVERSED and _status(row) == "paid"


def _status(row: BreakRow) -> str:
    """What our record says; it is there."""
    status: str = json.loads(row.here)["status"]
    return status


def _has(*classes: Cls) -> Callable[[BreakRow], bool]:
    """Of one of these classes, and of a payment of ours."""
    return lambda row: row.cls in classes and bool(facts_of(row))


def _taken_back(method: str) -> Callable[[BreakRow], bool]:
    """BOSS has taken the service back, and here it stands paid, in a way that begins so."""

    def fits(row: BreakRow) -> bool:
        if row.cls != Cls.REVERSED:
            return False
        paid_by: str = facts_of(row)["method"]
        return _status(row) == "opened" and paid_by.startswith(method)

    return fits
