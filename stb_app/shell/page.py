"""The base of this program's screens: a screen that knows its television."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from stb_app.kit.screen import Screen

if TYPE_CHECKING:
    from stb_app.shell.app import App

R = TypeVar("R")


class Page(Screen[R]):
    """A screen of this program.

    The navigator makes it as ``cls(app, **params)`` with the params of ``app.push``; a page with params takes
    them as keyword arguments and calls ``super().__init__(app)``.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def on_connected(self) -> None:
        """The television has its verbs now, or is connected again: ask what could not be asked before."""

    def on_settled(self) -> None:
        """A payment has ended, or changed, that no page was telling of."""

    def t(self, msgid: str) -> str:
        """``msgid`` (English) in the subscriber's language."""
        return self.app.t(msgid)

    def say(self, text: Mapping[str, str]) -> str:
        """A server's TEXT ``{"zh": ..., "en": ...}`` in the subscriber's language."""
        return self.app.say(text)
