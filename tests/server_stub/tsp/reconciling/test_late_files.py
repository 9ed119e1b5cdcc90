"""Files that do not come, are cut, or come again as others: said, and caught up with. ONL-9"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from server_stub.foundation import day_exchange
from server_stub.foundation.folders import FolderError
from server_stub.foundation.sentences import read
from server_stub.settings import Settings
from server_stub.tsp import tables
from tests.server_stub.system import System, exchange_below, running_with_ppp
from tests.server_stub.tsp.mornings import (
    bought,
    breaks,
    morning,
    not_compared,
    pair_with,
    put_file,
    reconciling,
    run_of,
    runs,
    taken_back,
    telling,
    told_until,
    wanted,
)
from tests.server_stub.tsp.test_online_card import Terminal
from tests.server_stub.tsp.test_uploads import DAY, mended, next_day, paid

pytestmark = pytest.mark.anyio


async def test_a_file_that_does_not_come_is_told_and_caught_up_with(system: System, tmp_path: Path) -> None:
    await paid(system)
    place, away = tmp_path / "exchange", tmp_path / "away"
    place.rename(away)
    next_day(system)
    system.clock.advance(timedelta(hours=6).total_seconds())
    with pytest.raises(FolderError):
        await reconciling(system).run()
    assert {pair: state for pair, (state, _) in (await runs(system)).items()} == {
        "boss": "failed",
        "ppp": "failed",
    }
    (why, _) = [row.error for row in await system.rows(tables.book.runs) if row.day == DAY.isoformat()]
    assert str(read(why)) == "no file DZMX/DZMX20260621.TXT of boss is here"
    away.rename(place)
    await morning(system, 2)
    await mended(system)
    assert await runs(system) == {"boss": ("done", {"matched": 1}), "ppp": ("done", {"matched": 1})}
    assert await breaks(system) == []


async def test_days_of_a_long_outage_are_caught_up_with_a_few_at_a_time(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is away for longer than days are told again; what BOSS has taken back meanwhile goes back all the same."""
    monkeypatch.setattr(day_exchange, "AT_ONCE", 10)
    early, late = [await system.box(number) for number in ("85312047", "85312048")]
    online = await early.pay("card", "sports", "monthly")
    await Terminal(system, early, "debit").pay(online)
    await early.state(online["payment"], "done")
    told = await bought(system, early, "kids")
    await morning(system)
    # Told already when it is taken back, and taken back before it was told.
    await taken_back(system, told["order"])
    untold = await bought(system, late, "kids")
    await taken_back(system, untold["order"])
    days, place, away = 9, tmp_path / "exchange", tmp_path / "away"
    place.rename(away)
    next_day(system, days)
    with pytest.raises(FolderError):
        await reconciling(system).run()
    away.rename(place)
    for _ in range(3):
        await morning(system, days)
    await mended(system)
    for box, payment in ((early, told), (late, untold)):
        await box.until(payment["payment"], lambda view: view["money"] == "returned")
    for after in range(days):
        done = await runs(system, DAY + timedelta(days=after))
        assert [done[pair][0] for pair in ("boss", "ppp")] == ["done", "done"], after


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_on_closed_days_ppp_is_silent_and_nobody_misses_its_files(kind: str, tmp_path: Path) -> None:
    """Two days on which PPP does not work follow the first one; BOSS works on each."""
    settings = Settings(closed_days="2026-06-22,2026-06-23")
    folder = exchange_below(tmp_path)
    async with running_with_ppp(tmp_path / "data", settings, folder=folder) as system:
        await paid(system)
        with capture_logs() as logs:
            for days in (1, 2):
                await morning(system, days)
                system.clock.advance(timedelta(hours=7).total_seconds())
                await reconciling(system).run()
        assert [one["name"] for one in logs if one["event"] == "file-missing"] == []
        assert list((tmp_path / "exchange" / "ppp" / "QSMX").iterdir()) == []
        assert {(row.pair, row.state) for row in await system.rows(tables.book.runs)} == {("boss", "done")}
        # They work again, and this morning their files are late.
        next_day(system, 3)
        system.clock.advance(timedelta(hours=7).total_seconds())
        with capture_logs() as logs:
            await reconciling(system).run()
        missed = [one["name"] for one in logs if one["event"] == "file-missing" and one["partner"] == "ppp"]
        assert missed == [f"QSMX/QSMX202606{day}.TXT" for day in (21, 22, 23)]
        await morning(system, 4)
        assert (await runs(system))["ppp"] == ("done", {"matched": 1})


@pytest.mark.parametrize("dry", [True, False])
async def test_what_came_to_nothing_before_a_file_is_late_hides_not_that_it_never_comes(
    system: System, tmp_path: Path, dry: bool
) -> None:
    await paid(system)
    place, away = tmp_path / "exchange" / "boss", tmp_path / "away"
    place.rename(away)
    next_day(system)
    await wanted(system, dry_run=dry)
    with capture_logs() as logs:
        with pytest.raises(FolderError):
            await reconciling(system).run()
        assert [row.state for row in await system.rows(tables.book.runs) if row.pair == "boss"] == ["failed"]
        # A day without its file before it is late is nobody's fault yet.
        assert [one for one in logs if one["event"] == "file-missing"] == []
        system.clock.advance(timedelta(hours=7).total_seconds())
        for _ in range(3):
            with pytest.raises(FolderError):
                await reconciling(system).run()
            system.clock.advance(600)
    missed = [one["name"] for one in logs if one["event"] == "file-missing" and one["partner"] == "boss"]
    assert missed == ["DZMX/DZMX20260621.TXT"]
    assert ("boss", DAY.isoformat()) in await not_compared(system)
    away.rename(place)
    await mended(system)


async def test_a_run_whose_file_was_refused_says_why(system: System, tmp_path: Path) -> None:
    await paid(system)
    next_day(system)
    name = "DZMX/DZMX20260621.TXT"
    (tmp_path / "exchange" / "boss" / name).write_text(
        "H|DZMX|20260621|0000000001|000000000001600\n", "ascii"
    )
    system.clock.advance(timedelta(hours=6).total_seconds())
    await reconciling(system).run()
    row = await run_of(system)
    assert row.state == "refused"
    assert str(read(row.error)).startswith(f"{name}, version 1: ")
    assert "trailer" in str(read(row.error)) or "cut" in str(read(row.error))


async def test_a_second_file_that_cannot_be_used_is_what_is_known_of_its_day(
    system: System, tmp_path: Path
) -> None:
    """A service was taken back; what says so was cut on its way. However old the day, the overview shows it."""
    box = await system.box()
    payment = await bought(system, box, "kids", "yearly")
    await morning(system)
    await told_until(system, 40)
    await taken_back(system, payment["order"])
    next_day(system, 41)
    await telling(system).publish()
    path = tmp_path / "exchange" / "boss" / "DZMX" / "DZMX20260621.TXT"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    await reconciling(system).run()
    mine = ("boss", DAY.isoformat())
    assert mine in await not_compared(system)
    system.clock.advance(1)
    path.write_bytes(whole)
    await reconciling(system).run()
    assert mine not in await not_compared(system)
    await box.until(payment["payment"], lambda view: view["money"] == "returned")


async def test_the_last_comparison_of_a_day_is_what_is_known_of_it(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wrong file after a right one stops; that the day was compared before hides nothing."""
    await paid(system)
    pair_with(system, monkeypatch, limit_differences=2)
    await morning(system)
    assert await not_compared(system) == []
    system.clock.advance(1)
    put_file(tmp_path, [f"{number:026d}" for number in range(3)])
    await reconciling(system).run()
    assert await not_compared(system) == [("boss", DAY.isoformat())]


async def test_the_right_file_starts_a_day_before_the_first_payment_anew_though_it_is_empty(
    system: System, tmp_path: Path
) -> None:
    next_day(system)
    await paid(system)
    # BOSS's own of that day, so that its job has nothing more to tell.
    await telling(system).publish()
    await reconciling(system).run()
    assert await system.rows(tables.book.runs) == []
    system.clock.advance(1)
    put_file(tmp_path, ["0" * 25 + "1", "0" * 25 + "2"])
    await reconciling(system).run()
    assert await breaks(system) == [("boss", "missing-here", "open", None)] * 2
    system.clock.advance(1)
    put_file(tmp_path, [])
    await reconciling(system).run()
    assert await breaks(system) == [("boss", "missing-here", "closed", "agreed")] * 2
