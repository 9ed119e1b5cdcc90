"""The tray of simulated cards beside a simulated slot: what a hand does with a real reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from screens.problems import N_
from stb_app.journeys.card_lab import OwnCard
from stb_app.kit.nodes import Column, Grow, Icon, Node, Pill, Row, Scroll, Target, Text
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page

CARDS: tuple[tuple[str, str, str], ...] = (
    ("good", N_("A purse card"), N_("Enough money, PIN 123456")),
    ("debit", N_("A debit card"), N_("Asks its bank, PIN 123456")),
    ("credit", N_("A credit card"), N_("Asks its bank, PIN 123456")),
    ("electronic-cash", N_("An electronic cash card"), N_("Pays without a PIN")),
    ("little-money", N_("A card with little money"), N_("Only a few yuan on it")),
    ("foreign-issuer", N_("A card of another bank"), N_("Its bank is not accepted here")),
    ("expired", N_("An expired card"), N_("No longer valid")),
    ("blocked", N_("A locked card"), N_("Locked by its bank")),
    ("pin-blocked", N_("A card with a locked PIN"), N_("Wrong PIN entered too often")),
    ("no-purse", N_("A card that cannot pay"), N_("Nothing on it to pay with")),
)
"""Profile of the simulator, its name, what is special about it."""
FOR_TESTERS: tuple[tuple[str, str, str], ...] = (
    ("debit-sda", N_("A debit card with SDA"), N_("Its certificates prove only its data")),
    ("debit-cda", N_("A debit card with CDA"), N_("It signs its cryptograms, too")),
    ("debit-t0", N_("A debit card that talks T=0"), N_("Its answers are fetched one by one")),
)
"""The same, below a heading of their own: the other cards are all that a subscriber needs to see how it works."""


class CardTrayScreen(Page[None]):
    """OK puts the card in and closes; the card that is in can be pulled."""

    id = "card-tray"
    modal = True

    def _own(self) -> tuple[OwnCard, ...]:
        """The cards of a tester's own files."""
        return self.app.slot.own if self.app.slot is not None else ()

    def _about(self, one: OwnCard) -> str:
        """A line that the file has, or else one in the subscriber's language: files are mostly written in English."""
        foreign = self.app.language == "zh" and one.description.isascii()
        return self.t("Your own card") if foreign else one.description

    @property
    def _inside(self) -> str | None:
        return self.app.slot.profile if self.app.slot is not None else None

    def on_enter(self) -> None:
        self.app.read_own_cards()
        self.default_focus = "pull" if self._inside is not None else f"insert:{CARDS[0][0]}"

    def bindings(self) -> Sequence[Binding]:
        close = self.t("Close")
        return (
            Binding(("KEY_OK",), self.t("Select")),
            Binding(("KEY_BACK",), close),
            Binding(("KEY_BLUE",), close, lambda _: self.app.pop(), footer=False),
        )

    def on_ok(self, key: str) -> None:
        if key == "faults":
            self.app.replace("card-lab-faults")
            return
        if key == "pull":
            self.app.pull_card()
        elif key.startswith("own:"):
            self.app.insert_card(self._own()[int(key.removeprefix("own:"))].name)
        else:
            self.app.insert_card(key.removeprefix("insert:"))
        self.app.pop()

    def state(self) -> dict[str, Any]:
        return {
            "inside": self._inside,
            "own": [one.name for one in self._own()],
            "bad": {one.name: one.problem for one in self._own() if one.problem},
        }

    def compose(self) -> Node:
        inside = self._inside
        cards = [
            (f"insert:{profile}", profile, self.t(name), self.t(about)) for profile, name, about in CARDS
        ]
        others = [
            (f"own:{number}", one.name, one.name, self._about(one)) for number, one in enumerate(self._own())
        ]
        others += [(f"insert:{one}", one, self.t(name), self.t(about)) for one, name, about in FOR_TESTERS]
        rows: list[Node] = []
        if inside is not None:
            named = next((name for _, profile, name, _ in (*cards, *others) if profile == inside), "")
            said = (Text(named, "small", "secondary"),) if named else ()
            said = (Text(self.t("Pull the card out"), "row-bold"), *said)
            words = Row((Icon("arrow-up", 44, "accent"), Grow(Column(said, gap=2))), gap=24)
            rows.append(Target("pull", words, "row"))
        rows += [self._row(*card) for card in cards]
        rows.append(Text(self.t("For testers"), "body", "secondary"))
        rows += [self._row(*card) for card in others]
        words = Row(
            (Icon("bolt", 44, "accent"), Grow(Text(self.t("Faults of the test card"), "row-bold"))), gap=24
        )
        rows.append(Target("faults", words, "row"))
        return Column(
            (
                Text(self.t("Test cards"), "heading"),
                Text(
                    self.t("There is no real card here. Choose one and it is put in the slot."),
                    "body",
                    "secondary",
                ),
                Scroll("cards", Column(tuple(rows), gap=16)),
            ),
            gap=20,
            width=1240,
        )

    def _row(self, key: str, profile: str, name: str, about: str) -> Target:
        line_below = Text(about, "small", "secondary")
        problem = next(
            (one.problem for one in self._own() if key.startswith("own:") and one.name == profile), ""
        )
        if problem:
            line_below = Text(self.t("Cannot be put in: {why}").format(why=problem), "small", "warning")
        words = Column((Text(name, "row-bold"), line_below), gap=2)
        line: list[Node] = [Icon("card", 48, plate="none"), Grow(words)]
        if profile == self._inside:
            line.append(Pill(self.t("In the slot"), "accent"))
        return Target(key, Row(tuple(line), gap=24), "row")
