"""The keys that this installation signs its answers with: made at the first start, sealed in the database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert, select, update

from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database, DatabaseFault
from server_stub.foundation.ids import RandomBytes
from server_stub.foundation.signatures import AnswerKey
from server_stub.foundation.startup import CannotStart
from server_stub.foundation.vault import Vault
from server_stub.tsp.models import ServerKey
from server_stub.tsp.tables import server_keys

LOOK_EVERY = timedelta(seconds=60)
"""Another process may have rotated the key."""
SETTLED = 2 * LOOK_EVERY
"""So old is a new key before it signs: by then every process tells it to the boxes that the answer of another made ask."""
OLD_VALID = timedelta(days=90)
"""How long a box that was switched off still learns of a new key from the one before."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Keys:
    """Those that are good.

    Attributes:
        signing: first the newest that every process knows.
        told: the newest first.
    """

    signing: tuple[AnswerKey, ...]
    told: tuple[ServerKey, ...]


class ServerKeys:
    """The installation's keys.

    Raises:
        CannotStart: from the database, or ``expect_ours``.
    """

    def __init__(self, database: Database, vault: Vault, clock: Clock, random: RandomBytes) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        now = clock.now()
        database.load(lambda conn: make_first(conn, vault, random(32), now))
        database.load(lambda conn: expect_ours(conn, vault))
        self.keys = database.submit(lambda conn: self._load(conn, now)).result()
        self._looked_at = now
        self._looking = asyncio.Lock()

    async def fresh(self) -> Keys:
        """The keys, as they were at most a minute ago, or before the database went away."""
        now = self._clock.now()
        if abs(now - self._looked_at) >= LOOK_EVERY and not self._looking.locked():
            async with self._looking:
                try:
                    self.keys = await self._database.read(lambda conn: self._load(conn, now))
                    self._looked_at = now
                except DatabaseFault:
                    # That it is away has to be signed, too.
                    log.warning("server-keys-not-read", exc_info=True)
        return self.keys

    def _load(self, conn: Connection, now: datetime) -> Keys:
        good = server_keys.c.valid_until.is_(None) | (server_keys.c.valid_until > now)
        rows = conn.execute(
            select(server_keys).where(good).order_by(server_keys.c.created_at.desc(), server_keys.c.key_id)
        ).all()
        rows = sorted(rows, key=lambda row: row.valid_until is not None)
        private = [Ed25519PrivateKey.from_private_bytes(self._vault.unseal(row.sealed)) for row in rows]
        told = [
            ServerKey(key_id=row.key_id, public_key=key.public_key().public_bytes_raw().hex().upper())
            for row, key in zip(rows, private, strict=True)
        ]
        settled = (place for place, row in enumerate(rows) if row.created_at <= now - SETTLED)
        first = private[next(settled, -1)]
        signing = (first, *(key for key in private if key is not first))
        return Keys(tuple(AnswerKey.of(key) for key in signing), tuple(told))


def any_made(conn: Connection) -> bool:
    """Whether this database has seen a first start: what a vault's key has sealed is in it."""
    return conn.execute(select(server_keys.c.key_id).limit(1)).one_or_none() is not None


def expect_ours(conn: Connection, vault: Vault) -> None:
    """The keys of answers tell whether a vault is the one of this database. Raises CannotStart."""
    expect_sealed(vault, conn.scalars(select(server_keys.c.sealed)))


def expect_sealed(vault: Vault, every: Iterable[str]) -> None:
    """The same of keys of answers as they stand sealed in a database. Raises CannotStart."""
    try:
        for sealed in every:
            vault.unseal(sealed)
    except InvalidToken as error:
        raise CannotStart(
            "tsp.key is not the key that this database was begun with; put the right one back from a copy"
        ) from error


def make_first(conn: Connection, vault: Vault, seed: bytes, now: datetime) -> None:
    """The first start makes a key; later ones find it."""
    if not any_made(conn):
        _insert(conn, vault, seed, now)


def rotate(conn: Connection, vault: Vault, seed: bytes, now: datetime) -> str:
    """Makes a new key, which signs as soon as it has settled; the one before is good for three more months. Returns
    the new one's id. Raises CannotStart as ``expect_ours``."""
    expect_ours(conn, vault)
    present = server_keys.c.valid_until.is_(None)
    conn.execute(update(server_keys).where(present).values(valid_until=now + OLD_VALID))
    return _insert(conn, vault, seed, now)


def _insert(conn: Connection, vault: Vault, seed: bytes, now: datetime) -> str:
    key = AnswerKey.of(Ed25519PrivateKey.from_private_bytes(seed))
    conn.execute(insert(server_keys).values(key_id=key.key_id, sealed=vault.seal(seed), created_at=now))
    return key.key_id
