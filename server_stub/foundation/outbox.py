"""Outbox: what is owed to another system, written with its cause, delivered until acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    bindparam,
    func,
    null,
    select,
    update,
)

from server_stub.foundation import claims, correlation, statements, states
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database, Instant, Whole, left_for_later
from server_stub.foundation.statements import Statement
from server_stub.foundation.worker import Worker

PAUSES = (1, 2, 5, 10, 30, 60, 120, 300)
"""Seconds after the first, second ... failed attempt; the last one from then on."""
LOOK_EVERY = timedelta(seconds=5)
"""So soon is delivered what another process owes, as when a person has decided a case: somebody waits for it."""
BATCH = 32
"""Delivered side by side: a receiver that hangs does not hold up what is owed to another."""
CLAIM_SECONDS = 30
"""Longer than a delivery takes, with all that it asks of others; what a process that died had in hand waits so long."""

UNCLAIMED: Mapping[str, Any] = {"claimed_by": None, "claimed_until": None}

log = structlog.get_logger(__name__)


def _nothing(*_: object) -> None:
    """For deliveries that change nothing here."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a delivery that was acknowledged changes here.

    Attributes:
        change: runs in the transaction that ticks the row off.
        afterwards: runs when that is committed.
    """

    change: Callable[[Connection], None] = _nothing
    afterwards: Callable[[], None] = _nothing


Handler = Callable[[dict[str, Any]], Awaitable[Acknowledged]]
"""Delivers one payload. Raises when it was not acknowledged; the row then stays and is tried again."""


def outbox_table(metadata: MetaData) -> Table:
    """Deliveries that are owed, and those that were made."""
    table = Table(
        "outbox",
        metadata,
        Column("id", Whole, primary_key=True, autoincrement=True),
        Column("topic", String, nullable=False),
        Column("payload", String, nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("due_at", Instant),
        Column("attempts", Integer, nullable=False, default=0),
        Column("last_error", String),
        Column("delivered_at", Instant),
        correlation.column(),
        *claims.claim_columns(),
    )
    # Of millions of deliveries only those few are looked for that are still owed.
    owed = table.c.due_at.is_not(None)
    Index("outbox_owed", table.c.due_at, sqlite_where=owed, postgresql_where=owed)
    return table


class Outbox:
    """The outbox of one role.

    Args:
        who: this process; a name no other one has.
        handlers: by topic.

    Attributes:
        latest: another object since the last ``put`` of this process, whatever became of its transaction.
    """

    def __init__(
        self, database: Database, table: Table, clock: Clock, who: str, handlers: Mapping[str, Handler]
    ) -> None:
        self._who = who
        self._database = database
        self._table = table
        self._clock = clock
        self._handlers = handlers
        self.latest: object = None
        self._done = Statement(
            update(table)
            .where((table.c.id == bindparam("of")) & table.c.delivered_at.is_(None))
            .values(
                delivered_at=bindparam("at"),
                attempts=bindparam("tried"),
                **dict.fromkeys(("due_at", *UNCLAIMED), null()),
            )
        )
        self.worker = Worker(
            f"outbox-{table.metadata.info.get('role', '')}", clock, self.deliver_due, LOOK_EVERY
        )

    def put(
        self,
        conn: Connection,
        topic: str,
        payload: Mapping[str, Any],
        delay: float = 0,
        *,
        of: str | None = None,
    ) -> None:
        """Owes a delivery, in the transaction of its cause. Kick the worker after the commit.

        Args:
            delay: seconds before it is first tried.
            of: correlation id of what it is about; None: of what is being done now.
        """
        now = self._clock.now()
        values: dict[str, Any] = {"topic": topic, "payload": json.dumps(payload), "created_at": now}
        if of is not None:
            values["correlation"] = of
        statements.insert(conn, self._table, {**values, "due_at": now + timedelta(seconds=delay)})
        self.latest = values

    async def deliver_due(self) -> datetime | None:
        """Delivers what is due, and returns when the next is due. One bad row never stops the others."""
        table = self._table

        def take(conn: Connection) -> Sequence[Row[Any]]:
            now = self._clock.now()
            order = (table.c.due_at, table.c.id)
            return claims.claim(
                conn, table.c.due_at <= now, order, BATCH, who=self._who, now=now, seconds=CLAIM_SECONDS
            )

        def following(conn: Connection) -> datetime | None:
            return claims.next_due(conn, table.c.due_at)

        instant = await self._database.look(following)
        if instant is None or instant > self._clock.now():
            return instant
        rows = await self._database.write(take)
        await asyncio.gather(*(self._deliver(row) for row in rows))
        return await self._database.look(following)

    async def owed(self) -> tuple[int, datetime | None]:
        """How many deliveries are owed, and since when the oldest is."""
        table = self._table
        count = select(func.count(), func.min(table.c.created_at)).where(table.c.due_at.is_not(None))
        found, since = await self._database.read(lambda conn: conn.execute(count).one())
        return found, since

    def start(self) -> None:
        """Begins to deliver; called in the event loop."""
        if not self._database.shared:
            # Nobody else is there: whoever has claimed anything was killed.
            left = self._table.c.claimed_by.is_not(None)
            self._database.load(lambda conn: self._give_back(conn, left))
        self.worker.start()

    async def stop(self) -> None:
        """Ends that; what is under way is another process's, or the next one's, at once."""
        await self.worker.stop()
        mine = self._table.c.claimed_by == self._who
        with left_for_later("claims of deliveries"):
            await self._database.write(lambda conn: self._give_back(conn, mine))

    def _give_back(self, conn: Connection, which: ColumnElement[bool]) -> None:
        owed = self._table.c.due_at.is_not(None)  # has an index, which the claims have not
        conn.execute(update(self._table).where(owed & which).values(**UNCLAIMED))

    async def _deliver(self, row: Row[Any]) -> None:
        with correlation.under(row.correlation):
            await self._attempt(row)

    async def _attempt(self, row: Row[Any]) -> None:
        table = self._table
        try:
            acknowledged = await self._handlers[row.topic](json.loads(row.payload))

            def tick_off(conn: Connection) -> None:
                # Whoever else delivered this row at the same time, its claim having ended, finds it done.
                values = {"of": row.id, "at": self._clock.now(), "tried": row.attempts + 1}
                if self._done.run(conn, values):
                    acknowledged.change(conn)

            await states.write(self._database, tick_off)
            acknowledged.afterwards()
            log.info("delivered", topic=row.topic, row=row.id, attempt=row.attempts + 1)
        except Exception as error:  # noqa: BLE001 - recorded in the row, which stays due
            pause = PAUSES[min(row.attempts, len(PAUSES) - 1)]
            log.warning("delivery-failed", topic=row.topic, row=row.id, error=repr(error), pause_s=pause)
            values = {
                "attempts": row.attempts + 1,
                "last_error": repr(error)[:200],
                "due_at": self._clock.now() + timedelta(seconds=pause),
                **UNCLAIMED,
            }
            mine = (table.c.id == row.id) & (table.c.claimed_by == self._who) & table.c.delivered_at.is_(None)
            await self._database.write(lambda conn: conn.execute(update(table).where(mine).values(**values)))
