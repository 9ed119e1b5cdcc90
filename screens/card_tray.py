"""The tray of simulated cards beside a simulated slot: what a hand does with a real reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from screens.problems import N_
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


class CardTrayScreen(Page[None]):
    """OK puts the card in and closes; the card that is in can be pulled."""

    id = "card-tray"
    modal = True

    @property
    def _inside(self) -> str | None:
        return self.app.slot.profile if self.app.slot is not None else None

    def on_enter(self) -> None:
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
        else:
            self.app.insert_card(key.removeprefix("insert:"))
        self.app.pop()

    def state(self) -> dict[str, Any]:
        return {"inside": self._inside}

    def compose(self) -> Node:
        inside = self._inside
        rows: list[Target] = []
        if inside is not None:
            named = next((name for profile, name, _ in CARDS if profile == inside), "")
            said = (Text(self.t(named), "small", "secondary"),) if named else ()
            said = (Text(self.t("Pull the card out"), "row-bold"), *said)
            words = Row((Icon("arrow-up", 44, "accent"), Grow(Column(said, gap=2))), gap=24)
            rows.append(Target("pull", words, "row"))
        for profile, name, about in CARDS:
            line: list[Node] = [
                Icon("card", 48, plate="none"),
                Grow(
                    Column((Text(self.t(name), "row-bold"), Text(self.t(about), "small", "secondary")), gap=2)
                ),
            ]
            if profile == inside:
                line.append(Pill(self.t("In the slot"), "accent"))
            rows.append(Target(f"insert:{profile}", Row(tuple(line), gap=24), "row"))
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
