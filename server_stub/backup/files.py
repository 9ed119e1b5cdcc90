"""The files of a backup: a database a role, keys, and the counters of simulated PSAMs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from server_stub import tls
from server_stub.backoffice import tables as backoffice
from server_stub.boss import tables as boss
from server_stub.exchange import tables as exchange
from server_stub.exchange.service import INCOMING
from server_stub.foundation.folders import TEMPORARY
from server_stub.ppp import tables as ppp
from server_stub.sandbox import tables as sandbox
from server_stub.tsp import tables as tsp

ROLES = {
    one.info["role"]: one
    for one in (
        *(backoffice.metadata, tsp.metadata, boss.metadata, sandbox.metadata, ppp.metadata),
        exchange.metadata,
    )
}
"""In the order in which they ask each other; locks are always taken in this one."""
VAULT = "tsp.key"
KEYS = (
    VAULT,
    "partners.key",
    "ppp.key",
    "terminal.key",
    tls.AUTHORITY,
    tls.AUTHORITY_KEY,
    tls.CERTIFICATE,
    tls.KEY,
)
PSAMS = "psams"
EXCHANGED = ("files", "folders")
"""Every version of every file that was exchanged, by role, and what partners see of them."""
PSAM_LEAP = 10_000
"""How far a simulated PSAM's number is moved on: a real one has gone on since, and never uses a number twice."""
TERMINALS = "pos_terminals"
TERMINALS_LEAP = (
    f"UPDATE {TERMINALS} SET stan = (stan + {PSAM_LEAP}) % 999999, pik = NULL, mak = NULL, tdk = NULL"
)
"""What a terminal has asked PPP since stands there under the next numbers: one that is used again would be taken for the
old message, and its reversal would undo another subscriber's sale. Signing in tells the batch that is open."""


def copy_files(part: Path, data: Path) -> None:
    """Keys, what simulated PSAMs keep (those of a reader keep their own), and exchanged files.

    Called when the rows are as they will be in the backup: a file is there before the row that tells of it.
    """
    for name in KEYS:
        if (data / name).exists():
            put(data / name, part / name)
    for path in sorted((data / PSAMS).glob("*.json")):
        put(path, part / PSAMS / path.name)
    for folder in EXCHANGED:
        for path in sorted((data / folder).rglob("*")):
            if path.is_symlink() or not path.is_file() or is_growing(path):
                continue
            with contextlib.suppress(FileNotFoundError):  # a partner has taken it away meanwhile
                put(path, part / path.relative_to(data))


def is_growing(path: Path) -> bool:
    """Whether a file of the exchange is not whole yet: it counts for nothing."""
    return path.name.endswith(TEMPORARY) or INCOMING in path.parts


def put(source: Path, target: Path) -> None:
    """Copies a file onto the disk; only its owner can read it."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with source.open("rb") as file, private(target) as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        os.fsync(copy.fileno())


def leap(path: Path) -> None:
    """Moves the number of a simulated PSAM on, in its file."""
    contents = json.loads(path.read_bytes())
    contents["terminal_transaction_number"] += PSAM_LEAP
    write(path, json.dumps(contents, indent=1).encode())


@contextmanager
def private(path: Path) -> Iterator[IO[bytes]]:
    """A file to be written that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file


def write(path: Path, content: bytes) -> None:
    """A file with that content, which only its owner can read."""
    with private(path) as file:
        file.write(content)


def sync(path: Path) -> None:
    """A file or a folder is on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """The digest of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
