"""Limits on how often something may be done: token buckets as rows, so that all processes count together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Float, MetaData, String, Table

from server_stub.foundation import statements
from server_stub.foundation.database import Instant
from server_stub.foundation.problems import Problem


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
    row = statements.one(conn, table, lock=True, name=name)
    if row is not None:
        tokens = min(limit.amount, _now(row.tokens, row.at, limit, now) + 1)
        statements.change(conn, table, {"tokens": tokens, "at": max(now, row.at)}, name=name)


def _now(tokens: float, at: datetime, limit: Limit, now: datetime) -> float:
    # A clock that was set back fills nothing and empties nothing.
    passed = max(0.0, (now - at).total_seconds())
    return min(float(limit.amount), tokens + passed * limit.amount / limit.seconds)
