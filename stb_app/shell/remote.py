"""From what a device sends to KEY_ names, by the tables in assets/keymaps:
keyboards by key name or scan code, remotes by number.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from stb_app.shell.keys import KEYS


class KeymapError(ValueError):
    """A key map that says something impossible; the message names file and code."""


def read_keymap(path: Path) -> dict[str, str]:
    """Device code -> KEY_ name, as the file's one table ``[keys]`` has it; codes are texts, numbers in
    decimal.

    Raises KeymapError for a file that is not TOML, has another shape, or names a key that the television does
    not know; OSError.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise KeymapError(f"{path.name}: {error}") from error
    keys = tables.get("keys")
    if not isinstance(keys, dict) or len(tables) != 1:
        raise KeymapError(f"{path.name}: one table [keys] is expected")
    for code, name in keys.items():
        if name not in KEYS:
            raise KeymapError(f"{path.name}: {code} = {name!r} is no key of the television")
    return {code.lower(): name for code, name in keys.items()}


class Keymaps:
    """The key maps in force. Of several that know a code, the one that was added last decides."""

    def __init__(self, maps: Iterable[dict[str, str]] = ()) -> None:
        self._codes: dict[str, str] = {}
        for table in maps:
            self.add(table)

    def add(self, table: dict[str, str]) -> None:
        self._codes.update(table)

    def name(self, *codes: str | int) -> str | None:
        """The key of the first of ``codes`` that is known:
        a device may say a name, a scan code and a number for one press.
        """
        for code in codes:
            found = self._codes.get(str(code).lower())
            if found:
                return found
        return None
