"""One id from the box's request to every row, delivery and request to others that follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from server_stub.boss import tables as boss
from server_stub.foundation import correlation
from server_stub.tsp import tables as tsp
from tests.server_stub.system import Box, Card, System, body_of

pytestmark = pytest.mark.anyio
CARD, WALLET, PAYING = "c" * 32, "d" * 32, "e" * 32
COVERED = (
    "@method", "@authority", "@path", "@query", "content-digest", "stb-number", "idempotency-key", "correlation-id",
)  # fmt: skip


async def ask(box: Box, correlation: str, path: str, body: Any = None) -> Any:
    request = box.request("POST", path, body)
    request.headers["Correlation-Id"] = correlation
    answer = await box.send(request, covered=COVERED)
    assert answer.is_success, answer.text
    assert answer.headers["Correlation-Id"] == correlation
    return answer.json()


async def test_a_purchase_is_found_by_its_id_in_every_book(system: System) -> None:
    with capture_logs(processors=[correlation.in_log]) as lines:
        await buy(system)
    mine = [line for line in lines if line.get("correlation") == PAYING]
    assert [line for line in mine if line["event"] == "delivered"]
    routes = {line.get("route") for line in mine if line["event"] == "answered"}
    assert {
        "/stb/v1/payments/{payment}/debit",
        "/boss/v1/boxes/{box_number}/orders/{order_id}/opening",
    } <= routes


async def buy(system: System) -> None:
    box = await system.box()
    card = Card(box)
    order = await ask(box, CARD, "/orders", {"service": "sports", "term": "monthly"})
    payment = await ask(box, PAYING, f"/orders/{order['order']}/payments", {"method": "card"})
    path = f"/payments/{payment['payment']}"
    leased = await ask(box, PAYING, f"{path}/card", card.data())
    authorised = await ask(box, PAYING, f"{path}/init", card.initialize(leased, payment["amount_fen"]))
    await ask(box, PAYING, f"{path}/debit", body_of(card.debit(authorised)))
    await box.state(payment["payment"], "done")
    for table, of in ((tsp.orders, CARD), (tsp.payments, PAYING), (tsp.outbox, PAYING)):
        assert [row.correlation for row in await system.rows(table)] == [of], table.name
    moves = [row for row in await system.rows(tsp.moves) if row.row in (order["order"], payment["payment"])]
    assert {row.target for row in moves} >= {"paying", "mac1-issued", "paid", "opened", "completed"}
    assert {row.correlation for row in moves} == {PAYING}
    booked = select(boss.ledger.journals.c.correlation)
    assert await system.boss(lambda conn: conn.execute(booked).scalars().all()) == [PAYING]
    opened = select(boss.subscriptions.c.correlation).where(boss.subscriptions.c.service == "sports")
    assert PAYING in await system.boss(lambda conn: conn.execute(opened).scalars().all())


async def test_what_the_wallet_and_the_clock_do_later_belongs_to_the_same_id(system: System) -> None:
    box = await system.box()
    order = await ask(box, WALLET, "/orders", {"service": "kids", "term": "monthly"})
    payment = await ask(box, WALLET, f"/orders/{order['order']}/payments", {"method": "wallet:demo"})
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "done")
    assert {row.correlation for row in await system.rows(tsp.outbox)} == {WALLET}
    moves = [row for row in await system.rows(tsp.moves) if row.row == payment["payment"]]
    assert {"paid", "opened"} <= {row.target for row in moves}
    assert {row.correlation for row in moves} == {WALLET}


async def test_an_id_that_is_not_signed_is_refused_and_one_that_is_none_is_replaced(system: System) -> None:
    box = await system.box()
    request = box.request("POST", "/orders", {"service": "kids", "term": "monthly"})
    request.headers["Correlation-Id"] = CARD
    refused = await box.send(request)
    assert refused.json()["code"] == "signature-invalid"
    answer = await system.outside.get("http://server/healthz", headers={"Correlation-Id": "x\u00e9\n"[:1]})
    assert len(answer.headers["Correlation-Id"]) == 32
    assert answer.headers["Correlation-Id"] != CARD
