"""From MAC1 on the card may have debited: whatever happens now, the truth about it is told (ONL-7, ONL-13)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from cardreader.errors import Cancelled, CardReaderError, CardRemoved, ProtocolError, StatusError
from cardreader.purse import PurchaseInit, Purse
from stb_app.journeys.card_slot import BadCard, CardSlot, NobodyCame
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.settling import (
    deliver_not_debited,
    deliver_proof,
    remember,
    settle_with_card,
    undelivered,
    wait_until_open,
    with_balance,
)
from stb_app.journeys.steps import CardPrompt, Finished, Prompt, finished
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import CardFacts, TspClient
from stb_app.tsp.model import Lease, Payment
from stb_app.tsp.problem import Money, Problem

log = logging.getLogger(__name__)

PUT_BACK_S = 180.0
"""For so long the screen asks for the same card; afterwards the payment is settled when the card is next seen."""
REMOVE_S = 8.0
"""After so long with the card still in the slot the result is shown anyway, with a reminder."""

NEVER_SENT = 0x0000
"""In the place of a status word: the card was never asked to debit, because MAC1 did not reach the box."""


@dataclass(frozen=True, slots=True)
class ReadyCard:
    """A card that can pay, standing between INITIALIZE and DEBIT."""

    purse: Purse
    facts: CardFacts
    lease: Lease
    init: PurchaseInit


class NeverBegun(Exception):
    """The TSP never let MAC1 out: there is nothing to prove, the payment simply ends."""


class Debiting:
    """The debit of one card payment that the box remembers.

    Args:
        cancel: the subscriber leaves; the background goes on.
        go_on: at ``remove``, the result may be shown now.
        ready: the card that MAC1 is asked for.

    Attributes:
        payment: as the TSP told it last.
        money: what has become of it, as far as this box knows.
    """

    def __init__(
        self, client: TspClient, memory: Memory, waits: Waits, slot: CardSlot, cancel: threading.Event,
        go_on: threading.Event, make_key: Callable[[], str], payment: Payment, ready: ReadyCard, amount_fen: int,
    ) -> None:  # fmt: skip
        self._client = client
        self._memory = memory
        self._waits = waits
        self._slot = slot
        self._cancel = cancel
        self._go_on = go_on
        self.payment = payment
        self.money: Money = "unknown"
        self._make_key = make_key
        self._ready = ready
        self._number = ready.facts.application_serial.masked
        self._amount_fen = amount_fen

    def run(self, record: OpenPayment) -> Finished:
        """Asks for MAC1 and lets the card debit. ``record`` is kept already.

        Raises:
            Problem: the TSP refused MAC1; nothing was taken, and nothing is left to prove.
            NeverBegun: the same, found out later.
        """
        ready = self._ready
        try:
            mac1 = self._client.init(record.payment, _init_body(ready.init), self._make_key())
        except Problem as problem:
            if problem.unanswered or problem.money != "not-taken" or problem.code == "tsp-answer-bad":
                # MAC1 may have left the TSP, but this card has not seen it: the card itself can prove that.
                if problem.unanswered:
                    self._say_silent(record)
                return self._tell_not_debited(record, ready.purse, NEVER_SENT)
            self._memory.settled(record.payment)
            self.money = "not-taken"
            raise
        try:
            proof = ready.purse.debit_for_purchase(
                mac1.terminal_transaction_number, mac1.date, mac1.time, mac1.mac1
            )
        except (CardRemoved, ProtocolError):
            return self._ask_back(record)
        except StatusError as refused:
            return self._tell_not_debited(record, ready.purse, refused.sw)
        record = record.debited(proof.tac, proof.mac2)
        remember(self._memory, record)
        self.money = "taken"
        return self._tell_debited(with_balance(ready.purse, self._memory, record))

    def _tell_debited(self, record: OpenPayment) -> Finished:
        """The card has debited: the TSP is told, and the card may be taken."""
        try:
            payment = deliver_proof(
                self._client, self._memory, self._waits, record, self._cancel, silent=lambda: self._say_silent(record)
            )  # fmt: skip
        except Problem as problem:
            return self._not_accepted(record, problem)
        self.payment = payment
        if payment.money == "taken" and self._slot.card_present():
            # Said at once, however long BOSS takes.
            card = payment.card
            self._slot.say(self._about("remove", card.number if card else "", record.balance_after_fen))
            self._slot.wait_for_removal(REMOVE_S, self._go_on)
        self.payment = wait_until_open(self._client, self._waits, payment)
        return finished(self.payment)

    def _tell_not_debited(self, record: OpenPayment, purse: Purse, sw: int) -> Finished:
        """The card says that it has not debited, and where it stands. Raises NeverBegun."""
        try:
            payment = deliver_not_debited(
                self._client, self._memory, self._waits, record, purse, sw, self._cancel,
                silent=lambda: self._say_silent(record),
            )  # fmt: skip
        except CardRemoved:
            return self._ask_back(record)
        except CardReaderError:
            log.exception("payment %s: the card does not say where it stands", record.payment)
            return Finished("pending", "unknown", "card-refused", self.payment)
        except Problem as problem:
            if problem.code == "wrong-state" and problem.money == "not-taken":
                self.money = "not-taken"
                raise NeverBegun from problem
            return Finished("pending", "unknown", problem.code, self.payment, problem.facts)
        self.payment = payment
        return finished(payment)

    def _ask_back(self, record: OpenPayment) -> Finished:
        """The card went between MAC1 and its answer: only the same card can tell whether it has debited."""
        self._cancel.clear()
        self._slot.reader_lost = False
        prompt = self._about("put-back", self._number)
        away = Finished("pending", "unknown", "card-away", self.payment, {"number": self._number})
        while True:
            try:
                connection = self._slot.wait_for_card(prompt, PUT_BACK_S)
            except (Cancelled, NobodyCame):
                return away
            try:
                self._slot.say(self._about("settling", self._number))
                purse, facts = self._slot.open_purse(connection)
                if self._memory.card_id(facts.application_serial.reveal()) != record.card:
                    raise BadCard(self._about("other-card", self._number))
                self.payment = settle_with_card(
                    self._client, self._memory, self._waits, record, purse, self._cancel,
                    silent=lambda: self._say_silent(record),
                )  # fmt: skip
                self.payment = wait_until_open(self._client, self._waits, self.payment)
                end = finished(self.payment)
                if end.reason == "card-removed" and self._slot.reader_lost:
                    end = replace(end, reason="reader-lost")
                return end
            except CardRemoved:
                prompt = self._about("put-back", self._number)
            except (BadCard, StatusError, ProtocolError):
                self._slot.say(self._about("other-card", self._number))
                try:
                    self._slot.wait_for_removal(PUT_BACK_S)
                except Cancelled:
                    return away
                prompt = self._about("put-back", self._number)
            except Problem as problem:
                return self._not_accepted(record, problem)
            finally:
                connection.close()

    def _say_silent(self, record: OpenPayment) -> None:
        """The box remembers what has happened: whoever waits may go, and the background goes on."""
        paid = self._memory.is_proven(record.payment)
        self._slot.say(self._about("silent-paid" if paid else "silent", self._number))

    def _not_accepted(self, record: OpenPayment, problem: Problem) -> Finished:
        end = undelivered(self._client, self._memory, record, problem)
        return end if end.payment is not None else replace(end, payment=self.payment)

    def _about(self, prompt: Prompt, number: str = "", balance_fen: int | None = None) -> CardPrompt:
        return CardPrompt(prompt, number, balance_fen, self._amount_fen)


def _init_body(init: PurchaseInit) -> dict[str, object]:
    return {
        "balance_fen": init.balance_fen,
        "offline_number": init.offline_number,
        "overdraft_limit_fen": init.overdraft_limit_fen,
        "key_version": init.key_version,
        "algorithm_id": init.algorithm_id,
        "random": init.random.hex().upper(),
    }
