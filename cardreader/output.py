"""The end of a command's output: whoever read it may have seen enough and gone, as ``head`` does."""

from __future__ import annotations

import os
import select
import sys
import warnings
from collections.abc import Callable

NOBODY_READS = 128 + 13
"""Exit code then: what a shell says of a program that SIGPIPE (13) has ended."""


def until_nobody_reads(command: Callable[[], int]) -> int:
    """Runs a command; its exit code, or NOBODY_READS, in silence, when nobody reads its standard output any more.

    That the ciphers of the cards' standards are old is no news for whoever reads: such warnings are not shown.

    Raises:
        BrokenPipeError: it was not standard output that nobody reads.
    """
    warnings.filterwarnings("ignore", message=".*TripleDES")
    try:
        try:
            return command()
        finally:
            sys.stdout.flush()  # not only at the interpreter's end, which would complain
    except BrokenPipeError:
        if _is_read():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS


def _is_read() -> bool:
    output = select.poll()
    output.register(sys.stdout, 0)
    return not output.poll(0)
