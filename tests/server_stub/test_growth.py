"""What a home asks for does not read what belongs to all the others: not in a whole payment, nor before or after it.

On SQLite, which says how it will find rows whatever their number; PostgreSQL has the same indexes."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from server_stub.settings import Settings
from tests.server_stub.system import Card, running

pytestmark = pytest.mark.anyio

SMALL = {
    "products", "price_plans",  # the catalogue
    "psam_leases", "psam_locks",  # at most as many as there are PSAMs
    "server_keys", "card_keys", "issuers", "listed_cards",
    "jobs", "job_runs", "audit_head",  # the server's own
}  # fmt: skip
"""Tables that do not grow with homes, orders or payments; to read all of one costs little."""
LOOKED_AT = re.compile(r"(?:WITH|SELECT|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_no_statement_of_a_home_reads_a_whole_table_that_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: dict[str, set[str]] = {}
    connect = sqlite3.connect

    def watched(name: Any, *args: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(name, *args, **named)
        role = re.sub(r".*/(\w+)\.db.*", r"\1", str(name))
        connection.set_trace_callback(statements.setdefault(role, set()).add)
        return connection

    monkeypatch.setattr(sqlite3, "connect", watched)
    async with running(tmp_path, Settings()) as system:
        box = await system.box()
        for asked in statements.values():
            asked.clear()  # to start may take its time
        await box.get("/home")
        await box.get("/services")
        await box.get("/services/sports")
        card = Card(box)
        await box.post("/inquiries", card.data(kind="card"))
        payment = await box.pay("card")
        await card.pay(payment)
        await box.state(payment["payment"], "done")
        by_code = await box.pay("wallet:demo", service="kids")
        await system.phone(by_code["qr"]["payload"], "pay")
        await box.state(by_code["payment"], "done")
        await box.get("/records")
        asked = {role: set(texts) for role, texts in statements.items()}
    read: list[str] = []
    for role in ("boss", "tsp"):
        with connect(tmp_path / f"{role}.db") as database:
            for text in asked[role]:
                # What a trigger does is traced as a remark.
                if not LOOKED_AT.match(text):
                    continue
                for *_, step in database.execute(f"EXPLAIN QUERY PLAN {text}"):
                    scanned = re.match(r"SCAN (\w+)(?! CONSTANT)", step)
                    if scanned is not None and scanned[1] not in SMALL:
                        read.append(f"{role}: {step}: {text}")
    assert sum(map(len, asked.values())) > 100
    assert not read, "\n".join(sorted(read))
