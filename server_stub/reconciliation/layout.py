"""Layouts of files as data: what is in a line, and where; one declaration reads and writes.

LayoutError      a record that a layout cannot hold
BadLine          a line that is none of the layout's records
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from server_stub.foundation.audit import canonical
from server_stub.foundation.sentences import N_, Refusal
from server_stub.reconciliation.records import Record, Totals

REPLACED = "\ufffd"
"""Stands where a control character was. A line that has it is malformed."""
CONTROLS = frozenset((*map(chr, range(32)), "\x7f"))
MOST_DIGITS = 15
FEN = rf"-?[0-9]{{1,{MOST_DIGITS}}}"
YUAN = r"-?[0-9]{1,13}(\.[0-9]{1,2})?"
OF_RECORD = ("amount", "currency", "status", "day")
"""Names of columns with a meaning; those of the key besides. All others are notes."""
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
_PATTERN = re.compile(r"(?:%[YmdHMS]|[-/.: T])+")


class LayoutError(Exception):
    """A record that the layout cannot hold; the text says which and why."""


class BadLine(Refusal):
    """A line that is none of the layout's records; the text says why."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What header and trailer of a file say; None: nothing.

    Args:
        count, fen: of the records, and the sum of their amounts.
    """

    day: date | None = None
    count: int | None = None
    fen: int | None = None

    def __or__(self, other: Ends) -> Ends:
        """The same, with what the other says besides."""
        count = self.count if other.count is None else other.count
        return Ends(other.day or self.day, count, self.fen if other.fen is None else other.fen)


class Column(BaseModel):
    """One column.

    Args:
        name: of a record ``amount``, ``currency``, ``status``, ``day``, what the layout's ``key`` names, or a note's; of
            header and trailer ``count``, ``fen``, ``day`` or anything else.
        kind: ``fen`` and ``yuan`` are amounts (``1234``, ``12.34``), ``date`` has a pattern, ``constant`` a value.
        pattern: of %Y %m %d, perhaps %H %M %S, and ``- / . : T`` or space between them.
        width: of fixed-width lines.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")
    kind: Literal["text", "count", "fen", "yuan", "date", "constant"] = "text"
    pattern: str = "%Y-%m-%d"
    value: str = ""
    width: int | None = Field(default=None, ge=1, le=10_000)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "date":
            wanted = ("%Y", "%m", "%d")
            if not _PATTERN.fullmatch(self.pattern) or any(self.pattern.count(one) != 1 for one in wanted):
                raise ValueError(f"pattern {self.pattern!r}: of %Y %m %d, once each, and %H %M %S")
        return self

    def read(self, text: str, cut_off: time | None = None) -> str | int | date:
        """What a field says. Raises BadLine."""
        match self.kind:
            case "constant" if text != self.value:
                told = {"column": self.name, "text": text, "value": self.value}
                raise BadLine(N_("%(column)s is '%(text)s', not '%(value)s'"), **told)
            case "fen" | "count":
                if not re.fullmatch(FEN, text):
                    if re.fullmatch(r"-?[0-9]+", text):
                        said = N_("%(column)s is '%(text)s', which has more than %(most)s digits")
                        raise BadLine(said, column=self.name, text=text, most=MOST_DIGITS)
                    raise BadLine(
                        N_("%(column)s is '%(text)s', not a whole number"), column=self.name, text=text
                    )
                return int(text)
            case "yuan":
                if not re.fullmatch(YUAN, text):
                    said = N_("%(column)s is '%(text)s', not an amount like 12.34")
                    raise BadLine(said, column=self.name, text=text)
                whole, _, cents = text.removeprefix("-").partition(".")
                fen = int(whole) * 100 + int(cents.ljust(2, "0"))
                return -fen if text.startswith("-") else fen
            case "date":
                try:
                    at = datetime.strptime(text, self.pattern)  # noqa: DTZ007 - a date of China's calendar
                except ValueError:
                    at = datetime.min  # noqa: DTZ901
                late = cut_off is not None and at.time() >= cut_off
                day = at.date()
                if not FIRST_DAY <= day <= LAST_DAY or at.strftime(self.pattern) != text:
                    told = {"column": self.name, "text": text, "pattern": self.pattern}
                    raise BadLine(N_("%(column)s is '%(text)s', not a date like %(pattern)s"), **told)
                return day + timedelta(days=1) if late else day
        return text

    def form(self, value: str | int | date) -> str:
        """The field that says it."""
        match self.kind:
            case "constant":
                return self.value
            case "yuan" if isinstance(value, int):
                fen = value
                return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"
            case "date" if isinstance(value, date):
                return value.strftime(self.pattern)
        return str(value)


Columns = tuple[Column, ...]


class Layout(BaseModel):
    """How the lines of a file are made.

    Args:
        form: ``delimited`` or ``fixed`` width.
        charset: of files that are written, and the first that is tried.
        charsets: others that are tried, in this order.
        header, trailer: columns of the first and the last line; a trailer may declare ``count`` and ``fen``.
        skip: lines before the first record whose text is of no interest; not together with a header.
        key: columns that together are the key; in a record they are joined by ``joined_by``.
        strip: characters that may stand around a field and are not part of it; spaces, in lines of fixed width.
        currency: of files without such a column.
        cut_off: dates with a time from then on belong to the next business day.
        end: of written lines; both are read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal["delimited", "fixed"]
    columns: Columns = Field(min_length=2)
    separator: str = Field(default="|", min_length=1, max_length=4)
    charset: str = "utf-8"
    charsets: tuple[str, ...] = ()
    header: Annotated[Columns, Field(min_length=1)] | None = None
    trailer: Annotated[Columns, Field(min_length=1)] | None = None
    skip: int = Field(default=0, ge=0, le=100)
    key: tuple[str, ...] = ("key",)
    joined_by: str = "-"
    strip: str = ""
    currency: str | None = None
    cut_off: time | None = None
    end: Literal["lf", "crlf"] = "lf"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for charset in self.every_charset:
            try:
                codecs.lookup(charset)
            except LookupError:
                raise ValueError(f"there is no character set {charset!r}") from None
        if set("\n\r\0") & set(self.separator + self.strip):
            raise ValueError("what ends a line cannot stand in it")
        if self.header is not None and self.skip:
            raise ValueError("either a header or lines to skip")
        names = [column.name for column in self.columns]
        if missing := [name for name in (*self.key, "amount") if name not in names]:
            raise ValueError(f"there is no column {missing[0]}; there are {', '.join(names)}")
        kinds = {"amount": ("fen", "yuan"), "day": ("date",)}
        for columns in (self.columns, self.header or (), self.trailer or ()):
            if self.form == "fixed" and any(column.width is None for column in columns):
                raise ValueError("in lines of fixed width each column has a width")
            if len({column.name for column in columns}) < len(columns):
                raise ValueError("two columns have one name")
        for column in self.columns:
            if column.kind not in kinds.get(column.name, ("text", "constant", "date", "fen", "yuan")):
                raise ValueError(f"column {column.name} is of kind {' or '.join(kinds[column.name])}")
        return self

    @property
    def every_charset(self) -> tuple[str, ...]:
        """The character sets that are tried, in their order."""
        return self.charset, *self.charsets

    @cached_property
    def controls(self) -> str:
        """Control characters that make a line malformed."""
        return "".join(sorted(CONTROLS - {*self.separator, *self.strip, "\n"}))

    @cached_property
    def faults(self) -> re.Pattern[str]:
        """Finds those, and what stands where one was."""
        return re.compile(f"[{re.escape(self.controls)}{REPLACED}]")

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Names of the columns that make a record's note."""
        own = {*self.key, *OF_RECORD}
        return tuple(one.name for one in self.columns if one.name not in own and one.kind != "constant")

    def fields(self, line: str, columns: Columns) -> list[str]:
        """The fields of a line. Raises BadLine."""
        if self.faults.search(line):
            raise BadLine(N_("control characters"))
        found = self.cut(line, columns)
        if len(found) != len(columns):
            raise BadLine(N_("%(found)s fields, not %(wanted)s"), found=len(found), wanted=len(columns))
        width = sum(column.width or 0 for column in columns)
        if self.form == "fixed" and len(line) != width:
            raise BadLine(N_("%(found)s characters, not %(wanted)s"), found=len(line), wanted=width)
        return found

    def cut(self, line: str, columns: Columns) -> list[str]:
        """The fields of a line, as many as there are."""
        if self.form == "delimited":
            return [field.strip(self.strip) for field in line.split(self.separator)]
        found, start = [], 0
        for column in columns:
            assert column.width is not None
            found.append(line[start : start + column.width].strip(self.strip or " "))
            start += column.width
        return found

    def record(self, line: str, day: date, currency: str = "") -> Record:
        """The record that a line is, with currency and status as they stand in it. Raises BadLine.

        Args:
            day, currency: of files without such a column.
        """
        named = dict(zip((one.name for one in self.columns), self.fields(line, self.columns), strict=True))
        read = {one.name: one.read(named[one.name], self.cut_off) for one in self.columns}
        if not all(named[name] for name in self.key):
            raise BadLine(N_("there is no key"))
        amount, on = read["amount"], read.get("day", day)
        assert isinstance(amount, int)
        assert isinstance(on, date)
        key = self.joined_by.join(named[name] for name in self.key)
        currency = named.get("currency", self.currency or currency)
        return Record(key, amount, currency, named.get("status", ""), on, self._note(named))

    def line(self, record: Record) -> str:
        """The line of a record, without its end. Raises LayoutError."""
        parts: Sequence[str] = [record.key]
        if len(self.key) > 1:
            parts = record.key.split(self.joined_by)
        if len(parts) != len(self.key):
            raise LayoutError(f"record {record.key}: its key has not {len(self.key)} parts")
        values: dict[str, str | int | date] = dict(zip(self.key, parts, strict=True))
        values |= {"amount": record.amount_fen, "currency": record.currency}
        values |= {"status": record.status, "day": record.day}
        if len(self.notes) == 1:
            values[self.notes[0]] = record.note
        elif self.notes:
            values |= json.loads(record.note or "{}")
        line = self.join(self.columns, values)
        try:
            if "\n" in line:
                raise BadLine(N_("it has the end of a line in it"))
            clean = line if line.isascii() else self.join(self.columns, values, in_bytes=False)
            back = self.record(clean, record.day, record.currency)
        except BadLine as error:
            raise LayoutError(f"record {record.key}: {error}") from error
        kept = (back.key, back.amount_fen, back.note if self.notes else record.note)
        if kept != (record.key, record.amount_fen, record.note) or self.ends_with(line) is not None:
            raise LayoutError(f"record {record.key}: it would not be read as it is written")
        return line

    def join(self, columns: Columns, values: Mapping[str, str | int | date], *, in_bytes: bool = True) -> str:
        """A line with these values in its columns. Raises LayoutError.

        Args:
            in_bytes: as files count widths; else in characters, as a line is read.
        """
        fields = [(column, column.form(values.get(column.name, ""))) for column in columns]
        if self.form == "delimited":
            return self.separator.join(field for _, field in fields)
        line = ""
        for column, field in fields:
            assert column.width is not None
            number = column.kind in ("fen", "count") and not field.startswith("-")
            room = column.width - (self.width_of(field) if in_bytes else len(field))
            if room < 0:
                raise LayoutError(f"{column.name} {field!r} has no room in {column.width}")
            line += "0" * room + field if number else field + " " * room
        return line

    def width_of(self, field: str) -> int:
        """How much room a field takes in a line of fixed width: bytes, as these files count."""
        wide = self.charset.lower().startswith(("utf-16", "utf_16"))
        return len(field) if wide else len(field.encode(self.charset, "replace"))

    def ends_with(self, line: str) -> Ends | None:
        """What the trailer says, if the line is one; None: it is not."""
        if self.trailer is None:
            return None
        try:
            return self.said(line, self.trailer)
        except BadLine:
            return None

    def said(self, line: str, columns: Columns) -> Ends:
        """What a header or trailer says. Raises BadLine."""
        fields = self.fields(line, columns)
        read = {one.name: one.read(field) for one, field in zip(columns, fields, strict=True)}
        day, count, fen = read.get("day"), read.get("count"), read.get("fen")
        return Ends(
            day if isinstance(day, date) else None,
            count if isinstance(count, int) else None,
            fen if isinstance(fen, int) else None,
        )

    def _note(self, named: Mapping[str, str]) -> str:
        if len(self.notes) == 1:
            return named[self.notes[0]]
        return canonical({name: named[name] for name in self.notes}) if self.notes else ""


def write(
    layout: Layout, records: Iterable[Record], path: Path, day: date, totals: Totals | None = None
) -> Totals:
    """Writes a file of a layout; returns what it declares.

    Args:
        totals: of what is to come; only a header that declares them needs it.

    Raises:
        LayoutError: a record does not fit; what was written so far is no whole file.
    """
    end = "\n" if layout.end == "lf" else "\r\n"
    count = fen = 0
    with path.open("w", encoding=layout.charset, newline="") as file:
        if layout.header is not None:
            first = Totals(0, 0) if totals is None else totals
            file.write(layout.join(layout.header, {"day": day, "count": first.count, "fen": first.fen}) + end)
        for record in records:
            try:
                file.write(layout.line(record) + end)
            except UnicodeEncodeError as error:
                raise LayoutError(f"record {record.key}: no {layout.charset} for {error.object!r}") from error
            count, fen = count + 1, fen + record.amount_fen
        if layout.trailer is not None:
            file.write(layout.join(layout.trailer, {"day": day, "count": count, "fen": fen}) + end)
    return Totals(count, fen, (count, fen))
