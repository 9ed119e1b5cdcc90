"""A backup of a PostgreSQL database: the schemas of all roles in one transaction, by COPY, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import sql
from sqlalchemy import URL, Connection, NullPool, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from server_stub.backup import files
from server_stub.foundation import migrations
from server_stub.foundation.postgresql import CONNECT_SECONDS
from server_stub.foundation.postgresql import address as address_of
from server_stub.foundation.startup import CannotStart
from server_stub.tsp import psam_pool
from server_stub.tsp import tables as tsp

COPY_BYTES = 1 << 20


@contextmanager
def _connected(url: str, **settings: str) -> Iterator[Connection]:
    address: URL = address_of(url)
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    engine = create_engine(
        address,
        poolclass=NullPool,
        hide_parameters=True,
        isolation_level="REPEATABLE READ",
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            **({"options": options} if options else {}),
        },
    )
    try:
        with engine.begin() as conn:
            yield conn
    except DBAPIError as error:
        raise CannotStart(f"the database cannot be used: {' '.join(str(error.orig).split())}") from error
    finally:
        engine.dispose()


def copy(part: Path, data: Path, url: str) -> dict[str, Any]:
    """Copies the roles' schemas, and the files of the folder ``data``, into ``part``; returns what the manifest says.

    Raises:
        CannotStart: there is no role, the database cannot be used, or counters of PSAMs are missing.
    """
    with _connected(url, default_transaction_read_only="on") as conn:
        there = set(inspect(conn).get_schema_names())
        roles = [role for role in files.ROLES if role in there]
        if not roles:
            raise CannotStart("the database has no role; --database names that of a server that has run")
        files.copy_files(part, data)
        revisions, tables = {}, {}
        for role in roles:
            version = sql.SQL("SELECT version_num FROM {}").format(
                sql.Identifier(role, migrations.VERSION_TABLE)
            )
            revisions[role] = _driver(conn).execute(version).fetchall()[0][0]
            tables[role] = [_save_table(conn, part, role, name) for name in _in_order(conn, role)]
        if "tsp" in roles:
            conn.execute(text("SET LOCAL search_path = tsp"))
            psam_pool.expect_counters(conn, psam_pool.used(conn), str(data / files.PSAMS))
    return {"kind": "postgresql", "roles": revisions, "tables": tables}


def _in_order(conn: Connection, role: str) -> list[str]:
    """The tables of a role, each after those that its rows belong to."""
    found = inspect(conn).get_sorted_table_and_fkc_names(role)
    return [name for name, _ in found if name is not None and name != migrations.VERSION_TABLE]


def _save_table(conn: Connection, part: Path, role: str, name: str) -> dict[str, Any]:
    columns = [str(column["name"]) for column in inspect(conn).get_columns(name, role)]
    path = part / role / f"{name}.copy"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    statement = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(role, name), _columns(columns))
    with files.private(path) as file, _driver(conn).cursor() as cursor, cursor.copy(statement) as rows:
        for block in rows:
            file.write(block)
    return {"name": name, "columns": columns}


def fill(source: Path, url: str, manifest: dict[str, Any]) -> None:
    """Fills a database with the roles of a backup; after a failure it has none of them.

    Raises:
        CannotStart: it has a role already, or cannot be used.
    """
    with _connected(url) as conn:
        there = set(inspect(conn).get_schema_names()) & set(files.ROLES)
        if there:
            raise CannotStart(
                f"the database has {', '.join(sorted(there))} already; restore into an empty one"
            )
        for role in manifest["roles"]:
            conn.execute(text(f'CREATE SCHEMA "{role}"'))
    try:
        for role, revision in manifest["roles"].items():
            with _connected(url, search_path=role) as conn:
                migrations.upgrade(conn, migrations.folder_of(files.ROLES[role]), revision)
                _fill_role(conn, source, role, manifest["tables"][role])
                if any(table["name"] == files.TERMINALS for table in manifest["tables"][role]):
                    conn.execute(text(files.TERMINALS_LEAP))
    except BaseException:
        with _connected(url) as conn:
            for role in manifest["roles"]:
                conn.execute(text(f'DROP SCHEMA "{role}" CASCADE'))
        raise


def _fill_role(conn: Connection, source: Path, role: str, tables: Sequence[dict[str, Any]]) -> None:
    driver = _driver(conn)
    places = [sql.Identifier(role, table["name"]) for table in tables]
    # What the triggers would do or refuse has been done: it stands in the rows.
    for place in places:
        driver.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(place))
    for place in reversed(places):  # what a revision has put in is in the copy, too
        driver.execute(sql.SQL("DELETE FROM {}").format(place))
    driver.execute("SET CONSTRAINTS ALL DEFERRED")
    for table, place in zip(tables, places, strict=True):
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(place, _columns(table["columns"]))
        path = source / role / f"{table['name']}.copy"
        with path.open("rb") as file, driver.cursor() as cursor, cursor.copy(statement) as rows:
            while block := file.read(COPY_BYTES):
                rows.write(block)
        _count_on(driver, role, table, place)
        if "claimed_by" in table["columns"]:
            # Whoever had claimed it lived in another life: it is anybody's now.
            given_back = sql.SQL("UPDATE {} SET claimed_by = NULL, claimed_until = NULL")
            driver.execute(given_back.format(place))
    driver.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for place in places:
        driver.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(place))


def _count_on(
    driver: psycopg.Connection[Any], role: str, table: dict[str, Any], place: sql.Identifier
) -> None:
    """Rows that are made later get numbers after those that are there."""
    for column in table["columns"]:
        name = f'"{role}"."{table["name"]}"'
        found = driver.execute("SELECT pg_get_serial_sequence(%s, %s)", (name, column)).fetchone()
        if found is not None and found[0] is not None:
            highest = sql.SQL("SELECT setval(%s, coalesce(max({}), 0) + 1, false) FROM {}")
            driver.execute(highest.format(sql.Identifier(column), place), (found[0],))


def _columns(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _driver(conn: Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", conn.connection.driver_connection)


def sealed(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """What a backup has of the vault's sealing; none where the TSP is older than it is."""
    table = tsp.server_keys.name
    columns = next((one["columns"] for one in manifest["tables"]["tsp"] if one["name"] == table), None)
    if columns is None:
        return []
    # What is sealed is in base64: no character of it means anything else to COPY.
    lines = (folder / "tsp" / f"{table}.copy").read_text("utf-8").splitlines()
    return [line.split("\t")[columns.index("sealed")] for line in lines]
