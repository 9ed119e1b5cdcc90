"""ISO 8583 as a UnionPay POS and its centre speak it: frame, fields, bit 60, and the MAC of bit 64.

A frame is 2 bytes of length, then TPDU (5 bytes), header (6 bytes BCD), message type, bitmap, fields. Numbers are BCD;
what is odd in length is filled up with a 0, on the right but for bit 23. Lengths are BCD: digits of numeric fields,
bytes of the others. The fields themselves are read and written by ``iso8583`` (pyiso8583) out of the table below.

Iso8583Error               what is no message of this dialect; says which field, and where
└── FieldMissing           one that the sender should have sent
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import iso8583
import pyemv

from cardreader.pboc.crypto import des3_encrypt

TPDU_BYTES, HEADER_BYTES = 5, 6
TPDU = bytes.fromhex("6000030000")
"""To network 0003, from nobody in particular; an answer has the two addresses exchanged."""
HEADER = bytes.fromhex("613100310000")
"""Application 61 (IC card), version 31 of the POS specification, status 0, nothing asked for, version 310000."""
LONGEST = 2048
"""Bytes of a frame after its length; the longest message of the dialect has some 1,400."""
MAC_FIELD = 64

Value = str | bytes


@dataclass(frozen=True, slots=True)
class Kind:
    """How a field is written.

    Args:
        form: ``n`` digits, ``z`` track digits (0 to F), ``a`` ASCII text, ``b`` bytes.
        length: of a fixed field; the longest of another one. Digits of ``n`` and ``z``, else bytes.
        prefix: bytes of its BCD length; 0: fixed.
        left: an odd number is filled up on the left.
    """

    form: str
    length: int
    prefix: int = 0
    left: bool = False


FIELDS: Mapping[int, Kind] = MappingProxyType(
    {
        2: Kind("n", 19, 1),  # PAN
        3: Kind("n", 6),  # processing code
        4: Kind("n", 12),  # amount, fen
        11: Kind("n", 6),  # STAN
        12: Kind("n", 6),  # local time
        13: Kind("n", 4),  # local date MMDD
        14: Kind("n", 4),  # expiry YYMM
        15: Kind("n", 4),  # settlement date MMDD
        22: Kind("n", 3),  # point of service entry mode
        23: Kind("n", 3, left=True),  # PAN sequence number
        25: Kind("n", 2),  # point of service condition code
        26: Kind("n", 2),  # longest PIN
        32: Kind("n", 11, 1),  # acquiring institution
        35: Kind("z", 48, 1),  # track 2; enciphered it is longer than the 37 digits of a clear one
        36: Kind("z", 104, 2),  # track 3
        37: Kind("a", 12),  # retrieval reference number
        38: Kind("a", 6),  # authorisation code
        39: Kind("a", 2),  # response code
        41: Kind("a", 8),  # terminal
        42: Kind("a", 15),  # merchant
        44: Kind("a", 25, 1),  # additional response data
        48: Kind("n", 322, 2),  # totals
        49: Kind("a", 3),  # currency
        52: Kind("b", 8),  # PIN block
        53: Kind("n", 16),  # security control information
        54: Kind("a", 20, 2),  # balance
        55: Kind("b", 255, 2),  # IC card data, TLV
        58: Kind("a", 100, 2),  # purse data
        60: Kind("n", 17, 2),  # kind, batch, network management code ...
        61: Kind("n", 29, 2),  # the original's batch, STAN and date
        62: Kind("b", 512, 2),  # working keys; elsewhere text
        63: Kind("a", 163, 2),  # operator, card organisation
        MAC_FIELD: Kind("b", 8),
    }
)


class Iso8583Error(ValueError):
    """What came is no message, or what is to be sent can be none."""


class FieldMissing(Iso8583Error):
    """A field that this message must have is not there."""

    def __init__(self, mti: str, number: int) -> None:
        super().__init__(f"message {mti} has no field {number}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Args:
        mti: message type, four digits.
        fields: by number; digits and text as str, ``b`` fields as bytes.
        tpdu: 5 bytes.
        header: 6 bytes.
        covered: what bit 64 covers, from message type to the field before it; empty without one, and in one that is made.
    """

    mti: str
    fields: Mapping[int, Value] = field(repr=False)
    tpdu: bytes = TPDU
    header: bytes = HEADER
    covered: bytes = field(default=b"", compare=False, repr=False)

    def __contains__(self, number: int) -> bool:
        return number in self.fields

    def text(self, number: int) -> str:
        """A field of digits or text. Raises FieldMissing."""
        value = self.fields.get(number)
        if not isinstance(value, str):
            raise FieldMissing(self.mti, number)
        return value

    def data(self, number: int) -> bytes:
        """A field of bytes. Raises FieldMissing."""
        value = self.fields.get(number)
        if not isinstance(value, bytes):
            raise FieldMissing(self.mti, number)
        return value

    @property
    def network(self) -> Network:
        """Bit 60. Raises FieldMissing, Iso8583Error."""
        return Network.parse(self.text(60))


@dataclass(frozen=True, slots=True)
class Network:
    """Bit 60: what kind of transaction this is, in which batch.

    Args:
        kind: 60.1, two digits; ``22`` is a sale.
        batch: 60.2, six digits.
        code: 60.3 network management code, three digits.
        capability: 60.4 what the terminal reads, ``5`` is IC; "" with all that follows it: not sent.
        chip: 60.5 ``2``: the last attempt at the chip failed.
    """

    kind: str
    batch: str
    code: str = ""
    capability: str = ""
    chip: str = ""

    def __str__(self) -> str:
        """
        >>> str(Network("22", "000001", "000", "5", "0"))
        '2200000100050'
        """
        return f"{self.kind}{self.batch}{self.code}{self.capability}{self.chip}"

    @classmethod
    def parse(cls, digits: str) -> Network:
        """Raises Iso8583Error: shorter than kind and batch."""
        if len(digits) < 8:
            raise Iso8583Error(f"field 60 has {len(digits)} digits; kind and batch are eight")
        return cls(digits[:2], digits[2:8], digits[8:11], digits[11:12], digits[12:13])


@dataclass(frozen=True, slots=True)
class Original:
    """Bit 61: which message is meant; batch and STAN of six digits, date MMDD."""

    batch: str
    stan: str
    date: str = ""

    def __str__(self) -> str:
        return f"{self.batch}{self.stan}{self.date}"

    @classmethod
    def parse(cls, digits: str) -> Original:
        """Raises Iso8583Error: shorter than batch and STAN."""
        if len(digits) < 12:
            raise Iso8583Error(f"field 61 has {len(digits)} digits; batch and STAN are twelve")
        return cls(digits[:6], digits[6:12], digits[12:16])


Mac = Callable[[bytes], bytes]
"""Makes 8 bytes of what is covered: a MAC key in whoever's hands, or an HSM that has it."""


def encode(message: Message, mac: Mac | None = None) -> bytes:
    """The message as it goes out, without the length before it (``framed`` has it).

    Args:
        mac: makes bit 64; None: the message has none.

    Raises:
        Iso8583Error: a field that there is not, or a value that does not fit its field.
    """
    if len(message.tpdu) != TPDU_BYTES or len(message.header) != HEADER_BYTES:
        raise Iso8583Error(f"TPDU and header have {TPDU_BYTES} and {HEADER_BYTES} bytes")
    document = {"t": message.mti}
    for number, value in message.fields.items():
        if number == MAC_FIELD:
            continue  # made here, or not at all
        document[str(number)] = _written(number, value)
    if mac is not None:
        document[str(MAC_FIELD)] = "00" * 8
    try:
        body, _ = iso8583.encode(document, _SPEC)
    except iso8583.EncodeError as error:
        raise Iso8583Error(f"field {error.field}: {error.msg}") from error
    sent = bytes(body)
    if mac is not None:
        sent = sent[:-8] + mac(sent[:-8])
    return message.tpdu + message.header + sent


def decode(data: bytes) -> Message:
    """What came after the two bytes of length.

    Raises:
        Iso8583Error: says which field is wrong, and at which byte of ``data``.
    """
    start = TPDU_BYTES + HEADER_BYTES
    body = data[start:]
    if len(body) < 10:
        raise Iso8583Error(f"{len(data)} bytes; TPDU, header, message type and bitmap are {start + 10}")
    mti = body[:2].hex()
    if not mti.isdigit():
        raise Iso8583Error(f"message type {mti} at byte {start} is no number")
    strange = [number for number in _numbers(body[2:10]) if number not in FIELDS]
    if strange:
        raise Iso8583Error(f"the bitmap at byte {start + 2} has field {strange[0]}, which there is not here")
    try:
        document, _ = iso8583.decode(body, _SPEC)
    except iso8583.DecodeError as error:
        raise Iso8583Error(f"field {error.field} at byte {start + error.pos}: {error.msg}") from error
    fields: dict[int, Value] = {}
    for name, text in document.items():
        if name.isdigit():
            number = int(name)
            fields[number] = _read(number, text)
    covered = body[:-8] if MAC_FIELD in fields else b""
    return Message(mti, fields, data[:TPDU_BYTES], data[TPDU_BYTES:start], covered)


def framed(data: bytes) -> bytes:
    """With its length in 2 bytes before it. Raises Iso8583Error: longer than ``LONGEST``."""
    if len(data) > LONGEST:
        raise Iso8583Error(f"{len(data)} bytes are more than a frame's {LONGEST}")
    return len(data).to_bytes(2) + data


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame without its length; None where the other side has closed.

    Raises:
        Iso8583Error: it says that it is empty or longer than ``LONGEST``, or ends before that.
    """
    try:
        length = int.from_bytes(await reader.readexactly(2))
        if not 0 < length <= LONGEST:
            raise Iso8583Error(f"a frame of {length} bytes; 1 to {LONGEST} can come")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        if error.expected == 2 and not error.partial:
            return None
        raise Iso8583Error(f"a frame is cut off: {len(error.partial)} of {error.expected} bytes") from error


def answering(tpdu: bytes) -> bytes:
    """The TPDU of an answer: to where the request came from.

    >>> answering(bytes.fromhex("6000030001")).hex()
    '6000010003'
    """
    return tpdu[:1] + tpdu[3:5] + tpdu[1:3]


def pos_mac(key: bytes, covered: bytes) -> bytes:
    """Bit 64, the "ECB" MAC of UnionPay's POS specification: 8 characters of upper-case hex.

    Args:
        key: MAK, 8 or 16 bytes.
        covered: from message type to the field before bit 64; filled up with zero bytes.
    """
    folded = 0
    for start in range(0, len(covered), 8):
        folded ^= int.from_bytes(covered[start : start + 8].ljust(8, b"\0"))
    text = folded.to_bytes(8).hex().upper().encode()
    first = des3_encrypt(key, text[:8])
    mixed = bytes(a ^ b for a, b in zip(first, text[8:], strict=True))
    return des3_encrypt(key, mixed).hex().upper().encode()[:8]


def retail_mac(key: bytes, covered: bytes) -> bytes:
    """Bit 64 where a network uses X9.19 in its place (ISO 9797-1 algorithm 3, padding 1): 8 bytes.

    Args:
        key: MAK, 16 bytes.
    """
    made: bytes = pyemv.mac.mac_iso9797_3(key[:8], key[8:], covered, 1)
    return made


def _numbers(bitmap: bytes) -> list[int]:
    bits = int.from_bytes(bitmap)
    return [number for number in range(1, 65) if bits >> (64 - number) & 1]


def _written(number: int, value: Value) -> str:
    kind = FIELDS.get(number)
    if kind is None:
        raise Iso8583Error(f"field {number}: there is none here")
    if isinstance(value, bytes) is not (kind.form == "b"):
        raise Iso8583Error(f"field {number}: {'bytes are' if kind.form == 'b' else 'text is'} wanted")
    text = value.hex() if isinstance(value, bytes) else value
    _expect(number, kind, text)
    return text


def _read(number: int, text: str) -> Value:
    kind = FIELDS[number]
    _expect(number, kind, text)
    return bytes.fromhex(text) if kind.form == "b" else text


def _expect(number: int, kind: Kind, text: str) -> None:
    """The library takes BCD for hexadecimal. Values stand in no message: one may be a card's number."""
    digits = {"n": "0123456789", "z": "0123456789ABCDEF"}.get(kind.form)
    if digits is not None and not set(text) <= set(digits):
        raise Iso8583Error(f"field {number}: has something else than digits")


def _spec() -> dict[str, dict[str, Any]]:
    fixed = {"data_enc": "b", "len_enc": "bcd", "len_type": 0}
    spec: dict[str, dict[str, Any]] = {
        "h": {**fixed, "max_len": 0},
        "t": {**fixed, "max_len": 2},
        "p": {**fixed, "max_len": 8},
        "1": {**fixed, "max_len": 0},
    }
    for number, kind in FIELDS.items():
        digits = kind.form in "nz"
        spec[str(number)] = {
            "data_enc": "ascii" if kind.form == "a" else "b",
            "len_enc": "bcd",
            "len_type": kind.prefix,
            "max_len": kind.length,
            "len_count": "nibbles" if digits else "bytes",
            **({("left_pad" if kind.left else "right_pad"): "0"} if digits else {}),
        }
    return spec


_SPEC = _spec()
