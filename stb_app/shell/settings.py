"""What the subscriber has chosen, kept on disk: language, text size, sound, motion, picture margin."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

TEXT_SCALES = (100, 125, 150)
MARGINS = range(0, 11)
LANGUAGES = ("zh", "en")


@dataclass(frozen=True, slots=True)
class Settings:
    """One set of choices; only ``checked`` makes others from outside values.

    ``text_scale`` in percent (100, 125, 150), ``margin`` in percent of the picture on every side (0 to 10).
    """

    language: str = "zh"
    text_scale: int = 100
    sound: bool = True
    motion: bool = True
    margin: int = 0


def checked(settings: Settings, changes: dict[str, Any]) -> Settings:
    """``settings`` with ``changes`` applied.

    Raises ValueError, in words for a tester, for an unknown name or value.
    """
    allowed: dict[str, tuple[Any, ...]] = {
        "language": LANGUAGES,
        "text_scale": TEXT_SCALES,
        "sound": (True, False),
        "motion": (True, False),
        "margin": tuple(MARGINS),
    }
    for name, value in changes.items():
        if name not in allowed:
            raise ValueError(f"no setting {name!r}; there are {', '.join(allowed)}")
        # bool is an int in Python, so that True would pass for a margin of 1
        if not any(value == choice and type(value) is type(choice) for choice in allowed[name]):
            choices = ", ".join(json.dumps(choice) for choice in allowed[name])
            raise ValueError(f"{name} cannot be {json.dumps(value)}; it is one of {choices}")
    return replace(settings, **changes)


class SettingsFile:
    """The file they are kept in. ``path`` None keeps nothing (tests, kiosks without a disk)."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def load(self) -> tuple[Settings, str | None]:
        """The stored choices, or the defaults; and what is wrong with the file, if anything is.

        A value that is not valid costs only itself, not the others.
        """
        if self._path is None:
            return Settings(), None
        try:
            stored = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return Settings(), None
        except (OSError, ValueError) as error:
            return Settings(), f"{self._path.name}: {error}"
        if not isinstance(stored, dict):
            return Settings(), f"{self._path.name}: not a JSON object"
        settings, problem = Settings(), None
        for field in fields(Settings):
            if field.name not in stored:
                continue
            try:
                settings = checked(settings, {field.name: stored[field.name]})
            except ValueError as error:
                problem = f"{self._path.name}: {error}"
        return settings, problem

    def save(self, settings: Settings) -> None:
        """Writes whole or not at all: a power cut leaves the old file or the new one. Raises OSError."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(asdict(settings), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
