"""The book of a role's reconciliations: runs, breaks that are kept until they are closed, and what was done about each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, and_, func, select

from server_stub.foundation import card_numbers, statements
from server_stub.foundation.audit import Audit
from server_stub.foundation.clock import Clock
from server_stub.foundation.people import same_person
from server_stub.foundation.sentences import N_, Sentence
from server_stub.reconciliation.actions import (
    AGREED,
    ALWAYS,
    CLOSE,
    RULE,
    WAIT,
    Action,
    DecisionRefused,
    able_by,
)
from server_stub.reconciliation.break_rows import BreakRow, fingerprint, records
from server_stub.reconciliation.findings import AT_ONCE, OPENED, Findings, decision_of
from server_stub.reconciliation.healing import Tally, at_stake
from server_stub.reconciliation.records import Cls

SECOND_WANTED = N_("from %(limit_fen)s on a second person is wanted; this is about %(amount_fen)s")
CHANGED = N_("it has changed since it was shown: look at it again, and decide anew")
NOBODY_KNOWS = N_("nobody can tell what amount this is about: a second person is wanted")


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


class Book(Findings):
    """The reconciliations of one role.

    Args:
        metadata: of the role; the tables become part of it.
    """

    # What rules do

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
            tally.add(Cls(row.cls), *records(row), partial(able_by, actions, tried, row))

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
            actor, able = f"{RULE}{rule.name}", able_by(actions, tried, row, rule)
            if (row.id, actor) in tried:
                continue
            if able and tally.held(rule):
                self._note_once(conn, clock, row.id, actor, "held", action=rule.action)
                continue
            action = every.get(rule.action)
            try:
                if action is None or not able:
                    raise DecisionRefused(N_("%(action)s is not for this difference"), action=rule.action)
                action.do(conn, row, actor)
            except DecisionRefused as refusal:
                self._note_once(conn, clock, row.id, actor, "not-healed", why=refusal.said.kept)
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
            told = {"action": row.action, "actor": row.actor}
            raise DecisionRefused(N_("it is closed: %(action)s by %(actor)s"), **told)
        if decision.seen is not None and decision.seen != fingerprint(row):
            raise DecisionRefused(CHANGED)
        if decision.action not in self.able(row, actions):
            told = {"action": decision.action, "cls": row.cls, "break_state": row.state}
            raise DecisionRefused(N_("%(action)s is not for a break %(cls)s that is %(break_state)s"), **told)
        if not decision.reason.strip() or not decision.actor.strip():
            raise DecisionRefused(N_("a reason and an actor are wanted"))
        if card_numbers.any_whole(decision.reason, decision.actor, decision.second):
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
        told = (decision.reason, decision.actor, decision.second or "")
        reason, actor, second = map(card_numbers.hidden, told)
        facts = {"wanted": decision.action, "reason": reason, "second": second or None, "why": why}
        audit.append(conn, clock, actor, "break-refused", decision.break_id, **facts, by=decision.by)

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
        every = {
            **actions,
            **ALWAYS,
            **actions,
        }  # the role's own first, and in the place of those that all have
        return [name for name, action in every.items() if action.fits(row)]

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

    def note(
        self, conn: Connection, clock: Clock, break_id: str, actor: str, event: str, **facts: Any
    ) -> None:
        """Writes down what has happened about a break; it stays as it is."""
        self._note(conn, clock, break_id, actor, event, **facts)

    # Inside

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
            values = {"state": "healing", "action": name, "actor": actor, **decision_of(told)}
            statements.change(conn, self.breaks, values, id=row.id)
        self._note(conn, clock, row.id, actor, name, **told)


def wants_second(row: BreakRow, action: str, second_fen: int) -> bool:
    """Whether two people decide so about a break: from an amount on, and where nobody can read the amount; to wait moves nothing."""
    if action == WAIT:
        return False
    return row.cls == Cls.MALFORMED or at_stake(*records(row)) >= second_fen
