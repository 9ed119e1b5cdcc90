"""Statements that every request runs dozens of: each built and compiled once, and then given to the driver as it is.

To build a statement costs more than to run it, and so does the library's way from a compiled one to the driver and
back. What it does on that way that matters here is done here: columns' defaults and types, the beginning of a
transaction, its errors. Whatever runs seldom goes through the library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Dialect,
    Insert,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    select,
    update,
)
from sqlalchemy import insert as insert_statement
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.result import result_tuple
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

Convert = Callable[[Any], Any]
Values = Mapping[str, Any]
NO_VALUES: Values = {}


class Statement:
    """A statement with values to be named, compiled once for each kind of database.

    Args:
        made: has no lists of values whose length is known only later.
        names: of an insert, the columns that are given; of other statements, nothing.
    """

    def __init__(self, made: Select[Any] | UpdateBase, names: Sequence[str] | None = None) -> None:
        self._made = made
        self._names = None if names is None else list(names)
        self._compiled: dict[tuple[str, object], _Compiled] = {}

    def all(self, conn: Connection, values: Values = NO_VALUES) -> Sequence[Row[Any]]:
        """The rows that are found."""
        compiled = self._on(conn)
        return compiled.rows(_run(conn, compiled, values))

    def one_or_none(self, conn: Connection, values: Values = NO_VALUES) -> Row[Any] | None:
        """The row that is found, or None. There is no other one: a key or a limit sees to that."""
        compiled = self._on(conn)
        found = compiled.rows(_run(conn, compiled, values), 2)
        assert len(found) < 2
        return found[0] if found else None

    def run(self, conn: Connection, values: Values = NO_VALUES) -> int:
        """Returns how many rows were changed."""
        return int(_run(conn, self._on(conn), values).rowcount)

    def run_all(self, conn: Connection, values: Sequence[Values]) -> int:
        """The same with each of these; returns how many rows were changed in all."""
        return int(_run(conn, self._on(conn), *values, all_at_once=True).rowcount)

    def _on(self, conn: Connection) -> _Compiled:
        # Connections that only read have a compiler of their own.
        dialect = conn.dialect
        kind = dialect.name, dialect.statement_compiler
        found = self._compiled.get(kind)
        if found is None:
            found = self._compiled[kind] = _Compiled(dialect, self._made, self._names)
        return found


class _Compiled:
    """A statement as a driver takes it, and what makes values and rows of it."""

    def __init__(self, dialect: Dialect, made: Select[Any] | UpdateBase, names: Sequence[str] | None) -> None:
        compiled = made.compile(dialect=dialect, column_keys=names)
        assert isinstance(compiled, SQLCompiler)
        assert not compiled.post_compile_params
        self.text = str(compiled)
        self._positions = compiled.positiontup
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self._defaults: list[tuple[str, Callable[[], Any]]] = []
        for column in compiled.insert_prefetch:
            default: Any = column.default
            # The library gives a function its context, which none here needs.
            make = (
                (lambda made=default.arg: made(None)) if default.is_callable else (lambda it=default.arg: it)
            )
            self._defaults.append((column.key, make))
        self._binds: list[tuple[str, Convert]] = []
        for bind, name in compiled.bind_names.items():
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if convert is not None:
                self._binds.append((name, convert))
        columns = list(made.selected_columns) if isinstance(made, Select) else []
        self._row = result_tuple([str(column.key) for column in columns])
        self._types = [column.type.dialect_impl(dialect) for column in columns]
        self._results: list[tuple[int, Convert]] | None = None
        self._dialect = dialect

    def parameters(self, given: Values) -> Any:
        values = {**self._fixed, **given}
        for name, make in self._defaults:
            if name not in values:
                values[name] = make()
        for name, convert in self._binds:
            values[name] = convert(values[name])
        return values if self._positions is None else [values[name] for name in self._positions]

    def rows(self, cursor: Any, most: int | None = None) -> Sequence[Row[Any]]:
        found = cursor.fetchall() if most is None else cursor.fetchmany(most)
        if self._results is None:
            self._results = self._converters(cursor)
        if self._results:
            return [self._row(self._converted(row, self._results)) for row in found]
        return [self._row(row) for row in found]

    def _converters(self, cursor: Any) -> list[tuple[int, Convert]]:
        """By column's place. What the driver makes of a column is told by its first cursor."""
        every = (
            (place, kind.result_processor(self._dialect, cursor.description[place][1]))
            for place, kind in enumerate(self._types)
        )
        return [(place, convert) for place, convert in every if convert is not None]

    @staticmethod
    def _converted(row: Sequence[Any], converters: list[tuple[int, Convert]]) -> Sequence[Any]:
        values = list(row)
        for place, convert in converters:
            values[place] = convert(values[place])
        return tuple(values)


def _run(conn: Connection, compiled: _Compiled, *values: Values, all_at_once: bool = False) -> Any:
    if not conn.in_transaction():
        conn.begin()  # of all that is read here, one moment
    driver: Any = conn.connection.driver_connection
    try:
        if not all_at_once:
            return driver.execute(compiled.text, compiled.parameters(values[0]))
        cursor = driver.cursor()
        cursor.executemany(compiled.text, [compiled.parameters(one) for one in values])
        return cursor
    except conn.dialect.loaded_dbapi.Error as error:
        dialect = conn.dialect
        lost = dialect.is_disconnect(error, driver, None)
        if lost:
            conn.invalidate(error)
        raise DBAPIError.instance(
            compiled.text,
            None,  # no values of ours in an error's text
            error,
            dialect.loaded_dbapi.Error,
            hide_parameters=True,
            connection_invalidated=lost,
            dialect=dialect,
        ) from error


def insert(conn: Connection, table: Table, values: Values) -> None:
    """Inserts a row; columns that are not named have their defaults."""
    _insert(table, tuple(values)).run(conn, values)


def insert_once(conn: Connection, table: Table, values: Values) -> bool:
    """Inserts a row unless one with a key of it is there; returns whether it did.

    Whoever inserts the same at the same time waits here for the other to commit or give up, so of all of them
    one is told True.
    """
    return _insert_once(table, tuple(values), conn.dialect.name).run(conn, values) == 1


def insert_all_once(conn: Connection, table: Table, rows: Sequence[Values]) -> int:
    """Inserts rows, all with the same columns, unless one with a key of theirs is there; returns how many it did."""
    return _insert_once(table, tuple(rows[0]), conn.dialect.name).run_all(conn, rows)


def one(conn: Connection, table: Table, *, lock: bool = False, **key: Any) -> Row[Any] | None:
    """The row whose columns have these values (not NULL), or None.

    Args:
        lock: for update.
    """
    return _select(table, tuple(key), lock).one_or_none(conn, key)


def change(conn: Connection, table: Table, values: Values, **key: Any) -> int:
    """Changes the rows whose columns have these values (not NULL); returns how many."""
    given = {f"new_{name}": value for name, value in values.items()}
    given |= {f"old_{name}": value for name, value in key.items()}
    return _update(table, tuple(values), tuple(key)).run(conn, given)


@cache
def _insert(table: Table, names: tuple[str, ...]) -> Statement:
    return Statement(insert_statement(table).inline(), names)


@cache
def _insert_once(table: Table, names: tuple[str, ...], dialect: str) -> Statement:
    made: Insert = (
        postgresql.insert(table).on_conflict_do_nothing()
        if dialect == "postgresql"
        else sqlite.insert(table).on_conflict_do_nothing()
    )
    return Statement(made.inline(), names)


@cache
def _select(table: Table, key: tuple[str, ...], lock: bool) -> Statement:
    found = select(table).where(and_(*(table.c[name] == bindparam(name) for name in key)))
    return Statement(found.with_for_update() if lock else found)


@cache
def _update(table: Table, names: tuple[str, ...], key: tuple[str, ...]) -> Statement:
    mine = and_(*(table.c[name] == bindparam(f"old_{name}") for name in key))
    return Statement(update(table).where(mine).values({name: bindparam(f"new_{name}") for name in names}))
