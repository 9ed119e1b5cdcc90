"""The exchange: who is let in, what becomes of a file that has arrived, and where everything is.

What the FTP's thread hands over is done here, in the event loop: passwords, hashes and the disk in threads, rows in the database.
A file is kept and entered before it is shown, and shown under its name by one rename; the file that is shown is the kept one by
another name, so what was entered is what is there. Nothing that is shown is ever written to.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hmac
import json
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, select

from server_stub.exchange import partners
from server_stub.exchange.partners import HOUSE, OPEN, Partner
from server_stub.exchange.paths import day_of
from server_stub.exchange.tables import audit, files, rate_buckets
from server_stub.foundation import rates
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.files import IN, OUT, SENT, USED, FileRow, Kept, Store
from server_stub.foundation.folders import account_password, sync_folder
from server_stub.foundation.ids import Ids
from server_stub.foundation.locks import KeyedLocks
from server_stub.foundation.problems import Problem
from server_stub.foundation.rates import Limit
from server_stub.foundation.secret import SecretText
from server_stub.foundation.startup import cannot_keep
from server_stub.foundation.worker import Worker

LOOK_EVERY = timedelta(seconds=5)
"""So soon a running server knows of a partner that was added, closed, or has another password."""
HOUR = 3600.0
BETWEEN_TRIES_SECONDS = 0.02
INCOMING = ".incoming"
"""Where uploads grow; no name of a partner begins with a point."""
FETCHED, DELETED, RENAMED = "fetched", "deleted", "renamed"
FOREIGN = re.compile(r"[^a-z0-9-]")
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$sGgvXqWRnMk3e2uF6SGuvA$Fy4ZAfbiKrT72WuOP4VUBxtZu65C/w6McHLjfmrm6MA"
"""What is kept of a password that nobody knows: checked where there is no account, which takes as long as with one."""

log = structlog.get_logger(__name__)


class SignInRefused(Exception):
    """Somebody is not let in.

    Attributes:
        why: for the log.
        said: what the client is told: no more than that it was refused, or for how long it need not ask again.
    """

    def __init__(self, why: str, said: str = "Sign-in refused.") -> None:
        super().__init__(why)
        self.why, self.said = why, said


class Place(NamedTuple):
    """A file of a partner's: ``Place("ppp", "XFMX/XFMX20260621.TXT")``."""

    partner: str
    name: str


class Allowance(NamedTuple):
    """How large a file may be, all in a partner's folders together, and how much of that is left."""

    file_bytes: int
    room_bytes: int
    left_bytes: int


@dataclass(slots=True)
class Growing:
    """An upload that is not whole.

    Attributes:
        before: bytes that were there before, and count as used.
        size: what it has by now.
    """

    partner: str
    before: int
    size: int


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the exchange keeps what it has, below the data folder."""

    data: Path

    @property
    def folders(self) -> Path:
        """Each partner's folder, with the agreed ones in it."""
        return self.data / "folders"

    @property
    def incoming(self) -> Path:
        """Uploads that are not whole."""
        return self.folders / INCOMING

    @property
    def kept(self) -> Path:
        """The store of every version of every file."""
        return self.data / "files" / "exchange"

    def of(self, place: Place) -> Path:
        """The file as it is shown."""
        return self.folders / place.partner / place.name


class ExchangeService:
    """The exchange without its listener.

    Args:
        data: the data folder.
        key: the partner key, from which bundled roles derive their passwords.
        failures_per_hour: wrong passwords for one account from one address; ten times as many for it from all, three times as many
            from one address for all.

    Attributes:
        known: the accounts by name, as they were a moment ago.
        used_bytes: what the partners' folders take up, by name, but for what has grown since.
        growing: the uploads of this process, by where they grow; written in the FTP's thread.

    Raises:
        CannotStart: from the database, or the folders cannot be made.
    """

    def __init__(
        self, database: Database, clock: Clock, ids: Ids, data: Path, key: SecretText, failures_per_hour: int
    ) -> None:
        self.database = database
        self.clock = clock
        self.paths = Paths(data)
        self.store = Store(self.paths.kept)
        self.known: Mapping[str, Partner] = {}
        self.used_bytes: dict[str, int] = {}
        self.growing: dict[Path, Growing] = {}
        self._ids = ids
        self._key = key
        self._failures = failures_per_hour
        self._owed: list[tuple[str, Limit]] = []
        self._locks = KeyedLocks()
        self._own = self.paths.incoming / secrets.token_hex(8)
        self._held: int | None = None
        self._worker = Worker("exchange-partners", clock, self._look, LOOK_EVERY)
        database.load(lambda conn: partners.load_bundled(conn, clock))

    def start(self) -> None:
        """It begins. Raises CannotStart."""
        audit.note_start(self.database, self.clock, "exchange")
        try:
            self._hold_incoming()
            found = self.database.submit(partners.every).result()
            self._make_every_folder(found)
            self.known = {partner.name: partner for partner in found}
            self.used_bytes = {name: _used(self.paths.folders / name) for name in self.known}
        except OSError as error:
            raise cannot_keep(self.paths.folders, error) from error
        self.store.tidy(self.clock.now())
        self._worker.start()

    async def stop(self) -> None:
        """Ends that, and lets go of the database."""
        await self._worker.stop()
        shutil.rmtree(self._own, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
        try:
            audit.note_stop(self.database, self.clock, "exchange")
        finally:
            self.database.close()

    async def sign_in(self, name: str, password: SecretText, address: str) -> Partner:
        """Lets a partner in. Each attempt counts as wrong until it was right, so that many at once are no more than one by one;
        those of an address are looked at one by one, so that many who are right are none too many.

        Raises:
            SignInRefused
            OSError, DatabaseFault, SQLAlchemyError: nobody can tell at present; it does not count.
        """
        async with self._locks.hold(f"sign-in from {address}"):
            partner = await self._expect_right(name, password, address)
        await asyncio.to_thread(self._make_folders, partner)
        await self.measure(name)
        self.known = {**self.known, name: partner}
        return partner

    def holds(self, partner: Partner) -> bool:
        """Whether somebody who was let in as this partner is still let do anything."""
        return partner.state == OPEN and self.known.get(partner.name) == partner

    def allowance(self, account: Partner, growing: Growing) -> Allowance:
        """How large an upload of this account may become, beside the others of its folders."""
        owner = self.known.get(growing.partner, account)
        others = sum(
            max(0, one.size - one.before)
            for one in self.growing.copy().values()
            if one.partner == growing.partner and one is not growing
        )
        left = owner.room_bytes - self.used_bytes.get(growing.partner, 0) - others + growing.before
        return Allowance(owner.file_bytes, owner.room_bytes, max(0, left))

    def new_upload(self) -> Path:
        """Where an upload may grow."""
        return self._own / secrets.token_hex(8)

    async def take_in(
        self, account: Partner, source: Path, place: Place, was: Place | None = None
    ) -> FileRow:
        """Keeps a file that is whole, enters it, and shows it under its name; the source is gone then.

        Args:
            was: where it was shown before.

        Raises:
            OSError, DatabaseFault: it may have been entered, and is not shown; it can be delivered again.
        """
        async with self._locks.hold(str(self.paths.of(place))):
            content = await asyncio.to_thread(self.store.put, source)
            direction = OUT if account.name == HOUSE else IN
            async with self._alone_in(self.paths.of(place).parent):
                row = await self.database.write(
                    lambda conn: self._enter(conn, account, content, place, direction)
                )
                await asyncio.to_thread(self._show, content, place, source)
        if was is not None:
            await self.note(was, RENAMED, to=place.name, by=account.name)
        await self.measure(place.partner, source)
        log.info(
            "file-repeated" if row.repeated else "file-arrived",
            partner=place.partner,
            by=account.name,
            name=place.name,
            version=row.version,
            bytes=row.size,
            sha256=row.sha256,
        )
        return row

    async def fetched(self, account: Partner, place: Place) -> None:
        """An account has the whole file: with the other side's first time, it is sent, or used."""

        def work(conn: Connection) -> None:
            row = _newest(conn, place)
            by_house = account.name == HOUSE
            if row is None or (row.direction == OUT) == by_house:
                return
            told = {"event": FETCHED, "detail": json.dumps({"by": account.name})}
            events = files.events.c
            query = select(events.id).where(
                events.file == row.id, *(events[one] == told[one] for one in told)
            )
            if conn.execute(query.limit(1)).first() is None:
                files.note(conn, self.clock, row.id, USED if by_house else SENT, FETCHED, by=account.name)

        await self.database.write(work)

    async def note(self, place: Place, event: str, **detail: str) -> None:
        """Writes down what has happened to the newest version of a file."""

        def work(conn: Connection) -> None:
            row = _newest(conn, place)
            if row is not None:
                files.note(conn, self.clock, row.id, None, event, **detail)

        await self.database.write(work)

    async def measure(self, partner: str, grown: Path | None = None) -> None:
        """How much room a partner's folders take up is known anew.

        Args:
            grown: an upload that is at its end; from now on it counts as what is there of it.
        """
        before = {path: one.before for path, one in self.growing.copy().items() if path != grown}
        self.used_bytes[partner] = await asyncio.to_thread(_used, self.paths.folders / partner, before)
        if grown is not None:
            self.growing.pop(grown, None)

    async def _expect_right(self, name: str, password: SecretText, address: str) -> Partner:
        attempts = self._attempts(name, address)

        def count(conn: Connection) -> Partner | None:
            now = self.clock.now()
            for bucket, limit in attempts:
                rates.take(conn, rate_buckets, bucket, limit, now)
            return partners.one(conn, name) if partners.ACCOUNT.fullmatch(name) else None

        try:
            partner = await self.database.write(count)
        except Problem as problem:
            minutes = -(-problem.body.facts["retry_after_seconds"] // 60)
            said = f"Too many wrong passwords; the next try is in {minutes} min."
            raise SignInRefused("locked-out", said) from None
        right = await asyncio.to_thread(self._right, partner, password)
        if partner is None:
            raise SignInRefused("no such account")
        if not partner.may_come_from(address):
            raise SignInRefused("address")
        if not right:
            raise SignInRefused("password")
        if partner.state != OPEN:
            raise SignInRefused("closed")
        self._owed += attempts
        await self._give_back()
        return partner

    async def _give_back(self) -> None:
        """Attempts that were right do not count; where the disk is full just then, they are given back later."""

        def work(conn: Connection) -> None:
            now = self.clock.now()
            for bucket, limit in owed:
                rates.give_back(conn, rate_buckets, bucket, limit, now)

        async with self._locks.hold("owed"):
            owed = [*self._owed]
            if owed:
                await self.database.write(work)
                del self._owed[: len(owed)]

    def _attempts(self, name: str, address: str) -> tuple[tuple[str, Limit], ...]:
        # What somebody calls himself who cannot be anybody stands in no table.
        who = FOREIGN.sub("?", name)[:32]
        return (
            (f"sign-ins of {address}", Limit(3 * self._failures, HOUR)),
            # Each address by itself: whoever guesses locks nobody else out.
            (f"sign-in {who} from {address}", Limit(self._failures, HOUR)),
            (f"sign-in {who}", Limit(10 * self._failures, HOUR)),
        )

    def _right(self, partner: Partner | None, password: SecretText) -> bool:
        if partner is not None and partner.password is None:
            wanted = account_password(self._key, partner.name).reveal()
            return hmac.compare_digest(wanted.encode(), password.reveal().encode("utf-8", "surrogateescape"))
        # Who has no account is found out no sooner.
        kept = NOBODY if partner is None or partner.password is None else partner.password
        return partners.matches(password, kept) and partner is not None

    def _enter(
        self, conn: Connection, account: Partner, content: Kept, place: Place, direction: str
    ) -> FileRow:
        return files.keep(
            conn,
            self._ids,
            self.clock,
            partner=place.partner,
            direction=direction,
            name=place.name,
            day=day_of(place.name),
            content=content,
            facts={"by": account.name},
        )

    @asynccontextmanager
    async def _alone_in(self, folder: Path) -> AsyncIterator[None]:
        """Nothing else is entered and shown there, by no other process either: else an older version could be shown last."""
        async with self._locks.hold(str(folder)):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                while not _locked(descriptor):
                    await asyncio.sleep(BETWEEN_TRIES_SECONDS)  # in a thread it could not be given up
                yield
            finally:
                os.close(descriptor)

    def _show(self, content: Kept, place: Place, source: Path) -> None:
        shown, link = self.paths.of(place), self.new_upload()
        try:
            os.link(self.store.path(content.sha256), link)
            link.replace(shown)
        finally:
            link.unlink(missing_ok=True)  # where it was shown already, nothing was renamed
        if source != shown:
            source.unlink(missing_ok=True)
        sync_folder(shown.parent)

    async def _look(self) -> datetime | None:
        before = self.known
        found = await self.database.read(partners.every)
        await asyncio.to_thread(self._make_every_folder, found)
        # What was read is older than who has signed in meanwhile.
        newer = {name: one for name, one in self.known.items() if before.get(name) is not one}
        self.known = {**{partner.name: partner for partner in found}, **newer}
        await self._give_back()
        return None

    def _make_every_folder(self, found: Iterable[Partner]) -> None:
        for partner in found:
            self._make_folders(partner)

    def _hold_incoming(self) -> None:
        """This process has a folder for uploads that is locked as long as it lives; those that nobody holds go."""
        self.paths.incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self.paths.incoming.iterdir():
            descriptor = os.open(left, os.O_RDONLY)
            try:
                if _locked(descriptor):  # else another process of ours is at it
                    shutil.rmtree(left)
            finally:
                os.close(descriptor)
        self._own.mkdir(mode=0o700)
        self._held = os.open(self._own, os.O_RDONLY)
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def _make_folders(self, partner: Partner) -> None:
        if not partner.house:
            for folder in partner.folders:
                path = self.paths.folders / partner.name / folder
                path.mkdir(parents=True, exist_ok=True, mode=0o700)


def _locked(descriptor: int) -> bool:
    """Whether a folder is this descriptor's alone from now on, until it is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _newest(conn: Connection, place: Place) -> FileRow | None:
    """The version of a file that is shown: the newest, whoever has delivered it."""
    found = [files.last(conn, place.partner, direction, place.name) for direction in (IN, OUT)]
    return max((row for row in found if row is not None), key=lambda row: row.id, default=None)


def _used(folder: Path, growing: Mapping[Path, int] = MappingProxyType({})) -> int:
    """Bytes of all files; of those that grow, as many as are given."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                total += growing[path] if path in growing else path.stat().st_size
    return total
