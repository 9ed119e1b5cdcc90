"""A question in a dialog: a sign, words, answers; with a visible count when silence is an answer too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from stb_app.kit.nodes import Column, Fit, Grow, Node, Row, Sign, Space, Target, Text
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page

if TYPE_CHECKING:
    from stb_app.shell.app import App

Kind = Literal["success", "pending", "failed", "cancelled", "expired", "late", "question", "info", "warning"]
SAME = "default"
"""The way that has the focus is the way forward."""


class QuestionScreen(Page[str]):
    """Pops with the key of the answer, None for Back, ``timeout`` when the count has run down.

    Args:
        sign: a kind of the kit's Sign.
        title, text: messages for the catalogue: the language may be changed while the question stands; or final words.
        options: (key, message), the first on top.
        default: key that has the focus; Back does the same to whoever asked, and its label says so.
        accent: key of the way forward, where that is another; None where it is none of them.
        countdown: seconds; None waits for ever.
    """

    id = "question"
    modal = True

    def __init__(
        self, app: App, *, sign: Kind, title: str, text: str, options: tuple[tuple[str, str], ...], default: str,
        countdown: int | None = None, accent: str | None = SAME,
    ) -> None:  # fmt: skip
        super().__init__(app)
        self._sign: Kind = sign
        self._title, self._text = title, text
        self._options = options
        self.default_focus = default
        self._accent = default if accent == SAME else accent
        self._left = countdown

    def on_enter(self) -> None:
        if self._left is not None:
            self.app.every(1.0, self._count)

    def _count(self) -> None:
        assert self._left is not None
        self._left -= 1
        if self._left <= 0:
            self.app.pop("timeout")
        else:
            self.app.refresh()

    def bindings(self) -> Sequence[Binding]:
        stays = next(label for key, label in self._options if key == self.default_focus)
        return (Binding(("KEY_BACK",), self.t(stays)),)

    def on_ok(self, key: str) -> None:
        self.app.pop(key)

    def state(self) -> dict[str, Any]:
        return {
            "options": [key for key, _ in self._options],
            "default": self.default_focus,
            "seconds_left": self._left,
        }

    def compose(self) -> Node:
        title = Text(self.t(self._title), "heading")
        text = Text(self.t(self._text), "body", "secondary")
        words = Column((title, text), gap=14)
        ways = Column(tuple(self._way(key, self.t(msgid)) for key, msgid in self._options), gap=20)
        full = Column(
            (Row((Sign(self._sign, 88), Grow(words)), gap=36, align="start"), Space(8), ways),
            gap=24,
            width=1080,
        )
        plain = Column((title, text, ways), gap=20, width=1240)
        return Fit((full, plain))

    def _way(self, key: str, words: str) -> Target:
        if self._left is not None and key == self.default_focus:
            words = f"{words} ({self._left})"
        style: Literal["primary", "button"] = "primary" if key == self._accent else "button"
        return Target(key, Text(words, "row-bold", align="center"), style, text=words)
