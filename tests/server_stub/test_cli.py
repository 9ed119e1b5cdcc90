"""The command line of the server, as a module."""

from __future__ import annotations

import runpy
import signal
import sys

import pytest


def test_run_as_a_module_it_is_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["stb-server", "run", "--port", "none"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("server_stub", run_name="__main__", alter_sys=True)
    assert end.value.code == 2
    assert "--port" in capsys.readouterr().err
