"""The command line of the server, as a module."""

from __future__ import annotations

import runpy
import signal
import sys

import pytest

from server_stub import cli
from server_stub.tsp.cases import ACTIONS


def test_run_as_a_module_it_is_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["stb-server", "run", "--port", "none"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("server_stub", run_name="__main__", alter_sys=True)
    assert end.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_the_help_of_cases_says_what_each_action_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse(["cases", "--help"], ())
    told = capsys.readouterr().out.splitlines()
    assert list(cli.CASE_ACTIONS) == list(ACTIONS)
    for action, words in cli.CASE_ACTIONS.items():
        assert [line.split(maxsplit=1)[1] for line in told if line.split()[:1] == [action]] == [words]
