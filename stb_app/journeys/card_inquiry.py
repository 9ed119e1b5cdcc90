"""Looking at a card (ONL-10, inquiry): balance, validity, last ten transactions; of a bank card its electronic cash. Moves no money."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Literal

from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Online, Prepared
from cardreader.emv.settings import TerminalSettings
from cardreader.errors import Cancelled, CardRemoved, ProtocolError, StatusError
from cardreader.pboc.files import LogRecord
from cardreader.purse import Purse
from cardreader.reader import Connection, Reader
from cardreader.secret import Pin
from stb_app.journeys.asking import patiently
from stb_app.journeys.bank_card import recognised
from stb_app.journeys.bank_card_read import read_bank_card
from stb_app.journeys.card_slot import BadCard, CardSlot, NobodyCame
from stb_app.journeys.electronic_cash import deliver_standing
from stb_app.journeys.issuer_talk import counted, first_word, last_word
from stb_app.journeys.memory import Memory
from stb_app.journeys.open_loads import hear, tell
from stb_app.journeys.settling import settle_with_card
from stb_app.journeys.steps import (
    BankCardRead,
    CardPrompt,
    CardRead,
    CardTransaction,
    InquiryStep,
    Refused,
)
from stb_app.journeys.waiting import Waits
from stb_app.tsp import envelope
from stb_app.tsp.card_verbs import CardFacts
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import CardStanding
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)

CARD_WAIT_S = 180.0
SECURITY_STATUS = 0x6982
KINDS: dict[int, Literal["load", "purchase"]] = {
    0x01: "load",
    0x02: "load",
    0x05: "purchase",
    0x06: "purchase",
    0x09: "purchase",
}
"""Transaction types of EF 0018 (cards.md A2) as a subscriber knows them."""


class CardInquiry:
    """One look at one card. Ends with CardRead or BankCardRead, or with Refused: ``card-wait-expired``, ``cancelled`` or ``internal``."""

    def __init__(
        self,
        client: TspClient,
        reader: Reader,
        memory: Memory,
        waits: Waits,
        make_key: Callable[[], str],
        alone: threading.Lock,
        terminal: Callable[[], TerminalSettings],
        now: Callable[[], datetime],
        *,
        account: bool = False,
    ) -> None:
        """``account``: a bank card's PIN is asked for, and its bank what is in the account."""
        self._client = client
        self._reader = reader
        self._memory = memory
        self._waits = waits
        self._make_key = make_key
        self._alone = alone
        self._terminal = terminal
        self._now = now
        self._account = account
        self._cancel = threading.Event()
        self._slot: CardSlot

    def run(self, post: Callable[[InquiryStep], None]) -> None:
        self._slot = CardSlot(self._reader, self._waits, self._cancel, post, self._alone)
        try:
            with self._slot.mine(CardPrompt("starting")):
                read = self._read()
            post(read)
        except Cancelled:
            post(Refused("cancelled"))
        except NobodyCame:
            post(Refused("card-wait-expired", retryable=True))
        except Exception:
            log.exception("card inquiry")
            post(Refused("internal", retryable=True))

    def enter_pin(self, pin: Pin) -> None:
        """For a card that shows its log only behind the PIN."""
        self._slot.enter_pin(pin)

    def cancel(self) -> None:
        self._cancel.set()

    def _read(self) -> CardRead | BankCardRead:
        prompt = CardPrompt("insert")
        while True:
            connection = self._slot.wait_for_card(prompt, CARD_WAIT_S)
            try:
                try:
                    purse, facts = self._slot.open_purse(connection)
                except BadCard as bad:
                    if bad.prompt.prompt != "no-purse":
                        raise
                    return self._look_at_bank_card(connection, bad)
                return self._look(purse, facts)
            except BadCard as bad:
                self._slot.say(bad.prompt)
                self._slot.wait_for_removal(CARD_WAIT_S)
                prompt = CardPrompt("insert")
            except CardRemoved:
                prompt = CardPrompt("removed-early")
            except (StatusError, ProtocolError):
                self._slot.say(CardPrompt("not-readable"))
                self._slot.wait_for_removal(CARD_WAIT_S)
                prompt = CardPrompt("insert")
            finally:
                connection.close()

    def _look(self, purse: Purse, facts: CardFacts) -> CardRead:
        about = CardPrompt("reading", facts.application_serial.masked, facts.balance_fen)
        self._slot.say(about)
        facts = self._settle_earlier(purse, facts)
        standing: CardStanding | None = None
        problem_code: str | None = None
        try:
            standing = self._client.inquire(facts, self._make_key())
        except Problem as problem:
            problem_code = problem.code
        return CardRead(
            about.number, facts.balance_fen, facts.expiry_date, standing.issuer if standing else None, standing,
            tuple(_transaction(record) for record in self._log(purse, about)), problem_code,
        )  # fmt: skip

    def _look_at_bank_card(self, connection: Connection, bad: BadCard) -> BankCardRead:
        """A debit or credit card. Raises BadCard: ``bad``, it is none; StatusError, ProtocolError."""
        self._slot.say(CardPrompt("reading"))
        found = recognised(connection, self._terminal(), self._memory, self._now())
        if found is None:
            raise bad
        card, name, prepared = found
        self._settle_earlier_cash(card, name)
        read = read_bank_card(card, self._now().date())
        return self._with_account(card, prepared, read) if self._account else read

    def _with_account(self, card: DebitCredit, prepared: Prepared, read: BankCardRead) -> BankCardRead:
        """Has the card's bank asked what is in the account. Raises StatusError, ProtocolError, CardRemoved, Cancelled."""
        about = CardPrompt("reading", read.number)
        try:
            sealed_for = patiently(self._client.card_key, self._waits, self._cancel, lambda: None)
            first, pin, about = first_word(self._slot, card, prepared, about)
            if not isinstance(first, Online):
                return replace(read, account_refusal="declined-by-card")
            key = self._make_key()
            sealed = envelope.seal(sealed_for, key, envelope.CardData.of(card.objects), pin)
            self._slot.say(replace(about, prompt="processing"))
            said = self._client.account_balance(sealed, first.coded, key)
        except Problem as problem:
            return replace(read, account_refusal=problem.code)
        last_word(card, said.response_code, said.chip)
        refusal = counted(self._memory, card, pin, said.response_code, said.refusal)
        return replace(read, account_fen=said.balance_fen, account_refusal=refusal)

    def _settle_earlier_cash(self, card: DebitCredit, name: str) -> None:
        """As ``_settle_earlier``."""
        record, load = self._memory.of_card(name), self._memory.load_of(name)
        if load is not None:
            try:
                tell(self._client, self._memory, hear(self._memory, load, card, None))
            except Problem as problem:
                log.warning("earlier load %s: %s", load.load, problem.code)
        if record is None:
            return
        self._slot.say(CardPrompt("settling"))
        try:
            deliver_standing(self._client, self._memory, self._waits, record, card, self._cancel)
        except Problem as problem:
            log.warning("earlier payment %s: %s", record.payment, problem.code)

    def _settle_earlier(self, purse: Purse, facts: CardFacts) -> CardFacts:
        """A card that still has to explain a payment does so now, whatever it was put in for."""
        record = self._memory.of_card(self._memory.card_id(facts.application_serial.reveal()))
        if record is None:
            return facts
        self._slot.say(CardPrompt("settling"))
        try:
            settle_with_card(self._client, self._memory, self._waits, record, purse, self._cancel)
        except Problem as problem:
            log.warning("earlier payment %s: %s", record.payment, problem.code)
        return replace(facts, balance_fen=purse.balance_fen())

    def _log(self, purse: Purse, about: CardPrompt) -> list[LogRecord]:
        try:
            return purse.log()
        except StatusError as error:
            if error.sw != SECURITY_STATUS:
                raise
        self._slot.ask_pin(purse, about)
        return purse.log()


def _transaction(record: LogRecord) -> CardTransaction:
    return CardTransaction(
        KINDS.get(record.transaction_type, "other"), record.amount_fen, f"{record.date:%Y-%m-%d} {record.time:%H:%M:%S}",
        record.terminal_number.hex().upper(), record.sequence_number,
    )  # fmt: skip
