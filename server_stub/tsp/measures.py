"""What the TSP's books say at one moment, for those who watch over it (docs/operations.md, Metrics)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from server_stub.tsp import books, machines
from server_stub.tsp.tables import cases, leases, ledger, payments, psam_locks

UNKNOWN = tuple(name for name, shown in machines.PAYMENT_SHOWN.items() if shown.money == "unknown")
HELD = (books.ORDERS, books.DIFFERENCES, books.REFUNDS)
"""The subscriber's money is here, and neither service nor money has gone back to them yet."""
MAYBE = (books.UNKNOWN_CARD, books.UNKNOWN_WALLET)


@dataclass(frozen=True, slots=True)
class Books:
    """What is read.

    Attributes:
        payments: how many, by internal state.
        unknown_since: when the oldest payment began of which nobody knows what became of the money.
        suspense_fen: what is neither ours nor theirs: payments that are unknown or held.
        leased: PSAMs that are leased now.
        locked: names of PSAMs that have locked themselves.
        cases: that are open.
    """

    payments: Mapping[str, int]
    unknown_since: datetime | None
    suspense_fen: int
    leased: int
    locked: frozenset[str]
    cases: int


def look(conn: Connection, now: datetime) -> Books:
    """All of one moment."""
    counted = select(payments.c.state, func.count().label("number")).group_by(payments.c.state)
    unknown = select(func.min(payments.c.created_at)).where(payments.c.state.in_(UNKNOWN))
    stands = ledger.balance_sheet(conn)
    between = sum(stands.get(name, 0) for name in MAYBE) - sum(stands.get(name, 0) for name in HELD)
    leased = select(func.count()).select_from(leases).where(leases.c.expires_at > now)
    waiting = select(func.count()).select_from(cases).where(cases.c.state == "open")
    return Books(
        payments={row.state: row.number for row in conn.execute(counted)},
        unknown_since=conn.execute(unknown).scalar(),
        suspense_fen=between,
        locked=frozenset(conn.scalars(select(psam_locks.c.psam))),
        leased=conn.execute(leased).scalar_one(),
        cases=conn.execute(waiting).scalar_one(),
    )
