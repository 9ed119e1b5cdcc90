"""Where an arrow key goes: the neighbour that a person expects, among rectangles on a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from stb_app.kit.items import Rect, Spot, intersect

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
    spots: Sequence[Spot],
    focus: str,
    direction: Direction,
    memory: Mapping[str, str],
    beside: Mapping[str, str] = MappingProxyType({}),
) -> str | None:
    """Key of the enabled target that an arrow leads to, None where there is none.

    ``memory``: by group, the key that had the focus last; a group that is entered is entered there, if that target
    lies in the direction too. ``beside``: by group, the key that left and right enter it at and leave it from. Up and down go through a
    viewport to its end before they leave it; from outside only what it shows can be entered.
    """
    origin = next((spot for spot in spots if spot.key == focus), None)
    if origin is None:
        return None
    others = [spot for spot in spots if spot.enabled and spot.key != focus]
    best = None
    if origin.scroll is not None and direction in ("up", "down"):
        best = _nearest(origin, [(s, s.rect) for s in others if s.scroll == origin.scroll], direction)
    if best is None:
        best = _nearest(origin, list(_enterable(origin, others)), direction)
    if best is None:
        return None
    if direction in ("left", "right"):
        # A group that is entered sideways at one place is left from there.
        gates = {beside.get(group) for group in origin.groups if group not in best.groups}
        gate = next((spot for spot in others if spot.key in gates), None)
        if gate is not None:
            outside = [spot for spot in others if not set(spot.groups) & set(gate.groups)]
            best = _nearest(gate, list(_enterable(gate, outside)), direction) or best
    for group in best.groups:
        if group in origin.groups:
            continue
        if group in beside and direction in ("up", "down"):
            break
        remembered = beside.get(group, memory.get(group))
        for spot in others:
            known = spot.key == remembered and group in spot.groups
            if known and score(origin.rect, spot.rect, direction) is not None:
                return spot.key
        break
    return best.key


def _enterable(origin: Spot, others: Sequence[Spot]) -> Iterator[tuple[Spot, Rect]]:
    """Targets with where they can be seen. A viewport that shows none of its targets offers all of them, at its edge."""
    shown = {spot.scroll for spot in others if spot.clip and intersect(spot.rect, spot.clip)}
    for spot in others:
        if spot.clip is None or spot.scroll == origin.scroll:
            yield spot, spot.rect
            continue
        seen = intersect(spot.rect, spot.clip)
        if seen is not None:
            yield spot, seen
        elif spot.scroll not in shown:
            x, _, width, _ = spot.rect
            below = spot.rect[1] >= spot.clip[1] + spot.clip[3]
            yield spot, (x, spot.clip[1] + (spot.clip[3] - 1 if below else 0), width, 1)


def _nearest(origin: Spot, others: Sequence[tuple[Spot, Rect]], direction: Direction) -> Spot | None:
    ranked: list[tuple[tuple[int, int, int], Spot]] = []
    for spot, rect in others:
        value = score(origin.rect, rect, direction)
        if value is not None and (
            value[0] == 0 or direction in ("up", "down") or _same_band(origin.rect, rect)
        ):
            ranked.append((value, spot))
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _same_band(origin: Rect, other: Rect) -> bool:
    """Left and right may leave the row only for something close to it in height."""
    gap = max(other[1] - (origin[1] + origin[3]), origin[1] - (other[1] + other[3]))
    return gap <= max(origin[3], other[3]) * 3
