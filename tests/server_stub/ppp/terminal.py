"""A terminal and its card as they stand before PPP: signs in, builds messages, checks what comes back.

Its keys and MACs are computed here with ``psec``, not with what PPP computes them with.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from psec import des, pinblock
from psec.mac import generate_retail_mac

from cardreader import tlv
from cardreader.emv.cryptogram import (
    CryptogramData,
    application_cryptogram,
    issuer_response,
)
from cardreader.sim.emv.issuer_keys import card_keys
from server_stub.foundation.iso8583 import Message, Network, Value, decode, encode
from server_stub.ppp.service import PppService
from server_stub.ppp.terminals import DEMO_MERCHANT, DEMO_TERMINAL

DEBIT, CREDIT, CASH = "6217001834057286101", "6259941772093654", "6217001834057294204"
ONLINE = bytes.fromhex("03A00000")


@dataclass
class Card:
    """A card's side of a cryptogram."""

    pan: str = DEBIT
    atc: int = 17
    expiry: str = "4402"
    cash_fen: int | None = None

    def data(self, fen: int, *, kind: int = 0x80, fresh: bool = True, results: bytes = ONLINE) -> bytes:
        """Bit 55 of a request; with ``fresh`` under a new ATC."""
        self.atc += fresh
        covered = CryptogramData(
            amount=bytes.fromhex(f"{fen:012d}"),
            amount_other=bytes(6),
            terminal_country=bytes.fromhex("0156"),
            terminal_verification_results=bytes(5),
            currency=bytes.fromhex("0156"),
            date=bytes.fromhex("260621"),
            transaction_type=bytes(1),
            unpredictable_number=bytes.fromhex("11223344"),
            interchange_profile=bytes.fromhex("7C00"),
            atc=self.atc.to_bytes(2),
            verification_results=results,
        )
        self.cryptogram = application_cryptogram(self.session.ac, covered.to_bytes())
        iad = bytes.fromhex("070101") + results + b"\x01"
        if self.cash_fen is not None:
            iad += bytes.fromhex(f"0A01{self.cash_fen:010d}00000000")
        objects = {
            0x9F26: self.cryptogram,
            0x9F27: bytes((kind,)),
            0x9F10: iad,
            0x9F37: covered.unpredictable_number,
            0x9F36: covered.atc,
            0x95: covered.terminal_verification_results,
            0x9A: covered.date,
            0x9C: covered.transaction_type,
            0x9F02: covered.amount,
            0x5F2A: covered.currency,
            0x82: covered.interchange_profile,
            0x9F1A: covered.terminal_country,
            0x9F03: covered.amount_other,
        }
        return b"".join(tlv.encode(tag, value) for tag, value in objects.items())

    @property
    def session(self) -> Any:
        return card_keys(self.pan, "01").session(self.atc.to_bytes(2))

    def believes(self, data: bytes, code: str) -> bool:
        """Whether 91 of an answer is its issuer's."""
        said = tlv.find(data, 0x91)
        arc = code.encode()
        return said == issuer_response(self.session.ac, self.cryptogram, arc) + arc

    def script(self, data: bytes) -> bytes | None:
        """The command of the script in an answer, without its MAC, which is right."""
        command = tlv.find(data, 0x72, 0x86)
        if command is None:
            return None
        head, value, mac = command[:5], command[5:-4], command[-4:]
        covered = head + self.atc.to_bytes(2) + self.cryptogram + value
        key = self.session.mac
        assert mac == generate_retail_mac(key[:8], key[8:], covered, 2, 4)
        return head + value


@dataclass
class TestTerminal:
    """A terminal that talks to a service of this process."""

    __test__ = False
    service: PppService
    tmk: bytes
    batch: str = "000001"
    merchant: str = DEMO_MERCHANT
    stan: int = 0
    keys: dict[str, bytes] = field(default_factory=dict)

    async def sign_in(self, code: str = "004") -> Message:
        answer = await self.exchange(
            "0800", {60: str(Network("00", "000000", code)), 62: b"Sequence No123456"}
        )
        if answer.text(39) == "00":
            self.batch = answer.network.batch
            self.keys = self.unpacked(answer.data(62))
        return answer

    def unpacked(self, data: bytes) -> dict[str, bytes]:
        """The working keys of bit 62, whose check values are right."""
        keys = {"pik": (data[:16], data[16:20]), "mak": (data[20:28], data[36:40])}
        assert data[28:36] == bytes(8)
        if len(data) > 40:
            keys["tdk"] = (data[40:56], data[56:60])
        clear = {name: des.decrypt_tdes_ecb(self.tmk, sealed) for name, (sealed, _) in keys.items()}
        for name, (_, check) in keys.items():
            assert des.encrypt_tdes_ecb(clear[name], bytes(8))[:4] == check
        return clear

    async def exchange(self, mti: str, fields: dict[int, Value], *, stan: int | None = None) -> Message:
        """Sends a message, checks the MAC of the answer, returns it."""
        if stan is None:
            self.stan += 1
            stan = self.stan
        answer = decode(await self.service.answer(self.made(mti, fields, stan)))
        assert answer.mti == f"{int(mti) + 10:04d}"
        if self.keys and mti != "0800":
            assert answer.data(64) == ecb_mac(self.keys["mak"], answer.covered)
        return answer

    def made(self, mti: str, fields: dict[int, Value], stan: int) -> bytes:
        message = Message(mti, {11: f"{stan:06d}", 41: DEMO_TERMINAL, 42: DEMO_MERCHANT, **fields})
        signed = None if mti == "0800" or not self.keys else lambda data: ecb_mac(self.keys["mak"], data)
        return encode(message, signed)

    def payment(
        self, card: Card, fen: int, *, pin: str | None = "123456", code: str = "000000", **told: Any
    ) -> dict[int, Value]:
        """The fields of an 0200."""
        fields: dict[int, Value] = {
            3: code,
            4: f"{fen:012d}",
            22: "051" if pin else "052",
            23: "001",
            25: "00",
            49: "156",
            55: card.data(fen, **told),
            60: str(Network("22", self.batch, "000", "5", "0")),
        }
        fields |= self.who(card)
        if pin:
            fields |= {26: "06", 52: self.pin_block(card, pin), 53: "2600000000000000"}
        return fields

    def who(self, card: Card) -> dict[int, Value]:
        track = f"{card.pan}D{card.expiry}220123450000"
        if "tdk" not in self.keys:
            return {35: track}
        filled = track + "F" * (-len(track) % 16)
        return {35: des.encrypt_tdes_ecb(self.keys["tdk"], bytes.fromhex(filled)).hex().upper()}

    def pin_block(self, card: Card, pin: str) -> bytes:
        block: bytes = des.encrypt_tdes_ecb(self.keys["pik"], pinblock.encode_pinblock_iso_0(pin, card.pan))
        return block

    async def pay(self, card: Card, fen: int, **told: Any) -> Message:
        return await self.exchange("0200", self.payment(card, fen, **told))

    async def reverse(self, fen: int, stan: int, **told: Value) -> Message:
        fields: dict[int, Value] = {3: "000000", 4: f"{fen:012d}", 39: "98", 49: "156"}
        fields |= {60: str(Network("22", self.batch, "000", "5", "0"))}
        return await self.exchange(
            "0400", {**fields, **{int(name[2:]): value for name, value in told.items()}}, stan=stan
        )


def ecb_mac(key: bytes, data: bytes) -> bytes:
    """Bit 64 once more, block by block as the specification words it."""
    data += bytes(-len(data) % 8)
    folded = bytes(8)
    for start in range(0, len(data), 8):
        folded = bytes(a ^ b for a, b in zip(folded, data[start : start + 8], strict=True))
    letters = folded.hex().upper().encode()
    made = des.encrypt_tdes_ecb(key, letters[:8])
    made = des.encrypt_tdes_ecb(key, bytes(a ^ b for a, b in zip(made, letters[8:], strict=True)))
    return made.hex().upper().encode()[:8]
