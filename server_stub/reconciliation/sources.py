"""Where the records of a book come from: a file of some layout, or whatever can be gone through once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

from server_stub.reconciliation.layout import REPLACED, BadLine, Column, Ends, Layout
from server_stub.reconciliation.reading import FileRefused, Prepared, prepare
from server_stub.reconciliation.records import Record

PLAIN = Layout(
    form="delimited",
    separator="\x1f",
    columns=(
        Column(name="key"),
        Column(name="amount", kind="fen"),
        Column(name="currency"),
        Column(name="status"),
        Column(name="day", kind="date"),
        Column(name="note"),
    ),
)
"""How records that are in no file are put down to be compared."""
AT_ONCE = 2_000
_ODD = re.compile(r"[\x00-\x09\x0b-\x1e\x7f\ufffd\ud800-\udfff]")
_IN_NOTE = re.compile(r"[\x00-\x1f\x7f\ufffd\ud800-\udfff]")


class Source(Protocol):
    """A book's records of a day; nothing of it is kept in memory.

    That of the other side is prepared in a thread of its own, beside ours.
    """

    def prepare(self, day: date, work: Path) -> Prepared:
        """Makes them a file that can be read. Raises FileRefused.

        Args:
            work: folder for what has to be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file of an agreed layout.

    Args:
        name: for people; "": that of the file.
    """

    path: Path
    layout: Layout
    name: str = ""

    def prepare(self, day: date, work: Path) -> Prepared:
        name = self.name or self.path.name
        try:
            return replace(prepare(self.path, self.layout, day, work), name=name)
        except FileRefused as error:
            raise FileRefused(name, error.line, error.why) from error

    def records(self, day: date, work: Path, currency: str = "") -> Iterator[tuple[int, Record | BadLine]]:
        """The records, or what is wrong with a line, each with its line's number: for whoever wants them one by one.

        Raises:
            FileRefused: it has no header, trailer or character set as it should; what the trailer declares is not checked.
        """
        for number, line in self.prepare(day, work).lines():
            try:
                yield number, self.layout.record(line, day, currency)
            except BadLine as error:
                yield number, error


@dataclass(frozen=True, slots=True)
class RecordSource:
    """Records from elsewhere, as a database; they are gone through once.

    Args:
        name: for people.
    """

    records: Iterable[Record]
    name: str = "records"

    def prepare(self, day: date, work: Path) -> Prepared:
        dirty = False
        every = iter(self.records)
        # Under a name of its own: the other book may be put down there, too.
        with NamedTemporaryFile(
            "w", prefix="records-", dir=work, delete=False, encoding="utf-8", newline="\n"
        ) as file:
            while lines := [_line(record) for record in islice(every, AT_ONCE)]:
                text = "\n".join(lines) + "\n"
                if _ODD.search(text):
                    text, dirty = _ODD.sub(REPLACED, text), True
                file.write(text)
        return Prepared(Path(file.name), self.name, PLAIN, 0, dirty, None, Ends())


def _line(record: Record) -> str:
    # A key or a status with an end of a line in it is nobody's; a note may have some.
    fields = (record.key, str(record.amount_fen), record.currency, record.status, _iso(record.day))
    line = "\x1f".join(fields)
    if line.count("\x1f") > 4 or "\n" in line:
        line = "\x1f".join(field.replace("\x1f", REPLACED).replace("\n", REPLACED) for field in fields)
    return f"{line}\x1f{_IN_NOTE.sub(' ', record.note) if record.note else ''}"


@lru_cache(maxsize=64)
def _iso(day: date) -> str:
    return day.isoformat()
