"""Where a name that a client has sent leads: pure text, before anything is asked of the disk."""

from __future__ import annotations

import re
from datetime import date

from server_stub.foundation.folders import NAME

_DAY = re.compile(r"(?<![0-9])20[0-9]{6}(?![0-9])")


class OddName(ValueError):
    """A part of a path has characters that names here do not have."""


def resolve(present: str, path: str) -> tuple[str, ...]:
    """The parts of a path, from the account's root on.

    Args:
        present: the folder the client is in, absolute.
        path: as it was sent: relative to that, or absolute. Above the root is the root.

    Raises:
        OddName

    >>> resolve("/XFMX", "../XFJG/./A.TXT")
    ('XFJG', 'A.TXT')
    >>> resolve("/", "../../etc/passwd")
    ('etc', 'passwd')
    """
    parts: list[str] = []
    for part in (path if path.startswith("/") else f"{present}/{path}").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            if not NAME.fullmatch(part):
                raise OddName("names are of letters, digits, points, hyphens and underscores")
            parts.append(part)
    return tuple(parts)


def day_of(name: str) -> date | None:
    """The day in the name of a file; None where there is none.

    >>> day_of("XFMX/XFMX20260621.TXT")
    datetime.date(2026, 6, 21)
    >>> day_of("XFMX20261321.TXT"), day_of("A.TXT")
    (None, None)
    """
    found = _DAY.search(name)
    if found is None:
        return None
    try:
        return date.fromisoformat(found[0])
    except ValueError:
        return None
