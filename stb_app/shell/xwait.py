"""Sleeping until the X server has something to say.

pygame's own ``event.wait`` looks every millisecond (2 % of a core for a television that does nothing) and adds that millisecond to
every key. The connection to the X server is a socket, and a socket can be slept on.
"""

from __future__ import annotations

import ctypes
import logging
import select
import socket

import pygame

log = logging.getLogger(__name__)


def connection() -> int | None:
    """Descriptor of pygame's connection to the X server; None with another window system, or where it cannot be found."""
    if pygame.display.get_driver() != "x11":
        return None
    display = pygame.display.get_wm_info().get("display")
    try:
        pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
        pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        xlib = ctypes.CDLL("libX11.so.6")  # SDL has loaded it already
        xlib.XConnectionNumber.argtypes = [ctypes.c_void_p]
        return int(xlib.XConnectionNumber(pointer_of(display, b"display")))
    except (OSError, AttributeError, ValueError, TypeError):
        log.warning("the X connection cannot be slept on; it is looked at every millisecond", exc_info=True)
        return None


class Bell:
    """Rung from any thread, heard in a ``select``. Ringing never blocks, and never is lost."""

    def __init__(self) -> None:
        self._hear, self._ring = socket.socketpair()
        self._hear.setblocking(False)
        self._ring.setblocking(False)

    def ring(self) -> None:
        try:
            self._ring.send(b"!")
        except BlockingIOError:
            return  # so many are waiting to be heard that one more makes no difference

    def sleep(self, descriptor: int, seconds: float | None) -> None:
        """Returns when the bell has been rung, when ``descriptor`` can be read, or after ``seconds``."""
        ready, _, _ = select.select([self._hear.fileno(), descriptor], [], [], seconds)
        if self._hear.fileno() in ready:
            self._hear.recv(4096)

    def close(self) -> None:
        self._hear.close()
        self._ring.close()
