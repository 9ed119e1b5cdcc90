"""Everything a subscriber can set out to do, with what it needs already in its hands."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from datetime import date

from cardreader.reader import Reader
from stb_app.journeys.card_inquiry import CardInquiry
from stb_app.journeys.card_payment import CardPayment
from stb_app.journeys.following import Follow
from stb_app.journeys.loading import Ask
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.recovery import Recovery
from stb_app.journeys.waiting import Waits
from stb_app.journeys.wallet_payment import WalletPayment
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Hello, Home, Order, Payment, Records, Service, ServicePage, Subscriber


class Verbs:
    """Makes journeys. Each is run once, on a thread of its own.

    Args:
        client: the TSP, connected or not yet.
        reader: the card slot.
        memory: what the box must not forget.
        waits: how journeys wait and know the time.
        today: the calendar date in China, for cards' validity.
        make_key: idempotency keys, fresh ones.
    """

    def __init__(
        self, client: TspClient, reader: Reader, memory: Memory, waits: Waits, today: Callable[[], date],
        make_key: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:  # fmt: skip
        self.client = client
        self.reader = reader
        self.memory = memory
        self._waits = waits
        self._today = today
        self._make_key = make_key
        self._alone = threading.Lock()

    def hello(self) -> Ask[Hello]:
        return Ask(self.client.hello)

    def enrol(self, box_number: str, smart_card_number: str, activation_code: str) -> Ask[Subscriber]:
        key = self._make_key()
        return Ask(lambda: self.client.enrol(box_number, smart_card_number, activation_code, key), attempts=3)

    def home(self) -> Ask[Home]:
        return Ask(self.client.home)

    def services(self) -> Ask[tuple[Service, ...]]:
        return Ask(self.client.services)

    def service(self, service: str) -> Ask[ServicePage]:
        return Ask(lambda: self.client.service(service))

    def records(self) -> Ask[Records]:
        return Ask(self.client.records)

    def order(self, service: str, term: str) -> Ask[Order]:
        """BOSS checks and computes the fee (ONL-2, ONL-4); no money moves."""
        key = self._make_key()
        return Ask(lambda: self.client.order(service, term, key), attempts=2)

    def pay_by_card(self, order: Order, settles_only: bool = False) -> CardPayment:
        """``settles_only``: the card of an earlier payment tells what it did, and nothing is paid."""
        return CardPayment(
            self.client,
            self.reader,
            self.memory,
            self._waits,
            self._make_key,
            order,
            self._today,
            self._alone,
            settles_only,
        )

    def pay_by_wallet(self, order: Order, method: str) -> WalletPayment:
        return WalletPayment(self.client, self.memory, self._waits, self._make_key, order, method)

    def follow(self, payment: Payment, seconds: float = 120.0) -> Follow:
        """Watches a payment whose end is not known yet, or to which money may still come late."""
        return Follow(self.client, self._waits, payment, seconds)

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

    def inquire_card(self) -> CardInquiry:
        return CardInquiry(self.client, self.reader, self.memory, self._waits, self._make_key, self._alone)

    def recover(self) -> Recovery:
        """Settles what earlier payments left open; runs in the background from the start of the television."""
        return Recovery(self.client, self.reader, self.memory, self._waits, self._alone)
