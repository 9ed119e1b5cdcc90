"""Where two pages differ, in as few rectangles as are worth having."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from stb_app.kit.items import Item, Rect, inside, intersect, visible


def bands(area: Rect, height: int) -> list[Rect]:
    """A rectangle cut into strips of at most ``height``."""
    x, y, w, h = area
    return [(x, y + at, w, min(height, h - at)) for at in range(0, h, height)]


def differences(old: Sequence[Item], new: Sequence[Item], known: Sequence[Rect] = ()) -> list[Rect]:
    """Rectangles in which two pages differ: where an item is in one only, or in both in another order.

    ``known``: areas that differ anyway; what shows only within them is not looked at.
    """
    if known:
        old, new = _outside(old, known), _outside(new, known)
    # Most of two pages is often the same object; what they begin and end with costs next to nothing.
    start, least = 0, min(len(old), len(new))
    while start < least and (old[start] is new[start] or old[start] == new[start]):
        start += 1
    end = 0
    while end < least - start and (old[-1 - end] is new[-1 - end] or old[-1 - end] == new[-1 - end]):
        end += 1
    return [*known, *_differences(old[start : len(old) - end], new[start : len(new) - end])]


def _outside(items: Sequence[Item], areas: Sequence[Rect]) -> list[Item]:
    return [item for item in items if not any(inside(item.clip or item.rect, area) for area in areas)]


def _differences(old: Sequence[Item], new: Sequence[Item]) -> list[Rect]:
    before, after = Counter(old), Counter(new)
    dirty = [rect for item in (before - after) + (after - before) if (rect := visible(item))]
    common = before & after
    first, second = _only(old, common), _only(new, common)
    if first != second:
        dirty += [
            rect for a, b in zip(first, second, strict=True) if a != b for i in (a, b) if (rect := visible(i))
        ]
    return dirty


def _only(items: Sequence[Item], common: Counter[Item]) -> list[Item]:
    left = Counter(common)
    found = []
    for item in items:
        if left[item]:
            left[item] -= 1
            found.append(item)
    return found


def merged(rects: Iterable[Rect]) -> list[Rect]:
    """Fewer rectangles that cover the same: those that overlap, or nearly, become one."""
    found: list[Rect] = []
    for rect in rects:
        current = rect
        at = 0
        while at < len(found):
            other = found[at]
            joint = _union(current, other)
            if joint[2] * joint[3] <= (current[2] * current[3] + other[2] * other[3]) * 5 // 4 or intersect(
                current, other
            ):
                current = joint
                del found[at]
                at = 0
            else:
                at += 1
        found.append(current)
    return found


def _union(a: Rect, b: Rect) -> Rect:
    x, y = min(a[0], b[0]), min(a[1], b[1])
    return (x, y, max(a[0] + a[2], b[0] + b[2]) - x, max(a[1] + a[3], b[1] + b[3]) - y)


def closed(areas: list[Rect], over: Sequence[Rect], whole: Rect) -> list[Rect]:
    """The areas, enlarged until whatever lies over the page is in them wholly or not at all."""
    while True:
        extra = []
        for rect in over:
            seen = intersect(rect, whole)
            if seen is None:
                continue
            touching = [area for area in areas if intersect(seen, area)]
            if touching and not any(_union(area, seen) == area for area in touching):
                extra.append(seen)
        if not extra:
            return areas
        areas = merged([*areas, *extra])
