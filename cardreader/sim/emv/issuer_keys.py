"""Symmetric keys of the demo issuer of debit and credit cards. Public on purpose: no real card knows them.

The issuer behind PPP computes with the same ones: from its master keys to a card's (by PAN and PAN sequence
number), to a transaction's (by ATC), each by UnionPay's derivations (`cardreader.emv.cryptogram`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cardreader.emv.cryptogram import card_key, session_key

MASTER_AC = bytes.fromhex("6D0F29B4E85A137CC2964E1B8D73F05A")
"""For application cryptograms and ARPC."""
MASTER_MAC = bytes.fromhex("1A83D6C75F2E940BB7604DF9128CE535")
"""For the MAC of issuer scripts."""
MASTER_ENC = bytes.fromhex("E4512B9C7DF8063A985ED3A10FB4672C")
"""For enciphered data in issuer scripts."""


@dataclass(frozen=True, slots=True)
class CardKeys:
    """Three keys of 16 bytes, of a card (UDK) or of one transaction of it (SK). Not printed."""

    ac: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    enc: bytes = field(repr=False)

    def session(self, atc: bytes) -> CardKeys:
        """The keys of the transaction with this ATC (2 bytes), from a card's."""
        return CardKeys(session_key(self.ac, atc), session_key(self.mac, atc), session_key(self.enc, atc))


def card_keys(pan: str, sequence_number: str) -> CardKeys:
    """The keys of a card of the demo issuer.

    Args:
        pan: decimal digits.
        sequence_number: two digits, 5F34.
    """
    return CardKeys(
        card_key(MASTER_AC, pan, sequence_number),
        card_key(MASTER_MAC, pan, sequence_number),
        card_key(MASTER_ENC, pan, sequence_number),
    )
