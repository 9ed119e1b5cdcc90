"""How a payment ended, as far as is known: a sign that can be read from the kitchen, what became of the money, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.parts import due, hotline
from screens.problems import ELSEWHERE, PROBLEMS, RETURNING, money_words, spoken, words_for
from screens.purchase import pay_otherwise, to_service
from screens.words import SEPARATOR, amount_name, method_name, sentences, term_name, time_name
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
    Spinner,
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
GUARD_S = 0.8
"""Whoever goes on pressing OK after the PIN must not press this page away unread."""
COUNT_S = 10
"""A success goes on by itself after so many seconds, unless a key is pressed."""
SIGN = 140
"""Of the same size on every result, canvas pixels at 100 %."""
TABLE = 6
"""Pairs in the table of facts at most, two beside each other: one more row would cost the form its size."""
SEEN_S = 1.0
"""So long an end must have been on the screen before the box may forget it."""
FOLLOWED = frozenset(("pending", "expired", "cancelled"))
"""Outcomes that may still change: the end is not known, or money may come late."""
STAFF_OR_CARD = frozenset(
    ("card-away", "mac2-refused", "proof-kept", "evidence-contradicts", "payment-in-progress")
)
"""Why an end is not known: somebody has to do something, and the words say who."""
ENDED = frozenset(("failed", "cancelled", "expired"))
RETRIED = frozenset(("failed", "expired"))
"""What nobody wanted: trying again is the likely wish. Who has cancelled is done."""
NOT_THIS_SERVICE = frozenset(("already-subscribed", "order-clash", "service-withdrawn"))
"""Refusals that any other order or payment for the same service would meet too."""


class ResultScreen(Page[None]):
    """The end of a payment. ``done`` and Back lead home; where nothing was taken and it can be tried again, that comes first."""

    id = "result"
    guard_s = GUARD_S
    holds_idle = True  # a failure stays until somebody has seen it; a success counts by itself

    def __init__(self, app: App, *, finished: Finished, order: Order | None = None) -> None:
        super().__init__(app)
        self._end = finished
        self._order = order
        self._left: int | None = None
        self._ordering = False
        self._was_told: Payment | None = None
        self._opened = app.clock.now()

    @property
    def default_focus(self) -> str:  # type: ignore[override]
        retried = self._end.outcome in RETRIED and self._free and self._service_id is not None
        return "again" if retried else "done"

    # What happens by itself

    def on_enter(self) -> None:
        self._begin()
        payment = self._end.payment
        self._following = None
        if payment is not None:
            self.app.verbs.look_at(payment.payment)
            self.app.after(SEEN_S, self._told)
        if payment is not None and _may_change(self._end):
            self._following = self.app.start(self.app.verbs.follow(payment), self._on_step)
        self.app.every(1.0, self._count)

    def on_leave(self) -> None:
        if self._following is not None:
            self._following.cancel()
        if self._end.payment is not None:
            self._told()
            self.app.verbs.look_away(self._end.payment.payment)

    def _told(self) -> None:
        """This end was on the screen: nobody need tell it any more, also after a power cut."""
        payment = self._end.payment
        if payment is not None and payment != self._was_told:
            self._was_told = payment
            self.app.start_beside(self.app.verbs.told(payment), lambda step: None)

    def on_return(self) -> None:
        self._stop_count()

    def _begin(self) -> None:
        good = self._end.outcome == "success"
        self._language = self.app.language
        self._left = COUNT_S if good else None
        self.app.sound("paid" if good else "error")

    def _on_step(self, step: Finished) -> None:
        before, changed = self._end, step.outcome != self._end.outcome
        if not changed and step.money == before.money and step.reason is None:
            # The TSP knows no more than it did: what this box knows of the card or the wallet stays said.
            step = replace(step, reason=before.reason, facts=before.facts)
        self._end = replace(step, earlier=before.earlier)
        if changed:
            self._begin()
            self.app.focus(self.default_focus)
        self.app.after(SEEN_S, self._told)
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
                Binding(("KEY_OK",), self.t("Done · any other key stops the count")),
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
        elif key == "services":
            self.app.home()
            self.app.push("services")
        elif key == "again" and self._service_id is not None:
            to_service(self.app, self._service_id)
        elif key == "pay-otherwise" and self._order is not None and not self._ordering:
            self._ordering = self.busy = True
            self.app.refresh()
            pay_otherwise(self.app, self._order)

    def on_back(self) -> bool:
        if self._left is not None:
            self._stop_count()
        else:
            self.app.home()
        return True

    # The picture

    @property
    def _earlier(self) -> bool:
        """What has ended is not this order's payment but an earlier one that stood against it."""
        end, order = self._end, self._order
        return end.earlier and (order is None or end.payment is None or end.payment.order != order.order)

    @property
    def _about(self) -> Payment | Order | None:
        """The payment knows best what was paid: it may be an earlier one that turned out to be done."""
        return self._end.payment if self._end.payment is not None or self._earlier else self._order

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
        about = self._about
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
        # One left edge and one size of title for every end; what stands below the title gives way.
        large = self.app.settings.text_scale > 100
        width = 1728 if large else 1440
        title: TextStyle = "heading" if large else "title"
        return Fit(
            (
                self._form(width, (title, "row", "body"), 32),
                self._form(width, (title, "row", "body"), 20),
                self._form(width, (title, "row", "small"), 16),
                self._form(width, (title, "body-bold", "small"), 16),
                self._form(width, (title, "body-bold", "small"), 16, scrolls="facts"),
                self._form(width, (title, "body-bold", "small"), 16, scrolls="words"),
            )
        )

    def _form(
        self,
        width: int,
        styles: tuple[TextStyle, TextStyle, TextStyle],
        gap: int,
        scrolls: Literal["", "facts", "words"] = "",
    ) -> Node:
        """The same form for every end: the sign with its words, the amount, the facts in two columns, the ways on.

        Args:
            styles: of the title, of the sentence about the money, and of the rest.
            scrolls: what may be seen a part at a time where letters are large and words many.
        """
        large, strong, style = styles
        title, text, code = self._said()
        words = Column((Text(title, large), *self._lines(text, code, strong, style)), gap=6)
        # Overtaken by another television of the household, or declined by the subscriber: nothing has gone wrong.
        kind = "info" if self._end.reason in ELSEWHERE else self._end.outcome
        if self._end.reason == "declined":
            kind = "cancelled"
        head = Row((Sign(kind, SIGN), Grow(words)), gap=40)
        panel: Node = Panel(
            Facts(self._facts(style), 2, gap=20 if style == "body" else 10, style=style),
            pad=36 if style == "body" else 28,
        )
        above: tuple[Node, ...] = (head, *self._amount())
        if scrolls == "facts":
            above = (*above, Scroll("facts", panel))
        elif scrolls == "words":
            above = (Scroll("words", Column((*above, panel), gap=gap)),)
        else:
            above = (*above, panel)
        rest = () if scrolls else (Space(grow=1),)
        told = Column(above, gap=gap, grow=1 if scrolls else 0)
        ways = Row((Spinner(56),), height=84) if self._ordering else Row(self._buttons(), gap=24)
        column = Column((*rest, told, Space(gap + 8), ways, *rest), gap=0, width=width, grow=1)
        return Row((Space(grow=1), column, Space(grow=1)), gap=0, align="stretch", grow=1)

    def _amount(self) -> tuple[Node, ...]:
        """The amount and what has become of it; beside it, that a card is still in the slot."""
        end, about = self._end, self._about
        take = self._take_card()
        if about is None:
            return tuple(Row((one,)) for one in take)
        tone: Color = "secondary" if end.money == "not-taken" else "money"
        sum_ = due(amount_name(self.t, end.money, end.outcome == "late"), about.amount_fen, tone)
        return (
            Fit((Row((sum_, Space(grow=1), *take), gap=48), Column((sum_, *take), gap=0, align="start"))),
        )

    def _said(self) -> tuple[str, str, str]:
        """Title, what to do next, and a code when nobody has words for it."""
        end, t = self._end, self.t
        match end.outcome:
            case "success":
                return t("Paid. Your service is ready."), t("Enjoy watching."), ""
            case "pending" if end.money == "taken" and end.reason == "not-found":
                # The card's proof stays here, but nobody switches a service on for a payment that is not known.
                text = t(
                    "Please call the hotline and have the order number ready. Please do not pay again: "
                    "this box keeps the card's proof."
                )
                return t("The card has paid, but the payment cannot be found"), text, ""
            case "pending" if end.money == "taken" and end.reason == "service-not-opened":
                refused = words_for(end.reason, end.facts, t)
                return refused.title, refused.text, ""
            case "pending" if end.money == "taken":
                said = words_for(end.reason or "", end.facts, t) if end.reason in PROBLEMS else None
                text = t("We keep trying. Please do not pay again.")
                return (
                    t("Paid. Your service is being switched on."),
                    text,
                    end.reason or "" if said is None else "",
                )
            case "pending":
                text = t("We are finding out. Please do not pay again; the records will say how it ended.")
                if end.reason in STAFF_OR_CARD:
                    card = end.payment.card if end.payment is not None else None
                    facts = {"number": card.number} if card is not None else {}
                    text = words_for(end.reason, {**end.facts, **facts}, t).text
                return t("The result is not known yet"), text, ""
            case "late" if end.reason == "service-not-opened":
                text = t("If you have questions, please call the hotline. The service was not switched on.")
                return t("The service could not be switched on"), text, ""
            case "late":
                text = t("The order was closed already. The service was not switched on.")
                return t("The payment came too late"), text, ""
            case "cancelled":
                said = words_for(end.reason if end.reason in ELSEWHERE else "cancelled", {}, t)
                return said.title, said.text, ""
            case "expired":
                reason = end.reason if end.reason in PROBLEMS else "expired"
                if reason == "expired" and end.payment is not None and end.payment.method == "card":
                    reason = "lease-lost"  # there was no code that could have run out
                said = words_for(reason, end.facts, t)
                return said.title, said.text, ""
            case _:
                said = words_for(end.reason or "declined", spoken(end.facts, self.say), t)
                return said.title, said.text, said.code

    def _lines(self, text: str, code: str, strong: TextStyle, style: TextStyle) -> tuple[Node, ...]:
        """Whether money was taken, in a sentence of its own; then what to do next."""
        end = self._end
        if end.outcome == "success" and end.payment is not None and end.payment.valid_until is not None:
            name = self.say(end.payment.service.name)
            lasts = (
                Span(name + SEPARATOR + self.t("valid until") + " ", "secondary"),
                Span(day(end.payment.valid_until), "text", True),
            )
            return (
                Text(lasts, strong),
                *self._not_this_one(style),
                Text(money_words(end.money, self.t), style, "secondary"),
            )
        tone: Color = {"taken": "text", "not-taken": "good", "returned": "good", "unknown": "warning"}[
            end.money
        ]  # type: ignore[assignment]
        sentence = money_words(end.money, self.t)
        if (end.outcome, end.money) == ("late", "taken"):
            sentence = self.t(RETURNING)
        elif end.reason in ELSEWHERE:
            sentence, tone = self.t(ELSEWHERE[end.reason]), "good"
        lines: list[Node] = [
            Text((Span(sentence, tone, True),), strong),
            *self._not_this_one(style),
            Text(sentences(text, *self._call()), style, "secondary"),
        ]
        if code:
            lines.append(Text(code, "caption", "faint"))
        return tuple(lines)

    def _not_this_one(self, style: TextStyle) -> tuple[Node, ...]:
        """Where an earlier payment stood against this order: what that means for the order just now."""
        if not self._earlier or self._order is None or self._end.reason in ELSEWHERE:
            return ()
        words = self.t("This is your earlier payment. The {term} order was not paid.")
        term = term_name(self.t, self._order.term).lower()
        return (Text(words.format(term=term), style, "warning"),)

    def _take_card(self) -> tuple[Node, ...]:
        if not self._end.card_in_slot:
            return ()
        words = Text(self.t("Please take your card"), "body-bold", "warning", wrap=False)
        return (Row((Icon("card", 44, "warning"), words), gap=16),)

    def _facts(self, style: TextStyle = "body") -> Pairs:
        pairs = self._known(style)
        if self._hotline and len(pairs) < TABLE:
            pairs.insert(1, (self.t("Hotline"), Text(self._hotline, style, wrap=False)))
        return tuple(pairs)

    def _call(self) -> tuple[str, ...]:
        """The hotline in a sentence, where the table has no room for it."""
        full = len(self._known("body")) >= TABLE
        return (hotline(self.t, self._hotline),) if self._hotline and full else ()

    @property
    def _hotline(self) -> str:
        """Whom to ask, unless there is nothing to ask."""
        return self._order.hotline if self._order is not None and self._end.outcome != "success" else ""

    def _known(self, style: TextStyle) -> list[tuple[str, str | Text]]:
        payment, t = self._end.payment, self.t
        pairs: list[tuple[str, str | Text]] = []
        about = self._about
        if about is not None:
            pairs.append((t("Order number"), Text(about.number, style, wrap=False)))
        card = payment.card if payment is not None else None
        if card is not None:
            pairs.append((t("Card number"), Text(card.number, style, wrap=False)))
            if card.balance_before_fen is not None:
                pairs.append((t("Balance before"), money(card.balance_before_fen)))
            if card.balance_after_fen is not None:
                pairs.append((t("Balance after"), money(card.balance_after_fen)))
        if about is not None:
            pairs.append((t("Service"), self._what(about)))
        elif self._order is not None:
            pairs.append((t("Order not paid"), Text(self._order.number, style, wrap=False)))
            pairs.append((t("Service"), self._what(self._order)))
        if payment is not None:
            if card is None:
                pairs.append((t("Pay with"), Text(method_name(t, payment.method), style, wrap=False)))
            pairs.append((time_name(t, payment), full_moment(payment.time)))
        else:
            pairs.append((t("Time"), full_moment(self._opened)))
        return pairs

    def _what(self, about: Payment | Order) -> str:
        return SEPARATOR.join((self.say(about.service.name), term_name(self.t, about.term)))

    @property
    def _free(self) -> bool:
        """Nothing was taken, here or on another television, and the service can be had: it can be paid all the same."""
        end = self._end
        refused = NOT_THIS_SERVICE.union(ELSEWHERE)
        return end.outcome in ENDED and end.money == "not-taken" and end.reason not in refused

    def _buttons(self) -> tuple[Node, ...]:
        """The ways on, equally wide as far as their words allow; the first has the focus."""
        done = self.t("Done") if self._left is None else self.t("Done ({n})").format(n=self._left)
        ways = [("done", done)]
        again = []
        settled = self._earlier and self._end.outcome == "success"
        if (self._free or self._end.outcome == "late" or settled) and self._service_id is not None:
            again.append(("again", self.t("Order again")))
            if self._free and self._order is not None:
                again.append(("pay-otherwise", self.t("Pay another way")))
        if self._end.reason in NOT_THIS_SERVICE and self._end.money == "not-taken":
            again.append(("services", self.t("Other services")))
        ways = [*again, *ways] if self.default_focus == "again" else [*ways, *again]
        ways.append(("records", self.t("See the records")))
        width = 360 * self.app.settings.text_scale // 100 if len(ways) < 4 else None
        found = (
            Target(
                key,
                Text(words, "row-bold", wrap=False),
                "primary" if key == self.default_focus else "button",
                width=width,
            )
            for key, words in ways
        )
        return tuple(target if width is not None else Grow(target) for target in found)


def _may_change(end: Finished) -> bool:
    """Whether there may be news of this payment; money that is on its way back is told when it has arrived."""
    return end.outcome in FOLLOWED or (end.outcome == "late" and end.money != "returned")
