"""Secrets: whatever is done to them by accident gives a mask or fails."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest

from cardreader.apdu import Command
from cardreader.purse import pack_pin
from cardreader.secret import CardNumber, Pin, Secret, SecretBytes, SecretText

PIN, KEY, NUMBER = "135792", "a-key-of-this-test", "62170018340572162047"
SECRETS: list[Secret[str] | Secret[bytes]] = [
    Pin(PIN), SecretText(KEY), SecretBytes(KEY.encode()), CardNumber(bytes.fromhex(NUMBER)),
]  # fmt: skip


@dataclass
class Holder:
    """Something that has a secret among other things."""

    one: object


WAYS: list[Callable[[object], object]] = [
    str,
    repr,
    "{}".format,
    "{!r:>40}".format,
    lambda secret: f"{secret}",
    lambda secret: repr(Holder(secret)),
    lambda secret: str(asdict(Holder(secret))),
    lambda secret: repr([secret, {"a": secret}]),
    lambda secret: str(ValueError(secret)),
    lambda secret: logging.LogRecord("a", 20, "b", 1, "%s", (secret,), None).getMessage(),
    lambda secret: json.dumps({"a": secret}, default=str),
    lambda secret: repr(copy.deepcopy(Holder(secret))),
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_printing_gives_it_away(secret: object, way: Callable[[object], object]) -> None:
    shown = str(way(secret))
    assert not [plain for plain in (PIN, KEY, NUMBER, NUMBER[6:-4]) if plain in shown]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: type(secret).__name__)
def test_it_does_not_go_into_json_or_a_pickle(secret: object) -> None:
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert not hasattr(secret, "__dict__")


def test_it_is_revealed_on_purpose_and_compared() -> None:
    assert Pin(PIN).reveal() == PIN
    assert SecretText(KEY) == SecretText(KEY) != SecretText(PIN)
    assert SecretText(KEY) != KEY
    assert not SecretText("")
    assert str(CardNumber(bytes.fromhex(NUMBER))) == "6217 00** **** **** 2047"


@pytest.mark.parametrize("digits", ["", "1", "12345a", "1" * 13, "１２３４"])
def test_a_pin_has_2_to_12_digits_and_a_wrong_one_is_not_repeated(digits: str) -> None:
    with pytest.raises(ValueError, match="decimal digits") as refused:
        Pin(digits)
    assert len(digits) < 4 or digits not in str(refused.value)


def test_a_command_that_carries_a_pin_does_not_print_it() -> None:
    assert PIN not in repr(Command(0x00, 0x20, 0, 0, pack_pin(Pin(PIN))))
    assert repr(pack_pin(PIN)) not in repr(Command(0x00, 0x20, 0, 0, pack_pin(PIN)))
