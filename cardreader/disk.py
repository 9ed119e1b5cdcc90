"""Why nothing can be kept in a place on the disk: in words, for whoever gave the place."""

from __future__ import annotations

import errno
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_A_FOLDER = (errno.EEXIST, errno.ENOTDIR)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def trouble(place: Path, error: OSError, option: str) -> str:
    """One line: what is wrong, where, and what to do.

    Args:
        option: what gives another place on the command line, such as ``--data``.
    """
    if error.errno in _NOT_A_FOLDER:
        return f"{place} is not a folder; give {option} a folder"
    if error.errno in _FULL:
        return f"{place} cannot be written, the disk is full; make room, or give {option} another folder"
    if error.errno in _NOT_ALLOWED:
        return f"{place} may not be written by this user; give {option} a folder of your own"
    why = (error.strerror or "no reason is known").lower()
    return f"{place} cannot be written ({why}); give {option} another folder"
