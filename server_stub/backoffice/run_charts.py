"""Charts of a pair's days: what both books have, and which differences there were. Geometry alone; a template draws it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from server_stub.backoffice.recon_words import BREAK_CLASSES

DAYS = 30
WIDTH, LEFT, RIGHT = 1000, 176, 8
NARROW, FEW_DAYS = 520, 10
"""For a narrow window: its width, and so many of the last days."""
TOP, BASE, HEIGHT = 26, 206, 236
ROW, HEAD = 30, 8
LEVELS = (0, 3, 10, 100)
"""More differences than these stand on a darker ground."""
MOST_SHOWN = 99
"""In a cell; the exact number is told where one points at it."""
BAR = 0.38
"""Of a day's width, each of its two bars."""


class Day(NamedTuple):
    """A business day as its last run has left it.

    Attributes:
        state: of that run; "": there was none.
        here, there: sums of both books in fen; None: not compared.
        counts: differences by class.
    """

    day: date
    run: str
    state: str
    here: int | None
    there: int | None
    counts: Mapping[str, int]


class Bars(NamedTuple):
    """A day of the first chart; heights from the base up."""

    day: Day
    x: float
    width: float
    middle: float
    here: float
    there: float
    top: float
    differs: bool
    label: str


class Cell(NamedTuple):
    """Differences of one class and day."""

    x: float
    y: float
    width: float
    text: str
    level: int
    many: int
    day: date


class Row(NamedTuple):
    """A class of the second chart."""

    name: str
    y: float
    cells: Sequence[Cell]


class Chart(NamedTuple):
    """Both charts, one above the other, with the same days.

    Attributes:
        ticks: height and amount in fen.
        compared, differing, found: days that were, days whose sums differ, differences: in words above the chart.
    """

    width: int
    bars: Sequence[Bars]
    ticks: Sequence[tuple[float, int]]
    rows: Sequence[Row]
    rows_height: float
    compared: int
    differing: int
    found: int


def days_of(runs: Iterable[Any], last: date, count: int = DAYS) -> list[Day]:
    """The last days, oldest first.

    Args:
        runs: rows of ``recon_runs`` of one pair, oldest first, without dry ones. A day's last one counts, but one that is
            done counts before those that are not.
    """
    newest: dict[str, Any] = {}
    for run in runs:
        before = newest.get(run.day)
        if before is None or run.state == "done" or before.state != "done":
            newest[run.day] = run
    days = [last - timedelta(days=away) for away in reversed(range(count))]
    return [_day(day, newest.get(day.isoformat())) for day in days]


def _day(day: date, run: Any) -> Day:
    if run is None:
        return Day(day, "", "", None, None, {})
    counts = {cls: many for cls, (many, _) in json.loads(run.counts or "{}").items()}
    differences = {cls: many for cls, many in counts.items() if not cls.startswith("matched") and many}
    if run.state != "done":
        return Day(day, run.id, run.state, None, None, {})
    return Day(day, run.id, run.state, run.here_fen, run.there_fen, differences)


def chart_of(days: Sequence[Day], width: int = WIDTH) -> Chart:
    """Both charts, of days that are at least one."""
    most = max((fen for day in days for fen in (day.here, day.there) if fen is not None), default=0)
    step = _step(most)
    whole = step * max(1, -(-most // step))
    slot = (width - LEFT - RIGHT) / len(days)
    height = (BASE - TOP) / whole
    bars = []
    for place, day in enumerate(days):
        x = LEFT + place * slot
        here, there = ((fen or 0) * height for fen in (day.here, day.there))
        every = 5 if len(days) > FEW_DAYS else 2 if len(days) > FEW_DAYS // 2 else 1
        shown = (len(days) - 1 - place) % every == 0
        label = f"{day.day:%m-%d}" if shown else ""
        differs = day.here != day.there
        top = BASE - max(here, there)
        bars.append(
            Bars(
                day,
                x,
                round(slot * BAR, 1),
                x + slot / 2,
                round(here, 1),
                round(there, 1),
                top,
                differs,
                label,
            )
        )
    names = [name for name in BREAK_CLASSES if any(name in day.counts for day in days)]
    rows = [_row(name, HEAD + place * ROW, days, slot) for place, name in enumerate(names)]
    ticks = [(round(BASE - fen * height, 1), fen) for fen in range(0, whole + 1, step)]
    return Chart(
        width,
        bars,
        ticks,
        rows,
        HEAD + ROW * len(names) + 22,
        sum(day.state == "done" for day in days),
        sum(day.here != day.there for day in days),
        sum(many for day in days for many in day.counts.values()),
    )


def _row(name: str, y: float, days: Sequence[Day], slot: float) -> Row:
    cells = []
    for place, day in enumerate(days):
        many = day.counts.get(name, 0)
        text = str(many) if many <= MOST_SHOWN else f"{MOST_SHOWN}+"
        level = sum(many > most for most in LEVELS)
        x, wide = round(LEFT + place * slot + 1.5, 1), round(slot - 3, 1)
        cells.append(Cell(x, y, wide, text, level, many, day.day))
    return Row(name, y, cells)


def _step(most: int) -> int:
    """Between ticks, in fen: 1, 2 or 5 with noughts, at least a yuan, so that there are two to five.

    >>> _step(0), _step(184_300), _step(1_000_000)
    (100, 50000, 200000)
    """
    step = 100
    while most > 5 * step:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return step
