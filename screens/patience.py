"""Told after a while: what a page waits for takes longer than it has said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from screens.pin_entry import PinEntry
from screens.problems import STILL_ASKING, STILL_READING, Said
from screens.words import Say
from stb_app.shell.timers import Timer

if TYPE_CHECKING:
    from stb_app.shell.app import App

PATIENCE_S = 8.0
"""From then on a payment takes longer than the page has said: a bank may need most of a minute."""
STILL: Mapping[str, str] = {"processing": STILL_ASKING, "reading": STILL_READING}
"""What is said then, by card prompt; others wait for a person."""


class Patience:
    """Of a page that follows the prompts of a card in the slot."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._timer: Timer | None = None
        self._words = ""

    def hear(self, prompt: str, pin: PinEntry) -> None:
        """The journey has come to this prompt. A card that checks its PIN is still doing what the page has said."""
        if prompt == "reading" and pin.sent:
            return
        self.end()
        if prompt in STILL:
            self._begin(STILL[prompt])

    def check_pin(self) -> None:
        """A PIN was sent."""
        self.end()
        self._begin(STILL_READING)

    def end(self) -> None:
        """Nothing is waited for."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._words = None, ""

    def worded(self, said: Said, t: Say) -> Said:
        """The page's words, as long as it has not taken longer than they say."""
        return replace(said, text=t(self._words)) if self._words else said

    def _begin(self, words: str) -> None:
        self._timer = self._app.after(PATIENCE_S, lambda: self._tell(words))

    def _tell(self, words: str) -> None:
        self._words = words
        self._app.refresh()
