"""The line above the footer: what is told, about what, and which of several is to be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from stb_app.kit.chrome import Tone
from stb_app.shell.timers import Timer, Timers

Words = str | Callable[[], str]
"""A msgid (English), or what says it in the subscriber's language."""


class _Told(NamedTuple):
    words: Words
    tone: Tone
    waits: bool


class Notices:
    """One notice a subject. The one told last is seen; when it goes, the one before it is seen again.

    Args:
        changed: called when another notice may have to be seen.
        paying: whether a payment or its result is on the screen: what is told of another one waits until it is gone.
    """

    def __init__(self, timers: Timers, changed: Callable[[], None], paying: Callable[[], bool]) -> None:
        self._timers = timers
        self._changed = changed
        self._paying = paying
        self._told: dict[str, _Told] = {}
        self._ends: dict[str, Timer] = {}

    def seen(self) -> tuple[Words, Tone] | None:
        """The message that is to be seen, and its tone."""
        paying = self._paying()
        return next((told[:2] for told in reversed(self._told.values()) if not (paying and told.waits)), None)

    def tell(self, about: str, words: Words, tone: Tone, seconds: float | None, waits: bool) -> None:
        """Takes the place of what was told about the same; stays ``seconds``, or until ``clear``."""
        self.clear(about)
        self._told[about] = _Told(words, tone, waits)
        if seconds is not None:
            self._end_after(seconds, about)

    def clear(self, about: str) -> None:
        """Nothing is to be told about this any more."""
        self._told.pop(about, None)
        timer = self._ends.pop(about, None)
        if timer is not None:
            timer.cancel()
        self._changed()

    def _end_after(self, seconds: float, about: str) -> None:
        def end() -> None:
            if self._told[about].waits and self._paying():
                self._end_after(seconds, about)
            else:
                self.clear(about)

        self._ends[about] = self._timers.after(seconds, end)
