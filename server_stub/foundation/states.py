"""State machines: legal moves as data, and one locked transition that refuses and records the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Boolean, Column, Connection, MetaData, Row, String, Table

from server_stub.foundation import correlation, statements
from server_stub.foundation.database import Database, Instant, Whole

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Machine:
    """The legal moves of one kind of row.

    Args:
        name: what is being moved, for the record.
        table: has the columns ``id``, ``state`` and ``version``; perhaps ``correlation``, for a move that nobody
            asks for.
        moves: from each state, those it may go to.
        history: the table made by ``moves_table``.
    """

    name: str
    table: Table
    moves: Mapping[str, frozenset[str]]
    history: Table


class Moved(NamedTuple):
    """What a move was made from, and the row's version after it."""

    origin: str
    version: int


class IllegalMove(Exception):
    """The table of legal moves does not have this one; nothing was changed."""

    def __init__(
        self, machine: Machine, row: str, origin: str, target: str, actor: str, at: datetime
    ) -> None:
        super().__init__(f"{machine.name} {row}: {origin} -> {target} by {actor}")
        self.machine = machine
        self.row = row
        self.origin = origin
        self.target = target
        self.actor = actor
        self.at = at


def moves_table(metadata: MetaData) -> Table:
    """The record of every move, and of every one that was refused."""
    return Table(
        "state_moves",
        metadata,
        Column("id", Whole, primary_key=True, autoincrement=True),
        Column("machine", String, nullable=False),
        Column("row", String, nullable=False, index=True),
        Column("origin", String, nullable=False),
        Column("target", String, nullable=False),
        Column("actor", String, nullable=False),
        Column("at", Instant, nullable=False),
        Column("legal", Boolean, nullable=False),
        correlation.column(),
    )


def move(
    conn: Connection,
    machine: Machine,
    row: str,
    target: str,
    *,
    actor: str,
    at: datetime,
    seen: Row[Any] | None = None,
    **values: Any,
) -> Moved:
    """Moves a row to another state, with the row locked, and records it.

    Args:
        row: its id.
        seen: the row as the caller has read it; if it is still like that, it is not read again.
        actor: who moves it: ``box``, ``wallet``, ``sweep``, ``boss`` ...
        values: columns that change with it.

    Returns:
        the state it was in, and its version now.

    Raises:
        IllegalMove: the table of moves does not have it.
    """
    now = seen
    while True:
        if now is None:
            now = statements.one(conn, machine.table, lock=True, id=row)
        if now is None:
            raise LookupError(f"{machine.name} {row}")
        legal = target in machine.moves.get(now.state, frozenset())
        if not legal and now is not seen:
            raise IllegalMove(machine, row, now.state, target, actor, at)
        new = {"state": target, "version": now.version + 1, **values}
        if legal and statements.change(conn, machine.table, new, id=row, version=now.version):
            break
        now = None  # others have moved it since it was seen
    of = None if correlation.current() else getattr(now, "correlation", None)
    with correlation.under(of):
        _record(conn, machine, row, now.state, target, actor, at, legal=True)
    return Moved(now.state, now.version + 1)


async def write(database: Database, work: Callable[[Connection], T]) -> T:
    """``database.write`` that keeps a record of a refused move: the work itself has left nothing by then."""
    try:
        return await database.write(work)
    except IllegalMove as refused:
        await database.write(partial(_record_refusal, refused=refused))
        raise


def _record_refusal(conn: Connection, refused: IllegalMove) -> None:
    _record(
        conn,
        refused.machine,
        refused.row,
        refused.origin,
        refused.target,
        refused.actor,
        refused.at,
        legal=False,
    )


def _record(
    conn: Connection,
    machine: Machine,
    row: str,
    origin: str,
    target: str,
    actor: str,
    at: datetime,
    *,
    legal: bool,
) -> None:
    values = {"machine": machine.name, "row": row, "origin": origin, "target": target}
    statements.insert(conn, machine.history, {**values, "actor": actor, "at": at, "legal": legal})
