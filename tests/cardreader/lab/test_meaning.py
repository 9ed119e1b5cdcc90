"""What commands say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.apdu import Command
from cardreader.lab.meaning import explain


@pytest.mark.parametrize(
    ("apdu", "says"),
    [
        ("00A4040008A000000333010101", "SELECT A000000333010101"),
        ("00A4040208A000000333010101", "SELECT A000000333010101, next"),
        ("00A40000023F00", "SELECT file 3F00"),
        ("00B201C417", "READ RECORD 1 of SFI 24"),
        ("00B095001E", "READ BINARY SFI 15 from 0"),
        ("00B0010210", "READ BINARY from 258"),
        ("80CA9F7900", "GET DATA 9F79"),
        ("80AE9000010000", "GENERATE AC ARQC with CDA"),
        ("80AE40000100", "GENERATE AC TC"),
        ("805001020B" + "00" * 11, "INITIALIZE FOR PURCHASE"),
        ("805401000F" + "00" * 15, "DEBIT FOR PURCHASE"),
        ("0020000003FFFFFF", "VERIFY"),
        ("805E010003FFFFFF", "CHANGE PIN"),
        ("805E000007FFFFFFFFFFFFFF", "RELOAD PIN"),
        ("FFCA000000", "GET UID"),
        ("00FF0000", "a command of no standard we know (00 FF)"),
        ("00", "no command: a command APDU has at least 4 bytes, not 1"),
    ],
)
def test_what_a_command_says(apdu: str, says: str) -> None:
    assert explain(bytes.fromhex(apdu)) == says


@given(st.binary(max_size=300))
def test_any_bytes_have_a_line(apdu: bytes) -> None:
    assert "\n" not in explain(apdu)


@given(*(st.integers(0, 255) for _ in range(4)), st.binary(max_size=255))
def test_any_command_has_a_name(cla: int, ins: int, p1: int, p2: int, data: bytes) -> None:
    assert explain(Command(cla, ins, p1, p2, data).to_bytes())
