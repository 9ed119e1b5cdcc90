"""``stb-server``: listens, runs the roles, stops in order."""

from __future__ import annotations

import argparse
import asyncio
import errno
import functools
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import structlog
import uvicorn
from fastapi import FastAPI

from cardreader.output import until_nobody_reads
from server_stub import cli, metrics
from server_stub.app import ROLES, Roles, build, phone_application, real_world, release
from server_stub.commands import settings_of, subcommand
from server_stub.exchange.listener import Doorway
from server_stub.foundation import correlation
from server_stub.foundation.clock import SystemClock
from server_stub.foundation.startup import only_one, rest_collector
from server_stub.settings import Settings, SettingsError

if TYPE_CHECKING:
    from server_stub import tls

STOP_SECONDS = 8
"""How long requests that are under way may take once the server is to stop: longer than BOSS or a wallet may."""
LONGEST_STOP_SECONDS = 20
"""After so long something hangs (a reader, a database): it ends as if it had been killed, which costs no money."""
BREAK_SECONDS = 2
"""How long those whose requests are broken off may take to be told so."""
FORCED = 1
"""Exit code when it did not end in order."""
log = structlog.get_logger(__name__)


COMMANDS = {
    "run": "main:run",
    "boxes": "boxes:run",
    "rotate-key": "boxes:rotate_server_key",
    "cases": "cases:run",
    "rotate-card-key": "hsm_keys:rotate_card_key",
    "terminal-key": "hsm_keys:terminal_key",
    "psams": "psams:run",
    "settle": "settle:run",
    "reconcile": "reconcile:run",
    "compare": "compare:run",
    "cancel": "cancel:run",
    "partners": "partners:run",
    "staff": "staff:run",
    "audit": "audit:run",
    "check": "check:run",
    "backup": "backup:backup",
    "restore": "backup:restore",
}
"""Where each command is. Only what is asked for is imported: a server needs no backup, and is the sooner there."""
NO_LISTENING = {
    errno.EADDRINUSE: "that port is in use; end what uses it, or give --port another one (0: any free one)",
    errno.EACCES: "that port is for the administrator only; give --port one from 1024 on",
    errno.EADDRNOTAVAIL: "this machine has no such address; give {source} one that it has",
}
"""Why an address cannot be listened on, and what to do, by error number; any other one means a name that is none."""


class SideServer(uvicorn.Server):
    """A listener besides, for phones or for those who watch over the server, which another server starts and stops."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        super().__init__(_config(app))
        self._listener = listener

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals are for the one that started this one.
        yield

    async def begin(self) -> None:
        """Serves until ``end``."""
        self._task = asyncio.create_task(self.serve(sockets=[self._listener]))

    async def end(self) -> None:
        """Returns when the last request has been answered."""
        self.should_exit = True
        await self._task


class Server(uvicorn.Server):
    """Runs the roles, says where it listens, and answers whoever waits when it stops.

    Attributes:
        in_order: whether everybody has had the answer to what was asked.
    """

    def __init__(
        self,
        app: FastAPI,
        roles: Roles,
        address: str,
        sides: Sequence[SideServer],
        secured: tls.Files | None = None,
    ) -> None:
        super().__init__(_config(app, secured=secured))
        self._roles = roles
        self._address = address
        self._sides = sides
        self._held = AsyncExitStack()
        self.in_order = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Raises CannotStart."""
        await self._held.enter_async_context(self._roles.running())
        await super().startup(sockets)
        for side in self._sides:
            await side.begin()
            # The other pages stand on roles that end with this server.
            self._held.push_async_callback(side.end)
        if self.should_exit:
            return
        rest_collector()
        log.info("started", address=self._address, version=release(), pid=os.getpid())
        cli.announce(f"stb-server listening on {self._address}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping")
        watch = threading.Timer(LONGEST_STOP_SECONDS, _give_up)
        watch.daemon = True
        watch.start()
        self._roles.begin_stop()
        breaking = asyncio.get_running_loop().call_later(STOP_SECONDS, self._break_off)
        await super().shutdown(sockets)
        await self._held.aclose()
        breaking.cancel()
        watch.cancel()
        log.info("stopped")

    def _break_off(self) -> None:
        requests = self._roles.break_off()
        self.in_order = self.in_order and not requests
        log.warning("broken-off", requests=requests, seconds=STOP_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends it in order; whoever sends another one wants no more waiting."""
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True


@dataclass(frozen=True, slots=True)
class Listeners:
    """The sockets of one process.

    Attributes:
        own: for boxes, partners, wallets and testers.
        phones: for phones in the local network; None: they, too, use ``own``.
        metrics: for ``/metrics`` only; None: only this machine itself gets it, from ``own``.
        terminals: for PPP's terminals; None: it does not run here.
        partners: for the exchange's; None: it does not run here.
    """

    own: socket.socket
    phones: socket.socket | None
    metrics: socket.socket | None
    terminals: socket.socket | None
    partners: socket.socket | None = None
    scheme: str = "http"

    @property
    def own_url(self) -> str:
        """Where this machine reaches ``own``."""
        host, port = self.own.getsockname()[:2]
        return f"{self.scheme}://{'127.0.0.1' if host == '0.0.0.0' else _literal(host)}:{port}"

    @property
    def public_url(self) -> str:
        """Where phones reach the page behind a code."""
        if self.phones is None:
            return self.own_url
        host, port = self.phones.getsockname()[:2]
        return f"http://{host}:{port}"


def lan_address() -> str | None:
    """This machine's address in the local network; None without one. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A documentation address (RFC 5737): choosing the way there names our side of it.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns off Nagle's algorithm, which holds an answer's body back for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def open_listeners(options: argparse.Namespace, settings: Settings) -> Listeners:
    """Binds what the command line asks for.

    Raises:
        SettingsError: an address cannot be listened on, or there is no local network or nothing for it.
    """
    if options.lan and "sandbox" not in options.roles:
        raise SettingsError("--lan is for the page of role sandbox: run that role too")
    own = _bound(options.host, options.port, "--host")
    scheme = "https" if options.tls else "http"
    watchers = None
    if options.metrics is not None:
        host, port = options.metrics
        watchers = _bound(host, port, "--metrics")
    terminals = None
    if "ppp" in options.roles:
        terminals = _bound(options.host, settings.ppp_port, "STB_SERVER_PPP_PORT")
    partners = None
    if "exchange" in options.roles:
        partners = _bound(options.host, settings.ftp_port, "STB_SERVER_FTP_PORT")
    if not options.lan:
        return Listeners(own, None, watchers, terminals, partners, scheme)
    address = settings.lan_address or lan_address()
    if address is None:
        raise SettingsError("--lan: no local network was found; set STB_SERVER_LAN_ADDRESS to this machine's")
    phones = _bound(address, options.port, "STB_SERVER_LAN_ADDRESS")
    return Listeners(own, phones, watchers, terminals, partners, scheme)


def _bound(host: str, port: int, source: str) -> socket.socket:
    """Listens. Raises SettingsError, which names what says where (``source``) and what to do."""
    try:
        return bind(host, port)
    except (OSError, UnicodeError) as error:
        number = (error.errno if isinstance(error, OSError) else None) or 0
        why = NO_LISTENING.get(number, NO_LISTENING[errno.EADDRNOTAVAIL])
        raise SettingsError(
            f"cannot listen on {_literal(host)}:{port}: {why.format(source=source)}"
        ) from error


def configure_logging() -> None:
    """One line of JSON an event, on standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        correlation.in_log,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=False),
        structlog.processors.format_exc_info,
    ]
    last = structlog.processors.JSONRenderer(ensure_ascii=False)
    # What libraries have to say is a line of the same kind.
    others = logging.StreamHandler(sys.stderr)
    others.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(handlers=[others], level=logging.WARNING)
    # httpx tells every request at INFO; a code of a wallet stands in its path.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@subcommand
def run(options: argparse.Namespace) -> int:
    """Runs the roles until a signal or the end of the parent; returns the exit code."""
    with ExitStack() as held:
        settings = settings_of(options)
        alone = () if settings.database else options.roles
        held.enter_context(only_one(options.data, alone, time.sleep))
        server, listener = _server(options, settings)
        return _serve(server, listener, options)


def _server(options: argparse.Namespace, settings: Settings) -> tuple[Server, socket.socket]:
    """The server that is asked for, and the socket it is to answer on."""
    exchange = "exchange" in options.roles
    if options.tls or exchange or settings.tls_authority:
        # Certificates are a tenth of a second to import, and many servers have none.
        from server_stub import tls
    secured, given = None, settings.tls_certificate or settings.tls_key
    certificate = functools.cache(
        lambda: tls.files(settings, options.data, options.host, SystemClock().now())
    )
    if options.tls or (exchange and given):
        secured = certificate() if options.tls else None
        certificate()  # said at once, where one that is given is none
    elif given:
        log.warning("certificate-not-used", without="--tls")
    listeners = open_listeners(options, settings)
    doorway = None
    if listeners.partners is not None:
        doorway = Doorway(listeners.partners, certificate, settings.passive_ports)
    believed = None if secured is None else secured.client_context()
    if believed is None and settings.tls_authority:
        believed = tls.believing(Path(settings.tls_authority))
    world = real_world(listeners.own_url, listeners.public_url, believed, listeners.terminals, doorway)
    app = build(settings, options.roles, options.data, world)
    roles: Roles = app.state.roles
    sides = []
    if listeners.phones is not None:
        sides.append(SideServer(phone_application(roles), listeners.phones))
    if listeners.metrics is not None:
        sides.append(SideServer(metrics.own_application(roles), listeners.metrics))
    return Server(app, roles, listeners.own_url, sides, secured), listeners.own


def _serve(server: Server, listener: socket.socket, options: argparse.Namespace) -> int:
    if options.parent_pipe:
        threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    asyncio.run(server.serve(sockets=[listener]))
    return 0 if server.started and server.in_order else FORCED


def main(arguments: Sequence[str] | None = None) -> None:
    """The command ``stb-server``; exits."""
    # Until it listens, and again when it has stopped, a signal finds nothing to be ended in order.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    os.umask(0o077)  # what is kept is the owner's alone
    code = until_nobody_reads(lambda: _run(arguments))
    if "duckdb" in sys.modules:
        # At the interpreter's end it tells of its own objects, in words that are no line of our log.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    options = cli.parse(arguments, ROLES)
    configure_logging()
    module, _, verb = COMMANDS[options.command].partition(":")
    command = getattr(import_module(f"server_stub.{module}"), verb)
    if command is not run:  # a server has more to build first
        gc.enable()
    code: int = command(options)
    return code


def _config(app: FastAPI, secured: tls.Files | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ssl_certfile=None if secured is None else str(secured.certificate),
        ssl_keyfile=None if secured is None else str(secured.key),
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=STOP_SECONDS + BREAK_SECONDS,
        server_header=False,
        # Whoever connects may say that he is somebody else only where that is set; uvicorn believes this machine else.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
        ws="none",
    )


def _give_up() -> None:
    log.error("stop-forced", seconds=LONGEST_STOP_SECONDS)
    os._exit(FORCED)


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _stop_with_parent(server: Server) -> None:
    while sys.stdin.buffer.read(1024):
        pass
    server.should_exit = True
