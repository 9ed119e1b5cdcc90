"""A card operating system: takes an APDU, finds who answers it, keeps the rules all applications share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from cardreader.apdu import MAX_LE, Command
from cardreader.errors import ProtocolError
from cardreader.status import OK
from cardreader.tlv import encode

Random = Callable[[int], bytes]
"""Gives that many random bytes; ``os.urandom`` outside of tests."""
Handler = Callable[[Command], bytes]

MF_NAME = b"1PAY.SYS.DDF01"
MF_FID = bytes.fromhex("3F00")
_SELECT, _READ_BINARY, _READ_RECORD, _GET_CHALLENGE, _GET_RESPONSE = 0xA4, 0xB0, 0xB2, 0x84, 0xC0


class Refusal(Exception):
    """A command is answered with a status word other than 9000, a warning also with data. Never leaves the card."""

    def __init__(self, sw: int, data: bytes = b"") -> None:
        self.sw = sw
        self.data = data
        super().__init__(f"{sw:04X}")


class Application(Protocol):
    """A dedicated file of the card: names, files and commands."""

    name: bytes
    fid: bytes

    def select(self) -> bytes:
        """Forgets everything volatile (PIN verified, transaction begun) and gives the FCI.

        Raises:
            Refusal: blocked; the application is selected all the same, so that it can be unblocked.
        """
        ...

    def forget(self) -> None:
        """Power is gone: everything volatile is lost."""
        ...

    def before(self, command: Command) -> None:
        """Every command that is not a SELECT passes here first. Raises Refusal when blocked."""
        ...

    def commands(self) -> Mapping[tuple[int, int], Handler]:
        """The application's own commands by class and instruction."""
        ...

    def binary(self, sfi: int) -> bytes:
        """A transparent file. Raises Refusal."""
        ...

    def record(self, sfi: int, number: int) -> bytes:
        """A record, numbered from 1. Raises Refusal."""
        ...

    def challenge(self, random: bytes) -> None:
        """The random number GET CHALLENGE has just given out; good for one command."""
        ...


class CardSystem:
    """One card: its applications, and which of them is selected.

    Args:
        master: the MF.
        applications: those that can be selected.
        random: source of the challenges.
        blocked: whether the whole card is blocked; asked at every SELECT.
        get_response: answers to commands with data wait for GET RESPONSE (61xx), as those of T=0 cards do;
            otherwise the answer comes at once.
    """

    def __init__(
        self,
        master: Application,
        applications: tuple[Application, ...],
        random: Random,
        blocked: Callable[[], bool],
        get_response: bool,
    ) -> None:
        self._master = master
        self._applications = applications
        self._random = random
        self._blocked = blocked
        self._get_response = get_response
        self._current = master
        self._waiting = b""

    def power_on(self) -> None:
        """Cold reset: the MF is selected and everything volatile is gone."""
        for application in (self._master, *self._applications):
            application.forget()
        self._current = self._master
        self._waiting = b""

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Carries out one command and answers with (response data, status word)."""
        try:
            command = Command.parse(apdu)
        except ProtocolError:
            return b"", 0x6700
        if (command.cla, command.ins) == (0x00, _GET_RESPONSE):
            return self._next_part(command)
        self._waiting = b""
        try:
            data = self._carry_out(command)
        except Refusal as refusal:
            # A T=0 card cannot say that data waits and warn at once: the warning is all it tells.
            return b"" if self._get_response else refusal.data, refusal.sw
        return self._give(command, data)

    def _carry_out(self, command: Command) -> bytes:
        if (command.cla, command.ins) == (0x00, _SELECT):
            return self._select(command)
        self._current.before(command)
        own = self._current.commands().get((command.cla, command.ins))
        if own is not None:
            return own(command)
        if command.cla == 0x00:
            if command.ins == _READ_BINARY:
                return self._read_binary(command)
            if command.ins == _READ_RECORD:
                return self._read_record(command)
            if command.ins == _GET_CHALLENGE:
                return self._get_challenge(command)
        raise Refusal(0x6D00 if command.cla in (0x00, 0x04, 0x80, 0x84) else 0x6E00)

    def _select(self, command: Command) -> bytes:
        if self._blocked():
            raise Refusal(0x6A81)
        found = self._find(command)
        self._current = found
        return found.select()

    def _find(self, command: Command) -> Application:
        everything = (self._master, *self._applications)
        if command.p1 not in (0x00, 0x04):
            raise Refusal(0x6A86)
        if not command.data:
            raise Refusal(0x6A82)
        if command.p1 == 0x04:
            # A terminal may cut a name short, and ask for the next that begins so (ISO 7816-4, 7.1.1).
            found = [item for item in everything if item.name.startswith(command.data)]
            if command.p2 & 0x03 == 0x02:
                found = found[found.index(self._current) + 1 :] if self._current in found else []
        else:
            found = [item for item in everything if item.fid == command.data]
        if not found:
            raise Refusal(0x6A82)
        return found[0]

    def _read_binary(self, command: Command) -> bytes:
        if command.data:
            raise Refusal(0x6700)
        if not command.p1 & 0x80:
            raise Refusal(0x6986)
        content = self._current.binary(command.p1 & 0x1F)
        if command.p2 >= len(content):
            raise Refusal(0x6B00)
        return _cut(content[command.p2 :], command.le)

    def _read_record(self, command: Command) -> bytes:
        if command.p2 & 0x07 != 0x04:
            raise Refusal(0x6A86)
        return _cut(self._current.record(command.p2 >> 3, command.p1), command.le)

    def _get_challenge(self, command: Command) -> bytes:
        if command.le not in (4, 8):
            raise Refusal(0x6700)
        random = self._random(command.le)
        self._current.challenge(random)
        return random

    def _give(self, command: Command, data: bytes) -> tuple[bytes, int]:
        if self._get_response and data and command.data:
            self._waiting = data
            return b"", 0x6100 | (len(data) & 0xFF)
        if self._get_response and command.le is not None and command.le > len(data) > 0:
            return b"", 0x6C00 | len(data)
        return data, OK

    def _next_part(self, command: Command) -> tuple[bytes, int]:
        if not self._waiting:
            return b"", 0x6985
        wanted = command.le or MAX_LE
        if self._get_response and wanted > len(self._waiting):
            return b"", 0x6C00 | len(self._waiting)
        part, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        return part, 0x6100 | (len(self._waiting) & 0xFF) if self._waiting else OK


def _cut(content: bytes, le: int | None) -> bytes:
    """The first Le bytes; 256 means all there are, more than there are is answered with the right length."""
    if le is None or le == MAX_LE:
        return content[:MAX_LE]
    if le > len(content):
        raise Refusal(0x6C00 | len(content))
    return content[:le]


class MasterFile:
    """The MF of a simulated card, or a directory: a name and files that never change, nothing else."""

    def __init__(
        self,
        files: Mapping[int, bytes],
        records: Mapping[int, tuple[bytes, ...]],
        name: bytes = MF_NAME,
        fid: bytes = MF_FID,
        proprietary: bytes = bytes.fromhex("880101"),
    ) -> None:
        self.name = name
        self.fid = fid
        self._files = files
        self._records = records
        self._proprietary = proprietary

    def select(self) -> bytes:
        return fci(self.name, self._proprietary)

    def forget(self) -> None:
        """The MF has nothing volatile."""

    def before(self, command: Command) -> None:
        """The MF is never blocked."""

    def commands(self) -> Mapping[tuple[int, int], Handler]:
        return {}

    def binary(self, sfi: int) -> bytes:
        if sfi not in self._files:
            raise Refusal(0x6A82)
        return self._files[sfi]

    def record(self, sfi: int, number: int) -> bytes:
        if sfi not in self._records:
            raise Refusal(0x6A82)
        if not 1 <= number <= len(self._records[sfi]):
            raise Refusal(0x6A83)
        return self._records[sfi][number - 1]

    def challenge(self, random: bytes) -> None:
        """No command of the MF wants a challenge."""


def fci(name: bytes, proprietary: bytes) -> bytes:
    """File control information: 6F { 84 name, A5 { proprietary } }."""
    return encode(0x6F, encode(0x84, name) + encode(0xA5, proprietary))
