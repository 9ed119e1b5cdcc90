"""How the truth about a purse payment is found and delivered: the card is asked, the TSP is told until it has answered.

Rule 3 of payments.md: a time-out is not a failure. Nothing here turns an unknown payment into a failed one without the card's proof.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from cardreader.errors import CardRemoved, ProofUnavailable, ProtocolError, StatusError
from cardreader.purse import Purse
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Payment
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Between the attempts to tell the TSP while the subscriber looks on; after that the background goes on."""
OPENING_S = 20
"""How long the subscriber waits for BOSS to open the service before the result says 'pending'."""


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
    balance_after_fen: int | None,
    cancel: threading.Event,
) -> Payment:
    """Tells the TSP that the card has debited, again and again with the same key, until it has answered or the pauses are used up.

    Raises:
        Problem: unanswered (the record stays for the background), or the TSP's refusal (the record is closed: it is a case there).
    """
    assert record.tac is not None
    assert record.mac2 is not None
    tac, mac2 = bytes.fromhex(record.tac), bytes.fromhex(record.mac2)
    return _until_answered(
        lambda: client.debited(record.payment, tac, mac2, balance_after_fen, record.proof_key),
        memory,
        waits,
        record,
        cancel,
    )


def deliver_not_debited(
    client: TspClient,
    memory: Memory,
    waits: Waits,
    record: OpenPayment,
    purse: Purse,
    sw: int,
    cancel: threading.Event,
) -> Payment:
    """Tells the TSP that the card has not debited, with where its offline number and balance stand.

    The number is read by another INITIALIZE FOR PURCHASE, which changes nothing on the card.

    Raises:
        CardRemoved, StatusError, ProtocolError: the evidence could not be read.
        Problem: as ``deliver_proof``.
    """
    now = purse.initialize_for_purchase(
        record.key_index, record.amount_fen, bytes.fromhex(record.terminal_number)
    )
    return _until_answered(
        lambda: client.not_debited(record.payment, sw, now.offline_number, now.balance_fen, f"{record.proof_key}-n"),
        memory, waits, record, cancel,
    )  # fmt: skip


def settle_with_card(
    client: TspClient,
    memory: Memory,
    waits: Waits,
    record: OpenPayment,
    purse: Purse,
    cancel: threading.Event,
) -> Payment:
    """The card is back: finds out what it did and tells the TSP. Raises as the functions above."""
    proven = prove(purse, record, memory)
    if proven is None:
        return deliver_not_debited(client, memory, waits, record, purse, 0x9406, cancel)
    return deliver_proof(client, memory, waits, proven, balance(purse), cancel)


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


def _until_answered(
    send: Callable[[], Payment], memory: Memory, waits: Waits, record: OpenPayment, cancel: threading.Event
) -> Payment:
    pauses = iter(PAUSES_S)
    while True:
        try:
            payment = send()
        except Problem as problem:
            if not (problem.unanswered or problem.retryable):
                memory.forget(record.payment)
                raise
            pause = next(pauses, None)
            if pause is None or waits.pause(pause, cancel):
                raise
        else:
            memory.forget(record.payment)
            return payment


def balance(purse: Purse) -> int | None:
    """The balance for the result page; a card that leaves now has already proved what matters."""
    try:
        return purse.balance_fen()
    except (CardRemoved, StatusError, ProtocolError):
        return None
