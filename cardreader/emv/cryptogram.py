"""UnionPay application cryptogram, version 01 (JR/T 0025 debit/credit; EMV Book 2, 8.1 and 8.2).

Keys go from the issuer's master key to the card's (UDK) to the transaction's (SK); the SK makes the
cryptogram and the issuer's answer. The SK's derivation is UnionPay's own; the rest comes from ``pyemv``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyemv

from cardreader.pboc.crypto import des3_encrypt, diversify
from cardreader.pboc.vectors import Vector

_FACTOR_DIGITS = 16


@dataclass(frozen=True, slots=True)
class CryptogramData:
    """What the cryptogram covers, in this order; each element as in its EMV tag.

    Attributes:
        amount: 9F02, 6 bytes BCD fen.
        amount_other: 9F03, 6 bytes BCD.
        terminal_country: 9F1A, 2 bytes.
        terminal_verification_results: 95, 5 bytes.
        currency: 5F2A, 2 bytes.
        date: 9A, YYMMDD in 3 bytes BCD.
        transaction_type: 9C, 1 byte.
        unpredictable_number: 9F37, 4 bytes.
        interchange_profile: 82, 2 bytes.
        atc: 9F36, 2 bytes.
        verification_results: CVR of 9F10, 4 bytes.
    """

    amount: bytes
    amount_other: bytes
    terminal_country: bytes
    terminal_verification_results: bytes
    currency: bytes
    date: bytes
    transaction_type: bytes
    unpredictable_number: bytes
    interchange_profile: bytes
    atc: bytes
    verification_results: bytes

    def to_bytes(self) -> bytes:
        """37 bytes, the input of the cryptogram. Raises ValueError when an element has another length."""
        elements = (
            (self.amount, 6),
            (self.amount_other, 6),
            (self.terminal_country, 2),
            (self.terminal_verification_results, 5),
            (self.currency, 2),
            (self.date, 3),
            (self.transaction_type, 1),
            (self.unpredictable_number, 4),
            (self.interchange_profile, 2),
            (self.atc, 2),
            (self.verification_results, 4),
        )
        for value, size in elements:
            if len(value) != size:
                raise ValueError(f"{size} bytes expected, not {value.hex()}")
        return b"".join(value for value, _ in elements)


def card_key(master_key: bytes, pan: str, sequence_number: str) -> bytes:
    """UDK of a card, 16 bytes (EMV Book 2, A1.4.1, option A, for PANs of every length; parity as it falls).

    Args:
        master_key: MDK, 16 bytes.
        pan: decimal digits.
        sequence_number: two digits, 5F34.
    """
    factor = (pan + sequence_number)[-_FACTOR_DIGITS:].zfill(_FACTOR_DIGITS)
    return diversify(master_key, bytes.fromhex(factor))


def session_key(udk: bytes, atc: bytes) -> bytes:
    """SK of a transaction, 16 bytes, from the UDK (16 bytes) and the ATC (2 bytes). UnionPay's derivation."""
    inverted = bytes(byte ^ 0xFF for byte in atc)
    return des3_encrypt(udk, bytes(6) + atc + bytes(6) + inverted)


def application_cryptogram(session_key: bytes, data: bytes) -> bytes:
    """ARQC, TC or AAC, 8 bytes, over `CryptogramData` (ISO 9797-1 algorithm 3, padding 2)."""
    cryptogram: bytes = pyemv.ac.generate_ac(session_key, data, pyemv.ac.PaddingType.EMV)
    return cryptogram


def issuer_response(session_key: bytes, cryptogram: bytes, response_code: bytes) -> bytes:
    """ARPC, 8 bytes, for a cryptogram and a response code of 2 ASCII digits (EMV Book 2, 8.2.1, method 1)."""
    arpc: bytes = pyemv.ac.generate_arpc_1(session_key, cryptogram, response_code)
    return arpc


_SK = bytes.fromhex("4A43440B2D932ACDC4E2776ED562EE43")
_DATA = CryptogramData(
    amount=bytes(6),
    amount_other=bytes(6),
    terminal_country=bytes.fromhex("0156"),
    terminal_verification_results=bytes(5),
    currency=bytes.fromhex("0156"),
    date=bytes(3),
    transaction_type=bytes(1),
    unpredictable_number=bytes.fromhex("00000444"),
    interchange_profile=bytes.fromhex("7C00"),
    atc=bytes.fromhex("03D3"),
    verification_results=bytes.fromhex("0380A800"),
)

VECTORS = (
    Vector(
        "E2 UDK",
        card_key,
        {
            "master_key": bytes.fromhex("C4D689158AD9FB9D23105B91CE046D0E"),
            "pan": "6210220110002707355",
            "sequence_number": "01",
        },
        bytes.fromhex("B8A15DA5F7043C317D9FD8F8DFE2BD75"),
    ),
    Vector(
        "E2 SK",
        session_key,
        {"udk": bytes.fromhex("B8A15DA5F7043C317D9FD8F8DFE2BD75"), "atc": bytes.fromhex("03D3")},
        _SK,
    ),
    Vector(
        "E2 AC",
        application_cryptogram,
        {"session_key": _SK, "data": _DATA.to_bytes()},
        bytes.fromhex("81A9DC9310F88856"),
    ),
    Vector(
        "E2 ARPC",
        issuer_response,
        {"session_key": _SK, "cryptogram": bytes.fromhex("81A9DC9310F88856"), "response_code": b"00"},
        bytes.fromhex("84DD63A221F915CA"),
    ),
)
