"""The focused target's picture: lifted, larger, bordered in white within a ring of accent, letters drawn at their new size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pygame

from stb_app.kit import fonts, shapes, theme
from stb_app.kit.items import Box, Drawing, Gradient, Ink, Item, Modules, Rect, Run, Spot, shifted
from stb_app.kit.paint import Painter

_SPREAD = 34
_DROP = 10
KEPT_BYTES = 7 << 20
"""Room for focused pictures at rest."""
_STEPS_BYTES = 1_000_000
STEPS = 5
"""Pictures of a focus that comes in; the last is the one that stays."""


@dataclass(frozen=True, slots=True)
class Lift:
    """A picture and where its upper left corner lies."""

    picture: pygame.Surface
    at: tuple[int, int]

    @property
    def rect(self) -> Rect:
        return (*self.at, *self.picture.get_size())


def factor(spot: Spot, scale: float) -> float:
    """How much larger a target becomes: rows over the full width less, or they would leave the safe area."""
    wide = spot.style == "row" or spot.rect[2] > theme.WIDE * scale
    return theme.FOCUS_SCALE_WIDE if wide else theme.FOCUS_SCALE


def colors(spot: Spot) -> tuple[tuple[theme.RGB, theme.RGB], theme.RGB | None]:
    """Fill (two ends of a gradient) of a focused target, and the ink of its words where it differs."""
    if spot.style == "primary":
        return (theme.ACCENT, theme.ACCENT_DEEP), theme.INK
    if spot.style == "danger":
        return (theme.BAD, theme.BAD_DEEP), theme.INK
    return (theme.FOCUSED, theme.FOCUSED_DEEP), None


def _scaled(item: Item, centre: tuple[float, float], by: float, ink: theme.RGB | None) -> Item:
    x, y, w, h = item.rect
    what: Drawing = item.what
    middle_x = centre[0] + (x + w / 2 - centre[0]) * by
    middle_y = centre[1] + (y + h / 2 - centre[1]) * by
    width, height = round(w * by), round(h * by)
    if isinstance(what, Run):
        size = round(what.size * by)
        what = replace(what, size=size, color=ink or what.color)
        width, height = fonts.width(what.text, size, what.bold), fonts.tall(size, what.bold)
        # Letters come in whole sizes: lines below each other keep one edge, which is the left one left of the middle.
        if abs(x + w / 2 - centre[0]) > 1:
            side = 1 if x < centre[0] else -1
            middle_x += side * (width - w * by) / 2
    elif isinstance(what, Box | Gradient):
        what = replace(what, radius=round(what.radius * by))
    elif isinstance(what, Ink):
        what = replace(what, color=ink or what.color)
        height = width
    return Item((round(middle_x - width / 2), round(middle_y - height / 2), width, height), what)


def lift(painter: Painter, spot: Spot) -> Lift:
    """The picture of a target in focus, at rest."""
    scale = painter.scale
    by = factor(spot, scale)
    x, y, w, h = spot.rect
    width, height = round(w * by), round(h * by)
    ring, border = max(2, round(theme.FOCUS_RING * scale)), max(2, round(theme.FOCUS_BORDER * scale))
    spread = round(_SPREAD * scale)
    # Counted from the target's corner: rounded the same wherever it stands.
    left, top = round(w / 2 - width / 2), round(h / 2 - height / 2)
    radius = round(spot.radius * by)
    drop = round(_DROP * scale)
    picture = pygame.Surface((width + 2 * spread, height + 2 * spread + drop), pygame.SRCALPHA)
    shade = shapes.shadow(width, height, radius, spread, 150)
    picture.blit(shade, (0, drop))
    outer = shapes.outline(
        width + 2 * ring, height + 2 * ring, radius + ring, ring + border, (*theme.ACCENT, round(255 * 0.35))
    )
    picture.blit(outer, (spread - ring, spread - ring))
    fill, ink = colors(spot)
    inner = (spread, spread, width, height)
    shapes.solid_box(picture, inner, radius, theme.WHITE)
    face = (spread + border, spread + border, width - 2 * border, height - 2 * border)
    if spot.content or spot.style != "plain":
        ground = shapes.kept(
            ("face", face[2:], radius - border, fill),
            lambda: shapes.rounded(shapes.gradient(face[2], face[3], fill), radius - border),
        )
        picture.blit(ground, face[:2])
    centre = (w / 2, h / 2)
    for item in spot.content:
        painter.item(picture, shifted(_scaled(item, centre, by, ink), spread - left, spread - top))
    return Lift(picture, (x + left - spread, y + top - spread))


def keeps_size(spot: Spot) -> bool:
    """Whether a target gets a border at most: a code's modules stay whole pixels, and nothing is drawn over it."""
    return spot.style == "bare" or any(isinstance(item.what, Modules) for item in spot.content)


def frame_only(painter: Painter, spot: Spot) -> Lift:
    """The mark of a target that is only framed: a border around it, nothing over its content."""
    if spot.style == "bare":
        return Lift(pygame.Surface((1, 1), pygame.SRCALPHA), spot.rect[:2])
    scale = painter.scale
    border, ring = max(2, round(theme.FOCUS_BORDER * scale)), max(2, round(theme.FOCUS_RING * scale))
    reach = round((4 if spot.content else 14) * scale)
    x, y, w, h = spot.rect
    width, height = w + 2 * reach, h + 2 * reach
    picture = pygame.Surface((width + 2 * ring, height + 2 * ring), pygame.SRCALPHA)
    soft = (*theme.ACCENT, round(255 * 0.35))
    picture.blit(shapes.outline(width + 2 * ring, height + 2 * ring, spot.radius + ring, ring, soft), (0, 0))
    picture.blit(shapes.outline(width, height, spot.radius, border, (*theme.WHITE, 255)), (ring, ring))
    return Lift(picture, (x - reach - ring, y - reach - ring))


def between(full: Lift, by: float, step: int) -> Lift:
    """The picture on its way in at ``step`` of STEPS, smaller than at rest and not quite opaque."""
    part = step / STEPS
    eased = 1 - (1 - part) ** 2
    small = (1 + (by - 1) * eased) / by
    width, height = (max(1, round(side * small)) for side in full.picture.get_size())
    picture = pygame.transform.smoothscale(full.picture, (width, height))
    picture.set_alpha(round(255 * (0.55 + 0.45 * eased)))
    centre_x = full.at[0] + full.picture.get_width() / 2
    centre_y = full.at[1] + full.picture.get_height() / 2
    return Lift(picture, (round(centre_x - width / 2), round(centre_y - height / 2)))


class Lifts:
    """The focused pictures of targets, kept by what is in them; the least lately used go when they are too many.

    Those at rest and those on the way in are kept apart: the many of the one kind must not push out the others.
    """

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
        self._full = _Kept(KEPT_BYTES)
        self._steps = _Kept(_STEPS_BYTES)

    def get(self, spot: Spot, framed: bool, step: int = STEPS) -> Lift:
        """The picture of a target at ``step`` of its way in; ``framed``: only a border."""
        key = self._key(spot, framed)
        corner = spot.rect[:2]

        def full() -> Lift:
            return self._full.get(key, corner, lambda: self._make(spot, framed))

        if step == STEPS:
            return full()
        by = 1.0 if framed else factor(spot, self._painter.scale)
        return self._steps.get((key, step), corner, lambda: between(full(), by, step))

    def prepare(self, spot: Spot, framed: bool) -> bool:
        """Makes a target's picture if it is not there. Returns whether it was made."""
        if self._key(spot, framed) in self._full:
            return False
        self.get(spot, framed)
        return True

    def _make(self, spot: Spot, framed: bool) -> Lift:
        return frame_only(self._painter, spot) if framed else lift(self._painter, spot)

    def _key(self, spot: Spot, framed: bool) -> object:
        return spot.style, spot.rect[2:], spot.radius, framed, spot.content


class _Kept:
    """Pictures relative to their targets' corners, so that a target that scrolled is the same; up to ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lifts: dict[object, Lift] = {}
        self._bytes = 0

    def __contains__(self, key: object) -> bool:
        return key in self._lifts

    def get(self, key: object, corner: tuple[int, int], make: Callable[[], Lift]) -> Lift:
        """The picture at its target's corner, made when it is not there."""
        found = self._lifts.pop(key, None)
        if found is None:
            made = make()
            found = Lift(made.picture, (made.at[0] - corner[0], made.at[1] - corner[1]))
            self._bytes += _size(found)
        self._lifts[key] = found
        while self._bytes > self._limit and len(self._lifts) > 2:
            self._bytes -= _size(self._lifts.pop(next(iter(self._lifts))))
        return Lift(found.picture, (found.at[0] + corner[0], found.at[1] + corner[1]))


def bytes_of(spot: Spot, scale: float) -> int:
    """About how much the picture of a target takes."""
    width, height = (round(side * factor(spot, scale) + 2 * _SPREAD * scale) for side in spot.rect[2:])
    return 4 * width * height


def _size(lifted: Lift) -> int:
    return lifted.picture.get_pitch() * lifted.picture.get_height()
