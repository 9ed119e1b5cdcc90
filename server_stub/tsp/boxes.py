"""Which box is speaking: enrolment, keys, and what a signed request must pass (ONL-11)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from server_stub.foundation import rates, signatures
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.outbox import Acknowledged
from server_stub.foundation.problems import Problem
from server_stub.foundation.rates import Limit
from server_stub.foundation.signatures import SignatureRefused, Signed
from server_stub.foundation.wire import Subscriber
from server_stub.tsp.core import Core
from server_stub.tsp.models import Enrolment, EnrolmentRequest, Rotated, Rotation
from server_stub.tsp.server_keys import ServerKeys
from server_stub.tsp.tables import box_keys, box_nonces, boxes
from server_stub.tsp.tables import rates as rate_buckets

REPORT_KEY = "report-key"
HOUR_S, MINUTE_S = 3600.0, 60.0
PER_ADDRESS = 3
"""So many times what one box number may fail, one address may: behind it may be several homes."""
LONGEST_NONCE = 64
# Built once: every request runs them, and to build one costs more than to run it.
_FIND = (
    select(
        box_keys.c.key_id,
        box_keys.c.ended,
        box_keys.c.valid_until,
        box_keys.c.floor,
        box_keys.c.middle,
        box_keys.c.turned_at,
        box_nonces.c.nonce,
        rate_buckets.c.tokens,
        rate_buckets.c.at,
    )
    .select_from(
        box_keys.outerjoin(
            box_nonces,
            (box_nonces.c.key_id == box_keys.c.key_id) & (box_nonces.c.counter == bindparam("counter")),
        ).outerjoin(rate_buckets, rate_buckets.c.name == bindparam("bucket"))
    )
    .where(box_keys.c.key_id == bindparam("key"))
    .with_for_update(of=box_keys)
)
_SPEND = (
    update(rate_buckets)
    .where(rate_buckets.c.name == bindparam("bucket"))
    .values(tokens=bindparam("left"), at=bindparam("then"))
)
_USE = insert(box_nonces)
log = structlog.get_logger(__name__)


@lru_cache(4096)
def _public_key(text: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))


def rotation_text(old_key: str, new_key: str) -> bytes:
    """What a new key signs to prove that the box has it."""
    return f"stb-pay key rotation\n{old_key}\n{new_key}\n".encode("ascii")


class Boxes:
    """The boxes that are enrolled here."""

    def __init__(self, core: Core, server_keys: ServerKeys) -> None:
        self._core = core
        self.server_keys = server_keys
        settings = core.settings
        self._window = timedelta(seconds=settings.signature_seconds)
        self._requests = Limit(settings.box_requests_per_minute, MINUTE_S)
        self._failures = Limit(settings.enrolment_failures_per_hour, HOUR_S)
        self._failures_of_address = Limit(PER_ADDRESS * settings.enrolment_failures_per_hour, HOUR_S)
        self._keys: dict[str, tuple[str, str]] = {}
        self._standings: dict[str, tuple[datetime, Problem | None]] = {}

    # Enrolment

    def check_new(self, request: EnrolmentRequest, signed: Signed) -> None:
        """The signature of whoever wants to be enrolled, with the key in the body.

        Raises:
            Problem: ``signature-invalid``, ``clock-skew``.
        """
        if signed.key_id != signatures.key_id(bytes.fromhex(request.public_key)):
            raise Problem("signature-invalid")
        self._check(signed, request.public_key)

    async def enrol(self, request: EnrolmentRequest, address: str, use: KeyUse) -> Answer:
        """Makes a box known by its key. A new enrolment ends the key before; the same key once more changes nothing.

        Args:
            address: of whoever asks.

        Raises:
            Problem: BOSS's ``box-unknown``, ``box-suspended``, ``box-stolen``,
                ``activation-code-wrong``; ``boss-unreachable``; ``too-many-requests``.
        """
        key = signatures.key_id(bytes.fromhex(request.public_key))
        await self._count_attempt(request.box_number, address)
        claim = {
            "smart_card_number": request.smart_card_number,
            "activation_code": request.activation_code.reveal(),
            "key_id": key,
        }
        async with self._core.locks.hold(f"enrolment {request.box_number}"):
            try:
                registered = await self._core.boss.post(request.box_number, "keys", claim)
            except Problem as problem:
                # Whoever is refused for a reason of BOSS's own has not been guessing.
                if problem.code not in ("activation-code-wrong", "box-unknown"):
                    await self._forgive_attempt(request.box_number, address)
                raise
            await self._forgive_attempt(request.box_number, address)
            enrolment = Enrolment(
                box_number=request.box_number,
                key_id=key,
                subscriber=Subscriber.model_validate(registered["subscriber"]),
                server_keys=list((await self.server_keys.fresh()).told),
            )

            def work(conn: Connection) -> Answer:
                use.claim(conn)
                now = self._core.clock.now()
                self._admit_new(conn, request.box_number, key, request.public_key, now)
                return use.answer(conn, answer_of(enrolment, 201))

            answer = await self._core.database.write(work)
        self._standings.clear()
        return answer

    def _admit_new(self, conn: Connection, box_number: str, key: str, public_key: str, now: datetime) -> None:
        # The row stays where there is one: the box's orders and payments belong to it.
        known = update(boxes).where(boxes.c.box_number == box_number).values(enrolled_at=now)
        if not conn.execute(known).rowcount:
            conn.execute(insert(boxes).values(box_number=box_number, enrolled_at=now))
        if conn.execute(select(box_keys.c.key_id).where(box_keys.c.key_id == key)).one_or_none() is not None:
            return
        good = (box_keys.c.box_number == box_number) & box_keys.c.ended.is_(None)
        conn.execute(update(box_keys).where(good).values(ended="key-replaced"))
        self._insert_key(conn, box_number, key, public_key, now)

    def _insert_key(
        self, conn: Connection, box_number: str, key: str, public_key: str, now: datetime
    ) -> None:
        values = {"key_id": key, "box_number": box_number, "public_key": public_key}
        conn.execute(insert(box_keys).values(**values, created_at=now, turned_at=now))

    async def _count_attempt(self, box_number: str, address: str) -> None:
        def work(conn: Connection) -> None:
            now = self._core.clock.now()
            for name, limit in self._attempts(box_number, address):
                rates.take(conn, rate_buckets, name, limit, now)

        await self._core.database.write(work)

    async def _forgive_attempt(self, box_number: str, address: str) -> None:
        def work(conn: Connection) -> None:
            now = self._core.clock.now()
            for name, limit in self._attempts(box_number, address):
                rates.give_back(conn, rate_buckets, name, limit, now)

        await self._core.database.write(work)

    def _attempts(self, box_number: str, address: str) -> tuple[tuple[str, Limit], ...]:
        return (
            (f"enrolment address {address}", self._failures_of_address),
            (f"enrolment box {box_number}", self._failures),
        )

    # Rotation

    async def rotate(self, box_number: str, old: str, rotation: Rotation, use: KeyUse) -> Answer:
        """A box goes over to a new key; both are good for a while. The same new key once more changes nothing.

        Raises:
            Problem: ``signature-invalid`` for a wrong proof; what BOSS says of the box and its key.
        """
        public_key = bytes.fromhex(rotation.public_key)
        new = signatures.key_id(public_key)
        try:
            _public_key(rotation.public_key).verify(bytes.fromhex(rotation.proof), rotation_text(old, new))
        except InvalidSignature:
            raise Problem("signature-invalid") from None
        now = self._core.clock.now()
        until = now + timedelta(seconds=self._core.settings.key_overlap_seconds)
        successor = {"key_id": new, "old_valid_until": until.isoformat()}
        await self._core.boss.post(box_number, f"keys/{old}/successor", successor)

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            if conn.execute(select(box_keys.c.key_id).where(box_keys.c.key_id == new)).one_or_none() is None:
                self._insert_key(conn, box_number, new, rotation.public_key, now)
            mine = (box_keys.c.key_id == old) & box_keys.c.valid_until.is_(None)
            conn.execute(update(box_keys).where(mine).values(valid_until=until))
            return use.answer(conn, answer_of(Rotated(key_id=new, old_valid_until=until)))

        return await self._core.database.write(work)

    # Every request

    async def authenticate(self, box_number: str, signed: Signed) -> None:
        """A request's signature, its time, its nonce, the box's standing and its share of requests.

        Raises:
            Problem: ``not-enrolled``, ``signature-invalid``, ``signature-replayed``, ``clock-skew``, ``too-many-requests``,
                ``key-replaced``, ``key-revoked``, ``key-copied``; what BOSS says of the box.
        """
        counter = counter_of(signed.nonce)
        if counter is None:
            raise Problem("signature-invalid")
        public_key, number = await self._known(signed.key_id)
        if number != box_number:
            raise Problem("not-enrolled")
        self._check(signed, public_key)
        refused = await self._core.database.write(
            lambda conn: self._admit(conn, box_number, signed, counter, self._core.clock.now())
        )
        if refused is not None:
            if refused.code == "key-copied":
                self._core.outbox.worker.kick()
            raise refused
        await self._ask_standing(box_number, signed.key_id)

    async def _known(self, key: str) -> tuple[str, str]:
        """A key's bytes and its box: they never change, so they are asked of the database once."""
        if key not in self._keys:
            find = select(box_keys.c.public_key, box_keys.c.box_number).where(box_keys.c.key_id == key)
            row = await self._core.database.read(lambda conn: conn.execute(find).one_or_none())
            if row is None:
                raise Problem("not-enrolled")
            self._keys[key] = (row.public_key, row.box_number)
        return self._keys[key]

    def _check(self, signed: Signed, public_key: str) -> None:
        """The signature itself, then its time: only who has the key is told the server's."""
        try:
            signatures.verify(signed, _public_key(public_key))
        except SignatureRefused as refused:
            raise Problem("signature-invalid") from refused
        now, window = self._core.clock.now(), self._window
        seconds = now.timestamp()
        near = abs(seconds - signed.created) <= window.total_seconds()
        if not (near and signed.created <= signed.expires and seconds <= signed.expires + 1):
            raise Problem("clock-skew", time=now.isoformat(), window_seconds=int(window.total_seconds()))

    def _admit(
        self, conn: Connection, box_number: str, signed: Signed, counter: int, now: datetime
    ) -> Problem | None:
        """One use of a nonce. A refusal is returned, not raised, where what was found out must be kept."""
        bucket = f"box {box_number}"
        row = conn.execute(_FIND, {"key": signed.key_id, "counter": counter, "bucket": bucket}).one()
        if row.ended is not None:
            return Problem(row.ended)
        if row.valid_until is not None and row.valid_until <= now:
            return Problem("key-replaced")
        if row.nonce == signed.nonce:
            return Problem("signature-replayed")
        if row.nonce is not None or counter <= row.floor:
            return self._copied(conn, box_number, signed.key_id, counter)
        if row.tokens is None:
            rates.take(conn, rate_buckets, bucket, self._requests, now)
        else:
            tokens, at = rates.spent(row.tokens, row.at, self._requests, now)
            conn.execute(_SPEND, {"bucket": bucket, "left": tokens, "then": at})
        conn.execute(_USE, {"key_id": signed.key_id, "counter": counter, "nonce": signed.nonce})
        if now - row.turned_at >= 2 * self._window:
            self._turn(conn, row, now)
        return None

    def _turn(self, conn: Connection, row: Any, now: datetime) -> None:
        """Counters that were used two windows ago become the floor; nonces below it need not be kept.

        Who has used a counter never goes back, and no request is under way for longer than two windows (its time may be
        one window ahead of its arrival or one behind). So a request at or below the floor is another holder's.
        """
        highest = select(func.max(box_nonces.c.counter)).where(box_nonces.c.key_id == row.key_id)
        middle = conn.execute(highest).scalar_one()
        conn.execute(
            update(box_keys)
            .where(box_keys.c.key_id == row.key_id)
            .values(floor=row.middle, middle=middle, turned_at=now)
        )
        below = (box_nonces.c.key_id == row.key_id) & (box_nonces.c.counter <= row.middle)
        conn.execute(delete(box_nonces).where(below))

    def _copied(self, conn: Connection, box_number: str, key: str, counter: int) -> Problem:
        """One key signed two things with one counter, or went back: two have it. It is good for neither any more."""
        log.error("key-copied", box=box_number, key=key, counter=counter)
        conn.execute(update(box_keys).where(box_keys.c.key_id == key).values(ended="key-copied"))
        self._core.outbox.put(conn, REPORT_KEY, {"box_number": box_number, "key_id": key})
        return Problem("key-copied")

    async def report(self, payload: dict[str, Any]) -> Acknowledged:
        """Tells BOSS of a copied key. Raises Problem ``boss-unreachable``."""
        path = f"keys/{payload['key_id']}/end"
        await self._core.boss.post(payload["box_number"], path, {"reason": "key-copied"})
        return Acknowledged()

    async def _ask_standing(self, box_number: str, key: str) -> None:
        """What BOSS thinks of box and key, as it said a short while ago; while it does not answer, as it said last."""
        now = self._core.clock.now()
        asked_at, word = self._standings.get(key, (None, None))
        old = timedelta(seconds=self._core.settings.standing_seconds)
        if asked_at is None or abs(now - asked_at) >= old:
            word = await self._standing(box_number, key, word)
            self._standings[key] = (now, word)
        if word is not None:
            raise word

    async def _standing(self, box_number: str, key: str, last: Problem | None) -> Problem | None:
        try:
            await self._core.boss.get(box_number, "keys", key)
        except Problem as problem:
            if problem.code == "boss-unreachable":
                # Nothing can be bought without BOSS; what is under way must be able to end.
                return last
            return Problem("not-enrolled") if problem.code == "not-found" else problem
        return None


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
