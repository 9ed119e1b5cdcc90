"""Every morning's reconciliations with BOSS and PPP, what heals and what waits for a person. ONL-9"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update
from structlog.testing import capture_logs

from server_stub.backoffice import totals
from server_stub.backoffice.pages.reconciliation import uncompared
from server_stub.boss import cancelling
from server_stub.boss import tables as boss
from server_stub.boss.day_work import DayWork as BossDayWork
from server_stub.foundation import day_exchange
from server_stub.foundation.clock import CHINA
from server_stub.foundation.day_exchange import DayExchange
from server_stub.foundation.folders import FolderError
from server_stub.foundation.sentences import read
from server_stub.reconciliation.actions import DecisionRefused
from server_stub.reconciliation.book import Decision
from server_stub.reconciliation.runs import sample_of
from server_stub.settings import Settings
from server_stub.tsp import books, tables, uploads
from server_stub.tsp import reconciling as tsp_reconciling
from server_stub.tsp.reconciling import Reconciling
from tests.server_stub.system import Box, System, exchange_below, running_with_ppp
from tests.server_stub.tsp.test_online_card import Terminal
from tests.server_stub.tsp.test_uploads import DAY, answering, days_of, exchanged, mended, next_day, paid

pytestmark = pytest.mark.anyio
SECOND_FEN = 50_000


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    kept = Settings(idempotency_days=400)  # clocks go far here
    async with running_with_ppp(tmp_path / "data", kept, folder=exchange_below(tmp_path)) as system:
        yield system


def reconciling(system: System) -> Reconciling:
    assert system.tsp.reconciling is not None
    return system.tsp.reconciling


def telling(system: System) -> BossDayWork:
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    return system.roles.boss.days


async def morning(system: System, days: int = 1) -> None:
    """The day ends; files go out, are answered, and are compared."""
    next_day(system, days)
    await exchanged(system)
    await telling(system).publish()
    await answering(system).publish()
    await reconciling(system).run()


async def runs(system: System, day: date = DAY) -> dict[str, tuple[str, dict[str, int]]]:
    """The last run of each pair of a day: its state, and how many of each class."""
    found = {}
    # The clock stands still within a morning, and ids of one instant have no order: who has found more came later.
    rows = await system.rows(tables.book.runs)
    for row in sorted(rows, key=lambda row: (row.wanted_at, len(row.counts or ""))):
        if row.day == day.isoformat():
            counts = {cls: count for cls, (count, _) in json.loads(row.counts or "{}").items()}
            found[row.pair] = row.state, counts
    return found


async def run_of(system: System, pair: str = "boss", day: date = DAY) -> Any:
    """The only run of a pair and day."""
    (row,) = [
        row for row in await system.rows(tables.book.runs) if (row.pair, row.day) == (pair, day.isoformat())
    ]
    return row


async def not_compared(system: System) -> list[tuple[str, str]]:
    """Pairs and days that the overview shows as not compared."""
    runs = tables.book.runs
    query = select(runs.c.pair, runs.c.day).where(uncompared()).order_by(runs.c.pair, runs.c.day)
    return await system.tsp.database.read(lambda conn: [(row.pair, row.day) for row in conn.execute(query)])


def fail_to_compare(monkeypatch: pytest.MonkeyPatch, times: int, day: date = DAY) -> list[datetime]:
    """The disk is full when a day is compared with BOSS's, so many times; returns when it was, as it comes."""
    compare, tried = Reconciling._compare, list[datetime]()

    async def full(self: Reconciling, row: Any, *told: Any) -> None:
        if (row.pair, row.day) == ("boss", day.isoformat()):
            tried.append(self._core.clock.now())
            if len(tried) <= times:
                raise OSError(28, "No space left on device")
        await compare(self, row, *told)

    monkeypatch.setattr(Reconciling, "_compare", full)
    return tried


async def told_files(system: System, days: int = 1) -> None:
    """The day ends, and its files are here."""
    next_day(system, days)
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    await exchanged(system)
    await system.roles.boss.days.publish()
    await answering(system).publish()


def put_file(tmp_path: Path, keys: list[str], day: date = DAY) -> None:
    """BOSS's file of a day, which says that it has opened these for ten yuan each."""
    named = f"{day:%Y%m%d}"
    lines = "".join(f"D|{key}|1000|CNY|opened|{named}|o|b|kids\n" for key in keys)
    totals = f"|DZMX|{named}|{len(keys):010d}|{1000 * len(keys):015d}\n"
    path = tmp_path / "exchange" / "boss" / "DZMX" / f"DZMX{named}.TXT"
    path.write_text(f"H{totals}{lines}T{totals}", "ascii")


async def breaks(system: System) -> list[tuple[str, str, str, str | None]]:
    return sorted((row.pair, row.cls, row.state, row.action) for row in await system.rows(tables.book.breaks))


async def bought(system: System, box: Box, service: str, term: str = "monthly") -> Any:
    """Paid with the demo wallet; open."""
    payment = await box.pay("wallet:demo", service, term)
    payment = await box.until(payment["payment"], lambda view: view["qr"] is not None)
    await system.phone(payment["qr"]["payload"], "pay")
    return await box.state(payment["payment"], "done")


async def taken_back(system: System, order: str) -> None:
    """BOSS's staff take a service back."""
    clock = system.clock
    await system.boss(
        lambda conn: cancelling.cancel(conn, clock, order, reason="sold by mistake", actor="Li")
    )


async def decide(system: System, action: str, **told: Any) -> Any:
    """A person decides about the break that is open."""
    (row,) = [one for one in await system.rows(tables.book.breaks) if one.state == "open"]
    actions = system.tsp.remedies.actions(row.pair)
    decision = Decision(row.id, action, told.pop("reason", "looked into"), "Wu", **told)
    clock = system.clock
    return await system.tsp.database.write(
        lambda conn: tables.book.decide(conn, clock, tables.audit, actions, decision, second_fen=SECOND_FEN)
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


async def delivered(system: System) -> None:
    """Everything that was owed has arrived."""
    while any(row.delivered_at is None for row in await system.rows(tables.outbox)):
        pass


async def at_boss(system: System, table: Any) -> list[Any]:
    assert system.roles.boss is not None
    return await system.roles.boss.database.read(lambda conn: list(conn.execute(table.select())))


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


async def told_until(system: System, days: int) -> None:
    """BOSS has told every day until then; those between are of no interest, and left out."""
    next_day(system, days)
    day_work = telling(system)
    day = DAY + timedelta(days=days - 1)
    await day_work._exchange.send("DZMX", day, partial(day_work._opened, day=day))


async def told_and_compared(system: System, days: int) -> None:
    """A morning without PPP."""
    next_day(system, days)
    await telling(system).publish()
    await reconciling(system).run()


async def records(box: Box) -> list[Any]:
    """What the television lists of its payments."""
    return list((await box.get("/records"))["records"])


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


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_what_a_card_paid_uses_up_no_limit_of_what_goes_back_to_wallets(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    (by_card,) = await paid(system)
    box = await system.box("85312047")
    by_wallet = await bought(system, box, "kids")
    for payment in (by_card, by_wallet):
        await taken_back(system, payment["order"])
    there = reconciling(system).books["boss"]
    rules = tuple(rule.model_copy(update={"limit_count": 1}) for rule in there.pair.heal)
    strict = replace(there, pair=there.pair.model_copy(update={"heal": rules}))
    monkeypatch.setitem(reconciling(system).books, "boss", strict)  # type: ignore[arg-type]
    core = system.tsp.core
    next_day(system)
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    await system.roles.boss.days.publish()
    await core.database.write(
        lambda conn: tables.book.want(conn, core.ids, core.clock, "boss", DAY, "person:Wu", dry_run=True)
    )
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


async def test_a_debit_that_is_accepted_much_later_agrees_and_its_days_add_up(
    system: System, tmp_path: Path
) -> None:
    """Presented again after ten days; the day that it was refused with is sent again as it was, before and after that."""
    await paid(system, 2)
    debit, _ = await system.rows(tables.debits)
    mine = tables.debits.c.payment_id == debit.payment_id

    async def tac(value: str) -> None:
        changed = update(tables.debits).where(mine).values(tac=value)
        await system.tsp.database.write(lambda conn: conn.execute(changed))

    async def totals_of() -> list[tuple[Any, ...]]:
        """Of days with debits: day, state, count, how many were accepted, and refused."""
        return [(*row[:3], row[4], row[6]) for row in await days_of(system) if row[2]]

    async def send_again() -> None:
        await system.tsp.database.write(lambda conn: uploads.send_again(conn, DAY))
        await exchanged(system)

    await tac("00000000")
    await morning(system)
    await morning(system, 10)
    first = ("2026-06-21", "answered", 2, 1, 1)
    assert await totals_of() == [first]
    path = tmp_path / "exchange" / "ppp" / "XFMX" / "XFMX20260621.TXT"
    sent = path.read_bytes()
    await decide(system, "present-again")
    await send_again()
    assert (path.read_bytes(), await totals_of()) == (sent, [first])
    assert await breaks(system) == [("ppp", "status", "healing", "present-again")]
    await tac(debit.tac)
    await morning(system, 11)
    assert await breaks(system) == [("ppp", "status", "closed", "agreed")]
    both = [first, ("2026-07-01", "answered", 1, 1, 0)]
    assert await totals_of() == both
    await send_again()
    assert await totals_of() == both
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
    mine = tables.debits.c.payment_id == debit.payment_id

    async def tac(value: str) -> None:
        changed = update(tables.debits).where(mine).values(tac=value)
        await system.tsp.database.write(lambda conn: conn.execute(changed))

    await tac("00000000")
    await morning(system, 1)
    await morning(system, 4)
    await decide(system, "present-again")
    for days in (5, 6):
        await morning(system, days)
    await tac(debit.tac)
    await system.tsp.database.write(lambda conn: uploads.send_again(conn, DAY))
    with capture_logs() as logs:
        await exchanged(system)
    assert [log for log in logs if log["event"] == "answer-changed"] == []
    for days in (7, 8):
        await morning(system, days)
    told = [(*row[:3], row[4], row[6]) for row in await days_of(system) if row[2]]
    assert told == [("2026-06-21", "answered", 2, 2, 0), ("2026-06-25", "answered", 1, 0, 1)]
    assert {row.code for row in await system.rows(tables.uploads)} == {"00"}
    assert (await runs(system))["ppp"] == ("done", {"matched": 2})
    assert {state for _, _, state, _ in await breaks(system)} == {"closed"}


async def test_a_second_file_that_cannot_be_used_is_what_is_known_of_its_day(
    system: System, tmp_path: Path
) -> None:
    """A service was taken back; what says so was cut on its way. However old the day, the overview shows it."""
    box = await system.box()
    payment = await bought(system, box, "kids", "yearly")
    await morning(system)
    await told_until(system, 40)
    await taken_back(system, payment["order"])
    next_day(system, 41)
    await telling(system).publish()
    path = tmp_path / "exchange" / "boss" / "DZMX" / "DZMX20260621.TXT"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    await reconciling(system).run()
    mine = ("boss", DAY.isoformat())
    assert mine in await not_compared(system)
    system.clock.advance(1)
    path.write_bytes(whole)
    await reconciling(system).run()
    assert mine not in await not_compared(system)
    assert (await box.get(f"/payments/{payment['payment']}"))["money"] in ("returning", "returned")


async def test_a_file_that_does_not_come_is_told_and_caught_up_with(system: System, tmp_path: Path) -> None:
    await paid(system)
    place, away = tmp_path / "exchange", tmp_path / "away"
    place.rename(away)
    next_day(system)
    system.clock.advance(timedelta(hours=6).total_seconds())
    with pytest.raises(FolderError):
        await reconciling(system).run()
    assert {pair: state for pair, (state, _) in (await runs(system)).items()} == {
        "boss": "failed",
        "ppp": "failed",
    }
    (why, _) = [row.error for row in await system.rows(tables.book.runs) if row.day == DAY.isoformat()]
    assert str(read(why)) == "no file DZMX/DZMX20260621.TXT of boss is here"
    away.rename(place)
    await morning(system, 2)
    await mended(system)
    assert await runs(system) == {"boss": ("done", {"matched": 1}), "ppp": ("done", {"matched": 1})}
    assert await breaks(system) == []


async def test_days_of_a_long_outage_are_caught_up_with_a_few_at_a_time(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is away for longer than days are told again; what BOSS has taken back meanwhile goes back all the same."""
    monkeypatch.setattr(day_exchange, "AT_ONCE", 10)
    early, late = [await system.box(number) for number in ("85312047", "85312048")]
    online = await early.pay("card", "sports", "monthly")
    await Terminal(system, early, "debit").pay(online)
    await early.state(online["payment"], "done")
    told = await bought(system, early, "kids")
    await morning(system)
    # Told already when it is taken back, and taken back before it was told.
    await taken_back(system, told["order"])
    untold = await bought(system, late, "kids")
    await taken_back(system, untold["order"])
    days, place, away = 9, tmp_path / "exchange", tmp_path / "away"
    place.rename(away)
    next_day(system, days)
    with pytest.raises(FolderError):
        await reconciling(system).run()
    away.rename(place)
    for _ in range(3):
        await morning(system, days)
    await mended(system)
    for box, payment in ((early, told), (late, untold)):
        await box.until(payment["payment"], lambda view: view["money"] == "returned")
    for after in range(days):
        done = await runs(system, DAY + timedelta(days=after))
        assert [done[pair][0] for pair in ("boss", "ppp")] == ["done", "done"], after


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_on_closed_days_ppp_is_silent_and_nobody_misses_its_files(kind: str, tmp_path: Path) -> None:
    """Two days on which PPP does not work follow the first one; BOSS works on each."""
    settings = Settings(closed_days="2026-06-22,2026-06-23")
    folder = exchange_below(tmp_path)
    async with running_with_ppp(tmp_path / "data", settings, folder=folder) as system:
        await paid(system)
        with capture_logs() as logs:
            for days in (1, 2):
                await morning(system, days)
                system.clock.advance(timedelta(hours=7).total_seconds())
                await reconciling(system).run()
        assert [one["name"] for one in logs if one["event"] == "file-missing"] == []
        assert list((tmp_path / "exchange" / "ppp" / "QSMX").iterdir()) == []
        assert {(row.pair, row.state) for row in await system.rows(tables.book.runs)} == {("boss", "done")}
        # They work again, and this morning their files are late.
        next_day(system, 3)
        system.clock.advance(timedelta(hours=7).total_seconds())
        with capture_logs() as logs:
            await reconciling(system).run()
        missed = [one["name"] for one in logs if one["event"] == "file-missing" and one["partner"] == "ppp"]
        assert missed == [f"QSMX/QSMX202606{day}.TXT" for day in (21, 22, 23)]
        await morning(system, 4)
        assert (await runs(system))["ppp"] == ("done", {"matched": 1})


async def test_a_run_whose_file_was_refused_says_why(system: System, tmp_path: Path) -> None:
    await paid(system)
    next_day(system)
    name = "DZMX/DZMX20260621.TXT"
    (tmp_path / "exchange" / "boss" / name).write_text(
        "H|DZMX|20260621|0000000001|000000000001600\n", "ascii"
    )
    system.clock.advance(timedelta(hours=6).total_seconds())
    await reconciling(system).run()
    (row,) = [
        row for row in await system.rows(tables.book.runs) if (row.pair, row.day) == ("boss", DAY.isoformat())
    ]
    assert row.state == "refused"
    assert str(read(row.error)).startswith(f"{name}, version 1: ")
    assert "trailer" in str(read(row.error)) or "cut" in str(read(row.error))


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


async def compared_again(system: System, day: date) -> None:
    core = system.tsp.core
    await core.database.write(
        lambda conn: tables.book.want(conn, core.ids, core.clock, "boss", day, "person:Wu")
    )
    system.clock.advance(1)
    await reconciling(system).run()


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


async def test_what_a_limit_has_held_a_person_opens_five_days_later(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    (payment,) = await paid(system)
    there = reconciling(system).books["boss"]
    rules = tuple(rule.model_copy(update={"limit_count": 0}) for rule in there.pair.heal)
    strict = replace(there, pair=there.pair.model_copy(update={"heal": rules}))
    monkeypatch.setitem(reconciling(system).books, "boss", strict)  # type: ignore[arg-type]
    await system.boss(partial(lose, order=payment["order"]))
    for day in range(1, 6):
        await morning(system, day)
    assert await breaks(system) == [("boss", "missing-there", "open", None)]
    await decide(system, "open")
    system.tsp.core.outbox.worker.kick()
    await delivered(system)
    await morning(system, 6)
    assert await breaks(system) == [("boss", "other-day", "closed", "match")]


async def test_a_dry_run_changes_nothing_and_says_what_would_be_done(system: System) -> None:
    box = await system.box()
    payment = await bought(system, box, "kids")
    await morning(system)
    await taken_back(system, payment["order"])
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    core = system.tsp.core
    await system.roles.boss.days.publish()
    books_ = reconciling(system).books["boss"]
    # The file is fetched, and before its run is done, somebody asks what that would do.
    (found,) = await books_.exchange.new("DZMX")
    await books_.exchange.fetch("DZMX", *found)
    dry = await core.database.write(
        lambda conn: tables.book.want(conn, core.ids, core.clock, "boss", DAY, "person:Wu", dry_run=True)
    )
    (row,) = [one for one in await system.rows(tables.book.runs) if one.id == dry]
    await reconciling(system)._reconcile(row)
    assert await breaks(system) == []
    (row,) = [one for one in await system.rows(tables.book.runs) if one.id == dry]
    assert json.loads(row.healed)["charged-but-cancelled"]["count"] == 1
    await reconciling(system).run()
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "refund")]


async def test_more_than_a_pair_may_differ_stops_its_run_until_the_right_file_is_here(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await paid(system, 3)
    next_day(system)
    there = reconciling(system).books["boss"]
    strict = replace(there, pair=there.pair.model_copy(update={"limit_differences": 2}))
    monkeypatch.setitem(reconciling(system).books, "boss", strict)  # type: ignore[arg-type]
    folder = tmp_path / "exchange" / "boss" / "DZMX"
    none = "|DZMX|20260621|0000000000|000000000000000\n"
    (folder / "DZMX20260621.TXT").write_text(f"H{none}T{none}", "ascii")
    await reconciling(system).run()
    assert (await runs(system))["boss"] == ("stopped", {"missing-there": 3})
    assert await breaks(system) == []
    (row,) = await system.rows(tables.book.runs)
    assert str(read(row.error)).startswith("3 differences were found; more than 2 are not entered")
    assert [(one.cls, one.there) for one in sample_of(row)] == [("missing-there", None)] * 3
    system.clock.advance(1)
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    await system.roles.boss.days.publish()
    await reconciling(system).run()
    assert (await runs(system))["boss"] == ("done", {"matched": 3})


async def test_differences_are_entered_and_closed_a_few_at_a_time(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Others are answered in between."""
    sizes: dict[str, list[int]] = {"differences": [], "gone": []}
    for name, method in (("differences", tables.book.see), ("gone", tables.book.agree)):

        def noting(conn: Connection, name: str = name, method: Any = method, **told: Any) -> Any:
            sizes[name].append(len(told[name]))
            return method(conn, **told)

        monkeypatch.setattr(tables.book, method.__name__, noting)
    monkeypatch.setattr(tsp_reconciling, "AT_ONCE", 2)
    await paid(system, 3)
    next_day(system)
    none = "|DZMX|20260621|0000000000|000000000000000\n"
    folder = tmp_path / "exchange" / "boss" / "DZMX"
    (folder / "DZMX20260621.TXT").write_text(f"H{none}T{none}", "ascii")
    await reconciling(system).run()
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    await system.roles.boss.days.publish()
    await reconciling(system).run()
    assert sizes == {"differences": [2, 1], "gone": [2, 1]}


async def test_more_than_a_rule_may_heal_waits_for_people(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await system.box()
    payments = [await bought(system, box, service) for service in ("kids", "sports")]
    for payment in payments:
        await taken_back(system, payment["order"])
    there = reconciling(system).books["boss"]
    rules = [rule.model_copy(update={"limit_count": 1}) for rule in there.pair.heal]
    strict = replace(there, pair=there.pair.model_copy(update={"heal": tuple(rules)}))
    monkeypatch.setitem(reconciling(system).books, "boss", strict)  # type: ignore[arg-type]
    await morning(system)
    assert await breaks(system) == [("boss", "reversed-on-one-side", "open", None)] * 2
    (row,) = [
        one for one in await system.rows(tables.book.runs) if (one.pair, one.day) == ("boss", DAY.isoformat())
    ]
    assert json.loads(row.healed)["charged-but-cancelled"]["held"]


async def test_a_comparison_that_the_machine_was_in_the_way_of_is_tried_again_with_growing_pauses(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paid(system)
    await told_files(system)
    tried = fail_to_compare(monkeypatch, 5)
    with capture_logs() as logs, pytest.raises(OSError, match="No space left"):
        await reconciling(system).run()
    assert [(one["pair"], one["day"]) for one in logs if one["event"] == "comparison-failed"] == [
        ("boss", DAY.isoformat())
    ]
    # The other pair is not held up.
    assert (await runs(system))["ppp"][0] == "done"
    row = await run_of(system)
    assert row.state == "failed"
    assert "tried again by itself" in str(read(row.error))
    assert await not_compared(system) == [("boss", DAY.isoformat())]
    for _ in range(60):
        system.clock.advance(30)
        try:
            await reconciling(system).run()
        except OSError:
            assert (await run_of(system)).state == "failed"
    pauses = [(after - before).total_seconds() for before, after in pairwise(tried)]
    assert pauses == [60, 60, 120, 240, 480]
    assert (await run_of(system)).state == "done"
    assert await not_compared(system) == []


async def test_a_run_that_somebody_only_tried_is_not_tried_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paid(system)
    await morning(system)
    tried, core = fail_to_compare(monkeypatch, 1), system.tsp.core
    await core.database.write(
        lambda conn: tables.book.want(conn, core.ids, core.clock, "boss", DAY, "person:Wu", dry_run=True)
    )
    with pytest.raises(OSError, match="No space left"):
        await reconciling(system).run()
    system.clock.advance(3600)
    await reconciling(system).run()
    assert len(tried) == 1
    assert await not_compared(system) == []


async def test_a_day_that_was_compared_before_is_compared_again_after_a_failure_and_the_money_goes_back(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared, taken back, told again; then the disk is full once."""
    box = await system.box()
    payment = await bought(system, box, "kids")
    await morning(system)
    await taken_back(system, payment["order"])
    fail_to_compare(monkeypatch, 1)
    with pytest.raises(OSError, match="No space left"):
        await morning(system, 2)
    assert await not_compared(system) == [("boss", DAY.isoformat())]
    system.clock.advance(60)
    await reconciling(system).run()
    assert await not_compared(system) == []
    assert await breaks(system) == [("boss", "reversed-on-one-side", "closed", "refund")]
    await box.until(payment["payment"], lambda view: view["money"] == "returned")


async def test_the_last_comparison_of_a_day_is_what_is_known_of_it(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wrong file after a right one stops; that the day was compared before hides nothing."""
    await paid(system)
    there = reconciling(system).books["boss"]
    strict = replace(there, pair=there.pair.model_copy(update={"limit_differences": 2}))
    monkeypatch.setitem(reconciling(system).books, "boss", strict)  # type: ignore[arg-type]
    await morning(system)
    assert await not_compared(system) == []
    system.clock.advance(1)
    put_file(tmp_path, [f"{number:026d}" for number in range(3)])
    await reconciling(system).run()
    assert await not_compared(system) == [("boss", DAY.isoformat())]


@pytest.mark.parametrize("dry", [True, False])
async def test_what_came_to_nothing_before_a_file_is_late_hides_not_that_it_never_comes(
    system: System, tmp_path: Path, dry: bool
) -> None:
    await paid(system)
    place, away = tmp_path / "exchange" / "boss", tmp_path / "away"
    place.rename(away)
    next_day(system)
    core = system.tsp.core
    await core.database.write(
        lambda conn: tables.book.want(conn, core.ids, core.clock, "boss", DAY, "person:Wu", dry_run=dry)
    )
    with capture_logs() as logs:
        with pytest.raises(FolderError):
            await reconciling(system).run()
        assert [row.state for row in await system.rows(tables.book.runs) if row.pair == "boss"] == ["failed"]
        # A day without its file before it is late is nobody's fault yet.
        assert [one for one in logs if one["event"] == "file-missing"] == []
        system.clock.advance(timedelta(hours=7).total_seconds())
        for _ in range(3):
            with pytest.raises(FolderError):
                await reconciling(system).run()
            system.clock.advance(600)
    missed = [one["name"] for one in logs if one["event"] == "file-missing" and one["partner"] == "boss"]
    assert missed == ["DZMX/DZMX20260621.TXT"]
    assert ("boss", DAY.isoformat()) in await not_compared(system)
    away.rename(place)
    await mended(system)


async def test_the_right_file_starts_a_day_before_the_first_payment_anew_though_it_is_empty(
    system: System, tmp_path: Path
) -> None:
    next_day(system)
    await paid(system)
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    # BOSS's own of that day, so that its job has nothing more to tell.
    await system.roles.boss.days.publish()
    await reconciling(system).run()
    assert await system.rows(tables.book.runs) == []
    system.clock.advance(1)
    put_file(tmp_path, ["0" * 25 + "1", "0" * 25 + "2"])
    await reconciling(system).run()
    assert await breaks(system) == [("boss", "missing-here", "open", None)] * 2
    system.clock.advance(1)
    put_file(tmp_path, [])
    await reconciling(system).run()
    assert await breaks(system) == [("boss", "missing-here", "closed", "agreed")] * 2


class Killed(Exception):
    """The process is gone."""


def kill(monkeypatch: pytest.MonkeyPatch, step: str) -> list[str]:
    """The process ends when this is done for the second time; nothing is written down any more, until it is there again."""
    method, fail, calls = getattr(tables.book, step), tables.book.fail, list[str]()

    def killed(*told: Any, **named: Any) -> Any:
        calls.append(step)
        if len(calls) == 2:
            raise Killed
        return method(*told, **named)

    def failed(*told: Any, **named: Any) -> None:
        if len(calls) == 2:
            raise Killed
        fail(*told, **named)

    monkeypatch.setattr(tables.book, step, killed)
    monkeypatch.setattr(tables.book, "fail", failed)
    return calls


@pytest.mark.parametrize("step", ["see", "agree", "heal"])
async def test_a_run_that_was_killed_says_in_the_end_what_it_has_done_in_all(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    monkeypatch.setattr(tsp_reconciling, "AT_ONCE", 2)
    monkeypatch.setattr("server_stub.reconciliation.book.AT_ONCE", 2)
    boxes = [await system.box(number) for number in ("85312047", "85312048")]
    back = [await bought(system, box, service) for box in boxes for service in ("kids", "music")]
    for payment in back:
        await taken_back(system, payment["order"])
    calls = kill(monkeypatch, step)
    next_day(system)
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    if step == "agree":
        # What the day's first file has, and the next one has not: to be closed.
        put_file(tmp_path, [f"{number:026d}" for number in range(5)])
        await reconciling(system).run()
        system.clock.advance(1)
    await system.roles.boss.days.publish()
    # The job may have been first.
    with suppress(Killed):
        await reconciling(system).run()
    assert len(calls) >= 2
    system.clock.advance(1)
    await reconciling(system).run()
    await mended(system)
    row = max(
        (row for row in await system.rows(tables.book.runs) if row.pair == "boss"),
        key=lambda row: row.wanted_at,
    )
    healed = json.loads(row.healed)["charged-but-cancelled"]
    said = (row.state, row.opened, row.closed, healed["count"], healed["fen"])
    fen = sum(payment["amount_fen"] for payment in back)
    assert said == ("done", 0 if step == "agree" else 4, 5 if step == "agree" else 0, 4, fen)


async def test_what_a_run_has_entered_from_a_file_that_was_replaced_meanwhile_is_closed(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Killed in the middle of the wrong file; when it goes on, the right one is here."""
    monkeypatch.setattr(tsp_reconciling, "AT_ONCE", 2)
    await paid(system)
    next_day(system)
    put_file(tmp_path, [f"{number:026d}" for number in range(5)])
    kill(monkeypatch, "see")
    with suppress(Killed):
        await reconciling(system).run()
    assert len(await breaks(system)) == 2
    system.clock.advance(1)
    assert system.roles.boss is not None
    assert system.roles.boss.days is not None
    await system.roles.boss.days.publish()
    await reconciling(system).run()
    row = await run_of(system)
    assert (row.state, row.opened, row.closed) == ("done", 2, 2)
    assert {(state, action) for _, _, state, action in await breaks(system)} == {("closed", "agreed")}
