"""Statements on single rows, by table and names of columns, each built once.

To build a statement costs more than to run it, and every request runs dozens.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Insert,
    Row,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    select,
    update,
)
from sqlalchemy import insert as insert_statement


def insert(conn: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Inserts a row; columns that are not named have their defaults."""
    conn.execute(_insert(table), values)


def one(conn: Connection, table: Table, *, lock: bool = False, **key: Any) -> Row[Any] | None:
    """The row whose columns have these values (not NULL), or None.

    Args:
        lock: for update.

    Raises:
        sqlalchemy.exc.MultipleResultsFound
    """
    found: Row[Any] | None = conn.execute(_select(table, tuple(key), lock), key).one_or_none()
    return found


def change(conn: Connection, table: Table, values: Mapping[str, Any], **key: Any) -> int:
    """Changes the rows whose columns have these values (not NULL); returns how many."""
    given = {f"new_{name}": value for name, value in values.items()}
    given |= {f"old_{name}": value for name, value in key.items()}
    result: CursorResult[Any] = conn.execute(_update(table, tuple(values), tuple(key)), given)
    return result.rowcount


@cache
def _insert(table: Table) -> Insert:
    return insert_statement(table)


@cache
def _select(table: Table, key: tuple[str, ...], lock: bool) -> Select[Any]:
    found = select(table).where(and_(*(table.c[name] == bindparam(name) for name in key)))
    return found.with_for_update() if lock else found


@cache
def _update(table: Table, names: tuple[str, ...], key: tuple[str, ...]) -> Update:
    mine = and_(*(table.c[name] == bindparam(f"old_{name}") for name in key))
    return update(table).where(mine).values({name: bindparam(f"new_{name}") for name in names})
