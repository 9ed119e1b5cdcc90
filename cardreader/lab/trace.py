"""Traces: every command with its answer, meaning and time; shown to people, kept in a file that can be played as a card.

A trace is lines of JSON: first what and where, then one line a command. PINs are overwritten before anything is kept. A
card's number stands in it where a card has told it, so its file is for its owner alone.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from cardreader.apdu import masked
from cardreader.errors import CardRemoved, ProtocolError
from cardreader.lab.masking import masked_answer
from cardreader.lab.meaning import explain
from cardreader.reader import Connection
from cardreader.status import meaning

FORMAT = 1
LONGEST_LINE = 4096
"""Characters; a short APDU and its answer take a fourth of it."""
MOST_LINES = 100_000
LONGEST_ATR, SHORTEST_COMMAND = 33, 4
"""Bytes (ISO 7816-3, 8.2.1 and 12.1)."""


@runtime_checkable
class Powered(Protocol):
    """A connection that knows its card's answer to reset."""

    @property
    def atr(self) -> bytes:
        """ISO 7816-3, 8.2."""
        ...


@runtime_checkable
class Recorded(Protocol):
    """A connection whose card may be a recording that is played."""

    def recording(self) -> str:
        """The recording's file; empty where it is none. Raises CardRemoved."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """A command and its answer.

    Attributes:
        command: APDU, with a PIN in it overwritten.
        at_ms: since the card was powered. ``took_ms``: until the answer was there.
        sw: status word; None where the card left instead of answering.
    """

    command: bytes
    data: bytes
    sw: int | None
    at_ms: float
    took_ms: float

    def line(self) -> str:
        """For people: time, what was asked, what was said, both as bytes too."""
        said = "the card left" if self.sw is None else f"{self.sw:04X} {meaning(self.sw)}"
        answer = masked_answer(self.command, self.data)
        asked = f"{self.at_ms:9.1f} ms  {explain(self.command)}: {said} ({self.took_ms:.1f} ms)"
        return f"{asked}\n{'':14}> {self.command.hex().upper()}\n{'':14}< {answer or '-'}"


@dataclass(frozen=True, slots=True)
class Trace:
    """What was exchanged with one card.

    Attributes:
        atr: answer to reset; empty where the reader does not tell.
        made_at: ISO 8601.
    """

    reader: str
    atr: bytes
    made_at: str
    exchanges: tuple[Exchange, ...]

    def to_text(self) -> str:
        """As it is kept in a file."""
        head = {
            "stb_card_trace": FORMAT,
            "reader": self.reader,
            "atr": self.atr.hex().upper(),
            "made_at": self.made_at,
        }
        return "".join(
            json.dumps(line, ensure_ascii=False) + "\n" for line in (head, *map(_content, self.exchanges))
        )


def _content(one: Exchange) -> dict[str, Any]:
    return {
        "at_ms": one.at_ms,
        "took_ms": one.took_ms,
        "command": one.command.hex().upper(),
        "answer": one.data.hex().upper(),
        "sw": None if one.sw is None else f"{one.sw:04X}",
        "meaning": explain(one.command),
    }


class Recorder:
    """A connection that remembers what goes over it.

    Args:
        monotonic: seconds of a clock that only goes forward.
        tell: told of each exchange when it is over.
    """

    def __init__(
        self, connection: Connection, monotonic: Callable[[], float], tell: Callable[[Exchange], None] = lambda _: None
    ) -> None:  # fmt: skip
        self.exchanges: list[Exchange] = []
        self.atr = connection.atr if isinstance(connection, Powered) else b""
        self._connection = connection
        self._monotonic = monotonic
        self._tell = tell
        self._began = monotonic()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        asked = self._monotonic()
        try:
            data, sw = self._connection.transmit(apdu)
        except CardRemoved:
            self._keep(apdu, b"", None, asked)
            raise
        self._keep(apdu, data, sw, asked)
        return data, sw

    def recording(self) -> str:
        """The file of the recording that is played as this card; empty where it is none. Nothing of it is remembered.

        Raises CardRemoved.
        """
        return self._connection.recording() if isinstance(self._connection, Recorded) else ""

    def close(self) -> None:
        self._connection.close()

    def _keep(self, apdu: bytes, data: bytes, sw: int | None, asked: float) -> None:
        # As it will be kept: shown now and shown again, it says the same.
        at_ms, took_ms = round(1000 * (asked - self._began), 2), round(1000 * (self._monotonic() - asked), 2)
        one = Exchange(masked(apdu), data, sw, at_ms, took_ms)
        self.exchanges.append(one)
        self._tell(one)


def try_place(path: Path) -> None:
    """Whether `save` could write there: leaves what is there as it is. Raises OSError as `save`."""
    beside, part = _begun(path)
    os.close(beside)
    part.unlink()


def save(trace: Trace, path: Path) -> None:
    """Writes a file that only its owner can read, whole or not at all; through a link, the file that this names.

    Raises:
        OSError: it cannot be written; or something else is there than a trace or an empty file, and is left as it is.
    """
    beside, part = _begun(path)
    try:
        with os.fdopen(beside, "w", encoding="utf-8") as file:
            file.write(trace.to_text())
            file.flush()
            os.fsync(file.fileno())
        part.replace(os.path.realpath(path))
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _begun(path: Path) -> tuple[int, Path]:
    """What takes the file's place when it is whole: open, and in the same folder."""
    _check_place(path)
    beside, part = tempfile.mkstemp(prefix=".trace-", dir=Path(os.path.realpath(path)).parent)
    return beside, Path(part)


def _check_place(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        # Renamed over, a device is gone for every program; written to, a pipe may have no reader for ever.
        raise OSError(errno.EINVAL, "it is a device or a pipe, and no file", str(path))
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE + 1)
    try:
        if first:
            _head(first.decode("utf-8"))
    except (UnicodeDecodeError, ProtocolError) as error:
        raise FileExistsError(errno.EEXIST, "it is there already, and no trace", str(path)) from error


def load(path: Path) -> Trace:
    """Reads a trace. Raises OSError; ProtocolError as ``read``, with the file's name."""
    with path.open("rb") as file:
        try:
            return read(_lines(file.readline))
        except ProtocolError as error:
            raise ProtocolError(f"{path}: {error}") from error


def _lines(next_line: Callable[[int], bytes]) -> Iterator[str]:
    for number in range(1, MOST_LINES + 2):
        line = next_line(LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > LONGEST_LINE:
            raise ProtocolError(f"line {number} is longer than {LONGEST_LINE} bytes")
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolError(f"line {number} is not UTF-8") from error
    raise ProtocolError(f"there are more than {MOST_LINES} lines")


def read(lines: Iterator[str] | Sequence[str]) -> Trace:
    """Reads a trace's lines.

    Raises:
        ProtocolError: it is none, or damaged; says in which line and what is wrong there.
    """
    numbered = enumerate(lines, 1)
    _, first = next(numbered, (1, ""))
    head = _head(first)
    exchanges = tuple(_exchange(number, _object(number, line)) for number, line in numbered)
    reader, made_at = (_text(1, head, name) for name in ("reader", "made_at"))
    atr = _bytes(1, head, "atr")
    if len(atr) > LONGEST_ATR:
        raise ProtocolError(f"line 1: atr is longer than {LONGEST_ATR} bytes")
    return Trace(reader, atr, made_at, exchanges)


def _head(line: str) -> dict[str, Any]:
    head = _object(1, line)
    if head.get("stb_card_trace") != FORMAT:
        raise ProtocolError("line 1: this is no trace of stb-card, or one of another version")
    return head


def _object(number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"line {number} is not JSON") from error
    if not isinstance(found, dict):
        raise ProtocolError(f"line {number} is not a JSON object")
    return found


def _exchange(number: int, content: dict[str, Any]) -> Exchange:
    sw = content.get("sw")
    if sw is not None:
        word = _bytes(number, content, "sw")
        if len(word) != 2:
            raise ProtocolError(f"line {number}: sw is not two bytes")
        sw = int.from_bytes(word)
    at_ms, took_ms = (_milliseconds(number, content, name) for name in ("at_ms", "took_ms"))
    command, answer = _bytes(number, content, "command"), _bytes(number, content, "answer")
    if len(command) < SHORTEST_COMMAND:
        raise ProtocolError(f"line {number}: command is shorter than {SHORTEST_COMMAND} bytes")
    return Exchange(command, answer, sw, at_ms, took_ms)


def _text(number: int, content: dict[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ProtocolError(f"line {number}: {name} is not a text")
    return value


def _bytes(number: int, content: dict[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(_text(number, content, name))
    except ValueError as error:
        raise ProtocolError(f"line {number}: {name} is not hexadecimal") from error


def _milliseconds(number: int, content: dict[str, Any], name: str) -> float:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ProtocolError(f"line {number}: {name} is not a time in milliseconds")
    return float(value)
