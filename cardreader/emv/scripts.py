"""The issuer's answer: authentication data and scripts, and carrying scripts out (EMV Book 3, 10.9 and 10.10, annex E)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cardreader.apdu import Channel, Command
from cardreader.errors import ProtocolError
from cardreader.tlv import parse

_IDENTIFIER, _COMMAND = 0x9F18, 0x86
_IDENTIFIER_SIZE = 4
NOT_PERFORMED, FAILED, SUCCESSFUL = 0x00, 0x10, 0x20
"""High digit of a script result's first byte; the low one is the number of the command that failed, 0 if none did."""
_LAST_NUMBER = 0x0F


@dataclass(frozen=True, slots=True)
class IssuerResponse:
    """What the issuer answered.

    Attributes:
        arc: authorisation response code, 2 characters (8A, field 39).
        authentication_data: 91, empty when there is none.
        scripts_71: values of 71, to be carried out before the second GENERATE AC.
        scripts_72: values of 72, to be carried out after it.
    """

    arc: bytes
    authentication_data: bytes = b""
    scripts_71: tuple[bytes, ...] = ()
    scripts_72: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if len(self.arc) != 2:
            raise ValueError(f"an authorisation response code has 2 characters, not {len(self.arc)}")

    @classmethod
    def from_field_55(cls, arc: bytes, field_55: bytes) -> IssuerResponse:
        """Reads the answer's field 55: objects 91, 71 and 72 one behind the other.

        Raises:
            ProtocolError: cut off; says at which byte.
        """
        found: dict[int, list[bytes]] = {}
        for item in parse(field_55):
            found.setdefault(item.tag, []).append(item.value)
        authentication = found.get(0x91, [b""])[0]
        return cls(arc, authentication, tuple(found.get(0x71, ())), tuple(found.get(0x72, ())))


class UnableToGoOnline:
    """The issuer could not be reached."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script: its identifier (four zeros when it has none) and commands."""

    identifier: bytes
    commands: tuple[Command, ...]


def parse_script(value: bytes) -> Script:
    """Reads the value of 71 or 72.

    Raises:
        ProtocolError: garbled; says where.
    """
    identifier, commands = bytes(_IDENTIFIER_SIZE), []
    for item in parse(value):
        if item.tag == _IDENTIFIER:
            if len(item.value) != _IDENTIFIER_SIZE:
                raise ProtocolError(
                    f"script: an identifier has {_IDENTIFIER_SIZE} bytes, not {len(item.value)}"
                )
            identifier = item.value
        elif item.tag == _COMMAND:
            commands.append(Command.parse(item.value))
    return Script(identifier, tuple(commands))


def run(channel: Channel, scripts: Sequence[bytes]) -> tuple[bytes, bool]:
    """Carries scripts out one after another; each ends at its first command that the card refuses.

    A script that cannot be read is not begun, and its result says so: the transaction that brought it goes on.

    Args:
        channel: to the card.
        scripts: values of 71 or 72.

    Returns:
        DF31, 5 bytes a script, and whether every one was carried out whole.
    """
    results = b"".join(_run(channel, value) for value in scripts)
    return results, all(results[at] >> 4 == SUCCESSFUL >> 4 for at in range(0, len(results), 5))


def _run(channel: Channel, value: bytes) -> bytes:
    try:
        script = parse_script(value)
    except ProtocolError:
        return bytes((NOT_PERFORMED,)) + bytes(_IDENTIFIER_SIZE)
    for number, command in enumerate(script.commands, 1):
        _, sw = channel.send(command)
        if sw >> 8 not in (0x90, 0x62, 0x63):
            return bytes((FAILED | min(number, _LAST_NUMBER),)) + script.identifier
    return bytes((SUCCESSFUL,)) + script.identifier
