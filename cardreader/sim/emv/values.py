"""Values of data objects: sizes, amounts and PIN blocks."""

from __future__ import annotations


def sized(value: bytes, size: int) -> bytes:
    """Right-aligned in ``size`` bytes; whoever wrote the DOL may have asked for another length."""
    return value[-size:].rjust(size, b"\x00") if size else b""


def bcd_fen(value: bytes) -> int:
    """An amount of format n; digits that are none, as only a wrong terminal sends them, count as their hex value's last."""
    fen = 0
    for byte in value:
        fen = fen * 100 + min(byte >> 4, 9) * 10 + min(byte & 0x0F, 9)
    return fen


def fen_bcd(amount_fen: int) -> bytes:
    """An amount as n 12, 6 bytes."""
    return bytes.fromhex(f"{amount_fen:012}")


def pin_of(block: bytes) -> str | None:
    """The PIN in a block of ISO 9564 format 2, or None when it holds none."""
    size = block[0] & 0x0F
    digits = block[1:].hex().upper()
    pin, filler = digits[:size], digits[size:]
    if block[0] >> 4 != 2 or not 4 <= size <= 12 or not pin.isdecimal() or filler.strip("F"):
        return None
    return pin
