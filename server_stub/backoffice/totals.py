"""Totals by day: of each day that is over counted once in the background, of today when they are asked for.

A payment that moves later, as one that is sent back, belongs to the day on which it was begun: its days are counted again.
Which those are says the record of moves, which is read on from where it was read last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, literal, select, union_all

from server_stub.backoffice.tables import counted_days, day_totals, marks
from server_stub.backoffice.transactions import SLACK, first_id, instant_of
from server_stub.foundation import statements
from server_stub.foundation.clock import CHINA, Clock
from server_stub.foundation.database import Database, Readable
from server_stub.tsp import machines, tables
from server_stub.tsp.tables import loads, payments

MOVES = "moves-of-counted-days"
PIECE = 20_000
"""Moves that are read at once."""
SETTLED = timedelta(minutes=10)
"""A move is on record for so long before it counts as read: another transaction may still put one before it."""
LOOK_EVERY = timedelta(minutes=5)
TODAY_FOR = timedelta(seconds=10)
PATIENCE_S = 2.0
"""So long a page waits for days that are owed."""
DAY = timedelta(days=1)
KEPT = "taken"
"""Money that is here, and stays."""


class Total(NamedTuple):
    """Of one day, way of paying, service and state."""

    day: str
    method: str
    service: str
    state: str
    number: int
    amount_fen: int
    received_fen: int

    @property
    def money(self) -> str:
        """What became of it."""
        return money_of(self.method, self.state)


def money_of(method: str, state: str) -> str:
    """What became of the money of a payment or load in a state."""
    if method == "load":
        return machines.LOAD_SHOWN[state][1]
    return machines.PAYMENT_SHOWN[state].money


def begins(day: date) -> datetime:
    """Its first instant."""
    return datetime.combine(day, time(), CHINA)


def count(conn: Connection, day: date) -> list[Total]:
    """What one day comes to, from the TSP's books."""
    since, until = begins(day), begins(day + DAY)
    parts = []
    for table, method, service, received in (
        (payments, payments.c.method, payments.c.service, func.coalesce(payments.c.received_fen, 0)),
        (loads, literal("load"), literal(""), literal(0)),
    ):
        query = select(method.label("method"), service.label("service"), table.c.state, table.c.amount_fen, received.label("received_fen"))  # fmt: skip
        query = query.where(table.c.id >= first_id(since - SLACK), table.c.id < first_id(until))
        query = query.where(table.c.created_at >= since, table.c.created_at < until)
        parts.append(query.with_hint(table, f"INDEXED BY sqlite_autoindex_{table.name}_1", "sqlite"))
    rows = union_all(*parts).subquery()
    names = [rows.c.method, rows.c.service, rows.c.state]
    sums = [func.count(), func.sum(rows.c.amount_fen), func.sum(rows.c.received_fen)]
    found = conn.execute(select(*names, *sums).group_by(*names).order_by(*names))
    return [Total(day.isoformat(), row[0], row[1], row[2], row[3], int(row[4]), int(row[5])) for row in found]


def keep(conn: Connection, counted: Iterable[tuple[date, Sequence[Total]]], now: datetime) -> None:
    """Puts days down, in place of what was there of them; another process that counts the same day waits."""
    for day, totals in counted:
        name = day.isoformat()
        if not statements.insert_once(conn, counted_days, {"day": name, "counted_at": now}):
            statements.change(conn, counted_days, {"counted_at": now}, day=name)
        conn.execute(delete(day_totals).where(day_totals.c.day == name))
        if totals:
            conn.execute(insert(day_totals), [one._asdict() for one in totals])


def first_day(conn: Connection) -> date | None:
    """The day of the oldest payment or load."""
    oldest = [conn.execute(select(table.c.id, table.c.created_at).order_by(table.c.id).limit(1)).first() for table in (payments, loads)]  # fmt: skip
    days = [row.created_at.astimezone(CHINA).date() for row in oldest if row is not None]
    return min(days, default=None)


def moved(conn: Connection, position: int, now: datetime) -> tuple[set[date], int, bool]:
    """The days of what has moved since a place in the record; that place now; and whether there is more."""
    table = tables.moves
    query = select(table.c.id, table.c.row, table.c.at).where(table.c.id > position).order_by(table.c.id)
    rows = list(conn.execute(query.limit(PIECE)))
    days = {day for row in rows if (made := instant_of(row.row)) is not None for day in _days_of(made)}
    old = [row.id for row in rows if row.at <= now - SETTLED]
    return days, max(old, default=position), len(rows) == PIECE and len(old) == PIECE


def moved_after(conn: Connection, position: int, first: date, last: date) -> dict[date, datetime]:
    """When a day's payments have moved last, for the days from one to another that have since a place in the record."""
    table = tables.moves.c
    query = select(table.row, func.max(table.at)).where(table.id > position).group_by(table.row)
    found: dict[date, datetime] = {}
    since, until = first_id(begins(first) - SLACK), first_id(begins(last + DAY))
    # By place in the record, which is few; all moves of these days would be many.
    query = query.with_hint(tables.moves, "NOT INDEXED", "sqlite")
    for row, at in conn.execute(query.where(table.row >= since, table.row < until)):
        made = instant_of(row)
        for day in () if made is None else _days_of(made):
            found[day] = max(at, found.get(day, at))
    return found


def _days_of(made: datetime) -> tuple[date, date]:
    """An id is made before the payment is put down: about midnight that is the next day."""
    day = made.astimezone(CHINA).date()
    return day, day + DAY


class Totals:
    """Counts in the background, as soon as somebody has looked at a report.

    Args:
        own: the back office's database. ``books``: the TSP's.
    """

    def __init__(self, own: Database, books: Readable, clock: Clock) -> None:
        self._own = own
        self._books = books
        self._clock = clock
        self._running: asyncio.Task[None] | None = None
        self._looked = datetime.min.replace(tzinfo=CHINA)
        self._today: tuple[datetime, list[Total]] | None = None

    async def owed(self, first: date, last: date) -> int:
        """How many days from one to another, both included, are not counted as they are now, after a while that a person
        waits for it. Whoever looks has them counted.
        """
        self.kick()
        if await self._owed(first, last):
            self._looked = datetime.min.replace(tzinfo=CHINA)
            self.kick()
            assert self._running is not None
            await asyncio.wait({self._running}, timeout=PATIENCE_S)
        return len(await self._owed(first, last))

    async def _owed(self, first: date, last: date) -> set[date]:
        today = self._clock.now().astimezone(CHINA).date()
        oldest = await self._books.read(first_day)
        first, last = max(first, oldest or today), min(last, today - DAY)
        if first > last:
            return set()
        position, counted = await self._own.read(lambda conn: (_position(conn) or 0, _counted(conn)))
        moves = await self._books.read(partial(moved_after, position=position, first=first, last=last))
        every = (first + DAY * ahead for ahead in range((last - first).days + 1))
        return {day for day in every if day not in counted or moves.get(day, counted[day]) > counted[day]}

    def kick(self) -> None:
        """Whoever looks wants them to be of now."""
        idle = self._running is None or self._running.done()
        if idle and self._clock.now() - self._looked >= LOOK_EVERY:
            self._looked = self._clock.now()
            self._running = asyncio.get_running_loop().create_task(self.bring_up(), name="day-totals")

    async def caught_up(self) -> None:
        """Waits until every day that is over is counted as it is now. Raises what was in the way of it."""
        if self._running is not None:
            # What it has read may be older than the question.
            await asyncio.wait({self._running})
        self._looked = datetime.min.replace(tzinfo=CHINA)
        self.kick()
        assert self._running is not None
        await asyncio.shield(self._running)

    async def stop(self) -> None:
        """Breaks off what is under way; what was counted is kept."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def today(self) -> list[Total]:
        """Of the day that is not over, at most ten seconds old."""
        now = self._clock.now()
        if self._today is None or not now - TODAY_FOR < self._today[0] <= now:
            self._today = (now, await self._books.read(partial(count, day=now.astimezone(CHINA).date())))
        return self._today[1]

    async def bring_up(self) -> None:
        """Counts the days that are over and were not, or have changed since."""
        now = self._clock.now()
        today = now.astimezone(CHINA).date()
        known = await self._own.read(_position)
        # What moves from here on is found; what has moved before is in the days that are counted now.
        position = await self._books.read(_last_move) if known is None else known
        await self._own.write(partial(_note, position=position))
        oldest = await self._books.read(first_day)
        counted = await self._own.read(_counted)
        if oldest is not None:
            every = (today - DAY * back for back in range(1, (today - oldest).days + 1))
            for day in every:
                if day not in counted:
                    await self._count(day)
        more = True
        while more:
            days, position, more = await self._books.read(partial(moved, position=position, now=now))
            for day in sorted(day for day in days if day < today):
                await self._count(day)
            await self._own.write(partial(_note, position=position))

    async def _count(self, day: date) -> None:
        now = self._clock.now()
        found = await self._books.read(partial(count, day=day))
        await self._own.write(partial(keep, counted=[(day, found)], now=now))


def _counted(conn: Connection) -> dict[date, datetime]:
    """Days, and as of when they were counted."""
    rows = conn.execute(select(counted_days.c.day, counted_days.c.counted_at))
    return {date.fromisoformat(row.day): row.counted_at for row in rows}


def _position(conn: Connection) -> int | None:
    row = statements.one(conn, marks, name=MOVES)
    return None if row is None else row.position


def _last_move(conn: Connection) -> int:
    return conn.execute(select(func.max(tables.moves.c.id))).scalar() or 0


def _note(conn: Connection, position: int) -> None:
    if not statements.insert_once(conn, marks, {"name": MOVES, "position": position}):
        statements.change(conn, marks, {"position": position}, name=MOVES)


def between(conn: Connection, first: str, last: str, by: Sequence[str]) -> list[Any]:
    """Sums of counted days from one to another, both included, by these columns of ``Total``, the first one upwards.

    A ``"month"`` among them is the first seven characters of the day.
    """
    table = day_totals.c
    columns = [(func.substr(table.day, 1, 7) if name == "month" else table[name]).label(name) for name in by]
    sums = (func.sum(table[name]).label(name) for name in ("number", "amount_fen", "received_fen"))
    query = select(*columns, *sums).where(table.day >= first, table.day <= last)
    return list(conn.execute(query.group_by(*columns).order_by(*columns)))
