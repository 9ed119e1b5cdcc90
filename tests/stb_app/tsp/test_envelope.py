"""What a box seals: what it takes from a card, which keys it seals for, and that it cannot open it again."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cardreader.errors import ProtocolError
from cardreader.secret import Pan, Pin
from stb_app.tsp.envelope import CardData, CardKey, seal
from stb_app.tsp.model import Fields
from stb_app.tsp.problem import Problem

OBJECTS = {
    0x5A: bytes.fromhex("6210220110002707355F"),
    0x57: bytes.fromhex("6210220110002707355D25122010000000001F"),
    0x5F24: bytes.fromhex("251231"),
    0x5F34: b"\x01",
}
PAYMENT = "01JZ0000000000000000000001"
PRIVATE = rsa.generate_private_key(65537, 2048)


def key_of(private: Any) -> dict[str, str]:
    coded = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"key_id": "k" * 43, "public_key": coded.hex().upper()}


KEY = CardKey.read(Fields(key_of(PRIVATE), "card_keys"))


def test_no_two_envelopes_are_alike() -> None:
    card = CardData.of(OBJECTS)
    first, second = (seal(KEY, PAYMENT, card, Pin("1234")) for _ in range(2))
    assert first["key_id"] == second["key_id"] == "k" * 43
    for name in ("wrapped_key", "pin_block", "card"):
        assert first[name] != second[name]
    assert first["wrapped_key"] is not None
    assert first["pin_block"] is not None
    assert (len(first["wrapped_key"]), len(first["pin_block"])) == (512, 32)
    assert seal(KEY, PAYMENT, card, None)["pin_block"] is None


def test_nothing_of_the_card_is_seen_in_an_envelope() -> None:
    shown = str(seal(KEY, PAYMENT, CardData.of(OBJECTS), Pin("918273645501")))
    for secret in ("918273645501", *(value.hex().upper() for tag, value in OBJECTS.items() if tag != 0x5F34)):
        assert secret not in shown


def test_a_card_prints_masked() -> None:
    card = CardData.of(OBJECTS)
    assert repr(card.number()) == "Pan(6210 22** **** *** 7355)"
    assert card.number() == Pan("6210220110002707355")
    assert all(
        value.hex() not in repr(card) and repr(value) not in repr(card)
        for value in OBJECTS.values()
        if len(value) > 1
    )


@pytest.mark.parametrize("tag", [0x5A, 0x57, 0x5F24])
@pytest.mark.parametrize("value", [None, b""])
def test_a_card_without_what_every_card_has_is_refused(tag: int, value: bytes | None) -> None:
    objects = {**OBJECTS, tag: value}
    with pytest.raises(ProtocolError, match=f"no {tag:X}"):
        CardData.of({one: what for one, what in objects.items() if what is not None})


@pytest.mark.parametrize("tag", sorted(OBJECTS))
def test_a_card_with_too_long_an_object_is_refused(tag: int) -> None:
    with pytest.raises(ProtocolError, match=f"{tag:X}: at most"):
        CardData.of({**OBJECTS, tag: OBJECTS[tag].ljust(20, b"\x01")})


@pytest.mark.parametrize("number", ["6210220110", "62102201100027073A5F", "6210FF"])
def test_a_card_without_a_pan_is_refused_without_repeating_it(number: str) -> None:
    with pytest.raises(ProtocolError, match="5A: a PAN has") as refused:
        CardData.of({**OBJECTS, 0x5A: bytes.fromhex(number)})
    assert number not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("pin", ["123", "12"])
def test_a_pin_that_no_pin_block_takes_is_refused(pin: str) -> None:
    with pytest.raises(ValueError, match="between 4 and 12") as refused:
        seal(KEY, PAYMENT, CardData.of(OBJECTS), Pin(pin))
    assert f"`{pin}`" not in str(refused.value)


@pytest.mark.parametrize(
    "told",
    [
        {"key_id": "k", "public_key": "no hex"},
        {"key_id": "k", "public_key": "00"},
        {"key_id": "k"},
        {"key_id": 1, "public_key": key_of(PRIVATE)["public_key"]},
        key_of(ec.generate_private_key(ec.SECP256R1())),
        key_of(rsa.generate_private_key(65537, 1024)),
    ],
)
def test_what_is_no_key_to_seal_for_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(Problem) as problem:
        CardKey.read(Fields(told, "card_keys"))
    assert problem.value.code == "tsp-answer-bad"
