"""How to pay: the ways this order can be paid, and why one cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from screens.parts import Plate, button, due, hotline
from screens.problems import words_for
from screens.words import SEPARATOR, sentences, term_name
from stb_app.journeys import Method, Order
from stb_app.kit.nodes import (
    Column,
    Facts,
    Fit,
    Grid,
    Grow,
    Icon,
    Node,
    Panel,
    Row,
    Scroll,
    Space,
    Target,
    Text,
)
from stb_app.shell.page import Page

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
        if not any(method.enabled for method in order.methods):
            return self._none(what)
        yet = Text(self.t("Nothing has been taken for this order yet."), "body", "secondary", wrap=False)
        head = self._head(self.t("How would you like to pay?"), what, yet)
        cards = tuple(self._card(method, 380) for method in order.methods)
        rows = Column(tuple(self._row(method) for method in order.methods), gap=24)
        slim = Column(tuple(self._slim(method) for method in order.methods), gap=16)
        columns = min(3, max(2, len(cards)))
        return Fit(
            (
                Column((head, Space(8), Grid(cards, columns, 32), Space(grow=1)), gap=24, grow=1),
                Column((head, rows, Space(grow=1)), gap=24, grow=1),
                Column((head, Scroll("ways", slim)), gap=24, grow=1),
            )
        )

    def _head(self, title: str, what: str, *beside: Node) -> Node:
        """What is to be paid, and what for; the amount is the largest thing here, and stands ``beside`` what is said of it."""
        amount = Row((due(self.t("To pay"), self.order.amount_fen), *beside), gap=48)
        return Column((Text(title, "headline"), Text(what, "body", "secondary"), amount), gap=4)

    def _none(self, what: str) -> Node:
        """Nothing works just now: why, and whom to ask."""
        sorry = sentences(self.t("No money was taken."), hotline(self.t, self.order.hotline))
        head = self._head(self.t("You cannot pay just now"), what)
        back = Row((button("back", self.t("Back"), "primary"),))
        cards = tuple(self._card(method, 280) for method in self.order.methods)
        # Large letters: the reasons alone.
        reasons = tuple(
            (self.say(method.name), Text(self._reason(method), "body-bold")) for method in self.order.methods
        )
        panel = Panel(Facts(reasons), pad=28)
        return Fit(
            (
                Column(
                    (head, Text(sorry), Grid(cards, 2, 32), Space(grow=1), back),
                    gap=16,
                    grow=1,
                ),
                Column((Scroll("page", Column((head, Text(sorry), panel), gap=16)), back), gap=24, grow=1),
            )
        )

    def _mark(self, method: Method, size: int) -> Icon:
        card = method.key == "card"
        plate: Plate = "amber" if card else "teal"
        return Icon("card" if card else "qr", size, plate=plate)

    def _reason(self, method: Method) -> str:
        """Why this way is not possible."""
        return (
            words_for(method.refusal, {}, self.t).title if method.refusal else self.t("Not possible just now")
        )

    def _words(self, method: Method, short: bool = False) -> tuple[Node, ...]:
        """Name, how it is done, and why it cannot be; ``short``: how it is done only where it can be."""
        lines: list[Node] = [Text(self.say(method.name), "row-bold")]
        if method.enabled or not short:
            lines.append(Text(self.say(method.summary), "body", "secondary"))
        if not method.enabled:
            lines.append(Text(self._reason(method), "body-bold", "warning"))
        return tuple(lines)

    def _card(self, method: Method, height: int) -> Target:
        body = Column((self._mark(method, 120), Space(8), *self._words(method)), gap=10, grow=1)
        return Target(method.key, body, "card", method.enabled, self.say(method.name), min_height=height)

    def _row(self, method: Method) -> Target:
        body = Row((self._mark(method, 96), Grow(Column(self._words(method, short=True), gap=4))), gap=32)
        return Target(method.key, body, "card", method.enabled, self.say(method.name))

    def _slim(self, method: Method) -> Target:
        """The same in one line: every way is in sight."""
        name = self.say(method.name)
        how = self.say(method.summary) if method.enabled else self._reason(method)
        says = Text(how, "small", "secondary" if method.enabled else "warning", "end")
        body = Row((self._mark(method, 64), Text(name, "row-bold", wrap=False), Grow(says)), gap=28)
        return Target(method.key, body, "row", method.enabled, name)
