"""What commands say, and that nothing secret does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.apdu import Command
from cardreader.lab.meaning import explain, masked_answer

NUMBER = "6210220110002707355"


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
        ("00FF0000", "a command of no standard we know (00 FF)"),
        ("00", "no command: a command APDU has at least 4 bytes, not 1"),
    ],
)
def test_what_a_command_says(apdu: str, says: str) -> None:
    assert explain(bytes.fromhex(apdu)) == says


@pytest.mark.parametrize(
    ("command", "answer", "shown"),
    [
        ("00B2010C00", f"700C 5A0A {NUMBER}F", "700C5A0A621022*********7355F"),
        ("00B2010C00", f"7012 5710 {NUMBER}D301220100000", "70125710621022*********7355D301220100000"),
        ("00B095001E", "6217000000008531 0201 62170018340572162047 20240301 20440229 0000", ""),
        ("00B2010C00", "70025A", "70025A"),
        ("80CA9F7900", "9F7906000000010000", "9F7906000000010000"),
    ],
)
def test_of_a_card_s_number_only_the_ends_are_shown(command: str, answer: str, shown: str) -> None:
    said = masked_answer(bytes.fromhex(command), bytes.fromhex(answer))
    assert "62170018340572162047" not in said
    assert NUMBER not in said
    assert said == (shown or "62170000000085310201621700**********2047202403012044022900" + "00")


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_have_a_line(apdu: bytes, answer: bytes) -> None:
    assert "\n" not in explain(apdu)
    assert len(masked_answer(apdu, answer)) == 2 * len(answer)


@given(*(st.integers(0, 255) for _ in range(4)), st.binary(max_size=255))
def test_any_command_has_a_name(cla: int, ins: int, p1: int, p2: int, data: bytes) -> None:
    assert explain(Command(cla, ins, p1, p2, data).to_bytes())
