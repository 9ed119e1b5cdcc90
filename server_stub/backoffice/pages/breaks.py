"""Differences between the books: what waits for a person, with all they need to decide, alone or with a second one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select
from starlette.responses import Response

from server_stub.backoffice import proposals, sentences
from server_stub.backoffice.errors import CHANGED, Clash, Impossible, Unknown
from server_stub.backoffice.office import Office
from server_stub.backoffice.pages.cases import LONGEST_REASON, undecided
from server_stub.backoffice.pages.transactions import names_of
from server_stub.backoffice.pairs import options, pairs, wrong_days
from server_stub.backoffice.recon_words import BREAK_ACTIONS, BREAK_CLASSES, BREAK_FIELDS, BREAK_STATES
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.transactions import kinds_of
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_, yuan
from server_stub.foundation import statements
from server_stub.foundation.card_numbers import hidden
from server_stub.foundation.problems import Problem
from server_stub.reconciliation.actions import DecisionRefused
from server_stub.reconciliation.book import Decision, wants_second
from server_stub.reconciliation.break_rows import fields_of, fingerprint, records
from server_stub.reconciliation.healing import at_stake
from server_stub.reconciliation.records import Cls
from server_stub.tsp import books, operating
from server_stub.tsp.remedies import Remedies, facts_of, unheard
from server_stub.tsp.tables import audit, authorisations, book, cases, certificates, orders, payments

KIND = "break"
SHOWN = 50
SHORTEST_BEGINNING = 4
"""Letters of a key, from which on those that begin like it are found too."""
YUAN = re.compile(r"¥?(\d{1,9})(?:\.(\d{1,2}))?")
WAITS, ALL, CLOSED = "", "all", "closed"
STATES = (
    (WAITS, N_("Not settled")),
    *((name, mark.text) for name, mark in BREAK_STATES.items()),
    (ALL, N_("All")),
)
CLASSES = tuple((name, one.text) for name, one in BREAK_CLASSES.items() if not name.startswith("matched"))
"""What the list can be narrowed to."""
TITLE = N_("Decide about this difference?")
ASKED = N_("This is about %(about)s. What was decided is done at once, with your name.")
"""Before a decision that is made by one person."""
pages = Pages()


@pages.get("/breaks", Right.SEE)
async def listed(visit: Visit) -> Response:
    """What is not closed; or all, with that first."""
    names = ("q", "pair", "cls", "state", "day", "amount")
    told, before = {name: visit.query.text(name) for name in names}, visit.query.text("before")
    terminal = visit.office.settings.pos_terminal

    def look(conn: Connection) -> list[Row[Any]]:
        wanted = [*_criteria(told), *_named(conn, told["q"], terminal)]
        found: list[Row[Any]] = []
        for part, which in _parts(told["state"]):
            if before[:1] > part:
                continue
            after = [book.breaks.c.id < before[1:]] if before[:1] == part else []
            query = select(book.breaks).where(and_(which, *wanted, *after)).order_by(book.breaks.c.id.desc())
            found += conn.execute(query.limit(SHOWN + 1 - len(found))).all()
        return found

    books = visit.office.books("tsp")
    rows = await books.read(look)
    compared = bool(rows) or await books.read(
        lambda conn: conn.scalar(select(book.runs.c.id).limit(1)) is not None
    )
    waits = await _proposed(visit.office)
    older = _place(rows[SHOWN - 1]) if len(rows) > SHOWN else ""
    facts: dict[str, Any] = {
        "rows": rows[:SHOWN],
        "waits": waits,
        "told": told,
        "before": before,
        "older": older,
    }
    facts |= {"compared": compared, "options": options(visit.language), "states": STATES, "classes": CLASSES}
    wrong = wrong_days(visit, "day")
    if told["amount"] and fen_of(told["amount"]) < 0:
        wrong["amount"] = visit.t(N_("No amount: type yuan, like 118 or 12.50."))
    facts["wrong"] = wrong
    return visit.page("breaks.html", **facts, pairs=pairs(), facts_of=facts_of, records_of=records)


def _parts(state: str) -> list[tuple[str, ColumnElement[bool]]]:
    """What is listed, part after part; each is gone through by its ids."""
    table = book.breaks.c
    waits, closed = table.closed_at.is_(None), table.closed_at.is_not(None)
    match state:
        case "open" | "healing":
            return [("1", and_(waits, table.state == state))]
        case _ if state == CLOSED:
            return [("2", closed)]
        case _ if state == ALL:
            return [("1", waits), ("2", closed)]
    return [("1", waits)]


def _place(row: Row[Any]) -> str:
    """Where the list goes on after a row."""
    return f"{'1' if row.closed_at is None else '2'}{row.id}"


def _criteria(told: Mapping[str, str]) -> list[ColumnElement[bool]]:
    table = book.breaks.c
    wanted = [table[name] == told[name] for name in ("pair", "cls", "day") if told[name]]
    if told["amount"]:
        amount = fen_of(told["amount"])
        wanted.append(or_(table.here_fen == amount, table.there_fen == amount))
    return wanted


def fen_of(text: str) -> int:
    """An amount that was typed in yuan; of what is none, one that nothing has.

    >>> fen_of("¥12.5"), fen_of("1,200"), fen_of("much")
    (1250, 120000, -1)
    """
    found = YUAN.fullmatch("".join(text.split()).replace(",", "").replace("￥", "¥"))
    return -1 if found is None else int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))


def _named(conn: Connection, text: str, terminal: str) -> list[ColumnElement[bool]]:
    """Breaks of a key, an order's number, a payment; or of one of these ids."""
    if not text:
        return []
    letters = "".join(text.split()).upper()
    number = f"{letters[:4]} {letters[4:]}"
    joined = select(payments.c.id).join(orders, orders.c.id == payments.c.order_id)
    mine = set(conn.scalars(joined.where(orders.c.number == number)))
    mine |= set(conn.scalars(select(payments.c.id).where(payments.c.id == letters)))
    keys = {text, letters, *mine}
    for table in (authorisations, certificates):
        slips = select(table.c.batch, table.c.stan).where(table.c.payment_id.in_(mine))
        keys |= {f"{terminal}-{row.batch}-{row.stan}" for row in conn.execute(slips)}
    said = [book.breaks.c.id == letters, book.breaks.c.key.in_(keys)]
    if len(letters) >= SHORTEST_BEGINNING:
        said.append(book.breaks.c.key.startswith(letters, autoescape=True))
    return [or_(*said)]


@pages.get("/breaks/{break}", Right.SEE)
async def one(visit: Visit) -> Response:
    """Both records, what they are about, what has happened, and what can be done."""
    return await _shown(visit, await _find(visit.office, visit.path["break"]))


async def _shown(
    visit: Visit,
    row: Row[Any],
    wrong: Mapping[str, str] = MappingProxyType({}),
    chosen: str = "",
    reason: str = "",
) -> Response:
    office = visit.office
    ours = facts_of(row).get("payment")

    def look(conn: Connection) -> dict[str, Any]:
        service, term = orders.c.service.label("service_named"), orders.c.term.label("ordered_term")
        named = select(payments, orders.c.number, service, term)
        named = named.join(orders, orders.c.id == payments.c.order_id).where(payments.c.id == ours)
        of_it = select(cases).where(cases.c.payment_id == ours).order_by(cases.c.at.desc())
        return {
            "kind": kinds_of(conn, [ours]).get(ours) if ours else None,
            "run": conn.execute(select(book.runs).where(book.runs.c.id == row.run)).one(),
            "history": [(one, json.loads(one.facts)) for one in book.history(conn, row.id)],
            "payment": None if ours is None else conn.execute(named).one_or_none(),
            "cases": [] if ours is None else conn.execute(of_it).all(),
        }

    told = await office.books("tsp").read(look)
    waiting = await office.database.read(lambda conn: proposals.about(conn, KIND, row.id))
    here, there = records(row)
    told |= {"sides": _sides(row), "here": here, "there": there, "waiting": waiting, "row": row}
    told |= {"pair": pairs().get(row.pair), "files": json.loads(told["run"].files or "{}")}
    told |= {"notes": {name: _note(one) for name, one in (("here", here), ("there", there))}}
    told |= {"able": book.able(row, Remedies(office.moves()).actions(row.pair)), "fen": at_stake(here, there)}
    told |= {"second": above(office, row, ""), "wrong": wrong, "chosen": chosen, "reason": hidden(reason)}
    told |= {"unheard": row.state == "open" and unheard(row)}
    told |= {"following": await _next(visit, row), "seen": fingerprint(row)}
    told["ask"] = "" if told["second"] else visit.t(ASKED, about=about(visit, row))
    told["service_names"] = await names_of(visit)
    return visit.page("break.html", 422 if wrong else 200, **told)


def _sides(row: Row[Any]) -> list[tuple[str, Any, Any, bool]]:
    """What is compared, as both have it, and whether that differs."""
    differ = fields_of(row)
    here, there = records(row)
    return [
        (name, getattr(here, name, None), getattr(there, name, None), name in differ) for name in BREAK_FIELDS
    ]


def _note(record: Any) -> Mapping[str, Any]:
    """What else a side has said of its record."""
    if record is None or not record.note:
        return {}
    try:
        told = json.loads(record.note)
    except ValueError:
        told = record.note
    return told if isinstance(told, dict) else {"note": told}


async def _proposed(office: Office) -> Mapping[str, str]:
    """Those that wait for a second person, and how their proposals stand."""
    now = office.clock.now()
    return await office.database.read(lambda conn: proposals.waiting(conn, KIND, now))


async def _next(visit: Visit, row: Row[Any]) -> str:
    """The page of the newest other difference that waits for a decision; "" where none does."""
    proposed = await _proposed(visit.office)
    table = book.breaks.c
    waits = select(table.id).where(table.closed_at.is_(None), table.state == "open").order_by(table.id.desc())
    ids = await visit.office.books("tsp").read(
        lambda conn: conn.scalars(waits.limit(len(proposed) + 2)).all()
    )
    return next((f"/breaks/{one}" for one in ids if one not in {row.id, *proposed}), "")


@pages.post("/breaks/{break}", Right.DECIDE)
async def decide(visit: Visit) -> Response:
    """Decides it, or proposes that above the limit."""
    office, row = visit.office, await _find(visit.office, visit.path["break"])
    action, reason = visit.form.text("action"), visit.form.text("reason", LONGEST_REASON)
    path, decision = f"/breaks/{row.id}", Decision(row.id, action, reason, visit.person.name)
    if await office.books("tsp").read(lambda conn: book.decided(conn, decision)):
        return visit.go(path, "break-decided")
    if row.state == CLOSED:
        raise Clash(N_("This difference is settled already."))
    seen = visit.form.text("seen")
    if seen != fingerprint(row):
        if row.id in await _proposed(office):
            raise Clash(proposals.WAITS_ALREADY)
        return await _shown(visit, row, {"action": visit.t(CHANGED)}, reason=reason)
    wrong = undecided(visit, action in book.able(row, Remedies(office.moves()).actions(row.pair)), reason)
    if wrong:
        return await _shown(visit, row, wrong, action, reason)
    if above(office, row, action):
        facts: dict[str, str | int] = {"action": action, "reason": reason, "seen": seen}
        if row.cls != Cls.MALFORMED:
            facts["amount_fen"] = stake(row)
        facts["number"] = facts_of(row).get("number") or row.key
        await proposals.propose(office, KIND, row.id, visit.person.name, facts)
        return visit.go(path, "proposed")
    what = BREAK_ACTIONS[action][0] if action in BREAK_ACTIONS else action
    if (asked := visit.ask(TITLE, ASKED, N_("Decide"), what=what, about=about(visit, row))) is not None:
        return asked
    try:
        await _decide(office, row, replace(decision, seen=seen))
    except proposals.CannotBeDone as error:
        raise Impossible(error.said) from error
    return visit.go(path, "break-decided")


def about(visit: Visit, row: Row[Any]) -> str:
    """What a decision is about, in a few words: the order, or what both sides know the record by, and the amount."""
    named, number = facts_of(row).get("number"), {"number": row.line}
    if named:
        what = visit.t(N_("order %(number)s"), number=named)
    elif row.cls == Cls.MALFORMED:
        there = row.key.endswith(" there")
        what = visit.t(
            N_("line %(number)s of their file") if there else N_("line %(number)s of our file"), **number
        )
    else:
        what = visit.t(N_("record %(number)s"), number=row.key)
    return what if row.cls == Cls.MALFORMED else f"{what} · {yuan(stake(row))}"


def stake(row: Row[Any]) -> int:
    """The larger of the two amounts."""
    return at_stake(*records(row))


def above(office: Office, row: Row[Any], action: str) -> bool:
    """Whether a second person is wanted for an action; for "", for those that end it."""
    return wants_second(row, action, office.settings.case_second_fen)


async def _find(office: Office, name: str) -> Row[Any]:
    """Raises Unknown, Away."""
    row = await office.books("tsp").read(lambda conn: statements.one(conn, book.breaks, id=name))
    if row is None:
        raise Unknown
    return row


async def _decide(office: Office, row: Row[Any], decision: Decision) -> str | None:
    """Through the book of the TSP, in one transaction with its books and its audit log; returns the second person it is
    done with: who came later, with the same proposal or the same form once more, finds it done. Raises CannotBeDone.
    """
    moves, database = office.moves(), office.books("tsp")
    actions = Remedies(moves).actions(row.pair)
    decision = replace(decision, by=f"staff:{decision.second or decision.actor}")

    def work(conn: Connection) -> str | None:
        books.open_accounts(conn, ())
        statements.one(conn, book.breaks, lock=True, id=row.id)
        if decision.second is None and book.decided(conn, decision):
            return None
        limit = operating.noted(conn, office.settings).case_second_fen
        try:
            book.decide(conn, office.clock, audit, actions, decision, second_fen=limit)
        except DecisionRefused:
            now = statements.one(conn, book.breaks, id=row.id)
            if decision.second is None or now is None or now.second is None or now.state == "open":
                raise
            if (now.action, now.actor) != (decision.action, decision.actor):
                raise
            return str(now.second)
        return decision.second

    payment = facts_of(row).get("payment")
    try:
        if office.tsp is not None and payment is not None:
            return await office.tsp.core.change(payment, work)
        return await database.write(work)
    except (DecisionRefused, Problem) as refused:
        why = sentences.of(refused)
        await database.write(lambda conn: book.note_refused(conn, office.clock, audit, decision, str(why)))
        raise proposals.CannotBeDone(why) from refused


async def _confirmed(office: Office, proposal: Row[Any], facts: Mapping[str, Any], second: str) -> str:
    row = await _find(office, proposal.subject)
    told = (facts["action"], facts["reason"], proposal.proposed_by, second)
    return await _decide(office, row, Decision(row.id, *told, seen=facts.get("seen", ""))) or second


proposals.KINDS[KIND] = proposals.Kind(N_("Decide about a difference"), "/breaks/{subject}", _confirmed)
