"""``stb-server staff``: the first person is let in from the command line."""

from __future__ import annotations

import re
from asyncio import to_thread
from pathlib import Path

import pytest

from server_stub import staff as command
from server_stub.app import ROLES
from server_stub.cli import parse
from tests.server_stub.backoffice.desk import Clerk
from tests.server_stub.system import System, databases

pytestmark = pytest.mark.anyio


def run(data: Path, *words: str) -> int:
    url = databases.of(data)
    where = ["--data", str(data), *(["--database", url] if url else [])]
    return command.run(parse(["staff", *words, *where], ROLES))


async def test_the_first_person_signs_in_with_what_was_printed(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clerk = Clerk(system, "wang.fang")
    assert "Nobody can sign in yet" in (await clerk.get("/sign-in")).text
    assert await to_thread(run, tmp_path, "list") == 0
    assert "nobody may sign in yet" in capsys.readouterr().out
    added = ("add", "Wang.Fang", "--role", "admin", "--full-name", "王芳", "--language", "en")
    assert await to_thread(run, tmp_path, *added) == 0
    printed = capsys.readouterr().out
    password = re.search(r"([\w]{4}-){3}\w{4}", printed)
    assert password
    assert f"wang.fang signs in with {password[0]} the first time" in printed
    assert (await clerk.sign_in(password[0])).url.path == "/backoffice/password"
    assert await to_thread(run, tmp_path, *added) == 1
    assert "already" in capsys.readouterr().err
    assert (
        await to_thread(run, tmp_path, "add", "lin.na", "--role", "viewer", "--full-name", "4111111111111111")
        == 1
    )
    assert (
        capsys.readouterr().err
        == "stb-server: Here stands a whole card number. Write its last four digits only.\n"
    )
    assert await to_thread(run, tmp_path, "roles", "wang.fang", "--role", "viewer,clerk") == 0
    assert await to_thread(run, tmp_path, "password", "wang.fang") == 0
    assert (await clerk.get("/help")).url.path == "/backoffice/sign-in"
    assert await to_thread(run, tmp_path, "close", "wang.fang") == 0
    capsys.readouterr()
    assert await to_thread(run, tmp_path, "list") == 0
    assert re.search(r"wang.fang +王芳 +viewer,clerk +closed", capsys.readouterr().out)
    assert await to_thread(run, tmp_path, "open", "nobody") == 1
    assert await to_thread(run, tmp_path, "add", "someone", "--role", "king") == 2
    assert "viewer, clerk, supervisor, admin" in capsys.readouterr().err


def test_where_no_server_can_be_nothing_is_made(tmp_path: Path) -> None:
    assert run(tmp_path / "nowhere", "list") == 2
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("words", ["add someone", "list someone", "close", "close wu --role clerk"])
def test_what_cannot_be_understood_is_said(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["staff", *words.split()], ROLES)
    said = capsys.readouterr().err
    assert "staff list, or staff add" in said
    assert "ROLE is of viewer, clerk, supervisor, admin" in said
