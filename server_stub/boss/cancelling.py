"""Staff take back a service that was opened for a payment: it ends at once, its earnings go, and the money is owed back.

BOSS moves no money. The platform hears of it with the file of the day of the opening, however old, and gives back what it has taken (docs/reconciliation.md).
"""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from server_stub.boss import books
from server_stub.boss.tables import audit, changed_days, orders, subscriptions
from server_stub.foundation import card_numbers, statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.sentences import N_, Refusal


class NotCancellable(Refusal):
    """There is nothing of that order to take back; the text says why."""


def cancel(
    conn: Connection, clock: Clock, order: str, *, reason: str, actor: str, second: str | None = None
) -> None:
    """Takes back what an order has opened.

    Args:
        reason: why; it stays in the audit log.
        actor: who does it.
        second: who else has wanted it.

    Raises:
        NotCancellable
    """
    row = statements.one(conn, orders, lock=True, id=order)
    if row is None:
        raise NotCancellable(N_("there is no order %(order)s"), order=order)
    if row.state != "opened":
        said = N_("order %(order)s is %(order_state)s; only what is opened can be taken back")
        raise NotCancellable(said, order=order, order_state=row.state)
    if not reason.strip():
        raise NotCancellable(N_("a reason is wanted"))
    if card_numbers.has_whole(reason):
        raise NotCancellable(card_numbers.WHOLE)
    statements.change(conn, subscriptions, {"cancelled": True}, id=row.subscription_id)
    statements.change(conn, orders, {"state": "cancelled"}, id=order)
    changed_days.note(conn, row.opened_at)
    books.cancelled(conn, order, row.service, row.amount_fen, clock.now())
    facts = {"reason": reason, "second": second, "payment": row.payment, "fen": row.amount_fen}
    audit.append(conn, clock, actor, "order-cancelled", order, **facts)


def cancelled_by(conn: Connection, order: str) -> tuple[str, str | None, str] | None:
    """Who has taken an order back, who else has wanted it, and why; None: nobody has."""
    log = audit.records.c
    mine = select(log.actor, log.facts).where(log.action == "order-cancelled", log.subject == order)
    found = conn.execute(mine).first()
    if found is None:
        return None
    facts = json.loads(found.facts)
    return found.actor, facts.get("second"), facts["reason"]
