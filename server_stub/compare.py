"""``stb-server compare``: any two files that must agree, by a pair of one's own; no server is needed, and nothing is kept."""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from server_stub import cli
from server_stub.commands import USAGE, subcommand
from server_stub.foundation.money import yuan
from server_stub.foundation.sentences import N_, Sentence, say
from server_stub.foundation.text import harmless
from server_stub.reconciliation.layout import Layout
from server_stub.reconciliation.pair import Pair, PairError, load
from server_stub.reconciliation.reading import FileRefused, Prepared
from server_stub.reconciliation.records import Cls, Difference, Record
from server_stub.reconciliation.sources import FileSource

COLUMNS = ("class", "key", "fields", "line", "text")
OF_SIDE = ("amount_fen", "currency", "status", "day", "note")
LINE = "{:<26}  {:>9}  {:>16}"


@dataclass(frozen=True, slots=True)
class _Side:
    """A file, called as the command line calls it: both may have the same name."""

    word: str
    path: Path
    layout: Layout

    def prepare(self, day: date, work: Path) -> Prepared:
        name = f"{self.word} {self.path}"
        try:
            return FileSource(self.path, self.layout, name).prepare(day, work)
        except OSError as error:
            raise FileRefused(name, None, Sentence(error.strerror or str(error))) from error


@subcommand
def run(options: argparse.Namespace) -> int:
    """The subcommand. Returns its exit code: 0 where the books agree; 1 where they do not; 2 for what cannot be compared."""
    try:
        return _compare(options, load(options.pair))
    except (PairError, FileRefused, OSError) as error:
        sys.stderr.write(f"stb-server: {error}\n")
        return USAGE


def _compare(options: argparse.Namespace, pair: Pair) -> int:
    from server_stub.reconciliation.engine import compare

    for side in ("here", "there"):
        if getattr(pair, side).layout is None:
            raise PairError(f"{options.pair}: {side}.layout is missing: how its file is laid out")
    assert pair.here.layout is not None
    assert pair.there.layout is not None
    _look_at(options)
    here, there = (
        _Side("HERE", options.here, pair.here.layout),
        _Side("THERE", options.there, pair.there.layout),
    )
    with (
        tempfile.TemporaryDirectory(prefix="stb-compare-") as work,
        compare(pair, here, there, day=options.day, work=Path(work)) as result,
    ):
        for name, totals in (("here", result.here), ("there", result.there)):
            cli.announce(LINE.format(name, totals.count, yuan(totals.fen)))
        for cls, (count, fen) in sorted(result.counts.items(), key=lambda one: list(Cls).index(one[0])):
            cli.announce(LINE.format(cls, count, yuan(fen)))
        if options.to is not None:
            _write(options.to, result.differences())
        return 0 if all(cls.startswith("matched") for cls in result.counts) else 1


def _look_at(options: argparse.Namespace) -> None:
    """What is read is gone through more than once, and nothing of it may be written over. Raises FileRefused."""
    for word, path in (("HERE", options.here), ("THERE", options.there)):
        if path.exists() and not path.is_file():
            raise FileRefused(f"{word} {path}", None, say(N_("this is no plain file; keep it as one first")))
    read = (options.pair, options.here, options.there)
    if options.to is not None and options.to.exists() and any(map(options.to.samefile, read)):
        raise FileRefused(f"--to {options.to}", None, say(N_("this is one of the files that are read")))
    if options.to is not None:
        _expect_writable(options.to)


def _expect_writable(path: Path) -> None:
    """Before the work rather than after it. Raises OSError; what is there stays as it is."""
    there = path.exists()
    if there and not path.is_file() and not path.is_dir():
        return  # a pipe: to open it may wait for whoever reads it
    with path.open("a"):
        pass
    if not there:
        path.unlink()


def _write(path: Path, differences: Iterable[Difference]) -> None:
    """All differences as CSV, for a spreadsheet."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        out = csv.writer(file)
        out.writerow((*COLUMNS, *(f"{side}_{name}" for side in ("here", "there") for name in OF_SIDE)))
        for one in differences:
            row = (one.cls, one.key, " ".join(one.fields), one.line or "", str(one.text))
            cells = (*row, *_fields(one.here), *_fields(one.there))
            out.writerow(harmless(cell) if isinstance(cell, str) else cell for cell in cells)


def _fields(record: Record | None) -> list[object]:
    return [""] * len(OF_SIDE) if record is None else [getattr(record, name) for name in OF_SIDE]
