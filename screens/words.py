"""The words that several pages share: terms, ways to pay, states, days. Plain ones, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from screens.problems import BY_OPERATOR
from stb_app.journeys import Earlier, Money, Payment, Service, Subscription
from stb_app.journeys.steps import finished
from stb_app.kit.chrome import Tone as NoticeTone
from stb_app.kit.clock import CHINA
from stb_app.kit.nodes import Color
from stb_app.shell.words import day, money

Say = Callable[[str], str]
"""A page's ``t``: an English msgid in the subscriber's language."""
Tone = Literal["money", "good", "bad", "neutral", "accent", "warning"]
SEPARATOR = " · "
PENDING = frozenset(("preparing", "waiting", "scanned", "unknown", "paid"))
"""States of a payment whose end is not known yet (docs/tsp-api.md, Paying)."""


def term_name(t: Say, term: str) -> str:
    """How a service is bought; an unknown term shows as itself."""
    names = {
        "per-use": t("Per use"),
        "monthly": t("Monthly"),
        "quarterly": t("Quarterly"),
        "yearly": t("Yearly"),
    }
    return names.get(term, term)


def short_money(amount_fen: int) -> str:
    """An amount that only gives an idea: without the fen when there are none.

    >>> short_money(1500), short_money(1550)
    ('¥15', '¥15.50')
    """
    return money(amount_fen).removesuffix(".00")


def from_price(t: Say, service: Service) -> str:
    """The lowest price of a service."""
    return "".join(from_price_parts(t, service))


def from_price_parts(t: Say, service: Service) -> tuple[str, str, str]:
    """The lowest price of a service: the words before it, the figure, the words after it."""
    patterns = {
        "per-use": t("from {price} per use"),
        "monthly": t("from {price} a month"),
        "quarterly": t("from {price} a quarter"),
        "yearly": t("from {price} a year"),
    }
    before, _, after = patterns.get(service.from_term, t("from {price}")).partition("{price}")
    return before, short_money(service.from_price_fen), after


def sentences(*parts: str) -> str:
    """Sentences one after the other; full-width punctuation brings its own space.

    >>> sentences("Yes.", "No."), sentences("是。", "否。")
    ('Yes. No.', '是。否。')
    """
    said = ""
    for part in parts:
        said += part if not said or said.endswith(("。", "！", "？")) else f" {part}"
    return said


def days(t: Say, count: int) -> str:
    """A number of days."""
    return t("1 day") if count == 1 else t("{n} days").format(n=count)


def until(t: Say, term: str, when: datetime) -> str:
    """The end of a period: its last day, or for a single use, which ends within a day, its last minute."""
    if term == "per-use":
        return t("until {when}").format(when=when.astimezone(CHINA).strftime("%m-%d %H:%M"))
    return t("until {when}").format(when=day(when))


def period(t: Say, term: str, start: datetime, end: datetime) -> str:
    """From when until when, to the minute for a single use."""
    if term == "per-use":
        first, last = (instant.astimezone(CHINA).strftime("%Y-%m-%d %H:%M") for instant in (start, end))
    else:
        first, last = day(start), day(end)
    return t("{start} to {end}").format(start=first, end=last)


def month(t: Say, year_month: str) -> str:
    """The short name of a month given as ``YYYY-MM``."""
    names = (
        t("Jan"), t("Feb"), t("Mar"), t("Apr"), t("May"), t("Jun"),
        t("Jul"), t("Aug"), t("Sep"), t("Oct"), t("Nov"), t("Dec"),
    )  # fmt: skip
    return names[int(year_month[5:7]) - 1]


def method_name(t: Say, method: str) -> str:
    """A way to pay as records name it, in the words of the TSP. An order's own methods bring their names along."""
    names = {"card": t("UnionPay card"), "wallet:demo": t("Demo wallet (scan)")}
    return names.get(method, t("Wallet (scan)"))


def paid_with(t: Say, payment: Payment) -> str:
    """How a payment was made: of one by card the kind of card, where that is known."""
    kinds = {
        "purse": t("Purse card"),
        "debit": t("Debit card"),
        "credit": t("Credit card"),
        "electronic-cash": t("Electronic cash"),
    }
    kind = payment.card.kind if payment.card is not None else None
    return kinds.get(kind or "", method_name(t, payment.method))


def subscription_status(t: Say, subscription: Subscription | Earlier) -> tuple[str, Tone]:
    """What became of a subscription, and the tone of its mark."""
    states: dict[str, tuple[str, Tone]] = {
        "active": (t("In use"), "good"),
        "upcoming": (t("Not begun yet"), "accent"),
        "expired": (t("Ended"), "neutral"),
        "used": (t("Used"), "neutral"),
        "cancelled": (t("Cancelled"), "neutral"),
    }
    return states.get(subscription.status, (subscription.status, "neutral"))


def time_name(t: Say, payment: Payment) -> str:
    """What a payment's time is of: money that moved, else the order (docs/tsp-api.md, PAYMENT)."""
    return t("Ordered at") if payment.money == "not-taken" else t("Time")


def amount_color(money: Money, reason: str | None = None) -> Literal["money", "secondary"]:
    """The colour of a payment's amount, on its result and in the records: amber where it is gone, or may be.

    Args:
        reason: the payment's; of one that a person has let count as paid nothing is owed, and nothing is to be looked after.
    """
    if reason == BY_OPERATOR:
        return "secondary"
    return "money" if money in ("taken", "unknown") else "secondary"


def money_color(money: Money, *, served: bool) -> Color:
    """The colour of the sentence that says what became of the money, on every page and of every notice (docs/house.md).

    Args:
        served: what it was taken for is there: the service is on, the card is loaded.
    """
    if money == "taken" and served:
        return "good"
    return "warning" if money in ("taken", "unknown") else "text"


def notice_tone(money: Money, *, served: bool) -> NoticeTone:
    """The same of a notice, which is blue where nothing is open."""
    return "warning" if money_color(money, served=served) == "warning" else "info"


def method_label(t: Say, money: Money) -> str:
    """What the way to pay is called once its payment has begun to end."""
    return t("Paid with") if money in ("taken", "returned") else t("Chosen")


def after_name(t: Say, reason: str | None) -> str:
    """What a card has told it holds since: of one whose payment nobody could check that is no balance after anything."""
    return t("Now on the card") if reason == BY_OPERATOR else t("Balance after")


def amount_known(money: Money, reason: str | None) -> Money:
    """What is known of an amount: of one that counts as paid by a person's decision, not whether the card has lost it."""
    return "unknown" if reason == BY_OPERATOR else money


def amount_name(t: Say, money: Money, late: bool = False) -> str:
    """What an amount is called once its payment has begun to end; before that it is what there is ``To pay``.

    Args:
        late: what was taken goes back.
    """
    names = {
        "taken": t("To be sent back") if late else t("Amount paid"),
        "not-taken": t("Order amount"),
        "returned": t("Sent back"),
        "unknown": t("Amount"),
    }
    return names[money]


def payment_state(t: Say, payment: Payment) -> tuple[str, Tone]:
    """What became of a payment in one or two words, and the tone of its mark."""
    if payment.state == "paid" and payment.reason == "service-not-opened":
        return t("Paid, being looked into"), "warning"
    if payment.state == "failed" and payment.reason == "declined":
        return t("Not paid"), "neutral"
    if payment.state == "late":
        words = {
            "service-not-opened": (t("Not switched on, sent back"), t("Not switched on, being sent back")),
            "service-cancelled": (t("Cancelled, sent back"), t("Cancelled, being sent back")),
        }
        too_late = (t("Came too late, sent back"), t("Came too late, being sent back"))
        returned, returning = words.get(payment.reason or "", too_late)
        return (returned, "neutral") if payment.money == "returned" else (returning, "warning")
    # Given up by the box for a reason: its result did not say that anybody had cancelled it.
    state = finished(payment).outcome if payment.state == "cancelled" else payment.state
    run_out = t("Time ran out") if payment.method == "card" else t("The code has run out")
    states: dict[str, tuple[str, Tone]] = {
        "done": (t("Paid"), "good"),
        "paid": (t("Paid, being switched on"), "warning"),
        "unknown": (t("Being checked"), "warning"),
        "preparing": (t("Not finished"), "warning"),
        "waiting": (t("Not finished"), "warning"),
        "scanned": (t("Not finished"), "warning"),
        "failed": (t("Not paid"), "bad"),
        "cancelled": (t("Cancelled"), "neutral"),
        "expired": (run_out, "neutral"),
    }
    return states.get(state, (t("Being checked"), "warning"))
