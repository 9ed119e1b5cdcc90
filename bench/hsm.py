"""The security module: a payment's commands, beside the bare RSA operation that none of them can do without."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from cardreader.secret import Pin
from server_stub.foundation.secret import SecretBytes
from server_stub.tsp.card_keys import envelope_of
from server_stub.tsp.hsm.keys import Usage
from server_stub.tsp.hsm.module import BOX_KEY_BITS, Hsm
from server_stub.tsp.models import CardEnvelope
from stb_app.tsp.envelope import CardData, CardKey, seal

ROUNDS = 300
PAYMENT = "01JZ0000000000000000000001"
CARD = {
    0x5A: bytes.fromhex("6210220110002707355F"),
    0x57: bytes.fromhex("6210220110002707355D25122010000000001F"),
    0x5F24: bytes.fromhex("251231"),
    0x5F34: b"\x01",
}


def measured(work: Callable[[], object]) -> float:
    """Median of seconds."""
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def main() -> None:
    """Prints the figures."""
    hsm = Hsm(SecretBytes(bytes(32)))
    box = hsm.make_box_key()
    public = load_der_public_key(box.public_key)
    assert isinstance(public, rsa.RSAPublicKey)
    key, card = CardKey(box.key_id, public), CardData.of(CARD)
    pik, tdk = (hsm.form_key(usage, [SecretBytes(bytes(range(16)))]) for usage in (Usage.PIK, Usage.TDK))
    envelope = envelope_of(CardEnvelope.model_validate(seal(key, PAYMENT, card, Pin("123456"))))
    sealed = hsm.accept(envelope, box.private_key, PAYMENT).sealed
    private = rsa.generate_private_key(65537, BOX_KEY_BITS)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    wrapped = private.public_key().encrypt(bytes(32), oaep)
    bare = measured(lambda: private.decrypt(wrapped, oaep))
    accept = measured(lambda: hsm.accept(envelope, box.private_key, PAYMENT))
    translate = measured(lambda: hsm.translate_pin(envelope, box.private_key, PAYMENT, pik))
    track = measured(lambda: hsm.encrypt_track(sealed, PAYMENT, tdk))
    figures = {
        "bare_rsa_us": round(bare * 1e6),
        "accept_to_bare_ratio": round(accept / bare, 2),
        "translate_pin_to_bare_ratio": round(translate / bare, 2),
        "encrypt_track_us": round(track * 1e6),
        "box_seal_us": round(measured(lambda: seal(key, PAYMENT, card, Pin("123456"))) * 1e6),
    }
    print(json.dumps({"bench": "hsm", "figures": figures}))


if __name__ == "__main__":
    main()
