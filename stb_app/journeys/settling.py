"""How the truth about a purse payment is found and delivered: the card is asked, the TSP is told until it has answered.

Rule 3 of payments.md: a time-out is not a failure. Nothing here turns an unknown payment into a failed one without the card's proof.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from cardreader.errors import CardRemoved, ProofUnavailable, ProtocolError, StatusError
from cardreader.purse import Purse
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.steps import Finished, finished
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Payment
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Between the attempts to tell the TSP while the subscriber looks on; after that the background goes on."""
PATIENT_PAUSES_S = (0.5, 1.0, 2.0)
"""The same before another payment, which can do without the earlier one's end but not without the TSP."""
TELLING_S = 20.0
"""For so long in all, however long each attempt takes."""
OPENING = ("paid", None)
"""A payment's state and reason while BOSS switches the service on."""
OPENING_S = 3
"""How long the subscriber waits for BOSS to open the service before the result says 'pending'."""

PROOF_HAD = frozenset(
    ("mac2-refused", "lease-lost", "psam-refused", "evidence-contradicts", "idempotency-key-reused")
)
"""Refusals of a TSP that has read the proof and keeps it; after any other one it may never have seen it."""
STAND_AGAINST = frozenset(("already-paid", "payment-in-progress"))
"""A payment is refused because of an earlier one for the same service."""
MAY_COME_LATE = frozenset(("failed", "cancelled", "expired", "late"))
"""States of a payment by code after which its money may still come (docs/tsp-api.md), or is on its way back."""
ELSEWHERE = {"already-paid": "paid-elsewhere", "payment-in-progress": "paying-elsewhere"}
"""The same, of another television of the household."""


def prove(purse: Purse, record: OpenPayment, memory: Memory) -> OpenPayment | None:
    """Asks the card whether it has debited (GET TRANSACTION PROVE) and keeps its proof on the disk.

    Returns:
        The record with TAC and MAC2, or None when the card says that there was no such transaction.

    Raises:
        CardRemoved: pulled again; nothing is known yet.
        StatusError, ProtocolError: the card does not know the command; nothing is known.
    """
    try:
        proof = purse.prove_purchase(record.offline_number)
    except ProofUnavailable:
        return None
    proven = record.debited(proof.tac, proof.mac2)
    remember(memory, proven)
    return proven


def remember(memory: Memory, record: OpenPayment) -> None:
    """Keeps a proof. A full disk must not stop it from being delivered now."""
    try:
        memory.keep(record)
    except OSError:
        log.exception(
            "the proof of payment %s could not be stored; delivering it from memory", record.payment
        )


def deliver_proof(
    client: TspClient,
    memory: Memory,
    waits: Waits,
    record: OpenPayment,
    cancel: threading.Event,
    pauses: Sequence[float] = PAUSES_S,
    silent: Callable[[], None] = lambda: None,
) -> Payment:
    """Tells the TSP that the card has debited, again and again with the same key, until it has answered or the pauses are used up.

    Args:
        silent: called after every attempt without an answer that is followed by another one.

    Raises:
        Problem: unanswered (the record stays for the background), or the TSP's refusal, with what is known of the money.
    """
    return _until_answered(lambda: send_proof(client, memory, record), waits, cancel, pauses, silent)


def send_proof(client: TspClient, memory: Memory, record: OpenPayment) -> Payment:
    """Sends a proof once. The payment is settled for this box when the TSP has it, as a payment or as a case.

    Raises:
        Problem: ``money`` is never ``not-taken``: this card has debited. A refusal that says otherwise leaves the record where it is.
    """
    client = client.under(record.correlation)
    try:
        payment = _sent(client, record)
    except Problem as problem:
        if problem.unanswered or problem.retryable:
            raise
        log.warning("the proof of payment %s was refused: %s", record.payment, problem.code)
        payment = client.payment(record.payment)
        if payment.money in ("not-taken", "unknown"):
            if payment.money == "unknown" and problem.code in PROOF_HAD:
                memory.settled(record.payment)
            raise Problem(problem.code, money="unknown", facts=problem.facts) from problem
    memory.settled(record.payment)
    return payment


def _sent(client: TspClient, record: OpenPayment) -> Payment:
    if record.chip is not None:
        return client.certified(
            record.payment, bytes.fromhex(record.chip), record.balance_after_fen, record.proof_key
        )
    assert record.tac is not None
    assert record.mac2 is not None
    tac, mac2 = bytes.fromhex(record.tac), bytes.fromhex(record.mac2)
    return client.debited(record.payment, tac, mac2, record.balance_after_fen, record.proof_key)


def deliver_not_debited(
    client: TspClient,
    memory: Memory,
    waits: Waits,
    record: OpenPayment,
    purse: Purse,
    sw: int,
    cancel: threading.Event,
    pauses: Sequence[float] = PAUSES_S,
    silent: Callable[[], None] = lambda: None,
) -> Payment:
    """Tells the TSP that the card has not debited, with where its offline number and balance stand.

    The number is read by another INITIALIZE FOR PURCHASE, which changes nothing on the card. The payment is settled for this
    box when the TSP has the evidence, or has never let MAC1 out; whatever else it says, the card may have to tell once more.

    Raises:
        CardRemoved, StatusError, ProtocolError: the evidence could not be read.
        Problem: as ``deliver_proof``.
    """
    now = purse.initialize_for_purchase(
        record.key_index, record.amount_fen, bytes.fromhex(record.terminal_number)
    )
    # Another day the card may say it in other words: another message, another key.
    key = f"{record.proof_key}-{sw:04X}{now.offline_number:04X}{now.balance_fen:X}"
    client = client.under(record.correlation)
    return deliver_evidence(
        memory,
        waits,
        record,
        lambda: client.not_debited(record.payment, sw, now.offline_number, now.balance_fen, key),
        cancel,
        pauses,
        silent,
    )


def deliver_evidence(
    memory: Memory,
    waits: Waits,
    record: OpenPayment,
    tell: Callable[[], Payment],
    cancel: threading.Event,
    pauses: Sequence[float],
    silent: Callable[[], None],
) -> Payment:
    """Tells the TSP where a card stands that has no proof to give, as ``deliver_proof`` does.

    Args:
        tell: once; raises Problem.

    Raises:
        Problem
    """

    def send() -> Payment:
        try:
            payment = tell()
        except Problem as problem:
            never_begun = problem.code == "wrong-state" and problem.money == "not-taken"
            if never_begun or problem.code == "evidence-contradicts":
                memory.settled(record.payment)
            raise
        memory.settled(record.payment)
        return payment

    return _until_answered(send, waits, cancel, pauses, silent)


def settle_with_card(
    client: TspClient,
    memory: Memory,
    waits: Waits,
    record: OpenPayment,
    purse: Purse,
    cancel: threading.Event,
    pauses: Sequence[float] = PAUSES_S,
    silent: Callable[[], None] = lambda: None,
) -> Payment:
    """The card is back: finds out what it did and tells the TSP. Raises as the functions above."""
    proven = prove(purse, record, memory)
    if proven is None:
        return deliver_not_debited(client, memory, waits, record, purse, 0x9406, cancel, pauses, silent)
    return deliver_proof(client, memory, waits, with_balance(purse, memory, proven), cancel, pauses, silent)


def wait_until_open(client: TspClient, waits: Waits, payment: Payment) -> Payment:
    """Waits a while for BOSS to open the service; the payment as it then stands. No answer leaves it as it was."""
    until = waits.monotonic() + OPENING_S
    while payment.state == "paid" and payment.reason is None and (left := until - waits.monotonic()) > 0:
        try:
            payment = client.payment(payment.payment, payment.version, max(1, min(int(left), OPENING_S)))
        except Problem as problem:
            log.warning("asking for payment %s: %s", payment.payment, problem.code)
            return payment
    return payment


def paid_before(client: TspClient, memory: Memory, waits: Waits, problem: Problem) -> Finished | None:
    """How the earlier payment stands because of which this one was refused (docs/tsp-api.md, Paying).

    None when it was refused for something else. One of another television cannot be asked about: its money stands in the refusal.
    """
    if problem.code not in STAND_AGAINST:
        return None
    earlier = problem.facts.get("payment")
    if not isinstance(earlier, str):
        # Nothing is known of it here but what has become of its money; this box has no payment to show.
        return Finished("failed", problem.money, ELSEWHERE[problem.code], earlier=True)
    try:
        payment = wait_until_open(client, waits, client.payment(earlier))
    except Problem as unknown:
        log.warning("asking for the earlier payment %s: %s", earlier, unknown.code)
        return Finished("pending", problem.money, problem.code, earlier=True)
    end = replace(finished(payment), earlier=True)
    if end.outcome == "pending" and end.money != "taken":
        # Its code may look as if nothing had been taken; that the TSP could not close it says otherwise.
        why = payment.reason if payment.method == "card" and payment.reason is not None else problem.code
        reason = "card-away" if memory.wants_card(earlier) else why
        end = replace(end, money="taken" if memory.is_proven(earlier) else "unknown", reason=reason)
    return end


def end_told(memory: Memory, payment: Payment) -> None:
    """The subscriber has been told how a payment stands. At its end it is forgotten, unless money may still come that goes back.

    While its service is being switched on it stays remembered: that it is there, or will not be, is told too.
    """
    if (payment.state, payment.reason) == OPENING:
        return
    if payment.method == "card":
        if not any(record.payment == payment.payment for record in memory.all()):
            memory.forget(payment.payment)
        if finished(payment).outcome != "pending":
            memory.forget_code(payment.payment)
        return
    if finished(payment).outcome == "pending":
        return
    if payment.state not in MAY_COME_LATE or payment.money == "returned":
        memory.forget_code(payment.payment)
        return
    try:
        memory.close_code(payment.payment, payment.state)
    except OSError:
        log.exception("payment %s: the box cannot write its memory", payment.payment)


def undelivered(client: TspClient, memory: Memory, record: OpenPayment, problem: Problem) -> Finished:
    """How a payment stands whose card has proved its debit, or contradicts itself, when the TSP did not accept that.

    The money is taken as long as the proof waits here; when the TSP has it, as a case, nobody knows before a person does.
    """
    known = record.proven or memory.is_proven(record.payment)
    taken = memory.is_proven(record.payment) or (known and problem.unanswered)
    payment = None
    if not problem.unanswered:
        try:
            payment = client.payment(record.payment)
        except Problem as unknown:
            log.warning("asking for payment %s: %s", record.payment, unknown.code)
    # A payment that waits for a person says why in its own reason.
    reason = payment.reason if payment is not None and payment.reason is not None else problem.code
    return Finished("pending", "taken" if taken else "unknown", reason, payment, problem.facts)


def with_balance(purse: Purse, memory: Memory, record: OpenPayment) -> OpenPayment:
    """A proof with the card's balance after it, kept like that before it is first sent."""
    record = replace(record, balance_after_fen=balance(purse))
    remember(memory, record)
    return record


def _until_answered(
    send: Callable[[], Payment], waits: Waits, cancel: threading.Event, pauses: Sequence[float], silent: Callable[[], None],
) -> Payment:  # fmt: skip
    left, until = iter(pauses), waits.monotonic() + TELLING_S
    while True:
        try:
            return send()
        except Problem as problem:
            pause = next(left, None)
            final = not (problem.unanswered or problem.retryable)
            if final or pause is None or waits.monotonic() + pause > until:
                raise
            if problem.unanswered:
                silent()
            if waits.pause(pause, cancel):
                raise


def balance(purse: Purse) -> int | None:
    """The balance for the result page; a card that leaves now has already proved what matters."""
    try:
        return purse.balance_fen()
    except (CardRemoved, StatusError, ProtocolError):
        return None
