"""Where a role's tables are: a file of the data folder, or a schema of a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, MetaData

from server_stub.foundation import migrations, postgresql
from server_stub.foundation.database import Database
from server_stub.foundation.ids import RandomBytes
from server_stub.foundation.sqlite import SqliteDatabase
from server_stub.foundation.startup import CannotStart


def open_role(
    metadata: MetaData, data: Path, url: str, random: RandomBytes, *, make: bool = True
) -> Database:
    """The database of the role whose tables these are, brought to what this program works with.

    Args:
        url: of a PostgreSQL database; empty: a file of the folder ``data``.
        make: makes what is not there; otherwise the role must have run before.

    Raises:
        CannotStart
    """
    role, upgrade = metadata.info["role"], migrations.prepare(metadata)
    first = migrations.revisions(migrations.folder_of(metadata))[0]

    def prepare(conn: Connection) -> None:
        if not make and migrations.present(conn, first) is None:
            raise CannotStart(f"no role {role} has run here")
        upgrade(conn)

    if url:
        return postgresql.PostgresqlDatabase(postgresql.address(url), role, prepare, random)
    path = data / f"{role}.db"
    if not make and not path.exists():
        raise CannotStart(f"{data} has no role {role}; --data names the folder of one that has run")
    return SqliteDatabase(path, prepare)
