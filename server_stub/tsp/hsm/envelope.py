"""What a box seals for the HSM: the card's data, and the PIN, for one payment (docs/tsp-api.md, ONL-12)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psec import pinblock

from cardreader import tlv
from cardreader.errors import ProtocolError
from cardreader.secret import Pan, Pin
from server_stub.foundation.secret import SecretBytes, SecretText
from server_stub.tsp.hsm.errors import EnvelopeRefused

LABEL = b"stb-pay card envelope 1"
NONCE, TAG = 12, 16
SECRET = 32
PIN_BLOCK = 16
PAN, TRACK_2, EXPIRY, SEQUENCE_NUMBER = 0x5A, 0x57, 0x5F24, 0x5F34
"""Tags of the card's data (EMV Book 3, annex A): PAN, Track 2 Equivalent Data, expiration date, PAN sequence number."""
LONGEST_CARD = 43
"""Bytes of a card's data: four objects with values of at most 10, 19, 3 and 1 bytes."""
_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
_TRACK = re.compile(r"([0-9]{13,19})D([0-9]{4})[0-9]{3}[0-9]*F?")


@dataclass(frozen=True, slots=True)
class Envelope:
    """As a box made it; everything in it is enciphered.

    Attributes:
        key_id: of the key pair that it was made for.
        wrapped_key: 32 random bytes under the public key: RSA-OAEP with SHA-256.
        pin_block: ISO 9564-1 format 4, 16 bytes; None for a payment without a PIN.
        card: 12 bytes nonce, the card's data under AES-256-GCM, 16 bytes tag.
    """

    key_id: str
    wrapped_key: bytes
    pin_block: bytes | None
    card: bytes


@dataclass(frozen=True, slots=True)
class CardData:
    """A card's data in clear: only inside the HSM.

    Attributes:
        track: track 2 without padding, ``D`` between PAN and expiry.
        expiry: YYMMDD.
        sequence_number: 0 to 99; None where the card has none.
    """

    pan: Pan
    track: SecretText
    expiry: str
    sequence_number: int | None

    @classmethod
    def read(cls, coded: SecretBytes) -> CardData:
        """From its data objects. Raises EnvelopeRefused ``card-data``."""
        found = _objects(coded.reveal())
        if found is None or not {PAN, TRACK_2, EXPIRY} <= set(found) <= {
            PAN,
            TRACK_2,
            EXPIRY,
            SEQUENCE_NUMBER,
        }:
            raise EnvelopeRefused("card-data", "5A, 57, 5F24 and perhaps 5F34 are expected, each once")
        expiry, number = found[EXPIRY].hex(), found.get(SEQUENCE_NUMBER)
        track = _TRACK.fullmatch(found[TRACK_2].hex().upper())
        if track is None:
            raise EnvelopeRefused("card-data", "57 is no track")
        if found[PAN].hex().upper().removesuffix("F") != track[1] or not expiry.startswith(track[2]):
            raise EnvelopeRefused("card-data", "57 is not of the card that 5A and 5F24 are of")
        if not re.fullmatch(r"[0-9]{6}", expiry):
            raise EnvelopeRefused("card-data", "5F24 is no date")
        if number is not None and not re.fullmatch(r"[0-9]{2}", number.hex()):
            raise EnvelopeRefused("card-data", "5F34 is not two digits")
        return cls(
            pan=Pan(track[1]),
            track=SecretText(track[0].removesuffix("F")),
            expiry=expiry,
            sequence_number=None if number is None else int(number.hex()),
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope that is of this payment.

    Attributes:
        coded: the card's data objects as they were sent.
    """

    coded: SecretBytes
    card: CardData
    _pin_key: SecretBytes
    _pin_block: bytes | None

    @property
    def has_pin(self) -> bool:
        """Whether a PIN block is there; ``pin`` tells whether it is good."""
        return self._pin_block is not None

    def pin(self) -> Pin:
        """The PIN. Raises EnvelopeRefused ``pin-block``."""
        if self._pin_block is None:
            raise EnvelopeRefused("pin-block", "the envelope has no PIN")
        pin = decoded_pin(self._pin_key, self._pin_block, self.card.pan)
        if pin is None:
            raise EnvelopeRefused("pin-block", "it has no PIN for this card")
        return pin


def unseal(envelope: Envelope, private_key: RSAPrivateKey, payment: str) -> Opened:
    """Opens an envelope for one payment. Raises EnvelopeRefused."""
    if envelope.pin_block is not None and len(envelope.pin_block) != PIN_BLOCK:
        raise EnvelopeRefused("pin-block", f"{PIN_BLOCK} bytes are expected")
    if not NONCE + TAG < len(envelope.card) <= NONCE + LONGEST_CARD + TAG:
        raise EnvelopeRefused("card", f"{NONCE + TAG + 1} to {NONCE + LONGEST_CARD + TAG} bytes are expected")
    secret = _secret(envelope.wrapped_key, private_key)
    if secret is None:
        raise EnvelopeRefused("wrapped-key", "no key for an envelope comes out")
    pin_key, card_key = _keys(secret)
    covered = associated(envelope.key_id, payment, envelope.pin_block)
    coded = opened(card_key, envelope.card, covered)
    if coded is None:
        raise EnvelopeRefused("card", "it was changed, or belongs to another payment, key or PIN block")
    return Opened(coded, CardData.read(coded), pin_key, envelope.pin_block)


def associated(key_id: str, payment: str, pin_block: bytes | None) -> bytes:
    """What is authenticated beside the card's data: each part with two bytes of length before it."""
    parts = (LABEL, key_id.encode(), payment.encode(), pin_block or b"")
    return b"".join(len(part).to_bytes(2) + part for part in parts)


def opened(key: SecretBytes, sealed: bytes, covered: bytes) -> SecretBytes | None:
    """What is under AES-GCM; None where it is not this key's, or something was changed."""
    try:
        return SecretBytes(AESGCM(key.reveal()).decrypt(sealed[:NONCE], sealed[NONCE:], covered))
    except InvalidTag:
        return None


def decoded_pin(key: SecretBytes, block: bytes, pan: Pan) -> Pin | None:
    """The PIN in a block of ISO 9564-1 format 4; None where there is none for this PAN under this AES key."""
    try:
        return Pin(pinblock.decipher_pinblock_iso_4(key.reveal(), block, pan.reveal()))
    except ValueError:
        # The library's words have digits of the PIN in them.
        return None


def _secret(wrapped: bytes, private_key: RSAPrivateKey) -> SecretBytes | None:
    try:
        secret = private_key.decrypt(wrapped, _OAEP)
    except ValueError:
        return None
    return SecretBytes(secret) if len(secret) == SECRET else None


def _keys(secret: SecretBytes) -> tuple[SecretBytes, SecretBytes]:
    """The key of the PIN block and that of the card's data: no key serves two uses."""
    derived = HKDF(hashes.SHA256(), 2 * SECRET, salt=None, info=LABEL).derive(secret.reveal())
    return SecretBytes(derived[:SECRET]), SecretBytes(derived[SECRET:])


def _objects(coded: bytes) -> dict[int, bytes] | None:
    """Data objects by tag; None where they are not readable or one comes twice."""
    try:
        every = tlv.parse(coded)
    except ProtocolError:
        return None
    found = {one.tag: one.value for one in every}
    return found if len(found) == len(every) else None
