"""TOML files that people write: read within bounds, and every complaint names a line."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from cardreader.errors import ProtocolError

MAX_FILE = 64 * 1024
"""Longest file that is read; the longest of ours has four thousand bytes, a table of ninety CA keys as many as this."""
MAX_DOTS = 16
"""On a line outside of texts. Python's reader needs memory with the square of a dotted key's length."""
MAX_DEPTH = 16
MAX_WORD = 64
_TEXT = re.compile(
    r"""\#[^\n]* | \"{3}(?:[^\\]|\\.)*?\"{3} | '{3}.*?'{3} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*'""",
    re.DOTALL | re.VERBOSE,
)
_WORD = re.compile(rf"\w{{{MAX_WORD + 1},}}")


def decoded(raw: bytes) -> str:
    """The text of a file, without the byte-order mark that some editors put before it. Raises ProtocolError: longer than `MAX_FILE`, or not UTF-8; says in which line."""
    if len(raw) > MAX_FILE:
        raise ProtocolError(f"longer than {MAX_FILE} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ProtocolError(f"line {line} is not UTF-8") from error


def parse(text: str) -> dict[str, Any]:
    """The tables of a text.

    Raises:
        ProtocolError: no TOML, or a longer key, a longer number or more tables in tables than any file of ours has.

    >>> parse("card.pan = 1")
    {'card': {'pan': 1}}
    """
    _bounded(_TEXT.sub(lambda found: "\n" * found[0].count("\n"), text))
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise ProtocolError(f"no TOML: {error}") from error


def _bounded(text: str) -> None:
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MAX_DOTS:
            raise ProtocolError(f"line {number}: more than {MAX_DOTS} dots outside of texts")
        if _WORD.search(line):
            raise ProtocolError(f"line {number}: a name or number of more than {MAX_WORD} letters and digits")
        for letter in line:
            depth += (letter in "[{") - (letter in "]}")
            if depth > MAX_DEPTH:
                raise ProtocolError(f"line {number}: more than {MAX_DEPTH} lists and tables in one another")
