"""Random numbers that are known, for tests."""

from __future__ import annotations


class Counting:
    """Random numbers that are none: each call gives the next."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        self._calls += 1
        return self._calls.to_bytes(size)
