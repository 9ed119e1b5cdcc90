"""A server that is killed while it owes PPP a reversal: started again, it tells until PPP has acknowledged. ONL-13"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from server_stub.ppp import tables as ppp
from server_stub.tsp import tables as tsp
from tests.server_stub.system import Box, first_start
from tests.server_stub.test_process import started
from tests.server_stub.test_several import InTurn, Several
from tests.server_stub.tsp.test_online_card import Terminal

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def process(data: Path) -> AsyncIterator[Several]:
    """A server with all roles; leaving kills it (SIGKILL), whatever it is at."""
    with started(data, STB_SERVER_PPP_SECONDS="0.5") as (running, address):
        turns = InTurn([address])
        async with httpx.AsyncClient(transport=turns) as outside:
            yield Several([running], turns, data, outside)


async def test_it_is_acknowledged_after_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(first_start().name, data)
    async with process(data) as server:
        box = Box(server, "85312048")  # type: ignore[arg-type]
        await box.enrol()
        declined = await Terminal(server, box, "credit").authorise(  # type: ignore[arg-type]
            await box.pay("card", "kids", "monthly"), pin="111111"
        )
        assert declined["response_code"] == "55"  # it has signed in
        payment = await box.pay("card")
        terminal = Terminal(server, box)  # type: ignore[arg-type]
        body = await terminal.request(payment)
        await server.outside.put("http://server/ppp/faults", json={"drop_answers": True})
        said = await box.post(f"/payments/{payment['payment']}/authorisation", body)
        assert (said["response_code"], said["payment"]["state"]) == (None, "unknown")
    assert [row.due_at is None for row in server.rows(select(tsp.outbox)) if row.topic == "reverse"] == [
        False
    ]
    async with process(data) as again:
        failed = await box.at(again).state(payment["payment"], "failed")  # type: ignore[arg-type]
        assert (failed["money"], failed["reason"]) == ("not-taken", "ppp-silent")
        states = [row.state for row in again.rows(select(ppp.transactions), ppp.metadata)]
        assert sorted(states) == ["declined", "reversed"]
