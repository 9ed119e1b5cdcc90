"""An exchange in a process of its own, and what lftp, curl and Python's ftplib ask it."""

from __future__ import annotations

import asyncio
import ftplib
import hashlib
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from server_stub import partners
from server_stub.exchange import tables
from server_stub.foundation.clock import machine_pauses
from server_stub.foundation.folders import account_password
from server_stub.foundation.secret import SecretText
from server_stub.opening import read_role

KEY = "a-partner-key-of-this-test"
CONTENT = hashlib.shake_128(b"a day of a partner").digest(700_000)


@dataclass(frozen=True)
class Exchange:
    """A running one.

    Attributes:
        data: its folder.
        home: for what clients keep.
        passwords: of partners that have one of their own.
    """

    port: int
    data: Path
    home: Path
    passwords: Mapping[str, str]

    @property
    def authority(self) -> str:
        return str(self.data / "ca.pem")

    def password(self, account: str) -> str:
        derived = account_password(SecretText(KEY), account).reveal()
        return self.passwords.get(account, derived)

    def curl(self, account: str, path: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        """``curl`` of a path, with TLS."""
        who = f"{account}:{self.password(account)}"
        command = ["curl", "-sS", "--ssl-reqd", "--cacert", self.authority, "--user", who, *options]
        return ran([*command, f"ftp://127.0.0.1:{self.port}/{path}"])

    def lftp(self, account: str, *lines: str) -> subprocess.CompletedProcess[bytes]:
        """``lftp`` does these, with TLS."""
        script = [
            "set ftp:ssl-force true",
            "set ftp:ssl-protect-data true",
            f"set ssl:ca-file {self.authority}",
            "set net:max-retries 1",
            "set net:timeout 10",
            "set cmd:fail-exit true",
            "set xfer:clobber true",
            f"open -u {account},{self.password(account)} ftp://127.0.0.1:{self.port}",
            *lines,
        ]
        return ran(["lftp", "-c", "\n".join(script)], self.home)

    @contextmanager
    def ftplib(self, account: str, source: str = "127.0.0.1") -> Iterator[ftplib.FTP_TLS]:
        """A session of Python's client, data under TLS."""
        context = ssl.create_default_context(cafile=self.authority)
        with closing(ftplib.FTP_TLS(context=context, timeout=10, source_address=(source, 0))) as ftp:
            ftp.connect("127.0.0.1", self.port)
            ftp.login(account, self.password(account))
            ftp.prot_p()
            ftp.voidcmd("TYPE I")
            yield ftp

    def listed(self, account: str = "") -> list[list[str]]:
        """Of each version, oldest first: partner, direction, name, version, state, bytes, hash."""
        database = read_role(tables.metadata, self.data, "", machine_pauses())
        with closing(database):
            rows = asyncio.run(database.read(lambda conn: tables.files.listed(conn, partner=account or None)))
        return [partners.file_line(row).split()[2:] for row in reversed(rows)]

    def growing(self) -> list[Path]:
        """Uploads that are not whole."""
        return [path for path in (self.data / "folders" / ".incoming").rglob("*") if path.is_file()]

    def shown(self, folder: str) -> list[str]:
        """The names in a folder, as they are on the disk."""
        return sorted(path.name for path in (self.data / "folders" / folder).iterdir())


def ran(command: Sequence[str], home: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **({} if home is None else {"HOME": str(home)})}
    return subprocess.run(command, capture_output=True, timeout=30, check=False, env=environment)


def stb_server(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "server_stub", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def uploading(ftp: ftplib.FTP_TLS, name: str, content: bytes) -> socket.socket:
    """An upload that has begun; closing the connection as it is would cut it."""
    conn = ftp.transfercmd(f"STOR {name}")
    conn.sendall(content)
    return conn
