"""Contactless cards as PC/SC shows them (part 3): they have an answer to reset that their reader has made up, and a UID."""

from __future__ import annotations

from cardreader.apdu import MAX_LE, Command
from cardreader.reader import Connection

GET_UID = Command(0xFF, 0xCA, 0x00, 0x00, le=MAX_LE)
"""GET DATA of the reader itself (PC/SC part 3, 3.2.2.1.3); a contact card refuses the class."""
_OK = 0x9000


def is_contactless(atr: bytes) -> bool:
    """Whether an answer to reset is that of a card without contacts (PC/SC part 3, 3.1.3.2.3): 3B 8N 80 01, of which N are historical
    bytes.

    >>> is_contactless(bytes.fromhex("3B6600005354422D454D"))
    False
    >>> is_contactless(atr(b"STB-EM"))
    True
    """
    return (
        len(atr) >= 5
        and atr[0] == 0x3B
        and atr[1] >> 4 == 0x8
        and atr[2:4] == b"\x80\x01"
        and len(atr) == 5 + (atr[1] & 0x0F)
        and not _check(atr[1:])
    )


def atr(historical: bytes) -> bytes:
    """The answer to reset that a reader makes for an ISO 14443-4 card, from at most 15 historical bytes."""
    body = bytes((0x80 | len(historical), 0x80, 0x01)) + historical
    return b"\x3b" + body + bytes((_check(body),))


def uid(connection: Connection) -> bytes:
    """The card's UID of 4, 7 or 10 bytes, new with every insertion for many bank cards; empty where the reader does not tell it.

    Raises:
        CardRemoved
    """
    data, sw = connection.transmit(GET_UID.to_bytes())
    return data if sw == _OK else b""


def _check(body: bytes) -> int:
    check = 0
    for byte in body:
        check ^= byte
    return check
