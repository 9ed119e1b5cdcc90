"""Which key speaks for which box, under which subscriber's name (ONL-11). BOSS decides; platforms ask."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from server_stub.boss import models, store, views
from server_stub.boss.tables import box_keys, boxes, subscribers
from server_stub.foundation import statements
from server_stub.foundation.problems import Problem
from server_stub.foundation.text import Text

STATES = ("active", "suspended", "stolen")
REPLACED, REVOKED, COPIED = "key-replaced", "key-revoked", "key-copied"


def activation_hash(box_number: str, activation_code: str) -> str:
    """What BOSS keeps of an activation code: enough to check it. Codes are short, so the hash is slow."""
    return hashlib.pbkdf2_hmac("sha256", activation_code.encode(), box_number.encode(), 20_000).hex()


def register(
    conn: Connection, box_number: str, claim: models.KeyClaim, code_hash: str, now: datetime
) -> models.RegisteredKey:
    """Ties a key to a box, its smart card and its subscriber; whatever key the box had has ended.

    Args:
        code_hash: ``activation_hash`` of the claim.

    Raises:
        Problem: ``box-unknown``, ``box-suspended``, ``box-stolen``, ``activation-code-wrong``; or that of a key which has
            ended: keys do not come back.
    """
    _lock(conn, box_number)
    box = store.load_box(conn, box_number)
    right_card = hmac.compare_digest(box.smart_card_number, claim.smart_card_number)
    if not (hmac.compare_digest(box.activation_hash, code_hash) and right_card):
        raise Problem("activation-code-wrong")
    known = _key(conn, claim.key_id)
    if known is not None and known.box_number != box_number:
        raise Problem(REVOKED)
    if known is None:
        end(conn, box_number, REPLACED, now)
        mine = select(func.max(box_keys.c.generation)).where(box_keys.c.box_number == box_number)
        _insert(conn, box, claim.key_id, (conn.execute(mine).scalar_one() or 0) + 1, now)
    else:
        _refuse_ended(known, now)
    return _registered(conn, box, _good(conn, box_number, claim.key_id, now))


def succeed(
    conn: Connection, box_number: str, old: str, successor: models.KeySuccessor, now: datetime
) -> models.RegisteredKey:
    """A box's key names the next one, and is good itself until an instant. Raises as ``standing``."""
    _lock(conn, box_number)
    box = store.load_box(conn, box_number)
    before = _good(conn, box_number, old, now)
    known = _key(conn, successor.key_id)
    if known is not None and (known.box_number != box_number or known.ended is not None):
        raise Problem(REVOKED)
    if known is None:
        _insert(conn, box, successor.key_id, before.generation, now)
    if before.ended is None:
        old_one = box_keys.c.key_id == old
        conn.execute(
            update(box_keys).where(old_one).values(ended=REPLACED, ended_at=successor.old_valid_until)
        )
    return _registered(conn, box, _good(conn, box_number, successor.key_id, now))


def standing(conn: Connection, box_number: str, key_id: str, now: datetime) -> models.RegisteredKey:
    """What BOSS thinks of a box and its key.

    Raises:
        Problem: ``box-unknown``, ``box-suspended``, ``box-stolen``; ``not-found`` for a key that is not this box's;
            ``key-replaced``, ``key-revoked``, ``key-copied`` for one that has ended.
    """
    box = store.load_box(conn, box_number)
    return _registered(conn, box, _good(conn, box_number, key_id, now))


def end(conn: Connection, box_number: str, code: str, now: datetime, key_id: str | None = None) -> int:
    """Ends a box's key, or all it has; returns how many that were good until now."""
    mine = (box_keys.c.box_number == box_number) & (box_keys.c.ended.is_(None) | (box_keys.c.ended_at > now))
    if key_id is not None:
        mine &= box_keys.c.key_id == key_id
    return conn.execute(update(box_keys).where(mine).values(ended=code, ended_at=now)).rowcount


def set_state(conn: Connection, box_number: str, state: str) -> bool:
    """Suspends a box, reports it stolen or puts it back in service; False when there is no such box."""
    assert state in STATES
    return (
        conn.execute(update(boxes).where(boxes.c.box_number == box_number).values(state=state)).rowcount > 0
    )


def set_activation(conn: Connection, box_number: str, code_hash: str) -> bool:
    """From now on a box is registered with this code and no other; with "" with none. False: there is no such box."""
    mine = update(boxes).where(boxes.c.box_number == box_number).values(activation_hash=code_hash)
    return conn.execute(mine).rowcount > 0


def _key(conn: Connection, key_id: str) -> Row[Any] | None:
    return statements.one(conn, box_keys, key_id=key_id)


def _lock(conn: Connection, box_number: str) -> None:
    """Enrolments of one box take turns."""
    conn.execute(select(boxes.c.box_number).where(boxes.c.box_number == box_number).with_for_update())


def _good(conn: Connection, box_number: str, key_id: str, now: datetime) -> Row[Any]:
    row = _key(conn, key_id)
    if row is None or row.box_number != box_number:
        raise Problem("not-found")
    _refuse_ended(row, now)
    return row


def _refuse_ended(row: Row[Any], now: datetime) -> None:
    if row.ended is not None and row.ended_at <= now:
        raise Problem(row.ended)


def _insert(conn: Connection, box: Row[Any], key_id: str, generation: int, now: datetime) -> None:
    conn.execute(
        insert(box_keys).values(
            key_id=key_id,
            box_number=box.box_number,
            smart_card_number=box.smart_card_number,
            subscriber_id=box.subscriber_id,
            generation=generation,
            registered_at=now,
        )
    )


def _registered(conn: Connection, box: Row[Any], key: Row[Any]) -> models.RegisteredKey:
    person = statements.one(conn, subscribers, id=box.subscriber_id)
    assert person is not None
    who = views.subscriber(Text(zh=person.name_zh, en=person.name_en), box.box_number)
    return models.RegisteredKey(key_id=key.key_id, generation=key.generation, subscriber=who)
