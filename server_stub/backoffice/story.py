"""One transaction's whole story: everything that any of the books knows of it, in the order in which it came about.

Everything is found through keys and indexes. What is sealed, keyed or raw is not read at all; digits that could be a whole
card number are masked wherever they stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, and_, or_, select

from server_stub.backoffice import words
from server_stub.backoffice.story_words import (
    BOOKED,
    MILESTONES,
    MOVES,
    OF_MONEY,
    ORDER_MOVES,
    REQUESTS,
    SAID,
)
from server_stub.backoffice.transactions import Found, found_of
from server_stub.boss import tables as boss
from server_stub.foundation.card_numbers import hidden
from server_stub.foundation.clock import CHINA
from server_stub.foundation.files import SUPERSEDED
from server_stub.foundation.money import yuan
from server_stub.foundation.purse_details import ANSWERS
from server_stub.ppp import tables as ppp
from server_stub.tsp import tables as tsp
from server_stub.tsp.pos import APPROVED

MOST_ANSWERS = 2_000
"""Of a box, that are looked through."""
_SECRET = frozenset({"qr", "payload", "token", "key", "mac1", "sealed", "card_sealed", "fingerprint", "pin"})


class Event(NamedTuple):
    """Something that has happened.

    Attributes:
        role: whose books say so.
        text, values: a message, and what is put into it.
        actor: as the books have it; None: nobody in particular.
        tone: ``good``, ``wait``, ``bad`` or ``plain``.
        fen: the amount that it is about, where its text does not say that.
        milestone: whoever asks what has become of a payment wants to know; the rest is how it came about.
        details: names and values for whoever wants them; their names say what they are (``code_words``).
    """

    at: datetime
    role: str
    text: str
    values: Mapping[str, str] = {}
    actor: str | None = None
    tone: str = "plain"
    details: tuple[tuple[str, str], ...] = ()
    fen: int | None = None
    milestone: bool = False


class Chapter(NamedTuple):
    """A milestone and the steps after it, up to the next one; the first may have steps only."""

    milestone: Event | None
    steps: tuple[Event, ...]


class Journal(NamedTuple):
    """A balanced set of entries: accounts and fen, debits positive."""

    role: str
    kind: str
    at: datetime
    entries: tuple[tuple[str, int], ...]


class AtTsp(NamedTuple):
    """What the TSP's books say.

    Attributes:
        order: None of a load.
        slips: terminal, batch and STAN of the messages to PPP.
        card: what is known of the card, by name.
    """

    found: Found
    order: Row[Any] | None
    subject: Row[Any]
    card: tuple[tuple[str, str], ...]
    slips: tuple[tuple[str, str, str], ...]
    events: tuple[Event, ...]
    journals: tuple[Journal, ...]
    cases: tuple[Row[Any], ...]


class AtBoss(NamedTuple):
    """What BOSS's books say: who the subscriber is, the order and what it has opened."""

    subscriber: Row[Any] | None
    order: Row[Any] | None
    subscription: Row[Any] | None
    events: tuple[Event, ...]
    journals: tuple[Journal, ...]


def _files(conn: Connection, transaction: str) -> Iterator[Event]:
    """The files of the day in which a debit of a purse went to PPP."""
    upload = _row(conn, tsp.uploads, payment_id=transaction)
    if upload is None or upload.day is None:
        return
    table = tsp.files.files
    mine = (table.c.partner == "ppp") & (table.c.day == upload.day) & (table.c.state != SUPERSEDED)
    for row in conn.execute(select(table).where(mine).order_by(table.c.id)):
        details = _details(row, "name", "direction", "version", "file_state=state", "size", "sha256")
        code = (("code", upload.code),) if row.name.startswith(ANSWERS) and upload.code else ()
        yield Event(row.at, "exchange", SAID["filed"], {"name": row.name}, details=(*details, *code))


def _breaks(conn: Connection, keys: Sequence[str]) -> Iterator[Event]:
    """The differences that were found about it."""
    table = tsp.book.breaks.c
    for row in conn.execute(select(tsp.book.breaks).where(table.key.in_(keys)).order_by(table.id)):
        details = _details(
            row, "id", "pair", "day", "cls", "break_state=state", "action", "rule", "reason", "actor"
        )
        yield Event(
            row.opened_at, "tsp", SAID["differed"], {"pair": row.pair}, None, "wait", details, milestone=True
        )


def at_tsp(conn: Connection, transaction: str) -> AtTsp | None:
    """A payment or load with all that belongs to it; None where there is none of that id."""
    found = found_of(conn, transaction)
    if found is None:
        return None
    of_load = found.method == "load"
    subject = _row(conn, tsp.loads if of_load else tsp.payments, id=transaction)
    assert subject is not None
    order = None if of_load else _row(conn, tsp.orders, id=subject.order_id)
    rows = [transaction, *([order.id] if order is not None else [])]
    debit = None if of_load else _row(conn, tsp.debits, payment_id=transaction)
    asked = subject if of_load else _row(conn, tsp.authorisations, payment_id=transaction)
    certificate = None if of_load else _row(conn, tsp.certificates, payment_id=transaction)
    about = tsp.cases.c.load_id if of_load else tsp.cases.c.payment_id
    cases = list(conn.execute(select(tsp.cases).where(about == transaction).order_by(tsp.cases.c.id)))
    journeys = {one for one in (subject.correlation, order.correlation if order is not None else None) if one}
    begun = order.created_at if order is not None else subject.created_at
    events = [
        *_beginning(found, order),
        *_moves(conn, rows, found),
        *_purse(debit),
        *_issuer(asked, of_load=of_load),
        *_certificate(certificate),
        *_of_cases(cases),
        *_deliveries(conn, journeys, transaction),
        *_inquiries(conn, journeys),
        *_answers(conn, found.box, begun, rows),
        *_audited(conn, tsp.audit.records, [*rows, *(case.id for case in cases)], "tsp"),
        *_files(conn, transaction),
    ]
    journals = _journals(conn, tsp.ledger, rows, "tsp")
    slips = [(str(one.batch), str(one.stan)) for one in (asked, certificate) if one is not None and one.stan]
    terminals = list(conn.scalars(select(tsp.pos_terminals.c.id))) if slips else []
    keys = [transaction, *("-".join((terminal, *slip)) for terminal in terminals for slip in slips)]
    events += _breaks(conn, keys)
    return AtTsp(
        found,
        order,
        subject,
        tuple(_card(found, debit, asked, certificate)),
        tuple((terminal, *slip) for terminal in terminals for slip in slips),
        tuple(_of_kind(event, found.kind) for event in events),
        (*journals,),
        tuple(cases),
    )


def at_boss(conn: Connection, box: str, order: str | None) -> AtBoss:
    """What BOSS knows of a box's subscriber, and of an order."""
    home = _row(conn, boss.boxes, box_number=box)
    person = None if home is None else _row(conn, boss.subscribers, id=home.subscriber_id)
    row = None if order is None else _row(conn, boss.orders, id=order)
    subscription = None
    if row is not None and row.subscription_id is not None:
        subscription = _row(conn, boss.subscriptions, id=row.subscription_id)
    events = []
    if row is not None:
        told = _details(
            row, "id", "order_state=state", "refusal", "list_fen", "reduction_fen", "amount_fen", "payment"
        )
        events.append(
            Event(row.created_at, "boss", SAID["quoted"], {"yuan": yuan(row.amount_fen)}, details=told)
        )
    if subscription is not None:
        names = ("id", "service", "term", "valid_from", "valid_until", "paid_fen", "cancelled")
        values = {"until": f"{subscription.valid_until:%Y-%m-%d}"}
        events.append(
            Event(
                subscription.paid_at,
                "boss",
                SAID["subscribed"],
                values,
                None,
                "good",
                _details(subscription, *names),
            )
        )
    journals = [] if order is None else _journals(conn, boss.ledger, [order], "boss")
    return AtBoss(person, row, subscription, tuple(events), tuple(journals))


def at_ppp(conn: Connection, slips: Sequence[tuple[str, str, str]]) -> tuple[Event, ...]:
    """What PPP and the issuer know of messages by their terminal, batch and STAN."""
    if not slips:
        return ()
    table = ppp.transactions.c
    mine = or_(
        *(
            and_(table.terminal == terminal, table.batch == batch, table.stan == stan)
            for terminal, batch, stan in slips
        )
    )
    # The answer's text and the account's number are not read.
    names = ("id", "terminal", "batch", "stan", "bank_kind=kind", "bank_state=state", "amount_fen", "code", "reason", "script", "certificate")  # fmt: skip
    columns = (name.rpartition("=")[2] for name in (*names, "at", "ended_at"))
    query = select(*(table[name] for name in columns)).where(mine)
    events = []
    for row in conn.execute(query):
        tone = "good" if row.code == APPROVED else "bad"
        values = {"code": row.code}
        events.append(Event(row.at, "ppp", SAID["at-ppp"], values, None, tone, _details(row, *names)))
        if row.ended_at is not None:
            events.append(Event(row.ended_at, "ppp", SAID["ended-at-ppp"], {"bank_state": row.state}))
    return tuple(events)


def in_order(*parts: Iterable[Event]) -> list[Event]:
    """All events by time; what happened at once stays in the order in which it was named."""
    return sorted((event for part in parts for event in part), key=lambda event: event.at)


def chapters(events: Sequence[Event]) -> list[Chapter]:
    """The same by milestones.

    >>> from datetime import UTC
    >>> at = datetime(2026, 6, 21, tzinfo=UTC)
    >>> told = chapters([Event(at, "tsp", "a", milestone=True), Event(at, "tsp", "b"), Event(at, "tsp", "c", milestone=True)])
    >>> [(one.milestone.text, len(one.steps)) for one in told]
    [('a', 1), ('c', 0)]
    """
    found: list[tuple[Event | None, list[Event]]] = []
    for event in events:
        if event.milestone:
            found.append((event, []))
        elif found:
            found[-1][1].append(event)
        else:
            found.append((None, [event]))
    return [Chapter(milestone, tuple(steps)) for milestone, steps in found]


def _row(conn: Connection, table: Table, **key: str) -> Row[Any] | None:
    query = select(*(column for column in table.columns if column.name not in _UNREAD))
    return conn.execute(query.where(*(table.c[name] == value for name, value in key.items()))).one_or_none()


_UNREAD = frozenset(
    {"card_sealed", "card_fingerprint", "random", "mac2", "chip", "chip_answer", "chip_end", "activation_hash", "qr_payload"}
)  # fmt: skip
"""Columns that are nobody's business here."""


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(CHINA):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return hidden(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _details(row: Row[Any], *names: str) -> tuple[tuple[str, str], ...]:
    """Values of a row by the names of its columns; ``"NAME=COLUMN"`` where that name says better what it is."""
    pairs = (name.partition("=") for name in names)
    told = ((name, getattr(row, column or name)) for name, _, column in pairs)
    return tuple((name, _amount(name, value)) for name, value in told if value is not None)


def _amount(name: str, value: Any) -> str:
    return words.yuan(value) if name.endswith("_fen") and isinstance(value, int) else _written(value)


def _json(text: str) -> Iterator[tuple[str, str]]:
    """What a JSON object says, without what would let somebody in."""
    try:
        told = json.loads(text)
    except ValueError:
        return
    if isinstance(told, dict):
        for name, value in sorted(told.items()):
            if value is not None and name not in _SECRET and not isinstance(value, dict | list):
                yield name, _amount(name, value)


def _of_kind(event: Event, kind: str | None) -> Event:
    """The same where a card is called what it is, as everywhere."""
    if kind is None or ("method", "card") not in event.details:
        return event
    named = tuple(
        (name, kind if (name, value) == ("method", "card") else value) for name, value in event.details
    )
    return event._replace(details=named)


def _beginning(found: Found, order: Row[Any] | None) -> Iterator[Event]:
    if order is not None:
        names = (
            "id",
            "number",
            "term",
            "list_fen",
            "reduction_fen",
            "amount_fen",
            "expires_at",
            "correlation",
        )
        values = {"yuan": yuan(order.amount_fen)}
        details = _details(order, *names)
        yield Event(order.created_at, "tsp", SAID["ordered"], values, "box", details=details, milestone=True)
    text = SAID["load"] if order is None else SAID["begun"]
    about = (("id", found.id), ("method", found.method))
    yield Event(found.at, "tsp", text, {"yuan": yuan(found.amount_fen)}, "box", details=about, milestone=True)


def _moves(conn: Connection, rows: Sequence[str], found: Found) -> Iterator[Event]:
    table = tsp.moves
    for row in conn.execute(select(table).where(table.c.row.in_(rows)).order_by(table.c.id)):
        own = row.row == found.id
        words = MOVES if own else ORDER_MOVES
        text, tone = words.get(row.target, (SAID["moved"], "plain"))
        if not row.legal:
            text, tone = SAID["refused-move"], "wait"
        details = _details(row, "machine", "origin", "target", "actor", "correlation")
        values = {"origin": row.origin, "target": row.target}
        # Where it stands now is one of them, whatever that is.
        milestone = own and row.legal and (row.target in MILESTONES or row.target == found.state)
        fen = found.received_fen or found.amount_fen if row.target in OF_MONEY and milestone else None
        yield Event(row.at, "tsp", text, values, row.actor, tone, details, fen, milestone)


def _purse(debit: Row[Any] | None) -> Iterator[Event]:
    if debit is None or debit.date is None:
        return
    at = datetime.strptime(debit.date + debit.time, "%Y%m%d%H%M%S").replace(tzinfo=CHINA)
    names = ("psam", "terminal_number", "terminal_transaction_number", "offline_number", "key_version", "algorithm_id", "tac")  # fmt: skip
    yield Event(at, "tsp", SAID["psam"], {"psam": debit.psam}, details=_details(debit, *names))


def _issuer(asked: Row[Any] | None, *, of_load: bool) -> Iterator[Event]:
    if asked is None or asked.asked_at is None:
        return
    slip = {"batch": asked.batch or "", "stan": asked.stan or ""}
    text = SAID["asked-load"] if of_load else SAID["asked"]
    yield Event(asked.asked_at, "tsp", text, slip, details=_details(asked, "batch", "stan"))
    if asked.answered_at is not None:
        names = ("response_code", "retrieval_reference", "authorisation_code", "script_code")
        good = asked.response_code == APPROVED
        values = {"code": asked.response_code or "?"}
        text = SAID["approved"] if good else SAID["declined"]
        yield Event(
            asked.answered_at,
            "tsp",
            text,
            values,
            "ppp",
            "good" if good else "bad",
            _details(asked, *names),
        )
    if asked.reversed_at is not None:
        values = {"code": asked.reversal_code or "?"}
        told = _details(asked, "reversal_reason", "reversal_code")
        yield Event(asked.reversed_at, "tsp", SAID["reversed"], values, "ppp", "wait", told)


def _certificate(certificate: Row[Any] | None) -> Iterator[Event]:
    if certificate is None:
        return
    names = ("atc", "sequence_number", "balance_before_fen", "balance_after_fen")
    yield Event(certificate.begun_at, "tsp", SAID["cash"], details=_details(certificate, *names))
    if certificate.answered_at is not None:
        good = certificate.response_code == APPROVED
        values = {"code": certificate.response_code or "?"}
        text = SAID["certificate-taken"] if good else SAID["certificate-refused"]
        details = _details(certificate, "batch", "stan", "response_code")
        yield Event(certificate.answered_at, "tsp", text, values, "ppp", "good" if good else "bad", details)


def _of_cases(cases: Iterable[Row[Any]]) -> Iterator[Event]:
    for case in cases:
        details = (("case", case.id), ("case_kind", case.kind), *_json(case.facts))
        yield Event(
            case.at, "tsp", SAID["case"], {"case_kind": case.kind}, None, "bad", details, milestone=True
        )
        if case.decided_at is not None:
            told = _details(case, "id", "decision", "reason", "actor", "second")
            values = {"decision": case.decision or ""}
            yield Event(
                case.decided_at, "tsp", SAID["decided"], values, case.actor, "good", told, milestone=True
            )


def _deliveries(conn: Connection, journeys: Iterable[str], transaction: str) -> Iterator[Event]:
    table = tsp.outbox
    query = select(table).where(table.c.correlation.in_(sorted(journeys))).order_by(table.c.id)
    for row in conn.execute(query):
        if f'"{transaction}"' not in row.payload:
            continue
        details = (*_details(row, "id", "topic", "attempts", "last_error", "due_at"), *_json(row.payload))
        yield Event(row.created_at, "tsp", SAID["owed"], {"topic": row.topic}, details=details)
        if row.delivered_at is not None:
            yield Event(row.delivered_at, "tsp", SAID["delivered"], {"topic": row.topic}, None, "good")


def _inquiries(conn: Connection, journeys: Iterable[str]) -> Iterator[Event]:
    table = tsp.inquiries
    for row in conn.execute(select(table).where(table.c.correlation.in_(sorted(journeys)))):
        details = _details(
            row, "id", "inquiry_kind=kind", "card_masked", "issuer_id", "balance_fen", "refusal"
        )
        yield Event(row.at, "tsp", SAID["looked"], {}, "box", "bad" if row.refusal else "plain", details)


def _answers(conn: Connection, box: str, begun: datetime, rows: Sequence[str]) -> Iterator[Event]:
    """Requests of the box whose answers name the order or the transaction."""
    table = tsp.keys
    mine = (table.c.scope == f"box:{box}") & (table.c.created_at >= begun) & table.c.answer.is_not(None)
    query = select(table.c.created_at, table.c.status, table.c.answer).where(mine).limit(MOST_ANSWERS)
    for row in conn.execute(query):
        if any(f'"{one}"' in row.answer for one in rows):
            said = (("shown_state" if name == "state" else name, value) for name, value in _json(row.answer))
            details = (("status", str(row.status)), *said)
            tone = "plain" if row.status < 400 else "wait"
            yield Event(
                row.created_at,
                "tsp",
                REQUESTS[row.status < 400],
                {"status": str(row.status)},
                "box",
                tone,
                details,
            )


def _audited(conn: Connection, table: Table, subjects: Sequence[str], role: str) -> Iterator[Event]:
    query = select(table).where(table.c.subject.in_(subjects)).order_by(table.c.sequence)
    for row in conn.execute(query):
        details = (*_details(row, "sequence", "audited=action", "subject", "hash"), *_json(row.facts))
        yield Event(row.at, role, SAID["audited"], {"audited": row.action}, row.actor, "plain", details)


def _journals(conn: Connection, ledger: Any, references: Sequence[str], role: str) -> list[Journal]:
    table, lines = ledger.journals, ledger.entries
    query = select(table).where(table.c.reference.in_(references)).order_by(table.c.at, table.c.id)
    rows = list(conn.execute(query))
    entries: dict[str, list[tuple[str, int]]] = {}
    of_these = lines.c.journal.in_([row.id for row in rows])
    debits_first = lines.c.amount_fen < 0
    for line in conn.execute(
        select(lines).where(of_these).order_by(lines.c.journal, debits_first, lines.c.line)
    ):
        entries.setdefault(line.journal, []).append((line.account, int(line.amount_fen)))
    return [
        Journal(role, BOOKED.get(row.kind, row.kind), row.at, tuple(entries.get(row.id, ()))) for row in rows
    ]


def _card(
    found: Found, debit: Row[Any] | None, asked: Row[Any] | None, certificate: Row[Any] | None
) -> Iterator[tuple[str, str]]:
    """What is known of the card, for the page's facts."""
    if found.card is not None:
        yield "card_masked", found.card
    for row, names in (
        (debit, ("balance_before_fen", "balance_after_fen", "psam", "terminal_number", "terminal_transaction_number", "offline_number")),
        (asked, ("batch", "stan", "response_code", "retrieval_reference", "authorisation_code")),
        (certificate, ("balance_before_fen", "balance_after_fen", "atc", "batch", "stan", "response_code")),
    ):  # fmt: skip
        if row is not None:
            yield from _details(row, *names)
