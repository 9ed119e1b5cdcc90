"""ONL-12: what a box seals opens for its payment and for nothing else; everything that was changed is refused in words."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given, settings
from hypothesis import strategies as st
from psec.pinblock import encipher_pinblock_iso_4

from cardreader.secret import Pan, Pin
from server_stub.foundation.secret import SecretBytes
from server_stub.tsp.hsm.envelope import LONGEST_CARD, CardData, Envelope, decoded_pin
from server_stub.tsp.hsm.errors import EnvelopeRefused
from stb_app.tsp.envelope import CardData as BoxCard
from tests.server_stub.tsp.hsm.parts import CARD, OBJECTS, PAN, PAYMENT, TRACK, desk

CODED = CARD.coded().reveal()
BLOCK_4 = [
    # ANSI X9.24-3:2017, supplement, format 4: the first two transactions
    ("AF8CB133A78F8DC2D1359F18527593FB", "4111111111111111", "A912150391AB65A67E52883D81CE2D15"),
    ("D30BDC73EC9714B000BEC66BDB7B6D09", "4111111111111111", "52A00503BD34BA1383F6A7EE9FE2547F"),
    # psec; and a tool's output for a PAN of 18 digits
    ("00112233445566778899AABBCCDDEEFF", "1234567890123456", "E4BE5B623AF7E006AC319E5B93544564"),
    ("00112233445566778899AABBCCDDEEFF", "432198765432109870", "88E33C3ACF404F234F10F889C364E377"),
]


def refused(envelope: Envelope, payment: str = PAYMENT) -> str:
    """The part that neither command takes."""
    with pytest.raises(EnvelopeRefused) as first:
        desk().hsm.accept(envelope, desk().box.private_key, payment)
    with pytest.raises(EnvelopeRefused) as second:
        desk().hsm.translate_pin(envelope, desk().box.private_key, payment, desk().keys.pik)
    assert first.value.part == second.value.part
    assert len(str(first.value)) > len(first.value.part) + 10
    return first.value.part


@pytest.mark.parametrize(("key", "pan", "block"), BLOCK_4)
def test_published_pin_blocks_of_format_4(key: str, pan: str, block: str) -> None:
    pin = decoded_pin(SecretBytes(bytes.fromhex(key)), bytes.fromhex(block), Pan(pan))
    assert pin == Pin("1234")
    assert decoded_pin(SecretBytes(bytes.fromhex(key)), bytes.fromhex(block), Pan("4999999999999999")) is None


def by_hand(coded: bytes, payment: str = PAYMENT, pin: str | None = "1234", pan: str = PAN) -> Envelope:
    """An envelope made from the description alone (docs/tsp-api.md), with HKDF (RFC 5869) from HMACs."""
    secret, label = bytes(range(32)), b"stb-pay card envelope 1"
    extracted = hmac_sha256(bytes(32), secret)
    pin_key = hmac_sha256(extracted, label + b"\x01")
    card_key = hmac_sha256(extracted, pin_key + label + b"\x02")
    block = b"" if pin is None else encipher_pinblock_iso_4(pin_key, pin, pan)
    covered = b""
    for part in (label, desk().box.key_id.encode(), payment.encode(), block):
        covered += bytes(((len(part) >> 8), len(part) & 0xFF)) + part
    public = load_der_public_key(desk().box.public_key)
    assert isinstance(public, RSAPublicKey)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    nonce = os.urandom(12)
    return Envelope(
        key_id=desk().box.key_id,
        wrapped_key=public.encrypt(secret, oaep),
        pin_block=block or None,
        card=nonce + AESGCM(card_key).encrypt(nonce, coded, covered),
    )


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    made = HMAC(key, hashes.SHA256())
    made.update(data)
    return made.finalize()


def test_an_envelope_made_from_the_description_alone_is_good() -> None:
    accepted = desk().hsm.accept(by_hand(CODED), desk().box.private_key, PAYMENT)
    assert accepted.has_pin
    assert accepted.masked == "6210 22** **** *** 7355"


def test_what_is_told_of_a_card() -> None:
    hsm, box = desk().hsm, desk().box
    accepted = hsm.accept(desk().sealed(), box.private_key, PAYMENT)
    again = hsm.accept(desk().sealed("other"), box.private_key, "other")
    assert (accepted.expiry, accepted.sequence_number, accepted.has_pin) == ("251231", 1, True)
    assert accepted.fingerprint == again.fingerprint
    assert accepted.sealed != again.sealed
    assert not hsm.accept(desk().sealed(pin=None), box.private_key, PAYMENT).has_pin


def test_an_envelope_of_one_payment_is_refused_for_another() -> None:
    assert refused(desk().sealed(), "01JZ0000000000000000000002") == "card"
    assert refused(desk().sealed(), "") == "card"


def test_an_envelope_is_good_only_for_the_key_that_it_names_and_was_made_for() -> None:
    hsm, other = desk().hsm, desk().hsm.make_box_key()
    with pytest.raises(EnvelopeRefused, match="wrapped-key"):
        hsm.accept(desk().sealed(), other.private_key, PAYMENT)
    assert refused(replace(desk().sealed(), key_id=other.key_id)) == "card"


def test_pin_block_and_card_are_of_one_envelope() -> None:
    one, other, without = desk().sealed(), desk().sealed(), desk().sealed(pin=None)
    assert refused(replace(one, pin_block=other.pin_block)) == "card"
    assert refused(replace(one, card=other.card)) == "card"
    assert refused(replace(one, wrapped_key=other.wrapped_key)) == "card"
    assert refused(replace(one, pin_block=None)) == "card"
    assert refused(replace(without, pin_block=other.pin_block)) == "card"


GOOD = desk().sealed()
PARTS = {"wrapped_key": "wrapped-key", "pin_block": "card", "card": "card"}


@settings(max_examples=60)
@given(st.sampled_from(sorted(PARTS)), st.data())
def test_an_envelope_with_one_bit_changed_is_refused(name: str, data: st.DataObject) -> None:
    value = bytearray(getattr(GOOD, name))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert refused(replace(GOOD, **{name: bytes(value)})) == PARTS[name]


@settings(max_examples=40)
@given(
    st.builds(
        Envelope,
        key_id=st.text(max_size=50),
        wrapped_key=st.binary(max_size=300)
        | st.binary(min_size=256, max_size=256)
        | st.just(GOOD.wrapped_key),
        pin_block=st.none() | st.binary(max_size=20) | st.just(GOOD.pin_block),
        card=st.binary(max_size=120) | st.just(GOOD.card),
    ).filter(lambda one: one != GOOD)
)
def test_any_envelope_is_refused_in_words(envelope: Envelope) -> None:
    refused(envelope)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_pin_block_of_another_size_is_refused(size: int) -> None:
    assert refused(replace(desk().sealed(), pin_block=bytes(size))) == "pin-block"


def test_a_secret_of_another_size_is_refused() -> None:
    public = load_der_public_key(desk().box.public_key)
    assert isinstance(public, RSAPublicKey)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    assert refused(replace(desk().sealed(), wrapped_key=public.encrypt(bytes(16), oaep))) == "wrapped-key"


def test_a_pin_block_for_another_card_is_refused() -> None:
    assert refused(by_hand(CODED, pan="6210220110002707000")) == "pin-block"


def coded(**other: str | None) -> bytes:
    """The card's data with some of it changed; an underscore stands before a tag."""
    objects = {f"{tag:X}": value.hex() for tag, value in OBJECTS.items() if tag != 0x5F20}
    for name, value in other.items():
        objects[name[1:]] = value or ""
    present = {tag: value for tag, value in objects.items() if value}
    return b"".join(bytes.fromhex(f"{tag}{len(value) // 2:02X}{value}") for tag, value in present.items())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x5a", "5A, 57"),
        (coded(_5A=None), "5A, 57"),
        (coded(_57=None), "5A, 57"),
        (coded(_5F24=None), "5A, 57"),
        (coded(_5F20="41"), "5A, 57"),
        (CODED + bytes.fromhex("5F340101"), "each once"),
        (coded(_57="6210220110002707355D2512"), "no track"),
        (coded(_57=(TRACK + "F").replace("D", "F")), "no track"),
        (coded(_5A="6210220110002707356F"), "not of the card"),
        (coded(_57=(TRACK + "F").replace("D2512", "D2612")), "not of the card"),
        (coded(_5F24="251A31", _57=TRACK + "F"), "not of the card|no date"),
        (coded(_5F24="25123A"), "no date"),
        (coded(_5F24="2512"), "no date"),
        (coded(_5F34="0A"), "two digits"),
        (coded(_5F34="0101"), "two digits"),
    ],
)
def test_card_data_that_is_not_as_described_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(EnvelopeRefused, match=why):
        CardData.read(SecretBytes(data))
    assert refused(by_hand(data)) == ("card-data" if len(data) <= LONGEST_CARD else "card")


@given(st.binary(max_size=70))
def test_any_card_data_is_read_or_refused_in_words(data: bytes) -> None:
    with pytest.raises(EnvelopeRefused, match="card-data"):
        CardData.read(SecretBytes(data))


@settings(max_examples=40)
@given(
    pan=st.from_regex(r"[0-9]{13,19}", fullmatch=True),
    expiry=st.from_regex(r"[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|2[0-8])", fullmatch=True),
    rest=st.from_regex(r"[0-9]{3,7}", fullmatch=True),
    number=st.none() | st.integers(0, 99),
    pin=st.from_regex(r"[0-9]{4,12}", fullmatch=True),
)
def test_any_card_goes_through(pan: str, expiry: str, rest: str, number: int | None, pin: str) -> None:
    track = f"{pan}D{expiry[:4]}{rest}"
    objects = {
        0x5A: bytes.fromhex(pan + "F" * (len(pan) % 2)),
        0x57: bytes.fromhex(track + "F" * (len(track) % 2)),
        0x5F24: bytes.fromhex(expiry),
    }
    if number is not None:
        objects[0x5F34] = bytes.fromhex(f"{number:02}")
    read = CardData.read(BoxCard.of(objects).coded())
    assert (read.pan, read.track.reveal(), read.expiry, read.sequence_number) == (
        Pan(pan), track, expiry, number,
    )  # fmt: skip
    envelope = desk().sealed(card=BoxCard.of(objects), pin=Pin(pin))
    accepted = desk().hsm.accept(envelope, desk().box.private_key, PAYMENT)
    assert (accepted.expiry, accepted.sequence_number) == (expiry, number)
