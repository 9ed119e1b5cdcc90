"""What must be true of BOSS's tables at any moment, each told as what is wrong; reads only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, func, select

from server_stub.boss import books
from server_stub.boss.tables import audit, ledger, orders, subscriptions

Check = Callable[[Connection], list[str]]


def invariants(conn: Connection) -> list[str]:
    """Everything that is wrong; nothing in a BOSS that works."""
    return [f"{name}: {said}" for name, check in CHECKS.items() for said in check(conn)]


def _books(conn: Connection) -> list[str]:
    return ledger.faults(conn)


def _revenue(conn: Connection) -> list[str]:
    """Each order that was opened, and no other, has earned what was paid for it."""
    entries, journals = ledger.entries.c, ledger.journals.c
    joined = orders.outerjoin(
        ledger.journals.join(ledger.entries, entries.journal == journals.id),
        (journals.reference == orders.c.id) & (entries.account == books.PLATFORM),
    )
    booked = func.coalesce(func.sum(entries.amount_fen), 0)
    query = select(orders.c.id, orders.c.state, orders.c.amount_fen, booked.label("fen")).select_from(joined)
    said = []
    for row in conn.execute(query.group_by(orders.c.id, orders.c.state, orders.c.amount_fen)):
        wanted = row.amount_fen if row.state == "opened" else 0
        if row.fen != wanted:
            said.append(f"order {row.id} is {row.state}; booked are {row.fen} fen, not {wanted}")
    known = select(orders.c.id)
    strange = select(journals.reference).where(journals.reference.not_in(known)).distinct()
    said += [f"journals are booked for {name}, which is no order" for name in conn.scalars(strange)]
    return said


def _opened(conn: Connection) -> list[str]:
    """Each order that was opened has its payment and its subscription, and that is of no other order."""
    joined = orders.outerjoin(subscriptions, subscriptions.c.id == orders.c.subscription_id)
    query = select(orders, subscriptions.c.paid_fen, subscriptions.c.service.label("given")).select_from(
        joined
    )
    said = [
        f"order {row.id} of {row.service} for {row.amount_fen} fen has opened {row.given} for {row.paid_fen} fen"
        for row in conn.execute(query.where(orders.c.state == "opened"))
        if (row.given, row.paid_fen) != (row.service, row.amount_fen) or row.payment is None
    ]
    twice = select(orders.c.subscription_id).where(orders.c.subscription_id.is_not(None))
    twice = twice.group_by(orders.c.subscription_id).having(func.count() > 1)
    return said + [f"subscription {name} belongs to several orders" for name in conn.scalars(twice)]


def _audit(conn: Connection) -> list[str]:
    fault = audit.verify(conn).fault
    return [] if fault is None else [fault]


CHECKS: Mapping[str, Check] = {
    "books balance": _books,
    "revenue is what was opened": _revenue,
    "what is opened has its subscription": _opened,
    "audit log is whole": _audit,
}
"""By name, in the order they are shown."""
