"""The drawing thread:
waits for events, hands them to the television, draws what has changed, and waits again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from stb_app.shell.app import App

if TYPE_CHECKING:
    import pygame


MOST_TURNS = 60
"""A picture that has been drawn so often and still moves will not come to rest."""


class Events(Protocol):
    """Where events come from: a window, or nothing but posts."""

    def wait(self, seconds: float | None) -> None:
        """Blocks until something has come, at most ``seconds``; then hands all of it on."""

    def post(self, call: Callable[[], None]) -> None:
        """Has ``call`` made on the drawing thread. From any thread, at any time; never blocks."""


class Display(Protocol):
    """What is drawn on, and how it reaches the eye."""

    def present(self, changed: list[pygame.Rect]) -> None:
        """Brings the changed rectangles of the stage's surface to the screen."""


class Loop:
    """Runs one television until it is switched off."""

    def __init__(self, app: App, events: Events, display: Display) -> None:
        self.app = app
        self._events = events
        self._display = display
        self._drawn: deque[Callable[[], None]] = deque()
        self.on_picture: Callable[[int], None] | None = None
        """Called on the drawing thread with the version whenever there is something else to see."""
        self._told = -1
        self._resting: list[Callable[[], None]] = []
        self._turns_left = 0
        self.frames = 0
        """How often the picture has changed, animations counted."""

    def run(self) -> None:
        """Returns when the program has been switched off."""
        while not self.app.quit_wanted:
            self.turn(self.app.wait() if not self._drawn else 0.0)

    def turn(self, seconds: float | None) -> None:
        """Once: waits at most ``seconds`` for events, handles them, draws."""
        self._events.wait(seconds)
        self.app.tick()
        self.draw()

    def draw(self) -> None:
        """Draws what has changed, and tells those who waited for it."""
        changed = self.app.draw()
        if changed:
            self._display.present(changed)
            self.frames += 1
        if self.app.version != self._told:
            self._told = self.app.version
            if self.on_picture is not None:
                self.on_picture(self._told)
        for _ in range(len(self._drawn)):
            self._drawn.popleft()()
        if self._resting and (self.app.at_rest() or self._turns_left <= 0):
            waiting, self._resting = self._resting, []
            for call in waiting:
                call()
        self._turns_left -= 1

    def when_at_rest(self, call: Callable[[], None]) -> None:
        """Has ``call`` made when the picture stands still, or has moved on for too long. On the drawing thread."""
        if not self._resting:
            self._turns_left = MOST_TURNS
        self._resting.append(call)

    def after_drawing(self, call: Callable[[], None]) -> None:
        """Has ``call`` made when all that has happened until now is in the picture. On the drawing thread."""
        self._drawn.append(call)
