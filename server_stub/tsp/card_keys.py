"""The key pairs that boxes seal card data and PINs for: made by the HSM, the private halves wrapped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.statements import insert_once
from server_stub.tsp.hsm.envelope import Envelope
from server_stub.tsp.hsm.keys import KeyBlock
from server_stub.tsp.hsm.module import BoxKey, Hsm
from server_stub.tsp.models import CardEnvelope, CardKey
from server_stub.tsp.tables import card_keys

FIRST = 1
LOOK_EVERY = timedelta(seconds=60)
"""Another process, or the operator, may have made a new pair."""
OLD_VALID = timedelta(days=1)
"""How long what was sealed for the pair before is opened: a box asks for the key with each payment."""


class CardKeys:
    """The installation's key pairs; all processes on one database have the same.

    Raises:
        CannotStart: from the database.
    """

    def __init__(self, database: Database, hsm: Hsm, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._looked_at = clock.now()
        self._rows = database.load(_load)
        if not self._rows:
            # A pair takes a while, and may be made for nothing: not inside a transaction.
            made = hsm.make_box_key()
            database.load(lambda conn: _insert(conn, made, FIRST, self._looked_at))
            self._rows = database.load(_load)

    async def told(self) -> list[CardKey]:
        """What boxes are told, the present one first."""
        if abs(self._clock.now() - self._looked_at) >= LOOK_EVERY:
            await self._look()
        return [CardKey(key_id=row.key_id, public_key=row.public_key) for row in self._good()]

    async def private_key(self, key_id: str) -> KeyBlock | None:
        """The private half of a pair, for the HSM; None where no box was told of it, or its time is over."""
        if all(row.key_id != key_id for row in self._rows):
            await self._look()  # a process that has looked before this one may have told it
        return next((KeyBlock(row.private_key) for row in self._good() if row.key_id == key_id), None)

    async def _look(self) -> None:
        self._looked_at = self._clock.now()
        self._rows = await self._database.look(_load)

    def _good(self) -> list[Row[Any]]:
        now = self._clock.now()
        return [row for row in self._rows if row.valid_until is None or row.valid_until > now]


def rotate(conn: Connection, made: BoxKey, now: datetime) -> None:
    """Boxes seal for a new pair from now on; what was sealed for the one before is opened for a day."""
    newest = conn.execute(select(card_keys).order_by(card_keys.c.generation.desc()).limit(1)).one_or_none()
    conn.execute(
        update(card_keys).where(card_keys.c.valid_until.is_(None)).values(valid_until=now + OLD_VALID)
    )
    _insert(conn, made, FIRST if newest is None else newest.generation + 1, now)


def envelope_of(body: CardEnvelope) -> Envelope:
    """What a box sent, for the HSM."""
    return Envelope(
        key_id=body.key_id,
        wrapped_key=bytes.fromhex(body.wrapped_key),
        pin_block=None if body.pin_block is None else bytes.fromhex(body.pin_block),
        card=bytes.fromhex(body.card),
    )


def _load(conn: Connection) -> list[Row[Any]]:
    return list(conn.execute(select(card_keys).order_by(card_keys.c.generation.desc())))


def _insert(conn: Connection, key: BoxKey, generation: int, now: datetime) -> None:
    values = {"generation": generation, "key_id": key.key_id, "public_key": key.public_key.hex().upper()}
    insert_once(conn, card_keys, {**values, "private_key": key.private_key, "created_at": now})
