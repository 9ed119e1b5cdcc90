"""What the HSM refuses. No text here has a key, PIN, PAN or track in it, nor is there a cause that has.

HsmError
├── KeyRefused            a key block is not this HSM's, was changed, or is for another use
├── ComponentsRefused     what a key is to be put together from are no key components
├── WorkingKeysRefused    the payment centre's working keys are not usable
└── EnvelopeRefused       what a box sent, or what was kept of it, is not for this payment or not as described
"""

from __future__ import annotations

from typing import Literal

Part = Literal["wrapped-key", "card", "card-data", "pin-block", "sealed"]


class HsmError(Exception):
    """The root."""


class KeyRefused(HsmError):
    """A key block is not this HSM's, was changed, or is for another use than what it was given for."""


class ComponentsRefused(HsmError):
    """What a key is to be put together from are no key components."""


class WorkingKeysRefused(HsmError):
    """Bit 62 is not laid out as it should be, or a check value is not that of its key."""


class EnvelopeRefused(HsmError):
    """Nothing of an envelope is used.

    Attributes:
        part: what cannot be used: ``wrapped-key`` was not made for this key pair; ``card`` was changed, or belongs to
            another payment, key pair or PIN block; ``card-data`` is not as described or contradicts itself;
            ``pin-block`` is missing, or has no PIN for this card; ``sealed`` was changed or belongs to another payment.
    """

    def __init__(self, part: Part, why: str) -> None:
        super().__init__(f"{part}: {why}")
        self.part = part
