"""What the issuer reads in bit 55 and answers there: cryptograms, ARPC, scripts (cards.md D5 to D7; EMV Book 2, 8 and 9).

ChipError      the data cannot be those of a transaction; says which object is missing or wrong
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyemv

from cardreader import tlv
from cardreader.emv.bits import Cvr
from cardreader.emv.cryptogram import (
    CryptogramData,
    application_cryptogram,
    card_key,
    issuer_response,
    session_key,
)
from cardreader.errors import ProtocolError
from server_stub.foundation.secret import SecretBytes

ARQC, TC = 0x80, 0x40
"""9F27, its two highest bits."""
PUT_DATA_BALANCE = bytes.fromhex("04DA9F79")
SCRIPT_ID = bytes.fromhex("00000001")
COVERED = (0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37, 0x82, 0x9F36)
NEEDED = (*COVERED, 0x9F26, 0x9F27, 0x9F10)
SUCCEEDED = 0x2
"""High nibble of a script's result in DF31: the script was successful (EMV Book 3, 10.10; Annex C's issuer script results)."""


class ChipError(ValueError):
    """Not the data of a transaction."""


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """An issuer's master keys, 16 bytes each.

    Attributes:
        ac: for cryptograms.
        mac: for the MACs of scripts.
    """

    ac: SecretBytes
    mac: SecretBytes


@dataclass(frozen=True, slots=True)
class ChipData:
    """Bit 55 of a request that has a cryptogram in it."""

    objects: Mapping[int, bytes]

    @classmethod
    def parse(cls, data: bytes) -> ChipData:
        """Raises ChipError: no TLV, or something that the cryptogram needs is missing or of another length."""
        objects = objects_of(data)
        for tag in NEEDED:
            if tag not in objects:
                raise ChipError(f"bit 55 has no {tag:X}")
        made = cls(objects)
        made.covered()
        if len(made.cryptogram) != 8 or len(objects[0x9F27]) != 1:
            raise ChipError("9F26 or 9F27 in bit 55 has another length")
        return made

    @property
    def cryptogram(self) -> bytes:
        """9F26."""
        return self.objects[0x9F26]

    @property
    def kind(self) -> int:
        """Which cryptogram it says that it is: ``ARQC``, ``TC``, 0 for an AAC."""
        return self.objects[0x9F27][0] & 0xC0

    @property
    def atc(self) -> bytes:
        """9F36, 2 bytes."""
        return self.objects[0x9F36]

    @property
    def amount_fen(self) -> int:
        """9F02. Raises ChipError: not BCD."""
        digits = self.objects[0x9F02].hex()
        if not digits.isdecimal():
            raise ChipError("9F02 in bit 55 is not BCD")
        return int(digits)

    @property
    def cash_balance_fen(self) -> int | None:
        """The balance of electronic cash that the card has told in 9F10 (IDD of form 01); None without one."""
        iad = self.objects[0x9F10]
        told = iad[10:15].hex()
        return int(told) if len(iad) >= 15 and iad[8:10] == b"\x0a\x01" and told.isdecimal() else None

    @property
    def pin_verified(self) -> bool:
        """The card itself has checked the PIN and found it right: its CVR say so, which its cryptogram covers."""
        results = Cvr(int.from_bytes(self.objects[0x9F10][4:7]))
        return bool(results & Cvr.OFFLINE_PIN_PERFORMED) and not results & Cvr.OFFLINE_PIN_FAILED

    def covered(self) -> bytes:
        """What the cryptogram covers. Raises ChipError."""
        iad = self.objects[0x9F10]
        if len(iad) < 8 or iad[2] != 1:
            raise ChipError("9F10 in bit 55 is not that of cryptogram version 01")
        try:
            values = [*(self.objects[tag] for tag in COVERED), iad[3:7]]
            return CryptogramData(*values).to_bytes()
        except ValueError as error:
            raise ChipError(f"bit 55: {error}") from error


def objects_of(data: bytes) -> dict[int, bytes]:
    """The data objects of bit 55 by tag. Raises ChipError: no TLV, or one of them twice."""
    try:
        found = tlv.parse(data)
    except ProtocolError as error:
        raise ChipError(f"bit 55: {error}") from error
    objects = {one.tag: one.value for one in found}
    if len(objects) != len(found):
        raise ChipError("bit 55 has an object twice")
    return objects


def script_done(results: bytes) -> bool:
    """Whether DF31 (5 bytes a script) tells of success only. Raises ChipError: of no script."""
    if not results or len(results) % 5:
        raise ChipError(f"DF31 has {len(results)} bytes; 5 for each script are wanted")
    return all(results[start] >> 4 == SUCCEEDED for start in range(0, len(results), 5))


class CardKeys:
    """A card's keys for one transaction, as the issuer derives them from its master keys."""

    def __init__(self, master: MasterKeys, pan: str, sequence_number: str, chip: ChipData) -> None:
        self._chip = chip
        ac, mac = (card_key(key.reveal(), pan, sequence_number) for key in (master.ac, master.mac))
        self._ac, self._mac = session_key(ac, chip.atc), session_key(mac, chip.atc)

    def good(self) -> bool:
        """Whether the cryptogram is this card's."""
        mine = application_cryptogram(self._ac, self._chip.covered())
        return hmac.compare_digest(mine, self._chip.cryptogram)

    def answer(self, code: str, scripts: Sequence[bytes] = ()) -> bytes:
        """Bit 55 of the answer: issuer authentication data (91) and scripts to be done after the second GENERATE AC (72).

        Args:
            code: bit 39; the card sees it as the authorisation response code.
            scripts: commands, as ``command`` makes them.
        """
        arc = code.encode("ascii")
        made = tlv.encode(0x91, issuer_response(self._ac, self._chip.cryptogram, arc) + arc)
        if scripts:
            inside = tlv.encode(0x9F18, SCRIPT_ID) + b"".join(tlv.encode(0x86, one) for one in scripts)
            made += tlv.encode(0x72, inside)
        return made

    def command(self, header: bytes, data: bytes = b"") -> bytes:
        """A script command with its MAC of 4 bytes.

        Args:
            header: CLA, INS, P1, P2.
        """
        head = header + bytes((len(data) + 4,))
        covered = head + self._chip.atc + self._chip.cryptogram + data
        mac: bytes = pyemv.mac.mac_iso9797_3(self._mac[:8], self._mac[8:], covered, 2, 4)
        return head + data + mac


def put_balance(keys: CardKeys, balance_fen: int) -> bytes:
    """The command that gives a card a new balance of electronic cash (9F79, format n 12)."""
    return keys.command(PUT_DATA_BALANCE, bytes.fromhex(f"{balance_fen:012d}"))
