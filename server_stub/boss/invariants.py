"""What must be true of BOSS's tables at any moment, each told as what is wrong; reads only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, func, select

from server_stub.boss import books, demo, keys, terms
from server_stub.boss.tables import audit, box_keys, boxes, ledger, orders, subscriptions
from server_stub.foundation.money import yuan
from server_stub.foundation.problems import REFUSALS

Check = Callable[[Connection], list[str]]


def invariants(conn: Connection) -> list[str]:
    """Everything that is wrong; nothing in a BOSS that works."""
    return [f"{name}: {said}" for name, check in CHECKS.items() for said in check(conn)]


def _books(conn: Connection) -> list[str]:
    return ledger.faults(conn)


def _revenue(conn: Connection) -> list[str]:
    """Each order that was opened, and no other, has earned what was paid for it."""
    entries, journals = ledger.entries.c, ledger.journals.c
    joined = orders.outerjoin(
        ledger.journals.join(ledger.entries, entries.journal == journals.id),
        (journals.reference == orders.c.id) & (entries.account == books.PLATFORM),
    )
    booked = func.coalesce(func.sum(entries.amount_fen), 0)
    query = select(orders.c.id, orders.c.state, orders.c.amount_fen, booked.label("fen")).select_from(joined)
    said = []
    for row in conn.execute(query.group_by(orders.c.id, orders.c.state, orders.c.amount_fen)):
        wanted = row.amount_fen if row.state == "opened" else 0
        if row.fen != wanted:
            said.append(
                f"order {row.id} is {row.state}; booked are {yuan(int(row.fen))} yuan, not {yuan(wanted)}"
            )
    known = select(orders.c.id)
    strange = select(journals.reference).where(journals.reference.not_in(known)).distinct()
    said += [f"journals are booked for {name}, which is no order" for name in conn.scalars(strange)]
    return said


def _opened(conn: Connection) -> list[str]:
    """Each order that was opened has its payment and its subscription, and that is of no other order."""
    joined = orders.outerjoin(subscriptions, subscriptions.c.id == orders.c.subscription_id)
    query = select(orders, subscriptions.c.paid_fen, subscriptions.c.service.label("given")).select_from(
        joined
    )
    said = [
        f"order {row.id} of {row.service} for {yuan(row.amount_fen)} yuan has opened"
        f" {'nothing' if row.given is None else f'{row.given} for {yuan(row.paid_fen)} yuan'}"
        f"{'' if row.payment else ', for no payment'}"
        for row in conn.execute(query.where(orders.c.state.in_(("opened", "cancelled"))))
        if (row.given, row.paid_fen) != (row.service, row.amount_fen) or row.payment is None
    ]
    twice = select(orders.c.subscription_id).where(orders.c.subscription_id.is_not(None))
    twice = twice.group_by(orders.c.subscription_id).having(func.count() > 1)
    return said + [f"subscription {name} belongs to several orders" for name in conn.scalars(twice)]


def _explained(conn: Connection) -> list[str]:
    """Each subscription is what its order bought, for whose box it was, or was there before there were orders."""
    period = (subscriptions.c.valid_from, subscriptions.c.valid_until)
    query = select(subscriptions.c.id, subscriptions.c.service, subscriptions.c.term, *period)
    query = query.add_columns(subscriptions.c.subscriber_id, boxes.c.subscriber_id.label("buyer"))
    query = query.add_columns(orders.c.term.label("bought"))
    joined = subscriptions.join(orders, orders.c.subscription_id == subscriptions.c.id)
    joined = joined.join(boxes, boxes.c.box_number == orders.c.box_number)
    said = []
    for row in conn.execute(query.select_from(joined)):
        if row.subscriber_id != row.buyer or row.term != row.bought:
            said.append(f"subscription {row.id} of {row.service} is not its order's: subscriber or term")
        if row.term not in terms.TERMS:
            said.append(
                f"subscription {row.id} of {row.service} is for the term {row.term}, which there is not"
            )
            continue
        # It began when it was opened, or followed what was there.
        begin = row.valid_from
        ends = {terms.period(row.term, begin, before)[1] for before in (None, begin - terms.SECOND)}
        if row.valid_until not in ends:
            said.append(
                f"subscription {row.id} of {row.service} ends {row.valid_until:%Y-%m-%d}, not as its term"
            )
    kept = conn.scalar(select(audit.records.c.facts).where(audit.records.c.action == demo.LOADED))
    if kept is not None and (now := demo.history(conn)) != json.loads(kept)["history"]:
        said.append(f"what no order has opened is not what was there at first ({now[:16]})")
    return said


def _states(conn: Connection) -> list[str]:
    """Boxes and orders are in states that there are; a box has one good key, of its subscriber and smart card."""
    said = [
        f"box {row.box_number} is {row.state}"
        for row in conn.execute(select(boxes).where(boxes.c.state.not_in(keys.STATES)))
    ]
    strange = select(orders).where(orders.c.state.not_in(("quoted", "opened", "refused", "cancelled")))
    said += [f"order {row.id} is {row.state}" for row in conn.execute(strange)]
    good = box_keys.c.ended.is_(None)
    many = select(box_keys.c.box_number).where(good).group_by(box_keys.c.box_number)
    said += [f"box {name} has several good keys" for name in conn.scalars(many.having(func.count() > 1))]
    # A box that was struck off gets nothing, whatever keys it has.
    joined = box_keys.join(boxes, boxes.c.box_number == box_keys.c.box_number)
    foreign = boxes.c.subscriber_id != box_keys.c.subscriber_id
    foreign |= boxes.c.smart_card_number != box_keys.c.smart_card_number
    query = select(box_keys.c.key_id, box_keys.c.box_number).select_from(joined).where(good & foreign)
    strange = select(box_keys.c.key_id, box_keys.c.ended).where(box_keys.c.ended.not_in(REFUSALS))
    said += [f"key {name} has ended as {ended}, which nothing does" for name, ended in conn.execute(strange)]
    return said + [
        f"key {row.key_id} is not of box {row.box_number}'s subscriber and smart card"
        for row in conn.execute(query)
    ]


def _audit(conn: Connection) -> list[str]:
    fault = audit.verify(conn).fault
    return [] if fault is None else [str(fault)]


CHECKS: Mapping[str, Check] = {
    "books balance": _books,
    "revenue is what was opened": _revenue,
    "what is opened has its subscription": _opened,
    "subscriptions are what orders opened": _explained,
    "boxes, orders and keys are as they can be": _states,
    "audit log is whole": _audit,
}
"""By name, in the order they are shown."""
