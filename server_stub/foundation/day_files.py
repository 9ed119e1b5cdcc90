"""Files that two sides exchange about a business day: a header with the totals, a line a record, and the totals again.

ASCII, ``|`` between fields, each line ended by a newline (CR LF is read too). The header is ``H|KIND|YYYYMMDD|COUNT|FEN``
with a fixed width, the trailer the same with ``T``; a record is ``D|REFERENCE|FEN|`` and what its kind has besides. A
file without its trailer was cut; one whose totals are not those of its lines is not what the other side has meant. Either
is refused as a whole. A line that cannot be understood stops no other (payments.md, rule 7).

FileBad          a file that cannot be used; the text says which line, and what is wrong
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO

from server_stub.foundation.sentences import N_, Refusal

HEADER, RECORD, TRAILER = "H", "D", "T"
SEPARATOR = "|"
LONGEST_LINE = 4096
"""Bytes; nothing that we know of comes near it."""
_EDGE = re.compile(r"([HT])\|([A-Z]{4})\|(\d{8})\|(\d{10})\|(\d{15})")
_FEN = re.compile(r"\d{1,15}")


class FileBad(Refusal):
    """A file that cannot be used: nothing of it was."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a file says of itself: how many records, and their sum in fen."""

    count: int
    fen: int


@dataclass(frozen=True, slots=True)
class Line:
    """A record as it stands in a file.

    Attributes:
        number: of the line, from 1.
        fields: after ``D``: reference, amount, and the kind's own.
        fault: what is wrong with it; empty where it can be read.
    """

    number: int
    fields: tuple[str, ...]
    fault: str = ""

    @property
    def reference(self) -> str:
        """What both sides know the record by."""
        return self.fields[0] if self.fields else ""

    @property
    def amount_fen(self) -> int:
        """Of a line without a fault."""
        return int(self.fields[1])


def name_of(kind: str, day: date) -> str:
    """The file's place below the agreed folder.

    >>> name_of("XFMX", date(2026, 6, 21))
    'XFMX/XFMX20260621.TXT'
    """
    return f"{kind}/{kind}{day:%Y%m%d}.TXT"


class Writer:
    """Writes a file in one pass; whatever was there is gone. It is whole once the ``with`` around it has ended.

    Attributes:
        totals: of what was written so far.
    """

    def __init__(self, path: Path, kind: str, day: date) -> None:
        self.totals = Totals(0, 0)
        self._kind = kind
        self._day = day
        self._file = path.open("w", encoding="ascii", newline="\n")
        self._file.write(_edge(HEADER, kind, day, self.totals))

    def add(self, record: Sequence[str | int]) -> None:
        """A record: reference, amount in fen, and the kind's own fields.

        Raises:
            ValueError: a field has a character that no line can hold: ``|``, a control character, or none of ASCII.
        """
        fields = [str(field) for field in record]
        if not all(field.isascii() and field.isprintable() and SEPARATOR not in field for field in fields):
            raise ValueError(f"record {fields[0]!r} has a field that no line can hold")
        self._file.write(SEPARATOR.join((RECORD, *fields)) + "\n")
        self.totals = Totals(self.totals.count + 1, self.totals.fen + int(record[1]))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        with self._file:
            if kind is not None:
                return
            self._file.write(_edge(TRAILER, self._kind, self._day, self.totals))
            self._file.seek(0)
            self._file.write(_edge(HEADER, self._kind, self._day, self.totals))
            self._file.flush()
            os.fsync(self._file.fileno())


def check(path: Path, kind: str, day: date) -> Totals:
    """Goes through a file once. Returns its totals, which are right.

    Raises:
        FileBad: it is another file, was cut, or says other totals than its lines have.
    """
    count = fen = 0
    with _opened(path) as file:
        told = _expect(file.readline(LONGEST_LINE), HEADER, kind, day, 1)
        number, ended = 1, False
        for number, text in enumerate(_bounded(file), 2):
            if ended:
                raise FileBad(N_("line %(line)s: something comes after the trailer"), line=number)
            if text[:2] == TRAILER + SEPARATOR:
                if _expect(text, TRAILER, kind, day, number) != told:
                    raise FileBad(
                        N_("line %(line)s: the trailer says other totals than the header"), line=number
                    )
                ended = True
                continue
            count += 1
            fields = text.split(SEPARATOR, 3)
            if len(fields) > 2 and _FEN.fullmatch(fields[2].rstrip("\r\n")):
                fen += int(fields[2])
        if not ended:
            raise FileBad(
                N_("line %(line)s: the file ends without its trailer: it was cut short"), line=number
            )
    if told != Totals(count, fen):
        said = N_("it says %(count)s records with %(told_fen)s; there are %(found)s with %(found_fen)s")
        raise FileBad(said, count=told.count, told_fen=told.fen, found=count, found_fen=fen)
    return told


def read(path: Path, kind: str, width: int) -> Iterator[Line]:
    """The records of a file that was checked.

    Args:
        width: how many fields a record of this kind has, without the ``D``.
    """
    with _opened(path) as file:
        for number, text in enumerate(_bounded(file), 1):
            if text[:2] in (HEADER + SEPARATOR, TRAILER + SEPARATOR):
                continue
            yield _line(number, text.rstrip("\r\n"), width)


def _line(number: int, text: str, width: int) -> Line:
    mark, *fields = text.split(SEPARATOR)
    if mark != RECORD or not text.isascii() or not text.isprintable():
        return Line(number, tuple(fields), "it is no record")
    if len(fields) != width:
        return Line(number, tuple(fields), f"it has {len(fields)} fields, not {width}")
    if not _FEN.fullmatch(fields[1]):
        return Line(number, tuple(fields), "its amount is no whole number of fen")
    return Line(number, tuple(fields))


def _edge(mark: str, kind: str, day: date, totals: Totals) -> str:
    return f"{mark}|{kind}|{day:%Y%m%d}|{totals.count:010d}|{totals.fen:015d}\n"


def _expect(text: str, mark: str, kind: str, day: date, number: int) -> Totals:
    found = _EDGE.fullmatch(text.rstrip("\r\n"))
    what = "header" if mark == HEADER else "trailer"
    if found is None or found[1] != mark:
        like = _edge(mark, kind, day, Totals(0, 0)).strip()
        raise FileBad(
            N_("line %(line)s: a %(what)s like %(like)s is expected"), line=number, what=what, like=like
        )
    if found[2] != kind:
        said = N_("line %(line)s: this is a file %(found)s, not %(kind)s")
        raise FileBad(said, line=number, found=found[2], kind=kind)
    if found[3] != f"{day:%Y%m%d}":
        said = N_("line %(line)s: this is the file of %(found)s, not of %(day)s")
        raise FileBad(said, line=number, found=found[3], day=f"{day:%Y%m%d}")
    return Totals(int(found[4]), int(found[5]))


def _bounded(file: IO[str]) -> Iterator[str]:
    """Its lines; what goes on for longer than any line of ours comes in pieces, none of which is a record."""
    while text := file.readline(LONGEST_LINE):
        yield text


def _opened(path: Path) -> IO[str]:
    # What is not ASCII is a fault of its line alone.
    return path.open(encoding="ascii", errors="replace", newline="\n")


def day_in(name: str, kind: str) -> date | None:
    """The day in a file's name; None for a name of another kind.

    >>> day_in("XFMX/XFMX20260621.TXT", "XFMX"), day_in("XFMX/notes.TXT", "XFMX")
    (datetime.date(2026, 6, 21), None)
    """
    found = re.fullmatch(rf"(?:{kind}/)?{kind}(\d{{8}})\.TXT", name)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y%m%d").date()  # noqa: DTZ007 - a date alone
    except ValueError:
        return None
