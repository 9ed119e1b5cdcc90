"""Where an arrow key goes: the neighbour that a person expects, among rectangles on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from stb_app.kit.items import Rect, Spot

Direction = Literal["up", "down", "left", "right"]


def _along(rect: Rect, direction: Direction) -> tuple[int, int, int, int]:
    """A rectangle as (near, far, side a, side b), turned so that the direction is the positive first axis."""
    x, y, w, h = rect
    if direction == "right":
        return x, x + w, y, y + h
    if direction == "left":
        return -(x + w), -x, y, y + h
    if direction == "down":
        return y, y + h, x, x + w
    return -(y + h), -y, x, x + w


def score(origin: Rect, other: Rect, direction: Direction) -> tuple[int, int, int] | None:
    """How far ``other`` is in a direction, lowest first: none at all behind; whatever overlaps beside comes before all else."""
    near, far, a, b = _along(origin, direction)
    other_near, other_far, c, d = _along(other, direction)
    if other_near + other_far <= near + far or other_near < near or other_far <= far:
        return None
    distance = max(0, other_near - far)
    overlap = min(b, d) - max(a, c)
    if other_near < far and overlap > 0:
        return None
    if overlap > 0:
        middle = abs((a + b) - (c + d)) // 2
        start = abs(a - c)
        return 0, distance, min(middle, start)
    aside = max(c - b, a - d, 0)
    if other_near < far:
        return None
    return 1, distance + 2 * aside, aside


def neighbour(
    spots: Sequence[Spot], focus: str, direction: Direction, memory: Mapping[str, str]
) -> str | None:
    """Key of the enabled target that an arrow leads to, None where there is none.

    ``memory``: by group, the key that had the focus last; a group that is entered is entered there, if that target
    lies in the direction too.
    """
    origin = next((spot for spot in spots if spot.key == focus), None)
    if origin is None:
        return None
    ranked: list[tuple[tuple[int, int, int, int], Spot]] = []
    for spot in spots:
        if spot.enabled and spot.key != focus:
            value = score(origin.rect, spot.rect, direction)
            if value is not None and (
                value[0] == 0 or direction in ("up", "down") or _same_band(origin, spot)
            ):
                # What a viewport still hides below comes before what stands below the viewport.
                leaves = int(origin.scroll is not None and spot.scroll != origin.scroll)
                ranked.append(((value[0], leaves, *value[1:]), spot))
    if not ranked:
        return None
    best = min(ranked, key=lambda pair: pair[0])[1]
    for group in best.groups:
        if group in origin.groups:
            continue
        remembered = memory.get(group)
        for spot in spots:
            known = spot.key == remembered and spot.enabled and group in spot.groups
            if known and score(origin.rect, spot.rect, direction) is not None:
                return spot.key
        break
    return best.key


def _same_band(origin: Spot, spot: Spot) -> bool:
    """Left and right may leave the row only for something close to it in height."""
    top, bottom = origin.rect[1], origin.rect[1] + origin.rect[3]
    gap = max(spot.rect[1] - bottom, top - (spot.rect[1] + spot.rect[3]))
    return gap <= max(origin.rect[3], spot.rect[3]) * 3
