"""The page of comparisons: what one does there is above the fold, and its charts lead to what they show."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from server_stub.reconciliation.records import Cls, Difference, Totals
from tests.server_stub.backoffice.breaks import planted
from tests.server_stub.backoffice.desk import let_in
from tests.server_stub.backoffice.differences import record
from tests.server_stub.system import System
from tests.server_stub.tsp.test_uploads import DAY

pytestmark = pytest.mark.anyio
LINKS = re.compile(r'<a href="/backoffice([^"]+)" tabindex="-1">')
"""Of the charts: for who points; a keyboard has the same in the table below."""


async def test_the_charts_lead_to_the_run_and_to_its_differences(system: System) -> None:
    lost = record("K1", 1_000, "opened", DAY)
    run = await planted(
        system,
        [Difference(Cls.MISSING_THERE, lost.key, lost, None)],
        here=Totals(1, 1_000),
        there=Totals(0, 0),
    )
    system.clock.advance(timedelta(days=1).total_seconds())
    viewer = await let_in(system, "vera", "viewer")
    page = (await viewer.get("/reconciliation?pair=boss")).text
    wide = page.partition('class="at-narrow"')[0]
    to_run, to_list = map(unescape, LINKS.findall(wide))
    assert to_run == f"/reconciliation/{run}"
    assert "Only in our books" in (await viewer.get(to_run)).text
    assert re.findall(r"[?&](\w+)=([\w-]+)", to_list) == [
        ("pair", "boss"), ("cls", "missing-there"), ("day", "2026-06-21"), ("state", "all"),
    ]  # fmt: skip
    assert len(re.findall(r'href="/backoffice/breaks/\w+"', (await viewer.get(to_list)).text)) == 1


async def test_a_day_is_compared_from_the_top_of_the_page(system: System) -> None:
    await planted(system, [], here=Totals(1, 1_000), there=Totals(1, 1_000))
    system.clock.advance(timedelta(days=1).total_seconds())
    chief = await let_in(system, "xu", "supervisor")
    page = (await chief.get("/reconciliation?pair=boss")).text
    assert page.index("Compare a day now") < page.index('class="card plot"')
