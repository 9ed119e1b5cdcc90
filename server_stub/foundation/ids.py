"""Ids: time-ordered ones for rows, short ones that people read out on the telephone."""

from __future__ import annotations

from collections.abc import Callable

from server_stub.foundation.clock import Clock

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's Base32: no I, L, O or U, which people mistake for something else."""

RandomBytes = Callable[[int], bytes]


def base32(value: int, length: int) -> str:
    """The lowest ``5 * length`` bits of a number, most significant first.

    >>> base32(33, 4)
    '0011'
    """
    return "".join(ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(length)))


def number_of(row: str) -> str:
    """The number that people have for a row of ``Ids.row``: its last 40 random bits, formed as ``Ids.number`` forms one.

    >>> number_of("01KAGJ5B8ZQ7T2M9XW4C7F20A1")
    '4C7F 20A1'
    """
    return f"{row[-8:-4]} {row[-4:]}"


class Ids:
    """Makes ids from an injected clock and source of randomness."""

    def __init__(self, clock: Clock, random: RandomBytes) -> None:
        self._clock = clock
        self._random = random

    def row(self) -> str:
        """26 characters that sort by time: 48 bits of milliseconds, 80 random bits (the layout of a ULID)."""
        milliseconds = int(self._clock.now().timestamp() * 1000)
        return base32(milliseconds, 10) + base32(int.from_bytes(self._random(10), "big"), 16)

    def number(self) -> str:
        """Two groups of four for people, 40 random bits: ``"4C7F 20A1"``."""
        text = base32(int.from_bytes(self._random(5), "big"), 8)
        return f"{text[:4]} {text[4:]}"

    def code(self) -> str:
        """Ten characters that are safe in a URL and cannot be guessed, 50 random bits."""
        return base32(int.from_bytes(self._random(7), "big"), 10)

    def secret(self) -> str:
        """A bearer token of 200 random bits."""
        return base32(int.from_bytes(self._random(25), "big"), 40)
