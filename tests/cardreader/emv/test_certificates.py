"""Certificates and signed data: what another program signed is accepted, and everything wrong with it has a name."""

from __future__ import annotations

import hashlib
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardreader.emv.certificates import (
    FORMAT_ICC,
    FORMAT_ISSUER,
    CertificateInvalid,
    CombinedData,
    PublicKey,
    Reason,
    full_year,
    open_certificate,
    open_dynamic,
    open_static,
)
from cardreader.sim.emv.keys import CA_KEY, RsaKey, rsa_key
from cardreader.sim.emv.signing import (
    Certificate,
    icc_certificate,
    issuer_certificate,
    signed_dynamic_data,
    signed_static_data,
)

TODAY = date(2026, 11, 22)
CA, ISSUER, CARD = rsa_key(CA_KEY), rsa_key("issuer"), rsa_key("icc")
PAN, SERIAL = "6217001834057286101", bytes.fromhex("000001")
STATIC = bytes(range(40))
NEXT_MONTH, THIS_MONTH, LAST_MONTH = (bytes.fromhex(text) for text in ("1226", "1126", "1026"))


def public(key: RsaKey) -> PublicKey:
    return PublicKey(key.modulus, key.public_exponent)


def resealed(signer: RsaKey, certificate: bytes, at: int, value: int) -> bytes:
    """The same block with another byte, signed again; its hash stays what it was."""
    block = bytearray(public(signer).recover(certificate))
    block[at] = value
    return signer.recover(bytes(block))


def opened(
    certificate: Certificate, signed: bytes | None = None, static: bytes = STATIC, today: date = TODAY
):
    return open_certificate(
        "it",
        FORMAT_ICC,
        public(ISSUER),
        certificate.signed if signed is None else signed,
        certificate.remainder,
        certificate.exponent,
        today,
        static,
    )


def icc(expiry: bytes = NEXT_MONTH) -> Certificate:
    return icc_certificate(ISSUER, CARD, PAN, expiry, SERIAL, STATIC)


def test_an_issuers_certificate() -> None:
    made = issuer_certificate(CA, ISSUER, PAN, NEXT_MONTH, SERIAL)
    found = open_certificate(
        "it", FORMAT_ISSUER, public(CA), made.signed, made.remainder, made.exponent, TODAY
    )
    assert (found.key, found.subject.hex(), found.serial) == (public(ISSUER), PAN[:8], SERIAL)


def test_a_cards_certificate() -> None:
    found = opened(icc())
    assert found.key == public(CARD)
    assert found.subject.hex() == PAN.ljust(20, "f")
    assert opened(icc(THIS_MONTH)).expiry == THIS_MONTH


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, 0x6B, Reason.HEADER),
        (-1, 0xBB, Reason.TRAILER),
        (1, 0x02, Reason.FORMAT),
        (17, 0x02, Reason.ALGORITHM),
        (18, 0x07, Reason.ALGORITHM),
        (5, 0x00, Reason.HASH),
        (-2, 0x00, Reason.HASH),
    ],
)
def test_what_is_wrong_has_a_name(at: int, value: int, reason: Reason) -> None:
    made = icc()
    with pytest.raises(CertificateInvalid) as wrong:
        opened(made, resealed(ISSUER, made.signed, at, value))
    assert wrong.value.reason is reason


def test_other_data_another_length_and_another_time() -> None:
    made = icc()
    for reason, arguments in (
        (Reason.HASH, {"static": STATIC + b"\x00"}),
        (Reason.LENGTH, {"signed": made.signed[:-1]}),
        (Reason.EXPIRED, {"today": date(2027, 1, 1)}),
    ):
        with pytest.raises(CertificateInvalid) as wrong:
            opened(made, **arguments)
        assert wrong.value.reason is reason
    with pytest.raises(CertificateInvalid) as wrong:
        opened(icc(LAST_MONTH))
    assert wrong.value.reason is Reason.EXPIRED
    with pytest.raises(CertificateInvalid) as wrong:
        opened(icc(bytes.fromhex("1326")))
    assert wrong.value.reason is Reason.DATA


def test_a_remainder_that_is_too_long_is_no_key() -> None:
    # The hash runs over remainder, exponent and static data as one string: bytes may be moved between them.
    made = icc_certificate(ISSUER, CARD, PAN, NEXT_MONTH, SERIAL, b"\x03more")
    moved = Certificate(made.signed, made.remainder + b"\x03", b"\x03")
    with pytest.raises(CertificateInvalid) as wrong:
        opened(moved, static=b"more")
    assert wrong.value.reason is Reason.KEY


def test_an_exponent_that_the_standard_does_not_allow() -> None:
    made = icc_certificate(ISSUER, RsaKey(CARD.prime1, CARD.prime2, 5), PAN, NEXT_MONTH, SERIAL, STATIC)
    with pytest.raises(CertificateInvalid) as wrong:
        opened(made)
    assert wrong.value.reason is Reason.KEY


def test_static_data() -> None:
    signed = signed_static_data(ISSUER, b"\xda\xc0", STATIC)
    assert open_static("it", public(ISSUER), signed, STATIC) == b"\xda\xc0"
    with pytest.raises(CertificateInvalid) as wrong:
        open_static("it", public(ISSUER), signed, STATIC[1:])
    assert wrong.value.reason is Reason.HASH


def test_dynamic_data() -> None:
    signed = signed_dynamic_data(CARD, b"\x03abc", b"1234")
    assert open_dynamic("it", public(CARD), signed, b"1234") == b"\x03abc"
    with pytest.raises(CertificateInvalid) as wrong:
        open_dynamic("it", public(CARD), signed, b"1235")
    assert wrong.value.reason is Reason.HASH
    # A length that leads out of the block, with a hash that is right.
    size = len(CARD.modulus)
    body = b"\x05\x01\xff".ljust(size - 22, b"\xbb")
    block = b"\x6a" + body + hashlib.sha1(body + b"1234").digest() + b"\xbc"
    with pytest.raises(CertificateInvalid) as wrong:
        open_dynamic("it", public(CARD), CARD.recover(block), b"1234")
    assert wrong.value.reason is Reason.DATA


@given(st.binary(max_size=60))
def test_any_bytes_are_combined_data_or_refused(data: bytes) -> None:
    try:
        found = CombinedData.parse("it", data)
    except CertificateInvalid as error:
        assert error.reason is Reason.DATA  # noqa: PT017
    else:
        told = bytes((len(found.number),)) + found.number + bytes((found.information,))
        assert told + found.cryptogram + found.transaction_hash == data


@settings(max_examples=30)
@given(st.binary(max_size=16), st.sampled_from((FORMAT_ISSUER, FORMAT_ICC)), st.booleans())
def test_any_bytes_are_no_certificate(noise: bytes, format: int, whole: bool) -> None:
    signed = noise.ljust(len(CA.modulus), b"\x01") if whole else noise
    with pytest.raises(CertificateInvalid):
        open_certificate("it", format, public(CA), signed, noise, noise, TODAY)


def test_years_of_two_digits() -> None:
    assert (full_year(0), full_year(49), full_year(50), full_year(99)) == (2000, 2049, 1950, 1999)
