"""``stb-server``: listens, runs the roles, stops in order."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

import structlog
import uvicorn

from server_stub import cli
from server_stub.app import ROLES, Roles, build, real_world
from server_stub.settings import SettingsError, from_environment

STOP_SECONDS = 1
"""How long requests that are under way may take once the server is to stop."""
USAGE = 2
"""Exit code when it cannot start as it was told to."""


class Server(uvicorn.Server):
    """Says where it listens, and answers long polls when it stops."""

    def __init__(self, config: uvicorn.Config, roles: Roles, address: str) -> None:
        super().__init__(config)
        self._roles = roles
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            cli.announce(f"stb-server listening on {self._address}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._roles.release_waiters()
        await super().shutdown(sockets)


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
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def configure_logging() -> None:
    """One line of JSON an event, on standard error."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    # httpx tells every request at INFO; a code of a wallet stands in its path.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def run(options: argparse.Namespace) -> int:
    """Runs the roles until a signal or the end of the parent; returns the exit code."""
    host = "0.0.0.0" if options.lan else options.host
    try:
        listener = bind(host, options.port)
    except OSError as error:
        sys.stderr.write(
            f"stb-server: cannot listen on {host}:{options.port}: {os.strerror(error.errno or 0)}\n"
        )
        return USAGE
    port = listener.getsockname()[1]
    reached = (lan_address() if options.lan else None) or ("127.0.0.1" if host == "0.0.0.0" else host)
    own_url = f"http://{'127.0.0.1' if host == '0.0.0.0' else _literal(host)}:{port}"
    address = f"http://{_literal(reached)}:{port}"
    try:
        app = build(from_environment(os.environ), options.roles, options.data, real_world(own_url, address))
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"stb-server: {error}\n")
        return USAGE
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        server_header=False,
        ws="none",
    )
    server = Server(config, app.state.roles, address)
    if options.parent_pipe:
        threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    asyncio.run(server.serve(sockets=[listener]))
    return 0 if server.started else 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command."""
    # uvicorn raises the signal again when it has stopped in order; by then this is a normal end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    options = cli.parse(arguments, ROLES)
    configure_logging()
    sys.exit(run(options))


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _stop_with_parent(server: Server) -> None:
    while sys.stdin.buffer.read(1024):
        pass
    server.should_exit = True


if __name__ == "__main__":
    main()
