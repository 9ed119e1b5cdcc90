"""BER-TLV: what is written is read again; what is cut off says where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.errors import ProtocolError
from cardreader.tlv import MAX_DEPTH, Tlv, encode, find, parse

PRIMITIVE_TAGS = st.sampled_from([0x50, 0x84, 0x88, 0x9F08, 0x9F0C, 0xDF8129])
LEAVES = st.builds(Tlv, PRIMITIVE_TAGS, st.binary(max_size=300))


def _template(tag: int, children: list[Tlv]) -> Tlv:
    return Tlv(tag, b"".join(encode(child.tag, child.value) for child in children), tuple(children))


TREES = st.recursive(
    LEAVES,
    lambda inside: st.builds(
        _template, st.sampled_from([0x6F, 0xA5, 0xBF0C, 0x70]), st.lists(inside, max_size=3)
    ),
    max_leaves=6,
)


@given(st.lists(TREES, max_size=3))
def test_what_is_written_is_read_again(objects: list[Tlv]) -> None:
    written = b"".join(encode(item.tag, item.children or item.value) for item in objects)
    assert parse(written) == tuple(objects)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse(data)
    except ProtocolError as error:
        assert "byte" in str(error)  # noqa: PT017  the point is that nothing else is raised
    try:
        find(data, 0x6F, 0xA5)
    except ProtocolError as error:
        assert "byte" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("840309", "84 says 3 bytes at byte 2, only 1 are there"),
        ("6F048405AABB", "84 says 5 bytes at byte 4, only 2 are there"),
        ("9F", "the tag at byte 0 is cut off"),
        ("84", "the length of 84 at byte 1 is missing"),
        ("8480AA0000", "no definite length at byte 1"),
        ("848201", "the length of 84 at byte 1 is cut off"),
        ("8484FFFFFFFF", "84 is longer than 65535 at byte 1"),
        ("8400 9F818181", "the tag at byte 2 is longer than 3 bytes"),
    ],
)
def test_an_error_says_where(data: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        parse(bytes.fromhex(data))


def test_nesting_has_a_limit() -> None:
    data = b""
    for _ in range(MAX_DEPTH):
        data = encode(0x6F, data)
    assert parse(data)
    with pytest.raises(ProtocolError, match="nested deeper"):
        parse(encode(0x6F, encode(0x6F, data)))


def test_padding_between_objects_is_skipped() -> None:
    assert parse(bytes.fromhex("0000 8401AA 00 8801BB 00")) == (Tlv(0x84, b"\xaa"), Tlv(0x88, b"\xbb"))


def test_find_follows_the_path_only() -> None:
    data = bytes.fromhex("6F0E 8402A000 A508 9F080101 88021122")
    assert find(data, 0x6F, 0xA5, 0x88) == bytes.fromhex("1122")
    assert find(data, 0x88) is None
    assert find(data, 0x6F, 0x84) == bytes.fromhex("A000")


@pytest.mark.parametrize("tag", [0, -1, 0x1F, 0x9F, 0x8401, 0x9F81, 0x9F0101, 0x9F818101])
def test_no_tag_is_written_that_could_not_be_read(tag: int) -> None:
    with pytest.raises(ValueError, match="no tag"):
        encode(tag, b"")


def test_lengths_are_as_short_as_they_can_be() -> None:
    assert encode(0x50, bytes(127))[:2].hex() == "507f"
    assert encode(0x50, bytes(128))[:3].hex() == "508180"
    assert encode(0x50, bytes(256))[:4].hex() == "50820100"
    with pytest.raises(ValueError, match="longer"):
        encode(0x50, bytes(0x10000))
