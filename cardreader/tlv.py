"""BER-TLV as cards use it (ISO 7816-4 annex E, EMV Book 3 annex B): read, find, write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cardreader.errors import ProtocolError

MAX_DEPTH = 8
"""Templates within templates; a purse card's FCI has three levels."""
MAX_LENGTH = 0xFFFF
"""Longest value read or written; a card's answers are far shorter."""
_MAX_TAG_BYTES = 3


@dataclass(frozen=True, slots=True)
class Tlv:
    """One data object.

    Attributes:
        tag: as it is written, e.g. 0x6F, 0x9F0C.
        value: the content bytes.
        children: the data objects inside, when the tag is constructed (bit 6 of its first byte), else empty.
    """

    tag: int
    value: bytes
    children: tuple[Tlv, ...] = ()


def parse(data: bytes) -> tuple[Tlv, ...]:
    """Reads data objects that stand one after another, and those inside them.

    Zero bytes between objects are padding and are skipped.

    Raises:
        ProtocolError: cut off, too long or nested too deep; says at which byte of ``data``.

    >>> parse(bytes.fromhex("6F04 8402 3F00"))[0].children[0].value.hex()
    '3f00'
    """
    return _parse(data, 0, len(data), 0)


def primitives(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(tag, start and end of its value in ``data``) of every object that can have none inside. Raises as `parse`.

    >>> list(primitives(bytes.fromhex("6F04 8402 3F00")))
    [(132, 4, 6)]
    """
    return _primitives(data, 0, len(data), 0)


def find(data: bytes, *path: int) -> bytes | None:
    """The value of the first object on a path of tags, or None when there is none.

    Raises:
        ProtocolError: an object on the way is cut off.

    >>> find(bytes.fromhex("6F06 A504 8802 0102"), 0x6F, 0xA5, 0x88).hex()
    '0102'
    """
    start, end = 0, len(data)
    for wanted in path:
        for tag, value_start, value_end in _objects(data, start, end):
            if tag == wanted:
                start, end = value_start, value_end
                break
        else:
            return None
    return data[start:end]


def encode(tag: int, value: bytes | tuple[Tlv, ...]) -> bytes:
    """Writes one data object; a tuple of objects is written inside it.

    Raises:
        ValueError: the tag is not one that BER can write, or the value is longer than `MAX_LENGTH`.

    >>> encode(0x9F0C, bytes(2)).hex()
    '9f0c020000'
    """
    if isinstance(value, tuple):
        value = b"".join(encode(child.tag, child.children or child.value) for child in value)
    return _tag_bytes(tag) + _length_bytes(len(value)) + value


def _primitives(data: bytes, start: int, end: int, depth: int) -> Iterator[tuple[int, int, int]]:
    if depth > MAX_DEPTH:
        raise ProtocolError(f"TLV: nested deeper than {MAX_DEPTH} at byte {start}")
    for tag, value_start, value_end in _objects(data, start, end):
        if constructed(tag):
            yield from _primitives(data, value_start, value_end, depth + 1)
        else:
            yield tag, value_start, value_end


def _parse(data: bytes, start: int, end: int, depth: int) -> tuple[Tlv, ...]:
    if depth > MAX_DEPTH:
        raise ProtocolError(f"TLV: nested deeper than {MAX_DEPTH} at byte {start}")
    return tuple(
        Tlv(
            tag,
            data[value_start:value_end],
            _parse(data, value_start, value_end, depth + 1) if constructed(tag) else (),
        )
        for tag, value_start, value_end in _objects(data, start, end)
    )


def _objects(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(tag, start of value, end of value) of each object between two offsets."""
    offset = start
    while offset < end:
        if data[offset] == 0x00:
            offset += 1
            continue
        tag, offset = read_tag(data, offset, end)
        length, offset = _read_length(data, offset, end, tag)
        if length > end - offset:
            raise ProtocolError(
                f"TLV: {tag:X} says {length} bytes at byte {offset}, only {end - offset} are there"
            )
        yield tag, offset, offset + length
        offset += length


def read_tag(data: bytes, offset: int, end: int) -> tuple[int, int]:
    """The tag that begins at ``offset``, before ``end``, and the offset behind it. Raises ProtocolError."""
    tag, start = data[offset], offset
    offset += 1
    if tag & 0x1F != 0x1F:
        return tag, offset
    while True:
        if offset == end:
            raise ProtocolError(f"TLV: the tag at byte {start} is cut off")
        if offset - start == _MAX_TAG_BYTES:
            raise ProtocolError(f"TLV: the tag at byte {start} is longer than {_MAX_TAG_BYTES} bytes")
        byte = data[offset]
        tag = tag << 8 | byte
        offset += 1
        if byte < 0x80:
            return tag, offset


def _read_length(data: bytes, offset: int, end: int, tag: int) -> tuple[int, int]:
    if offset == end:
        raise ProtocolError(f"TLV: the length of {tag:X} at byte {offset} is missing")
    first = data[offset]
    offset += 1
    if first < 0x80:
        return first, offset
    count = first & 0x7F
    if count == 0:
        raise ProtocolError(f"TLV: {tag:X} has no definite length at byte {offset - 1}")
    if count > end - offset:
        raise ProtocolError(f"TLV: the length of {tag:X} at byte {offset - 1} is cut off")
    length = int.from_bytes(data[offset : offset + count])
    if length > MAX_LENGTH:
        raise ProtocolError(f"TLV: {tag:X} is longer than {MAX_LENGTH} at byte {offset - 1}")
    return length, offset + count


def constructed(tag: int) -> bool:
    """Whether there are data objects inside (bit 6 of the tag's first byte)."""
    while tag > 0xFF:
        tag >>= 8
    return bool(tag & 0x20)


def _tag_bytes(tag: int) -> bytes:
    if tag <= 0:
        raise ValueError(f"no tag: {tag:X}")
    raw = tag.to_bytes((tag.bit_length() + 7) // 8)
    multi_byte = raw[0] & 0x1F == 0x1F
    continued = all(byte & 0x80 for byte in raw[1:-1])
    if (
        len(raw) > _MAX_TAG_BYTES
        or multi_byte != (len(raw) > 1)
        or not continued
        or (multi_byte and raw[-1] & 0x80)
    ):
        raise ValueError(f"no tag: {tag:X}")
    return raw


def _length_bytes(length: int) -> bytes:
    if length < 0x80:
        return bytes((length,))
    if length > MAX_LENGTH:
        raise ValueError(f"a value of {length} bytes is longer than {MAX_LENGTH}")
    raw = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((0x80 | len(raw),)) + raw
