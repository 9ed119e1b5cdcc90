"""Transactions: the search, and one payment's or load's whole story."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, or_, select
from starlette.responses import Response

from server_stub.backoffice import code_words, story
from server_stub.backoffice.criteria import (
    CASES,
    FIELDS,
    KINDS,
    MONEY,
    SHOWN,
    STATES,
    TERMS,
    Criteria,
    at_boxes,
    criteria_of,
    form_of,
    meanings,
)
from server_stub.backoffice.errors import Unknown
from server_stub.backoffice.office import Office
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.search_words import (
    FIELD_NAMES,
    MONEY_NAMES,
    SHOWN_NAMES,
    WRONG,
)
from server_stub.backoffice.transactions import Page, search
from server_stub.backoffice.visit import Visit
from server_stub.boss import tables as boss
from server_stub.foundation.card_numbers import hidden

MOST_BOXES = 200
"""Of a subscriber, that are searched."""
pages = Pages()


@pages.get("/transactions", Right.SEE)
async def listed(visit: Visit) -> Response:
    """What was searched for; without anything, the newest."""
    asked, wrong, form = asked_of(visit.query)
    before = visit.query.text("before", 26) or None
    resolved = await at_boss(visit.office, asked)
    nothing = bool(wrong) or not resolved
    found = (
        Page((), None, total=0)
        if nothing
        else await visit.office.books("tsp").read(partial(search, asked=resolved, before=before))
    )
    query = {name: text for name, text in form.items() if text}
    services = await services_of(visit.office)
    older = f"/backoffice/transactions?{urlencode({**query, 'before': found.before})}" if found.before else ""
    only = (
        found.rows[0].id if len(found.rows) == 1 and query and before is None and not found.before else None
    )
    return visit.page(
        "transactions.html",
        found=found,
        form=form,
        wrong={name: visit.t(WRONG[why]) for name, why in wrong.items()},
        older=older,
        newest=f"/backoffice/transactions?{urlencode(query)}" if before else "",
        only=only,
        asked=[sorted(one.given - {"boxes"}) for one in asked] if form.get("q") else [],
        detailed=any(name in query for name in FIELDS),
        query=query,
        services=services,
        service_names=dict(services),
        **WORDS,
    )


@pages.post("/transactions/search", Right.SEE)
async def sought(visit: Visit) -> Response:
    """What was typed, which may be a card's whole number, does not come into an address: what is meant by it does."""
    _, wrong, form = asked_of(visit.form)
    wanted = {name: text for name, text in form.items() if text and name not in wrong}
    wanted |= {name: hidden(form[name]) for name in wrong}
    return visit.go("/transactions", **wanted)


@pages.get("/transactions/{transaction}", Right.SEE)
async def told(visit: Visit) -> Response:
    """One transaction's whole story."""
    office = visit.office
    transaction = visit.path["transaction"]
    mine = await office.books("tsp").read(partial(story.at_tsp, transaction=transaction))
    if mine is None:
        raise Unknown()
    order = None if mine.order is None else mine.order.id
    theirs, issuer = await asyncio.gather(
        _of(office, "boss", partial(story.at_boss, box=mine.found.box, order=order)),
        _of(office, "ppp", partial(story.at_ppp, slips=mine.slips)),
    )
    events = story.in_order(mine.events, theirs.events if theirs else (), issuer or ())
    journals = sorted((*mine.journals, *(theirs.journals if theirs else ())), key=lambda one: one.at)
    away = [role for role, known in (("boss", theirs), ("ppp", issuer)) if known is None]
    facts: dict[str, Any] = {"story": mine, "boss": theirs, "journals": journals, "away": away}
    facts |= {"chapters": story.chapters(events), "service_names": await names_of(visit)}
    return visit.page("story.html", **facts, **WORDS)


def asked_of(form: Mapping[str, str]) -> tuple[tuple[Criteria, ...], dict[str, str], dict[str, str]]:
    """What a form or address asks for, what of it cannot be read, and the same as a form that has no whole card number."""
    text = form.get("q", "").strip()
    detailed, wrong = criteria_of(form)
    kept = {**form_of(detailed), **{name: hidden(form[name])[:200] for name in wrong}}
    if not text:
        return (detailed,), wrong, kept
    found = meanings(text)
    both = tuple(one for one in (_both(meant, detailed) for meant in found) if one is not None)
    card = next((one for one in found if one.card_head and one.card_end), None)
    shown = form_of(card)["card"] if card is not None and len(found) == 1 else hidden(text)[:200]
    return both, wrong, {**kept, "q": shown}


def _both(meant: Criteria, detailed: Criteria) -> Criteria | None:
    """What one text means, and the fields beside it; None where they say different things of the same."""
    values: dict[str, Any] = {}
    for one in (meant, detailed):
        for name in one.given:
            if values.setdefault(name, getattr(one, name)) != getattr(one, name):
                return None
    return Criteria(**values)


async def at_boss(office: Office, asked: tuple[Criteria, ...]) -> list[Criteria]:
    """The same with a subscriber's boxes, where BOSS is here to be asked."""
    found = []
    for one in asked:
        if one.subscriber is not None:
            boxes = await _of(office, "boss", partial(boxes_of, subscriber=one.subscriber))
            one = at_boxes(one, boxes or ())
        found.append(one)
    return found


def boxes_of(conn: Connection, subscriber: str) -> list[str]:
    """The boxes of whoever has this id or name."""
    people = boss.subscribers.c
    found: set[str] = set()
    for column in (people.id, people.name_zh, people.name_en):
        ids = list(conn.scalars(select(people.id).where(column == subscriber).limit(MOST_BOXES)))
        of_these = or_(boss.boxes.c.subscriber_id.in_(ids))
        found |= set(conn.scalars(select(boss.boxes.c.box_number).where(of_these).limit(MOST_BOXES)))
    return sorted(found)[:MOST_BOXES]


async def _of(office: Office, role: str, work: Any) -> Any:
    """What a role's books say; None where they are not here."""
    return await office.books(role).read(work) if role in office.databases else None


async def services_of(office: Office) -> list[tuple[str, Mapping[str, str]]]:
    """The catalogue, for a choice."""
    table = boss.products.c
    query = select(table.service, table.name_zh, table.name_en).order_by(table.position)
    rows = await _of(office, "boss", lambda conn: list(conn.execute(query)))
    return [(row.service, {"zh": row.name_zh, "en": row.name_en}) for row in rows or ()]


async def names_of(visit: Visit) -> Mapping[str, str]:
    """The names of services in the language of a page, by their ids; none where BOSS is not here."""
    return {service: names[visit.language] for service, names in await services_of(visit.office)}


WORDS: Mapping[str, Any] = {
    "FIELD_NAMES": FIELD_NAMES,
    "MONEY_NAMES": MONEY_NAMES,
    "SHOWN_NAMES": SHOWN_NAMES,
    "REASONS": code_words.REASONS,
    "CHOICES": {
        "reason": list(code_words.REASONS),
        "kind": KINDS,
        "money": MONEY,
        "shown": SHOWN,
        "state": STATES,
        "term": TERMS,
        "case": CASES,
    },
}
"""What templates of transactions are made with."""
