"""Our side of what is compared every morning: a business day as this platform's books have it.

With BOSS: what subscribers have paid for services (key: the payment). With PPP: debits of purses by the day of their
upload (key: the payment), sales of debit and credit cards and of electronic cash by the instant that PPP was asked (key:
terminal, batch and STAN).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, func, select, tuple_

from server_stub.foundation.calendar import Calendar
from server_stub.reconciliation.records import Record
from server_stub.tsp import machines
from server_stub.tsp.pos import APPROVED
from server_stub.tsp.tables import (
    authorisations,
    certificates,
    files,
    orders,
    payments,
    refused_uploads,
    uploads,
)

CURRENCY = "CNY"
AT_ONCE = 1000
PAID_OPEN = ("paid", "opened")
RETURNED = ("refunding", "refunded")
_REFUSED_ON = (
    select(func.max(refused_uploads.c.day))
    .where(refused_uploads.c.payment_id == uploads.c.payment_id)
    .correlate(uploads)
    .scalar_subquery()
)
_DAY = func.coalesce(uploads.c.day, _REFUSED_ON)
"""Of a debit's upload: until one that is presented again goes, it is of the day that it was refused with."""


def first_day(conn: Connection, calendar: Calendar) -> date | None:
    """The day of the first payment that was begun; None: there was none yet."""
    first = conn.scalar(select(payments.c.created_at).order_by(payments.c.id).limit(1))
    return None if first is None else calendar.day_of(first)


def earliest(conn: Connection, partner: str, calendar: Calendar) -> date | None:
    """The first day of which there is a payment here, or a file of a partner's; None where there is neither yet."""
    first = first_day(conn, calendar)
    told = conn.scalar(select(func.min(files.files.c.day)).where(files.files.c.partner == partner))
    days = [] if first is None else [first]
    return min(days + ([] if told is None else [date.fromisoformat(told)]), default=None)


class OwnBook(Protocol):
    """Our side of a pair."""

    def of_day(self, conn: Connection, day: date) -> Iterator[Record]:
        """Everything of a day."""
        ...

    def of_keys(self, conn: Connection, keys: Sequence[str]) -> Iterator[Record]:
        """The records of these keys as they are now, of whatever day; a few hundred keys at most."""
        ...


@dataclass(frozen=True, slots=True)
class WithBoss:
    """What BOSS must have opened for payments, and what it had opened and went back."""

    calendar: Calendar

    def of_day(self, conn: Connection, day: date) -> Iterator[Record]:
        """By the instant that it was paid."""
        table = payments.c
        paid = table.state.in_(PAID_OPEN) | (table.state.in_(RETURNED) & table.valid_until.is_not(None))
        return self._records(conn, paid & _within(table.paid_at, self.calendar, day))

    def of_keys(self, conn: Connection, keys: Sequence[str]) -> Iterator[Record]:
        """Also what went back before it was opened: BOSS may open it yet."""
        paid = payments.c.state.in_(PAID_OPEN + RETURNED) & payments.c.paid_at.is_not(None)
        return self._records(conn, paid & payments.c.id.in_(keys))

    def _records(self, conn: Connection, mine: ColumnElement[bool]) -> Iterator[Record]:
        for row in _rows(conn, _payments().where(mine)):
            status = "returned" if row.state in RETURNED else row.state
            day = self.calendar.day_of(row.paid_at)
            yield Record(row.id, row.amount_fen, CURRENCY, status, day, note_of(row))


@dataclass(frozen=True, slots=True)
class WithPpp:
    """What PPP settles.

    Args:
        terminal: bit 41, under which it was asked.
    """

    calendar: Calendar
    terminal: str

    def of_day(self, conn: Connection, day: date) -> Iterator[Record]:
        """Debits of purses by the day of their upload, others by the instant that PPP was asked."""
        said = day.isoformat()
        waits = uploads.c.day.is_(None) & (said == _REFUSED_ON)
        yield from self._purses(conn, (uploads.c.day == said) | waits)
        yield from self._sales(conn, _within(authorisations.c.asked_at, self.calendar, day))
        yield from self._cash(conn, _within(certificates.c.answered_at, self.calendar, day))

    def of_keys(self, conn: Connection, keys: Sequence[str]) -> Iterator[Record]:
        slips = [place for place in map(self._place, keys) if place is not None]
        yield from self._purses(conn, _DAY.is_not(None) & uploads.c.payment_id.in_(keys))
        for table, found in ((authorisations, self._sales), (certificates, self._cash)):
            yield from found(conn, tuple_(table.c.batch, table.c.stan).in_(slips))

    def _place(self, key: str) -> tuple[str, str] | None:
        """Batch and STAN of a slip's key."""
        terminal, _, place = key.partition("-")
        batch, _, stan = place.partition("-")
        return (batch, stan) if stan and terminal == self.terminal else None

    def _purses(self, conn: Connection, mine: ColumnElement[bool]) -> Iterator[Record]:
        purses = _payments().join(uploads, uploads.c.payment_id == payments.c.id)
        for row in _rows(conn, purses.add_columns(_DAY.label("day")).where(mine)):
            yield Record(
                row.id, row.amount_fen, CURRENCY, "settled", date.fromisoformat(row.day), note_of(row)
            )

    def _sales(self, conn: Connection, mine: ColumnElement[bool]) -> Iterator[Record]:
        names = ("batch", "stan", "response_code", "reversal_reason", "reversal_code", "asked_at")
        sales = _payments().add_columns(*(authorisations.c[name] for name in names))
        sales = sales.join(authorisations, authorisations.c.payment_id == payments.c.id)
        for row in _rows(conn, sales.where(mine)):
            if (status := _sold(row)) is not None:
                yield self._slip(row, status, row.asked_at)

    def _cash(self, conn: Connection, mine: ColumnElement[bool]) -> Iterator[Record]:
        said = certificates.c
        cash = _payments().add_columns(*(said[name] for name in ("batch", "stan", "answered_at")))
        cash = cash.join(certificates, said.payment_id == payments.c.id)
        for row in _rows(conn, cash.where(mine & (said.response_code == APPROVED))):
            yield self._slip(row, "settled", row.answered_at)

    def _slip(self, row: Row[Any], status: str, at: datetime) -> Record:
        key, day = f"{self.terminal}-{row.batch}-{row.stan}", self.calendar.day_of(at)
        return Record(key, row.amount_fen, CURRENCY, status, day, note_of(row))


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


def _within(column: Column[datetime], calendar: Calendar, day: date) -> ColumnElement[bool]:
    return (column >= calendar.begin_of(day)) & (column < calendar.end_of(day))


def _payments() -> Select[Any]:
    names = ("id", "amount_fen", "state", "method", "box_number", "paid_at")
    query = select(*(payments.c[name] for name in names), orders.c.number)
    return query.join(orders, orders.c.id == payments.c.order_id)


def _rows(conn: Connection, query: Select[Any]) -> Iterator[Row[Any]]:
    return iter(conn.execute(query, execution_options={"yield_per": AT_ONCE}))
