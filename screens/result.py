"""How a payment ended, as far as is known: a sign that can be read from the kitchen, what became of the money, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from screens.problems import PROBLEMS, RETURNING, money_words, words_for
from screens.purchase import to_service
from screens.words import SEPARATOR, term_name
from stb_app.journeys import Order, Payment
from stb_app.journeys.steps import Finished
from stb_app.kit.nodes import (
    Color,
    Column,
    Facts,
    Fit,
    Grow,
    Icon,
    Node,
    Panel,
    Row,
    Scroll,
    Sign,
    Space,
    Span,
    Target,
    Text,
    TextStyle,
)  # fmt: skip
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page
from stb_app.shell.words import day, full_moment, money

if TYPE_CHECKING:
    from stb_app.shell.app import App

Pairs = tuple[tuple[str, str | Text], ...]
COUNT_S = 10
"""A success goes on by itself after so many seconds, unless a key is pressed."""
FOLLOWED = frozenset(("pending", "expired", "cancelled"))
"""Outcomes that may still change: the end is not known, or money may come late."""
STAFF_OR_CARD = frozenset(
    ("card-away", "mac2-refused", "proof-kept", "evidence-contradicts", "payment-in-progress")
)
"""Why an end is not known: somebody has to do something, and the words say who."""
AGAIN = frozenset(("failed", "cancelled", "expired", "late"))


class ResultScreen(Page[None]):
    """The end of a payment. ``done`` and Back lead home."""

    id = "result"
    default_focus = "done"

    def __init__(self, app: App, *, finished: Finished, order: Order | None = None) -> None:
        super().__init__(app)
        self._end = finished
        self._order = order
        self._left: int | None = None

    # What happens by itself

    def on_enter(self) -> None:
        self._begin()
        payment = self._end.payment
        self._following = None
        if payment is not None:
            self.app.verbs.look_at(payment.payment)
        if payment is not None and _may_change(self._end):
            self._following = self.app.start(self.app.verbs.follow(payment), self._on_step)
        self.app.every(1.0, self._count)

    def on_leave(self) -> None:
        if self._following is not None:
            self._following.cancel()
        if self._end.payment is not None:
            self.app.verbs.look_away(self._end.payment.payment)

    def on_return(self) -> None:
        self._stop_count()

    def _begin(self) -> None:
        good = self._end.outcome == "success"
        self._language = self.app.language
        self._left = COUNT_S if good else None
        self.app.sound("paid" if good else "error")

    def _on_step(self, step: Finished) -> None:
        changed = step.outcome != self._end.outcome
        self._end = step
        if changed:
            self._begin()
        self.app.refresh()

    def _count(self) -> None:
        if self._left is None:
            return
        # Keys that the television takes for itself are seen by what they did: a dialog on top, another language.
        if self.app.navigator.top is not self or self.app.language != self._language:
            self._stop_count()
            return
        self._left -= 1
        if self._left <= 0:
            self.app.home()
        else:
            self.app.refresh()

    def _stop_count(self) -> None:
        if self._left is not None:
            self._left = None
            self.app.refresh()

    # Keys

    def bindings(self) -> Sequence[Binding]:
        if self._left is not None:
            # Back, like any key but OK, stops the count first.
            return (
                Binding(("KEY_OK",), self.t("Done; any other key stays here")),
                Binding(("KEY_BACK",), self.t("Stay here"), footer=False),
            )
        return (Binding(("KEY_OK",), self.t("Select")), Binding(("KEY_BACK",), self.t("Done")))

    def on_focus(self, key: str) -> None:
        if key != self.default_focus:
            self._stop_count()

    def on_key(self, name: str) -> bool:
        counting = self._left is not None
        self._stop_count()
        return counting

    def on_ok(self, key: str) -> None:
        if key == "done":
            self.app.home()
        elif key == "records":
            self.app.home()
            self.app.push("records")
        elif key == "again" and self._service_id is not None:
            to_service(self.app, self._service_id)

    def on_back(self) -> bool:
        if self._left is not None:
            self._stop_count()
        else:
            self.app.home()
        return True

    # The picture

    @property
    def _service_id(self) -> str | None:
        if self._order is not None:
            return self._order.service.service
        return self._end.payment.service.service if self._end.payment is not None else None

    def crumbs(self) -> Sequence[str]:
        service = (
            self._order.service if self._order else self._end.payment.service if self._end.payment else None
        )
        return (*((self.say(service.name),) if service else ()), self.t("Result"))

    def state(self) -> dict[str, Any]:
        end, payment = self._end, self._end.payment
        # The payment knows best what was paid: it may be an earlier one that turned out to be done.
        about = payment if payment is not None else self._order
        until = payment.valid_until if payment is not None else None
        card = payment.card if payment is not None else None
        return {
            "outcome": end.outcome,
            "money_taken": end.money_taken,
            "money": end.money,
            "order": about.order if about is not None else None,
            "number": about.number if about is not None else None,
            "payment": payment.payment if payment is not None else None,
            "valid_until": until.isoformat() if until is not None else None,
            "reason": end.reason,
            "balance_before_fen": card.balance_before_fen if card is not None else None,
            "balance_after_fen": card.balance_after_fen if card is not None else None,
            "card_in_slot": end.card_in_slot,
            "seconds_left": self._left,
        }

    def compose(self) -> Node:
        buttons, narrow = self._buttons()
        return Fit(
            (
                self._calm(buttons),
                self._beside(144, "title", "row", "body", narrow),
                self._beside(144, "heading", "row", "body", narrow),
                self._beside(120, "heading", "body-bold", "body", narrow),
                self._beside(120, "heading", "body-bold", "small", narrow),
                self._beside(120, "heading", "body-bold", "small", narrow, scrolls=True),
            )
        )

    def _calm(self, buttons: tuple[Target, ...]) -> Node:
        """Everything in the middle, one below the other."""
        title, text, code = self._said()
        said = (
            Row((Sign(self._end.outcome, 144),), justify="center"),
            Text(title, "title", align="center"),
            *self._amount("center"),
            *self._lines(text, code, "center", "row", "body"),
            *self._take_card("center"),
        )
        panel = Panel(Facts(self._facts(), 3, gap=8), width=1728, pad=20)
        return Column(
            (Column(said, gap=4), Space(14), panel, Space(32), Row(buttons, gap=28, justify="center")),
            gap=0, grow=1, justify="center",
        )  # fmt: skip

    def _beside(
        self,
        size: int,
        large: TextStyle,
        strong: TextStyle,
        style: TextStyle,
        buttons: tuple[Target, ...],
        scrolls: bool = False,
    ) -> Node:
        """How it ended at the left, what it is about at the right: for large letters and many words."""
        title, text, code = self._said()
        said: Node = Column(
            (
                Row((Sign(self._end.outcome, size), Grow(Text(title, large))), gap=28),
                *self._amount("start"),
                *self._lines(text, code, "start", strong, style),
            ),
            gap=10,
            grow=1,
            justify="center",
        )
        facts: Node = Facts(self._facts(), 1)
        if style == "small":
            facts = self._fact_rows()
        if scrolls:
            said, facts = Scroll("words", said), Scroll("facts", facts)
        about = Column((Panel(facts, pad=28), *self._take_card("start")), gap=24, grow=1, justify="center")
        # Small letters are for when much is to be told: the facts get what keeps them beside their labels.
        shares = (10, 11) if style == "small" else (1, 1)
        both = Row((Grow(said, shares[0]), Grow(about, shares[1])), gap=48, align="stretch", grow=1)
        return Column((both, Row(buttons, gap=24)), gap=32, grow=1)

    def _amount(self, justify: Literal["start", "center"]) -> tuple[Node, ...]:
        """The amount, and what has become of it unless it was simply paid."""
        end, payment, order = self._end, self._end.payment, self._order
        about = payment if payment is not None else order
        if about is None:
            return ()
        tone: Color = "secondary" if end.money == "not-taken" else "money"
        amount = Text(money(about.amount_fen), "due", tone, wrap=False)
        if end.outcome == "success":
            return (Row((amount,), justify=justify),)
        t = self.t
        label = {
            "taken": t("To be sent back") if end.outcome == "late" else t("Amount paid"),
            "not-taken": t("Price"),
            "returned": t("Sent back"),
            "unknown": t("Amount"),
        }[end.money]
        return (Row((Text(label, "body", "secondary", wrap=False), amount), gap=20, justify=justify),)

    def _said(self) -> tuple[str, str, str]:
        """Title, what to do next, and a code when nobody has words for it."""
        end, t = self._end, self.t
        match end.outcome:
            case "success":
                return t("Paid. Your service is open."), t("Enjoy watching."), ""
            case "pending" if end.money == "taken":
                said = words_for(end.reason or "", end.facts, t) if end.reason in PROBLEMS else None
                text = t("We keep trying and you need not do anything. Please do not pay again.")
                return (
                    t("Paid. Your service is being opened."),
                    text,
                    end.reason or "" if said is None else "",
                )
            case "pending":
                text = t("We are finding out. Please do not pay again; the records will say how it ended.")
                if end.reason in STAFF_OR_CARD:
                    text = words_for(end.reason, end.facts, t).text
                return t("The result is not known yet"), text, ""
            case "late" if end.reason == "service-not-opened":
                text = t("If you have questions, please call the hotline. The service was not opened.")
                return t("The service could not be opened"), text, ""
            case "late":
                text = t("The order was closed already. The service was not opened.")
                return t("The payment came too late"), text, ""
            case "cancelled":
                said = words_for("cancelled", {}, t)
                return said.title, said.text, ""
            case "expired":
                said = words_for(end.reason if end.reason in PROBLEMS else "expired", end.facts, t)
                return said.title, said.text, ""
            case _:
                said = words_for(end.reason or "declined", end.facts, t)
                return said.title, said.text, said.code

    def _lines(
        self, text: str, code: str, align: Literal["start", "center"], strong: TextStyle, style: TextStyle
    ) -> tuple[Node, ...]:
        """Whether money was taken, in a sentence of its own; then what to do next."""
        end = self._end
        returning = (end.outcome, end.money) == ("late", "taken")
        sentence = self.t(RETURNING) if returning else money_words(end.money, self.t)
        tone = {"taken": "text", "not-taken": "good", "returned": "good", "unknown": "warning"}[end.money]
        parts: list[Span] = [Span(sentence, tone, True)]  # type: ignore[arg-type]
        if end.outcome == "success" and end.payment is not None and end.payment.valid_until is not None:
            name = self.say(end.payment.service.name)
            parts = [
                Span(name + SEPARATOR + self.t("valid until") + " ", "secondary"),
                Span(day(end.payment.valid_until), "text", True),
                Span(SEPARATOR + self.t("money taken"), "secondary"),
            ]
            if align == "center":
                return (Text(tuple(parts), "row", align=align),)
            # Where a line is short the date keeps its words, and no line begins with the dot.
            until = (Span(self.t("valid until") + " ", "secondary"), parts[1])
            return (
                Text(until, "row"),
                Text(name + SEPARATOR + self.t("money taken"), style, "secondary"),
            )
        lines: list[Node] = [
            Text(tuple(parts), strong, align=align),
            Text(text, style, "secondary", align=align),
        ]
        if code:
            lines.append(Text(code, "caption", "faint", align=align))
        return tuple(lines)

    def _take_card(self, justify: Literal["start", "center"]) -> tuple[Node, ...]:
        if not self._end.card_in_slot:
            return ()
        line = Row(
            (
                Icon("card", 44, "warning"),
                Text(self.t("Please take your card."), "body-bold", "warning", wrap=False),
            ),
            gap=16,
        )
        return (Row((line,), justify=justify),)

    def _fact_rows(self) -> Node:
        """The facts in small letters, the balances first, each value beside its label as far as there is room."""
        pairs = sorted(
            self._facts("small"),
            key=lambda pair: pair[0] not in (self.t("Balance before"), self.t("Balance after")),
        )
        return Facts(tuple(pairs), gap=8, style="small")

    def _facts(self, style: TextStyle = "body") -> Pairs:
        end, payment, order = self._end, self._end.payment, self._order
        t = self.t
        pairs: list[tuple[str, str | Text]] = []
        about = payment if payment is not None else order
        if about is not None:
            pairs.append((t("Order number"), Text(about.number, style, wrap=False)))
        hotline = order.hotline if order is not None else ""
        if hotline and end.outcome != "success":
            pairs.append((t("Hotline"), Text(hotline, style, wrap=False)))
        card = payment.card if payment is not None else None
        if card is not None:
            pairs.append((t("Card"), Text(card.number, style, wrap=False)))
            if card.balance_before_fen is not None:
                pairs.append((t("Balance before"), money(card.balance_before_fen)))
            if card.balance_after_fen is not None:
                pairs.append((t("Balance after"), money(card.balance_after_fen)))
        if end.outcome != "success":
            pairs.append((t("Service"), self._what(payment, order)))
        if payment is not None:
            pairs.append((t("Time"), full_moment(payment.time)))
        return tuple(pairs)

    def _what(self, payment: Payment | None, order: Order | None) -> str:
        about = payment if payment is not None else order
        if about is None:
            return ""
        return SEPARATOR.join((self.say(about.service.name), term_name(self.t, about.term)))

    def _buttons(self) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
        """The ways on, wide and as narrow as they can be; the first has the focus."""
        done = self.t("Done") if self._left is None else self.t("Done ({n})").format(n=self._left)
        ways = [("done", done)]
        if self._end.outcome in AGAIN and self._service_id is not None:
            ways.append(("again", self.t("Order again")))
        ways.append(("records", self.t("See the records")))
        return tuple(
            tuple(
                Target(
                    key,
                    Text(words, "row-bold", wrap=False),
                    "primary" if key == "done" else "button",
                    width=width,
                )
                for key, words in ways
            )
            for width in (360 * self.app.settings.text_scale // 100, None)
        )  # type: ignore[return-value]


def _may_change(end: Finished) -> bool:
    """Whether there may be news of this payment; money that is on its way back is told when it has arrived."""
    return end.outcome in FOLLOWED or (end.outcome == "late" and end.money != "returned")
