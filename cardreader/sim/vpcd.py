"""The card's side of vsmartcard's vpcd: puts a simulated card into the virtual reader of a real pcscd.

Each message is a length of two bytes, big-endian, and as many bytes: one byte is a control (0 power off,
1 power on, 2 reset, 4 asks for the ATR, the only one that is answered), anything longer is an APDU.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from enum import Enum

from cardreader.errors import ReaderUnavailable, SlotOccupied
from cardreader.sim.card import Card, CardLeft
from cardreader.sim.recording import ASK, tell

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 35963
_CONNECT_TIMEOUT_S = 5.0
NOTICED_S = 3.0
"""An empty reader has noticed a card long before."""
_POWER_OFF, _POWER_ON, _RESET, _GET_ATR = 0, 1, 2, 4
_CHUNK = 4096


class Ending(Enum):
    """Why the card is no longer in the slot."""

    PULLED = "pulled"
    """Somebody called `VirtualSlot.pull`."""
    LEFT = "left"
    """It left by itself, as it was asked to (`CardLeft`)."""
    READER_GONE = "reader gone"
    """The reader service closed the slot."""


class VirtualSlot:
    """One stay of a card in the virtual reader.

    Args:
        card: the card.
        host, port: where vpcd listens.
        on_power: told of power on (True) and off (False).
        recording: name of the file that the card was made of; empty when it was not.

    Attributes:
        apdus: commands carried out so far.

    Raises:
        ReaderUnavailable: nobody listens there.
        SlotOccupied: cards wait there already for one to be taken out.
    """

    def __init__(
        self,
        card: Card,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        on_power: Callable[[bool], None] = lambda on: None,
        recording: str = "",
    ) -> None:
        self.apdus = 0
        self._card = card
        self._on_power = on_power
        self._recording = recording
        self._pulled = False
        self._buffer = b""
        try:
            self._socket = socket.create_connection((host, port), _CONNECT_TIMEOUT_S)
        except TimeoutError as error:  # those that have connected behind the card that is in fill the queue
            raise SlotOccupied(_occupied(host, port)) from error
        except (OSError, UnicodeError) as error:  # the latter: a name that no machine can have
            why = (isinstance(error, OSError) and error.strerror) or "no answer"
            raise ReaderUnavailable(f"no virtual reader listens at {host}:{port} ({why.lower()})") from error
        self._place = host, port
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def wait_until_noticed(self) -> None:
        """Waits until the reader asks the card for something, which it does several times a second.

        Raises:
            SlotOccupied: it does not, for there is another card in it; this one is taken back.
        """
        noticed, _, _ = select.select((self._socket,), (), (), NOTICED_S)
        if not noticed:
            self._socket.close()
            raise SlotOccupied(_occupied(*self._place))

    def run(self) -> Ending:
        """Answers until the card is pulled or the reader goes."""
        try:
            while True:
                message = self._receive()
                if message is None:
                    return Ending.PULLED if self._pulled else Ending.READER_GONE
                if len(message) <= 1:
                    self._control(message)
                elif (
                    message == ASK
                ):  # not the card's: it is no command of its, and none of those that are counted
                    self._send(tell(self._recording))
                else:
                    data, sw = self._card.transmit(message)
                    self.apdus += 1
                    self._send(data + sw.to_bytes(2))
        except CardLeft as left:
            self.apdus += left.carried_out
            return Ending.LEFT
        except ConnectionError:
            # The other side closed the connection while we were answering: the same as an end of the stream.
            return Ending.PULLED if self._pulled else Ending.READER_GONE
        finally:
            self._socket.close()

    def pull(self) -> None:
        """Pulls the card; `run` returns. May be called from a signal handler or another thread."""
        self._pulled = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # Already closed: the card is out, which is all that was asked for.
            return

    def _control(self, message: bytes) -> None:
        code = message[0] if message else None
        if code == _GET_ATR:
            self._send(self._card.atr)
        elif code in (_POWER_ON, _RESET):
            self._card.power_on()
            if code == _POWER_ON:
                self._on_power(True)
        elif code == _POWER_OFF:
            self._on_power(False)

    def _send(self, message: bytes) -> None:
        self._socket.sendall(len(message).to_bytes(2) + message)

    def _receive(self) -> bytes | None:
        """The next message, or None at the end of the stream."""
        while len(self._buffer) < 2 or len(self._buffer) < 2 + int.from_bytes(self._buffer[:2]):
            # vpcd sends length and body apart and waits for our ACK of the first; Linux forgets this setting
            # after a while, and then each command takes 40 ms.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            chunk = self._socket.recv(_CHUNK)
            if not chunk:
                return None
            self._buffer += chunk
        end = 2 + int.from_bytes(self._buffer[:2])
        message, self._buffer = self._buffer[2:end], self._buffer[end:]
        return message


def _occupied(host: str, port: int) -> str:
    return f"the virtual reader at {host}:{port} has a card in it already"
