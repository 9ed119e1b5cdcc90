"""Details of purse debits: lines, and card numbers that only the other side can read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from server_stub.foundation import purse_details
from server_stub.foundation.purse_details import Detail, SerialUnreadable
from server_stub.foundation.secret import CardNumber, SecretBytes

TMK = SecretBytes(bytes(range(16)))
DETAIL = Detail(
    reference="01KAGJ5B8ZQ7T2M9XW4C7F20A1",
    amount_fen=2500,
    transaction_type="06",
    terminal_number="112233445566",
    terminal_transaction_number="00000007",
    date="20260621",
    time="101500",
    tac="0A1B2C3D",
    issuer_id="6217000000008531",
    key_version="01",
    algorithm_id="00",
    serial="AB" * 26,
)


def test_a_line_says_what_was_put_into_it() -> None:
    assert Detail.of([str(field) for field in DETAIL.record()]) == DETAIL


@pytest.mark.parametrize(
    ("name", "value"),
    [("tac", "0a1b2c3d"), ("date", "2026-6-1"), ("serial", "AB"), ("reference", ""), ("issuer_id", "62" * 9)],
)
def test_a_field_of_another_shape_is_named(name: str, value: str) -> None:
    record = [str(field) for field in replace(DETAIL, **{name: value}).record()]
    with pytest.raises(ValueError, match=name):
        Detail.of(record)


@given(st.binary(min_size=10, max_size=10), st.text(max_size=20))
def test_who_has_the_key_reads_the_serial_of_that_line(serial: bytes, reference: str) -> None:
    concealed = purse_details.conceal(TMK, CardNumber(serial), reference)
    assert concealed == purse_details.conceal(TMK, CardNumber(serial), reference)
    assert serial.hex().upper() not in concealed
    assert purse_details.reveal(TMK, concealed, reference).reveal() == serial
    for tmk, other in ((TMK, reference + "x"), (SecretBytes(bytes(16)), reference)):
        with pytest.raises(SerialUnreadable):
            purse_details.reveal(tmk, concealed, other)


def test_what_is_no_sealed_serial_is_unreadable() -> None:
    for text in ("", "zz", "AB" * 26):
        with pytest.raises(SerialUnreadable):
            purse_details.reveal(TMK, text, "a")


def test_the_cipher_is_the_one_of_rfc_5297() -> None:
    """Its appendix A.1, with the library that is used here."""
    key = bytes.fromhex("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    ad = bytes.fromhex("101112131415161718191a1b1c1d1e1f2021222324252627")
    plain = bytes.fromhex("112233445566778899aabbccddee")
    made = "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c"
    assert AESSIV(key).encrypt(plain, [ad]).hex() == made
