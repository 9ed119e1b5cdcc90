"""Offline data authentication: what a card's certificates must say of it."""

from __future__ import annotations

import hashlib
from datetime import date

import pytest

from cardreader.emv import capk
from cardreader.emv.authentication import (
    CardFile,
    Method,
    check_combined,
    check_dynamic,
    choose,
    icc_key,
    issuer_key,
    pin_key,
)
from cardreader.emv.bits import Aip, TerminalCapabilities
from cardreader.emv.certificates import CertificateInvalid, PublicKey, Reason
from cardreader.sim.emv.keys import CA_KEY, rsa_key
from cardreader.sim.emv.signing import issuer_certificate, signed_dynamic_data
from cardreader.tlv import Tlv, encode
from tests.cardreader.emv.bench import Desk, Told, purchase

TODAY, KEYS = date(2026, 11, 22), capk.simulated()
BOTH = Aip.SDA | Aip.DDA | Aip.CDA
CAPABLE = TerminalCapabilities.SDA | TerminalCapabilities.DDA | TerminalCapabilities.CDA


def card(name: str = "credit", **changes: bytes | None) -> CardFile:
    """What a terminal has read of a simulated card; its objects may be changed."""
    desk = Desk(name)
    desk.card.prepare(purchase())
    read = desk.card._card_file
    objects = {**read.objects, **{int(tag[1:], 16): value for tag, value in changes.items()}}
    return CardFile(
        read.aid, {tag: value for tag, value in objects.items() if value is not None}, read.aip, read.signed
    )


@pytest.mark.parametrize(
    ("aip", "capabilities", "method"),
    [
        (BOTH, CAPABLE, Method.CDA),
        (Aip.SDA | Aip.DDA, CAPABLE, Method.DDA),
        (BOTH, TerminalCapabilities.SDA, Method.SDA),
        (Aip.SDA, TerminalCapabilities.DDA, Method.NONE),
        (Aip(0), CAPABLE, Method.NONE),
    ],
)
def test_the_best_method_of_both(aip: Aip, capabilities: TerminalCapabilities, method: Method) -> None:
    assert choose(aip, capabilities) is method


def test_the_keys_of_a_card() -> None:
    read = card()
    issuer = issuer_key(read, KEYS, TODAY)
    assert issuer.modulus == rsa_key("issuer").modulus
    assert icc_key(read, issuer, TODAY).modulus == rsa_key("icc").modulus
    # The credit card has a key of its own for PINs, the debit card has not.
    assert pin_key(read, KEYS, TODAY) != icc_key(read, issuer, TODAY)
    assert pin_key(card("debit"), KEYS, TODAY).modulus == rsa_key("icc").modulus


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x5A": bytes.fromhex("6225994177209365")}, Reason.SUBJECT),
        ({"x8F": None}, Reason.MISSING),
        ({"x90": None}, Reason.MISSING),
        ({"x9F32": None}, Reason.MISSING),
        ({"x8F": b"\x01"}, Reason.NO_CA_KEY),
        ({"x9F32": b"\x05"}, Reason.HASH),
        ({"x92": b"\x00"}, Reason.HASH),
    ],
)
def test_an_issuers_certificate_that_does_not_hold(changes: dict[str, bytes | None], reason: Reason) -> None:
    with pytest.raises(CertificateInvalid) as wrong:
        issuer_key(card(**changes), KEYS, TODAY)
    assert wrong.value.reason is reason


def test_another_card_of_the_same_issuer() -> None:
    read = card(x5A=bytes.fromhex("6259941772093655"))
    with pytest.raises(CertificateInvalid) as wrong:
        icc_key(read, issuer_key(read, KEYS, TODAY), TODAY)
    assert wrong.value.reason is Reason.SUBJECT


def test_static_data_that_was_changed() -> None:
    read = card()
    changed = CardFile(read.aid, read.objects, b"\x5c\x00", read.signed)
    with pytest.raises(CertificateInvalid) as wrong:
        icc_key(changed, issuer_key(read, KEYS, TODAY), TODAY)
    assert wrong.value.reason is Reason.HASH


def test_time_goes_by() -> None:
    with pytest.raises(CertificateInvalid) as wrong:
        issuer_key(card(), KEYS, date(2050, 1, 1))
    assert wrong.value.what == "certification authority's key"
    assert wrong.value.reason is Reason.EXPIRED


@pytest.mark.parametrize("answer", [("", 0x6985), ("7700", 0x9000), ("6F00", 0x9000)])
def test_no_dynamic_signature(answer: tuple[str, int]) -> None:
    key = PublicKey(rsa_key("icc").modulus, b"\x03")
    with pytest.raises(CertificateInvalid) as wrong:
        check_dynamic(
            Told(answer).channel, CardFile(b"", {}, b"", b""), key, {0x9F37: bytes(4)}, b"\x9f\x37\x04"
        )
    assert wrong.value.reason is Reason.MISSING


def test_an_identifier_of_two_digits_is_none() -> None:
    made = issuer_certificate(rsa_key(CA_KEY), rsa_key("issuer"), "62", b"\x12\x40", bytes(3))
    read = card(x90=made.signed, x92=made.remainder)
    with pytest.raises(CertificateInvalid) as wrong:
        issuer_key(read, KEYS, TODAY)
    assert wrong.value.reason is Reason.SUBJECT


@pytest.mark.parametrize(("signed_cid", "told_cid", "holds"), [(0x80, 0x80, True), (0x40, 0x80, False)])
def test_the_type_of_cryptogram_is_signed_too(signed_cid: int, told_cid: int, holds: bool) -> None:
    number, asked, told = b"\x01\x02\x03\x04", b"PDOL and CDOL1", Tlv(0x9F27, bytes((told_cid,)))
    digest = hashlib.sha1(asked + encode(told.tag, told.value)).digest()
    dynamic = b"\x02ab" + bytes((signed_cid,)) + b"cryptogr" + digest
    objects = (told, Tlv(0x9F4B, signed_dynamic_data(rsa_key("icc"), dynamic, number)))
    key = PublicKey(rsa_key("icc").modulus, b"\x03")
    if holds:
        assert check_combined(key, objects, asked, number).cryptogram == b"cryptogr"
        return
    with pytest.raises(CertificateInvalid) as wrong:
        check_combined(key, objects, asked, number)
    assert wrong.value.reason is Reason.CRYPTOGRAM
