"""How to pay: the ways this order can be paid, and why one cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from screens.parts import Plate, button, hotline
from screens.problems import words_for
from screens.words import SEPARATOR, term_name
from stb_app.journeys import Method, Order
from stb_app.kit.nodes import Column, Fit, Grid, Grow, Icon, Node, Row, Scroll, Space, Span, Target, Text
from stb_app.shell.page import Page
from stb_app.shell.words import money

if TYPE_CHECKING:
    from stb_app.shell.app import App


class PaymentMethodsScreen(Page[None]):
    """Big cards, one a way. Nothing is paid here: the confirmation follows."""

    id = "payment-methods"

    def __init__(self, app: App, *, order: Order) -> None:
        super().__init__(app)
        self.order = order

    def crumbs(self) -> Sequence[str]:
        return (self.say(self.order.service.name), self.t("How to pay"))

    def state(self) -> dict[str, Any]:
        return {"order": self.order.number, "amount_fen": self.order.amount_fen}

    def on_ok(self, key: str) -> None:
        method = next((method for method in self.order.methods if method.key == key), None)
        if method is not None:
            self.app.push("confirm", order=self.order, method=method)
        else:
            self.app.pop()

    def compose(self) -> Node:
        order = self.order
        what = SEPARATOR.join((self.say(order.service.name), term_name(self.t, order.term)))
        amount = Text((Span(self.t("To pay") + "  ", "secondary"), Span(money(order.amount_fen), "money", True)), "heading")
        head = Column((Text(self.t("How would you like to pay?"), "title"), Text(what, "row", "secondary"), amount), gap=8)
        large = tuple(self._card(method) for method in order.methods)
        rows = tuple(self._row(method) for method in order.methods)
        foot: tuple[Node, ...] = ()
        if not any(method.enabled for method in order.methods):
            sorry = self.t("None of these can be used just now. No money was taken.")
            foot = (
                Text(f"{sorry} {hotline(self.t, order.hotline)}", "body", "secondary"),
                Row((button("back", self.t("Back"), "primary"),)),
            )
        columns = min(3, max(2, len(large)))
        return Fit(
            (
                Column((Space(grow=1), head, Space(20), Grid(large, columns, 32), *foot, Space(grow=2)), gap=24, grow=1),
                Column((head, Scroll("ways", Grid(large, 2, 32)), *foot), gap=24, grow=1),
                Scroll("page", Column((head, Column(rows, gap=24), *foot), gap=24)),
            )
        )

    def _mark(self, method: Method, size: int) -> Icon:
        card = method.key == "card"
        plate: Plate = "amber" if card else "teal"
        return Icon("card" if card else "qr", size, plate=plate)

    def _words(self, method: Method) -> tuple[Node, ...]:
        lines: list[Node] = [Text(self.say(method.name), "heading"), Text(self.say(method.summary), "body", "secondary")]
        if not method.enabled:
            reason = words_for(method.refusal, {}, self.t).title if method.refusal else self.t("Not possible just now")
            lines.append(Text(reason, "body-bold", "warning"))
        return tuple(lines)

    def _card(self, method: Method) -> Target:
        body = Column((self._mark(method, 120), Space(8), *self._words(method)), gap=10)
        return Target(method.key, body, "card", method.enabled, self.say(method.name), min_height=340)

    def _row(self, method: Method) -> Target:
        body = Row((self._mark(method, 96), Grow(Column(self._words(method), gap=4))), gap=32)
        return Target(method.key, body, "card", method.enabled, self.say(method.name))
