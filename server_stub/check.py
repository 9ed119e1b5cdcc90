"""``stb-server check``: proves on live databases what must always be true, and says what is wrong; changes nothing.

Each role is read as of one moment. Between TSP and BOSS something is always under way, so what they must agree on is
read in the order in which it comes to be: who is behind is read last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, MetaData, select
from sqlalchemy.exc import DatabaseError

from server_stub import cli
from server_stub.boss import invariants as boss_invariants
from server_stub.boss import tables as boss_tables
from server_stub.commands import settings_of, subcommand
from server_stub.exchange import invariants as exchange_invariants
from server_stub.exchange import tables as exchange_tables
from server_stub.exchange.service import Paths
from server_stub.foundation import schema
from server_stub.foundation.clock import Clock, SystemClock, machine_pauses
from server_stub.foundation.database import Readable, outage
from server_stub.foundation.files import Store
from server_stub.foundation.money import yuan
from server_stub.foundation.startup import CannotStart
from server_stub.opening import NotThere, read_role
from server_stub.ppp import invariants as ppp_invariants
from server_stub.ppp import tables as ppp_tables
from server_stub.ppp.books import CASH_SALE, LOAD, SALE
from server_stub.settings import Settings
from server_stub.tsp import invariants as tsp_invariants
from server_stub.tsp import tables as tsp_tables
from server_stub.tsp.cases import CHARGED

METADATA = {
    "tsp": tsp_tables.metadata,
    "boss": boss_tables.metadata,
    "ppp": ppp_tables.metadata,
    "exchange": exchange_tables.metadata,
}
LACKS = "no table is missing"
AGREE = "TSP and BOSS agree"
QUOTED = "orders are as BOSS quoted them"
KEYS = "TSP and BOSS know keys for the same boxes"
SALES = "TSP and PPP agree on what was sold by card"
SHAPES = {
    "tables and triggers are as they were made": schema.faults,
    "values are what their columns hold": schema.oddities,
    "rows belong to rows that are there": schema.strays,
}
ODD = (ValueError, TypeError, ArithmeticError, LookupError)
"""What Python raises over a value that nobody of ours has written."""
SHOWN = 20
"""So many faults of a kind are told; the others are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must be true, and what is wrong with it."""

    name: str
    faults: list[str]


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """The subcommand. Returns its exit code: 0; 1 when something is wrong; 2 when no role has run here."""
    now = (clock or SystemClock()).now()
    with ExitStack() as held:
        settings = settings_of(options)
        opened: dict[str, Readable] = {}
        for role, metadata in METADATA.items():
            database = _open(metadata, options, settings.database)
            if database is not None:
                opened[role] = held.enter_context(closing(database))
        if not opened:
            raise CannotStart("none of the roles tsp, boss, ppp and exchange has run here")
        findings = asyncio.run(shapes(opened))
        broken = {finding.name.partition(":")[0] for finding in findings if finding.name.endswith(LACKS)}
        tsp, boss, ppp, exchange = (None if role in broken else opened.get(role) for role in METADATA)
        findings += asyncio.run(examine(tsp, boss, ppp, now, settings))
        if exchange is not None:
            looks = exchange_invariants.checks(Store(Paths(options.data).kept))
            findings += asyncio.run(exchange.read(partial(_of_role, role="exchange", checks=looks)))
    for finding in findings:
        for text in _told(finding):
            cli.announce(text)
    return 1 if any(finding.faults for finding in findings) else 0


async def shapes(opened: Mapping[str, Readable]) -> list[Finding]:
    """Whether the roles' tables are those that the revisions made, and whose rows know each other.

    Where a table is missing nothing else can be asked; that is the only finding of its role then.
    """
    found = []
    for role, database in opened.items():

        def look(conn: Connection, role: str = role) -> list[Finding]:
            metadata = METADATA[role]
            if lacking := schema.missing(conn, metadata):
                return [Finding(f"{role}: {LACKS}", lacking)]
            return [
                Finding(f"{role}: {name}", looked(conn, partial(look, conn, metadata)))
                for name, look in SHAPES.items()
            ]

        found += await database.read(look)
    return found


async def examine(
    tsp: Readable | None, boss: Readable | None, ppp: Readable | None, now: datetime, settings: Settings
) -> list[Finding]:
    """All that must be true of these roles, each with what is wrong."""
    found: list[Finding] = []
    if tsp is not None:

        def of_tsp(conn: Connection) -> list[Finding]:
            checks = tsp_invariants.CHECKS.items()
            return [
                Finding(f"tsp: {name}", looked(conn, partial(check, conn, now, settings)))
                for name, check in checks
            ]

        found += await tsp.read(of_tsp)
    for role, database, looks in (
        ("boss", boss, boss_invariants.CHECKS),
        ("ppp", ppp, ppp_invariants.CHECKS),
    ):
        if database is not None:
            found += await database.read(partial(_of_role, role=role, checks=looks))
    if tsp is not None and boss is not None:
        between = {AGREE: disagreements, QUOTED: strange_orders, KEYS: strange_keys}
        for name, compare in between.items():
            try:
                found.append(Finding(name, await compare(tsp, boss)))
            except ODD as error:
                found.append(Finding(name, [_cannot(error)]))
    if tsp is not None and ppp is not None:
        try:
            found.append(Finding(SALES, await strange_sales(tsp, ppp)))
        except ODD as error:
            found.append(Finding(SALES, [_cannot(error)]))
    return found


def _of_role(
    conn: Connection, role: str, checks: Mapping[str, Callable[[Connection], list[str]]]
) -> list[Finding]:
    return [Finding(f"{role}: {name}", looked(conn, partial(check, conn))) for name, check in checks.items()]


async def disagreements(tsp: Readable, boss: Readable) -> list[str]:
    """What TSP and BOSS tell differently about the same orders.

    A service that the TSP calls opened was opened by BOSS before, and one that BOSS calls opened was paid at the TSP
    before; so the first is read at the TSP before it is read at BOSS, and the other the other way round.
    """
    paid = await tsp.read(_opened_at_tsp)
    opened = await boss.read(_opened_at_boss)
    # What BOSS has taken back since, the platform hears of at night.
    taken_back = await boss.read(partial(_opened_at_boss, state="cancelled"))
    said = []
    for order, (payment, fen) in sorted(paid.items()):
        if (payment, fen) not in (opened.get(order), taken_back.get(order)):
            said.append(
                f"order {order}: opened for {_told_payment((payment, fen))}; BOSS has {_told_payment(opened.get(order))}"
            )
    for page in _pages(sorted(opened.keys() - paid.keys())):
        known = await tsp.read(partial(_paid_for, names=page))
        said += [
            f"order {order}: BOSS has opened it for {_told_payment(opened[order])}, the TSP has"
            f" {_told_payment(known.get(order))}"
            for order in page
            if known.get(order) != opened[order]
        ]
    return said


async def strange_sales(tsp: Readable, ppp: Readable) -> list[str]:
    """What TSP and PPP tell differently about the same sales.

    What the TSP calls paid PPP has approved before, so it is read last; and what PPP has approved the TSP has asked for
    before, and calls paid or not yet decided.
    """
    settled = ("paid", "opened", "service-refused", "refunded", "loaded")
    sold = await tsp.read(partial(_sold_at_tsp, states=settled, by_hand=False))
    approved = await ppp.read(_approved_at_ppp)
    known = await tsp.read(_sold_at_tsp)
    said = []
    for slip, (payment, fen) in sorted(sold.items()):
        if approved.get(slip) != fen:
            said.append(
                f"payment {payment}: paid with {yuan(fen)} yuan; PPP has approved nothing such as {slip}"
            )
    for slip, fen in sorted(approved.items()):
        if slip in known and known[slip][1] != fen:
            said.append(
                f"PPP has approved {slip} with {yuan(fen)} yuan, the TSP asked for {yuan(known[slip][1])}"
            )
        elif slip not in known:
            said.append(f"PPP has approved {slip} with {yuan(fen)} yuan; the TSP does not want it")
    return said


def looked(conn: Connection, look: Callable[[], list[str]]) -> list[str]:
    """What a check says; where it cannot get through what is there, that is what is wrong."""
    try:
        return look()
    except ODD as error:
        return [_cannot(error)]
    except DatabaseError as error:
        # SQLite says so where a text is none; it goes on with what is asked next.
        if conn.dialect.name != "sqlite" or outage(error) is not None:
            raise
        return [_cannot(error.orig or error)]


def _cannot(error: BaseException) -> str:
    return f"cannot be looked at because of an odd value ({type(error).__name__}: {' '.join(str(error).split())})"


async def strange_orders(tsp: Readable, boss: Readable) -> list[str]:
    """Orders of the TSP that BOSS has not quoted, or not so. BOSS has an order before the TSP, so it is read last."""
    said, page, last = [], [""], ""
    while page:
        orders = await tsp.read(partial(_ordered_at_tsp, after=last))
        page = sorted(orders)
        quoted = await boss.read(partial(_quoted_at_boss, names=page))
        said += [
            f"order {name} is of {_told_order(orders[name])} at the TSP, of {_told_order(quoted.get(name))} at BOSS"
            for name in page
            if quoted.get(name) != orders[name]
        ]
        last = page[-1] if page else last
    return said


async def strange_keys(tsp: Readable, boss: Readable) -> list[str]:
    """Keys that speak for one box at the TSP and for another at BOSS, or are of another enrolment there.

    One that BOSS does not know is good for nothing.
    """
    here, there = tsp_tables.box_keys.c, boss_tables.box_keys.c
    own = select(here.key_id, here.box_number, here.generation)
    theirs = select(there.key_id, there.box_number, there.generation)
    known = await tsp.read(lambda conn: conn.execute(own.order_by(here.key_id)).all())
    said = await boss.read(lambda conn: {row.key_id: row for row in conn.execute(theirs)})
    return [
        f"key {row.key_id} is of {what} {mine} at the TSP, of {said[row.key_id][column]} at BOSS"
        for row in known
        for column, what, mine in ((1, "box", row.box_number), (2, "enrolment", row.generation))
        if row.key_id in said and said[row.key_id][column] != mine
    ]


def _open(metadata: MetaData, options: argparse.Namespace, url: str) -> Readable | None:
    """A role's tables; None where it has not run. Raises CannotStart."""
    try:
        return read_role(metadata, options.data, url, machine_pauses())
    except NotThere:
        return None


def _opened_at_tsp(conn: Connection) -> dict[str, tuple[str, int]]:
    """Payment and amount by order."""
    payments = tsp_tables.payments.c
    query = select(payments.order_id, payments.id, payments.amount_fen).where(payments.state == "opened")
    return {row.order_id: (row.id, row.amount_fen) for row in conn.execute(query)}


def _opened_at_boss(conn: Connection, state: str = "opened") -> dict[str, tuple[str, int]]:
    orders = boss_tables.orders.c
    query = select(orders.id, orders.payment, orders.amount_fen).where(orders.state == state)
    return {row.id: (row.payment, row.amount_fen) for row in conn.execute(query)}


def _sold_at_tsp(
    conn: Connection,
    states: tuple[str, ...] = (
        *("authorising", "authorised", "reversing", "presenting"),
        *("paid", "opened", "service-refused", "refunded", "loaded", "disputed"),
    ),
    *,
    by_hand: bool = True,
) -> dict[str, tuple[str, int]]:
    """Payment or load, and amount, by batch and STAN: of those in these states, by account or electronic cash.

    Args:
        by_hand: also what a person has decided without PPP: loads that the bank has charged though they were reversed,
            payments that the operator bears.
    """
    payments, loads, cases = tsp_tables.payments, tsp_tables.loads, tsp_tables.cases
    sold: dict[str, tuple[str, int]] = {}
    for asked in (tsp_tables.authorisations, tsp_tables.certificates):
        query = select(asked.c.batch, asked.c.stan, payments.c.id, payments.c.amount_fen)
        query = query.join(payments, payments.c.id == asked.c.payment_id)
        query = query.where(payments.c.state.in_(states), asked.c.stan.is_not(None))
        if not by_hand:
            query = query.where(payments.c.received_fen.is_distinct_from(0))
        sold |= {f"{row.batch} {row.stan}": (row.id, row.amount_fen) for row in conn.execute(query)}
    query = select(loads.c.batch, loads.c.stan, loads.c.id, loads.c.amount_fen)
    query = query.where(loads.c.state.in_(states), loads.c.stan.is_not(None))
    if not by_hand:
        charged = select(cases.c.load_id).where(cases.c.decision == CHARGED, cases.c.load_id.is_not(None))
        query = query.where(loads.c.id.not_in(charged))
    sold |= {f"{row.batch} {row.stan}": (row.id, row.amount_fen) for row in conn.execute(query)}
    return sold


def _approved_at_ppp(conn: Connection) -> dict[str, int]:
    sales = ppp_tables.transactions.c
    query = select(sales.batch, sales.stan, sales.amount_fen)
    found = conn.execute(query.where((sales.state == "approved") & sales.kind.in_((SALE, CASH_SALE, LOAD))))
    return {f"{row.batch} {row.stan}": row.amount_fen for row in found}


Quoted = tuple[str, str, str, int]
"""Box, service, term and amount of an order."""


def _ordered_at_tsp(conn: Connection, after: str) -> dict[str, Quoted]:
    """The next orders by their ids."""
    orders = tsp_tables.orders.c
    query = select(orders.id, orders.box_number, orders.service, orders.term, orders.amount_fen)
    found = conn.execute(query.where(orders.id > after).order_by(orders.id).limit(500))
    return {row.id: (row.box_number, _name_of(row.service), row.term, row.amount_fen) for row in found}


def _name_of(service: str) -> str:
    """Of what is kept of a service; empty where that is no such thing."""
    try:
        return str(json.loads(service)["service"])
    except (ValueError, TypeError, KeyError):
        return ""


def _quoted_at_boss(conn: Connection, names: list[str]) -> dict[str, Quoted]:
    orders = boss_tables.orders.c
    query = select(orders.id, orders.box_number, orders.service, orders.term, orders.amount_fen)
    found = conn.execute(query.where(orders.id.in_(names)))
    return {row.id: (row.box_number, row.service, row.term, row.amount_fen) for row in found}


def _told_order(order: Quoted | None) -> str:
    if order is None:
        return "nothing"
    box, service, term, fen = order
    return f"box {box}, {service} {term}, {yuan(fen)} yuan"


def _told_payment(paid: tuple[str | None, int] | None) -> str:
    if paid is None:
        return "nothing"
    payment, fen = paid
    return f"{f'payment {payment}' if payment else 'no payment'}, {yuan(fen)} yuan"


def _paid_for(conn: Connection, names: list[str]) -> dict[str, tuple[str, int]]:
    """Payments whose money is in, by order."""
    payments = tsp_tables.payments.c
    mine = payments.order_id.in_(names) & payments.state.in_(("paid", "opened"))
    query = select(payments.order_id, payments.id, payments.amount_fen).where(mine)
    return {row.order_id: (row.id, row.amount_fen) for row in conn.execute(query)}


def _pages(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + 500] for start in range(0, len(names), 500))


def _told(finding: Finding) -> list[str]:
    if not finding.faults:
        return [f"ok     {finding.name}"]
    told = [f"WRONG  {finding.name}", *(f"       {fault}" for fault in finding.faults[:SHOWN])]
    more = len(finding.faults) - SHOWN
    return [*told, f"       and {more} more"] if more > 0 else told
