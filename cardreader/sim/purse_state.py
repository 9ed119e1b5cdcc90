"""What a simulated purse card keeps without power, and how it is written down."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cardreader.sim.store import Contents

PIN_TRIES = 3


class Block(IntEnum):
    """Whether the application can be used."""

    NONE = 0
    TEMPORARY = 1
    PERMANENT = 2


@dataclass(frozen=True, slots=True)
class Proof:
    """What GET TRANSACTION PROVE answers with: of the last transaction, ``number`` as it stands after it."""

    transaction_type: int
    number: int
    mac2: bytes
    tac: bytes


@dataclass(frozen=True, slots=True)
class PurseState:
    """Everything the card keeps without power. ``pin`` is packed; ``log`` is newest first."""

    public: bytes
    cardholder: bytes
    pin: bytes
    balance_fen: int
    offline_number: int = 0
    online_number: int = 0
    pin_tries_left: int = PIN_TRIES
    block: Block = Block.NONE
    card_blocked: bool = False
    mac_failures: int = 0
    log: tuple[bytes, ...] = ()
    proof: Proof | None = None

    def to_contents(self) -> Contents:
        """JSON values, for a `Store`."""
        return {
            "public": self.public.hex().upper(),
            "cardholder": self.cardholder.hex().upper(),
            "pin": self.pin.hex().upper(),
            "balance_fen": self.balance_fen,
            "offline_number": self.offline_number,
            "online_number": self.online_number,
            "pin_tries_left": self.pin_tries_left,
            "block": int(self.block),
            "card_blocked": self.card_blocked,
            "mac_failures": self.mac_failures,
            "log": [record.hex().upper() for record in self.log],
            "proof": self.proof
            and {
                "transaction_type": self.proof.transaction_type,
                "number": self.proof.number,
                "mac2": self.proof.mac2.hex().upper(),
                "tac": self.proof.tac.hex().upper(),
            },
        }

    @classmethod
    def from_contents(cls, contents: Contents) -> PurseState:
        """The other way. Raises KeyError, TypeError or ValueError when these are not a purse's contents."""
        proof: dict[str, Any] | None = contents["proof"]
        return cls(
            public=bytes.fromhex(contents["public"]),
            cardholder=bytes.fromhex(contents["cardholder"]),
            pin=bytes.fromhex(contents["pin"]),
            balance_fen=int(contents["balance_fen"]),
            offline_number=int(contents["offline_number"]),
            online_number=int(contents["online_number"]),
            pin_tries_left=int(contents["pin_tries_left"]),
            block=Block(contents["block"]),
            card_blocked=bool(contents["card_blocked"]),
            mac_failures=int(contents["mac_failures"]),
            log=tuple(bytes.fromhex(record) for record in contents["log"]),
            proof=None
            if proof is None
            else Proof(
                transaction_type=int(proof["transaction_type"]),
                number=int(proof["number"]),
                mac2=bytes.fromhex(proof["mac2"]),
                tac=bytes.fromhex(proof["tac"]),
            ),
        )
