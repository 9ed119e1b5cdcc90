"""How the page of an end goes on by itself: after a count that everybody sees, and not before the card has been taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from stb_app.journeys.steps import CardMoved
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page
from stb_app.shell.running import Running

if TYPE_CHECKING:
    from stb_app.shell.app import App

COUNT_S = 10
"""A success goes on by itself after so many seconds, unless a key is pressed."""
SCROLLED = "words"
"""The viewport of a page that has no room for all of it."""


class Count:
    """The count of a page, which begins anew with every end that the page tells.

    Args:
        go_on: where the page leads to.
        taken: the card that was in the slot has been taken.
    """

    def __init__(
        self, app: App, page: Page[Any], go_on: Callable[[], None], taken: Callable[[], None]
    ) -> None:
        self._app = app
        self._page = page
        self._go_on = go_on
        self._taken = taken
        self._left: int | None = None
        self._language = app.language
        self._watching: Running | None = None
        app.every(1.0, self._tick)

    @property
    def left(self) -> int | None:
        """Seconds; None while the page does not leave by itself, as with a card in the slot."""
        return None if self._watching is not None else self._left

    def begin(self, counts: bool) -> None:
        """An end is told; ``counts``: it is one that need not be seen."""
        self._left, self._language = COUNT_S if counts else None, self._app.language

    def hold(self, card_in_slot: bool) -> None:
        """Nothing goes on before the card that is in the slot is taken."""
        if card_in_slot and self._watching is None:
            self._watching = self._app.start(self._app.verbs.watch_slot(), self._on_moved)

    def stop(self) -> None:
        """Somebody is there."""
        if self._left is not None:
            self._left = None
            self._app.refresh()

    def end(self) -> None:
        """The page is left, or tells of something else now."""
        self._left = None
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def bindings(self) -> Sequence[Binding]:
        """What keys do while it counts: Back, like any key but OK, stops the count first."""
        return (
            Binding(("KEY_OK",), self._page.t("Done · any other key stops the count")),
            Binding(("KEY_BACK",), self._page.t("Stay here"), footer=False),
        )

    def words(self) -> str:
        """Of the button that leads on."""
        done = self._page.t("Done")
        return done if self.left is None else self._page.t("Done ({n})").format(n=self.left)

    def _on_moved(self, moved: CardMoved) -> None:
        if self._watching is not None and not moved.inside:
            self._watching.cancel()
            self._watching = None
            self._taken()
            self._app.refresh()

    def _tick(self) -> None:
        if self._left is None or self.left is None:
            return
        # Keys that the television takes for itself are seen by what they did: a dialog on top, another language.
        # What has not been seen does not leave by itself.
        unseen = any(target.key == SCROLLED for target in self._app.stage.targets())
        if unseen or self._app.navigator.top is not self._page or self._app.language != self._language:
            self.stop()
            return
        self._left -= 1
        if self._left <= 0:
            self._go_on()
        else:
            self._app.refresh()
