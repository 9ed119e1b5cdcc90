"""What must be true of debit and credit cards in a TSP's tables: sales, certificates and loads are what became of them."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import Connection, select

from server_stub.settings import Settings
from server_stub.tsp import machines
from server_stub.tsp.cases import CHARGED, WRITTEN_OFF
from server_stub.tsp.moves import PRESENT, REVERSE_LOAD, borne
from server_stub.tsp.pos import APPROVED, REVERSED
from server_stub.tsp.tables import authorisations, cases, certificates, loads, outbox, payments


def authorisations_fit(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """What PPP was asked fits what has become of the payment: approved, declined, or reversed."""
    joined = payments.outerjoin(authorisations, authorisations.c.payment_id == payments.c.id)
    query = select(payments.c.id, payments.c.state, authorisations).select_from(joined)
    asked = authorisations.c.payment_id.is_not(None)
    said = []
    for row in conn.execute(query.where(asked | payments.c.state.in_(machines.ONLINE_UNKNOWN))):
        approved, undone = row.response_code == APPROVED, row.reversal_code in REVERSED
        right = {
            "authorising": row.payment_id is not None and not approved,
            "authorised": approved,
            "reversing": row.reversal_reason is not None and not undone,
            "failed": undone if row.reversal_reason is not None else bool(row.response_code) and not approved,
        }
        if not right.get(row.state, True):
            said.append(
                f"payment {row.id} is {row.state}, but was answered {row.response_code}, reversed as"
                f" {row.reversal_reason}, that answered {row.reversal_code}"
            )
    return said


def certificates_fit(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """What a card has said, and PPP to that, fits what has become of its payment with electronic cash."""
    joined = payments.outerjoin(certificates, certificates.c.payment_id == payments.c.id)
    query = select(payments.c.id, payments.c.state, payments.c.method, payments.c.received_fen, certificates)
    query = query.select_from(joined)
    begun = certificates.c.payment_id.is_not(None)
    owed = _owed(conn, PRESENT, "payment")
    said = []
    for row in conn.execute(
        query.where(begun | payments.c.state.in_(("presenting", *machines.CASH_UNKNOWN)))
    ):
        here, answered = row.chip is not None, row.response_code is not None
        right = {
            "cash-begun": row.payment_id is not None and not here,
            "presenting": here and not answered,
            "certificate-refused": here and answered and row.response_code != APPROVED,
            "certificate-lost": row.payment_id is not None and not here,
            "failed": not here,
            **dict.fromkeys(machines.PAID, row.response_code == APPROVED or borne(row)),
        }
        if borne(row) and here and not answered and row.id not in owed:
            said.append(f"payment {row.id} is borne; its certificate is here, and PPP is not owed it")
        if not right.get(row.state, True):
            told = "here" if here else "not here"
            said.append(
                f"payment {row.id} is {row.state}; its certificate is {told}, answered {row.response_code}"
            )
    return said


def _owed(conn: Connection, topic: str, what: str) -> set[str]:
    """Ids of the payments or loads for which a delivery stands in the outbox."""
    standing = select(outbox.c.payload).where(outbox.c.topic == topic, outbox.c.due_at.is_not(None))
    return {json.loads(payload).get(what) for payload in conn.scalars(standing)}


def loads_fit(conn: Connection, now: datetime, settings: Settings) -> list[str]:
    """What PPP was asked for a load fits what has become of it, a reversal that is owed stands in the outbox, and what card
    and account tell differently is a case: open, or decided as the load says.
    """
    owed = _owed(conn, REVERSE_LOAD, "load")
    asked = select(cases.c.load_id, cases.c.state, cases.c.decision).where(cases.c.load_id.is_not(None))
    known = {
        (row.load_id, row.decision if row.state == "decided" else row.state) for row in conn.execute(asked)
    }
    said = []
    for row in conn.execute(select(loads).where(loads.c.state != "created")):
        approved, undone = row.response_code == APPROVED, row.reversal_code in REVERSED
        right = {
            "authorising": not approved,
            "authorised": approved and row.reversal_reason is None,
            "loaded": (approved and row.reversal_reason is None) or (row.id, CHARGED) in known,
            "reversing": row.reversal_reason is not None and not undone and row.id in owed,
            "failed": row.stan is None
            or (undone if row.reversal_reason is not None else bool(row.response_code) and not approved),
            "disputed": row.reversal_reason is None or approved,
            "written-off": (row.id, WRITTEN_OFF) in known,
        }
        if row.state == "disputed" and (row.id, "open") not in known:
            said.append(f"load {row.id} is disputed, and no case is open")
        if (row.stan is None and row.state in machines.LOAD_ASKED) or not right[row.state]:
            said.append(
                f"load {row.id} is {row.state}, but was answered {row.response_code}, reversed as"
                f" {row.reversal_reason}, that answered {row.reversal_code}"
            )
    return said
