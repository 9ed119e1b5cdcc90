"""The reader's side of the vpcd protocol, for tests of the card's side."""

from __future__ import annotations

import socket

SELECT = "00A4040009A0000000038698070100"
DEBIT = "805401000F" + "00" * 15 + "08"


class ReaderSide:
    """Listens as vpcd does, and talks to the card that comes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.client: socket.socket

    def accept(self) -> None:
        self.client, _ = self._listener.accept()
        self.client.settimeout(5)

    def send(self, message: bytes) -> None:
        # In two pieces, as vpcd does.
        self.client.sendall(len(message).to_bytes(2))
        self.client.sendall(message)

    def receive(self) -> bytes:
        head = self.client.recv(2, socket.MSG_WAITALL)
        return self.client.recv(int.from_bytes(head), socket.MSG_WAITALL) if head else b""

    def ask(self, message: str) -> str:
        self.send(bytes.fromhex(message))
        return self.receive().hex().upper()

    def hang_up(self) -> None:
        self.client.close()

    def close(self) -> None:
        """Closes everything, so that no card goes on waiting for us."""
        self._listener.close()
        if hasattr(self, "client"):
            self.client.close()
