"""``stb-server reconcile`` and ``stb-server cancel``, beside a server that runs."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server_stub import cancel, reconcile
from server_stub.app import ROLES
from server_stub.cli import parse
from server_stub.settings import Settings
from server_stub.tsp import tables
from tests.server_stub.system import System, databases, exchange_below, running_with_ppp
from tests.server_stub.tsp.mornings import morning, reconciling
from tests.server_stub.tsp.test_uploads import answering, days_of, paid, telling

pytestmark = pytest.mark.anyio


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path / "data", folder=exchange_below(tmp_path)) as system:
        yield system


class Desk:
    """Somebody types commands."""

    def __init__(self, system: System, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        url = databases.of(data)
        self._where = ["--data", str(data), *(["--database", url] if url else [])]
        self._system = system
        self._capsys = capsys

    async def says(self, *words: str, code: int = 0) -> str:
        """What is answered to a command that ends with this code."""
        options = parse([*words, *self._where], ROLES)
        run: Any = {"reconcile": reconcile.run, "cancel": cancel.run}[words[0]]
        found = await to_thread(lambda: run(options, self._system.clock))
        said = self._capsys.readouterr()
        assert found == code, said
        return said.out + said.err


@pytest.fixture
def desk(system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(system, tmp_path / "data", capsys)


async def test_a_person_follows_a_service_that_was_taken_back(system: System, desk: Desk) -> None:
    (payment,) = await paid(system)
    assert "nothing was compared yet" in await desk.says("reconcile", "runs")
    assert "only what is opened" not in await desk.says(
        "cancel", payment["order"], "--reason", "sold by mistake"
    )
    again = await desk.says("cancel", payment["order"], "--reason", "sold by mistake", code=1)
    assert "is cancelled; only what is opened can be taken back" in again
    await morning(system)
    assert "reversed-on-one-side 1" in await desk.says("reconcile", "runs")
    (row,) = await system.rows(tables.book.breaks)
    assert f"{row.id}  2026-06-21  boss   reversed-on-one-side" in await desk.says("reconcile", "breaks")
    shown = await desk.says("reconcile", "show", row.id)
    assert "decide   returned-by-hand" in shown
    assert "decide   refund" not in shown
    assert payment["number"] in shown
    decide = ("reconcile", "decide", row.id, "--reason", "over the counter", "--actor", "Wu")
    assert "refund is not for" in await desk.says(*decide, "--action", "refund", code=1)
    assert f"break {row.id}: returned-by-hand; it is closed now" in await desk.says(
        *decide, "--action", "returned-by-hand"
    )
    assert "no breaks" in await desk.says("reconcile", "breaks")
    assert "returned-by-hand by Wu" in await desk.says("reconcile", "breaks", "--all")
    actions = [record.action for record in await system.rows(tables.audit.records)]
    assert [one for one in actions if one.startswith("break-")] == ["break-refused", "break-returned-by-hand"]
    assert "there is no break x" in await desk.says("reconcile", "show", "x", code=1)


async def test_a_command_decides_by_the_settings_of_the_server(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder = Settings(case_second_fen=1_000, cut_off="23:00"), exchange_below(tmp_path)
    async with running_with_ppp(tmp_path / "data", settings, folder=folder) as system:
        desk = Desk(system, tmp_path / "data", capsys)
        (payment,) = await paid(system)
        await desk.says("cancel", payment["order"], "--reason", "sold by mistake")
        await morning(system)
        (row,) = await system.rows(tables.book.breaks)
        decide = ("reconcile", "decide", row.id, "--reason", "over the counter", "--actor", "Wu")
        said = await desk.says(*decide, "--action", "returned-by-hand", code=1)
        assert "from 1000 fen on a second person is wanted" in said
        monkeypatch.setenv("STB_SERVER_CASE_SECOND_FEN", "50000")
        said = await desk.says(*decide, "--action", "returned-by-hand", code=2)
        assert "STB_SERVER_CASE_SECOND_FEN is 50000 here, and 1000 for the server" in said
        monkeypatch.setenv("STB_SERVER_CASE_SECOND_FEN", "1000")
        assert "is closed now" in await desk.says(*decide, "--action", "returned-by-hand", "--second", "Li")


async def test_where_nothing_is_there_is_nothing_to_compare(desk: Desk) -> None:
    said = await desk.says("reconcile", "run", "boss", "2020-06-21", code=1)
    assert "neither a payment here nor a file of boss" in said


async def test_a_day_is_sent_and_compared_once_more(system: System, desk: Desk) -> None:
    await paid(system)
    assert "was not sent yet" in await desk.says("reconcile", "send", "2026-06-21", code=1)
    await morning(system)
    assert "2026-06-21    answered" in await desk.says("reconcile", "days")
    await desk.says("reconcile", "send", "2026-06-21")
    assert (await days_of(system))[0][1] == "made"
    await telling(system).run()
    await answering(system).answer()
    await telling(system).run()
    assert (await days_of(system))[0][1] == "answered"
    assert "no pair x; there are boss, ppp" in (
        await desk.says("reconcile", "run", "x", "2026-06-21", code=1)
    ).replace("'", "")
    assert "2030-01-01 is not over yet" in await desk.says("reconcile", "run", "boss", "2030-01-01", code=1)
    before = len(await system.rows(tables.book.runs))
    early = await desk.says("reconcile", "run", "boss", "2020-06-21", code=1)
    assert "there is nothing to compare before 2026-06-" in early
    await desk.says("reconcile", "run", "boss", "2026-06-21", "--dry-run")
    await reconciling(system).run()
    runs = await system.rows(tables.book.runs)
    assert len(runs) > before
    assert [row.state for row in runs if row.dry_run] == ["done"]
    assert "done (dry)" in await desk.says("reconcile", "runs")
