"""The command line of the server, as a module."""

from __future__ import annotations

import runpy
import signal
import sys

import pytest

from server_stub import cli
from server_stub.tsp.cases import ACTIONS, LOAD_ACTIONS


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
    _, _, told = capsys.readouterr().out.partition("decide CASE")
    of_payments, _, of_loads = told.partition(" of a load")
    for words, actions, part in (
        (cli.CASE_ACTIONS, ACTIONS, of_payments),
        (cli.LOAD_ACTIONS, LOAD_ACTIONS, of_loads),
    ):
        assert list(words) == list(actions)
        lines = [line.split(maxsplit=1) for line in part.splitlines()[1:]]
        assert [line for line in lines if line] == [list(item) for item in words.items()]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("reconcile decide", "decide BREAK --action ACTION --reason TEXT --actor NAME"),
        ("reconcile breaks --every", "unrecognized arguments: --every"),
        ("reconcile breaks --al", "unrecognized arguments: --al"),
        ("partners list --address 10.0.0.0/8 a b", "unrecognized arguments: a b"),
    ],
)
def test_what_is_not_understood_is_answered_with_the_usage_of_its_command(
    words: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.parse(words.split(), ())
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: stb-server {words.split()[0]} ")
    assert why in said


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("reconcile decide B --action close", "--actor"),
        ("reconcile decide B --action close --actor Wu", "--second"),
        ("cases decide C --action close", "--actor"),
        ("cases decide C --action close --actor Wu", "--second"),
        ("settle decide 000042", "--actor"),
    ],
)
def test_nobody_is_named_by_a_whole_card_number(
    words: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [*words.split(), "--reason", "so", option]
    assert cli.parse([*told, "Li 3"], ())
    with pytest.raises(SystemExit) as end:
        cli.parse([*told, "4111 1111 1111 1111"], ())
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert f"argument {option}: Here stands a whole card number" in said
    assert "1111" not in said


@pytest.mark.parametrize(
    "words",
    [
        ("reconcile", "decide", "B", "--action", "close", "--actor", "Wu"),
        ("cases", "decide", "C", "--action", "close", "--actor", "Wu"),
        ("settle", "decide", "000042", "--actor", "Wu"),
        ("cancel", "O"),
    ],
)
def test_no_reason_with_a_whole_card_number_is_taken(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.parse([*words, "--reason", "card 411111******1111"], ()).reason
    with pytest.raises(SystemExit) as end:
        cli.parse([*words, "--reason", "card 4111 1111 1111 1111"], ())
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "Here stands a whole card number" in said
    assert "1111" not in said
