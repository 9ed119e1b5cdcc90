"""Runs that failed or were killed go on, and say in the end what they have done in all. ONL-9"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from server_stub.foundation.sentences import read
from server_stub.tsp import reconciling as tsp_reconciling
from server_stub.tsp import tables
from server_stub.tsp.reconciling import Reconciling
from tests.server_stub.system import System
from tests.server_stub.tsp.mornings import (
    bought,
    breaks,
    morning,
    not_compared,
    put_file,
    reconciling,
    run_of,
    runs,
    taken_back,
    telling,
    told_files,
    wanted,
)
from tests.server_stub.tsp.test_uploads import DAY, mended, next_day, paid

pytestmark = pytest.mark.anyio


def fail_to_compare(monkeypatch: pytest.MonkeyPatch, times: int, day: date = DAY) -> list[datetime]:
    """The disk is full when a day is compared with BOSS's, so many times; returns when it was, as it comes."""
    compare, tried = Reconciling._compare, list[datetime]()

    async def full(self: Reconciling, row: Any, *told: Any) -> None:
        if (row.pair, row.day) == ("boss", day.isoformat()):
            tried.append(self._core.clock.now())
            if len(tried) <= times:
                raise OSError(28, "No space left on device")
        await compare(self, row, *told)

    monkeypatch.setattr(Reconciling, "_compare", full)
    return tried


async def test_a_comparison_that_the_machine_was_in_the_way_of_is_tried_again_with_growing_pauses(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paid(system)
    await told_files(system)
    tried = fail_to_compare(monkeypatch, 5)
    with capture_logs() as logs, pytest.raises(OSError, match="No space left"):
        await reconciling(system).run()
    assert [(one["pair"], one["day"]) for one in logs if one["event"] == "comparison-failed"] == [
        ("boss", DAY.isoformat())
    ]
    # The other pair is not held up.
    assert (await runs(system))["ppp"][0] == "done"
    row = await run_of(system)
    assert row.state == "failed"
    assert "tried again by itself" in str(read(row.error))
    assert await not_compared(system) == [("boss", DAY.isoformat())]
    for _ in range(60):
        system.clock.advance(30)
        try:
            await reconciling(system).run()
        except OSError:
            assert (await run_of(system)).state == "failed"
    pauses = [(after - before).total_seconds() for before, after in pairwise(tried)]
    assert pauses == [60, 60, 120, 240, 480]
    assert (await run_of(system)).state == "done"
    assert await not_compared(system) == []


async def test_a_run_that_somebody_only_tried_is_not_tried_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paid(system)
    await morning(system)
    tried = fail_to_compare(monkeypatch, 1)
    await wanted(system, dry_run=True)
    with pytest.raises(OSError, match="No space left"):
        await reconciling(system).run()
    system.clock.advance(3600)
    await reconciling(system).run()
    assert len(tried) == 1
    assert await not_compared(system) == []


async def test_a_day_that_was_compared_before_is_compared_again_after_a_failure_and_the_money_goes_back(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared, taken back, told again; then the disk is full once."""
    box = await system.box()
    payment = await bought(system, box, "kids")
    await morning(system)
    await taken_back(system, payment["order"])
    fail_to_compare(monkeypatch, 1)
    with pytest.raises(OSError, match="No space left"):
        await morning(system, 2)
    assert await not_compared(system) == [("boss", DAY.isoformat())]
    system.clock.advance(60)
    await reconciling(system).run()
    assert await not_compared(system) == []
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "refund")]
    await box.until(payment["payment"], lambda view: view["money"] == "returned")


async def test_differences_are_entered_and_closed_a_few_at_a_time(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Others are answered in between."""
    sizes: dict[str, list[int]] = {"differences": [], "gone": []}
    for name, method in (("differences", tables.book.see), ("gone", tables.book.agree)):

        def noting(conn: Connection, name: str = name, method: Any = method, **told: Any) -> Any:
            sizes[name].append(len(told[name]))
            return method(conn, **told)

        monkeypatch.setattr(tables.book, method.__name__, noting)
    monkeypatch.setattr(tsp_reconciling, "AT_ONCE", 2)
    await paid(system, 3)
    next_day(system)
    put_file(tmp_path, [])
    await reconciling(system).run()
    await telling(system).publish()
    await reconciling(system).run()
    assert sizes == {"differences": [2, 1], "gone": [2, 1]}


class Killed(Exception):
    """The process is gone."""


def kill(monkeypatch: pytest.MonkeyPatch, step: str) -> list[str]:
    """The process ends when this is done for the second time; nothing is written down any more, until it is there again."""
    method, fail, calls = getattr(tables.book, step), tables.book.fail, list[str]()

    def killed(*told: Any, **named: Any) -> Any:
        calls.append(step)
        if len(calls) == 2:
            raise Killed
        return method(*told, **named)

    def failed(*told: Any, **named: Any) -> None:
        if len(calls) == 2:
            raise Killed
        fail(*told, **named)

    monkeypatch.setattr(tables.book, step, killed)
    monkeypatch.setattr(tables.book, "fail", failed)
    return calls


@pytest.mark.parametrize("step", ["see", "agree", "heal"])
async def test_a_run_that_was_killed_says_in_the_end_what_it_has_done_in_all(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    monkeypatch.setattr(tsp_reconciling, "AT_ONCE", 2)
    monkeypatch.setattr("server_stub.reconciliation.book.AT_ONCE", 2)
    boxes = [await system.box(number) for number in ("85312047", "85312048")]
    back = [await bought(system, box, service) for box in boxes for service in ("kids", "music")]
    for payment in back:
        await taken_back(system, payment["order"])
    calls = kill(monkeypatch, step)
    next_day(system)
    if step == "agree":
        # What the day's first file has, and the next one has not: to be closed.
        put_file(tmp_path, [f"{number:026d}" for number in range(5)])
        await reconciling(system).run()
        system.clock.advance(1)
    await telling(system).publish()
    # The job may have been first.
    with suppress(Killed):
        await reconciling(system).run()
    assert len(calls) >= 2
    system.clock.advance(1)
    await reconciling(system).run()
    await mended(system)
    row = max(
        (row for row in await system.rows(tables.book.runs) if row.pair == "boss"),
        key=lambda row: row.wanted_at,
    )
    healed = json.loads(row.healed)["charged-but-cancelled"]
    said = (row.state, row.opened, row.closed, healed["count"], healed["fen"])
    fen = sum(payment["amount_fen"] for payment in back)
    assert said == ("done", 0 if step == "agree" else 4, 5 if step == "agree" else 0, 4, fen)


async def test_what_a_run_has_entered_from_a_file_that_was_replaced_meanwhile_is_closed(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Killed in the middle of the wrong file; when it goes on, the right one is here."""
    monkeypatch.setattr(tsp_reconciling, "AT_ONCE", 2)
    await paid(system)
    next_day(system)
    put_file(tmp_path, [f"{number:026d}" for number in range(5)])
    kill(monkeypatch, "see")
    with suppress(Killed):
        await reconciling(system).run()
    assert len(await breaks(system)) == 2
    system.clock.advance(1)
    await telling(system).publish()
    await reconciling(system).run()
    row = await run_of(system)
    assert (row.state, row.opened, row.closed) == ("done", 2, 2)
    assert {(state, action) for _, _, state, action in await breaks(system)} == {("closed", "agreed")}
