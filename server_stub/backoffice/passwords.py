"""Passwords of staff: argon2id, and rules after NIST SP 800-63B: length, no common ones, nothing about the person."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from importlib import resources
from itertools import pairwise
from unicodedata import normalize

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

SHORTEST, LONGEST = 12, 128
AT_ONCE = 2
"""Hashes under way at a time: each takes 64 MiB."""
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
ONCE_LENGTH = 16
"""Of passwords that are printed and used once: 78 random bits."""


class Weak(ValueError):
    """A password that is not taken; ``why`` is one of ``short``, ``long``, ``common``, ``personal``, ``same``."""

    def __init__(self, why: str) -> None:
        super().__init__(f"password: {why}")
        self.why = why


class Passwords:
    """Makes and checks hashes, in a thread, so that nobody else has to wait.

    Args:
        parameters: of new hashes.
    """

    def __init__(self, parameters: Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        async with self._turn:
            return await asyncio.to_thread(self.hash_now, password)

    def hash_now(self, password: str) -> str:
        """The same, for a command."""
        return self._hasher.hash(normalize("NFKC", password))

    async def right(self, kept: str | None, password: str) -> bool:
        """Whether a password is the one of which that is kept. Takes as long where nothing is kept, and says no."""
        async with self._turn:
            return await asyncio.to_thread(self._right, kept, password[: LONGEST + 1])

    def outdated(self, kept: str) -> bool:
        """Whether it was hashed with other parameters than are wanted now."""
        return self._hasher.check_needs_rehash(kept)

    def _right(self, kept: str | None, password: str) -> bool:
        if kept is None and self._nobodys is None:
            self._nobodys = self._hasher.hash("nobody has this")
        try:
            self._hasher.verify(kept or self._nobodys or "", normalize("NFKC", password))
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None


def expect_good(password: str, *personal: str) -> None:
    """A new password.

    Args:
        personal: names that must not be in it.

    Raises:
        Weak
    """
    folded = normalize("NFKC", password).casefold()
    if len(folded) < SHORTEST:
        raise Weak("short")
    if len(password) > LONGEST:
        raise Weak("long")
    # What is a name or a common word but for figures and signs around it is the same to whoever guesses.
    bare = re.sub(r"[\W\d_]+", "", folded)
    if any(len(name) > 2 and name.casefold() in folded for name in personal):
        raise Weak("personal")
    if len(set(folded)) < 5 or _monotonous(folded) or not {folded, bare}.isdisjoint(_common()):
        raise Weak("common")


def once(random: bytes) -> str:
    """A password to be used once, in groups that can be read out.

    Args:
        random: ONCE_LENGTH bytes; thirty letters of 256 are near enough to even.
    """
    letters = "".join(ALPHABET[byte % len(ALPHABET)] for byte in random[:ONCE_LENGTH])
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def _monotonous(text: str) -> bool:
    """A part of at most four letters again and again, or letters that follow each other."""
    period = next((n for n in range(1, 5) if text == (text[:n] * len(text))[: len(text)]), 0)
    steps = {ord(later) - ord(earlier) for earlier, later in pairwise(text)}
    return bool(period) or steps in ({1}, {-1})


@cache
def _common() -> frozenset[str]:
    text = resources.files("server_stub.backoffice").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(text.split())
