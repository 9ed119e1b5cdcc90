"""A card has left between the moment from which it may have paid and its proof: the same card is asked for, and tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cardreader.errors import Cancelled, CardRemoved, ProtocolError, StatusError
from cardreader.reader import Connection
from stb_app.journeys.card_slot import BadCard, NobodyCame
from stb_app.journeys.memory import OpenPayment
from stb_app.journeys.settling import undelivered, wait_until_open
from stb_app.journeys.steps import CardPrompt, Finished, Prompt, finished
from stb_app.journeys.till import Till
from stb_app.tsp.model import Payment
from stb_app.tsp.problem import Problem

PUT_BACK_S = 180.0
"""For so long the screen asks for the same card; afterwards the payment is settled when the card is next seen."""
LOST = {"service": "reader-service-lost"}
"""What interrupted a debit, where that was not the reader itself."""


class CardBack:
    """One payment that waits for its card.

    Args:
        number: masked, of the card.
        settle: asks the card that is in the slot what it did, and tells the TSP. Raises BadCard for another card, and what
            ``settling`` raises.

    Attributes:
        payment: as the TSP told it last.
    """

    def __init__(
        self, till: Till, record: OpenPayment, number: str, payment: Payment, settle: Callable[[Connection], Payment]
    ) -> None:  # fmt: skip
        self._till = till
        self._record = record
        self._number = number
        self._settle = settle
        self.payment = payment

    def ask(self) -> Finished:
        """Asks for the card until it has told, nobody comes, or the subscriber leaves."""
        till, slot = self._till, self._till.slot
        till.cancel.clear()
        slot.lost = None
        away = Finished("pending", "unknown", "card-away", self.payment, {"number": self._number})
        while True:
            try:
                connection = slot.wait_for_card(self._about("put-back"), PUT_BACK_S)
            except (Cancelled, NobodyCame):
                return away
            try:
                slot.say(self._about("settling"))
                self.payment = self._settle(connection)
                self.payment = wait_until_open(till.client, till.waits, self.payment)
                end = finished(self.payment)
                if end.reason == "card-removed" and slot.lost is not None:
                    end = replace(end, reason=LOST.get(slot.lost, "reader-lost"))
                return end
            except CardRemoved:
                continue
            except (BadCard, StatusError, ProtocolError):
                slot.say(self._about("other-card"))
                try:
                    slot.wait_for_removal(PUT_BACK_S)
                except Cancelled:
                    return away
            except Problem as problem:
                return not_accepted(till, self._record, problem, self.payment)
            finally:
                connection.close()

    def _about(self, prompt: Prompt) -> CardPrompt:
        return CardPrompt(prompt, self._number, None, self._record.amount_fen)


def not_accepted(till: Till, record: OpenPayment, problem: Problem, payment: Payment) -> Finished:
    """How a payment stands when the TSP did not take what the card has told of it."""
    end = undelivered(till.client, till.memory, record, problem)
    return end if end.payment is not None else replace(end, payment=payment)


def say_silent(till: Till, record: OpenPayment, number: str) -> None:
    """The TSP does not answer, and the box remembers what has happened: whoever waits may go, and the background goes on."""
    paid = till.memory.is_proven(record.payment)
    prompt: Prompt = "silent-paid" if paid else "silent"
    till.slot.say(CardPrompt(prompt, number, None, record.amount_fen))
