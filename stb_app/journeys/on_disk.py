"""Records of a folder, one JSON file each, that survive a power cut."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def read(folder: Path, pattern: str, kind: type[T], broken: list[str]) -> list[T]:
    """The records of a kind; the name of one that cannot be read is put into ``broken``, and it is set aside."""
    found = []
    for path in sorted(folder.glob(pattern)):
        try:
            found.append(kind(**json.loads(path.read_bytes())))
        except (ValueError, TypeError):
            path.rename(path.with_suffix(".broken"))
            broken.append(path.name)
    return found


def write(path: Path, content: bytes) -> None:
    """Whole or not at all, and on the disk: temporary file, fsync, rename, fsync of the folder."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        # Not os.write: on a disk that is nearly full that writes a part, and says so only in its answer.
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # what there is of it takes the last room
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
