"""Bar charts as geometry for a template that draws them as SVG: one bar a day or month, side by side, parts on each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 960, 220
LEFT, BOTTOM, TOP = 64, 24, 10
TICKS = 4


class Part(NamedTuple):
    """A rectangle, and which of the series it is of."""

    series: int
    x: float
    y: float
    width: float
    height: float


class Bar(NamedTuple):
    """What stands above one name; ``label``: written below it, or empty; ``text``: said of it."""

    label: str
    text: str
    middle: float
    parts: tuple[Part, ...]
    href: str


class Tick(NamedTuple):
    """A line across, and its value."""

    y: float
    value: int


class Chart(NamedTuple):
    """All of it."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    base: float
    width: int = WIDTH
    height: int = HEIGHT


class Value(NamedTuple):
    """What is to be drawn: one number for each series, none below zero."""

    label: str
    text: str
    numbers: tuple[int, ...]
    href: str = ""


def nice(most: int) -> int:
    """A round number that is not smaller: 1, 2 or 5 and zeros.

    >>> [nice(number) for number in (0, 3, 12, 480)]
    [1, 5, 20, 500]
    """
    power = 1
    while True:
        for step in (1, 2, 5):
            if step * power >= most:
                return max(1, step * power)
        power *= 10


def bars(values: Sequence[Value], every: int = 1) -> Chart:
    """A chart of these; ``every`` so many of them a label is written."""
    most = nice(max((sum(value.numbers) for value in values), default=0))
    room, base = HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM
    step = (WIDTH - LEFT) / max(1, len(values))
    wide = min(44.0, step * 0.72)
    made = []
    for place, value in enumerate(values):
        middle, below, parts = LEFT + step * (place + 0.5), float(base), []
        for series, number in enumerate(value.numbers):
            high = room * number / most
            if number:
                below -= high
                parts.append(
                    Part(
                        series,
                        round(middle - wide / 2, 1),
                        round(below, 1),
                        round(wide, 1),
                        round(max(high, 0.8), 1),
                    )
                )
        label = value.label if place % every == 0 else ""
        made.append(Bar(label, value.text, round(middle, 1), tuple(parts), value.href))
    ticks = tuple(
        Tick(round(base - room * number / TICKS, 1), most * number // TICKS) for number in range(TICKS + 1)
    )
    return Chart(tuple(made), ticks, float(base))
