"""Short APDUs of ISO 7816-3/-4: the four cases, and the channel that asks again after 61xx and 6Cxx."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cardreader.errors import ProtocolError
from cardreader.reader import Connection

MAX_DATA = 255
MAX_LE = 256
_MAX_EXCHANGES = 40
"""Exchanges one command may take: 32 x 256 bytes is more than any file of a purse card or PSAM holds."""

# Commands whose data is, or holds, a PIN: VERIFY, CHANGE or RELOAD PIN, PIN CHANGE/UNBLOCK.
_PIN_INSTRUCTIONS = frozenset({0x20, 0x24, 0x5E, 0x2C})
_MASK = 0xFF

Trace = Callable[[bytes, bytes, int], None]
"""Told of every exchange: command APDU (a PIN in it overwritten with FF), response data, status word."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command APDU with short lengths (ISO 7816-3, 12.1.3).

    Attributes:
        cla, ins, p1, p2: the header, one byte each.
        data: 0 to 255 bytes; not printed, it may be a PIN.
        le: bytes expected in answer, 1 to 256 (256: all there is), or None when none are.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = field(default=b"", repr=False)
    le: int | None = None

    def to_bytes(self) -> bytes:
        """The command as it goes to the card.

        Raises:
            ValueError: a header byte, the data or Le is out of range.

        >>> Command(0x00, 0x84, 0, 0, le=4).to_bytes().hex()
        '0084000004'
        >>> Command(0x00, 0xA4, 4, 0, bytes.fromhex("A000"), 256).to_bytes().hex()
        '00a4040002a00000'
        """
        data, le = self.data, self.le
        if len(data) > MAX_DATA:
            raise ValueError(f"a short APDU carries at most {MAX_DATA} bytes of data, not {len(data)}")
        if le is not None and not 1 <= le <= MAX_LE:
            raise ValueError(f"Le is 1 to {MAX_LE}, not {le}")
        head = bytes((self.cla, self.ins, self.p1, self.p2))
        if data:
            head += bytes((len(data),)) + data
        return head if le is None else head + bytes((le & 0xFF,))

    @classmethod
    def parse(cls, apdu: bytes) -> Command:
        """Reads a command APDU.

        Raises:
            ProtocolError: it is none of the four short cases.

        >>> Command.parse(bytes.fromhex("00A4040002A00000")).le
        256
        """
        if len(apdu) < 4:
            raise ProtocolError(f"a command APDU has at least 4 bytes, not {len(apdu)}")
        cla, ins, p1, p2 = apdu[:4]
        body = apdu[4:]
        if not body:
            return cls(cla, ins, p1, p2)
        if len(body) == 1:
            return cls(cla, ins, p1, p2, le=body[0] or MAX_LE)
        lc = body[0]
        if lc == 0:
            raise ProtocolError("Lc at byte 4 is zero: an extended length, or data is missing")
        data, rest = body[1 : 1 + lc], body[1 + lc :]
        if len(data) < lc:
            raise ProtocolError(f"Lc at byte 4 says {lc} bytes of data, {len(data)} are there")
        if len(rest) > 1:
            raise ProtocolError(f"{len(rest) - 1} bytes too many at byte {6 + lc}, behind Le")
        return cls(cla, ins, p1, p2, data, (rest[0] or MAX_LE) if rest else None)


def masked(apdu: bytes) -> bytes:
    """The APDU with the data overwritten when it holds a PIN, fit for a trace.

    >>> masked(bytes.fromhex("0020000003123456")).hex()
    '0020000003ffffff'
    """
    if len(apdu) > 5 and apdu[1] in _PIN_INSTRUCTIONS:
        return apdu[:5] + bytes((_MASK,)) * (len(apdu) - 5)
    return apdu


class Channel:
    """Sends commands over a connection and collects the whole answer.

    A card says 61xx when its answer waits for GET RESPONSE, and 6Cxx when Le was wrong and xx is right
    (ISO 7816-4, 5.3.4); both are settled here, so that callers see data and a final status word.
    """

    def __init__(self, connection: Connection, trace: Trace | None = None) -> None:
        self._transmit = connection.transmit
        self._trace = trace

    def send(self, command: Command) -> tuple[bytes, int]:
        """Sends one command.

        Returns:
            The whole response data and the final status word.

        Raises:
            CardRemoved: the card left.
            ProtocolError: the card went on asking without end, or refused a length that it had just named.
        """
        apdu = command.to_bytes()
        data, sw = self._exchange(apdu)
        if sw >> 8 not in (0x61, 0x6C):
            return data, sw
        collected = b""
        corrected = False
        for _ in range(_MAX_EXCHANGES):
            if sw >> 8 == 0x6C and not corrected:
                corrected = True
                apdu = _with_le(apdu, sw & 0xFF)
            elif sw >> 8 == 0x61:
                corrected = False
                collected += data
                # GET RESPONSE goes on the command's logical channel, without its secure messaging bits.
                apdu = bytes((0x00, 0xC0, 0x00, 0x00, sw & 0xFF))
            elif sw >> 8 == 0x6C:
                raise ProtocolError(f"the card names a right length ({sw:04X}) and refuses it")
            else:
                return collected + data, sw
            data, sw = self._exchange(apdu)
        raise ProtocolError(f"the card did not finish its answer in {_MAX_EXCHANGES} exchanges")

    def _exchange(self, apdu: bytes) -> tuple[bytes, int]:
        data, sw = self._transmit(apdu)
        if self._trace is not None:
            self._trace(masked(apdu), data, sw)
        return data, sw


def _with_le(apdu: bytes, le: int) -> bytes:
    """The same command with another Le byte."""
    if len(apdu) == 4 or (len(apdu) > 5 and len(apdu) == 5 + apdu[4]):
        return apdu + bytes((le,))
    return apdu[:-1] + bytes((le,))
