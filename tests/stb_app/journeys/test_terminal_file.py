"""The box as a terminal, read from a file."""

from __future__ import annotations

import contextlib
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardreader.emv import capk
from stb_app import cli
from stb_app.journeys.online_payment import TERMINAL
from stb_app.journeys.terminal_file import TerminalFileError, read

GOOD = """
terminal_id = "88310002"
merchant_id = "883100048990002"
merchant_name = "有线电视"
electronic_cash_limit_fen = 0
ca_keys = "ca.toml"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "ca.toml").write_text(
        files("cardreader.emv").joinpath("simulated_ca.toml").read_text("utf-8")
    )
    (tmp_path / "terminal.toml").write_text(GOOD)
    return tmp_path / "terminal.toml"


def test_it_is_the_terminal_of_the_command_line(path: Path) -> None:
    options = cli.parse(["run", "--demo", "--terminal", str(path)], {"DISPLAY": ":0"})
    terminal = options.terminal  # type: ignore[union-attr]
    assert terminal is not None
    assert (terminal.terminal_id, terminal.merchant_id) == ("88310002", "883100048990002")
    assert (terminal.merchant_name, terminal.electronic_cash_limit_fen) == ("有线电视", 0)
    assert terminal.ca_keys == capk.simulated()
    assert cli.parse(["run", "--demo"], {"DISPLAY": ":0"}).terminal is None  # type: ignore[union-attr]


def test_only_the_numbers_are_wanted(path: Path) -> None:
    path.write_text("\n".join(GOOD.splitlines()[:3]))
    assert read(path).electronic_cash_limit_fen == TERMINAL.electronic_cash_limit_fen
    assert read(path).ca_keys == {}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("88310002", "8831000", "terminal_id: 8"),
        ('"883100048990002"', "883100048990002", "merchant_id: 15"),
        ("merchant_name", "merchant", "'merchant' is not known"),
        ("有线电视", "有" * 21, "42 bytes"),
        ("= 0", "= -1", "whole number of fen"),
        ("= 0", "= true", "whole number of fen"),
        ("ca.toml", "cb.toml", "ca_keys"),
        ("ca.toml", "terminal.toml", "ca_keys"),
        ('"ca.toml"', "7", "the name of a file"),
        ("ca_keys =", "ca_keys", "no TOML"),
    ],
)
def test_what_is_wrong_is_said(path: Path, old: str, new: str, said: str) -> None:
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(TerminalFileError, match=said):
        read(path)


def test_there_is_no_such_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse(["run", "--demo", "--terminal", str(tmp_path / "none")], {"DISPLAY": ":0"})
    assert "it cannot be read (No such file or directory)" in capsys.readouterr().err


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_a_terminal_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with contextlib.suppress(TerminalFileError):
        read(path)
