"""Debits that PPP refuses, presented again: in which day they count, and when they agree. ONL-9"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from server_stub.tsp import tables, uploads
from tests.server_stub.system import System
from tests.server_stub.tsp.mornings import breaks, decide, morning, runs
from tests.server_stub.tsp.test_uploads import DAY, days_of, exchanged, paid, tac_is

pytestmark = pytest.mark.anyio


async def totals_of(system: System) -> list[tuple[Any, ...]]:
    """Of days with debits: day, state, count, how many were accepted, and refused."""
    return [(*row[:3], row[4], row[6]) for row in await days_of(system) if row[2]]


async def sent_again(system: System) -> None:
    """The first day goes out once more, and is answered."""
    await system.tsp.database.write(lambda conn: uploads.send_again(conn, DAY))
    await exchanged(system)


async def test_a_debit_that_ppp_refuses_waits_and_can_be_presented_again(system: System) -> None:
    await paid(system)
    (debit,) = await system.rows(tables.debits)
    await tac_is(system, "00000000")
    await morning(system)
    assert (await runs(system))["ppp"] == ("done", {"status": 1})
    assert await breaks(system) == [("ppp", "status", "open", None)]
    await tac_is(system, debit.tac)
    await decide(system, "present-again")
    assert await breaks(system) == [("ppp", "status", "healing", "present-again")]
    await morning(system, 2)
    assert await breaks(system) == [("ppp", "status", "closed", "agreed")]
    assert [row[1:3] for row in await days_of(system)] == [("answered", 1), ("answered", 1)]


async def test_a_debit_that_is_accepted_much_later_agrees_and_its_days_add_up(
    system: System, tmp_path: Path
) -> None:
    """Presented again after ten days; the day that it was refused with is sent again as it was, before and after that."""
    await paid(system, 2)
    debit, _ = await system.rows(tables.debits)
    await tac_is(system, "00000000", debit.payment_id)
    await morning(system)
    await morning(system, 10)
    first = ("2026-06-21", "answered", 2, 1, 1)
    assert await totals_of(system) == [first]
    path = tmp_path / "exchange" / "ppp" / "XFMX" / "XFMX20260621.TXT"
    sent = path.read_bytes()
    await decide(system, "present-again")
    await sent_again(system)
    assert (path.read_bytes(), await totals_of(system)) == (sent, [first])
    assert await breaks(system) == [("ppp", "status", "healing", "present-again")]
    await tac_is(system, debit.tac, debit.payment_id)
    await morning(system, 11)
    assert await breaks(system) == [("ppp", "status", "closed", "agreed")]
    both = [first, ("2026-07-01", "answered", 1, 1, 0)]
    assert await totals_of(system) == both
    await sent_again(system)
    assert await totals_of(system) == both
    await morning(system, 12)
    assert await breaks(system) == [("ppp", "status", "closed", "agreed")]
    for day in (DAY, DAY + timedelta(days=10)):
        assert (await runs(system, day))["ppp"] == ("done", {"matched": 1})


async def test_a_debit_that_is_refused_twice_and_accepted_with_its_first_day_is_settled_there(
    system: System,
) -> None:
    """The day that is sent again is told as before: no alarm; the later day keeps what it was refused."""
    await paid(system, 2)
    debit, _ = await system.rows(tables.debits)
    await tac_is(system, "00000000", debit.payment_id)
    await morning(system, 1)
    await morning(system, 4)
    await decide(system, "present-again")
    for days in (5, 6):
        await morning(system, days)
    await tac_is(system, debit.tac, debit.payment_id)
    with capture_logs() as logs:
        await sent_again(system)
    assert [log for log in logs if log["event"] == "answer-changed"] == []
    for days in (7, 8):
        await morning(system, days)
    assert await totals_of(system) == [
        ("2026-06-21", "answered", 2, 2, 0),
        ("2026-06-25", "answered", 1, 0, 1),
    ]
    assert {row.code for row in await system.rows(tables.uploads)} == {"00"}
    assert (await runs(system))["ppp"] == ("done", {"matched": 2})
    assert {state for _, _, state, _ in await breaks(system)} == {"closed"}
