"""What all commands of ``stb-card`` have in common: exit codes, words for people and for programs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

CHINA = timezone(timedelta(hours=8))
"""Where the cards are at home: their dates are of it."""


@dataclass(frozen=True, slots=True)
class Times:
    """Where the commands get the time from; in ``arguments.times``.

    Attributes:
        now: the present instant, aware.
        monotonic: seconds of a clock that only goes forward.
        sleep: returns after so many seconds.
    """

    now: Callable[[], datetime] = lambda: datetime.now(CHINA)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep


EXIT_OK, EXIT_CARD, EXIT_USAGE, EXIT_NO_READER, EXIT_NO_CARD = 0, 1, 2, 3, 4
EXIT_LEFT, EXIT_INTERRUPTED = 5, 130


def fail(code: int, message: str) -> int:
    """Says on standard error what is wrong; returns the exit code."""
    note(f"stb-card: {message}")
    return code


def note(text: str) -> None:
    """A line beside the output: what is wrong, or what to do now."""
    sys.stderr.write(f"{text}\n")


def say(text: str) -> None:
    """A line for people, at once: they watch."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def for_programs(content: Any) -> None:
    """One line of JSON."""
    say(json.dumps(content, ensure_ascii=False))


def reader_option(parser: argparse.ArgumentParser) -> None:
    """``--reader``."""
    parser.add_argument(
        "--reader", default="pcsc:", metavar="URL", help="pcsc:, pcsc:NAME or sim:PROFILE (default pcsc:)"
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
