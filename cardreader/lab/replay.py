"""A card made of a trace: it answers as the card did that was traced."""

from __future__ import annotations

from collections import Counter

from cardreader.apdu import masked
from cardreader.lab.trace import Exchange, Trace
from cardreader.sim.card import CardLeft
from cardreader.sim.profiles import atr

UNKNOWN = 0x6F00
"""The answer to what was never asked: the trace gives no reason for any other."""


class ReplayedCard:
    """Answers with what stands in a trace.

    A command is looked for from where the last one was found, then from the beginning: byte for byte, then by class,
    instruction and parameters alone, for a terminal puts its own amounts and random numbers into what it sends.

    Attributes:
        strange: commands that are nowhere in the trace, and how often each came; answered with 6F00.
    """

    def __init__(self, trace: Trace) -> None:
        self.atr = trace.atr or atr(t0=False)
        self.strange: Counter[bytes] = Counter()
        self._exchanges = trace.exchanges
        self._next = 0

    def power_on(self) -> None:
        """Cold reset: it begins anew."""
        self._next = 0

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        command = masked(apdu)
        place = self._find(command)
        if place is None:
            self.strange[command] += 1
            return b"", UNKNOWN
        self._next = place + 1
        found = self._exchanges[place]
        if found.sw is None:
            raise CardLeft(carried_out=True)
        return found.data, found.sw

    def _find(self, command: bytes) -> int | None:
        order = (*range(self._next, len(self._exchanges)), *range(self._next))
        exact: int | None = next(
            (place for place in order if self._exchanges[place].command == command), None
        )
        if exact is not None:
            return exact
        return next((place for place in order if _alike(self._exchanges[place], command)), None)


def _alike(one: Exchange, command: bytes) -> bool:
    """The same header; what is selected is never another thing than was asked for."""
    return one.command[:4] == command[:4] and command[1:2] != b"\xa4"
