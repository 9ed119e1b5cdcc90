"""The HSM's commands. What they return is wrapped, enciphered, masked or a verdict; nothing else leaves.

Outside there are only key blocks. PINs, PANs and tracks come in from boxes enciphered, and go out enciphered with
another key. Randomness is the crypto library's own: what is made here cannot be made again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from psec import pinblock

from cardreader.emv import cryptogram
from cardreader.emv.cryptogram import CryptogramData
from cardreader.pboc.crypto import des3_encrypt
from server_stub.foundation import purse_details
from server_stub.foundation.iso8583 import pos_mac, retail_mac
from server_stub.foundation.secret import CardNumber, SecretBytes
from server_stub.foundation.working_keys import check_value, conceal_track
from server_stub.tsp.hsm import envelope as envelopes
from server_stub.tsp.hsm import sign_in
from server_stub.tsp.hsm.envelope import NONCE, CardData, Envelope, Opened
from server_stub.tsp.hsm.errors import ComponentsRefused, EnvelopeRefused, KeyRefused
from server_stub.tsp.hsm.keys import LMK, KeyBlock, LocalMasterKey, Usage

BOX_KEY_BITS = 2048
_EXPONENT = 65537
Enciphered = NewType("Enciphered", bytes)
"""Under a key of the payment centre."""
ConcealedTrack = NewType("ConcealedTrack", str)
"""A track under a TDK, 32 or 48 hex digits, as bit 35 takes it."""
ConcealedSerial = NewType("ConcealedSerial", str)
"""A purse's application serial for one line of the details, 52 hex digits."""
Mac = NewType("Mac", bytes)
"""Of a message; tells nothing of the key."""
CheckValue = NewType("CheckValue", bytes)
"""The first bytes of zeros enciphered with a key; tells nothing of the key."""
Sealed = NewType("Sealed", str)
"""A card's data, without the PIN, for this HSM alone and for one payment; upper-case hex, to be kept in a database."""


@dataclass(frozen=True, slots=True)
class BoxKey:
    """A key pair for boxes.

    Attributes:
        key_id: JWK thumbprint of the public key (RFC 7638).
        public_key: SubjectPublicKeyInfo in DER (RFC 5280).
        private_key: wrapped.
    """

    key_id: str
    public_key: bytes
    private_key: KeyBlock


@dataclass(frozen=True, slots=True)
class WorkingKeyBlocks:
    """The working keys of a sign-in. ``tdk`` is None where tracks are not enciphered."""

    pik: KeyBlock
    mak: KeyBlock
    tdk: KeyBlock | None


@dataclass(frozen=True, slots=True)
class AcceptedCard:
    """What may be known of a card whose envelope is good.

    Attributes:
        masked: the PAN's first six and last four digits.
        fingerprint: of the PAN, keyed: the same card gives the same, and nobody without the key can try numbers.
        expiry: YYMMDD.
        sequence_number: 0 to 99; None where the card has none.
        has_pin: whether the envelope has a PIN block.
        sealed: the card's data for later commands of the same payment.
    """

    masked: str
    fingerprint: str
    expiry: str
    sequence_number: int | None
    has_pin: bool
    sealed: Sealed


class Hsm:
    """One security module.

    Args:
        master_key: 32 bytes, of one installation: what one process wraps, another one with the same key unwraps.
    """

    def __init__(self, master_key: SecretBytes) -> None:
        self._lmk = LocalMasterKey(_derived(master_key, b"key blocks"))
        self._seal_key = _derived(master_key, b"card data")
        self._fingerprint_key = _derived(master_key, b"fingerprints of PANs")

    # -- keys

    def make_box_key(self) -> BoxKey:
        """A new RSA key pair for boxes."""
        private = rsa.generate_private_key(_EXPONENT, BOX_KEY_BITS)
        coded = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = private.public_key()
        return BoxKey(
            key_id=_thumbprint(public),
            public_key=public.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            private_key=self._lmk.wrap(Usage.BOX, SecretBytes(coded)),
        )

    def form_key(self, usage: Usage, components: Sequence[SecretBytes]) -> KeyBlock:
        """Puts a key together from the components that its custodians bring, by XOR.

        Args:
            components: each as long as the key; a lab's key may come whole, as the only one.

        Raises:
            ComponentsRefused: none, of another length, two alike; or the usage is not one of such keys.
        """
        if usage.size is None:
            raise ComponentsRefused(f"{usage.name} is not put together from components")
        if not components or len(set(components)) != len(components):
            raise ComponentsRefused("components are expected, all of them different")
        if any(len(one.reveal()) != usage.size for one in components):
            raise ComponentsRefused(f"components of {usage.size} bytes are expected")
        key = bytes(usage.size)
        for one in components:
            key = bytes(a ^ b for a, b in zip(key, one.reveal(), strict=True))
        return self._lmk.wrap(usage, SecretBytes(key))

    def import_working_keys(self, tmk: KeyBlock, bit_62: bytes) -> WorkingKeyBlocks:
        """The working keys of bit 62 of a sign-in's answer, 40 or 60 bytes.

        Raises:
            WorkingKeysRefused: not laid out as it should be, or a check value is wrong. KeyRefused.
        """
        keys = sign_in.taken(self._lmk.unwrap(Usage.TMK, tmk), bit_62)
        return WorkingKeyBlocks(
            pik=self._lmk.wrap(Usage.PIK, keys.pik),
            mak=self._lmk.wrap(Usage.MAK, keys.mak),
            tdk=self._lmk.wrap(Usage.TDK, keys.tdk) if keys.tdk else None,
        )

    def conceal_serial(self, tmk: KeyBlock, serial: CardNumber, reference: str) -> ConcealedSerial:
        """Conceals a serial so that only who shares the terminal's key can read it.

        Raises:
            KeyRefused
        """
        return ConcealedSerial(purse_details.conceal(self._lmk.unwrap(Usage.TMK, tmk), serial, reference))

    def check_value(self, usage: Usage, key: KeyBlock) -> CheckValue:
        """4 bytes by which people and payment centres compare keys. Raises KeyRefused; of a box key there is none."""
        if usage.size is None:
            raise KeyRefused(f"a key for {usage.name} has no check value")
        return CheckValue(check_value(self._lmk.unwrap(usage, key).reveal()))

    # -- a box's envelope

    def accept(self, envelope: Envelope, box_key: KeyBlock, payment: str) -> AcceptedCard:
        """Looks into an envelope and keeps the card's data for later commands of this payment.

        Raises:
            EnvelopeRefused: it is not for this payment, or not as described; also its PIN block. KeyRefused.
        """
        found = self._opened(envelope, box_key, payment)
        if found.has_pin:
            found.pin()
        nonce = os.urandom(NONCE)
        kept = AESGCM(self._seal_key.reveal()).encrypt(nonce, found.coded.reveal(), payment.encode())
        pan = found.card.pan.reveal().encode("ascii")
        return AcceptedCard(
            masked=found.card.pan.masked,
            fingerprint=hmac.new(self._fingerprint_key.reveal(), pan, hashlib.sha256).hexdigest(),
            expiry=found.card.expiry,
            sequence_number=found.card.sequence_number,
            has_pin=found.has_pin,
            sealed=Sealed((nonce + kept).hex().upper()),
        )

    def translate_pin(self, envelope: Envelope, box_key: KeyBlock, payment: str, pik: KeyBlock) -> Enciphered:
        """The PIN from the box's PIN block in one of ISO 9564-1 format 0 under a PIK, 8 bytes.

        Raises:
            EnvelopeRefused: as ``accept``; or there is no PIN block. KeyRefused.
        """
        key = self._lmk.unwrap(Usage.PIK, pik)
        found = self._opened(envelope, box_key, payment)
        block = pinblock.encode_pinblock_iso_0(found.pin().reveal(), found.card.pan.reveal())
        return Enciphered(des3_encrypt(key.reveal(), block))

    def encrypt_track(self, sealed: Sealed, payment: str, tdk: KeyBlock) -> ConcealedTrack:
        """Track 2 for bit 35 under a TDK. Raises EnvelopeRefused ``sealed``, KeyRefused."""
        key = self._lmk.unwrap(Usage.TDK, tdk)
        return ConcealedTrack(conceal_track(key, self._unsealed(sealed, payment).track.reveal()))

    # -- MACs

    def mac(self, key: KeyBlock, message: bytes) -> Mac:
        """Bit 64, 8 ASCII characters, by UnionPay's "ECB" way under a MAK. Raises KeyRefused."""
        return Mac(pos_mac(self._lmk.unwrap(Usage.MAK, key).reveal(), message))

    def verify_mac(self, key: KeyBlock, message: bytes, mac: bytes) -> bool:
        """Whether bit 64 is that of the message. Raises KeyRefused."""
        return hmac.compare_digest(self.mac(key, message), mac)

    def retail_mac(self, key: KeyBlock, message: bytes) -> Mac:
        """8 bytes by ISO 9797-1, algorithm 3, padding method 1 (X9.19). Raises KeyRefused."""
        return Mac(retail_mac(self._lmk.unwrap(Usage.RETAIL_MAK, key).reveal(), message))

    def verify_retail_mac(self, key: KeyBlock, message: bytes, mac: bytes) -> bool:
        """Whether a MAC, of 4 to 8 bytes, is that of the message. Raises KeyRefused."""
        return 4 <= len(mac) <= 8 and hmac.compare_digest(self.retail_mac(key, message)[: len(mac)], mac)

    # -- cryptograms of cards whose issuer's key is here

    def verify_cryptogram(
        self, key: KeyBlock, sealed: Sealed, payment: str, data: CryptogramData, application_cryptogram: bytes
    ) -> bool:
        """Whether an ARQC, TC or AAC of cryptogram version 01 is this card's over this data.

        Args:
            key: for ``Usage.ISSUER_AC``.
            application_cryptogram: 8 bytes, 9F26.

        Raises:
            EnvelopeRefused ``sealed``, KeyRefused; ValueError: an element of ``data`` has another length.
        """
        session = self._session_key(key, sealed, payment, data.atc)
        made = cryptogram.application_cryptogram(session.reveal(), data.to_bytes())
        return hmac.compare_digest(made, application_cryptogram)

    def issuer_response(
        self,
        key: KeyBlock,
        sealed: Sealed,
        payment: str,
        data: CryptogramData,
        application_cryptogram: bytes,
        response_code: str,
    ) -> Mac:
        """ARPC, 8 bytes (EMV Book 2, 8.2.1, method 1), for a cryptogram that is good.

        Args:
            response_code: two characters, 8A.

        Raises:
            ValueError: the cryptogram is not this card's, or the code is no code; and as ``verify_cryptogram``.
        """
        if not self.verify_cryptogram(key, sealed, payment, data, application_cryptogram):
            raise ValueError("no response is made for a cryptogram that is wrong")
        if not (len(response_code) == 2 and response_code.isascii() and response_code.isalnum()):
            raise ValueError("a response code has two characters")
        session = self._session_key(key, sealed, payment, data.atc)
        code = response_code.encode("ascii")
        return Mac(cryptogram.issuer_response(session.reveal(), application_cryptogram, code))

    # -- inside

    def _opened(self, envelope: Envelope, box_key: KeyBlock, payment: str) -> Opened:
        coded = self._lmk.unwrap(Usage.BOX, box_key)
        # What a key block has is what was put into it: to look whether it is a good key would take thirty milliseconds.
        private = serialization.load_der_private_key(
            coded.reveal(), None, unsafe_skip_rsa_key_validation=True
        )
        assert isinstance(private, rsa.RSAPrivateKey)
        return envelopes.unseal(envelope, private, payment)

    def _unsealed(self, sealed: Sealed, payment: str) -> CardData:
        try:
            kept = bytes.fromhex(sealed)
        except ValueError:
            raise EnvelopeRefused("sealed", "it is no hex") from None
        coded = None
        if len(kept) > NONCE:
            coded = envelopes.opened(self._seal_key, kept, payment.encode())
        if coded is None:
            raise EnvelopeRefused("sealed", "it was changed, or belongs to another payment")
        return CardData.read(coded)

    def _session_key(self, key: KeyBlock, sealed: Sealed, payment: str, atc: bytes) -> SecretBytes:
        card = self._unsealed(sealed, payment)
        master = self._lmk.unwrap(Usage.ISSUER_AC, key)
        udk = cryptogram.card_key(master.reveal(), card.pan.reveal(), f"{card.sequence_number or 0:02}")
        return SecretBytes(cryptogram.session_key(udk, atc))


def _derived(master_key: SecretBytes, use: bytes) -> SecretBytes:
    return SecretBytes(HKDFExpand(hashes.SHA256(), LMK, use).derive(master_key.reveal()))


def _thumbprint(public: rsa.RSAPublicKey) -> str:
    numbers = public.public_numbers()
    modulus = _base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8))
    exponent = _base64url(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8))
    jwk = json.dumps({"e": exponent, "kty": "RSA", "n": modulus}, separators=(",", ":"))
    return _base64url(hashlib.sha256(jwk.encode("ascii")).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
