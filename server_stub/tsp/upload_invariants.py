"""What must be true of the days that PPP was told of; reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, case, func, select

from server_stub.foundation.money import yuan
from server_stub.foundation.purse_details import ACCEPTED, DETAILS
from server_stub.tsp import books, machines
from server_stub.tsp.tables import ledger, payments, refused_uploads, upload_days, uploads


def uploads_fit(conn: Connection, *_: object) -> list[str]:
    """Each day has the debits that it says, each of them once and of a payment that was paid; what PPP has accepted is booked."""
    accepted = uploads.c.code == ACCEPTED
    fen = payments.c.amount_fen
    query = select(
        uploads.c.day,
        func.count().label("count"),
        func.sum(fen).label("fen"),
        func.count(case((accepted, 1))).label("accepted_count"),
        func.coalesce(func.sum(case((accepted, fen))), 0).label("accepted_fen"),
        func.count(case((~accepted, 1))).label("refused_count"),
    ).join(payments, payments.c.id == uploads.c.payment_id)
    held = {
        row.day: row for row in conn.execute(query.where(uploads.c.day.is_not(None)).group_by(uploads.c.day))
    }
    again = _presented_again(conn)
    booked = {
        reference.removeprefix(f"{DETAILS} "): standing.get(books.SETTLED, 0)
        for reference, standing in _settled(conn)
    }
    said = []
    for day in conn.execute(select(upload_days).order_by(upload_days.c.day)):
        said += _day(day, held.get(day.day), again.get(day.day, (0, 0)), booked.pop(day.day, 0))
    said += [
        f"{yuan(fen)} yuan are booked as settled of {day}, which was never made"
        for day, fen in booked.items()
    ]
    strange = select(uploads.c.payment_id, payments.c.state)
    strange = strange.join(payments, payments.c.id == uploads.c.payment_id)
    unpaid = payments.c.state.not_in(machines.PAID) | (payments.c.method != "card")
    return said + [
        f"payment {row.payment_id} is {row.state}, and was uploaded"
        for row in conn.execute(strange.where(unpaid))
    ]


def _presented_again(conn: Connection) -> dict[str, tuple[int, int]]:
    """Of each day, how many of its debits were presented again with a later one, and their amount in fen."""
    before = refused_uploads.c
    query = select(before.day, func.count(), func.sum(payments.c.amount_fen))
    query = query.join(payments, payments.c.id == before.payment_id).group_by(before.day)
    return {day: (count, int(fen)) for day, count, fen in conn.execute(query)}


def _day(day: Row[Any], held: Row[Any] | None, again: tuple[int, int], booked: int) -> list[str]:
    count, fen = again
    if held is not None:
        count, fen = count + held._mapping["count"], fen + int(held.fen)
    said = []
    if (day._mapping["count"], day.fen) != (count, fen):
        said.append(
            f"day {day.day} says {day.count} debits of {yuan(day.fen)} yuan; it has {count} of {yuan(fen)}"
        )
    if booked != (day.accepted_fen or 0):
        said.append(
            f"PPP has accepted {yuan(day.accepted_fen or 0)} yuan of {day.day}; booked are {yuan(booked)}"
        )
    if day.accepted_fen is not None and held is not None and int(held.accepted_fen) != day.accepted_fen:
        said.append(
            f"day {day.day} says that {yuan(day.accepted_fen)} yuan were accepted;"
            f" its debits say {yuan(int(held.accepted_fen))}"
        )
    return said


def _settled(conn: Connection) -> list[tuple[str, Mapping[str, int]]]:
    journals = (
        select(ledger.journals.c.reference).where(ledger.journals.c.kind == books.SETTLEMENT).distinct()
    )
    return [(reference, ledger.standing(conn, reference)) for reference in conn.scalars(journals)]
