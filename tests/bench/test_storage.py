"""What a payment adds is counted by table, with its indexes; whether or not SQLite tells of single tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.payments import Place
from bench.storage import Weighed, by_role, per_payment, weigh, weigh_postgresql
from tests.postgres import cluster

PAGE = 4096


def test_a_payment_s_share_is_the_difference_of_all_by_the_number_of_payments() -> None:
    before = {("tsp", "orders"): 4096, ("tsp", "boxes"): 4096, ("boss", "orders"): 8192}
    after = {
        ("tsp", "orders"): 8192,
        ("tsp", "boxes"): 4096,
        ("boss", "orders"): 24576,
        ("boss", "new"): 2048,
    }
    added = per_payment(before, after, 4)
    assert list(added.items()) == [
        (("boss", "orders"), 4096),
        (("tsp", "orders"), 1024),
        (("boss", "new"), 512),
    ]
    assert by_role(added) == {"boss": 4608, "tsp": 1024}


def filled(folder: Path, rows: int) -> Place:
    """A role's file with so many rows of a page each in one table that has an index."""
    with closing(sqlite3.connect(folder / "tsp.db")) as conn:
        conn.execute("CREATE TABLE payments (id TEXT PRIMARY KEY, body TEXT)")
        conn.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        # 3,900 characters leave no room for a second row, nor need they a further page.
        conn.executemany("INSERT INTO payments VALUES (?, ?)", [(f"{n:03}", "x" * 3900) for n in range(rows)])
        conn.commit()
    return Place(folder, "")


def test_a_table_has_its_pages_and_those_of_its_indexes(tmp_path: Path) -> None:
    weighed = weigh(filled(tmp_path, 20))
    # The rows' leaves with the page above them, and the index's own.
    assert weighed.bytes["tsp", "payments"] == (20 + 1 + 1) * PAGE
    assert weighed.bytes["tsp", "other"] == PAGE
    assert weighed.rows == {("tsp", "payments"): 20, ("tsp", "other"): 0}


def test_without_dbstat_the_whole_file_is_weighed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoDbstat(sqlite3.Connection):
        def execute(self, statement: str, *more: Any) -> sqlite3.Cursor:
            return super().execute(statement.replace("dbstat", "dbstat_is_not_there"), *more)

    place = filled(tmp_path, 20)
    told = sum(weigh(place).bytes.values())
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path: connect(path, factory=NoDbstat))
    assert weigh(place).bytes == {("tsp", "(all)"): told}


def test_postgresql_s_tables_are_weighed_by_schema() -> None:
    name = cluster().make()
    try:
        with psycopg.connect(cluster().url(name)) as conn:
            conn.execute("CREATE SCHEMA boss")
            conn.execute("CREATE TABLE boss.orders (id bigint PRIMARY KEY)")
            conn.execute("INSERT INTO boss.orders VALUES (1), (2)")
        weighed = Weighed()
        weigh_postgresql(cluster().url(name), weighed)
    finally:
        cluster().drop(name)
    assert weighed.rows == {("boss", "orders"): 2}
    # A page of rows, and of the index one of its own and one for what is in it.
    assert weighed.bytes == {("boss", "orders"): 3 * 8192}
    assert weighed.log_bytes > 0
