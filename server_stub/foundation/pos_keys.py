"""Working keys of a UnionPay POS line, and what is made with them: MAC of a message, track under the track key.

Both ends of the line use the same: the TSP's security module and the payment centre. Keys are bytes here; whoever
holds them sees to it that they do not print.

Keys go from the terminal master key (TMK), which both ends have, to the working keys that a sign-in brings in field 62:
PIK for PIN blocks, MAK for MACs, TDK for tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

from cardreader.pboc.crypto import BLOCK, des3_decrypt, des3_encrypt
from server_stub.foundation.secret import SecretBytes

CHECK_VALUE = 4
"""Bytes of a key check value on this line."""
_PIK, _MAK, _TDK = 16, 8, 16
_SIZES = (2 * 16 + 2 * CHECK_VALUE, 3 * 16 + 3 * CHECK_VALUE)
_TRACK_DIGITS = 16
"""Of one block."""
LONGEST_TRACK = 37


class CheckValueWrong(ValueError):
    """A key is not the one that its check value is of: the two ends have different master keys, or a byte has changed.

    Attributes:
        key: ``PIK``, ``MAK`` or ``TDK``.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"the check value of the {key} is not that of the key")
        self.key = key


@dataclass(frozen=True, slots=True)
class WorkingKeys:
    """The keys of one sign-in, in clear.

    Attributes:
        pik: 16 bytes, enciphers PIN blocks.
        mak: 8 bytes, makes MACs.
        tdk: 16 bytes, enciphers tracks; None where tracks are not enciphered (60.3 = 003).
    """

    pik: SecretBytes
    mak: SecretBytes
    tdk: SecretBytes | None

    def field(self, tmk: bytes) -> bytes:
        """Field 62 of the answer to a sign-in: 40 bytes, 60 with a TDK (60.3 = 004).

        Args:
            tmk: 16 bytes.
        """
        made = _enciphered(tmk, self.pik.reveal())
        mak = self.mak.reveal()
        made += des3_encrypt(tmk, mak) + bytes(BLOCK) + check_value(mak)
        return made if self.tdk is None else made + _enciphered(tmk, self.tdk.reveal())

    @classmethod
    def read(cls, tmk: bytes, field: bytes) -> WorkingKeys:
        """The keys of a field 62: PIK 16 and check value 4; MAK 8, zeros 8 and check value 4; TDK 16 and check value 4
        where there are 60 bytes. Keys are enciphered with the TMK (3DES, ECB).

        Raises:
            ValueError: the field is not laid out like this.
            CheckValueWrong
        """
        if len(field) not in _SIZES:
            raise ValueError(f"field 62: {_SIZES[0]} or {_SIZES[1]} bytes expected, {len(field)} are there")
        if any(field[28:36]):
            raise ValueError("field 62: zeros expected at byte 28, after the MAK")
        pik = _key(tmk, field[:16], field[16:20], "PIK")
        mak = _key(tmk, field[20:28], field[36:40], "MAK")
        tdk = _key(tmk, field[40:56], field[56:60], "TDK") if len(field) == _SIZES[1] else None
        return cls(pik, mak, tdk)


def check_value(key: bytes) -> bytes:
    """Key check value: the first 4 bytes of eight zero bytes enciphered with the key (8 or 16 bytes).

    >>> check_value(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")).hex().upper()
    '08D7B4FB'
    """
    return des3_encrypt(key, bytes(BLOCK))[:CHECK_VALUE]


def pos_mac(mak: bytes, message: bytes) -> bytes:
    """MAC of a message, field 64: the "ECB" way of UnionPay's terminals, 8 ASCII characters.

    All blocks of 8 bytes are XORed; of the result, as 16 upper-case hex characters, the first half is enciphered, XORed with
    the second and enciphered again; the MAC is the first half of that in hex.

    Args:
        mak: 8 bytes (DES) or 16 (3DES).
        message: from the message type to field 63; padded with zeros.
    """
    padded = message + bytes(-len(message) % BLOCK)
    folded = bytes(BLOCK)
    for place in range(0, len(padded), BLOCK):
        folded = _xor(folded, padded[place : place + BLOCK])
    text = folded.hex().upper().encode("ascii")
    first = des3_encrypt(mak, text[:BLOCK])
    return des3_encrypt(mak, _xor(first, text[BLOCK:])).hex().upper().encode("ascii")[:BLOCK]


def encipher_track(tdk: bytes, track: str) -> bytes:
    """Track 2 for field 35: all of it, padded with F to whole blocks, 3DES, ECB: 8, 16 or 24 bytes.

    Args:
        tdk: 16 bytes.
        track: digits and the separator ``D``, as in tag 57 without its padding; at most 37.

    Raises:
        ValueError: the track is not like this. The message does not repeat it.
    """
    if not 0 < len(track) <= LONGEST_TRACK or set(track) - set("0123456789D"):
        raise ValueError(f"a track has at most {LONGEST_TRACK} digits and one separator D")
    return des3_encrypt(tdk, bytes.fromhex(track + "F" * (-len(track) % _TRACK_DIGITS)))


def decipher_track(tdk: bytes, field: bytes) -> str:
    """The track again.

    Raises:
        ValueError: no whole blocks, or what comes out is no track: another key. The message does not repeat it.
    """
    if not field or len(field) % BLOCK:
        raise ValueError(f"an enciphered track has whole blocks of {BLOCK} bytes, not {len(field)} bytes")
    track = des3_decrypt(tdk, field).hex().upper().rstrip("F")
    if not 0 < len(track) <= LONGEST_TRACK or set(track) - set("0123456789D"):
        raise ValueError("what comes out is no track: it was enciphered with another key")
    return track


def _enciphered(tmk: bytes, key: bytes) -> bytes:
    return des3_encrypt(tmk, key) + check_value(key)


def _key(tmk: bytes, enciphered: bytes, value: bytes, name: str) -> SecretBytes:
    key = des3_decrypt(tmk, enciphered)
    if check_value(key) != value:
        raise CheckValueWrong(name)
    return SecretBytes(key)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
