"""Key blocks: how keys stand outside the HSM. Each is bound to the one use that it was made for.

ASC X9 TR 31:2018, version D: AES, key derivation binding; the header with the use is part of what is authenticated.
"""

from __future__ import annotations

from enum import Enum
from typing import NewType

from psec import tr31

from server_stub.foundation.secret import SecretBytes
from server_stub.tsp.hsm.errors import KeyRefused

KeyBlock = NewType("KeyBlock", str)
"""A key under the local master key: upper-case ASCII, to be kept anywhere."""

LMK = 32
"""Bytes of the key that protects key blocks: AES-256."""
_VERSION = "D"
_FIRST = "00"
_NOT_EXPORTABLE = "N"


class Usage(Enum):
    """What a key is for: TR-31's key usage, algorithm, mode of use; and how many bytes it has (None: its own coding)."""

    BOX = ("K3", "R", "D", None)
    """Private half of a key pair that boxes wrap a key for."""
    TMK = ("K0", "T", "D", 16)
    """Terminal master key: deciphers working keys."""
    PIK = ("P0", "T", "E", 16)
    """Enciphers PIN blocks; in this HSM nothing deciphers one."""
    MAK = ("10", "D", "C", 8)
    """Makes and verifies MACs in the way of UnionPay's terminals: a use of our own, which the standard leaves numbers for."""
    RETAIL_MAK = ("M3", "T", "C", 16)
    """Makes and verifies MACs by ISO 9797-1, algorithm 3."""
    TDK = ("D0", "T", "E", 16)
    """Enciphers tracks; in this HSM nothing deciphers one."""
    ISSUER_AC = ("E0", "T", "X", 16)
    """An issuer's master key for application cryptograms."""

    @property
    def size(self) -> int | None:
        """Bytes of such a key; None for a private key in PKCS 8."""
        size: int | None = self.value[3]
        return size


class LocalMasterKey:
    """Wraps and unwraps; never leaves the HSM.

    Args:
        key: 32 bytes.

    Raises:
        ValueError: it has another length.
    """

    def __init__(self, key: SecretBytes) -> None:
        if len(key.reveal()) != LMK:
            raise ValueError(f"a local master key has {LMK} bytes")
        self._key = key

    def wrap(self, usage: Usage, key: SecretBytes) -> KeyBlock:
        """The key block of a key."""
        name, algorithm, mode, size = usage.value
        assert size in (None, len(key.reveal())), f"{usage.name} of another length"
        header = tr31.Header(_VERSION, name, algorithm, mode, _FIRST, _NOT_EXPORTABLE)
        return KeyBlock(tr31.KeyBlock(self._key.reveal(), header).wrap(key.reveal()))

    def unwrap(self, usage: Usage, block: KeyBlock) -> SecretBytes:
        """The key, for this use. Raises KeyRefused."""
        found = self._unwrapped(block)
        if found is None:
            raise KeyRefused("the key block is not this HSM's, or was changed")
        header, key = found
        name, algorithm, mode, size = usage.value
        if (header.version_id, header.key_usage, header.algorithm, header.mode_of_use) != (
            _VERSION, name, algorithm, mode,
        ):  # fmt: skip
            raise KeyRefused(f"the key block is of a key for another use ({header.key_usage}) than {name}")
        if size not in (None, len(key.reveal())):
            raise KeyRefused(f"a key for {name} has {size} bytes")
        return key

    def _unwrapped(self, block: KeyBlock) -> tuple[tr31.Header, SecretBytes] | None:
        box = tr31.KeyBlock(self._key.reveal())
        try:
            key = box.unwrap(block)
        except ValueError:
            # The library's words repeat what they are about.
            return None
        return box.header, SecretBytes(key)
