"""Which box is speaking: enrolment and tokens."""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import Connection, insert, select, update

from server_stub.foundation.http import answer_of
from server_stub.foundation.idempotency import Answer, KeyUse
from server_stub.foundation.problems import Problem
from server_stub.foundation.wire import Subscriber
from server_stub.tsp.core import Core
from server_stub.tsp.models import Enrolment, EnrolmentRequest
from server_stub.tsp.tables import boxes


class Boxes:
    """The boxes that are enrolled here."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def enrol(self, request: EnrolmentRequest, use: KeyUse) -> Answer:
        """Gives a box that BOSS knows its token (ONL-11). A new enrolment ends the one before.

        Raises:
            Problem: ``box-unknown``, ``box-suspended``, ``activation-code-wrong``, ``boss-unreachable``.
        """
        check = request.model_dump(include={"smart_card_number", "activation_code"})
        subscriber = Subscriber.model_validate(await self._core.boss.post(request.box_number, "check", check))

        def work(conn: Connection) -> Answer:
            use.claim(conn)
            values = {"token_hash": _hash(self._token(use)), "enrolled_at": self._core.clock.now()}
            # The row stays where there is one: the box's orders and payments belong to it.
            known = update(boxes).where(boxes.c.box_number == request.box_number).values(**values)
            if not conn.execute(known).rowcount:
                conn.execute(insert(boxes).values(box_number=request.box_number, **values))
            # Kept without its token: tokens are nowhere in the database but as hashes.
            kept = Enrolment(box_number=request.box_number, token="", subscriber=subscriber)
            return use.answer(conn, answer_of(kept, 201))

        return await self._core.database.write(work)

    def with_token(self, answer: Answer, use: KeyUse) -> Answer:
        """The answer to an enrolment, with the token that belongs to its key."""
        enrolment = Enrolment.model_validate_json(answer.body)
        return answer_of(enrolment.model_copy(update={"token": self._token(use)}), answer.status)

    async def authenticate(self, box_number: str, token: str) -> None:
        """Raises Problem ``not-enrolled`` unless the token is the box's."""
        condition = select(boxes.c.token_hash).where(boxes.c.box_number == box_number)
        kept = await self._core.database.read(lambda conn: conn.execute(condition).scalar_one_or_none())
        # The comparison takes place also for a box that is not there: both cases take the same time.
        right = hmac.compare_digest(_hash(token), kept or _hash(""))
        if kept is None or not right:
            raise Problem("not-enrolled")

    def _token(self, use: KeyUse) -> str:
        return self._core.vault.fingerprint("token", f"{use.scope} {use.key} {use.hash}".encode())


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
