"""Rows that are work to be done: each claimed by one process for a while, so that no two do it at once.

A claim is a lease: it ends by itself, so the work of a process that died goes to another. Whoever has worked on
may find that its claim has ended; what it then writes must be right all the same (state checks, row locks).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, String, Table, case, func, or_, select, update

from server_stub.foundation.database import Instant
from server_stub.foundation.statements import Statement


def claim_columns() -> tuple[Column[Any], Column[Any]]:
    """``claimed_by`` and ``claimed_until``, for a table whose rows are work; the table has ``id`` besides."""
    return Column("claimed_by", String), Column("claimed_until", Instant)


def claim(
    conn: Connection,
    due: ColumnElement[bool],
    order: Sequence[Column[Any]],
    limit: int,
    *,
    who: str,
    now: datetime,
    seconds: float,
) -> Sequence[Row[Any]]:
    """Claims rows that are due and nobody else's, in that order; rows that another process is just claiming are
    passed over.

    Args:
        due: which rows of the table are due; says nothing of claims.
        order: columns, all of the table.
        who: this process; a name no other one has.
        seconds: how long the claim lasts.

    Returns:
        the rows as they were before.
    """
    table = order[0].table
    assert isinstance(table, Table)
    free = or_(table.c.claimed_until.is_(None), table.c.claimed_until <= now)
    wanted = select(table).where(due, free).order_by(*order).limit(limit).with_for_update(skip_locked=True)
    rows = conn.execute(wanted).all()
    if rows:
        mine = table.c.id.in_([row.id for row in rows])
        until = now + timedelta(seconds=seconds)
        conn.execute(update(table).where(mine).values(claimed_by=who, claimed_until=until))
    return rows


def next_due(conn: Connection, due_at: Column[Any]) -> datetime | None:
    """When the next row can be claimed: the earliest that is due, or whose claim ends, if that is later.

    Args:
        due_at: the column; NULL in rows that are done.
    """
    row = _earliest(due_at).one_or_none(conn)
    found: datetime | None = None if row is None else row.at
    return found


@cache
def _earliest(due_at: Column[Any]) -> Statement:
    until = due_at.table.c.claimed_until
    ready = case((until > due_at, until), else_=due_at)
    return Statement(select(func.min(ready).label("at")).where(due_at.is_not(None)))
