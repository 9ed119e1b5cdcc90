"""What BOSS tells the payment platform about a day: the services that it has opened for payments (ONL-9)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from functools import partial

from sqlalchemy import Connection, func, select

from server_stub.boss.tables import changed_days, orders
from server_stub.foundation.calendar import Calendar
from server_stub.foundation.clock import Clock
from server_stub.foundation.day_exchange import DayExchange
from server_stub.foundation.day_files import Writer
from server_stub.foundation.jobs import Job, every

OPENED = "DZMX"
"""Reference of the payment, amount, currency, status (``opened``, or ``cancelled`` since), day, order, box, service."""
PUBLISH_S, SOON_S = 1800, 60
CURRENCY = "CNY"


class DayWork:
    """Tells each day's openings."""

    def __init__(self, exchange: DayExchange, calendar: Calendar, clock: Clock) -> None:
        self._exchange = exchange
        self._calendar = calendar
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    def jobs(self) -> Mapping[str, Job]:
        """By name."""
        return {"opened": Job(self.publish, every(PUBLISH_S), longest_pause=SOON_S)}

    async def publish(self) -> str:
        """Tells what was opened on each day since it was told last, and on those before, however long ago, where that is not
        what was told. Raises FolderError; the next turn goes on with that day.
        """
        last, told, database = self._calendar.last_over(self._clock.now()), 0, self._exchange.database
        # What was read first must not be told last.
        async with self._one_at_a_time:
            noted = await database.read(partial(changed_days.days, calendar=self._calendar))
            for day in await self._exchange.owed(OPENED, last, self._first_day, noted):
                told += await self._exchange.send(OPENED, day, partial(self._opened, day=day)) is not None
                if day in noted:
                    await database.write(partial(changed_days.forget, notes=noted[day]))
        return f"{told} told"

    def _first_day(self, conn: Connection) -> date | None:
        began = conn.scalar(select(func.min(orders.c.opened_at)))
        return None if began is None else self._calendar.day_of(began)

    def _opened(self, conn: Connection, out: Writer, day: date) -> None:
        order = orders.c
        within = (order.opened_at >= self._calendar.begin_of(day)) & (
            order.opened_at < self._calendar.end_of(day)
        )
        for row in conn.execute(select(orders).where(within).order_by(order.opened_at, order.id)):
            money = (row.payment, row.amount_fen, CURRENCY, row.state, f"{day:%Y%m%d}")
            out.add((*money, row.id, row.box_number, row.service))
