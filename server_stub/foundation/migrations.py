"""Brings a role's tables to what this program works with: Alembic's revisions, run at every start.

Each role has its history in ``server_stub/ROLE/migrations/versions``, a file a revision, named like it:
``0002_ledger.py`` has revision ``0002_ledger``, and follows the one whose name sorts before it.
"""

from __future__ import annotations

import threading
from functools import partial
from importlib import resources
from pathlib import Path

from sqlalchemy import Connection, MetaData, inspect, text

from server_stub.foundation.database import Prepare
from server_stub.foundation.startup import CannotStart

VERSION_TABLE = "alembic_version"
_one_at_a_time = threading.Lock()
"""What a revision's ``op`` means is one for the whole process."""


def prepare(metadata: MetaData) -> Prepare:
    """What makes or changes the tables of the role whose metadata this is.

    It raises CannotStart for tables that a newer program has changed.
    """
    return partial(upgrade, folder=folder_of(metadata))


def folder_of(metadata: MetaData) -> Path:
    """Where the role's revisions are."""
    return Path(str(resources.files(f"server_stub.{metadata.info['role']}"))) / "migrations" / "versions"


def revisions(folder: Path) -> list[str]:
    """The names of all revisions, oldest first."""
    return sorted(file.stem for file in folder.glob("[0-9]*.py"))


def present(conn: Connection, first: str) -> str | None:
    """The revision of the tables that are there: None of none.

    Tables without a version are those of the first version, which kept no account of that.
    """
    tables = inspect(conn).get_table_names()
    if VERSION_TABLE in tables:
        found: str | None = conn.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
        return found
    return first if tables else None


def upgrade(conn: Connection, folder: Path, upto: str | None = None) -> None:
    """Runs what is missing, inside the caller's transaction.

    Args:
        upto: the last revision that is wanted, where rows of another hour are to be put in; None: all.

    Raises:
        CannotStart: the tables have a revision that this program does not know.
    """
    known = revisions(folder)
    known = known if upto is None else known[: known.index(upto) + 1]
    found = present(conn, known[0])
    if found is not None:
        refuse_newer(found, known)
    if found == known[-1]:
        return
    _run(conn, folder, found, known)


def refuse_newer(found: str, known: list[str]) -> None:
    """Raises CannotStart for a revision that this program does not know."""
    if found not in known:
        raise CannotStart(
            f"a newer stb-server has changed its tables (to {found}, this one knows up to {known[-1]});"
            " start that one, or put a copy from before back"
        )


def _run(conn: Connection, folder: Path, found: str | None, known: list[str]) -> None:
    # Not needed for a start like the one before, and dear to import.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    history = ScriptDirectory(str(folder.parent), version_locations=[str(folder)])
    context = MigrationContext.configure(conn)
    if found is not None:
        context.stamp(history, found)
    with _one_at_a_time, Operations.context(context):
        for name in known[known.index(found) + 1 if found is not None else 0 :]:
            step = history.get_revision(name)
            assert step is not None
            step.module.upgrade()
            context.stamp(history, name)
