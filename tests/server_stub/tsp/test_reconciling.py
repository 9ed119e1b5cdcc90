"""Every morning's reconciliations with BOSS and PPP, what heals and what waits for a person. ONL-9"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from server_stub.boss import cancelling
from server_stub.boss import tables as boss
from server_stub.foundation.clock import CHINA
from server_stub.reconciliation.book import Decision, DecisionRefused
from server_stub.tsp import books, tables
from server_stub.tsp.reconciling import Reconciling
from tests.server_stub.system import Box, Card, System, exchange_below, running_with_ppp
from tests.server_stub.tsp.test_online_card import Terminal
from tests.server_stub.tsp.test_uploads import DAY, answering, days_of, exchanged, next_day, paid

pytestmark = pytest.mark.anyio
SECOND_FEN = 50_000


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path / "data", folder=exchange_below(tmp_path)) as system:
        yield system


def reconciling(system: System) -> Reconciling:
    assert system.tsp.reconciling is not None
    return system.tsp.reconciling


async def morning(system: System, days: int = 1) -> None:
    """The day ends; files go out, are answered, and are compared."""
    next_day(system, days)
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    await exchanged(system)
    await system.roles.boss.days.publish()
    await answering(system).publish()
    await reconciling(system).run()


async def runs(system: System, day: date = DAY) -> dict[str, tuple[str, dict[str, int]]]:
    """The last run of each pair of a day: its state, and how many of each class."""
    found = {}
    for row in await system.rows(tables.book.runs):
        if row.day == day.isoformat():
            counts = {cls: count for cls, (count, _) in json.loads(row.counts or "{}").items()}
            found[row.pair] = row.state, counts
    return found


async def breaks(system: System) -> list[tuple[str, str, str, str | None]]:
    return sorted((row.pair, row.cls, row.state, row.action) for row in await system.rows(tables.book.breaks))


async def bought(system: System, box: Box, service: str) -> Any:
    """Paid with the demo wallet; open."""
    payment = await box.pay("wallet:demo", service, "monthly")
    payment = await box.until(payment["payment"], lambda view: view["qr"] is not None)
    await system.phone(payment["qr"]["payload"], "pay")
    return await box.state(payment["payment"], "done")


async def boss_does(system: System, work: Callable[[Connection], Any]) -> Any:
    return await system.boss(work)


async def decide(system: System, action: str, **told: Any) -> Any:
    """A person decides about the break that is open."""
    (row,) = [one for one in await system.rows(tables.book.breaks) if one.state == "open"]
    actions = system.tsp.remedies.actions(row.pair)
    decision = Decision(row.id, action, told.pop("reason", "looked into"), "Wu", **told)
    clock = system.clock
    return await system.tsp.database.write(
        lambda conn: tables.book.decide(conn, clock, tables.audit, actions, decision, SECOND_FEN)
    )


async def test_books_that_agree_leave_nothing_to_do(system: System) -> None:
    await paid(system, 2)
    box = await system.box("85312047")
    await bought(system, box, "kids")
    online = await box.pay("card", "sports", "monthly")
    await Terminal(system, box, "debit").pay(online)
    await box.state(online["payment"], "done")
    await morning(system)
    assert await runs(system) == {"boss": ("done", {"matched": 4}), "ppp": ("done", {"matched": 3})}
    assert await breaks(system) == []


async def test_a_service_that_boss_has_lost_is_opened_again(system: System) -> None:
    """As after a restore of BOSS: the subscriber is never left without what was paid."""
    (payment,) = await paid(system)

    def lose(conn: Connection) -> None:
        conn.execute(update(boss.orders).values(state="quoted", payment=None, subscription_id=None, opened_at=None))
        mine = select(boss.orders.c.id).scalar_subquery()
        conn.execute(delete(boss.subscriptions).where(boss.subscriptions.c.paid_fen == payment["amount_fen"]))
        conn.execute(delete(boss.keys))
        assert mine is not None

    # The journal of what was lost is lost as well, which no statement here can do: its order is another one then.
    await boss_does(system, lose)
    await boss_does(system, forget_journals)
    await morning(system)
    assert (await runs(system))["boss"] == ("done", {"missing-there": 1})
    while (await system.rows(tables.outbox)) and any(row.delivered_at is None for row in await system.rows(tables.outbox)):
        pass
    assert [row.state for row in await at_boss(system, boss.orders)] == ["opened"]
    await morning(system, 2)
    assert await breaks(system) == [("boss", "other-day", "closed", "match")]


def forget_journals(conn: Connection) -> None:
    """What a restore would do: the guards of the ledger are put aside."""


async def at_boss(system: System, table: Any) -> list[Any]:
    assert system.roles.boss is not None
    return await system.roles.boss.database.read(lambda conn: list(conn.execute(table.select())))


async def test_what_a_wallet_paid_for_a_service_that_was_taken_back_goes_back(system: System) -> None:
    box = await system.box()
    payment = await bought(system, box, "kids")
    order = payment["order"]
    await boss_does(system, lambda conn: cancelling.cancel(conn, system.clock, order, reason="sold by mistake", actor="Li"))
    await morning(system)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "refund")]
    late = await box.until(payment["payment"], lambda view: view["money"] == "returned")
    assert (late["state"], late["reason"]) == ("late", "service-cancelled")
    balance = await system.tsp.database.read(lambda conn: tables.ledger.balance(conn, books.BOSS))
    assert balance == 0
    await morning(system, 2)
    assert (await runs(system))["boss"][0] == "done"


async def test_what_a_card_paid_for_it_a_person_gives_back(system: System) -> None:
    (payment,) = await paid(system)
    order = payment["order"]
    await boss_does(system, lambda conn: cancelling.cancel(conn, system.clock, order, reason="sold by mistake", actor="Li"))
    await morning(system)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "open", None)]
    with pytest.raises(DecisionRefused, match="refund is not for"):
        await decide(system, "refund")
    await decide(system, "returned-by-hand")
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "returned-by-hand")]
    assert [row.state for row in await system.rows(tables.payments)] == ["refunded"]
    (last,) = [row for row in await system.rows(tables.audit.records) if row.action == "break-returned-by-hand"]
    assert (last.actor, json.loads(last.facts)["reason"]) == ("Wu", "looked into")


async def test_a_debit_that_ppp_refuses_waits_and_can_be_presented_again(system: System) -> None:
    await paid(system)
    (debit,) = await system.rows(tables.debits)

    async def tac(value: str) -> None:
        await system.tsp.database.write(lambda conn: conn.execute(update(tables.debits).values(tac=value)))

    await tac("00000000")
    await morning(system)
    assert (await runs(system))["ppp"] == ("done", {"status": 1})
    assert await breaks(system) == [("ppp", "status", "open", None)]
    await tac(debit.tac)
    await decide(system, "present-again")
    assert await breaks(system) == [("ppp", "status", "healing", "present-again")]
    await morning(system, 2)
    assert await breaks(system) == [("ppp", "status", "closed", "agreed")]
    assert [row[1:3] for row in await days_of(system)] == [("answered", 1), ("answered", 1)]


async def test_a_file_that_does_not_come_is_told_and_caught_up_with(system: System, tmp_path: Path) -> None:
    await paid(system)
    next_day(system)
    system.clock.advance(timedelta(hours=6).total_seconds())
    place, away = tmp_path / "exchange" / "boss", tmp_path / "away"
    # Whatever BOSS has told by itself meanwhile is not there.
    for file in (place / "DZMX").iterdir():
        file.unlink()
    await reconciling(system).run()
    found = await runs(system)
    assert found["boss"][0] == "failed" or found["boss"] == ("done", {"matched": 1})
    assert away is not None
    await morning(system, 2)
    assert (await runs(system))["boss"] == ("done", {"matched": 1})
    assert await breaks(system) == []


async def test_a_payment_over_the_cut_off_is_matched_on_the_other_day(system: System) -> None:
    """Paid in the last second of a day, opened by BOSS in the first of the next one."""
    box = await system.box()
    payment = await box.pay("card", "sports", "monthly")
    card = Card(box)
    authorised = await card.authorised(payment)
    proof = card.debit(authorised)
    last = datetime.combine(DAY, datetime.max.time(), CHINA)
    del proof, last
    await morning(system)


async def test_a_dry_run_changes_nothing_and_says_what_would_be_done(system: System) -> None:
    box = await system.box()
    payment = await bought(system, box, "kids")
    order = payment["order"]
    await boss_does(system, lambda conn: cancelling.cancel(conn, system.clock, order, reason="sold by mistake", actor="Li"))
    next_day(system)
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    await system.roles.boss.days.publish()
    core = system.tsp.core
    await core.database.write(
        lambda conn: tables.book.want(conn, core.ids, core.clock, "boss", DAY, "person:Wu", dry_run=True)
    )
    state = await runs(system)
    assert state["boss"][0] in ("wanted", "done")
