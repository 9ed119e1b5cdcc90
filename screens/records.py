"""What I have paid, here and elsewhere: the list, newest first, and one payment in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.loading import LoadingPage
from screens.parts import button, known_hotline, message, service_icon
from screens.problems import DO_NOT_REPEAT, money_words, sends_to_hotline, words_for
from screens.words import (
    PENDING,
    SEPARATOR,
    Tone,
    amount_color,
    amount_name,
    method_label,
    method_name,
    payment_state,
    subscription_status,
    term_name,
    time_name,
)
from stb_app.journeys import Earlier, Payment, Records, Service
from stb_app.journeys.base import Journey
from stb_app.journeys.steps import Finished, finished
from stb_app.kit.nodes import (
    Color,
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
    Span,
    Target,
    Text,
)
from stb_app.shell.page import Page
from stb_app.shell.words import day, full_moment, money

if TYPE_CHECKING:
    from stb_app.shell.app import App

FOLLOWED = 3
"""Payments whose end is not known that are watched at once; there is hardly ever more than one."""


class RecordsScreen(LoadingPage[Records]):
    """OK on a payment shows it in full, on what was paid elsewhere its service.

    A payment whose end is not known yet changes here by itself when it is.
    """

    id = "records"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._followed: set[str] = set()

    @property
    def payments(self) -> tuple[Payment, ...]:
        """Those of this box, once they are known."""
        return self.value.payments if self.value else ()

    @property
    def earlier(self) -> tuple[Earlier, ...]:
        """What was paid elsewhere, as far as that is known."""
        return (self.value.earlier or ()) if self.value else ()

    @property
    def default_focus(self) -> str | None:  # type: ignore[override]
        if self.payments:
            return f"record:{self.payments[0].payment}"
        return "earlier:0" if self.earlier else None

    def question(self) -> Journey[Any]:
        journey: Journey[Any] = self.app.verbs.records()
        return journey

    def crumbs(self) -> Sequence[str]:
        return (self.t("Payment records"),)

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "numbers": [p.number for p in self.payments],
            "records": [{"number": p.number, "state": p.state, "money": p.money} for p in self.payments],
            "earlier": [
                {
                    "service": e.service.service,
                    "date": day(e.date),
                    "amount_fen": e.amount_fen,
                    "status": e.status,
                }
                for e in self.earlier
            ],
        }

    def arrived(self, value: Records) -> None:
        super().arrived(value)
        pending = [p for p in value.payments if p.state in PENDING and p.payment not in self._followed]
        for payment in pending[:FOLLOWED]:
            self._followed.add(payment.payment)
            self.app.start(self.app.verbs.follow(payment), self._followed_to)

    def on_ok(self, key: str) -> None:
        if key == "refresh":
            self._followed.clear()
            self.load()
        elif key == "services":
            self.app.push("services")
        elif key.startswith("record:"):
            wanted = key.removeprefix("record:")
            self.app.push("record", payment=next(p for p in self.payments if p.payment == wanted))
        elif key.startswith("earlier:"):
            chosen = self.earlier[int(key.removeprefix("earlier:"))]
            self.app.push("service", service=chosen.service.service)
        else:
            super().on_ok(key)

    def content(self, value: Records) -> Node:
        if not value.payments and value.earlier == ():
            return message(
                "info",
                self.t("Nothing paid yet"),
                self.t(
                    "What you pay on the television will be listed here, with date, amount and order number."
                ),
                self._ways(),
            )
        if not value.payments and value.earlier is None:
            return message(
                "info", self.t("Nothing paid on the television yet"), self._not_told(), self._ways()
            )
        if len(value.payments) > 1:
            words = self.t("The last {n} records").format(n=len(value.payments))
        else:
            words = self.t("One record") if value.payments else self._elsewhere()
        head = Row((Grow(Text(words, "row", "secondary")), button("refresh", self.t("Refresh"), width=None)))
        above: tuple[Node, ...] = (head,)
        if value.earlier is None:
            above += (Text(self._not_told(), "small", "secondary"),)
        return Fit(
            (
                Column((*above, Scroll("list", Column(self._rows(value, False), gap=14))), gap=20, grow=1),
                Column((*above, Scroll("list", Column(self._rows(value, True), gap=16))), gap=20, grow=1),
            )
        )

    def _ways(self) -> tuple[Target, ...]:
        return (
            button("services", self.t("Browse services"), "primary"),
            button("refresh", self.t("Refresh")),
        )

    def _elsewhere(self) -> str:
        return self.t("Paid elsewhere")

    def _not_told(self) -> str:
        return self.t("What you paid elsewhere cannot be shown just now.")

    def _rows(self, value: Records, two_lines: bool) -> tuple[Node, ...]:
        """The payments of this box, then what was paid elsewhere under a heading of its own."""
        rows: list[Node] = [self._payment_row(payment, two_lines) for payment in value.payments]
        if value.earlier and value.payments:
            rows += [Space(8), Text(self._elsewhere(), "row", "secondary")]
        rows += [self._earlier_row(place, one, two_lines) for place, one in enumerate(value.earlier or ())]
        return tuple(rows)

    def _payment_row(self, payment: Payment, two_lines: bool) -> Target:
        how = SEPARATOR.join((full_moment(payment.time)[:16], method_name(self.t, payment.method)))
        return self._row(
            f"record:{payment.payment}",
            payment.service,
            payment.term,
            how,
            payment.amount_fen,
            amount_color(payment.money),
            payment_state(self.t, payment),
            two_lines,
        )

    def _earlier_row(self, place: int, one: Earlier, two_lines: bool) -> Target:
        mark = subscription_status(self.t, one)
        return self._row(
            f"earlier:{place}",
            one.service,
            one.term,
            day(one.date),
            one.amount_fen,
            "money",
            mark,
            two_lines,
        )

    def _row(
        self,
        key: str,
        service: Service,
        term: str,
        how: str,
        amount_fen: int,
        color: Literal["money", "secondary"],
        mark: tuple[str, Tone],
        two_lines: bool,
    ) -> Target:
        name = SEPARATOR.join((self.say(service.name), term_name(self.t, term)))
        left = Column((Text(name, "row-bold"), Text(how, "small", "secondary")), gap=2)
        words, tone = mark
        amount = Text(money(amount_fen), "row-bold", color, "end", False)
        if two_lines:
            below = Row((amount, Space(grow=1), Pill(words, tone)), gap=16)
            body: Node = Row((service_icon(service, 72), Grow(Column((left, below), gap=6))), gap=28)
        else:
            end = Row((Space(grow=1), Pill(words, tone)), gap=0)
            body = Row((service_icon(service, 72), Grow(left, 5), Grow(amount, 2), Grow(end, 3)), gap=28)
        return Target(key, body, "row", text=f"{name} {money(amount_fen)} {words}")

    def _followed_to(self, step: Any) -> None:
        if isinstance(step, Finished) and step.payment is not None and self.value:
            new = step.payment
            payments = tuple(new if old.payment == new.payment else old for old in self.payments)
            super().arrived(replace(self.value, payments=payments))
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
        taken = money_words(payment.money, self.t)
        tone: Color = "warning" if payment.money == "unknown" else "text"
        words = (Text(title, "title"), Text((Span(taken, tone, True),), "row"), *sentences)
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
        head = Row((Sign(kind, 120), Grow(Column(words, gap=8))), gap=40)
        facts = Panel(Facts(self._pairs("body"), columns=2, gap=22), pad=44)
        # Large letters: every sentence stays, and the facts, in smaller ones, may scroll.
        small_words = tuple(replace(sentence, style="small") for sentence in sentences)
        close_words = (Text(title, "headline"), Text(taken, "body-bold", tone), *small_words)
        close = Row((Sign(kind, 120), Grow(Column(close_words, gap=0))), gap=28)
        small = Panel(Facts(self._pairs("small"), columns=2, gap=12, style="small"), pad=32)
        return Fit(
            (
                Column((head, facts, Space(grow=1), ways), gap=32, grow=1),
                Column((close, small, Space(grow=1), ways), gap=20, grow=1),
                Column((close, Scroll("facts", small), ways), gap=16, grow=1),
                Column((Scroll("facts", Column((close, small), gap=16)), ways), gap=16, grow=1),
            )
        )

    def _pairs(self, style: Literal["body", "small"]) -> tuple[tuple[str, str | Text], ...]:
        payment = self.payment
        pairs: list[tuple[str, str | Text]] = [
            (
                self.t("Service"),
                SEPARATOR.join((self.say(payment.service.name), term_name(self.t, payment.term))),
            ),
            (
                amount_name(self.t, payment.money, payment.state == "late"),
                Text(
                    money(payment.amount_fen),
                    "body-bold" if style == "body" else style,
                    amount_color(payment.money),
                ),
            ),
            (time_name(self.t, payment), full_moment(payment.time)),
            (self.t("Order number"), payment.number),
            # Two beside each other: the card beside the way to pay, and its balances in a row of their own.
            (method_label(self.t, payment.money), method_name(self.t, payment.method)),
        ]
        if payment.card is not None:
            pairs.append((self.t("Card number"), payment.card.number))
            if payment.card.balance_before_fen is not None:
                pairs.append((self.t("Balance before"), money(payment.card.balance_before_fen)))
            if payment.card.balance_after_fen is not None:
                pairs.append((self.t("Balance after"), money(payment.card.balance_after_fen)))
        if payment.valid_until is not None:
            pairs.append((self.t("Valid until"), day(payment.valid_until)))
        return tuple(pairs)

    def _step(self, step: Any) -> None:
        if isinstance(step, Finished) and step.payment is not None:
            # The card's part is only in the box's own copy when the TSP has not heard of it yet.
            self.payment = replace(step.payment, card=step.payment.card or self.payment.card)
            self.app.refresh()
