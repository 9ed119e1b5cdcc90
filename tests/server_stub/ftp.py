"""A small FTP server with TLS for tests of those who ask one, which can be told to do wrong."""

from __future__ import annotations

import errno
import functools
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

from server_stub import tls
from server_stub.settings import Settings

USER, PASSWORD = "tsp", "a-password-of-this-test"


@functools.cache
def certificates() -> tls.Files:
    """Made once: an authority, and its certificate for this machine."""
    kept = TemporaryDirectory(prefix="stb-ftp-test-")
    made = tls.files(Settings(), Path(kept.name), "127.0.0.1", datetime.now(UTC))
    certificates.kept = kept  # type: ignore[attr-defined]
    return made


def authority() -> ssl.SSLContext:
    """Believes that one."""
    return certificates().client_context()


@dataclass
class Faults:
    """What the server does wrong.

    Attributes:
        cut_after: bytes after which data connection and control connection are cut.
        full: nothing that is uploaded can be written.
        no_rename: renaming is refused.
        garbles: a byte of what is uploaded is kept as another one.
        silent: it accepts, and says nothing.
        tells: on a wrong password it says what it was told.
        no_mlsd: it does not know that command.
        on_retrieve: called when a file is to be sent.
        seen: the commands that came.
    """

    cut_after: int | None = None
    full: bool = False
    no_rename: bool = False
    garbles: bool = False
    silent: bool = False
    tells: bool = False
    no_mlsd: bool = False
    on_retrieve: Callable[[], object] = field(default=lambda: None)
    seen: list[str] = field(default_factory=list)


@dataclass
class FtpServer:
    """One that runs: where, over which folder, and what it does wrong."""

    host: str
    port: int
    folder: Path
    faults: Faults

    def url(self, base: str = "") -> str:
        return f"ftps://{USER}@{self.host}:{self.port}/{base}"


@contextmanager
def serving(folder: Path, host: str = "127.0.0.1", port: int = 0) -> Iterator[FtpServer]:
    """A server over that folder, in a thread of its own; at any free port, or at this one."""
    faults = Faults()
    loop = IOLoop()
    server = FTPServer((host, port), _handler(folder, faults), ioloop=loop)
    stop, wake = socket.socketpair()
    loop.register(wake.fileno(), _Stop(wake, server), loop.READ)
    thread = threading.Thread(target=loop.loop)
    port = server.address[1]
    thread.start()
    try:
        yield FtpServer(host, port, folder, faults)
    finally:
        stop.send(b"x")
        thread.join(10)
        stop.close()
        wake.close()


class _Stop:
    def __init__(self, wake: socket.socket, server: Any) -> None:
        self._fileno, self._server = wake.fileno(), server

    def readable(self) -> bool:
        return True

    def handle_read_event(self) -> None:
        self._server.close_all()

    def close(self) -> None:
        """The thread that made it closes the socket."""


def _handler(folder: Path, faults: Faults) -> type:
    users = DummyAuthorizer()
    users.add_user(USER, PASSWORD, str(folder), perm="elradfmwT")

    class Data(TLS_DTPHandler):  # type: ignore[misc]
        def recv(self, size: int) -> bytes:
            chunk: bytes = super().recv(size)
            if faults.cut_after is not None and self.tot_bytes_received + len(chunk) > faults.cut_after:
                self._cut()
                return b""
            return b"?" + chunk[1:] if faults.garbles and chunk else chunk

        def send(self, data: bytes) -> int:
            if faults.cut_after is not None and self.tot_bytes_sent >= faults.cut_after:
                self._cut()
                return 0
            return int(super().send(data))

        def handle_error(self) -> None:
            # The library's own says nothing to whoever has sent it.
            self._resp = ("452 No space left on device.", lambda *_: None)
            super().handle_error()

        def _cut(self) -> None:
            for one in (self, self.cmd_channel):
                socket.socket.shutdown(socket.socket(fileno=os.dup(one.socket.fileno())), socket.SHUT_RDWR)

    class Filesystem(AbstractedFS):  # type: ignore[misc]
        def open(self, name: str, mode: str) -> Any:
            if mode != "rb" and faults.full:
                return _Full(name)
            if mode == "rb":
                faults.on_retrieve()
            return super().open(name, mode)

        def rename(self, src: str, dst: str) -> None:
            if faults.no_rename:
                raise FilesystemError("Renaming is not allowed here")
            super().rename(src, dst)

    class Handler(TLS_FTPHandler):  # type: ignore[misc]
        dtp_handler = Data
        abstracted_fs = Filesystem
        authorizer = users
        certfile, keyfile = str(certificates().certificate), str(certificates().key)
        tls_control_required = tls_data_required = True
        auth_failed_timeout = 0

        def handle(self) -> None:
            if not faults.silent:
                super().handle()

        def handle_auth_failed(self, msg: str, password: str) -> None:
            super().handle_auth_failed(f"wrong: {password}" if faults.tells else msg, password)

        def process_command(self, cmd: str, *args: Any, **kwargs: Any) -> None:
            faults.seen.append(cmd)
            if cmd == "MLSD" and faults.no_mlsd:
                self.respond("502 not here.")
                return
            super().process_command(cmd, *args, **kwargs)

    return Handler


class _Full:
    """A file on a disk without room."""

    closed = False

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        self.closed = True
