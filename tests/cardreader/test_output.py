"""Commands whose output nobody reads any more end in silence."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path

import pytest

from cardreader import cli as card
from cardreader.output import NOBODY_READS, UNWRITABLE, until_nobody_reads
from stb_app import main as box


def doctor(folder: Path) -> int:
    return box.main(["doctor", "--data", str(folder), "--reader", "sim:"])


def profiles(_: Path) -> int:
    return card.main(["profiles"])


def explained(_: Path) -> int:
    return card.main(["--help"])


@pytest.mark.parametrize(
    ("command", "held_back"),
    [(profiles, True), (profiles, False), (explained, True), (doctor, True), (doctor, False)],
)
def test_whoever_reads_may_go(
    command: Callable[[Path], int],
    held_back: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    raw = os.fdopen(writer, "wb", buffering=-1 if held_back else 0)
    with TextIOWrapper(raw, write_through=not held_back) as nobody_reads:
        monkeypatch.setattr(sys, "stdout", nobody_reads)
        assert command(tmp_path) == NOBODY_READS
        monkeypatch.undo()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", [profiles, explained])
def test_a_full_disk_is_said(
    command: Callable[[Path], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert command(tmp_path) == UNWRITABLE
        monkeypatch.undo()
    assert capsys.readouterr().err == "what is to be printed cannot be written (no space left on device)\n"


def test_another_file_that_cannot_be_written_is_an_error() -> None:
    def broken() -> int:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        until_nobody_reads(broken)


def test_another_pipe_that_breaks_is_an_error() -> None:
    def broken() -> int:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        until_nobody_reads(broken)


def test_what_a_command_ends_with_is_handed_on() -> None:
    assert until_nobody_reads(lambda: 5) == 5
    with pytest.raises(SystemExit):
        until_nobody_reads(lambda: sys.exit(2))
