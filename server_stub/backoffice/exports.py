"""Tables as files for a spreadsheet: CSV and XLSX, written row by row, so that their memory does not grow with them.

A spreadsheet takes a cell that begins like a formula for one; what others have typed is never one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from xlsxwriter import Workbook

from server_stub.foundation.clock import CHINA
from server_stub.foundation.text import harmless

KEPT = timedelta(days=1)
MOST_ROWS = 500_000
FORMATS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""Endings of names, and what they are."""
Cell = str | int | datetime | None


class Column(NamedTuple):
    """A title, and what stands below it: ``text``, ``fen`` (shown in yuan), ``number`` or ``time``."""

    title: str
    kind: str = "text"


class Writer(Protocol):
    """Takes rows; the file is whole once it is closed."""

    def rows(self, rows: Iterable[Sequence[Cell]]) -> int:
        """Writes some; returns how many."""
        ...

    def close(self) -> None:
        """The end."""
        ...


def writer(path: Path, kind: str, columns: Sequence[Column], title: str) -> Writer:
    """Begins a file of one of FORMATS, which is not there yet."""
    return _Csv(path, columns) if kind == "csv" else _Xlsx(path, columns, title)


class _Csv:
    """UTF-8 with a mark at the beginning, without which a spreadsheet takes Chinese for something else."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._csv = csv.writer(self._file)
        self._csv.writerow([harmless(column.title) for column in columns])

    def rows(self, rows: Iterable[Sequence[Cell]]) -> int:
        count = 0
        for row in rows:
            count += 1
            self._csv.writerow(list(map(_plain, row, self._columns)))
        return count

    def close(self) -> None:
        self._file.close()


def _plain(value: Cell, column: Column) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, int):
        sign, fen = ("-" if value < 0 else ""), abs(value)
        return f"{sign}{fen // 100}.{fen % 100:02d}" if column.kind == "fen" else str(value)
    return harmless(value)


class _Xlsx:
    """Its header stays where it is, and can be filtered by; numbers are numbers, times are times."""

    def __init__(self, path: Path, columns: Sequence[Column], title: str) -> None:
        # Nothing of a text is looked at for what it might be.
        options = {"constant_memory": True, "tmpdir": str(path.parent), "strings_to_formulas": False}
        self._book = Workbook(str(path), {**options, "strings_to_urls": False, "strings_to_numbers": False})
        self._sheet = self._book.add_worksheet(
            "".join(one for one in title if one not in "[]:*?/\\'")[:31] or "1"
        )
        self._columns = columns
        self._line = 0
        header = self._book.add_format({"bold": True, "bg_color": "#E8EEF8", "bottom": 1})
        self._formats = {
            "fen": self._book.add_format({"num_format": "#,##0.00"}),
            "number": self._book.add_format({"num_format": "#,##0"}),
            "time": self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            "text": self._book.add_format({"num_format": "@"}),
        }
        self._sheet.freeze_panes(1, 0)
        for place, column in enumerate(columns):
            self._sheet.set_column(place, place, 20 if column.kind in ("time", "text") else 13)
            self._sheet.write_string(0, place, column.title, header)

    def rows(self, rows: Iterable[Sequence[Cell]]) -> int:
        count = 0
        for row in rows:
            count += 1
            self._line += 1
            for place, (value, column) in enumerate(zip(row, self._columns, strict=True)):
                self._put(place, value, column)
        return count

    def close(self) -> None:
        self._sheet.autofilter(0, 0, self._line, len(self._columns) - 1)
        self._book.close()

    def _put(self, place: int, value: Cell, column: Column) -> None:
        style: Any = self._formats[column.kind]
        if value is None:
            return
        if isinstance(value, datetime):
            # A spreadsheet has no zones: the clock on China's walls.
            self._sheet.write_datetime(self._line, place, value.astimezone(CHINA).replace(tzinfo=None), style)
        elif isinstance(value, int):
            self._sheet.write_number(self._line, place, value / 100 if column.kind == "fen" else value, style)
        else:
            self._sheet.write_string(self._line, place, harmless(value), style)
