"""The register of exchanged files: every version of every file, with hash, size, state and history, and its content.

Rows are a role's own (``Files``), contents stand below a folder under their SHA-256 (``Store``) and are never changed. A content
is on the disk before the row that names it is committed: a row without its content is damage, a content without a row is what
a power cut has left.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    UniqueConstraint,
    select,
)

from server_stub.foundation import statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Instant, Whole
from server_stub.foundation.folders import TEMPORARY, Print, print_of, sync_folder
from server_stub.foundation.ids import Ids

IN, OUT = "in", "out"
MADE, SENT, FAILED = "made", "sent", "failed"
ARRIVED, USED, REFUSED, REPEATED = "arrived", "used", "refused", "repeated"
SUPERSEDED = "superseded"
STATES: Mapping[str, tuple[str, ...]] = {
    OUT: (MADE, SENT, FAILED, SUPERSEDED),
    IN: (ARRIVED, USED, REFUSED, REPEATED, SUPERSEDED),
}
"""By direction; the first is the state of what has just been kept, the last that of a file with a newer version."""
LEFT_BEHIND = timedelta(days=1)
"""A content that has not been finished for so long is nobody's any more."""

Kept = Print
"""A content of the store: SHA-256 in hex, and bytes."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One version of a file.

    Attributes:
        partner: ``ppp``, ``boss`` ...
        direction: ``in`` from the partner, ``out`` to it.
        name: relative, with its folder.
        day: business day it is about.
        version: from 1 on, of this partner, direction and name.
        kept: where the content is, relative to the store; None once it was archived.
        facts: whatever the role knows of it.
        repeated: only from ``keep``: this content was the last version already.
    """

    id: str
    partner: str
    direction: str
    name: str
    day: date | None
    version: int
    size: int
    sha256: str
    state: str
    kept: str | None
    at: datetime
    facts: Mapping[str, Any]
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class FileEvent:
    """Something that has happened to a version of a file."""

    at: datetime
    event: str
    detail: Mapping[str, Any]


class Files:
    """The register of one role.

    Args:
        metadata: of the role; the tables become part of it.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.files = Table(
            "files",
            metadata,
            Column("id", String, primary_key=True),
            Column("partner", String, nullable=False),
            Column("direction", String, nullable=False),  # in | out
            Column("name", String, nullable=False),
            Column("day", String),  # ISO 8601
            Column("version", Integer, nullable=False),
            Column("size", Whole, nullable=False),
            Column("sha256", String, nullable=False),
            Column("state", String, nullable=False),
            Column("kept", String),  # null once it was archived
            Column("at", Instant, nullable=False),
            Column("facts", String, nullable=False),  # JSON
            UniqueConstraint("partner", "direction", "name", "version", name="one_of_a_version"),
        )
        Index("files_of_a_day", self.files.c.day, self.files.c.partner)
        Index("files_by_state", self.files.c.state, self.files.c.partner)
        self.events = Table(
            "file_events",
            metadata,
            Column("id", Whole, primary_key=True, autoincrement=True),
            Column("file", ForeignKey("files.id"), nullable=False),
            Column("at", Instant, nullable=False),
            Column("event", String, nullable=False),
            Column("detail", String, nullable=False),  # JSON
        )
        Index("events_of_a_file", self.events.c.file)
        metadata.info["files"] = self

    def keep(
        self,
        conn: Connection,
        ids: Ids,
        clock: Clock,
        *,
        partner: str,
        direction: str,
        name: str,
        day: date | None,
        content: Kept,
        facts: Mapping[str, Any] | None = None,
    ) -> FileRow:
        """Enters a content that is in the store as a new version; the one before is superseded. The content that the last
        version has already is no new one: that row is returned, as ``repeated``.
        """
        while True:
            last = self.last(conn, partner, direction, name, lock=True)
            if last is not None and (last.sha256, last.size) == (content.sha256, content.size):
                self.note(conn, clock, last.id, None, REPEATED)
                return replace(last, repeated=True)
            file_id, state = ids.row(), STATES[direction][0]
            values = {
                "id": file_id,
                "partner": partner,
                "direction": direction,
                "name": name,
                "day": None if day is None else day.isoformat(),
                "version": 1 if last is None else last.version + 1,
                "size": content.size,
                "sha256": content.sha256,
                "state": state,
                "kept": place_of(content.sha256),
                "at": clock.now(),
                "facts": _text(facts or {}),
            }
            # Whoever enters the same name at the same time is waited for here, and then looked at.
            if not statements.insert_once(conn, self.files, values):
                continue
            if last is not None:
                self.note(conn, clock, last.id, SUPERSEDED, SUPERSEDED, by=file_id, was=last.state)
            self.note(conn, clock, file_id, None, state)
            row = self.one(conn, file_id)
            assert row is not None
            return row

    def note(
        self, conn: Connection, clock: Clock, file_id: str, state: str | None, event: str, **detail: Any
    ) -> None:
        """Writes down what has happened to a version; with a state, that is its state from now on.

        Raises:
            ValueError: files of its direction have no such state. LookupError: there is no such version.
        """
        if state is not None:
            row = statements.one(conn, self.files, lock=True, id=file_id)
            if row is None:
                raise LookupError(f"no file {file_id}")
            if state not in STATES[row.direction]:
                raise ValueError(f"a file that goes {row.direction} is not {state}")
            statements.change(conn, self.files, {"state": state}, id=file_id)
        values = {"file": file_id, "at": clock.now(), "event": event, "detail": _text(detail)}
        statements.insert(conn, self.events, values)

    def remember(self, conn: Connection, file_id: str, facts: Mapping[str, Any]) -> None:
        """What is known of a version besides, from now on."""
        row = statements.one(conn, self.files, lock=True, id=file_id)
        if row is None:
            raise LookupError(f"no file {file_id}")
        statements.change(conn, self.files, {"facts": _text({**json.loads(row.facts), **facts})}, id=file_id)

    def last(
        self, conn: Connection, partner: str, direction: str, name: str, *, lock: bool = False
    ) -> FileRow | None:
        """The newest version of a file. With ``lock``, for update."""
        table = self.files.c
        mine = (table.partner == partner) & (table.direction == direction) & (table.name == name)
        query = select(self.files).where(mine).order_by(table.version.desc()).limit(1)
        row = conn.execute(query.with_for_update() if lock else query).one_or_none()
        return None if row is None else _file(row)

    def newest(
        self, conn: Connection, partner: str, direction: str, first: str, last: str
    ) -> dict[str, FileRow]:
        """The newest version of every file whose name sorts from one to another, by name."""
        table = self.files.c
        mine = (table.partner == partner) & (table.direction == direction) & table.name.between(first, last)
        query = select(self.files).where(mine).order_by(table.name, table.version)
        return {row.name: _file(row) for row in conn.execute(query)}

    def last_sent(self, conn: Connection, partner: str, first: str, last: str) -> date | None:
        """The day of the last file that was sent whose name sorts from one to another; None where none was."""
        table = self.files.c
        mine = (table.partner == partner) & (table.direction == OUT) & table.name.between(first, last)
        query = select(table.day).where(mine, table.state == SENT).order_by(table.name.desc()).limit(1)
        day = conn.scalar(query)
        return None if day is None else date.fromisoformat(day)

    def one(self, conn: Connection, file_id: str) -> FileRow | None:
        """A version by its id."""
        row = statements.one(conn, self.files, id=file_id)
        return None if row is None else _file(row)

    def listed(
        self,
        conn: Connection,
        *,
        partner: str | None = None,
        direction: str | None = None,
        name: str | None = None,
        day: date | None = None,
        states: Sequence[str] = (),
        before: str | None = None,
        most: int = 200,
    ) -> list[FileRow]:
        """Versions that are like this, newest first.

        Args:
            states: any of these; none: any.
            before: only those older than this id, for the next page.
            most: how many at most.
        """
        table = self.files.c
        query = select(self.files)
        wanted = {"partner": partner, "direction": direction, "name": name}
        for column, value in {**wanted, "day": day and day.isoformat()}.items():
            if value is not None:
                query = query.where(table[column] == value)
        if states:
            query = query.where(table.state.in_(states))
        if before is not None:
            query = query.where(table.id < before)
        return [_file(row) for row in conn.execute(query.order_by(table.id.desc()).limit(most))]

    def history(self, conn: Connection, file_id: str) -> list[FileEvent]:
        """What has happened to a version, oldest first."""
        query = select(self.events).where(self.events.c.file == file_id).order_by(self.events.c.id)
        return [FileEvent(row.at, row.event, json.loads(row.detail)) for row in conn.execute(query)]

    def faults(self, conn: Connection, store: Store) -> list[str]:
        """What is not as it must be: a state that its direction has not, a version that is missing, a content that is not there
        or has another size.
        """
        said: list[str] = []
        before: tuple[str, ...] = ()
        number = 0
        table = self.files.c
        order = (table.partner, table.direction, table.name, table.version)
        for row in conn.execute(select(self.files).order_by(*order), execution_options={"yield_per": 1000}):
            file = f"{row.direction} {row.partner} {row.name} version {row.version}"
            this = (row.partner, row.direction, row.name)
            number = number + 1 if this == before else 1
            before = this
            if row.version != number:
                said.append(f"{file} comes without version {number}")
                number = row.version
            if row.state not in STATES.get(row.direction, ()):
                said.append(f"{file} is {row.state}")
            if row.kept is not None:
                size = store.size(row.sha256)
                if size != row.size:
                    said.append(f"{file} has {row.size} bytes, kept are {'none' if size is None else size}")
        return said


class Store:
    """Contents under their SHA-256, below a folder; each is written once and never changed.

    Args:
        folder: is made with the first content.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, path: Path) -> Kept:
        """Copies a file's content in; returns when it is on the disk. Raises OSError."""
        with path.open("rb") as source:
            return self.add(lambda copy: print_of(source, copy.write))

    def add(self, write: Callable[[IO[bytes]], Print]) -> Kept:
        """The same for what ``write`` writes into a file, and says that it has."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self.folder / f"{secrets.token_hex(8)}{TEMPORARY}"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(descriptor, "wb") as copy:
                kept = write(copy)
                copy.flush()
                os.fsync(copy.fileno())
            target = self.path(kept.sha256)
            if self.size(kept.sha256) == kept.size:
                return kept
            target.parent.mkdir(exist_ok=True, mode=0o700)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(target.parent)
        sync_folder(self.folder)
        return kept

    def open(self, sha256: str) -> IO[bytes]:
        """A content, to be read. Raises FileNotFoundError."""
        return self.path(sha256).open("rb")

    def path(self, sha256: str) -> Path:
        """Where a content is, or would be."""
        return self.folder / place_of(sha256)

    def size(self, sha256: str) -> int | None:
        """Bytes of a content; None where it is not there."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def tidy(self, now: datetime) -> None:
        """Removes what was being copied in when a process ended, a day ago or longer."""
        for part in self.folder.glob(f"*{TEMPORARY}"):
            with contextlib.suppress(FileNotFoundError):
                if part.stat().st_mtime < (now - LEFT_BEHIND).timestamp():
                    part.unlink()


def place_of(sha256: str) -> str:
    """Where a content is in its store.

    >>> place_of("ab12")
    'ab/ab12'
    """
    return f"{sha256[:2]}/{sha256}"


def _file(row: Row[Any]) -> FileRow:
    values = dict(row._mapping)
    values["day"] = None if row.day is None else date.fromisoformat(row.day)
    return FileRow(**{**values, "facts": json.loads(row.facts)})


def _text(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, sort_keys=True)
