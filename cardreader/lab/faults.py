"""Faults on demand: a card that leaves, dawdles or talks nonsense at the command that a tester names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast, get_args

from cardreader.errors import ProtocolError
from cardreader.sim.card import Card, CardLeft
from cardreader.tlv import primitives

Kind = Literal["pull", "lose", "delay", "word", "garbage", "mac"]
LONGEST_DELAY_MS = 60_000
MOST_COMMANDS = 999
_GENERATE_AC, _GET_RESPONSE, _MORE = b"\xae", b"\xc0", 0x61
_FORMAT_1, _CRYPTOGRAM, _SIGNATURE = 0x80, 0x9F26, 0x9F4B
_BEHIND_CRYPTOGRAM = 1 + 2 + 8
"""CID, ATC and cryptogram."""
_NO_CLASSES = range(0x10, 0x80)
"""Chaining, other logical channels and what ISO 7816-4 has reserved: no card of ours is spoken to so."""
FORMS = (
    "pull@N            the card leaves before it carries command N out",
    "lose@N            the card leaves after it has carried command N out, before it answers",
    "delay@N:MS        the answer to command N comes that many milliseconds later",
    "word@N:SW         command N is not carried out, and answered with that status word, as 6F00",
    "garbage@N         every bit of the answer to command N is the wrong way round, its status word too",
    "mac@N             a bit is wrong in the answer to command N: in GENERATE AC's cryptogram, else the data's last: a MAC that does not fit",
)
"""What a fault is written like. N counts from 1 since the card was powered; or it is a command's CLA and INS as four
hexadecimal digits, and means the next one of that kind: 8054 is DEBIT FOR PURCHASE, 80AE is GENERATE AC."""
_FORM = re.compile(r"(?P<kind>[a-z]+)@(?P<place>[0-9A-Fa-f]{4}|[0-9]{1,3})(?::(?P<what>[0-9A-Fa-f]+))?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; it happens once.

    Attributes:
        place: the command's number since the card was powered, from 1; or its class and instruction.
        what: milliseconds of a delay, or a status word; 0 for the other kinds.
    """

    kind: Kind
    place: int | tuple[int, int]
    what: int = 0

    def __str__(self) -> str:
        """As `parse` reads it."""
        place = f"{self.place}" if isinstance(self.place, int) else "{:02X}{:02X}".format(*self.place)
        what = {"delay": f":{self.what}", "word": f":{self.what:04X}"}.get(self.kind, "")
        return f"{self.kind}@{place}{what}"

    def hits(self, number: int, apdu: bytes) -> bool:
        """Whether it happens at this command."""
        return self.place == number if isinstance(self.place, int) else self.place == tuple(apdu[:2])


class AlreadyOrdered(ValueError):
    """The same fault is ordered already and has not happened yet."""


def order(fault: Fault, waiting: list[Fault]) -> None:
    """Puts a fault to those that wait.

    Raises:
        AlreadyOrdered: it waits already. It would happen to some later card, when nobody thinks of it any more.
    """
    if fault in waiting:
        raise AlreadyOrdered(f"{fault} is ordered already, and happens once")
    waiting.append(fault)


def parse(text: str) -> Fault:
    """Reads a fault as testers write it, one of `FORMS`.

    Raises:
        ValueError: it is none; the text says what is wrong.

    >>> parse("word@80AE:6985")
    Fault(kind='word', place=(128, 174), what=27013)
    """
    form = _FORM.fullmatch(text)
    if form is None or form["kind"] not in get_args(Kind):
        kinds = ", ".join(get_args(Kind))
        raise ValueError(f"{text!r} is no fault: KIND@N or KIND@N:WHAT is wanted, with one of {kinds}")
    kind = cast("Kind", form["kind"])
    number, what = form["place"], form["what"]
    # Three digits are a number; four are a command's class and instruction.
    place = (int(number[:2], 16), int(number[2:], 16)) if len(number) == 4 else int(number)
    if place == 0:
        raise ValueError(f"{text!r}: commands are counted from 1")
    if isinstance(place, tuple) and place[0] in _NO_CLASSES:
        raise ValueError(
            f"{text!r}: commands are counted to {MOST_COMMANDS}; four digits are CLA and INS, as 80AE"
        )
    if kind not in ("delay", "word"):
        if what is not None:
            raise ValueError(f"{text!r}: {kind} has nothing behind a colon")
        return Fault(kind, place)
    if kind == "word":
        if what is None or len(what) != 4 or what[0] not in "69":
            raise ValueError(
                f"{text!r}: a status word of four hexadecimal digits is wanted, as word@{number}:6F00"
            )
        return Fault(kind, place, int(what, 16))
    if what is None or not what.isdecimal() or int(what) > LONGEST_DELAY_MS:
        raise ValueError(
            f"{text!r}: milliseconds are wanted, up to {LONGEST_DELAY_MS}, as delay@{number}:250"
        )
    return Fault(kind, place, int(what))


class FaultyCard:
    """A card with faults. Each of them happens once, at the first command that it hits.

    Args:
        faults: each is taken out when it happens; more may be put in at any time.
        pause: waits so many seconds.

    Attributes:
        happened: the faults that have happened, each with the number of its command.
    """

    def __init__(self, card: Card, faults: list[Fault], pause: Callable[[float], object]) -> None:
        self.happened: list[tuple[int, Fault]] = []
        self._card = card
        self._waiting = faults
        self._pause = pause
        self._number = 0
        self._mac_waits_of = b""

    @property
    def atr(self) -> bytes:
        return self._card.atr

    def power_on(self) -> None:
        self._number = 0  # as a trace counts, which begins when a card is powered
        self._card.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self._number += 1
        fault = next((one for one in self._waiting if one.hits(self._number, apdu)), None)
        if fault is None:
            return self._brought(apdu)
        self._waiting.remove(fault)
        self.happened.append((self._number, fault))
        if fault.kind == "pull":
            raise CardLeft(carried_out=False)
        if fault.kind == "word":
            return b"", fault.what
        data, sw = self._card.transmit(apdu)
        match fault.kind:
            case "lose":
                raise CardLeft(carried_out=True)
            case "delay":
                self._pause(fault.what / 1000)
            case "garbage":
                return bytes(byte ^ 0xFF for byte in data), sw ^ 0xFFFF
            case "mac" if data:
                return _wrong_mac(apdu, data), sw
            case "mac" if sw >> 8 == _MORE:
                self._mac_waits_of = apdu
        return data, sw

    def _brought(self, apdu: bytes) -> tuple[bytes, int]:
        """The card's answer; under T=0 GET RESPONSE brings the one whose MAC was to be wrong."""
        data, sw = self._card.transmit(apdu)
        asked, self._mac_waits_of = self._mac_waits_of, b""
        if not asked or apdu[1:2] != _GET_RESPONSE:
            return data, sw
        if not data:  # 6Cxx: it is asked for once more
            self._mac_waits_of = asked
            return data, sw
        return _wrong_mac(asked, data), sw


def _wrong_mac(apdu: bytes, data: bytes) -> bytes:
    """An answer with a bit of its MAC the wrong way round.

    >>> _wrong_mac(bytes.fromhex("80AE8000"), bytes.fromhex("800D 80 0001 1122334455667788 0601")).hex()
    '800d80000111223344556677890601'
    """
    at = _end_of_cryptogram(data) if apdu[1:2] == _GENERATE_AC else len(data)
    return data[: at - 1] + bytes((data[at - 1] ^ 1,)) + data[at:]


def _end_of_cryptogram(data: bytes) -> int:
    """Where the cryptogram ends in an answer to GENERATE AC (EMV Book 3, 6.5.5.4): without tags behind CID and ATC, else in 9F26,
    or with CDA inside the signature 9F4B. The end of the answer where it has none.
    """
    try:
        found = {tag: (start, end) for tag, start, end in primitives(data)}
    except ProtocolError:
        return len(data)
    if _FORMAT_1 in found:
        start, end = found[_FORMAT_1]
        return min(start + _BEHIND_CRYPTOGRAM, end)
    _, end = found.get(_CRYPTOGRAM) or found.get(_SIGNATURE) or (0, 0)
    return end or len(data)
