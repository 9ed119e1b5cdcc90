"""The first page: what I have, how long it lasts, and the ways on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from screens.loading import LoadingPage
from screens.parts import button, ends_soon, known_hotline, service_icon, trouble_sign
from screens.problems import Said, words_for
from screens.words import SEPARATOR, days, from_price, month, short_money
from stb_app.journeys import Home, Service
from stb_app.journeys.base import Journey
from stb_app.journeys.steps import Loaded, Refused
from stb_app.kit.nodes import (
    Bars,
    Column,
    Fit,
    Grid,
    Group,
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
)
from stb_app.shell.words import day, money

if TYPE_CHECKING:
    from stb_app.shell.app import App

HERO_PAD = 32
CHART_PX = 150
"""Height of what was spent in the months, canvas pixels, where nothing else needs the room."""
BOX_REFUSED = frozenset(
    (
        "box-unknown",
        "box-suspended",
        "box-stolen",
        "not-enrolled",
        "activation-code-wrong",
        "key-replaced",
        "key-revoked",
        "key-copied",
    )
)
"""The operator does not know this box: waiting does not help, a call does."""


class HomeScreen(LoadingPage[Home]):
    """My service, four tiles, up to four suggestions. It never blocks: without a server the tiles stay, and it asks by itself."""

    id = "home"
    retry_seconds = 5.0

    @property
    def default_focus(self) -> str:  # type: ignore[override]
        if self._turned_away is not None:
            return "retry"
        if self.value is None:
            return "retry" if self.refused else "services"
        return "renew" if self.value.current else "browse"

    @property
    def busy(self) -> bool:  # type: ignore[override]
        return False

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._asked_hello = False
        self._touched = False
        self._gone_on = False
        """Another page was opened, and nothing has been chosen here since."""
        self._asking = False
        self._turned_away: Refused | None = None
        """This box is not let in: what was known before is no use, and says nothing of that."""

    def question(self) -> Journey[Any]:
        journey: Journey[Any] = self.app.verbs.home()
        return journey

    def load(self) -> None:
        """Asks, or asks again; why there was no answer stays to be seen, and its button keeps the focus."""
        refused = self.refused
        super().load()
        self.refused, self._asking = refused, True

    def arrived(self, value: Home) -> None:
        before = self.value
        super().arrived(value)
        if self._gone_on and before is not None and before.spending != value.spending:
            # Something was paid for from here: that is what the page is about now, whatever led to it.
            self.app.focus(self.default_focus)
        self._asking = False
        if self._turned_away is not None:
            self._turned_away = None
            if not self._touched:
                self.app.focus(self.default_focus)
        self.app.identify(value.subscriber.name, value.subscriber.number)

    def opened(self) -> None:
        if not self._touched:
            super().opened()

    def was_refused(self, refused: Refused) -> None:
        super().was_refused(refused)
        self._asking = False
        before, self._turned_away = self._turned_away, refused if refused.code in BOX_REFUSED else None
        if self._turned_away is not None and before is None and not self._touched:
            self.app.focus("retry")
        if refused.code in BOX_REFUSED and not self._asked_hello:
            self._asked_hello = True
            self.app.start(self.app.verbs.hello(), self._hello)

    def on_return(self) -> None:
        self.load()

    def on_settled(self) -> None:
        self.load()

    def on_focus(self, key: str) -> None:
        """Once the subscriber has moved the focus, the news from the TSP leave it where it is."""
        self._touched = self._touched or key not in ("services", "retry", self.default_focus)
        self._gone_on = False

    def compose(self) -> Node:
        # A box that is not let in can order nothing: what it is told stays in sight.
        known = self.value if self._turned_away is None else None
        suggestions = tuple(self._suggestion(service) for service in known.suggestions[:4]) if known else ()
        if self._large:
            return self._one_below_the_other(suggestions)
        # A notice below takes its room from the chart and from the words on the left, a high one from the gaps too.
        return Fit(
            (
                self._side_by_side(suggestions, False),
                self._side_by_side(suggestions, True),
                self._one_below_the_other(suggestions),
            )
        )

    def _one_below_the_other(self, suggestions: tuple[Target, ...]) -> Node:
        """Without the chart, the tiles two and two. A notice below takes its room from above them: all four stay in sight."""
        pairs = (Grid(suggestions, 2),) if suggestions else ()
        forms = []
        for low, pad, gap, lines in (
            *((False, HERO_PAD, 16, True), (True, 28, 16, True)),
            *((True, 16, 12, True), (True, 16, 12, False)),
        ):
            # However low it is, its words begin where those of the tiles do.
            aside = Space(HERO_PAD - pad)
            wide = Panel(Row((aside, Grow(self._hero(low=low)), aside), gap=0), "hero", pad=pad, radius=28)
            ways = (wide, Grid(self._tiles(low, lines), 2, gap))
            forms.append(Scroll("page", Column((*ways, *pairs), gap=gap), seen=Column(ways, gap=gap)))
        return Fit(tuple(forms))

    def _side_by_side(self, suggestions: tuple[Target, ...], tight: bool) -> Node:
        """What I have beside the tiles, the suggestions below."""
        if tight:
            suggestions = tuple(replace(target, style="row") for target in suggestions)
        below = (Grid(suggestions, max(2, len(suggestions))),) if suggestions else ()
        hero = Fit(
            tuple(
                Panel(self._hero(plot, low), "hero", pad=40, radius=28, grow=1)
                for plot, low in (
                    (CHART_PX, False),
                    (CHART_PX * 3 // 4, False),
                    (CHART_PX // 2, False),
                    (CHART_PX // 2, True),
                )
            )
        )
        tiles = Group("tiles", Column(self._tiles(tight), gap=8 if tight else 12), beside="services")
        top = Row((Grow(hero, 9), Grow(tiles, 5)), gap=36, align="stretch", grow=1)
        return Column((top, *below), gap=16 if tight else 20, grow=1)

    def state(self) -> dict[str, Any]:
        current = self.value.current if self.value else None
        return {
            "connection": "offline" if self.refused else "connecting" if self.value is None else "online",
            "problem": self.refused.code if self.refused else None,
            "current": current.service if current else None,
        }

    def on_ok(self, key: str) -> None:
        self._gone_on = key != "retry"
        if key == "renew" and self.value and self.value.current:
            self.app.push("service", service=self.value.current.service)
        elif key.startswith("service:"):
            self.app.push("service", service=key.removeprefix("service:"))
        elif key == "browse":
            self.app.push("services")
        elif key == "retry":
            self.load()
        else:
            self.app.push(key)

    def _hello(self, step: Any) -> None:
        if isinstance(step, Loaded):
            self.app.facts["hotline"] = step.value.hotline
            self.app.refresh()

    @property
    def _large(self) -> bool:
        """Large letters have a form of their own, whatever there is to tell: the ways on stay where they are."""
        return self.app.settings.text_scale > 100

    # The left side, or for large letters the upper one.
    def _hero(self, plot: int = 0, low: bool = False) -> Node:
        """What I have, or why it is not known; ``plot``: the chart's height, ``low``: less high where the words allow it.

        Without a ``plot`` all of it is as low as it can be: the upper part of a page whose parts are one below the other.
        """
        refused = self._turned_away or (self.refused if self.value is None else None)
        if refused is not None:
            words = words_for(refused.code, refused.facts, self.t)
            return (
                self._without_server(refused, words, low)
                if plot
                else self._without_server_flat(refused, words)
            )
        if self.value is None:
            return self._calm(plot)
        if self.value.current or self.value.last_payment:
            return self._mine(self.value, plot, low)
        return self._invitation(plot)

    def _calm(self, plot: int) -> Node:
        if not plot:  # as high as what comes in its place
            words = (
                Text(self.t("My service"), "small", "secondary"),
                Text(self.t("Connecting"), "title"),
                Text(self.t("Your services will be here in a moment."), "row", "secondary"),
            )
            return Row((Grow(Column(words, gap=10)), Spinner(72)), gap=32)
        return Column(
            (
                Space(grow=1),
                Row((Spinner(56), Grow(Text(self.t("Connecting"), "heading"))), gap=28),
                Text(self.t("Your services will be here in a moment."), "body", "secondary"),
                Space(grow=1),
            ),
            gap=24,
            grow=1,
        )

    def _without_server_flat(self, refused: Refused, words: Said) -> Node:
        """The same in a low panel, so that the tiles below it need not scroll it away."""
        call = tuple(Text(line, "body-bold") for line in known_hotline(self.app))
        said = Column((Text(words.title, "row-bold"), Text(words.text, "small", "secondary"), *call), gap=4)
        retry = button("retry", self.t("Try again"), "primary", None)
        return Row((Sign(trouble_sign(refused.code), 72), Grow(said), retry), gap=28)

    def _without_server(self, refused: Refused, words: Said, low: bool) -> Node:
        call = tuple(Text(line, "row-bold") for line in known_hotline(self.app))
        again = (Spinner(56),) if self._asking else ()
        sign, title = trouble_sign(refused.code), Text(words.title, "title")
        head = (Row((Sign(sign, 64), Grow(title))),) if low else (Sign(sign, 88), title)
        return Column(
            (
                Space(grow=1),
                *head,
                Text(words.text, "body" if low else "row", "secondary"),
                *call,
                Space(0 if low else 12),
                Row((button("retry", self.t("Try again"), "primary", 300), *again), gap=28),
                Text(self.t("We also keep trying by ourselves."), "small", "secondary"),
                Space(grow=1),
            ),
            gap=12 if low else 20,
            align="start",
            grow=1,
        )

    def _invitation(self, plot: int) -> Node:
        if not plot:
            words = (
                Text(self.t("My service"), "small", "secondary"),
                Text(self.t("No service ordered yet"), "title"),
            )
            browse = button("browse", self.t("Browse services"), "primary", None)
            return Fit(
                (
                    Row((Grow(Column(words, gap=10)), browse), gap=32),
                    Column((*words, browse), gap=10, align="start"),
                )
            )
        return Column(
            (
                Space(grow=1),
                Text(self.t("My service"), "small", "secondary"),
                Text(self.t("No service ordered yet"), "title"),
                Text(
                    self.t("Films, sports, programmes for children: pay for once or for a whole year."),
                    "row",
                    "secondary",
                ),
                Space(16),
                button("browse", self.t("Browse services"), "primary", 400),
                Space(grow=1),
            ),
            gap=20,
            align="start",
            grow=1,
        )

    def _mine(self, home: Home, plot: int, low: bool) -> Node:
        service, more = home.current, home.active_count - 1
        others = (self.t("and {n} more in use").format(n=more),) if more > 0 else ()
        name = self.say(service.name) if service else self.t("No service at present")
        low = low and not plot
        lines: list[Node] = [Text(name, "heading" if low else "title")]
        if not low:
            lines.insert(0, Text(SEPARATOR.join((self.t("My service"), *others)), "small", "secondary"))
        way = ("renew", self.t("Renew")) if service else ("browse", self.t("Browse services"))
        if service is not None and service.valid_until is not None:
            lasts: list[Span] = [Span(self.t("Valid until {day}").format(day=day(service.valid_until)))]
            if service.days_left is not None:
                lasts += [
                    Span(SEPARATOR),
                    Span(
                        self.t("{days} left").format(days=days(self.t, service.days_left)),
                        "money" if ends_soon(service.days_left) else "text",
                        True,
                    ),
                ]
            lines.append(Text(tuple(lasts), "row"))
        beside = Row(
            (Grow(Column(tuple(lines), gap=0 if low else 10)), button(*way, "primary", None)), gap=32
        )
        if not plot:
            return beside
        return Column((beside, Space(grow=1), *self._spending(home, plot)), gap=10, grow=1)

    def _spending(self, home: Home, plot: int) -> tuple[Node, ...]:
        """What was spent in the months, where there was anything."""
        if not any(amount_fen for _, amount_fen in home.spending):
            return ()
        spent = (
            Span(self.t("Spent in the last six months") + SEPARATOR + self.t("this month") + " "),
            Span(money(home.spending[-1][1]), "money", True),
        )
        return (
            Text(spent, "small", "text"),
            Bars(
                tuple(amount_fen for _, amount_fen in home.spending),
                tuple(month(self.t, name) for name, _ in home.spending),
                plot,
                tuple(short_money(amount_fen) for _, amount_fen in home.spending),
            ),
        )

    # The right side, and below.
    def _tiles(self, tight: bool = False, lines: bool = True) -> tuple[Target, ...]:
        """The four ways on; with ``lines`` each says what it leads to."""
        home = self.value
        count = home.service_count if home else None
        last = home.last_payment if home else None
        rows = (
            (
                "services",
                Icon("tv", 80, plate="teal"),
                self.t("Order services"),
                self.t("{n} to choose from").format(n=count) if count else self.t("All services and prices"),
            ),
            (
                "records",
                Icon("records", 80, plate="blue"),
                self.t("Payment records"),
                self.t("Last: {day} {amount}").format(day=day(last[0])[5:], amount=money(last[1]))
                if last
                else self.t("What you have paid"),
            ),
            (
                "card-inquiry",
                Icon("card", 80, plate="amber"),
                self.t("Check a card"),
                self.t("Balance, last ten, load"),
            ),
            (
                "settings",
                Icon("settings", 80, plate="violet"),
                self.t("Settings"),
                self.t("Language, text size, sound"),
            ),
        )
        return tuple(
            self._tile(key, icon, title, line if lines else "", tight) for key, icon, title, line in rows
        )

    def _tile(self, key: str, icon: Icon, title: str, line: str, tight: bool) -> Target:
        below = (Text(line, "small", "secondary"),) if line else ()
        words = Column((Text(title, "row-bold"), *below), gap=0 if tight else 4)
        return Target(key, Row((icon, Grow(words)), gap=28), "row", text=title, grow=1)

    def _suggestion(self, service: Service) -> Target:
        name = self.say(service.name)
        price = from_price(self.t, service)
        words = Column((Text(name, "body-bold"), Text(price, "small", "secondary")), gap=2)
        return Target(
            f"service:{service.service}",
            Row((service_icon(service, 64), Grow(words)), gap=22),
            "card",
            text=f"{name} {price}",
        )
