"""What one person proposes and another confirms: kept until then, and done with both names.

A kind of proposal is a row of ``KINDS``; whoever adds one says how it is done.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Row, select, update

from server_stub.backoffice.errors import Clash, Impossible, NotAllowed, Unknown
from server_stub.backoffice.tables import audit, proposals
from server_stub.backoffice.words import N_
from server_stub.foundation import statements
from server_stub.foundation.people import same_person
from server_stub.foundation.sentences import NOTHING, Refusal, Sentence

if TYPE_CHECKING:
    from server_stub.backoffice.office import Office

OPEN, CONFIRMED, DONE, REFUSED, WITHDRAWN, FAILED = (
    *("open", "confirmed", "done", "refused", "withdrawn", "failed"),
)
BROKEN_OFF = "broken-off"
"""What is shown of one that was confirmed and is not being done any more."""
WAITS = (OPEN, CONFIRMED)
SHOWN = 200
WAITS_ALREADY = N_("A proposal about this waits for a second person already.")
OWN = N_("Nobody confirms what they have proposed themselves.")
BROKEN_OFF_AFTER = timedelta(minutes=1)
"""What was confirmed so long ago and is not done was broken off: anybody who may confirm it finishes it."""


class CannotBeDone(Refusal):
    """What was confirmed is not possible (any more); the text says why."""


class Kind(NamedTuple):
    """A kind of proposal.

    Attributes:
        title: what it is, as a message.
        path: of the page of its subject, with ``{subject}``.
        do: does it, given the office, the row, its facts, and the second person's name; returns the name of the second
            person that it was done with, which is another one where it is found done; raises CannotBeDone.
    """

    title: str
    path: str
    do: Callable[[Office, Row[Any], Mapping[str, Any], str], Awaitable[str]]


KINDS: dict[str, Kind] = {}
"""By name; the module of each kind's pages puts it here."""


async def propose(office: Office, kind: str, subject: str, actor: str, facts: Mapping[str, Any]) -> str:
    """Enters a proposal; returns its id.

    Args:
        facts: with ``seen``, a fingerprint of what it is about, where that can change until it is confirmed.

    Raises:
        Clash: another one about the same waits already; the same of the same person is that one.
    """
    row = {"id": office.ids.row(), "kind": kind, "subject": subject, "state": OPEN, "proposed_by": actor}
    text = json.dumps(facts, ensure_ascii=False)

    def enter(conn: Connection) -> str:
        # One of a subject at a time, by an index: others may be entering theirs at this moment.
        values = {**row, "facts": text, "proposed_at": office.clock.now()}
        if not statements.insert_once(conn, proposals, values):
            mine = (
                (proposals.c.kind == kind) & (proposals.c.subject == subject) & proposals.c.state.in_(WAITS)
            )
            there = conn.execute(select(proposals).where(mine)).first()
            if there is not None and (there.proposed_by, there.facts) == (actor, text):
                return str(there.id)
            raise Clash(WAITS_ALREADY)
        said = {name: value for name, value in facts.items() if name != "seen"}
        told = {"kind": kind, "proposal": row["id"], "proposed": said}
        audit.append(conn, office.clock, actor, "proposed", subject, **told)
        return str(row["id"])

    return await office.database.write(enter)


async def confirm(office: Office, proposal: str, second: str) -> None:
    """Another person confirms it, and it is done; whoever has done that already finds it done.

    Raises:
        Unknown, NotAllowed, Clash: as of a proposal that is not there, one's own, or not open.
        Impossible: it cannot be done any more; the proposal says so from now on.
    """

    def take(conn: Connection) -> Row[Any] | None:
        found = statements.one(conn, proposals, lock=True, id=proposal)
        if found is not None and (found.state, found.second) == (DONE, second):
            return None
        row = _open(conn, proposal)
        if same_person(row.proposed_by, second):
            raise NotAllowed(OWN)
        now = office.clock.now()
        if (row.state, row.second) != (CONFIRMED, second):
            if being_done(row, now):
                raise Clash(N_("Somebody else has confirmed this just now, and it is being done."))
            values = {"state": CONFIRMED, "second": second, "decided_at": now}
            conn.execute(update(proposals).where(proposals.c.id == proposal).values(**values))
            told = {"kind": row.kind, "proposal": row.id, "proposed_by": row.proposed_by}
            audit.append(conn, office.clock, second, "confirmed", row.subject, **told)
        return row

    row = await office.database.write(take)
    if row is None:
        return
    try:
        done_with = await KINDS[row.kind].do(office, row, json.loads(row.facts), second)
    except CannotBeDone as error:
        if await _fail(office, row, error.said) == FAILED:
            raise Impossible(error.said) from error
    else:
        await _finish(office, row, done_with)


async def refuse(office: Office, proposal: str, second: str, note: str) -> None:
    """Another person refuses it. Raises Unknown, Clash; NotAllowed for one's own."""
    await _say_no(office, proposal, second, note, REFUSED)


async def withdraw(office: Office, proposal: str, actor: str) -> None:
    """Whoever proposed it takes it back. Raises Unknown, Clash; NotAllowed for anybody else's."""
    await _say_no(office, proposal, actor, "", WITHDRAWN)


async def _say_no(office: Office, proposal: str, actor: str, note: str, state: str) -> None:
    def end(conn: Connection) -> None:
        found = statements.one(conn, proposals, lock=True, id=proposal)
        if found is not None and (found.state, found.second, found.note) == (state, actor, note):
            return
        row = _open(conn, proposal)
        if row.state != OPEN:
            raise Clash(N_("This proposal is being done."))
        if same_person(row.proposed_by, actor) != (state == WITHDRAWN):
            raise NotAllowed(N_("Whoever proposed something withdraws it; anybody else refuses it."))
        values = {"state": state, "second": actor, "decided_at": office.clock.now(), "note": note}
        conn.execute(update(proposals).where(proposals.c.id == proposal).values(**values))
        told = {"kind": row.kind, "proposal": row.id, "note": note}
        audit.append(conn, office.clock, actor, f"proposal-{state}", row.subject, **told)

    await office.database.write(end)


def being_done(row: Row[Any], now: datetime) -> bool:
    """Whether somebody has confirmed it just now: nobody else does so at the same time."""
    return bool(row.state == CONFIRMED and now < row.decided_at + BROKEN_OFF_AFTER)


def listed(conn: Connection, *, everything: bool) -> list[Row[Any]]:
    """Those that wait, oldest first; ``everything``: the last ones of all, newest first."""
    if everything:
        return list(conn.execute(select(proposals).order_by(proposals.c.proposed_at.desc()).limit(SHOWN)))
    waits = proposals.c.state.in_(WAITS)
    return list(conn.execute(select(proposals).where(waits).order_by(proposals.c.proposed_at)))


def standing(row: Row[Any], now: datetime) -> str:
    """Its state as it is shown."""
    return BROKEN_OFF if row.state == CONFIRMED and not being_done(row, now) else str(row.state)


def waiting(conn: Connection, kind: str, now: datetime) -> dict[str, str]:
    """The subjects that wait for a second person, or are being done, and how they stand."""
    waits = proposals.c.state.in_(WAITS) & (proposals.c.kind == kind)
    return {row.subject: standing(row, now) for row in conn.execute(select(proposals).where(waits))}


def about(conn: Connection, kind: str, subject: str) -> list[Row[Any]]:
    """All that was proposed about something, newest first."""
    mine = (proposals.c.kind == kind) & (proposals.c.subject == subject)
    return list(conn.execute(select(proposals).where(mine).order_by(proposals.c.proposed_at.desc())))


def _open(conn: Connection, proposal: str) -> Row[Any]:
    row = statements.one(conn, proposals, lock=True, id=proposal)
    if row is None:
        raise Unknown
    if row.state not in WAITS:
        raise Clash(N_("This proposal is not open any more."))
    return row


async def _finish(office: Office, row: Row[Any], second: str) -> None:
    """It was done; also where somebody at the same time has found it impossible."""

    def end(conn: Connection) -> None:
        values = {"state": DONE, "second": second, "note": NOTHING.kept}
        conn.execute(update(proposals).where(proposals.c.id == row.id).values(**values))

    await office.database.write(end)


async def _fail(office: Office, row: Row[Any], note: Sentence) -> str:
    """It cannot be done; returns the state it is in then: what was done in the meantime stays so."""

    def end(conn: Connection) -> str:
        now = statements.one(conn, proposals, lock=True, id=row.id)
        assert now is not None
        if now.state != CONFIRMED:
            return str(now.state)
        values = {"state": FAILED, "note": note.kept}
        conn.execute(update(proposals).where(proposals.c.id == row.id).values(**values))
        told = {"kind": row.kind, "proposal": row.id, "why": str(note)}
        audit.append(conn, office.clock, "server", "proposal-failed", row.subject, **told)
        return FAILED

    return await office.database.write(end)
