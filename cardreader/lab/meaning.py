"""What a command says, in the words of its standard: the bench's traces are read by people."""

from __future__ import annotations

from cardreader.apdu import Command
from cardreader.errors import ProtocolError

NAMES: dict[tuple[int, int], str] = {
    (0x00, 0x20): "VERIFY",
    (0x00, 0x82): "EXTERNAL AUTHENTICATE",
    (0x00, 0x84): "GET CHALLENGE",
    (0x00, 0x88): "INTERNAL AUTHENTICATE",
    (0x00, 0xA4): "SELECT",
    (0x00, 0xB0): "READ BINARY",
    (0x00, 0xB2): "READ RECORD",
    (0x00, 0xC0): "GET RESPONSE",
    (0x04, 0xD6): "UPDATE BINARY",
    (0x04, 0xDA): "PUT DATA",
    (0x04, 0xDC): "UPDATE RECORD",
    (0x80, 0x50): "INITIALIZE",
    (0x80, 0x52): "CREDIT FOR LOAD",
    (0x80, 0x54): "DEBIT",
    (0x80, 0x58): "UPDATE OVERDRAW LIMIT",
    (0x80, 0x5A): "GET TRANSACTION PROVE",
    (0x80, 0x5C): "GET BALANCE",
    (0x80, 0x70): "INIT SAM FOR PURCHASE",
    (0x80, 0x72): "CREDIT SAM FOR PURCHASE",
    (0x80, 0xA8): "GET PROCESSING OPTIONS",
    (0x80, 0xAE): "GENERATE AC",
    (0x80, 0xCA): "GET DATA",
    (0x84, 0x16): "CARD BLOCK",
    (0x84, 0x18): "APPLICATION UNBLOCK",
    (0x84, 0x1E): "APPLICATION BLOCK",
    (0x84, 0x24): "PIN CHANGE/UNBLOCK",
    (0xFF, 0xCA): "GET UID",
}
"""Commands of ISO 7816-4, EMV Book 3 and JR/T 0025 by class and instruction, and one of the reader (PC/SC part 3)."""
_PIN_CLASS = (0x80, 0x5E)
_PIN_COMMANDS = {0x00: "RELOAD PIN", 0x01: "CHANGE PIN"}
_INITIALIZE = {0x00: "FOR LOAD", 0x01: "FOR PURCHASE", 0x02: "FOR CASH WITHDRAW", 0x05: "FOR UNLOAD"}
_ANSWERS = {0x00: "AAC", 0x40: "TC", 0x80: "ARQC"}


def explain(apdu: bytes) -> str:
    """A command's name and what its parameters say, on one line; never a value that is secret.

    >>> explain(bytes.fromhex("00B2010C00"))
    'READ RECORD 1 of SFI 1'
    >>> explain(bytes.fromhex("00A404000E315041592E5359532E444446303100"))
    'SELECT 1PAY.SYS.DDF01'
    """
    try:
        command = Command.parse(apdu)
    except ProtocolError as error:
        return f"no command: {error}"
    kind = command.cla, command.ins
    name = _PIN_COMMANDS.get(command.p1) if kind == _PIN_CLASS else NAMES.get(kind)
    if name is None:
        return f"a command of no standard we know ({command.cla:02X} {command.ins:02X})"
    more = _parameters(command)
    return f"{name} {more}" if more else name


def _parameters(command: Command) -> str:
    p1, p2 = command.p1, command.p2
    match command.cla, command.ins:
        case 0x00, 0xA4:
            named = _name(command.data) if p1 == 0x04 else f"file {command.data.hex().upper()}"
            return f"{named}, next" if p2 & 0x03 == 0x02 else named
        case (0x00, 0xB2) | (0x04, 0xDC):
            return f"{p1} of SFI {p2 >> 3}"
        case 0x00, 0xB0:
            return f"SFI {p1 & 0x1F:02X} from {p2}" if p1 & 0x80 else f"from {p1 << 8 | p2}"
        case (0x80, 0xCA) | (0x04, 0xDA):
            tag = p1 << 8 | p2
            return f"{tag:X}"
        case 0x80, 0xAE:
            return _ANSWERS.get(p1 & 0xC0, "?") + (" with CDA" if p1 & 0x10 else "")
        case 0x80, 0x50:
            return _INITIALIZE.get(p1, f"type {p1:02X}")
        case 0x80, 0x54:
            return "FOR UNLOAD" if p1 == 0x03 else "FOR PURCHASE"
    return ""


def _name(data: bytes) -> str:
    """An application's name: text where it is text, as that of the payment environments is."""
    return data.decode("ascii") if data and all(0x20 <= byte < 0x7F for byte in data) else data.hex().upper()
