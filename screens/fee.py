"""What it will cost: the fee as BOSS computed it, for which period, and that it does not renew by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from screens.parts import button, due, hotline, panes, service_icon
from screens.problems import N_, spoken, words_for
from screens.words import period, term_name
from stb_app.journeys import Order
from stb_app.journeys.steps import Loaded, Loading, Refused
from stb_app.kit.nodes import Column, Facts, Fit, Grow, Node, Panel, Row, Scroll, Spinner, Text
from stb_app.shell.page import Page
from stb_app.shell.words import money

if TYPE_CHECKING:
    from stb_app.shell.app import App

NOT_YET = N_("Nothing is taken until you have confirmed it once more.")
Style = Literal["body", "small", "caption"]
"""The facts' letters: as large as there is room for."""


class FeeScreen(Page[None]):
    """The quote, whole. It runs out ``order.seconds_left`` after it came; then a new one can be asked for."""

    id = "fee"

    def __init__(self, app: App, *, order: Order) -> None:
        super().__init__(app)
        self._take(order)
        self.asking = False
        self.no: Refused | None = None

    @property
    def default_focus(self) -> str:  # type: ignore[override]
        return "renew-quote" if self.expired else "continue"

    @property
    def busy(self) -> bool:  # type: ignore[override]
        return self.asking

    def crumbs(self) -> Sequence[str]:
        return (self.say(self.order.service.name), self.t("Fee"))

    def state(self) -> dict[str, Any]:
        return {
            "order": self.order.number,
            "term": self.order.term,
            "amount_fen": self.order.amount_fen,
            "reduction_fen": self.order.reduction_fen,
            "expired": self.expired,
            "refusal": self.no.code if self.no else None,
        }

    def on_enter(self) -> None:
        self._watch()

    def on_return(self) -> None:
        self._look()

    def on_ok(self, key: str) -> None:
        if key == "continue":
            self.app.push("payment-methods", order=self.order)
        elif key == "renew-quote":
            self.no, self.asking = None, True
            self.app.start(self.app.verbs.order(self.order.service.service, self.order.term), self._quoted)
            self.app.refresh()
        elif key == "back":
            self.app.pop()

    # The quote's time
    def _take(self, order: Order) -> None:
        self.order, self.expired = order, False
        self._until = self.app.clock.monotonic() + order.seconds_left

    def _left(self) -> float:
        return self._until - self.app.clock.monotonic()

    def _watch(self) -> None:
        self.app.after(max(0.0, self._left()), self._look)

    def _look(self) -> None:
        self.expired = self._left() <= 0
        self.app.refresh()

    def _quoted(self, step: Loading | Loaded[Order] | Refused) -> None:
        if isinstance(step, Loading):
            return
        self.asking = False
        if isinstance(step, Loaded):
            self._take(step.value)
            self.app.focus("continue")
            self._watch()
        else:
            self.no = step
            self.app.sound("error")
        self.app.refresh()

    # What is to be seen
    def compose(self) -> Node:
        return panes(self._facts(), self._sum(), 6, 5, 40)

    def _facts(self) -> Node:
        """All of it at its ease where there is room, else in small letters: no fact may be missed here."""
        name = self.say(self.order.service.name)
        head = Row((service_icon(self.order.service, 88), Grow(Text(name, "title"))), gap=28)
        close = Row((service_icon(self.order.service, 48), Grow(Text(name, "headline"))), gap=20)
        return Fit(
            (
                Panel(Column((head, self._table("body", 18)), gap=32), pad=48, grow=1),
                Panel(Column((close, self._table("small", 12)), gap=16), pad=32, grow=1),
                Panel(Scroll("facts", Column((close, self._table("caption", 6)), gap=16)), pad=32, grow=1),
            )
        )

    def _table(self, style: Style, gap: int) -> Node:
        return Facts(self._pairs(style), gap=gap, style=style)

    def _pairs(self, style: Style) -> tuple[tuple[str, str | Text], ...]:
        """The facts, the same ones in letters of every size."""
        order = self.order
        pairs: list[tuple[str, str | Text]] = [
            (self.t("Term"), term_name(self.t, order.term)),
            (self.t("Valid"), period(self.t, order.term, order.valid_from, order.valid_until)),
            (self.t("Price"), money(order.list_fen)),
        ]
        if order.reduction_fen:
            reason = self.say(order.reduction_reason) if order.reduction_reason else ""
            less = f"{money(-order.reduction_fen)}  {reason}".rstrip()
            pairs.append((self.t("Reduction"), Text(less, style, "good")))
        pairs.append((self.t("Auto-renewal"), self.t("Yes") if order.renews else self.t("No")))
        stop = (
            self.t("Call {number} before the last day.").format(number=order.hotline)
            if order.renews
            else self.t("Nothing to do: it stops by itself.")
        )
        pairs.append((self.t("How to stop it"), stop))
        pairs.append((self.t("Hotline"), order.hotline))
        pairs.append((self.t("Order number"), order.number))
        return tuple(pairs)

    def _sum(self) -> Node:
        if self.asking:
            return _offer(
                Row((Spinner(56), Grow(Text(self.t("Working out the fee"), "row-bold"))), gap=24), (), 48
            )
        back = button("back", self.t("Back"), width=None)
        if self.expired:
            words = self._run_out()
            ways = (button("renew-quote", self.t("Ask for the price again"), "primary", None), back)
            return Fit(
                (_offer(_high(words), ways, 48), _offer(Scroll("words", Column(words, gap=16)), ways, 36))
            )
        ways = (button("continue", self.t("Continue to payment"), "primary", None), back)
        # What is said of the money neither scrolls nor fades: the saving, which stands among the facts, gives way.
        safe = Text(self.t(NOT_YET), "caption", "secondary")
        low = (due(self.t("To pay"), self.order.amount_fen), safe)
        return Fit(
            (
                _offer(_high(self._due(True)), ways, 48),
                _offer(_high(self._due(False)), ways, 36),
                _offer(_high(low), ways, 24),
            )
        )

    def _due(self, with_saving: bool) -> tuple[Node, ...]:
        order = self.order
        saved: tuple[Node, ...] = ()
        if order.reduction_fen and with_saving:
            less = self.t("{amount} less than usual").format(amount=money(order.reduction_fen))
            saved = (Text(less, "body", "good"),)
        return (
            Text(self.t("To pay"), "row", "secondary"),
            Text(money(order.amount_fen), "amount", "money", wrap=False),
            *saved,
            Text(self.t(NOT_YET), "small", "secondary"),
        )

    def _run_out(self) -> tuple[Node, ...]:
        if self.no is not None:
            said = words_for(self.no.code, spoken(self.no.facts, self.say), self.t)
            title, text, warning = said.title, said.text, said.warning
        else:
            title = self.t("This quote has expired")
            text = self.t("Prices are held for a few minutes. No money was taken; just ask for it again.")
            warning = ""
        return (
            Text(title, "headline"),
            Text(text, "body", "secondary"),
            *((Text(warning, "body-bold", "warning"),) if warning else ()),
            Text(hotline(self.t, self.order.hotline), "small", "secondary"),
        )


def _high(words: tuple[Node, ...]) -> Node:
    """Words that take all the height there is."""
    return Column(words, grow=1)


def _offer(words: Node, ways: tuple[Node, ...], pad: int) -> Node:
    """What it comes to, and at the foot the ways on."""
    return Panel(Column((words, *ways), gap=20, grow=1), "hero", pad=pad, radius=28, grow=1)
