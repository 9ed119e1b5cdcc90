"""Keeps one PostgreSQL for tests: starts it in a folder of its own, stops it when whoever asked for it is gone.

A process by itself (``python -m tests.postgres_keeper``): it ends with its standard input, so that nothing stays
behind however the tests end.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OLDEST = 15
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "300",
    "shared_buffers": "32MB",
    # Nobody pulls the plug of a test's machine; tests of durability end processes, not the machine.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "deadlock_timeout": "100ms",
    "max_wal_size": "256MB",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on"}
"""For measurements, which ask for it as ``durable``: every commit is on the disk."""
START_SECONDS = 30
USER = "stb"


def programs() -> Path:
    """The folder with ``initdb`` and ``postgres``, the newest there is.

    Debian and Ubuntu keep them out of the path, a folder a version.
    """
    found = {}
    for folder in Path("/usr/lib/postgresql").glob("*/bin"):
        version = re.fullmatch(r"\d+", folder.parent.name)
        if version and int(version[0]) >= OLDEST and (folder / "initdb").exists():
            found[int(version[0])] = folder
    if found:
        return found[max(found)]
    path = shutil.which("initdb")
    if path is None:
        raise SystemExit(f"no PostgreSQL {OLDEST} or newer is installed (Debian package postgresql)")
    return Path(path).parent


def owner() -> pwd.struct_passwd | None:
    """Whom PostgreSQL is to run as: it refuses root. None: as who we are."""
    if os.geteuid() != 0:
        return None
    names = {one.pw_name: one for one in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def main() -> None:
    """Prints the socket's folder when it can be connected to; ends with standard input."""
    folder = Path(tempfile.mkdtemp(prefix="stb-pg-"))
    who = owner()
    try:
        if who is not None:
            os.chown(folder, who.pw_uid, who.pw_gid)
        serve(programs(), folder, who, SETTINGS | (DURABLE if sys.argv[1:] == ["durable"] else {}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def serve(
    bin: Path, folder: Path, who: pwd.struct_passwd | None, settings: Mapping[str, str] = SETTINGS
) -> None:
    """Makes a cluster in the folder and runs it until standard input ends."""
    place = folder / "data"
    how: dict[str, Any] = {
        "cwd": folder,
        "env": {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LC_ALL": "C", "TZ": "UTC"},
        "stdin": subprocess.DEVNULL,
    }
    if who is not None:
        how |= {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
    options = ["--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(
        [bin / "initdb", "-D", place, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **how,
    )
    if made.returncode:
        raise SystemExit(made.stdout.decode(errors="replace"))
    settings = {**settings, "unix_socket_directories": str(folder)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen([bin / "postgres", "-D", place, *options], stdout=log, stderr=log, **how)
    try:
        wait_for(server, bin, folder)
        sys.stdout.write(f"{folder}\n")
        sys.stdout.flush()
        while sys.stdin.buffer.read(1024):
            pass
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing here is worth keeping
        server.wait(10)


def wait_for(server: subprocess.Popen[bytes], bin: Path, folder: Path) -> None:
    """Returns when it can be connected to."""
    until = time.monotonic() + START_SECONDS
    while subprocess.run([bin / "pg_isready", "-q", "-h", folder], check=False).returncode:
        if server.poll() is not None or time.monotonic() > until:
            raise SystemExit((folder / "log").read_text(errors="replace"))
        time.sleep(0.02)


if __name__ == "__main__":
    main()
