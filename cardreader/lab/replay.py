"""A card made of a trace: it answers as the card did that was traced."""

from __future__ import annotations

from collections import Counter

from cardreader.apdu import masked
from cardreader.lab.trace import Trace
from cardreader.sim.card import CardLeft
from cardreader.sim.profiles import atr

UNKNOWN = 0x6F00
"""The answer to what was never asked: the trace gives no reason for any other."""


class ReplayedCard:
    """Answers with what stands in a trace.

    A command is looked for from where the last one was found, then from the beginning: byte for byte, then by class,
    instruction and parameters alone, for a terminal puts its own amounts and random numbers into what it sends. Under T=0
    commands are compared as they reach a card.

    Attributes:
        strange: commands that are nowhere in the trace, and how often each came; answered with 6F00.
    """

    def __init__(self, trace: Trace) -> None:
        self.atr = trace.atr or atr(t0=False)
        self.strange: Counter[bytes] = Counter()
        self._exchanges = trace.exchanges
        self._as_it_arrives = _under_t0 if _is_t0(self.atr) else bytes
        self._commands = [self._as_it_arrives(one.command) for one in trace.exchanges]
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

    def _find(self, asked: bytes) -> int | None:
        command = self._as_it_arrives(asked)
        order = (*range(self._next, len(self._commands)), *range(self._next))
        exact: int | None = next((place for place in order if self._commands[place] == command), None)
        if exact is not None:
            return exact
        return next((place for place in order if _alike(self._commands[place], command)), None)


def _alike(one: bytes, command: bytes) -> bool:
    """The same header; what is selected is never another thing than was asked for."""
    return one[:4] == command[:4] and command[1:2] != b"\xa4"


def _is_t0(atr: bytes) -> bool:
    """Whether a card speaks T=0 unless it is asked for more: TD1 says so, or is not there (ISO 7816-3, 8.2.3).

    >>> _is_t0(atr(t0=True)), _is_t0(atr(t0=False))
    (True, False)
    """
    if len(atr) < 2 or not atr[1] & 0x80:
        return True
    td1 = 2 + (atr[1] >> 4 & 0x07).bit_count()
    return td1 >= len(atr) or atr[td1] & 0x0F == 0


def _under_t0(command: bytes) -> bytes:
    """The command as T=0 brings it: a header, P3 and data, without the Le of one that has both (ISO 7816-3, 12.2).

    >>> _under_t0(bytes.fromhex("00A4040002A00000")).hex(), _under_t0(bytes(4)).hex()
    ('00a4040002a000', '0000000000')
    """
    if len(command) == 4:
        return command + b"\x00"
    return command[:-1] if len(command) > 5 and len(command) == 6 + command[4] else command
