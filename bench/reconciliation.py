"""Reconciliation of millions of records, beside a bare DuckDB join of the same files and beside datacompy.

Each comparison runs in a process of its own, so that its peak memory is its own, and in turn with the others, so that
whatever else the machine does meets all of them. datacompy has an environment of its own in build/.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from bench._compare import WAYS

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "build" / "datacompy"
SIZES = (1_000_000, 5_000_000, 10_000_000)
ROUNDS = 5
PLANTED = 2_000
"""Differences of each of three kinds."""


def make(folder: Path, size: int) -> list[Path]:
    """Two files of so many payments, in different orders."""
    every = f"""SELECT range AS n, format('K{{:019d}}', (range * 7919) % 100000007) AS key,
        (100 + hash(range) % 100000)::INTEGER AS amount, 'CNY' AS currency,
        CASE WHEN hash(range) % 17 = 0 THEN 'R' ELSE 'S' END AS status, '2026-06-21' AS day FROM range({size})"""
    step = size // PLANTED
    other = f"""SELECT n, key, CASE WHEN n % {step} = 1 THEN amount + 1 ELSE amount END AS amount, currency,
        CASE WHEN n % {step} = 2 THEN 'F' ELSE status END AS status, day FROM ({every}) WHERE n % {step} <> 3"""
    # A status that neither has is malformed to us: the other of the two it is.
    other = other.replace("THEN 'F'", "THEN CASE status WHEN 'S' THEN 'R' ELSE 'S' END")
    made = []
    for name, query in (("here", every), ("there", f"{other} ORDER BY hash(n)")):
        path = folder / f"{name}-{size}.csv"
        duckdb.connect().execute(
            f"COPY (SELECT * EXCLUDE (n) FROM ({query})) TO '{path}' (HEADER, DELIMITER '|')"
        )
        made.append(path)
    return made


def environment() -> Path:
    """The Python that has datacompy."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    wanted = "import datacompy, pandas, polars"
    if subprocess.run([python, "-c", wanted], capture_output=True, check=False).returncode:
        install = [str(python), "-m", "pip", "install", "--quiet", "datacompy", "pandas", "polars"]
        subprocess.run(install, check=True, stdout=sys.stderr)
    return python


def run(way: str, files: list[Path], python: Path = Path(sys.executable)) -> dict[str, float]:
    """What one comparison took."""
    command = [str(python), str(ROOT / "bench" / "_compare.py"), way, *map(str, files)]
    if way in ("ours", "unpromised"):
        command[1:2] = ["-m", "bench._compare"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{way:16} {files[0].stem:14} {found['seconds']:7.2f} s, {found['processor']:6.2f} s of processor, {found['memory_mb']:6.0f} MB",
        flush=True,
    )
    assert found["found"] == 3 * PLANTED, found
    return found


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    python = environment()
    few, many, most = SIZES
    took: dict[tuple[str, int], list[dict[str, float]]] = {}
    with TemporaryDirectory() as folder:
        files = {size: make(Path(folder), size) for size in SIZES}
        for number in range(rounds):
            for way, size in (*((way, many) for way in WAYS), ("ours", few), ("ours", most)):
                others = way.startswith("datacompy")
                # They take so long that a few times must do.
                if others and number >= max(2, rounds // 2):
                    continue
                found = run(way, files[size], python if others else Path(sys.executable))
                took.setdefault((way, size), []).append(found)

    def ratio(one: str, other: str, what: str = "seconds", sizes: tuple[int, int] = (many, many)) -> float:
        """Of what ran in the same round; the median of the rounds."""
        pairs = zip(took[one, sizes[0]], took[other, sizes[1]], strict=False)
        return statistics.median(a[what] / b[what] for a, b in pairs)

    def memory(way: str, size: int = many) -> int:
        return round(max(one["memory_mb"] for one in took[way, size]))

    figures = {
        "ratio_duckdb": round(ratio("ours", "bare"), 2),
        "ratio_duckdb_processor": round(ratio("ours", "bare", "processor"), 2),
        "ratio_duckdb_unpromised": round(ratio("unpromised", "bare"), 2),
        "ratio_duckdb_unpromised_processor": round(ratio("unpromised", "bare", "processor"), 2),
        "memory_mb": max(memory("ours"), memory("unpromised")),
        "memory_10m_mb": memory("ours", most),
        "memory_duckdb_mb": memory("bare"),
        "memory_datacompy_mb": memory("datacompy"),
        "speedup_datacompy": round(ratio("datacompy", "ours"), 1),
        "speedup_datacompy_polars": round(ratio("datacompy_polars", "ours"), 1),
        "growth_1_to_10": round(ratio("ours", "ours", "seconds", (most, few)) * few / most, 2),
        "seconds": round(statistics.median(one["seconds"] for one in took["ours", many]), 2),
    }
    print(json.dumps({"bench": "reconciliation", "figures": figures}))


if __name__ == "__main__":
    main()
