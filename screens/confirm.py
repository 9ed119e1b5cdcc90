"""The second confirmation before every payment (ONL-3): amount and way once more, and the focus on not paying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from screens.parts import button
from screens.problems import N_
from screens.words import SEPARATOR, period, term_name
from stb_app.journeys import Method, Order
from stb_app.kit.nodes import Column, Facts, Fit, Grow, Node, Panel, Row, Scroll, Space, Text
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page
from stb_app.shell.words import money

if TYPE_CHECKING:
    from stb_app.shell.app import App


CARD_FIRST = N_(
    "A card payment for this service is not settled yet. Put the same card back first: if it has paid, nothing more is taken."
)


class ConfirmScreen(Page[None]):
    """Only a press on ``confirm`` goes on; time never does."""

    id = "confirm"
    default_focus = "cancel"

    def __init__(self, app: App, *, order: Order, method: Method) -> None:
        super().__init__(app)
        self.order = order
        self.method = method

    @property
    def _card_wanted(self) -> bool:
        """A card may have paid for this service already: it comes first, whatever way was chosen."""
        verbs = self.app.verbs
        return verbs is not None and verbs.card_wanted(self.order.service.service)

    def crumbs(self) -> Sequence[str]:
        return (self.say(self.order.service.name), self.t("Confirm the payment"))

    def bindings(self) -> Sequence[Binding]:
        # The two buttons stand side by side: up and down lead nowhere.
        return (
            Binding(("KEY_LEFT", "KEY_RIGHT"), self.t("Move")),
            Binding(("KEY_BACK",), self.t("Do not pay")),
        )

    def state(self) -> dict[str, Any]:
        return {
            "order": self.order.number,
            "amount_fen": self.order.amount_fen,
            "method": self.method.key,
            "card_wanted": self._card_wanted,
        }

    def on_ok(self, key: str) -> None:
        if key == "card-back" or (key == "confirm" and self._card_wanted):
            self.app.replace("card", order=self.order, method="card")
        elif key == "confirm":
            self.app.replace(
                "card" if self.method.key == "card" else "qr", order=self.order, method=self.method.key
            )
        else:
            self.app.pop()

    def compose(self) -> Node:
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
        please = Text(self.t("Please confirm once more"), "row", "secondary")
        sum_ = Text(amount, "amount", "money", wrap=False)
        cancel = button("cancel", self.t("Do not pay"), width=None)
        confirm = button("confirm", self.t("Pay {amount}").format(amount=amount), "primary", None)
        if self._card_wanted:
            please = Text(self.t(CARD_FIRST), "row", "warning")
            confirm = button("card-back", self.t("Put the card back"), "primary", None)
        pair = Row((Grow(cancel), Grow(confirm)), gap=40)
        facts, close = Facts(pairs, gap=18), Facts(pairs, gap=4)
        return Fit(
            (
                self._panel(
                    Column((please, sum_, Space(8), facts, Space(grow=1), pair), gap=16, grow=1), 1240, 56
                ),
                self._panel(
                    Column(
                        (please, Text(amount, "due", "money", wrap=False), Scroll("facts", close), pair),
                        gap=12,
                        grow=1,
                    ),
                    1728,
                    36,
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
