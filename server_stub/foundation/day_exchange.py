"""Files of a business day, between this role and one partner: made, kept, sent once; fetched, kept, looked at once.

What is sent or has arrived is in the register of files, every version of it. A file that is made again and is the same
is not sent again; one that lies there with other contents than before is new.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import structlog
from sqlalchemy import Connection

from server_stub.foundation import day_files
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.day_files import FileBad, Totals, Writer
from server_stub.foundation.files import FileRow, Files, Store
from server_stub.foundation.folders import Entry, Folder
from server_stub.foundation.ids import Ids

MADE, SENT = "made", "sent"
ARRIVED, USED, REFUSED = "arrived", "used", "refused"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A file that has arrived whole, and is what it says.

    Attributes:
        path: where its content is kept.
        totals: what it says of itself, and what is true of it.
    """

    row: FileRow
    day: date
    path: Path
    totals: Totals


@dataclass(frozen=True, slots=True)
class DayExchange:
    """One role's side of an agreed folder.

    Args:
        partner: whose folder it is, in the register.
        store: where contents are kept.
    """

    partner: str
    database: Database
    clock: Clock
    ids: Ids
    files: Files
    store: Store
    folder: Folder

    async def send(self, kind: str, day: date, fill: Callable[[Connection, Writer], None]) -> FileRow | None:
        """Makes the file of a day and sends it; None where it is there already as it is now.

        Args:
            fill: adds the records, as of one moment.

        Raises:
            FolderError: it was not sent; it is made, and goes the next time.
        """
        with self._workplace() as place:
            path = place / "made"

            def make(conn: Connection) -> Totals:
                with Writer(path, kind, day) as out:
                    fill(conn, out)
                return out.totals

            return await self.deliver(kind, day, path, await self.database.read(make))

    async def deliver(self, kind: str, day: date, path: Path, totals: Totals) -> FileRow | None:
        """The same with a file that is made."""
        name = day_files.name_of(kind, day)
        row = await self._keep("out", name, day, path, count=totals.count, fen=totals.fen)
        if row.state == SENT:
            return None
        await self.folder.deliver(self.store.path(row.sha256), name)
        await self.database.write(lambda conn: self.files.note(conn, self.clock, row.id, SENT, "sent"))
        log.info("file-sent", partner=self.partner, name=name, count=totals.count, fen=totals.fen)
        return row

    async def new(self, kind: str) -> list[tuple[date, Entry]]:
        """What lies there of a kind and was not looked at yet, by day. Raises FolderError."""
        there = [(day_files.day_in(entry.name, kind), entry) for entry in await self.folder.entries(kind)]
        marks = await self.database.read(lambda conn: self.files.marks(conn, self.partner, "in"))
        found = [(day, entry) for day, entry in there if day and marks.get(entry.name) != entry.mark]
        return sorted(found, key=lambda one: one[0])

    async def fetch(self, kind: str, day: date, entry: Entry) -> Received | None:
        """Fetches one and keeps it; None for one that cannot be used, which is told in the log and in its history.

        Raises:
            FolderError
        """
        with self._workplace() as place:
            path = place / "fetched"
            await self.folder.fetch(entry.name, path)
            row = await self._keep("in", entry.name, day, path, mark=entry.mark)
        kept = self.store.path(row.sha256)
        try:
            totals = await asyncio.to_thread(day_files.check, kept, kind, day)
        except FileBad as bad:
            said = str(bad)
            await self.database.write(
                lambda conn: self.files.note(conn, self.clock, row.id, REFUSED, "refused", why=said)
            )
            log.error("file-refused", partner=self.partner, name=entry.name, error=said)
            return None
        return Received(row, day, kept, totals)

    def used(self, conn: Connection, received: Received, **facts: object) -> None:
        """What a file says has been done."""
        self.files.note(conn, self.clock, received.row.id, USED, "used", **facts)

    async def _keep(self, direction: str, name: str, day: date, path: Path, **facts: object) -> FileRow:
        content = await asyncio.to_thread(self.store.put, path)
        return await self.database.write(
            lambda conn: self.files.keep(
                conn,
                self.ids,
                self.clock,
                partner=self.partner,
                direction=direction,
                name=name,
                day=day,
                content=content,
                facts=facts,
            )
        )

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.store.folder, prefix="part-") as name:
            yield Path(name)
