"""Data object lists: what a card wants to be told, and the bytes it is told then (EMV Book 3, 5.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cardreader.emv.tags import Format, describe
from cardreader.errors import ProtocolError
from cardreader.tlv import constructed, read_tag


class DolEntry(NamedTuple):
    """A data object wanted, and in how many bytes."""

    tag: int
    length: int


def parse(dol: bytes) -> tuple[DolEntry, ...]:
    """Reads a DOL (PDOL, CDOL1, CDOL2, TDOL, DDOL, log format).

    Raises:
        ProtocolError: a tag or length is cut off; says at which byte.

    >>> parse(bytes.fromhex("9F3704 9C01"))
    (DolEntry(tag=40759, length=4), DolEntry(tag=156, length=1))
    """
    entries = []
    offset, end = 0, len(dol)
    while offset < end:
        tag, offset = read_tag(dol, offset, end)
        if offset == end:
            raise ProtocolError(f"DOL: the length of {tag:X} at byte {offset} is missing")
        entries.append(DolEntry(tag, dol[offset]))
        offset += 1
    return tuple(entries)


def length(entries: Sequence[DolEntry]) -> int:
    """Bytes of the values of a DOL."""
    return sum(entry.length for entry in entries)


def fill(entries: Sequence[DolEntry], values: Mapping[int, bytes]) -> bytes:
    """The values that a DOL asks for, one behind the other.

    What is not known, not there, or a template is zeros; numbers are cut and padded on the left, compressed numbers
    padded with FF on the right, everything else cut and padded with 00 on the right (EMV Book 3, 5.4).

    >>> fill(parse(bytes.fromhex("9F0203 5A03 DF7F01 8A03")), {0x9F02: bytes(5) + b"7", 0x5A: b"b", 0x8A: b"00"}).hex()
    '00003762ffff00303000'
    """
    return b"".join(_fitted(entry, values.get(entry.tag, b"")) for entry in entries)


def split(entries: Sequence[DolEntry], data: bytes) -> dict[int, bytes]:
    """Reads values that were written by a DOL, e.g. a log record by its format; of a tag named twice the first counts.

    Raises:
        ProtocolError: the data is longer or shorter than the DOL says.
    """
    if len(data) != length(entries):
        raise ProtocolError(f"DOL: {length(entries)} bytes of values expected, {len(data)} came")
    values: dict[int, bytes] = {}
    offset = 0
    for entry in entries:
        values.setdefault(entry.tag, data[offset : offset + entry.length])
        offset += entry.length
    return values


def _fitted(entry: DolEntry, value: bytes) -> bytes:
    size = entry.length
    if not value or constructed(entry.tag):
        return bytes(size)
    form = describe(entry.tag).format
    if form is Format.NUMERIC:
        return value[-size:].rjust(size, b"\x00") if size else b""
    return value[:size].ljust(size, b"\xff" if form is Format.COMPRESSED else b"\x00")
