"""Runs the exchange's FTP in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from server_stub.exchange.service import ExchangeService

if TYPE_CHECKING:
    from server_stub.exchange.ftp import Desk

FINISH_SECONDS = 5.0
"""How long transfers that are under way may take once the service is to stop."""
END_SECONDS = 2.0
LOOK_SECONDS = 0.02
log = structlog.get_logger(__name__)


class CertificateFiles(Protocol):
    """PEM files."""

    @property
    def certificate(self) -> Path:
        """With its chain."""
        ...

    @property
    def key(self) -> Path:
        """Without a password."""
        ...


@dataclass(frozen=True, slots=True)
class Doorway:
    """Where the exchange listens.

    Attributes:
        files: makes or finds certificate and key; there is no FTP without TLS here.
        passive_ports: for data connections; None: any free ones.
    """

    listening: socket.socket
    files: Callable[[], CertificateFiles]
    passive_ports: Sequence[int] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where this machine reaches it."""
        host, port = self.listening.getsockname()[:2]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port

    def own_context(self) -> ssl.SSLContext:
        """For roles of this process: believes this certificate and no other, whatever name it has."""
        context = ssl.create_default_context(cafile=str(self.files().certificate))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
        return context


class Listener:
    """The FTP of a service, while it runs."""

    def __init__(self, service: ExchangeService, doorway: Doorway) -> None:
        self._service = service
        self._doorway = doorway
        self._thread: threading.Thread | None = None
        self._desk: Desk | None = None

    async def start(self) -> None:
        """Returns when whoever connects is answered. Raises CannotStart: no certificate could be made."""
        loop = asyncio.get_running_loop()
        # Whoever connects meanwhile waits in the socket's line.
        self._desk = await asyncio.to_thread(self._make, loop)
        self._thread = threading.Thread(target=self._desk.run, name="exchange-ftp", daemon=True)
        self._thread.start()
        host, port = self._doorway.listening.getsockname()[:2]
        log.info("exchange-listening", address=f"{host}:{port}")

    async def stop(self) -> None:
        """Transfers that are under way may end; then all are cut."""
        assert self._desk is not None
        assert self._thread is not None
        self._desk.begin_stop()
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                while not self._desk.quiet():
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            log.warning("transfers-broken-off")
        self._desk.end()
        await asyncio.to_thread(self._thread.join, END_SECONDS)
        self._desk.drop()
        await asyncio.sleep(0)

    def _make(self, loop: asyncio.AbstractEventLoop) -> Desk:
        from server_stub.exchange.ftp import Contexts, Desk  # only where it runs: it takes a while to load

        doorway = self._doorway
        files = doorway.files()
        contexts = Contexts.of(files.certificate, files.key)
        return Desk(self._service, loop, doorway.listening, contexts, doorway.passive_ports)
