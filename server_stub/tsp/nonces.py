"""Each signed request once, and each key for one holder (ONL-11).

What this process has let in is in its memory. A request that changes something keeps its nonce in the transaction that
has the effect, where every process sees it: authentication costs no commit of its own. Reads keep nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    String,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from server_stub.foundation.database import Instant
from server_stub.foundation.idempotency import NotAdmitted
from server_stub.foundation.problems import Problem
from server_stub.foundation.signatures import Signed
from server_stub.foundation.statements import Statement
from server_stub.tsp.core import Core
from server_stub.tsp.tables import box_keys, box_nonces

LOOK_EVERY = timedelta(seconds=2)
"""How long a read may be let in by a key that another process has ended."""
LONGEST_NONCE = 64
_LOOK = Statement(select(box_keys).where(box_keys.c.key_id == bindparam("key")))
_LOCK = Statement(select(box_keys).where(box_keys.c.key_id == bindparam("key")).with_for_update())
_GOOD = select(
    box_keys.c.key_id,
    bindparam("counter", type_=BigInteger),
    bindparam("nonce", type_=String),
    bindparam("request", type_=String),
).where(
    box_keys.c.key_id == bindparam("key", type_=String),
    box_keys.c.ended.is_(None),
    or_(box_keys.c.valid_until.is_(None), box_keys.c.valid_until > bindparam("now", type_=Instant)),
    box_keys.c.floor < bindparam("counter", type_=BigInteger),
)
_COLUMNS = ["key_id", "counter", "nonce", "request"]
_KEEP = {
    "postgresql": Statement(
        postgresql.insert(box_nonces).from_select(_COLUMNS, _GOOD).on_conflict_do_nothing()
    ),
    "sqlite": Statement(sqlite.insert(box_nonces).from_select(_COLUMNS, _GOOD).on_conflict_do_nothing()),
}
_WHOSE = Statement(
    select(box_nonces.c.request).where(
        box_nonces.c.key_id == bindparam("key"), box_nonces.c.counter == bindparam("counter")
    )
)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """A key as the database had it a moment ago. Its bytes and its box never change."""

    key_id: str
    box_number: str
    public_key: str
    ended: str | None
    valid_until: datetime | None
    floor: int
    turned_at: datetime
    looked_at: datetime


@dataclass(slots=True)
class _Seen:
    """What this process has let in by a key: the counters above the floor with their nonces, and the highest."""

    at: datetime
    nonces: dict[int, str] = field(default_factory=dict)
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that was let in.

    Attributes:
        request: names it among all requests of all processes.
    """

    box_number: str
    key_id: str
    counter: int
    nonce: str
    request: str


class Nonces:
    """The keys and nonces of this process and of all.

    Args:
        window: how far a signature's time may be from the server's.
        copied: called in the transaction that ends a copied key.
    """

    def __init__(self, core: Core, window: timedelta, copied: Callable[[Connection, Entry], None]) -> None:
        self._core = core
        self._window = window
        self._copied = copied
        self._known: dict[str, Known] = {}
        self._seen: dict[str, _Seen] = {}
        self._numbers = itertools.count()
        self._swept_at = core.clock.now()

    async def known(self, key: str) -> Known:
        """A key, as it was two seconds ago at most. Raises Problem ``not-enrolled``."""
        now = self._core.clock.now()
        last = self._known.get(key)
        if last is not None and abs(now - last.looked_at) < LOOK_EVERY:
            return last
        row = await self._core.database.look(lambda conn: _LOOK.one_or_none(conn, {"key": key}))
        if row is None:
            raise Problem("not-enrolled")
        found = Known(
            key,
            row.box_number,
            row.public_key,
            row.ended,
            row.valid_until,
            row.floor,
            row.turned_at,
            now,
        )
        self._known[key] = found
        seen = self._seen.get(key)
        if seen is not None and (last is None or found.floor > last.floor):
            seen.nonces = {count: one for count, one in seen.nonces.items() if count > found.floor}
        return found

    def look_again(self) -> None:
        """This process has changed keys."""
        self._known.clear()

    async def use(self, known: Known, signed: Signed, take: Callable[[datetime], None]) -> Entry:
        """Lets a request in whose signature is right.

        Args:
            take: takes a request from the box's share; raises when there is none.

        Raises:
            Problem: ``signature-invalid``, ``signature-replayed``, ``key-copied``, what the key has ended with.
        """
        counter = counter_of(signed.nonce)
        if counter is None:
            raise Problem("signature-invalid")
        # Nothing here waits until the nonce is in the memory: of the same request many times at once, one gets there.
        now = self._core.clock.now()
        request = f"{self._core.who} {next(self._numbers)}"
        entry = Entry(known.box_number, known.key_id, counter, signed.nonce, request)
        _refuse_ended(known, now)
        seen = self._seen.setdefault(known.key_id, _Seen(now))
        before = seen.nonces.get(counter)
        if before == signed.nonce:
            raise Problem("signature-replayed")
        if before is not None or counter <= known.floor:
            raise await self._core.database.write(lambda conn: self._end_copied(conn, entry))
        take(now)
        seen.at = now
        seen.nonces[counter] = signed.nonce
        seen.highest = max(seen.highest, counter)
        if now - known.turned_at >= 2 * self._window:
            await self._core.database.write(lambda conn: self._turn(conn, entry, seen.highest, now))
            self._known.pop(known.key_id, None)
            self._sweep(now)
        return entry

    def keep(self, conn: Connection, entry: Entry) -> None:
        """Keeps the nonce of a request that changes something, in the transaction of the change; again, nothing.

        Raises:
            NotAdmitted: the key has ended, or its counter was used by another request: ``why`` says what it is.
        """
        values = {"key": entry.key_id, "counter": entry.counter, "nonce": entry.nonce}
        values |= {"request": entry.request, "now": self._core.clock.now()}
        if _KEEP[conn.dialect.name].run(conn, values) == 1:
            return
        used = _WHOSE.one_or_none(conn, {"key": entry.key_id, "counter": entry.counter})
        if used is None or used.request != entry.request:
            raise NotAdmitted

    async def why(self, entry: Entry) -> Problem:
        """What is wrong with a request that ``keep`` has refused; a key that two have is ended by this."""

        def find(conn: Connection) -> Problem:
            row = _lock(conn, entry)
            try:
                _refuse_ended(row, self._core.clock.now())
            except Problem as problem:
                return problem
            here = (box_nonces.c.key_id == entry.key_id) & (box_nonces.c.counter == entry.counter)
            used = conn.execute(select(box_nonces.c.nonce).where(here)).scalar_one_or_none()
            if used == entry.nonce:
                return Problem("signature-replayed")
            return self._end_copied(conn, entry)

        return await self._core.database.write(find)

    def _end_copied(self, conn: Connection, entry: Entry) -> Problem:
        """One key signed two things with one counter, or went back: two have it. It is good for neither any more."""
        log.error("key-copied", box=entry.box_number, key=entry.key_id, counter=entry.counter)
        good = (box_keys.c.key_id == entry.key_id) & box_keys.c.ended.is_(None)
        if conn.execute(update(box_keys).where(good).values(ended="key-copied")).rowcount:
            self._copied(conn, entry)
        self._known.pop(entry.key_id, None)
        return Problem("key-copied")

    def _turn(self, conn: Connection, entry: Entry, highest: int, now: datetime) -> None:
        """Counters that were used two windows ago become the floor; nonces below it need not be kept.

        Who has used a counter never goes back, and no request is under way for longer than two windows (its time may be
        one window ahead of its arrival or one behind). So a request at or below the floor is another holder's.
        """
        row = _lock(conn, entry)
        if now - row.turned_at < 2 * self._window:
            return  # another process was first
        mine = box_nonces.c.key_id == entry.key_id
        kept = conn.execute(select(func.max(box_nonces.c.counter)).where(mine)).scalar_one() or 0
        values = {"floor": row.middle, "middle": max(row.middle, kept, highest), "turned_at": now}
        conn.execute(update(box_keys).where(box_keys.c.key_id == entry.key_id).values(**values))
        conn.execute(delete(box_nonces).where(mine, box_nonces.c.counter <= row.middle))

    def _sweep(self, now: datetime) -> None:
        """Forgets keys that have said nothing for so long that all they said is stale."""
        if now - self._swept_at < 2 * self._window:
            return
        self._swept_at = now
        self._seen = {key: seen for key, seen in self._seen.items() if now - seen.at <= 2 * self._window}
        self._known = {key: known for key, known in self._known.items() if key in self._seen}


def counter_of(nonce: str) -> int | None:
    """The counter that a nonce begins with (``COUNTER-RANDOM``); None for a nonce that is no such thing.

    >>> counter_of("17-kPrK_qmxVWaYVA9w"), counter_of("kPrK"), counter_of("17-abc")
    (17, None, None)
    """
    count, _, random = nonce.partition("-")
    right = count.isascii() and count.isdecimal() and len(count) <= 15 and count[0] != "0"
    if not right or not 16 <= len(random) <= LONGEST_NONCE:
        return None
    return int(count)


def _lock(conn: Connection, entry: Entry) -> Row[Any]:
    row = _LOCK.one_or_none(conn, {"key": entry.key_id})
    assert row is not None
    return row


def _refuse_ended(key: Any, now: datetime) -> None:
    if key.ended is not None:
        raise Problem(key.ended)
    if key.valid_until is not None and key.valid_until <= now:
        raise Problem("key-replaced")
