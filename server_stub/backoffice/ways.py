"""Ways to the ids of transactions through the indexes: each gives all that one criterion asks for, newest first.

SQLite and PostgreSQL take one index for a table, and which one they take for two conditions that are true of many rows each is
a guess. So the index is chosen here: the one with the fewest rows for what is asked for, counted up to FEW. Where all have
more, one that has its rows in the order of the ids is walked, and the rest is a filter.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, and_, func, literal, select

from cardreader.secret import mask_number
from server_stub.backoffice.criteria import Criteria
from server_stub.tsp import machines, tables
from server_stub.tsp.tables import authorisations, cases, certificates, debits, loads, payments

FEW = 10_000
"""So many ids are put in order at once, and so far is counted."""
MOST_RUNS = 96
"""So many equal values, each with its ids in order, are walked side by side."""
MOST_VALUES = 5_000
"""Of one condition."""
LENGTHS = range(11, 21)
"""Of card numbers."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows of one table that an index finds.

    Attributes:
        id: the column with the transaction's id.
        index: its name; empty: whichever the database takes.
        ordered: the index has them in the order of ids.
    """

    id: ColumnElement[Any]
    where: ColumnElement[bool]
    index: str = ""
    ordered: bool = False

    def ids(self, *bounds: ColumnElement[bool]) -> Select[Any]:
        """The ids, without order."""
        table: Any = self.id.table
        query = select(self.id).where(self.where, *bounds)
        return query.with_hint(table, f"INDEXED BY {self.index}", "sqlite") if self.index else query


@dataclass(frozen=True, slots=True)
class Way:
    """All ids of which a criterion is true, and perhaps others.

    Attributes:
        runs: together they have them.
        walk: the same as runs that are ordered, where that takes looking; None: there are too many.
    """

    runs: tuple[Run, ...]
    walk: Callable[[Connection], tuple[Run, ...] | None] | None = None

    def ordered(self, conn: Connection) -> tuple[Run, ...] | None:
        """Runs that are ordered, or None."""
        if all(run.ordered for run in self.runs):
            return self.runs
        return None if self.walk is None else self.walk(conn)


Bounds = tuple[str | None, str | None]
"""Ids from the first on, before the second."""


def bounded(column: ColumnElement[Any], bounds: Bounds) -> list[ColumnElement[bool]]:
    """The conditions that say so."""
    low, high = bounds
    return [*([column >= low] if low else []), *([column < high] if high else [])]


def count(conn: Connection, way: Way, bounds: Bounds, most: int = FEW) -> int:
    """How many rows a way has; ``most + 1`` for more than that."""
    found = 0
    for run in way.runs:
        inner = run.ids(*bounded(run.id, bounds)).limit(most + 1 - found).subquery()
        found += int(conn.execute(select(func.count()).select_from(inner)).scalar_one())
        if found > most:
            return most + 1
    return found


def newest_first(conn: Connection, ways: Sequence[Way], everything: Run, bounds: Bounds) -> Iterator[str]:
    """Ids through the way that has the fewest; without one, all there are. An id may come twice, one after the other."""
    best: tuple[int, Way] | None = None
    for way in ways:
        found = count(conn, way, bounds)
        if best is None or found < best[0]:
            best = (found, way)
        if not found:
            return iter(())
    if best is not None and best[0] <= FEW:
        if all(run.ordered for run in best[1].runs):
            return heapq.merge(*(_walked(conn, run, bounds) for run in best[1].runs), reverse=True)
        ids = {one for run in best[1].runs for one in conn.scalars(run.ids(*bounded(run.id, bounds)))}
        return iter(sorted(ids, reverse=True))
    for way in ways:
        runs = way.ordered(conn)
        if runs is not None:
            return heapq.merge(*(_walked(conn, run, bounds) for run in runs), reverse=True)
    return _walked(conn, everything, bounds)


def _walked(conn: Connection, run: Run, bounds: Bounds) -> Iterator[str]:
    """Piece after piece, larger and larger: most of the time the first is enough."""
    low, high = bounds
    size = 64
    while True:
        query = run.ids(*bounded(run.id, (low, high))).order_by(run.id.desc()).limit(size)
        found = list(conn.scalars(query))
        yield from found
        if len(found) < size:
            return
        high, size = found[-1], min(size * 4, 4096)


def _column(column: Any, value: Any) -> ColumnElement[bool]:
    return column.in_(value) if isinstance(value, frozenset) else column == value  # type: ignore[no-any-return]


def _equal(identity: Any, index: str, *pairs: tuple[Any, Any]) -> Run:
    """Rows with these values, which an index has in the order of ids."""
    return Run(identity, and_(*(column == value for column, value in pairs)), index, ordered=True)


def _several(
    index: str, columns: Sequence[Column[Any]], wanted: Mapping[str, Any]
) -> Callable[[Connection], tuple[Run, ...] | None]:
    """Runs for each combination of values of an index's columns that is there and wanted.

    Args:
        wanted: by column, a value, a frozenset of values, or a range ``(from, to)``, both included.
    """

    def walk(conn: Connection) -> tuple[Run, ...] | None:
        found: list[tuple[Any, ...]] = [()]
        for column in columns:
            deeper: list[tuple[Any, ...]] = []
            for fixed in found:
                pairs = list(zip(columns, fixed, strict=False))
                for value in _values(conn, column, pairs, wanted.get(column.name), index):
                    deeper.append((*fixed, value))
                    if len(deeper) > MOST_RUNS:
                        return None
            found = deeper
        identity = columns[0].table.c.id
        return tuple(_equal(identity, index, *zip(columns, one, strict=True)) for one in found)

    return walk


def _values(
    conn: Connection, column: Column[Any], pairs: Iterable[tuple[Any, Any]], wanted: Any, index: str
) -> Iterator[Any]:
    """The values of a column behind others that are fixed, each with one step down the index."""
    if isinstance(wanted, frozenset):
        yield from sorted(wanted)
        return
    if wanted is not None and not isinstance(wanted, tuple):
        yield wanted
        return
    low, high = wanted or (None, None)
    fixed = [one == value for one, value in pairs]
    after = column >= low if low is not None else None
    while True:
        query = select(column).where(*fixed, *([after] if after is not None else []))
        query = query.order_by(column).limit(1).with_hint(column.table, f"INDEXED BY {index}", "sqlite")
        value = conn.execute(query).scalar()
        if value is None or (high is not None and value > high):
            return
        yield value
        after = column > value


def _boxes(asked: Criteria) -> tuple[str, ...] | None:
    """Those of a subscriber; none as long as BOSS was not asked."""
    return asked.boxes or () if asked.subscriber is not None else None


def states_of(asked: Criteria, shown: Mapping[str, tuple[str, str]]) -> frozenset[str] | None:
    """The states inside the server that are asked for; None: any."""
    if not asked.given & {"state", "shown", "money"}:
        return None
    return frozenset(
        state
        for state, (name, money) in shown.items()
        if asked.state in (None, state) and asked.shown in (None, name) and asked.money in (None, money)
    )


def masks(head: str, end: str) -> list[str]:
    """A card's number as it stands in the tables, for each length that it may have."""
    return [mask_number(head + "0" * (length - 10) + end) for length in LENGTHS]


def like(asked: Criteria) -> str:
    """The pattern of a masked number."""
    head = asked.card_head
    return f"{head[:4]} {head[4:]}%{asked.card_end or ''}" if head else f"%{asked.card_end or ''}"


def _cards(asked: Criteria, *places: tuple[Table, Any]) -> Way:
    """Through the first six digits, and the last four where they are asked for."""
    head, end = asked.card_head, asked.card_end

    def index(table: Table) -> str:
        return f"{table.name}_by_card"

    if head and end:
        every = masks(head, end)
        runs = [
            _equal(identity, index(table), (table.c.card_masked, one))
            for table, identity in places
            for one in every
        ]
        few = (Run(identity, table.c.card_masked.in_(every), index(table)) for table, identity in places)
        return Way(tuple(few), lambda conn: tuple(runs))
    assert head
    low, high = f"{head[:4]} {head[4:]}", _after(head)
    ranged = (
        Run(
            identity,
            and_(table.c.card_masked >= low, *([table.c.card_masked < high] if high else [])),
            index(table),
        )
        for table, identity in places
    )
    return Way(tuple(ranged))


def _after(head: str) -> str | None:
    """What comes after all numbers that begin so; None: nothing."""
    if head == "999999":
        return None
    following = f"{int(head) + 1:06d}"
    return f"{following[:4]} {following[4:]}"


def by_end(conn: Connection, end: str, *places: tuple[Table, Any]) -> Way:
    """Through the last four digits: of each first six that there are, the numbers that end so."""
    runs: list[Run] = []
    for table, identity in places:
        column, index = table.c.card_masked, f"{table.name}_by_card"
        heads = select(func.min(column).label("value")).cte("heads", recursive=True)
        # Letters are behind digits in every collation; what hides the other digits is not the same everywhere.
        after = select(func.min(column)).where(column > func.substr(heads.c.value, 1, 7).concat("z"))
        heads = heads.union_all(select(after.scalar_subquery()).where(heads.c.value.is_not(None)))
        found = [one[:7].replace(" ", "") for one in conn.scalars(select(heads.c.value)) if one is not None]
        every = [one for head in found if head.isdecimal() for one in masks(head, end)]
        pieces = (every[first : first + MOST_VALUES] for first in range(0, len(every), MOST_VALUES))
        runs += (Run(identity, column.in_(piece), index) for piece in pieces)
    return Way(tuple(runs))


PAYMENT_CARDS = ((debits, debits.c.payment_id), (authorisations, authorisations.c.payment_id), (certificates, certificates.c.payment_id))  # fmt: skip
EVERY_PAYMENT = Run(payments.c.id, literal(1) == 1, ordered=True)
EVERY_LOAD = Run(loads.c.id, literal(1) == 1, ordered=True)
OF_KIND = {
    "purse": Run(debits.c.payment_id, literal(1) == 1, ordered=True),
    "online": Run(authorisations.c.payment_id, literal(1) == 1, ordered=True),
    "electronic-cash": Run(certificates.c.payment_id, literal(1) == 1, ordered=True),
}
BY_BATCH = {
    "card_authorisations": "one_of_a_slip",
    "card_certificates": "card_certificates_by_batch",
    "card_loads": "card_loads_by_batch",
}
WALLET = "wallet:"
"""How the method of every wallet begins."""


def payment_ways(conn: Connection, asked: Criteria, orders: Sequence[str] | None) -> list[Way]:
    """Ways to payments, the most selective kinds first.

    Args:
        orders: those that are asked for by their number or id; None: any.
    """
    ways: list[Way] = []
    table = payments.c
    if asked.id is not None:
        ways.append(Way((Run(table.id, table.id == asked.id, ordered=True),)))
    if orders is not None:
        ways.append(Way(tuple(Run(table.id, table.order_id == one, "payments_of_order") for one in orders)))
    for boxes in (None if asked.box is None else (asked.box,), _boxes(asked)):
        if boxes is not None:
            ways.append(
                Way(tuple(Run(table.id, table.box_number == one, "ix_payments_box_number") for one in boxes))
            )
    for name, column, index in (
        ("transaction_number", debits.c.terminal_transaction_number, "card_debits_by_number"),
        ("offline_number", debits.c.offline_number, "card_debits_by_offline_number"),
        ("psam", debits.c.psam, "card_debits_by_psam"),
        ("terminal", debits.c.terminal_number, "card_debits_by_terminal"),
        ("reference", authorisations.c.retrieval_reference, "card_authorisations_by_retrieval_reference"),
        ("authorisation", authorisations.c.authorisation_code, "card_authorisations_by_authorisation_code"),
    ):
        if (value := getattr(asked, name)) is not None:
            ways.append(Way((_equal(column.table.c.payment_id, index, (column, value)),)))
    ways += _slips(
        asked, (authorisations, authorisations.c.payment_id), (certificates, certificates.c.payment_id)
    )
    if asked.card_head or asked.card_end:
        ways.append(
            _cards(asked, *PAYMENT_CARDS)
            if asked.card_head
            else by_end(conn, asked.card_end or "", *PAYMENT_CARDS)
        )
    if asked.received_fen is not None:
        other = and_(tables.OTHERWISE, table.received_fen == asked.received_fen)
        amounts = _facets(asked, {"amount_fen": asked.received_fen})
        different = Run(table.id, other, "payments_received_otherwise", ordered=True)

        def received(conn: Connection) -> tuple[Run, ...] | None:
            runs = amounts.ordered(conn)
            return None if runs is None else (different, *runs)

        ways.append(Way((different, *amounts.runs), received))
    if asked.case is not None:
        ways.append(_cases(asked, cases.c.payment_id))
    if asked.reason is not None:
        ways.append(Way((_equal(table.id, "payments_by_reason", (table.reason, asked.reason)),)))
    return [*ways, *_common(asked)]


def _common(asked: Criteria) -> list[Way]:
    """Ways of which each is true of many payments."""
    ways: list[Way] = []
    table = payments.c
    states = states_of(asked, machines.PAYMENT_SHOWN)
    if asked.from_fen is not None or asked.to_fen is not None:
        low, high = asked.from_fen or 0, asked.to_fen
        ways.append(_facets(asked, {"amount_fen": low if low == high else (low, high)}))
    if asked.service is not None:
        ways.append(
            _facets(asked, {"service": asked.service}, "payments_by_service", ("service", "term", "method"))
        )
    if states is not None or asked.method is not None:
        wanted: dict[str, Any] = {"state": frozenset(machines.PAYMENT_SHOWN) if states is None else states}
        ways.append(_facets(asked, wanted, "payments_by_state", ("state", "method")))
    if asked.kind in OF_KIND:
        ways.append(Way((OF_KIND[asked.kind],)))
    elif asked.kind == "wallet":
        ways.append(Way((EVERY_PAYMENT,), _wallets))
    if asked.term is not None and asked.service is None:
        columns = [table[name] for name in ("service", "term", "method")]
        ways.append(Way((EVERY_PAYMENT,), _several("payments_by_service", columns, _wanted(asked))))
    return ways


def _wallets(conn: Connection) -> tuple[Run, ...] | None:
    """Runs of every wallet that there is."""
    columns = [payments.c.state, payments.c.method]
    wanted = {"state": frozenset(machines.PAYMENT_SHOWN), "method": (WALLET, WALLET + "~")}
    return _several("payments_by_state", columns, wanted)(conn)


def _wanted(asked: Criteria, **first: Any) -> dict[str, Any]:
    """What is asked of columns with few values."""
    found = {name: getattr(asked, name) for name in ("service", "term", "method")}
    return {**{name: value for name, value in found.items() if value is not None}, **first}


def _facets(
    asked: Criteria,
    first: Mapping[str, Any],
    index: str = "payments_by_amount",
    names: Sequence[str] = ("amount_fen", "service", "term", "method"),
) -> Way:
    """Through an index whose columns have few values; what is asked of its first ones narrows what is counted."""
    columns = [payments.c[name] for name in names]
    wanted = _wanted(asked, **first)
    conditions: list[ColumnElement[bool]] = []
    for column in columns:
        value = wanted.get(column.name)
        if value is None:
            continue
        if isinstance(value, tuple):
            conditions += [column >= value[0], *([column <= value[1]] if value[1] is not None else [])]
        else:
            conditions.append(_column(column, value))
    return Way((Run(payments.c.id, and_(*conditions), index),), _several(index, columns, wanted))


def _cases(asked: Criteria, identity: Any) -> Way:
    known = ("open",) if asked.case == "open" else ("open", "decided")
    runs = (
        Run(identity, and_(cases.c.state == state, identity.is_not(None)), "cases_by_state")
        for state in known
    )
    return Way(tuple(runs))


def _slips(asked: Criteria, *places: tuple[Table, Any]) -> list[Way]:
    """By batch and STAN."""
    if asked.stan is not None:
        runs = []
        for table, identity in places:
            pairs = [(table.c.stan, asked.stan), *([(table.c.batch, asked.batch)] if asked.batch else [])]
            where = and_(*(column == value for column, value in pairs))
            runs.append(Run(identity, where, f"{table.name}_by_stan"))
        return [Way(tuple(runs))]
    if asked.batch is not None:
        return [
            Way(
                tuple(
                    Run(identity, table.c.batch == asked.batch, BY_BATCH[table.name])
                    for table, identity in places
                )
            )
        ]
    return []


def load_ways(conn: Connection, asked: Criteria) -> list[Way]:
    """The same to loads."""
    ways: list[Way] = []
    table = loads.c
    if asked.id is not None:
        ways.append(Way((Run(table.id, table.id == asked.id, ordered=True),)))
    for name, column, index in (
        ("number", table.number, "ix_card_loads_number"),
        ("correlation", table.correlation, "card_loads_by_correlation"),
        ("reference", table.retrieval_reference, "card_loads_by_retrieval_reference"),
        ("authorisation", table.authorisation_code, "card_loads_by_authorisation_code"),
        ("box", table.box_number, "ix_card_loads_box_number"),
    ):
        if (value := getattr(asked, name)) is not None:
            ways.append(Way((Run(table.id, column == value, index),)))
    if (boxes := _boxes(asked)) is not None:
        ways.append(
            Way(tuple(Run(table.id, table.box_number == one, "ix_card_loads_box_number") for one in boxes))
        )
    ways += _slips(asked, (loads, table.id))
    if asked.card_head or asked.card_end:
        place = (loads, table.id)
        ways.append(_cards(asked, place) if asked.card_head else by_end(conn, asked.card_end or "", place))
    if asked.case is not None:
        ways.append(_cases(asked, cases.c.load_id))
    if asked.from_fen is not None or asked.to_fen is not None:
        low, high = asked.from_fen or 0, asked.to_fen
        wanted: Any = low if low == high else (low, high)
        conditions = [table.amount_fen >= low, *([table.amount_fen <= high] if high is not None else [])]
        if low == high:
            conditions = [table.amount_fen == low]
        run = Run(table.id, and_(*conditions), "card_loads_by_amount")
        ways.append(Way((run,), _several("card_loads_by_amount", [table.amount_fen], {"amount_fen": wanted})))
    states = states_of(asked, machines.LOAD_SHOWN)
    if states is not None:
        each = tuple(
            _equal(table.id, "card_loads_by_state", (table.state, state)) for state in sorted(states)
        )
        ways.append(Way(each))
    if asked.reason is not None:
        ways.append(Way((_equal(table.id, "card_loads_by_reason", (table.reason, asked.reason)),)))
    return ways
