"""What PPP exchanges with the platform about a day: its debits of purses, our answer to each, what was settled (ONL-8)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial
from itertools import islice

import structlog
from sqlalchemy import Connection, func, select

from server_stub.foundation import day_files
from server_stub.foundation.calendar import Calendar
from server_stub.foundation.clock import Clock
from server_stub.foundation.day_exchange import DayExchange, Received
from server_stub.foundation.day_files import Writer
from server_stub.foundation.files import IN, USED
from server_stub.foundation.jobs import Job, every
from server_stub.foundation.purse_details import ACCEPTED, ANSWERS, DETAIL_WIDTH, DETAILS
from server_stub.ppp import books
from server_stub.ppp.purse_debits import CHUNK, PurseDebits
from server_stub.ppp.tables import changed_days, purse_debits, transactions

SETTLED = "QSMX"
"""What was settled for the merchant on a day: reference, amount, currency, status, day, kind."""
LOOK_S, PUBLISH_S = 60, 1800
LATEST_DETAILS = timedelta(hours=5)
"""So long after it could come a day is settled without the platform's debits, which then come late."""
CURRENCY = "CNY"
log = structlog.get_logger(__name__)


class DayWork:
    """Answers the details of each day, and tells each day's settlement."""

    def __init__(self, exchange: DayExchange, debits: PurseDebits, calendar: Calendar, clock: Clock) -> None:
        self._exchange = exchange
        self._debits = debits
        self._calendar = calendar
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    def jobs(self) -> Mapping[str, Job]:
        """By name."""
        return {
            "details": Job(self.answer, every(LOOK_S), longest_pause=LOOK_S),
            "settled": Job(self.publish, every(PUBLISH_S), longest_pause=LOOK_S),
        }

    async def answer(self) -> str:
        """Judges the details that are new, and answers them. Raises FolderError."""
        if not self._works_today():
            return "closed today"
        answered = 0
        async with self._one_at_a_time:
            for day, entry in await self._exchange.new(DETAILS):
                received = await self._exchange.fetch(DETAILS, day, entry)
                if received is not None:
                    await self._answer(received)
                    answered += 1
            if answered:
                await self._tell()
        return f"{answered} answered"

    async def publish(self) -> str:
        """Tells what was settled on each day since it was told last, and on those before, however long ago, where that is not
        what was told. Raises FolderError; the next turn goes on with that day.
        """
        if not self._works_today():
            return "closed today"
        # What was read before an answer must not be told after it.
        async with self._one_at_a_time:
            return f"{await self._tell()} told"

    def _works_today(self) -> bool:
        return self._calendar.is_open(self._calendar.day_of(self._clock.now()))

    async def _tell(self) -> int:
        last, told, database = self._calendar.last_over(self._clock.now()), 0, self._exchange.database
        noted = await database.read(partial(changed_days.days, calendar=self._calendar))
        for day in await self._exchange.owed(SETTLED, last, self._first_day, noted):
            if await self._is_whole(day):
                told += await self._publish(day)
                if day in noted:
                    await database.write(partial(changed_days.forget, notes=noted[day]))
        return told

    async def _is_whole(self, day: date) -> bool:
        """Whether the platform has told its debits of a day; after a while nobody waits for them any more."""
        if self._clock.now() > self._calendar.resumes_after(day) + LATEST_DETAILS:
            return True
        name, partner, files = day_files.name_of(DETAILS, day), self._exchange.partner, self._exchange.files
        last = await self._exchange.database.read(lambda conn: files.last(conn, partner, IN, name))
        return last is not None and last.state == USED

    async def _answer(self, received: Received) -> None:
        exchange, file, now = self._exchange, received.row.id, self._clock.now()
        lines = day_files.read(received.path, DETAILS, DETAIL_WIDTH)
        with exchange.workplace() as path:
            with Writer(path, ANSWERS, received.day) as out:
                while chunk := list(islice(lines, CHUNK)):
                    take = partial(self._debits.take, lines=chunk, day=received.day, file=file, now=now)
                    for record in await exchange.database.write(take):
                        out.add(record)
            # A day that is sent again is answered again, also where the answer is the same.
            await exchange.deliver(ANSWERS, received.day, path, out.totals, again=True)
        await exchange.database.write(partial(exchange.used, received=received))

    async def _publish(self, day: date) -> bool:
        return await self._exchange.send(SETTLED, day, partial(self._settled, day=day)) is not None

    def _first_day(self, conn: Connection) -> date | None:
        began = conn.scalar(select(func.min(transactions.c.at)))
        return None if began is None else self._calendar.day_of(began)

    def _settled(self, conn: Connection, out: Writer, day: date) -> None:
        """What a day has brought: debits of purses by the day of their upload, others by the instant they were approved."""
        said = f"{day:%Y%m%d}"
        debit = purse_debits.c
        query = select(debit.reference, debit.amount_fen, debit.code).where(debit.day == day.isoformat())
        for row in conn.execute(query.order_by(debit.reference)):
            status = "settled" if row.code == ACCEPTED else "refused"
            out.add((row.reference, row.amount_fen, CURRENCY, status, said, "purse"))
        sale = transactions.c
        within = (sale.at >= self._calendar.begin_of(day)) & (sale.at < self._calendar.end_of(day))
        money = sale.kind.in_((books.SALE, books.CASH_SALE)) & sale.state.in_(("approved", "reversed"))
        for row in conn.execute(select(transactions).where(within & money).order_by(sale.id)):
            status = "settled" if row.state == "approved" else "reversed"
            slip = f"{row.terminal}-{row.batch}-{row.stan}"
            out.add((slip, row.amount_fen, CURRENCY, status, said, row.kind))
