"""Reports: what came of each month, day, way of paying and service, as tables and charts."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, NamedTuple

from starlette.responses import Response

from server_stub.backoffice import chart, totals, words
from server_stub.backoffice.errors import Unknown
from server_stub.backoffice.pages.transactions import WORDS, services_of
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.totals import DAY, Total
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.foundation.clock import CHINA

pages = Pages()


class Line(NamedTuple):
    """One row of a report.

    Attributes:
        name: of the row. ``number``: of transactions. The amounts by what became of the money, in fen.
    """

    name: str
    number: int
    taken: int
    taken_fen: int
    returned: int
    returned_fen: int
    unknown: int
    unknown_fen: int
    not_taken: int


class Report(NamedTuple):
    """A table and its chart."""

    lines: tuple[Line, ...]
    whole: Line


def line(name: str, rows: Iterable[Any]) -> Line:
    """All of some totals: those with ``method``, ``state``, ``number`` and the amounts."""
    sums = {money: [0, 0] for money in ("taken", "returned", "unknown", "not-taken")}
    for row in rows:
        money = totals.money_of(row.method, row.state)
        sums[money][0] += int(row.number)
        # Where money came, what came counts.
        sums[money][1] += int(row.received_fen or row.amount_fen if money != "unknown" else row.amount_fen)
    taken, returned, unknown = sums["taken"], sums["returned"], sums["unknown"]
    every = sum(number for number, _ in sums.values())
    return Line(name, every, *_pair(taken), *_pair(returned), *_pair(unknown), sums["not-taken"][0])


def _pair(sums: list[int]) -> tuple[int, int]:
    return sums[0], sums[1]


async def by(visit: Visit, first: date, last: date, name: str) -> Report:
    """A report of days from one to another, both included, a line for each value of a column of ``Total`` or ``"month"``, as
    they were counted last.
    """
    office = visit.office
    today = office.clock.now().astimezone(CHINA).date()
    names = (name, *(one for one in ("method", "state") if one != name))
    columns = names if name != "state" else ("state", "method")
    until = min(last, today - DAY).isoformat()
    read = partial(totals.between, first=first.isoformat(), last=until, by=columns)
    rows: list[Any] = await office.database.read(read)
    if first <= today <= last:
        rows += [_Named(one, today) for one in await office.totals().today()]
    grouped: dict[str, list[Any]] = {}
    for row in rows:
        grouped.setdefault(str(getattr(row, name)), []).append(row)
    lines = tuple(line(value, grouped[value]) for value in sorted(grouped))
    return Report(lines, line("", rows))


class _Named:
    """A total of today, with its month."""

    def __init__(self, total: Total, today: date) -> None:
        self.method, self.service, self.state = total.method, total.service, total.state
        self.number, self.amount_fen, self.received_fen = total.number, total.amount_fen, total.received_fen
        self.day, self.month = today.isoformat(), today.isoformat()[:7]


@pages.get("/reports", Right.SEE)
async def months(visit: Visit) -> Response:
    """The months of a year."""
    now = visit.office.clock.now().astimezone(CHINA)
    year = visit.query.number("year", now.year)
    if not 1971 <= year <= 9998:
        raise Unknown()
    first, last = date(year, 1, 1), date(year, 12, 31)
    owed = await visit.office.totals().owed(first, last)
    found = await by(visit, first, last, "month")
    links = {one.name: f"/backoffice/reports/{one.name}" for one in found.lines}
    drawn = _charts(visit, found.lines, [f"{year}-{month:02d}" for month in range(1, 13)], 1)
    around = (
        (str(year - 1), f"?year={year - 1}"),
        (str(year + 1), f"?year={year + 1}" if year < now.year else ""),
    )
    return await _page(visit, str(year), owed, found, drawn, links, around, N_("Month"), [])


@pages.get("/reports/{period}", Right.SEE)
async def days(visit: Visit) -> Response:
    """The days of a month, or one day by way of paying, service and state."""
    period = visit.path["period"]
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}", period):
            return await _month(visit, date.fromisoformat(f"{period}-01"))
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", period):
            return await _day(visit, date.fromisoformat(period))
    except (ValueError, OverflowError) as error:
        raise Unknown() from error
    raise Unknown()


async def _month(visit: Visit, first: date) -> Response:
    last = first.replace(day=monthrange(first.year, first.month)[1])
    owed = await visit.office.totals().owed(first, last)
    found = await by(visit, first, last, "day")
    links = {one.name: f"/backoffice/reports/{one.name}" for one in found.lines}
    names = [first.replace(day=number).isoformat() for number in range(1, last.day + 1)]
    drawn = _charts(visit, found.lines, names, 2)
    return await _page(
        visit,
        f"{first:%Y-%m}",
        owed,
        found,
        drawn,
        links,
        _around(visit, first, last, "%Y-%m"),
        N_("Day"),
        await _parts(visit, first, last),
    )


async def _day(visit: Visit, day: date) -> Response:
    owed = await visit.office.totals().owed(day, day)
    parts = await _parts(visit, day, day)
    found = parts[0][1]
    return await _page(
        visit,
        day.isoformat(),
        owed,
        found,
        [],
        {},
        _around(visit, day, day, "%Y-%m-%d"),
        N_("Way to pay"),
        parts[1:],
    )


async def _parts(visit: Visit, first: date, last: date) -> list[tuple[str, Report]]:
    """The same by way of paying, service and state."""
    named = ((N_("Way to pay"), "method"), (N_("Service"), "service"), (N_("State"), "state"))
    return [(title, await by(visit, first, last, name)) for title, name in named]


def _around(visit: Visit, first: date, last: date, pattern: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """The period before and the one after; without an address where there is none yet."""
    before, after = first - DAY, last + DAY
    later = after <= visit.office.clock.now().astimezone(CHINA).date()
    return (f"{before:{pattern}}", f"/{before:{pattern}}"), (
        f"{after:{pattern}}",
        f"/{after:{pattern}}" if later else "",
    )


def _charts(visit: Visit, lines: Sequence[Line], names: Sequence[str], every: int) -> list[chart.Chart]:
    """The same for a wide window and for a narrow one, where fewer names are written."""
    there = {one.name: one for one in lines}
    nothing = Line("", 0, 0, 0, 0, 0, 0, 0, 0)
    values = []
    for name in names:
        one = there.get(name, nothing)
        said = visit.t(N_("%(name)s: %(taken)s taken, %(returned)s refunded, %(unknown)s not known"), name=name, taken=words.yuan(one.taken_fen), returned=words.yuan(one.returned_fen), unknown=words.yuan(one.unknown_fen))  # fmt: skip
        numbers = (one.taken_fen, one.unknown_fen, one.returned_fen)
        short = f"¥{sum(numbers) // 100:,}"
        values.append(chart.Value(name.rpartition("-")[2], said, short, numbers))
    return [chart.bars(values, every), chart.bars(values, every * 2 + (every > 1), chart.NARROW)]


async def _page(
    visit: Visit,
    title: str,
    owed: int,
    found: Report,
    drawn: Sequence[chart.Chart],
    links: Mapping[str, str],
    around: tuple[tuple[str, str], tuple[str, str]],
    column: str,
    parts: Sequence[tuple[str, Report]],
) -> Response:
    facts: dict[str, Any] = {
        "title": title,
        "owed": owed,
        "report": found,
        "charts": drawn,
        "links": links,
        "around": around,
    }
    services = dict(await services_of(visit.office))
    return visit.page("reports.html", **facts, column=column, parts=parts, services=services, **WORDS)
