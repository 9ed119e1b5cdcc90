"""The picture's two homes: a pygame window with its keyboard, or a surface that nobody sees but the web remote."""

from __future__ import annotations

import logging
import os
import queue
from collections import deque
from collections.abc import Callable

# Without a GPU, SDL's default sends every flip through a software GL texture: twenty times slower, and 110 MB.
os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
# Signals are the program's own business (main.py); SDL would turn them into events that nobody reads off-screen.
os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pygame

from stb_app.shell.remote import Keymaps

log = logging.getLogger(__name__)
ASPECT = (16, 9)
CLASS = "stb-app"


def picture_rect(width: int, height: int) -> pygame.Rect:
    """The largest 16:9 rectangle in the middle of a window of that size, at least 16x9.

    >>> picture_rect(1000, 1000)
    Rect(0, 219, 1000, 562)
    """
    wide = min(width, height * ASPECT[0] // ASPECT[1])
    high = min(height, wide * ASPECT[1] // ASPECT[0])
    wide, high = max(ASPECT[0], wide), max(ASPECT[1], high)
    return pygame.Rect((width - wide) // 2, (height - high) // 2, wide, high)


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
    """A window of any size; the picture stands in its middle, with black around where the shape differs.

    Args:
        keymaps: what the window's keyboard means.
        on_key: gets (KEY_ name, "down" or "up").
        on_surface: gets the surface to draw on whenever it is another one; everything must be drawn again.
        on_quit: the window was closed.
        on_lost_keyboard: no key releases will come for the keys that are down.
    """

    def __init__(self, size: tuple[int, int], fullscreen: bool, keymaps: Keymaps, title: str) -> None:
        pygame.display.init()
        pygame.font.init()
        flags = pygame.FULLSCREEN if fullscreen else pygame.RESIZABLE
        self._screen = pygame.display.set_mode(size, flags)
        pygame.display.set_caption(title)
        pygame.mouse.set_visible(not fullscreen)
        self._keymaps = keymaps
        self._area = picture_rect(*self._screen.get_size())
        self.surface = self._screen.subsurface(self._area)
        self._woken = pygame.event.custom_type()
        self._posts: deque[Callable[[], None]] = deque()
        self._closed = False
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
        self.on_key: Callable[[str, str], object] = _ignore
        self.on_surface: Callable[[pygame.Surface], object] = _ignore
        self.on_quit: Callable[[], object] = _ignore
        self.on_lost_keyboard: Callable[[], object] = _ignore

    def present(self, changed: list[pygame.Rect]) -> None:
        pygame.display.update([rect.move(self._area.topleft) for rect in changed])

    def post(self, call: Callable[[], None]) -> None:
        # First the call, then the event: whoever takes the event off the queue finds the call.
        self._posts.append(call)
        if not self._closed:
            pygame.event.post(pygame.Event(self._woken))

    def wait(self, seconds: float | None) -> None:
        if seconds == 0:
            events = pygame.event.get()
        else:
            # pygame counts 0 as "for ever", and whole milliseconds.
            first = pygame.event.wait(0 if seconds is None else max(1, round(seconds * 1000)))
            events = [first, *pygame.event.get()]
        for event in events:
            self._handle(event)
        while self._posts:
            self._posts.popleft()()

    def close(self) -> None:
        self._closed = True
        pygame.display.quit()

    def _handle(self, event: pygame.Event) -> None:
        if event.type in (pygame.KEYDOWN, pygame.KEYUP):
            name = self._keymaps.name(pygame.key.name(event.key), f"scancode:{event.scancode}")
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
        self._screen = pygame.display.get_surface() or self._screen
        area = picture_rect(*self._screen.get_size())
        if area == self._area and self.surface.get_parent() is self._screen:
            return
        self._area = area
        self._screen.fill((0, 0, 0))
        pygame.display.flip()
        self.surface = self._screen.subsurface(area)
        self.on_surface(self.surface)


def _ignore(*_: object) -> None:
    """Nobody has asked to be told."""
