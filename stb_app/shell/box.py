"""Who this set-top box is:
number, smart card and activation code for enrolling, and the token that enrolling gave it.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)
DEMO = {
    "85312047": ("8310220477550019", "246810"),
    "85312048": ("8310220477550027", "246810"),
    "85312049": ("8310220477550035", "246810"),
    "85312050": ("8310220477550043", "246810"),
    "85312051": ("8310220477550050", "246810"),
}
"""The boxes that the bundled server knows from its first start: smart card number, activation code."""


class BoxUnknown(Exception):
    """Nobody has said how this box is enrolled; the message says where to write it."""


@dataclass(frozen=True, slots=True)
class Papers:
    """What a box is enrolled with."""

    box_number: str
    smart_card_number: str
    activation_code: str

    def __repr__(self) -> str:
        return f"Papers({self.box_number!r}, the rest hidden)"


class BoxFiles:
    """What the box keeps of its identity, in its data folder.

    ``boxes.json``, written by whoever installs the box: ``{NUMBER: {"smart_card_number",
    "activation_code"}}``. ``enrolment.json``, written here and readable by its owner only: ``{"box_number",
    "token"}``.
    """

    def __init__(self, folder: Path) -> None:
        self._papers = folder / "boxes.json"
        self._enrolment = folder / "enrolment.json"

    def papers(self, box_number: str) -> Papers:
        """Raises BoxUnknown when they are not there or cannot be read."""
        wanted = f'{self._papers}: {{"{box_number}": {{"smart_card_number": "...", "activation_code": "..."}}}} is needed'
        try:
            written = json.loads(self._papers.read_text("utf-8")) if self._papers.exists() else {}
            if not isinstance(written, dict):
                raise TypeError("an object is needed")
            if box_number not in written and box_number in DEMO:
                return Papers(box_number, *DEMO[box_number])
            entry = written[box_number]
            return Papers(box_number, str(entry["smart_card_number"]), str(entry["activation_code"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BoxUnknown(wanted) from error

    def token(self, box_number: str) -> str | None:
        """The stored token of this box; None when there is none, or only another box's."""
        try:
            stored = json.loads(self._enrolment.read_text("utf-8"))
            token = str(stored["token"])
            if not (token.isascii() and token.isprintable()):
                raise ValueError("no header carries this token")
            return token if stored["box_number"] == box_number else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            log.warning("the stored enrolment cannot be read; the box is enrolled again")
            return None

    def keep_token(self, box_number: str, token: str) -> None:
        """Stores it whole or not at all. Raises OSError."""
        temporary = self._enrolment.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"box_number": box_number, "token": token}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._enrolment)
