"""UnionPay's 9F10: published layouts are read and written; any bytes are read or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv.bits import Ac, Cvr
from cardreader.emv.iad import IssuerApplicationData
from cardreader.errors import ProtocolError

PUBLISHED = bytes.fromhex("07010103A02000010A01000000000000C2040E")


def test_the_published_one() -> None:
    found = IssuerApplicationData.decode(PUBLISHED)
    assert (found.key_index, found.version, found.algorithm) == (1, 1, 1)
    assert found.cvr == Cvr.SECOND_NOT_REQUESTED | Cvr.FIRST_ARQC | Cvr.VELOCITY_EXCEEDED
    assert found.cvr.cryptograms == (Ac.ARQC, None)
    assert found.cvr_bytes == bytes.fromhex("03A02000")
    assert found.balance_fen == 0
    assert found.encode() == PUBLISHED


@pytest.mark.parametrize(
    ("cvr", "kinds"),
    [
        ("A00000", (Ac.ARQC, None)),
        ("900000", (Ac.TC, None)),
        ("800000", (Ac.AAC, None)),
        ("600000", (Ac.ARQC, Ac.TC)),
    ],
)
def test_the_cryptograms_of_a_cvr(cvr: str, kinds: tuple[Ac, Ac | None]) -> None:
    assert Cvr(int(cvr, 16)).cryptograms == kinds


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    try:
        found = IssuerApplicationData.decode(value)
    except ProtocolError as error:
        assert "at byte" in str(error)  # noqa: PT017
    else:
        assert found.encode() == value


@given(
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 0xFFFFFF),
    st.integers(0, 255),
    st.binary(max_size=23),
)
def test_what_is_written_is_read_again(
    index: int, version: int, cvr: int, algorithm: int, data: bytes
) -> None:
    written = IssuerApplicationData(index, version, Cvr(cvr), algorithm, data)
    assert IssuerApplicationData.decode(written.encode()) == written


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("0701", "cut off at byte 2"),
        ("06010103A0000001", "length 06 at byte 0"),
        ("07010104A0000001", "length of the CVR 04 at byte 3"),
        ("07010103A000000102AA", "2 bytes of discretionary data at byte 8, 1 are there"),
        ("07010103A0000001" + "18" + "00" * 24, "1 bytes too many at byte 32"),
    ],
)
def test_an_error_says_where(value: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        IssuerApplicationData.decode(bytes.fromhex(value))
