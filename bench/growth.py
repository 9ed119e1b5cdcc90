"""What a payment costs as the database grows, from a thousand orders to a million.

The history is put in as it would have come about: orders that were paid, cancelled, or never begun, with all rows that
belong to them at BOSS and at the TSP. Measured is the server's processor time for a payment, which what else the
machine is doing disturbs least.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Integer, Table, insert, literal, select, text

from bench._boxes import SERVICES, Task
from bench._servers import Boxes, cpu_seconds, fill, numbers, open_role, servers
from bench.payments import KINDS, Place, place
from server_stub.boss import tables as boss
from server_stub.foundation.clock import SystemClock
from server_stub.foundation.ids import base32
from server_stub.tsp import tables as tsp

SIZES = (1_000, 1_000_000)
BOXES = 32
"""Boxes that pay; they have a history like all others."""
ORDERS_A_HOME = 25
"""An operator has more orders because it has more homes: what one home has bought stays about the same."""
BATCH = 5_000
ROUNDS, SECONDS = 6, 4.0
BLOCK = 40_000
GROWING = frozenset(
    (
        boss.subscriptions,
        boss.orders,
        boss.keys,
        tsp.orders,
        tsp.keys,
        tsp.payments,
        tsp.moves,
        tsp.debits,
        tsp.outbox,
    )
)
NAMES = frozenset(
    ("id", "order_id", "payment_id", "payment", "subscription_id", "key", "number", "row", "card_fingerprint")
)
"""Columns in which a copy has other values."""
PAID, CANCELLED = 70, 85
"""Of a hundred orders so many were paid; from there to the other so many were cancelled; the rest was never begun."""


def homes_of(orders: int) -> int:
    """How many homes have made so many orders."""
    return max(BOXES, orders // ORDERS_A_HOME)


def history(end: int, homes: int) -> Iterator[dict[Table, list[dict[str, Any]]]]:
    """Rows of so many orders, in batches; the paying boxes have had no more than other homes."""
    now = SystemClock().now()
    for first in range(0, end, BATCH):
        rows: dict[Table, list[dict[str, Any]]] = {}
        for number in range(first, min(first + BATCH, end)):
            at = now - timedelta(seconds=30 * (SIZES[-1] - number) + 7200)
            _one_order(rows, number, homes, at)
        yield rows


def _one_order(rows: dict[Table, list[dict[str, Any]]], number: int, homes: int, at: Any) -> None:
    home = f"9{number % homes:07d}"
    order, payment = f"K{base32(number, 12)}", f"KP{base32(number, 12)}"
    service, share = SERVICES[number % len(SERVICES)], number * 7 % 100
    paid, begun = share < PAID, share < CANCELLED
    period = {"valid_from": at, "valid_until": at + timedelta(days=30)}
    common = {"service": service, "term": "monthly", "list_fen": 1500, "reduction_fen": 0, "amount_fen": 1500}

    def add(table: Table, **values: Any) -> None:
        rows.setdefault(table, []).append(values)

    if paid:
        person = f"subscriber-{home}"
        add(boss.subscriptions, id=order, subscriber_id=person, service=service, term="monthly", paid_fen=1500, paid_at=at, cancelled=False, **period)  # fmt: skip
    done = {"state": "opened", "payment": payment, "subscription_id": order}
    open_ = {"state": "quoted", "payment": None, "subscription_id": None}
    add(boss.orders, id=order, box_number=home, created_at=at, **common, **(done if paid else open_))
    add(boss.keys, scope=home, key=order, request_hash="0" * 64, status=201, media_type="application/json", answer="{}" * 60, created_at=at)  # fmt: skip
    state = "completed" if paid else "closed" if begun else "expired"
    shown = json.dumps({"service": service, "about": "x" * 300})
    add(tsp.orders, id=order, box_number=home, number=f"K{number:08d}", state=state, renews=False, created_at=at, expires_at=at + timedelta(seconds=900), **{**common, "service": shown}, **period)  # fmt: skip
    for step in ("order", "begin", "card", "init", "debit") if paid else ("order",):
        add(tsp.keys, scope=f"box:{home}", key=f"K{step}-{number:08d}", request_hash="0" * 64, status=201, media_type="application/json", answer="{}" * 60, created_at=at)  # fmt: skip
    if not begun:
        return
    add(tsp.payments, id=payment, order_id=order, box_number=home, method="card", amount_fen=1500, state="opened" if paid else "cancelled", live=False, created_key="k", created_at=at, expires_at=at, paid_at=at if paid else None)  # fmt: skip
    for move in ("created", "card-checked", "mac1-issued", "paid", "opened"):
        add(
            tsp.moves,
            machine="card payment",
            row=payment,
            origin=move,
            target=move,
            actor="box",
            at=at,
            legal=True,
        )
    if paid:
        add(tsp.debits, payment_id=payment, card_masked="6217 00** **** 0000", card_fingerprint=f"K{base32(number, 40)}", card_sealed="x" * 120, issuer_id="0" * 16, balance_before_fen=10_000, psam="pcsc:1", terminal_number="0" * 12)  # fmt: skip
        add(tsp.outbox, topic="open-service", payload=json.dumps({"payment": payment}), created_at=at, attempts=1, delivered_at=at)  # fmt: skip


def grow(here: Place, orders: int) -> None:
    """Puts a history of so many orders in: a block of it as it comes about, the rest as copies by the database."""
    block = min(BLOCK, orders)
    for metadata in (boss.metadata, tsp.metadata):
        with closing(open_role(here.data, here.url, metadata)) as database:
            for rows in history(block, homes_of(orders)):
                database.submit(partial(_put, rows=rows, tables=metadata.sorted_tables)).result()
            for copy in range(1, orders // block):
                database.submit(partial(_copy, copy=copy, tables=metadata.sorted_tables)).result()
            # PostgreSQL does it by itself within minutes; to SQLite it has to be said.
            database.submit(lambda conn: conn.execute(text("ANALYZE"))).result()


def _put(conn: Connection, rows: dict[Table, list[dict[str, Any]]], tables: Sequence[Table]) -> None:
    for table in tables:
        if table in rows:
            conn.execute(insert(table), rows[table])


def _copy(conn: Connection, copy: int, tables: Sequence[Table]) -> None:
    """The block once more, with other ids."""
    for table in tables:
        if table not in GROWING:
            continue
        columns = [
            column
            for column in table.columns
            if not (column.primary_key and isinstance(column.type, Integer))
        ]
        named = next(name for name in ("row", "key", "payment_id", "id") if name in table.columns)
        values = [
            literal(f"{copy:03d}").concat(column) if column.name in NAMES else column for column in columns
        ]
        # The block's own names begin with K, its copies' with a digit.
        block = (
            (table.c[named] >= "K") & (table.c[named] < "L")
            if table is not tsp.outbox
            else table.c.id <= BLOCK // 2
        )
        wanted = select(*values).where(block)
        conn.execute(insert(table).from_select([column.name for column in columns], wanted))


def homes(here: Place, count: int) -> None:
    """Boxes and subscribers that only have a history."""
    now = SystemClock().now()
    others = numbers(count)[BOXES:]
    if not others:
        return
    with closing(open_role(here.data, here.url, boss.metadata)) as database:
        people = [{"id": f"subscriber-{one}", "name_zh": "某", "name_en": "Somebody"} for one in others]
        boxes = [
            {
                "box_number": one,
                "subscriber_id": f"subscriber-{one}",
                "smart_card_number": "0" * 16,
                "activation_hash": "",
                "state": "active",
            }
            for one in others
        ]
        filled = {boss.subscribers: people, boss.boxes: boxes}
        database.submit(partial(_put, rows=filled, tables=boss.metadata.sorted_tables)).result()
    with closing(open_role(here.data, here.url, tsp.metadata)) as database:
        rows = [{"box_number": one, "enrolled_at": now} for one in others]
        database.submit(lambda conn: conn.execute(insert(tsp.boxes), rows)).result()


def cost_ms(here: Place, boxes: Boxes, rounds: int) -> list[float]:
    """The server's processor time for a payment, by round."""
    found = []
    with servers(here.data, here.url) as serving:
        task = Task([url for _, url in serving], numbers(BOXES), SECONDS)
        boxes.work(task)
        _settled(here)
        for _ in range(rounds):
            before = cpu_seconds([serving[0][0]])
            done = boxes.work(task)
            _settled(here)
            found.append(1000 * (cpu_seconds([serving[0][0]]) - before) / done.payments)
    return found


def _settled(here: Place) -> None:
    while here.owed():
        time.sleep(0.02)


def measure(kind: str, sizes: Sequence[int], rounds: int) -> dict[str, float]:
    """The cost at both sizes, measured in turns on two databases."""
    with place(kind) as small, place(kind) as large, closing(Boxes()) as boxes:
        for here, size in ((small, sizes[0]), (large, sizes[-1])):
            fill(here.data, here.url, numbers(BOXES))
            homes(here, homes_of(size))
            began = time.perf_counter()
            grow(here, size)
            print(f"{kind}: {size} orders in {time.perf_counter() - began:.0f} s", flush=True)
        costs: dict[str, list[float]] = {"small": [], "large": []}
        for _ in range(max(1, rounds // 2)):
            costs["small"] += cost_ms(small, boxes, 2)
            costs["large"] += cost_ms(large, boxes, 2)
        few, many = statistics.median(costs["small"]), statistics.median(costs["large"])
        print(
            f"{kind}: {few:.2f} ms of processor a payment at {sizes[0]} orders, {many:.2f} ms at {sizes[-1]}; rounds {costs}"
        )
        return {f"growth_ratio_{kind}": many / few, f"small_ms_{kind}": few, f"large_ms_{kind}": many}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth")
    parser.add_argument("--database", choices=KINDS, action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--orders", type=int, default=SIZES[-1])
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for kind in options.database or KINDS:
        figures |= measure(kind, (SIZES[0], options.orders), options.rounds)
    figures["growth_ratio"] = max(
        figure for name, figure in figures.items() if name.startswith("growth_ratio")
    )
    print(
        json.dumps({"bench": "growth", "figures": {name: round(value, 3) for name, value in figures.items()}})
    )


if __name__ == "__main__":
    main()
