"""stb-card: its words, its exit codes, and that no traceback ever comes out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cardreader import cli
from cardreader.errors import ReaderGone
from cardreader.lab import console, reading, trace
from cardreader.lab.trace import Trace
from cardreader.output import NOBODY_READS
from cardreader.sim import vpcd
from cardreader.sim.profiles import NAMES
from cardreader.sim.reader import SimReader
from cardreader.sim.recording import ASK, told
from tests.cardreader.emv.test_capk import other_ca
from tests.cardreader.reader_side import DEBIT, SELECT, ReaderSide


def test_profiles_lists_every_card_and_the_pin(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["profiles"]) == console.EXIT_OK
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)
    assert "123456" in said


def test_read_in_peoples_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["read", "--reader", "sim:good"]) == console.EXIT_OK
    said = capsys.readouterr().out
    assert "6217 00** **** **** 2047" in said
    assert "236.40 yuan" in said
    assert "2026-11-18 19:32:05  purchase" in said
    assert "62170018340572162047" not in said


def test_read_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["read", "--reader", "sim:good", "--json"]) == console.EXIT_OK
    content = json.loads(capsys.readouterr().out)
    assert content["balance_fen"] == 23640
    assert content["number"] == "6217 00** **** **** 2047"
    assert content["log"][0]["amount_fen"] == 1500
    assert content["simulated"] is True


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("sim:no-purse", console.EXIT_CARD, "no purse"),
        ("sim:blocked", console.EXIT_CARD, "blocked"),
        ("sim:gold", console.EXIT_USAGE, "there are good,"),
        ("com:1", console.EXIT_USAGE, "pcsc:"),
    ],
)
def test_read_says_what_is_wrong(url: str, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["read", "--reader", url]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("stb-card: ")
    assert words in said.err


def test_no_card_in_time(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WAIT_FOR_CARD_S", 0.01)
    assert cli.main(["read", "--reader", "sim:"]) == console.EXIT_NO_CARD
    assert "Please put a card into" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["insert"],
        ["insert", "gold"],
        ["insert", "good", "--vpcd", "here"],
        ["insert", "good", "--vpcd", "here:\u00b2"],
        ["read", "--reader"],
    ],
)
def test_a_wrong_command_line_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: stb-card" in capsys.readouterr().err


def test_insert_without_a_virtual_reader_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    side = ReaderSide()
    side.close()
    arguments = ["insert", "good", "--state", str(tmp_path), "--vpcd", f"127.0.0.1:{side.port}"]
    assert cli.main(arguments) == console.EXIT_NO_READER
    said = capsys.readouterr().err
    assert f"127.0.0.1:{side.port} (connection refused)" in said
    assert "vsmartcard-vpcd" in said
    assert said.count("\n") == 1


def test_a_host_that_cannot_be_is_no_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["insert", "good", "--state", str(tmp_path), "--vpcd", f"{'a' * 70}:35963"]
    assert cli.main(arguments) == console.EXIT_NO_READER
    assert "no virtual reader listens" in capsys.readouterr().err


def test_a_damaged_card_is_said_and_fresh_repairs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    side = ReaderSide()
    side.close()
    arguments = ["insert", "good", "--state", str(tmp_path), "--vpcd", f"127.0.0.1:{side.port}"]
    for damaged in ("?", "{}"):
        (tmp_path / "card-good.json").write_text(damaged)
        assert cli.main(arguments) == console.EXIT_USAGE
        said = capsys.readouterr().err
        assert "good" in said
        assert said.endswith("; --fresh begins this card anew\n")
    assert cli.main([*arguments, "--fresh"]) == console.EXIT_NO_READER
    assert json.loads((tmp_path / "card-good.json").read_text())["balance_fen"] == 23640


def test_a_tester_s_file_that_is_no_card_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    assert cli.main(["insert", str(file), "--state", str(tmp_path)]) == console.EXIT_USAGE
    assert f"{file} cannot be read" in capsys.readouterr().err
    file.write_text('description = "mine"')
    assert cli.main(["explore", "--reader", f"sim:{file}"]) == console.EXIT_USAGE
    assert capsys.readouterr().err == "stb-card: profile mine.toml: card: is missing\n"


def test_a_state_folder_that_cannot_be_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "x"):
        assert cli.main(["insert", "good", "--state", str(place)]) == console.EXIT_USAGE
        said = capsys.readouterr().err
        assert (
            said
            == f"stb-card: the card's state cannot be kept: {place} is not a folder; give --state a folder\n"
        )


class Behind(SimReader):
    """The card behind a virtual reader, as one that PC/SC has."""

    def __init__(self, side: ReaderSide) -> None:
        super().__init__()
        self._side = side

    def card_present(self) -> bool:
        return True

    def wait_for_card(self, timeout: float, cancel: threading.Event) -> Any:
        self._side.send(b"\x01")
        return self

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        answer = bytes.fromhex(self._side.ask(apdu.hex()))
        return answer[:-2], int.from_bytes(answer[-2:])

    def recording(self) -> str:
        return told(*self.transmit(ASK))

    def close(self) -> None:
        self._side.send(b"\x00")


def start(side: ReaderSide, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cardreader", *arguments, "--vpcd", f"127.0.0.1:{side.port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    side.accept()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_pulls_the_card(tmp_path: Path, number: signal.Signals, side: ReaderSide) -> None:
    process = start(side, "insert", "good", "--state", str(tmp_path))
    side.send(b"\x01")
    assert side.ask(SELECT).endswith("9000")
    process.send_signal(number)
    said, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (console.EXIT_OK, "")
    assert "6217 00** **** **** 2047" in said
    assert "powered" in said
    assert "carried out 1 command." in said
    assert "pulled out" in said


def test_pull_at_the_debit_has_its_own_exit_code(tmp_path: Path, side: ReaderSide) -> None:
    process = start(side, "insert", "good", "--state", str(tmp_path), "--pull", "before-debit")
    assert side.ask(DEBIT) == ""
    said, _ = process.communicate(timeout=10)
    assert process.returncode == console.EXIT_LEFT
    assert "Fault at command 1: pull.\nThe card has left by itself." in said


def test_a_reader_that_goes_ends_it(tmp_path: Path, side: ReaderSide) -> None:
    process = start(side, "insert", "good", "--state", str(tmp_path))
    side.hang_up()
    _, errors = process.communicate(timeout=10)
    assert process.returncode == console.EXIT_NO_READER
    assert "gone" in errors


def test_without_a_reader_service_read_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cardreader", "read"],
        env={**os.environ, "PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == console.EXIT_NO_READER
    assert "pcscd" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_trace_is_shown_kept_shown_again_and_played_as_a_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], side: ReaderSide
) -> None:
    path = tmp_path / "good.trace"
    assert cli.main(["trace", "--reader", "sim:good", "--to", str(path)]) == console.EXIT_OK
    shown = capsys.readouterr().out
    assert "SELECT A00000000386980701: 9000 success" in shown
    assert "62170018340572162047" not in shown
    assert cli.main(["trace", str(path)]) == console.EXIT_OK
    assert shown in capsys.readouterr().out
    assert cli.main(["trace", str(path), "--json"]) == console.EXIT_OK
    assert capsys.readouterr().out == path.read_text()

    process = start(side, "replay", str(path), "--json")
    side.send(b"\x01")
    assert side.ask(SELECT).endswith("9000")
    assert side.ask("0084000004") == "6F00"
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (console.EXIT_OK, "")
    events = [json.loads(line) for line in said.splitlines()]
    assert [event["event"] for event in events] == ["inserted", "power", "ended"]
    assert events[-1]["strange"] == [{"command": "GET CHALLENGE", "times": 1}]


def test_a_recording_is_called_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, side: ReaderSide
) -> None:
    path = tmp_path / "good.trace"
    assert cli.main(["trace", "--reader", "sim:good", "--to", str(path)]) == console.EXIT_OK
    process = start(side, "replay", str(path))
    monkeypatch.setattr(reading, "open_reader", lambda url: Behind(side))
    for command in ("read", "explore"):
        capsys.readouterr()
        assert cli.main([command, "--json", "--reader", "sim:"]) == console.EXIT_OK
        assert json.loads(capsys.readouterr().out)["replayed"] == "good.trace"
        assert cli.main([command, "--reader", "sim:"]) == console.EXIT_OK
        assert "a replayed recording (good.trace)\n" in capsys.readouterr().out
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=10)
    assert "FF9A" not in said  # what the reader was asked was never the card's


def test_a_demo_card_is_no_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, side: ReaderSide
) -> None:
    process = start(side, "insert", "good", "--state", str(tmp_path))
    monkeypatch.setattr(reading, "open_reader", lambda url: Behind(side))
    assert cli.main(["read", "--json", "--reader", "sim:"]) == console.EXIT_OK
    assert "replayed" not in json.loads(capsys.readouterr().out)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)


def test_no_card_is_in_two_virtual_readers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], side: ReaderSide
) -> None:
    process = start(side, "insert", "good", "--state", str(tmp_path))
    side.ask("04")  # it is in
    other = ReaderSide()
    arguments = ["insert", "good", "--state", str(tmp_path), "--vpcd", f"127.0.0.1:{other.port}", "--fresh"]
    assert cli.main(arguments) == console.EXIT_OCCUPIED
    said = capsys.readouterr().err
    assert f"{tmp_path / 'card-good.json'} keeps is in another virtual reader" in said
    assert "--state" in said
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    # Now it is nowhere.
    other.close()
    assert cli.main(arguments) == console.EXIT_NO_READER


def test_a_card_without_a_purse_can_be_traced(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", "--reader", "sim:debit", "--json"]) == console.EXIT_OK
    head, first, *lines = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (head["stb_card_trace"], first["sw"]) == (1, "6A82")
    assert {"GET PROCESSING OPTIONS", "READ RECORD 2 of SFI 3", "INTERNAL AUTHENTICATE"} <= {
        line["meaning"] for line in lines
    }


@pytest.mark.parametrize("command", ["trace", "replay"])
def test_a_trace_that_is_none_is_said(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.trace"
    assert cli.main([command, str(path)]) == console.EXIT_USAGE
    assert f"{path} cannot be read (no such file" in capsys.readouterr().err
    path.write_text("?")
    assert cli.main([command, str(path)]) == console.EXIT_USAGE
    assert f"{path}: line 1 is not JSON" in capsys.readouterr().err


def test_a_trace_that_cannot_be_kept_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none" / "a.trace"
    assert cli.main(["trace", "--reader", "sim:good", "--to", str(path)]) == console.EXIT_USAGE
    said = capsys.readouterr()
    assert (
        said.err
        == f"stb-card: {path} cannot be written (no such file or directory); give --to another file\n"
    )
    assert said.out == ""  # the card was left alone
    assert cli.main(["trace", "--reader", "sim:good", "--to", str(tmp_path)]) == console.EXIT_USAGE
    assert capsys.readouterr().err.startswith(f"stb-card: {tmp_path} cannot be written (is a directory)")


def test_what_is_to_be_kept_is_kept_though_nobody_reads_on(tmp_path: Path) -> None:
    """As with ``stb-card trace --to FILE | head -1``."""
    path = tmp_path / "debit.trace"
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "cardreader", "trace", "--reader", "sim:debit", "--to", str(path)]
    with os.fdopen(write_end, "wb") as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (NOBODY_READS, "")
    assert len(trace.load(path).exchanges) > 20


def test_what_a_card_said_before_it_left_is_kept_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_with_fault(url: str) -> SimReader:
        reader = SimReader(url.removeprefix("sim:"))
        reader.order_fault("pull@3")
        return reader

    monkeypatch.setattr(reading, "open_reader", open_with_fault)
    path = tmp_path / "debit.trace"
    assert cli.main(["trace", "--reader", "sim:debit", "--to", str(path)]) == console.EXIT_CARD
    assert [one.sw is None for one in trace.load(path).exchanges] == [False, False, True]
    assert "the card left" in capsys.readouterr().out


def test_faults_happen_and_are_told(tmp_path: Path, side: ReaderSide) -> None:
    process = start(
        side, "fault", "good", "word@1:6A81", "mac@2", "pull@9", "--state", str(tmp_path), "--json"
    )
    side.send(b"\x01")
    assert side.ask(SELECT) == "6A81"
    assert side.ask(SELECT).endswith("9000")
    side.hang_up()
    said, _ = process.communicate(timeout=10)
    last = json.loads(said.splitlines()[-1])
    assert (last["commands"], last["faults_left"]) == (2, 1)
    assert last["faults"] == [{"command": 1, "fault": "word"}, {"command": 2, "fault": "mac"}]


def test_readers_without_a_service_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cardreader", "readers"],
        env={**os.environ, "PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (console.EXIT_NO_READER, "")
    assert "pcscd" in done.stderr


def test_profiles_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["profiles", "--json"]) == console.EXIT_OK
    assert [one["profile"] for one in json.loads(capsys.readouterr().out)] == list(NAMES)


def test_a_trace_that_is_kept_is_not_kept_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", "a.trace", "--to", str(tmp_path / "b.trace")]) == console.EXIT_USAGE
    assert "a.trace is kept already" in capsys.readouterr().err


def test_a_trace_needs_no_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["trace", str(tmp_path / "a.trace"), "--reader", "sim:debit"]
    assert cli.main(arguments) == console.EXIT_USAGE
    assert "--reader is for a card" in capsys.readouterr().err


def test_what_a_file_says_moves_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.trace"
    trace.save(Trace("\x1b[31mred\x9b1m", b"", "", ()), path)
    assert cli.main(["trace", str(path)]) == console.EXIT_OK
    assert capsys.readouterr().out == "\ufffd[31mred\ufffd1m, , ATR unknown\n"
    path.write_text(path.read_text().replace("red", "\\ud800"))
    assert cli.main(["trace", str(path)]) == console.EXIT_USAGE
    assert "line 1: reader is not a text" in capsys.readouterr().err


def test_ca_keys_that_are_none_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ca.toml"
    path.write_text("\n" + ".".join("a" * 20_000) + " = 1")
    assert cli.main(["explore", "--reader", "sim:debit", "--ca-keys", str(path)]) == console.EXIT_USAGE
    assert f"{path}: CA keys: line 2" in capsys.readouterr().err


def test_a_tester_s_ca_key_comes_before_the_simulator_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ca.toml"
    path.write_text(other_ca())
    assert cli.main(["explore", "--reader", "sim:debit", "--json"]) == console.EXIT_OK
    assert json.loads(capsys.readouterr().out)["applications"][0]["authentication"]["result"] == "verified"
    arguments = ["explore", "--reader", "sim:debit", "--json", "--ca-keys", str(path)]
    assert cli.main(arguments) == console.EXIT_OK
    told = json.loads(capsys.readouterr().out)["applications"][0]["authentication"]["result"]
    assert told.startswith("failed: issuer public key certificate")


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "  4    no card in time" in capsys.readouterr().out


def test_a_reader_service_that_goes_is_no_card_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object) -> tuple[bytes, int]:
        raise ReaderGone("the reader has gone")

    monkeypatch.setattr(trace.Recorder, "transmit", gone)
    assert cli.main(["trace", "--reader", "sim:debit"]) == console.EXIT_NO_READER
    assert capsys.readouterr().err == "stb-card: the reader has gone\n"


def test_a_reader_with_a_card_in_it_takes_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, side: ReaderSide
) -> None:
    """As vpcd does: it lets others connect behind the card that is in, and says nothing to them."""
    monkeypatch.setattr(vpcd, "NOTICED_S", 0.05)
    arguments = ["insert", "good", "--state", str(tmp_path), "--vpcd", f"127.0.0.1:{side.port}"]
    assert cli.main(arguments) == console.EXIT_OCCUPIED
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert f"127.0.0.1:{side.port} has a card in it already" in said.err
    assert "Ctrl-C" in said.err


def test_what_waits_behind_a_card_is_no_missing_reader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(vpcd.socket, "create_connection", full)
    assert cli.main(["insert", "good", "--state", str(tmp_path)]) == console.EXIT_OCCUPIED
    assert "--vpcd HOST:35964 is its second slot" in capsys.readouterr().err


def test_the_same_fault_is_ordered_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fault", "debit", "pull@7", "mac@80AE", "pull@7", "--state", str(tmp_path)]
    assert cli.main(arguments) == console.EXIT_USAGE
    assert capsys.readouterr().err == "stb-card: pull@7 is ordered already, and happens once\n"


def test_a_fault_without_a_card_is_told_from_a_card_that_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fault", "pull@7", "mac@80AE"])
    assert "before it stands the card that is to have it, as 'debit pull@7'" in capsys.readouterr().err
