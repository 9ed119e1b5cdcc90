"""Everything a subscriber can set out to do, with what it needs already in its hands."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cardreader.emv import capk
from cardreader.emv.settings import TerminalSettings
from cardreader.lab.sessions import RecordingReader
from cardreader.lab.trace import Trace
from cardreader.reader import Reader, SeveralSlots
from cardreader.secret import SecretText
from stb_app.journeys.card_inquiry import CardInquiry
from stb_app.journeys.card_lab import CardLab, Kept, ReaderSeen, keep, readers
from stb_app.journeys.card_payment import CardPayment
from stb_app.journeys.cash_load import CashLoad
from stb_app.journeys.following import Follow, FollowLoad
from stb_app.journeys.loading import Ask
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.online_payment import TERMINAL
from stb_app.journeys.recovery import Recovery
from stb_app.journeys.settling import end_told
from stb_app.journeys.slot_watch import SlotWatch
from stb_app.journeys.waiting import Waits
from stb_app.journeys.wallet_payment import WalletPayment
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Hello, Home, Load, Order, Payment, Records, Service, ServicePage, Subscriber

if TYPE_CHECKING:
    from stb_app.tsp.signing import Identity

log = logging.getLogger(__name__)


class Verbs:
    """Makes journeys. Each is run once, on a thread of its own, and has a correlation id: the name of the key press that
    it begins with, in our log, the TSP's, and every book that it ends in.

    Args:
        client: the TSP, connected or not yet.
        reader: the card slot; what is said to its last cards is remembered, for testers.
        memory: what the box must not forget.
        waits: how journeys wait and know the time.
        now: the time in China, for cards' validity and what they keep in their logs.
        make_key: idempotency keys, fresh ones.
        make_correlation: correlation ids, fresh ones: 32 hexadecimal digits.
        traces: folder for what testers keep of that; None: they cannot.
        terminal: this box as a terminal for debit and credit cards.
    """

    def __init__(
        self, client: TspClient, reader: Reader, memory: Memory, waits: Waits, now: Callable[[], datetime],
        make_key: Callable[[], str] = secrets.token_urlsafe,
        make_correlation: Callable[[], str] = partial(secrets.token_hex, 16), traces: Path | None = None,
        terminal: TerminalSettings = TERMINAL,
    ) -> None:  # fmt: skip
        self.client = client
        self.reader = RecordingReader(reader, waits.monotonic, now)
        self.memory = memory
        self._waits = waits
        self._slots = reader
        self._now = now
        self._traces = traces
        self._settings = terminal
        self._make_key = make_key
        self._make_correlation = make_correlation
        self._alone = threading.Lock()

    def _begin(self, what: str) -> TspClient:
        """Somebody sets out to do something; the client that asks in its name."""
        correlation = self._make_correlation()
        log.info("%s begins", what, extra={"event": "journey", "correlation": correlation, "what": what})
        return self.client.under(correlation)

    def hello(self) -> Ask[Hello]:
        return Ask(self.client.hello)

    def enrol(
        self, identity: Identity, smart_card_number: str, activation_code: SecretText
    ) -> Ask[Subscriber]:
        key = self._make_key()
        return Ask(lambda: self.client.enrol(identity, smart_card_number, activation_code, key), attempts=3)

    def rotate(self, new: Identity) -> Ask[None]:
        """Goes over to a new key."""
        key = self._make_key()
        return Ask(lambda: self.client.rotate(new, key), attempts=3)

    def home(self) -> Ask[Home]:
        return Ask(self._begin("home").home)

    def services(self) -> Ask[tuple[Service, ...]]:
        return Ask(self._begin("services").services)

    def service(self, service: str) -> Ask[ServicePage]:
        client = self._begin("service")
        return Ask(lambda: client.service(service))

    def records(self) -> Ask[Records]:
        """What they tell of payments and loads without an end, the notices are to tell at the same time."""
        client = self._begin("records")

        def ask() -> Records:
            records = client.records()
            self.memory.left()
            return records

        return Ask(ask)

    def order(self, service: str, term: str) -> Ask[Order]:
        """BOSS checks and computes the fee (ONL-2, ONL-4); no money moves."""
        key = self._make_key()
        client = self._begin("order")
        return Ask(lambda: client.order(service, term, key), attempts=2)

    def pay_by_card(self, order: Order, settles: str = "") -> CardPayment:
        """``settles``: an earlier payment; its card tells what it did, and nothing is paid."""
        return CardPayment(
            self._begin("pay-by-card"),
            self.reader,
            self.memory,
            self._waits,
            self._make_key,
            order,
            self._now,
            self._alone,
            settles,
            self._terminal,
        )

    def _terminal(self) -> TerminalSettings:
        """This box as a terminal; the simulated cards' CA counts only where no real card can be.

        Asked when a card is there: which reader it is in, and so whether it is simulated, is not known before.
        """
        if not self.reader.simulated:
            return self._settings
        return replace(self._settings, ca_keys=capk.for_simulated_cards(self._settings.ca_keys))

    def pay_by_wallet(self, order: Order, method: str) -> WalletPayment:
        client = self._begin("pay-by-wallet")
        return WalletPayment(client, self.memory, self._waits, self._make_key, order, method)

    def follow(self, payment: Payment, seconds: float = 120.0) -> Follow:
        """Watches a payment whose end is not known yet, or to which money may still come late."""
        return Follow(self._begin("follow"), self._waits, payment, seconds, self.reader)

    def follow_load(self, load: Load) -> FollowLoad:
        """Watches a load whose end is not known yet."""
        return FollowLoad(self._begin("follow-load"), self._waits, load)

    def payment(self, payment: str) -> Ask[Payment]:
        """One payment as it stands."""
        return Ask(lambda: self.client.payment(payment))

    def card_wanted(self, service: str) -> OpenPayment | None:
        """The payment for this service whose card has not yet told whether it has paid; asked of the box alone, at once."""
        return self.memory.wanted_for(service)

    def look_at(self, payment: str) -> None:
        """A page says how this payment stands: nobody need be told of it elsewhere, until ``look_away``."""
        self.memory.look_at(payment)

    def look_away(self, payment: str) -> None:
        self.memory.look_away(payment)
        self.memory.changed()

    def told(self, payment: Payment) -> Ask[None]:
        """A page has shown how this payment stands; at its end the box need not remember it any more."""
        return Ask(lambda: end_told(self.memory, payment))

    def inquire_card(self, *, account: bool = False) -> CardInquiry:
        """``account``: a bank card's bank is asked, too, what is in its account."""
        client = self._begin("inquire-card")
        return CardInquiry(
            client,
            self.reader,
            self.memory,
            self._waits,
            self._make_key,
            self._alone,
            self._terminal,
            self._now,
            account=account,
        )

    def watch_slot(self) -> SlotWatch:
        """Tells when the card that was read last is taken out, and when one is put in again."""
        return SlotWatch(self._slots, self._waits)

    def load_cash(self, amount_fen: int) -> CashLoad:
        """Electronic cash, from the account of the card that is put in."""
        client = self._begin("load-cash")
        return CashLoad(
            client, self.reader, self.memory, self._waits, self._make_key, self._now, self._alone, self._terminal,
            amount_fen,
        )  # fmt: skip

    def look_into_card(self) -> CardLab:
        """Reads every card that is put in, with all it tells; for testers."""
        return CardLab(self.reader, self._waits, self._terminal, self._now, self._alone)

    def traces(self) -> tuple[Trace, ...]:
        """What was said to the last cards, whatever for, newest first."""
        return self.reader.traces()

    def keep_trace(self, trace: Trace) -> Ask[Kept]:
        """Writes a trace as a file."""
        return Ask(lambda: keep(trace, self._traces))

    def readers(self) -> Ask[tuple[ReaderSeen, ...]]:
        """The readers of this box."""
        return Ask(lambda: readers(self._slots))

    def choose_reader(self, name: str) -> None:
        """Whenever there is a card in this reader, it is the one that is used, whatever for."""
        if isinstance(self._slots, SeveralSlots):
            self._slots.choose(name)

    def recover(self) -> Recovery:
        """Settles what earlier payments left open; runs in the background from the start of the television."""
        return Recovery(
            self.client, self.reader, self.memory, self._waits, self._alone, self._terminal, self._now
        )
