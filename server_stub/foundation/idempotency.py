"""Idempotency keys: the first answer again, and one effect however often a request comes."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table

from server_stub.foundation import statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database, Instant
from server_stub.foundation.locks import KeyedLocks
from server_stub.foundation.problems import MEDIA_TYPE, Problem

PATTERN = r"^[A-Za-z0-9_-]{8,64}$"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered: status and JSON text."""

    status: int
    body: str
    media_type: str = "application/json"


class Replayed(Exception):
    """The key was used before with the same body; ``answer`` is what was answered then."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


class NotAdmitted(Exception):
    """Whoever asks must not; who is at the door says why."""


def idempotency_table(metadata: MetaData) -> Table:
    """Keys that were used, each with the hash of its request and the answer."""
    return Table(
        "idempotency",
        metadata,
        Column("scope", String, primary_key=True),
        Column("key", String, primary_key=True),
        Column("request_hash", String, nullable=False),
        Column("status", Integer),
        Column("media_type", String),
        Column("answer", String),
        Column("created_at", Instant, nullable=False),
    )


def request_hash(method: str, path: str, body: bytes) -> str:
    """SHA-256 over method, path and body as they came."""
    return hashlib.sha256(f"{method} {path}\n".encode() + body).hexdigest()


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One use of a key, inside the transaction that has the effect.

    Args:
        scope: who uses it: keys of different boxes never meet.
        admit: what else is kept with the key, or is refused (NotAdmitted): that this very request has come. It may be
            called more than once.
    """

    table: Table
    clock: Clock
    scope: str
    key: str
    hash: str
    admit: Callable[[Connection], None] | None = None

    def claim(self, conn: Connection) -> None:
        """Inserts the key. To be called before the effect, in its transaction.

        Raises:
            Replayed: the same request was answered before.
            Problem: ``idempotency-key-reused``.
            NotAdmitted
        """
        if self.admit is not None:
            self.admit(conn)
        values = {"scope": self.scope, "key": self.key, "request_hash": self.hash}
        if not statements.insert_once(conn, self.table, {**values, "created_at": self.clock.now()}):
            self.recall(conn)

    def recall(self, conn: Connection) -> None:
        """Raises what ``claim`` would raise for a key that is there; returns when it is not."""
        row = statements.one(conn, self.table, scope=self.scope, key=self.key)
        if row is None:
            return
        if row.request_hash != self.hash:
            raise Problem("idempotency-key-reused")
        if row.answer is not None:
            raise Replayed(Answer(row.status, row.answer, row.media_type))

    def answer(self, conn: Connection, answer: Answer) -> Answer:
        """Keeps the answer, in the transaction of the effect, and returns it."""
        values = {"status": answer.status, "answer": answer.body, "media_type": answer.media_type}
        statements.change(conn, self.table, values, scope=self.scope, key=self.key)
        return answer


class Idempotency:
    """Runs requests so that each key has one effect and one answer."""

    def __init__(self, database: Database, table: Table, clock: Clock) -> None:
        self._database = database
        self._table = table
        self._clock = clock
        self._locks = KeyedLocks()

    def use(
        self, scope: str, key: str, hash: str, admit: Callable[[Connection], None] | None = None
    ) -> KeyUse:
        """A use of a key, to be passed to the work that has the effect."""
        return KeyUse(self._table, self._clock, scope, key, hash, admit)

    async def run(self, use: KeyUse, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Runs ``work``, which recalls or claims the key before all else and claims it where it has its effect.

        A refusal (4xx) is kept as an answer too. A 5xx is not, nor one that says "again later": the same request may
        find a better hour.
        The lock only spares work; that there is one effect is due to the unique insert.
        """
        async with self._locks.hold(f"{use.scope} {use.key}"):
            try:
                try:
                    return await work()
                except Problem as problem:
                    final = problem.status < 500 and not problem.body.retryable
                    if final and problem.code != "idempotency-key-reused":
                        await self._keep(use, problem)
                    else:
                        await self._admit(use)
                    raise
            except Replayed as replayed:
                await self._admit(use)
                return replayed.answer

    async def recall(self, use: KeyUse) -> None:
        """For work that begins with something else than a transaction. Raises as ``KeyUse.recall``."""
        await self._database.look(use.recall)

    async def _admit(self, use: KeyUse) -> None:
        """Where nothing else of a request is kept."""
        if use.admit is not None:
            await self._database.write(use.admit)

    async def _keep(self, use: KeyUse, problem: Problem) -> None:
        def keep(conn: Connection) -> None:
            use.claim(conn)
            use.answer(conn, Answer(problem.status, problem.body.model_dump_json(), MEDIA_TYPE))

        await self._database.write(keep)
