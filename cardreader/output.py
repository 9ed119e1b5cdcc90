"""The end of a command's output: whoever read it may have seen enough and gone, as ``head`` does."""

from __future__ import annotations

import os
import select
import sys
import warnings
from collections.abc import Callable

NOBODY_READS = 128 + 13
"""Exit code then: what a shell says of a program that SIGPIPE (13) has ended."""
UNWRITABLE = 2
"""Exit code when standard output is a file that cannot be written, as on a full disk."""


def until_nobody_reads(command: Callable[[], int]) -> int:
    """Runs a command; its exit code, or NOBODY_READS, in silence, when nobody reads its standard output any more, or UNWRITABLE
    when that cannot be written, which is said.

    That the ciphers of the cards' standards are old is no news for whoever reads: such warnings are not shown.

    Raises:
        OSError: it was another file than standard output; BrokenPipeError, another pipe.
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
        _give_up()
        return NOBODY_READS
    except OSError as error:
        if _is_written():
            raise
        _give_up()
        why = (error.strerror or "no reason is known").lower()
        sys.stderr.write(f"what is to be printed cannot be written ({why})\n")
        return UNWRITABLE


def _give_up() -> None:
    """What still waits to be written is for nobody."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_written() -> bool:
    try:
        sys.stdout.flush()  # what could not be written waits there still
    except OSError:
        return False
    return True


def _is_read() -> bool:
    output = select.poll()
    output.register(sys.stdout, 0)
    return not output.poll(0)
