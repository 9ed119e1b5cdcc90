"""Where a simulated card keeps what a real one keeps in its EEPROM: memory, or a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, Protocol

from cardreader.errors import CardElsewhere, StateDamaged

try:
    import fcntl
except ImportError:  # not a POSIX system: two processes at one card there are for the user to avoid
    fcntl = None  # type: ignore[assignment]

Contents = dict[str, Any]
"""JSON values; bytes are upper-case hex."""


class Store(Protocol):
    """Keeps one card's contents. ``save`` returns only when they are safe."""

    def held(self) -> AbstractContextManager[None]:
        """Meanwhile no other process is at the card."""
        ...

    def in_slot(self) -> AbstractContextManager[None]:
        """Meanwhile the card is in a slot. Raises CardElsewhere when it is in one already."""
        ...

    def load(self) -> Contents | None:
        """What was saved last, or None when nothing ever was."""
        ...

    def save(self, contents: Contents) -> None:
        """Keeps the contents instead of those before; all of them or none."""
        ...


class MemoryStore:
    """Keeps the contents as long as the process lives."""

    def __init__(self) -> None:
        self._contents: Contents | None = None

    def held(self) -> AbstractContextManager[None]:
        return nullcontext()

    def in_slot(self) -> AbstractContextManager[None]:
        return nullcontext()

    def load(self) -> Contents | None:
        return self._contents

    def save(self, contents: Contents) -> None:
        self._contents = contents


class FileStore:
    """Keeps the contents in a file, replaced atomically: written beside it, flushed to the disk, renamed.

    It is for its owner alone: a card's PIN and keys are in it. The folder is made on the first save.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """The operating system's lock on a file beside it ends with the process, however that ends."""
        with self._beside("lock") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def in_slot(self) -> Iterator[None]:
        """Another such lock: one that nobody waits for."""
        with self._beside("slot") as lock:
            try:
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as taken:
                raise CardElsewhere(
                    f"the card that {self._path} keeps is in another virtual reader"
                ) from taken
            yield

    def _beside(self, ending: str) -> IO[bytes]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return open(self._path.with_name(f".{self._path.name}.{ending}"), "wb")

    def load(self) -> Contents | None:
        """What was saved last. Raises StateDamaged when the file is no state of a card."""
        try:
            contents = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise StateDamaged(f"{self._path} holds no card: {error}") from error
        if not isinstance(contents, dict):
            raise StateDamaged(f"{self._path} holds no card: not a JSON object")
        return contents

    def save(self, contents: Contents) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # One writer a process at a time holds the card's lock; the process id keeps two processes apart.
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(json.dumps(contents, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def open_store(state_dir: str | None, name: str) -> Store:
    """The store of the card ``name``: a file in ``state_dir``, or memory when that is None."""
    return MemoryStore() if state_dir is None else FileStore(Path(state_dir) / f"{name}.json")
