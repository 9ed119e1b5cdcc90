"""The details of purse debits (ONL-8), as TSP and PPP write them into files of a day.

``XFMX``: what the platform has debited. ``XFJG``: PPP's answer to each line. The card's application serial stands there
under a key of its own that both sides derive from the terminal's master key; AES-SIV (RFC 5297) gives the same text for
the same line, so that a day that is sent again is the same file.

SerialUnreadable          what stands there was not made with this key for this line
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from server_stub.foundation.secret import CardNumber, SecretBytes

DETAILS, ANSWERS = "XFMX", "XFJG"
ACCEPTED = "00"
PURCHASE = "06"
"""PBOC purse, transaction type of a purchase (cards.md)."""


class SerialUnreadable(Exception):
    """The sealed serial is of another key, or of another line."""


@dataclass(frozen=True, slots=True)
class Detail:
    """A debit of a purse. What is hexadecimal is in upper case.

    Attributes:
        reference: the platform's payment; it comes under no other one again.
        terminal_number: of the PSAM, 6 bytes; terminal_transaction_number: 4 bytes.
        date, time: YYYYMMDD and HHMMSS, as the TAC has them.
        tac: 4 bytes.
        issuer_id: 8 bytes.
        key_version, algorithm_id: of the card's keys.
        serial: the card's application serial, sealed.
    """

    reference: str
    amount_fen: int
    transaction_type: str
    terminal_number: str
    terminal_transaction_number: str
    date: str
    time: str
    tac: str
    issuer_id: str
    key_version: str
    algorithm_id: str
    serial: str

    def record(self) -> tuple[str | int, ...]:
        """The fields of its line."""
        return astuple(self)

    @classmethod
    def of(cls, record: Sequence[str]) -> Detail:
        """From the fields of a line. Raises ValueError: the text names the field."""
        for one, text in zip(fields(cls), record, strict=True):
            if one.name in _SHAPES and not _SHAPES[one.name].fullmatch(text):
                raise ValueError(f"{one.name} is not as it should be")
        reference, amount, *rest = record
        return cls(reference, int(amount), *rest)


DETAIL_WIDTH = len(fields(Detail))
ANSWER_WIDTH = 4
"""Reference, amount, code, and the day of settlement (YYYYMMDD; empty of what was refused)."""
_SHAPES = {
    "reference": re.compile(r"[0-9A-Za-z-]{1,64}"),
    "transaction_type": re.compile(r"[0-9A-F]{2}"),
    "terminal_number": re.compile(r"[0-9A-F]{12}"),
    "terminal_transaction_number": re.compile(r"[0-9A-F]{8}"),
    "date": re.compile(r"\d{8}"),
    "time": re.compile(r"\d{6}"),
    "tac": re.compile(r"[0-9A-F]{8}"),
    "issuer_id": re.compile(r"[0-9A-F]{16}"),
    "key_version": re.compile(r"[0-9A-F]{2}"),
    "algorithm_id": re.compile(r"[0-9A-F]{2}"),
    "serial": re.compile(r"[0-9A-F]{52}"),
}


def conceal(tmk: SecretBytes, serial: CardNumber, reference: str) -> str:
    """A card's serial for one line: 52 hexadecimal digits (16 bytes of synthetic IV, 10 of the serial)."""
    return _cipher(tmk).encrypt(serial.reveal(), [reference.encode()]).hex().upper()


def reveal(tmk: SecretBytes, concealed: str, reference: str) -> CardNumber:
    """The serial again. Raises SerialUnreadable."""
    try:
        return CardNumber(_cipher(tmk).decrypt(bytes.fromhex(concealed), [reference.encode()]))
    except (InvalidTag, ValueError) as error:
        raise SerialUnreadable("not sealed with this terminal's key for this line") from error


def _cipher(tmk: SecretBytes) -> AESSIV:
    return AESSIV(hmac.new(tmk.reveal(), b"purse details", hashlib.sha512).digest())
