"""What runs find: breaks that are kept until they are closed, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Row,
    String,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
)

from server_stub.foundation import statements
from server_stub.foundation.audit import canonical
from server_stub.foundation.clock import Clock
from server_stub.foundation.ids import Ids
from server_stub.foundation.sentences import read
from server_stub.foundation.statements import Statement
from server_stub.reconciliation import tables
from server_stub.reconciliation.actions import AGREED, RULE, Action, able_by
from server_stub.reconciliation.break_rows import BreakRow, days_of, facts_of, json_of, other_day, records
from server_stub.reconciliation.healing import MATCH, Tally
from server_stub.reconciliation.records import BREAKS, Carried, Cls, Difference, Record, Side, of_json
from server_stub.reconciliation.runs import Runs, Seen

OPENED = "opened"
_MISSING: Mapping[Cls, Side] = {Cls.MISSING_THERE: "here", Cls.MISSING_HERE: "there"}
"""Which side's record has no partner."""
_OF_TWO = (Cls.AMOUNT, Cls.CURRENCY, Cls.STATUS, Cls.REVERSED, Cls.OTHER_DAY)
"""Of a record and its partner, which may be of another day."""
AT_ONCE = 25
"""Breaks in one transaction: SQLite's is worked out in the event loop, and nobody else is answered meanwhile."""


class Findings(Runs):
    """The breaks of one role, and the runs that find them.

    Args:
        metadata: of the role; the tables become part of it.
    """

    def __init__(self, metadata: MetaData) -> None:
        super().__init__(metadata)
        self.breaks = tables.breaks(metadata)
        self.events = tables.break_events(metadata)
        row, key = self.breaks.c, {name: bindparam(name, type_=String()) for name in ("pair", "key")}
        of_key = select(self.breaks).where(*(row[name] == one for name, one in key.items()))
        self._open_of_key = Statement(of_key.where(row.closed_at.is_(None)).with_for_update())
        closed = of_key.where(row.state == literal_column("'closed'"))
        newest = closed.order_by(row.id.desc()).limit(literal_column("1"))
        self._last_closed_of_key = Statement(newest)
        self._last_matched_of_key = Statement(newest.where(row.action == literal_column(f"'{MATCH}'")))

    # What a run finds

    def carry(self, conn: Connection, pair: str, day: date) -> list[Carried]:
        """Records of other days for ``compare``: those that have had no partner so far, however old, and those whose partner is
        of this day: as what was matched on another day, and may be otherwise now.
        """
        table, said = self.breaks.c, day.isoformat()
        apart = and_(table.other_day.is_not(None), table.cls.in_(_OF_TWO))
        apart &= or_(table.day == said, table.other_day == said)
        left = and_(table.closed_at.is_(None), table.cls.in_(_MISSING), table.day != said)
        found: dict[tuple[Side, str], Record | None] = {}
        known: dict[str, bool] = {}
        # The last that was seen of a record is what it is.
        mine = select(self.breaks).where(table.pair == pair).order_by(table.seen_at, table.id)
        for row in conn.execute(mine.where(apart)):
            here, there = records(row)
            if there is not None and there.day == day:
                found["here", row.key] = here
            elif here is not None and here.day == day:
                found["there", row.key] = there
            known[row.key] = there is not None and there.day == day
        for row in conn.execute(mine.where(left)):
            side = _MISSING[Cls(row.cls)]
            found[side, row.key] = of_json(getattr(row, side))
        return [
            Carried(side, record, side == "here" and known.get(key, False))
            for (side, key), record in found.items()
            if record is not None
        ]

    def laid_aside(
        self, conn: Connection, pair: str, day: date, differences: Iterable[Difference]
    ) -> list[Carried]:
        """The other halves of differences that are missing on one side: what was missing on the other one on another day, and was
        closed, not because the books agreed: for another ``compare``.
        """
        found = []
        for one in differences:
            last = self._last_closed_of_key.one_or_none(conn, {"pair": pair, "key": one.key})
            if one.cls not in _MISSING or last is None or last.cls not in _MISSING:
                continue
            side = _MISSING[Cls(last.cls)]
            if side != _MISSING[one.cls] and last.action != AGREED and last.day != day.isoformat():
                found.append(Carried(side, of_json(getattr(last, side))))
        return found

    def see(
        self,
        conn: Connection,
        ids: Ids,
        clock: Clock,
        run: str,
        differences: Iterable[Difference],
        *,
        tally: Tally | None = None,
        actions: Mapping[str, Action] = MappingProxyType({}),
    ) -> Seen:
        """Enters differences of a run: opens a break, or notes on the open one that it is still there.

        What a person or a rule has closed, and what is still just so, stays closed. To be called with AT_ONCE at a
        time. A dry run writes nothing: it says what would come of them.

        Args:
            tally: of a dry run: counts those that would be healed.
            actions: of the role, for the tally.
        """
        now_run = conn.execute(select(self.runs).where(self.runs.c.id == run)).one()
        seen = Seen()
        for one in differences:
            if one.cls not in BREAKS:
                continue
            kept = self.open_of_key(conn, now_run.pair, one.key)
            if kept is not None:
                fresh = not now_run.dry_run
                seen += Seen(again=1)
                if fresh:
                    self._see_again(conn, clock, now_run, kept, one)
                waits = kept.state == "open"
            elif self._decided(conn, now_run, one):
                seen += Seen(known=1)
                waits = False
            else:
                seen += Seen(opened=1)
                if not now_run.dry_run:
                    self._open_break(conn, ids, clock, now_run, one)
                waits = True
            if tally is not None and waits:
                name = "" if kept is None else kept.id
                tried = self._tried(conn, [name]) if name else set()
                row = _Waiting(name, **facts_of(now_run, one))
                tally.add(one.cls, one.here, one.there, partial(able_by, actions, tried, row))
        return seen

    def gone(self, conn: Connection, run: str) -> list[str]:
        """The breaks of the run's day that it has not seen since it was begun last, for ``agree``; of a dry run none."""
        now_run = conn.execute(select(self.runs).where(self.runs.c.id == run)).one()
        if now_run.dry_run:
            return []
        table = self.breaks.c
        unseen = [table.run != run]
        if now_run.begun_at is not None:
            unseen.append(table.seen_at < now_run.begun_at)
        mine = and_(table.pair == now_run.pair, table.day == now_run.day, table.state != "closed")
        return list(conn.scalars(select(table.id).where(mine, or_(*unseen)).order_by(table.id)))

    def agree(self, conn: Connection, clock: Clock, run: str, gone: Iterable[str]) -> int:
        """Closes breaks that a run has not seen: the books agree now. To be called with AT_ONCE at a time.

        Returns how many were not closed already.
        """
        closed = 0
        for name in gone:
            row = statements.one(conn, self.breaks, lock=True, id=name)
            if row is not None and row.state != "closed":
                self._close(conn, clock, name, "server", AGREED, run=run)
                closed += 1
        return closed

    def entered(self, conn: Connection, run: str) -> tuple[int, int]:
        """How many breaks a run has opened and closed as agreed, before and after it was broken off; of a dry run none."""
        now_run = conn.execute(select(self.runs).where(self.runs.c.id == run)).one()
        event, table = self.events.c, self.breaks.c
        query = select(event.event, func.count().label("many")).join(self.breaks, table.id == event.break_id)
        query = query.where(table.pair == now_run.pair, table.day == now_run.day, self._by(run))
        found = {row.event: int(row.many) for row in conn.execute(query.group_by(event.event))}
        return found.get(OPENED, 0), found.get(AGREED, 0)

    # What is there

    def waiting(
        self, conn: Connection, pair: str | None = None, *, everything: bool = False
    ) -> list[BreakRow]:
        """The breaks that are not closed, oldest first; ``everything``: the closed ones too."""
        query = select(self.breaks).order_by(self.breaks.c.opened_at, self.breaks.c.id)
        if pair is not None:
            query = query.where(self.breaks.c.pair == pair)
        if not everything:
            query = query.where(self.breaks.c.state != "closed")
        return list(conn.execute(query))

    def open_of_key(self, conn: Connection, pair: str, key: str) -> BreakRow | None:
        """The break of a key that is not closed, locked."""
        return self._open_of_key.one_or_none(conn, {"pair": pair, "key": key})

    def history(self, conn: Connection, break_id: str) -> list[Row[Any]]:
        """What became of a break, oldest first; ``facts`` is JSON."""
        mine = self.events.c.break_id == break_id
        return list(conn.execute(select(self.events).where(mine).order_by(self.events.c.id)))

    # Inside

    def _tried(self, conn: Connection, breaks: Any) -> set[tuple[str, str]]:
        """What rules have begun about breaks: id and ``rule:NAME``."""
        event = self.events.c
        query = select(event.break_id, event.actor).where(event.break_id.in_(breaks), self._begun())
        return {(name, actor) for name, actor in conn.execute(query)}

    def _begun(self) -> ColumnElement[bool]:
        """Whether an event is what a rule has begun."""
        event = self.events.c
        return and_(event.actor.startswith(RULE), event.event.not_in(("held", "not-healed")))

    def _by(self, run: str) -> ColumnElement[bool]:
        """Whether an event came of a run."""
        facts: Column[str] = self.events.c.facts
        return facts.contains(f'"run":"{run}"', autoescape=True)

    def _of_run(self, run: str) -> Any:
        table = self.breaks.c
        return select(self.breaks).where(table.run == run, table.state == "open").order_by(table.id)

    def _decided(self, conn: Connection, run: Row[Any], one: Difference) -> bool:
        """Whether what is now seen was closed by a person or a rule; not, whether it had only been away for a run."""
        key = {"pair": run.pair, "key": one.key}
        matched = self._last_matched_of_key.one_or_none(conn, key) if one.cls is Cls.OTHER_DAY else None
        if matched is not None and days_of(one.here, one.there) == days_of(*records(matched)):
            return True
        last = self._last_closed_of_key.one_or_none(conn, key)
        if last is None or last.action == AGREED:
            return False
        if last.action == MATCH and _gone(run.day, one):
            return False
        if one.cls is Cls.MALFORMED and (last.day != run.day or str(read(last.text)) != str(one.text)):
            return False
        sides = ((json_of(one.here), last.here), (json_of(one.there), last.there))
        return all(now is None or now == then for now, then in sides)

    def _open_break(self, conn: Connection, ids: Ids, clock: Clock, run: Row[Any], one: Difference) -> None:
        now, made = _within(run, clock), ids.row()
        values = {"id": made, "pair": run.pair, "day": run.day, "key": one.key, "state": "open"}
        values |= {
            **facts_of(run, one),
            "other_day": other_day(run.day, one),
            "opened_at": now,
            "seen_at": now,
        }
        statements.insert(conn, self.breaks, values)
        self._note(conn, clock, made, "server", OPENED, run=run.id, cls=str(one.cls))

    def _see_again(
        self, conn: Connection, clock: Clock, run: Row[Any], kept: BreakRow, one: Difference
    ) -> None:
        if kept.run == run.id and (run.begun_at is None or kept.seen_at >= run.begun_at):
            # A key can have several: the first says what the break is, its history knows the others.
            if kept.cls != one.cls:
                self._note(
                    conn, clock, kept.id, "server", "also", run=run.id, cls=str(one.cls), text=one.text.kept
                )
            return
        values = facts_of(run, one)
        changed = {name for name in ("cls", "here", "there") if getattr(kept, name) != values[name]}
        values |= {"other_day": other_day(kept.day, one), "seen_at": _within(run, clock)}
        if kept.cls != one.cls and kept.state == "healing":
            # What was begun was about something else; what this is now is asked anew.
            values |= {"state": "open", "action": None, "rule": None}
        statements.change(conn, self.breaks, values, id=kept.id)
        if changed:
            self._note(conn, clock, kept.id, "server", "changed", run=run.id, cls=str(one.cls), was=kept.cls)

    def _close(
        self, conn: Connection, clock: Clock, break_id: str, actor: str, action: str, **told: Any
    ) -> None:
        values = {"state": "closed", "action": action, "actor": actor, "closed_at": clock.now()}
        values |= decision_of(told)
        statements.change(conn, self.breaks, values, id=break_id)
        self._note(conn, clock, break_id, actor, action, **told)

    def _note_once(
        self, conn: Connection, clock: Clock, break_id: str, actor: str, event: str, **facts: Any
    ) -> None:
        """The same, where it is not what was noted last: what comes of each night is told once."""
        table = self.events.c
        mine = select(table.actor, table.event, table.facts).where(table.break_id == break_id)
        last = conn.execute(mine.order_by(table.id.desc()).limit(1)).first()
        if last != (actor, event, canonical(facts)):
            self._note(conn, clock, break_id, actor, event, **facts)

    def _note(
        self, conn: Connection, clock: Clock, break_id: str, actor: str, event: str, **facts: Any
    ) -> None:
        values = {"break_id": break_id, "at": clock.now(), "actor": actor, "event": event}
        statements.insert(conn, self.events, {**values, "facts": canonical(facts)})


def _gone(day: str, one: Difference) -> bool:
    """Whether what is missing is the partner, of a day, of a record of ours that is of another day: it was there once."""
    alone = one.cls is Cls.MISSING_THERE and one.there is None
    return alone and one.here is not None and one.here.day.isoformat() != day


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A break as a dry run would leave it, for the actions that look at its row."""

    id: str
    run: str
    cls: str
    fields: str
    here: str | None
    there: str | None
    here_fen: int | None
    there_fen: int | None
    line: int | None
    text: str
    state: str = "open"


def _within(run: Row[Any], clock: Clock) -> datetime:
    """Now, and not before the run was begun: a clock that is put back makes nothing that is seen look unseen."""
    now = clock.now()
    return now if run.begun_at is None else max(now, run.begun_at)


def decision_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a break's row keeps of a decision."""
    return {name: told[name] for name in ("rule", "reason", "second") if name in told}
