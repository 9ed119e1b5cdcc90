"""What stands badly on the picture: words that are cut off, things that lie over each other. For testers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from stb_app.kit.items import Rect
from stb_app.kit.stage import PlacedTarget, PlacedText

TEXT_ROOM = (4, 8)
"""So far the rectangles of two texts may lie over each other, across and down: that much around letters is empty."""
TARGET_ROOM = (2, 2)
"""Rounding, at other sizes than the canvas's own."""


def clipped(texts: Iterable[PlacedText]) -> list[str]:
    """Texts that do not fit where they belong."""
    return [text.text for text in texts if text.clipped]


def overlapping(texts: Iterable[PlacedText], targets: Iterable[PlacedTarget]) -> list[list[str]]:
    """Pairs of texts of one layer, and pairs of keys of targets, that lie over each other.

    Targets of different viewports are left out: what a viewport hides may lie anywhere.
    """
    words = [text for text in texts if text.text.strip()]
    over = [
        [a.text, b.text]
        for a, b in itertools.combinations(words, 2)
        if a.layer == b.layer and _over(a.rect, b.rect, TEXT_ROOM)
    ]
    return over + [
        [a.key, b.key]
        for a, b in itertools.combinations(targets, 2)
        if a.viewport == b.viewport and _over(a.rect, b.rect, TARGET_ROOM)
    ]


def _over(a: Rect, b: Rect, room: tuple[int, int]) -> bool:
    """Whether two rectangles share more than ``room``.

    >>> _over((0, 0, 100, 50), (90, 40, 100, 50), (4, 8)), _over((0, 0, 100, 50), (90, 44, 100, 50), (4, 8))
    (True, False)
    """
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return across > room[0] and down > room[1]
