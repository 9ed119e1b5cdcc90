"""A payment by card from the moment on from which the card may have paid: however it ends, the TSP is told the truth. ONL-13"""

from __future__ import annotations

import logging
from collections.abc import Callable

from cardreader.errors import CardReaderError, CardRemoved
from cardreader.reader import Connection
from stb_app.journeys.card_back import CardBack, not_accepted, say_silent
from stb_app.journeys.memory import OpenPayment
from stb_app.journeys.settling import deliver_proof, wait_until_open
from stb_app.journeys.steps import CardPrompt, Finished, finished
from stb_app.journeys.till import Till
from stb_app.tsp.model import Payment
from stb_app.tsp.problem import Money, Problem

log = logging.getLogger(__name__)

REMOVE_S = 8.0
"""After so long with the card still in the slot the result is shown anyway, with a reminder."""


class NeverBegun(Exception):
    """The TSP never let the card pay: there is nothing to prove, the payment simply ends."""


class RememberedPayment:
    """What a purse and electronic cash have in common, once the box has written the payment to its disk.

    Args:
        number: masked, of the card.

    Attributes:
        payment: as the TSP told it last.
        money: what has become of it, as far as this box knows.
    """

    def __init__(self, till: Till, payment: Payment, number: str) -> None:
        self._till = till
        self._number = number
        self.payment = payment
        self.money: Money = "unknown"

    def _tell_paid(self, record: OpenPayment) -> Finished:
        """The card has paid: the TSP is told, and the card may be taken."""
        till = self._till
        try:
            payment = deliver_proof(
                till.client, till.memory, till.waits, record, till.cancel, silent=lambda: self._say_silent(record)
            )  # fmt: skip
        except Problem as problem:
            return not_accepted(till, record, problem, self.payment)
        self.payment = payment
        if payment.money == "taken" and till.slot.card_present():
            # Said at once, however long others take.
            till.slot.say(CardPrompt("remove", self._number, record.balance_after_fen, record.amount_fen))
            till.slot.wait_for_removal(REMOVE_S, till.go_on)
        self.payment = wait_until_open(till.client, till.waits, payment)
        return finished(self.payment)

    def _tell_standing(
        self, record: OpenPayment, deliver: Callable[[], Payment], settle: Callable[[Connection], Payment]
    ) -> Finished:
        """The card says that it has not paid, and where it stands.

        Args:
            deliver: asks the card and tells the TSP.
            settle: the same with a card that has left and is back.

        Raises:
            NeverBegun
        """
        try:
            payment = deliver()
        except CardRemoved:
            return self._ask_back(record, settle)
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

    def _ask_back(self, record: OpenPayment, settle: Callable[[Connection], Payment]) -> Finished:
        """The card went before its answer was here: only the same card can tell whether it has paid."""
        back = CardBack(self._till, record, self._number, self.payment, settle)
        end = back.ask()
        self.payment = back.payment
        return end

    def _say_silent(self, record: OpenPayment) -> None:
        say_silent(self._till, record, self._number)
