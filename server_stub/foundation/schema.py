"""Whether a role's tables, and what guards them, are still those that the revisions made; reads only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Float,
    MetaData,
    String,
    Table,
    and_,
    exists,
    false,
    func,
    inspect,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.schema import CreateIndex, UniqueConstraint

from server_stub.foundation import audit, ledger
from server_stub.foundation.database import Instant

MOST = 100
"""So many rows of a table are told."""
LATEST = 253_402_214_400_000_000
"""Microseconds from 1970 to the last day of the year 9999, beyond which there are no instants."""
STORED = {"instant": ["integer"], "number": ["real", "integer"], "text": ["text"], "integer": ["integer"]}
"""What SQLite's ``typeof`` says of a column's values, by what they are."""
_TRIGGER = re.compile(r"CREATE (?:CONSTRAINT )?TRIGGER (\w+)")
_FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION (\w+)\(\).*?AS \$\$(.*)\$\$", re.DOTALL)


def missing(conn: Connection, metadata: MetaData) -> list[str]:
    """What lacks without which nothing can be asked: tables and columns."""
    said = [f"table {name} is missing" for name in missing_tables(conn, metadata)]
    inspector = inspect(conn)
    for table in metadata.sorted_tables if not said else ():
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        lacking = sorted({column.name for column in table.columns} - columns)
        said += [f"column {table.name}.{name} is missing" for name in lacking]
    return said


def missing_tables(conn: Connection, metadata: MetaData) -> list[str]:
    """The names of tables that are not there: one question, so that a start can ask it."""
    return sorted(metadata.tables.keys() - set(inspect(conn).get_table_names()))


def faults(conn: Connection, metadata: MetaData) -> list[str]:
    """What is not as it was made: keys, indexes, triggers. Nothing of it may be taken away to change what stands."""
    said: list[str] = []
    for table in metadata.sorted_tables:
        said += _keys(conn, table)
        said += _indexes(conn, table)
    guarded = {
        "ledger_entries": (ledger.TRIGGERS, ledger.GUARDS, ledger.MARKS),
        "audit_log": (audit.TRIGGERS, audit.GUARDS),
    }
    statements = [
        statement
        for table, mappings in guarded.items()
        if table in metadata.tables
        for made in mappings
        for statement in made[conn.dialect.name]
    ]
    wanted, found = _wanted(statements), _found(conn)
    said += [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    said += [f"{name} is not one of ours" for name in sorted(found.keys() - wanted.keys())]
    return said + [
        f"{name} was changed" for name in sorted(wanted) if found.get(name, wanted[name]) != wanted[name]
    ]


def strays(conn: Connection, metadata: MetaData) -> list[str]:
    """Rows that belong to rows that are not there, a line for each key of a table."""
    said = []
    for table in metadata.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
            parent = key.column.table.alias()
            there = exists().where(parent.c[key.column.name] == key.parent)
            query = select(key.parent).where(and_(key.parent.is_not(None), ~there)).distinct().limit(1)
            row = conn.execute(query).first()
            if row is not None:
                said.append(f"rows of {table.name} belong to {key.parent.name} {row[0]}, which is not there")
    return said


def oddities(conn: Connection, metadata: MetaData) -> list[str]:
    """Values that their columns cannot have, by table, column and row: SQLite keeps whatever it is given."""
    said = []
    for table in metadata.sorted_tables:
        odd = {column.name: _odd(conn, column) for column in table.columns}
        raw: list[Any] = [
            literal_column(conn.dialect.identifier_preparer.quote(name)).label(name) for name in odd
        ]
        found = [condition.label(f"odd {name}") for name, condition in odd.items()]
        primary = [column.name for column in table.primary_key]
        query = select(*raw, *found).select_from(table).where(or_(*odd.values())).limit(MOST)
        for row in conn.execute(query).mappings():
            where = ", ".join(f"{name} {row[name]!r}" for name in primary)
            said += [
                f"{table.name}.{name} is no {_kind(table.c[name])} in the row with {where}"
                for name in odd
                if row[f"odd {name}"]
            ]
    return said


def _odd(conn: Connection, column: Column[Any]) -> ColumnElement[bool]:
    """Whether a value is none that the column's type could have written."""
    raw: ColumnElement[Any] = literal_column(conn.dialect.identifier_preparer.quote(column.name))
    odd: ColumnElement[bool] = false()
    if conn.dialect.name == "sqlite":
        odd = func.typeof(raw).not_in((*STORED[_kind(column)], "null"))
    if _kind(column) == "instant":
        odd = or_(odd, ~raw.between(0, LATEST))
    return func.coalesce(odd, false())


def _kind(column: Column[Any]) -> str:
    if isinstance(column.type, Instant):
        return "instant"
    if isinstance(column.type, Float):
        return "number"
    return "text" if isinstance(column.type, String) else "integer"


def _keys(conn: Connection, table: Table) -> Iterator[str]:
    inspector = inspect(conn)
    primary = [column.name for column in table.primary_key]
    if sorted(inspector.get_pk_constraint(table.name)["constrained_columns"]) != sorted(primary):
        yield f"the primary key of {table.name} is not {', '.join(primary)}"
    unique = {tuple(sorted(one["column_names"])) for one in inspector.get_unique_constraints(table.name)}
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            columns = [column.name for column in constraint.columns]
            if tuple(sorted(columns)) not in unique:
                yield f"{', '.join(columns)} of {table.name} need not be unique any more"
    foreign = {
        (*one["constrained_columns"], one["referred_table"]) for one in inspector.get_foreign_keys(table.name)
    }
    for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
        if (key.parent.name, key.column.table.name) not in foreign:
            yield f"the key of {table.name}.{key.parent.name} is missing"


def _indexes(conn: Connection, table: Table) -> Iterator[str]:
    found: dict[Any, Any] = {index["name"]: index for index in inspect(conn).get_indexes(table.name)}
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        there = found.get(index.name)
        if there is None:
            yield f"index {index.name} of {table.name} is missing"
        elif bool(there["unique"]) != index.unique or there["column_names"] != [
            one.name for one in index.columns
        ]:
            yield f"index {index.name} of {table.name} was changed"
        else:
            of = {
                *re.findall(
                    r"\w+", str(there.get("dialect_options", {}).get(f"{conn.dialect.name}_where", ""))
                )
            }
            _, _, only = str(CreateIndex(index).compile(conn)).partition(" WHERE ")
            if of != {*re.findall(r"\w+", only)}:
                yield f"index {index.name} of {table.name} is of other rows than it was"


def _words(statement: str) -> list[str]:
    """A definition for comparison: PostgreSQL tells the events in an order of its own."""
    return sorted(re.findall(r"\w+|[^\w\s]", statement))


def _wanted(statements: list[str]) -> dict[str, list[str]]:
    """Triggers and functions by name, as the revisions make them, the later ones in place of the earlier."""
    made = {}
    for statement in statements:
        if function := _FUNCTION.match(statement):
            made[f"function {function[1]}"] = _words(function[2])
        elif trigger := _TRIGGER.match(statement):
            made[f"trigger {trigger[1]}"] = _words(statement)
    return made


def _found(conn: Connection) -> dict[str, list[str]]:
    """The same as they are; a trigger that is switched off is none, a function that looks elsewhere is another one."""
    if conn.dialect.name == "sqlite":
        query = "SELECT 'trigger ' || name, sql FROM sqlite_master WHERE type = 'trigger'"
        return {name: _words(sql) for name, sql in conn.execute(text(query))}
    functions = (
        "SELECT 'function ' || proname, CASE WHEN proconfig = ARRAY['search_path=' || quote_ident(current_schema())"
        " || ', pg_temp'] THEN prosrc ELSE '' END FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
    )
    triggers = (
        "SELECT 'trigger ' || tgname, pg_get_triggerdef(pg_trigger.oid, true) FROM pg_trigger"
        " JOIN pg_class ON pg_class.oid = tgrelid"
        " WHERE NOT tgisinternal AND tgenabled = 'O' AND relnamespace = current_schema()::regnamespace"
    )
    rows = [*conn.execute(text(functions)), *conn.execute(text(triggers))]
    return {name: _words(sql) for name, sql in rows}
