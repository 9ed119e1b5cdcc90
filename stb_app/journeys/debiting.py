"""From MAC1 on the card may have debited: whatever happens now, the truth about it is told (ONL-7, ONL-13)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from cardreader.errors import CardRemoved, ProtocolError, StatusError
from cardreader.purse import PurchaseInit, Purse
from cardreader.reader import Connection
from stb_app.journeys.card_slot import BadCard
from stb_app.journeys.memory import OpenPayment
from stb_app.journeys.remembered_payment import RememberedPayment
from stb_app.journeys.settling import (
    deliver_not_debited,
    remember,
    settle_with_card,
    with_balance,
)
from stb_app.journeys.steps import CardPrompt, Finished
from stb_app.journeys.till import Till
from stb_app.tsp.card_verbs import CardFacts
from stb_app.tsp.model import Lease, Payment
from stb_app.tsp.problem import Problem

NEVER_SENT = 0x0000
"""In the place of a status word: the card was never asked to debit, because MAC1 did not reach the box."""


@dataclass(frozen=True, slots=True)
class ReadyCard:
    """A card that can pay, standing between INITIALIZE and DEBIT."""

    purse: Purse
    facts: CardFacts
    lease: Lease
    init: PurchaseInit


class Debiting(RememberedPayment):
    """The debit of one card payment that the box remembers.

    Args:
        ready: the card that MAC1 is asked for.
    """

    def __init__(self, till: Till, payment: Payment, ready: ReadyCard) -> None:
        super().__init__(till, payment, ready.facts.application_serial.masked)
        self._ready = ready

    def run(self, record: OpenPayment) -> Finished:
        """Asks for MAC1 and lets the card debit. ``record`` is kept already.

        Raises:
            Problem: the TSP refused MAC1; nothing was taken, and nothing is left to prove.
            NeverBegun: the same, found out later.
        """
        ready = self._ready
        try:
            mac1 = self._till.client.init(record.payment, _init_body(ready.init), self._till.make_key())
        except Problem as problem:
            if problem.unanswered or problem.money != "not-taken" or problem.code == "tsp-answer-bad":
                # MAC1 may have left the TSP, but this card has not seen it: the card itself can prove that.
                if problem.unanswered:
                    self._say_silent(record)
                return self._tell_not_debited(record, NEVER_SENT)
            self._till.memory.settled(record.payment)
            self.money = "not-taken"
            raise
        try:
            proof = ready.purse.debit_for_purchase(
                mac1.terminal_transaction_number, mac1.date, mac1.time, mac1.mac1
            )
        except (CardRemoved, ProtocolError):
            return self._ask_back(record, partial(self._settle, record))
        except StatusError as refused:
            return self._tell_not_debited(record, refused.sw)
        record = record.debited(proof.tac, proof.mac2)
        remember(self._till.memory, record)
        self.money = "taken"
        return self._tell_paid(with_balance(ready.purse, self._till.memory, record))

    def _tell_not_debited(self, record: OpenPayment, sw: int) -> Finished:
        """The card says that it has not debited, and where it stands. Raises NeverBegun."""
        till, purse = self._till, self._ready.purse

        def deliver() -> Payment:
            return deliver_not_debited(
                till.client, till.memory, till.waits, record, purse, sw, till.cancel,
                silent=lambda: self._say_silent(record),
            )  # fmt: skip

        return self._tell_standing(record, deliver, partial(self._settle, record))

    def _settle(self, record: OpenPayment, connection: Connection) -> Payment:
        till = self._till
        purse, facts = till.slot.open_purse(connection)
        if till.memory.card_id(facts.application_serial.reveal()) != record.card:
            raise BadCard(CardPrompt("other-card", self._number, None, record.amount_fen))
        return settle_with_card(
            till.client, till.memory, till.waits, record, purse, till.cancel,
            silent=lambda: self._say_silent(record),
        )  # fmt: skip


def _init_body(init: PurchaseInit) -> dict[str, object]:
    return {
        "balance_fen": init.balance_fen,
        "offline_number": init.offline_number,
        "overdraft_limit_fen": init.overdraft_limit_fen,
        "key_version": init.key_version,
        "algorithm_id": init.algorithm_id,
        "random": init.random.hex().upper(),
    }
