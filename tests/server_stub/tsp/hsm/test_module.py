"""The HSM's commands: PIN and track under the payment centre's keys, MACs, cryptograms."""

from __future__ import annotations

from dataclasses import replace

import psec
import pyemv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardreader.emv.cryptogram import CryptogramData
from cardreader.secret import Pin
from server_stub.foundation.secret import SecretBytes
from server_stub.tsp.hsm.errors import EnvelopeRefused, KeyRefused
from server_stub.tsp.hsm.module import Hsm, Sealed
from stb_app.tsp.envelope import CardData
from tests.server_stub.tsp.hsm.parts import CARD, KEYS, OBJECTS, PAN, PAYMENT, TMK, TRACK, desk

DATA = CryptogramData(
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
ARQC = bytes.fromhex("81A9DC9310F88856")


def sealed(payment: str = PAYMENT) -> Sealed:
    return desk().hsm.accept(desk().sealed(payment), desk().box.private_key, payment).sealed


# -- PIN


@settings(max_examples=30)
@given(st.from_regex(r"[0-9]{4,12}", fullmatch=True))
def test_a_pin_comes_out_under_the_pik_as_the_payment_centre_reads_it(pin: str) -> None:
    envelope = desk().sealed(pin=Pin(pin))
    made = desk().hsm.translate_pin(envelope, desk().box.private_key, PAYMENT, desk().keys.pik)
    clear = psec.des.decrypt_tdes_ecb(KEYS.pik.reveal(), made)
    assert psec.pinblock.decode_pinblock_iso_0(clear, PAN) == pin


def test_a_pin_goes_under_a_pik_only() -> None:
    for key in (desk().keys.mak, desk().tdk, desk().tmk, desk().retail):
        with pytest.raises(KeyRefused, match="another use"):
            desk().hsm.translate_pin(desk().sealed(), desk().box.private_key, PAYMENT, key)


def test_without_a_pin_block_there_is_none_to_translate() -> None:
    with pytest.raises(EnvelopeRefused, match="no PIN") as refused:
        desk().hsm.translate_pin(desk().sealed(pin=None), desk().box.private_key, PAYMENT, desk().keys.pik)
    assert refused.value.part == "pin-block"


# -- track


def test_the_track_comes_out_under_the_tdk() -> None:
    made = desk().hsm.encrypt_track(sealed(), PAYMENT, desk().tdk)
    assert psec.des.decrypt_tdes_ecb(KEYS.tdk.reveal(), bytes.fromhex(made)).hex().upper() == TRACK.ljust(
        48, "F"
    )


def test_kept_card_data_is_good_for_its_payment_only() -> None:
    with pytest.raises(EnvelopeRefused, match="another payment"):
        desk().hsm.encrypt_track(sealed(), "other", desk().tdk)


@given(st.text(max_size=120) | st.binary(max_size=120).map(lambda some: some.hex().upper()))
def test_any_kept_card_data_is_refused_in_words(text: str) -> None:
    with pytest.raises(EnvelopeRefused, match="sealed"):
        desk().hsm.encrypt_track(Sealed(text), PAYMENT, desk().tdk)


@given(st.data())
def test_kept_card_data_with_one_bit_changed_is_refused(data: st.DataObject) -> None:
    kept = bytearray.fromhex(_KEPT)
    kept[data.draw(st.integers(0, len(kept) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(EnvelopeRefused, match="was changed"):
        desk().hsm.encrypt_track(Sealed(kept.hex()), PAYMENT, desk().tdk)


_KEPT = sealed()


# -- MACs


def test_the_mac_of_a_message_stays_what_it_was() -> None:
    """The message is a published one. Its published MAC was cut off (cards.md, D10): this one is our own, and proves no more
    than that nothing has changed.
    """
    mac = desk().hsm.mac(desk().keys.mak, bytes.fromhex("4D08F434464FE7BF"))
    assert mac == b"8A9E91B8"


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_a_mac_is_verified_for_its_message_and_no_other(message: bytes, other: bytes) -> None:
    hsm, mak, retail = desk().hsm, desk().keys.mak, desk().retail
    assert hsm.verify_mac(mak, message, hsm.mac(mak, message))
    assert not hsm.verify_mac(mak, b"\x01" * 8 + message, hsm.mac(mak, message))
    mac = hsm.retail_mac(retail, message)
    left, right = TMK.reveal()[:8], TMK.reveal()[8:]
    assert mac == psec.mac.generate_retail_mac(left, right, message or bytes(8), padding=1)
    assert hsm.verify_retail_mac(retail, message, mac)
    assert hsm.verify_retail_mac(retail, message, mac[:4])
    assert hsm.verify_retail_mac(retail, other, mac) == (filled(message) == filled(other))


def filled(message: bytes) -> bytes:
    """Padding method 1; nothing becomes a block too."""
    return message + bytes(-len(message) % 8) or bytes(8)


@pytest.mark.parametrize("mac", [b"", b"\0", b"8A9E91B9", b"8a9e91b8", b"8A9E91B80", bytes(8)])
def test_a_wrong_mac_is_not_verified(mac: bytes) -> None:
    message = bytes.fromhex("4D08F434464FE7BF")
    assert not desk().hsm.verify_mac(desk().keys.mak, message, mac)
    assert not desk().hsm.verify_retail_mac(desk().retail, message, mac)


def test_no_short_mac_is_verified() -> None:
    right = desk().hsm.retail_mac(desk().retail, b"message")
    assert not desk().hsm.verify_retail_mac(desk().retail, b"message", right[:3])


def test_a_mac_is_made_with_a_key_for_it() -> None:
    with pytest.raises(KeyRefused):
        desk().hsm.mac(desk().retail, b"")
    with pytest.raises(KeyRefused):
        desk().hsm.retail_mac(desk().keys.mak, b"")


# -- cryptograms


def test_the_published_cryptogram_and_its_answer() -> None:
    hsm, issuer, kept = desk().hsm, desk().issuer, sealed()
    assert hsm.verify_cryptogram(issuer, kept, PAYMENT, DATA, ARQC)
    assert hsm.issuer_response(issuer, kept, PAYMENT, DATA, ARQC, "00").hex().upper() == "84DD63A221F915CA"


def test_the_peer_makes_the_same_answer() -> None:
    session = bytes.fromhex("4A43440B2D932ACDC4E2776ED562EE43")
    made = desk().hsm.issuer_response(desk().issuer, sealed(), PAYMENT, DATA, ARQC, "51")
    assert made == pyemv.ac.generate_arpc_1(session, ARQC, b"51")


@pytest.mark.parametrize("name", CryptogramData.__slots__)
def test_a_cryptogram_over_other_data_is_wrong(name: str) -> None:
    changed = replace(DATA, **{name: bytes(byte ^ 1 for byte in getattr(DATA, name))})
    assert not desk().hsm.verify_cryptogram(desk().issuer, sealed(), PAYMENT, changed, ARQC)
    with pytest.raises(ValueError, match="no response"):
        desk().hsm.issuer_response(desk().issuer, sealed(), PAYMENT, changed, ARQC, "00")


def test_a_cryptogram_of_another_card_is_wrong() -> None:
    hsm, box = desk().hsm, desk().box.private_key
    other = CardData.of({tag: value for tag, value in OBJECTS.items() if tag != 0x5F34})
    kept = hsm.accept(desk().sealed(card=other), box, PAYMENT).sealed
    assert not hsm.verify_cryptogram(desk().issuer, kept, PAYMENT, DATA, ARQC)
    kept = hsm.accept(desk().sealed(card=CARD), box, PAYMENT).sealed
    assert hsm.verify_cryptogram(desk().issuer, kept, PAYMENT, DATA, ARQC)


@pytest.mark.parametrize("code", ["", "0", "000", "é0", "0\n"])
def test_no_answer_is_made_with_what_is_no_response_code(code: str) -> None:
    with pytest.raises(ValueError, match="two characters"):
        desk().hsm.issuer_response(desk().issuer, sealed(), PAYMENT, DATA, ARQC, code)


def test_fingerprints_are_keyed() -> None:
    other = Hsm(SecretBytes(bytes(32)))
    key = other.make_box_key()
    theirs = replace(desk(), hsm=other, box=key)
    there = other.accept(theirs.sealed(), key.private_key, PAYMENT).fingerprint
    here = desk().hsm.accept(desk().sealed(), desk().box.private_key, PAYMENT).fingerprint
    assert there != here
