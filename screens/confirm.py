"""The second confirmation before every payment (ONL-3): amount and way once more, and the focus on not paying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from screens.parts import button, due
from screens.problems import N_
from screens.words import SEPARATOR, period, term_name
from stb_app.journeys import Method, Order, Payment
from stb_app.journeys.memory import OpenPayment
from stb_app.journeys.steps import Loaded
from stb_app.kit.nodes import Column, Facts, Fit, Grow, Node, Panel, Row, Scroll, Space, Text
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page
from stb_app.shell.words import money

if TYPE_CHECKING:
    from stb_app.shell.app import App


CARD_FIRST = N_("First find out about the earlier payment")
PUT_BACK_FIRST = N_(
    "A card may have paid for this service already. Put that card back: if it has paid, nothing more is taken."
)
GLANCE_S = 0.5
NOT_TAKEN_BEFORE = N_("The earlier payment has taken nothing. You can pay now; please confirm once more.")


class ConfirmScreen(Page[None]):
    """Only a press on ``confirm`` goes on; time never does."""

    id = "confirm"
    default_focus = "cancel"

    def __init__(self, app: App, *, order: Order, method: Method, settled: bool = False) -> None:
        super().__init__(app)
        self.order = order
        self.method = method
        self._settled = settled
        """An earlier payment's card has just told that it has taken nothing."""
        self._earlier: Payment | None = None

    def on_enter(self) -> None:
        wanted = self._looked_at = self._wanted
        if wanted is not None:
            self.app.verbs.look_at(wanted.payment)
            self.app.start(self.app.verbs.payment(wanted.payment), self._told)
            self.app.every(GLANCE_S, self._glance)

    def on_leave(self) -> None:
        if self._looked_at is not None:
            self.app.verbs.look_away(self._looked_at.payment)

    def _glance(self) -> None:
        """The card was put in while this page stood: the background has asked it, and whoever looks is to know."""
        if self._wanted is None:
            self._settle()

    def _settle(self) -> None:
        wanted = self._wanted or self._looked_at
        assert wanted is not None
        self.app.replace("card", order=self.order, settles_for=self.method, settles=wanted.payment)

    def _told(self, step: Any) -> None:
        if isinstance(step, Loaded):
            self._earlier = step.value
            self.app.refresh()

    @property
    def _wanted(self) -> OpenPayment | None:
        """A card may have paid for this service already: it comes first, whatever way was chosen."""
        verbs = self.app.verbs
        return verbs.card_wanted(self.order.service.service) if verbs is not None else None

    def crumbs(self) -> Sequence[str]:
        return (self.say(self.order.service.name), self.t("Confirm the payment"))

    def bindings(self) -> Sequence[Binding]:
        # The two buttons stand side by side: up and down lead nowhere.
        return (Binding(("KEY_LEFT", "KEY_RIGHT"), self.t("Move")),)

    def state(self) -> dict[str, Any]:
        return {
            "order": self.order.number,
            "amount_fen": self.order.amount_fen,
            "method": self.method.key,
            "card_wanted": self._wanted is not None,
        }

    def on_ok(self, key: str) -> None:
        if key == "card-back" or (key == "confirm" and self._wanted is not None):
            self._settle()
        elif key == "confirm":
            self.app.replace(
                "card" if self.method.key == "card" else "qr", order=self.order, method=self.method.key
            )
        else:
            self.app.pop()

    def compose(self) -> Node:
        wanted = self._wanted
        if wanted is not None:
            return self._card_first(wanted)
        order = self.order
        amount = money(order.amount_fen)
        pairs: tuple[tuple[str, str | Text], ...] = (
            (
                self.t("Service"),
                SEPARATOR.join((self.say(order.service.name), term_name(self.t, order.term))),
            ),
            (self.t("Valid"), period(self.t, order.term, order.valid_from, order.valid_until)),
            (self.t("Pay with"), Text(self.say(self.method.name), "body-bold")),
            (self.t("Auto-renewal"), self.t("Yes") if order.renews else self.t("No")),
            (self.t("Order number"), order.number),
        )
        asked = (
            self.t(NOT_TAKEN_BEFORE)
            if self._settled
            else self.t("Nothing has been taken yet. Please confirm once more.")
        )
        please, small = Text(asked, "row", "secondary"), Text(asked, "small", "secondary")
        title, sum_ = Text(self.t("Confirm the payment"), "headline"), due(self.t("To pay"), order.amount_fen)
        cancel = button("cancel", self.t("Cancel"), width=None)
        confirm = button("confirm", self.t("Pay {amount}").format(amount=amount), "primary", None)
        pair = Row((Grow(cancel), Grow(confirm)), gap=40)
        facts, close = Facts(pairs, gap=10), Facts(pairs, gap=0)
        return Fit(
            (
                self._panel(
                    Column((title, please, sum_, facts, Space(grow=1), pair), gap=12, grow=1), 1240, 48
                ),
                self._panel(Column((small, sum_, Scroll("facts", close), pair), gap=12, grow=1), 1728, 28),
            )
        )

    def _card_first(self, wanted: OpenPayment) -> Node:
        """The earlier payment in place of the new one, which stands in one line below it."""
        order, before = self.order, self._earlier
        pairs: list[tuple[str, str | Text]] = []
        if before is not None:
            what = SEPARATOR.join((self.say(before.service.name), term_name(self.t, before.term)))
            pairs.append((self.t("Service"), what))
            if before.card is not None:
                pairs.append((self.t("Card number"), Text(before.card.number, "body-bold", wrap=False)))
            pairs.append((self.t("Order number"), before.number))
        new = (term_name(self.t, order.term), money(order.amount_fen), self.say(self.method.name))
        pairs.append((self.t("New order"), SEPARATOR.join(new)))
        title, text = self.t(CARD_FIRST), self.t(PUT_BACK_FIRST)
        cancel = button("cancel", self.t("Cancel"), width=None)
        back = button("card-back", self.t("Put the card back"), "primary", None)
        pair = Row((Grow(cancel), Grow(back)), gap=40)

        sum_ = due(self.t("Amount"), wanted.amount_fen, "text")
        full = (Text(title, "title", "warning"), Text(text, "row", "secondary"), sum_)
        less = (Text(title, "heading", "warning"), Text(text, "body", "secondary"), sum_)
        least = (Text(title, "row-bold", "warning"), Text(text, "small", "secondary"), sum_)
        facts, close = Facts(tuple(pairs), gap=18), Facts(tuple(pairs), gap=4)
        small = Facts(tuple(pairs), gap=0, style="small")
        return Fit(
            (
                self._panel(Column((*full, Space(8), facts, Space(grow=1), pair), gap=16, grow=1), 1240, 56),
                self._panel(Column((*full, close, Space(grow=1), pair), gap=12, grow=1), 1240, 36),
                self._panel(Column((*less, close, Space(grow=1), pair), gap=12, grow=1), 1728, 36),
                self._panel(Column((*least, small, Space(grow=1), pair), gap=8, grow=1), 1728, 28),
                self._panel(
                    Column((Scroll("facts", Column((*least, small), gap=8)), pair), gap=12, grow=1), 1728, 28
                ),
            )
        )

    def _panel(self, body: Node, width: int, pad: int) -> Node:
        return Row(
            (Space(grow=1), Panel(body, pad=pad, radius=28, width=width), Space(grow=1)),
            gap=0,
            align="stretch",
            grow=1,
        )
