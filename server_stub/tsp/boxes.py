"""Which box is speaking: enrolment, keys, and what a signed request must pass (ONL-11)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, select, update

from server_stub.foundation import rates, signatures, statements
from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.outbox import Acknowledged
from server_stub.foundation.problems import Problem
from server_stub.foundation.rates import Limit
from server_stub.foundation.signatures import SignatureRefused, Signed
from server_stub.foundation.wire import Subscriber
from server_stub.tsp.boss_client import OF_BOX
from server_stub.tsp.core import Core
from server_stub.tsp.models import Enrolment, EnrolmentRequest, Rotated, Rotation
from server_stub.tsp.nonces import Entry, Nonces, lock_box
from server_stub.tsp.server_keys import ServerKeys
from server_stub.tsp.tables import SERVED, box_keys, boxes
from server_stub.tsp.tables import rates as rate_buckets

REPORT_KEY = "report-key"
REPLACED = "key-replaced"
HOUR_S, MINUTE_S = 3600.0, 60.0
PER_ADDRESS = 3
"""So many times what one box number may fail, one address may: behind it may be several homes."""
PER_BOX = 10
"""So many times what one address may fail for a box number, all addresses may."""
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
        self._failures_of_box = Limit(PER_BOX * settings.enrolment_failures_per_hour, HOUR_S)
        self._failures_of_address = Limit(PER_ADDRESS * settings.enrolment_failures_per_hour, HOUR_S)
        self._buckets: dict[str, tuple[float, datetime]] = {}
        self._nonces = Nonces(core, self._window, self._tell_copied)
        self._standings: dict[str, dict[str, tuple[datetime, str | None]]] = {}
        core.boss.when_refused(self._hear)

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
        await self._core.idempotency.recall(use)
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
                self._admit_new(
                    conn, request.box_number, key, request.public_key, registered["generation"], now
                )
                return use.answer(conn, answer_of(enrolment, 201))

            answer = await self._core.database.write(work)
        self._standings.clear()
        self._nonces.look_again()
        return answer

    def _admit_new(
        self, conn: Connection, box_number: str, key: str, public_key: str, generation: int, now: datetime
    ) -> None:
        # The row stays where there is one: the box's orders and payments belong to it.
        if not statements.insert_once(conn, boxes, {"box_number": box_number, "enrolled_at": now}):
            known = boxes.c.box_number == box_number
            conn.execute(update(boxes).where(known).values(enrolled_at=now))
        if not self._insert_key(conn, box_number, key, public_key, generation, now, word=SERVED):
            return
        before = (box_keys.c.box_number == box_number) & (box_keys.c.generation < generation)
        conn.execute(update(box_keys).where(before & box_keys.c.ended.is_(None)).values(ended=REPLACED))

    def _insert_key(
        self,
        conn: Connection,
        box_number: str,
        key: str,
        public_key: str,
        generation: int,
        now: datetime,
        word: str | None = None,
    ) -> bool:
        """Another process may be at the same box. BOSS counts enrolments: the last there is the last here, whoever comes
        here first. Returns whether the key is new.

        Raises:
            Problem: ``key-replaced``, for one that BOSS has ended meanwhile by registering another.
        """
        lock_box(conn, box_number)
        later = select(box_keys.c.key_id).where(
            box_keys.c.box_number == box_number, box_keys.c.generation > generation
        )
        if conn.execute(later.limit(1)).first() is not None:
            raise Problem(REPLACED)
        values = {"key_id": key, "box_number": box_number, "public_key": public_key, "word": word}
        times = {"created_at": now, "turned_at": now, "floor": 0, "middle": 0}
        return statements.insert_once(conn, box_keys, {**values, **times, "generation": generation})

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
            # Each address by itself: whoever guesses locks nobody else out.
            (f"enrolment box {box_number} from {address}", self._failures),
            (f"enrolment box {box_number}", self._failures_of_box),
        )

    # Rotation

    async def rotate(self, box_number: str, old: str, rotation: Rotation, use: KeyUse) -> Answer:
        """A box goes over to a new key; both are good for a while. The same new key once more changes nothing.

        Raises:
            Problem: ``signature-invalid`` for a wrong proof, or a key that is to follow itself; ``key-copied`` for a key
                that has named another one; ``key-revoked`` for one that cannot follow; what BOSS says of the box and its
                key.
        """
        await self._core.idempotency.recall(use)
        public_key = bytes.fromhex(rotation.public_key)
        new = signatures.key_id(public_key)
        if new == old:
            raise Problem("signature-invalid")
        try:
            _public_key(rotation.public_key).verify(bytes.fromhex(rotation.proof), rotation_text(old, new))
        except InvalidSignature:
            raise Problem("signature-invalid") from None
        now = self._core.clock.now()
        until = now + timedelta(seconds=self._core.settings.key_overlap_seconds)

        def expect(conn: Connection) -> Problem | None:
            lock_box(conn, box_number)
            before = statements.one(conn, box_keys, key_id=old)
            assert before is not None
            if before.ended is not None:  # since it was let in
                raise Problem(before.ended)
            if before.successor not in (None, new):
                # A box asks again for the key it has written down: this is another one's.
                return self._nonces.end_copied(conn, box_number, old, successor=new)
            known = statements.one(conn, box_keys, key_id=new)
            if known is not None:
                mine = (known.box_number, known.generation) == (box_number, before.generation)
                if not mine or known.ended is not None or known.valid_until is not None:
                    raise Problem("key-revoked")
            self._insert_key(conn, box_number, new, rotation.public_key, before.generation, now)
            statements.change(conn, box_keys, {"successor": new}, key_id=old)
            return None

        # Before BOSS hears of it: if this is interrupted there, and not asked for again until BOSS has ended the old key,
        # the box has the new one. It is good for nothing until BOSS knows it.
        copied = await self._core.database.write(expect)
        if copied is not None:
            self._hurry(copied)
            raise copied
        successor = {"key_id": new, "old_valid_until": until.isoformat()}
        await self._core.boss.post(box_number, f"keys/{old}/successor", successor)

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            mine = (box_keys.c.key_id == old) & box_keys.c.valid_until.is_(None)
            conn.execute(update(box_keys).where(mine).values(valid_until=until))
            statements.change(conn, box_keys, {"word": SERVED}, key_id=new)
            return use.answer(conn, answer_of(Rotated(key_id=new, old_valid_until=until)))

        answer = await self._core.database.write(work)
        self._nonces.look_again()
        return answer

    # Every request

    async def authenticate(self, box_number: str, signed: Signed) -> Entry:
        """A request's signature, its time, its nonce, and the box's share of requests.

        Returns:
            what a request that changes something hands to ``keep``.

        Raises:
            Problem: ``not-enrolled``, ``signature-invalid``, ``signature-replayed``, ``clock-skew``, ``too-many-requests``,
                ``key-replaced``, ``key-revoked``, ``key-copied``.
        """
        known = await self._nonces.known(signed.key_id)
        if known.box_number != box_number:
            raise Problem("not-enrolled")
        self._check(signed, known.public_key)
        try:
            return await self._nonces.use(known, signed, lambda now: self._take(box_number, now))
        except Problem as problem:
            self._hurry(problem)
            raise

    def keep(self, conn: Connection, entry: Entry) -> None:
        """Keeps a request's nonce in the transaction that has its effect. Raises NotAdmitted."""
        self._nonces.keep(conn, entry)

    async def why(self, entry: Entry) -> Problem:
        """Why ``keep`` has refused."""
        problem = await self._nonces.why(entry)
        self._hurry(problem)
        return problem

    def _take(self, box_number: str, now: datetime) -> None:
        """A request of the box's share. In memory: it spares this process, and moves nothing."""
        tokens, at = self._buckets.get(box_number, (float(self._requests.amount), now))
        self._buckets[box_number] = rates.spent(tokens, at, self._requests, now)

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

    def _tell_copied(self, conn: Connection, box_number: str, key: str) -> None:
        self._core.outbox.put(conn, REPORT_KEY, {"box_number": box_number, "key_id": key})

    def _hurry(self, problem: Problem) -> None:
        """BOSS hears of a copied key at once."""
        if problem.code == "key-copied":
            self._core.outbox.worker.kick()

    async def report(self, payload: dict[str, Any]) -> Acknowledged:
        """Tells BOSS of a copied key. Raises Problem ``boss-unreachable``."""
        path = f"keys/{payload['key_id']}/end"
        await self._core.boss.post(payload["box_number"], path, {"reason": "key-copied"})
        return Acknowledged()

    async def ask_standing(self, entry: Entry, *, afresh: bool = False) -> None:
        """What BOSS thinks of box and key, as it said a short while ago; while it does not answer, as it said last, to
        whichever process.

        Args:
            afresh: as it says now; then a box of which it has never said anything is not let in.

        Raises:
            Problem: ``not-enrolled``, or what BOSS says; ``boss-unreachable``.
        """
        box_number, key = entry.box_number, entry.key_id
        now = self._core.clock.now()
        kept = (await self._nonces.known(key)).word
        asked_at, word = self._standings.get(box_number, {}).get(key, (None, None))
        old = timedelta(seconds=self._core.settings.standing_seconds)
        # Where another word is kept, another process has asked since.
        if afresh or asked_at is None or abs(now - asked_at) >= old or word != kept:
            word = await self._standing(box_number, key, kept)
            self._standings.setdefault(box_number, {})[key] = (now, word)
        if word is None and afresh:
            raise Problem("boss-unreachable")
        # Nothing can be bought without BOSS; what is under way must be able to end.
        if word not in (None, SERVED):
            raise Problem(word)

    async def _hear(self, box_number: str, refusal: Problem) -> None:
        """BOSS has said, whatever it was asked for, that it does not serve the box: its word from before is over."""
        mine = (box_keys.c.box_number == box_number) & box_keys.c.word.is_distinct_from(refusal.code)
        new = update(box_keys).where(mine).values(word=refusal.code)
        await self._core.database.write(lambda conn: conn.execute(new))
        keys = self._standings.pop(box_number, None)
        if keys:
            self._nonces.look_again(*keys)

    async def _standing(self, box_number: str, key: str, kept: str | None) -> str | None:
        try:
            await self._core.boss.get(box_number, "keys", key)
            word = SERVED
        except Problem as problem:
            if problem.code == "boss-unreachable":
                return (await self._nonces.known(key, afresh=True)).word
            word = "not-enrolled" if problem.code == "not-found" else problem.code
        # What it says of the box itself has been heard and kept.
        if word != kept and word not in OF_BOX:
            await self._core.database.write(
                lambda conn: statements.change(conn, box_keys, {"word": word}, key_id=key)
            )
        if word != kept:
            self._nonces.look_again(key)
        return word
