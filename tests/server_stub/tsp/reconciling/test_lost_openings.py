"""A service that BOSS opened later than the window, and has lost since. ONL-9"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import delete, update

from server_stub.boss import tables as boss
from server_stub.foundation.clock import CHINA
from server_stub.foundation.problems import Problem
from server_stub.tsp import tables
from tests.server_stub.system import System
from tests.server_stub.tsp.mornings import (
    at_boss,
    breaks,
    compared_again,
    delivered,
    morning,
    runs,
    taken_back,
    told_and_compared,
)
from tests.server_stub.tsp.reconciling.test_healing import lose
from tests.server_stub.tsp.test_uploads import DAY, paid

pytestmark = pytest.mark.anyio
LATE = DAY + timedelta(days=5)


async def test_what_boss_opened_late_and_has_lost_it_opens_again(system: System) -> None:
    """BOSS tells the day of the opening anew, without it."""
    (payment,) = await paid(system)
    opened = datetime.combine(LATE, datetime.min.time(), CHINA)
    changed = update(boss.orders).where(boss.orders.c.id == payment["order"]).values(opened_at=opened)
    await system.boss(lambda conn: conn.execute(changed))
    for day in range(1, 7):
        await morning(system, day)
        await delivered(system)
    matched = ("boss", "other-day", "closed", "match")
    assert await breaks(system) == [matched]
    await system.boss(partial(lose, order=payment["order"]))
    await told_and_compared(system, 7)
    assert (await runs(system, LATE))["boss"] == ("done", {"missing-there": 1})
    assert await breaks(system) == [("boss", "missing-there", "healing", "open"), matched]
    system.tsp.core.outbox.worker.kick()
    await delivered(system)
    (order,) = [row for row in await at_boss(system, boss.orders) if row.id == payment["order"]]
    assert order.state == "opened"
    await told_and_compared(system, 8)
    assert await breaks(system) == [matched, matched]
    # Whichever of the days is compared once more, nothing comes of it.
    for day in (DAY, LATE, DAY + timedelta(days=7)):
        await compared_again(system, day)
        assert await breaks(system) == [matched, matched], day
    assert [row.state for row in await system.rows(tables.payments)] == ["opened"]


async def test_what_staff_have_taken_back_is_not_opened_again(system: System) -> None:
    """Not either where BOSS has forgotten that it was asked."""
    (payment,) = await paid(system)
    await delivered(system)
    await taken_back(system, payment["order"])
    await system.boss(lambda conn: conn.execute(delete(boss.keys)))
    (row,) = await system.rows(tables.payments)
    body = {"payment": row.id, "amount_fen": row.amount_fen, "method": row.method}
    before = sorted(await at_boss(system, boss.subscriptions))
    asked = {**body, "paid_at": row.paid_at.isoformat()}
    with pytest.raises(Problem, match="service-withdrawn"):
        await system.tsp.core.boss.post(row.box_number, f"orders/{row.order_id}/opening", asked, row.id)
    (order,) = [one for one in await at_boss(system, boss.orders) if one.id == row.order_id]
    assert order.state == "cancelled"
    assert sorted(await at_boss(system, boss.subscriptions)) == before
