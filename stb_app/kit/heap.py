"""Memory that is free, given back to the machine.

Pages come and go with pictures of every size; the C library keeps the holes that they leave, 10 to 15 MB after a while.
"""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Returns the free pages of the C library's heap, where it can do that (glibc: malloc_trim(3)); takes 1 to 2 ms."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and leaves fewer holes
        if trim is not None:
            trim(0)
