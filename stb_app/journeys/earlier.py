"""What earlier payments for the same service mean for a new one: nothing is paid before the card's word on them is known."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from cardreader.emv.kernel import DebitCredit
from cardreader.purse import Purse
from stb_app.journeys.electronic_cash import deliver_standing
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.settling import (
    PATIENT_PAUSES_S,
    deliver_not_debited,
    deliver_proof,
    prove,
    undelivered,
    wait_until_open,
    with_balance,
)
from stb_app.journeys.steps import CardPrompt, Finished, Prompt, finished
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import PaidCard, Payment, Service
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)


class StandsAgainst(Exception):
    """An earlier payment for the same service has taken money, or may have: nothing more is paid. ``end``: how it stands."""

    def __init__(self, end: Finished) -> None:
        super().__init__(end.reason)
        self.end = end


class EarlierPayments:
    """The box's open purse payments, as far as they stand against a new one for ``service``."""

    def __init__(self, client: TspClient, memory: Memory, waits: Waits, service: Service) -> None:
        self._client = client
        self._memory = memory
        self._waits = waits
        self._service = service
        self._looked = False
        self._wanted: dict[str, OpenPayment] = {}
        self._told: dict[str, Payment] = {}
        """What the TSP has said of them."""

    def look(self, silent: Callable[[], None]) -> None:
        """Delivers what the box knows and the TSP does not, and finds out whether a card has to come back first.

        Args:
            silent: called when the TSP does not answer and is asked again.

        Raises:
            StandsAgainst: a card has been debited for this service already.
        """
        for record in self._memory.all():
            if not self._same(record):
                continue
            if record.proven:
                self._deliver(record, silent)
            self._ask(record)
        self._looked = True

    @property
    def open(self) -> OpenPayment | None:
        """A payment that has taken money for this service, or may have: until the TSP was asked, any that is remembered."""
        if self._looked:
            return self.wanted
        return next((record for record in self._memory.all() if self._same(record)), None)

    @property
    def wanted(self) -> OpenPayment | None:
        """The payment that only its own card can explain; before that no card pays for this service."""
        return next((r for r in self._wanted.values() if self._memory.wants_card(r.payment)), None)

    def left(self, reason: str = "card-away") -> Finished | None:
        """How things stand when the card that is wanted has not come, or could not tell; None when none is wanted."""
        wanted = self.wanted
        if wanted is None:
            return None
        return Finished("pending", "unknown", reason, self._payment(wanted), earlier=True)

    def prompt(self, prompt: Prompt, record: OpenPayment) -> CardPrompt:
        """What is asked or told about an earlier payment: its amount, and its card's number."""
        payment = self._payment(record)
        number = payment.card.number if payment is not None and payment.card is not None else ""
        return CardPrompt(prompt, number, amount_fen=record.amount_fen, earlier=True, payment=payment)

    def settle(
        self, record: OpenPayment, purse: Purse, cancel: threading.Event, silent: Callable[[], None]
    ) -> None:
        """The card of an earlier payment, of whatever service, tells what it did. Returns when a new debit may follow.

        Raises:
            StandsAgainst: it has debited for this service, or that will never be known from the card.
            CardRemoved, StatusError, ProtocolError: the card could not be asked.
            Problem: the TSP was not told, and a new debit would wipe out what the card has to say.
        """
        proven = prove(purse, record, self._memory)
        try:
            if proven is None:
                payment = deliver_not_debited(
                    self._client,
                    self._memory,
                    self._waits,
                    record,
                    purse,
                    0x9406,
                    cancel,
                    PATIENT_PAUSES_S,
                    silent,
                )
            else:
                whole = with_balance(purse, self._memory, proven)
                payment = deliver_proof(
                    self._client, self._memory, self._waits, whole, cancel, PATIENT_PAUSES_S, silent
                )
        except Problem as problem:
            if self._same(record) and (proven is not None or problem.code == "evidence-contradicts"):
                raise self._stands(record, problem) from problem
            if problem.unanswered or self._memory.wants_card(record.payment):
                raise
            log.warning("earlier payment %s: %s", record.payment, problem.code)
            return
        if self._same(record):
            self.refuse(payment)

    def settle_cash(
        self, record: OpenPayment, card: DebitCredit, cancel: threading.Event, silent: Callable[[], None]
    ) -> None:
        """As ``settle``, of a payment with electronic cash: its card says where it stands."""
        try:
            payment = deliver_standing(
                self._client, self._memory, self._waits, record, card, cancel, PATIENT_PAUSES_S, silent
            )
        except Problem as problem:
            if problem.unanswered or self._memory.wants_card(record.payment):
                raise
            log.warning("earlier payment %s: %s", record.payment, problem.code)
            return
        if self._same(record):
            self.refuse(payment)

    def _deliver(self, record: OpenPayment, silent: Callable[[], None]) -> None:
        try:
            payment = deliver_proof(
                self._client, self._memory, self._waits, record, threading.Event(), PATIENT_PAUSES_S, silent
            )
        except Problem as problem:
            raise self._stands(record, problem) from problem
        if self._same(record):
            self.refuse(payment)

    def _ask(self, record: OpenPayment) -> None:
        """Whether the TSP still waits for the card; a person may have settled the payment meanwhile."""
        try:
            payment = self._client.payment(record.payment)
        except Problem as problem:
            log.warning("asking for payment %s: %s", record.payment, problem.code)
            if problem.code != "not-found":
                self._wanted[record.payment] = record
            return
        self._told[record.payment] = payment
        if payment.money == "unknown":
            self._wanted[record.payment] = record

    def refuse(self, payment: Payment) -> None:
        """Raises StandsAgainst for an earlier payment for this service that has taken money, or may have."""
        if payment.money != "not-taken":
            end = finished(wait_until_open(self._client, self._waits, payment))
            raise StandsAgainst(replace(end, earlier=True))

    def _stands(self, record: OpenPayment, problem: Problem) -> StandsAgainst:
        end = undelivered(self._client, self._memory, record, problem)
        return StandsAgainst(replace(end, payment=end.payment or self._payment(record), earlier=True))

    def _payment(self, record: OpenPayment) -> Payment | None:
        """The payment as the TSP told it when it was asked, else as the box remembers it."""
        told = self._told.get(record.payment)
        return told if told is not None or not self._same(record) else remembered(record, self._service)

    def _same(self, record: OpenPayment) -> bool:
        return record.service in ("", self._service.service)


def remembered(record: OpenPayment, service: Service) -> Payment | None:
    """A payment for ``service`` as the box alone knows it, to be shown and followed while the TSP is silent.

    Its version is older than any of the TSP's. None when the record does not tell enough.
    """
    if not record.time:
        return None
    return Payment(
        record.payment, record.order, record.number, service, record.term, "card", record.amount_fen,
        datetime.fromisoformat(record.time), "unknown", "unknown", None, None,
        PaidCard(record.card_number, record.balance_before_fen, record.balance_after_fen), None, 0,
    )  # fmt: skip
