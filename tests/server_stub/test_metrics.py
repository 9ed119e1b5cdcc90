"""Metrics: what happened is in the numbers, money too, and strangers do not get them."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi import FastAPI

from server_stub.app import phone_application
from tests.server_stub.system import OWN, Card, System

pytestmark = pytest.mark.anyio


async def numbers(system: System) -> dict[str, float]:
    answer = await system.outside.get(f"{OWN}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    pairs = re.findall(r"^(stb_\S+?(?:\{.*?\})?) (\S+)$", answer.text, re.MULTILINE)
    return {name: float(value) for name, value in pairs}


async def test_a_payment_that_nobody_knows_the_end_of_is_seen_with_its_age_and_its_money(
    system: System,
) -> None:
    box = await system.box()
    payment = await box.pay("card")
    await Card(box).authorised(payment)
    system.clock.advance(100)
    found = await numbers(system)
    assert found['stb_payments{state="mac1-issued"}'] == 1
    assert found["stb_unknown_oldest_seconds"] == 100
    assert found["stb_suspense_fen"] == payment["amount_fen"]
    assert (found["stb_psam_pool_size"], found["stb_psam_pool_in_use"], found["stb_psam_pool_locked"]) == (
        3,
        1,
        0,
    )
    route = 'method="POST",route="/stb/v1/payments/{payment}/init",status="200"'
    assert found[f"stb_request_seconds_count{{{route}}}"] == 1
    assert found['stb_database_commit_seconds_count{role="tsp"}'] > 3
    assert found['stb_database_group_size_count{role="tsp"}'] > 3
    assert any(name.startswith("stb_build_info{") for name in found)


async def test_what_is_owed_and_what_is_refused_is_counted(system: System) -> None:
    box = await system.box()
    system.network.cut.add("/boss/v1/boxes/85312048/orders/")
    await Card(box).pay(await box.pay("card"))
    request = box.request("POST", "/orders", {"service": "kids", "term": "monthly"})
    await box.send(request, leave_out=("@query",))
    await system.outside.get(f"{OWN}/wp-login.php")
    found = await numbers(system)
    assert found['stb_outbox_depth{role="tsp"}'] == 1
    assert found['stb_refusals_total{code="signature-invalid"}'] == 1
    assert found['stb_request_seconds_count{method="other",route="other",status="404"}'] == 1
    assert not [name for name in found if "wp-login" in name]


async def test_only_this_machine_itself_gets_them(system: System) -> None:
    for headers in ({"X-Forwarded-For": "10.0.0.1"}, {"Forwarded": "for=10.0.0.1"}):
        assert (await system.outside.get(f"{OWN}/metrics", headers=headers)).status_code == 404
    assert await status(system.outside._transport.app, "10.0.0.7") == 404  # type: ignore[attr-defined]
    assert await status(phone_application(system.roles), "127.0.0.1") == 404


async def status(app: FastAPI, client: str) -> int:
    transport = httpx.ASGITransport(app, client=(client, 1234))
    async with httpx.AsyncClient(transport=transport) as outside:
        return (await outside.get(f"{OWN}/metrics")).status_code


async def test_readiness_says_when_nothing_more_should_be_sent(system: System) -> None:
    ready = await system.outside.get(f"{OWN}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "waiting_for": []})
    system.roles.begin_stop()
    stopping = await system.outside.get(f"{OWN}/readyz")
    assert (stopping.status_code, stopping.json()["waiting_for"]) == (503, ["stopping"])
    assert (await system.outside.get(f"{OWN}/healthz")).status_code == 200
