"""The daily upload (ONL-8): a day's debits of purses go to PPP, which answers each of them.

A debit belongs to the first day that is made after its proof was in; which one that is, is kept, so that a day can be
sent again as it was. One that PPP has refused and that is presented again stays in that day, too. Days that could not be made, sent or answered are caught up with in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import islice

import structlog
from sqlalchemy import Connection, Select, and_, delete, func, insert, literal, select, union_all, update

from server_stub.foundation import day_files, statements
from server_stub.foundation.calendar import Calendar, days
from server_stub.foundation.clock import Clock
from server_stub.foundation.day_exchange import DayExchange, Received
from server_stub.foundation.day_files import Line, Writer
from server_stub.foundation.jobs import Job, every
from server_stub.foundation.purse_details import (
    ACCEPTED,
    ANSWER_WIDTH,
    ANSWERS,
    DETAILS,
    PURCHASE,
    Detail,
)
from server_stub.foundation.secret import CardNumber
from server_stub.tsp import books, machines
from server_stub.tsp.core import Core
from server_stub.tsp.pos import Pos
from server_stub.tsp.tables import book, debits, payments, refused_uploads, upload_days, uploads

UPLOAD = "upload"
PAIR = "ppp"
"""Under whose breaks a debit that PPP has refused is."""
EVERY_S, SOON_S = 600, 60
GRACE = timedelta(minutes=10)
"""So long after its end a day is made: what was under way at the cut-off is in by then, or belongs to the next one."""
LATEST = timedelta(days=1)
"""No commit is later than that after the instant that it says money came in."""
CHUNK = 500
MADE, SENT, ANSWERED = "made", "sent", "answered"
CHANGED = "answer-changed"
"""In the history of an answer's file: what PPP had accepted is booked, and stays so until a person has asked it."""
TOLD = 20
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Uploads:
    """Tells PPP of each day, and hears what it says.

    Args:
        pos: knows the key that PPP reads card numbers with.
    """

    core: Core
    pos: Pos
    exchange: DayExchange
    calendar: Calendar

    def jobs(self) -> Mapping[str, Job]:
        """By name."""
        return {UPLOAD: Job(self.run, every(EVERY_S), longest_pause=SOON_S)}

    async def run(self) -> str:
        """Makes the days that are over, sends what is not sent, reads what is answered. Raises FolderError."""
        async with self.core.locks.hold(UPLOAD):
            return await self._run()

    async def _run(self) -> str:
        now, database = self.core.clock.now(), self.core.database
        if not self.calendar.is_open(self.calendar.day_of(now)):
            return "closed today"
        made = await database.write(self._make_days)
        sent = 0
        for row in await database.read(lambda conn: conn.execute(_of_state(MADE)).all()):
            await self._send(date.fromisoformat(row.day))
            sent += 1
        answered = 0
        for day, entry in await self.exchange.new(ANSWERS):
            received = await self.exchange.fetch(ANSWERS, day, entry)
            if received is not None:
                await self._apply(received)
                answered += 1
        return f"{made} made, {sent} sent, {answered} answered"

    def _make_days(self, conn: Connection) -> int:
        """Every day that is over has its debits. Returns how many were made."""
        last = self.calendar.last_over(self.core.clock.now() - GRACE)
        before = conn.execute(select(func.max(upload_days.c.day))).scalar()
        if before is not None:
            first = date.fromisoformat(before) + timedelta(days=1)
        else:
            begun = conn.execute(select(func.min(payments.c.paid_at))).scalar()
            first = last if begun is None else min(self.calendar.day_of(begun), last)
        made = 0
        for day in days(first, last):
            made += make_day(conn, day, self.calendar, self.core.clock.now())
        return made

    async def _send(self, day: date) -> None:
        conceal = await self.pos.concealing()
        await self.exchange.send(DETAILS, day, partial(self._fill, day=day, conceal=conceal), again=True)
        values = {"state": SENT, "sent_at": self.core.clock.now()}
        mine = (upload_days.c.day == day.isoformat()) & (upload_days.c.state == MADE)
        await self.core.database.write(
            lambda conn: conn.execute(update(upload_days).where(mine).values(**values))
        )

    def _fill(
        self, conn: Connection, out: Writer, day: date, conceal: Callable[[CardNumber, str], str]
    ) -> None:
        query = _of_day(day).execution_options(yield_per=CHUNK)
        for row in conn.execute(query):
            serial = CardNumber(self.core.vault.unseal(row.card_sealed))
            detail = Detail(
                reference=row.id,
                amount_fen=row.amount_fen,
                transaction_type=PURCHASE,
                terminal_number=row.terminal_number,
                terminal_transaction_number=row.terminal_transaction_number,
                date=row.date,
                time=row.time,
                tac=row.tac,
                issuer_id=row.issuer_id,
                key_version=f"{row.key_version:02X}",
                algorithm_id=f"{row.algorithm_id:02X}",
                serial=conceal(serial, row.id),
            )
            out.add(detail.record())

    async def _apply(self, received: Received) -> None:
        """PPP's answer to a day. Each chunk says the same when it is done again."""
        lines = day_files.read(received.path, ANSWERS, ANSWER_WIDTH)
        unreadable = strange = 0
        changed: list[str] = []
        while chunk := list(islice(lines, CHUNK)):
            good = [line for line in chunk if not line.fault]
            unreadable += len(chunk) - len(good)
            take = partial(_answered, clock=self.core.clock, day=received.day, lines=good)
            odd, otherwise = await self.core.database.write(take)
            strange += odd
            changed += otherwise
        day = received.day.isoformat()

        def end(conn: Connection) -> None:
            self._settle(conn, day)
            if changed:
                told = {"count": len(changed), "kept": "; ".join(changed[:TOLD])}
                self.exchange.files.note(conn, self.core.clock, received.row.id, None, CHANGED, **told)
            self.exchange.used(conn, received, unreadable=unreadable, strange=strange)

        await self.core.database.write(end)
        if unreadable or strange:
            log.error("answer-incomplete", day=day, unreadable=unreadable, strange=strange)
        if changed:
            log.error("answer-changed", day=day, count=len(changed), kept=changed[:TOLD])

    def _settle(self, conn: Connection, day: str) -> None:
        """What PPP has accepted of a day is settled: books what was not yet."""
        mine, now = uploads.c.day == day, self.core.clock.now()
        joined = uploads.join(payments, payments.c.id == uploads.c.payment_id)
        money = select(func.count(), func.coalesce(func.sum(payments.c.amount_fen), 0)).select_from(joined)
        count, fen = conn.execute(money.where(mine, uploads.c.code == ACCEPTED)).one()
        refused = conn.execute(money.where(mine, uploads.c.code != ACCEPTED)).one()[0]
        again = select(func.count()).where(refused_uploads.c.day == day)
        refused += conn.execute(again).scalar_one()
        row = conn.execute(
            select(upload_days).where(upload_days.c.day == day).with_for_update()
        ).one_or_none()
        if row is None:
            return
        books.settled(conn, f"{DETAILS} {day}", int(fen) - (row.accepted_fen or 0), now)
        values = {"accepted_count": count, "accepted_fen": int(fen), "refused_count": refused}
        values |= {"state": ANSWERED, "answered_at": now}
        conn.execute(update(upload_days).where(upload_days.c.day == day).values(**values))


def make_day(conn: Connection, day: date, calendar: Calendar, now: datetime) -> bool:
    """Keeps which debits belong to a day that is over; False where another process has done it."""
    name = day.isoformat()
    row = {"day": name, "state": MADE, "count": 0, "fen": 0, "made_at": now}
    if not statements.insert_once(conn, upload_days, row):
        return False
    conn.execute(update(uploads).where(uploads.c.day.is_(None)).values(day=name))
    paid = payments.c.state.in_(machines.PAID) & (payments.c.paid_at < calendar.end_of(day))
    paid &= payments.c.paid_at >= calendar.begin_of(day) - LATEST
    joined = payments.join(debits, debits.c.payment_id == payments.c.id)
    joined = joined.outerjoin(uploads, uploads.c.payment_id == payments.c.id)
    new = paid & uploads.c.payment_id.is_(None) & debits.c.tac.is_not(None)
    query = select(payments.c.id, literal(name)).select_from(joined).where(new)
    conn.execute(insert(uploads).from_select(["payment_id", "day"], query))
    mine = uploads.join(payments, payments.c.id == uploads.c.payment_id)
    money = select(func.count(), func.coalesce(func.sum(payments.c.amount_fen), 0)).select_from(mine)
    count, fen = conn.execute(money.where(uploads.c.day == name)).one()
    conn.execute(update(upload_days).where(upload_days.c.day == name).values(count=count, fen=int(fen)))
    return True


def send_again(conn: Connection, day: date) -> bool:
    """A day goes once more, as it was; False for one that was never made."""
    mine = (upload_days.c.day == day.isoformat()) & (upload_days.c.state != MADE)
    return bool(conn.execute(update(upload_days).where(mine).values(state=MADE)).rowcount)


def is_answered(conn: Connection, day: date) -> bool:
    """Whether PPP has answered what it was told of a day."""
    row = statements.one(conn, upload_days, day=day.isoformat())
    return row is not None and row.state == ANSWERED


def present_again(conn: Connection, payment: str) -> bool:
    """A debit that PPP has refused goes with the next day; False where it was not refused."""
    mine = and_(uploads.c.payment_id == payment, uploads.c.code != ACCEPTED, uploads.c.day.is_not(None))
    row = conn.execute(select(uploads).where(mine).with_for_update()).one_or_none()
    if row is None:
        return False
    statements.insert(conn, refused_uploads, {"payment_id": payment, "day": row.day, "code": row.code})
    statements.change(conn, uploads, {"day": None, "code": None, "settled_on": None}, payment_id=payment)
    return True


def _of_state(state: str) -> Select[tuple[str]]:
    return select(upload_days.c.day).where(upload_days.c.state == state).order_by(upload_days.c.day)


def _of_day(day: date) -> Select[tuple[object, ...]]:
    names = ("terminal_number", "terminal_transaction_number", "date", "time", "tac", "issuer_id")
    more = ("key_version", "algorithm_id", "card_sealed")
    columns = (debits.c[name] for name in (*names, *more))
    mine = payments.c.id.in_(
        union_all(
            *(
                select(one.c.payment_id).where(one.c.day == day.isoformat())
                for one in (uploads, refused_uploads)
            )
        )
    )
    joined = payments.join(debits, debits.c.payment_id == payments.c.id)
    query = select(payments.c.id, payments.c.amount_fen, *columns).select_from(joined)
    return query.where(mine).order_by(payments.c.id)


def _answered(conn: Connection, clock: Clock, day: date, lines: list[Line]) -> tuple[int, list[str]]:
    """Keeps PPP's word on each debit of a day; what it has accepted stays accepted, since that is booked.

    Returns:
        How many it was not asked about, and what it says otherwise now of debits that it had accepted.
    """
    strange, changed = 0, []
    for line in lines:
        reference, _, code, settled_on = line.fields
        mine = uploads.c.payment_id == reference
        if _presented_again(conn, reference, day, code):
            continue
        new = mine & (uploads.c.code.is_(None) | (uploads.c.code != ACCEPTED))
        said = {"code": code, "settled_on": settled_on}
        if conn.execute(update(uploads).where(new).values(**said)).rowcount:
            if code == ACCEPTED:
                _agree(conn, clock, reference)
            continue
        known = conn.execute(select(uploads.c.code, uploads.c.settled_on).where(mine)).one_or_none()
        if known is None:
            strange += 1
        elif (code, settled_on) != tuple(known):
            changed.append(f"{reference} {known.code} {known.settled_on}, now {code} {settled_on}".strip())
    return strange, changed


def _presented_again(conn: Connection, payment: str, day: date, code: str) -> bool:
    """Whether an answer is about an earlier day of a debit that goes with a later one, which has the say of it.

    Where it was not made yet, or was refused too, and PPP accepts the debit with the earlier one after all, it is of that day
    again.
    """
    before = refused_uploads.c
    mine = (before.payment_id == payment) & (before.day == day.isoformat())
    if conn.execute(select(before.day).where(mine)).one_or_none() is None:
        return False
    if code != ACCEPTED:
        conn.execute(update(refused_uploads).where(mine).values(code=code))
        return True
    later = conn.execute(select(uploads).where(uploads.c.payment_id == payment)).one()
    if later.day is not None and later.code in (None, ACCEPTED):  # it has the say, or is about to
        return True
    conn.execute(delete(refused_uploads).where(mine))
    if later.day is not None:
        statements.insert(
            conn, refused_uploads, {"payment_id": payment, "day": later.day, "code": later.code}
        )
    back = {"day": day.isoformat(), "code": None, "settled_on": None}
    conn.execute(update(uploads).where(uploads.c.payment_id == payment).values(**back))
    return False


def _agree(conn: Connection, clock: Clock, payment: str) -> None:
    """A debit was presented again, and is accepted: there is no difference any more."""
    row = book.open_of_key(conn, PAIR, payment)
    if row is not None and (row.state, row.action) == ("healing", "present-again"):
        book.agree(conn, clock, row.run, [row.id])
