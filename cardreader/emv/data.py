"""What a card tells outside of a transaction: GET DATA, electronic cash, logs (cards.md, D3 and D4; EMV Book 3, 6.5.7 and D)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cardreader import status
from cardreader.apdu import MAX_LE, Channel, Command
from cardreader.emv.dol import DolEntry, length, parse, split
from cardreader.emv.settings import fen
from cardreader.errors import ProtocolError
from cardreader.tlv import find

ELECTRONIC_CASH = {
    "balance_fen": 0x9F79,
    "balance_limit_fen": 0x9F77,
    "transaction_limit_fen": 0x9F78,
    "reset_threshold_fen": 0x9F6D,
}
"""Its amounts."""
_NO_RECORD = 0x6A83
_LOG_FILES = range(11, 31)
_MAX_DATA = 255


def get_data(channel: Channel, tag: int) -> bytes | None:
    """GET DATA: the value, or None when the card does not tell it (6A88 and every other refusal).

    Raises:
        ProtocolError: it told another object.
    """
    data, sw = channel.send(Command(0x80, 0xCA, tag >> 8, tag & 0xFF, le=MAX_LE))
    if sw != status.OK:
        return None
    value = find(data, tag)
    if value is None:
        raise ProtocolError(f"GET DATA {tag:X}: no object {tag:X} in the answer")
    return value


@dataclass(frozen=True, slots=True)
class ElectronicCash:
    """Electronic cash on the card, in fen; None for what the card does not tell.

    Attributes:
        balance_fen: 9F79.
        balance_limit_fen: 9F77, the most that may be on the card.
        transaction_limit_fen: 9F78, the most that may be spent at once.
        reset_threshold_fen: 9F6D; the card wants online when less would remain.
    """

    balance_fen: int | None
    balance_limit_fen: int | None
    transaction_limit_fen: int | None
    reset_threshold_fen: int | None


def electronic_cash(channel: Channel) -> ElectronicCash:
    """Asks for balance and limits of electronic cash. Raises ProtocolError when an amount is none."""
    return ElectronicCash(**{name: amount(channel, tag) for name, tag in ELECTRONIC_CASH.items()})


def amount(channel: Channel, tag: int) -> int | None:
    """An amount by GET DATA, in fen, or None. Raises ProtocolError when it is none."""
    value = get_data(channel, tag)
    if value is None:
        return None
    found = fen(value)
    if found is None:
        raise ProtocolError(f"GET DATA {tag:X}: no amount: {value.hex().upper()}")
    return found


class LogRecord(NamedTuple):
    """A record of the transaction log: number, 1 is the newest, and values by tag."""

    number: int
    values: dict[int, bytes]


class LoadRecord(NamedTuple):
    """A record of the load log (L).

    Attributes:
        number: 1 is the newest.
        tag: what the issuer has changed: P1 and P2 of PUT DATA.
        before, after: its value, 6 bytes each.
        values: the rest, by tag.
    """

    number: int
    tag: int
    before: bytes
    after: bytes
    values: dict[int, bytes]


def transaction_log(channel: Channel, entry: bytes | None) -> list[LogRecord]:
    """The last transactions, newest first; empty when the card keeps no log.

    Args:
        channel: to the card, the application selected.
        entry: 9F4D of its FCI.

    Raises:
        ProtocolError: entry, format or a record is garbled.
    """
    return [
        LogRecord(number, split(form, record))
        for number, form, record in _log(channel, entry, 0x9F4F, head=0)
    ]


def load_log(channel: Channel, entry: bytes | None) -> list[LoadRecord]:
    """The last loads, newest first (arguments and errors as `transaction_log`; ``entry`` is DF4D)."""
    return [
        LoadRecord(number, int.from_bytes(record[:2]), record[2:8], record[8:14], split(form, record[14:]))
        for number, form, record in _log(channel, entry, 0xDF4F, head=14)
    ]


def _log(
    channel: Channel, entry: bytes | None, format_tag: int, head: int
) -> list[tuple[int, tuple[DolEntry, ...], bytes]]:
    if entry is None:
        return []
    if len(entry) != 2 or entry[0] not in _LOG_FILES:
        raise ProtocolError(f"log entry: no file and number of records: {entry.hex().upper()}")
    form = parse(get_data(channel, format_tag) or b"")
    if not 0 < length(form) + head <= _MAX_DATA:
        raise ProtocolError(f"log format {format_tag:X}: {length(form)} bytes a record")
    records = []
    for number in range(1, entry[1] + 1):
        data, sw = channel.send(Command(0x00, 0xB2, number, entry[0] << 3 | 4, le=MAX_LE))
        if sw == _NO_RECORD:
            break
        record = status.checked("READ RECORD", (data, sw))
        if len(record) != length(form) + head:
            raise ProtocolError(
                f"log record {number}: {length(form) + head} bytes expected, {len(record)} came"
            )
        if set(record) not in ({0x00}, {0xFF}):
            records.append((number, form, record))
    return records
