"""Letters: the two weights of the type face loaded by path, measured and rendered once."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache

import pygame

import assets
from stb_app.kit import wrap
from stb_app.kit.theme import RGB

_FILES = {False: "NotoSansSC-Regular.ttf", True: "NotoSansSC-Bold.ttf"}
_RENDERED_BYTES = 4_000_000

# The em box of an ideograph within Noto Sans SC's ascent: text is centred by it, so that both scripts sit in the middle.
_EM_TOP, _EM_BOTTOM = 0.88, 0.12


class ByteCache:
    """Surfaces by key, the least lately used thrown away when they take more than ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[object, pygame.Surface] = OrderedDict()
        self.size = 0

    def get(self, key: object) -> pygame.Surface | None:
        surface = self._held.get(key)
        if surface is not None:
            self._held.move_to_end(key)
        return surface

    def put(self, key: object, surface: pygame.Surface) -> pygame.Surface:
        """Keeps ``surface`` unless it alone is larger than the limit, and gives it back."""
        size = surface.get_pitch() * surface.get_height()
        if size > self._limit:
            return surface
        old = self._held.pop(key, None)
        if old is not None:
            self.size -= old.get_pitch() * old.get_height()
        self._held[key] = surface
        self.size += size
        while self.size > self._limit:
            _, gone = self._held.popitem(last=False)
            self.size -= gone.get_pitch() * gone.get_height()
        return surface

    def clear(self) -> None:
        self._held.clear()
        self.size = 0


_rendered = ByteCache(_RENDERED_BYTES)


@lru_cache(maxsize=28)
def font(size: int, bold: bool) -> pygame.font.Font:
    """The type face at ``size`` device pixels."""
    if not pygame.font.get_init():
        pygame.font.init()
    return pygame.font.Font(str(assets.path("fonts", _FILES[bold])), size)


@lru_cache(maxsize=8192)
def width(text: str, size: int, bold: bool) -> int:
    """Advance width of one line in device pixels."""
    return font(size, bold).size(text)[0] if text else 0


@lru_cache(maxsize=256)
def ascent(size: int, bold: bool) -> int:
    """Pixels from a rendered line's top to its baseline."""
    return font(size, bold).get_ascent()


@lru_cache(maxsize=256)
def tall(size: int, bold: bool) -> int:
    """Height of a rendered line in pixels."""
    return font(size, bold).size("X")[1]


def offset(size: int, bold: bool, line_height: int) -> int:
    """Where a rendered line starts, from the top of a line box, so that its em box stands in the middle."""
    baseline = round(line_height / 2 + size * (_EM_TOP - _EM_BOTTOM) / 2)
    return baseline - ascent(size, bold)


def render(text: str, size: int, bold: bool, color: RGB) -> pygame.Surface:
    """One line as a surface with transparency; kept."""
    key = (text, size, bold, color)
    surface = _rendered.get(key)
    if surface is None:
        surface = _rendered.put(key, font(size, bold).render(text, True, color))
    return surface


@lru_cache(maxsize=2048)
def parts(text: str, size: int, bold: bool, limit: int) -> tuple[tuple[str, int, int], ...]:
    """The parts of a paragraph with their widths without and with trailing spaces, none wider than ``limit`` if avoidable."""
    found: list[tuple[str, int, int]] = []
    for piece in wrap.pieces(text):
        bare = width(piece.rstrip(" "), size, bold)
        if bare > limit:
            for part in wrap.split_long(piece, limit, lambda t: width(t, size, bold)):
                found.append((part, width(part.rstrip(" "), size, bold), width(part, size, bold)))
        else:
            found.append((piece, bare, width(piece, size, bold)))
    return tuple(found)


def forget() -> None:
    """Drops everything kept: after another screen size, or between tests."""
    _rendered.clear()
    for cache in (font, width, ascent, tall, parts):
        cache.cache_clear()
