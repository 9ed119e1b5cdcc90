"""What all commands of ``stb-card`` have in common: exit codes, words for people and for programs."""

from __future__ import annotations

import argparse
import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cardreader.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Times:
    """Where the commands get the time from; in ``arguments.times``.

    Attributes:
        now: the present instant, aware.
        monotonic: seconds of a clock that only goes forward.
        sleep: returns after so many seconds.
    """

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], object]


ANY_READER = "pcsc:"
_CONTROL = ("Cc", "Cf", "Cs")
EXIT_OK, EXIT_CARD, EXIT_USAGE, EXIT_NO_READER, EXIT_NO_CARD = 0, 1, 2, 3, 4
EXIT_LEFT, EXIT_OCCUPIED, EXIT_INTERRUPTED = 5, 6, 130
EXIT_CODES = """exit codes:
  0    done
  1    the card cannot be used as asked, or nothing on it can be read
  2    wrong command line (an unknown PROFILE too), or a file or folder that cannot be used, or printed to
  3    no reader, or none that can be used: in use by another program, silent, no reader service
  4    no card in time
  5    the card left by itself, as a fault had asked
  6    there is a card in the virtual reader already, or the same card is in another one
  130  interrupted
  141  nobody reads what is printed"""


class WrongArgument(Exception):
    """What the command line asks for is not there; the text says what would be right."""


class FileUnusable(WrongArgument):
    """A file does not hold what it should; the text says which, and what is wrong with it."""


@contextmanager
def from_file() -> Iterator[None]:
    """Here what no standard allows comes from a file, not from a card. Raises FileUnusable."""
    try:
        yield
    except ProtocolError as error:
        raise FileUnusable(str(error)) from error


def fail(code: int, message: str) -> int:
    """Says on standard error what is wrong; returns the exit code."""
    note(f"stb-card: {message}")
    return code


def note(text: str) -> None:
    """A line beside the output: what is wrong, or what to do now."""
    sys.stderr.write(f"{_harmless(text)}\n")


def say(text: str) -> None:
    """A line for people, at once: they watch."""
    sys.stdout.write(f"{_harmless(text)}\n")
    sys.stdout.flush()


def _harmless(text: str) -> str:
    """What cards and files say may have control characters in it, and half characters: a terminal would obey them."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(one) in _CONTROL and one != "\n" else one
        for one in text
    )


def for_programs(content: Any) -> None:
    """One line of JSON."""
    say(json.dumps(content, ensure_ascii=False))


def reader_option(parser: argparse.ArgumentParser, default: str | None = ANY_READER) -> None:
    """``--reader``."""
    parser.add_argument(
        "--reader",
        default=default,
        metavar="URL",
        help=f"pcsc:, pcsc:NAME or sim:PROFILE (default {ANY_READER})",
    )


def json_option(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="for programs")


def unreadable(path: Path, error: OSError) -> str:
    """Why a file cannot be read, in a few words."""
    return f"{path} cannot be read ({(error.strerror or 'no reason is known').lower()})"


def unwritable(path: Path, error: OSError, option: str) -> str:
    """Why a file cannot be written, and what to do."""
    return f"{path} cannot be written ({(error.strerror or 'no reason is known').lower()}); give {option} another file"
