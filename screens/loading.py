"""Pages that ask the TSP for something first: waiting, shown, refused; and asked again where that can help."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from screens.parts import button, known_hotline, message, trouble_sign, waiting
from screens.problems import words_for
from stb_app.journeys.base import Journey
from stb_app.journeys.steps import Loaded, Loading, Refused
from stb_app.kit.nodes import Node, Target
from stb_app.shell.page import Page
from stb_app.shell.timers import Timer

T = TypeVar("T")


class LoadingPage(Page[None], Generic[T]):
    """Shows one answer of the TSP.

    What was shown before stays while it is asked for again; a refusal takes its place only when there is nothing else.
    """

    value: T | None = None
    refused: Refused | None = None
    retry_seconds: float | None = None
    """Asks again by itself so long after a refusal; None: only when told to."""
    _again: Timer | None = None

    def question(self) -> Journey[Any]:
        """What is asked."""
        raise NotImplementedError

    def content(self, value: T) -> Node:
        """The page once there is an answer."""
        raise NotImplementedError

    def load(self) -> None:
        """Asks, or asks again."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self.refused = None
        if self.app.verbs is not None:  # else the connection is still being set up
            self.app.start(self.question(), self._step)
        self.app.refresh()

    def arrived(self, value: T) -> None:
        """The answer is here."""
        self.value = value

    def opened(self) -> None:
        """The first answer is here: the focus goes where it belongs on the page, from wherever it was while waiting."""
        if self.default_focus is not None:
            self.app.focus(self.default_focus)

    def was_refused(self, refused: Refused) -> None:
        """There is no answer but a reason."""
        self.refused = refused
        if self.retry_seconds is not None:
            self._again = self.app.after(self.retry_seconds, self.load)

    @property
    def busy(self) -> bool:  # type: ignore[override]
        return self.value is None and self.refused is None

    def on_enter(self) -> None:
        self.load()

    def on_connected(self) -> None:
        if self.value is None:
            self.load()

    def compose(self) -> Node:
        if self.value is not None:
            return self.content(self.value)
        if self.refused is not None:
            return self.apology(self.refused)
        return waiting(self.t("One moment, please"))

    def apology(self, refused: Refused) -> Node:
        """Why there is nothing to show, and what can be done."""
        words = words_for(refused.code, refused.facts, self.t)
        targets: list[Target] = [button("retry", self.t("Try again"), "primary")]
        targets.append(button("back", self.t("Back")))
        sign, call = trouble_sign(refused.code), known_hotline(self.app)
        return message(sign, words.title, words.text, tuple(targets), call=call)

    def state(self) -> dict[str, Any]:
        return {
            "loading": self.busy,
            "problem": self.refused.code if self.refused else None,
        }

    def on_ok(self, key: str) -> None:
        if key == "retry":
            self.load()
        elif key == "back":
            self.app.pop()

    def _step(self, step: Loading | Loaded[T] | Refused) -> None:
        if isinstance(step, Loaded):
            first, self.refused = self.value is None, None
            self.arrived(step.value)
            if first:
                self.opened()
        elif isinstance(step, Refused):
            self.was_refused(step)
        self.app.refresh()
