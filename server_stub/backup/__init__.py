"""``stb-server backup`` and ``restore``: one moment of everything that a server keeps, in a folder, and back.

A backup is what a power cut at that moment would have left: all roles of one folder or database at one instant. So what
was under way between them then is brought to its end after a restore as after a power cut: deliveries are repeated, and
each counts once.

- SQLite: a write lock on every role's file at once, taken in one order; while nobody can commit, a reader is opened on
  each. Then the locks are let go of, after milliseconds, and each reader's moment is copied with SQLite's backup.
- PostgreSQL: one REPEATABLE READ transaction over the schemas of all roles, read with COPY; no client program is needed.

The manifest has the SHA-256 of every file and is written last, the folder gets its name after that: what has the name
is whole. There are keys in it: whoever can read it can sign like the server.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from cardreader.disk import trouble
from server_stub import cli
from server_stub.backup import files, postgresql, sqlite
from server_stub.commands import settings_of, subcommand
from server_stub.foundation import migrations
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.foundation.startup import CannotStart, only_one
from server_stub.foundation.vault import vault_file
from server_stub.tsp.server_keys import expect_sealed

FORMAT = 1
MANIFEST = "manifest.json"

log = structlog.get_logger(__name__)


@subcommand
def backup(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """``stb-server backup``. Returns the exit code: 0; 2 with a line that says what is wrong."""
    now = (clock or SystemClock()).now()
    with _words(options.data, options.to, "--to"):
        made = make(options.to, options.data, settings_of(options).database, now.isoformat())
    size = sum(one["bytes"] for one in made["files"].values())
    cli.announce(f"{options.to} has {', '.join(made['roles'])}: {len(made['files'])} files, {size} bytes")
    return 0


@subcommand
def restore(options: argparse.Namespace) -> int:
    """``stb-server restore``. Returns the exit code: 0; 2 with a line that says what is wrong."""
    with _words(options.source, options.data, "--data"):
        manifest = put_back(options.source, options.data, settings_of(options).database)
    cli.announce(f"restored {', '.join(manifest['roles'])} as of {manifest['made_at']}")
    return 0


@contextmanager
def _words(source: Path, target: Path, option: str) -> Iterator[None]:
    """Raises CannotStart for what cannot be read from a folder or written to the other.

    Args:
        option: what names the target on the command line.
    """
    try:
        yield
    except OSError as error:
        name = str(error.filename or "")
        if name.startswith(str(source)) and not name.startswith(str(target)):
            why = (error.strerror or "no reason is known").lower()
            raise CannotStart(f"{name} cannot be read ({why})") from error
        raise CannotStart(trouble(target, error, option)) from error


def make(to: Path, data: Path, url: str, made_at: str) -> dict[str, Any]:
    """Makes a backup of servers that run or stand; returns its manifest.

    Raises:
        CannotStart: there is nothing to back up, or something where it is to go, or the folder has not the key that
            the database was sealed with, or not the counters of its simulated PSAMs; the text says what and where.
        OSError: nothing can be written there.
    """
    if to.exists():
        raise CannotStart(f"{to} is there already; --to names a folder that is to be made")
    part = to.with_name(f"{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    try:
        manifest: dict[str, Any] = {"format": FORMAT, "made_at": made_at}
        manifest |= postgresql.copy(part, data, url) if url else sqlite.copy(part, data)
        _expect_key(
            data, part, manifest, "let --data name the folder of the server that runs on this database"
        )
        manifest["files"] = {
            str(path.relative_to(part)): {"sha256": files.sha256(path), "bytes": path.stat().st_size}
            for path in sorted(part.rglob("*"))
            if path.is_file()
        }
        files.write(part / MANIFEST, json.dumps(manifest, indent=1).encode())
        for path in part.rglob("*"):
            files.sync(path)
        files.sync(part)
        part.rename(to)
        files.sync(to.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    log.info("backup-made", roles=list(manifest["roles"]), files=len(manifest["files"]))
    return manifest


def put_back(source: Path, data: Path, url: str) -> dict[str, Any]:
    """Restores a backup into a folder, and a database, in which there is nothing; returns its manifest.

    Raises:
        CannotStart: the backup is not whole, or of another kind of database, or has not its key, or something is there
            already.
    """
    manifest = read(source)
    kind = "postgresql" if url else "sqlite"
    if manifest["kind"] != kind:
        raise CannotStart(f"{source} is of {manifest['kind']}, not of {kind}: --database says which it is")
    if data.exists() and any(data.iterdir()):
        raise CannotStart(f"{data} is not empty; restore into a folder of its own")
    _expect_key(source, source, manifest, "restore another backup")
    with only_one(data, () if url else list(manifest["roles"]), time.sleep):
        if url:
            postgresql.fill(source, url, manifest)
        for name in {*manifest["files"], *(files.VAULT for _ in source.glob(files.VAULT))}:
            path = Path(name)
            if path.suffix != ".copy" or path.parts[0] not in manifest["roles"]:
                files.put(source / path, data / path)
        for path in (data / files.PSAMS).glob("*.json"):
            files.leap(path)
        if not url and "tsp" in manifest["roles"]:
            sqlite.count_terminals_on(data / "tsp.db")
    log.info("backup-restored", roles=list(manifest["roles"]), made_at=manifest["made_at"])
    return manifest


def read(source: Path) -> dict[str, Any]:
    """The manifest of a backup all of whose files are as it says.

    Raises:
        CannotStart: it is no backup, or one that is not whole.
    """
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_bytes())
        wanted = {name: one["sha256"] for name, one in manifest["files"].items()}
        right = manifest["format"] == FORMAT and set(manifest["roles"]) <= set(files.ROLES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotStart(f"{source} is not a backup of this program") from error
    if not right:
        raise CannotStart(f"{source} is a backup of another version of this program")
    for name, sha256 in wanted.items():
        path = source / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise CannotStart(f"{source} names a file outside of itself")
        if name == files.VAULT:
            continue  # what it has sealed says more of it; and a lost one can be put into a backup by hand
        if not path.is_file() or files.sha256(path) != sha256:
            raise CannotStart(f"{path} is missing or damaged: nothing was restored")
    for role, revision in manifest["roles"].items():
        if revision not in migrations.revisions(migrations.folder_of(files.ROLES[role])):
            raise CannotStart(f"{source} is of a newer stb-server ({role} {revision}); restore with that one")
    return manifest


def _sealed(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """What a backup has of the vault's sealing: the keys of answers, as they stand in the database; none where the TSP
    has not begun, or is older than they are.
    """
    if "tsp" not in manifest["roles"]:
        return []
    if manifest["kind"] == "sqlite":
        return sqlite.sealed(folder)
    return postgresql.sealed(folder, manifest)


def _expect_key(keys: Path, folder: Path, manifest: dict[str, Any], otherwise: str) -> None:
    """As a start does: what is sealed in a backup was sealed with the key in the folder ``keys``; makes nothing.

    Args:
        otherwise: what else can be done than to put the key there.

    Raises:
        CannotStart
    """
    if sealed := _sealed(folder, manifest):
        try:
            expect_sealed(vault_file(keys / files.VAULT, make=False), sealed)
        except CannotStart as error:
            raise CannotStart(f"{keys}: {error}; or {otherwise}") from error
