"""RSA keys of the simulated cards, and the test keys that come with the package (keys.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

CA_INDEX = 0xF0
"""Index of our own CA under UnionPay's RID, whose published keys have others. Terminals know it from
`cardreader.emv.capk`."""
CA_KEY = "ca-f0"


@dataclass(frozen=True, slots=True)
class RsaKey:
    """A private RSA key: its two primes (not printed) and the public exponent."""

    prime1: int = field(repr=False)
    prime2: int = field(repr=False)
    exponent: int

    @property
    def modulus(self) -> bytes:
        """As many bytes as the key is long."""
        number = self.prime1 * self.prime2
        return number.to_bytes((number.bit_length() + 7) // 8)

    @property
    def public_exponent(self) -> bytes:
        """03 or 010001, as certificates carry it."""
        return self.exponent.to_bytes((self.exponent.bit_length() + 7) // 8)

    def recover(self, block: bytes) -> bytes:
        """The private operation: signs (EMV Book 2, A2.1.2) or deciphers (B2.1.3) a block as long as the modulus.

        Raises:
            ValueError: the block has another length, or its number is not below the modulus.
        """
        p, q = self.prime1, self.prime2
        number = int.from_bytes(block)
        if len(block) != len(self.modulus) or number >= p * q:
            raise ValueError(f"a block of {len(self.modulus)} bytes below the modulus expected")
        # By the Chinese remainder theorem: a third of the time.
        by_p = pow(number, pow(self.exponent, -1, p - 1), p)
        by_q = pow(number, pow(self.exponent, -1, q - 1), q)
        return (by_q + (by_p - by_q) * pow(q, -1, p) % p * q).to_bytes(len(block))


@cache
def rsa_key(name: str) -> RsaKey:
    """One of the test keys of keys.toml: ``ca-f0``, ``issuer``, ``icc`` or ``pin``. Raises KeyError."""
    table = tomllib.loads(files("cardreader.sim.emv").joinpath("keys.toml").read_text("utf-8"))[name]
    return RsaKey(int(table["prime1"], 16), int(table["prime2"], 16), table["exponent"])
