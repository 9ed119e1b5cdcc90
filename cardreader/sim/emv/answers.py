"""What a simulated card answers to GENERATE AC: cryptogram, 9F10 and combined signature (cards.md, D5 and D6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyemv

from cardreader.emv.bits import Ac, Aip, Cvr
from cardreader.emv.certificates import transaction_hash
from cardreader.emv.cryptogram import CryptogramData, application_cryptogram
from cardreader.emv.iad import IssuerApplicationData
from cardreader.sim.emv.issuer_keys import CardKeys
from cardreader.sim.emv.keys import RsaKey
from cardreader.sim.emv.signing import signed_dynamic_data
from cardreader.sim.emv.values import sized
from cardreader.tlv import encode

ICC_DYNAMIC_NUMBER_SIZE = 8
_KEY_INDEX, _CRYPTOGRAM_VERSION = 0x01, 0x01
_ELECTRONIC_CASH_BALANCE = 0x01
_BALANCE_SIZE, _MAC_SIZE = 5, 4


def cryptogram(session: CardKeys, asked: Mapping[int, bytes], aip: Aip, atc: bytes, cvr: Cvr) -> bytes:
    """Cryptogram version 01, 8 bytes (cards.md, D6).

    Args:
        session: keys of the transaction.
        asked: what the terminal said by CDOL1, and by CDOL2 then.
        aip, atc, cvr: the card's own.
    """

    def value(tag: int, size: int) -> bytes:
        return sized(asked.get(tag, b""), size)

    data = CryptogramData(
        amount=value(0x9F02, 6),
        amount_other=value(0x9F03, 6),
        terminal_country=value(0x9F1A, 2),
        terminal_verification_results=value(0x95, 5),
        currency=value(0x5F2A, 2),
        date=value(0x9A, 3),
        transaction_type=value(0x9C, 1),
        unpredictable_number=value(0x9F37, 4),
        interchange_profile=int(aip).to_bytes(2),
        atc=atc,
        verification_results=IssuerApplicationData(_KEY_INDEX, _CRYPTOGRAM_VERSION, cvr).cvr_bytes,
    )
    return application_cryptogram(session.ac, data.to_bytes())


def issuer_application_data(session: CardKeys, atc: bytes, cvr: Cvr, balance: bytes | None) -> bytes:
    """9F10 (cards.md, D5); ``balance`` is 9F79, or None without electronic cash."""
    own = b""
    if balance is not None:
        # No published algorithm for this MAC was found; ours covers the ATC and what stands before the MAC.
        own = bytes((_ELECTRONIC_CASH_BALANCE,)) + sized(balance, _BALANCE_SIZE)
        own += pyemv.mac.mac_iso9797_3(session.mac[:8], session.mac[8:], atc + own, 2, _MAC_SIZE)
    return IssuerApplicationData(_KEY_INDEX, _CRYPTOGRAM_VERSION, cvr, discretionary=own).encode()


@dataclass(frozen=True, slots=True)
class Told:
    """The answer's data objects: CID, ATC, cryptogram, 9F10."""

    kind: Ac
    atc: bytes
    cryptogram: bytes
    application_data: bytes

    def encode(self, format_2: bool) -> bytes:
        """The answer without a signature (EMV Book 3, 6.5.5.4): format 1 in 80, format 2 in 77."""
        cid = bytes((self.kind,))
        if not format_2:
            return encode(0x80, cid + self.atc + self.cryptogram + self.application_data)
        return encode(
            0x77,
            encode(0x9F27, cid)
            + encode(0x9F36, self.atc)
            + encode(0x9F26, self.cryptogram)
            + encode(0x9F10, self.application_data),
        )

    def signed(self, icc: RsaKey, number: bytes, unpredictable_number: bytes, values: bytes) -> bytes:
        """The answer with the cryptogram inside a combined signature (EMV Book 2, 6.6.1).

        Args:
            icc: the card's key.
            number: ICC dynamic number.
            unpredictable_number: 9F37.
            values: of the PDOL and of every CDOL so far, one behind the other.
        """
        cid = bytes((self.kind,))
        before = encode(0x9F27, cid) + encode(0x9F36, self.atc)
        after = encode(0x9F10, self.application_data)
        digest = transaction_hash(values, before + after)
        dynamic = bytes((len(number),)) + number + cid + self.cryptogram + digest
        return encode(
            0x77, before + encode(0x9F4B, signed_dynamic_data(icc, dynamic, unpredictable_number)) + after
        )
