"""The book of a role's reconciliations: runs, breaks that are kept until they are closed, and what was done about each.

DecisionRefused      what cannot be done about a break; nothing has changed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
    update,
)

from server_stub.foundation import card_numbers, statements
from server_stub.foundation.audit import Audit, canonical
from server_stub.foundation.clock import Clock
from server_stub.foundation.ids import Ids
from server_stub.foundation.people import same_person
from server_stub.foundation.sentences import N_, Refusal, Sentence, read, say
from server_stub.foundation.statements import Statement
from server_stub.reconciliation import tables
from server_stub.reconciliation.healing import MATCH, Healed, Rule, Tally, at_stake
from server_stub.reconciliation.records import (
    BREAKS,
    SIDES,
    Carried,
    Cls,
    Difference,
    Record,
    Side,
    Totals,
    of_json,
    to_json,
)

BreakRow = Row[Any]
"""A row of ``breaks``."""
AGREED, CLOSE, WAIT = "agreed", "close", "wait"
OPENED = "opened"
RULE = "rule:"
"""Begins the actor of what a rule does."""
SECOND_WANTED = N_("from %(limit_fen)s on a second person is wanted; this is about %(amount_fen)s")
CHANGED = N_("it has changed since it was shown: look at it again, and decide anew")
NOBODY_KNOWS = N_("nobody can tell what amount this is about: a second person is wanted")
TOO_MANY = N_(
    "%(count)s differences were found; more than %(limit)s are not entered: perhaps this is another day's file, or another "
    "side's. Nothing was changed"
)
_MISSING: Mapping[Cls, Side] = {Cls.MISSING_THERE: "here", Cls.MISSING_HERE: "there"}
"""Which side's record has no partner."""
_OF_TWO = (Cls.AMOUNT, Cls.CURRENCY, Cls.STATUS, Cls.REVERSED, Cls.OTHER_DAY)
"""Of a record and its partner, which may be of another day."""
AT_ONCE = 25
"""Breaks in one transaction: SQLite's is worked out in the event loop, and nobody else is answered meanwhile."""


class DecisionRefused(Refusal):
    """What cannot be done about a break; the text says why. An action that raises it has changed nothing."""


@dataclass(frozen=True, slots=True)
class Action:
    """What can be done about a break, by a person or a rule.

    Args:
        fits: whether it is for this break.
        do: does it, for an actor (``"person:NAME"``, ``"rule:NAME"``), in the caller's transaction. May raise
            DecisionRefused, before it has changed anything.
        ends: the break is closed by it; else it is ``healing`` until a later run agrees or ``close`` is called.
    """

    fits: Callable[[BreakRow], bool]
    do: Callable[[Connection, BreakRow, str], None]
    ends: bool = False


def _nothing(conn: Connection, row: BreakRow, actor: str) -> None:
    """For what moves nothing."""


def _found_again(row: BreakRow) -> bool:
    return bool(row.cls == Cls.OTHER_DAY)


ALWAYS: Mapping[str, Action] = MappingProxyType(
    {
        CLOSE: Action(lambda row: True, _nothing, ends=True),
        WAIT: Action(lambda row: row.state == "open", _nothing),
        MATCH: Action(_found_again, _nothing, ends=True),
    }
)
"""Actions that every book has: agreed outside, wait, the same only on another day."""


@dataclass(frozen=True, slots=True)
class Healing:
    """What came of some of the breaks of a run.

    Attributes:
        last: the id to go on after; None where all have had their turn.
        failed: rule and amount in fen of each that was counted, and could not be healed after all.
    """

    last: str | None
    failed: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person has decided about a break.

    Args:
        break_id: its id.
        action: one of the role's, or of ALWAYS.
        actor, second: names of the person and, above the limit, of a second one.
        by: who gave the command, as the system knows them.
        seen: ``fingerprint`` of what they have decided about; None: of whatever it is now.
    """

    break_id: str
    action: str
    reason: str
    actor: str
    second: str | None = None
    by: str | None = None
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of differences that were entered, by how many breaks were newly opened, seen again, or known as decided."""

    opened: int = 0
    again: int = 0
    known: int = 0

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.opened + other.opened, self.again + other.again, self.known + other.known)


class Book:
    """The reconciliations of one role.

    Args:
        metadata: of the role; the tables become part of it.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.runs = tables.runs(metadata)
        self.breaks = tables.breaks(metadata)
        self.events = tables.break_events(metadata)
        row, key = self.breaks.c, {name: bindparam(name, type_=String()) for name in ("pair", "key")}
        of_key = select(self.breaks).where(*(row[name] == one for name, one in key.items()))
        self._open_of_key = Statement(of_key.where(row.closed_at.is_(None)).with_for_update())
        closed = of_key.where(row.state == literal_column("'closed'"))
        newest = closed.order_by(row.id.desc()).limit(literal_column("1"))
        self._last_closed_of_key = Statement(newest)
        self._last_matched_of_key = Statement(newest.where(row.action == literal_column(f"'{MATCH}'")))

    # Runs

    def want(
        self,
        conn: Connection,
        ids: Ids,
        clock: Clock,
        pair: str,
        day: date,
        by: str,
        *,
        dry_run: bool = False,
    ) -> str:
        """Enters a run that is wanted; returns its id."""
        run = ids.row()
        values = {"id": run, "pair": pair, "day": day.isoformat(), "state": "wanted", "dry_run": dry_run}
        statements.insert(conn, self.runs, {**values, "wanted_by": by, "wanted_at": clock.now()})
        return run

    def begin(self, conn: Connection, clock: Clock, run: str) -> None:
        """The run goes on now, for the first time or once more; what it has entered before counts as its own."""
        values = {"state": "running", "begun_at": clock.now(), "step": "", "percent": 0}
        self._change(conn, run, **values, error=None, ended_at=None)

    def progress(self, conn: Connection, run: str, step: str, percent: int) -> None:
        """Where the run is, for those who look at it."""
        self._change(conn, run, step=step, percent=percent)

    def finish(
        self,
        conn: Connection,
        clock: Clock,
        run: str,
        *,
        here: Totals,
        there: Totals,
        counts: Mapping[Cls, tuple[int, int]],
        seen: Seen,
        closed: int = 0,
        healed: Sequence[Healed] = (),
        files: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """The run is done; what it has found stands."""
        values = _found(here, there, counts, files)
        values["healed"] = canonical({one.rule: asdict(one) for one in healed})
        values |= {"opened": seen.opened, "closed": closed}
        values |= {"state": "done", "ended_at": clock.now(), "step": "", "percent": 100}
        self._change(conn, run, **values)

    def stop(
        self,
        conn: Connection,
        clock: Clock,
        run: str,
        *,
        here: Totals,
        there: Totals,
        counts: Mapping[Cls, tuple[int, int]],
        limit: int,
        sample: Iterable[Difference],
        files: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """The run has found more than its pair may have: nothing of it is entered, but what it looks like is kept."""
        values = _found(here, there, counts, files)
        kept: list[dict[str, Any]] = [
            {"cls": one.cls, "key": one.key, "here": _json(one.here), "there": _json(one.there)}
            | {"fields": " ".join(one.fields), "line": one.line, "text": one.text.kept}
            for one in sample
        ]
        error = say(TOO_MANY, count=found_of(counts), limit=limit)
        values |= {"sample": json.dumps(kept, ensure_ascii=False), "state": "stopped", "error": error.kept}
        self._change(conn, run, **values, ended_at=clock.now(), step="", percent=100)

    def fail(
        self, conn: Connection, clock: Clock, run: str, error: Sentence, *, refused: bool = False
    ) -> None:
        """The run came to nothing: it failed and may be tried again, or a file was refused."""
        state = "refused" if refused else "failed"
        self._change(conn, run, state=state, error=error.kept, ended_at=clock.now())

    def newest(self) -> ColumnElement[bool]:
        """Whether a run is the last of its pair and day, not counting dry ones: what it says is what is known of the day."""
        later = self.runs.alias()
        same = and_(later.c.pair == self.runs.c.pair, later.c.day == self.runs.c.day, ~later.c.dry_run)
        return ~select(later.c.id).where(same, later.c.id > self.runs.c.id).exists()

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
        # The last that was seen of a record is what it is.
        mine = select(self.breaks).where(table.pair == pair).order_by(table.seen_at, table.id)
        for row in conn.execute(mine.where(apart)):
            here, there = records(row)
            if there is not None and there.day == day:
                found["here", row.key] = here
            elif here is not None and here.day == day:
                found["there", row.key] = there
        for row in conn.execute(mine.where(left)):
            side = _MISSING[Cls(row.cls)]
            found[side, row.key] = of_json(getattr(row, side))
        return [Carried(side, record) for (side, _), record in found.items() if record is not None]

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
                row = _Waiting(name, **_facts(now_run, one))
                tally.add(one.cls, one.here, one.there, partial(_able, actions, tried, row))
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

    def fits(self, conn: Connection, run: str, tally: Tally, actions: Mapping[str, Action]) -> None:
        """Counts the open breaks that a run has seen, and those that it has healed before it was broken off, rule by rule."""
        event = self.events.c
        begun = select(self.breaks, event.actor.label("by")).join(
            self.events, event.break_id == self.breaks.c.id
        )
        for row in conn.execute(begun.where(self.breaks.c.run == run, self._begun(), self._by(run))):
            tally.add_done(row.by.removeprefix(RULE), *records(row))
        seen = self._of_run(run)
        tried = self._tried(conn, seen.with_only_columns(self.breaks.c.id).order_by(None))
        for row in conn.execute(seen, execution_options={"yield_per": 1000}):
            tally.add(Cls(row.cls), *records(row), partial(_able, actions, tried, row))

    def heal(
        self,
        conn: Connection,
        clock: Clock,
        run: str,
        tally: Tally,
        actions: Mapping[str, Action],
        after: str = "",
    ) -> Healing:
        """Does what the rules say about some of the breaks of a run; all those that no limit holds. What a rule has begun
        once about a break, and what came to nothing, it does not begin again.

        Args:
            tally: ``fits`` has counted it.
            after: ``last`` of the call before; to be called until that is None.
        """
        every, failed = {**ALWAYS, **actions}, []
        rows = conn.execute(
            self._of_run(run).where(self.breaks.c.id > after).limit(AT_ONCE).with_for_update()
        ).all()
        tried = self._tried(conn, [row.id for row in rows])
        for row in rows:
            here, there = records(row)
            rule = tally.rule_for(Cls(row.cls), here, there)
            if rule is None:
                continue
            actor, able = f"{RULE}{rule.name}", _able(actions, tried, row, rule)
            if (row.id, actor) in tried:
                continue
            if able and tally.held(rule):
                self._note(conn, clock, row.id, actor, "held", action=rule.action)
                continue
            action = every.get(rule.action)
            try:
                if action is None or not able:
                    raise DecisionRefused(N_("%(action)s is not for this difference"), action=rule.action)
                action.do(conn, row, actor)
            except DecisionRefused as refusal:
                self._note(conn, clock, row.id, actor, "not-healed", why=refusal.said.kept)
                if able:
                    failed.append((rule.name, at_stake(here, there)))
                continue
            told = {"rule": rule.name, "reason": rule.name, "run": run}
            self._done(conn, clock, row, rule.action, action, actor, **told)
        return Healing(rows[-1].id if len(rows) == AT_ONCE else None, failed)

    # What people do

    def decide(
        self,
        conn: Connection,
        clock: Clock,
        audit: Audit,
        actions: Mapping[str, Action],
        decision: Decision,
        *,
        second_fen: int,
    ) -> BreakRow:
        """Does what a person has decided, in one transaction with the audit log; returns the break as it is then.

        Args:
            second_fen: from this amount at stake on, a second person is wanted.

        Raises:
            DecisionRefused
        """
        every = {**ALWAYS, **actions}
        row = statements.one(conn, self.breaks, lock=True, id=decision.break_id)
        if row is None:
            raise DecisionRefused(N_("there is no break %(break)s"), **{"break": decision.break_id})
        action = every.get(decision.action)
        if action is None:
            said = N_("no action '%(wanted)s'; there are %(actions)s")
            raise DecisionRefused(said, wanted=decision.action, actions=", ".join(sorted(every)))
        if row.state == "closed":
            told = {"break": row.id, "action": row.action, "actor": row.actor}
            raise DecisionRefused(N_("break %(break)s is closed: %(action)s by %(actor)s"), **told)
        if decision.seen is not None and decision.seen != fingerprint(row):
            raise DecisionRefused(CHANGED)
        if decision.action not in self.able(row, actions):
            told = {"action": decision.action, "cls": row.cls, "break_state": row.state}
            raise DecisionRefused(N_("%(action)s is not for a break %(cls)s that is %(break_state)s"), **told)
        if not decision.reason.strip() or not decision.actor.strip():
            raise DecisionRefused(N_("a reason and an actor are wanted"))
        if card_numbers.has_whole(decision.reason):
            raise DecisionRefused(card_numbers.WHOLE)
        fen, second = at_stake(*records(row)), decision.second or ""
        alone = same_person(second, "") or same_person(second, decision.actor)
        if alone and wants_second(row, decision.action, second_fen):
            if row.cls == Cls.MALFORMED:
                raise DecisionRefused(NOBODY_KNOWS)
            raise DecisionRefused(SECOND_WANTED, limit_fen=second_fen, amount_fen=fen)
        action.do(conn, row, f"person:{decision.actor}")
        told = {"reason": decision.reason, "second": decision.second}
        self._done(conn, clock, row, decision.action, action, decision.actor, **told)
        facts = {**told, "pair": row.pair, "key": row.key, "cls": row.cls, "fen": fen, "by": decision.by}
        audit.append(conn, clock, decision.actor, f"break-{decision.action}", row.id, **facts)
        found = statements.one(conn, self.breaks, id=row.id)
        assert found is not None
        return found

    def note_refused(
        self, conn: Connection, clock: Clock, audit: Audit, decision: Decision, why: str
    ) -> None:
        """A decision that was refused belongs in the audit log."""
        reason = card_numbers.hidden(decision.reason)
        facts = {"wanted": decision.action, "reason": reason, "second": decision.second, "why": why}
        audit.append(conn, clock, decision.actor, "break-refused", decision.break_id, **facts, by=decision.by)

    def decided(self, conn: Connection, decision: Decision) -> bool:
        """Whether just this was decided already by just these people, and the break is not about anything else since: a form
        that was sent twice."""
        wanted = (decision.actor, decision.action, decision.reason, decision.second)
        for one in reversed(self.history(conn, decision.break_id)):
            facts = json.loads(one.facts)
            if (one.actor, one.event, facts.get("reason"), facts.get("second")) == wanted:
                return True
            if one.event in (OPENED, "changed", "not-healed"):
                break
        return False

    def able(self, row: BreakRow, actions: Mapping[str, Action]) -> list[str]:
        """What a person can do about a break as it is."""
        if row.state == "closed":
            return []
        if row.state == "healing":
            return [CLOSE]
        return [name for name, action in {**actions, **ALWAYS}.items() if action.fits(row)]

    def close(self, conn: Connection, clock: Clock, break_id: str, actor: str, **facts: Any) -> bool:
        """What was begun about a break has succeeded; returns whether it was still there to be closed."""
        row = statements.one(conn, self.breaks, lock=True, id=break_id)
        if row is None or row.state == "closed":
            return False
        self._close(conn, clock, break_id, actor, row.action or AGREED, **facts)
        return True

    def reopen(self, conn: Connection, clock: Clock, break_id: str, actor: str, why: Sentence) -> bool:
        """What was begun about a break has failed: a person decides. Returns whether it was healing."""
        values = {"state": "open", "action": None, "rule": None}
        changed = statements.change(conn, self.breaks, values, id=break_id, state="healing")
        if changed:
            self._note(conn, clock, break_id, actor, "not-healed", why=why.kept)
        return bool(changed)

    def begun(self, conn: Connection, pair: str) -> list[tuple[str, datetime]]:
        """The breaks of a pair that are being healed, and since when."""
        mine, event = self.breaks.c, self.events.c
        since = and_(event.break_id == mine.id, event.event == mine.action)
        query = select(mine.id, func.max(event.at)).join(self.events, since)
        healing = query.where(mine.pair == pair, mine.closed_at.is_(None), mine.state == "healing")
        return [(name, at) for name, at in conn.execute(healing.group_by(mine.id).order_by(mine.id))]

    def last_compared(self, conn: Connection, pair: str) -> date | None:
        """The latest day of a pair that was compared, not counting dry runs."""
        table = self.runs.c
        done = and_(table.pair == pair, table.state == "done", ~table.dry_run)
        day = conn.scalar(select(func.max(table.day)).where(done))
        return None if day is None else date.fromisoformat(day)

    def note(
        self, conn: Connection, clock: Clock, break_id: str, actor: str, event: str, **facts: Any
    ) -> None:
        """Writes down what has happened about a break; it stays as it is."""
        self._note(conn, clock, break_id, actor, event, **facts)

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

    def last_run(self, conn: Connection, pair: str, day: date, *, state: str = "done") -> Row[Any] | None:
        """The latest run of a pair and day, not counting dry ones."""
        table = self.runs.c
        mine = and_(table.pair == pair, table.day == day.isoformat(), table.state == state, ~table.dry_run)
        return conn.execute(select(self.runs).where(mine).order_by(table.id.desc()).limit(1)).one_or_none()

    # Inside

    def _change(self, conn: Connection, run: str, **values: Any) -> None:
        conn.execute(update(self.runs).where(self.runs.c.id == run).values(**values))

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
        if one.cls is Cls.MALFORMED and (last.day != run.day or str(read(last.text)) != str(one.text)):
            return False
        sides = ((_json(one.here), last.here), (_json(one.there), last.there))
        return all(now is None or now == then for now, then in sides)

    def _open_break(self, conn: Connection, ids: Ids, clock: Clock, run: Row[Any], one: Difference) -> None:
        now, made = _within(run, clock), ids.row()
        values = {"id": made, "pair": run.pair, "day": run.day, "key": one.key, "state": "open"}
        values |= {
            **_facts(run, one),
            "other_day": _other_day(run.day, one),
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
        values = _facts(run, one)
        changed = {name for name in ("cls", "here", "there") if getattr(kept, name) != values[name]}
        values |= {"other_day": _other_day(kept.day, one), "seen_at": _within(run, clock)}
        if kept.cls != one.cls and kept.state == "healing":
            # What was begun was about something else; what this is now is asked anew.
            values |= {"state": "open", "action": None, "rule": None}
        statements.change(conn, self.breaks, values, id=kept.id)
        if changed:
            self._note(conn, clock, kept.id, "server", "changed", run=run.id, cls=str(one.cls), was=kept.cls)

    def _done(
        self,
        conn: Connection,
        clock: Clock,
        row: BreakRow,
        name: str,
        action: Action,
        actor: str,
        **told: Any,
    ) -> None:
        if action.ends:
            self._close(conn, clock, row.id, actor, name, **told)
            return
        if name != WAIT:
            values = {"state": "healing", "action": name, "actor": actor, **_decided(told)}
            statements.change(conn, self.breaks, values, id=row.id)
        self._note(conn, clock, row.id, actor, name, **told)

    def _close(
        self, conn: Connection, clock: Clock, break_id: str, actor: str, action: str, **told: Any
    ) -> None:
        values = {"state": "closed", "action": action, "actor": actor, "closed_at": clock.now()}
        values |= _decided(told)
        statements.change(conn, self.breaks, values, id=break_id)
        self._note(conn, clock, break_id, actor, action, **told)

    def _note(
        self, conn: Connection, clock: Clock, break_id: str, actor: str, event: str, **facts: Any
    ) -> None:
        values = {"break_id": break_id, "at": clock.now(), "actor": actor, "event": event}
        statements.insert(conn, self.events, {**values, "facts": canonical(facts)})


def records(row: BreakRow) -> tuple[Record | None, Record | None]:
    """What a break's row has of both sides."""
    here, there = (None if text is None else of_json(text) for text in (row.here, row.there))
    return here, there


def days_of(*both: Record | None) -> tuple[date | None, ...]:
    """The days of two records."""
    return tuple(None if one is None else one.day for one in both)


def fingerprint(row: BreakRow) -> str:
    """Of what a break is about, its class and both records: another one, where a comparison has found something else."""
    return digest(row.cls, row.here, row.there, row.text)


def digest(*facts: str | int | None) -> str:
    """A text that is another one when a fact is."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def found_of(counts: Mapping[Cls, tuple[int, int]]) -> int:
    """How many differences a comparison has found."""
    return sum(count for cls, (count, _) in counts.items() if cls in BREAKS)


def sample_of(run: Row[Any]) -> list[Difference]:
    """What was kept of the differences of a run that was stopped; of others nothing."""
    found = []
    for one in json.loads(run.sample or "[]"):
        here, there = (None if one[side] is None else of_json(one[side]) for side in SIDES)
        told = tuple(one["fields"].split()), one["line"], read(one["text"])
        found.append(Difference(Cls(one["cls"]), one["key"], here, there, *told))
    return found


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


def _able(actions: Mapping[str, Action], tried: set[tuple[str, str]], row: Any, rule: Rule) -> bool:
    """Whether the action of a rule is for a break, and was not begun by it before."""
    action = {**ALWAYS, **actions}.get(rule.action)
    return action is not None and (row.id, f"{RULE}{rule.name}") not in tried and action.fits(row)


def _within(run: Row[Any], clock: Clock) -> datetime:
    """Now, and not before the run was begun: a clock that is put back makes nothing that is seen look unseen."""
    now = clock.now()
    return now if run.begun_at is None else max(now, run.begun_at)


def _decided(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a break's row keeps of a decision."""
    return {name: told[name] for name in ("rule", "reason", "second") if name in told}


def _found(
    here: Totals, there: Totals, counts: Mapping[Cls, tuple[int, int]], files: Mapping[str, Any]
) -> dict[str, Any]:
    """What a comparison has found, as its run keeps it."""
    values: dict[str, Any] = {"here_count": here.count, "here_fen": here.fen}
    values |= {"there_count": there.count, "there_fen": there.fen, "files": canonical(dict(files))}
    values["counts"] = canonical({str(cls): list(found) for cls, found in counts.items()})
    return values


def _other_day(day: str, one: Difference) -> str | None:
    """The day of the record that is not of a break's own, where there are two."""
    if one.here is None or one.there is None:
        return None
    return min({record.day.isoformat() for record in (one.here, one.there)} - {day}, default=None)


def _json(record: Record | None) -> str | None:
    return None if record is None else to_json(record)


def _facts(run: Row[Any], one: Difference) -> dict[str, Any]:
    """What is kept of a difference, as the last run has seen it."""
    values: dict[str, Any] = {"run": run.id, "cls": str(one.cls), "fields": " ".join(one.fields)}
    for side, record in (("here", one.here), ("there", one.there)):
        values[side] = _json(record)
        values[f"{side}_fen"] = None if record is None else record.amount_fen
    return values | {"line": one.line, "text": one.text.kept}


def wants_second(row: BreakRow, action: str, second_fen: int) -> bool:
    """Whether two people decide so about a break: from an amount on, and where nobody can read the amount; to wait moves nothing."""
    if action == WAIT:
        return False
    return row.cls == Cls.MALFORMED or at_stake(*records(row)) >= second_fen


def fields_of(row: BreakRow) -> Sequence[str]:
    """Names of the fields that differ in a break."""
    return tuple(row.fields.split())


def counts_of(run: Row[Any]) -> dict[Cls, tuple[int, int]]:
    """Count and sum in fen of each class, as a run has found them; nothing, before it is done."""
    found = json.loads(run.counts or "{}")
    return {Cls(name): (count, fen) for name, (count, fen) in found.items()}
