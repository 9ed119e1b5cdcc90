"""The keys of a remote control by their Linux KEY_ names, and when a key that is held down speaks again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Direction = Literal["up", "down", "left", "right"]
DIRECTIONS: dict[str, Direction] = {
    "KEY_UP": "up",
    "KEY_DOWN": "down",
    "KEY_LEFT": "left",
    "KEY_RIGHT": "right",
}
ARROWS = tuple(DIRECTIONS)
DIGITS = tuple(f"KEY_{digit}" for digit in range(10))
COLOURS = ("KEY_RED", "KEY_GREEN", "KEY_YELLOW", "KEY_BLUE")
KEYS = (
    *ARROWS,
    "KEY_OK",
    "KEY_BACK",
    "KEY_HOME",
    "KEY_INFO",
    "KEY_LANGUAGE",
    "KEY_POWER",
    "KEY_PAGEUP",
    "KEY_PAGEDOWN",
    *DIGITS,
    *COLOURS,
    "KEY_F5",
)
"""Every key the television knows; key maps and the web remote may name no other."""

FIRST_REPEAT_S = 0.4
REPEAT_S = 0.09
FAST_REPEAT_S = 0.045
FAST_AFTER_S = 1.0
FORGOTTEN_AFTER_S = 15.0
"""A key that is said to be down this long has lost its release (a remote control out of reach, a browser
closed).
"""


class Typematic:
    """Repeats for the arrow that is held down, and only for an arrow.

    At most one repeat is handed out however late the caller is: stale ones are dropped. Times are seconds of
    a clock that never stands still; they are passed in.
    """

    def __init__(self, first: float = FIRST_REPEAT_S, period: float = REPEAT_S) -> None:
        self._first = first
        self._period = period
        self._held: str | None = None
        self._since = 0.0
        self._due = 0.0

    def down(self, name: str, now: float) -> None:
        """A key went down. Another key than the held arrow ends its repeats."""
        self._held = name if name in DIRECTIONS else None
        self._since = now
        self._due = now + self._first

    def up(self, name: str) -> None:
        """A key was released."""
        if name == self._held:
            self._held = None

    def clear(self) -> None:
        """Nothing counts as held any more: another page is there, or the window lost its keyboard."""
        self._held = None

    def wait(self, now: float) -> float | None:
        """Seconds until the next repeat, None when no arrow is held."""
        return None if self._held is None else max(0.0, self._due - now)

    def due(self, now: float, long_list: Callable[[], bool]) -> str | None:
        """The arrow that repeats now, if one does. After a second, long lists go at twice the speed."""
        if self._held is None or now < self._due:
            return None
        held_for = now - self._since
        if held_for > FORGOTTEN_AFTER_S:
            self._held = None
            return None
        fast = held_for >= self._first + FAST_AFTER_S and long_list()
        self._due = now + (min(FAST_REPEAT_S, self._period) if fast else self._period)
        return self._held
