"""How a payment ended, as far as is known: a sign that can be read from the kitchen, what became of the money, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.count import SCROLLED, Count
from screens.ending import ended, of_earlier
from screens.parts import due, take_card
from screens.pin_entry import titled
from screens.problems import BY_OPERATOR, ELSEWHERE, MAY_BE_PAID, Said, money_words
from screens.purchase import pay_again, pay_otherwise, to_service
from screens.words import (
    SEPARATOR,
    after_name,
    amount_color,
    amount_known,
    amount_name,
    method_label,
    money_color,
    paid_with,
    sentences,
    term_name,
    time_name,
)
from stb_app.journeys import Money, Order, Payment
from stb_app.journeys.steps import PIN_REFUSED_LAST, Finished, Outcome
from stb_app.kit.nodes import (
    Color,
    Column,
    Facts,
    Fit,
    Grow,
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

GUARD_S = 0.8
"""Whoever goes on pressing OK after the PIN must not press this page away unread."""
SIGN = 140
"""Of the same size on every result, canvas pixels at 100 %."""
SEEN_S = 1.0
"""So long an end must have been on the screen before the box may forget it."""
FOLLOWED = frozenset(("pending", "expired", "cancelled"))
"""Outcomes that may still change: the end is not known, or money may come late."""
ENDED = frozenset(("failed", "cancelled", "expired"))
RETRIED = frozenset(("failed", "expired"))
"""What nobody wanted: trying again is the likely wish. Who has cancelled is done."""
NOT_THIS_BOX = frozenset(
    (
        *("box-suspended", "box-stolen", "box-unknown", "not-enrolled", "activation-code-wrong"),
        *(
            "key-replaced",
            "key-revoked",
            "key-copied",
            "clock-skew",
            "signature-invalid",
            "signature-replayed",
        ),
        *(
            "tls-authority-unknown",
            "tls-expired",
            "tls-not-yet-valid",
            "tls-wrong-name",
            "tls-failed",
            "tsp-not-trusted",
        ),
    )
)
"""Nothing can be paid from here until somebody has seen to box or connection."""
NOT_THIS_CARD = frozenset(
    (
        "pin-blocked",
        "card-expired",
        "card-listed",
        "too-little-on-account",
        "over-limit",
        "declined-by-issuer",
    )
)
"""Refusals that the same card would meet again."""
NOT_THIS_SERVICE = frozenset(("already-subscribed", "already-paid", "order-clash", "service-withdrawn"))
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
        self._ordering = False
        self._was_told: Payment | None = None
        self._opened = app.clock.now()

    @property
    def default_focus(self) -> str:  # type: ignore[override]
        retried = self._end.outcome in RETRIED and self._free and self._service_id is not None
        if not retried or self._last_try:
            return "done"
        if self._end.reason in NOT_THIS_CARD and self._order is not None:
            return "pay-otherwise"
        return "pin-again" if self._pin_again else "again"

    @property
    def _pin_again(self) -> bool:
        """The same card can pay the same with another PIN."""
        known = self._order is not None and self._end.payment is not None
        return (self._end.reason == "pin-refused" or self._last_try) and known and not self._earlier

    @property
    def _last_try(self) -> bool:
        """Another wrong PIN may lock the card: whoever goes on pressing OK must not come to it."""
        return self._end.reason == PIN_REFUSED_LAST

    # What happens by itself

    def on_enter(self) -> None:
        self._count = Count(self.app, self, self.app.home, self._on_taken)
        self._begin()
        payment = self._end.payment
        self._following = None
        if payment is not None:
            self.app.verbs.look_at(payment.payment)
            self.app.after(SEEN_S, self._told)
        self._count.hold(self._end.card_in_slot)
        if payment is not None and _may_change(self._end):
            self._following = self.app.start(self.app.verbs.follow(payment), self._on_step)

    def on_leave(self) -> None:
        self._count.end()
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

    def _on_taken(self) -> None:
        self._end = replace(self._end, card_in_slot=False)

    def on_return(self) -> None:
        self._count.stop()

    def _begin(self) -> None:
        good = self._end.outcome == "success" and not self._earlier
        self._count.begin(counts=good)
        self.app.sound("paid" if good else "error")

    def _on_step(self, step: Finished) -> None:
        before, changed = self._end, step.outcome != self._end.outcome
        if not changed and step.money == before.money and step.reason is None:
            # The TSP knows no more than it did: what this box knows of the card or the wallet stays said.
            step = replace(step, reason=before.reason, facts=before.facts)
        self._end = replace(step, earlier=before.earlier)
        self._count.hold(self._end.card_in_slot)
        if changed:
            self._begin()
            self.app.focus(self.default_focus)
        self.app.after(SEEN_S, self._told)
        self.app.refresh()

    # Keys

    def bindings(self) -> Sequence[Binding]:
        if self._count.left is not None:
            return self._count.bindings()
        return (Binding(("KEY_OK",), self.t("Select")), Binding(("KEY_BACK",), self.t("Done")))

    def on_focus(self, key: str) -> None:
        if key != self.default_focus:
            self._count.stop()

    def on_key(self, name: str) -> bool:
        counting = self._count.left is not None
        self._count.stop()
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
        elif key in ("pin-again", "pay-otherwise") and self._order is not None and not self._ordering:
            self._ordering = self.busy = True
            self.app.refresh()
            if key == "pin-again" and self._end.payment is not None:
                pay_again(self.app, self._order, self._end.payment.method)
            else:
                pay_otherwise(self.app, self._order)

    def on_back(self) -> bool:
        if self._count.left is not None:
            self._count.stop()
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
            "seconds_left": self._count.left,
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
                self._form(width, (title, "body-bold", "small"), 0),
                self._form(width, (title, "body-bold", "small"), 0, scrolls=True),
            )
        )

    def _form(
        self, width: int, styles: tuple[TextStyle, TextStyle, TextStyle], gap: int, scrolls: bool = False
    ) -> Node:
        """The same form for every end: the sign with its words, the amount, the facts in two columns, the ways on.

        Args:
            styles: of the title, of the sentence about the money, and of the rest.
            scrolls: all but the ways on may be seen a part at a time, where names are longer than any that is known.
        """
        large, strong, style = styles
        said = self._said()
        title = titled(Text(said.title, large), self._last_try)
        words = Column((title, *self._lines(said, strong, style)), gap=6 if gap else 0)
        head = Row((Sign(self._sign, SIGN), Grow(words)), gap=40)
        roomy = style == "body"
        facts = Facts(self._facts(style), 2, gap=20 if roomy else 10 if gap else 4, style=style)
        above: Node = Column((head, *self._amount(style), Panel(facts, pad=36 if roomy else 28)), gap=gap)
        rest = () if scrolls else (Space(grow=1),)
        if scrolls:
            above = Scroll(SCROLLED, above)
        ways = Row((Spinner(56),), height=84) if self._ordering else Row(self._buttons(), gap=24)
        column = Column((*rest, above, Space(gap // 2 + 16), ways, *rest), gap=0, width=width, grow=1)
        return Row((Space(grow=1), column, Space(grow=1)), gap=0, align="stretch", grow=1)

    @property
    def _sign(self) -> Outcome | Literal["info"]:
        """Overtaken by another payment, or declined by the subscriber: nothing has gone wrong, nor is this order paid."""
        if self._end.reason in ELSEWHERE or (self._earlier and self._end.outcome == "success"):
            return "info"
        return "cancelled" if self._end.reason == "declined" else self._end.outcome

    def _amount(self, style: TextStyle) -> tuple[Node, ...]:
        """The amount and what has become of it; beside it, what it is for, and that a card is still in the slot."""
        end, about = self._end, self._about
        what = about or self._order
        beside = self._take_card()
        if what is not None:
            names = (self.say(what.service.name), term_name(self.t, what.term))
            line = Text(SEPARATOR.join(names), style, wrap=False)
            stacked = Column(tuple(Text(name, style) for name in names), gap=0)
            beside = (Grow(Fit((line, stacked))), *beside)
        if about is None:
            return (Row(beside),) if beside else ()
        label = amount_name(self.t, amount_known(end.money, end.reason), end.outcome == "late")
        sum_ = due(label, about.amount_fen, amount_color(end.money, end.reason))
        return (Fit((Row((sum_, *beside), gap=48), Column((sum_, *beside), gap=0, align="start"))),)

    def _said(self) -> Said:
        said = ended(self._end, self.t, self.say)
        about_earlier = self._earlier and self._end.reason not in ELSEWHERE
        return of_earlier(said, self._end, self.t) if about_earlier else said

    def _lines(self, said: Said, strong: TextStyle, style: TextStyle) -> tuple[Node, ...]:
        """Whether money was taken, in a sentence of its own; then what to do next, and what not to do."""
        end = self._end
        if end.outcome == "success" and end.payment is not None and end.payment.valid_until is not None:
            lasts = (
                Span(
                    self.say(end.payment.service.name) + SEPARATOR + self.t("valid until") + " ", "secondary"
                ),
                Span(day(end.payment.valid_until), "text", True),
            )
            told = self._money_words()
            other = sentences(told, *self._not_this_one()).removeprefix(told)
            said_of_it = (Span(told, self._money_color()), Span(other, "warning"))
            return (Text(lasts, strong), Text(said_of_it, style))
        lines: list[Node] = [Text((Span(self._money_words(), self._money_color(), True),), strong)]
        lines += [Text(other, style, "warning") for other in self._not_this_one()]
        lines.append(Text(said.text, style, "warning" if self._last_try else "secondary"))
        if said.warning:
            lines.append(Text((Span(said.warning, bold=True),), style, "warning"))
        if said.code:
            lines.append(Text(said.code, "caption", "faint"))
        return tuple(lines)

    def _money_words(self) -> str:
        end = self._end
        if end.reason in ELSEWHERE:
            return self.t(ELSEWHERE[end.reason])
        if end.reason != BY_OPERATOR and self._earlier and end.money == "taken" and end.payment is not None:
            return self.t("{amount} was taken for it.").format(amount=money(end.payment.amount_fen))
        return money_words(end.money, self.t, end.reason, late=end.outcome == "late")

    def _money_color(self) -> Color:
        end = self._end
        # What another television has taken is not taken here; what it may be taking is open here, too.
        elsewhere: dict[str | None, Money] = {"paid-elsewhere": "not-taken", "paying-elsewhere": "unknown"}
        return money_color(elsewhere.get(end.reason, end.money), served=end.outcome == "success")

    def _not_this_one(self) -> tuple[str, ...]:
        """Where an earlier payment stood against this order: what that means for the order just now."""
        if not self._earlier or self._order is None or self._end.reason in ELSEWHERE:
            return ()
        words = self.t("The {term} order just made was not paid.")
        term = term_name(self.t, self._order.term).lower()
        return (words.format(term=term),)

    def _take_card(self) -> tuple[Node, ...]:
        if not self._end.card_in_slot:
            return ()
        return (take_card(self.t, again=self.default_focus == "pin-again"),)

    def _facts(self, style: TextStyle) -> tuple[tuple[str, Text], ...]:
        """What a hotline asks for first stands first, two beside each other; all of it short."""
        payment, about, t = self._end.payment, self._about, self.t
        card = payment.card if payment is not None else None
        pairs: list[tuple[str, str]] = []
        if about is not None:
            pairs.append((t("Order number"), about.number))
        elif self._order is not None:
            pairs.append((t("Order not paid"), self._order.number))
        if payment is not None:
            pairs.append((time_name(t, payment), full_moment(payment.time)))
        else:
            pairs.append((t("Time"), full_moment(self._opened)))
        if card is not None and card.balance_before_fen is not None:
            pairs.append((t("Balance before"), money(card.balance_before_fen)))
        if card is not None and card.balance_after_fen is not None:
            pairs.append((after_name(t, self._end.reason), money(card.balance_after_fen)))
        if card is not None:
            pairs.append((t("Card number"), card.number))
        if self._hotline:
            pairs.append((t("Hotline"), self._hotline))
        # How something counts as paid is not told by its sentence, as it is where money was taken.
        if payment is not None and (card is None or len(pairs) % 2 or self._end.reason == BY_OPERATOR):
            pairs.append((method_label(t, payment.money), paid_with(t, payment)))
        return tuple((label, Text(value, style, wrap=False)) for label, value in pairs)

    @property
    def _hotline(self) -> str:
        """Whom to ask, unless there is nothing to ask."""
        return self._order.hotline if self._order is not None and self._end.outcome != "success" else ""

    @property
    def _free(self) -> bool:
        """Nothing was taken, here or on another television, and the service can be had: it can be paid all the same."""
        end = self._end
        refused = NOT_THIS_SERVICE.union(NOT_THIS_BOX, ELSEWHERE, MAY_BE_PAID)
        return end.outcome in ENDED and end.money == "not-taken" and end.reason not in refused

    def _buttons(self) -> tuple[Node, ...]:
        """The ways on, equally wide as far as their words allow; the first has the focus."""
        done = self._count.words()
        ways = [("done", done)]
        again = []
        settled = self._earlier and self._end.outcome == "success"
        if (self._free or self._end.outcome == "late" or settled) and self._service_id is not None:
            if self._pin_again and self._free:
                again.append(("pin-again", self.t("Try again")))
            else:
                again.append(("again", self.t("Order again")))
            if self._free and self._order is not None:
                again.append(("pay-otherwise", self.t("Pay another way")))
        if self._end.reason in NOT_THIS_SERVICE and self._end.money == "not-taken":
            again.append(("services", self.t("Other services")))
        again.sort(key=lambda way: way[0] != self.default_focus)
        ways = [*again, *ways] if self.default_focus != "done" else [*ways, *again]
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
