"""The TSP's line to PPP: a message, and the answer to it, over TCP.

Unanswered      no answer that can be believed; says whether the message may have arrived
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from server_stub.foundation.iso8583 import Iso8583Error, framed, read_frame


class Unanswered(Exception):
    """PPP has not answered.

    Attributes:
        sent: the message may have arrived, and may have been worked on.
    """

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class Line(Protocol):
    """How a message gets to PPP."""

    async def ask(self, message: bytes) -> bytes:
        """The answer to a message; both without their length. Raises Unanswered."""
        ...


class TcpLine:
    """A connection for each message: none is taken for another's answer, and processes need not agree on one.

    Args:
        connect_seconds: until the connection stands.
        answer_seconds: from then until the whole answer is here.
    """

    def __init__(self, host: str, port: int, connect_seconds: float, answer_seconds: float) -> None:
        self._place = (host, port)
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds

    async def ask(self, message: bytes) -> bytes:
        """As the contract's."""
        try:
            async with asyncio.timeout(self._connect_seconds):
                reader, writer = await asyncio.open_connection(*self._place)
        except (OSError, TimeoutError) as error:
            raise Unanswered(f"PPP cannot be reached: {error!r}", sent=False) from error
        try:
            async with asyncio.timeout(self._answer_seconds):
                writer.write(framed(message))
                await writer.drain()
                answer = await read_frame(reader)
        except (OSError, TimeoutError, Iso8583Error) as error:
            raise Unanswered(f"PPP does not answer: {error!r}", sent=True) from error
        finally:
            writer.close()
        if answer is None:
            raise Unanswered("PPP has closed the line without an answer", sent=True)
        return answer
