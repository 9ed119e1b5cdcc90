"""What is common to all payments: one at a time, long polls, BOSS down and up again, time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Delete, Update, delete, select, update
from sqlalchemy.dialects import sqlite

from server_stub.boss import tables as boss
from server_stub.foundation import migrations
from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.sqlite import SqliteDatabase
from server_stub.tsp import machines, models, tables
from tests.server_stub.system import START, Card, System, running

pytestmark = pytest.mark.anyio


async def test_boss_is_down_when_the_money_comes_in_and_hears_of_it_when_it_is_up(system: System) -> None:
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    system.network.cut.add("/boss")
    await card.pay(payment)
    for pause in (1, 2, 5):
        await attempts(system, pause)
        assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "paid"
        system.clock.advance(pause)
    system.network.cut.clear()
    system.clock.advance(10)
    assert (await box.state(payment["payment"], "done"))["money"] == "taken"


async def attempts(system: System, pause: int) -> None:
    """Returns once the outbox waits that many seconds for its next attempt."""
    while True:
        (row,) = await system.rows(tables.outbox)
        if row.due_at is not None and round((row.due_at - system.clock.now()).total_seconds()) == pause:
            return


async def test_boss_opens_once_though_its_answer_was_lost(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    system.network.deaf.add("/boss")
    await Card(box).pay(payment)
    await attempts(system, 1)
    system.network.deaf.clear()
    system.clock.advance(1)
    done = await box.state(payment["payment"], "done")
    assert done["valid_until"] == "2026-09-21T23:59:59+08:00"
    assert len((await box.get("/services/sports"))["subscriptions"]) == 1


async def test_boss_refuses_after_a_card_was_debited_and_a_person_is_needed(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    await system.boss(lambda conn: conn.execute(delete(boss.orders)))
    await Card(box).pay(payment)
    kept = await box.until(payment["payment"], lambda view: view["reason"] is not None)
    assert (kept["state"], kept["money"], kept["reason"]) == ("paid", "taken", "service-not-opened")
    assert [row.kind for row in await system.rows(tables.cases)] == ["service-not-opened"]


@pytest.mark.parametrize("method", ["card", "wallet:demo"])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ((update(boss.boxes).values(state="suspended"),), "box-suspended"),
        ((delete(boss.orders), delete(boss.boxes)), "box-unknown"),
    ],
)
async def test_boss_is_asked_again_before_any_money(
    system: System, changes: tuple[Update | Delete, ...], code: str, method: str
) -> None:  # ONL-11
    box = await system.box()
    order = await box.order()
    for change in changes:
        mine = change.where(change.table.c.box_number == box.number)
        await system.boss(lambda conn, mine=mine: conn.execute(mine))
    problem = await box.refused(f"/orders/{order['order']}/payments", {"method": method})
    assert (problem["code"], problem["status"], problem["money"]) == (code, 403, "not-taken")
    assert await system.rows(tables.payments) == []
    assert [(row.id, row.state) for row in await system.rows(tables.orders)] == [(order["order"], "quoted")]


async def test_what_boss_would_not_open_any_more_is_refused_before_any_money(system: System) -> None:
    box = await system.box()
    first, second = await box.order("movies", "monthly"), await box.order("drama", "monthly")
    payment = await box.post(f"/orders/{first['order']}/payments", {"method": "card"})
    await Card(box).pay(payment)
    await box.state(payment["payment"], "done")
    path = f"/orders/{second['order']}/payments"
    problem = await box.refused(path, {"method": "card"})
    assert (problem["code"], problem["money"]) == ("order-clash", "not-taken")
    assert problem["facts"]["clashes_with"]["en"] == "HD Movies"


async def test_a_period_that_was_told_wrong_is_not_paid_for(system: System) -> None:
    """Two orders stand for one service; when the first is open, the second would buy what comes after it."""
    box = await system.box()
    first, second = await box.order("kids", "monthly"), await box.order("kids", "monthly")
    paid = await box.post(f"/orders/{first['order']}/payments", {"method": "card"})
    await box.state((await Card(box).pay(paid))["payment"], "done")
    problem = await box.refused(f"/orders/{second['order']}/payments", {"method": "card"})
    assert (problem["code"], problem["money"]) == ("order-outdated", "not-taken")
    again = await box.order("kids", "monthly")
    await box.post(f"/orders/{again['order']}/payments", {"method": "card"})


async def test_without_boss_nothing_is_begun_and_the_same_request_may_come_again(system: System) -> None:
    box = await system.box()
    path = f"/orders/{(await box.order())['order']}/payments"
    system.network.cut.add("/boss")
    problem = await box.refused(path, {"method": "card"}, key="the-same-key")
    assert (problem["code"], problem["money"]) == ("boss-unreachable", "not-taken")
    system.network.cut.clear()
    assert (await box.post(path, {"method": "card"}, key="the-same-key"))["state"] == "preparing"


async def test_one_live_payment_an_order(system: System) -> None:
    box = await system.box()
    order = await box.order()
    path = f"/orders/{order['order']}/payments"
    payment = await box.post(path, {"method": "card"})
    problem = await box.refused(path, {"method": "wallet:demo"})
    assert (problem["code"], problem["facts"], problem["money"]) == (
        "payment-in-progress",
        {"payment": payment["payment"]},
        "not-taken",
    )
    await box.post(f"/payments/{payment['payment']}/cancel")
    assert (await box.refused(path, {"method": "card"}))["code"] == "order-closed"


async def test_what_the_box_gives_up_by_itself_is_told_with_its_reason(system: System) -> None:
    box = await system.box()
    order = await box.order()
    payment = (await box.post(f"/orders/{order['order']}/payments", {"method": "card"}))["payment"]
    path = f"/payments/{payment}/cancel"
    assert (await box.refused(path, {"reason": "Nobody came!"}))["code"] == "bad-request"
    ended = await box.post(path, {"reason": "psam-none-free"})
    assert (ended["state"], ended["money"], ended["reason"]) == ("cancelled", "not-taken", "psam-none-free")


async def test_an_order_cannot_be_paid_after_its_quote_ran_out(system: System) -> None:
    box = await system.box()
    order = await box.order()
    system.clock.advance(900)
    assert (await box.get(f"/orders/{order['order']}"))["state"] == "closed"
    problem = await box.refused(f"/orders/{order['order']}/payments", {"method": "card"})
    assert problem["code"] == "order-expired"


async def test_a_card_payment_that_is_never_carried_out_expires_with_its_order(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    await box.post(f"/payments/{payment['payment']}/card", Card(box).data())
    system.clock.advance(900)
    expired = await box.state(payment["payment"], "expired")
    assert (expired["money"], expired["reason"]) == ("not-taken", "expired")
    assert await system.rows(tables.leases) == []


async def test_a_start_ends_what_ran_out_of_time_while_nobody_was_there(tmp_path: Path) -> None:
    async with running(tmp_path) as system:
        box = await system.box()
        order, card = await box.order("kids"), await box.pay("card")
        wallet = await box.pay("wallet:demo", "music", "monthly")
        await box.post(f"/payments/{card['payment']}/card", Card(box).data())
    async with running(tmp_path, clock=SimulatedClock(START + timedelta(seconds=899))) as system:
        # A wallet's code has three minutes, an order and a card a quarter of an hour.
        box = box.at(system)
        assert (await box.state(wallet["payment"], "expired"))["money"] == "not-taken"
        assert (await box.get(f"/payments/{card['payment']}"))["state"] == "preparing"
        assert len(await system.rows(tables.leases)) == 1
        assert (await box.get(f"/orders/{order['order']}"))["state"] == "quoted"
    async with running(tmp_path, clock=SimulatedClock(START + timedelta(seconds=900))) as system:
        box = box.at(system)
        assert (await box.state(card["payment"], "expired"))["money"] == "not-taken"
        assert await system.rows(tables.leases) == []
        while (await system.rows(tables.orders))[0].state == "quoted":
            await asyncio.sleep(0)
        assert (await box.get(f"/orders/{order['order']}"))["state"] == "closed"


async def test_a_method_that_is_not_offered(system: System) -> None:
    box = await system.box()
    order = await box.order()
    problem = await box.refused(f"/orders/{order['order']}/payments", {"method": "wallet:none"})
    assert (problem["code"], problem["facts"]) == ("method-not-offered", {"method": "wallet:none"})


async def test_card_steps_of_a_wallet_payment_are_refused(system: System) -> None:
    box = await system.box()
    payment = await box.pay("wallet:demo")
    problem = await box.refused(f"/payments/{payment['payment']}/card", Card(box).data())
    assert problem["code"] == "wrong-state"


async def test_a_long_poll_waits_for_a_change_and_wakes_at_once(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    path = f"/payments/{payment['payment']}"
    poll = asyncio.create_task(box.get(path, after=payment["version"], wait=25))
    while payment["payment"] not in system.tsp.core.changes._watchers:
        await asyncio.sleep(0)
    assert not poll.done()
    await box.post(f"{path}/cancel")
    assert (await poll)["state"] == "cancelled"


async def test_a_long_poll_ends_when_its_time_is_over(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    path = f"/payments/{payment['payment']}"
    assert await box.get(path, after=payment["version"], wait=0) == payment
    poll = asyncio.create_task(box.get(path, after=payment["version"], wait=25))
    while payment["payment"] not in system.tsp.core.changes._watchers:
        await asyncio.sleep(0)
    system.clock.advance(24.9)
    assert not poll.done()
    system.clock.advance(0.1)
    assert await poll == payment


async def test_people_see_one_number_from_the_order_to_the_records(system: System) -> None:
    box = await system.box()
    order = await box.order()
    payment = await box.post(f"/orders/{order['order']}/payments", {"method": "wallet:demo"})
    (record,) = (await box.get("/records"))["records"]
    assert payment["number"] == record["number"] == order["number"]
    assert order["number"] in (await system.phone(payment["qr"]["payload"])).text


async def test_a_box_sees_only_its_own(system: System) -> None:
    box, other = await system.box("85312047"), await system.box("85312048")
    payment = await box.pay("card")
    for path in (f"/payments/{payment['payment']}", f"/orders/{payment['order']}"):
        answer = await other.call("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert (await other.refused(f"/payments/{payment['payment']}/cancel"))["code"] == "not-found"
    assert (await other.get("/records"))["records"] == []


async def test_records_are_newest_first_and_at_most_fifty(system: System) -> None:
    box = await system.box()
    made = []
    for _ in range(51):
        payment = await box.pay("card", "sports", "per-use")
        await box.post(f"/payments/{payment['payment']}/cancel")
        made.append(payment["payment"])
        system.clock.advance(1)
    records = (await box.get("/records"))["records"]
    assert [one["payment"] for one in records] == made[:0:-1]


def states_of(kind: Any) -> set[str]:
    return set(kind.__args__)


def test_every_internal_state_is_shown_and_every_shown_state_is_reached() -> None:  # rule 9
    for machine in (machines.CARD_PAYMENT, machines.WALLET_PAYMENT):
        named = set(machine.moves) | {target for targets in machine.moves.values() for target in targets}
        assert named <= set(machines.PAYMENT_SHOWN)
    assert {shown.state for shown in machines.PAYMENT_SHOWN.values()} == states_of(models.PaymentState)
    named = set(machines.ORDER.moves) | {t for targets in machines.ORDER.moves.values() for t in targets}
    assert named == set(machines.ORDER_SHOWN)
    assert set(machines.ORDER_SHOWN.values()) == states_of(models.OrderState)


def test_no_move_makes_a_failure_of_what_is_unknown_but_proof_or_the_wallet_s_word() -> None:  # rule 3
    # Only a person writes off (tests of the cases).
    by_itself = {state: targets - {"written-off"} for state, targets in machines.CARD_PAYMENT.moves.items()}
    assert by_itself["mac1-issued"] == {"paid", "failed", "mac2-refused", "proof-kept"}
    assert by_itself["mac2-refused"] == by_itself["proof-kept"] == by_itself["contradicted"] == {"paid"}
    assert by_itself["presenting"] == {"paid", "certificate-refused"}
    for machine in (machines.CARD_PAYMENT, machines.WALLET_PAYMENT):
        for origin, targets in machine.moves.items():
            # A card's certificate is the card's word: it has taken the money, and PPP may yet not believe it. That is a case.
            if machines.PAYMENT_SHOWN[origin].money == "taken" and origin != "presenting":
                assert {machines.PAYMENT_SHOWN[target].money for target in targets} <= {"taken", "returned"}


def test_ends_are_not_live_and_what_may_still_take_money_is() -> None:
    for state, shown in machines.PAYMENT_SHOWN.items():
        ended = shown.state in ("done", "failed", "cancelled", "expired", "late")
        assert (state in machines.LIVE) is not ended, state


async def test_a_live_payment_of_an_order_is_found_without_reading_all_payments(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "tsp.db", migrations.prepare(tables.metadata))
    query = select(tables.payments.c.id).where(tables.payments.c.order_id == "one", tables.LIVE)
    text = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    plan = database.submit(lambda conn: conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()).result()
    database.close()
    assert [row.detail for row in plan] == ["SEARCH payments USING INDEX one_live_payment (order_id=?)"]
