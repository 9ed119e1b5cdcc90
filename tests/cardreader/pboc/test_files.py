"""Files and records: the declaration that reads also writes; whatever a card says is read or refused."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.errors import ProtocolError
from cardreader.pboc.files import (
    CardholderData,
    LoadInit,
    LogRecord,
    PsamApplication,
    PsamCard,
    PsamInit,
    PsamTerminal,
    PublicApplicationData,
    PurchaseInit,
    Record,
    is_empty,
    mask_number,
)

SIZES: dict[type[Record], int] = {
    PublicApplicationData: 30,
    CardholderData: 55,
    LogRecord: 23,
    PurchaseInit: 15,
    LoadInit: 16,
    PsamCard: 14,
    PsamTerminal: 6,
    PsamApplication: 25,
    PsamInit: 8,
}


def test_sizes_are_the_standards() -> None:
    assert {kind: kind.size() for kind in SIZES} == SIZES


@pytest.mark.parametrize("kind", SIZES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_any_bytes_are_read_or_refused(kind: type[Record], data: st.DataObject) -> None:
    raw = data.draw(st.binary(max_size=kind.size() + 4))
    try:
        record = kind.decode(raw)
    except ProtocolError as error:
        assert kind.TITLE in str(error)  # noqa: PT017  the point is that nothing else is raised
        return
    assert kind.decode(record.encode()) == record


def test_public_application_data_element_by_element() -> None:
    raw = bytes.fromhex("6217000000008531 02 01 62170018340572162047 20240301 20440229 ABCD")
    read = PublicApplicationData.decode(raw)
    assert read == PublicApplicationData(
        issuer_id=bytes.fromhex("6217000000008531"),
        application_type=2,
        version=1,
        application_serial=bytes.fromhex("62170018340572162047"),
        start_date=datetime.date(2024, 3, 1),
        expiry_date=datetime.date(2044, 2, 29),
        issuer_fci=bytes.fromhex("ABCD"),
    )
    assert read.encode() == raw


def test_a_log_record_element_by_element() -> None:
    raw = bytes.fromhex("0030 000000 000003E8 06 853100000001 20261121 201500")
    read = LogRecord.decode(raw)
    assert read == LogRecord(
        sequence_number=0x30,
        overdraft_limit_fen=0,
        amount_fen=1000,
        transaction_type=6,
        terminal_number=bytes.fromhex("853100000001"),
        date=datetime.date(2026, 11, 21),
        time=datetime.time(20, 15),
    )
    assert read.encode() == raw


@given(
    st.builds(
        LogRecord,
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 255),
        st.binary(min_size=6, max_size=6),
        st.dates(),
        st.times().map(lambda moment: moment.replace(microsecond=0)),
    )
)
def test_every_log_record_is_written_and_read_again(record: LogRecord) -> None:
    assert LogRecord.decode(record.encode()) == record


@given(st.text(st.sampled_from("张敏王Li 李"), max_size=10).map(str.strip))
def test_names_are_written_in_gb_2312(name: str) -> None:
    holder = CardholderData(0, 0, name, "110101199001010000", 0)
    raw = holder.encode()
    assert raw[2:22].rstrip(b"\x00") == name.encode("gb2312")
    assert CardholderData.decode(raw) == holder
    assert CardholderData.decode(raw.replace(b"\x00" * 8, b"\x20" * 8)).name == name


def test_what_does_not_fit_is_not_written() -> None:
    with pytest.raises(ValueError, match="not 20 bytes"):
        CardholderData(0, 0, "张" * 11, "", 0).encode()
    with pytest.raises(ValueError, match="6 bytes, not 5"):
        PsamTerminal(bytes(5)).encode()
    with pytest.raises(OverflowError):
        PurchaseInit(1 << 32, 0, 0, 0, 0, bytes(4)).encode()


def test_a_refusal_says_which_element() -> None:
    raw = bytes.fromhex("6217000000008531 02 01 62170018340572162047 20241301 20440229 0000")
    with pytest.raises(ProtocolError, match="start_date is 20241301"):
        PublicApplicationData.decode(raw)
    with pytest.raises(ProtocolError, match="30 bytes expected, 29 are there"):
        PublicApplicationData.decode(raw[:29])


@pytest.mark.parametrize(
    ("record", "empty"), [("00" * 23, True), ("FF" * 23, True), ("00FF", False), ("", True)]
)
def test_records_never_written(record: str, empty: bool) -> None:
    assert is_empty(bytes.fromhex(record)) is empty


@pytest.mark.parametrize(
    ("serial", "shown"),
    [
        ("62170018340572162047", "6217 00** **** **** 2047"),
        ("6217001834052047", "6217 00** **** 2047"),
        ("1234567890", "**** ** 7890"),
    ],
)
def test_masked_numbers(serial: str, shown: str) -> None:
    assert mask_number(serial) == shown
    assert mask_number(bytes.fromhex(serial)) == shown
