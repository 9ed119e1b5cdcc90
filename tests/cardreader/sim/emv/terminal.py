"""A terminal and an issuer for the tests, written from cards.md with pyemv and hashlib, without the card's code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files

import pyemv
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from cardreader.sim.emv import issuer_keys
from cardreader.sim.emv.card import EmvCard
from cardreader.sim.emv.profile import EmvProfile, parse
from cardreader.sim.store import MemoryStore, Store
from cardreader.tlv import find
from cardreader.tlv import parse as tlvs
from tests.cardreader.sim.counting import Counting

CDOL1 = (
    ("9F02", 6),
    ("9F03", 6),
    ("9F1A", 2),
    ("95", 5),
    ("5F2A", 2),
    ("9A", 3),
    ("9C", 1),
    ("9F37", 4),
    ("9F21", 3),
    ("9F4E", 20),
)
CDOL2 = (("8A", 2), *CDOL1[:-1])
PURCHASE = {
    "9F02": "000000001990",
    "9F1A": "0156",
    "5F2A": "0156",
    "9A": "261122",
    "9F37": "1A2B3C4D",
    "9F21": "193015",
    "9F4E": "5354422D5041592054562053484F5020202020" + "20",
}
AAC, TC, ARQC, CDA = 0x00, 0x40, 0x80, 0x10


def changed(name: str, *changes: tuple[str, str]) -> EmvProfile:
    """A profile of the package with pieces of its text replaced; each must be there."""
    text = files("cardreader.sim.emv").joinpath("profiles", f"{name}.toml").read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse(text.encode(), name)


class Bench:
    """A powered card in the hands of a tester."""

    def __init__(self, card: EmvProfile | str = "debit", store: Store | None = None) -> None:
        self.profile = changed(card) if isinstance(card, str) else card
        self.store = MemoryStore() if store is None else store
        self.card = EmvCard(self.profile, self.store, Counting())
        self.aid = self.profile.applications[0].aid
        self.card.power_on()

    def ask(self, apdu: str) -> tuple[str, int]:
        data, sw = self.card.transmit(bytes.fromhex(apdu))
        return data.hex().upper(), sw

    def sw(self, apdu: str) -> str:
        data, sw = self.ask(apdu)
        assert data == ""
        return f"{sw:04X}"

    def ok(self, apdu: str) -> str:
        data, sw = self.ask(apdu)
        assert sw == 0x9000, f"{apdu} {sw:04X}"
        return data

    @property
    def state(self):
        return self.card.state.applications[self.aid]

    def select(self) -> str:
        return self.ok(f"00A40400{len(self.aid):02X}{self.aid.hex()}00")

    def begin(self, pdol: str = "") -> str:
        """SELECT and GET PROCESSING OPTIONS."""
        self.select()
        size = len(bytes.fromhex(pdol))
        return self.ok(f"80A80000{size + 2:02X}83{size:02X}{pdol}00")

    def gac(self, p1: int, values: Mapping[str, str] = PURCHASE, arc: str = "") -> tuple[str, int]:
        """GENERATE AC; with an authorisation response code it is the second one."""
        values = {**values, "8A": arc.encode().hex()}
        data = "".join(values.get(tag, "").rjust(size * 2, "0") for tag, size in (CDOL2 if arc else CDOL1))
        return self.ask(f"80AE{p1:02X}00{len(data) // 2:02X}{data}00")

    def first(self, p1: int, values: Mapping[str, str] = PURCHASE) -> Answer:
        data, sw = self.gac(p1, values)
        assert sw == 0x9000, f"{sw:04X}"
        return Answer(data)

    def second(self, p1: int, arc: str, values: Mapping[str, str] = PURCHASE) -> Answer:
        data, sw = self.gac(p1, values, arc)
        assert sw == 0x9000, f"{sw:04X}"
        return Answer(data)

    def issuer(self, answer: Answer) -> Issuer:
        return Issuer(self.profile.pan, self.profile.sequence_number, answer)


class Answer:
    """GENERATE AC's answer of format 1 or 2."""

    def __init__(self, data: str) -> None:
        raw = bytes.fromhex(data)
        self.signature: bytes | None = None
        if raw[0] == 0x80:
            body = find(raw, 0x80)
            assert body is not None
            self.cid, self.atc, self.ac, self.iad = body[0], body[1:3], body[3:11], body[11:]
            return
        inside = {tlv.tag: tlv.value for tlv in tlvs(raw)[0].children}
        self.cid, self.atc, self.iad = inside[0x9F27][0], inside[0x9F36], inside[0x9F10]
        self.signature = inside.get(0x9F4B)
        self.ac = inside.get(0x9F26, b"")

    def with_cryptogram(self, cryptogram: bytes) -> Answer:
        """This answer with the cryptogram that its combined signature holds."""
        self.ac = cryptogram
        return self

    @property
    def cvr(self) -> str:
        return self.iad[3:7].hex().upper()


class Issuer:
    """What the issuer makes of the first cryptogram, with pyemv and UnionPay's session key written out."""

    def __init__(self, pan: str, sequence_number: str, answer: Answer) -> None:
        self.answer = answer
        self.udk = {
            name: pyemv.kd.derive_icc_mk_a(master, pan, sequence_number)
            for name, master in (
                ("ac", issuer_keys.MASTER_AC),
                ("mac", issuer_keys.MASTER_MAC),
                ("enc", issuer_keys.MASTER_ENC),
            )
        }
        # pyemv gives keys odd parity; a PIN block is made with the key as it falls.
        self.card_key = issuer_keys.card_keys(pan, sequence_number).ac
        inverted = bytes(byte ^ 0xFF for byte in answer.atc)
        self.sk = {
            name: pyemv.tools.encrypt_tdes_ecb(key, bytes(6) + answer.atc + bytes(6) + inverted)
            for name, key in self.udk.items()
        }

    def ac(self, aip: str, answer: Answer | None = None, values: Mapping[str, str] = PURCHASE) -> bytes:
        answer = answer or self.answer
        data = "".join(values.get(tag, "").rjust(size * 2, "0") for tag, size in CDOL1[:8])
        data += aip + answer.atc.hex() + answer.cvr
        return pyemv.ac.generate_ac(self.sk["ac"], bytes.fromhex(data), pyemv.ac.PaddingType.EMV)

    def authentication(self, arc: str) -> str:
        """EXTERNAL AUTHENTICATE."""
        code = arc.encode()
        arpc = pyemv.ac.generate_arpc_1(self.sk["ac"], self.answer.ac, code)
        return "008200000A" + (arpc + code).hex()

    def script(self, header: str, data: str = "") -> str:
        """A script command with its MAC; ``header`` is CLA INS P1 P2."""
        size = len(data) // 2 + 4
        covered = (
            bytes.fromhex(f"{header}{size:02X}") + self.answer.atc + self.answer.ac + bytes.fromhex(data)
        )
        return f"{header}{size:02X}{data}{pyemv.sm.generate_command_mac(self.sk['mac'], covered, 4).hex()}"

    def new_pin(self, pin: str, current: str | None = None) -> str:
        block = pyemv.sm.format_vis_pin_block(self.card_key, pin, current)
        enciphered = pyemv.sm.encrypt_command_data(self.sk["enc"], block, pyemv.sm.EncryptionType.VISA)
        return enciphered.hex()


def recovered(signed: bytes, modulus: bytes, exponent: bytes) -> bytes:
    """What a signature holds (EMV Book 2, A2.1.2); ``cryptography`` must find the key sound."""
    numbers = RSAPublicNumbers(int.from_bytes(exponent), int.from_bytes(modulus))
    assert numbers.public_key().key_size == len(modulus) * 8
    assert len(signed) == len(modulus)
    return pow(int.from_bytes(signed), numbers.e, numbers.n).to_bytes(len(modulus))


def checked(signed: bytes, modulus: bytes, exponent: bytes, more: bytes) -> bytes:
    """The inside of a signature whose header, trailer and SHA-1 are right."""
    block = recovered(signed, modulus, exponent)
    assert (block[0], block[-1]) == (0x6A, 0xBC)
    assert hashlib.sha1(block[1:-21] + more).digest() == block[-21:-1]
    return block[1:-21]
