"""Data connections of the exchange's FTP: what makes an upload whole, and what cuts it."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import structlog
from OpenSSL import SSL
from pyftpdlib.handlers import TLS_DTPHandler
from pyftpdlib.handlers.ftp.data import DTPHandler
from pyftpdlib.handlers.ftp.dispatchers import PassiveDTP

from server_stub.exchange.filesystem import Upload

STALLED_SECONDS = 120
CUT = "426 The connection was cut: without TLS's close_notify nobody knows whether this was all."

log = structlog.get_logger(__name__)


class Data(TLS_DTPHandler):  # type: ignore[misc]
    """A data connection. An upload is whole only when the client has said so under TLS: a cut connection ends like one."""

    timeout = STALLED_SECONDS
    _resp: tuple[Any, ...]
    _cut = False
    _finished = False

    @property
    def transfer_finished(self) -> bool:
        return self._finished and not self._cut

    @transfer_finished.setter
    def transfer_finished(self, value: bool) -> None:
        self._finished = value

    def secure_connection(self, ssl_context: SSL.Context) -> None:
        super().secure_connection(self.cmd_channel.desk.data_context)

    def push(self, data: bytes) -> None:
        """Sends a list; an empty one is nothing to TLS, which the library would take for a closed connection."""
        if data:
            super().push(data)
            return
        self._initialized = True
        self.modify_ioloop_events(self.ioloop.WRITE)
        self._wanted_io_events = self.ioloop.WRITE

    def initiate_send(self) -> None:
        """An empty list is over before TLS has begun; whoever waits for that would take it for a cut."""
        if not self._ssl_accepting:
            super().initiate_send()

    def close(self) -> None:
        if not self._closed and not self._ssl_closing and self.receive:
            told = (
                isinstance(self.socket, SSL.Connection) and self.socket.get_shutdown() & SSL.RECEIVED_SHUTDOWN
            )
            if self._given_up:
                self._cut = True
                if self._finished:
                    self._resp = ()
            elif not (self._finished and told):
                self._cut = True
                if self._finished:
                    self._resp = (CUT, log.debug)
            elif not self._written():
                self._cut = True
            elif isinstance(self.file_obj, Upload) and not self.file_obj.temporary:
                self._resp = ()  # once it is kept
        super().close()

    def handle_error(self) -> None:
        """The library's own tells the client nothing."""
        error = sys.exc_info()[1]
        assert error is not None
        if self.file_obj is not None and not self.file_obj.closed:
            # On a full disk what is still to be written fails once more as it is closed.
            with contextlib.suppress(OSError):
                self.file_obj.close()
        self._fail(error.__cause__ or error)
        self._error = self._cut = True
        DTPHandler.close(self)

    def _written(self) -> bool:
        try:
            self.file_obj.close()
        except OSError as error:
            self._fail(error)
            return False
        return True

    def _fail(self, error: BaseException | None) -> None:
        self._resp = () if self._given_up else (self.cmd_channel.words_of(error), log.debug)

    @property
    def _given_up(self) -> bool:
        """The client was told why."""
        return isinstance(self.file_obj, Upload) and self.file_obj.given_up


class Waiting(PassiveDTP):  # type: ignore[misc]
    """Where a data connection is to come in."""

    def handle_timeout(self) -> None:
        super().handle_timeout()
        self.cmd_channel.let_go()
