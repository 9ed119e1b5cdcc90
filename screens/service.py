"""One service: what it is, what I had and have of it, what it costs for how long, and the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from screens.loading import LoadingPage
from screens.parts import button, hotline, note, panes, service_icon, trouble_sign
from screens.problems import N_, spoken, words_for
from screens.words import SEPARATOR, period, sentences, subscription_status, term_name, until
from stb_app.journeys import Order, ServicePage, Subscription, Term
from stb_app.journeys.base import Journey
from stb_app.journeys.steps import Loaded, Loading, Refused
from stb_app.kit.nodes import (
    Art,
    Column,
    Facts,
    Fill,
    Fit,
    Grid,
    Grow,
    Icon,
    Node,
    Panel,
    Pill,
    Row,
    Scroll,
    Sign,
    Space,
    Spinner,
    Target,
    Text,
)
from stb_app.shell.words import day, money

if TYPE_CHECKING:
    from stb_app.shell.app import App

FAVOURED = ("monthly", "quarterly", "yearly", "per-use")
"""Which term is chosen at first: the first of these that is sold to this subscriber."""
OTHER_SERVICE = frozenset(("already-subscribed", "service-withdrawn", "order-clash", "not-found"))
"""Refusals after which another term of the same service would be refused too."""


class ServiceScreen(LoadingPage[ServicePage]):
    """OK on a term chooses it and goes on to the order; OK on the order lets BOSS check and compute the fee."""

    id = "service"

    def __init__(self, app: App, *, service: str) -> None:
        super().__init__(app)
        self.service = service
        self.term: str | None = None
        self.ordering = False
        self.no: Refused | None = None

    @property
    def default_focus(self) -> str | None:  # type: ignore[override]
        if self.term:
            return f"term:{self.term}"
        return "other" if self.value else None

    @property
    def busy(self) -> bool:  # type: ignore[override]
        return self.ordering or (self.value is None and self.refused is None)

    def question(self) -> Journey[Any]:
        journey: Journey[Any] = self.app.verbs.service(self.service)
        return journey

    def crumbs(self) -> Sequence[str]:
        names = (self.say(self.value.service.name),) if self.value else ()
        return (self.t("Order services"), *names)

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "service": self.service,
            "term": self.term,
            "ordering": self.ordering,
            "refusal": self.no.code if self.no else None,
        }

    def arrived(self, value: ServicePage) -> None:
        super().arrived(value)
        sold = {term.term for term in value.terms if term.refusal is None}
        if self.term not in sold:
            self.term = next((term for term in FAVOURED if term in sold), None)

    def on_return(self) -> None:
        self.load()

    def on_ok(self, key: str) -> None:
        if key.startswith("term:"):
            self.term = key.removeprefix("term:")
            self.app.focus("order")
            self.app.refresh()
        elif key in ("order", "again") and self.term:
            self._order(self.term)
        elif key == "terms":
            self.no = None
            self.app.focus(f"term:{self.term}")
            self.app.refresh()
        elif key == "other":
            self.app.pop()
        elif key == "introduction":
            self._tell_all()
        elif key == "records":
            self.app.push("records")
        else:
            super().on_ok(key)

    def on_back(self) -> bool:
        if self.no is None or self.ordering:
            return False
        self.on_ok("terms")
        return True

    # Ordering
    def _order(self, term: str) -> None:
        self.no, self.ordering = None, True
        self.app.start(self.app.verbs.order(self.service, term), self._ordered)
        self.app.refresh()

    def _ordered(self, step: Loading | Loaded[Order] | Refused) -> None:
        if isinstance(step, Loading):
            return
        self.ordering = False
        if isinstance(step, Loaded):
            self.app.focus("order")
            self.app.push("fee", order=step.value)
        else:
            self.no = step
            self.app.focus(self._ways(step)[0].key)
            self.app.sound("error")
        self.app.refresh()

    # What is to be seen
    def content(self, value: ServicePage) -> Node:
        if self.no:
            return panes(self._about(value, True), self._refusal(self.no), 5, 6)
        if self.term is None:
            return panes(self._about(value, True), self._none_sold(value), 5, 6)
        head = Text(self.t("Choose a term"), "small", "secondary")
        order = self._button(value)
        large = self.app.settings.text_scale > 100
        terms = tuple(self._term(term, large) for term in value.terms)
        if large:
            rows, lasts = Column(terms, gap=12), self._until(value)
            renewal = Text(self._renewal(value), "caption", "secondary")
            alone = Text(self._renews(value), "caption", "secondary")
            # All the terms are seen whole as long as anything else can give way.
            belows = (Column((*lasts, renewal), gap=0), Column((*lasts, alone), gap=0), alone)
            ways = Fit(
                (
                    *(Column((rows, Space(grow=1), below, order), gap=16, grow=1) for below in belows),
                    Column((Column(terms, gap=8), order), gap=12, justify="between", grow=1),
                    Column((Scroll("terms", rows), order), gap=16, grow=1),
                )
            )
            return panes(self._about(value, False), ways, 5, 6)
        grid, ends = Grid(terms, 2), note("info", self._renewal(value))
        return Fit(
            (
                panes(
                    self._about(value, False),
                    Column((head, grid, Space(grow=1), ends, order), gap=24, grow=1),
                    5,
                    6,
                ),
                panes(
                    self._about(value, True),
                    Column((head, Scroll("terms", grid), order), gap=20, grow=1),
                    5,
                    6,
                ),
            )
        )

    def _about(self, page: ServicePage, with_renewal: bool) -> Node:
        name = self.say(page.service.name)
        introduction = Text(self.say(page.introduction))
        words: list[Node] = []
        if page.subscriptions:
            words.append(Text(self.t("Your orders so far"), "small", "secondary"))
            words += [self._subscription(subscription) for subscription in page.subscriptions]
        else:
            words.append(Text(self.t("You have not had this service yet."), "small", "secondary"))
        if with_renewal:
            words.append(Text(self._renewal(page), "small", "secondary"))
        history = Column(tuple(words), gap=20 if self.app.settings.text_scale == 100 else 12)
        text = Scroll("about", Column((introduction, history), gap=20))
        if self.app.settings.text_scale > 100:
            return self._about_large(page, name, introduction, history)
        art = 280
        small = Panel(Row((service_icon(page.service, 72), Grow(Text(name, "heading"))), gap=24), pad=24)
        return Fit(
            (
                Column((Art(page.service.icon, name, art), text), gap=28, grow=1),
                Column((small, text), gap=24, grow=1),
            )
        )

    def _about_large(self, page: ServicePage, name: str, introduction: Text, history: Node) -> Node:
        """For large letters: the beginning of the introduction, and OK on it shows the whole, so that what follows is seen too."""
        head = _beside(Row((service_icon(page.service, 72), Grow(Text(name, "headline"))), gap=24))
        history = _beside(history)
        text = self.say(page.introduction)
        whole = Target("introduction", introduction, "plain", text=text, min_height=0)
        rest = Text(self.t("Left, then OK: read all"), "caption", "accent")
        beginnings = tuple(
            replace(whole, child=Column((replace(introduction, most_lines=most), rest), gap=4))
            for most in (7, 6, 5, 4, 3, 2)
        )
        return Fit(
            (
                Column((head, whole, history), gap=16, grow=1),
                *(Column((head, upper, history), gap=16, grow=1) for upper in beginnings),
                *(
                    Column((head, upper, Scroll("about", history)), gap=16, grow=1)
                    for upper in beginnings[-2:]
                ),
            )
        )

    def _tell_all(self) -> None:
        """The whole introduction, in a dialog."""
        if self.value is None:
            return
        self.app.push(
            "question",
            sign="info",
            title=self.say(self.value.service.name),
            text=self.say(self.value.introduction),
            options=(("close", N_("Close")),),
            default="close",
        )

    def _renewal(self, page: ServicePage) -> str:
        return sentences(self._renews(page), hotline(self.t, page.hotline))

    def _renews(self, page: ServicePage) -> str:
        if page.renews:
            return self.t("It renews by itself until you stop it.")
        return self.t("It ends by itself and is not renewed.")

    def _subscription(self, subscription: Subscription) -> Node:
        words, tone = subscription_status(self.t, subscription)
        start, end = subscription.valid_from, subscription.valid_until
        when = day(start) if subscription.term == "per-use" else period(self.t, subscription.term, start, end)
        what = SEPARATOR.join((term_name(self.t, subscription.term), money(subscription.paid_fen)))
        return Row(
            (
                Grow(Column((Text(when, "small"), Text(what, "caption", "secondary")), gap=0)),
                Pill(words, tone),
            ),
            gap=16,
        )

    def _term(self, term: Term, large: bool) -> Target:
        """A term's card; ``large``: one line over the whole width, so that large letters leave room for all the terms."""
        name = term_name(self.t, term.term)
        saving = (
            (Pill(self.t("Save {n}%").format(n=term.saving_percent), "money"),)
            if term.saving_percent and term.refusal is None
            else ()
        )
        price = money(term.price_fen) if term.price_fen is not None else ""
        cost = (
            (
                Text(
                    price,
                    "price" if large else "heading",
                    "money" if term.refusal is None else "secondary",
                    wrap=False,
                ),
            )
            if price
            else ()
        )
        line: tuple[Node, ...] = ()
        if term.refusal is not None:
            why = Text(words_for(term.refusal, {}, self.t).title, "caption", "warning")
            line = (Grow(replace(why, align="end")) if large else why,)
        elif term.valid_until is not None:
            line = (Text(until(self.t, term.term, term.valid_until), "small", "secondary"),)
        if large:
            beside = line if term.refusal is not None else (Space(grow=1), *saving, *cost)
            body: Node = Row((Text(name, "row-bold", wrap=False), *beside), gap=20)
        else:
            foot = (Row((*cost, Space(grow=1), *saving), gap=12),) if cost else ()
            body = Column((Text(name, "row-bold"), *line, Space(grow=1), *foot), gap=4, grow=1)
        return Target(
            f"term:{term.term}",
            body,
            "row" if large else "card",
            enabled=term.refusal is None,
            text=f"{name} {price}".strip(),
            min_height=84 if large else 212,
            # An empty ring on the others: focus is not taken for choice.
            checked=None if term.refusal is not None or self.term is None else term.term == self.term,
        )

    def _until(self, page: ServicePage) -> tuple[Text, ...]:
        """How long the chosen term lasts."""
        chosen = next(term for term in page.terms if term.term == self.term)
        if chosen.valid_until is None:
            return ()
        words = (term_name(self.t, chosen.term), until(self.t, chosen.term, chosen.valid_until))
        return (Text(SEPARATOR.join(words), "caption"),)

    def _button(self, page: ServicePage) -> Target:
        if self.ordering:
            words = Row(
                (Spinner(40), Text(self.t("Working out the fee"), "row-bold")), gap=20, justify="center"
            )
            return Target("order", words, "primary", enabled=False)
        chosen = next(term for term in page.terms if term.term == self.term)
        text = SEPARATOR.join(
            (self.t("Order"), f"{term_name(self.t, chosen.term)} {money(chosen.price_fen or 0)}")
        )
        return Target("order", Text(text, "row-bold", align="center"), "primary", text=text)

    def _none_sold(self, page: ServicePage) -> Node:
        """Why there is nothing to order here, once, and a way on."""
        codes = {term.refusal for term in page.terms if term.refusal}
        if len(codes) > 1:  # what stands against the sold terms is the reason
            codes.discard("term-not-sold")
        facts = spoken({"clashes_with": page.clashes_with} if page.clashes_with else {}, self.say)
        said = words_for(min(codes), facts, self.t) if len(codes) == 1 else None
        title = said.title if said else self.t("This service cannot be ordered just now")
        text = said.text if said else hotline(self.t, page.hotline)
        words = Column((Text(title, "body-bold"), Text(text, "small", "secondary")), gap=6)
        failed = len(codes) == 1 and trouble_sign(min(codes)) == "failed"
        mark = Icon("cross", 48, "bad") if failed else Icon("warning", 48, "warning")
        fill: Fill = "bad-soft" if failed else "warning-soft"
        if codes == {"already-subscribed"}:  # good news
            mark, fill = Icon("check", 48, "good"), "good-soft"
        why = Panel(Row((mark, Grow(words)), gap=24), fill, pad=24)
        other = button("other", self.t("Other services"), "primary", None)
        head = Text(self.t("Terms"), "small", "secondary")
        prices = Facts(
            tuple((term_name(self.t, term.term), self._price(term, len(codes) > 1)) for term in page.terms),
            gap=4,
        )
        return Fit(
            (
                Column((why, Panel(Column((head, prices)), grow=1), other), gap=20, grow=1),
                Column((Scroll("terms", Column((why, prices), gap=12)), other), gap=20, grow=1),
            )
        )

    def _price(self, term: Term, with_reason: bool) -> str:
        """What a term that is not sold would cost; ``with_reason``: why it is not, where the terms' reasons differ."""
        if term.price_fen is None:
            return self.t("Not on offer")
        reason = (words_for(term.refusal, {}, self.t).title,) if with_reason and term.refusal else ()
        return SEPARATOR.join((money(term.price_fen), *reason))

    def _refusal(self, no: Refused) -> Node:
        """BOSS said no: why, and what next, in the place of the terms."""
        said = words_for(no.code, spoken(no.facts, self.say), self.t)
        phone = hotline(self.t, self.value.hotline) if self.value else ""
        words = (
            Text(said.title, "heading"),
            Text(said.text, "body", "secondary"),
            *((Text(said.warning, "body-bold", "warning"),) if said.warning else ()),
            Text(self.t("No money was taken."), "body-bold"),
            Text(phone, "small", "secondary"),
        )
        buttons = Column(self._ways(no), gap=20)
        sign = trouble_sign(no.code)
        mark = Icon("cross", 60, "bad") if sign == "failed" else Icon("warning", 60, "warning")
        beside = Row((mark, Grow(Text(said.title, "headline"))), gap=24)
        return Fit(
            (
                Panel(
                    Column((Sign(sign, 110), *words, Space(grow=1), buttons), gap=18, grow=1),
                    pad=44,
                    grow=1,
                ),
                Panel(
                    Column((Scroll("words", Column((beside, *words[1:]), gap=12)), buttons), gap=20, grow=1),
                    pad=36,
                    grow=1,
                ),
            )
        )

    def _ways(self, no: Refused) -> tuple[Target, ...]:
        """What can be done about a refusal; the first is the likeliest."""
        ways: list[Target] = []
        if no.retryable or no.code in ("tsp-unreachable", "boss-unreachable"):
            ways.append(button("again", self.t("Try again"), "primary", None))
        if no.code in OTHER_SERVICE:
            ways.append(button("other", self.t("Other services"), "primary", None))
        ways.append(button("terms", self.t("Back to the terms"), width=None))
        return tuple(ways)


def _beside(node: Node) -> Node:
    """Begins where the words of a plain target begin that stands above or below."""
    return Row((Space(20), Grow(node)), gap=0)
