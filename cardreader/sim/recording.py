"""Whether the card in a virtual reader is a replayed recording: asked of the reader, by a command that no card gets.

A recording answers as its card did, byte for byte, so nothing that the card itself says could tell.
"""

from __future__ import annotations

ASK = bytes.fromhex("FF9A010300")
"""GET READER INFORMATION, as several makers of readers have it (class FF: PC/SC part 3, 3.2), of the product's name."""
_MARK = "replay:"
_OK, _NONE = 0x9000, 0x6A88
_LONGEST = 200
"""Bytes of the file's name."""


def tell(file: str) -> bytes:
    """The answer of a virtual reader, status word and all.

    Args:
        file: name of the recording in it; empty when the card in it is none.
    """
    if not file:
        return _NONE.to_bytes(2)
    return f"{_MARK}{file}".encode(errors="replace")[:_LONGEST] + _OK.to_bytes(2)


def told(answer: bytes, sw: int) -> str:
    """The recording's file by a virtual reader's answer; empty for whatever else it says.

    >>> told(*_parted(tell("good.trace"))), told(*_parted(tell(""))), told(b"", 0x6D00)
    ('good.trace', '', '')
    """
    text = answer.decode(errors="ignore")
    if sw != _OK or not text.startswith(_MARK):
        return ""
    return "".join(letter for letter in text.removeprefix(_MARK) if letter.isprintable())


def _parted(answer: bytes) -> tuple[bytes, int]:
    return answer[:-2], int.from_bytes(answer[-2:])
