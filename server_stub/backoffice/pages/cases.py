"""Cases: what stays open and a person decides, alone or, above the limit, by a proposal that another one confirms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from server_stub.backoffice import proposals, sentences, words
from server_stub.backoffice.errors import CHANGED, Clash, Impossible, Unknown, unfit
from server_stub.backoffice.office import Office
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.transactions import kinds_of
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import CASE_KINDS, N_
from server_stub.foundation.card_numbers import hidden
from server_stub.foundation.ids import number_of
from server_stub.foundation.problems import Problem
from server_stub.tsp import cases
from server_stub.tsp.cases import CaseRefused, Decision
from server_stub.tsp.tables import moves

KIND = "case"
SHOWN = 50
LONGEST_REASON = 500
TITLE = N_("Decide this case?")
ASKED = N_("This is about %(about)s. What was decided is done at once and cannot be taken back.")
"""Before a decision that is made by one person."""
pages = Pages()


@pages.get("/cases", Right.SEE)
async def listed(visit: Visit) -> Response:
    """The open cases, or all."""
    everything, wanted = visit.query.text("state") == "all", visit.query.text("q")
    kind, beyond = visit.query.text("kind"), visit.query.text("beyond")

    def look(conn: Connection) -> list[Row[Any]]:
        return cases.listed(
            conn,
            everything=everything,
            kind=kind or None,
            wanted=wanted,
            newest=everything,
            beyond=beyond or None,
            most=SHOWN + 1,
        )

    rows = await visit.office.books("tsp").read(look)
    waits = await _proposed(visit.office)
    kinds = [(name, visit.t(text)) for name, text in CASE_KINDS.items()]
    further = rows[SHOWN - 1].id if len(rows) > SHOWN else ""
    told = {"q": wanted, "kind": kind, "state": "all" if everything else ""}
    facts: dict[str, Any] = {
        "rows": rows[:SHOWN],
        "waits": waits,
        "beyond": beyond,
        "further": further,
        "kinds": kinds,
        "told": told,
    }
    return visit.page("cases.html", **facts, number=number)


def number(row: Row[Any]) -> str:
    """What the subscriber has in hand: the number of the order, or of the load."""
    return row.number or number_of(row.load_id)


def about(visit: Visit, row: Row[Any]) -> str:
    """What a decision is about, in a few words."""
    order = number(row) if row.load_id else visit.t(N_("order %(number)s"), number=number(row))
    return f"{order} · {words.yuan(row.amount_fen)}"


@pages.get("/cases/{case}", Right.SEE)
async def one(visit: Visit) -> Response:
    """All that is known of a case, and what can be decided about it."""
    return await _shown(visit, await _find(visit.office, visit.path["case"]))


async def _shown(
    visit: Visit,
    row: Row[Any],
    wrong: Mapping[str, str] = MappingProxyType({}),
    chosen: str = "",
    reason: str = "",
) -> Response:
    office = visit.office
    subject = row.payment_id or row.load_id
    passed = select(moves).where(moves.c.row == subject).order_by(moves.c.id)

    def look(conn: Connection) -> tuple[list[Row[Any]], str | None]:
        return list(conn.execute(passed)), kinds_of(conn, [subject]).get(subject)

    history, kind = await office.books("tsp").read(look)
    waiting = await office.database.read(lambda conn: proposals.about(conn, KIND, row.id))
    facts = json.loads(row.facts)
    if (proof := cases.proof_of(row, row)) is not None:
        facts |= {"tac": proof[0], "mac2": proof[1]}
    able = cases.able(row, row.stands, row) if row.state == "open" else []
    told: dict[str, Any] = {
        "history": history,
        "kind": kind,
        "waiting": waiting,
        "able": able,
        "known": sorted(facts.items()),
    }
    told["following"] = await _next(visit, row)
    told |= {"second": above(office, row), "wrong": wrong, "chosen": chosen, "reason": hidden(reason)}
    told["seen"] = cases.fingerprint(row)
    told["ask"] = "" if told["second"] else visit.t(ASKED, about=about(visit, row))
    return visit.page("case.html", 422 if wrong else 200, case=row, case_number=number(row), **told)


async def _proposed(office: Office) -> Mapping[str, str]:
    """Those that wait for a second person, and how their proposals stand."""
    now = office.clock.now()
    return await office.database.read(lambda conn: proposals.waiting(conn, KIND, now))


async def _next(visit: Visit, row: Row[Any]) -> str:
    """The page of the oldest other case that waits for a decision; "" where none does."""
    proposed = await _proposed(visit.office)
    rows = await visit.office.books("tsp").read(lambda conn: cases.listed(conn, most=len(proposed) + 2))
    return next((f"/cases/{one.id}" for one in rows if one.id not in {row.id, *proposed}), "")


@pages.post("/cases/{case}", Right.DECIDE)
async def decide(visit: Visit) -> Response:
    """Decides it, or proposes that above the limit."""
    office, row = visit.office, await _find(visit.office, visit.path["case"])
    action, reason = visit.form.text("action"), visit.form.text("reason", LONGEST_REASON)
    path, decision = f"/cases/{row.id}", Decision(row.id, action, reason, visit.person.name)
    if _stands(row, decision):
        return visit.go(path, "decided")
    if row.state != "open":
        raise Clash(N_("This case is decided already."))
    seen = visit.form.text("seen")
    if seen != cases.fingerprint(row):
        if row.id in await _proposed(office):
            raise Clash(proposals.WAITS_ALREADY)
        return await _shown(visit, row, {"action": visit.t(CHANGED)}, reason=reason)
    wrong = undecided(visit, action in cases.able(row, row.stands, row), reason)
    if wrong:
        return await _shown(visit, row, wrong, action, reason)
    if above(office, row):
        facts = {"action": action, "reason": reason, "amount_fen": stake(row), "number": number(row)}
        facts["seen"] = seen
        await proposals.propose(office, KIND, row.id, visit.person.name, facts)
        return visit.go(path, "proposed")
    what = words.CASE_ACTIONS[action][0]
    if (asked := visit.ask(TITLE, ASKED, N_("Decide"), what=what, about=about(visit, row))) is not None:
        return asked
    try:
        await _decide(office, row, replace(decision, seen=seen))
    except proposals.CannotBeDone as error:
        raise Impossible(error.said) from error
    return visit.go(path, "decided")


def undecided(visit: Visit, able: bool, reason: str) -> dict[str, str]:
    """What a decision lacks, by the field."""
    wrong = {} if able else {"action": visit.t(N_("Choose what is to be done."))}
    why = unfit(reason)
    return wrong | {"reason": visit.t(why)} if why else wrong


def stake(row: Row[Any]) -> int:
    """The amount a case is about: in whichever direction more is at stake."""
    return max(row.amount_fen or 0, row.received_fen or 0)


def above(office: Office, row: Row[Any]) -> bool:
    """Whether a second person is wanted."""
    return stake(row) >= office.settings.case_second_fen


async def _find(office: Office, case: str) -> Row[Any]:
    """Raises Unknown, Away."""
    rows = await office.books("tsp").read(lambda conn: cases.listed(conn, everything=True, case=case))
    if not rows:
        raise Unknown
    return rows[0]


async def _decide(office: Office, row: Row[Any], decision: Decision) -> str | None:
    """Through the TSP's own way, in one transaction with its books and its audit log; returns the second person it is
    done with: who came later, with the same proposal or the same form once more, finds it done. Raises CannotBeDone.
    """
    moves = office.moves()
    decision = replace(decision, by=f"staff:{decision.second or decision.actor}")

    def work(conn: Connection) -> str | None:
        try:
            cases.decide(conn, moves, decision)
        except CaseRefused:
            (now,) = cases.listed(conn, everything=True, case=row.id)
            if _stands(now, decision):
                return None
            if decision.second is None or now.second is None:
                raise
            if (now.decision, now.actor) != (decision.action, decision.actor):
                raise
            return str(now.second)
        return decision.second

    books = office.books("tsp")
    try:
        if office.tsp is not None:
            return await office.tsp.core.change(row.payment_id or row.load_id, work)
        return await books.write(work)
    except (CaseRefused, Problem) as refused:
        why = sentences.of(refused)
        await books.write(lambda conn: cases.note_refused(conn, moves, decision, str(why)))
        raise proposals.CannotBeDone(why) from refused


def _stands(case: Row[Any], decision: Decision) -> bool:
    """Whether just this was decided by just this person alone: a form that was sent twice."""
    wanted = (decision.action, decision.reason, decision.actor, None)
    return decision.second is None and (case.decision, case.reason, case.actor, case.second) == wanted


async def _confirmed(office: Office, proposal: Row[Any], facts: Mapping[str, Any], second: str) -> str:
    row = await _find(office, proposal.subject)
    told = (facts["action"], facts["reason"], proposal.proposed_by, second)
    return await _decide(office, row, Decision(row.id, *told, seen=facts.get("seen", ""))) or second


proposals.KINDS[KIND] = proposals.Kind(N_("Decide a case"), "/cases/{subject}", _confirmed)
