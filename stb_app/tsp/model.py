"""The answers of the TSP as frozen values. Shapes and words are those of docs/tsp-api.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

from cardreader.secret import mask_number
from stb_app.tsp.problem import MONEY, Money, Problem

T = TypeVar("T")
Words = Mapping[str, str]
"""A text in every language: ``{"zh": ..., "en": ...}``."""


class Fields:
    """One JSON object being read. A field that is missing or of another kind is a ``tsp-answer-bad`` that names it."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise Problem("tsp-answer-bad", facts={"where": where, "expected": "object"})
        self._value, self._where = value, where

    def take(self, name: str, kind: type[T]) -> T:
        value = self._value.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Problem(
                "tsp-answer-bad", facts={"where": f"{self._where}.{name}", "expected": kind.__name__}
            )
        return value

    def maybe(self, name: str, read: Callable[[str], T]) -> T | None:
        return None if self._value.get(name) is None else read(name)

    def text(self, name: str) -> str:
        return self.take(name, str)

    def int(self, name: str) -> int:
        return self.take(name, int)

    def flag(self, name: str) -> bool:
        return self.take(name, bool)

    def words(self, name: str) -> Words:
        inner = Fields(self._value.get(name), f"{self._where}.{name}")
        return {"zh": inner.text("zh"), "en": inner.text("en")}

    def instant(self, name: str) -> datetime:
        return self._parse(name, datetime.fromisoformat)

    def day(self, name: str) -> date:
        return self._parse(name, date.fromisoformat)

    def money(self, name: str) -> Money:
        value = self.text(name)
        for word in MONEY:
            if word == value:
                return word
        raise Problem("tsp-answer-bad", facts={"where": f"{self._where}.{name}", "expected": "/".join(MONEY)})

    def one(self, name: str, read: Callable[[Fields], T]) -> T:
        return read(Fields(self._value.get(name), f"{self._where}.{name}"))

    def many(self, name: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
        items = self.take(name, list)
        return tuple(read(Fields(item, f"{self._where}.{name}[{i}]")) for i, item in enumerate(items))

    def facts(self, name: str) -> dict[str, Any]:
        value = self._value.get(name)
        return dict(value) if isinstance(value, dict) else {}

    def _parse(self, name: str, parse: Callable[[str], T]) -> T:
        text = self.text(name)
        try:
            return parse(text)
        except ValueError as error:
            raise Problem(
                "tsp-answer-bad", facts={"where": f"{self._where}.{name}", "expected": "date"}
            ) from error


@dataclass(frozen=True, slots=True)
class Hello:
    name: str
    version: str
    api: int
    test_mode: bool
    time: datetime
    hotline: str

    @classmethod
    def read(cls, f: Fields) -> Hello:
        return cls(
            f.text("name"),
            f.text("version"),
            f.int("api"),
            f.flag("test_mode"),
            f.instant("time"),
            f.text("hotline"),
        )


@dataclass(frozen=True, slots=True)
class Subscriber:
    name: Words
    number: str

    @classmethod
    def read(cls, f: Fields) -> Subscriber:
        return cls(f.words("name"), f.text("number"))


@dataclass(frozen=True, slots=True)
class Service:
    """A service as lists show it. ``status``: none, active or expired."""

    service: str
    name: Words
    summary: Words
    category: Words
    icon: str
    from_term: str
    from_price_fen: int
    status: str
    valid_until: datetime | None
    days_left: int | None

    @classmethod
    def read(cls, f: Fields) -> Service:
        term, price = f.one("from", lambda g: (g.text("term"), g.int("price_fen")))
        return cls(
            f.text("service"), f.words("name"), f.words("summary"), f.words("category"), f.text("icon"), term, price,
            f.text("status"), f.maybe("valid_until", f.instant), f.maybe("days_left", f.int),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Term:
    """One way to buy a service. ``refusal`` is a code when it is not for this subscriber; then the price may be missing."""

    term: str
    price_fen: int | None
    saving_percent: int
    valid_from: datetime | None
    valid_until: datetime | None
    refusal: str | None

    @classmethod
    def read(cls, f: Fields) -> Term:
        return cls(
            f.text("term"), f.maybe("price_fen", f.int), f.int("saving_percent"), f.maybe("valid_from", f.instant),
            f.maybe("valid_until", f.instant), f.maybe("refusal", f.text),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subscription:
    term: str
    valid_from: datetime
    valid_until: datetime
    paid_fen: int
    status: str

    @classmethod
    def read(cls, f: Fields) -> Subscription:
        return cls(
            f.text("term"),
            f.instant("valid_from"),
            f.instant("valid_until"),
            f.int("paid_fen"),
            f.text("status"),
        )


@dataclass(frozen=True, slots=True)
class ServicePage:
    """Everything about one service for this subscriber."""

    service: Service
    introduction: Words
    terms: tuple[Term, ...]
    subscriptions: tuple[Subscription, ...]
    renews: bool
    hotline: str
    clashes_with: Words | None = None
    """The name of a service that the subscriber has and that excludes this one."""

    @classmethod
    def read(cls, f: Fields) -> ServicePage:
        return cls(
            Service.read(f), f.words("introduction"), f.many("terms", Term.read), f.many("subscriptions", Subscription.read),
            f.flag("renews"), f.text("hotline"), f.maybe("clashes_with", f.words),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Home:
    """What the home page shows. ``spending``: (YYYY-MM, fen) of six months, oldest first."""

    subscriber: Subscriber
    current: Service | None
    spending: tuple[tuple[str, int], ...]
    service_count: int
    active_count: int
    last_payment: tuple[date, int] | None
    suggestions: tuple[Service, ...]

    @classmethod
    def read(cls, f: Fields) -> Home:
        return cls(
            f.one("subscriber", Subscriber.read),
            f.maybe("current", lambda n: f.one(n, Service.read)),
            f.many("spending", lambda g: (g.text("month"), g.int("amount_fen"))),
            f.int("service_count"),
            f.int("active_count"),
            f.maybe("last_payment", lambda n: f.one(n, lambda g: (g.day("date"), g.int("amount_fen")))),
            f.many("suggestions", Service.read),
        )


@dataclass(frozen=True, slots=True)
class Method:
    """A way to pay an order: key ``card`` or ``wallet:NAME``."""

    key: str
    name: Words
    summary: Words
    enabled: bool
    refusal: str | None

    @classmethod
    def read(cls, f: Fields) -> Method:
        return cls(
            f.text("key"), f.words("name"), f.words("summary"), f.flag("enabled"), f.maybe("refusal", f.text)
        )


@dataclass(frozen=True, slots=True)
class Order:
    """What BOSS computed and the subscriber is about to pay. ``number`` is for people, ``order`` for programs."""

    order: str
    number: str
    service: Service
    term: str
    list_fen: int
    reduction_fen: int
    reduction_reason: Words | None
    amount_fen: int
    valid_from: datetime
    valid_until: datetime
    renews: bool
    hotline: str
    seconds_left: int
    """How long the quote holds from the moment it came: the box's own clock may be wrong."""
    state: str
    methods: tuple[Method, ...]

    @classmethod
    def read(cls, f: Fields) -> Order:
        return cls(
            f.text("order"), f.text("number"), f.one("service", Service.read), f.text("term"), f.int("list_fen"),
            f.int("reduction_fen"), f.maybe("reduction_reason", f.words), f.int("amount_fen"), f.instant("valid_from"),
            f.instant("valid_until"), f.flag("renews"), f.text("hotline"), f.int("seconds_left"), f.text("state"),
            f.many("methods", Method.read),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PaidCard:
    """The card that paid: number masked, grouped as the box's own; balances in fen, None where not known.

    ``kind``: ``purse``, ``debit``, ``credit`` or ``electronic-cash``; None: nobody knows, as of old payments.
    """

    number: str
    balance_before_fen: int | None
    balance_after_fen: int | None
    kind: str | None = None

    @classmethod
    def read(cls, f: Fields) -> PaidCard:
        return cls(
            mask_number(f.text("number").replace(" ", "")),
            f.maybe("balance_before_fen", f.int),
            f.maybe("balance_after_fen", f.int),
            f.maybe("kind", f.text),
        )


@dataclass(frozen=True, slots=True)
class QrCode:
    payload: str
    seconds_left: int

    @classmethod
    def read(cls, f: Fields) -> QrCode:
        return cls(f.text("payload"), f.int("seconds_left"))


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment in the interface's own states (docs/tsp-api.md, Paying)."""

    payment: str
    order: str
    number: str
    service: Service
    term: str
    method: str
    amount_fen: int
    time: datetime
    state: str
    money: Money
    reason: str | None
    valid_until: datetime | None
    card: PaidCard | None
    qr: QrCode | None
    version: int
    facts: dict[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def read(cls, f: Fields) -> Payment:
        return cls(
            f.text("payment"), f.text("order"), f.text("number"), f.one("service", Service.read), f.text("term"),
            f.text("method"), f.int("amount_fen"), f.instant("time"), f.text("state"), f.money("money"),
            f.maybe("reason", f.text), f.maybe("valid_until", f.instant),
            f.maybe("card", lambda n: f.one(n, PaidCard.read)), f.maybe("qr", lambda n: f.one(n, QrCode.read)),
            f.int("version"), f.facts("facts"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Earlier:
    """Something that was paid otherwise than on this box. ``status`` as of a Subscription."""

    service: Service
    term: str
    date: date
    amount_fen: int
    status: str

    @classmethod
    def read(cls, f: Fields) -> Earlier:
        return cls(
            f.one("service", Service.read), f.text("term"), f.day("date"), f.int("amount_fen"), f.text("status")
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Records:
    """What was paid on this box, what was paid otherwise (None: BOSS does not tell just now), and the box's loads of
    electronic cash (a TSP that is older tells none); newest first.
    """

    payments: tuple[Payment, ...]
    earlier: tuple[Earlier, ...] | None
    loads: tuple[Load, ...] = ()

    @classmethod
    def read(cls, f: Fields) -> Records:
        return cls(
            f.many("records", Payment.read),
            f.maybe("earlier", lambda name: f.many(name, Earlier.read)),
            f.maybe("loads", lambda name: f.many(name, Load.read)) or (),
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """The PSAM that will serve this card: its terminal number (6 bytes) and the key index to ask the card for."""

    terminal_number: bytes
    key_index: int
    seconds_left: int


@dataclass(frozen=True, slots=True)
class Mac1:
    """The PSAM's word to the card: numbers and times as they go into DEBIT FOR PURCHASE (BCD date 4, time 3)."""

    terminal_transaction_number: bytes
    mac1: bytes
    date: bytes
    time: bytes


@dataclass(frozen=True, slots=True)
class Authorisation:
    """What the issuer of a debit or credit card has said: its code (None: nothing that can be believed) and data for the card."""

    payment: Payment
    response_code: str | None
    chip: bytes

    @classmethod
    def read(cls, f: Fields) -> Authorisation:
        return cls(f.one("payment", Payment.read), f.maybe("response_code", f.text), _chip(f))


def _chip(f: Fields) -> bytes:
    """Data objects for the card; none where there are none."""
    try:
        return bytes.fromhex(f.maybe("chip", f.text) or "")
    except ValueError as error:
        raise Problem("tsp-answer-bad", facts={"where": "chip", "expected": "hex"}) from error


LOAD_DISPUTED = "load-disputed"
"""Reason of a load that is for the operator's staff."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load of electronic cash as the TSP has it; ``money`` is that of the account."""

    load: str
    state: str
    money: Money
    reason: str | None
    card: PaidCard | None
    amount_fen: int
    time: datetime
    number: str
    """For people; ``load`` is for programs."""

    @classmethod
    def read(cls, f: Fields) -> Load:
        return cls(
            f.text("load"), f.text("state"), f.money("money"), f.maybe("reason", f.text),
            f.maybe("card", lambda name: f.one(name, PaidCard.read)), f.int("amount_fen"), f.instant("time"),
            f.text("number"),
        )  # fmt: skip

    @property
    def ended(self) -> bool:
        """Whether nothing more becomes known of it by itself."""
        return self.money != "unknown" or self.reason == LOAD_DISPUTED


@dataclass(frozen=True, slots=True)
class LoadAuthorisation:
    """What the issuer has said to a load, as ``Authorisation``."""

    load: Load
    response_code: str | None
    chip: bytes

    @classmethod
    def read(cls, f: Fields) -> LoadAuthorisation:
        return cls(f.one("load", Load.read), f.maybe("response_code", f.text), _chip(f))


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """What an issuer says of an account: what can be spent, in fen, or why it does not say; and data for the card."""

    response_code: str
    balance_fen: int | None
    refusal: str | None
    chip: bytes

    @classmethod
    def read(cls, f: Fields) -> AccountBalance:
        return cls(
            f.text("response_code"), f.maybe("balance_fen", f.int), f.maybe("refusal", f.text), _chip(f)
        )


@dataclass(frozen=True, slots=True)
class CardStanding:
    """What the TSP thinks of a card: its issuer's name, and a refusal code when it cannot pay here."""

    issuer: Words | None
    usable: bool
    refusal: str | None

    @classmethod
    def read(cls, f: Fields) -> CardStanding:
        return cls(f.maybe("issuer", f.words), f.flag("usable"), f.maybe("refusal", f.text))
