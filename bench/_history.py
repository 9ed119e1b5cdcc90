"""A TSP and a BOSS with a long history, made by SQLite itself: ten million payments in minutes.

Payments, orders and what cards have said are there for the whole history; moves, journals, deliveries, requests' answers and
BOSS's side for its newest part. Journals are put in with the ledger's triggers away, which are put back afterwards; so
are indexes, which are made in one go. Balances are what the entries add up to.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from server_stub.boss import demo
from server_stub.boss import tables as boss
from server_stub.foundation import ids, migrations
from server_stub.foundation.clock import SystemClock
from server_stub.foundation.ids import Ids
from server_stub.foundation.ledger import PARTS
from server_stub.foundation.sqlite import SqliteDatabase
from server_stub.tsp import books
from server_stub.tsp import tables as tsp

PAYMENTS = 10_000_000
NEWEST = 1_000_000
"""Payments with moves, journals, deliveries, answers, and an order at BOSS."""
HOMES = 400_000
YEARS_US = 2 * 365 * 86_400_000_000
BATCH = 500_000
PLANS = tuple(
    (service, term, price)
    for service, monthly in (
        ("sports", 1500), ("kids", 1200), ("music", 800), ("news", 600), ("documentary", 1000), ("opera", 900),
        ("games", 1800), ("health", 700), ("movies", 2500),
    )
    for term, price in (
        ("monthly", monthly), ("quarterly", monthly * 3 - 400), ("yearly", monthly * 10), ("per-use", monthly // 3),
    )
)  # fmt: skip
RARE = (
    "mac1-issued", "mac2-refused", "proof-kept", "contradicted", "reversing", "cash-begun", "presenting",
    "certificate-refused", "certificate-lost", "service-refused", "written-off",
)  # fmt: skip
"""A few hundred payments stand so."""
BINS = ("621700", "622202", "622848", "622588", "621226", "623058", "625912", "622200")

# Of a number in a row: other numbers that look as if they had nothing to do with it (Knuth, 6.4).
_HASHES = ", ".join(
    f"((n * {factor} + {plus}) % 4294967291) >> 7 AS h{place}"
    for place, (factor, plus) in enumerate(
        (
            (2654435761, 11),
            (1597334677, 77),
            (3812015801, 5),
            (958689277, 991),
            (3266489917, 13),
            (668265263, 7),
        )
    )
)
_CLOCK = "||".join(f"substr('{ids.ALPHABET}', 1 + ((at / 1000 >> {5 * place}) & 31), 1)" for place in reversed(range(10)))  # fmt: skip
_ROWS = f"""
CREATE TEMP TABLE made AS WITH RECURSIVE
  numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :end),
  hashed AS (SELECT n, :last - (:count - n) * :step + (n % 997) * 1000 AS at, {_HASHES} FROM numbers),
  dealt AS (SELECT *, plans.service AS service, plans.term AS term, plans.price AS list_fen,
      CASE WHEN h3 % 20 = 0 THEN plans.price / 10 ELSE 0 END AS reduction_fen,
      CASE WHEN h1 % 1000 < 600 THEN 'card' ELSE 'wallet:demo' END AS method,
      CASE WHEN h1 % 1000 >= 600 THEN 'wallet' WHEN h4 % 10 < 7 THEN 'purse' WHEN h4 % 10 < 9 THEN 'online' ELSE 'cash' END AS kind
    FROM hashed JOIN plans ON plans.id = h0 % (SELECT count(*) FROM plans))
SELECT n, at, h2, h3, h4, h5, service, term, list_fen, reduction_fen, list_fen - reduction_fen AS amount_fen, method, kind,
  {_CLOCK} || hex(randomblob(8)) AS id, {_CLOCK.replace("at / 1000", "(at - 20000000) / 1000")} || hex(randomblob(8)) AS order_id,
  printf('9%07d', h5 % {HOMES}) AS box, lower(hex(randomblob(16))) AS correlation,
  CASE WHEN h2 % 20000 < 11 AND kind <> 'wallet' THEN (SELECT name FROM rare WHERE id = h2 % 20000)
       WHEN h2 % 20000 = 12 AND kind = 'wallet' THEN 'amount-differs' WHEN h2 % 20000 = 13 AND kind = 'wallet' THEN 'refunding'
       WHEN h2 % 1000 < 5 AND kind = 'wallet' THEN 'refunded'
       WHEN h2 % 1000 < 810 THEN 'opened' WHEN h2 % 1000 < 900 THEN 'cancelled' WHEN h2 % 1000 < 960 THEN 'expired'
       ELSE 'failed' END AS state
FROM dealt"""
_TAKEN = "state IN ('opened', 'refunded', 'refunding', 'service-refused', 'presenting')"
_CARD = "state NOT IN ('cancelled', 'expired')"
_INTO = {
    "orders": (
        "INSERT INTO orders (id, box_number, number, state, version, service, term, list_fen, reduction_fen, amount_fen, valid_from,"
        " valid_until, renews, created_at, expires_at, correlation) SELECT order_id, box,"
        " printf('%04X %04X', n * 2654435761 % 4294967296 / 65536, n * 2654435761 % 65536),"
        f" CASE WHEN {_TAKEN} THEN 'completed' ELSE 'closed' END, 3, (SELECT shown FROM services WHERE services.name = made.service), term, list_fen,"
        " reduction_fen, amount_fen, at, at + 2592000000000, 0, at - 20000000, at + 880000000, correlation FROM made"
    ),
    "payments": (
        "INSERT INTO payments (id, order_id, box_number, service, term, method, amount_fen, state, version, live, reason, created_key, created_at,"
        " expires_at, paid_at, received_fen, looks, correlation) SELECT id, order_id, box, service, term, method, amount_fen, state, 5,"
        " state NOT IN ('opened', 'refunded', 'refunding', 'cancelled', 'expired', 'failed', 'written-off'),"
        " CASE state WHEN 'failed' THEN CASE h3 % 4 WHEN 0 THEN 'declined' WHEN 1 THEN 'insufficient-funds' WHEN 2 THEN 'card-removed' ELSE 'not-debited' END"
        "  WHEN 'cancelled' THEN 'cancelled' WHEN 'expired' THEN 'expired' WHEN 'refunded' THEN 'late' END,"
        f" 'key-' || id, at, CASE WHEN state IN ('opened', 'refunded', 'cancelled', 'expired', 'failed') THEN at + 600000000 ELSE 4102444800000000 END, CASE WHEN {_TAKEN} THEN at + 9000000 END,"
        f" CASE WHEN state = 'amount-differs' THEN amount_fen - 1 - h3 % 50 WHEN {_TAKEN} THEN amount_fen END, 0, correlation FROM made"
    ),
    "card_debits": (
        "INSERT INTO card_debits (payment_id, card_masked, card_fingerprint, card_sealed, issuer_id, balance_before_fen, balance_after_fen, psam,"
        " terminal_number, offline_number, overdraft_limit_fen, key_version, algorithm_id, random, date, time, terminal_transaction_number, tac, mac2)"
        " SELECT id, (SELECT head FROM bins WHERE bins.id = h3 % 8) || '** **** **** ' || printf('%04d', h4 % 10000), hex(randomblob(32)), hex(randomblob(40)),"
        " '0102030405060708', 50000, 50000 - amount_fen, 'pcsc:' || (1 + h4 % 48), printf('%012d', 1 + h4 % 48), h5 % 65536, 0, 1, 0, '00000000',"
        " strftime('%Y%m%d', at / 1000000 + 28800, 'unixepoch'), strftime('%H%M%S', at / 1000000 + 28800, 'unixepoch'), printf('%08X', n),"
        f" hex(randomblob(4)), hex(randomblob(4)) FROM made WHERE kind = 'purse' AND {_CARD}"
    ),
    "card_authorisations": (
        "INSERT INTO card_authorisations (payment_id, card_masked, card_fingerprint, card_sealed, batch, stan, chip, asked_at, response_code,"
        " retrieval_reference, authorisation_code, answered_at) SELECT id, (SELECT head FROM bins WHERE bins.id = h3 % 8) || '** **** ' || printf('%04d', h4 % 10000),"
        " hex(randomblob(32)), hex(randomblob(40)), printf('%06d', n / 20000 % 1000000), printf('%06d', n % 1000000),"
        " '8408A000000333010101', at, CASE state WHEN 'failed' THEN '51' ELSE '00' END, printf('%012d', n), printf('%06d', h2 % 1000000), at + 1500000"
        f" FROM made WHERE kind = 'online' AND {_CARD}"
    ),
    "card_certificates": (
        "INSERT INTO card_certificates (payment_id, card_masked, card_fingerprint, card_sealed, balance_before_fen, atc, begun_at, balance_after_fen,"
        " batch, stan, response_code, answered_at) SELECT id, (SELECT head FROM bins WHERE bins.id = h3 % 8) || '** **** ' || printf('%04d', h4 % 10000),"
        " hex(randomblob(32)), hex(randomblob(40)), 50000, h4 % 65536, at, 50000 - amount_fen, printf('%06d', n / 20000 % 1000000),"
        f" printf('%06d', (n + 500000) % 1000000), '00', at + 1500000 FROM made WHERE kind = 'cash' AND {_CARD}"
    ),
    "card_loads": (
        "INSERT INTO card_loads (id, number, box_number, amount_fen, state, version, created_at, card_masked, balance_before_fen, balance_after_fen, batch, stan,"
        " asked_at, response_code, retrieval_reference, authorisation_code, answered_at, correlation) SELECT substr(id, 1, 18) || substr(order_id, -8), substr(order_id, -8), box,"
        " 1000 * (1 + h3 % 50), CASE WHEN h2 % 1000 < 960 THEN 'loaded' ELSE 'failed' END, 4, at,"
        " (SELECT head FROM bins WHERE bins.id = h3 % 8) || '** **** ' || printf('%04d', h4 % 10000), 0, 1000 * (1 + h3 % 50),"
        " printf('%06d', n / 20000), printf('%06d', (n + 250000) % 1000000), at, '00', printf('%012d', 500000000000 + n), printf('%06d', h5 % 1000000), at,"
        " lower(hex(randomblob(16))) FROM made WHERE n % 50 = 0"
    ),
    "inquiries": (
        "INSERT INTO inquiries (id, box_number, kind, card_masked, card_fingerprint, issuer_id, balance_fen, at, correlation)"
        " SELECT substr(id, 1, 10) || hex(randomblob(8)), box, 'card', '621700** **** **** ' || printf('%04d', h4 % 10000), hex(randomblob(32)),"
        " '0102030405060708', 50000, at - 5000000, correlation FROM made WHERE kind = 'purse' AND n % 10 = 0"
    ),
    "cases": (
        "INSERT INTO cases (id, payment_id, kind, facts, at, state) SELECT substr(id, 1, 10) || hex(randomblob(8)), id, 'card-unknown', '{}', at, 'open'"
        " FROM made WHERE state IN (SELECT name FROM rare)"
    ),
}  # fmt: skip
_OF_THE_NEWEST = {
    "state_moves": (
        "INSERT INTO state_moves (machine, row, origin, target, actor, at, legal, correlation) SELECT 'card payment', made.id, steps.origin, steps.target,"
        " steps.actor, made.at + steps.number * 1500000, 1, made.correlation FROM made, steps ORDER BY made.n, steps.number"
    ),
    "outbox": (
        "INSERT INTO outbox (topic, payload, created_at, attempts, delivered_at, correlation) SELECT 'open-service', json_object('payment', id), at + 9000000, 1,"
        f" at + 9500000, correlation FROM made WHERE {_TAKEN}"
    ),
    "idempotency": (
        "INSERT INTO idempotency (scope, key, request_hash, status, media_type, answer, created_at) SELECT 'box:' || box, 'key-' || id, hex(randomblob(32)), 201,"
        " 'application/json', json_object('payment', id, 'state', 'preparing'), at FROM made"
    ),
    "ledger_entries": (
        "INSERT INTO ledger_entries (journal, line, account, part, amount_fen) SELECT id || ' 3 paid', lines.number, CASE lines.number WHEN 0 THEN"
        " CASE kind WHEN 'wallet' THEN 'receivable:wallet:demo' ELSE 'receivable:card' END ELSE 'suspense:orders' END, h3 % 16,"
        f" CASE lines.number WHEN 0 THEN amount_fen ELSE -amount_fen END FROM made, lines WHERE {_TAKEN}"
    ),
    "ledger_journals": (
        f"INSERT INTO ledger_journals (id, kind, reference, step, actor, at, correlation) SELECT id || ' 3 paid', 'paid', id, 3, 'box', at + 9000000, correlation FROM made WHERE {_TAKEN}"
    ),
}  # fmt: skip
_AT_BOSS = {
    "subscriptions": (
        "INSERT INTO subscriptions (id, subscriber_id, service, term, valid_from, valid_until, paid_fen, paid_at, cancelled, correlation) SELECT order_id,"
        f" 'subscriber-' || box, service, term, at, at + 2592000000000, amount_fen, at + 9000000, 0, correlation FROM made WHERE {_TAKEN}"
    ),
    "orders": (
        "INSERT INTO orders (id, box_number, service, term, list_fen, reduction_fen, amount_fen, state, payment, subscription_id, created_at, correlation)"
        f" SELECT order_id, box, service, term, list_fen, reduction_fen, amount_fen, CASE WHEN {_TAKEN} THEN 'opened' ELSE 'quoted' END,"
        f" CASE WHEN {_TAKEN} THEN id END, CASE WHEN {_TAKEN} THEN order_id END, at - 20000000, correlation FROM made"
    ),
}  # fmt: skip


def make(data: Path, payments: int = PAYMENTS) -> None:
    """Fills ``boss.db`` and ``tsp.db`` below ``data``; what is there already, and whole, is kept."""
    whole = data / "whole"
    if whole.exists() and whole.read_text() == _stamp(payments):
        return
    data.mkdir(parents=True, exist_ok=True)
    for old in (*data.glob("*.db*"), whole):
        old.unlink(missing_ok=True)
    began = time.perf_counter()
    clock = SystemClock()
    with closing(SqliteDatabase(data / "boss.db", migrations.prepare(boss.metadata))) as database:
        database.load(lambda conn: demo.load(conn, Ids(clock, os.urandom), clock))
    with closing(SqliteDatabase(data / "tsp.db", migrations.prepare(tsp.metadata))) as database:
        database.load(lambda conn: books.open_accounts(conn, ["demo"]))
    at_tsp, at_boss = _opened(data / "tsp.db"), _opened(data / "boss.db")
    with closing(at_tsp), closing(at_boss), _bare(at_tsp), _bare(at_boss):
        _homes(at_tsp, at_boss)
        for first in range(0, payments, BATCH):
            end = min(first + BATCH, payments)
            _rows(at_tsp, first, end, payments)
            for statement in _INTO.values():
                at_tsp.execute(statement)
            if end > payments - NEWEST:
                for statement in _OF_THE_NEWEST.values():
                    at_tsp.execute(statement)
                _hand_over(at_tsp, at_boss)
            at_tsp.execute("DROP TABLE temp.made")
            at_tsp.commit()
            at_boss.commit()
            print(f"{end} payments, {time.perf_counter() - began:.0f} s", flush=True)
        _balances(at_tsp)
    whole.write_text(_stamp(payments))
    print(f"history made in {time.perf_counter() - began:.0f} s", flush=True)


def _stamp(payments: int) -> str:
    """What the files were made by: another program makes them anew."""
    revision = [migrations.revisions(migrations.folder_of(one))[-1] for one in (boss.metadata, tsp.metadata)]
    return json.dumps([payments, NEWEST, HOMES, *revision])


def _opened(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path)
    for pragma in ("synchronous=OFF", "journal_mode=MEMORY", "temp_store=MEMORY", "cache_size=-400000", "foreign_keys=OFF"):  # fmt: skip
        conn.execute(f"PRAGMA {pragma}")
    return conn


@contextmanager
def _bare(conn: sqlite3.Connection) -> Iterator[None]:
    """Without triggers, and without indexes, which are made at the end in one go."""
    query = "SELECT name, type, sql FROM sqlite_master WHERE type = 'trigger' OR (type = 'index' AND sql IS NOT NULL)"
    taken = conn.execute(query).fetchall()
    for name, kind, _ in taken:
        conn.execute(f"DROP {kind} {name}")
    yield
    for _, kind, sql in sorted(taken, key=lambda one: one[1]):
        began = time.perf_counter()
        conn.execute(sql)
        conn.commit()
        if kind == "index" and (passed := time.perf_counter() - began) > 5:
            print(f"{sql.split(' ON ')[0]}: {passed:.0f} s", flush=True)
    conn.execute("PRAGMA analysis_limit=1000")
    conn.execute("ANALYZE")
    conn.commit()
    conn.execute("PRAGMA journal_mode=WAL")


def _homes(at_tsp: sqlite3.Connection, at_boss: sqlite3.Connection) -> None:
    now = round(time.time() * 1_000_000)
    boxes = [f"9{number:07d}" for number in range(HOMES)]
    at_tsp.executemany("INSERT INTO boxes VALUES (?, ?)", ((box, now) for box in boxes))
    people = ((f"subscriber-{box}", f"用户{box}", f"Subscriber {box}", 0) for box in boxes)
    at_boss.executemany("INSERT INTO subscribers VALUES (?, ?, ?, ?)", people)
    homes = ((box, f"subscriber-{box}", "8310" + box + "0019", "", "active") for box in boxes)
    at_boss.executemany("INSERT INTO boxes VALUES (?, ?, ?, ?, ?)", homes)
    shown = dict(at_boss.execute("SELECT service, json_object('service', service, 'name', json_object('zh', name_zh, 'en', name_en),"
        " 'summary', json_object('zh', summary_zh, 'en', summary_en), 'category', json_object('zh', category_zh, 'en', category_en),"
        " 'icon', icon, 'from', json_object('price_fen', 100, 'term', 'monthly'), 'status', 'available', 'valid_until', NULL, 'days_left', NULL)"
        " FROM products").fetchall())  # fmt: skip
    at_tsp.execute("CREATE TEMP TABLE services (name PRIMARY KEY, shown)")
    at_tsp.executemany("INSERT INTO services VALUES (?, ?)", shown.items())
    at_tsp.execute("CREATE TEMP TABLE plans (id INTEGER PRIMARY KEY, service, term, price)")
    at_tsp.executemany(
        "INSERT INTO plans VALUES (?, ?, ?, ?)", ((place, *plan) for place, plan in enumerate(PLANS))
    )
    _listed(at_tsp, "rare (id INTEGER PRIMARY KEY, name)", RARE)
    _listed(at_tsp, "bins (id INTEGER PRIMARY KEY, head)", [f"{number[:4]} {number[4:]}" for number in BINS])
    at_tsp.execute("CREATE TEMP TABLE lines AS SELECT 0 AS number UNION SELECT 1")
    at_tsp.execute("CREATE TEMP TABLE steps (number, origin, target, actor)")
    steps = (
        (1, "created", "card-checked", "box"),
        (2, "card-checked", "mac1-issued", "box"),
        (3, "mac1-issued", "paid", "box"),
        (4, "paid", "opened", "boss"),
    )
    at_tsp.executemany("INSERT INTO steps VALUES (?, ?, ?, ?)", steps)


def _listed(conn: sqlite3.Connection, table: str, values: Sequence[str]) -> None:
    conn.execute(f"CREATE TEMP TABLE {table}")
    conn.executemany(f"INSERT INTO {table.split(' ')[0]} VALUES (?, ?)", enumerate(values))


def _rows(conn: sqlite3.Connection, first: int, end: int, count: int) -> None:
    last = round(time.time() * 1_000_000) - 3_600_000_000
    values = {"first": first, "end": end, "count": count, "last": last, "step": YEARS_US // count}
    # Parameters are not for CREATE TABLE ... AS.
    statement = _ROWS
    for name, value in values.items():
        statement = statement.replace(f":{name}", str(value))
    conn.execute(statement)


def _hand_over(at_tsp: sqlite3.Connection, at_boss: sqlite3.Connection) -> None:
    """The rows that are being made are BOSS's too."""
    columns = [row[1] for row in at_tsp.execute("PRAGMA temp.table_info(made)")]
    at_boss.execute(f"CREATE TEMP TABLE made ({', '.join(columns)})")
    marks = ", ".join("?" * len(columns))
    at_boss.executemany(f"INSERT INTO made VALUES ({marks})", at_tsp.execute("SELECT * FROM made"))
    for statement in _AT_BOSS.values():
        at_boss.execute(statement)
    at_boss.execute("DROP TABLE temp.made")


def _balances(conn: sqlite3.Connection) -> None:
    conn.execute(
        "UPDATE ledger_balances SET balance_fen = coalesce((SELECT sum(amount_fen) FROM ledger_entries AS entry"
        " WHERE entry.account = ledger_balances.account AND entry.part = ledger_balances.part), 0)"
    )
    assert PARTS == 16
