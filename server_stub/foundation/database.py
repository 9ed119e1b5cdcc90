"""The contract of a role's database, and the types of columns that read alike in every one.

SQLite (``foundation.sqlite``) for one process, PostgreSQL (``foundation.postgresql``) for any number.

DatabaseFault                 what a database cannot do now; nobody's request is at fault
├── NoConnection              no transaction could be had or ended in time; nothing of it is kept
└── OutcomeUnknown            the connection was lost while it committed: all of it is kept, or nothing
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy import BigInteger, Connection, Dialect, Integer
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from server_stub.foundation.clock import CHINA

log = structlog.get_logger(__name__)
T = TypeVar("T")
Prepare = Callable[[Connection], object]
"""Brings the tables to what this program works with, inside one transaction that nobody else's can overlap."""

Whole = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bits. SQLite's have them under either name; here it is the one that stood first, and that numbers rows."""
Fen = Whole
"""An amount."""


class DatabaseFault(Exception):
    """The root; its text has no values of ours."""


class NoConnection(DatabaseFault):
    """The database did not answer, or did nothing but collide, for as long as anybody waits."""


class OutcomeUnknown(DatabaseFault):
    """The answer to a commit was lost. It is not run again: whoever asked must look, or use the same key again."""


def outage(error: BaseException) -> str | None:
    """What is wrong with the database itself (it is away, its disk is full), as one line; None where it is something else."""
    if isinstance(error, DBAPIError):
        # SQLite's primary result code is the low byte; PostgreSQL's classes: insufficient resources, system error.
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        state = getattr(error.orig, "sqlstate", None) or ""
        if code not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) and state[:2] not in ("53", "58"):
            return None
        return " ".join(str(error.orig).split())
    return " ".join(str(error).split()) if isinstance(error, DatabaseFault) else None


@contextmanager
def left_for_later(what: str) -> Iterator[None]:
    """Around what a stop does last: where the database is away, or its disk full, it is logged and left undone."""
    try:
        yield
    except (DatabaseFault, SQLAlchemyError) as error:
        if (said := outage(error)) is None:
            raise
        log.error("database-away", left=what, error=said)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970: sorts and compares alike in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else round(value.timestamp() * 1_000_000)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value / 1_000_000, CHINA)


class Readable(Protocol):
    """One role's tables for whoever only looks at them."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` on a connection that cannot write: it sees what is committed, all of one moment.

        Row locks that its statements ask for are not taken.
        """
        ...

    def close(self) -> None:
        """Ends what was handed in and lets go of the database. Nothing may be handed in afterwards."""
        ...


class Database(Readable, Protocol):
    """One role's tables.

    ``work`` is synchronous, gets a connection inside a transaction, and may be run more than once (after a
    collision with another transaction, only the last run is kept): it has no effect but through the connection.
    """

    committed: Callable[[int, float], None]
    """Told of every commit: how many transactions were in it, and how many seconds it took."""

    @property
    def shared(self) -> bool:
        """Whether other processes may be at the same tables."""
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` in a transaction; returns when it is on the disk.

        Raises:
            whatever ``work`` raises; then nothing of it is kept. DatabaseFault.
        """
        ...

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Like ``write``, from a thread without an event loop."""
        ...

    def load(self, work: Callable[[Connection], T]) -> T:
        """Like ``submit``, for what a role begins with. Raises CannotStart, as when the disk is full; it is closed then."""
        ...

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Like ``read``, for a few rows that an index finds: nobody else may be kept waiting by it."""
        ...

    async def probe(self) -> None:
        """Asks about nothing; after a write that found no room on the disk, writes about nothing. Raises as ``read``,
        ``write``.
        """
        ...


def outcome(work: Callable[[Connection], T], conn: Connection) -> T:
    """What a work comes to. Its StopIteration is a fault like any other: a future cannot carry one, and whoever waits for that
    future would wait for ever (asyncio.Future.set_exception; PEP 479 says the same of generators).
    """
    try:
        return work(conn)
    except StopIteration as error:
        raise RuntimeError("the work has raised StopIteration") from error


def untold(transactions: int, seconds: float) -> None:
    """For a database whose commits nobody counts."""
