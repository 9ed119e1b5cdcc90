"""Cases: what stays open becomes one, and a person decides it, with a reason, above a limit with a second person.

CaseRefused      a decision that cannot be made so; nothing has changed
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, or_, select, update

from server_stub.foundation import card_numbers, statements, states
from server_stub.foundation.people import same_person
from server_stub.foundation.sentences import N_, Refusal
from server_stub.reconciliation.book import CHANGED, SECOND_WANTED
from server_stub.reconciliation.break_rows import digest
from server_stub.tsp import core, machines, operating
from server_stub.tsp.moves import OPEN_SERVICE, Moves, borne, open_cases
from server_stub.tsp.pos import APPROVED
from server_stub.tsp.tables import audit, authorisations, cases, certificates, debits, loads, orders, payments

ACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "accept-proof": ("mac2-refused", "proof-kept", "contradicted"),
        "write-off": (*machines.CARD_UNKNOWN, *machines.CASH_UNKNOWN, "reversing", "wallet-silent"),
        "open-service": machines.CASH_UNKNOWN,
        "present-again": ("certificate-refused", *machines.PAID),
        "refund": ("amount-differs",),
        "retry-opening": ("service-refused",),
        "returned-by-hand": ("service-refused",),
        "close": tuple(sorted(machines.PAYMENT_SHOWN.keys() - machines.WATCHED.keys())),
    }
)
"""What a person can do, and in which states of the payment. docs/ledger.md says what each means."""
CHARGED, WRITTEN_OFF, BEAR = "charged-by-bank", "write-off", "open-service"
LOAD_ACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        CHARGED: ("disputed",),
        WRITTEN_OFF: ("disputed",),
        "close": tuple(
            sorted(name for name, (_, money) in machines.LOAD_SHOWN.items() if money != "unknown")
        ),
    }
)
"""The same of a load of electronic cash."""


class CaseRefused(Refusal):
    """A decision that cannot be made so; the text says why."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person has decided.

    Args:
        case: its id.
        action: one of ACTIONS, or of LOAD_ACTIONS.
        actor, second: names of the person and, above the limit, of a second one.
        by: who gave the command, as the system knows them.
        seen: ``fingerprint`` of what they have decided about; None: of whatever it is now.
    """

    case: str
    action: str
    reason: str
    actor: str
    second: str | None = None
    by: str | None = None
    seen: str | None = None


class Decided(NamedTuple):
    """What a decision was about, ``"payment"`` or ``"load"``, and the state that is in now."""

    about: str
    state: str


def decide(conn: Connection, moves: Moves, decision: Decision) -> Decided:
    """Does what was decided, in one transaction with the books and the audit log.

    Raises:
        CaseRefused
    """
    case = conn.execute(select(cases).where(cases.c.id == decision.case)).one_or_none()
    if case is None:
        raise CaseRefused(N_("there is no case %(case)s"), case=decision.case)
    subject = _subject(conn, case)
    mine = {"payment_id": subject.id} if case.load_id is None else {"load_id": subject.id}
    if conn.execute(open_cases(**mine).where(cases.c.id == case.id)).first() is None:
        told = {"case": case.id, "action": case.decision, "actor": case.actor}
        raise CaseRefused(N_("case %(case)s is decided: %(action)s by %(actor)s"), **told)
    if decision.seen not in (None, *map(fingerprint, listed(conn, case=case.id))):
        raise CaseRefused(CHANGED)
    if card_numbers.any_whole(decision.reason, decision.actor, decision.second):
        raise CaseRefused(card_numbers.WHOLE)
    _refuse(conn, moves, case, subject, decision)
    if case.load_id is None:
        done = _do(conn, moves, case, subject, decision)
    else:
        done = _do_with_load(conn, moves, subject, decision)
    values = {"state": "decided", "decided_at": moves.clock.now(), "decision": decision.action}
    values |= {"reason": decision.reason, "actor": decision.actor, "second": decision.second}
    # What was decided about the money answers every question that is open about it.
    conn.execute(update(cases).filter_by(state="open", **mine).values(**values))
    if decision.action == BEAR:
        _keep_asking(conn, moves, subject.id)
    facts = {"case": case.id, "kind": case.kind, "reason": decision.reason, "second": decision.second}
    facts |= {"amount_fen": subject.amount_fen, "state": subject.state, "by": decision.by, **done}
    audit.append(conn, moves.clock, decision.actor, f"case-{decision.action}", subject.id, **facts)
    return Decided(about(case), _subject(conn, case).state)


def note_refused(conn: Connection, moves: Moves, decision: Decision, why: str) -> None:
    """A decision that was refused belongs in the audit log."""
    told = (decision.reason, decision.actor, decision.second or "")
    reason, actor, second = map(card_numbers.hidden, told)
    facts = {"wanted": decision.action, "reason": reason, "second": second or None, "why": why}
    facts["by"] = decision.by
    audit.append(conn, moves.clock, actor, "case-refused", decision.case, **facts)


def about(case: Row[Any]) -> str:
    """What a case is about: ``"payment"`` or ``"load"``."""
    return "payment" if case.load_id is None else "load"


def actions_of(case: Row[Any]) -> Mapping[str, tuple[str, ...]]:
    """ACTIONS or LOAD_ACTIONS."""
    return ACTIONS if case.load_id is None else LOAD_ACTIONS


def able(case: Row[Any], state: str, debit: Row[Any] | None) -> list[str]:
    """What a person can do about a case while its payment or load is in a state."""
    fit = [action for action, fitting in actions_of(case).items() if state in fitting]
    if proof_of(case, debit) is None and "accept-proof" in fit:
        fit.remove("accept-proof")
    refused_late = case.received_fen == 0 and case.certified not in (None, APPROVED)
    if state != "certificate-refused" and not refused_late and "present-again" in fit:
        fit.remove("present-again")
    return fit


def fingerprint(case: Row[Any]) -> str:
    """Of what a case is about, as ``listed`` tells it: another one, where its payment or load has come to something else."""
    told = (case.kind, case.facts, case.stands, case.amount_fen, case.received_fen)
    return digest(*told, case.tac, case.mac2, case.certified)


def borne_payments(conn: Connection) -> set[str]:
    """Payments whose service a person has had opened without the card's money."""
    return set(conn.scalars(select(cases.c.payment_id).where(cases.c.decision == BEAR)))


def accepted_proofs(conn: Connection, payment: str) -> list[tuple[str, str]]:
    """TAC and MAC2 of the cases of a payment that a person has decided by accepting a proof: the only place where one
    stands of a card of which nothing else is known, as after a restore.
    """
    query = select(cases.c.facts).where(cases.c.payment_id == payment, cases.c.decision == "accept-proof")
    every = map(json.loads, conn.scalars(query))
    return [(facts["tac"], facts["mac2"]) for facts in every if "tac" in facts]


def proof_of(case: Row[Any], debit: Row[Any] | None) -> tuple[str, str] | None:
    """TAC and MAC2 that a case is about: its own, where it came with a proof; else the first that the payment had."""
    facts = json.loads(case.facts)
    if "tac" in facts:
        return facts["tac"], facts["mac2"]
    return None if debit is None or debit.tac is None else (debit.tac, debit.mac2)


def listed(
    conn: Connection,
    *,
    everything: bool = False,
    case: str | None = None,
    box: str | None = None,
    kind: str | None = None,
    wanted: str = "",
    newest: bool = False,
    beyond: str | None = None,
    most: int | None = None,
) -> list[Row[Any]]:
    """The open cases, oldest first.

    Args:
        everything: the decided ones too.
        case, box, kind: only that one, of that box, of that kind.
        wanted: only those that have it in their id, order number, box, card, payment or load; spaces and case do not count.
        newest: the newest first.
        beyond: only those that come after this id.
        most: so many at most.

    Each with what is known of its payment or load: ``amount_fen``, ``box_number``, ``card_masked``, and ``stands``, its
    state; of a payment also ``method``, ``received_fen``, ``tac``, ``mac2``, ``certified`` (what PPP has said to its electronic
    cash), and ``number``, ``service`` and ``term`` of its order. What there is not is None.
    """
    query = select(cases, payments.c.method, payments.c.received_fen, debits.c.tac, debits.c.mac2)
    query = query.add_columns(orders.c.number, orders.c.service, orders.c.term)
    query = query.add_columns(certificates.c.response_code.label("certified"))
    for name, label in (("amount_fen", "amount_fen"), ("box_number", "box_number"), ("state", "stands")):
        query = query.add_columns(func.coalesce(payments.c[name], loads.c[name]).label(label))
    cards = (debits, authorisations, certificates)
    query = query.add_columns(
        func.coalesce(*(one.c.card_masked for one in (*cards, loads))).label("card_masked")
    )
    joined = cases.outerjoin(payments, payments.c.id == cases.c.payment_id)
    joined = joined.outerjoin(loads, loads.c.id == cases.c.load_id)
    for card in cards:
        joined = joined.outerjoin(card, card.c.payment_id == payments.c.id)
    query = query.select_from(joined.outerjoin(orders, orders.c.id == payments.c.order_id))
    if not everything:
        query = query.where(cases.c.state == "open")
    if case is not None:
        query = query.where(cases.c.id == case)
    if box is not None:
        query = query.where((payments.c.box_number == box) | (loads.c.box_number == box))
    if kind is not None:
        query = query.where(cases.c.kind == kind)
    if letters := "".join(wanted.split()):
        named = (cases.c.id, payments.c.id, loads.c.id, payments.c.box_number, loads.c.box_number)
        numbers = (func.replace(orders.c.number, " ", ""), *(one.c.card_masked for one in (*cards, loads)))
        query = query.where(or_(*(one.icontains(letters, autoescape=True) for one in (*named, *numbers))))
    if beyond is not None:
        query = query.where(cases.c.id < beyond if newest else cases.c.id > beyond)
    # Ids are ordered by time.
    query = query.order_by(cases.c.id.desc() if newest else cases.c.id)
    return list(conn.execute(query if most is None else query.limit(most)))


def _subject(conn: Connection, case: Row[Any]) -> Row[Any]:
    """The payment or load that a case is about; it stays locked."""
    if case.load_id is None:
        return core.load_payment(conn, case.payment_id)
    row = statements.one(conn, loads, lock=True, id=case.load_id)
    assert row is not None
    return row


def _refuse(conn: Connection, moves: Moves, case: Row[Any], subject: Row[Any], decision: Decision) -> None:
    """Raises CaseRefused for what nobody may do, or not alone."""
    what, actions = about(case), actions_of(case)
    fitting = actions.get(decision.action)
    if fitting is None:
        said = N_("no action '%(wanted)s' for a %(about)s; there are %(actions)s")
        raise CaseRefused(said, wanted=decision.action, about=what, actions=", ".join(actions))
    if not decision.reason.strip() or not decision.actor.strip():
        raise CaseRefused(N_("a reason and an actor are wanted"))
    if subject.state not in fitting:
        told = {
            "action": decision.action,
            "about": what,
            "state": subject.state,
            "states": ", ".join(fitting),
        }
        raise CaseRefused(
            N_("%(action)s is not for a %(about)s that is %(state)s, only for %(states)s"), **told
        )
    # In whichever amount more is at stake.
    received_fen = getattr(subject, "received_fen", None) or 0
    limit = operating.noted(conn, moves.settings).case_second_fen
    fen = max(subject.amount_fen, received_fen)
    second = decision.second or ""
    if fen >= limit and (same_person(second, "") or same_person(second, decision.actor)):
        raise CaseRefused(SECOND_WANTED, limit_fen=limit, amount_fen=fen)


def _do(
    conn: Connection, moves: Moves, case: Row[Any], payment: Row[Any], decision: Decision
) -> Mapping[str, Any]:
    """Returns what else belongs in the audit log."""
    actor = f"person:{decision.actor}"
    told: dict[str, Any] = {}
    match decision.action:
        case "accept-proof":
            mine = debits.c.payment_id == payment.id
            debit = conn.execute(select(debits).where(mine)).one_or_none()
            proof = proof_of(case, debit)
            if proof is None:
                raise CaseRefused(N_("no proof of the card is kept"))
            moves.paid(conn, payment, actor=actor)
            tac, mac2 = proof
            told = {"tac": tac, "mac2": mac2}
            # Of a card that came after a backup was made nothing is known once that is restored, and nothing is made up:
            # the proof stands in the case alone.
            if debit is not None:
                if proof != (debit.tac, debit.mac2):
                    told["instead_of"] = [debit.tac, debit.mac2]
                values = {"tac": tac, "mac2": mac2}
                values["balance_after_fen"] = debit.balance_before_fen - payment.amount_fen
                conn.execute(update(debits).where(mine).values(**values))
        case "write-off":
            moves.move(conn, payment, "written-off", actor=actor, reason="not-debited")
        case "open-service":
            moves.paid(conn, payment, actor=actor, received_fen=0)
        case "present-again":
            refused = borne(payment) and _refused_certificate(conn, payment.id)
            if payment.state != "certificate-refused" and not refused:
                raise CaseRefused(N_("no certificate is kept that PPP has refused"))
            # PPP answers a message it knows as before: who wants another answer than that asks with another number.
            anew = {"batch": None, "stan": None, "response_code": None}
            conn.execute(update(certificates).where(certificates.c.payment_id == payment.id).values(**anew))
            moves.present(conn, payment, actor=actor)
        case "refund":
            moves.begin_refund(conn, payment, payment.received_fen, actor=actor, reason="amount-differs")
            moves.close_order(conn, payment, actor=actor)
        case "retry-opening":
            moves.move(conn, payment, "paid", actor=actor)
            owed = {"payment": payment.id, "key": f"{payment.id}-{decision.case}"}
            moves.outbox.put(conn, OPEN_SERVICE, owed, of=payment.correlation)
        case "returned-by-hand":
            moves.move(conn, payment, "refunded", actor=actor, reason=payment.reason)
            moves.close_order(conn, payment, actor=actor)
    return told


def _refused_certificate(conn: Connection, payment: str) -> bool:
    return _refusal(conn, payment) is not None


def _refusal(conn: Connection, payment: str) -> str | None:
    """Bit 39 of PPP's answer, where it has refused a certificate of the payment."""
    kept = statements.one(conn, certificates, payment_id=payment)
    return None if kept is None or kept.response_code == APPROVED else kept.response_code


def _keep_asking(conn: Connection, moves: Moves, payment: str) -> None:
    """The subscriber is served, and the operator's money is a question of its own: it can still be asked of PPP."""
    code = _refusal(conn, payment)
    if code is not None:
        moves.case(conn, payment, "certificate-refused", code=code)


def _do_with_load(conn: Connection, moves: Moves, load: Row[Any], decision: Decision) -> Mapping[str, Any]:
    """The same about a load."""
    ends = {CHARGED: ("loaded", None), WRITTEN_OFF: ("written-off", "not-debited")}
    if decision.action in ends:
        target, reason = ends[decision.action]
        actor, now = f"person:{decision.actor}", moves.clock.now()
        states.move(conn, machines.LOAD, load.id, target, actor=actor, at=now, seen=load, reason=reason)
    return {}
