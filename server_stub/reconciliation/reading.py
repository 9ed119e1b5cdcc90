"""Files as they come made ready to be read: character set, line ends, header and trailer; in constant memory.

FileRefused      a file that cannot be used at all, with where and why; nothing is made up for it
"""

from __future__ import annotations

import codecs
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO

from server_stub.foundation.sentences import N_, Refusal, Sentence, say
from server_stub.reconciliation.layout import REPLACED, BadLine, Ends, Layout
from server_stub.reconciliation.records import masked

CHUNK = 1 << 18
LONGEST_LINE = 1 << 16
"""Characters; of a longer one only the beginning is kept, and it is malformed."""
_KEPT_OF_LONG = 500
_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16"),
)


class FileRefused(Refusal):
    """A file that cannot be used.

    Attributes:
        file: its name.
        line: number of the line, from 1; None: it is about the file.
        why: what is wrong.
    """

    def __init__(self, file: str, line: int | None, why: Sentence) -> None:
        if line is None:
            super().__init__(N_("%(file)s: %(why)s"), file=file, why=why)
        else:
            super().__init__(N_("%(file)s, line %(line)s: %(why)s"), file=file, line=line, why=why)
        self.file, self.line, self.why = file, line, why


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file in UTF-8 whose lines end in LF and have no control characters.

    Args:
        path: of the file itself, where it was so, or of a copy.
        name: of the file as it came.
        skip: lines before the first record.
        dirty: some lines have ``REPLACED`` in them.
        trailer: the text of the last line; None: the layout has none.
        ends: what the trailer, or the header, declares.
    """

    path: Path
    name: str
    layout: Layout
    skip: int
    dirty: bool
    trailer: str | None
    ends: Ends

    @property
    def empty(self) -> bool:
        """Nothing in it should be a record."""
        return next(self.lines(), None) is None

    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines that should be records, with their numbers; empty lines are none."""
        with self.path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                text = line.rstrip("\n")
                if number > self.skip and text and text != self.trailer:
                    yield number, text


def prepare(path: Path, layout: Layout, day: date, work: Path) -> Prepared:
    """Makes a file ready.

    Args:
        day: that the header must be of, where it names one.
        work: folder for a copy, where one is needed.

    Raises:
        FileRefused: it is in no character set of the layout, or header or trailer are not there or not right.
    """
    clean, dirty = _cleaned(path, layout, work)
    skip = layout.skip if layout.header is None else 1
    said = Ends()
    if layout.header is not None:
        said = _header(clean, path.name, layout)
    trailer = None
    if layout.trailer is not None:
        trailer = _last_line(clean)
        try:
            said |= layout.said(trailer, layout.trailer)
        except BadLine as error:
            message = N_(
                "the last line is not the trailer (%(why)s): the file was cut short, or is another's"
            )
            why = say(message, why=error.said.changed(masked))
            raise FileRefused(path.name, _lines_in(clean) or None, why) from None
    if said.day not in (None, day):
        raise FileRefused(
            path.name, None, say(N_("it is of %(found)s, not of %(day)s"), found=said.day, day=day)
        )
    return Prepared(clean, path.name, layout, skip, dirty, trailer, said)


def _header(clean: Path, name: str, layout: Layout) -> Ends:
    assert layout.header is not None
    with clean.open(encoding="utf-8", newline="\n") as file:
        first = file.readline(LONGEST_LINE).rstrip("\n")
    try:
        return layout.said(first, layout.header)
    except BadLine as error:
        why = say(N_("this is not the header of such a file: %(why)s"), why=error.said.changed(masked))
        raise FileRefused(name, 1, why) from None


def _last_line(clean: Path) -> str:
    """The text of the last line that is not empty."""
    with clean.open("rb") as file:
        start, tail = file.seek(0, os.SEEK_END), b""
        while start and b"\n" not in tail:
            size = min(CHUNK, start)
            start -= size
            file.seek(start)
            tail = (file.read(size) + tail).rstrip(b"\n")
    return tail.rpartition(b"\n")[2].decode("utf-8", "replace")


def _lines_in(clean: Path) -> int:
    """The number of the last line that is not empty."""
    found = count = 0
    with clean.open("rb") as file:
        for chunk in _chunks(file):
            if held := chunk.rstrip(b"\n"):
                found = count + held.count(b"\n") + 1
            count += chunk.count(b"\n")
    return found


def _cleaned(path: Path, layout: Layout, work: Path) -> tuple[Path, bool]:
    """The file, or a copy, in UTF-8 with clean lines; and whether ``REPLACED`` stands in it."""
    if codecs.lookup(layout.charset).name in ("utf-8", "ascii") and _is_clean(path, layout):
        return path, False
    first: Sentence | None = None
    # Of a name of its own: the other book's file may have the same, and its copy is there, too.
    place = Path(tempfile.mkdtemp(prefix="copy-", dir=work))
    for charset in _tried(path, layout):
        copy = place / f"{path.name}.{charset}"
        try:
            return copy, _copy(path, copy, charset, layout)
        except _NotSo as error:
            copy.unlink(missing_ok=True)
            first = first or error.said
    agreed = ", ".join(layout.every_charset)
    why = say(N_("in no character set that was agreed (%(agreed)s): %(why)s"), agreed=agreed, why=first or "")
    raise FileRefused(path.name, None, why)


class _NotSo(Refusal):
    """The file is not in that character set; the text says which, and why."""


def _tried(path: Path, layout: Layout) -> list[str]:
    with path.open("rb") as file:
        first = file.read(4)
    agreed = {codecs.lookup(charset).name: charset for charset in layout.every_charset}
    for mark, family, charset in _MARKS:
        if first.startswith(mark):
            if not any(name.startswith(family) or name == "ascii" for name in agreed):
                said = N_("it begins as %(found)s, which is not among %(agreed)s")
                why = say(said, found=family, agreed=", ".join(layout.every_charset))
                raise FileRefused(path.name, None, why)
            return [charset]
    # Every other byte of ASCII is NUL in it, and no text has one otherwise.
    for name, high in (("utf-16-le", first[1::2]), ("utf-16-be", first[::2])):
        if len(first) == 4 and high == b"\0\0" and first.count(0) == 2:
            if not {"utf-16", name} & agreed.keys():
                said = N_("it looks like UTF-16 without its mark, which is not among %(agreed)s")
                raise FileRefused(path.name, None, say(said, agreed=", ".join(layout.every_charset)))
            return [name]
    return list(layout.every_charset)


def _is_clean(path: Path, layout: Layout) -> bool:
    """Whether the file can be read as it is: UTF-8 without a mark, lines that end in LF, no control characters."""
    controls = layout.controls.encode()
    ascii_only = layout.form == "fixed" or codecs.lookup(layout.charset).name == "ascii"
    decoder = codecs.getincrementaldecoder("utf-8")()
    pending = False
    with path.open("rb", buffering=0) as file:
        first = True
        while chunk := file.read(CHUNK):
            if first and chunk.startswith(codecs.BOM_UTF8):
                return False
            first = False
            if len(chunk.translate(None, controls)) != len(chunk) or (
                len(chunk) == CHUNK and b"\n" not in chunk
            ):
                return False
            if pending or not chunk.isascii():
                if ascii_only:
                    return False
                try:
                    if REPLACED in decoder.decode(chunk):
                        return False
                except UnicodeDecodeError:
                    return False
                pending = bool(decoder.getstate()[0])
    return not pending


def _copy(path: Path, copy: Path, charset: str, layout: Layout) -> bool:
    """Copies into UTF-8; returns whether something was replaced. Raises _NotSo."""
    clean = _Cleaner(layout, charset)
    decoder = codecs.getincrementaldecoder(charset)()
    with path.open("rb") as source, copy.open("w", encoding="utf-8", newline="\n") as target:
        for chunk in _chunks(source):
            target.write(clean.feed(_decoded(decoder, chunk, clean.line, charset)))
        target.write(clean.feed(_decoded(decoder, b"", clean.line, charset, final=True)))
        target.write(clean.end())
    return clean.dirty


def _decoded(
    decoder: codecs.IncrementalDecoder, chunk: bytes, line: int, charset: str, *, final: bool = False
) -> str:
    try:
        return decoder.decode(chunk, final=final)
    except UnicodeError:
        said = N_("from line %(line)s on there are bytes that are no %(charset)s")
        raise _NotSo(said, line=line, charset=charset) from None


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


class _Cleaner:
    """Makes clean lines of text that comes in pieces.

    Attributes:
        line: number of the line that is being read.
        dirty: something was replaced.
    """

    def __init__(self, layout: Layout, charset: str) -> None:
        self.line, self.dirty = 1, False
        self._layout = layout
        self._charset = charset.removesuffix("-sig")
        self._rest = ""
        self._long = False
        self._bytes = layout.form == "fixed" and not codecs.lookup(charset).name.startswith("utf-16")

    def feed(self, text: str) -> str:
        """The whole lines that are there now."""
        text = self._rest + text
        # A CR at the end may be half of a line's end.
        held = text.endswith("\r")
        whole, end, rest = text.removesuffix("\r").replace("\r\n", "\n").rpartition("\n")
        self._rest = rest + ("\r" if held else "")
        lines = self._lines(whole) + "\n" if end else ""
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._long = self._rest[:_KEPT_OF_LONG], True
        return lines

    def end(self) -> str:
        """The last line, where it has no end."""
        return self._lines(self._rest.removesuffix("\r")) if self._rest else ""

    def _lines(self, whole: str) -> str:
        first = self.line == 1
        self.line += whole.count("\n") + 1
        if self._long:
            start, end, others = whole.partition("\n")
            whole, self._long = start[:_KEPT_OF_LONG] + REPLACED + end + others, False
        if self._layout.faults.search(whole):
            whole, self.dirty = self._layout.faults.sub(REPLACED, whole), True
        if self._bytes and not whole.isascii():
            whole = "\n".join(map(self._in_columns, whole.split("\n")))
        if first and self._layout.header is not None:
            try:
                self._layout.said(whole.partition("\n")[0], self._layout.header)
            except BadLine:
                raise _NotSo(N_("read as %(charset)s it has no header"), charset=self._charset) from None
        return whole

    def _in_columns(self, line: str) -> str:
        """A line whose columns are so many bytes wide, with as many characters in each."""
        if line.isascii():
            return line
        columns = self._layout.columns
        for ends in (self._layout.header, self._layout.trailer):
            if ends is not None and line.startswith(ends[0].value) and ends[0].kind == "constant":
                columns = ends
        data, start, parts = line.encode(self._charset), 0, []
        for column in columns:
            assert column.width is not None
            part = data[start : start + column.width].decode(self._charset, "replace")
            self.dirty |= REPLACED in part
            parts.append(part.ljust(column.width))
            start += column.width
        parts.append(data[start:].decode(self._charset, "replace"))
        return "".join(parts)
