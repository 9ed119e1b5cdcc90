"""The key pairs that boxes seal card data and PINs for: made by the HSM at the first start, the private halves wrapped."""

from __future__ import annotations

from sqlalchemy import Connection, select

from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.statements import insert_once
from server_stub.tsp.hsm.envelope import Envelope
from server_stub.tsp.hsm.keys import KeyBlock
from server_stub.tsp.hsm.module import BoxKey, Hsm
from server_stub.tsp.models import CardEnvelope, CardKey
from server_stub.tsp.tables import card_keys

FIRST = 1


class CardKeys:
    """The installation's key pairs; all processes on one database have the same.

    Attributes:
        told: what boxes are told, the present one first.

    Raises:
        CannotStart: from the database.
    """

    def __init__(self, database: Database, hsm: Hsm, clock: Clock) -> None:
        rows = database.load(_load)
        if not rows:
            # A pair takes a while, and may be made for nothing: not inside a transaction.
            made, now = hsm.make_box_key(), clock.now()
            values = {"generation": FIRST, **_columns(made), "created_at": now}
            database.load(lambda conn: insert_once(conn, card_keys, values))
            rows = database.load(_load)
        self.told = tuple(CardKey(key_id=key.key_id, public_key=key.public_key.hex().upper()) for key in rows)
        self._blocks = {key.key_id: key.private_key for key in rows}

    def private_key(self, key_id: str) -> KeyBlock | None:
        """The private half of a pair, for the HSM; None where no box was ever told of it."""
        return self._blocks.get(key_id)


def envelope_of(body: CardEnvelope) -> Envelope:
    """What a box sent, for the HSM."""
    return Envelope(
        key_id=body.key_id,
        wrapped_key=bytes.fromhex(body.wrapped_key),
        pin_block=None if body.pin_block is None else bytes.fromhex(body.pin_block),
        card=bytes.fromhex(body.card),
    )


def _load(conn: Connection) -> list[BoxKey]:
    newest_first = select(card_keys).order_by(card_keys.c.generation.desc())
    return [
        BoxKey(row.key_id, bytes.fromhex(row.public_key), KeyBlock(row.private_key))
        for row in conn.execute(newest_first)
    ]


def _columns(key: BoxKey) -> dict[str, str]:
    return {
        "key_id": key.key_id,
        "public_key": key.public_key.hex().upper(),
        "private_key": key.private_key,
    }
