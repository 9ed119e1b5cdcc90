"""The painter: puts the items of a page on a surface, wherever they are asked to appear."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pygame

from stb_app.kit import fonts, icons, shapes, theme
from stb_app.kit.cardart import card_picture
from stb_app.kit.items import (
    Arc,
    ArtPicture,
    Box,
    CardPicture,
    Dim,
    Edge,
    Gradient,
    Halo,
    Ink,
    Item,
    Live,
    Modules,
    Rect,
    Run,
    Shadow,
    intersect,
    visible,
    without,
)
from stb_app.kit.theme import RGB

_ARC_OF = 720
_DIM = (100, 102, 118)
_WORTH_COVERING = 20_000
PHASES = {"spinner": 30, "down": 24, "up": 24, "flow": 24}
"""Pictures per turn of what moves for ever."""
TURN_SECONDS = {"spinner": 1.0, "down": 1.2, "up": 1.2, "flow": 1.2}
REST = {"spinner": 12, "down": 8, "up": 8, "flow": 8}
"""The phase that is shown when motion is off: 0.4 s into a turn."""

_ARTS: dict[str, tuple[RGB, RGB, RGB]] = {
    "sports": ((14, 92, 88), (24, 140, 122), (104, 190, 96)),
    "tv": ((20, 60, 140), (34, 104, 186), (58, 158, 208)),
    "movies": ((64, 30, 118), (112, 48, 150), (206, 84, 128)),
    "drama": ((104, 26, 78), (158, 42, 92), (226, 104, 92)),
    "kids": ((176, 72, 30), (216, 112, 38), (244, 178, 66)),
    "music": ((58, 34, 140), (96, 60, 190), (164, 98, 214)),
    "news": ((18, 58, 116), (28, 94, 148), (48, 140, 168)),
    "games": ((30, 40, 130), (62, 66, 184), (116, 110, 226)),
    "learning": ((16, 84, 116), (22, 124, 140), (70, 172, 150)),
    "life": ((22, 96, 62), (44, 136, 78), (132, 182, 84)),
    "documentary": ((14, 78, 104), (26, 116, 122), (92, 156, 116)),
    "opera": ((122, 26, 40), (170, 46, 48), (220, 108, 62)),
    "health": ((118, 28, 66), (174, 48, 84), (226, 104, 106)),
    "bolt": ((150, 84, 16), (196, 124, 24), (236, 178, 58)),
    "phone": ((22, 66, 150), (40, 104, 200), (88, 154, 230)),
}
_ART_ELSE: tuple[RGB, RGB, RGB] = ((28, 56, 120), (36, 94, 150), (48, 146, 160))

Painting = Callable[["Painter", pygame.Surface, Rect, Any], None]


class Painter:
    """Paints items on surfaces of one size; holds the ground of that size."""

    def __init__(self, size: tuple[int, int], scale: float) -> None:
        self.size = size
        self.scale = scale
        self.ground = shapes.ground(*size)

    def region(self, surface: pygame.Surface, area: Rect, items: Sequence[Item]) -> None:
        """Paints everything anew within ``area``: the ground, then every item that reaches into it."""
        found = [
            (item, part) for item in items if (seen := visible(item)) and (part := intersect(seen, area))
        ]
        surface.set_clip(area)
        for bare in without([area], [part for item, seen in found if (part := _opaque(item, seen))]):
            surface.blit(self.ground, bare[:2], bare)
        for item, _ in found:
            self.item(surface, item, area)
        surface.set_clip(None)

    def item(self, surface: pygame.Surface, item: Item, area: Rect | None = None) -> None:
        """Paints one item, within ``area`` and its own viewport."""
        if item.clip is not None:
            clip = item.clip if area is None else intersect(item.clip, area)
            if clip is None:
                return
            surface.set_clip(clip)
        _PAINTINGS[type(item.what)](self, surface, item.rect, item.what)
        if item.clip is not None:
            surface.set_clip(area)

    # One for each kind of drawing

    def _run(self, surface: pygame.Surface, rect: Rect, what: Run) -> None:
        surface.blit(fonts.render(what.text, what.size, what.bold, what.color), rect[:2])

    def _box(self, surface: pygame.Surface, rect: Rect, what: Box) -> None:
        red, green, blue, alpha = what.color
        radius = min(what.radius, rect[2] // 2, rect[3] // 2)
        if alpha == 255 and what.border:
            shapes.bordered_box(surface, rect, radius, (red, green, blue), what.border, what.border_color)
            return
        if alpha == 255:
            shapes.solid_box(surface, rect, radius, (red, green, blue))
        elif alpha:
            surface.blit(shapes.clear_box(rect[2], rect[3], radius, what.color), rect[:2])
        if what.border:
            shapes.draw_outline(surface, rect, radius, what.border, what.border_color)

    def _gradient(self, surface: pygame.Surface, rect: Rect, what: Gradient) -> None:
        def make() -> pygame.Surface:
            picture = shapes.rounded(shapes.gradient(rect[2], rect[3], what.colors, what.light), what.radius)
            if what.border:
                shapes.draw_outline(picture, (0, 0, *rect[2:]), what.radius, what.border, what.border_color)
            return picture

        surface.blit(shapes.kept((rect[2], rect[3], what), make), rect[:2])

    def _shadow(self, surface: pygame.Surface, rect: Rect, what: Shadow) -> None:
        s = what.spread
        picture = shapes.shadow(rect[2] - 2 * s, rect[3] - 2 * s, what.radius, s, what.strength)
        surface.blit(picture, rect[:2])

    def _ink(self, surface: pygame.Surface, rect: Rect, what: Ink) -> None:
        surface.blit(icons.draw(what.name, rect[2], what.color, 255, what.stroke), rect[:2])

    def _modules(self, surface: pygame.Surface, rect: Rect, what: Modules) -> None:
        white = theme.WHITE if not what.dimmed else (86, 94, 128)
        black = (0, 0, 0) if not what.dimmed else (58, 66, 98)
        shapes.solid_box(surface, rect, what.radius, white)
        count = len(what.modules)

        def make() -> pygame.Surface:
            small = pygame.Surface((count, count), 0, 32)
            small.fill(white)
            for y, row in enumerate(what.modules):
                for x, dark in enumerate(row):
                    if dark:
                        small.set_at((x, y), black)
            return pygame.transform.scale(small, (count * what.module, count * what.module))

        quiet = (rect[2] - count * what.module) // 2
        surface.blit(shapes.kept(what, make), (rect[0] + quiet, rect[1] + quiet))

    def _arc(self, surface: pygame.Surface, rect: Rect, what: Arc) -> None:
        picture = shapes.kept(
            (rect[2], what),
            lambda: shapes.arc(rect[2], what.thickness, what.steps, _ARC_OF, what.color, what.track),
        )
        surface.blit(picture, rect[:2])

    def _halo(self, surface: pygame.Surface, rect: Rect, what: Halo) -> None:
        size = rect[2]
        for part, alpha in ((1.0, 26), (0.88, 48)):
            side = round(size * part)
            circle = shapes.clear_box(side, side, side // 2, (*what.color, alpha))
            inset = (size - side) // 2
            surface.blit(circle, (rect[0] + inset, rect[1] + inset))
        side = round(size / theme.HALO)
        inset = (size - side) // 2
        disc = (rect[0] + inset, rect[1] + inset, side, side)
        light = theme.mix(what.color, theme.WHITE, 0.12)
        self._gradient(surface, disc, Gradient((light, theme.mix(what.color, theme.INK, 0.06)), side // 2))
        mark = round(side * 0.56)
        inset = (side - mark) // 2
        # A tick and a cross are all there is to see from the kitchen.
        stroke = 3.6 if what.icon in ("check", "cross") else 2.8
        picture = icons.draw(what.icon, mark, theme.INK, 255, stroke)
        surface.blit(picture, (disc[0] + inset, disc[1] + inset))

    def _card(self, surface: pygame.Surface, rect: Rect, what: CardPicture) -> None:
        surface.blit(shapes.kept((rect[2], what), lambda: card_picture(rect[2], what)), rect[:2])

    def _art(self, surface: pygame.Surface, rect: Rect, what: ArtPicture) -> None:
        def make() -> pygame.Surface:
            colors = _ARTS.get(what.icon, _ART_ELSE)
            picture = shapes.gradient(rect[2], rect[3], colors)
            size = round(rect[3] * 0.98)
            place = (rect[2] - size - round(rect[3] * 0.06), round(rect[3] * 0.12))
            picture.blit(icons.draw(what.icon, size, theme.WHITE, 74, 1.5), place)
            fade = shapes.kept(("fade", rect[2], rect[3]), lambda: _lower_fade(rect[2], rect[3]))
            picture.blit(fade, (0, 0))
            return shapes.rounded(picture, what.radius)

        surface.blit(shapes.kept((rect[2], rect[3], what), make), rect[:2])

    def _dim(self, surface: pygame.Surface, rect: Rect, what: Dim) -> None:
        surface.fill(_DIM, rect, special_flags=pygame.BLEND_RGB_MULT)

    def _edge(self, surface: pygame.Surface, rect: Rect, what: Edge) -> None:
        def make() -> pygame.Surface:
            strip = pygame.Surface(rect[2:], pygame.SRCALPHA)
            if what.color is None:
                strip.blit(self.ground, (0, 0), rect)
            else:
                strip.fill(what.color)
            for row in range(rect[3]):
                share = 1 - (row + 0.5) / rect[3] if what.top else (row + 0.5) / rect[3]
                alpha = round(255 * share * share * (3 - 2 * share))
                strip.fill((255, 255, 255, alpha), (0, row, rect[2], 1), special_flags=pygame.BLEND_RGBA_MULT)
            return strip

        surface.blit(shapes.kept((rect, self.size, what), make), rect[:2])

    def _at_rest(self, surface: pygame.Surface, rect: Rect, what: Live) -> None:
        """What moves belongs to the moment and not to the page, unless it lies still below a dialog."""
        if what.still:
            _moving(surface, rect, what, REST[what.what])

    def live(self, surface: pygame.Surface, item: Item, phase: int) -> None:
        """Paints a moving part at one of its phases."""
        assert isinstance(item.what, Live)
        surface.set_clip(visible(item))
        _moving(surface, item.rect, item.what, phase)
        surface.set_clip(None)


def _opaque(item: Item, seen: Rect) -> Rect | None:
    """The part of what is seen of an item below which nothing shows through, where it is worth knowing."""
    if not isinstance(item.what, Box) or item.what.color[3] != 255 or seen[2] * seen[3] < _WORTH_COVERING:
        return None
    x, y, w, h = item.rect
    radius = min(item.what.radius, w // 2, h // 2)
    return intersect(seen, (x, y + radius, w, h - 2 * radius))


def _moving(surface: pygame.Surface, rect: Rect, what: Live, phase: int) -> None:
    part = phase / PHASES[what.what]
    if what.what == "spinner":
        surface.blit(_spinner(rect[2], phase, what.color), rect[:2])
    elif what.what == "flow":
        _flow(surface, rect, part, what.color)
    else:
        travel = rect[3] - rect[2]
        eased = 1 - (1 - min(1.0, part * 1.5)) ** 2
        at = eased if what.what == "down" else 1 - eased
        strength = max(0.0, math.sin(math.pi * min(1.0, part * 1.02 + 0.12)))
        picture = icons.draw("arrow-" + what.what, rect[2], what.color, round(255 * strength))
        surface.blit(picture, (rect[0], rect[1] + round(travel * at)))


def _lower_fade(width: int, height: int) -> pygame.Surface:
    """Darkness that rises from below, so that a white name reads on every picture."""
    surface = pygame.Surface((width, height), pygame.SRCALPHA)
    for row in range(height):
        share = max(0.0, (row / height - 0.3) / 0.7)
        surface.fill((4, 10, 30, round(120 * share * share)), (0, row, width, 1))
    return surface


def _spinner(size: int, phase: int, color: RGB) -> pygame.Surface:
    def make() -> pygame.Surface:
        track = theme.mix(theme.PANEL, theme.LINE, 0.7)
        still = shapes.kept(
            ("spinner", size, color),
            lambda: shapes.arc(size * 2, round(size * 0.22), 200, _ARC_OF, color, track),
        )
        turned = pygame.transform.rotate(still, -360 * phase / PHASES["spinner"])
        inset = (turned.get_width() - size * 2) // 2
        cut = turned.subsurface((inset, inset, size * 2, size * 2))
        return pygame.transform.smoothscale(cut, (size, size))

    return shapes.kept(("spinner", size, phase, color), make)


def _flow(surface: pygame.Surface, rect: Rect, part: float, color: RGB) -> None:
    """A light that runs along five dots."""
    count = 5
    side = rect[3]
    step = (rect[2] - side) / (count - 1)
    for index in range(count):
        away = abs(part * (count + 1) - 1 - index)
        bright = max(0.0, 1 - away / 1.6)
        shade = theme.mix(theme.LINE, color, bright)
        left = rect[0] + round(index * step)
        shapes.solid_box(surface, (left, rect[1], side, side), side // 2, shade)


_PAINTINGS: dict[type, Painting] = {
    Run: Painter._run,
    Box: Painter._box,
    Gradient: Painter._gradient,
    Shadow: Painter._shadow,
    Ink: Painter._ink,
    Modules: Painter._modules,
    Arc: Painter._arc,
    Halo: Painter._halo,
    CardPicture: Painter._card,
    ArtPicture: Painter._art,
    Dim: Painter._dim,
    Edge: Painter._edge,
    Live: Painter._at_rest,
}
