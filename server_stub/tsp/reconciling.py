"""Every morning's reconciliations (ONL-9): our days against BOSS's and PPP's, as soon as their files are here.

A file that has come starts the reconciliation of its day, and once more those of the days before whose breaks are open:
perhaps they agree now. A day whose file does not come is a run that failed, and says so. A run that this machine was in the way
of, not its file, is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Row, select

from server_stub.foundation import day_files
from server_stub.foundation.calendar import Calendar, days
from server_stub.foundation.clock import Clock
from server_stub.foundation.day_exchange import DayExchange, Received
from server_stub.foundation.files import IN, REFUSED, FileRow
from server_stub.foundation.jobs import Job, every
from server_stub.foundation.sentences import N_, read, say
from server_stub.reconciliation import pair as pairs
from server_stub.reconciliation.book import Healing
from server_stub.reconciliation.break_rows import BreakRow, records
from server_stub.reconciliation.findings import AT_ONCE
from server_stub.reconciliation.healing import Tally
from server_stub.reconciliation.pair import Pair
from server_stub.reconciliation.reading import FileRefused, Prepared
from server_stub.reconciliation.records import Carried, Cls, Difference, Record
from server_stub.reconciliation.runs import Seen, found_of
from server_stub.reconciliation.sources import FileSource, RecordSource
from server_stub.tsp.core import Core
from server_stub.tsp.own_books import OwnBook, first_day
from server_stub.tsp.remedies import Remedies
from server_stub.tsp.tables import book, files

if TYPE_CHECKING:
    from server_stub.reconciliation.engine import Result

RECONCILE = "reconcile"
EVERY_S, SOON_S = 600, 60
LATE = timedelta(hours=6)
"""So long after it could be here a day whose file is not has failed."""
LOOKED_BACK = 31
"""Days; for older ones no file is missed any more."""
KEYS_AT_ONCE = 500
SAMPLE = 5
"""Differences of each class that are kept of a run that was stopped."""
SERVER = "server"
BROKEN_OFF = N_("it could not be brought to its end: %(error)s")
TRIED_AGAIN = N_("it could not be brought to its end, and will be tried again by itself: %(error)s")
NOT_SHOWN = N_("what was begun on %(day)s does not show in the files of the days since")
AGAIN = timedelta(minutes=1), timedelta(hours=6)
"""A run that has failed with its file here is tried again after as long as it has been failing; so long at least, and at most."""
WAITING = ("wanted", "running")
"""States of runs that are to be done; one that runs while nobody does it was left behind by a process that died."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Books:
    """One pair, and where its two books come from.

    Attributes:
        kind: of the other side's files.
        due: when a day's file can be here at the earliest.
        ours: our records.
        whole: whether our records of a day are all there; until they are, or nobody waits for them any more, it is not
            compared.
    """

    pair: Pair
    kind: str
    exchange: DayExchange
    due: Callable[[date], datetime]
    ours: OwnBook
    whole: Callable[[Connection, date], bool] = lambda conn, day: True


@dataclass(frozen=True, slots=True)
class _Ready:
    """A book that has been put down already."""

    prepared: Prepared

    def prepare(self, day: date, work: Path) -> Prepared:
        return self.prepared


class Reconciling:
    """The reconciliations of this platform."""

    def __init__(
        self, core: Core, remedies: Remedies, calendar: Calendar, books: Mapping[str, Books]
    ) -> None:
        self.books = books
        self._core = core
        self._remedies = remedies
        self._calendar = calendar

    def jobs(self) -> Mapping[str, Job]:
        """By name."""
        return {RECONCILE: Job(self.run, every(EVERY_S), longest_pause=SOON_S)}

    async def run(self) -> str:
        """Fetches what has come, and does all runs that are wanted. Raises FolderError; what could be done is done."""
        async with self._core.locks.hold(RECONCILE):
            done, failure = 0, None
            for one in self.books.values():
                try:
                    await self._fetch(one)
                except Exception as error:  # noqa: BLE001 - one partner's folder does not hold up the other's
                    failure = error
                await self._core.database.write(partial(self._miss, books=one))
            for row in await self._core.database.read(self._wanted):
                try:
                    await self._reconcile(row)
                except Exception as error:  # noqa: BLE001 - nor does one day hold up the others
                    log.error("comparison-failed", pair=row.pair, day=row.day, error=repr(error))
                    failure = error
                done += 1
            for name in self.books if done else ():
                await self._ask(name)
            if failure is not None:
                raise failure
            return f"{done} done"

    async def _fetch(self, books: Books) -> None:
        for day, entry in await books.exchange.new(books.kind):
            received = await books.exchange.fetch(books.kind, day, entry)
            if received is None:
                # What was compared before is not what is known any more: the day has a run that says why.
                await self._core.database.write(partial(self._refused, books=books, day=day))
                continue

            moved = await self._core.database.read(partial(_moved_days, books=books, day=day))

            def want(
                conn: Connection,
                day: date = day,
                received: Received = received,
                moved: Sequence[date] = moved,
            ) -> None:
                name, first = books.pair.name, first_day(conn, self._calendar)
                idle = not received.totals.count and (first is None or day < first)
                if idle and not _begun(conn, name, day):
                    books.exchange.used(conn, received, compared=say(N_("nothing on either side")).kept)
                    return
                for other in (*moved, *_open_days(conn, books.pair, day), day):
                    self._want(conn, name, other, SERVER)
                books.exchange.used(conn, received)

            await self._core.database.write(want)

    def _refused(self, conn: Connection, books: Books, day: date) -> None:
        last = files.last(conn, books.exchange.partner, IN, day_files.name_of(books.kind, day))
        if last is not None and last.state == REFUSED:
            self._want(conn, books.pair.name, day, SERVER)

    def _want(self, conn: Connection, pair: str, day: date, by: str) -> None:
        runs = book.runs.c
        mine = (runs.pair == pair) & (runs.day == day.isoformat()) & runs.state.in_(WAITING) & ~runs.dry_run
        if conn.execute(select(runs.id).where(mine)).first() is None:
            book.want(conn, self._core.ids, self._core.clock, pair, day, by)

    def _miss(self, conn: Connection, books: Books) -> None:
        """Days whose file could be here for long, and is not, are told once; what came to nothing before tells nothing."""
        long_ago = self._core.clock.now() - LATE
        last = self._calendar.last_over(long_ago)
        begun = first_day(conn, self._calendar)
        if begun is None:
            return
        first = max(begun, last - timedelta(days=LOOKED_BACK))
        runs = book.runs.c
        known = select(runs.day, runs.state, runs.begun_at, runs.ended_at)
        known = known.where(runs.pair == books.pair.name, ~runs.dry_run, runs.day >= first.isoformat())
        there = {row.day for row in conn.execute(known) if not _early(row, books)}
        for day in days(first, last):
            if day.isoformat() not in there and books.due(day) <= long_ago:
                clock, name = self._core.clock, day_files.name_of(books.kind, day)
                run = book.want(conn, self._core.ids, clock, books.pair.name, day, SERVER)
                theirs = files.last(conn, books.exchange.partner, IN, name)
                _give_up(conn, clock, run, books, name, theirs)
                log.error("file-missing", partner=books.exchange.partner, name=name)

    def _wanted(self, conn: Connection) -> list[Row[Any]]:
        """The runs that can be done now."""
        runs, now = book.runs, self._core.clock.now()
        broken = (runs.c.state == "failed") & runs.c.begun_at.is_not(None) & ~runs.c.dry_run & book.newest()
        query = select(runs).where(runs.c.state.in_(WAITING) | broken).order_by(runs.c.day, runs.c.id)
        found = []
        for row in conn.execute(query):
            day = date.fromisoformat(row.day)
            books = self.books[row.pair]
            if row.state == "failed" and now < _again_at(row):
                continue
            if now > books.due(day) + LATE or books.whole(conn, day):
                found.append(row)
        return found

    async def _ask(self, pair: str) -> None:
        """What was begun about a break, and does not show in the files of the days since, is a person's to decide."""
        database, clock = self._core.database, self._core.clock

        def begun(conn: Connection) -> list[tuple[str, date]]:
            compared = book.last_compared(conn, pair) or date.min
            found = ((name, self._calendar.day_of(at)) for name, at in book.begun(conn, pair))
            return [(name, day) for name, day in found if day < compared]

        vain = await database.read(begun)
        for start in range(0, len(vain), AT_ONCE):

            def reopen(
                conn: Connection, some: list[tuple[str, date]] = vain[start : start + AT_ONCE]
            ) -> None:
                for name, day in some:
                    book.reopen(conn, clock, name, SERVER, say(NOT_SHOWN, day=day))

            await database.write(reopen)

    async def _reconcile(self, row: Row[Any]) -> None:
        """One run, whatever comes of it."""
        database, clock = self._core.database, self._core.clock
        books, day = self.books[row.pair], date.fromisoformat(row.day)
        name = day_files.name_of(books.kind, day)
        theirs = await database.read(lambda conn: files.last(conn, books.exchange.partner, IN, name))
        if theirs is None or theirs.state == REFUSED:
            await database.write(lambda conn: _give_up(conn, clock, row.id, books, name, theirs))
            if theirs is None and not row.dry_run and clock.now() >= books.due(day) + LATE:
                log.error("file-missing", partner=books.exchange.partner, name=name)
            return
        await database.write(lambda conn: book.begin(conn, clock, row.id))
        try:
            with books.exchange.workplace() as place:
                await self._compare(row, books, day, theirs, place.parent)
        except FileRefused as refused:
            said = refused.said
            await database.write(lambda conn: book.fail(conn, clock, row.id, said, refused=True))
            log.error("file-refused", partner=books.exchange.partner, name=name, error=str(refused))
        except Exception as error:
            why = say(BROKEN_OFF if row.dry_run else TRIED_AGAIN, error=repr(error))
            await database.write(lambda conn: book.fail(conn, clock, row.id, why))
            raise

    async def _compare(self, row: Row[Any], books: Books, day: date, theirs: FileRow, work: Path) -> None:
        # DuckDB comes with it, a tenth of a second and as many megabytes that a server without days needs not.
        from server_stub.reconciliation.engine import compare

        database, clock, pair = self._core.database, self._core.clock, books.pair
        assert pair.there.layout is not None

        def ours(conn: Connection, left_out: Sequence[Record] = ()) -> Prepared:
            return RecordSource(_with(books.ours.of_day(conn, day), left_out), "our books").prepare(day, work)

        def told(step: str, percent: int) -> None:
            database.submit(lambda conn: book.progress(conn, row.id, step, percent))

        carried = await database.read(lambda conn: _carried(conn, books, day))
        # What the day leaves out, since it went back, has the other side's record of another day for a partner nevertheless.
        theirs_of = [one.record.key for one in carried if one.side == "there"]
        mine = await database.read(lambda conn: list(_by_key(conn, books, theirs_of)))
        left_out = [record for record in mine if record.day == day]
        here = _Ready(await database.read(partial(ours, left_out=left_out)))
        called = f"{theirs.name} ({theirs.version})"
        there = FileSource(books.exchange.store.path(theirs.sha256), pair.there.layout, called)
        begin = partial(compare, pair, here, there, day=day, work=work, progress=told)
        result = await asyncio.to_thread(begin, carried=carried)
        aside, more = await self._looked_for(books, day, result)
        if aside or more:
            result.close()
            if more:
                here = _Ready(await database.read(partial(ours, left_out=[*left_out, *more])))
                begin = partial(compare, pair, here, there, day=day, work=work, progress=told)
            result = await asyncio.to_thread(begin, carried=[*carried, *aside])
        with result:
            file = {"name": theirs.name, "version": theirs.version, "id": theirs.id}
            outcome: dict[str, Any] = {"here": result.here, "there": result.there, "counts": result.counts}
            outcome |= {"clock": clock, "run": row.id, "files": {"there": file}}
            if (many := found_of(result.counts)) > pair.limit_differences:
                sample = await asyncio.to_thread(lambda: list(result.differences(SAMPLE)))
                stop = partial(book.stop, **outcome, limit=pair.limit_differences, sample=sample)
                await database.write(stop)
                log.error("too-many-differences", pair=pair.name, day=row.day, found=many)
                return
            tally, seen, closed, found = Tally(pair.rules), Seen(), 0, result.differences()
            dry = {"tally": tally, "actions": self._remedies.actions(pair.name)} if row.dry_run else {}
            while chunk := await asyncio.to_thread(lambda: list(islice(found, AT_ONCE))):
                see = partial(book.see, ids=self._core.ids, clock=clock, run=row.id, differences=chunk)
                seen += await database.write(partial(see, **dry))
            gone = await database.read(lambda conn: book.gone(conn, row.id))
            for start in range(0, len(gone), AT_ONCE):
                some = gone[start : start + AT_ONCE]
                await database.write(partial(book.agree, clock=clock, run=row.id, gone=some))
            if not row.dry_run:
                await self._heal(row, tally)
                # What it had entered before it was broken off, if it was, is its own as well.
                opened, closed = await database.read(lambda conn: book.entered(conn, row.id))
                seen = replace(seen, opened=opened)
            end = partial(book.finish, **outcome, seen=seen, closed=closed)
            await database.write(partial(end, healed=tally.outcome()))
        log.info(
            "reconciled", pair=pair.name, day=row.day, opened=seen.opened, again=seen.again, closed=closed
        )

    async def _looked_for(
        self, books: Books, day: date, result: Result
    ) -> tuple[list[Carried], list[Record]]:
        """What a comparison has shown to be the other half of something that was closed, or that is of another day here, and records
        of ours that it misses and that the day has left out, since they went back; nothing, where it is to be stopped.
        """
        found: list[Carried] = []
        left_out: list[Record] = []
        if found_of(result.counts) <= books.pair.limit_differences:
            differences = result.differences()
            while chunk := await asyncio.to_thread(lambda: list(islice(differences, KEYS_AT_ONCE))):

                def look(
                    conn: Connection, chunk: list[Difference] = chunk
                ) -> tuple[list[Carried], list[Record]]:
                    aside = _as_now(conn, books, book.laid_aside(conn, books.pair.name, day, chunk))
                    missed = [one.key for one in chunk if one.cls == Cls.MISSING_HERE]
                    known = {one.record.key for one in aside}
                    away = [one for one in _now(conn, books, missed) if one.day != day]
                    aside += [Carried("here", one) for one in away if one.key not in known]
                    return aside, [one for one in _by_key(conn, books, missed) if one.day == day]

                some, more = await self._core.database.read(look)
                found += some
                left_out += more
        return found, left_out

    async def _heal(self, row: Row[Any], tally: Tally) -> None:
        database, clock = self._core.database, self._core.clock
        actions = self._remedies.actions(row.pair)
        await database.read(lambda conn: book.fits(conn, row.id, tally, actions))
        after: str | None = ""
        while after is not None:
            last = after

            def heal(conn: Connection, last: str = last) -> Healing:
                return book.heal(conn, clock, row.id, tally, actions, last)

            some = await database.write(heal)
            for rule, fen in some.failed:
                tally.take_off(rule, fen)
            after = some.last
        self._core.outbox.worker.kick()


def pair_named(name: str) -> Pair:
    """One of this platform's pairs, as its file says it."""
    path = resources.files("server_stub.tsp").joinpath("pairs", f"{name}.toml")
    return pairs.parse(path.read_text("utf-8"), f"{name}.toml")


def _begun(conn: Connection, pair: str, day: date) -> bool:
    """Whether a day was compared, or was to be: then its next file counts, whatever is in it."""
    runs = book.runs.c
    mine = (runs.pair == pair) & (runs.day == day.isoformat()) & ~runs.dry_run
    return conn.execute(select(runs.id).where(mine).limit(1)).first() is not None


def _early(run: Any, books: Books) -> bool:
    """Whether a run has found no file before anybody had to miss it."""
    no_file = run.state == "failed" and run.begun_at is None
    return no_file and bool(run.ended_at < books.due(date.fromisoformat(run.day)) + LATE)


def _again_at(run: Row[Any]) -> datetime:
    """When a run that has failed is tried again."""
    least, most = AGAIN
    failing: timedelta = run.ended_at - run.wanted_at
    at: datetime = run.ended_at
    return at + min(most, max(least, failing))


def _open_days(conn: Connection, pair: Pair, day: date) -> list[date]:
    """Days before within the window, of which something is open."""
    breaks, first = book.breaks.c, _first_near(pair, day)
    near = (breaks.day >= first) & (breaks.day < day.isoformat())
    query = (
        select(breaks.day).where((breaks.pair == pair.name) & near & breaks.closed_at.is_(None)).distinct()
    )
    return sorted(date.fromisoformat(one) for one in conn.scalars(query))


def _moved_days(conn: Connection, books: Books, day: date) -> list[date]:
    """Days before the window, of which something is open that has gone on in our own book since: what we heard late."""
    breaks, runs = book.breaks.c, book.runs.c
    old = (breaks.pair == books.pair.name) & (breaks.day < _first_near(books.pair, day))
    # A day that was refused or stopped waits for another file or a person, whatever has moved.
    same = (runs.pair == breaks.pair) & (runs.day == breaks.day) & ~runs.dry_run
    done = select(runs.id).where(same & (runs.state == "done") & book.newest()).exists()
    rows = conn.execute(select(book.breaks).where(old & breaks.closed_at.is_(None) & done)).all()
    now = {record.key: record.status for record in _now(conn, books, [row.key for row in rows])}
    return sorted({date.fromisoformat(row.day) for row in rows if _moved(row, now.get(row.key))})


def _moved(row: BreakRow, status: str | None) -> bool:
    """Whether our record of a break is another one by now; what is carried from another day stays what it was when it is gone."""
    here, _ = records(row)
    if here is None:
        return status is not None
    return here.status != status and (status is not None or here.day.isoformat() == row.day)


def _first_near(pair: Pair, day: date) -> str:
    """The first day of the window before a day."""
    return (day - timedelta(days=pair.window_days)).isoformat()


def _carried(conn: Connection, books: Books, day: date) -> list[Carried]:
    """What other days have left for this one."""
    return _as_now(conn, books, book.carry(conn, books.pair.name, day))


def _now(conn: Connection, books: Books, keys: Sequence[str]) -> Iterator[Record]:
    """Our records of these keys as they are now, those that there are, with the pair's statuses."""
    statuses = books.pair.here.statuses
    for record in _by_key(conn, books, keys):
        yield replace(record, status=statuses.get(record.status, record.status))


def _by_key(conn: Connection, books: Books, keys: Sequence[str]) -> Iterator[Record]:
    """The same, as our book has them."""
    for start in range(0, len(keys), KEYS_AT_ONCE):
        yield from books.ours.of_keys(conn, keys[start : start + KEYS_AT_ONCE])


def _with(records: Iterable[Record], left_out: Sequence[Record]) -> Iterator[Record]:
    """Records, and those that are not among them."""
    more = {record.key: record for record in left_out}
    for record in records:
        more.pop(record.key, None)
        yield record
    yield from more.values()


def _as_now(conn: Connection, books: Books, carried: list[Carried]) -> list[Carried]:
    """The same, our records as they are now."""
    keys = [one.record.key for one in carried if one.side == "here"]
    now = {record.key: record for record in _now(conn, books, keys)}

    def ours(one: Carried) -> Carried:
        record = now.get(one.record.key)
        # What has gone over to another day here is expected on that day there.
        return one if record is None else Carried("here", record, one.known and record.day == one.record.day)

    return [ours(one) if one.side == "here" else one for one in carried]


def _give_up(
    conn: Connection, clock: Clock, run: str, books: Books, name: str, theirs: FileRow | None
) -> None:
    """A run whose file is not here, or cannot be used, and why."""
    if theirs is None:
        said = say(N_("no file %(name)s of %(partner)s is here"), name=name, partner=books.exchange.partner)
        book.fail(conn, clock, run, said)
        return
    why = next(
        one.detail.get("why") for one in reversed(files.history(conn, theirs.id)) if one.event == REFUSED
    )
    told = {"name": name, "version": theirs.version, "why": read(why)}
    book.fail(conn, clock, run, say(N_("%(name)s, version %(version)s: %(why)s"), **told), refused=True)
