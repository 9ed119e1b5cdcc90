"""PPP's line: frames over TCP, one message after another on each connection."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from server_stub.foundation import correlation
from server_stub.foundation.database import DatabaseFault, outage
from server_stub.foundation.iso8583 import Iso8583Error, framed, read_frame
from server_stub.ppp.service import PppService

IDLE_SECONDS = 600.0
"""A line on which nothing comes for so long is closed; whoever keeps one open sends an echo test before."""
SEND_SECONDS = 10.0
log = structlog.get_logger(__name__)


class Listener:
    """Accepts connections on a socket that listens, and answers what comes."""

    def __init__(self, service: PppService, listening: socket.socket) -> None:
        self._service = service
        self._socket = listening
        self._lines: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, sock=self._socket)
        host, port = self.address
        log.info("ppp-listening", address=f"{host}:{port}")

    async def stop(self) -> None:
        """No more connections; those that are there are closed."""
        assert self._server is not None
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        try:
            await serve(self._service, reader, writer)
        except (ConnectionError, TimeoutError) as error:
            log.info("ppp-line-lost", error=repr(error))
        except (DatabaseFault, SQLAlchemyError) as error:
            # Whoever waits for the answer learns nothing, and reverses.
            log.error("ppp-line-lost", error=outage(error) or repr(error))
        except Iso8583Error as error:
            log.warning("ppp-line-closed", error=str(error))
        finally:
            self._lines.discard(line)
            writer.close()


async def serve(service: PppService, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers one connection until the other side closes it.

    Raises:
        Iso8583Error: what came is no message; where one would end nobody knows then.
        TimeoutError, ConnectionError
    """
    while True:
        async with asyncio.timeout(IDLE_SECONDS):
            data = await read_frame(reader)
        if data is None:
            return
        with correlation.under(correlation.fresh()):
            answer = await answered(service, data)
        if answer is not None:
            writer.write(framed(answer))
            async with asyncio.timeout(SEND_SECONDS):
                await writer.drain()


async def answered(service: PppService, data: bytes) -> bytes | None:
    """The answer to a message, or none, with the faults that are wanted. Raises Iso8583Error."""
    faults = service.faults
    if faults.drop_requests:
        return None
    answer = await service.answer(data)
    if faults.late_seconds:
        await service.clock.sleep_until(service.clock.now() + timedelta(seconds=faults.late_seconds))
    return None if faults.drop_answers else answer
