"""A keyboard and an eye on an X server, fast enough to time a key: XTEST for the key, XGetImage for the picture."""

from __future__ import annotations

import ctypes
import ctypes.util
import time
from ctypes import c_char_p, c_int, c_uint, c_ulong, c_void_p

ALL_PLANES = c_ulong(-1).value
Z_PIXMAP = 2


def _library(name: str) -> ctypes.CDLL:
    found = ctypes.util.find_library(name) or f"lib{name}.so.6"
    return ctypes.CDLL(found)


class _Image(ctypes.Structure):
    """The head of XImage (Xlib.h)."""

    _fields_ = (
        ("width", c_int),
        ("height", c_int),
        ("xoffset", c_int),
        ("format", c_int),
        ("data", c_void_p),
        ("byte_order", c_int),
        ("bitmap_unit", c_int),
        ("bitmap_bit_order", c_int),
        ("bitmap_pad", c_int),
        ("depth", c_int),
        ("bytes_per_line", c_int),
    )


class Screen:
    """One connection to one X server. Coordinates are pixels of its screen."""

    def __init__(self, display: str) -> None:
        self._x11, self._xtst = _library("X11"), _library("Xtst")
        self._x11.XOpenDisplay.restype = c_void_p
        self._x11.XOpenDisplay.argtypes = (c_char_p,)
        self._x11.XDefaultRootWindow.restype = c_ulong
        self._x11.XDefaultRootWindow.argtypes = (c_void_p,)
        self._x11.XGetImage.restype = ctypes.POINTER(_Image)
        self._x11.XGetImage.argtypes = (c_void_p, c_ulong, c_int, c_int, c_uint, c_uint, c_ulong, c_int)
        self._x11.XStringToKeysym.restype = c_ulong
        self._x11.XStringToKeysym.argtypes = (c_char_p,)
        self._x11.XKeysymToKeycode.argtypes = (c_void_p, c_ulong)
        self._x11.XFlush.argtypes = (c_void_p,)
        self._x11.XFree.argtypes = (c_void_p,)
        self._xtst.XTestFakeKeyEvent.argtypes = (c_void_p, c_uint, c_int, c_ulong)
        opened = self._x11.XOpenDisplay(display.encode())
        if not opened:
            raise RuntimeError(f"no X server answers at {display}")
        self._display = c_void_p(opened)
        self._root = self._x11.XDefaultRootWindow(self._display)

    def press(self, name: str) -> None:
        """A key, down and up, by its X name (``Down``)."""
        code = self._x11.XKeysymToKeycode(self._display, self._x11.XStringToKeysym(name.encode())) & 0xFF
        for down in (1, 0):
            self._xtst.XTestFakeKeyEvent(self._display, code, down, 0)
        self._x11.XFlush(self._display)

    def look(self, x: int, y: int, width: int, height: int) -> bytes:
        """The pixels of a rectangle."""
        image = self._x11.XGetImage(self._display, self._root, x, y, width, height, ALL_PLANES, Z_PIXMAP)
        if not image:
            raise RuntimeError("the X server gives no picture")
        size = image.contents.bytes_per_line * image.contents.height
        pixels = ctypes.string_at(image.contents.data, size)
        self._x11.XFree(image.contents.data)
        self._x11.XFree(image)
        return pixels

    def key_to_picture_s(self, name: str, spot: tuple[int, int, int, int], within_s: float = 1.0) -> float:
        """Seconds from a key to other pixels at a spot. Raises TimeoutError when the spot stays as it is."""
        before = self.look(*spot)
        pressed = time.perf_counter()
        self.press(name)
        while self.look(*spot) == before:
            if time.perf_counter() - pressed > within_s:
                raise TimeoutError(f"{name} changed nothing at {spot}")
        return time.perf_counter() - pressed
