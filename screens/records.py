"""What I have paid: the list, newest first, and one payment in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.loading import LoadingPage
from screens.parts import button, message, service_icon
from screens.problems import money_words, words_for
from screens.words import PENDING, SEPARATOR, method_name, payment_state, term_name
from stb_app.journeys import Payment
from stb_app.journeys.base import Journey
from stb_app.journeys.steps import OUTCOMES, Finished
from stb_app.kit.nodes import (
    Column,
    Facts,
    Fit,
    Grow,
    Node,
    Panel,
    Pill,
    Row,
    Scroll,
    Sign,
    Space,
    Target,
    Text,
)
from stb_app.shell.page import Page
from stb_app.shell.words import day, full_moment, money

if TYPE_CHECKING:
    from stb_app.shell.app import App

FOLLOWED = 3
"""Payments whose end is not known that are watched at once; there is hardly ever more than one."""


class RecordsScreen(LoadingPage[tuple[Payment, ...]]):
    """OK on a payment shows it in full. One whose end is not known yet changes here by itself when it is."""

    id = "records"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._followed: set[str] = set()

    @property
    def default_focus(self) -> str | None:  # type: ignore[override]
        return f"record:{self.value[0].payment}" if self.value else None

    def question(self) -> Journey[Any]:
        journey: Journey[Any] = self.app.verbs.records()
        return journey

    def crumbs(self) -> Sequence[str]:
        return (self.t("Payment records"),)

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "records": [{"order": p.number, "state": p.state, "money": p.money} for p in self.value or ()],
        }

    def arrived(self, value: tuple[Payment, ...]) -> None:
        super().arrived(value)
        for payment in [p for p in value if p.state in PENDING and p.payment not in self._followed][
            :FOLLOWED
        ]:
            self._followed.add(payment.payment)
            self.app.start(self.app.verbs.follow(payment), self._followed_to)

    def on_ok(self, key: str) -> None:
        if key == "refresh":
            self._followed.clear()
            self.load()
        elif key == "services":
            self.app.push("services")
        elif key.startswith("record:") and self.value:
            wanted = key.removeprefix("record:")
            self.app.push("record", payment=next(p for p in self.value if p.payment == wanted))
        else:
            super().on_ok(key)

    def content(self, value: tuple[Payment, ...]) -> Node:
        if not value:
            return message(
                "info",
                self.t("Nothing paid yet"),
                self.t("What you pay on the television will stand here, with date, amount and order number."),
                (
                    button("services", self.t("Browse services"), "primary"),
                    button("refresh", self.t("Look again")),
                ),
            )
        title = Grow(Text(self.t("The last {n} payments").format(n=len(value)), "row", "secondary"))
        if len(value) == 1:
            title = Grow(Text(self.t("One payment"), "row", "secondary"))
        head = Row((title, button("refresh", self.t("Look again"), width=None)))
        wide = tuple(self._row(payment, False) for payment in value)
        narrow = tuple(self._row(payment, True) for payment in value)
        return Fit(
            (
                Column((head, Scroll("list", Column(wide, gap=14))), gap=20, grow=1),
                Column((head, Scroll("list", Column(narrow, gap=16))), gap=20, grow=1),
            )
        )

    def _row(self, payment: Payment, two_lines: bool) -> Target:
        name = SEPARATOR.join((self.say(payment.service.name), term_name(self.t, payment.term)))
        how = SEPARATOR.join((full_moment(payment.time)[:16], method_name(self.t, payment.method)))
        words, tone = payment_state(self.t, payment)
        amount = Text(
            money(payment.amount_fen),
            "row-bold",
            "money" if payment.money == "taken" else "secondary",
            "end",
            False,
        )
        left = Column((Text(name, "row-bold"), Text(how, "small", "secondary")), gap=2)
        if two_lines:
            body: Node = Row(
                (
                    service_icon(payment.service, 72),
                    Grow(Column((left, Row((amount, Space(grow=1), Pill(words, tone)), gap=16)), gap=6)),
                ),
                gap=28,
            )
        else:
            mark = Row((Space(grow=1), Pill(words, tone)), gap=0)
            body = Row(
                (service_icon(payment.service, 72), Grow(left, 5), Grow(amount, 2), Grow(mark, 3)), gap=28
            )
        return Target(
            f"record:{payment.payment}", body, "row", text=f"{name} {money(payment.amount_fen)} {words}"
        )

    def _followed_to(self, step: Any) -> None:
        if isinstance(step, Finished) and step.payment is not None and self.value:
            new = step.payment
            super().arrived(tuple(new if old.payment == new.payment else old for old in self.value))
            self.app.refresh()


class RecordScreen(Page[None]):
    """One payment: the same words as its result had, and every number a hotline could ask for."""

    id = "record"

    def __init__(self, app: App, *, payment: Payment) -> None:
        super().__init__(app)
        self.payment = payment

    def crumbs(self) -> Sequence[str]:
        return (self.t("Payment records"), self.payment.number)

    def on_enter(self) -> None:
        if self.payment.state in PENDING:
            self.app.start(self.app.verbs.follow(self.payment), self._step)

    def state(self) -> dict[str, Any]:
        return {"order": self.payment.number, "state": self.payment.state, "money": self.payment.money}

    def on_ok(self, key: str) -> None:
        if key == "service":
            self.app.push("service", service=self.payment.service.service)
        else:
            self.app.pop()

    def compose(self) -> Node:
        payment = self.payment
        title, _ = payment_state(self.t, payment)
        said = words_for(payment.reason, payment.facts, self.t) if payment.reason else None
        words: list[Node] = [Text(title, "title"), Text(money_words(payment.money, self.t), "row")]
        if said is not None:
            words += [Text(said.title, "body-bold"), Text(said.text, "body", "secondary")]
        if payment.state in PENDING:
            words.append(Text(self.t("This changes here by itself as soon as we know."), "body", "secondary"))
        back = button("back", self.t("Back"), "primary", None)
        service = button("service", self.t("To the service"), width=None)
        ways = Row((Grow(back), Grow(service), Space(grow=1)), gap=28)
        kind: Literal["success", "pending", "failed", "cancelled", "expired", "late"] = OUTCOMES.get(
            payment.state, "pending"
        )
        head = Row((Sign(kind, 120), Grow(Column(tuple(words), gap=8))), gap=40)
        facts = Panel(Facts(self._pairs(), columns=2, gap=22), pad=44)
        return Fit(
            (
                Column((head, facts, Space(grow=1), ways), gap=32, grow=1),
                Column((Scroll("facts", Column((*words, facts), gap=16)), ways), gap=20, grow=1),
            )
        )

    def _pairs(self) -> tuple[tuple[str, str | Text], ...]:
        payment = self.payment
        pairs: list[tuple[str, str | Text]] = [
            (
                self.t("Service"),
                SEPARATOR.join((self.say(payment.service.name), term_name(self.t, payment.term))),
            ),
            (
                self.t("Amount"),
                Text(money(payment.amount_fen), "body-bold", "money" if payment.money == "taken" else "text"),
            ),
            (self.t("Time"), full_moment(payment.time)),
            (self.t("Pay with"), method_name(self.t, payment.method)),
            (self.t("Order number"), payment.number),
        ]
        if payment.valid_until is not None:
            pairs.append((self.t("Valid until"), day(payment.valid_until)))
        if payment.card is not None:
            pairs.append((self.t("Card number"), payment.card.number))
            if payment.card.balance_before_fen is not None:
                pairs.append((self.t("Balance before"), money(payment.card.balance_before_fen)))
            if payment.card.balance_after_fen is not None:
                pairs.append((self.t("Balance after"), money(payment.card.balance_after_fen)))
        return tuple(pairs)

    def _step(self, step: Any) -> None:
        if isinstance(step, Finished) and step.payment is not None:
            # The card's part is only in the box's own copy when the TSP has not heard of it yet.
            self.payment = replace(step.payment, card=step.payment.card or self.payment.card)
            self.app.refresh()
