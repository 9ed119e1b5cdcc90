"""What every key does here: the INFO page, made from the live bindings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from screens.problems import N_
from stb_app.kit.nodes import Column, Grid, Grow, Icon, Node, Pill, Row, Scroll, Target, Text
from stb_app.kit.screen import Binding
from stb_app.shell.footer import cap
from stb_app.shell.page import Page

if TYPE_CHECKING:
    from stb_app.shell.app import App

ARROWS = {
    "arrow-left": ("cap-left",),
    "arrow-right": ("cap-right",),
    "arrow-up": ("cap-up",),
    "arrow-down": ("cap-down",),
    "arrows-lr": ("cap-left", "cap-right"),
    "arrows-ud": ("cap-up", "cap-down"),
    "arrows": ("cap-left", "cap-up", "cap-down", "cap-right"),
}
"""What is printed on the keys that have no word: drawings of the kit."""
COLOURS = {"red": N_("Red"), "green": N_("Green"), "yellow": N_("Yellow"), "blue": N_("Blue")}


class HelpScreen(Page[None]):
    """The keys of the page below, and the ones that work everywhere. ``bindings`` as the footer got them."""

    id = "help"
    modal = True
    default_focus = "close"

    def __init__(self, app: App, *, bindings: Sequence[Binding]) -> None:
        super().__init__(app)
        self._shown = tuple(bindings)

    def bindings(self) -> Sequence[Binding]:
        close = self.t("Close")
        return (
            Binding(("KEY_OK",), close),
            Binding(("KEY_BACK",), close),
            Binding(("KEY_INFO",), close, lambda _: self.app.pop(), footer=False),
        )

    def on_ok(self, key: str) -> None:
        self.app.pop()

    def state(self) -> dict[str, Any]:
        return {"keys": [list(binding.keys) for binding in self._shown]}

    def compose(self) -> Node:
        rows = tuple(self._row(binding) for binding in self._shown)
        columns = 2 if self.app.settings.text_scale == 100 else 1
        return Column(
            (
                Row(
                    (Icon("remote", 64, "accent"), Grow(Text(self.t("What the keys do here"), "heading"))),
                    gap=24,
                ),
                Scroll("keys", Grid(rows, columns, 24)),
                Target("close", Text(self.t("Close"), "row-bold", align="center"), "primary"),
            ),
            gap=32,
            width=1360,
        )

    def _row(self, binding: Binding) -> Node:
        printed = cap(binding.keys, self.t)
        key: Node = Pill(self.t(COLOURS.get(printed, printed)), "neutral")
        if printed in ARROWS:
            key = Row(tuple(Icon(name, 32) for name in ARROWS[printed]), gap=4)
        return Row(
            (
                Column((Row((key,)),), width=2 * self.app.settings.text_scale),
                Grow(Text(binding.label, "body")),
            ),
            gap=16,
        )
