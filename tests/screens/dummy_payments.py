"""Journeys of a payment that post what a test gives them, and a simulated slot that only remembers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import qrcode

from stb_app.journeys import CardStanding, Load, Order, PaidCard, Payment
from stb_app.journeys.card_lab import OwnCard, Trace
from stb_app.journeys.steps import (
    BankCardRead,
    CardPrompt,
    CardRead,
    CardTransaction,
    CashHeld,
    Finished,
    LoadEnded,
    Prompt,
    QrState,
    QrStep,
)
from tests.screens import data
from tests.screens.dummies import DummyVerbs, Told

PAYLOAD = "http://192.168.10.24:8780/w/4C7F20A1-9KQ2T7"
NUMBER = "6217 00** **** **** 2047"
BALANCE_FEN = 23640


class Acted(Told):
    """A journey that goes on as the test likes, and remembers what it was asked for."""

    def __init__(self, *steps: Any) -> None:
        super().__init__(*steps)
        self.pins: list[str] = []
        self.went_on = 0
        self.agreed = 0
        self.cancels = 0

    def run(self, post: Callable[[Any], None]) -> None:
        self.post = post
        super().run(post)

    def enter_pin(self, pin: str) -> None:
        self.pins.append(pin)

    def go_on(self) -> None:
        self.went_on += 1

    def agree(self) -> None:
        self.agreed += 1

    def cancel(self) -> None:
        super().cancel()
        self.cancels += 1


class PaymentVerbs(DummyVerbs):
    """``begun`` keeps the journeys of payments, inquiries and followings, the last one last; ``watches`` those beside them."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(
            **{
                "pay_by_card": (),
                "pay_by_wallet": (),
                "inquire_card": (),
                "load_cash": (),
                "look_into_card": (),
                **answers,
            }
        )
        self.begun: list[Acted] = []
        self.watches: list[Acted] = []

    def _begin(self, verb: str, *arguments: Any) -> Acted:
        self.asked.append((verb, *arguments))
        self.begun.append(Acted(*self.answers[verb]))
        return self.begun[-1]

    def follow(self, payment: Payment, seconds: float = 120.0) -> Acted:
        return self._begin("follow", payment.payment)

    def follow_load(self, load: Load) -> Acted:
        return self._begin("follow_load", load.load)

    def pay_by_card(self, order: Order, settles: str = "") -> Acted:
        return self._begin("pay_by_card", order.order, *((f"settles {settles}",) if settles else ()))

    def pay_by_wallet(self, order: Order, method: str) -> Acted:
        return self._begin("pay_by_wallet", order.order, method)

    def load_cash(self, amount_fen: int) -> Acted:
        return self._begin("load_cash", amount_fen)

    def inquire_card(self, *, account: bool = False) -> Acted:
        return self._begin("inquire_card", *(("account",) if account else ()))

    def watch_slot(self) -> Acted:
        self.watches.append(Acted())
        return self.watches[-1]

    def look_into_card(self) -> Acted:
        return self._begin("look_into_card")

    def traces(self) -> tuple[Trace, ...]:
        found: tuple[Trace, ...] = self.answers.get("traces", ())
        return found

    def readers(self) -> Told:
        return self._tell("readers")

    def choose_reader(self, name: str) -> None:
        self.asked.append(("choose_reader", name))

    def keep_trace(self, trace: Trace) -> Told:
        return self._tell("keep_trace", len(trace.exchanges))


class Slot:
    """A simulated slot: hands put a card in and pull it out."""

    def __init__(self, profile: str | None = None, *own: OwnCard) -> None:
        self.profile = profile
        self.own = own
        self.read = 0
        """How often its files were read again."""
        self.faults: tuple[str, ...] = ()
        self.happened: tuple[tuple[int, str], ...] = ()

    def read_own(self) -> None:
        self.read += 1

    def order_fault(self, fault: str) -> None:
        if fault in self.faults:
            raise ValueError(f"{fault} is ordered already")
        self.faults = (*self.faults, fault)

    def forget_faults(self) -> None:
        self.faults = ()

    def insert(self, profile: str) -> None:
        self.profile = profile

    def pull(self) -> None:
        self.profile = None


def prompt(word: Prompt, tries_left: int | None = None, known: bool | None = None) -> CardPrompt:
    """A prompt as the journey posts it: number and balance once the card has been read."""
    unread = ("starting", "insert", "removed-early", "reader-missing", "not-readable", "no-purse", "blocked")
    if known is None:
        known = word not in unread
    held = {"balance-too-low": 320, "remove": BALANCE_FEN - data.ORDER.amount_fen}
    # Of a card that is asked for again only the number is known.
    balance = held.get(word, BALANCE_FEN) if known and word not in ("put-back", "other-card") else None
    return CardPrompt(word, NUMBER if known else "", balance, data.ORDER.amount_fen, tries_left)


def earlier(word: Prompt) -> CardPrompt:
    """A prompt about an earlier payment that its card has to explain first."""
    return CardPrompt(
        word, NUMBER, amount_fen=data.UNSETTLED.amount_fen, earlier=True, payment=data.UNSETTLED
    )


@lru_cache(maxsize=4)
def modules(payload: str = PAYLOAD) -> tuple[tuple[bool, ...], ...]:
    """The code of a payload, level M, without quiet zone."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0)
    code.add_data(payload)
    code.make(fit=True)
    return tuple(tuple(bool(module) for module in row) for row in code.get_matrix())


def code(state: QrState = "shown", left: float = 125.0, payload: str = PAYLOAD) -> QrStep:
    """A code that has ``left`` seconds on the clock of a television that has just been made."""
    paid = state == "confirming"
    payment = replace(
        data.RECORDS[1], state="paid" if paid else "waiting", money="taken" if paid else "not-taken"
    )
    return QrStep(state, modules(payload), payload, 1000.0 + left, 180, payment)


PAID = replace(data.RECORDS[0], card=PaidCard(NUMBER, BALANCE_FEN, BALANCE_FEN - 1500, "purse"))
SUCCESS = Finished("success", "taken", None, PAID)
BY_OPERATOR = replace(
    PAID, reason="opened-by-operator", card=PaidCard(NUMBER, BALANCE_FEN, None, "electronic-cash")
)
SUCCESS_WALLET = Finished("success", "taken", None, replace(PAID, method="wallet:demo", card=None))
NOT_TAKEN = replace(PAID, state="failed", money="not-taken", card=None, valid_until=None)
UNKNOWN = replace(NOT_TAKEN, state="unknown", money="unknown")


def failed(reason: str, **facts: Any) -> Finished:
    """A payment that ended without money, for a reason."""
    return Finished("failed", "not-taken", reason, replace(NOT_TAKEN, reason=reason), facts)


LOG = tuple(
    CardTransaction(kind, fen, when, "330100000001", number)  # type: ignore[arg-type]
    for number, (kind, fen, when) in enumerate(
        (
            ("purchase", 1500, "2026-11-21 19:33:08"),
            ("purchase", 600, "2026-11-14 20:02:51"),
            ("load", 20000, "2026-11-10 09:15:00"),
            ("purchase", 2500, "2026-11-01 20:14:02"),
            ("other", 0, "2026-10-29 08:00:00"),
            ("purchase", 380, "2026-10-28 12:44:19"),
            ("purchase", 1260, "2026-10-20 18:30:45"),
            ("load", 10000, "2026-10-10 10:05:33"),
            ("purchase", 5800, "2026-10-03 10:45:30"),
            ("purchase", 300, "2026-09-30 07:00:12"),
        )
    )
)
ISSUER = data.words("示范银行", "Model Bank")
BANK_CARD = BankCardRead(
    "6217 00** **** *** 4204", "electronic-cash", "20440229", True, CashHeld(18650, 100_000, 50_000), LOG[:6]
)
LOADED = LoadEnded("loaded", None, 10_000, "6217 00** **** *** 4204", 28650, load_number="7KQ2 M81D")
READ = CardRead(NUMBER, BALANCE_FEN, "20301231", ISSUER, CardStanding(ISSUER, True, None), LOG)
