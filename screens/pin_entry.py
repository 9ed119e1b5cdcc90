"""The PIN on a page: digits that are only counted, sent to the card once there are six; and how that looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stb_app.journeys import Pin
from stb_app.kit.nodes import Column, Grow, Icon, Node, PinCells, Row, Space, Target, Text
from stb_app.kit.screen import Binding
from stb_app.shell.keys import DIGITS

PIN_LENGTH = 6
PIN_PROMPTS = frozenset(("enter-pin", "wrong-pin"))


class PinEntry:
    """What has been typed so far. The digits leave it once, through ``take``, and are kept nowhere.

    Attributes:
        too_short: OK was pressed with digits missing.
        sent: the card is checking them.
    """

    def __init__(self) -> None:
        self._digits = ""
        self.too_short = False
        self.sent = False

    def __len__(self) -> int:
        return len(self._digits)

    @property
    def missing(self) -> int:
        return PIN_LENGTH - len(self._digits)

    def clear(self) -> None:
        """The card, the page or the question has changed: what was typed is gone."""
        self._digits = ""
        self.too_short = False

    def type(self, key: str) -> bool:
        """A digit key; one more than needed is not taken. False if it was."""
        if len(self._digits) >= PIN_LENGTH:
            return False
        self._digits += key.removeprefix("KEY_")
        self.too_short = False
        return True

    def delete(self) -> None:
        self._digits = self._digits[:-1]

    def take(self) -> Pin | None:
        """The PIN, which is gone from here then; None while digits are missing."""
        if len(self._digits) < PIN_LENGTH:
            self.too_short = True
            return None
        pin, self._digits = Pin(self._digits), ""
        self.sent = True
        return pin

    def bindings(self, t: Callable[[str], str]) -> Sequence[Binding]:
        """The keys, for the footer; ``t`` translates. Back deletes as long as there is a digit to delete."""
        delete, words = (lambda _: self.delete()), t("Delete a digit")
        deletes = (Binding(("KEY_BACK",), words, delete), Binding(("KEY_LEFT",), words, delete, footer=False))
        return (
            Binding(DIGITS, t("PIN")),
            Binding(("KEY_OK",), t("Confirm")),
            *(deletes if self._digits else ()),
        )


def pin_cells(filled: int, name: str) -> Node:
    """The cells of the PIN, with more room around them than anything else has."""
    cells = Target("pin", PinCells(filled, PIN_LENGTH), "bare", text=name)
    return Column((Space(12), Row((cells,)), Space(12)), gap=0)


def titled(title: Text, last_try: bool) -> Node:
    """The title of a page that asks for the PIN; before the last try a sign stands beside it."""
    return Row((Icon("warning", 64, "warning"), Grow(title)), gap=20) if last_try else title
