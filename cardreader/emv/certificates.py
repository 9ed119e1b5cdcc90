"""RSA certificates and signed data of a card: how they are laid out, recovered and checked (EMV Book 2, 5 to 7).

Every signed block is 6A | format | fields | SHA-1 | BC, as long as the signer's modulus.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from cardreader.errors import CardReaderError

HEADER, TRAILER = 0x6A, 0xBC
FORMAT_ISSUER, FORMAT_STATIC, FORMAT_ICC, FORMAT_DYNAMIC = 0x02, 0x03, 0x04, 0x05
SHA1 = RSA = 0x01
HASH_SIZE = 20
EXPONENTS = (b"\x03", b"\x01\x00\x01")
"""Those that the standard allows (EMV Book 2, 11.1)."""
_KEY_FIXED = 11
"""Fields of a certificate besides the subject and the key: format 1, expiry 2, serial 3, algorithms 2, lengths 2; and 6A."""


class Reason(StrEnum):
    """Why signed data was not accepted."""

    LENGTH = "its length is not that of the signer's key"
    HEADER = "it does not begin with 6A"
    TRAILER = "it does not end with BC"
    FORMAT = "it is of another format"
    ALGORITHM = "its hash or key algorithm is not known"
    HASH = "its hash is not that of the data"
    SUBJECT = "it is for another card or issuer"
    EXPIRED = "it has expired"
    KEY = "its key does not fit: length, remainder or exponent"
    DATA = "a field inside does not fit"
    MISSING = "data that it needs is missing"
    NO_CA_KEY = "the certification authority's key is not known"
    CRYPTOGRAM = "it does not vouch for this answer of the card"


class CertificateInvalid(CardReaderError):
    """Signed data of a card was not accepted.

    Attributes:
        what: the data object's name.
        reason: see `Reason`.
    """

    def __init__(self, what: str, reason: Reason) -> None:
        self.what = what
        self.reason = reason
        super().__init__(f"{what}: {reason}")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA public key; modulus and exponent big-endian without leading zeros."""

    modulus: bytes
    exponent: bytes

    @property
    def size(self) -> int:
        """Bytes of the modulus, and so of everything signed by it."""
        return len(self.modulus)

    def recover(self, signed: bytes) -> bytes:
        """The block inside a signature of the modulus's length (EMV Book 2, A2.1). Also enciphers a block."""
        number = pow(int.from_bytes(signed), int.from_bytes(self.exponent), int.from_bytes(self.modulus))
        return number.to_bytes(self.size)


@dataclass(frozen=True, slots=True)
class CertificateData:
    """What an issuer, ICC or ICC PIN encipherment certificate says (EMV Book 2, tables 6, 14 and 23).

    Attributes:
        format: `FORMAT_ISSUER` or `FORMAT_ICC`.
        subject: issuer identifier, 4 bytes (first 3 to 8 digits of the PAN), or PAN, 10 bytes; filled with F.
        expiry: MMYY in 2 bytes BCD.
        serial: 3 bytes.
        key: the public key certified.
    """

    format: int
    subject: bytes
    expiry: bytes
    serial: bytes
    key: PublicKey

    @staticmethod
    def room(format: int, size: int) -> int:
        """Bytes of the modulus that fit into a certificate: N - 36 for an issuer's, N - 42 for a card's."""
        return size - _KEY_FIXED - subject_size(format) - HASH_SIZE - 1


def subject_size(format: int) -> int:
    """Bytes of a certificate's subject: 4 for an issuer, 10 for a card."""
    return 4 if format == FORMAT_ISSUER else 10


def transaction_hash(command_values: bytes, answer: bytes) -> bytes:
    """Transaction data hash code of CDA: PDOL, CDOL1 (and CDOL2) values, then the answer's objects but 9F4B (6.6.1)."""
    return _sha1(command_values + answer)


def open_certificate(
    what: str,
    format: int,
    signer: PublicKey,
    certificate: bytes,
    remainder: bytes,
    exponent: bytes,
    today: date,
    static_data: bytes = b"",
) -> CertificateData:
    """Recovers and checks a certificate (EMV Book 2, 5.3, 6.4 and 7.1); whose it is, the caller compares.

    Raises:
        CertificateInvalid: says which check failed.
    """
    block = _opened(what, format, signer, certificate)
    subject_end = 2 + subject_size(format)
    tail = subject_end + 9
    algorithm, key_algorithm, key_size, exponent_size = block[subject_end + 5 : tail]
    if algorithm != SHA1 or key_algorithm != RSA:
        raise CertificateInvalid(what, Reason.ALGORITHM)
    if not hmac.compare_digest(
        _sha1(block[1 : -HASH_SIZE - 1] + remainder + exponent + static_data), block[-HASH_SIZE - 1 : -1]
    ):
        raise CertificateInvalid(what, Reason.HASH)
    room = CertificateData.room(format, signer.size)
    modulus = block[tail : tail + min(room, key_size)] + remainder
    if len(modulus) != key_size or len(exponent) != exponent_size or not 0 < key_size <= signer.size:
        raise CertificateInvalid(what, Reason.KEY)
    if not modulus[0] or exponent not in EXPONENTS:
        raise CertificateInvalid(what, Reason.KEY)
    expiry = block[subject_end : subject_end + 2]
    if _expired(what, expiry, today):
        raise CertificateInvalid(what, Reason.EXPIRED)
    return CertificateData(
        format,
        block[2:subject_end],
        expiry,
        block[subject_end + 2 : subject_end + 5],
        PublicKey(modulus, exponent),
    )


def open_static(what: str, signer: PublicKey, signed: bytes, static_data: bytes) -> bytes:
    """Checks Signed Static Application Data (EMV Book 2, 5.4); the data authentication code, 2 bytes.

    Raises:
        CertificateInvalid: says which check failed.
    """
    block = _opened(what, FORMAT_STATIC, signer, signed)
    _check_signed(what, block, static_data)
    return block[3:5]


def open_dynamic(what: str, signer: PublicKey, signed: bytes, terminal_data: bytes) -> bytes:
    """Checks Signed Dynamic Application Data (EMV Book 2, 6.5.2 and 6.6.2); the ICC dynamic data inside.

    Raises:
        CertificateInvalid: says which check failed.
    """
    block = _opened(what, FORMAT_DYNAMIC, signer, signed)
    _check_signed(what, block, terminal_data)
    size = block[3]
    if size > len(block) - 25:
        raise CertificateInvalid(what, Reason.DATA)
    return block[4 : 4 + size]


@dataclass(frozen=True, slots=True)
class CombinedData:
    """ICC dynamic data of CDA."""

    number: bytes
    information: int
    cryptogram: bytes
    transaction_hash: bytes

    @classmethod
    def parse(cls, what: str, data: bytes) -> CombinedData:
        """Reads ICC dynamic data (table 19): ICC dynamic number, CID, AC, transaction data hash code.

        Raises CertificateInvalid.
        """
        size = data[0] if data else 0
        if not 2 <= size <= 8 or len(data) != 1 + size + 1 + 8 + HASH_SIZE:
            raise CertificateInvalid(what, Reason.DATA)
        rest = data[1 + size :]
        return cls(data[1 : 1 + size], rest[0], rest[1:9], rest[9:])


def _opened(what: str, format: int, signer: PublicKey, signed: bytes) -> bytes:
    smallest = 25 if format in (FORMAT_STATIC, FORMAT_DYNAMIC) else 32 + subject_size(format)
    if len(signed) != signer.size or signer.size < smallest:
        raise CertificateInvalid(what, Reason.LENGTH)
    block = signer.recover(signed)
    if block[-1] != TRAILER:
        raise CertificateInvalid(what, Reason.TRAILER)
    if block[0] != HEADER:
        raise CertificateInvalid(what, Reason.HEADER)
    if block[1] != format:
        raise CertificateInvalid(what, Reason.FORMAT)
    return block


def _check_signed(what: str, block: bytes, data: bytes) -> None:
    if block[2] != SHA1:
        raise CertificateInvalid(what, Reason.ALGORITHM)
    if not hmac.compare_digest(_sha1(block[1 : -HASH_SIZE - 1] + data), block[-HASH_SIZE - 1 : -1]):
        raise CertificateInvalid(what, Reason.HASH)


def _expired(what: str, expiry: bytes, today: date) -> bool:
    """Whether the last day of month MMYY is over."""
    digits = expiry.hex()
    if not digits.isdigit() or not 1 <= int(digits[:2]) <= 12:
        raise CertificateInvalid(what, Reason.DATA)
    return (full_year(int(digits[2:])), int(digits[:2])) < (today.year, today.month)


def full_year(year: int) -> int:
    """The year that two digits mean: 00 to 49 are 2000 to 2049, 50 to 99 are 1950 to 1999 (EMV Book 4, 6.7.3)."""
    return year + (2000 if year < 50 else 1900)


def _sha1(data: bytes) -> bytes:
    # SHA-1 is the one hash algorithm of EMV's RSA certificates.
    return hashlib.sha1(data, usedforsecurity=False).digest()
