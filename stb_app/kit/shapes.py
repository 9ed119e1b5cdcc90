"""Shapes with smooth edges: rounded boxes out of cached corners, gradients without banding, shadows, arcs, the ground."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import pygame

from stb_app.kit import theme
from stb_app.kit.fonts import ByteCache
from stb_app.kit.theme import RGB, RGBA

_OVER, _OVER_LARGE = 8, 3
_TILE, _WORTH_COPYING = (600, 64), 20_000
_CACHE_BYTES = 6_500_000
_cache = ByteCache(_CACHE_BYTES)
_BAYER = (
    (0, 8, 2, 10),
    (12, 4, 14, 6),
    (3, 11, 1, 9),
    (15, 7, 13, 5),
)

Rect = tuple[int, int, int, int]
Shade = Callable[[float, float], tuple[float, float, float]]
"""Colour (0-255 per channel, not rounded) at a place (0-1, 0-1); equal ones give equal colours."""


def forget() -> None:
    """Drops everything kept."""
    _cache.clear()
    corner_mask.cache_clear()
    _coarse.cache_clear()
    ground.cache_clear()


def kept(key: object, make: Callable[[], pygame.Surface]) -> pygame.Surface:
    """The surface of that key, made when it is not there."""
    found = _cache.get(key)
    return found if found is not None else _cache.put(key, make())


@lru_cache(maxsize=64)
def corner_mask(radius: int) -> pygame.Surface:
    """The upper left corner of a rounded box, white with the coverage as alpha."""
    edge = radius * (_OVER if radius <= 40 else _OVER_LARGE)
    large = pygame.Surface((edge, edge), pygame.SRCALPHA)
    large.fill((255, 255, 255, 0))
    pygame.draw.circle(large, (255, 255, 255, 255), (edge, edge), edge)
    return pygame.transform.smoothscale(large, (radius, radius))


def _corners(radius: int, color: RGB) -> tuple[pygame.Surface, ...]:
    def make(index: int) -> pygame.Surface:
        corner = corner_mask(radius).copy()
        corner.fill((*color, 255), special_flags=pygame.BLEND_RGBA_MULT)
        return pygame.transform.flip(corner, bool(index & 1), bool(index & 2))

    return tuple(kept(("corner", radius, color, index), lambda i=index: make(i)) for index in range(4))  # type: ignore[misc]


def _flat(surface: pygame.Surface, rect: Rect, color: RGB) -> None:
    """A rectangle of one colour. A large one is copied from a tile: SDL copies three times as fast as it fills."""
    x, y, width, height = rect
    if width * height < _WORTH_COPYING or surface.get_flags() & pygame.SRCALPHA:
        surface.fill(color, rect)
        return

    def make() -> pygame.Surface:
        made = pygame.Surface(_TILE, 0, 32)
        made.fill(color)
        return made

    tile = kept(("tile", color), make)
    right, bottom = x + width, y + height
    for top in range(y, bottom, _TILE[1]):
        for left in range(x, right, _TILE[0]):
            surface.blit(tile, (left, top), (0, 0, right - left, bottom - top))


def solid_box(surface: pygame.Surface, rect: Rect, radius: int, color: RGB) -> None:
    """A rounded box of an opaque colour."""
    x, y, width, height = rect
    radius = min(radius, width // 2, height // 2)
    if radius <= 0:
        surface.fill(color, rect)
        return
    _flat(surface, (x, y + radius, width, height - 2 * radius), color)
    surface.fill(color, (x + radius, y, width - 2 * radius, radius))
    surface.fill(color, (x + radius, y + height - radius, width - 2 * radius, radius))
    _corner_blits(surface, rect, radius, color)


def _corner_blits(surface: pygame.Surface, rect: Rect, radius: int, color: RGB) -> None:
    x, y, width, height = rect
    upper_left, upper_right, lower_left, lower_right = _corners(radius, color)
    surface.blit(upper_left, (x, y))
    surface.blit(upper_right, (x + width - radius, y))
    surface.blit(lower_left, (x, y + height - radius))
    surface.blit(lower_right, (x + width - radius, y + height - radius))


def bordered_box(
    surface: pygame.Surface, rect: Rect, radius: int, color: RGB, border: int, border_color: RGB
) -> None:
    """A rounded box of an opaque colour with a border inside it. Only the rim is filled twice."""
    x, y, width, height = rect
    radius = min(radius, width // 2, height // 2)
    inner = (x + border, y + border, width - 2 * border, height - 2 * border)
    if radius > border:
        _corner_blits(surface, rect, radius, border_color)
        for rim in (
            (x + radius, y, width - 2 * radius, border),
            (x + radius, y + height - border, width - 2 * radius, border),
            (x, y + radius, border, height - 2 * radius),
            (x + width - border, y + radius, border, height - 2 * radius),
        ):
            surface.fill(border_color, rim)
    else:
        solid_box(surface, rect, radius, border_color)
    solid_box(surface, inner, max(0, radius - border), color)


def rounded_mask(width: int, height: int, radius: int) -> pygame.Surface:
    """A rounded box, white with the coverage as alpha. Not kept: it is a step on the way to something that is."""
    surface = pygame.Surface((width, height), pygame.SRCALPHA)
    surface.fill((255, 255, 255, 255))
    radius = min(radius, width // 2, height // 2)
    if radius > 0:
        corner = corner_mask(radius)
        for index in range(4):
            place = ((width - radius) * (index & 1), (height - radius) * (index >> 1))
            surface.fill((255, 255, 255, 0), (*place, radius, radius))
            surface.blit(pygame.transform.flip(corner, bool(index & 1), bool(index & 2)), place)
    return surface


def clear_box(width: int, height: int, radius: int, color: RGBA) -> pygame.Surface:
    """A rounded box that lets the ground through."""

    def make() -> pygame.Surface:
        surface = rounded_mask(width, height, radius)
        surface.fill(color, special_flags=pygame.BLEND_RGBA_MULT)
        return surface

    return kept(("clear", width, height, radius, color), make)


def outline(width: int, height: int, radius: int, border: int, color: RGBA) -> pygame.Surface:
    """The border of a rounded box, ``border`` px thick, inside it."""

    def make() -> pygame.Surface:
        surface = rounded_mask(width, height, radius)
        hole = rounded_mask(width - 2 * border, height - 2 * border, max(0, radius - border))
        surface.blit(hole, (border, border), special_flags=pygame.BLEND_RGBA_SUB)
        # What the subtraction took from the colour is given back; only the alpha was meant.
        surface.fill((255, 255, 255, 0), special_flags=pygame.BLEND_RGBA_MAX)
        surface.fill(color, special_flags=pygame.BLEND_RGBA_MULT)
        return surface

    return kept(("outline", width, height, radius, border, color), make)


def draw_outline(surface: pygame.Surface, rect: Rect, radius: int, border: int, color: RGB) -> None:
    """The same border drawn upon something, out of corners and lines: nothing of the box's whole size is made or kept."""
    x, y, width, height = rect
    radius = max(border, min(radius, width // 2, height // 2))
    corners = outline(2 * radius, 2 * radius, radius, border, (*color, 255))
    for index in range(4):
        right, low = index & 1, index >> 1
        place = (x + (width - radius) * right, y + (height - radius) * low)
        surface.blit(corners, place, (radius * right, radius * low, radius, radius))
    for line in (
        (x + radius, y, width - 2 * radius, border),
        (x + radius, y + height - border, width - 2 * radius, border),
        (x, y + radius, border, height - 2 * radius),
        (x + width - border, y + radius, border, height - 2 * radius),
    ):
        surface.fill((*color, 255), line)


@lru_cache(maxsize=48)
def _coarse(
    shade: Shade, columns: int, rows: int, alpha: bool
) -> tuple[pygame.Surface, tuple[int, ...], tuple[int, ...]]:
    """A picture of so few places, every channel stretched over the 256 levels there are; where each channel begins, and
    how far it is stretched.
    """
    values = [shade((x + 0.5) / columns, (y + 0.5) / rows) for y in range(rows) for x in range(columns)]
    low = tuple(max(0, int(min(value[channel] for value in values))) for channel in range(3))
    high = [min(255.0, max(value[channel] for value in values)) for channel in range(3)]
    gains = tuple(_gain(high[channel] - low[channel]) for channel in range(3))
    data = bytearray()
    for value in values:
        data.extend(min(255, round((min(255.0, value[c]) - low[c]) * gains[c])) for c in range(3))
    coarse = pygame.Surface((columns, rows), pygame.SRCALPHA if alpha else 0, 32)
    coarse.blit(pygame.image.frombuffer(bytes(data), (columns, rows), "RGB"), (0, 0))
    return coarse, low, gains


def smooth(width: int, height: int, shade: Shade, cells: int = 96, alpha: bool = False) -> pygame.Surface:
    """A smooth picture without banding: computed coarsely, enlarged, dithered in an ordered pattern, and pressed together
    again to the levels it has.
    """
    columns = max(2, min(width, cells))
    rows = max(2, min(height, round(cells * height / width)))
    coarse, low, gains = _coarse(shade, columns, rows, alpha)
    surface = pygame.transform.smoothscale(coarse, (width, height))
    tile = pygame.Surface((4, 4), 0, 32)
    for y, line in enumerate(_BAYER):
        for x, level in enumerate(line):
            tile.set_at((x, y), [level * gain // 16 for gain in gains])
    band = pygame.Surface((width, 4), 0, 32)
    for x in range(0, width, 4):
        band.blit(tile, (x, 0))
    for y in range(0, height, 4):
        surface.blit(band, (0, y), special_flags=pygame.BLEND_RGB_ADD)
    # SDL's product is rounded up, (a * b + 255) >> 8; a little less beforehand makes it the floor.
    surface.fill([gain - 1 for gain in gains], special_flags=pygame.BLEND_RGB_SUB)
    surface.fill([min(255, 256 // gain) for gain in gains], special_flags=pygame.BLEND_RGB_MULT)
    surface.fill(low, special_flags=pygame.BLEND_RGB_ADD)
    return surface


def _gain(span: float) -> int:
    """How far a channel that spans so many levels can be stretched, leaving room for the dither."""
    return next((gain for gain in (8, 4, 2) if (span + 1) * gain <= 255), 1)


def _bell(distance: float) -> float:
    """1 in the middle, 0 from 1 on, smooth at both ends."""
    return (1 - distance * distance) ** 2 if distance < 1 else 0.0


def _ground_shade(x: float, y: float) -> tuple[float, float, float]:
    down = min(1.0, max(0.0, (y * 0.72 + (1 - x) * 0.1 + x * 0.16) * 1.25))
    down = down * down * (3 - 2 * down)
    blue = _bell(math.hypot((x - 0.8) / 0.5, (y + 0.12) / 0.62)) * 0.66
    teal = _bell(math.hypot((x + 0.06) / 0.36, (y - 1.04) / 0.5)) * 0.85
    out = []
    for channel in range(3):
        value = theme.GROUND_TOP[channel] + (theme.GROUND_BOTTOM[channel] - theme.GROUND_TOP[channel]) * down
        value += (theme.LIGHT_BLUE[channel] - value) * blue
        value += (theme.LIGHT_TEAL[channel] - value) * teal
        out.append(value)
    return out[0], out[1], out[2]


@lru_cache(maxsize=1)
def ground(width: int, height: int) -> pygame.Surface:
    """What everything stands on: deep navy with two soft lights. Only to be copied from: it is the same for all of a size."""
    return smooth(width, height, _ground_shade, 96)


@dataclass(frozen=True, slots=True)
class _Gradient:
    """The shade of a gradient; ``aspect`` is height by width."""

    colors: tuple[RGB, ...]
    light: RGB | None
    aspect: float

    def __call__(self, x: float, y: float) -> tuple[float, float, float]:
        colors, light, aspect = self.colors, self.light, self.aspect
        along = (x + y * aspect) / (1 + aspect)
        place = along * (len(colors) - 1)
        index = min(int(place), len(colors) - 2)
        part = place - index
        glow = _bell(math.hypot((x - 0.84) / 0.5, (y - 0.28) * aspect / 0.5)) * 0.75 if light else 0.0
        out = []
        for channel in range(3):
            value = colors[index][channel] + (colors[index + 1][channel] - colors[index][channel]) * part
            if light:
                value += (light[channel] - value) * glow
            out.append(value)
        return out[0], out[1], out[2]


def gradient(width: int, height: int, colors: tuple[RGB, ...], light: RGB | None = None) -> pygame.Surface:
    """A gradient from the upper left to the lower right, with an optional soft light at the right.

    Opaque and not rounded, on a surface with transparency.
    """
    shade = _Gradient(colors, light, height / max(1, width))
    return smooth(width, height, shade, 48 if light else 14, alpha=True)


def rounded(picture: pygame.Surface, radius: int) -> pygame.Surface:
    """Cuts a picture with transparency to a rounded box, and gives it back."""
    width, height = picture.get_size()
    radius = min(radius, width // 2, height // 2)
    if radius > 0:
        corner = corner_mask(radius)
        for index in range(4):
            place = ((width - radius) * (index & 1), (height - radius) * (index >> 1))
            turned = pygame.transform.flip(corner, bool(index & 1), bool(index & 2))
            picture.blit(turned, place, special_flags=pygame.BLEND_RGBA_MULT)
    return picture


def shadow(width: int, height: int, radius: int, spread: int, strength: int) -> pygame.Surface:
    """The soft shadow of a rounded box of that size, ``spread`` px larger on every side."""

    def make() -> pygame.Surface:
        step = max(1, spread // 4)
        full_w, full_h = width + 2 * spread, height + 2 * spread
        small_w, small_h = max(4, full_w // step), max(4, full_h // step)
        inset = spread / step
        small = pygame.Surface((small_w, small_h), pygame.SRCALPHA)
        box = pygame.Rect(round(inset), round(inset), small_w - 2 * round(inset), small_h - 2 * round(inset))
        pygame.draw.rect(small, (0, 0, 0, strength), box, border_radius=max(1, round(radius / step)))
        small = pygame.transform.gaussian_blur(small, max(1, round(inset * 0.55)))
        return pygame.transform.smoothscale(small, (full_w, full_h))

    return kept(("shadow", width, height, radius, spread, strength), make)


def arc(size: int, thickness: int, steps: int, of: int, color: RGB, track: RGB) -> pygame.Surface:
    """A ring with round ends: ``steps`` of ``of`` in ``color`` from the top clockwise, the rest in ``track``."""
    over = 4
    large = size * over
    middle, wide = large / 2, thickness * over
    surface = pygame.Surface((large, large), pygame.SRCALPHA)
    surface.fill((*track, 0))
    pygame.draw.circle(surface, (*track, 255), (middle, middle), large / 2, wide)
    if steps > 0:
        over_track = pygame.Surface((large, large), pygame.SRCALPHA)
        over_track.fill((*color, 0))
        radius = (large - wide) / 2
        if steps >= of:
            pygame.draw.circle(over_track, (*color, 255), (middle, middle), large / 2, wide)
        else:
            count = max(2, steps * 240 // of)
            outer, inner = [], []
            for index in range(count + 1):
                angle = 2 * math.pi * steps / of * index / count - math.pi / 2
                c, s = math.cos(angle), math.sin(angle)
                outer.append((middle + large / 2 * c, middle + large / 2 * s))
                inner.append((middle + (large / 2 - wide) * c, middle + (large / 2 - wide) * s))
            pygame.draw.polygon(over_track, (*color, 255), outer + inner[::-1])
            for angle in (-math.pi / 2, 2 * math.pi * steps / of - math.pi / 2):
                end = (middle + radius * math.cos(angle), middle + radius * math.sin(angle))
                pygame.draw.circle(over_track, (*color, 255), end, wide / 2)
        surface.blit(over_track, (0, 0))
    return pygame.transform.smoothscale(surface, (size, size))
