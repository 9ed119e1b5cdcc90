"""How requests travel to the TSP: over kept connections, and never for longer than somebody waits."""

from __future__ import annotations

import http.client
import io
import socket
import time
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ReadTimeoutError

LONGEST_ANSWER_BYTES = 1_000_000
"""Ten times the longest that a TSP has to say; whoever says more is none."""


def new_session(authority: Path | None) -> requests.Session:
    """A session for one TSP; its read time-out is for the whole of an answer.

    Args:
        authority: file of the certificate authority that its certificate is from; None: those of the system.
    """
    session = requests.Session()
    session.trust_env = False
    if authority is not None:
        session.verify = str(authority)
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def took_too_long(error: BaseException | None) -> bool:
    """Whether an answer has not come, or not to its end: what the library says of the two differs."""
    if not isinstance(error, requests.RequestException):
        return False
    return isinstance(error, requests.Timeout) or any(isinstance(one, ReadTimeoutError) for one in error.args)


def was_hung_up(error: requests.RequestException) -> bool:
    """Whether a kept connection was closed at the other end just as it was to be used once more: nobody has answered."""
    reasons = [one for outer in error.args for one in getattr(outer, "args", ())]
    return any(isinstance(one, (ConnectionError, http.client.RemoteDisconnected)) for one in reasons)


class _Incoming(io.RawIOBase):
    """An answer as it comes in. The library's time-out begins anew with every byte; this one does not.

    Raises:
        TimeoutError: it has not come to its end in the time that the connection has for reading.
        OSError: it is longer than any answer.
    """

    def __init__(self, connection: socket.socket, raw: io.RawIOBase) -> None:
        super().__init__()
        self._connection = connection
        self._raw = raw
        self._until = time.monotonic() + (connection.gettimeout() or 0)
        self._left_bytes = LONGEST_ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer does not come to its end")
        if self._left_bytes <= 0:
            raise OSError("the answer has no end")
        self._connection.settimeout(left_s)
        count = self._raw.readinto(buffer) or 0
        self._left_bytes -= count
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self.fp = io.BufferedReader(_Incoming(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecuredConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecuredPool(HTTPSConnectionPool):
    ConnectionCls = _SecuredConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **named: Any) -> None:
        super().init_poolmanager(*args, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecuredPool}
