"""A backup of SQLite's files: one instant of all roles, copied beside servers that run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine

from server_stub.backup import files
from server_stub.foundation import migrations
from server_stub.foundation.sqlite import alone, is_full
from server_stub.foundation.startup import CannotStart
from server_stub.tsp import psam_pool
from server_stub.tsp import tables as tsp

LOCK_SECONDS = 10.0


def copy(part: Path, data: Path) -> dict[str, Any]:
    """Copies the roles' files of the folder ``data`` into ``part``; returns what the manifest says of them.

    Raises:
        CannotStart: there is no role, or a file is damaged or cannot be copied, or counters of PSAMs are missing.
    """
    roles = [role for role in files.ROLES if (data / f"{role}.db").exists()]
    if not roles:
        raise CannotStart(f"{data} has no role; --data names the folder of a server that has run")
    try:
        with ExitStack() as opened:
            readers = _readers(data, roles, opened)
            files.copy_files(part, data)
            revisions = {role: _save(readers[role], part, role) for role in roles}
        if "tsp" in roles:
            with _alone(part / "tsp.db") as conn:
                psam_pool.expect_counters(conn, psam_pool.used(conn), str(data / files.PSAMS))
        return {"kind": "sqlite", "roles": revisions}
    except sqlite3.Error as error:
        raise CannotStart(f"{data} cannot be copied: {error}") from error


def _readers(data: Path, roles: Sequence[str], opened: ExitStack) -> dict[str, sqlite3.Connection]:
    """A reader for each role; all of them see the same instant."""
    try:
        with ExitStack() as shared:
            readers = _one_moment(data, roles, shared)
            opened.push(shared.pop_all())
            return readers
    except sqlite3.OperationalError as error:
        if not is_full(error):
            raise
        # Nobody else is at files beside which there is no room: whoever is alone needs none.
        readers = {role: opened.enter_context(closing(alone(data / f"{role}.db"))) for role in roles}
        for reader in readers.values():
            _begin(reader)
        return readers


def _one_moment(data: Path, roles: Sequence[str], opened: ExitStack) -> dict[str, sqlite3.Connection]:
    """A reader for each role; all of them see the same instant."""
    writers = [opened.enter_context(closing(_open(data / f"{role}.db"))) for role in roles]
    try:
        for writer in writers:
            writer.execute("BEGIN IMMEDIATE")
        readers = {role: opened.enter_context(closing(_open(data / f"{role}.db"))) for role in roles}
        for reader in readers.values():
            _begin(reader)
    finally:
        for writer in writers:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
    return readers


def _begin(reader: sqlite3.Connection) -> None:
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on it sees this moment


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)


@contextmanager
def _alone(path: Path) -> Iterator[Connection]:
    """The copy of a role's file, for reading."""
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as conn:
        yield conn


def _save(reader: sqlite3.Connection, part: Path, role: str) -> str:
    """Copies what a reader sees; returns its revision."""
    path = part / f"{role}.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        reader.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
        found = target.execute("PRAGMA quick_check").fetchone()[0]
        if found != "ok":
            raise CannotStart(f"the database of role {role} is damaged: {found}")
        revision = str(target.execute(f"SELECT version_num FROM {migrations.VERSION_TABLE}").fetchone()[0])
    path.chmod(0o600)
    return revision


def count_terminals_on(path: Path) -> None:
    """As ``files.TERMINALS_LEAP`` in the TSP's restored file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as restored:
        known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if restored.execute(known, (files.TERMINALS,)).fetchone() is not None:  # a copy may be older
            restored.execute(files.TERMINALS_LEAP)


def sealed(folder: Path) -> list[str]:
    """What a backup has of the vault's sealing; none where the TSP is older than it is."""
    table = tsp.server_keys.name
    place = f"file:{quote(str(folder / 'tsp.db'))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(place, uri=True)) as conn:
        there = conn.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        return [row[0] for row in conn.execute(f"SELECT sealed FROM {table}")] if there else []
