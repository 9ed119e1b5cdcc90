"""The line above the footer: what is told, about what, and which of several is to be seen."""

from __future__ import annotations

from collections.abc import Callable, Collection

from stb_app.kit.chrome import Tone
from stb_app.shell.timers import Timer, Timers


class Notices:
    """One notice a subject. The one told last is seen; when it goes, the one before it is seen again.

    Args:
        changed: called when another notice may have to be seen.
    """

    def __init__(self, timers: Timers, changed: Callable[[], None]) -> None:
        self._timers = timers
        self._changed = changed
        self._told: dict[str, tuple[str, Tone]] = {}
        self._ends: dict[str, Timer] = {}

    def seen(self, said: Collection[str] = ()) -> tuple[str, Tone] | None:
        """The message (English) that is to be seen, and its tone; nothing about what the page has ``said`` itself."""
        return next((told for about, told in reversed(self._told.items()) if about not in said), None)

    def tell(self, about: str, msgid: str, tone: Tone, seconds: float | None) -> None:
        """Takes the place of what was told about the same; stays ``seconds``, or until ``clear``."""
        self.clear(about)
        self._told[about] = (msgid, tone)
        if seconds is not None:
            self._ends[about] = self._timers.after(seconds, lambda: self.clear(about))

    def clear(self, about: str) -> None:
        """Nothing is to be told about this any more."""
        self._told.pop(about, None)
        timer = self._ends.pop(about, None)
        if timer is not None:
            timer.cancel()
        self._changed()
