"""GET PROCESSING OPTIONS and what its AFL names: the records of a transaction (EMV Book 3, 6.5.8, 10.1 and 10.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cardreader import status
from cardreader.apdu import MAX_LE, Channel, Command
from cardreader.emv.bits import Aip
from cardreader.emv.dol import DolEntry, fill, length
from cardreader.errors import ProtocolError
from cardreader.tlv import constructed, encode, parse

_ENTRY = 4
_MAX_SFI = 30
_MAX_EMV_SFI = 10
"""Files up to this one are laid out by EMV: records are templates 70."""
_MAX_PDOL = 252
_MAX_RECORDS = 255
"""No card has as many: an AFL that names more would keep the holder waiting for minutes."""
MANDATORY = (0x5F24, 0x5A, 0x8C, 0x8D)
"""Data objects without which there is no transaction (EMV Book 3, table 26)."""


@dataclass(frozen=True, slots=True)
class AflEntry:
    """Records of a file: ``first`` to ``last``, of which the first ``signed`` are in the static data to be authenticated."""

    sfi: int
    first: int
    last: int
    signed: int


@dataclass(frozen=True, slots=True)
class Options:
    """Answer to GET PROCESSING OPTIONS."""

    aip: Aip
    afl: tuple[AflEntry, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """What was read.

    Attributes:
        objects: data objects by tag.
        signed: static data to be authenticated, without what 9F4A adds; None when a record that belongs to it is no
            template 70 (EMV Book 3, 10.3).
    """

    objects: dict[int, bytes]
    signed: bytes | None


def parse_afl(afl: bytes) -> tuple[AflEntry, ...]:
    """Reads an Application File Locator.

    Raises:
        ProtocolError: not in fours, or a file or record number that there cannot be; says at which byte.

    >>> parse_afl(bytes.fromhex("08010201"))
    (AflEntry(sfi=1, first=1, last=2, signed=1),)
    """
    if len(afl) % _ENTRY:
        raise ProtocolError(f"AFL: {len(afl) % _ENTRY} bytes too many at byte {len(afl) - len(afl) % _ENTRY}")
    entries = []
    for offset in range(0, len(afl), _ENTRY):
        sfi, first, last, signed = afl[offset : offset + _ENTRY]
        if sfi & 0x07 or not 1 <= sfi >> 3 <= _MAX_SFI:
            raise ProtocolError(f"AFL: no short file identifier: {sfi:02X} at byte {offset}")
        if not 1 <= first <= last or signed > last - first + 1:
            raise ProtocolError(
                f"AFL: records {first} to {last}, {signed} of them signed, at byte {offset + 1}"
            )
        entries.append(AflEntry(sfi >> 3, first, last, signed))
    if sum(entry.last - entry.first + 1 for entry in entries) > _MAX_RECORDS:
        raise ProtocolError(f"AFL: more than {_MAX_RECORDS} records at byte 0")
    return tuple(entries)


def parse_options(data: bytes) -> Options:
    """Reads the answer to GET PROCESSING OPTIONS, format 1 (80) or 2 (77).

    Raises:
        ProtocolError: another template, or AIP or AFL missing or garbled.
    """
    try:
        templates = parse(data)
    except ProtocolError as error:
        raise ProtocolError(f"GET PROCESSING OPTIONS: {error}") from error
    if len(templates) != 1 or templates[0].tag not in (0x77, 0x80):
        raise ProtocolError("GET PROCESSING OPTIONS: neither template 80 nor 77 at byte 0")
    value = templates[0].value
    if templates[0].tag == 0x80:
        aip, afl = value[:2], value[2:]
    else:
        objects = {item.tag: item.value for item in templates[0].children}
        aip, afl = objects.get(0x82, b""), objects.get(0x94, b"")
    if len(aip) != 2:
        raise ProtocolError(f"GET PROCESSING OPTIONS: an AIP has 2 bytes, not {len(aip)}")
    if not afl:
        raise ProtocolError("GET PROCESSING OPTIONS: no AFL")
    return Options(Aip(int.from_bytes(aip)), parse_afl(afl))


def get_processing_options(channel: Channel, values: bytes) -> Options:
    """Begins the transaction; ``values`` are those of the PDOL.

    Raises:
        StatusError: 6985, the application does not want this transaction.
        ProtocolError: garbled.
    """
    command = Command(0x80, 0xA8, 0x00, 0x00, encode(0x83, values), MAX_LE)
    return parse_options(status.checked("GET PROCESSING OPTIONS", channel.send(command)))


def pdol_values(entries: Sequence[DolEntry], values: dict[int, bytes]) -> bytes:
    """The PDOL's values. Raises ProtocolError when they are more than a command holds."""
    if length(entries) > _MAX_PDOL:
        raise ProtocolError(f"PDOL: {length(entries)} bytes of values, a command holds {_MAX_PDOL}")
    return fill(entries, values)


def read(channel: Channel, afl: Sequence[AflEntry]) -> Records:
    """Reads the records that the AFL names.

    Raises:
        StatusError: a record is not there.
        ProtocolError: a record is garbled, a data object comes twice, or a mandatory one is missing.
    """
    objects: dict[int, bytes] = {}
    signed: bytes | None = b""
    for entry in afl:
        for number in range(entry.first, entry.last + 1):
            command = Command(0x00, 0xB2, number, entry.sfi << 3 | 4, le=MAX_LE)
            data = status.checked("READ RECORD", channel.send(command))
            content = _content(entry.sfi, number, data, objects)
            if number < entry.first + entry.signed and signed is not None:
                signed = None if content is None else signed + content
    missing = [f"{tag:X}" for tag in MANDATORY if tag not in objects]
    if missing:
        raise ProtocolError(f"records: {', '.join(missing)} missing")
    return Records(objects, signed)


def _content(sfi: int, number: int, data: bytes, objects: dict[int, bytes]) -> bytes | None:
    """Takes a record's objects; what of it is static data to be authenticated, None when it is no template 70."""
    where = f"record {number} of file {sfi}"
    if sfi > _MAX_EMV_SFI and data[:1] != b"\x70":
        return None  # laid out as its issuer likes
    try:
        templates = parse(data)
    except ProtocolError as error:
        raise ProtocolError(f"{where}: {error}") from error
    if len(templates) != 1 or templates[0].tag != 0x70:
        raise ProtocolError(f"{where}: no template 70 at byte 0")
    for item in templates[0].children:
        if constructed(item.tag):
            continue
        if item.tag in objects:
            raise ProtocolError(f"{where}: {item.tag:X} has come before")
        objects[item.tag] = item.value
    return templates[0].value if sfi <= _MAX_EMV_SFI else data
