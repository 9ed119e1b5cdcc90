"""Search over payments and loads of electronic cash: newest first, page after page, however many there are.

A page goes on from the id of the last one (ids are ordered by time), so what is paid meanwhile neither moves nor doubles
anything. Where two things that are asked for are each true of millions and together of few, no index has them: then a page
ends when its time is over, says how far back it has looked, and the next goes on from there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, exists, func, literal, or_, select

from server_stub.backoffice import ways
from server_stub.backoffice.criteria import Criteria
from server_stub.foundation.clock import CHINA
from server_stub.foundation.ids import ALPHABET, base32, number_of
from server_stub.tsp import machines
from server_stub.tsp.tables import authorisations, cases, certificates, debits, loads, orders, payments

PAGE = 50
SECONDS = 0.1
"""So long a page looks for what no index has."""
SLACK = timedelta(hours=1)
"""A payment is put down so much after its id was made, at most."""
CHUNKS = (64, 250, 500)
"""So many rows are looked at together."""
NOT_OF_LOADS = frozenset(
    ("order", "received_fen", "service", "term", "psam", "terminal", "transaction_number", "offline_number")
)
LOAD = "load"
MOST_ORDERS = 200
"""Of one journey, that are looked at."""
_FIRST_WORD = re.compile(rf"[{ALPHABET}]{{10}}")


class Found(NamedTuple):
    """A transaction in a list.

    Attributes:
        number: of the order, or of the load, as people have it.
        method: ``"card"``, ``"wallet:NAME"`` or ``"load"``. ``kind``: one of ``criteria.KINDS``; None: not begun with any.
        shown, money: as at the interface.
        open: somebody has to look at it.
    """

    id: str
    at: datetime
    number: str
    box: str
    method: str
    kind: str | None
    card: str | None
    service: str | None
    term: str | None
    amount_fen: int
    received_fen: int | None
    state: str
    shown: str
    money: str
    reason: str | None
    open: bool


class Page(NamedTuple):
    """A part of what was found.

    Attributes:
        before: the id to go on from; None: that was all.
        back_to: all is here down to this instant, and the time is over; None: nothing was left out.
        total: how many there are in all, as far as that is known; ``more``: and there are more.
    """

    rows: tuple[Found, ...]
    before: str | None
    back_to: datetime | None = None
    total: int | None = None
    more: bool = False


def first_id(instant: datetime) -> str:
    """What all ids that are made from then on are not before."""
    return base32(max(0, int(instant.timestamp() * 1000)), 10)


def instant_of(identity: str) -> datetime | None:
    """When an id was made; None where it does not say."""
    if _FIRST_WORD.match(identity) is None:
        return None
    milliseconds = 0
    for letter in identity[:10]:
        milliseconds = milliseconds * 32 + ALPHABET.index(letter)
    try:
        return datetime.fromtimestamp(milliseconds / 1000, CHINA)
    except (ValueError, OverflowError, OSError):
        return None


def search(
    conn: Connection,
    asked: Sequence[Criteria],
    before: str | None = None,
    *,
    limit: int = PAGE,
    seconds: float = SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
) -> Page:
    """What one of several criteria is true of, newest first.

    Args:
        before: where the page before ended.
        seconds: for what no index has; what an index has is always looked for to the end.
    """
    until = monotonic() + seconds
    streams = [
        part
        for one in asked
        for part in (_payments_of(conn, one, before), _loads_of(conn, one, before))
        if part is not None
    ]
    ids: dict[str, bool] = {}
    floor: str | None = None
    late = False
    for ordinal, (of_load, stream) in enumerate(streams):
        # Each has its share of the time that is left.
        share = monotonic() + max(0.0, until - monotonic()) / (len(streams) - ordinal)
        taken = 0
        for seen, matching in stream:
            for one in matching:
                ids[one] = of_load
            taken += len(matching)
            if taken > limit or monotonic() > share:
                late = late or taken <= limit
                floor = seen if floor is None else max(floor, seen)
                break
    kept = sorted((one for one in ids if floor is None or one >= floor), reverse=True)
    page, rest = kept[:limit], kept[limit:]
    following = page[-1] if rest else floor
    rows = tuple(_shown(conn, page, ids))
    total, more = _total(conn, asked) if before is None and following is not None else (None, False)
    if before is None and following is None:
        total = len(rows)
    back_to = instant_of(following) if late and not rest and following is not None else None
    return Page(rows, following, back_to, total, more)


def everything(
    conn: Connection, asked: Sequence[Criteria], before: str | None = None, *, most: int
) -> Iterator[Found]:
    """The same without pages, for a file; its memory does not grow."""
    left = most
    while left > 0:
        page = search(conn, asked, before, limit=min(500, left), seconds=5.0)
        yield from page.rows
        left -= len(page.rows)
        if page.before is None:
            return
        before = page.before


def _total(conn: Connection, asked: Sequence[Criteria]) -> tuple[int | None, bool]:
    """How many there are, where one index says it."""
    if len(asked) != 1 or len(asked[0].given) != 1 or "boxes" in asked[0].given:
        return None, False
    (one,) = asked
    found = 0
    every = [
        part
        for part in (
            _ways_to_payments(conn, one) if one.kind != LOAD and one.method != LOAD else None,
            ways.load_ways(conn, one) if not one.given & NOT_OF_LOADS else None,
        )
        if part is not None
    ]
    for through in every:
        if len(through) != 1:
            return None, False
        found += ways.count(conn, through[0], (None, None), ways.FEW - found)
        if found > ways.FEW:
            return ways.FEW, True
    return None, False


Stream = Iterator[tuple[str, list[str]]]
"""The lowest id that was looked at, and those of a piece that match."""


def _bounds(asked: Criteria, before: str | None) -> ways.Bounds:
    low = None if asked.since is None else first_id(asked.since - SLACK)
    high = None if asked.until is None else first_id(asked.until)
    highs = [one for one in (high, before) if one is not None]
    return low, min(highs) if highs else None


def _payments_of(conn: Connection, asked: Criteria, before: str | None) -> tuple[bool, Stream] | None:
    if LOAD in (asked.kind, asked.method):
        return None
    through = _ways_to_payments(conn, asked)
    ids = ways.newest_first(conn, through, ways.EVERY_PAYMENT, _bounds(asked, before))
    query = _payment_filter(conn, asked)
    return False, _matching(conn, ids, payments.c.id, query)


def _loads_of(conn: Connection, asked: Criteria, before: str | None) -> tuple[bool, Stream] | None:
    others = asked.kind not in (None, LOAD) or asked.method not in (None, LOAD)
    if others or asked.given & NOT_OF_LOADS:
        return None
    ids = ways.newest_first(conn, ways.load_ways(conn, asked), ways.EVERY_LOAD, _bounds(asked, before))
    query = _by_id(select(loads.c.id).where(*_load_conditions(asked)), loads)
    return True, _matching(conn, ids, loads.c.id, query)


def _matching(conn: Connection, ids: Iterator[str], identity: Any, query: Select[Any]) -> Stream:
    """Piece by piece, those of the ids that all conditions are true of."""
    once = (one for one, _ in groupby(ids))
    size = iter(CHUNKS)
    number = next(size)
    while piece := list(islice(once, number)):
        yield piece[-1], list(conn.scalars(query.where(identity.in_(piece))))
        number = next(size, number)


def _orders_of(conn: Connection, asked: Criteria) -> list[str] | None:
    """The orders that are meant, where any are."""
    found: list[str] | None = None
    if asked.number is not None:
        typed = f"{asked.number[:4]} {asked.number[4:]}"
        found = list(conn.scalars(select(orders.c.id).where(orders.c.number == typed)))
    if asked.order is not None:
        found = [asked.order] if found is None or asked.order in found else []
    return found


def _orders_of_journey(conn: Connection, correlation: str) -> list[str]:
    query = select(orders.c.id).where(orders.c.correlation == correlation).limit(MOST_ORDERS)
    return list(conn.scalars(query))


def _ways_to_payments(conn: Connection, asked: Criteria) -> list[ways.Way]:
    of_orders = _orders_of(conn, asked)
    found = ways.payment_ways(conn, asked, of_orders)
    if asked.correlation is not None:
        mine = ways.Run(payments.c.id, payments.c.correlation == asked.correlation, "payments_by_correlation")
        of_journey = _orders_of_journey(conn, asked.correlation)
        runs = (
            ways.Run(payments.c.id, payments.c.order_id == one, "payments_of_order") for one in of_journey
        )
        found.insert(0, ways.Way((mine, *runs)))
    return found


def _payment_filter(conn: Connection, asked: Criteria) -> Select[Any]:
    """Ids of payments that all that is asked for is true of; joined is what that needs."""
    table = payments.c
    joined: Any = payments
    conditions = _common_conditions(asked, payments, ways.states_of(asked, machines.PAYMENT_SHOWN))
    needed = set()
    of_orders = _orders_of(conn, asked)
    if of_orders is not None:
        conditions.append(table.order_id.in_(of_orders))
    if asked.correlation is not None:
        journey = _orders_of_journey(conn, asked.correlation)
        conditions.append(or_(table.correlation == asked.correlation, table.order_id.in_(journey)))
    for name in ("method", "service", "term", "received_fen"):
        if (value := getattr(asked, name)) is not None:
            conditions.append(table[name] == value)
    for name, column in (
        ("psam", debits.c.psam),
        ("terminal", debits.c.terminal_number),
        ("transaction_number", debits.c.terminal_transaction_number),
        ("offline_number", debits.c.offline_number),
        ("reference", authorisations.c.retrieval_reference),
        ("authorisation", authorisations.c.authorisation_code),
    ):
        if (value := getattr(asked, name)) is not None:
            needed.add(column.table)
            conditions.append(column == value)
    for name in ("batch", "stan"):
        if (value := getattr(asked, name)) is not None:
            needed |= {authorisations, certificates}
            conditions.append(or_(*(one.c[name] == value for one in (authorisations, certificates))))
    if asked.card_head or asked.card_end:
        needed |= {debits, authorisations, certificates}
        pattern = ways.like(asked)
        conditions.append(
            or_(*(one.c.card_masked.like(pattern) for one in (debits, authorisations, certificates)))
        )
    if asked.kind == "wallet":
        conditions.append(table.method.startswith(ways.WALLET))
    elif asked.kind is not None:
        of_kind = {"purse": debits, "online": authorisations, "electronic-cash": certificates}[asked.kind]
        needed.add(of_kind)
        conditions.append(of_kind.c.payment_id.is_not(None))
    for other in sorted(needed, key=lambda one: one.name):
        joined = joined.outerjoin(other, other.c.payment_id == table.id)
    return _by_id(select(table.id).select_from(joined).where(*conditions), payments)


def _by_id(query: Select[Any], table: Any) -> Select[Any]:
    """Found by their ids, whatever else is asked for: SQLite would rather read all that another index says."""
    return query.with_hint(table, f"INDEXED BY sqlite_autoindex_{table.name}_1", "sqlite")


def _load_conditions(asked: Criteria) -> list[ColumnElement[bool]]:
    table = loads.c
    conditions = _common_conditions(asked, loads, ways.states_of(asked, machines.LOAD_SHOWN))
    for name, column in (
        ("number", table.number),
        ("correlation", table.correlation),
        ("batch", table.batch),
        ("stan", table.stan),
        ("reference", table.retrieval_reference),
        ("authorisation", table.authorisation_code),
    ):
        if (value := getattr(asked, name)) is not None:
            conditions.append(column == value)
    if asked.card_head or asked.card_end:
        conditions.append(table.card_masked.like(ways.like(asked)))
    return conditions


def _common_conditions(asked: Criteria, of: Any, states: frozenset[str] | None) -> list[ColumnElement[bool]]:
    """What payments and loads have alike."""
    table = of.c
    conditions: list[ColumnElement[bool]] = []
    if asked.id is not None:
        conditions.append(table.id == asked.id)
    if asked.box is not None:
        conditions.append(table.box_number == asked.box)
    if asked.subscriber is not None:
        conditions.append(table.box_number.in_(asked.boxes or ()))
    if asked.reason is not None:
        conditions.append(table.reason == asked.reason)
    if asked.from_fen is not None:
        conditions.append(table.amount_fen >= asked.from_fen)
    if asked.to_fen is not None:
        conditions.append(table.amount_fen <= asked.to_fen)
    if asked.since is not None:
        conditions.append(table.created_at >= asked.since)
    if asked.until is not None:
        conditions.append(table.created_at < asked.until)
    if states is not None:
        conditions.append(table.state.in_(states))
    if asked.case is not None:
        about = cases.c.payment_id if of is payments else cases.c.load_id
        wanted = [about == table.id, *([cases.c.state == "open"] if asked.case == "open" else [])]
        conditions.append(exists().where(*wanted))
    return conditions


def _shown(conn: Connection, ids: Sequence[str], of_load: dict[str, bool]) -> Iterator[Found]:
    """The rows of a page, in their order."""
    rows: dict[str, Found] = {}
    if wanted := [one for one in ids if not of_load[one]]:
        rows |= {row.id: _payment(row) for row in conn.execute(_PAYMENT.where(payments.c.id.in_(wanted)))}
    if wanted := [one for one in ids if of_load[one]]:
        rows |= {row.id: _load(row) for row in conn.execute(_LOAD.where(loads.c.id.in_(wanted)))}
    for one in ids:
        if one in rows:
            yield rows[one]


_OF_PAYMENT = (
    "id", "box_number", "method", "service", "term", "amount_fen", "received_fen", "state", "reason", "created_at",
)  # fmt: skip
_PAYMENT: Select[Any] = (
    select(
        *(payments.c[name] for name in _OF_PAYMENT),
        orders.c.number,
        debits.c.payment_id.label("by_purse"),
        authorisations.c.payment_id.label("by_issuer"),
        certificates.c.payment_id.label("by_cash"),
        func.coalesce(debits.c.card_masked, authorisations.c.card_masked, certificates.c.card_masked).label(
            "card"
        ),
        exists().where(cases.c.payment_id == payments.c.id, cases.c.state == "open").label("asks"),
    )
    .join(orders, orders.c.id == payments.c.order_id)
    .outerjoin(debits, debits.c.payment_id == payments.c.id)
    .outerjoin(authorisations, authorisations.c.payment_id == payments.c.id)
    .outerjoin(certificates, certificates.c.payment_id == payments.c.id)
)
_LOAD: Select[Any] = select(
    loads,
    exists().where(cases.c.load_id == loads.c.id, cases.c.state == "open").label("asks"),
    literal(LOAD).label("method"),
)


def found_of(conn: Connection, identity: str) -> Found | None:
    """One transaction by its id; None where there is none."""
    row = conn.execute(_PAYMENT.where(payments.c.id == identity)).one_or_none()
    if row is not None:
        return _payment(row)
    load = conn.execute(_LOAD.where(loads.c.id == identity)).one_or_none()
    return None if load is None else _load(load)


def kind_of(row: Row[Any]) -> str | None:
    """What a payment was begun with."""
    if row.method != "card":
        return "wallet"
    if row.by_purse is not None:
        return "purse"
    if row.by_issuer is not None:
        return "online"
    return None if row.by_cash is None else "electronic-cash"


def kinds_of(conn: Connection, ids: Sequence[str]) -> dict[str, str | None]:
    """The same of payments by their ids; those that are none are left out."""
    return {row.id: kind_of(row) for row in conn.execute(_PAYMENT.where(payments.c.id.in_(ids)))}


def _payment(row: Row[Any]) -> Found:
    shown = machines.PAYMENT_SHOWN[row.state]
    return Found(
        id=row.id,
        at=row.created_at,
        number=row.number,
        box=row.box_number,
        method=row.method,
        kind=kind_of(row),
        card=row.card,
        service=row.service,
        term=row.term,
        amount_fen=row.amount_fen,
        received_fen=row.received_fen,
        state=row.state,
        shown=shown.state,
        money=shown.money,
        reason=row.reason,
        open=bool(row.asks),
    )


def _load(row: Row[Any]) -> Found:
    shown, money = machines.LOAD_SHOWN[row.state]
    return Found(
        id=row.id,
        at=row.created_at,
        number=number_of(row.id),
        box=row.box_number,
        method=LOAD,
        kind=LOAD,
        card=row.card_masked,
        service=None,
        term=None,
        amount_fen=row.amount_fen,
        received_fen=None,
        state=row.state,
        shown=shown,
        money=money,
        reason=row.reason,
        open=bool(row.asks),
    )
