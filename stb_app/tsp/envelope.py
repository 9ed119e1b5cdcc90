"""A bank card's data and PIN, sealed for the platform's security module (docs/tsp-api.md, ONL-12).

The box has the public key only: what it has sealed it cannot open again, nor can whoever carries it. Each envelope is
good for one payment. Randomness is the crypto library's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psec import pinblock

from cardreader import tlv
from cardreader.errors import ProtocolError
from cardreader.secret import Pan, Pin, SecretBytes
from stb_app.tsp.model import Fields
from stb_app.tsp.problem import Problem

PAN, TRACK_2, EXPIRY, SEQUENCE_NUMBER = 0x5A, 0x57, 0x5F24, 0x5F34
"""Tags (EMV Book 3, annex A): PAN, Track 2 Equivalent Data, expiration date, PAN sequence number."""
_LONGEST = {PAN: 10, TRACK_2: 19, EXPIRY: 3, SEQUENCE_NUMBER: 1}
"""Bytes of their values."""
LABEL = b"stb-pay card envelope 1"
SHORTEST_KEY = 2048
SECRET, NONCE = 32, 12
_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


@dataclass(frozen=True, slots=True)
class CardKey:
    """The platform's public key, which came in an answer that the platform has signed."""

    key_id: str
    public_key: RSAPublicKey

    @classmethod
    def read(cls, f: Fields) -> CardKey:
        """From ``{"key_id", "public_key"}``. Raises Problem ``tsp-answer-bad`` for no RSA key of 2048 bits or more."""
        try:
            key = serialization.load_der_public_key(bytes.fromhex(f.text("public_key")))
        except ValueError as error:
            raise _bad_key() from error
        if not isinstance(key, RSAPublicKey) or key.key_size < SHORTEST_KEY:
            raise _bad_key()
        return cls(f.text("key_id"), key)


@dataclass(frozen=True, slots=True)
class CardData:
    """What a card's records say of it; it does not print.

    Attributes:
        pan: 5A, packed digits.
        track: 57.
        expiry: 5F24, YYMMDD packed.
        sequence_number: 5F34, 1 byte; None where the card has none.
    """

    pan: SecretBytes
    track: SecretBytes
    expiry: SecretBytes
    sequence_number: bytes | None

    @classmethod
    def of(cls, objects: Mapping[int, bytes]) -> CardData:
        """From a card's data objects by tag.

        Raises:
            ProtocolError: one that every card has (EMV Book 3, 7.2) is missing, one is too long, or the PAN is none. The
                message repeats no value.
        """
        for tag in (PAN, TRACK_2, EXPIRY):
            if not objects.get(tag):
                raise ProtocolError(f"the card has no {tag:X}")
        for tag, longest in _LONGEST.items():
            if len(objects.get(tag, b"")) > longest:
                raise ProtocolError(f"{tag:X}: at most {longest} bytes expected")
        card = cls(
            pan=SecretBytes(objects[PAN]),
            track=SecretBytes(objects[TRACK_2]),
            expiry=SecretBytes(objects[EXPIRY]),
            sequence_number=objects.get(SEQUENCE_NUMBER),
        )
        try:
            card.number()
        except ValueError as error:
            raise ProtocolError(f"{PAN:X}: {error}") from None
        return card

    def number(self) -> Pan:
        """The PAN, for people masked. Raises ValueError: it is none."""
        return Pan(self.pan.reveal().hex().removesuffix("f"))

    def coded(self) -> SecretBytes:
        """Its data objects one after another."""
        objects = [(PAN, self.pan.reveal()), (TRACK_2, self.track.reveal()), (EXPIRY, self.expiry.reveal())]
        if self.sequence_number is not None:
            objects.append((SEQUENCE_NUMBER, self.sequence_number))
        return SecretBytes(b"".join(tlv.encode(tag, value) for tag, value in objects))


def seal(key: CardKey, payment: str, card: CardData, pin: Pin | None) -> dict[str, str | None]:
    """The envelope of one payment, as it goes into a request.

    Args:
        payment: its id.
        pin: 4 to 12 digits; None where none was asked for, or the card holder had none to enter.

    Raises:
        ValueError: a PIN of another length. The message does not repeat it.
    """
    secret = os.urandom(SECRET)
    derived = HKDF(hashes.SHA256(), 2 * SECRET, salt=None, info=LABEL).derive(secret)
    pin_key, card_key = derived[:SECRET], derived[SECRET:]
    block = b""
    if pin is not None:
        block = pinblock.encipher_pinblock_iso_4(pin_key, pin.reveal(), card.number().reveal())
    nonce = os.urandom(NONCE)
    covered = b"".join(
        len(part).to_bytes(2) + part for part in (LABEL, key.key_id.encode(), payment.encode(), block)
    )
    sealed = nonce + AESGCM(card_key).encrypt(nonce, card.coded().reveal(), covered)
    return {
        "key_id": key.key_id,
        "wrapped_key": key.public_key.encrypt(secret, _OAEP).hex().upper(),
        "pin_block": block.hex().upper() or None,
        "card": sealed.hex().upper(),
    }


def _bad_key() -> Problem:
    return Problem("tsp-answer-bad", facts={"where": "card_keys.public_key", "expected": "RSA key"})
