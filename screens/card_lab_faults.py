"""Faults for the simulated slot's card, ordered by a tester: what goes wrong, and at which command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from screens.problems import N_
from stb_app.kit.nodes import Color, Column, Group, Grow, Icon, Node, Row, Scroll, Span, Target, Text
from stb_app.kit.screen import Binding
from stb_app.shell.keys import DIGITS
from stb_app.shell.page import Page

if TYPE_CHECKING:
    from stb_app.shell.app import App

KINDS: tuple[tuple[str, str, str], ...] = (
    ("pull", "", N_("Pulled before it obeys")),
    ("lose", "", N_("Pulled before it answers")),
    ("delay", ":2000", N_("Answers 2 seconds late")),
    ("delay", ":15000", N_("Answers 15 seconds late")),
    ("mac", "", N_("Wrong MAC: one bit turned")),
    ("garbage", "", N_("Answers garbage")),
    ("word", ":6985", N_("Status word 6985")),
    ("word", ":6F00", N_("Status word 6F00")),
)
"""Kind of a fault and what stands behind its place (``stb-card fault --help``), and what happens."""
PLACES: tuple[tuple[str, str], ...] = (
    ("00A4", "SELECT"),
    ("80A8", "GET PROCESSING OPTIONS"),
    ("00B2", "READ RECORD"),
    ("80CA", "GET DATA"),
    ("0088", "INTERNAL AUTHENTICATE"),
    ("0020", "VERIFY"),
    ("80AE", "GENERATE AC"),
    ("0082", "EXTERNAL AUTHENTICATE"),
    ("04DA", "PUT DATA"),
    ("8050", "INITIALIZE"),
    ("8054", "DEBIT"),
    ("805A", "GET TRANSACTION PROVE"),
)
"""CLA and INS of commands, and their names."""
MOST_SEEN = 2
"""Lines about what is ordered that stand there whole; more are scrolled through."""
SEEN_HIGH = 96
"""Their height, canvas pixels at 100 %."""
LONGEST = 3
"""Digits of a command's number."""


class CardLabFaultsScreen(Page[None]):
    """The digits choose a command by its number; OK on a command orders the fault there. Each happens once."""

    id = "card-lab-faults"
    modal = True
    default_focus = "kind:0"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._kind = 0
        self._number = "1"
        self._typing = False

    def bindings(self) -> Sequence[Binding]:
        return (
            Binding(("KEY_OK",), self.t("Choose")),
            Binding(DIGITS, self.t("Number of the command"), self._digit),
            Binding(("KEY_BACK",), self.t("Close")),
        )

    def _digit(self, key: str) -> None:
        typed = (self._number if self._typing else "") + key.removeprefix("KEY_")
        self._number = str(int(typed[-LONGEST:]) or 1)
        self._typing = True
        self.app.focus("place:number")
        self.app.refresh()

    def on_focus(self, key: str) -> None:
        if key != "place:number":
            self._typing = False

    def on_ok(self, key: str) -> None:
        name, _, value = key.partition(":")
        if name == "kind":
            self._kind = int(value)
            self.app.focus("place:number")
            self.app.refresh()
        elif name == "forget":
            self.app.forget_faults()
        else:
            self.app.order_fault(self._fault(value))

    def state(self) -> dict[str, Any]:
        waiting, happened = self._known()
        return {"waiting": list(waiting), "happened": [list(one) for one in happened]}

    def _known(self) -> tuple[tuple[str, ...], tuple[tuple[int, str], ...]]:
        slot = self.app.slot
        return ((), ()) if slot is None else (slot.faults, slot.happened)

    def compose(self) -> Node:
        kinds = tuple(
            Target(
                f"kind:{number}",
                Text(self.t(words), self._style()),
                "row",
                checked=number == self._kind,
                min_height=72,
            )
            for number, (_, _, words) in enumerate(KINDS)
        )
        any_one = self._place("number", self.t("Command no. {n}").format(n=self._number), "")
        places = (any_one, *(self._place(place, name, place) for place, name in PLACES))
        lists = Row(
            (
                Grow(self._list("kinds", self.t("What goes wrong"), kinds), 4),
                Grow(self._list("places", self.t("At which command (OK sets it)"), places), 5),
            ),
            gap=36,
            align="stretch",
            grow=1,
        )
        ordered = self._ordered()
        return Column(
            (
                Row((Grow(Text(self.t("Faults of the test card"), "heading")), self._clear()), gap=36),
                ordered if len(ordered.children) <= MOST_SEEN else self._scrolled(ordered),
                lists,
            ),
            gap=14,
            width=1640,
        )

    def _style(self) -> Literal["body", "small"]:
        """Of what can be chosen: the longest command's name stands in one line."""
        return "body" if self.app.settings.text_scale == 100 else "small"

    def _fault(self, place: str) -> str:
        """The chosen fault at a command, as ``stb-card`` has it."""
        kind, what, _ = KINDS[self._kind]
        return f"{kind}@{self._number if place == 'number' else place}{what}"

    def _place(self, place: str, words: str, code: str) -> Target:
        """A command; whether the chosen fault waits for it already."""
        line: tuple[Node, ...] = (Grow(Text(words, self._style())),)
        if self._fault(place) in self._known()[0]:
            line = (*line, Icon("check", 40, "warning"))
        if code:
            line = (*line, Text(code, "caption", "secondary", wrap=False))
        return Target(f"place:{place}", Row(line, gap=12), "row", min_height=72, text=words)

    def _list(self, key: str, title: str, rows: tuple[Target, ...]) -> Node:
        return Column(
            (
                Text(title, "small", "secondary"),
                Group(key, Scroll(f"{key}:all", Column(rows, gap=10)), grow=1),
            ),
            gap=12,
            grow=1,
        )

    def _clear(self) -> Target:
        words = Text(self.t("Clear all"), "row-bold", align="center", wrap=False)
        return Target("forget", words, "button", enabled=bool(self._known()[0]))

    def _ordered(self) -> Column:
        """What is ordered and what has happened, in words and in those of ``stb-card``; a line each."""
        waiting, happened = self._known()
        lines: list[Node] = [self._said(fault, "warning") for fault in waiting]
        if not waiting:
            lines.append(Text(self.t("None ordered"), "small", "secondary"))
        elif self.app.slot is not None and self.app.slot.profile is None:
            lines.append(Text(self.t("No card is in the slot: they wait for the next one."), "small"))
        for number, fault in happened:
            said = self._said(f"{fault} ({number})", "good")
            lines.append(
                Row((Text(self.t("Happened"), "small", "secondary", wrap=False), Grow(said)), gap=16)
            )
        return Column(tuple(lines), gap=8)

    def _scrolled(self, ordered: Column) -> Row:
        """As high as what is seen at once, so that the lists below keep their room."""
        tall = SEEN_HIGH * self.app.settings.text_scale // 100
        return Row((Grow(Scroll("ordered", ordered)),), align="stretch", height=tall)

    def _said(self, fault: str, color: Color) -> Node:
        """As ``pull@80AE`` or ``delay@3:2000``."""
        kind, _, rest = fault.partition("@")
        place, colon, how = rest.partition(" ")[0].partition(":")
        known = (words for name, what, words in KINDS if name == kind and what == colon + how)
        words = next(known, "")
        named = dict(PLACES).get(place) or self.t("Command no. {n}").format(n=place)
        line = self.t("{what}: {why}").format(what=named, why=self.t(words)) if words else named
        return Text((Span(line, color), Span(f"  {fault}", "secondary")), "small")
