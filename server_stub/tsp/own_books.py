"""Our side of what is compared every morning: a business day as this platform's books have it.

With BOSS: what subscribers have paid for services (key: the payment). With PPP: debits of purses by the day of their
upload (key: the payment), sales of debit and credit cards and of electronic cash by the instant that PPP was asked (key:
terminal, batch and STAN).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from server_stub.foundation.calendar import Calendar
from server_stub.reconciliation.records import Record
from server_stub.tsp import machines
from server_stub.tsp.pos import APPROVED
from server_stub.tsp.tables import authorisations, certificates, orders, payments, uploads

CURRENCY = "CNY"
AT_ONCE = 1000
PAID_OPEN = ("paid", "opened")
RETURNED = ("refunding", "refunded")


def with_boss(conn: Connection, day: date, calendar: Calendar) -> Iterator[Record]:
    """What BOSS must have opened for payments of a day, and what it had opened and went back."""
    table = payments.c
    paid = table.state.in_(PAID_OPEN) | (table.state.in_(RETURNED) & table.valid_until.is_not(None))
    within = (table.paid_at >= calendar.begin_of(day)) & (table.paid_at < calendar.end_of(day))
    for row in _rows(conn, _payments().where(within & paid)):
        status = "returned" if row.state in RETURNED else row.state
        yield Record(row.id, row.amount_fen, CURRENCY, status, day, note_of(row))


def with_ppp(conn: Connection, day: date, calendar: Calendar, terminal: str) -> Iterator[Record]:
    """What PPP settles for a day.

    Args:
        terminal: bit 41, under which it was asked.
    """
    purses = _payments().join(uploads, uploads.c.payment_id == payments.c.id)
    for row in _rows(conn, purses.where(uploads.c.day == day.isoformat())):
        yield Record(row.id, row.amount_fen, CURRENCY, "settled", day, note_of(row))
    begin, end = calendar.begin_of(day), calendar.end_of(day)
    ends = ("batch", "stan", "response_code")
    asked = authorisations.c
    sales = _payments().add_columns(*(asked[name] for name in (*ends, "reversal_reason", "reversal_code")))
    sales = sales.join(authorisations, asked.payment_id == payments.c.id)
    for row in _rows(conn, sales.where((asked.asked_at >= begin) & (asked.asked_at < end))):
        status = _sold(row)
        if status is not None:
            slip = f"{terminal}-{row.batch}-{row.stan}"
            yield Record(slip, row.amount_fen, CURRENCY, status, day, note_of(row))
    said = certificates.c
    cash = _payments().add_columns(*(said[name] for name in ends))
    cash = cash.join(certificates, said.payment_id == payments.c.id)
    taken = (said.answered_at >= begin) & (said.answered_at < end) & (said.response_code == APPROVED)
    for row in _rows(conn, cash.where(taken)):
        slip = f"{terminal}-{row.batch}-{row.stan}"
        yield Record(slip, row.amount_fen, CURRENCY, "settled", day, note_of(row))


def note_of(row: Row[Any]) -> str:
    """What people, and the actions on a break, need besides."""
    return json.dumps({"payment": row.id, "number": row.number, "box": row.box_number, "method": row.method})


def _sold(row: Row[Any]) -> str | None:
    """What became of a sale; None of what PPP has never booked."""
    if row.reversal_reason is None:
        if row.response_code == APPROVED and row.state in machines.PAID:
            return "settled"
        return None if row.response_code not in (None, APPROVED) else "unknown"
    if row.reversal_code is None:
        return "unknown"
    return "reversed" if row.reversal_code == APPROVED and row.response_code in (None, APPROVED) else None


def _payments() -> Select[Any]:
    names = ("id", "amount_fen", "state", "method", "box_number")
    query = select(*(payments.c[name] for name in names), orders.c.number)
    return query.join(orders, orders.c.id == payments.c.order_id)


def _rows(conn: Connection, query: Select[Any]) -> Iterator[Row[Any]]:
    return iter(conn.execute(query, execution_options={"yield_per": AT_ONCE}))
