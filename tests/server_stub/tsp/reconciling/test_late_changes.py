"""What BOSS opens or takes back long after the day it was paid on. ONL-9"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, delete, update

from server_stub.backoffice import totals
from server_stub.boss import tables as boss
from server_stub.foundation import day_exchange
from server_stub.foundation.clock import CHINA
from server_stub.foundation.day_exchange import DayExchange
from server_stub.reconciliation.actions import DecisionRefused
from server_stub.reconciliation.records import Record, to_json
from server_stub.tsp import tables
from server_stub.tsp.reconciling import _moved
from tests.server_stub.system import Box, System
from tests.server_stub.tsp.mornings import (
    at_boss,
    bought,
    breaks,
    compared_again,
    decide,
    delivered,
    morning,
    pair_with,
    put_file,
    reconciling,
    runs,
    taken_back,
    telling,
    told_and_compared,
    told_until,
)
from tests.server_stub.tsp.test_uploads import DAY, next_day, paid

pytestmark = pytest.mark.anyio


async def test_a_payment_over_the_cut_off_is_matched_on_the_other_day(system: System) -> None:
    """Paid in the last second of a day; BOSS opens it in the next one."""
    (payment,) = await paid(system)
    opened = datetime.combine(DAY + timedelta(days=1), datetime.min.time(), CHINA)
    changed = update(boss.orders).where(boss.orders.c.id == payment["order"]).values(opened_at=opened)
    await system.boss(lambda conn: conn.execute(changed))
    await morning(system)
    assert (await runs(system))["boss"] == ("done", {"missing-there": 1})
    await delivered(system)
    await morning(system, 2)
    assert await breaks(system) == [("boss", "other-day", "closed", "match")]
    assert len(await at_boss(system, boss.ledger.entries)) == 2


async def paid_while_boss_is_away(system: System, box: Box, days: int) -> Any:
    """A wallet pays; BOSS cannot be asked for so many days, tells nothing, and then opens the service."""
    payment = await box.pay("wallet:demo", "kids", "monthly")
    payment = await box.until(payment["payment"], lambda view: view["qr"] is not None)
    system.network.cut.add("/boss/v1")
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "paid", "done")
    for day in range(1, days + 1):
        await morning(system, day)
    system.network.cut.clear()
    system.clock.advance(timedelta(hours=2).total_seconds())
    return await box.state(payment["payment"], "done")


async def taken_back_unheard(system: System, box: Box) -> Any:
    """A wallet pays; BOSS opens the service, which we do not hear of, and its staff take it back; a week passes."""
    payment = await box.pay("wallet:demo", "kids", "monthly")
    payment = await box.until(payment["payment"], lambda view: view["qr"] is not None)
    system.network.deaf.add("/boss/v1/boxes/85312048/orders")
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "paid", "done")
    while [order.state for order in await at_boss(system, boss.orders)].count("opened") == 0:
        pass
    (order,) = [one for one in await at_boss(system, boss.orders) if one.state == "opened"]
    await taken_back(system, order.id)
    for day in range(1, 8):
        await morning(system, day)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "open", None)]
    return payment


async def heard(system: System) -> None:
    """BOSS can be asked again, and is."""
    system.network.deaf.clear()
    system.clock.advance(timedelta(hours=2).total_seconds())


async def test_what_was_taken_back_before_we_heard_that_it_was_open_goes_back_once_we_hear(
    system: System,
) -> None:
    box = await system.box()
    payment = await taken_back_unheard(system, box)
    # Who closed it then would keep the money: nobody would look again.
    with pytest.raises(DecisionRefused):
        await decide(system, "close")
    runs_before = len(await system.rows(tables.book.runs))
    await morning(system, 8)
    # BOSS and PPP of the day before: what has not moved is not compared for ever.
    assert len(await system.rows(tables.book.runs)) == runs_before + 2
    await heard(system)
    await box.state(payment["payment"], "done")
    await delivered(system)
    await morning(system, 9)
    await delivered(system)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "refund")]
    assert [row.state for row in await system.rows(tables.payments)] == ["refunded"]


async def test_where_boss_has_forgotten_it_both_books_agree_that_it_went_back(system: System) -> None:
    """It refuses to open what it took back, so that we give the money back; its record has ours for a partner then."""
    box = await system.box()
    payment = await taken_back_unheard(system, box)
    await system.boss(lambda conn: conn.execute(delete(boss.keys)))
    await heard(system)
    await box.until(payment["payment"], lambda view: view["money"] == "returned")
    await delivered(system)
    await morning(system, 9)
    (found,) = await breaks(system)
    assert (found[0], found[2], found[3]) == ("boss", "closed", "agreed")
    await compared_again(system, DAY)
    assert len(await breaks(system)) == 1


@pytest.mark.parametrize("first", [False, True], ids=["seen before", "seen after"])
async def test_money_that_went_back_while_boss_has_it_open_on_another_day_is_found(
    system: System, first: bool
) -> None:
    """BOSS opened it on the day after, was not heard, has forgotten that it was asked, and refuses to open it twice."""
    box = await system.box()
    payment = await box.pay("wallet:demo", "kids", "monthly")
    payment = await box.until(payment["payment"], lambda view: view["qr"] is not None)
    system.network.deaf.add("/boss/v1/boxes/85312048/orders")
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "paid", "done")
    while [order.state for order in await at_boss(system, boss.orders)].count("opened") == 0:
        pass
    opened = datetime.combine(DAY + timedelta(days=1), datetime.min.time(), CHINA)
    changed = update(boss.orders).where(boss.orders.c.state == "opened").values(opened_at=opened)

    def forget(conn: Connection) -> None:
        conn.execute(changed)
        conn.execute(delete(boss.keys))

    await system.boss(forget)
    for day in () if first else range(1, 8):
        await morning(system, day)
    await heard(system)
    await box.until(payment["payment"], lambda view: view["money"] == "returned")
    await delivered(system)
    for day in range(1 if first else 8, 12):
        await morning(system, day)
    assert [row[1:3] for row in await breaks(system) if row[2] != "closed"] == [
        ("reversed-on-one-side", "open")
    ]
    runs_before = len(await system.rows(tables.book.runs))
    await morning(system, 12)
    assert len(await system.rows(tables.book.runs)) == runs_before + 2
    (order,) = [one for one in await at_boss(system, boss.orders) if one.state == "opened"]
    await taken_back(system, order.id)
    await morning(system, 13)
    assert {row[2] for row in await breaks(system)} == {"closed"}


@pytest.mark.parametrize("cut", [True, False], ids=["refused", "stopped"])
async def test_a_day_that_waits_for_another_file_or_a_person_is_not_compared_every_morning(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cut: bool
) -> None:
    box = await system.box()
    payment = await taken_back_unheard(system, box)
    system.clock.advance(1)
    if cut:
        path = tmp_path / "exchange" / "boss" / "DZMX" / "DZMX20260621.TXT"
        path.write_bytes(path.read_bytes()[:-20])
    else:
        pair_with(system, monkeypatch, limit_differences=2)
        put_file(tmp_path, [f"{number:026d}" for number in range(3)])
    await reconciling(system).run()
    assert (await runs(system))["boss"][0] == ("refused" if cut else "stopped")
    await heard(system)
    await box.state(payment["payment"], "done")
    before = len([row for row in await system.rows(tables.book.runs) if row.day == DAY.isoformat()])
    for day in range(9, 12):
        await morning(system, day)
    after = [row for row in await system.rows(tables.book.runs) if row.day == DAY.isoformat()]
    assert len(after) == before


async def test_what_boss_opens_after_a_week_is_matched_and_goes_back_when_it_is_taken_back(
    system: System,
) -> None:
    box = await system.box()
    payment = await paid_while_boss_is_away(system, box, 7)
    await delivered(system)
    (waits,) = await breaks(system)
    assert waits[:2] == ("boss", "missing-there")
    await morning(system, 8)
    assert await breaks(system) == [("boss", "other-day", "closed", "match")]
    assert (await runs(system, DAY + timedelta(days=7)))["boss"] == ("done", {"other-day": 1})
    # The day it was paid on is compared once more, as one is where another service of it was taken back.
    await compared_again(system, DAY)
    assert await breaks(system) == [("boss", "other-day", "closed", "match")]
    await told_until(system, 40)
    await taken_back(system, payment["order"])
    await told_and_compared(system, 41)
    assert await breaks(system) == [
        ("boss", "other-day", "closed", "match"),
        ("boss", "reversed-on-one-side", "closed", "refund"),
    ]
    await box.until(payment["payment"], lambda view: view["money"] == "returned")
    for day in (DAY, DAY + timedelta(days=7)):
        await compared_again(system, day)
    assert [row[2] for row in await breaks(system)] == ["closed", "closed"]
    assert len(await breaks(system)) == 2


async def test_what_a_person_has_closed_and_boss_opens_afterwards_is_matched_and_goes_back_when_it_is_taken_back(
    system: System,
) -> None:
    box = await system.box()
    payment = await paid_while_boss_is_away(system, box, 5)
    await decide(system, "close", reason="BOSS is being moved and opens it on Friday")
    await delivered(system)
    for days in (6, 7):
        await morning(system, days)
    late = DAY + timedelta(days=5)
    assert (await runs(system, late))["boss"] == ("done", {"other-day": 1})
    assert await breaks(system) == [
        ("boss", "missing-there", "closed", "close"),
        ("boss", "other-day", "closed", "match"),
    ]
    await taken_back(system, payment["order"])
    for days in (8, 9):
        await told_and_compared(system, days)
    assert (await box.get(f"/payments/{payment['payment']}"))["money"] == "returned"


async def test_what_a_card_paid_and_boss_opened_late_is_one_difference_of_both_days(system: System) -> None:
    """The day it was paid on is compared once more while a person is asked about what BOSS has taken back."""
    (payment,) = await paid(system)
    opened = datetime.combine(DAY + timedelta(days=5), datetime.min.time(), CHINA)
    changed = update(boss.orders).where(boss.orders.c.id == payment["order"]).values(opened_at=opened)
    await system.boss(lambda conn: conn.execute(changed))
    for day in range(1, 7):
        await morning(system, day)
        await delivered(system)
    assert await breaks(system) == [("boss", "other-day", "closed", "match")]
    await told_until(system, 20)
    await taken_back(system, payment["order"])
    await told_and_compared(system, 21)
    both = [("boss", "other-day", "closed", "match"), ("boss", "reversed-on-one-side", "open", None)]
    assert await breaks(system) == both
    for day in (DAY, DAY + timedelta(days=5), DAY):
        await compared_again(system, day)
        assert await breaks(system) == both
    await decide(system, "returned-by-hand")
    assert [row.state for row in await system.rows(tables.payments)] == ["refunded"]


async def test_what_was_taken_back_a_year_later_goes_back_too(system: System) -> None:
    """A yearly service; BOSS tells the day of the opening once more, however long ago that is."""
    box, other = await system.box(), await system.box("85312047")
    payment = await bought(system, box, "kids", "yearly")
    another = await bought(system, other, "kids", "yearly")
    await morning(system)
    before = await system.tsp.database.read(lambda conn: totals.count(conn, DAY))
    assert [(one.money, one.number) for one in before] == [("taken", 2)]
    await told_until(system, 330)
    await taken_back(system, payment["order"])
    await told_and_compared(system, 331)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "refund")]
    late = await box.until(payment["payment"], lambda view: view["money"] == "returned")
    assert (late["state"], late["reason"]) == ("late", "service-cancelled")
    listed = [(await one.get("/records"))["records"] for one in (box, other)]
    assert [[one["money"] for one in records] for records in listed] == [["returned"], ["taken"]]
    assert another["payment"] == listed[1][0]["payment"]
    after = await system.tsp.database.read(lambda conn: totals.count(conn, DAY))
    assert sorted((one.money, one.number) for one in after) == [("returned", 1), ("taken", 1)]
    moved, _, _ = await system.tsp.database.read(lambda conn: totals.moved(conn, 0, system.clock.now()))
    assert DAY in moved
    assert (await runs(system))["boss"] == ("done", {"matched": 1, "reversed-on-one-side": 1})
    assert await at_boss(system, boss.changed_days.notes) == []
    # Nothing more comes of it.
    await told_and_compared(system, 331)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "refund")]


async def test_a_day_that_is_changed_while_it_is_told_is_told_once_more(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await system.box(), await system.box("85312047")
    payments = [await bought(system, box, "kids") for box in (first, second)]
    await morning(system)
    await told_until(system, 20)
    await taken_back(system, payments[0]["order"])
    deliver, cut = DayExchange.deliver, list[date]()

    async def late(self: DayExchange, kind: str, day: date, *args: Any, **more: Any) -> Any:
        """Made, and not yet there, when the other service is taken back."""
        if (kind, day) == ("DZMX", DAY) and not cut:
            cut.append(day)
            await taken_back(system, payments[1]["order"])
        return await deliver(self, kind, day, *args, **more)

    monkeypatch.setattr(DayExchange, "deliver", late)
    await told_and_compared(system, 21)
    await told_and_compared(system, 21)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "refund")] * 2


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_many_old_days_are_told_a_few_at_a_time_after_this_mornings(system: System) -> None:
    """Services are taken back that were opened on three hundred days."""
    await morning(system)
    await told_until(system, 320)
    boss_days = telling(system)
    midday = datetime.combine(DAY, datetime.min.time(), CHINA) + timedelta(hours=12)

    def noted(conn: Connection) -> None:
        for number in range(3000):
            boss.changed_days.note(conn, midday + timedelta(days=number % 300))

    await system.boss(noted)
    next_day(system, 321)
    sent: list[list[date]] = []
    for _ in range(14):
        before = {row.id for row in await at_boss(system, boss.files.files)}
        await boss_days.publish()
        after = [row for row in await at_boss(system, boss.files.files) if row.id not in before]
        sent.append([date.fromisoformat(row.day) for row in after])
    assert DAY + timedelta(days=320) in sent[0]
    assert max(map(len, sent)) <= day_exchange.AT_ONCE
    assert {day for some in sent for day in some} >= {
        DAY + timedelta(days=number) for number in range(1, 300)
    }
    assert await at_boss(system, boss.changed_days.notes) == []


@pytest.mark.parametrize(
    ("seen", "now", "moved"),
    [
        (("paid", DAY), "opened", True),
        (("paid", DAY), "paid", False),
        (("paid", DAY), None, True),
        # Carried from another day, it stays what it was when it is gone: to compare again would change nothing.
        (("paid", DAY - timedelta(days=1)), None, False),
        (("paid", DAY - timedelta(days=1)), "returned", True),
        (None, None, False),
        (None, "returned", True),
    ],
)
def test_a_difference_has_moved_when_our_record_is_another_one(
    seen: tuple[str, date] | None, now: str | None, moved: bool
) -> None:
    here = None if seen is None else to_json(Record("key", 1_000, "CNY", *seen))
    row = SimpleNamespace(day=DAY.isoformat(), here=here, there=None)
    assert _moved(row, now) is moved  # type: ignore[arg-type]
