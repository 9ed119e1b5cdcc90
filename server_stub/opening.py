"""Where a role's tables are: a file of the data folder, or a schema of a PostgreSQL database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, MetaData

from server_stub.foundation import migrations, postgresql, schema
from server_stub.foundation.audit import Audit
from server_stub.foundation.clock import Clock, Pauses, SystemClock
from server_stub.foundation.database import Database, Readable
from server_stub.foundation.sqlite import SqliteDatabase, SqliteReader
from server_stub.foundation.startup import CannotStart


class NotThere(CannotStart):
    """The role has not run here."""


def expect_both(data: Path) -> None:
    """BOSS and TSP in one process begin together: neither is begun anew beside the other one's orders.

    Raises:
        CannotStart: a file is missing.
    """
    for role, other in (("boss", "tsp"), ("tsp", "boss")):
        path, beside = data / f"{role}.db", data / f"{other}.db"
        if not path.exists() and beside.exists() and _has_orders(beside):
            raise CannotStart(
                f"{path} is missing, and {beside.name} has orders that it knew; put it back from a copy"
            )


def _has_orders(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as conn:
            return conn.execute("SELECT 1 FROM orders LIMIT 1").fetchone() is not None
    except sqlite3.DatabaseError:  # whoever opens it says what is wrong with it
        return False


def open_role(
    metadata: MetaData,
    data: Path,
    url: str,
    pauses: Pauses,
    *,
    make: bool = True,
    clock: Clock | None = None,
) -> Database:
    """The database of the role whose tables these are, brought to what this program works with.

    Args:
        url: of a PostgreSQL database; empty: a file of the folder ``data``.
        clock: for the audit log, where the tables are changed; None: the machine's.
        make: makes what is not there; otherwise the role must have run before.

    Raises:
        CannotStart, NotThere
    """
    role, upgrade = metadata.info["role"], migrations.prepare(metadata)
    known = migrations.revisions(migrations.folder_of(metadata))
    first, last = known[0], known[-1]

    def prepare(conn: Connection) -> None:
        before = migrations.present(conn, first)
        if not make and before is None:
            raise NotThere(f"no role {role} has run here")
        if before != last:
            upgrade(conn)
        if lacking := schema.missing_tables(conn, metadata):
            raise CannotStart(f"table {', '.join(lacking)} is missing; put a copy from before back")
        log: Audit | None = metadata.info.get("audit")
        if log is not None and before != last:
            log.append(conn, clock or SystemClock(), "server", "migrated", role, before=before, after=last)

    if url:
        return postgresql.PostgresqlDatabase(postgresql.address(url), role, prepare, pauses)
    return SqliteDatabase(data / f"{role}.db" if make else _there(data, role), prepare)


def read_role(metadata: MetaData, data: Path, url: str, pauses: Pauses) -> Readable:
    """The same for whoever only looks: writes nothing, and no table need be there.

    Raises:
        CannotStart, NotThere: also where the tables are not those of this program.
    """
    role, known = metadata.info["role"], migrations.revisions(migrations.folder_of(metadata))

    def look(conn: Connection) -> None:
        found = migrations.present(conn, known[0])
        if found is None:
            raise NotThere(f"no role {role} has run here")
        migrations.refuse_newer(found, known)
        if found != known[-1]:
            raise CannotStart(
                f"its tables are those of an older stb-server ({found}); start this one on them first"
            )

    if url:
        return postgresql.PostgresqlDatabase(postgresql.address(url), role, look, pauses)
    return SqliteReader(_there(data, role), look)


def _there(data: Path, role: str) -> Path:
    path = data / f"{role}.db"
    if not path.exists():
        raise NotThere(f"{data} has no role {role}; --data names the folder of one that has run")
    return path
