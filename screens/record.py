"""One payment of the records in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.parts import button, known_hotline
from screens.problems import DO_NOT_REPEAT, money_words, sends_to_hotline, words_for
from screens.record_parts import Pairs, record_page
from screens.words import (
    PENDING,
    SEPARATOR,
    after_name,
    amount_color,
    amount_known,
    amount_name,
    method_label,
    money_color,
    paid_with,
    payment_state,
    term_name,
    time_name,
)
from stb_app.journeys import Payment
from stb_app.journeys.steps import Finished, finished
from stb_app.kit.nodes import Grow, Node, Row, Space, Text
from stb_app.shell.page import Page
from stb_app.shell.words import day, full_moment, money

if TYPE_CHECKING:
    from stb_app.shell.app import App


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
        payment, end = self.payment, finished(self.payment)
        until = payment.valid_until
        return {
            "outcome": end.outcome,
            "money_taken": end.money_taken,
            "money": payment.money,
            "state": payment.state,
            "number": payment.number,
            "order": payment.order,
            "payment": payment.payment,
            "valid_until": until.isoformat() if until is not None else None,
            "reason": payment.reason,
        }

    def on_ok(self, key: str) -> None:
        if key == "service":
            self.app.push("service", service=self.payment.service.service)
        else:
            self.app.pop()

    def compose(self) -> Node:
        payment = self.payment
        title, _ = payment_state(self.t, payment)
        said = words_for(payment.reason, payment.facts, self.t) if payment.reason else None
        sentences: list[Text] = []
        if said is not None:
            # A reason that is the state in other words would only say it twice.
            if payment.reason != payment.state:
                sentences.append(Text(said.title, "body-bold"))
            sentences.append(Text(said.text, "body", "secondary"))
        if payment.state == "unknown" or (said is not None and said.warning):
            sentences.append(Text(self.t(DO_NOT_REPEAT), "body-bold", "warning"))
        if payment.state in PENDING:
            here = self.t("This changes here by itself as soon as we know.")
            sentences.append(Text(here, "body", "secondary"))
        if payment.money == "unknown" or (payment.reason and sends_to_hotline(payment.reason)):
            sentences += [Text(line, "body", "secondary") for line in known_hotline(self.app)]
        taken = money_words(payment.money, self.t, payment.reason, late=payment.state == "late")
        tone = money_color(payment.money, served=payment.state == "done")
        back = button("back", self.t("Back"), "primary", None)
        # Where nothing was paid for, the way to the service is the way to another order.
        words_ = self.t("To the service") if payment.money == "taken" else self.t("Order again")
        service = button("service", words_, width=None)
        # While nobody knows whether it was paid, no way leads to paying it again.
        away = payment.state == "unknown" or (payment.state in PENDING and payment.money == "unknown")
        ways = Row(
            (Grow(back), Space(grow=2)) if away else (Grow(back), Grow(service), Space(grow=1)), gap=28
        )
        kind = "cancelled" if payment.reason == "declined" else finished(payment).outcome
        return record_page(kind, title, (taken, tone), sentences, self._pairs, ways)

    def _pairs(self, style: Literal["body", "small"]) -> Pairs:
        payment = self.payment
        pairs: list[tuple[str, str | Text]] = [
            (
                self.t("Service"),
                SEPARATOR.join((self.say(payment.service.name), term_name(self.t, payment.term))),
            ),
            (
                amount_name(self.t, amount_known(payment.money, payment.reason), payment.state == "late"),
                Text(
                    money(payment.amount_fen),
                    "body-bold" if style == "body" else style,
                    amount_color(payment.money, payment.reason),
                ),
            ),
            (time_name(self.t, payment), full_moment(payment.time)),
            (self.t("Order number"), payment.number),
            # Two beside each other: the card beside the way to pay, and its balances in a row of their own.
            (method_label(self.t, payment.money), paid_with(self.t, payment)),
        ]
        if payment.card is not None:
            pairs.append((self.t("Card number"), payment.card.number))
            if payment.card.balance_before_fen is not None:
                pairs.append((self.t("Balance before"), money(payment.card.balance_before_fen)))
            if payment.card.balance_after_fen is not None:
                pairs.append((after_name(self.t, payment.reason), money(payment.card.balance_after_fen)))
        if payment.valid_until is not None:
            pairs.append((self.t("Valid until"), day(payment.valid_until)))
        return tuple(pairs)

    def _step(self, step: Any) -> None:
        if isinstance(step, Finished) and step.payment is not None:
            # The card's part is only in the box's own copy when the TSP has not heard of it yet.
            self.payment = replace(step.payment, card=step.payment.card or self.payment.card)
            self.app.refresh()
