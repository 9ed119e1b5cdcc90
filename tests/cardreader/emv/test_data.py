"""GET DATA, electronic cash and logs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv import data
from cardreader.errors import ProtocolError
from tests.cardreader.emv.bench import Told

OK, NONE = 0x9000, 0x6A88
FORMAT = "9F4F059A039F0206"


def test_get_data() -> None:
    card = Told(("9F36020012", OK), ("", NONE))
    assert data.get_data(card.channel, 0x9F36) == b"\x00\x12"
    assert data.get_data(card.channel, 0x9F17) is None
    assert card.asked == ["80CA9F3600", "80CA9F1700"]
    with pytest.raises(ProtocolError, match="no object 9F36"):
        data.get_data(Told(("9F170103", OK)).channel, 0x9F36)


def test_electronic_cash() -> None:
    card = Told(
        ("9F7906000000018650", OK), ("9F7706000000100000", OK), ("", NONE), ("9F6D06000000001000", OK)
    )
    assert data.electronic_cash(card.channel) == data.ElectronicCash(18_650, 100_000, None, 1_000)
    with pytest.raises(ProtocolError, match="no amount: 0000000186AF"):
        data.electronic_cash(Told(("9F79060000000186AF", OK)).channel)


def test_the_transaction_log_by_its_format() -> None:
    card = Told(
        (FORMAT, OK), ("261122000000001990", OK), ("00" * 9, OK), ("261121000000000100", OK), ("", 0x6A83)
    )
    log = data.transaction_log(card.channel, b"\x0b\x0a")
    assert [(item.number, item.values[0x9A].hex(), item.values[0x9F02].hex()) for item in log] == [
        (1, "261122", "000000001990"),
        (3, "261121", "000000000100"),
    ]
    assert card.asked == ["80CA9F4F00", "00B2015C00", "00B2025C00", "00B2035C00", "00B2045C00"]


def test_the_load_log_begins_with_what_was_changed() -> None:
    card = Told(("DF4F029A03", OK), ("9F79" + "000000018650" + "000000050000" + "261122", OK), ("", 0x6A83))
    (entry,) = data.load_log(card.channel, b"\x0c\x0a")
    assert (entry.number, entry.tag, entry.before.hex(), entry.after.hex(), entry.values[0x9A].hex()) == (
        1,
        0x9F79,
        "000000018650",
        "000000050000",
        "261122",
    )


def test_a_card_without_a_log() -> None:
    assert data.transaction_log(Told().channel, None) == []


@pytest.mark.parametrize(
    ("entry", "answers", "says"),
    [
        (b"\x0a\x0a", [], "log entry: no file"),
        (b"\x0b", [], "log entry: no file"),
        (b"\x0b\x0a", [("", NONE)], "log format 9F4F: 0 bytes"),
        (b"\x0b\x0a", [("9F4F049A039A", OK)], "TLV"),
        (b"\x0b\x0a", [("9F4F039A039A", OK)], "DOL: the length of 9A at byte 3"),
        (b"\x0b\x0a", [("9F4F029AFF", OK), ("00", OK)], "log record 1: 255 bytes expected, 1 came"),
    ],
)
def test_a_log_that_is_none(entry: bytes, answers: list[tuple[str, int]], says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        data.transaction_log(Told(*answers).channel, entry)


@given(st.binary(max_size=4), st.binary(max_size=20), st.binary(max_size=20))
def test_any_log_ends(entry: bytes, form: bytes, record: bytes) -> None:
    told = b"\x9f\x4f" + bytes((len(form),)) + form
    card = Told((told.hex(), OK), *[(record.hex(), OK)] * 300)
    try:
        data.transaction_log(card.channel, entry)
    except ProtocolError as error:
        assert str(error)  # noqa: PT017
