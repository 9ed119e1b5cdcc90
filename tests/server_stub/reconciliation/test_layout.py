"""Layouts: what one writes it reads, and of any bytes come records, malformed lines or a refusal."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from server_stub.reconciliation.engine import compare
from server_stub.reconciliation.layout import BadLine, Layout, LayoutError, write
from server_stub.reconciliation.reading import FileRefused
from server_stub.reconciliation.records import Cls, Record, Totals, masked
from server_stub.reconciliation.sources import FileSource, RecordSource
from tests.server_stub.reconciliation.pairs import DAY, ENDED, FIXED, PLAIN, YUAN, pair

WORDS = st.text(st.sampled_from("ab张19,;.'\"{}\\ 𠮷é"), max_size=6).map(str.strip)
KEYS = st.text(st.sampled_from("AK07張'"), min_size=1, max_size=6)
RECORDS = st.builds(
    Record,
    key=KEYS,
    amount_fen=st.integers(-(10**13), 10**13),
    currency=st.sampled_from(["CNY", "HKD"]),
    status=st.sampled_from(["S", "R", "F"]),
    day=st.dates(date(2026, 6, 19), date(2026, 6, 23)),
    note=WORDS,
)


def read(path: Path, layout: Layout, folder: Path) -> list[Record | BadLine]:
    return [one for _, one in FileSource(path, layout).records(DAY, folder)]


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(RECORDS, max_size=5), layout=st.sampled_from([PLAIN, ENDED, FIXED]), crlf=st.booleans()
)
def test_what_is_written_is_read(records: list[Record], layout: Layout, crlf: bool) -> None:
    if crlf:
        layout = layout.model_copy(update={"end": "crlf"})
    with TemporaryDirectory() as name:
        path = Path(name) / "file"
        totals = write(layout, records, path, DAY)
        assert read(path, layout, Path(name)) == records
    assert totals == Totals(len(records), sum(one.amount_fen for one in records), totals.declared)


def test_yuan_keys_of_two_columns_and_another_character_set(tmp_path: Path) -> None:
    kept = Record("T1-0042", -1205, "CNY", "S", DAY, "2026-06-21 23:30:00")
    file = tmp_path / "file"
    write(YUAN, [kept], file, DAY)
    assert file.read_bytes().startswith(b"\xff\xfe")
    assert "`" not in file.read_text("utf-16")
    assert read(file, YUAN.model_copy(update={"currency": "CNY"}), tmp_path) == [kept]
    file.write_text("D\t`0042\t`2026-06-21 23:30:00\t`T1\t`-12.05\t`S\n", "utf-8")
    assert read(file, YUAN.model_copy(update={"currency": "CNY"}), tmp_path) == [kept]


def test_a_day_ends_at_the_cut_off(tmp_path: Path) -> None:
    layout = Layout.model_validate(
        {
            "form": "delimited",
            "cut_off": "23:00",
            "columns": [
                {"name": "key"},
                {"name": "amount", "kind": "fen"},
                {"name": "day", "kind": "date", "pattern": "%Y%m%d%H%M%S"},
            ],
        }
    )
    file = tmp_path / "file"
    file.write_text("a|1|20260620225959\nb|1|20260620230000\n")
    days = [one.day for one in read(file, layout, tmp_path) if isinstance(one, Record)]
    assert days == [date(2026, 6, 20), DAY]
    book = [Record("a", 1, "CNY", "", date(2026, 6, 20)), Record("b", 1, "CNY", "", DAY)]
    without = pair(here=layout).model_copy(update={"window_days": 0})
    plain = without.model_copy(update={side: without.book(side).model_copy(update={"statuses": {}}) for side in ("here", "there")})  # fmt: skip
    with compare(plain, FileSource(file, layout), RecordSource(book), day=DAY, work=tmp_path / "w") as result:
        assert result.counts == {Cls.MATCHED: (2, 2)}


@pytest.mark.parametrize(
    "record",
    [
        Record("a|b", 1, "CNY", "S", DAY),
        Record("a\nb", 1, "CNY", "S", DAY),
        Record("", 1, "CNY", "S", DAY),
        Record("a", 10**15, "CNY", "S", DAY),
        Record("a", 1, "CNY", "S", DAY, "\x00"),
    ],
)
def test_a_record_that_would_not_be_read_as_written_is_not_written(tmp_path: Path, record: Record) -> None:
    for layout in (PLAIN, FIXED):
        if layout is FIXED and "|" in record.key:
            continue
        with pytest.raises(LayoutError):
            write(layout, [record], tmp_path / "file", DAY)
    with pytest.raises(LayoutError):
        write(FIXED, [Record("a" * 13, 1, "CNY", "S", DAY)], tmp_path / "file", DAY)
    with pytest.raises(LayoutError):
        write(
            PLAIN.model_copy(update={"charset": "ascii"}),
            [Record("张", 1, "CNY", "S", DAY)],
            tmp_path / "f",
            DAY,
        )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"form": "delimited", "columns": [{"name": "key"}, {"name": "fen"}]}, "no column amount"),
        ({"form": "fixed", "columns": [{"name": "key"}, {"name": "amount", "kind": "fen"}]}, "has a width"),
        ({"form": "delimited", "columns": [{"name": "key"}, {"name": "amount"}]}, "of kind fen or yuan"),
        ({**PLAIN.model_dump(), "charset": "klingon"}, "no character set"),
        ({**PLAIN.model_dump(), "separator": "\n"}, "what ends a line"),
        ({**PLAIN.model_dump(), "columns": [*PLAIN.model_dump()["columns"], {"name": "key"}]}, "one name"),
        ({**ENDED.model_dump(), "skip": 1}, "either a header"),
        ({**PLAIN.model_dump(), "colums": []}, "Extra inputs"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Layout.model_validate(wrong)


LINES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [
            b"k1|500|CNY|S|2026-06-21|",
            b"k2|-5|CNY|R|2026-06-20|x",
            b"k2|007|CNY|F|2026-06-22|\xe5\xbc\xa0",
            b"k3|1e3|CNY|S|2026-06-21|",
            b"k3| 5|CNY|S|2026-06-21|",
            b"k4|1|CNY|S|2026-02-30|",
            b"k4|1|CNY|S|2026-6-1|",
            b"k5|1|CNY|X|2026-06-21|",
            b"k6|1|CNY|S|2026-06-21",
            b"k6|1|CNY|S|2026-06-21||",
            b"|1|CNY|S|2026-06-21|",
            b"k7|1|CNY|S|2026-06-21|a\x00b",
            b"k8|1|CNY|S|2026-06-21|\x7f",
            b"k\xef\xbf\xbd|1|CNY|S|2026-06-21|",
            b"k9|" + b"9" * 16 + b"|CNY|S|2026-06-21|",
            b"H|20260621",
            b"T|1|500",
            b"T|0|0",
            b"",
            b" ",
            b"\xef\xbb\xbfk1|1|CNY|S|2026-06-21|",
            b"\xff\xfe",
            b"k10         000000000000500CNYS   2026-06-21\xd5\xc5                  ",
            b'"k"|1|CNY|S|2026-06-21|"',
        ]
    ),
)
BYTES = st.builds(
    lambda lines, end: end.join(lines), st.lists(LINES, max_size=6), st.sampled_from([b"\n", b"\r\n", b"\r"])
)


@settings(max_examples=150, deadline=None)
@given(data=BYTES, layout=st.sampled_from([PLAIN, ENDED, FIXED, YUAN]), ended=st.booleans())
def test_of_any_bytes_come_records_malformed_lines_or_a_refusal(
    data: bytes, layout: Layout, ended: bool
) -> None:
    """And DuckDB makes the same of them as the layout itself."""
    if ended and layout is ENDED:
        data = b"H|20260621\n" + data + b"\nT|1|500\n"
    with TemporaryDirectory() as name:
        folder, path = Path(name), Path(name) / "file"
        path.write_bytes(data)
        both = pair(here=layout)
        try:
            found = list(FileSource(path, layout).records(DAY, folder, "CNY"))
        except FileRefused:
            with pytest.raises(FileRefused):
                compare(both, FileSource(path, layout), RecordSource([]), day=DAY, work=folder)
            return
        known = both.here.statuses
        good = [one for _, one in found if isinstance(one, Record) and one.status in known]
        bad = [number for number, one in found if not (isinstance(one, Record) and one.status in known)]
        try:
            result = compare(both, FileSource(path, layout), RecordSource([]), day=DAY, work=folder)
        except FileRefused as refusal:
            assert "declares" in str(refusal.why)  # noqa: PT017
            return
        with result:
            assert result.here.count == len(good)
            assert result.here.fen == sum(one.amount_fen for one in good)
            told = list(result.differences())
            assert sorted(one.line or 0 for one in told if one.cls is Cls.MALFORMED) == bad
            singles = {one.key for one in good if [other.key for other in good].count(one.key) == 1}
            missing = {one.key: one.here for one in told if one.cls is Cls.MISSING_THERE}
            assert set(missing) == singles
            for one in good:
                if one.key in singles:
                    seen = missing[one.key]
                    assert seen is not None
                    assert (seen.amount_fen, seen.currency, seen.day) == (
                        one.amount_fen,
                        one.currency,
                        one.day,
                    )
                    assert seen.note == masked(one.note)


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_told_or_read_where_it_was_agreed(tmp_path: Path, charset: str) -> None:
    path = tmp_path / "file"
    path.write_text("H|20260621\nk|1|CNY|S|2026-06-21|\nT|1|1\n", charset)
    with pytest.raises(FileRefused, match="looks like UTF-16 without its mark, which is not among utf-8"):
        read(path, ENDED.model_copy(update={"charsets": ()}), tmp_path)
    for agreed in ("utf-16", charset):
        (record,) = read(path, ENDED.model_copy(update={"charsets": (agreed,)}), tmp_path)
        assert isinstance(record, Record)
        assert record.key == "k"


def test_a_total_that_no_book_can_have_is_said_as_that(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(f"H|20260621\nT|0|{10**19}\n", "utf-8")
    with pytest.raises(FileRefused, match="is '10000000000000000000', which has more than 15 digits"):
        read(path, ENDED, tmp_path)


def test_whatever_looks_like_a_card_number_is_masked() -> None:
    assert masked("6210220110002707355") == "621022*********7355"
    assert masked("a1234567890123b") == "a123456***0123b"
    assert masked("123456789012 12345678901234567890") == "123456789012 12345678901234567890"
