"""An HSM with keys, a box's side of it, and a card, for tests."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import load_der_public_key

from cardreader.secret import Pin
from server_stub.foundation.secret import SecretBytes
from server_stub.foundation.working_keys import WorkingKeys, under
from server_stub.tsp.card_keys import envelope_of
from server_stub.tsp.hsm.envelope import Envelope
from server_stub.tsp.hsm.keys import KeyBlock, Usage
from server_stub.tsp.hsm.module import BoxKey, Hsm, WorkingKeyBlocks
from server_stub.tsp.models import CardEnvelope
from stb_app.tsp.envelope import CardData, CardKey, seal

MASTER_KEY = SecretBytes(bytes(range(0x40, 0x60)))
TMK = SecretBytes(bytes.fromhex("70F2A84CCBC2AE8625CBB0F2C22AB923"))
KEYS = WorkingKeys(
    pik=SecretBytes(bytes.fromhex("1C2A3B4C5D6E7F8091A2B3C4D5E6F708")),
    mak=SecretBytes(bytes.fromhex("C24A8FB57AA20123")),
    tdk=SecretBytes(bytes.fromhex("8F7E6D5C4B3A29180716253443526170")),
)
BIT_62 = under(TMK, KEYS)
ISSUER = SecretBytes(bytes.fromhex("C4D689158AD9FB9D23105B91CE046D0E"))
"""The issuer's master key of the published cryptogram; its card is this one."""
PAN = "6210220110002707355"
TRACK = "6210220110002707355D25122010000000001"
PIN = Pin("918273645501")
PAYMENT = "01JZ0000000000000000000001"
OBJECTS = {
    0x5A: bytes.fromhex(PAN + "F"),
    0x57: bytes.fromhex(TRACK + "F"),
    0x5F24: bytes.fromhex("251231"),
    0x5F34: b"\x01",
    0x5F20: b"NOT WANTED",
}
CARD = CardData.of(OBJECTS)


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that is needed for a payment."""

    hsm: Hsm
    box: BoxKey
    tmk: KeyBlock
    keys: WorkingKeyBlocks
    tdk: KeyBlock
    retail: KeyBlock
    issuer: KeyBlock

    @property
    def public(self) -> CardKey:
        """The box's half."""
        key = load_der_public_key(self.box.public_key)
        return CardKey(self.box.key_id, key)  # type: ignore[arg-type]

    def sealed(self, payment: str = PAYMENT, card: CardData = CARD, pin: Pin | None = PIN) -> Envelope:
        """An envelope from a box, through the wire."""
        return envelope_of(CardEnvelope.model_validate(seal(self.public, payment, card, pin)))


def components(key: SecretBytes) -> list[SecretBytes]:
    """A key in two parts."""
    first = bytes(range(0x70, 0x70 + len(key.reveal())))
    return [SecretBytes(first), SecretBytes(bytes(a ^ b for a, b in zip(first, key.reveal(), strict=True)))]


@functools.cache
def desk() -> Desk:
    """Made once: a key pair takes a while."""
    hsm = Hsm(MASTER_KEY)
    tmk = hsm.form_key(Usage.TMK, components(TMK))
    keys = hsm.import_working_keys(tmk, BIT_62)
    assert keys.tdk is not None
    return Desk(
        hsm=hsm,
        box=hsm.make_box_key(),
        tmk=tmk,
        keys=keys,
        tdk=keys.tdk,
        retail=hsm.form_key(Usage.RETAIL_MAK, components(TMK)),
        issuer=hsm.form_key(Usage.ISSUER_AC, components(ISSUER)),
    )
