"""Files and records of a PBOC purse card and of a PSAM.

Each is declared once, as a dataclass whose annotations say size and coding; that both reads and writes it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, NamedTuple, Self, get_type_hints

from cardreader.errors import ProtocolError
from cardreader.secret import mask_number as mask_number

SFI_PUBLIC_APPLICATION = 0x15
SFI_CARDHOLDER = 0x16
SFI_LOG = 0x18
SFI_PSAM_CARD = 0x15
SFI_PSAM_TERMINAL = 0x16
SFI_PSAM_APPLICATION = 0x17


# -- elements


def _read_date(raw: bytes) -> datetime.date:
    digits = raw.hex()
    return datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


def _read_time(raw: bytes) -> datetime.time:
    digits = raw.hex()
    return datetime.time(int(digits[:2]), int(digits[2:4]), int(digits[4:]))


def _write_integer(value: int, size: int) -> bytes:
    return value.to_bytes(size)


def _write_bytes(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise ValueError(f"{size} bytes, not {len(value)}")
    return bytes(value)


def _read_text(raw: bytes) -> str:
    return raw.rstrip(b"\x00 \xff").decode("gb2312")


def _write_text(value: str, size: int) -> bytes:
    raw = value.encode("gb2312")
    if len(raw) > size or raw.rstrip(b"\x00 \xff") != raw:
        raise ValueError(f"not {size} bytes of text")
    return raw.ljust(size, b"\x00")


class _Codec(NamedTuple):
    read: Callable[[bytes], Any]
    write: Callable[[Any, int], bytes]


BYTES = _Codec(bytes, _write_bytes)
INTEGER = _Codec(int.from_bytes, _write_integer)
DATE = _Codec(_read_date, lambda value, size: bytes.fromhex(f"{value:%Y%m%d}".zfill(2 * size)))
TIME = _Codec(_read_time, lambda value, size: bytes.fromhex(f"{value:%H%M%S}"))
TEXT = _Codec(_read_text, _write_text)


class _Element(NamedTuple):
    size: int
    codec: _Codec


class _Placed(NamedTuple):
    name: str
    start: int
    end: int
    codec: _Codec


def _place(kind: type[Record]) -> tuple[_Placed, ...]:
    """The elements that a record's class declares, with their offsets."""
    hints = get_type_hints(kind, include_extras=True)
    placed, offset = [], 0
    for declared in fields(kind):
        element: _Element = hints[declared.name].__metadata__[0]
        placed.append(_Placed(declared.name, offset, offset + element.size, element.codec))
        offset += element.size
    return tuple(placed)


_elements: dict[type[Record], tuple[_Placed, ...]] = {}


def _elements_of(kind: type[Record]) -> tuple[_Placed, ...]:
    if kind not in _elements:
        _elements[kind] = _place(kind)
    return _elements[kind]


@dataclass(frozen=True, slots=True)
class Record:
    """A run of elements of fixed size. Subclasses declare them in the order of the standard."""

    TITLE: ClassVar[str]

    @classmethod
    def size(cls) -> int:
        """Bytes of the whole record."""
        return _elements_of(cls)[-1].end

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Reads the record.

        Raises:
            ProtocolError: too short, or an element is not what it should be. Bytes behind it are ignored.
        """
        elements = _elements_of(cls)
        if len(raw) < elements[-1].end:
            raise ProtocolError(f"{cls.TITLE}: {elements[-1].end} bytes expected, {len(raw)} are there")
        values = []
        for name, start, end, codec in elements:
            try:
                values.append(codec.read(raw[start:end]))
            except ValueError as error:
                raise ProtocolError(
                    f"{cls.TITLE}: {name} is {raw[start:end].hex().upper()}: {error}"
                ) from error
        return cls(*values)

    def encode(self) -> bytes:
        """Writes the record. Raises ValueError or OverflowError when a value does not fit its element."""
        return b"".join(
            codec.write(getattr(self, name), end - start)
            for name, start, end, codec in _elements_of(type(self))
        )


# -- the purse card


@dataclass(frozen=True, slots=True)
class PublicApplicationData(Record):
    """EF 0015 of the purse application, 30 bytes; also in its FCI under 9F0C.

    ``application_type`` is 1 for ED only, 2 for EP only, 3 for both.
    """

    TITLE = "EF 0015 public application data"

    issuer_id: Annotated[bytes, _Element(8, BYTES)]
    application_type: Annotated[int, _Element(1, INTEGER)]
    version: Annotated[int, _Element(1, INTEGER)]
    application_serial: Annotated[bytes, _Element(10, BYTES)] = field(repr=False)
    start_date: Annotated[datetime.date, _Element(4, DATE)]
    expiry_date: Annotated[datetime.date, _Element(4, DATE)]
    issuer_fci: Annotated[bytes, _Element(2, BYTES)]


@dataclass(frozen=True, slots=True)
class CardholderData(Record):
    """EF 0016 of the purse application, 55 bytes. ``certificate_type`` 0 is an identity card."""

    TITLE = "EF 0016 cardholder data"

    card_type: Annotated[int, _Element(1, INTEGER)]
    staff: Annotated[int, _Element(1, INTEGER)]
    name: Annotated[str, _Element(20, TEXT)]
    certificate_number: Annotated[str, _Element(32, TEXT)]
    certificate_type: Annotated[int, _Element(1, INTEGER)]


@dataclass(frozen=True, slots=True)
class LogRecord(Record):
    """One record of EF 0018, 23 bytes.

    ``sequence_number`` is the offline number of a purchase or the online number of a load, as it stood before
    the transaction raised it.
    """

    TITLE = "EF 0018 transaction log"

    sequence_number: Annotated[int, _Element(2, INTEGER)]
    overdraft_limit_fen: Annotated[int, _Element(3, INTEGER)]
    amount_fen: Annotated[int, _Element(4, INTEGER)]
    transaction_type: Annotated[int, _Element(1, INTEGER)]
    terminal_number: Annotated[bytes, _Element(6, BYTES)]
    date: Annotated[datetime.date, _Element(4, DATE)]
    time: Annotated[datetime.time, _Element(3, TIME)]


def is_empty(record: bytes) -> bool:
    """Whether a log record was never written: all zeros, or all FF."""
    return not record.strip(b"\x00") or not record.strip(b"\xff")


@dataclass(frozen=True, slots=True)
class PurchaseInit(Record):
    """Answer of INITIALIZE FOR PURCHASE, 15 bytes."""

    TITLE = "INITIALIZE FOR PURCHASE"

    balance_fen: Annotated[int, _Element(4, INTEGER)]
    offline_number: Annotated[int, _Element(2, INTEGER)]
    overdraft_limit_fen: Annotated[int, _Element(3, INTEGER)]
    key_version: Annotated[int, _Element(1, INTEGER)]
    algorithm_id: Annotated[int, _Element(1, INTEGER)]
    random: Annotated[bytes, _Element(4, BYTES)]


@dataclass(frozen=True, slots=True)
class LoadInit(Record):
    """Answer of INITIALIZE FOR LOAD, 16 bytes."""

    TITLE = "INITIALIZE FOR LOAD"

    balance_fen: Annotated[int, _Element(4, INTEGER)]
    online_number: Annotated[int, _Element(2, INTEGER)]
    key_version: Annotated[int, _Element(1, INTEGER)]
    algorithm_id: Annotated[int, _Element(1, INTEGER)]
    random: Annotated[bytes, _Element(4, BYTES)]
    mac1: Annotated[bytes, _Element(4, BYTES)]


# -- the PSAM


@dataclass(frozen=True, slots=True)
class PsamCard(Record):
    """EF 0015 of a PSAM's MF, 14 bytes."""

    TITLE = "PSAM EF 0015 card public information"

    serial: Annotated[bytes, _Element(10, BYTES)]
    version: Annotated[int, _Element(1, INTEGER)]
    key_card_type: Annotated[int, _Element(1, INTEGER)]
    issuer_fci: Annotated[bytes, _Element(2, BYTES)]


@dataclass(frozen=True, slots=True)
class PsamTerminal(Record):
    """EF 0016 of a PSAM's MF, 6 bytes."""

    TITLE = "PSAM EF 0016 terminal information"

    terminal_number: Annotated[bytes, _Element(6, BYTES)]


@dataclass(frozen=True, slots=True)
class PsamApplication(Record):
    """EF 0017 of a PSAM's application, 25 bytes."""

    TITLE = "PSAM EF 0017 application public information"

    key_index: Annotated[int, _Element(1, INTEGER)]
    issuer_id: Annotated[bytes, _Element(8, BYTES)]
    zone_id: Annotated[bytes, _Element(8, BYTES)]
    start_date: Annotated[datetime.date, _Element(4, DATE)]
    expiry_date: Annotated[datetime.date, _Element(4, DATE)]


@dataclass(frozen=True, slots=True)
class PsamInit(Record):
    """Answer of INIT SAM FOR PURCHASE, 8 bytes."""

    TITLE = "INIT SAM FOR PURCHASE"

    terminal_transaction_number: Annotated[bytes, _Element(4, BYTES)]
    mac1: Annotated[bytes, _Element(4, BYTES)]


# -- for people
