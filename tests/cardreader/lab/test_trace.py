"""Traces: what is kept, for whom, what a damaged one says, and the card that one makes."""

from __future__ import annotations

import functools
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.errors import CardRemoved, ProtocolError
from cardreader.lab import trace
from cardreader.lab.replay import ReplayedCard
from cardreader.lab.trace import Exchange, Recorder, Trace
from cardreader.purse import Purse
from cardreader.secret import Pin
from cardreader.sim.card import CardLeft
from cardreader.sim.reader import SimReader
from tests.cardreader.conftest import NEVER

hexes = st.binary(max_size=260)
times = st.floats(0, 1e6).map(lambda ms: round(ms, 2))
commands = st.binary(min_size=4, max_size=260)
exchanges = st.builds(Exchange, commands, hexes, st.none() | st.integers(0, 0xFFFF), times, times)
traces = st.builds(
    Trace,
    st.text(max_size=40),
    st.binary(max_size=33),
    st.text(max_size=40),
    st.lists(exchanges, max_size=5).map(tuple),
)


EMPTY = Trace("r", b"", "", ())


class Ticks:
    """A clock that goes on by ten milliseconds whenever it is looked at."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 0.01
        return self._now


def traced(profile: str = "good") -> tuple[Recorder, SimReader]:
    reader = SimReader(profile)
    return Recorder(reader.wait_for_card(1, NEVER), Ticks()), reader


def whole(recorder: Recorder) -> Trace:
    return Trace("Simulated reader", recorder.atr, "2026-11-22T12:00:00+00:00", tuple(recorder.exchanges))


def test_every_exchange_has_its_time_and_a_pin_is_overwritten() -> None:
    recorder, reader = traced()
    purse = Purse(recorder)
    purse.verify_pin(Pin("123456"))
    assert reader.card is not None
    assert recorder.atr == reader.card.atr
    last = recorder.exchanges[-1]
    assert (last.command.hex(), last.sw) == ("0020000003ffffff", 0x9000)
    assert last.took_ms == pytest.approx(10)
    assert last.at_ms > recorder.exchanges[0].at_ms
    assert "123456" not in whole(recorder).to_text()
    assert "62170018340572162047" not in "".join(one.line() for one in recorder.exchanges)


def test_a_card_that_leaves_stands_in_the_trace() -> None:
    recorder, reader = traced()
    reader.pull()
    with pytest.raises(CardRemoved):
        recorder.transmit(bytes.fromhex("805C000204"))
    assert recorder.exchanges[0].sw is None
    assert "the card left" in recorder.exchanges[0].line()
    card = ReplayedCard(whole(recorder))
    with pytest.raises(CardLeft):
        card.transmit(bytes.fromhex("805C000204"))


def test_it_is_kept_for_its_owner_alone_whole_or_not_at_all(tmp_path: Path) -> None:
    recorder, _ = traced()
    Purse(recorder)
    path = tmp_path / "good.trace"
    trace.save(whole(recorder), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.command for one in trace.load(path).exchanges] == [one.command for one in recorder.exchanges]
    with pytest.raises(OSError, match="Not a directory"):
        trace.save(whole(recorder), path / "below")
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_left_as_it_is(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for place in (pipe, link):
        for write in (trace.try_place, functools.partial(trace.save, EMPTY)):
            with pytest.raises(OSError, match="a device or a pipe"):
                write(place)
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert link.is_symlink()
    assert {*tmp_path.iterdir()} == {pipe, link}


def test_a_link_leads_to_the_file_that_is_written(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    target, link = below / "target.trace", tmp_path / "link"
    link.symlink_to(target)
    for _ in range(2):
        trace.save(EMPTY, link)
        assert link.is_symlink()
        assert trace.load(target) == EMPTY


def test_no_other_file_is_overwritten_than_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for content in (b"my notes\n", b"\xff", b"{}"):
        path.write_bytes(content)
        for write in (trace.try_place, functools.partial(trace.save, EMPTY)):
            with pytest.raises(FileExistsError, match="no trace"):
                write(path)
        assert path.read_bytes() == content
    path.write_bytes(b"")
    for _ in range(2):
        trace.save(EMPTY, path)
        assert trace.load(path) == EMPTY


@given(traces)
def test_what_was_kept_is_read_again(made: Trace) -> None:
    assert trace.read(made.to_text().split("\n")[:-1]) == made


def complaint(lines: list[str]) -> str:
    try:
        trace.read(lines)
    except ProtocolError as error:
        return str(error)
    return "line by line a trace"


@given(st.lists(st.text(max_size=30)) | st.lists(traces.map(Trace.to_text)))
def test_any_lines_are_a_trace_or_an_error_that_names_one(lines: list[str]) -> None:
    assert complaint(lines).startswith("line ")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ("[]", "line 2 is not a JSON object"),
        ('{"command": 1}', "line 2: at_ms is not a time"),
        ('{"at_ms": 1, "took_ms": NaN}', "line 2: took_ms is not a time"),
        ('{"at_ms": 1, "took_ms": 1, "command": "0"}', "line 2: command is not hexadecimal"),
        ('{"at_ms": 1, "took_ms": 1, "command": "00", "answer": ""}', "line 2: command is shorter than 4"),
        ('{"at_ms": 1, "took_ms": 1, "command": "00", "answer": null}', "line 2: answer is not a text"),
        (
            '{"at_ms": 1, "took_ms": 1, "command": "00", "answer": "", "sw": "90"}',
            "line 2: sw is not two bytes",
        ),
    ],
)
def test_what_is_damaged_says_where(line: str, says: str) -> None:
    head = Trace("r", b"", "", ()).to_text()
    with pytest.raises(ProtocolError, match=says):
        trace.read([head, line])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "line 1 is not JSON"),
        (b"{}", "line 1: this is no trace"),
        (Trace("r", bytes(34), "", ()).to_text().encode(), "line 1: atr is longer than 33 bytes"),
        (b"\xff\n", "line 1 is not UTF-8"),
        (b" " * 5000, "line 1 is longer than 4096 bytes"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.trace"
    path.write_bytes(content)
    with pytest.raises(ProtocolError, match=f"a.trace: {says}"):
        trace.load(path)


def test_the_card_of_a_trace_reads_like_the_one_that_was_traced() -> None:
    recorder, _ = traced()
    purse = Purse(recorder)
    told = (purse.information, purse.balance_fen(), purse.log())
    card = ReplayedCard(trace.read(whole(recorder).to_text().splitlines()))
    card.power_on()

    class Slot:
        transmit = staticmethod(card.transmit)

        def close(self) -> None:
            """Nothing to let go of."""

    for _ in range(2):  # also once more from its middle
        again = Purse(Slot())
        assert (again.information, again.balance_fen(), again.log()) == told
    assert not card.strange


def test_what_was_never_asked_is_answered_and_counted() -> None:
    recorder, _ = traced()
    Purse(recorder)
    card = ReplayedCard(whole(recorder))
    strange = bytes.fromhex("00840000")
    assert card.transmit(strange) == card.transmit(strange) == (b"", 0x6F00)
    assert card.strange == {strange: 2}


def test_a_terminal_s_own_numbers_find_the_answer_to_another_s() -> None:
    kept = Exchange(bytes.fromhex("80AE80000101"), b"\x77", 0x9000, 0, 0)
    selected = Exchange(bytes.fromhex("00A4040001A0"), b"\x6f", 0x9000, 0, 0)
    card = ReplayedCard(Trace("", b"", "", (selected, kept)))
    assert card.transmit(bytes.fromhex("80AE80000102")) == (b"\x77", 0x9000)
    assert card.transmit(bytes.fromhex("00A4040001A1")) == (b"", 0x6F00)
    assert json.loads(Trace("", b"", "", (kept,)).to_text().splitlines()[1])["meaning"] == "GENERATE AC ARQC"
