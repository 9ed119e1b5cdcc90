"""BOSS is told once more of a payment that it does not seem to know of, with the key of the first time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from server_stub.foundation.outbox import Acknowledged
from server_stub.foundation.problems import Problem
from server_stub.foundation.sentences import N_, say
from server_stub.tsp import core
from server_stub.tsp.core import Core
from server_stub.tsp.tables import book

REOPEN = "reopen-service"
"""Topic of the outbox."""


class Reopening:
    """Delivers what ``remedies`` owes BOSS."""

    def __init__(self, parts: Core) -> None:
        self._core = parts

    async def reopen(self, payload: dict[str, Any]) -> Acknowledged:
        """What the outbox delivers: BOSS answers as it did, or opens what it has lost. Its next file says so too, which closes
        the break. Raises Problem ``boss-unreachable``.
        """
        identity, break_id = payload["payment"], payload["break"]
        payment = await self._core.database.look(lambda conn: core.load_payment(conn, identity))
        body = {
            "payment": identity,
            "amount_fen": payment.amount_fen,
            "method": payment.method,
            "paid_at": payment.paid_at.isoformat(),
        }
        clock = self._core.clock
        try:
            path = f"orders/{payment.order_id}/opening"
            answer = await self._core.boss.post(payment.box_number, path, body, identity)
        except Problem as problem:
            if problem.code == "boss-unreachable":
                raise
            code = problem.code

            def refused(conn: Connection) -> None:
                book.reopen(conn, clock, break_id, "boss", say(N_("BOSS refuses it: %(code)s"), code=code))

            return Acknowledged(refused)

        def opened(conn: Connection) -> None:
            row = core.load_payment(conn, identity)
            until = datetime.fromisoformat(answer["valid_until"])
            # One that is only paid hears of it from the delivery that is still owed.
            if row.state == "opened":
                core.touch(conn, identity, valid_until=until)
            book.note(conn, clock, break_id, "boss", "opened-there", valid_until=answer["valid_until"])

        return Acknowledged(opened, lambda: self._core.changes.wake(identity))
