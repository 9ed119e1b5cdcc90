"""Secure messaging of issuer scripts (cards.md, D7): what the issuer puts in and the card checks.

The MAC covers the command's header, the transaction's ATC and first cryptogram, and the command's data; it is
four bytes at the end of the data. A new PIN travels enciphered.
"""

from __future__ import annotations

import psec
import pyemv

from cardreader.apdu import Command
from cardreader.sim.emv.issuer_keys import CardKeys

MAC_SIZE = 4


def command_mac(session: CardKeys, command: Command, atc: bytes, cryptogram: bytes) -> bytes:
    """MAC of a script command, 4 bytes (ISO 9797-1 algorithm 3, padding 2).

    Args:
        session: keys of the transaction.
        command: with its data, without the MAC.
        atc: 2 bytes.
        cryptogram: what the card's first GENERATE AC of this transaction answered, 8 bytes.
    """
    size = len(command.data) + MAC_SIZE
    header = bytes((command.cla, command.ins, command.p1, command.p2, size))
    mac: bytes = pyemv.sm.generate_command_mac(
        session.mac, header + atc + cryptogram + command.data, MAC_SIZE
    )
    return mac


def protect(session: CardKeys, command: Command, atc: bytes, cryptogram: bytes) -> bytes:
    """A script command with its MAC, ready for tag 86 (arguments as `command_mac`)."""
    data = command.data + command_mac(session, command, atc, cryptogram)
    return Command(command.cla, command.ins, command.p1, command.p2, data).to_bytes()


def put_data(tag: int, value: bytes) -> Command:
    """PUT DATA of one primitive data object, e.g. 9F79, the balance of electronic cash."""
    return Command(0x04, 0xDA, tag >> 8, tag & 0xFF, value)


def update_record(sfi: int, number: int, record: bytes) -> Command:
    """UPDATE RECORD: the whole record instead of the one before."""
    return Command(0x04, 0xDC, number, sfi << 3 | 0x04, record)


def application_block() -> Command:
    """APPLICATION BLOCK."""
    return Command(0x84, 0x1E, 0, 0)


def application_unblock() -> Command:
    """APPLICATION UNBLOCK."""
    return Command(0x84, 0x18, 0, 0)


def card_block() -> Command:
    """CARD BLOCK."""
    return Command(0x84, 0x16, 0, 0)


def pin_unblock() -> Command:
    """PIN CHANGE/UNBLOCK, P2 00: the tries are as many as they were at first."""
    return Command(0x84, 0x24, 0, 0x00)


def pin_change(card: CardKeys, session: CardKeys, new_pin: str, current_pin: str | None = None) -> Command:
    """PIN CHANGE/UNBLOCK with a new PIN, made with the current one (P2 01) or without it (P2 02).

    Args:
        card, session: the card's keys and those of the transaction.
        new_pin, current_pin: 4 to 12 digits.
    """
    return Command(
        0x84,
        0x24,
        0,
        0x02 if current_pin is None else 0x01,
        enciphered_pin(card, session, new_pin, current_pin),
    )


def enciphered_pin(card: CardKeys, session: CardKeys, new_pin: str, current_pin: str | None) -> bytes:
    """A new PIN as the script carries it, 16 bytes: block made with the card's AC key, enciphered with SK ENC."""
    block = pyemv.sm.format_vis_pin_block(card.ac, new_pin, current_pin)
    enciphered: bytes = pyemv.sm.encrypt_command_data(session.enc, block, pyemv.sm.EncryptionType.VISA)
    return enciphered


def deciphered_pin(
    card: CardKeys, session: CardKeys, enciphered: bytes, current_pin: str | None
) -> str | None:
    """The new PIN, or None when the block holds none (arguments as `enciphered_pin`)."""
    if len(enciphered) != 16:
        return None
    plain: bytes = psec.des.decrypt_tdes_ecb(session.enc, enciphered)
    if plain[0] != 8 or plain[9:] != b"\x80" + bytes(6):
        return None
    block = bytes(a ^ b for a, b in zip(plain[1:9], bytes(4) + card.ac[4:8], strict=True))
    if current_pin is not None:
        mask = bytes.fromhex(current_pin.ljust(16, "0"))
        block = bytes(a ^ b for a, b in zip(block, mask, strict=True))
    size, digits = block[0], block[1:].hex().upper()
    pin, filler = digits[:size], digits[size:]
    if not 4 <= size <= 12 or not pin.isdecimal() or filler.strip("F"):
        return None
    return pin
