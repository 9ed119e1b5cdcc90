"""The picture's two homes:
a pygame window with its keyboard, or a surface that nobody sees but the web remote.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

# Without a GPU, SDL's default sends every flip through a software GL texture: twenty times slower, and 110
# MB.
os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
# Signals are the program's own business (main.py); SDL would turn them into events that nobody reads off-
# screen.
os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
os.environ.setdefault("SDL_VIDEO_X11_WMCLASS", "stb-app")

import pygame

from stb_app.shell import xwait
from stb_app.shell.remote import Keymaps

log = logging.getLogger(__name__)


class NoWindow(Exception):
    """The window system does not open a window; the message is SDL's."""


class NobodyAnswers(NoWindow):
    """There is no window system where the environment says; the message is that address."""


UNSEEN = frozenset(("dummy", "offscreen"))
"""What SDL takes by itself when it finds no window system: a picture that nobody can see."""


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries below SDL write on standard error what they miss while it looks for a window system; what matters is raised."""
    if sys.stderr is None:
        yield
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class OffScreen:
    """A surface in memory. Its events are posts alone."""

    def __init__(self, size: tuple[int, int]) -> None:
        os.environ["SDL_VIDEODRIVER"] = "dummy"
        pygame.display.init()
        pygame.font.init()
        self.surface = pygame.display.set_mode(size)
        self._posts: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def present(self, changed: list[pygame.Rect]) -> None:
        """Nobody looks; whoever wants the picture copies the surface."""

    def post(self, call: Callable[[], None]) -> None:
        self._posts.put(call)

    def wait(self, seconds: float | None) -> None:
        # SDL's own waiting polls every millisecond without a window system; a queue sleeps.
        try:
            call = self._posts.get(timeout=seconds) if seconds != 0 else self._posts.get_nowait()
            while True:
                call()
                call = self._posts.get_nowait()
        except queue.Empty:
            return

    def close(self) -> None:
        pygame.display.quit()


class Window:
    """A window of any size and shape; the stage puts the picture into its middle.

    Args:
        keymaps: what the window's keyboard means.
        on_key: gets (KEY_ name, "down" or "up").
        on_surface: gets the surface to draw on whenever it is another one; everything must be drawn again.
        on_quit: the window was closed.
        on_lost_keyboard: no key releases will come for the keys that are down.

    Raises NoWindow.
    """

    def __init__(self, size: tuple[int, int], fullscreen: bool, keymaps: Keymaps, title: str) -> None:
        try:
            with _quiet():
                pygame.display.init()
                flags = pygame.FULLSCREEN if fullscreen else pygame.RESIZABLE
                self.surface = pygame.display.set_mode(size, flags)
        except pygame.error as error:
            raise NoWindow(str(error)) from error
        if "SDL_VIDEODRIVER" not in os.environ and pygame.display.get_driver() in UNSEEN:
            pygame.display.quit()
            raise NobodyAnswers(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "")
        pygame.font.init()
        self._size = self.surface.get_size()
        pygame.display.set_caption(title)
        pygame.mouse.set_visible(not fullscreen)
        self._keymaps = keymaps
        self._woken = pygame.event.custom_type()
        self._posts: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._connection = xwait.connection()
        self._bell = xwait.Bell()
        pygame.event.set_blocked(None)
        pygame.event.set_allowed(
            [
                self._woken,
                pygame.QUIT,
                pygame.KEYDOWN,
                pygame.KEYUP,
                pygame.WINDOWEXPOSED,
                pygame.WINDOWSIZECHANGED,
                pygame.WINDOWRESTORED,
                pygame.WINDOWFOCUSLOST,
            ]
        )
        self.on_key: Callable[[str, Literal["down", "up"]], object] = _ignore
        self.on_surface: Callable[[pygame.Surface], object] = _ignore
        self.on_quit: Callable[[], object] = _ignore
        self.on_lost_keyboard: Callable[[], object] = _ignore

    def present(self, changed: list[pygame.Rect]) -> None:
        pygame.display.update(changed)

    def post(self, call: Callable[[], None]) -> None:
        # First the call, then the waking: whoever is woken finds the call.
        self._posts.append(call)
        with self._lock:
            if self._closed:
                return
            if self._connection is not None:
                self._bell.ring()
            else:
                pygame.event.post(pygame.Event(self._woken))

    def wait(self, seconds: float | None) -> None:
        for event in self._events(seconds):
            self._handle(event)
        while self._posts:
            self._posts.popleft()()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._bell.close()
            pygame.display.quit()

    def _events(self, seconds: float | None) -> list[pygame.Event]:
        # What SDL has read from the connection already would not wake anybody: first look, then sleep.
        events = pygame.event.get()
        if events or self._posts or seconds == 0:
            return events
        if self._connection is not None:
            self._bell.sleep(self._connection, seconds)
            return pygame.event.get()
        # pygame counts 0 as "for ever", and in whole milliseconds.
        first = pygame.event.wait(0 if seconds is None else max(1, round(seconds * 1000)))
        return [first, *pygame.event.get()]

    def _handle(self, event: pygame.Event) -> None:
        if event.type in (pygame.KEYDOWN, pygame.KEYUP):
            name = self._keymaps.name(
                pygame.key.name(event.key), f"scancode:{event.scancode}", f"keycode:{event.key}"
            )
            if name is not None:
                self.on_key(name, "down" if event.type == pygame.KEYDOWN else "up")
        elif event.type == pygame.QUIT:
            self.on_quit()
        elif event.type == pygame.WINDOWSIZECHANGED:
            self._fit()
        elif event.type in (pygame.WINDOWEXPOSED, pygame.WINDOWRESTORED):
            pygame.display.flip()
        elif event.type == pygame.WINDOWFOCUSLOST:
            self.on_lost_keyboard()

    def _fit(self) -> None:
        surface = pygame.display.get_surface()
        if surface is not None and (surface is not self.surface or surface.get_size() != self._size):
            self.surface, self._size = surface, surface.get_size()
            self.on_surface(surface)


def _ignore(*_: object) -> None:
    """Nobody has asked to be told."""
