"""The daily upload: debits of purses go to PPP, which checks each TAC and answers each line. ONL-8"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, update
from structlog.testing import capture_logs

from cardreader.sim.profiles import PROFILES
from server_stub.foundation import day_files
from server_stub.foundation.clock import CHINA
from server_stub.foundation.folders import FolderError
from server_stub.foundation.purse_details import Detail
from server_stub.foundation.secret import CardNumber
from server_stub.ppp import tables as ppp
from server_stub.ppp.day_work import DayWork
from server_stub.settings import Settings
from server_stub.tsp import books, tables, uploads
from server_stub.tsp.uploads import Uploads
from tests.server_stub.system import Card, System, exchange_below, running_with_ppp

pytestmark = pytest.mark.anyio
DAY = date(2026, 6, 21)
SERVICES = ("sports", "kids", "documentary")


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    data = tmp_path / "data"
    async with running_with_ppp(data, folder=exchange_below(tmp_path)) as system:
        yield system


def telling(system: System) -> Uploads:
    assert system.tsp.uploads is not None
    return system.tsp.uploads


def answering(system: System) -> DayWork:
    assert system.roles.ppp is not None
    assert system.roles.ppp.days is not None
    return system.roles.ppp.days


async def at_ppp(system: System, table: Any) -> list[Any]:
    assert system.roles.ppp is not None
    query = table.select() if isinstance(table, Table) else table
    return await system.roles.ppp.database.read(lambda conn: list(conn.execute(query)))


async def paid(system: System, count: int = 1) -> list[Any]:
    """So many payments with a purse, opened at BOSS."""
    box = await system.box()
    card = Card(box)
    done = []
    for service in SERVICES[:count]:
        payment = await box.pay("card", service, "monthly")
        await card.pay(payment)
        done.append(await box.state(payment["payment"], "done"))
    return done


async def tac_is(system: System, tac: str, payment: str | None = None) -> None:
    """The debit of a payment, or every debit, has this TAC from now on."""
    changed = update(tables.debits).values(tac=tac)
    if payment is not None:
        changed = changed.where(tables.debits.c.payment_id == payment)
    await system.tsp.database.write(lambda conn: conn.execute(changed))


def next_day(system: System, days: int = 1) -> None:
    """The clock comes to half past midnight."""
    to = datetime.combine(DAY + timedelta(days=days), datetime.min.time(), CHINA) + timedelta(minutes=30)
    system.clock.advance((to - system.clock.now()).total_seconds())


async def exchanged(system: System) -> None:
    await telling(system).run()
    await answering(system).answer()
    await telling(system).run()


async def mended(system: System) -> None:
    """What was away is there again: jobs that failed meanwhile have been done."""
    while any(row.failures for row in await system.rows(tables.jobs)):
        system.clock.advance(5)
        await asyncio.sleep(0)


async def days_of(system: System) -> list[tuple[Any, ...]]:
    names = ("day", "state", "count", "fen", "accepted_count", "accepted_fen", "refused_count")
    rows = sorted(await system.rows(tables.upload_days), key=lambda row: row.day)
    return [tuple(getattr(row, name) for name in names) for row in rows]


async def settled_fen(system: System) -> int:
    return await system.tsp.database.read(lambda conn: tables.ledger.balance(conn, books.SETTLED))


async def test_a_day_is_told_checked_answered_and_booked(system: System, tmp_path: Path) -> None:
    done = await paid(system, 2)
    fen = sum(payment["amount_fen"] for payment in done)
    next_day(system)
    await exchanged(system)
    assert await days_of(system) == [("2026-06-21", "answered", 2, fen, 2, fen, 0)]
    assert {(row.payment_id, row.code, row.settled_on) for row in await system.rows(tables.uploads)} == {
        (payment["payment"], "00", "20260622") for payment in done
    }
    assert {(row.reference, row.code, row.masked) for row in await at_ppp(system, ppp.purse_debits)} == {
        (payment["payment"], "00", payment["card"]["number"]) for payment in done
    }
    assert await settled_fen(system) == fen
    told = (tmp_path / "exchange" / "ppp" / "XFMX" / "XFMX20260621.TXT").read_text("ascii")
    assert told.startswith(f"H|XFMX|20260621|0000000002|{fen:015d}\n")
    assert PROFILES["good"].serial[-16:] not in told


async def test_no_day_is_made_before_it_is_over(system: System) -> None:
    await paid(system)
    await telling(system).run()
    assert [row[0] for row in await days_of(system)] == ["2026-06-20"]


async def test_what_was_paid_after_the_cut_off_belongs_to_the_next_day(system: System) -> None:
    first = (await paid(system))[0]
    next_day(system)
    second = (await paid_on(system, "kids"))[0]
    await exchanged(system)
    next_day(system, 2)
    await exchanged(system)
    assert {(row.payment_id, row.day) for row in await system.rows(tables.uploads)} == {
        (first["payment"], "2026-06-21"),
        (second["payment"], "2026-06-22"),
    }


async def paid_on(system: System, service: str) -> list[Any]:
    box = await system.box("85312047")
    payment = await box.pay("card", service, "monthly")
    await Card(box).pay(payment)
    return [await box.state(payment["payment"], "done")]


async def test_a_wrong_tac_is_refused_alone(system: System) -> None:
    wrong, right = await paid(system, 2)
    await tac_is(system, "00000000", wrong["payment"])
    next_day(system)
    await exchanged(system)
    fen = right["amount_fen"]
    both = fen + wrong["amount_fen"]
    assert await days_of(system) == [("2026-06-21", "answered", 2, both, 1, fen, 1)]
    codes = {row.payment_id: row.code for row in await system.rows(tables.uploads)}
    assert codes == {wrong["payment"]: "05", right["payment"]: "00"}
    assert await settled_fen(system) == fen


async def test_what_was_refused_goes_again_with_the_next_day(system: System) -> None:
    (payment,) = await paid(system)
    (debit,) = await system.rows(tables.debits)
    await tac_is(system, "00000000")
    next_day(system)
    await exchanged(system)
    await tac_is(system, debit.tac)
    name = payment["payment"]
    assert await system.tsp.database.write(lambda conn: uploads.present_again(conn, name))
    assert not await system.tsp.database.write(lambda conn: uploads.present_again(conn, "another"))
    next_day(system, 2)
    await exchanged(system)
    (row,) = await system.rows(tables.uploads)
    assert (row.day, row.code) == ("2026-06-22", "00")
    assert await settled_fen(system) == payment["amount_fen"]


async def test_a_day_can_be_sent_again_without_harm(system: System) -> None:
    done = await paid(system, 2)
    next_day(system)
    await exchanged(system)
    before = await days_of(system), await settled_fen(system), await at_ppp(system, ppp.purse_debits)
    for _ in range(2):
        assert await system.tsp.database.write(lambda conn: uploads.send_again(conn, DAY))
        await telling(system).run()
        assert (await days_of(system))[0][1] == "sent"
        await answering(system).answer()
        await telling(system).run()
    assert (
        await days_of(system),
        await settled_fen(system),
        await at_ppp(system, ppp.purse_debits),
    ) == before
    assert len(await at_ppp(system, ppp.ledger.entries)) == len(await at_ppp(system, ppp.ledger.entries))
    assert not await system.tsp.database.write(lambda conn: uploads.send_again(conn, date(2026, 1, 1)))
    assert len(done) == 2


async def test_an_answer_that_takes_back_what_was_accepted_is_told_and_books_nothing(
    system: System, tmp_path: Path
) -> None:
    first, second = await paid(system, 2)
    next_day(system)
    await exchanged(system)
    before = await days_of(system), await settled_fen(system)
    path = tmp_path / "exchange" / "ppp" / "XFJG" / "XFJG20260621.TXT"
    amount = f"{first['payment']}|{first['amount_fen']}|"
    text = path.read_text("ascii")
    assert f"{amount}00|20260622" in text
    path.write_text(text.replace(f"{amount}00|20260622", f"{amount}05|"), "ascii")
    with capture_logs() as logs:
        await telling(system).run()
    assert (await days_of(system), await settled_fen(system)) == before
    said = f"{first['payment']} 00 20260622, now 05"
    (told,) = [one for one in logs if one["event"] == "answer-changed"]
    assert (told["log_level"], told["day"], told["count"], told["kept"]) == ("error", "2026-06-21", 1, [said])
    name = "XFJG/XFJG20260621.TXT"
    read = system.tsp.database.read
    row = await read(lambda conn: tables.files.last(conn, "ppp", "in", name))
    assert row is not None
    assert row.version == 2
    history = await read(lambda conn: tables.files.history(conn, row.id))
    assert [one.detail for one in history if one.event == uploads.CHANGED] == [{"count": 1, "kept": said}]
    assert second["payment"] not in said


async def test_an_answer_that_accepts_what_was_refused_books_it_once(system: System, tmp_path: Path) -> None:
    (payment,) = await paid(system)
    await tac_is(system, "00000000")
    next_day(system)
    await exchanged(system)
    assert await settled_fen(system) == 0
    path = tmp_path / "exchange" / "ppp" / "XFJG" / "XFJG20260621.TXT"
    text = path.read_text("ascii").replace("|05|", "|00|20260622")
    for _ in range(2):
        path.write_text(text, "ascii")
        await telling(system).run()
    assert await settled_fen(system) == payment["amount_fen"]


async def test_days_of_an_outage_are_caught_up_with(system: System, tmp_path: Path) -> None:
    """The folder is away over three cut-offs: then the days go in their order."""
    await paid(system)
    place, away = tmp_path / "exchange", tmp_path / "away"
    place.rename(away)
    for day in (1, 2, 3):
        next_day(system, day)
        with pytest.raises(FolderError, match="exchange"):
            await telling(system).run()
    assert [row[1] for row in await days_of(system)] == ["made", "made", "made"]
    away.rename(place)
    await exchanged(system)
    await mended(system)
    assert [row[:3] for row in await days_of(system)] == [
        ("2026-06-21", "answered", 1),
        ("2026-06-22", "answered", 0),
        ("2026-06-23", "answered", 0),
    ]


async def test_a_file_that_was_cut_is_refused_and_can_come_again(system: System, tmp_path: Path) -> None:
    await paid(system)
    next_day(system)
    await telling(system).run()
    path = tmp_path / "exchange" / "ppp" / "XFMX" / "XFMX20260621.TXT"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    await answering(system).answer()
    assert await at_ppp(system, ppp.purse_debits) == []
    arrived = ppp.files.files.select().where(ppp.files.files.c.direction == "in")
    assert [row.state for row in await at_ppp(system, arrived)] == ["refused"]
    path.write_bytes(whole)
    await answering(system).answer()
    assert [row.code for row in await at_ppp(system, ppp.purse_debits)] == ["00"]


async def test_a_bad_line_stops_no_other(system: System, tmp_path: Path) -> None:
    first, second = await paid(system, 2)
    next_day(system)
    await telling(system).run()
    path = tmp_path / "exchange" / "ppp" / "XFMX" / "XFMX20260621.TXT"
    text = path.read_text("ascii").replace("|06|", "|6|", 1)
    path.write_text(text, "ascii")
    await answering(system).answer()
    await telling(system).run()
    codes = {row.payment_id: row.code for row in await system.rows(tables.uploads)}
    assert sorted(codes.values()) == ["00", "30"]
    assert codes.keys() == {first["payment"], second["payment"]}


async def test_one_debit_under_two_references_counts_once(system: System, tmp_path: Path) -> None:
    """A platform that has lost its books and takes up the same debit anew."""
    (payment,) = await paid(system)
    next_day(system)
    await exchanged(system)
    (row,) = await at_ppp(system, ppp.purse_debits)
    other = "01KAAAAAAAAAAAAAAAAAAAAAAA"
    path = tmp_path / "exchange" / "ppp" / "XFMX" / "XFMX20260622.TXT"
    details = telling(system)
    conceal = await details.pos.concealing()
    (debit,) = await system.rows(tables.debits)
    serial = CardNumber(system.tsp.core.vault.unseal(debit.card_sealed))
    detail = Detail(
        other, payment["amount_fen"], "06", debit.terminal_number, debit.terminal_transaction_number,
        debit.date, debit.time, debit.tac, debit.issuer_id, "01", "00", conceal(serial, other),
    )  # fmt: skip
    with day_files.Writer(path, "XFMX", DAY + timedelta(days=1)) as out:
        out.add(detail.record())
    await answering(system).answer()
    codes = {one.reference: one.code for one in await at_ppp(system, ppp.purse_debits)}
    assert codes == {row.reference: "00", other: "94"}


async def test_on_a_closed_day_nothing_is_exchanged(tmp_path: Path) -> None:
    settings = Settings(closed_days="2026-06-22")
    async with running_with_ppp(tmp_path / "data", settings, folder=exchange_below(tmp_path)) as system:
        await paid(system)
        next_day(system)
        assert await telling(system).run() == "closed today"
        assert await days_of(system) == []
        next_day(system, 2)
        await exchanged(system)
        assert [row[:3] for row in await days_of(system)] == [
            ("2026-06-21", "answered", 1),
            ("2026-06-22", "answered", 0),
        ]


async def test_the_folder_that_is_away_is_told_as_such(system: System, tmp_path: Path) -> None:
    await paid(system)
    next_day(system)
    (tmp_path / "exchange" / "ppp" / "XFMX").rmdir()
    with pytest.raises(FolderError, match="XFMX"):
        await telling(system).run()
    (tmp_path / "exchange" / "ppp" / "XFMX").mkdir()
    await mended(system)
