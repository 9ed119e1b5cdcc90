"""Limits on how often something may be done: token buckets as rows, so that all processes count together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    MetaData,
    String,
    Table,
    bindparam,
    case,
    type_coerce,
    update,
)

from server_stub.foundation import statements
from server_stub.foundation.database import Instant
from server_stub.foundation.problems import Problem
from server_stub.foundation.statements import Statement


@dataclass(frozen=True, slots=True)
class Limit:
    """So many at once, and as many again in each period of seconds."""

    amount: int
    seconds: float


def rates_table(metadata: MetaData) -> Table:
    """One bucket a row; a bucket that has no row is full."""
    return Table(
        "rate_buckets",
        metadata,
        Column("name", String, primary_key=True),
        Column("tokens", Float, nullable=False),
        Column("at", Instant, nullable=False),
    )


def take(conn: Connection, table: Table, name: str, limit: Limit, now: datetime) -> None:
    """Takes one from a bucket, or refuses.

    Raises:
        Problem: ``too-many-requests``, with ``retry_after_seconds`` until there is one again.
    """
    if _change(table, -1).run(conn, _values(name, limit, now)):
        return
    if statements.insert_once(conn, table, {"name": name, "tokens": limit.amount - 1, "at": now}):
        return
    row = statements.one(conn, table, lock=True, name=name)
    assert row is not None
    tokens, at = spent(row.tokens, row.at, limit, now)
    statements.change(conn, table, {"tokens": tokens, "at": at}, name=name)


def spent(tokens: float, at: datetime, limit: Limit, now: datetime) -> tuple[float, datetime]:
    """What a bucket has after one was taken, and the instant that belongs to it.

    Raises:
        Problem: ``too-many-requests``, as ``take``.
    """
    there = _now(tokens, at, limit, now)
    if there < 1:
        wait = (1 - there) * limit.seconds / limit.amount
        raise Problem("too-many-requests", retry_after_seconds=math.ceil(wait))
    return there - 1, max(now, at)


def give_back(conn: Connection, table: Table, name: str, limit: Limit, now: datetime) -> None:
    """What was taken turned out not to count."""
    _change(table, 1).run(conn, _values(name, limit, now))


@cache
def _change(table: Table, tokens: int) -> Statement:
    """Puts so many into a bucket that has room for them or takes what is there, as ``spent`` does, in one statement."""
    now, amount = bindparam("now", type_=table.c.at.type), bindparam("amount", type_=Float)
    later = case((now > table.c.at, now), else_=table.c.at)
    passed = type_coerce(later, BigInteger) - type_coerce(table.c.at, BigInteger)  # microseconds
    filled = table.c.tokens + passed * bindparam("rate", type_=Float)
    there = case((filled > amount, amount), else_=filled) + tokens
    named = (table.c.name == bindparam("bucket")) & (there >= 0)
    new = case((there > amount, amount), else_=there)
    return Statement(update(table).where(named).values(tokens=new, at=later))


def _values(name: str, limit: Limit, now: datetime) -> dict[str, Any]:
    rate = limit.amount / limit.seconds / 1_000_000
    return {"bucket": name, "now": now, "amount": float(limit.amount), "rate": rate}


def _now(tokens: float, at: datetime, limit: Limit, now: datetime) -> float:
    # A clock that was set back fills nothing and empties nothing.
    passed = max(0.0, (now - at).total_seconds())
    return min(float(limit.amount), tokens + passed * limit.amount / limit.seconds)
