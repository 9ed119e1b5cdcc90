"""What must be true of a TSP's tables at any moment, each told as what is wrong; reads only.

A payment's history, its standing in the books and its state must say the same; what is owed to BOSS or a wallet must
be in the outbox; what waits must have an end or a case.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from server_stub.foundation.money import yuan
from server_stub.foundation.problems import REFUSALS
from server_stub.foundation.signatures import key_id
from server_stub.foundation.states import Machine
from server_stub.settings import Settings
from server_stub.tsp import bank_card_invariants as bank_cards
from server_stub.tsp import books, machines
from server_stub.tsp.cases import accepted_proofs, borne_payments
from server_stub.tsp.moves import ASK_WALLET, OPEN_SERVICE, PRESENT, REFUND
from server_stub.tsp.payments import SWEPT
from server_stub.tsp.pos import APPROVED
from server_stub.tsp.psam_pool import COMPLETED
from server_stub.tsp.settlement import CLOSED, CLOSING
from server_stub.tsp.tables import (
    audit,
    authorisations,
    box_keys,
    cases,
    certificates,
    debits,
    jobs,
    keys,
    leases,
    ledger,
    loads,
    moves,
    orders,
    outbox,
    payments,
    settlements,
)
from server_stub.tsp.upload_invariants import uploads_fit

PAGE = 1000
LATE = timedelta(minutes=10)
"""So late may be what background work does: a partner that hangs, a server that was stopped for a while."""
A_DAY = timedelta(days=1)
FAR = timedelta(days=2)
"""Beyond its own time: what is a case is looked at once a day, and clocks are put right by hours at most."""
FIRST = {"order": "quoted", "card payment": "created", "wallet payment": "code-wanted", "load": "created"}
"""The states that rows begin in, by machine."""
OWED = {
    "paid": OPEN_SERVICE,
    "presenting": PRESENT,
    "refunding": REFUND,
    "wallet-silent": ASK_WALLET,
    "amount-differs": ASK_WALLET,
}
"""What must be in the outbox while a payment is in a state."""

Check = Callable[[Connection, datetime, Settings], list[str]]


def invariants(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """Everything that is wrong; nothing in a TSP that works.

    Args:
        conn: of one moment: a transaction that reads.
        settings: those the server runs with.
    """
    return [f"{name}: {said}" for name, check in CHECKS.items() for said in check(conn, now, settings)]


def _books(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    return ledger.faults(conn)


def _standings(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """Each payment stands in the books as its state says, by journals of moves that were made."""
    said = []
    journals, entries, history = ledger.journals.c, ledger.entries.c, moves.c
    for page in _pages(conn, payments):
        ids = [row.id for row in page]
        sums: dict[str, dict[str, int]] = defaultdict(dict)
        joined = ledger.journals.join(ledger.entries, entries.journal == journals.id)
        query = select(journals.reference, entries.account, func.sum(entries.amount_fen).label("fen"))
        query = query.select_from(joined).where(journals.reference.in_(ids))
        for reference, account, fen in conn.execute(query.group_by(journals.reference, entries.account)):
            if fen:
                sums[reference][account] = int(fen)
        made = select(history.row, history.target).where(history.row.in_(ids), history.legal)
        visited = {(name, target) for name, target in conn.execute(made)}
        kinds = select(journals.reference, journals.kind).where(journals.reference.in_(ids))
        said += [
            f"payment {name} has a journal {kind}, but never was that"
            for name, kind in conn.execute(kinds)
            if kind != books.BROUGHT_FORWARD and (name, kind) not in visited
        ]
        for row in page:
            money = books.Money(row.method, row.amount_fen, row.received_fen)
            wanted = books.standing(row.state, money)
            if sums[row.id] != wanted:
                said.append(
                    f"payment {row.id} is {row.state} and must stand as {_told(wanted)},"
                    f" but stands as {_told(sums[row.id])}"
                )
    known = select(payments.c.id)
    strange = select(journals.reference).where(journals.reference.not_in(known)).distinct()
    strange = strange.where(journals.kind != books.SETTLEMENT)
    said += [f"journals are booked for {name}, which is no payment" for name in conn.scalars(strange)]
    return said


def _told(standing: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {yuan(fen)} yuan" for name, fen in sorted(standing.items())) or "nothing"


def _histories(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """Each state was come to by legal moves, one after the other."""

    def card_or_wallet(row: Row[Any]) -> Machine:
        return machines.CARD_PAYMENT if row.method == "card" else machines.WALLET_PAYMENT

    return [
        *_chains(conn, orders, lambda row: machines.ORDER),
        *_chains(conn, payments, card_or_wallet),
        *_chains(conn, loads, lambda row: machines.LOAD),
    ]


def _chains(conn: Connection, table: Table, machine_of: Callable[[Row[Any]], Machine]) -> Iterator[str]:
    history = moves.c
    for page in _pages(conn, table):
        steps: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        mine = history.row.in_([row.id for row in page]) & history.legal
        for row in conn.execute(select(moves).where(mine).order_by(history.id)):
            steps[row.machine, row.row].append((row.origin, row.target))
        for row in page:
            machine = machine_of(row)
            at = FIRST[machine.name]
            for origin, target in steps[machine.name, row.id]:
                if origin != at or target not in machine.moves.get(origin, frozenset()):
                    yield f"{machine.name} {row.id} went from {origin} to {target}, being {at}"
                at = target
            if at != row.state:
                yield f"{machine.name} {row.id} is {row.state}, its history ends with {at}"


def _ends(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """What lives ends by its time, or is looked at, or is a case that is open."""
    said = []
    seconds = max(settings.qr_seconds, settings.unknown_lease_seconds, *settings.unknown_schedule)
    horizon = FAR + timedelta(seconds=max(seconds, settings.quote_seconds))
    swept = [state for states in SWEPT.values() for state in states]
    query = select(payments).where(payments.c.state.in_(swept))
    ran = _ran(conn, now)
    opened = set(conn.scalars(select(cases.c.payment_id).where(cases.c.state == "open")))
    for row in conn.execute(query.order_by(payments.c.id)):
        if row.expires_at < ran - LATE:
            said.append(
                f"payment {row.id} is {row.state}; its time was over at {row.expires_at:%Y-%m-%d %H:%M}"
            )
        if row.created_at <= now and row.expires_at > now + horizon:
            said.append(
                f"payment {row.id} is {row.state}; its time is over only at {row.expires_at:%Y-%m-%d}"
            )
        over = row.state in machines.WATCHED and row.looks >= len(settings.unknown_schedule)
        if over and row.id not in opened:
            said.append(f"payment {row.id} is {row.state} after its schedule, and no case is open")
    without = payments.c.live & payments.c.state.not_in(swept)
    for row in conn.execute(select(payments).where(without)):
        said.append(f"payment {row.id} is {row.state}, lives, and nothing ends it")
    return said


def _live(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """At most one payment of an order lives, and those live whose state does."""
    count = func.count()
    crowded = select(payments.c.order_id, count.label("many")).where(payments.c.live)
    crowded = crowded.group_by(payments.c.order_id).having(count > 1)
    said = [f"order {row.order_id} has {row.many} payments that live" for row in conn.execute(crowded)]
    wrong = payments.c.live != payments.c.state.in_(machines.LIVE)
    said += [
        f"payment {row.id} is {row.state}; live is {row.live}"
        for row in conn.execute(select(payments).where(wrong))
    ]
    return said


def _orders(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """An order that is being paid has a payment that lives; one that is completed has one that is opened."""
    said = []
    alive = select(payments.c.order_id).where(payments.c.live)
    opened = select(payments.c.order_id).where(payments.c.state == "opened")
    query = select(orders.c.id, orders.c.state)
    for condition, words in (
        ((orders.c.state == "paying") & orders.c.id.not_in(alive), "no payment of it lives"),
        (
            orders.c.state.in_(("quoted", "expired", "completed")) & orders.c.id.in_(alive),
            "a payment of it lives",
        ),
        (
            (orders.c.state == "completed") & orders.c.id.not_in(opened),
            "no payment of it has opened a service",
        ),
        ((orders.c.state != "completed") & orders.c.id.in_(opened), "a payment of it has opened a service"),
    ):
        said += [
            f"order {row.id} is {row.state}, but {words}" for row in conn.execute(query.where(condition))
        ]
    twice = select(payments.c.order_id).where(payments.c.state == "opened").group_by(payments.c.order_id)
    said += [
        f"order {name} was paid and opened twice" for name in conn.scalars(twice.having(func.count() > 1))
    ]
    return said


def _proofs(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """What a card has paid has its proof, what it may pay its debit, and what was paid came whole."""
    without = payments.c.id.not_in(select(debits.c.payment_id))
    begun = payments.c.state.in_(("card-checked", "mac1-issued", "mac2-refused", "proof-kept"))
    said = [
        f"payment {row.id} is {row.state}, but nothing is kept of its card"
        for row in conn.execute(select(payments.c.id, payments.c.state).where(begun & without))
    ]
    paid = payments.c.state.in_(("paid", "opened", "service-refused"))
    query = select(payments.c.id, payments.c.state, payments.c.method, debits.c.tac, debits.c.mac2)
    query = query.add_columns(payments.c.amount_fen, payments.c.received_fen)
    query = query.add_columns(authorisations.c.response_code, authorisations.c.chip_end)
    query = query.add_columns(certificates.c.response_code.label("certified"))
    joined = payments.outerjoin(debits, debits.c.payment_id == payments.c.id)
    joined = joined.outerjoin(authorisations, authorisations.c.payment_id == payments.c.id)
    joined = joined.outerjoin(certificates, certificates.c.payment_id == payments.c.id)
    bare = (payments.c.method == "card") & (debits.c.tac.is_(None) | debits.c.mac2.is_(None))
    short = payments.c.received_fen.is_(None) | (payments.c.received_fen != payments.c.amount_fen)
    by_decision = borne_payments(conn)
    for row in conn.execute(query.select_from(joined).where(paid & (bare | short))):
        if row.received_fen == 0 and row.id in by_decision and row.certified != APPROVED:
            continue  # a person has it opened all the same
        online = row.response_code == APPROVED and row.chip_end is not None
        bare_too = row.method == "card" and not (row.tac and row.mac2) and not online
        bare_too = bare_too and row.certified != APPROVED and not accepted_proofs(conn, row.id)
        if bare_too or row.received_fen != row.amount_fen:
            said.append(
                f"payment {row.id} is {row.state} with {yuan(row.received_fen or 0)} of {yuan(row.amount_fen)} yuan"
                f"{' and without a proof' if bare_too else ''}"
            )
    return said


def _settlements(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """What was closed is settled; whatever PPP's silence lasts, it does not last a day."""
    late = settlements.c.state.in_((CLOSING, CLOSED)) & (settlements.c.begun_at < _ran(conn, now) - A_DAY)
    return [
        f"batch {row.batch} of terminal {row.terminal} is {row.state} since {row.begun_at:%Y-%m-%d %H:%M}"
        for row in conn.execute(select(settlements).where(late))
    ]


def _owed(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """What is owed to BOSS or a wallet stands in the outbox, and nothing there is long overdue."""
    standing = conn.execute(select(outbox).where(outbox.c.due_at.is_not(None))).all()
    ran = _ran(conn, now)
    owed, said = set(), []
    for row in standing:
        try:
            owed.add((row.topic, json.loads(row.payload).get("payment")))
        except (ValueError, TypeError, AttributeError):
            said.append(f"delivery {row.id} ({row.topic}) has no payload that can be read")
    said += [
        f"payment {row.id} is {row.state}, but nothing in the outbox sees to that"
        for row in conn.execute(select(payments.c.id, payments.c.state).where(payments.c.state.in_(OWED)))
        if (OWED[row.state], row.id) not in owed
    ]
    said += [
        f"delivery {row.id} ({row.topic}) was due at {row.due_at:%Y-%m-%d %H:%M}, {row.attempts} attempts"
        for row in standing
        if row.due_at < ran - LATE
    ]
    return said


def _ran(conn: Connection, now: datetime) -> datetime:
    """The last instant at which a server is known to have run: what came due after it was switched off is not late."""
    written = (moves.c.at, keys.c.created_at, jobs.c.started_at, jobs.c.finished_at)
    known = [at for column in written if (at := conn.scalar(select(func.max(column)))) is not None]
    return min(now, max(known, default=now))


def _same(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """A payment is of its order: for the same box, and the same amount; what was created once is known by its key."""
    joined = payments.join(orders, orders.c.id == payments.c.order_id)
    differs = (payments.c.box_number != orders.c.box_number) | (payments.c.amount_fen != orders.c.amount_fen)
    query = select(payments.c.id, payments.c.box_number, payments.c.amount_fen, orders.c.id.label("order"))
    query = query.add_columns(orders.c.box_number.label("of"), orders.c.amount_fen.label("fen"))
    said = [
        f"payment {row.id} is of box {row.box_number} and {yuan(row.amount_fen)} yuan, its order {row.order} of {row.of}"
        f" and {yuan(row.fen)} yuan"
        for row in conn.execute(query.select_from(joined).where(differs))
    ]
    # Answers are forgotten by their age; half of it leaves room for clocks.
    young = payments.c.created_at > now - timedelta(days=settings.idempotency_days / 2)
    used = select(keys.c.key).where(keys.c.key == payments.c.created_key).exists()
    said += [
        f"payment {name} was created with an idempotency key that is not kept"
        for name in conn.scalars(select(payments.c.id).where(young & ~used))
    ]
    return said


def _numbers(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """A PSAM's transaction number is good for one debit, unless a person has said otherwise; no proof comes twice."""
    said = []
    paid = payments.c.state.in_(("paid", "opened", "service-refused"))
    joined = debits.join(payments, payments.c.id == debits.c.payment_id)
    proofs = select(debits.c.terminal_number, debits.c.terminal_transaction_number, debits.c.tac)
    proofs = proofs.select_from(joined).where(paid)
    for query, what in ((proofs, "proof"), (COMPLETED, "transaction number")):
        twice = query.group_by(*query.selected_columns).having(func.count() > 1)
        for row in conn.execute(twice):
            said.append(f"{what} {' '.join(map(str, row))} stands for several payments")
    return said


def _box_keys(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """A key has the name that its bytes give it, an end that there is, of a box's enrolments only the last is good, and
    none of which a key was copied.
    """
    said = []
    for row in conn.execute(select(box_keys.c.key_id, box_keys.c.box_number, box_keys.c.public_key)):
        try:
            right = row.key_id == key_id(bytes.fromhex(row.public_key))
        except (ValueError, TypeError):
            right = False
        if not right:
            said.append(f"key {row.key_id} of box {row.box_number} has not the name of its bytes")
    strange = select(box_keys.c.key_id, box_keys.c.ended).where(box_keys.c.ended.not_in(REFUSALS))
    said += [f"key {name} has ended as {ended}, which nothing does" for name, ended in conn.execute(strange)]
    many = func.count(box_keys.c.generation.distinct())
    crowded = select(box_keys.c.box_number).where(box_keys.c.ended.is_(None))
    crowded = crowded.group_by(box_keys.c.box_number).having(many > 1)
    said += [f"box {name} has good keys of several enrolments" for name in conn.scalars(crowded)]
    copied = box_keys.alias()
    same = (copied.c.box_number == box_keys.c.box_number) & (copied.c.generation == box_keys.c.generation)
    left = select(box_keys.c.key_id).distinct().join(copied, same)
    left = left.where(box_keys.c.ended.is_(None), copied.c.ended == "key-copied")
    return said + [
        f"key {name} is good, though one of its enrolment was copied" for name in conn.scalars(left)
    ]


def _leases(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """A PSAM is leased only to a payment that lives."""
    query = select(leases.c.psam, payments.c.id, payments.c.state)
    query = query.select_from(leases.join(payments, payments.c.id == leases.c.payment_id))
    ended = query.where(payments.c.state.not_in((*machines.CARD_PREPARING, *machines.CARD_UNKNOWN)))
    return [
        f"PSAM {row.psam} is leased to payment {row.id}, which is {row.state}" for row in conn.execute(ended)
    ]


def _audit(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    fault = audit.verify(conn).fault
    return [] if fault is None else [str(fault)]


def _jobs(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    failing = select(jobs).where(jobs.c.failures > 0).order_by(jobs.c.id)
    return [f"{row.id} failed {row.failures} times: {row.result}" for row in conn.execute(failing)]


def _pages(conn: Connection, table: Table) -> Iterator[Sequence[Row[Any]]]:
    """All rows in the order of their ids, so many at a time."""
    last = ""
    while True:
        query = select(table).where(table.c.id > last).order_by(table.c.id).limit(PAGE)
        page = conn.execute(query).all()
        if not page:
            return
        yield page
        last = page[-1].id


CHECKS: Mapping[str, Check] = {
    "books balance": _books,
    "payments stand in the books": _standings,
    "histories are legal": _histories,
    "what lives has an end or a case": _ends,
    "one payment of an order lives": _live,
    "orders agree with payments": _orders,
    "what is paid is proved and whole": _proofs,
    "what UnionPay was asked is what became of it": bank_cards.authorisations_fit,
    "what cards have certified is what became of it": bank_cards.certificates_fit,
    "what was loaded onto cards is what became of it": bank_cards.loads_fit,
    "batches are settled": _settlements,
    "what PPP was told of a day is what was debited": uploads_fit,
    "payments are of their orders": _same,
    "numbers and proofs of PSAMs are used once": _numbers,
    "keys are of their boxes": _box_keys,
    "what is owed is in the outbox": _owed,
    "PSAMs are leased to the living": _leases,
    "audit log is whole": _audit,
    "jobs do not fail": _jobs,
}
"""By name, in the order they are shown."""
