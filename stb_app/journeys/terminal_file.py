"""The box as a terminal, from a file: the numbers that its acquirer has given it, and the CA keys of real cards.

The file is TOML::

    terminal_id = "88310001"                # 8 characters, 9F1C and bit 41
    merchant_id = "883100048990001"         # 15 characters, 9F16 and bit 42
    merchant_name = "..."                   # 9F4E
    electronic_cash_limit_fen = 100000      # 9F7B: purchases below it ask for electronic cash; 0 for never
    ca_keys = "ca.toml"                     # as `cardreader.emv.capk` reads them, beside this file

The first two are wanted, the others not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cardreader import toml
from cardreader.emv import capk
from cardreader.emv.settings import TerminalSettings
from cardreader.errors import ProtocolError
from stb_app.journeys.online_payment import TERMINAL

SIZES = {"terminal_id": 8, "merchant_id": 15}
OTHERS = ("merchant_name", "electronic_cash_limit_fen", "ca_keys")
LONGEST_NAME = 40
HIGHEST_FEN = 10**12 - 1


class TerminalFileError(ValueError):
    """The file cannot be used; the text says why."""


def read(path: Path) -> TerminalSettings:
    """The terminal that a file describes. Raises TerminalFileError."""
    try:
        with path.open("rb") as file:
            found = toml.parse(toml.decoded(file.read(toml.MAX_FILE + 1)))
    except OSError as error:
        raise TerminalFileError(f"it cannot be read ({error.strerror})") from error
    except ProtocolError as error:
        raise TerminalFileError(str(error)) from error
    for name in found:
        if name not in (*SIZES, *OTHERS):
            raise TerminalFileError(f"{name!r} is not known; there are {', '.join((*SIZES, *OTHERS))}")
    for name, size in SIZES.items():
        value = found.get(name)
        if not (isinstance(value, str) and len(value) == size and value.isascii() and value.isalnum()):
            raise TerminalFileError(f"{name}: {size} letters and digits are wanted")
    values: dict[str, Any] = {name: found[name] for name in SIZES}
    if "merchant_name" in found:
        values["merchant_name"] = _name(found["merchant_name"])
    if "electronic_cash_limit_fen" in found:
        values["electronic_cash_limit_fen"] = _fen(found["electronic_cash_limit_fen"])
    if "ca_keys" in found:
        values["ca_keys"] = _keys(path.parent, found["ca_keys"])
    return replace(TERMINAL, **values)


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise TerminalFileError("merchant_name: a text is wanted")
    try:
        size = len(value.encode("gb18030"))
    except UnicodeEncodeError as error:
        raise TerminalFileError("merchant_name: no card could show it") from error
    if size > LONGEST_NAME:
        raise TerminalFileError(f"merchant_name: {size} bytes; a card takes {LONGEST_NAME}")
    return value


def _fen(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= HIGHEST_FEN:
        raise TerminalFileError("electronic_cash_limit_fen: a whole number of fen is wanted")
    return value


def _keys(folder: Path, value: object) -> capk.CaKeys:
    if not isinstance(value, str) or not value:
        raise TerminalFileError("ca_keys: the name of a file is wanted")
    try:
        return capk.load(folder / value)
    except (OSError, ValueError, ProtocolError) as error:
        raise TerminalFileError(f"ca_keys: {error}") from error
