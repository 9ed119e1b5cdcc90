"""Certification authority public keys: the table with which cards are authenticated (EMV Book 2, 5.2 and 11.2.2).

The file is TOML, one ``[[key]]`` each::

    [[key]]
    rid = "A000000333"
    index = "F0"
    modulus = "B5..."
    exponent = "03"
    expiry = 2049-12-31
    checksum = "1A..."    # SHA-1 of rid, index, modulus, exponent
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from cardreader import toml
from cardreader.emv.certificates import EXPONENTS, PublicKey
from cardreader.errors import ProtocolError

_FIELDS = ("rid", "index", "modulus", "exponent", "expiry", "checksum")
_RID_SIZE = 5
_MODULUS_SIZES = range(64, 249)


@dataclass(frozen=True, slots=True)
class CaKey:
    """A key of a certification authority.

    Attributes:
        rid: registered application provider identifier, 5 bytes.
        index: 8F.
        key: modulus and exponent.
        expiry: last day on which it counts.
    """

    rid: bytes
    index: int
    key: PublicKey
    expiry: date

    @property
    def checksum(self) -> bytes:
        """SHA-1 over RID, index, modulus and exponent, 20 bytes (EMV Book 2, 11.2.2)."""
        data = self.rid + bytes((self.index,)) + self.key.modulus + self.key.exponent
        return hashlib.sha1(data, usedforsecurity=False).digest()


CaKeys = Mapping[tuple[bytes, int], CaKey]
"""Keys by RID and index."""


def table(keys: Iterable[CaKey]) -> CaKeys:
    """Keys by RID and index."""
    return {(key.rid, key.index): key for key in keys}


def load(path: Path) -> CaKeys:
    """Reads a file. Raises OSError, and ProtocolError as `parse`; that names the file, too."""
    with path.open("rb") as file:
        raw = file.read(toml.MAX_FILE + 1)
    try:
        return parse(toml.decoded(raw))
    except ProtocolError as error:
        raise ProtocolError(f"{path}: {error}") from error


def for_simulated_cards(keys: CaKeys) -> CaKeys:
    """``keys``, and the simulator's where they have none of that RID and index; only for readers without real cards.

    A key that somebody has written down comes first: a tester's cards may have a CA of their own under any index.
    """
    return {**simulated(), **keys}


def simulated() -> CaKeys:
    """The key of the simulated cards' certification authority."""
    return parse(files("cardreader.emv").joinpath("simulated_ca.toml").read_text("utf-8"))


def parse(text: str) -> CaKeys:
    """Reads a table.

    Raises:
        ProtocolError: no TOML, a field missing or wrong, a checksum that is another one, a key twice; names the line.
    """
    try:
        document = toml.parse(text)
    except ProtocolError as error:
        raise ProtocolError(f"CA keys: {error}") from error
    rows = document.pop("key", [])
    if document:
        raise ProtocolError(
            f"CA keys: line {_line_of(text, next(iter(document)))}: only [[key]] may stand here"
        )
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ProtocolError(f"CA keys: line {_line_of(text, 'key')}: keys are written [[key]]")
    lines = _key_lines(text)
    keys: dict[tuple[bytes, int], CaKey] = {}
    for number, row in enumerate(rows):
        where = f"CA keys: line {lines[number]}" if number < len(lines) else f"CA keys: key {number + 1}"
        key = _key(where, row)
        if (key.rid, key.index) in keys:
            raise ProtocolError(f"{where}: {key.rid.hex().upper()}/{key.index:02X} stands here twice")
        keys[key.rid, key.index] = key
    return keys


def _key(where: str, row: dict[str, Any]) -> CaKey:
    missing = [name for name in _FIELDS if name not in row]
    unknown = [name for name in row if name not in _FIELDS]
    if missing or unknown:
        raise ProtocolError(
            f"{where}: " + ("without " + missing[0] if missing else f"{unknown[0]!r} is not known")
        )
    rid, index, modulus, exponent, checksum = (
        _hex(where, name, row[name]) for name in ("rid", "index", "modulus", "exponent", "checksum")
    )
    if len(rid) != _RID_SIZE or len(index) != 1:
        raise ProtocolError(f"{where}: a RID has {_RID_SIZE} bytes, an index one")
    if len(modulus) not in _MODULUS_SIZES or not modulus[0] or not modulus[-1] & 1:
        raise ProtocolError(f"{where}: a modulus is an odd number of 64 to 248 bytes without leading zeros")
    if exponent not in EXPONENTS:
        raise ProtocolError(f"{where}: an exponent is 03 or 010001")
    expiry = row["expiry"]
    if not isinstance(expiry, date) or isinstance(expiry, datetime):
        raise ProtocolError(f"{where}: expiry is a date, e.g. 2049-12-31")
    key = CaKey(rid, index[0], PublicKey(modulus, exponent), expiry)
    if not hmac.compare_digest(key.checksum, checksum):
        raise ProtocolError(
            f"{where}: the checksum of {rid.hex().upper()}/{index.hex().upper()} is another one"
        )
    return key


def _hex(where: str, name: str, value: object) -> bytes:
    try:
        if not isinstance(value, str):
            raise ValueError("no text")
        return bytes.fromhex(value)
    except ValueError as error:
        raise ProtocolError(f"{where}: {name} is written in hexadecimal digits") from error


def _key_lines(text: str) -> list[int]:
    """Line numbers of the ``[[key]]`` headers; a multi-line text that holds one misleads only the message."""
    return [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.split("#")[0].replace(" ", "").strip() == "[[key]]"
    ]


def _line_of(text: str, name: str) -> int:
    lines = (number for number, line in enumerate(text.splitlines(), 1) if name in line)
    return next(lines, 1)
