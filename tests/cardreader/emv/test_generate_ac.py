"""GENERATE AC: both formats of the answer, and what may not come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv.bits import Ac
from cardreader.emv.generate_ac import generate_ac, parse_answer
from cardreader.errors import ProtocolError, StatusError
from tests.cardreader.emv.bench import Told

AC, IAD = "1122334455667788", "07010103A0000001"
FORMAT_1 = "8013" + "80" + "0012" + AC + IAD
FORMAT_2 = "771F" + "9F270180" + "9F36020012" + "9F2608" + AC + "9F1008" + IAD


def test_both_formats_say_the_same() -> None:
    for told in (FORMAT_1, FORMAT_2):
        found = parse_answer(bytes.fromhex(told))
        assert found.kind is Ac.ARQC
        assert {tag: value.hex().upper() for tag, value in found.values().items()} == {
            0x9F27: "80",
            0x9F36: "0012",
            0x9F26: AC,
            0x9F10: IAD,
        }


@pytest.mark.parametrize(
    ("requested", "combined", "p1"),
    [(Ac.AAC, False, "00"), (Ac.TC, False, "40"), (Ac.ARQC, False, "80"), (Ac.ARQC, True, "90")],
)
def test_what_is_asked(requested: Ac, combined: bool, p1: str) -> None:
    told = FORMAT_2.replace("9F270180", f"9F2701{requested:02X}")
    card = Told((told, 0x9000))
    generate_ac(card.channel, requested, b"\xaa\xbb", combined=combined)
    assert card.asked == [f"80AE{p1}0002AABB00"]


@pytest.mark.parametrize(
    ("requested", "cid", "allowed"),
    [
        (Ac.TC, "40", True),
        (Ac.TC, "80", True),
        (Ac.TC, "00", True),
        (Ac.ARQC, "80", True),
        (Ac.ARQC, "40", False),
        (Ac.ARQC, "00", True),
        (Ac.AAC, "00", True),
        (Ac.AAC, "80", False),
        (Ac.TC, "C0", False),
    ],
)
def test_a_card_may_only_want_less(requested: Ac, cid: str, allowed: bool) -> None:
    card = Told((FORMAT_1.replace("801380", "8013" + cid), 0x9000))
    if allowed:
        assert generate_ac(card.channel, requested, b"").kind == int(cid, 16)
    else:
        with pytest.raises(ProtocolError, match="GENERATE AC"):
            generate_ac(card.channel, requested, b"")


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("800A" + "80" + "0012" + AC[:14], "11 to 43 bytes expected, 10 came"),
        ("7700", "9F27, 9F36, 9F26 or 9F10 is missing"),
        ("7009" + FORMAT_2[4:22], "neither template"),
        ("7709" + FORMAT_2[4:22], "no 9F26"),
        ("", "neither template"),
    ],
)
def test_an_answer_that_is_none(told: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        generate_ac(Told((told, 0x9000)).channel, Ac.ARQC, b"")


def test_a_third_one() -> None:
    with pytest.raises(StatusError, match="GENERATE AC: 6985"):
        generate_ac(Told(("", 0x6985)).channel, Ac.TC, b"")
    with pytest.raises(ProtocolError, match="CDOL: 256 bytes"):
        generate_ac(Told().channel, Ac.TC, bytes(256))


@given(st.binary(max_size=80))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    for told in (data, b"\x80" + bytes((len(data),)) + data, b"\x77" + bytes((len(data),)) + data):
        try:
            parse_answer(told)
        except ProtocolError as error:
            assert str(error)  # noqa: PT017
