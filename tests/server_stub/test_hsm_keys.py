"""``stb-server terminal-key`` and ``rotate-card-key`` beside a server that runs, on either database."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server_stub import hsm_keys
from server_stub.app import ROLES
from server_stub.cli import parse
from server_stub.foundation.clock import Clock
from server_stub.foundation.vault import key_file
from server_stub.foundation.working_keys import check_value, master_key
from server_stub.tsp import tables
from tests.server_stub.system import System, databases, running_with_ppp
from tests.server_stub.tsp.test_online_card import Terminal

pytestmark = pytest.mark.anyio
FIRST = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path) as system:
        yield system


async def operator(data: Path, *words: str, clock: Clock | None = None) -> int:
    url = databases.of(data)
    options = parse([*words, "--data", str(data), *(["--database", url] if url else [])], ROLES)
    command = {"terminal-key": hsm_keys.terminal_key, "rotate-card-key": hsm_keys.rotate_card_key}
    return await to_thread(command[options.command], options, clock)


def components(data: Path, folder: Path, key: bytes) -> list[str]:
    """Options with files of two components of a key."""
    words = []
    for number, part in enumerate((FIRST, bytes(a ^ b for a, b in zip(FIRST, key, strict=True)))):
        path = folder / f"component-{number}"
        path.write_text(f"{part.hex().upper()}\n")
        words += ["--component", str(path)]
    return words


async def test_the_terminal_signs_in_with_what_its_custodians_bring(
    system: System,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path_factory.mktemp("custodians")
    assert await operator(tmp_path, "terminal-key", "show") == 0
    assert "no key from custodians" in capsys.readouterr().out
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    body, path = await terminal.request(payment), f"/payments/{payment['payment']}/authorisation"
    # Another key than PPP's: nobody is let in, and nothing is taken.
    wrong = components(tmp_path, folder, bytes.fromhex("00112233445566778899AABBCCDDEEFF"))
    assert await operator(tmp_path, "terminal-key", "enter", *wrong) == 0
    refused = await box.refused(path, body)
    assert (refused["code"], refused["money"]) == ("ppp-unreachable", "not-taken")
    tmk = master_key(key_file(tmp_path / "terminal.key")).reveal()
    assert await operator(tmp_path, "terminal-key", "enter", *components(tmp_path, folder, tmk)) == 0
    value = check_value(tmk).hex().upper()[:6]
    assert f"88310001 has the key with check value {value}" in capsys.readouterr().out
    assert (await box.post(path, body))["response_code"] == "00"
    assert await operator(tmp_path, "terminal-key", "show") == 0
    assert f"check value {value}, since" in capsys.readouterr().out
    kept = str([tuple(row) for row in await system.rows(tables.pos_terminals)])
    assert tmk.hex().upper() not in kept.upper()


async def test_components_are_typed_unseen_and_compared_by_their_check_values(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter([FIRST.hex(), FIRST[::-1].hex(), "no key", "00" * 16, "00" * 16])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    assert await operator(tmp_path, "terminal-key", "enter", "--count", "2") == 0
    told = capsys.readouterr().out
    assert f"component 1: check value {check_value(FIRST).hex().upper()[:6]}" in told
    assert FIRST.hex() not in told.lower()
    assert await operator(tmp_path, "terminal-key", "enter") == 2
    told = capsys.readouterr().err
    assert "component 1: 32 hexadecimal digits are wanted" in told
    assert "no key" not in told
    assert await operator(tmp_path, "terminal-key", "enter") == 2
    assert "all of them different" in capsys.readouterr().err
    missing = ["--component", str(tmp_path / "none")]
    assert await operator(tmp_path, "terminal-key", "enter", *missing, *missing) == 2
    assert "cannot be read as a component" in capsys.readouterr().err


def _nobody(prompt: str) -> str:
    raise EOFError


async def test_what_is_no_way_to_bring_a_key_is_said(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getpass", _nobody)
    for words, said in (
        (["--component", str(tmp_path / "one")], "nobody may know alone"),
        ([], "component 1: nothing was typed"),
        (["--terminal", "123"], "8 letters and digits"),
    ):
        assert await operator(tmp_path, "terminal-key", "enter", *words) == 2
        assert said in capsys.readouterr().err


async def test_boxes_seal_for_a_new_key_and_the_old_one_is_good_for_a_day(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = await system.box()
    payments = [await box.pay("card"), await box.pay("card", "kids", "monthly")]
    old = await Terminal(system, box).request(payments[0])
    (before,) = (await box.get("/card-keys"))["card_keys"]
    assert await operator(tmp_path, "rotate-card-key", clock=system.clock) == 0
    assert (await box.post(f"/payments/{payments[0]['payment']}/authorisation", old))["response_code"] == "00"
    system.clock.advance(60)
    now, then = (await box.get("/card-keys"))["card_keys"]
    assert then == before
    assert now["key_id"] in capsys.readouterr().out
    new = await Terminal(system, box, "credit").request(payments[1])
    assert new["envelope"]["key_id"] == now["key_id"]
    assert (await box.post(f"/payments/{payments[1]['payment']}/authorisation", new))["response_code"] == "00"
    system.clock.advance(86_400)
    assert (await box.get("/card-keys"))["card_keys"] == [now]
    refused = await box.refused(f"/payments/{payments[0]['payment']}/authorisation", old, key="another-key-1")
    assert refused["facts"]["kind"] == "unknown_key"


async def test_where_no_tsp_has_run_there_are_no_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    databases.empty(tmp_path)
    assert await operator(tmp_path, "rotate-card-key") == 2
    assert await operator(tmp_path, "terminal-key", "show") == 2
    assert capsys.readouterr().err.count("stb-server: ") == 2
