"""That of a card's number only the ends are shown, whatever the card makes of its answer, and of its tracks nothing to copy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.lab.masking import masked_answer
from cardreader.lab.tree import node
from cardreader.tlv import Tlv

NUMBER = "6210220110002707355"
READ, LOG = "00B2010C00", "00B2015C00"


@pytest.mark.parametrize(
    ("command", "answer", "shown"),
    [
        (READ, f"700C 5A0A {NUMBER}F", "700C5A0A621022*********7355F"),
        (READ, f"7012 5710 {NUMBER}D301220112345", "70125710621022*********7355D3012201*****"),
        (READ, "700B 9F1F 03 313233 9F20 02 1234", "700B9F1F03******9F2002****"),
        (READ, f"7014 5612 42{NUMBER.encode().hex()[:34]}", f"70145612{'*' * 36}"),
        (READ, f"700D DF0C 0A {NUMBER}F", f"700DDF0C0A{'*' * 20}"),
        (READ, f"7016 5A0A {NUMBER}F DF0D 07 010203040506FF", "70165A0A621022*********7355FDF0D07010203040506FF"),
        ("00B0950000", "6217000000008531 0201 62170018340572162047 20240301 20440229 0000",
         "62170000000085310201621700**********204720240301204402290000"),
        (READ, "70025A", "70025A"),
        ("80CA9F7900", "9F7906000000010000", "9F7906000000010000"),
        (LOG, "000000001500 000000000000 01560156 00 201118 193205 0021",
         "0000000015000000000000000156015600201118193205" "0021"),
    ],
)  # fmt: skip
def test_of_a_card_s_number_only_the_ends_are_shown(command: str, answer: str, shown: str) -> None:
    assert masked_answer(bytes.fromhex(command), bytes.fromhex(answer)) == shown


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (READ, f"700D 5A0A {NUMBER}F"),
        (READ, f"700B 5A0A {NUMBER}F"),
        (READ, f"7036 5710 {NUMBER}D301220100000"),
        (READ, f"7036 5612 42{NUMBER.encode().hex()[:34]}"),
        (READ, "7036 9F1F 03 313233"),
        (LOG, f"700D 5A0A {NUMBER}F"),
        ("00C000001E", "6217000000008531 0201 62170018340572162047 20240301 20440229 0000"),
    ],
)
def test_what_is_damaged_hides_all_where_a_number_could_be(command: str, answer: str) -> None:
    data = bytes.fromhex(answer)
    assert masked_answer(bytes.fromhex(command), data) == "*" * 2 * len(data)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_answer_has_its_length(apdu: bytes, answer: bytes) -> None:
    assert len(masked_answer(apdu, answer)) == 2 * len(answer)


@pytest.mark.parametrize("at", [0, 1, 3, 21])
def test_no_wrong_template_or_length_shows_the_number(at: int) -> None:
    record = bytearray.fromhex(f"701E 5710{NUMBER}D301220112345 5A0A{NUMBER}F")
    for byte in range(256):
        record[at] = byte
        assert NUMBER[6:-4] not in masked_answer(bytes.fromhex(READ), bytes(record))


def test_a_node_hides_it_too() -> None:
    for tag in (0x9F1F, 0x9F61):
        assert (node(Tlv(tag, b"123")).value, node(Tlv(tag, b"123")).text) == ("******", "")
    assert node(Tlv(0x57, bytes.fromhex(f"{NUMBER}D301220112345"))).value.endswith("7355D3012201*****")
