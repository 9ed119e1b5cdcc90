"""The far side of the demo wallet: codes that a phone opens, pays or declines; notices to the merchant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import httpx
from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row, select, update

from server_stub.foundation import statements, states
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.ids import Ids
from server_stub.foundation.money import MOST_FEN
from server_stub.foundation.outbox import Acknowledged, Handler, Outbox
from server_stub.foundation.problems import Problem
from server_stub.foundation.secret import SecretText
from server_stub.foundation.text import NO_NUL, Text
from server_stub.foundation.vault import signature
from server_stub.sandbox.tables import codes, moves, outbox

REFERENCE = r"^[A-Za-z0-9_-]{8,64}$"
WORD = r"^[a-z][a-z-]{0,63}$"
LONGEST_SECONDS = 86_400
NOTICE = "notice"
LATE = "late-settlement"

MOVES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "waiting": frozenset({"scanned", "paid", "declined", "closed"}),
        "scanned": frozenset({"paid", "declined", "closed"}),
        # Money that was on its way when the merchant closed the code.
        "closed": frozenset({"paid"}),
        "paid": frozenset({"refunded"}),
    }
)
MACHINE = states.Machine("code", codes, MOVES, moves)
OPEN = ("waiting", "scanned")


class NewCode(BaseModel):
    """A merchant's wish for a code."""

    reference: str = Field(pattern=REFERENCE)
    amount_fen: int = Field(gt=0, le=MOST_FEN)
    subject: Text
    number: str = Field(max_length=32, pattern=NO_NUL)
    seconds: int = Field(gt=0, le=LONGEST_SECONDS)
    notify_url: str = Field(max_length=2048, pattern=r"^https?://[!-~]+$")


class Closing(BaseModel):
    """Why a merchant wants no more money for a code."""

    reason: str = Field(pattern=WORD)


class Refund(BaseModel):
    refund: str = Field(pattern=REFERENCE)
    amount_fen: int = Field(gt=0, le=MOST_FEN)
    reason: str = Field(pattern=WORD)


class CodeStatus(BaseModel):
    """A code as the merchant sees it."""

    reference: str
    state: str
    amount_fen: int
    payload: str


class Faults(BaseModel):
    """What the sandbox does wrong on demand."""

    gateway_silent: bool = False


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the sandbox stands in the network.

    Attributes:
        public_url: how phones reach it; a code's payload begins with it.
        secret: shared with the merchant.
        late_seconds: how long after closing a late payment is settled.
    """

    http: httpx.AsyncClient
    public_url: str
    secret: SecretText
    late_seconds: int


class SandboxService:
    """The demo wallet's own system."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, gateway: Gateway) -> None:
        self.database = database
        self._clock = clock
        self._ids = ids
        self._gateway = gateway
        self.secret = gateway.secret
        self.faults = Faults()
        handlers: dict[str, Handler] = {NOTICE: self._notify, LATE: self._settle_late}
        self.outbox = Outbox(database, outbox, clock, ids.row(), handlers)

    def start(self) -> None:
        """Begins the background work; called in the event loop."""
        self.outbox.start()

    async def stop(self) -> None:
        """Ends it, and lets go of the database."""
        await self.outbox.stop()
        self.database.close()

    # The merchant's side

    async def make(self, wish: NewCode) -> CodeStatus:
        """A code for a reference; the same one again when it is asked for again."""
        now = self._clock.now()

        def work(conn: Connection) -> Row[Any]:
            values = {
                "id": self._ids.code(),
                "reference": wish.reference,
                "state": "waiting",
                "amount_fen": wish.amount_fen,
                "subject_zh": wish.subject.zh,
                "subject_en": wish.subject.en,
                "number": wish.number,
                "notify_url": wish.notify_url,
                "created_at": now,
                # The merchant closes; this end is only for codes that were forgotten.
                "expires_at": now + timedelta(seconds=wish.seconds),
            }
            statements.insert_once(conn, codes, values)
            return _by_reference(conn, wish.reference)

        return self._status(await self.database.write(work))

    async def status(self, reference: str) -> CodeStatus:
        """How far a code is. Raises Problem ``not-found``."""
        return self._status(await self.database.read(lambda conn: _by_reference(conn, reference)))

    async def close(self, reference: str, closing: Closing) -> CodeStatus:
        """No more payment from now on; what was paid stays paid. Raises Problem ``not-found``."""
        now = self._clock.now()

        def work(conn: Connection) -> Row[Any]:
            row = _by_reference(conn, reference)
            if row.state in OPEN:
                values: dict[str, Any] = {"reason": closing.reason}
                states.move(conn, MACHINE, row.id, "closed", actor="merchant", at=now, **values)
                if row.settle_late:
                    seconds = self._gateway.late_seconds
                    self.outbox.put(conn, LATE, {"code": row.id}, seconds, of=row.correlation)
            return _by_reference(conn, reference)

        row = await self.database.write(work)
        self.outbox.worker.kick()
        return self._status(row)

    async def refund(self, reference: str, refund: Refund) -> CodeStatus:
        """Sends a payment's money back, once. Raises Problem ``not-found``, ``wrong-state``."""
        now = self._clock.now()

        def work(conn: Connection) -> Row[Any]:
            row = _by_reference(conn, reference)
            if row.refund is None:
                if row.state != "paid" or refund.amount_fen != row.amount_fen:
                    raise Problem("wrong-state", state=row.state)
                values: dict[str, Any] = {"refund": refund.refund, "reason": refund.reason}
                states.move(conn, MACHINE, row.id, "refunded", actor="merchant", at=now, **values)
            return _by_reference(conn, reference)

        return self._status(await self.database.write(work))

    # The phone's side

    async def look(self, code: str) -> Row[Any]:
        """The code's row; opening the page marks it scanned. Raises Problem ``not-found``."""
        return await self._phone(code, "scanned", ("waiting",))

    async def pay(self, code: str) -> Row[Any]:
        """Pays; paying twice, or what can no longer be paid, changes nothing."""
        return await self._phone(code, "paid", OPEN)

    async def decline(self, code: str) -> Row[Any]:
        """Declines; harmless when it is too late."""
        return await self._phone(code, "declined", OPEN)

    async def pay_late(self, code: str) -> Row[Any]:
        """For testers: the payment is settled some seconds after the merchant has closed the code."""

        def work(conn: Connection) -> Row[Any]:
            row = _by_code(conn, code)
            if row.state in OPEN:
                conn.execute(update(codes).where(codes.c.id == code).values(settle_late=True))
            return _by_code(conn, code)

        return await self.database.write(work)

    async def _phone(self, code: str, target: str, origins: tuple[str, ...]) -> Row[Any]:
        now = self._clock.now()

        def work(conn: Connection) -> Row[Any]:
            row = _by_code(conn, code)
            overdue = now > row.expires_at
            if row.state in origins and not overdue and not (row.settle_late and target == "paid"):
                states.move(conn, MACHINE, code, target, actor="phone", at=now)
                notice = {"code": code, "event": target}
                self.outbox.put(conn, NOTICE, notice, of=row.correlation)
            return _by_code(conn, code)

        row = await self.database.write(work)
        self.outbox.worker.kick()
        return row

    def overdue(self, row: Row[Any]) -> bool:
        """Whether the time in which it could be paid is over."""
        return bool(self._clock.now() > row.expires_at)

    # What the outbox delivers

    async def _notify(self, payload: dict[str, Any]) -> Acknowledged:
        if self.faults.gateway_silent:
            raise ConnectionError("the sandbox has been told to be silent")
        row = await self.database.read(lambda conn: _by_code(conn, payload["code"]))
        body = json.dumps({"reference": row.reference, "event": payload["event"]}).encode()
        timestamp, nonce = self._clock.now().isoformat(), self._ids.code()
        headers = {
            "Content-Type": "application/json",
            "Wallet-Timestamp": timestamp,
            "Wallet-Nonce": nonce,
            "Wallet-Signature": signature(self._gateway.secret.reveal().encode(), timestamp, nonce, body),
        }
        response = await self._gateway.http.post(row.notify_url, content=body, headers=headers)
        response.raise_for_status()
        return Acknowledged()

    async def _settle_late(self, payload: dict[str, Any]) -> Acknowledged:
        def settle(conn: Connection) -> None:
            states.move(conn, MACHINE, payload["code"], "paid", actor="slow-wallet", at=self._clock.now())
            self.outbox.put(conn, NOTICE, {"code": payload["code"], "event": "paid"})

        return Acknowledged(settle, self.outbox.worker.kick)

    def _status(self, row: Row[Any]) -> CodeStatus:
        return CodeStatus(
            reference=row.reference,
            state=row.state,
            amount_fen=row.amount_fen,
            payload=f"{self._gateway.public_url}/w/{row.id}",
        )


def _by_reference(conn: Connection, reference: str) -> Row[Any]:
    row = conn.execute(select(codes).where(codes.c.reference == reference).with_for_update()).one_or_none()
    if row is None:
        raise Problem("not-found", reference=reference)
    return row


def _by_code(conn: Connection, code: str) -> Row[Any]:
    row = conn.execute(select(codes).where(codes.c.id == code).with_for_update()).one_or_none()
    if row is None:
        raise Problem("not-found")
    return row
