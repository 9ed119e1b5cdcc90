"""One way to compare two files of payments, in a process of its own: ours, DuckDB's, or datacompy's.

The last line is JSON: seconds, processor seconds, peak memory in MB, and how many records differ.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

COLUMNS = ("key", "amount", "currency", "status", "day")


def ours(here: Path, there: Path, *, unique: bool = True) -> int:
    """As the pairs of this house are: our own book promises unique keys, the other one promises nothing."""
    from datetime import date

    from server_stub.reconciliation.engine import compare
    from server_stub.reconciliation.pair import Pair
    from server_stub.reconciliation.records import Cls
    from server_stub.reconciliation.sources import FileSource

    kinds = {"amount": "fen", "day": "date"}
    columns = [{"name": name, "kind": kinds.get(name, "text")} for name in COLUMNS]
    layout_of = {"form": "delimited", "skip": 1, "columns": columns}
    title = {"zh": "账", "en": "book"}
    statuses = {"S": "settled", "R": "reversed"}
    book = {
        "title": title,
        "statuses": statuses,
        "layout": layout_of,
    }
    own = {**book, "unique": unique}
    pair = Pair.model_validate(
        {"name": "bench", "title": title, "here": own, "there": book, "reversed": ["reversed"]}
    )
    layout = pair.here.layout
    assert layout is not None
    sources = FileSource(here, layout), FileSource(there, layout)
    with (
        TemporaryDirectory() as work,
        compare(pair, *sources, day=date(2026, 6, 21), work=Path(work)) as result,
    ):
        found = sum(1 for _ in result.differences())
        assert sum(count for cls, (count, _) in result.counts.items() if cls is not Cls.MATCHED) == found
    return found


def unpromised(here: Path, there: Path) -> int:
    """Neither promises anything."""
    return ours(here, there, unique=False)


def bare(here: Path, there: Path) -> int:
    import duckdb

    query = (
        "SELECT count(*) FILTER (h.key IS NULL), count(*) FILTER (t.key IS NULL), count(*) FILTER (h.amount <> t.amount),"
        " count(*) FILTER (h.status <> t.status) FROM read_csv(?, delim = '|') h FULL JOIN read_csv(?, delim = '|') t"
        " ON h.key = t.key"
    )
    row = duckdb.connect().execute(query, [str(here), str(there)]).fetchone()
    assert row is not None
    return sum(row)


def datacompy(here: Path, there: Path) -> int:
    """As its manual begins."""
    import datacompy as library  # type: ignore[import-not-found]
    import pandas  # type: ignore[import-untyped]

    frames = [pandas.read_csv(path, sep="|") for path in (here, there)]
    found = library.PandasCompare(*frames, join_columns="key")
    return len(found.df1_unq_rows) + len(found.df2_unq_rows) + len(found.all_mismatch())


def datacompy_polars(here: Path, there: Path) -> int:
    """Its other engine for one machine."""
    import datacompy as library
    import polars  # type: ignore[import-not-found]

    frames = [polars.read_csv(path, separator="|") for path in (here, there)]
    found = library.PolarsCompare(*frames, join_columns="key")
    return int(found.df1_unq_rows.height + found.df2_unq_rows.height + found.all_mismatch().height)


WAYS: dict[str, Callable[[Path, Path], int]] = {
    "ours": ours,
    "bare": bare,
    "unpromised": unpromised,
    "datacompy": datacompy,
    "datacompy_polars": datacompy_polars,
}
NEEDS = {
    "ours": ("server_stub.reconciliation.engine", "server_stub.reconciliation.sources"),
    "unpromised": ("server_stub.reconciliation.engine", "server_stub.reconciliation.sources"),
    "bare": ("duckdb",),
    "datacompy": ("datacompy", "pandas"),
    "datacompy_polars": ("datacompy", "polars"),
}
"""What each loads before the clock runs."""


def peak_mb() -> float:
    """Peak memory of this process; what getrusage tells has that of the process that started it in it."""
    status = Path("/proc/self/status").read_text("ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Arguments: the way, and the two files."""
    way, here, there = sys.argv[1:]
    for name in NEEDS[way]:
        importlib.import_module(name)
    started, busy = time.perf_counter(), time.process_time()
    found = WAYS[way](Path(here), Path(there))
    seconds = time.perf_counter() - started
    told = {"seconds": seconds, "processor": time.process_time() - busy, "memory_mb": peak_mb()}
    print(json.dumps({**told, "found": found}))


if __name__ == "__main__":
    main()
