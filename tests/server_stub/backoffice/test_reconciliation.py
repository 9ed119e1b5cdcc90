"""Comparisons wanted, shown and drawn in the browser; days sent again, files, and money that follows in the morning."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import date, timedelta
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from server_stub.backoffice import run_charts
from server_stub.backoffice import tables as own
from server_stub.boss import tables as boss
from server_stub.foundation.day_files import FileBad
from server_stub.foundation.sentences import say
from server_stub.reconciliation.healing import Tally
from server_stub.reconciliation.reading import FileRefused
from server_stub.reconciliation.records import Cls, Totals
from server_stub.settings import Settings
from server_stub.tsp import tables
from server_stub.tsp.reconciling import pair_named
from tests.server_stub.backoffice.breaks import logged, planted, standing
from tests.server_stub.backoffice.desk import ALL, let_in, office_of
from tests.server_stub.backoffice.differences import compared, every_class, month
from tests.server_stub.system import System, exchange_below, running_with_ppp
from tests.server_stub.tsp.mornings import bought, morning, taken_back
from tests.server_stub.tsp.test_uploads import DAY, answering, days_of, next_day, paid, telling

pytestmark = pytest.mark.anyio


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    """All roles, which exchange files; from 50 yuan on two people decide."""
    settings, folder = Settings(case_second_fen=5_000), exchange_below(tmp_path)
    async with running_with_ppp(tmp_path / "data", settings, folder=folder, without=ALL) as one:
        yield one


async def test_where_nothing_is_there_is_nothing_to_compare(system: System) -> None:
    chief = await let_in(system, "xu", "supervisor")
    form = {"pair": "ppp", "day": "2020-06-21", "how": "real", "confirmed": "yes"}
    answer = await chief.post("/reconciliation", "/help", **form)
    assert answer.status_code == 422
    assert "neither a payment here nor a file of the other side" in answer.text
    assert await system.rows(tables.book.runs) == []


async def test_a_run_is_wanted_done_at_once_and_shown(system: System) -> None:
    payment = await bought(system, await system.box(), "kids")
    await taken_back(system, payment["order"])
    await morning(system)
    chief, clerk = await let_in(system, "xu", "supervisor"), await let_in(system, "wu", "clerk")
    form = {"pair": "boss", "day": DAY.isoformat()}
    assert (await clerk.post("/reconciliation", "/reconciliation", **form, how="dry")).status_code == 403
    today = DAY + timedelta(days=1)
    too_soon = await chief.post("/reconciliation", "/help", pair="ppp", day=str(today), how="dry")
    assert too_soon.status_code == 422
    assert f"{today} is not over yet. Choose a day that is over." in too_soon.text
    assert f'name="day" type="date" required value="{today}"' in too_soon.text
    assert 'name="pair" value="ppp"' in too_soon.text
    mistyped = await chief.post(
        "/reconciliation", "/help", pair="boss", day="2020-06-21", how="real", confirmed="yes"
    )
    assert mistyped.status_code == 422
    assert "There is nothing to compare before 2026-06-" in mistyped.text  # BOSS tells a week
    assert 'value="2020-06-21"' in mistyped.text
    await chief.post("/language", "/help", language="zh")
    await chief.post("/reconciliation", "/help", pair="ppp", day=str(today), how="real", confirmed="yes")
    assert f"{today} 还没有结束，请选择已经结束的日期。" in chief.page
    await chief.post("/language", "/help", language="en")
    asked = await chief.post("/reconciliation", "/help", **form, how="real")
    assert "Compare this day now?" in asked.text
    assert f"Payments and services · {form['day']}. What the rules may" in asked.text
    wanted = await chief.post("/reconciliation", "/help", **form, how="dry")
    run = wanted.url.path.removeprefix("/backoffice")
    while "hx-get" in (await chief.get(f"{run}/live")).text:
        assert "progress" in chief.page
        assert "Dry run: changes nothing" in chief.page
    assert "Dry run: nothing was changed" in (await chief.get(run)).text
    assert ">Agree<" in chief.page  # for the money has gone back since
    (entry,) = await logged(system, "tsp", tables.audit, "run-wanted")
    assert (entry.actor, json.loads(entry.facts)) == ("xu", {"dry_run": True, "pair": "boss"})
    history = (await chief.get("/reconciliation?pair=boss")).text
    assert "Dry run" in history
    assert history.count("2026-06-21</a>") == 2
    assert "2026-06-21</a>" not in (await chief.get("/reconciliation?pair=boss&state=failed")).text
    assert (await chief.get("/reconciliation/none")).status_code == 404


async def test_what_a_limit_holds_and_what_was_refused_is_said(system: System) -> None:
    tally = Tally([rule for rule in pair_named("boss").rules if rule.action == "refund"])
    found = every_class(DAY)
    for _ in range(21):
        tally.add(found[2].cls, found[2].here, found[2].there)
    run = await planted(system, found, tally=tally)
    core = system.tsp.core

    def refused(conn: Connection) -> str:
        other = tables.book.want(conn, core.ids, core.clock, "boss", DAY - timedelta(days=1), "server")
        why = say("it declares %(declared)s records; there are %(found)s", declared=1234, found=1233)
        refusal = FileRefused("DZMX20260620.TXT", None, why)
        tables.book.fail(conn, core.clock, other, refusal.said, refused=True)
        return other

    bad = await core.database.write(refused)
    # Days long over, which nobody has files of: one that waits, and one on which nothing was done anywhere.
    queued = await core.database.write(
        lambda conn: tables.book.want(conn, core.ids, core.clock, "none", DAY - timedelta(days=90), "server")
    )
    nothing = Totals(0, 0)
    await core.database.write(
        lambda conn: compared(
            conn, core.ids, core.clock, DAY - timedelta(days=9), here=nothing, there=nothing
        )
    )
    viewer = await let_in(system, "vera", "viewer")
    page = (await viewer.get(f"/reconciliation/{queued}")).text
    assert "It begins within a minute" in page
    assert '<li class="now" aria-current="step">' in page
    day = (await viewer.get(f"/reconciliation?pair=boss&day={DAY - timedelta(days=9)}")).text
    assert "Both books are empty" in day
    assert "Everything agrees" not in day
    assert "held by its limit: people decide" in (await viewer.get(f"/reconciliation/{run}")).text
    page = (await viewer.get(f"/reconciliation/{bad}")).text
    assert "DZMX20260620.TXT: it declares 1,234 records; there are 1,233" in page
    assert "ask the other side to send it again" in page
    zeros = Totals(0, 0)

    def too_many(conn: Connection) -> str:
        other = tables.book.want(conn, core.ids, core.clock, "boss", DAY - timedelta(days=1), "server")
        told: dict[str, Any] = {
            "here": zeros,
            "there": zeros,
            "counts": {Cls.AMOUNT: (12_000, 5)},
            "limit": 10_000,
        }
        tables.book.stop(conn, core.clock, other, **told, sample=found)
        return other

    stopped = await core.database.write(too_many)
    page = (await viewer.get(f"/reconciliation/{stopped}")).text
    assert "12,000 differences were found; more than 10,000 are not entered" in page
    assert "Some of them" in page
    assert "88310001-000042-000113" in page
    await viewer.post("/language", "/help", language="zh")
    for path in (f"/reconciliation/{bad}", "/reconciliation?pair=boss"):
        assert "DZMX20260620.TXT：文件声明 1,234 条记录，实际有 1,233 条" in (await viewer.get(path)).text
    await viewer.post("/language", "/help", language="en")
    home = (await viewer.get("/")).text
    assert "differences wait for a decision" in home
    assert "day could not be compared" in home
    (way,) = re.findall(r'href="/backoffice(/reconciliation\?[^"]*)"', home)
    assert way == "/reconciliation?pair=boss&amp;state=uncompared"
    (row,) = re.findall(r'<tr><td class="num left".*', (await viewer.get(unescape(way))).text)
    assert f"/reconciliation/{max(bad, stopped)}" in row  # the other one is of the same day
    system.clock.advance(1)
    await core.database.write(
        lambda conn: compared(conn, core.ids, core.clock, DAY - timedelta(days=1))  # and now it could
    )
    assert "could not be compared" not in (await viewer.get("/")).text
    assert "Nothing fits the search." in (await viewer.get(unescape(way))).text


async def test_an_empty_day_is_handed_back_empty(system: System) -> None:
    chief = await let_in(system, "xu", "supervisor")
    form = {"pair": "boss", "day": "", "how": "dry"}
    answer = await chief.post("/reconciliation", "/reconciliation?pair=boss", **form)
    assert (answer.status_code, "Choose a day that is over." in answer.text) == (422, True)
    assert re.search(r'id="f-want"[^>]* value="" ', answer.text)


async def test_the_first_page_names_the_oldest_day_that_was_not_compared(system: System) -> None:
    core = system.tsp.core

    def fail(conn: Connection) -> None:
        for away in (20, 12):
            run = tables.book.want(conn, core.ids, core.clock, "boss", DAY - timedelta(days=away), "server")
            tables.book.fail(conn, core.clock, run, say("no file"))

    await core.database.write(fail)
    viewer = await let_in(system, "vera", "viewer")
    home = (await viewer.get("/")).text
    first = (DAY - timedelta(days=20)).isoformat()
    assert f'<small class="num nowrap">since {first}</small>' in home
    await viewer.post("/language", "/help", language="zh")
    assert f'<small class="num nowrap">最早 {first}</small>' in (await viewer.get("/")).text


async def test_the_charts_are_of_the_last_run_that_is_done_and_have_words(system: System) -> None:
    core = system.tsp.core
    await core.database.write(partial(month, ids=core.ids, clock=core.clock, last=DAY, pair="boss"))
    viewer = await let_in(system, "vera", "viewer")
    page = (await viewer.get("/reconciliation?pair=boss")).text
    wide, _, narrow = page.partition('class="at-narrow"')
    assert (wide.count('class="missing"'), narrow.count('class="missing"')) == (2, 1)
    assert "<title>2026-06-20 · Payment platform ¥" in wide
    assert "Of the last 10 days" in narrow
    assert "Of the last 30 days 28 were compared" in page
    (missed,) = re.findall(r'href="/backoffice(/reconciliation/\w+)">2026-05-31<', page)
    assert "<span>No file DZMX/DZMX20260531.TXT of BOSS is here</span>" in (await viewer.get(missed)).text
    await viewer.post("/language", "/help", language="zh")
    assert "<span>没有" in (await viewer.get(missed)).text
    await viewer.post("/language", "/help", language="en")
    assert ">99+</text>" in page
    runs = [row for row in await system.rows(tables.book.runs) if row.pair == "boss"]
    days = run_charts.days_of(runs, DAY - timedelta(days=1))
    assert [day.day for day in days] == [DAY - timedelta(days=away) for away in range(30, 0, -1)]
    chart = run_charts.chart_of(days)
    assert chart.compared == 28
    assert max(bar.there for bar in chart.bars) <= run_charts.BASE - run_charts.TOP
    thirteen = next(bar for bar in chart.bars if bar.day.day == DAY - timedelta(days=13))
    assert thirteen.there > thirteen.here
    assert thirteen.differs


def test_ticks_of_a_chart_are_round_and_few() -> None:
    for most in (0, 1, 99, 10_000, 184_300, 999_999_999):
        day = run_charts.Day(date(2026, 6, 21), "r", "done", most, most, {})
        ticks = [fen for _, fen in run_charts.chart_of([day]).ticks]
        assert 2 <= len(ticks) <= 6
        assert ticks[-1] >= most


def test_a_chart_for_a_narrow_window_has_the_last_days_and_stays_within_its_width() -> None:
    days = run_charts.days_of([], date(2026, 6, 21))
    narrow = run_charts.chart_of(days[-run_charts.FEW_DAYS :], run_charts.NARROW)
    assert [bar.day.day for bar in narrow.bars] == [date(2026, 6, 12 + away) for away in range(10)]
    assert all(run_charts.LEFT < bar.middle < run_charts.NARROW for bar in narrow.bars)


async def test_a_cell_of_the_chart_never_rounds_down(system: System) -> None:
    counts = {Cls.MISSING_HERE.value: 1_240, Cls.AMOUNT.value: 99}
    chart = run_charts.chart_of([run_charts.Day(DAY, "R", "done", 1, 1, counts)])
    assert {row.name: row.cells[0].text for row in chart.rows} == {"missing-here": "99+", "amount": "99"}


async def test_a_day_is_sent_again_after_a_question(system: System) -> None:
    await paid(system)
    next_day(system)
    await telling(system).run()
    await answering(system).answer()
    await telling(system).run()
    chief, clerk = await let_in(system, "xu", "supervisor"), await let_in(system, "wu", "clerk")
    assert "2026-06-21" in (await clerk.get("/days")).text
    assert "Send again" not in clerk.page
    assert (await clerk.post("/days/2026-06-21/again", "/days")).status_code == 403
    asked = await chief.post("/days/2026-06-21/again", "/days")
    assert "Send this day once more?" in asked.text
    assert "once more" in (await chief.post("/days/2026-06-21/again", "/days", confirmed="yes")).text
    (entry,) = await logged(system, "tsp", tables.audit, "day-sent-again")
    assert (entry.actor, entry.subject) == ("xu", "2026-06-21")
    while (await days_of(system))[0][1] == "made":
        pass
    assert (await days_of(system))[0][1] == "sent"
    never = await chief.post("/days/2026-01-01/again", "/days", confirmed="yes")
    assert never.status_code == 409
    assert (await chief.post("/days/never/again", "/days", confirmed="yes")).status_code == 404


async def test_files_are_listed_and_downloaded_by_supervisors_alone(system: System) -> None:
    await paid(system)
    await morning(system)
    chief, clerk = await let_in(system, "xu", "supervisor"), await let_in(system, "wu", "clerk")
    assert "XFMX/XFMX20260621.TXT" in (await clerk.get("/files?role=tsp")).text
    assert "DZMX/" not in (await clerk.get("/files?role=tsp&partner=ppp")).text
    assert "QSMX/" in (await clerk.get("/files?role=ppp&q=QSMX&day=2026-06-21&direction=out")).text
    assert "Nothing fits" in (await clerk.get("/files?role=tsp&state=failed")).text
    assert "Nothing fits" not in (await clerk.get("/files?role=moon&partner=ppp")).text
    (file,) = [row for row in await system.rows(tables.files.files) if row.name == "DZMX/DZMX20260621.TXT"]
    path = f"/files/tsp/{file.id}"
    page = (await clerk.get(path)).text
    assert file.sha256 in page
    assert "Comparison of" in page
    assert "has used this version" in page
    assert "Download" not in page
    assert (await clerk.get(f"{path}/content")).status_code == 403
    assert "Download" in (await chief.get(path)).text
    got = await chief.get(f"{path}/content")
    assert got.text.startswith("H|DZMX|20260621")
    assert 'attachment; filename="DZMX20260621-1.TXT"' in got.headers["content-disposition"]
    (entry,) = await logged(system, "backoffice", own.audit, "file-read")
    assert (entry.actor, entry.subject) == ("xu", file.id)
    for odd in ("/files/tsp/none", "/files/moon/none", "/files/tsp/none/content", "/files/sandbox/none"):
        assert (await chief.get(odd)).status_code == 404, odd
    kept = system.roles.backoffice.files / "tsp" / file.kept  # type: ignore[union-attr, operator]
    kept.chmod(0o600)
    kept.unlink()
    assert (await chief.get(f"{path}/content")).status_code == 409
    kept.write_bytes(got.content)
    bad = FileBad("line %(line)s: something comes after the trailer", line=3)
    note = partial(tables.files.note, clock=system.clock, file_id=file.id, state="refused", event="refused")
    await system.tsp.database.write(lambda conn: note(conn, why=bad.said.kept))
    assert "line 3: something comes after the trailer" in (await chief.get(path)).text
    await chief.post("/language", path, language="zh")
    assert "<b>原因</b> 第 3 行：文件尾之后还有内容" in (await chief.get(path)).text
    await system.tsp.database.write(lambda conn: note(conn, state="used"))


async def test_a_service_is_taken_back_and_the_money_follows_in_the_morning(system: System) -> None:
    payment = await bought(system, await system.box(), "kids")
    clerk, viewer = await let_in(system, "wu", "clerk"), await let_in(system, "vera", "viewer")
    assert "/services/" not in (await viewer.get("/boxes/85312048")).text
    (order,) = (
        await office_of(system)
        .books("boss")
        .read(
            lambda conn: list(conn.execute(select(boss.orders).where(boss.orders.c.id == payment["order"])))
        )
    )
    path = f"/boxes/85312048/services/{order.subscription_id}"
    assert f"/backoffice{path}" in (await clerk.get("/boxes/85312048")).text
    assert "The money follows with the night" in (await clerk.get(path)).text
    assert (await clerk.get(path.replace("85312048", "85312047"))).status_code == 404
    assert (await clerk.post(path, path)).status_code == 422
    asked = await clerk.post(path, path, reason="sold by mistake")
    assert "Take this service back?" in asked.text
    assert "is taken back" in (await clerk.post(path, path, reason="sold by mistake", confirmed="yes")).text
    (entry,) = await logged(system, "boss", boss.audit, "order-cancelled")
    assert (entry.actor, json.loads(entry.facts)["reason"]) == ("wu", "sold by mistake")
    again = await clerk.post(path, path, reason="sold by mistake", confirmed="yes")
    assert (again.status_code, "is taken back" in again.text) == (200, True)
    assert (await clerk.post(path, path, reason="again", confirmed="yes")).status_code == 409
    assert len(await logged(system, "boss", boss.audit, "order-cancelled")) == 1
    await morning(system)
    assert (await standing(system, Cls.REVERSED))[:2] == ("closed", "refund")
