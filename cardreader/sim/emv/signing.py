"""What a CA, an issuer and a card sign (EMV Book 2, 5.1, 6.1, 6.5, 6.6 and 7.1): certificates and signed data.

All have the shape of ISO 9796-2: 6A, what is signed, SHA-1 of it and of what did not fit, BC.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cardreader.sim.emv.keys import RsaKey

_HEADER, _TRAILER, _PADDING = b"\x6a", b"\xbc", b"\xbb"
_SHA1, _RSA = b"\x01", b"\x01"
_HASH_SIZE = 20
_ISSUER_OVERHEAD, _ICC_OVERHEAD = 36, 42


@dataclass(frozen=True, slots=True)
class Certificate:
    """A public key certificate and what travels beside it.

    Attributes:
        signed: 90, 9F46 or 9F2D; as long as the signer's modulus.
        remainder: 92, 9F48 or 9F2F: the end of the modulus that did not fit; may be empty.
        exponent: 9F32, 9F47 or 9F2E.
    """

    signed: bytes
    remainder: bytes
    exponent: bytes


def issuer_certificate(ca: RsaKey, issuer: RsaKey, pan: str, expiry: bytes, serial: bytes) -> Certificate:
    """The issuer's key under the CA's (EMV Book 2, table 2).

    Args:
        ca, issuer: the issuer's modulus is not longer than the CA's.
        pan: decimal digits; the certificate carries the first eight.
        expiry: MMYY, 2 bytes BCD.
        serial: 3 bytes.
    """
    head = b"\x02" + bytes.fromhex(pan[:8].ljust(8, "F")) + expiry + serial
    return _certificate(ca, issuer, head, _ISSUER_OVERHEAD, b"")


def icc_certificate(
    issuer: RsaKey, icc: RsaKey, pan: str, expiry: bytes, serial: bytes, static_data: bytes
) -> Certificate:
    """The card's key, or its PIN key (``static_data`` is empty then), under the issuer's (tables 10 and 22).

    Args:
        issuer, icc: the card's modulus is not longer than the issuer's.
        pan: up to 19 decimal digits.
        expiry: MMYY, 2 bytes BCD.
        serial: 3 bytes.
        static_data: the static data to be authenticated.
    """
    head = b"\x04" + bytes.fromhex(pan.ljust(20, "F")) + expiry + serial
    return _certificate(issuer, icc, head, _ICC_OVERHEAD, static_data)


def signed_static_data(issuer: RsaKey, code: bytes, static_data: bytes) -> bytes:
    """93, signed static application data (table 3); ``code`` is the data authentication code, 2 bytes."""
    return _signed(issuer, b"\x03" + _SHA1 + code, static_data)


def signed_dynamic_data(icc: RsaKey, icc_dynamic_data: bytes, terminal_data: bytes) -> bytes:
    """9F4B, signed dynamic application data (tables 15 and 18).

    Args:
        icc: the card's key.
        icc_dynamic_data: at most 25 bytes less than the modulus.
        terminal_data: the DDOL's values, or for CDA the unpredictable number.
    """
    head = b"\x05" + _SHA1 + bytes((len(icc_dynamic_data),)) + icc_dynamic_data
    return _signed(icc, head, terminal_data)


def _certificate(signer: RsaKey, key: RsaKey, head: bytes, overhead: int, static_data: bytes) -> Certificate:
    modulus, exponent = key.modulus, key.public_exponent
    room = len(signer.modulus) - overhead
    fitting, remainder = modulus[:room].ljust(room, _PADDING), modulus[room:]
    inside = head + _SHA1 + _RSA + bytes((len(modulus), len(exponent))) + fitting
    return Certificate(_sealed(signer, inside, remainder + exponent + static_data), remainder, exponent)


def _signed(key: RsaKey, head: bytes, more: bytes) -> bytes:
    room = len(key.modulus) - _HASH_SIZE - len(_HEADER) - len(_TRAILER)
    return _sealed(key, head.ljust(room, _PADDING), more)


def _sealed(key: RsaKey, inside: bytes, more: bytes) -> bytes:
    return key.recover(_HEADER + inside + hashlib.sha1(inside + more).digest() + _TRAILER)
