"""A TSP in memory with a real PSAM simulator: the client's contract without the wire, and with faults on order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from cardreader import tlv
from cardreader.errors import MacInvalid
from cardreader.psam import Psam
from cardreader.secret import SecretBytes
from cardreader.sim.emv.issuer_keys import MASTER_AC, MASTER_MAC
from cardreader.sim.profiles import open_card
from cardreader.sim.psam import open_psam
from server_stub.ppp.chip import CardKeys, ChipData, MasterKeys, put_balance
from stb_app.tsp.card_verbs import CardFacts
from stb_app.tsp.envelope import CardKey
from stb_app.tsp.model import (
    AccountBalance,
    Authorisation,
    CardStanding,
    Lease,
    Load,
    LoadAuthorisation,
    Mac1,
    Method,
    Order,
    PaidCard,
    Payment,
    QrCode,
    Service,
)
from stb_app.tsp.problem import Money, Problem

NOW = datetime(2026, 11, 21, 19, 32, tzinfo=UTC)
WORDS = {"zh": "体育频道", "en": "Sports"}
SERVICE = Service("sports", WORDS, WORDS, WORDS, "sports", "per-use", 500, "none", None, None)
ORDER = Order(
    "order-1", "4C7F 20A1", SERVICE, "monthly", 1500, 0, None, 1500, NOW, NOW + timedelta(days=30), False, "96123",
    900, "quoted", (Method("card", WORDS, WORDS, True, None),),
)  # fmt: skip
DATE, TIME = bytes.fromhex("20261121"), bytes.fromhex("193208")


def load_of(load: str, state: str, money: Money, reason: str | None, card: PaidCard | None) -> Load:
    """A load as the TSP tells it."""
    return Load(load, state, money, reason, card, 10_000, NOW, "4C7F 20A1")


@cache
def _key() -> RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class DummyTsp:
    """Stands in for TspClient.

    ``faults``: verb name -> list of faults, used one after the other: ``"lost"`` (the request never arrives),
    ``"unanswered"`` (it is carried out, the answer is lost), a Problem (refused), or None (as it should be).
    """

    def __init__(self) -> None:
        self.psam = Psam(open_psam(1, None))
        self.faults: dict[str, list[Any]] = {}
        self.calls: list[str] = []
        self.keys: dict[str, Any] = {}
        self.payments = 0
        self.all: dict[str, Payment] = {}
        self.services: dict[str, Service] = {}
        """Of orders that are not for SERVICE."""
        self.changed = threading.Condition()
        self.opens = True
        self.facts: CardFacts | None = None
        self.init_body: dict[str, Any] = {}
        self._versions = itertools.count(1)
        self.issuer = "00"
        """What the issuer of a debit or credit card answers (bit 39)."""
        self.issuer_of = "debit"
        self.gives_tries_back = False
        self.script_results: list[bytes | None] = []
        self.with_pin = False
        self.load_now = load_of("load-1", "preparing", "not-taken", None, None)
        self.cash = (0, 0)
        """Balance and ATC of a card that was to pay with its electronic cash."""

    correlation = ""

    def came_back(self) -> None:
        """Whoever wants to hear of it puts something else here."""

    def under(self, correlation: str) -> DummyTsp:
        """Asks are told apart by nothing here."""
        return self

    def pay(self, order: str, method: str, key: str) -> Payment:
        def act() -> Payment:
            qr = QrCode("http://127.0.0.1:8780/w/Ab3dE6gH", 180) if method.startswith("wallet") else None
            state = "waiting" if qr else "preparing"
            self.payments += 1
            service, number = self.services.get(order, SERVICE), f"pay-{self.payments}"
            self.all[number] = Payment(
                number, order, "4C7F 20A1", service, "monthly", method, 1500, NOW, state, "not-taken", None, None, None, qr,
                next(self._versions),
            )  # fmt: skip
            return self.all[number]

        return self._do("pay", act, key)

    def payment(self, payment: str, after: int | None = None, wait: int = 0) -> Payment:
        def act() -> Payment:
            with self.changed:
                if after is not None:
                    self.changed.wait_for(lambda: self.all[payment].version > after, timeout=5)
                return self.all[payment]

        return self._do("payment", act)

    def cancel(self, payment: str, key: str, reason: str | None = None) -> Payment:
        def act() -> Payment:
            if self.all[payment].state not in ("preparing", "waiting", "scanned"):
                raise Problem("payment-not-cancellable", money=self.all[payment].money)
            return self.become(payment, state="cancelled", reason=reason or "cancelled")

        return self._do("cancel", act, key)

    def inquire(self, card: CardFacts, key: str) -> CardStanding:
        known = card.issuer_id == self.psam.application.issuer_id
        return self._do(
            "inquire",
            lambda: CardStanding(WORDS if known else None, known, None if known else "card-issuer-unknown"),
            key,
        )

    def present_card(self, payment: str, card: CardFacts, key: str, wait: int = 0) -> Lease:
        def act() -> Lease:
            self.facts = card
            return Lease(self.psam.terminal_number, self.psam.application.key_index, 60)

        return self._do("present_card", act, key)

    def init(self, payment: str, init: dict[str, Any], key: str) -> Mac1:
        def act() -> Mac1:
            assert self.facts is not None
            self.init_body = dict(init)
            answer = self.psam.initialize_for_purchase(
                bytes.fromhex(init["random"]), init["offline_number"], 1500, 6, DATE, TIME, init["key_version"],
                init["algorithm_id"], self.facts.application_serial.reveal()[2:],
            )  # fmt: skip
            self.become(payment, state="unknown", money="unknown")
            return Mac1(answer.terminal_transaction_number, answer.mac1, DATE, TIME)

        return self._do("init", act, key)

    def debited(
        self, payment: str, tac: bytes, mac2: bytes, balance_after_fen: int | None, key: str
    ) -> Payment:
        def act() -> Payment:
            assert self.facts is not None
            try:
                self.psam.credit_for_purchase(mac2)
            except MacInvalid as error:
                raise Problem("mac2-refused", money="unknown") from error
            card = PaidCard(
                self.facts.application_serial.masked, self.init_body["balance_fen"], balance_after_fen
            )
            if self.opens:
                return self.become(
                    payment, state="done", money="taken", valid_until=ORDER.valid_until, card=card
                )
            return self.become(payment, state="paid", money="taken", card=card)

        return self._do("debited", act, key, (tac, mac2, balance_after_fen))

    def not_debited(self, payment: str, sw: int, offline_number: int, balance_fen: int, key: str) -> Payment:
        def act() -> Payment:
            if self.all[payment].state != "unknown":
                raise Problem("wrong-state", money=self.all[payment].money)
            if (offline_number, balance_fen) != (
                self.init_body["offline_number"],
                self.init_body["balance_fen"],
            ):
                raise Problem("evidence-contradicts", money="unknown")
            reason = {0x9302: "mac1-refused", 0x9406: "card-removed", 0: "connection-lost"}.get(
                sw, "card-refused"
            )
            return self.become(payment, state="failed", money="not-taken", reason=reason)

        return self._do("not_debited", act, key)

    def card_key(self) -> CardKey:
        return self._do("card_key", lambda: CardKey("dummy", _key().public_key()))

    def authorise(
        self, payment: str, envelope: dict[str, str | None], chip: bytes, key: str
    ) -> Authorisation:
        """``issuer`` answers; its word "" is none that anybody believes: it is undone."""

        def act() -> Authorisation:
            data = ChipData.parse(chip)
            pan = open_card(self.issuer_of, None).number
            keys = CardKeys(MasterKeys(SecretBytes(MASTER_AC), SecretBytes(MASTER_MAC)), pan, "01", data)
            assert keys.good()
            self.with_pin = envelope["pin_block"] is not None
            if not self.issuer:
                return Authorisation(self.become(payment, state="unknown", money="unknown"), None, b"")
            approved = self.issuer == "00"
            state, money = ("unknown", "unknown") if approved else ("failed", "not-taken")
            now = self.become(payment, state=state, money=money, reason=None if approved else self._why())
            scripts = [keys.command(bytes.fromhex("84240000"))] if self.gives_tries_back else []
            return Authorisation(now, self.issuer, keys.answer(self.issuer, scripts))

        return self._do("authorise", act, key, chip)

    def complete(self, payment: str, chip: bytes | None, key: str) -> Payment:
        def act() -> Payment:
            if chip is not None:
                self.script_results.append(tlv.find(chip, 0xDF31))
            if chip is not None and tlv.find(chip, 0x9F27) == b"\x40":
                return self.become(payment, state="done", money="taken", valid_until=ORDER.valid_until)
            reason = "card-removed" if chip is None else "declined-by-card"
            return self.become(payment, state="failed", money="not-taken", reason=reason)

        return self._do("complete", act, key, chip)

    def begin_cash(
        self, payment: str, envelope: dict[str, str | None], balance_fen: int, atc: int, key: str
    ) -> Payment:
        def act() -> Payment:
            assert envelope["pin_block"] is None
            self.cash = (balance_fen, atc)
            return self.become(payment, state="unknown", money="unknown")

        return self._do("begin_cash", act, key)

    def certified(self, payment: str, chip: bytes, balance_after_fen: int | None, key: str) -> Payment:
        def act() -> Payment:
            data = ChipData.parse(chip)
            keys = CardKeys(
                MasterKeys(SecretBytes(MASTER_AC), SecretBytes(MASTER_MAC)),
                open_card("electronic-cash", None).number,
                "01",
                data,
            )
            assert keys.good()
            assert (data.kind, int.from_bytes(data.atc)) == (0x40, self.cash[1])
            card = PaidCard("6217 00** **** *** 4204", self.cash[0], balance_after_fen)
            return self.become(
                payment, state="done", money="taken", reason=None, valid_until=ORDER.valid_until, card=card
            )

        return self._do("certified", act, key, (chip, balance_after_fen))

    def not_certified(
        self, payment: str, balance_fen: int, atc: int, key: str, *, logged: bool, declined: bool
    ) -> Payment:
        def act() -> Payment:
            if self.all[payment].state != "unknown":
                raise Problem("wrong-state", money=self.all[payment].money)
            if balance_fen != self.cash[0] or logged:
                return self.become(payment, reason="certificate-lost")
            reason = "declined-by-card" if declined else "card-removed"
            return self.become(payment, state="failed", money="not-taken", reason=reason)

        return self._do("not_certified", act, key)

    def account_balance(self, envelope: dict[str, str | None], chip: bytes, key: str) -> AccountBalance:
        def act() -> AccountBalance:
            data = ChipData.parse(chip)
            pan = open_card(self.issuer_of, None).number
            keys = CardKeys(MasterKeys(SecretBytes(MASTER_AC), SecretBytes(MASTER_MAC)), pan, "01", data)
            assert keys.good()
            assert data.amount_fen == 0
            self.with_pin = envelope["pin_block"] is not None
            approved = self.issuer == "00"
            fen, refusal = (498_500, None) if approved else (None, self._why())
            return AccountBalance(self.issuer, fen, refusal, keys.answer(self.issuer))

        return self._do("account_balance", act, key, chip)

    def _why(self) -> str:
        return "pin-refused" if self.issuer == "55" else "declined-by-issuer"

    def begin_load(self, amount_fen: int, key: str) -> Load:
        return self._do("begin_load", lambda: load_of("load-1", "preparing", "not-taken", None, None), key)

    def load(self, load: str) -> Load:
        """As it stands; what is being undone is undone by now."""

        def act() -> Load:
            now = self.load_now
            if now.money == "unknown" and now.reason not in (None, "load-disputed"):
                self.load_now = replace(now, state="failed", money="not-taken")
            return self.load_now

        return self._do("load", act)

    def authorise_load(
        self, load: str, envelope: dict[str, str | None], chip: bytes, balance_fen: int, key: str
    ) -> LoadAuthorisation:
        """``issuer`` answers, as to ``authorise``; its script puts the money onto the card."""

        def act() -> LoadAuthorisation:
            data = ChipData.parse(chip)
            pan = open_card("electronic-cash", None).number
            keys = CardKeys(MasterKeys(SecretBytes(MASTER_AC), SecretBytes(MASTER_MAC)), pan, "01", data)
            assert keys.good()
            self.with_pin = envelope["pin_block"] is not None
            self.cash = (balance_fen, int.from_bytes(data.atc))
            if not self.issuer:
                self.load_now = load_of(load, "unknown", "unknown", "ppp-silent", None)
                return LoadAuthorisation(self.load_now, None, b"")
            approved = self.issuer == "00"
            scripts = [put_balance(keys, balance_fen + data.amount_fen)] if approved else []
            self.load_now = load_of(load, "unknown", "unknown", None, None)
            if not approved:
                self.load_now = load_of(load, "failed", "not-taken", self._why(), None)
            return LoadAuthorisation(self.load_now, self.issuer, keys.answer(self.issuer, scripts))

        return self._do("authorise_load", act, key, chip)

    def complete_load(
        self, load: str, chip: bytes | None, balance_fen: int, key: str, *, logged: bool
    ) -> Load:
        def act() -> Load:
            there = logged or balance_fen > self.cash[0]
            card = PaidCard("6217 00** **** *** 4204", self.cash[0], balance_fen)
            if there and self.load_now.state == "failed":
                self.load_now = load_of(load, "unknown", "unknown", "load-disputed", card)
            elif there:
                self.load_now = load_of(load, "loaded", "taken", None, card)
            elif self.load_now.state != "failed":
                reason = "card-removed" if chip is None else "declined-by-card"
                self.load_now = load_of(load, "unknown", "unknown", reason, card)
            return self.load_now

        return self._do("complete_load", act, key, (chip, balance_fen, logged))

    @property
    def current(self) -> Payment:
        """The payment that was begun last."""
        return self.all[f"pay-{self.payments}"]

    def become(self, payment: str = "", **changes: Any) -> Payment:
        """Another state of a payment, of the last one if none is named; wakes who waits for it."""
        with self.changed:
            now = self.all[payment] if payment else self.current
            self.all[now.payment] = replace(now, version=next(self._versions), **changes)
            self.changed.notify_all()
            return self.all[now.payment]

    def _do(self, verb: str, act: Callable[[], Any], key: str | None = None, body: Any = None) -> Any:
        self.calls.append(verb)
        planned = self.faults.get(verb, [])
        fault = planned.pop(0) if planned else None
        if fault == "lost":
            raise Problem("tsp-unreachable", retryable=True)
        if isinstance(fault, Problem):
            raise fault
        if key is None:
            answer = act()
        elif key in self.keys:
            first, answer = self.keys[key]
            if first != body:
                raise Problem("idempotency-key-reused")
        else:
            answer = act()
            self.keys[key] = (body, answer)
        if fault == "unanswered":
            raise Problem("tsp-unreachable", retryable=True)
        return answer
