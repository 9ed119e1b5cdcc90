"""ONL-12: the keys that boxes seal for. Made at the first start, the same for all processes, private halves wrapped."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import ValidationError

from cardreader.secret import Pin
from server_stub.foundation.database import Database
from server_stub.foundation.secret import SecretBytes
from server_stub.tsp import tables
from server_stub.tsp.card_keys import CardKeys, envelope_of
from server_stub.tsp.hsm.errors import KeyRefused
from server_stub.tsp.hsm.keys import Usage
from server_stub.tsp.hsm.module import BoxKey, Hsm
from server_stub.tsp.models import CardEnvelope
from stb_app.tsp.envelope import CardKey, seal
from stb_app.tsp.model import Fields
from tests.server_stub.system import System, running
from tests.server_stub.tsp.hsm.parts import CARD, PAYMENT

pytestmark = pytest.mark.anyio


async def test_a_box_is_told_the_key_and_what_it_seals_is_opened(system: System) -> None:
    box = await system.box()
    (told,) = (await box.get("/card-keys"))["card_keys"]
    public = load_der_public_key(bytes.fromhex(told["public_key"]))
    assert isinstance(public, RSAPublicKey)
    assert public.key_size == 2048
    sent = seal(CardKey.read(Fields(told, "card_keys")), PAYMENT, CARD, Pin("1234"))
    envelope = envelope_of(CardEnvelope.model_validate(sent))
    private = await system.tsp.card_keys.private_key(envelope.key_id)
    assert private is not None
    accepted = system.tsp.hsm.accept(envelope, private, PAYMENT)
    assert (accepted.masked, accepted.has_pin) == ("6210 22** **** *** 7355", True)


async def test_the_private_half_is_kept_wrapped(system: System) -> None:
    (row,) = await system.rows(tables.card_keys)
    assert row.private_key.startswith("D")
    assert row.private_key[5:8] == "K3R"
    with pytest.raises(KeyRefused):
        Hsm(SecretBytes(bytes(32)))._lmk.unwrap(Usage.BOX, row.private_key)
    coded = system.tsp.hsm._lmk.unwrap(Usage.BOX, row.private_key).reveal()
    kept = str([tuple(row) for row in await system.rows(tables.card_keys)])
    assert coded[-64:].hex().upper() not in kept.upper()


async def test_a_new_start_has_the_same_key(tmp_path: Path) -> None:
    async with running(tmp_path) as system:
        first = await system.tsp.card_keys.told()
    async with running(tmp_path, clock=system.clock) as system:
        assert await system.tsp.card_keys.told() == first


async def test_of_two_first_starts_at_once_one_key_remains_and_both_tell_it(system: System) -> None:
    database: Database = system.tsp.database
    await database.write(lambda conn: conn.execute(tables.card_keys.delete()))
    hsm, clock = system.tsp.hsm, system.clock
    others: list[CardKeys] = []

    class Slow(Hsm):
        """While it makes its pair, another process starts and is done."""

        def make_box_key(self) -> BoxKey:
            others.append(CardKeys(database, hsm, clock))
            return super().make_box_key()

    here = CardKeys(database, Slow(system.tsp.core.vault.derive("hsm")), clock)
    (other,) = others
    assert await here.told() == await other.told()
    assert len(await system.rows(tables.card_keys)) == 1
    (key,) = await here.told()
    assert await here.private_key(key.key_id) == await other.private_key(key.key_id)


async def test_nobody_is_told_of_a_key_that_is_not_there(system: System) -> None:
    assert await system.tsp.card_keys.private_key("x" * 43) is None


BODY = {"key_id": "k" * 43, "wrapped_key": "0A" * 256, "pin_block": "0A" * 16, "card": "0A" * 71}


async def test_what_a_box_sends_is_checked_for_its_form() -> None:
    assert envelope_of(CardEnvelope(**{**BODY, "pin_block": None})).pin_block is None
    for name, wrong in (
        ("key_id", "k" * 42),
        ("key_id", "k" * 42 + "="),
        ("wrapped_key", "0A" * 255),
        ("wrapped_key", "0a" * 256),
        ("pin_block", "0A" * 15),
        ("pin_block", ""),
        ("card", "0A" * 28),
        ("card", "0A" * 72),
        ("card", "0A" * 60 + "0"),
    ):
        with pytest.raises(ValidationError, match=name):
            CardEnvelope(**{**BODY, name: wrong})
    for name in BODY:
        with pytest.raises(ValidationError, match=name):
            CardEnvelope.model_validate({one: value for one, value in BODY.items() if one != name})
