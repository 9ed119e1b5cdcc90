"""AFL, GET PROCESSING OPTIONS and records: any bytes are read or refused, and the static data is what is signed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv.bits import Aip
from cardreader.emv.dol import DolEntry
from cardreader.emv.records import AflEntry, parse_afl, parse_options, pdol_values, read
from cardreader.errors import ProtocolError, StatusError
from tests.cardreader.emv.bench import Told

MANDATORY = "5F2403290228 5A026217 8C00 8D00".replace(" ", "")


@pytest.mark.parametrize(
    ("afl", "says"),
    [
        ("080101", "3 bytes too many at byte 0"),
        ("08010100 090101", "3 bytes too many at byte 4"),
        ("09010100", "no short file identifier: 09 at byte 0"),
        ("00010100", "no short file identifier: 00 at byte 0"),
        ("F8010100", "no short file identifier: F8 at byte 0"),
        ("08010100 10000100", "records 0 to 1, 0 of them signed, at byte 5"),
        ("08020100", "records 2 to 1"),
        ("08010103", "3 of them signed"),
        ("0801FF00 10010100", "more than 255 records at byte 0"),
    ],
)
def test_an_afl_that_cannot_be(afl: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        parse_afl(bytes.fromhex(afl))


@given(st.binary(max_size=260))
def test_any_bytes_are_an_afl_or_refused(afl: bytes) -> None:
    try:
        entries = parse_afl(afl)
    except ProtocolError as error:
        assert "at byte" in str(error)  # noqa: PT017
    else:
        assert b"".join(bytes((e.sfi << 3, e.first, e.last, e.signed)) for e in entries) == afl


@given(st.binary(max_size=60))
def test_any_bytes_are_options_or_refused(data: bytes) -> None:
    for told in (data, b"\x80" + bytes((len(data),)) + data, b"\x77" + bytes((len(data),)) + data):
        try:
            parse_options(told)
        except ProtocolError as error:
            assert str(error)  # noqa: PT017


def test_both_formats_of_options() -> None:
    expected = (Aip(0x7C00), (AflEntry(1, 1, 2, 1),))
    for data in ("80067C0008010201", "770A 82027C00 940408010201"):
        found = parse_options(bytes.fromhex(data))
        assert (found.aip, found.afl) == expected
    for data, says in (("8000", "2 bytes"), ("80027C00", "no AFL"), ("7000", "neither")):
        with pytest.raises(ProtocolError, match=says):
            parse_options(bytes.fromhex(data))


def test_what_is_signed() -> None:
    card = Told((f"700E{MANDATORY}", 0x9000), ("7003500141", 0x9000), ("7004 9F080130", 0x9000))
    found = read(card.channel, parse_afl(bytes.fromhex("08010201 58010101")))
    assert card.asked == ["00B2010C00", "00B2020C00", "00B2015C00"]
    # Below file 11 the template's content is signed, above it the whole record.
    assert found.signed == bytes.fromhex(MANDATORY + "70049F080130")
    assert (found.objects[0x50], found.objects[0x9F08]) == (b"A", b"\x30")


def test_a_record_that_is_no_template_cannot_be_signed() -> None:
    afl = parse_afl(bytes.fromhex("08010100 58010101"))
    found = read(Told((f"700E{MANDATORY}", 0x9000), ("0102", 0x9000)).channel, afl)
    assert found.signed is None


@pytest.mark.parametrize(
    ("records", "says"),
    [
        (["7003500141"], "records: 5F24, 5A, 8C, 8D missing"),
        ([f"7011{MANDATORY}5A0101"], "record 1 of file 1: 5A has come before"),
        (["500141"], "record 1 of file 1: no template 70 at byte 0"),
        (["70055A"], "record 1 of file 1: TLV: 70 says 5 bytes at byte 2"),
    ],
)
def test_records_that_make_no_card(records: list[str], says: str) -> None:
    card = Told(*((record, 0x9000) for record in records))
    with pytest.raises(ProtocolError, match=says):
        read(card.channel, parse_afl(bytes.fromhex("08010100")))


def test_a_record_that_is_not_there() -> None:
    with pytest.raises(StatusError, match="READ RECORD: 6A83"):
        read(Told(("", 0x6A83)).channel, parse_afl(bytes.fromhex("08010100")))


def test_a_pdol_that_no_command_holds() -> None:
    assert len(pdol_values([DolEntry(0x9F02, 252)], {})) == 252
    with pytest.raises(ProtocolError, match="253 bytes of values"):
        pdol_values([DolEntry(0x9F02, 253)], {})
