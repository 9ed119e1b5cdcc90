"""From MAC1 on the card may have debited: whatever happens now, the truth about it is told (ONL-7, ONL-13)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from cardreader.errors import CardReaderError, CardRemoved, ProtocolError, StatusError
from cardreader.purse import PurchaseInit, Purse
from cardreader.reader import Connection
from stb_app.journeys.card_back import CardBack, not_accepted, say_silent
from stb_app.journeys.card_slot import BadCard
from stb_app.journeys.memory import OpenPayment
from stb_app.journeys.settling import (
    deliver_not_debited,
    deliver_proof,
    remember,
    settle_with_card,
    wait_until_open,
    with_balance,
)
from stb_app.journeys.steps import CardPrompt, Finished, Prompt, finished
from stb_app.journeys.till import Till
from stb_app.tsp.card_verbs import CardFacts
from stb_app.tsp.model import Lease, Payment
from stb_app.tsp.problem import Money, Problem

log = logging.getLogger(__name__)

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
        ready: the card that MAC1 is asked for.

    Attributes:
        payment: as the TSP told it last.
        money: what has become of it, as far as this box knows.
    """

    def __init__(self, till: Till, payment: Payment, ready: ReadyCard, amount_fen: int) -> None:
        self._till = till
        self._client = till.client
        self._memory = till.memory
        self._waits = till.waits
        self._slot = till.slot
        self._cancel = till.cancel
        self.payment = payment
        self.money: Money = "unknown"
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
            mac1 = self._client.init(record.payment, _init_body(ready.init), self._till.make_key())
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
            return not_accepted(self._till, record, problem, self.payment)
        self.payment = payment
        if payment.money == "taken" and self._slot.card_present():
            # Said at once, however long BOSS takes.
            card = payment.card
            self._slot.say(self._about("remove", card.number if card else "", record.balance_after_fen))
            self._slot.wait_for_removal(REMOVE_S, self._till.go_on)
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

        def settle(connection: Connection) -> Payment:
            purse, facts = self._slot.open_purse(connection)
            if self._memory.card_id(facts.application_serial.reveal()) != record.card:
                raise BadCard(self._about("other-card", self._number))
            return settle_with_card(
                self._client, self._memory, self._waits, record, purse, self._cancel,
                silent=lambda: self._say_silent(record),
            )  # fmt: skip

        back = CardBack(self._till, record, self._number, self.payment, settle)
        end = back.ask()
        self.payment = back.payment
        return end

    def _say_silent(self, record: OpenPayment) -> None:
        say_silent(self._till, record, self._number)

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
