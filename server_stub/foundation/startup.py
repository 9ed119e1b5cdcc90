"""What must be right before a server may begin: its folder is nobody else's, its files are what they should be.

CannotStart          the text is one line for whoever started the server
└── (no subclasses: nobody but that person can do anything about it)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

PATIENCE_SECONDS = 3.0
"""How long a start waits for a process before it to end: one that is stopping may be sending its last answers."""
LOOK_EVERY_SECONDS = 0.05


class CannotStart(Exception):
    """The server must not run like this; the text says why and what to do."""


@contextmanager
def only_one(folder: Path, roles: Sequence[str], patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """These roles over this folder belong to this process: its counters and locks are partly in memory.

    The lock is the operating system's on an open file, so it ends with the process, however that ends.
    Different roles may share a folder, and with it the partner key.

    Args:
        patience: how long to wait for another process to end, in seconds.

    Raises:
        CannotStart: another process runs one of the roles over this folder. OSError: the folder is not ours.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as held:
        for role in roles:
            file = held.enter_context((folder / f"{role}.lock").open("w"))
            until = time.monotonic() + patience
            while not _locked(file):
                if time.monotonic() >= until:
                    raise CannotStart(
                        f"another server runs role {role} over {folder}; end it, or give --data another folder"
                    )
                time.sleep(LOOK_EVERY_SECONDS)
        yield


def _locked(file: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # not a POSIX system: two servers there are for the user to avoid
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
