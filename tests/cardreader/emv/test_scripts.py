"""Issuer scripts: each ends where the card refuses; what cannot be read is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv.scripts import IssuerResponse, parse_script, run
from cardreader.errors import ProtocolError
from tests.cardreader.emv.bench import Told

UNBLOCK, PUT = "84240000041A2B3C4D", "04DA9F790A0000000500001A2B3C4D"


def script(*commands: str, identifier: str = "9F180400000007") -> bytes:
    inside = b"".join(bytes.fromhex("86") + bytes((len(c) // 2,)) + bytes.fromhex(c) for c in commands)
    return bytes.fromhex(identifier) + inside


@pytest.mark.parametrize(
    ("answers", "results", "whole", "asked"),
    [
        ([0x9000, 0x9000], "2000000007", True, 2),
        ([0x6281, 0x6300], "2000000007", True, 2),
        ([0x6988], "1100000007", False, 1),
        ([0x9000, 0x6A80], "1200000007", False, 2),
    ],
)
def test_a_script_ends_where_the_card_refuses(
    answers: list[int], results: str, whole: bool, asked: int
) -> None:
    card = Told(*(("", sw) for sw in answers))
    assert run(card.channel, (script(UNBLOCK, PUT),)) == (bytes.fromhex(results), whole)
    assert card.asked == [UNBLOCK, PUT][:asked]


def test_the_next_script_is_carried_out_all_the_same() -> None:
    card = Told(("", 0x6988), ("", 0x9000))
    results, whole = run(card.channel, (script(UNBLOCK), b"\x86\x09\x01", script(PUT, identifier="")))
    assert (results.hex(), whole) == ("1100000007" + "0000000000" + "2000000000", False)


def test_no_script() -> None:
    assert run(Told().channel, ()) == (b"", True)


def test_an_answers_field_55() -> None:
    field = bytes.fromhex("910A 1122334455667788 3030 7203860101 7103860102 72020000")
    found = IssuerResponse.from_field_55(b"00", field)
    assert found.authentication_data.hex() == "11223344556677883030"
    assert found.scripts_71 == (bytes.fromhex("860102"),)
    assert found.scripts_72 == (bytes.fromhex("860101"), bytes(2))
    with pytest.raises(ValueError, match="2 characters"):
        IssuerResponse(b"0")


@given(st.binary(max_size=100))
def test_any_bytes_are_a_script_or_refused(value: bytes) -> None:
    for parser in (parse_script, lambda data: IssuerResponse.from_field_55(b"00", data)):
        try:
            parser(value)
        except ProtocolError as error:
            assert str(error)  # noqa: PT017


def test_an_identifier_of_another_length() -> None:
    with pytest.raises(ProtocolError, match="4 bytes, not 1"):
        parse_script(bytes.fromhex("9F180100"))
