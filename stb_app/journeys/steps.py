"""The closed set of steps that journeys post and screens draw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, get_args

from stb_app.journeys.memory import OpenLoad, OpenPayment
from stb_app.tsp.model import CardStanding, Load, Payment, Words
from stb_app.tsp.problem import Money, Problem

T = TypeVar("T")


# Loading something: home, services, a service, a quote, records.
@dataclass(frozen=True, slots=True)
class Loading:
    """Asked; the answer is on its way."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class Refused:
    """It did not work. ``code`` has words on the screen; ``retryable``: asking again may help."""

    code: str
    retryable: bool = False
    money: Money = "not-taken"
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem) -> Refused:
        return cls(problem.code, problem.retryable, problem.money, problem.facts)


# A card in the slot.
ProblemPrompt = Literal[
    "not-readable",
    "expired",
    "not-yet-valid",
    "blocked",
    "pin-blocked",
    "issuer-unknown",
    "no-purse",
    "listed",
    "unsettled",
    "balance-too-low",
    "declined-by-card",
    "no-cash",
    "cash-full",
]
"""This card cannot pay: take it out, put another one in, or choose another way."""
Prompt = Literal[
    ProblemPrompt,
    "starting",  # the payment is being set up
    "insert",
    "reading",
    "enter-pin",
    "wrong-pin",  # tries_left; asks again
    "confirm-cash",  # electronic cash will pay, no PIN is wanted: waits for the subscriber's word
    "processing",  # do not remove
    "waiting-psam",  # no security module free yet; trying again by itself
    "reconnecting",  # the TSP does not answer; trying again by itself, for a few seconds
    "no-service",  # the TSP has not answered: try again, or leave
    "remove",  # paid, or asked about: take the card
    "removed-early",  # before the debit: nothing was taken; put it back
    "put-back",  # after MAC1: the same card must come back to tell what happened
    "silent",  # after MAC1: the TSP does not answer; it is told again, and the subscriber may leave
    "silent-paid",  # the same, of a card that has debited
    "other-card",  # put-back, but this is another card
    "settling",  # the card is back and is being asked
    "reader-missing",
    "reader-away",  # the same while the card is wanted back
]
PROBLEM_PROMPTS: frozenset[str] = frozenset(get_args(ProblemPrompt))
CANCELLABLE_PROMPTS: frozenset[str] = PROBLEM_PROMPTS | frozenset(
    (
        "starting",
        "insert",
        "reading",
        "enter-pin",
        "wrong-pin",
        "confirm-cash",
        "waiting-psam",
        "reconnecting",
        "no-service",
        "removed-early",
        "reader-missing",
    )
)
"""Before MAC1: nothing has been taken and nothing will be when the subscriber cancels."""


ReaderTrouble = Literal["missing", "service", "in-use", "silent"]
"""Why no card can be read: there is no reader; the reader service does not answer, and there may be one; another program has the
card in it for itself; it does not answer."""


@dataclass(frozen=True, slots=True)
class CardPrompt:
    """What the person at the card slot is asked or told."""

    prompt: Prompt
    number: str = ""
    """Masked card number, once read; at ``put-back`` and ``other-card`` that of the card that is asked for."""
    balance_fen: int | None = None
    amount_fen: int | None = None
    tries_left: int | None = None
    earlier: bool = False
    """It is about an earlier payment, not about the order that is to be paid; ``amount_fen`` is that payment's."""
    payment: Payment | None = None
    """The earlier payment, where the TSP has told it."""
    pin_for_issuer: bool = False
    """At ``enter-pin``: the PIN goes to the card's issuer, sealed; else to the card alone."""
    before_mac1: bool = False
    """At ``processing``: MAC1 has not been asked for."""
    trouble: ReaderTrouble = "missing"
    """At ``reader-missing`` and ``reader-away``: why."""

    @property
    def cancellable(self) -> bool:
        """Nothing has been taken and nothing will be when the subscriber cancels."""
        return self.before_mac1 or self.prompt in CANCELLABLE_PROMPTS


@dataclass(frozen=True, slots=True)
class CardMoved:
    """The card that was powered last has left the slot; or, ``inside``, there is one in it again, perhaps another."""

    inside: bool


# A code on the screen.
QrState = Literal["making", "shown", "scanned", "confirming", "reconnecting", "checking"]


@dataclass(frozen=True, slots=True)
class QrStep:
    """The code and what has become of it. ``modules`` without quiet zone; ``deadline``: on the clock's monotonic()."""

    state: QrState
    modules: tuple[tuple[bool, ...], ...] = ()
    payload: str = ""
    deadline: float = 0.0
    total_s: int = 180
    payment: Payment | None = None


# The end of a payment.
Outcome = Literal["success", "pending", "failed", "cancelled", "expired", "late"]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a payment ended, as far as is known now.

    ``reason`` is a code when it is not a success; ``card_in_slot``: remind the subscriber to take it.
    """

    outcome: Outcome
    money: Money
    reason: str | None = None
    payment: Payment | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    card_in_slot: bool = False
    earlier: bool = False
    """This is how an earlier payment ended; the order that was to be paid is not paid and nothing was taken for it."""

    def fields(self, correlation: str) -> dict[str, Any]:
        """For the log: how a journey ended."""
        payment = "" if self.payment is None else self.payment.payment
        about = {"event": "ended", "correlation": correlation, "what": self.outcome, "payment": payment}
        return about if self.reason is None else {**about, "code": self.reason}

    @property
    def money_taken(self) -> bool | None:
        """True, False, or None while nobody knows."""
        return {"taken": True, "not-taken": False, "returned": False, "unknown": None}[self.money]


EARLIER_NOT_TAKEN = "earlier-not-taken"
"""Why a payment that had only to settle an earlier one is over: that one has taken nothing, and this one may be paid."""


PIN_REFUSED_LAST = "pin-refused-last"
"""Why an issuer's refusal of a PIN is more than a slip: after so many in a row the next one may lock the card."""


@dataclass(frozen=True, slots=True)
class CardWanted:
    """Earlier payments that only the card that made them can explain. Empty: none any more."""

    payments: tuple[OpenPayment, ...]


AskedState = Literal["asking", "told", "other", "not-readable", "gone"]


@dataclass(frozen=True, slots=True)
class CardAsked:
    """A card that was put in where one was wanted for an earlier payment or load.

    ``asking``: it must stay in; ``told``: it was one of those, and may go; ``other``: it is none of them;
    ``not-readable``: nobody knows; ``gone``: it is out, or none is wanted any more. ``wanted``: masked numbers of those that are.
    """

    state: AskedState
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unheard:
    """Earlier payments by card of which the TSP tells nothing: the box alone knows of them. Empty: none any more."""

    payments: tuple[OpenPayment, ...]


@dataclass(frozen=True, slots=True)
class CodesOpen:
    """Earlier payments by code that have no end yet, each as the TSP last told of it; None: not yet. Empty: none any more."""

    payments: tuple[Payment | None, ...]


@dataclass(frozen=True, slots=True)
class LoadsOpen:
    """Earlier loads of electronic cash that have no end yet. Empty: none any more."""

    loads: tuple[OpenLoad, ...]


@dataclass(frozen=True, slots=True)
class LoadTold:
    """How an earlier load of electronic cash has ended."""

    record: OpenLoad
    load: Load


OUTCOMES: dict[str, Outcome] = {
    "done": "success",
    "paid": "pending",
    "unknown": "pending",
    "preparing": "pending",
    "waiting": "pending",
    "scanned": "pending",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
    "late": "late",
}
"""How the states of the interface (docs/tsp-api.md) look from the sofa."""


CANCELLED = (None, "cancelled", "paying-elsewhere")
"""Reasons of a payment that somebody has cancelled, here or by paying elsewhere."""


def finished(payment: Payment, *, card_in_slot: bool = False) -> Finished:
    """The end that a payment's state means. One that the box has given up by itself was not cancelled by anybody."""
    outcome = OUTCOMES.get(payment.state, "pending")
    if outcome == "cancelled" and payment.reason not in CANCELLED:
        outcome = "expired" if payment.reason == "card-wait-expired" else "failed"
    return Finished(outcome, payment.money, payment.reason, payment, payment.facts, card_in_slot)


# The inquiry of ONL-10.
@dataclass(frozen=True, slots=True)
class CardTransaction:
    """One line of a card's own log (EF 0018; 9F4D and DF4D of a bank card). ``when`` as YYYY-MM-DD HH:MM:SS, or the day alone."""

    kind: Literal["load", "purchase", "other"]
    amount_fen: int
    when: str
    terminal_number: str
    sequence: int


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card's standing and its last ten transactions. ``log`` is None when the card keeps it behind the PIN."""

    number: str
    balance_fen: int
    expiry_date: str
    issuer: Words | None
    standing: CardStanding | None
    """None when the TSP could not be asked."""
    log: tuple[CardTransaction, ...] | None
    asked_problem: str | None = None


BankCardKind = Literal["debit", "credit", "electronic-cash"]


@dataclass(frozen=True, slots=True)
class CashHeld:
    """Electronic cash on a card, in fen. ``most_fen``: that may be on it; ``at_once_fen``: that may be paid at once; None: not told."""

    balance_fen: int
    most_fen: int | None
    at_once_fen: int | None


@dataclass(frozen=True, slots=True)
class BankCardRead:
    """What a debit or credit card tells of itself. ``number`` masked; ``expiry_date`` as YYYYMMDD; ``cash``: None where it has none."""

    number: str
    kind: BankCardKind
    expiry_date: str
    usable: bool
    """It is within its dates; whether it pays is its bank's word."""
    cash: CashHeld | None
    log: tuple[CardTransaction, ...]
    """Payments and loads, the newest first; as far as the card keeps them."""
    account_fen: int | None = None
    """What can be spent from the account, where its bank was asked."""
    account_refusal: str | None = None
    """Why the bank, asked, has not told."""


CardStep = CardPrompt | Finished
WalletStep = QrStep | Finished
LoadOutcome = Literal["loaded", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class LoadEnded:
    """How a load of electronic cash has ended, as far as is known: ``failed`` has taken nothing from the account.

    ``reason`` is a code when it is not loaded; ``balance_fen``: on the card afterwards, where it has told.
    """

    outcome: LoadOutcome
    reason: str | None
    amount_fen: int
    number: str
    balance_fen: int | None
    card_in_slot: bool = False
    load_number: str = ""
    """For people; empty: the TSP has not heard of it."""


InquiryStep = CardPrompt | CardRead | BankCardRead | Refused
LoadStep = CardPrompt | LoadEnded
