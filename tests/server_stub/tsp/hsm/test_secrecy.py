"""Nothing that the HSM returns, raises or logs has a PIN, PAN, track or key in clear; and a new command has to say what it returns."""

from __future__ import annotations

import base64
import dataclasses
import inspect
import logging
import traceback
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from psec.pinblock import encode_pinblock_iso_0, encode_pinblock_iso_2

from server_stub.foundation.secret import CardNumber, SecretBytes
from server_stub.tsp.hsm.errors import HsmError
from server_stub.tsp.hsm.keys import KeyBlock, LocalMasterKey, Usage
from server_stub.tsp.hsm.module import (
    AcceptedCard,
    BoxKey,
    CheckValue,
    ConcealedSerial,
    ConcealedTrack,
    Enciphered,
    Hsm,
    Mac,
    Sealed,
    WorkingKeyBlocks,
)
from tests.server_stub.tsp.hsm.parts import (
    BIT_62,
    CARD,
    ISSUER,
    KEYS,
    MASTER_KEY,
    OBJECTS,
    PAN,
    PAYMENT,
    PIN,
    TMK,
    TRACK,
    components,
    desk,
)
from tests.server_stub.tsp.hsm.test_envelope import by_hand
from tests.server_stub.tsp.hsm.test_module import ARQC, DATA

# The peer still takes DES from where cryptography no longer wants it.

SERIAL = CardNumber(bytes.fromhex("62170018340571000001"))
LEAVES: dict[object, str] = {
    KeyBlock: "wrapped",
    Sealed: "enciphered",
    Enciphered: "enciphered",
    ConcealedTrack: "enciphered",
    ConcealedSerial: "enciphered",
    Mac: "verdict",
    CheckValue: "verdict",
    bool: "verdict",
    "BoxKey.key_id": "public",
    "BoxKey.public_key": "public",
    "AcceptedCard.masked": "masked",
    "AcceptedCard.fingerprint": "keyed hash",
    "AcceptedCard.expiry": "may be known",
    "AcceptedCard.sequence_number": "may be known",
    "AcceptedCard.has_pin": "verdict",
}
"""All that may leave, by type or field, and why."""


def commands() -> list[str]:
    return [name for name, one in inspect.getmembers(Hsm, inspect.isfunction) if not name.startswith("_")]


def leaving(hint: object) -> Iterator[object]:
    """The types of what a command returns; of a dataclass those of its fields, where they say nothing their names."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        for name, inner in get_type_hints(hint).items():
            known = inner in LEAVES and inner is not bool
            yield from (
                leaving(inner)
                if known or (get_args(inner) and KeyBlock in get_args(inner))
                else [f"{hint.__name__}.{name}"]
            )
    elif isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        yield from (one for one in get_args(hint) if one is not type(None))
    else:
        yield hint


def test_every_command_returns_only_what_may_leave() -> None:
    found = {name: list(leaving(get_type_hints(getattr(Hsm, name))["return"])) for name in commands()}
    assert all(found.values())
    strange = {name: [one for one in ones if one not in LEAVES] for name, ones in found.items()}
    assert {name: ones for name, ones in strange.items() if ones} == {}
    assert {one for ones in found.values() for one in ones} == set(LEAVES)


def test_an_hsm_has_no_attribute_that_tells_a_key() -> None:
    hsm = Hsm(MASTER_KEY)
    assert all(name.startswith("_") for name in vars(hsm))
    shown = repr([hsm, vars(hsm), LocalMasterKey(MASTER_KEY), vars(LocalMasterKey(MASTER_KEY))])
    assert not leaks({"the key": ways(MASTER_KEY.reveal())}, shown)


def ways(secret: bytes) -> list[str]:
    """How bytes might be written."""
    return [
        repr(secret)[2:-1],
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode(),
        str(list(secret))[1:-1],
    ]


def secrets() -> dict[str, list[str]]:
    """Everything that stays inside."""
    found = {"PIN": [PIN.reveal()], "PAN": [PAN, PAN[6:-4], *ways(OBJECTS[0x5A])]}
    found["track"] = [TRACK, TRACK[20:], *ways(OBJECTS[0x57])]
    found["serial"] = ways(SERIAL.reveal())
    for name, key in (
        ("master key", MASTER_KEY), ("TMK", TMK), ("PIK", KEYS.pik), ("MAK", KEYS.mak), ("TDK", KEYS.tdk),
        ("issuer's key", ISSUER), ("LMK", desk().hsm._lmk._key), ("seal key", desk().hsm._seal_key),
        ("fingerprint key", desk().hsm._fingerprint_key),
    ):  # fmt: skip
        found[name] = ways(key.reveal())
    private = desk().hsm._lmk.unwrap(Usage.BOX, desk().box.private_key).reveal()
    found["private key"] = ways(private[-64:])  # the last of its numbers
    found["PIN block"] = ways(encode_pinblock_iso_0(PIN.reveal(), PAN)) + ways(
        encode_pinblock_iso_2(PIN.reveal())
    )
    return found


def leaks(hidden: dict[str, list[str]], shown: str) -> list[str]:
    return [name for name, written in hidden.items() if any(one in shown for one in written)]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that stands behind it."""
    while error is not None:
        yield error
        yield from chain(error.__context__) if error.__context__ is not error.__cause__ else ()
        error = error.__cause__


def attempts() -> dict[str, list[Callable[[], Any]]]:
    """Every command as it should be used, and in ways that it refuses."""
    d = desk()
    hsm, box, pik = d.hsm, d.box.private_key, d.keys.pik
    good, other_card = d.sealed(), by_hand(b"\x5a\x01\x62", pin="918273645501")
    kept = hsm.accept(good, box, PAYMENT).sealed
    wrong_pin_block = by_hand(_card(), pin="918273645501", pan="6210220110002707000")
    contradicting = by_hand(_card().replace(b"\x25\x12\x31", b"\x26\x12\x31"), pin=PIN.reveal())
    bad = [
        good, other_card, wrong_pin_block, contradicting, replace(good, pin_block=None),
        replace(good, card=good.card[:-1]), replace(good, wrapped_key=b""), replace(good, pin_block=bytes(16)),
    ]  # fmt: skip
    damaged = KeyBlock(pik[:-1] + ("0" if pik[-1] != "0" else "1"))
    keys = [pik, d.keys.mak, d.tdk, d.tmk, d.retail, d.issuer, box, damaged, KeyBlock("")]
    return {
        "make_box_key": [hsm.make_box_key],
        "form_key": [
            *(lambda u=u: hsm.form_key(u, components(TMK)) for u in Usage),
            lambda: hsm.form_key(Usage.TMK, []),
            lambda: hsm.form_key(Usage.TMK, [TMK, SecretBytes(PAN.encode())]),
        ],
        "import_working_keys": [
            *(lambda k=k: hsm.import_working_keys(k, BIT_62) for k in keys),
            lambda: hsm.import_working_keys(d.tmk, BIT_62[:40]),
            lambda: hsm.import_working_keys(d.tmk, BIT_62[:39]),
            lambda: hsm.import_working_keys(d.tmk, BIT_62[1:] + b"\0"),
        ],
        "check_value": [lambda u=u, k=k: hsm.check_value(u, k) for u in Usage for k in keys],
        "accept": [
            *(lambda e=e: hsm.accept(e, box, PAYMENT) for e in bad),
            *(lambda k=k: hsm.accept(good, k, PAYMENT) for k in keys),
            lambda: hsm.accept(good, box, "other"),
        ],
        "translate_pin": [
            *(lambda e=e: hsm.translate_pin(e, box, PAYMENT, pik) for e in bad),
            *(lambda k=k: hsm.translate_pin(good, box, PAYMENT, k) for k in keys),
            lambda: hsm.translate_pin(good, box, "other", pik),
        ],
        "encrypt_track": [
            *(lambda k=k: hsm.encrypt_track(kept, PAYMENT, k) for k in keys),
            lambda: hsm.encrypt_track(kept, "other", d.tdk),
            lambda: hsm.encrypt_track(Sealed(kept[:-2]), PAYMENT, d.tdk),
        ],
        "conceal_serial": [lambda k=k: hsm.conceal_serial(k, SERIAL, PAYMENT) for k in keys],
        "mac": [lambda k=k: hsm.mac(k, b"message") for k in keys],
        "verify_mac": [lambda k=k: hsm.verify_mac(k, b"message", bytes(8)) for k in keys],
        "retail_mac": [lambda k=k: hsm.retail_mac(k, b"message") for k in keys],
        "verify_retail_mac": [lambda k=k: hsm.verify_retail_mac(k, b"message", bytes(8)) for k in keys],
        "verify_cryptogram": [
            *(lambda k=k: hsm.verify_cryptogram(k, kept, PAYMENT, DATA, ARQC) for k in keys),
            lambda: hsm.verify_cryptogram(d.issuer, kept, PAYMENT, replace(DATA, atc=b""), ARQC),
        ],
        "issuer_response": [
            *(lambda k=k: hsm.issuer_response(k, kept, PAYMENT, DATA, ARQC, "00") for k in keys),
            lambda: hsm.issuer_response(d.issuer, kept, PAYMENT, DATA, bytes(8), "00"),
        ],
    }


def _card() -> bytes:
    return b"".join(
        bytes.fromhex(f"{tag:X}{len(OBJECTS[tag]):02X}") + OBJECTS[tag]
        for tag in (0x5A, 0x57, 0x5F24, 0x5F34)
    )


def test_the_attempts_are_at_every_command() -> None:
    assert sorted(attempts()) == sorted(commands())


@pytest.mark.parametrize("command", commands())
def test_nothing_that_leaves_by_a_command_tells_a_secret(
    command: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    hidden, shown, good = secrets(), [], 0
    for attempt in attempts()[command]:
        try:
            value = attempt()
        except (HsmError, ValueError) as error:
            for one in chain(error):
                shown += [repr(one), str(one), repr(vars(one)), repr(one.args)]
            shown += traceback.format_exception(error)
        else:
            good += 1
            shown += [repr(value), str(value), *_fields(value)]
    assert good
    captured = capfd.readouterr()
    assert leaks(hidden, "\n".join([*shown, caplog.text, captured.out, captured.err])) == []
    assert caplog.records == []


def _fields(value: Any) -> list[str]:
    raw = (
        dataclasses.astuple(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
        else [value]
    )
    return [way for one in raw if isinstance(one, bytes) for way in ways(one)]


def test_the_search_would_find_each_secret() -> None:
    hidden = secrets()
    for name, written in hidden.items():
        for one in written:
            assert name in leaks(hidden, f"<{one}>")


def test_what_boxes_send_does_not_print_its_card() -> None:
    shown = repr(CARD) + str(CARD) + repr(desk().public) + repr(CARD.number())
    hidden = secrets()
    assert leaks({"PAN": hidden["PAN"], "track": hidden["track"]}, shown) == []
    assert "6210 22** **** *** 7355" in shown


def test_a_public_key_is_all_that_a_box_is_told() -> None:
    key = load_der_public_key(desk().box.public_key)
    assert not hasattr(key, "private_numbers")
    assert isinstance(desk().box, BoxKey)
    assert isinstance(desk().keys, WorkingKeyBlocks)
    assert isinstance(desk().hsm.accept(desk().sealed(), desk().box.private_key, PAYMENT), AcceptedCard)
