"""What people may see of a card's answer: of its number the ends, of its tracks nothing that a copy of the card would need."""

from __future__ import annotations

import re

from cardreader import tlv
from cardreader.emv.tags import describe
from cardreader.errors import ProtocolError
from cardreader.secret import mask_number

_PAN, _TRACK_2 = 0x5A, (0x57, 0x9F6B)
_CERTIFICATES, _SIGNED_STATIC_DATA = (0x9F2D, 0x9F46), 0x93
_HIDDEN = (0x56, _SIGNED_STATIC_DATA, 0x9F1F, 0x9F20, 0x9F61, *_CERTIFICATES)
"""What begins with a number, and what is not shown at all: track 1, both tracks' discretionary data, the holder's identity number,
and the card's certificates, from which anybody recovers its whole number with the CA's public key (EMV Book 2, table 14). The signed static application data opens to a hash over what may hold the number: what of it is
not shown could be tried out (EMV Book 2, table 7).
"""
SECRET = (_PAN, *_TRACK_2, *_HIDDEN)
"""Data objects of whose value something is hidden."""
_PURSE_FILE, _PURSE_FCI, _SERIAL = bytes.fromhex("00B09500"), 0x9F0C, slice(10, 20)
"""EF 0015, as READ BINARY names it and as a purse's FCI has it, and the application serial number in it."""
_EXPIRY_AND_SERVICE = 7
_MARKS = tuple(tag.to_bytes(2) for tag in (0x9F1F, *_CERTIFICATES))
"""What of an answer that is cut off shows what was in it."""
_SHORTEST = 12
_PACKED, _PRINTED = re.compile(f"[1-9][0-9]{{{_SHORTEST - 1},}}"), re.compile(rb"[0-9]{%d,}" % _SHORTEST)
_READ_RECORD, _TEMPLATE, _EMV_FILES = b"\xb2", b"\x70", range(1, 11)


def masked_answer(apdu: bytes, data: bytes) -> str:
    """An answer's data for people, upper-case hex: of a card's number only the first six and last four digits.

    Where it is no TLV nothing in it has a name: then all of it is hidden when there could be a number in it.

    Args:
        apdu: the command that it answers.
    """
    text = data.hex().upper()
    if apdu[:4] == _PURSE_FILE:
        return _with_serial_hidden(data)
    found = _objects(apdu, data)
    if found is None:
        return "*" * len(text) if not _log(apdu, data) and _could_be_number(data) else text
    numbers = set()
    for tag, start, end in found:
        value = data[start:end]
        text = text[: 2 * start] + shown(tag, value) + text[2 * end :]
        if tag == _PAN or tag in _TRACK_2:
            numbers.add(value.hex().upper().split("D")[0].rstrip("F"))
    for number in numbers:
        if len(number) >= _SHORTEST:
            text = text.replace(number, _ends(number))
    return text


def shown(tag: int, value: bytes) -> str:
    """A data object's value for people, upper-case hex, as `masked_answer`.

    >>> shown(0x57, bytes.fromhex("6210220110002707355D3012201123450000"))
    '621022*********7355D3012201*********'
    """
    text = value.hex().upper()
    if tag == _PURSE_FCI:
        return _with_serial_hidden(value)
    if tag == _PAN:
        number = text.rstrip("F")
        return _ends(number) + text[len(number) :]
    if tag in _TRACK_2 and "D" in text:
        number, _, rest = text.partition("D")
        return f"{_ends(number)}D{rest[:_EXPIRY_AND_SERVICE]}{'*' * len(rest[_EXPIRY_AND_SERVICE:])}"
    about = describe(tag)
    doubtful = not (about.known and len(value) <= about.maximum) and _could_be_number(value)
    return "*" * len(text) if doubtful or tag in _HIDDEN or tag in _TRACK_2 else text


def _ends(number: str) -> str:
    return mask_number(number).replace(" ", "") if number else ""


def _with_serial_hidden(data: bytes) -> str:
    text, serial = data.hex().upper(), data[_SERIAL].hex().upper()
    at = 2 * _SERIAL.start
    return text[:at] + _ends(serial) + text[at + len(serial) :]


def _could_be_number(data: bytes) -> bool:
    return bool(_PACKED.search(data.hex()) or _PRINTED.search(data)) or any(one in data for one in _MARKS)


def _objects(apdu: bytes, data: bytes) -> list[tuple[int, int, int]] | None:
    """Tags and places of the values in an answer; None where it is no TLV, or a record of EMV's that is no template 70."""
    if _file(apdu) in _EMV_FILES and data[:1] != _TEMPLATE:
        return None
    try:
        return list(tlv.primitives(data))
    except ProtocolError:
        return None


def _log(apdu: bytes, data: bytes) -> bool:
    """A record that its issuer has laid out, as those of logs are: amounts and dates, which are digits too."""
    return _file(apdu) > max(_EMV_FILES) and data[:1] != _TEMPLATE


def _file(apdu: bytes) -> int:
    """SFI of READ RECORD, 0 of any other command."""
    return apdu[3] >> 3 if apdu[1:2] == _READ_RECORD and len(apdu) > 3 else 0
