"""Bytes on the disk and rows that a purse payment leaves, by role and by table.

Whole payments go through a real server, as in ``bench.payments``; everything is weighed while no server runs, before and after
them. A few payments come first, so that no table's first page counts as free. What only time adds is not in it: the night's
files and PPP's rows of them, keys and inquiries that are forgotten later.

On SQLite a table's pages are told by dbstat, with those of its indexes. On PostgreSQL ``pg_total_relation_size`` tells them, twice:
as the payments left them, with the versions of rows that updates have left behind, and packed (``VACUUM FULL``), the least
that they can be; what a table under VACUUM comes to is in between.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from bench._boxes import Task
from bench._servers import Boxes, fill, numbers, servers
from bench.payments import KINDS, Place, place

BOXES = 16
PAYMENTS, FIRST = 300, 50
SECONDS = 2.0
LARGEST = 12
"""Tables that are named one by one."""
ROLES = ("tsp", "boss", "ppp")

Name = tuple[str, str]
"""Role and table."""


@dataclass(slots=True)
class Weighed:
    """What stands there at one moment.

    Attributes:
        bytes: of each table with its indexes. ``rows``: of each table.
        log_bytes: PostgreSQL's write-ahead log so far; 0 on SQLite.
    """

    bytes: Counter[Name] = field(default_factory=Counter)
    rows: Counter[Name] = field(default_factory=Counter)
    log_bytes: int = 0


def weigh(here: Place) -> Weighed:
    """Everything; no server may be running."""
    weighed = Weighed()
    if here.url:
        weigh_postgresql(here.url, weighed)
    else:
        for path in sorted(here.data.glob("*.db")):
            weigh_sqlite(path, weighed)
    return weighed


def weigh_sqlite(path: Path, weighed: Weighed) -> None:
    """Adds one role's file. Without dbstat in the library all of it counts as one table, ``(all)``."""
    role = path.stem
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        table_of = dict(conn.execute("SELECT name, tbl_name FROM sqlite_master WHERE rootpage > 0"))
        tables = [table for name, table in table_of.items() if name == table]
        try:
            pages = conn.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE").fetchall()
        except sqlite3.OperationalError:
            (size,) = conn.execute(
                "SELECT (page_count - freelist_count) * page_size"
                " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
            ).fetchone()
            pages = [("(all)", size)]
        for name, size in pages:
            weighed.bytes[role, table_of.get(name, name)] += size
        for table in tables:
            (weighed.rows[role, table],) = conn.execute(f'SELECT count(*) FROM "{table}"').fetchone()


def weigh_postgresql(url: str, weighed: Weighed) -> None:
    """Adds every role's schema."""
    with psycopg.connect(url) as conn:
        found = conn.execute(
            "SELECT schemaname, tablename, pg_total_relation_size(format('%I.%I', schemaname, tablename)::regclass)"
            " FROM pg_tables WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema'"
        ).fetchall()
        for role, table, size in found:
            weighed.bytes[role, table] = size
            count = conn.execute(f'SELECT count(*) FROM "{role}"."{table}"'.encode()).fetchone()
            weighed.rows[role, table] = count[0] if count else 0
        log = conn.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
        weighed.log_bytes = int(log[0]) if log else 0


def pack(here: Place) -> None:
    """Leaves PostgreSQL's tables and indexes as small as they can be."""
    with psycopg.connect(here.url, autocommit=True) as conn:
        conn.execute("VACUUM FULL")


def per_payment(before: Mapping[Name, int], after: Mapping[Name, int], payments: int) -> dict[Name, float]:
    """What a payment has added to each table, most first; tables that stayed as they were are left out."""
    added = {name: (after[name] - before.get(name, 0)) / payments for name in after}
    return dict(sorted(((name, more) for name, more in added.items() if more), key=lambda one: -one[1]))


def by_role(added: Mapping[Name, float]) -> dict[str, float]:
    """Sums by role."""
    sums: dict[str, float] = {}
    for (role, _), more in added.items():
        sums[role] = sums.get(role, 0) + more
    return sums


def pay(here: Place, boxes: Boxes, at_least: int) -> int:
    """So many payments or a few more, until BOSS has heard of all; returns how many."""
    done = 0
    with servers(here.data, here.url) as serving:
        while done < at_least:
            done += boxes.work(Task([url for _, url in serving], numbers(BOXES), SECONDS)).payments
            # A box begins each round with the same service: the one of the round before has to be open.
            while here.owed():
                time.sleep(0.02)
    return done


def say(title: str, added: Mapping[Name, float], rows: Mapping[Name, float]) -> None:
    """Prints the sums of roles and the largest tables."""
    sums = by_role(added)
    print(f"{title}: {sum(sums.values()):,.0f} bytes a payment")
    print(
        "  " + ", ".join(f"{role} {sums.get(role, 0):,.0f}" for role in sorted({*ROLES, *sums}, reverse=True))
    )
    for name in list(added)[:LARGEST]:
        print(f"  {'.'.join(name)}: {added[name]:,.0f} bytes, {rows.get(name, 0):.2f} rows")
    print(f"  rows in all: {sum(rows.values()):.1f}", flush=True)


def measure(kind: str, payments: int) -> dict[str, float]:
    """The figures of one kind of database."""
    with place(kind) as here, closing(Boxes()) as boxes:
        fill(here.data, here.url, numbers(BOXES))
        pay(here, boxes, FIRST)
        if here.url:
            pack(here)
        before = weigh(here)
        count = pay(here, boxes, payments)
        after = weigh(here)
        added = per_payment(before.bytes, after.bytes, count)
        rows = per_payment(before.rows, after.rows, count)
        say(f"{count} payments on {kind}", added, rows)
        figures = {
            f"{kind}_bytes_per_payment": sum(added.values()),
            f"{kind}_rows_per_payment": sum(rows.values()),
        }
        figures |= {f"{kind}_bytes_{role}": by_role(added).get(role, 0) for role in ROLES}
        if here.url:
            pack(here)
            packed = per_payment(before.bytes, weigh(here).bytes, count)
            say(f"{count} payments on {kind}, packed", packed, rows)
            figures[f"{kind}_bytes_per_payment_packed"] = sum(packed.values())
            figures[f"{kind}_log_bytes_per_payment"] = (after.log_bytes - before.log_bytes) / count
            print(f"write-ahead log: {figures[f'{kind}_log_bytes_per_payment']:,.0f} bytes a payment")
        return figures


def main() -> None:
    """Prints the figures; ``--database sqlite`` where no PostgreSQL is installed."""
    parser = argparse.ArgumentParser(prog="python -m bench.storage")
    parser.add_argument("--database", choices=KINDS, action="append")
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for kind in options.database or KINDS:
        figures |= measure(kind, options.payments)
    print(
        json.dumps(
            {"bench": "storage", "figures": {name: round(value, 1) for name, value in figures.items()}}
        )
    )


if __name__ == "__main__":
    main()
