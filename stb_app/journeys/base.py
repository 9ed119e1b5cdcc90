"""The contract of a journey: something a subscriber does that takes time, step by step, without a pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

S = TypeVar("S", covariant=True)


class Journey(Protocol, Generic[S]):
    """Runs on a thread of its own, blocks as it likes, and posts its steps: small frozen dataclasses of a closed set.

    The loop hands every step to the screen on the drawing thread. A journey never lets an exception out: whatever fails becomes a step
    that carries a problem's code and what has become of the money.
    """

    def run(self, post: Callable[[S], None]) -> None:
        """Does the whole thing; returns when it is over. Called once."""
        ...

    def cancel(self) -> None:
        """Asks it to stop, from any thread. It stops where it safely can, which may be after the money question is settled."""
        ...
