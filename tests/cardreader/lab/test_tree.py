"""What a card has told, in words: lists of data objects, files, amounts, the purse's own files; nothing garbled stops it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.lab.trace import Exchange
from cardreader.lab.tree import answer, node, nodes
from cardreader.tlv import Tlv


@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [
        (0x9F38, "9F7A019F02065F2A02", "9F7A 1, 9F02 6, 5F2A 2"),
        (0x9F38, "9F7A", ""),
        (0x94, "0801010010010300", "SFI 1 records 1-1, SFI 2 records 1-3"),
        (0x94, "080101", ""),
        (0x80, "7C0008010100", "SFI 1 records 1-1"),
        (0x8E, "000000000000000042031F00", "online PIN or next, none"),
        (0x8E, "00", ""),
        (0x9F79, "000000018650", "186.50"),
        (0x9F79, "00000001865A", ""),
        (0x5F20, "5A48414E47", "ZHANG"),
        (0x5F20, "FFFF", ""),
        (0x5A, "6217001234567890", ""),
    ],
)
def test_what_a_value_says(tag: int, value: str, says: str) -> None:
    text = node(Tlv(tag, bytes.fromhex(value))).text
    assert text.endswith(says) if says else text == ""


TAGS = (
    0x50,
    0x57,
    0x5A,
    0x80,
    0x82,
    0x8C,
    0x8E,
    0x94,
    0x95,
    0x9F07,
    0x9F20,
    0x9F38,
    0x9F4F,
    0x9F79,
    0xDF4F,
    0xDF7F,
)


@given(st.sampled_from(TAGS), st.binary(max_size=40))
def test_no_value_stops_it(tag: int, value: bytes) -> None:
    assert nodes({tag: value})[0].tag == f"{tag:X}"


@given(
    st.sampled_from(["00B0950000", "00B201C400", "80CA9F7900", "00A40400", "00B2010C00"]),
    st.binary(max_size=60),
)
def test_no_answer_stops_it(command: str, data: bytes) -> None:
    assert answer(Exchange(bytes.fromhex(command), data, 0x9000, 0.0, 0.0)).raw is not None


def test_the_purse_s_files_have_names_and_no_number_in_full() -> None:
    public = bytes.fromhex("6217000000085310 02 01 62170018340572162047 20240301 20440229 0000")
    said = "\n".join(answer(Exchange(bytes.fromhex("00B0950000"), public, 0x9000, 0.0, 0.0)).lines())
    assert "application serial: 6217 00** **** **** 2047" in said
    assert "expiry date: 2044-02-29" in said
    record = bytes.fromhex("002F 000000 000005DC 06 110000320417 20261118 193205")
    said = "\n".join(answer(Exchange(bytes.fromhex("00B201C400"), record, 0x9000, 0.0, 0.0)).lines())
    assert "amount: 15.00" in said
    assert "time: 19:32:05" in said
