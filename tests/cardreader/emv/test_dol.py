"""Data object lists: any bytes are read or refused; values are padded and cut by their format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv import dol
from cardreader.errors import ProtocolError


@given(st.binary(max_size=260), st.dictionaries(st.sampled_from([0x9F02, 0x5A, 0x95, 0x9F4E]), st.binary()))
def test_any_bytes_are_a_dol_or_refused(data: bytes, values: dict[int, bytes]) -> None:
    try:
        entries = dol.parse(data)
    except ProtocolError as error:
        assert "at byte" in str(error)  # noqa: PT017  the point is that nothing else is raised
        return
    filled = dol.fill(entries, values)
    assert len(filled) == dol.length(entries)
    assert len(dol.split(entries, filled)) == len({entry.tag for entry in entries})


@pytest.mark.parametrize(
    ("data", "says"),
    [("9F", "the tag at byte 0 is cut off"), ("9F3704 9C", "the length of 9C at byte 4 is missing")],
)
def test_an_error_says_where(data: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        dol.parse(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ("9F0206", "1234", "000000001234"),  # n: padded on the left
        ("9F0202", "000000001234", "1234"),  # n: cut on the left
        ("5A04", "1234", "1234FFFF"),  # cn: padded with F on the right
        ("9F1C04", "3132", "31320000"),  # an: padded with zeros on the right
        ("9502", "0102030405", "0102"),  # b: cut on the right
        ("DF7F02", "", "0000"),  # not known
        ("7002", "FFFF", "0000"),  # a template
    ],
)
def test_values_fit(entry: str, value: str, told: str) -> None:
    entries = dol.parse(bytes.fromhex(entry))
    values = {entries[0].tag: bytes.fromhex(value)}
    assert dol.fill(entries, values).hex().upper() == told


def test_values_of_another_length_are_refused() -> None:
    entries = dol.parse(bytes.fromhex("9A03 9A03 9C01"))
    assert dol.split(entries, bytes.fromhex("26112200000031")) == {0x9A: b"\x26\x11\x22", 0x9C: b"\x31"}
    with pytest.raises(ProtocolError, match="7 bytes of values expected, 6 came"):
        dol.split(entries, bytes(6))
