"""The queue for PSAMs: first come, first served; nobody waits for one that is free, or longer than was asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server_stub.settings import Settings
from server_stub.tsp.psam_queue import LOOK_AGAIN
from tests.server_stub.system import Box, Card, System, running

pytestmark = pytest.mark.anyio
WAIT = 25


class Waiting:
    """A box whose card waits for a PSAM."""

    def __init__(self, box: Box, payment: Any) -> None:
        self.box, self.payment, self.card = box, payment, Card(box)
        body, query = self.card.data(), {"wait": WAIT}
        call = box.call("POST", f"/payments/{payment['payment']}/card", body, **query)
        self.answer = asyncio.ensure_future(call)

    @classmethod
    async def begin(cls, system: System, box: Box, service: str = "sports") -> Waiting:
        """When it is in the queue."""
        waiting = cls(box, await box.pay("card", service, "monthly"))
        before = places(system)
        while places(system) == before and not waiting.answer.done():
            await asyncio.sleep(0)
        return waiting


def places(system: System) -> int:
    return sum(len(queue.places) for queue in system.tsp.core.psam_queue._queues.values())


async def leased(system: System, number: str) -> tuple[Box, str]:
    """A box that has a PSAM, and its payment's path."""
    box = await system.box(number)
    path = f"/payments/{(await box.pay('card'))['payment']}"
    await box.post(f"{path}/card", Card(box).data())
    return box, path


async def test_who_waits_longest_gets_what_is_given_back_and_whoever_comes_then_comes_last(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        holder, path = await leased(system, "85312047")
        box = await system.box("85312048")
        first, second = await Waiting.begin(system, box), await Waiting.begin(system, box, "kids")
        await holder.post(f"{path}/cancel")
        # It is free, but not for somebody who does not wait.
        newcomer = await holder.pay("card", "kids", "monthly")
        refused = await holder.refused(f"/payments/{newcomer['payment']}/card", Card(holder).data())
        assert refused["code"] == "psam-none-free"
        assert (await first.answer).status_code == 200
        assert not second.answer.done()
        await box.post(f"/payments/{first.payment['payment']}/cancel")
        assert (await second.answer).status_code == 200
        assert places(system) == 0


async def test_a_lease_that_runs_out_is_found_by_whoever_waits(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1", lease_seconds=10)) as system:
        await leased(system, "85312047")
        first = await Waiting.begin(system, await system.box("85312048"))
        system.clock.advance(10 + LOOK_AGAIN.total_seconds())
        assert (await first.answer).status_code == 200


async def test_nobody_waits_longer_than_was_asked(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        await leased(system, "85312047")
        first = await Waiting.begin(system, await system.box("85312048"))
        system.clock.advance(WAIT)
        assert (await first.answer).json()["code"] == "psam-none-free"


async def test_a_server_that_stops_answers_who_waits(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        await leased(system, "85312047")
        first = await Waiting.begin(system, await system.box("85312048"))
        system.roles.begin_stop()
        assert (await first.answer).json()["code"] == "psam-none-free"


async def test_a_card_that_cannot_pay_is_told_so_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        holder, path = await leased(system, "85312047")
        first = await Waiting.begin(system, await system.box("85312048"))
        other = await holder.pay("card", "kids", "monthly")
        card = Card(holder, "expired")
        answer = await holder.call("POST", f"/payments/{other['payment']}/card", card.data(), wait=WAIT)
        assert answer.json()["code"] == "card-expired"
        await holder.post(f"{path}/cancel")
        assert (await first.answer).status_code == 200
