"""``stb-server boxes`` and ``rotate-key`` beside a server that runs, on either database."""

from __future__ import annotations

import re
from asyncio import to_thread
from pathlib import Path

import pytest

from server_stub import boxes
from server_stub.app import ROLES
from server_stub.cli import parse
from tests.server_stub.system import databases, running

pytestmark = pytest.mark.anyio


async def operator(data: Path, *words: str) -> int:
    """What the command ends with."""
    url = databases.of(data)
    options = parse([*words, "--data", str(data), *(["--database", url] if url else [])], ROLES)
    command = {"boxes": boxes.run, "rotate-key": boxes.rotate_server_key}[options.command]
    return await to_thread(command, options)


async def test_the_operator_s_word_reaches_a_server_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as system:
        box = await system.box()
        assert await operator(tmp_path, "boxes", "suspend", box.number) == 0
        system.clock.advance(15)
        assert (await box.call("GET", "/home")).json()["code"] == "box-suspended"
        assert await operator(tmp_path, "boxes", "activate", box.number) == 0
        assert await operator(tmp_path, "boxes", "list") == 0
        told = capsys.readouterr().out
        assert f"box {box.number} is in service\n" in told
        assert re.search(rf"^{box.number} +[0-9]{{16}} +active", told, re.MULTILINE)
        assert await operator(tmp_path, "boxes", "activate", "85312049") == 0
        assert capsys.readouterr().out == "box 85312049 may be registered: it has no key yet\n"
        assert await operator(tmp_path, "boxes", "suspend", "99999999") == 1
        first = (await system.tsp.boxes.server_keys.fresh()).told[0]
        assert await operator(tmp_path, "rotate-key") == 0
        system.clock.advance(60)
        told = (await system.tsp.boxes.server_keys.fresh()).told
        assert told[1] == first


async def test_where_no_role_has_run_there_is_nothing_to_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = databases.empty(tmp_path)
    where = ["--data", str(tmp_path), *(["--database", url] if url else [])]
    assert boxes.run(parse(["boxes", "list", *where], ROLES)) == 2
    assert "role boss" in capsys.readouterr().err
    assert boxes.rotate_server_key(parse(["rotate-key", *where], ROLES)) == 2
    assert "tsp.key" in capsys.readouterr().err
