"""What must be right before a server may begin: its folder is nobody else's, its files are what they should be.

CannotStart          the text is one line for whoever started the server
└── (no subclasses: nobody but that person can do anything about it)
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from cardreader.disk import trouble

PATIENCE_SECONDS = 3.0
"""How long a start waits for a process before it to end: one that is stopping may be sending its last answers."""
LOOK_EVERY_SECONDS = 0.05
COLLECT_AFTER = (20_000, 20, 50)
"""How many new objects the garbage collector lets come together; by default 700, fewer than one request makes."""


class CannotStart(Exception):
    """The server must not run like this; the text says why and what to do."""


@contextmanager
def only_one(
    folder: Path, roles: Sequence[str], wait: Callable[[float], object], patience: float = PATIENCE_SECONDS
) -> Iterator[None]:
    """Makes the folder; these roles over it belong to this process. A new folder in which nothing has come to be kept
    does not outlast a failure.

    Roles whose database is shared are not named here: they may run over one folder as often as anybody likes.
    The lock is the operating system's on an open file, so it ends with the process, however that ends.
    Different roles may share a folder, and with it the partner key.

    Args:
        wait: returns after so many seconds (``time.sleep``).
        patience: how long to wait for another process to end, in seconds.

    Raises:
        CannotStart: another process runs one of the roles over this folder, or nothing can be kept there.
    """
    with ExitStack() as held:
        try:
            new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise cannot_keep(folder, error) from error
        for role in roles:
            try:
                file = held.enter_context((folder / f"{role}.lock").open("w"))
            except OSError as error:
                raise cannot_keep(folder, error) from error
            waited = 0.0
            while not _locked(file):
                if waited >= patience:
                    raise CannotStart(
                        f"another server runs role {role} over {folder}; end it, or give --data another folder,"
                        " or --database a PostgreSQL database, which several may share"
                    )
                wait(LOOK_EVERY_SECONDS)
                waited += LOOK_EVERY_SECONDS
        try:
            yield
        except BaseException:
            if new and not any(folder.iterdir()):
                folder.rmdir()
            raise


def cannot_keep(place: Path, error: OSError) -> CannotStart:
    """Why nothing can be kept in a folder or file, in words, and what to do about it."""
    return CannotStart(trouble(place, error, "--data"))


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


def rest_collector() -> None:
    """What stands after the start stays, so the garbage collector does not go through it again and again: for each time
    it did, every request waited a tenth of a second. What requests leave in cycles is collected from now on, in lots
    larger than by default.
    """
    # Not collected before: a start leaves some thousand objects behind, and going through all takes a sixth of it.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    gc.enable()
