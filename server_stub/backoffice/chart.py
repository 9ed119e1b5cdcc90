"""Bar charts as geometry for a template that draws them as SVG: one bar a day or month, side by side, parts on each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WIDTH, NARROW, HEIGHT = 960, 480, 240
LEFT, BOTTOM, TOP = 84, 26, 26
TICKS = 4
LETTER = 8.5
"""Of a value above a bar, how wide it is drawn."""


class Part(NamedTuple):
    """A rectangle, and which of the series it is of."""

    series: int
    x: float
    y: float
    width: float
    height: float


class Bar(NamedTuple):
    """What stands above one name.

    Attributes:
        label: written below it, or empty. ``text``: said of it. ``value``: written above it, or empty.
        left, room: where it stands with the room around it.
    """

    label: str
    text: str
    value: str
    left: float
    room: float
    middle: float
    top: float
    parts: tuple[Part, ...]


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
    short: str
    numbers: tuple[int, ...]


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


def bars(values: Sequence[Value], every: int = 1, width: int = WIDTH) -> Chart:
    """A chart of these; ``every`` so many of them a label is written. Where not all values find room, only the largest has one."""
    largest = max((sum(value.numbers) for value in values), default=0)
    most = nice(largest)
    room, base = HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM
    step = (width - LEFT) / max(1, len(values))
    wide = min(44.0, step * 0.72)
    fits = all(len(value.short) * LETTER <= step for value in values)
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
        whole = sum(value.numbers)
        told = value.short if whole and (fits or whole == largest) else ""
        left, top = round(LEFT + step * place, 1), round(below - 7, 1)
        made.append(Bar(label, value.text, told, left, round(step, 1), round(middle, 1), top, tuple(parts)))
    ticks = tuple(
        Tick(round(base - room * number / TICKS, 1), most * number // TICKS) for number in range(TICKS + 1)
    )
    return Chart(tuple(made), ticks, float(base), width)
