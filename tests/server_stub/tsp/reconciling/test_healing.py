"""What heals by rule, within which limits, and what waits for a person. ONL-9"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, select, update

from server_stub.boss import tables as boss
from server_stub.boss.day_work import DayWork as BossDayWork
from server_stub.foundation.sentences import read
from server_stub.reconciliation.actions import DecisionRefused
from server_stub.reconciliation.runs import sample_of
from server_stub.tsp import books, tables
from tests.server_stub.system import System
from tests.server_stub.tsp.mornings import (
    at_boss,
    bought,
    breaks,
    decide,
    delivered,
    limited,
    morning,
    pair_with,
    put_file,
    reconciling,
    run_of,
    runs,
    taken_back,
    telling,
    wanted,
)
from tests.server_stub.tsp.test_online_card import Terminal
from tests.server_stub.tsp.test_uploads import DAY, next_day, paid

pytestmark = pytest.mark.anyio


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

    await system.boss(partial(lose, order=payment["order"]))
    await morning(system)
    assert (await runs(system))["boss"] == ("done", {"missing-there": 1})
    await delivered(system)
    assert [row.state for row in await at_boss(system, boss.orders)] == ["opened"]
    assert await breaks(system) == [("boss", "missing-there", "healing", "open")]
    await morning(system, 2)
    assert await breaks(system) == [("boss", "other-day", "closed", "match")]


def lose(conn: Connection, order: str) -> None:
    """BOSS knows no more that it has opened an order, nor that it was asked."""
    mine = boss.orders.c.id == order
    opened = conn.scalar(select(boss.orders.c.subscription_id).where(mine))
    lost = {"state": "quoted", "payment": None, "subscription_id": None, "opened_at": None}
    conn.execute(update(boss.orders).where(mine).values(**lost))
    conn.execute(delete(boss.subscriptions).where(boss.subscriptions.c.id == opened))
    conn.execute(delete(boss.keys))


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_what_boss_says_it_has_opened_and_never_tells_a_person_is_asked_about(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await system.box()
    await bought(system, box, "kids")
    monkeypatch.setattr(BossDayWork, "_opened", lambda self, conn, out, day: None)
    for day in (1, 2, 3, 4):
        await morning(system, day)
        if day == 2:
            await delivered(system)
            assert await breaks(system) == [("boss", "missing-there", "healing", "open")]
    assert await breaks(system) == [("boss", "missing-there", "open", None)]
    events = await system.rows(tables.book.events)
    kept = [(row.event, row.actor) for row in events]
    assert ("opened-there", "boss") in kept
    assert [one for one in kept if one[0] != "opened-there"] == [
        ("opened", "server"),
        ("open", "rule:paid-not-opened"),
        ("not-healed", "server"),
    ]
    why = json.loads(events[-1].facts)["why"]
    assert str(read(why)) == "what was begun on 2026-06-22 does not show in the files of the days since"


async def test_what_a_wallet_paid_for_a_service_that_was_taken_back_goes_back(system: System) -> None:
    box = await system.box()
    payment = await bought(system, box, "kids")
    order = payment["order"]
    await taken_back(system, order)
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
    await taken_back(system, order)
    await morning(system)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "open", None)]
    with pytest.raises(DecisionRefused, match="refund is not for"):
        await decide(system, "refund")
    await decide(system, "returned-by-hand")
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "returned-by-hand")]
    assert [row.state for row in await system.rows(tables.payments)] == ["refunded"]
    (last,) = [
        row for row in await system.rows(tables.audit.records) if row.action == "break-returned-by-hand"
    ]
    assert (last.actor, json.loads(last.facts)["reason"]) == ("Wu", "looked into")


async def test_a_dry_run_changes_nothing_and_says_what_would_be_done(system: System) -> None:
    box = await system.box()
    payment = await bought(system, box, "kids")
    await morning(system)
    await taken_back(system, payment["order"])
    await telling(system).publish()
    books_ = reconciling(system).books["boss"]
    # The file is fetched, and before its run is done, somebody asks what that would do.
    (found,) = await books_.exchange.new("DZMX")
    await books_.exchange.fetch("DZMX", *found)
    dry = await wanted(system, dry_run=True)
    (row,) = [one for one in await system.rows(tables.book.runs) if one.id == dry]
    await reconciling(system)._reconcile(row)
    assert await breaks(system) == []
    (row,) = [one for one in await system.rows(tables.book.runs) if one.id == dry]
    assert json.loads(row.healed)["charged-but-cancelled"]["count"] == 1
    await reconciling(system).run()
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "refund")]


async def test_more_than_a_rule_may_heal_waits_for_people(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await system.box()
    payments = [await bought(system, box, service) for service in ("kids", "sports")]
    for payment in payments:
        await taken_back(system, payment["order"])
    limited(system, monkeypatch, 1)
    await morning(system)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "open", None)] * 2
    row = await run_of(system)
    assert json.loads(row.healed)["charged-but-cancelled"]["held"]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_what_a_card_paid_uses_up_no_limit_of_what_goes_back_to_wallets(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    (by_card,) = await paid(system)
    box = await system.box("85312047")
    by_wallet = await bought(system, box, "kids")
    for payment in (by_card, by_wallet):
        await taken_back(system, payment["order"])
    limited(system, monkeypatch, 1)
    next_day(system)
    await telling(system).publish()
    await wanted(system, dry_run=True)
    system.clock.advance(1)
    await reconciling(system).run()
    assert await breaks(system) == [
        ("boss", "reversed-on-one-side", "closed", "refund"),
        ("boss", "reversed-on-one-side", "open", None),
    ]
    said = [
        json.loads(row.healed)["charged-but-cancelled"]
        for row in await system.rows(tables.book.runs)
        if row.pair == "boss" and row.day == DAY.isoformat() and row.healed
    ]
    assert [(one["count"], one["fen"], one["held"]) for one in said] == [
        (1, by_wallet["amount_fen"], False)
    ] * 2


async def test_what_a_limit_has_held_a_person_opens_five_days_later(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    (payment,) = await paid(system)
    limited(system, monkeypatch, 0)
    await system.boss(partial(lose, order=payment["order"]))
    for day in range(1, 6):
        await morning(system, day)
    assert await breaks(system) == [("boss", "missing-there", "open", None)]
    await decide(system, "open")
    system.tsp.core.outbox.worker.kick()
    await delivered(system)
    await morning(system, 6)
    assert await breaks(system) == [("boss", "other-day", "closed", "match")]


async def test_more_than_a_pair_may_differ_stops_its_run_until_the_right_file_is_here(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await paid(system, 3)
    next_day(system)
    pair_with(system, monkeypatch, limit_differences=2)
    put_file(tmp_path, [])
    await reconciling(system).run()
    assert (await runs(system))["boss"] == ("stopped", {"missing-there": 3})
    assert await breaks(system) == []
    (row,) = await system.rows(tables.book.runs)
    assert str(read(row.error)).startswith("3 differences were found; more than 2 are not entered")
    assert [(one.cls, one.there) for one in sample_of(row)] == [("missing-there", None)] * 3
    system.clock.advance(1)
    await telling(system).publish()
    await reconciling(system).run()
    assert (await runs(system))["boss"] == ("done", {"matched": 3})
