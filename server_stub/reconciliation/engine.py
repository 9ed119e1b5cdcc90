"""Compares two books of a day and classes every difference; memory does not grow with the day.

Totals come first: of each book, and of 262,144 parts of it by the key's hash, count, sum and hashes of what is compared. Only records of parts that differ, or have a key twice, are read again, joined and classed. Parsing, sums and
join are DuckDB's, within a limit of memory; what does not fit goes to the work folder.

Two different parts can have equal totals by chance, as often as two random numbers of 64 bits are equal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from server_stub.foundation.sentences import N_, NOTHING, Sentence, say
from server_stub.reconciliation import classes
from server_stub.reconciliation.layout import BadLine
from server_stub.reconciliation.reading import FileRefused, Prepared
from server_stub.reconciliation.records import SIDES, Carried, Cls, Difference, Record, Side, Totals, masked
from server_stub.reconciliation.sql import Parsed, lines, parsed, quoted

if TYPE_CHECKING:
    from datetime import date

    from server_stub.reconciliation.pair import Pair
    from server_stub.reconciliation.sources import Source

MEMORY_MB = 256
"""What DuckDB may take; the process takes some more."""
PART_BITS = 18
IN_A_TURN = 400_000
"""Records of a book that are joined at once."""
Progress = Callable[[str, int], object]
"""Told of each step: its name, and how many percent of all are done before it."""
_AT_ONCE = 1_000
_SHOWN_OF_LINE = 500


def _untold(step: str, percent: int) -> None:
    """For a comparison that nobody watches."""


class Result:
    """What a comparison has found; a context manager, whose end takes what was put down on the disk.

    Attributes:
        here, there: totals of the two books.
        counts: of each class, how many findings and the amount in them: of our record, else of theirs; of duplicates, of
            those too many; of malformed lines, 0. A class that was not found is not there.
    """

    def __init__(self, comparison: _Comparison, folder: tempfile.TemporaryDirectory[str]) -> None:
        self.here = comparison.totals["here"]
        self.there = comparison.totals["there"]
        self.counts: dict[Cls, tuple[int, int]] = comparison.counts
        self._comparison = comparison
        self._folder = folder

    def differences(self, most: int | None = None) -> Iterator[Difference]:
        """Every finding but ``matched``, by key; several of one key in the order of rule 10.

        Args:
            most: of each class only so many.
        """
        return self._comparison.differences(most)

    def close(self) -> None:
        """Ends it; afterwards there are no differences to be had."""
        self._comparison.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def compare(
    pair: Pair,
    here: Source,
    there: Source,
    *,
    day: date,
    carried: Iterable[Carried] = (),
    work: Path,
    progress: Progress = _untold,
    memory_mb: int = MEMORY_MB,
) -> Result:
    """Compares two books of a day.

    Args:
        carried: records of other days, however far, that had no partner then or have one that is of this day; statuses are
            the pair's. Of several of one key in one book the newest day counts, and of those the last. One that has no partner
            now is not told again, unless it was known to have one of this day.
        work: folder for what does not fit into memory; room for the two books is enough.

    Raises:
        FileRefused: one of the files cannot be used; nothing is known then.
    """
    work.mkdir(parents=True, exist_ok=True)
    folder = tempfile.TemporaryDirectory(prefix="compare-", dir=work)
    try:
        comparison = _Comparison(pair, day, Path(folder.name), memory_mb)
        try:
            comparison.run({"here": here, "there": there}, carried, progress)
        except BaseException:
            comparison.close()
            raise
    except BaseException:
        folder.cleanup()
        raise
    return Result(comparison, folder)


class _Comparison:
    """One comparison in a database of its own."""

    def __init__(self, pair: Pair, day: date, folder: Path, memory_mb: int) -> None:
        self.totals: dict[Side, Totals] = {}
        self.counts: dict[Cls, tuple[int, int]] = {}
        self._pair = pair
        self._day = day
        self._folder = folder
        self._turns = 1
        self._differs = False
        self._prepared: dict[Side, Prepared] = {}
        self._parsed: dict[Side, Parsed] = {}
        self._memory_mb = memory_mb
        self._end = ExitStack()

    def _open(self) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{self._memory_mb}MB",
            "temp_directory": str(self._folder / "spill"),
        }
        config |= {
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        self._db = self._end.enter_context(duckdb.connect(config=config))

    def close(self) -> None:
        self._end.close()

    def run(self, sources: dict[Side, Source], carried: Iterable[Carried], progress: Progress) -> None:
        left = [one for one in carried if one.record.day != self._day]
        with ThreadPoolExecutor(1) as beside:
            progress("read-here", 0)
            here = sources["here"].prepare(self._day, self._folder)
            # That is Python's work, this DuckDB's: they do not wait for each other.
            there = beside.submit(sources["there"].prepare, self._day, self._folder)
            if not left and here.empty and there.result().empty:
                # Many a day is so, and a database would take longer than all else.
                for side, prepared in zip(SIDES, (here, there.result()), strict=True):
                    self._prepared[side] = prepared
                    self._check(side, 0, 0, 0)
                progress("done", 100)
                return
            self._open()
            self._sum_up("here", here, progress, 10)
            progress("read-there", 35)
            self._sum_up("there", there.result(), progress, 45)
        progress("differing", 60)
        self._carry(left)
        if self._choose():
            for percent, side in zip((70, 80), SIDES, strict=True):
                progress(f"details-{side}", percent)
                self._take(side)
            progress("classes", 90)
            self._class()
        progress("done", 100)

    def _all(self, statement: str) -> list[Any]:
        return self._db.execute(statement).fetchall()

    def _one(self, statement: str) -> Any:
        row = self._db.execute(statement).fetchone()
        assert row is not None
        return row

    def _sum_up(self, side: Side, prepared: Prepared, progress: Progress, percent: int) -> None:
        """Totals of the parts of a book; part NULL has the lines that are no records."""
        progress(f"totals-{side}", percent)
        what = parsed(prepared, self._pair.book(side), self._day, self._pair.currency)
        self._prepared[side], self._parsed[side] = prepared, what
        rows = what.rows(lines(prepared))
        # One hash alone is not mixed enough: its last column is only XORed in, so that days that were exchanged cancelled out.
        mixed = "hash(hash(k, amount, currency, status, day))"
        each = f"SELECT CASE WHEN {what.well} THEN k END AS k, amount AS fen, {mixed} AS h"
        each += f" FROM (SELECT *, hash(key) AS k FROM {rows})"
        # Rows that are there twice cancel out, too: see _choose.
        sums = "count(*) AS n, sum(fen) AS fen, bit_xor(h) AS h"
        self._db.execute(
            f"CREATE TABLE parts_{side} AS SELECT {_part('k')} AS part, {sums} FROM ({each}) GROUP BY part"
        )
        records = f"FROM parts_{side} WHERE part IS NOT NULL"
        count, fen = self._one(
            f"SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(fen), 0)::HUGEINT {records}"
        )
        (bad,) = self._one(f"SELECT coalesce(sum(n), 0)::BIGINT FROM parts_{side} WHERE part IS NULL")
        self._put_aside(side, bad)
        self._check(side, count, fen, bad)

    def _put_aside(self, side: Side, bad: int) -> None:
        """Lines that are no records, with their numbers."""
        if not bad:
            self._db.execute(
                f"CREATE TABLE malformed_{side} (number BIGINT, line VARCHAR, key VARCHAR, fen BIGINT)"
            )
            return
        self._differs = True
        what, prepared = self._parsed[side], self._prepared[side]
        also = {"number": "number", "line": "line", "seen": what.seen_key}
        rows = what.rows(lines(prepared, numbered=True), **also)
        chosen = (
            f"SELECT number, left(line, {_SHOWN_OF_LINE}) AS line, seen AS key, amount AS fen FROM {rows}"
        )
        self._db.execute("SET preserve_insertion_order = true")
        self._db.execute(f"CREATE TABLE malformed_{side} AS {chosen} WHERE NOT coalesce({what.well}, false)")
        self._db.execute("SET preserve_insertion_order = false")

    def _check(self, side: Side, count: int, fen: int, bad: int) -> None:
        """What the file declares must be what it has. Raises FileRefused."""
        ends, name = self._prepared[side].ends, self._prepared[side].name
        declared = None if ends.count is None and ends.fen is None else (ends.count or 0, ends.fen or 0)
        self.totals[side] = Totals(count, fen, declared)
        has = count + bad
        if ends.count is not None and ends.count != has:
            said = N_("it declares %(declared)s records; there are %(found)s")
            raise FileRefused(name, None, say(said, declared=ends.count, found=has))
        # The sum of lines that cannot be read is nobody's knowledge; if amounts in them can, they count.
        unknown, more = 0, 0
        if bad:
            unknown, more = self._one(
                f"SELECT count(*) FILTER (fen IS NULL), coalesce(sum(fen), 0)::HUGEINT FROM malformed_{side}"
            )
        if ends.fen is not None and not unknown and ends.fen != fen + more:
            said = N_("it declares %(declared_fen)s in all; its records have %(found_fen)s")
            raise FileRefused(name, None, say(said, declared_fen=ends.fen, found_fen=fen + more))

    def _carry(self, left: Sequence[Carried]) -> None:
        """Records of other days."""
        self._db.execute("CREATE TABLE carried (number BIGINT, side VARCHAR, key VARCHAR, amount BIGINT,"
                         " currency VARCHAR, status VARCHAR, day DATE, note VARCHAR, known BOOLEAN)")  # fmt: skip
        rows = [
            (number, side, one.key, one.amount_fen, one.currency, one.status, one.day, one.note, known)
            for number, (side, one, known) in enumerate(left)
        ]
        for start in range(0, len(rows), _AT_ONCE):
            self._db.executemany(
                "INSERT INTO carried VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows[start : start + _AT_ONCE]
            )

    def _choose(self) -> bool:
        """The parts that have to be looked at; the rest is matched. Returns whether there is anything to be told."""
        unlike = "h.n IS DISTINCT FROM t.n OR h.h IS DISTINCT FROM t.h"
        joined = "parts_here h FULL JOIN parts_there t ON h.part = t.part"
        every = f"SELECT coalesce(h.part, t.part) AS part FROM {joined} WHERE {unlike}"
        every += f" UNION ALL SELECT {_part('hash(key)')} FROM carried"
        if not (self._pair.here.unique or self._pair.there.unique):
            # Where one side has no key twice, parts that are not the same do not look equal; so one side tells.
            keys = f"SELECT hash({self._parsed['here'].first_key}) AS k FROM {lines(self._prepared['here'])}"
            every += f" UNION ALL SELECT {_part('k')} FROM ({keys}) GROUP BY k HAVING count(*) > 1"
        self._db.execute(f"CREATE TABLE chosen AS SELECT DISTINCT part FROM ({every}) WHERE part IS NOT NULL")
        count, fen = self._one(
            "SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(fen), 0)::HUGEINT FROM parts_here"
            " WHERE part IS NOT NULL AND part NOT IN (SELECT part FROM chosen)"
        )
        self._add(Cls.MATCHED, count, fen)
        self._differs |= self._one("SELECT count(*) > 0 FROM chosen")[0]
        (most,) = self._one(
            "SELECT greatest("
            + ", ".join(
                f"(SELECT coalesce(sum(n), 0)::BIGINT FROM parts_{side} WHERE part IN (SELECT part FROM chosen))"
                for side in SIDES
            )
            + ")"
        )
        self._turns = most // IN_A_TURN + 1
        if self._turns > 1:
            # Tables in memory are held there, whatever the limit.
            self._db.execute(f"ATTACH {quoted(str(self._folder / 'details.duckdb'))} AS disk")
            self._look_there(self._db)
        return self._differs

    def _look_there(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("SET search_path = 'disk,memory'")

    def _take(self, side: Side) -> None:
        """The records of those parts."""
        what = self._parsed[side]
        # A bit for each part is much cheaper to look up than a table of them.
        self._db.execute(
            f"SET VARIABLE chosen = (SELECT bitstring_agg(part, 0, {(1 << PART_BITS) - 1}) FROM chosen)"
        )
        part = f"{_part(f'hash({what.first_key})')}::INTEGER"
        few = (
            f"SELECT line FROM {lines(self._prepared[side])} WHERE get_bit(getvariable('chosen'), {part}) = 1"
        )
        if self._one("SELECT getvariable('chosen') IS NULL")[0]:
            few = "SELECT '' AS line WHERE false"
        # A table of them first: whether a line is well formed costs more to see than whether it is one of these.
        self._db.execute(f"CREATE TABLE few AS {few}")
        self._db.execute(
            f"CREATE TABLE {side} AS SELECT key, amount, currency, status, day, note, false AS old"
            f" FROM {what.rows('few', note=what.note)} WHERE {what.well}"
        )
        self._db.execute("DROP TABLE few")

    def _class(self) -> None:
        for statement in classes.statements(self._pair, self._turns):
            self._db.execute(statement)
        for cls, count, fen in self._all(
            "SELECT cls, count(*), coalesce(sum(fen), 0)::HUGEINT FROM found GROUP BY cls"
        ):
            self._add(Cls(cls), count, fen)

    def _add(self, cls: Cls, count: int, fen: int) -> None:
        if count:
            had = self.counts.get(cls, (0, 0))
            self.counts[cls] = had[0] + count, had[1] + fen

    def differences(self, most: int | None) -> Iterator[Difference]:
        if not self._differs:
            return
        order = f"list_position({[str(cls) for cls in classes.ORDER]}, cls)"
        cursor = self._db.cursor()
        if self._turns > 1:
            self._look_there(cursor)
        few = f" QUALIFY row_number() OVER (PARTITION BY cls ORDER BY key, side, number) <= {most}"
        found = cursor.execute(
            f"SELECT * EXCLUDE (fen) FROM found WHERE cls <> {quoted(Cls.MATCHED)}{'' if most is None else few}"
            f" ORDER BY key, {order}, side, number"
        )
        while rows := found.fetchmany(_AT_ONCE):
            for row in rows:
                yield self._difference(*row)

    def _difference(
        self, cls: str, key: str, here: Any, there: Any, many: int | None, side: Side | None, number: int | None,
        line: str | None,
    ) -> Difference:  # fmt: skip
        if cls == Cls.MALFORMED:
            assert side is not None
            assert line is not None
            told = {
                "file": self._prepared[side].name,
                "line": number,
                "why": self._wrong(side, line),
                "text": line,
            }
            why = say(N_("%(file)s, line %(line)s: %(why)s: %(text)s"), **told).changed(masked)
            return Difference(Cls.MALFORMED, key, None, None, (), number, why)
        ours, theirs = _record(key, here), _record(key, there)
        fields: tuple[str, ...] = ()
        if ours is not None and theirs is not None:
            fields = tuple(
                name
                for name in ("amount_fen", "currency", "status", "day")
                if getattr(ours, name) != getattr(theirs, name)
            )
        text = NOTHING if many is None else say(N_("%(count)s times"), count=many)
        return Difference(Cls(cls), key, ours, theirs, fields, None, text)

    def _wrong(self, side: Side, line: str) -> Sentence:
        """Why a line is no record."""
        try:
            record = self._prepared[side].layout.record(line, self._day, self._pair.currency)
        except BadLine as error:
            return error.said
        return say(N_("no status is called '%(status)s'"), status=record.status)


def _part(key_hash: str) -> str:
    return f"({key_hash} >> {64 - PART_BITS})::UINTEGER"


def _record(key: str, row: Any) -> Record | None:
    if row is None:
        return None
    return Record(key, row["amount"], row["currency"], row["status"], row["day"], masked(row["note"]))
