"""Files of a business day, between this role and one partner: made, kept, sent once; fetched, kept, looked at once.

What is sent or has arrived is in the register of files, every version of it. A file that is made again and is the same
is not sent again; one that lies there with other contents than before is new.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection

from server_stub.foundation import day_files
from server_stub.foundation.calendar import days
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.day_files import FileBad, Totals, Writer
from server_stub.foundation.files import ARRIVED, IN, OUT, REFUSED, SENT, USED, FileRow, Files, Store
from server_stub.foundation.folders import TEMPORARY, Entry, Folder, Print, print_of
from server_stub.foundation.ids import Ids

WINDOW = 7
"""So many days are looked at each time, whether something about them has changed; those before where that was noted."""
AT_ONCE = 31
"""Days that one turn tells at most; where more are owed, the next turns go on."""
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

    async def send(
        self, kind: str, day: date, fill: Callable[[Connection, Writer], None], *, again: bool = False
    ) -> FileRow | None:
        """Makes the file of a day and sends it; None where it is there already as it is now.

        Args:
            fill: adds the records, as of one moment.
            again: it is sent in any case.

        Raises:
            FolderError: it was not sent; it is made, and goes the next time.
        """
        with self.workplace() as path:

            def make(conn: Connection) -> Totals:
                with Writer(path, kind, day) as out:
                    fill(conn, out)
                return out.totals

            totals = await self.database.read(make)
            return await self.deliver(kind, day, path, totals, again=again)

    async def owed(
        self, kind: str, last: date, began: Callable[[Connection], date | None], changed: Iterable[date] = ()
    ) -> list[date]:
        """The days whose files are to be made and sent now: each since the last one that was sent, however long ago that is,
        and the WINDOW before it, in their order; then those before that have changed. AT_ONCE at most.

        Args:
            last: the last day that is over.
            began: the first day that there is anything to tell of; asked where nothing was ever sent.
            changed: days of which something is known to be otherwise than it was told.
        """
        names = (f"{kind}/", day_files.name_of(kind, last))

        def reached(conn: Connection) -> date:
            sent = self.files.last_sent(conn, self.partner, *names)
            return min(last, sent or began(conn) or last)

        first = await self.database.read(reached) - timedelta(days=WINDOW - 1)
        found = list(days(first, min(last, first + timedelta(days=AT_ONCE - 1))))
        earlier = sorted(day for day in changed if day < first)
        return found + earlier[: AT_ONCE - len(found)]

    async def deliver(
        self, kind: str, day: date, path: Path, totals: Totals, *, again: bool = False
    ) -> FileRow | None:
        """The same with a file that is made."""
        name, partner = day_files.name_of(kind, day), self.partner
        found = await asyncio.to_thread(_print_of, path)
        last = await self.database.read(lambda conn: self.files.last(conn, partner, OUT, name))
        if last is not None and Print(last.sha256, last.size) == found and last.state == SENT and not again:
            return None
        row = await self._keep(OUT, name, day, path, {"count": totals.count, "fen": totals.fen})
        await self.folder.deliver(self.store.path(row.sha256), name)
        await self.database.write(lambda conn: self.files.note(conn, self.clock, row.id, SENT, SENT))
        log.info("file-sent", partner=partner, name=name, count=totals.count, fen=totals.fen)
        return row

    async def new(self, kind: str) -> list[tuple[date, Entry]]:
        """What lies there of a kind and was not looked at yet, by day. Raises FolderError."""
        there = {}
        for entry in await self.folder.entries(kind):
            if (day := day_files.day_in(entry.name, kind)) is not None:
                there[day] = entry

        def unseen(conn: Connection) -> list[tuple[date, Entry]]:
            if not there:
                return []
            found = []
            ends = (day_files.name_of(kind, day) for day in (min(there), max(there)))
            newest = self.files.newest(conn, self.partner, IN, *ends)
            for day, entry in sorted(there.items()):
                last = newest.get(day_files.name_of(kind, day))
                # What has arrived and was not looked at was left behind by a process that died.
                if last is None or last.facts.get("mark") != entry.mark or last.state == ARRIVED:
                    found.append((day, entry))
            return found

        return await self.database.read(unseen)

    async def fetch(self, kind: str, day: date, entry: Entry) -> Received | None:
        """Fetches one and keeps it; None for one that cannot be used, which is told in the log and in its history.

        Raises:
            FolderError
        """
        name = day_files.name_of(kind, day)
        with self.workplace() as path:
            try:
                await self.folder.fetch(name, path)
            except FileNotFoundError:
                return None  # taken away since it was listed
            row = await self._keep(IN, name, day, path, {"mark": entry.mark})
        kept = self.store.path(row.sha256)
        try:
            totals = await asyncio.to_thread(day_files.check, kept, kind, day)
        except FileBad as bad:
            said = bad.said.kept
            await self.database.write(
                lambda conn: self.files.note(conn, self.clock, row.id, REFUSED, REFUSED, why=said)
            )
            log.error("file-refused", partner=self.partner, name=name, error=str(bad))
            return None
        return Received(row, day, kept, totals)

    def used(self, conn: Connection, received: Received, **facts: Any) -> None:
        """What a file says has been done."""
        self.files.note(conn, self.clock, received.row.id, USED, USED, **facts)

    async def _keep(
        self, direction: str, name: str, day: date, path: Path, facts: Mapping[str, Any]
    ) -> FileRow:
        content = await asyncio.to_thread(self.store.put, path)

        def keep(conn: Connection) -> FileRow:
            about: dict[str, Any] = {
                "partner": self.partner,
                "direction": direction,
                "name": name,
                "day": day,
            }
            row = self.files.keep(conn, self.ids, self.clock, **about, content=content, facts=facts)
            if row.repeated:
                self.files.remember(conn, row.id, facts)
            return row

        return await self.database.write(keep)

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """Where a file is made or fetched before it is kept."""
        self.store.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self.store.folder, suffix=TEMPORARY) as name:
            yield Path(name) / "file"


def _print_of(path: Path) -> Print:
    with path.open("rb") as file:
        return print_of(file)
