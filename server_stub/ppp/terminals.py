"""Terminals of PPP as their messages are worked on, and what all who answer them share."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from server_stub.foundation.iso8583 import Message, Original, Value, pos_mac
from server_stub.foundation.working_keys import WorkingKeys

DEMO_TERMINAL, DEMO_MERCHANT = "88310001", "883100048990001"
"""Bits 41 and 42 of the television's platform."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal that is known here.

    Attributes:
        id: bit 41.
        merchant: bit 42.
        batch: the one that is open.
        keys: those of its last sign-in; None while it is signed out.
    """

    id: str
    merchant: str
    batch: str
    keys: WorkingKeys | None


@dataclass(frozen=True, slots=True)
class Request:
    """A message whose MAC was right, and what it is worked on with."""

    message: Message
    terminal: Terminal
    keys: WorkingKeys
    now: datetime

    @property
    def original(self) -> tuple[str, str]:
        """Batch and STAN of what is meant: those of bit 61, or the message's own. Raises Iso8583Error."""
        if 61 in self.message:
            original = Original.parse(self.message.text(61))
            return original.batch, original.stan
        return self.message.network.batch, self.message.text(11)


Answer = Mapping[int, Value]
"""Fields of an answer beside those that it repeats; 39 is among them."""
Work = Callable[[Connection, Request], Answer]


def genuine(message: Message, keys: WorkingKeys) -> bool:
    """Whether bit 64 is there and right."""
    if not message.covered:
        return False
    return hmac.compare_digest(pos_mac(keys.mak.reveal(), message.covered), message.data(64))
