"""Paying with the electronic cash on a bank card: the card pays by itself, without PIN, and its certificate is delivered.

What the card has taken out of itself nobody can put back, and its certificate (TC) cannot be asked of it a second time. So the
box writes to its disk before the card is asked, and the certificate as soon as it has it. A card that leaves in between tells
by its balance (9F79) and its own log whether it has paid.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import ApprovedOffline, Prepared
from cardreader.emv.settings import TerminalSettings
from cardreader.errors import CardRemoved, ProtocolError, StatusError
from cardreader.reader import Connection
from stb_app.journeys.bank_card import recognised
from stb_app.journeys.card_slot import BadCard
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.remembered_payment import RememberedPayment
from stb_app.journeys.settling import (
    PAUSES_S,
    deliver_evidence,
    remember,
)
from stb_app.journeys.steps import CardPrompt, Finished
from stb_app.journeys.till import Till
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Payment
from stb_app.tsp.problem import Problem

ATC = 0x9F36


@dataclass(frozen=True, slots=True)
class CashCard:
    """A card that can pay with its electronic cash, before it is asked to.

    Attributes:
        card: prepared.
        number: masked.
        balance_fen: 9F79.
        atc: 9F36 of this transaction.
    """

    card: DebitCredit
    number: str
    balance_fen: int
    atc: int

    @classmethod
    def of(cls, card: DebitCredit, prepared: Prepared) -> CashCard | None:
        """None: this card pays in another way, or does not tell what is needed afterwards. Raises ProtocolError."""
        if not prepared.electronic_cash or prepared.wants_issuer or prepared.balance_fen is None:
            return None
        counter = card.get_data(ATC)
        if counter is None:
            return None
        return cls(card, prepared.card.masked, prepared.balance_fen, int.from_bytes(counter))


class CashPayment(RememberedPayment):
    """One payment with electronic cash that the box remembers."""

    def __init__(self, till: Till, settings: TerminalSettings, payment: Payment, ready: CashCard) -> None:
        super().__init__(till, payment, ready.number)
        self._settings = settings
        self._ready = ready

    def run(self, record: OpenPayment, envelope: dict[str, str | None]) -> Finished:
        """Tells the TSP, and has the card pay. ``record`` is kept already.

        Raises:
            Problem: the TSP refuses; nothing was taken, and nothing is left to prove.
            NeverBegun: the same, found out later.
        """
        till, ready = self._till, self._ready
        try:
            till.client.begin_cash(record.payment, envelope, ready.balance_fen, ready.atc, till.make_key())
        except Problem as problem:
            if problem.unanswered or problem.money != "not-taken" or problem.code == "tsp-answer-bad":
                # The TSP may have written it down, but this card was not asked: the card itself can show that.
                if problem.unanswered:
                    self._say_silent(record)
                return self._tell_none(record, declined=False)
            till.memory.settled(record.payment)
            self.money = "not-taken"
            raise
        try:
            said = ready.card.authorise()
        except (CardRemoved, ProtocolError):
            return self._ask_back(record, partial(self._settle, record))
        except StatusError:
            return self._tell_none(record, declined=True)
        if not isinstance(said, ApprovedOffline):
            return self._tell_none(record, declined=True)
        record = record.certified(said.coded)
        remember(till.memory, record)
        self.money = "taken"
        record = replace(record, balance_after_fen=_balance(ready.card))
        remember(till.memory, record)
        return self._tell_paid(record)

    def _tell_none(self, record: OpenPayment, *, declined: bool) -> Finished:
        """The card has given no certificate, and says where it stands. Raises NeverBegun."""
        deliver = partial(self._deliver, record, self._ready.card, declined=declined)
        return self._tell_standing(record, deliver, partial(self._settle, record))

    def _settle(self, record: OpenPayment, connection: Connection) -> Payment:
        till = self._till
        found = recognised(connection, self._settings, till.memory, till.now())
        if found is None or found[1] != record.card:
            raise BadCard(CardPrompt("other-card", self._number))
        return self._deliver(record, found[0], declined=False)

    def _deliver(self, record: OpenPayment, card: DebitCredit, *, declined: bool) -> Payment:
        till = self._till
        return deliver_standing(
            till.client, till.memory, till.waits, record, card, till.cancel,
            silent=lambda: self._say_silent(record), declined=declined,
        )  # fmt: skip


def deliver_standing(
    client: TspClient,
    memory: Memory,
    waits: Waits,
    record: OpenPayment,
    card: DebitCredit,
    cancel: threading.Event,
    pauses: Sequence[float] = PAUSES_S,
    silent: Callable[[], None] = lambda: None,
    *,
    declined: bool = False,
) -> Payment:
    """Asks the card of a payment with electronic cash where it stands, and tells the TSP, who says what that means.

    Args:
        card: the same one.
        declined: it has answered, and it was no certificate.

    Raises:
        CardRemoved, StatusError, ProtocolError: it could not be read.
        Problem: as ``settling.deliver_proof``.
    """
    balance_fen, counter = card.electronic_cash().balance_fen, card.get_data(ATC)
    if balance_fen is None or counter is None:
        raise ProtocolError("the card does not tell where its electronic cash stands")
    logged = any(
        int.from_bytes(entry.values.get(ATC, b"")) == record.offline_number
        for entry in card.transaction_log()
    )
    atc = int.from_bytes(counter)
    # Another day the card may say it in other words: another message, another key.
    key = f"{record.proof_key}-{balance_fen:X}-{atc:04X}{logged:d}{declined:d}"
    client = client.under(record.correlation)

    def tell() -> Payment:
        return client.not_certified(record.payment, balance_fen, atc, key, logged=logged, declined=declined)

    return deliver_evidence(memory, waits, record, tell, cancel, pauses, silent)


def _balance(card: DebitCredit) -> int | None:
    """The balance for the result page; a card that leaves now has already proved what matters."""
    try:
        return card.electronic_cash().balance_fen
    except (CardRemoved, StatusError, ProtocolError):
        return None
