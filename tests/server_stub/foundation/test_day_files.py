"""Files of a day: what is written is read; what was cut or changed is refused; a bad line stops no other."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server_stub.foundation import day_files
from server_stub.foundation.day_files import FileBad, Totals, Writer

DAY = date(2026, 6, 21)
FIELDS = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="|"), max_size=12)
RECORDS = st.lists(st.tuples(FIELDS, st.integers(0, 10**10), FIELDS), max_size=8)
SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, records: list[tuple[str, int, str]]) -> Totals:
    with Writer(path, "XFMX", DAY) as out:
        for record in records:
            out.add(record)
    return out.totals


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "XFMX20260621.TXT"


@SETTINGS
@given(RECORDS)
def test_what_is_written_is_read(path: Path, records: list[tuple[str, int, str]]) -> None:
    assert write(path, records) == day_files.check(path, "XFMX", DAY)
    lines = list(day_files.read(path, "XFMX", 3))
    assert [line.fields for line in lines] == [(name, str(fen), more) for name, fen, more in records]
    assert not any(line.fault for line in lines)
    assert sum(line.amount_fen for line in lines) == sum(fen for _, fen, _ in records)


@SETTINGS
@given(RECORDS, st.data())
def test_a_file_that_was_cut_anywhere_is_refused(
    path: Path, records: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    write(path, records)
    whole = path.read_bytes()
    # Without the last newline it still says all that it said.
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 2))])
    with pytest.raises(FileBad):
        day_files.check(path, "XFMX", DAY)


@SETTINGS
@given(st.binary(max_size=300))
def test_any_bytes_are_a_file_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(FileBad):
        day_files.check(path, "XFMX", DAY)
    list(day_files.read(path, "XFMX", 3))


def test_a_line_that_is_none_stops_no_other(path: Path) -> None:
    write(path, [("a", 5, "x"), ("b", 7, "y"), ("c", 9, "z")])
    path.write_bytes(path.read_bytes().replace(b"D|b|7|y", b"D|b|7\xff|y|\x01"))
    lines = list(day_files.read(path, "XFMX", 3))
    assert [line.fault != "" for line in lines] == [False, True, False]
    assert lines[1].number == 3


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"H|XFMX", b"H|QSMX", "line 1: this is a file QSMX, not XFMX"),
        (b"H|XFMX|20260621", b"H|XFMX|20260622", "line 1: this is the file of 20260622"),
        (b"D|a|5|x", b"D|a|6|x", "it says 2 records with 12 fen; there are 2 with 13 fen"),
        (b"D|a|5|x\n", b"", "it says 2 records with 12 fen; there are 1 with 7 fen"),
        (
            b"T|XFMX|20260621|0000000002",
            b"T|XFMX|20260621|0000000003",
            "line 4: the trailer says other totals",
        ),
        (b"H|", b"h|", "line 1: a header like H|XFMX|20260621|"),
    ],
)
def test_what_is_wrong_is_said(path: Path, old: bytes, new: bytes, why: str) -> None:
    write(path, [("a", 5, "x"), ("b", 7, "y")])
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(FileBad) as refused:
        day_files.check(path, "XFMX", DAY)
    assert why in str(refused.value)


def test_what_follows_the_trailer_is_refused(path: Path) -> None:
    write(path, [("a", 5, "x")])
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(FileBad, match="line 4: something comes after the trailer"):
        day_files.check(path, "XFMX", DAY)


def test_lines_may_end_as_on_other_systems(path: Path) -> None:
    write(path, [("a", 5, "x")])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert day_files.check(path, "XFMX", DAY) == Totals(1, 5)
    assert [line.fields for line in day_files.read(path, "XFMX", 3)] == [("a", "5", "x")]


@pytest.mark.parametrize("field", ["a|b", "a\nb", "a\0", "元"])
def test_a_field_that_no_line_can_hold_is_refused(path: Path, field: str) -> None:
    with pytest.raises(ValueError, match="no line can hold"):
        write(path, [("a", 5, field)])
    with pytest.raises(FileBad):  # and what was begun is no file
        day_files.check(path, "XFMX", DAY)


def test_a_line_without_an_end_does_not_fill_memory(path: Path) -> None:
    path.write_bytes(b"D|" + b"9" * 100_000)
    pieces = list(day_files.read(path, "XFMX", 3))
    assert len(pieces) > 20
    assert all(line.fault for line in pieces)
