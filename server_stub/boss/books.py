"""BOSS's books: what a service that was opened has earned, and that the platform owes it (docs/ledger.md)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from server_stub.boss.tables import ledger, products
from server_stub.foundation.ledger import Account, Entry, Journal

PLATFORM = "receivable:platform"
"""What the payment platform owes for services it was paid for; an asset."""
OPENED, CANCELLED = "opened", "cancelled"


def revenue(service: str) -> str:
    """The account of what a service has earned.

    >>> revenue("sports")
    'revenue:sports'
    """
    return f"revenue:{service}"


def open_accounts(conn: Connection) -> None:
    """Opens the accounts of the chart, one for each product of the catalogue among them."""
    services = conn.execute(select(products.c.service).order_by(products.c.service)).scalars().all()
    income = (Account(revenue(service), "income") for service in services)
    ledger.open_accounts(conn, [Account(PLATFORM, "asset"), *income])


def opened(conn: Connection, order: str, service: str, amount_fen: int, at: datetime) -> None:
    """Books that a service was opened for an order, in the transaction that opens it and under the payment's
    correlation id.
    """
    if not amount_fen:
        return  # a reduction of the whole price
    entries = (Entry(PLATFORM, amount_fen), Entry(revenue(service), -amount_fen))
    ledger.post(conn, Journal(OPENED, order, "platform", at, entries))


def cancelled(conn: Connection, order: str, service: str, amount_fen: int, at: datetime) -> None:
    """Books that what an order has opened was taken back: the platform owes nothing for it any more."""
    if amount_fen:
        entries = (Entry(PLATFORM, -amount_fen), Entry(revenue(service), amount_fen))
        ledger.post(conn, Journal(CANCELLED, order, "staff", at, entries))
