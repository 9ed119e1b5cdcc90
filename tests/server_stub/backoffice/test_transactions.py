"""Pages of transactions: found by what was typed, the story of each kind of payment, reports, files, and nothing secret."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import delete, insert, update

from server_stub.backoffice import chart, exports, totals
from server_stub.backoffice.criteria import MONEY
from server_stub.backoffice.exports import Column
from server_stub.backoffice.pages.exports import make_room
from server_stub.backoffice.totals import Totals, between, count
from server_stub.settings import Settings
from server_stub.tsp import cases, tables
from tests.server_stub.backoffice.desk import ALL, Clerk, let_in, office_of
from tests.server_stub.system import START, Card, System, running_with_ppp
from tests.server_stub.tsp.test_card_loads import Loader
from tests.server_stub.tsp.test_electronic_cash import Terminal as CashTerminal
from tests.server_stub.tsp.test_online_card import Terminal

pytestmark = pytest.mark.anyio
PAN = re.compile(r"(?<![0-9A-Za-z])[0-9]{13,20}(?![0-9A-Za-z])")


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path / "data", Settings(ppp_seconds=5.0), without=ALL) as one:
        yield one


def texts(page: str) -> str:
    """What a page says."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


async def story(clerk: Clerk, transaction: str) -> str:
    answer = await clerk.get(f"/transactions/{transaction}")
    assert answer.status_code == 200, transaction
    return texts(clerk.page)


async def secrets(system: System) -> set[str]:
    """What must stand on no page: sealed data, fingerprints, proofs of cards, the wallet's codes."""
    found: set[str] = set()
    for table, names in (
        (tables.debits, ("card_sealed", "card_fingerprint", "mac2")),
        (tables.authorisations, ("card_sealed", "card_fingerprint", "chip")),
        (tables.certificates, ("card_sealed", "card_fingerprint", "chip")),
        (tables.loads, ("card_fingerprint", "chip")),
        (tables.payments, ("qr_payload",)),
        (tables.server_keys, ("sealed",)),
    ):
        found |= {getattr(row, name) for row in await system.rows(table) for name in names}
    return {one for one in found if one}


@pytest.fixture
async def clerk(system: System) -> Clerk:
    return await let_in(system, "clerk", "clerk,supervisor")


async def test_the_story_of_each_kind_of_payment_is_whole_and_has_nothing_secret(
    system: System, clerk: Clerk
) -> None:
    box = await system.box()
    purse = await box.pay("card", "sports", "monthly")
    await Card(box).pay(purse)
    online = await box.pay("card", "kids", "monthly")
    await Terminal(system, box).pay(online)
    cash = await box.pay("card", "music", "per-use")
    await CashTerminal(system, box).pay(cash)
    wallet = await box.pay("wallet:demo", "news", "monthly")
    await system.phone(wallet["qr"]["payload"], "pay")
    for payment in (purse, online, cash, wallet):
        await box.state(payment["payment"], "done")
    cancelled = await box.pay("wallet:demo", "opera", "monthly")
    await box.post(f"/payments/{cancelled['payment']}/cancel", {"reason": "cancelled"})
    named = {"purse": "Purse card", "online": "Debit or credit card", "cash": "Electronic cash", "wallet": "Demo wallet"}  # fmt: skip
    for payment, name in zip((purse, online, cash, wallet), named.values(), strict=True):
        ways = re.findall(r"Way to pay ((?:(?!Way to pay).)*)", await story(clerk, payment["payment"]))
        assert len(ways) >= 2
        assert all(way.startswith(name) for way in ways)  # in short and in every detail
    await clerk.get(f"/boxes/{box.number}")
    said = texts(clerk.page)
    for term, name in (("Monthly", "Purse card"), ("Monthly", "Debit or credit card"), ("Per use", "Electronic cash"), ("Monthly", "Demo wallet")):  # fmt: skip
        assert f"{term} · {name}" in said
    assert "Number of the key" in said
    opened = ("Ordered for", "The money is in", "BOSS opened the service", "BOSS has opened the service", "Received, service not open yet", "Payable to the operator", "Receivable from the payment platform", "Revenue: ", "debits and credits agree", "The message was delivered", "A request of the box was answered")  # fmt: skip
    for transaction, expected in (
        (
            purse["payment"],
            (
                *opened,
                "MAC1",
                "counted this debit",
                "Terminal transaction number",
                "sim:",
                "Receivable from UnionPay: cards",
            ),
        ),
        (
            online["payment"],
            (*opened, "UnionPay approved (code 00)", "UnionPay's own books: answered 00", "Message sale"),
        ),
        (cash["payment"], (*opened, "electronic cash", "accepted the card's certificate")),
        (wallet["payment"], (*opened, "The code stands on the television", "Receivable from Demo wallet")),
        (cancelled["payment"], ("Cancelled; nothing was taken.", "Nothing was booked.")),
    ):
        said = await story(clerk, transaction)
        assert [one for one in expected if one not in said] == [], said
        assert "steps after it" in said
        for journal in clerk.page.partition('<tr class="sum">')[0].split('<tr class="group">')[1:]:
            debits = [bool(debit) for debit in re.findall(r'data-label="Debit">([^<]*)<', journal)]
            assert debits == sorted(debits, reverse=True), "a credit before a debit"
        assert 'class="raw"' not in clerk.page, "a code without words"
        assert not PAN.search(said)
        assert [one for one in await secrets(system) if one in clerk.page] == []


async def test_the_story_of_a_load(system: System, clerk: Clerk) -> None:
    loader = Loader(system, await system.box())
    await loader.complete(loader.end(await loader.authorise()))
    said = await story(clerk, loader.load["load"])
    expected = (
        "Load of ¥100.00",
        "UnionPay approved (code 00)",
        "The card is loaded",
        "UnionPay's own books",
    )
    assert [one for one in expected if one not in said] == [], said
    assert [one for one in await secrets(system) if one in clerk.page] == []
    await clerk.post("/transactions/search", "/transactions", q=loader.load["number"])
    assert loader.load["load"] in clerk.page


async def test_a_case_and_its_decision_are_part_of_the_story(system: System, clerk: Clerk) -> None:
    box = await system.box()
    payment = await box.pay("card", "sports", "monthly")
    await Card(box).authorised(payment)
    for pause in Settings().unknown_schedule:
        system.clock.advance(pause)
        await system.tsp.payments.sweep()
    await clerk.sign_in()
    (case,) = await system.rows(tables.cases)
    assert "A case for a person" in await story(clerk, payment["payment"])
    assert f"/backoffice/cases/{case.id}" in clerk.page
    decision = cases.Decision(case.id, "write-off", "seen on the card", "张敏")
    await system.tsp.core.database.write(lambda conn: cases.decide(conn, system.tsp.core, decision))
    said = await story(clerk, payment["payment"])
    assert "A person decided: nothing was debited. 张敏" in said
    assert "The case was decided" in said
    assert "In the audit log: Write off. 张敏" in said
    assert 'class="raw"' not in clerk.page
    audit = (await clerk.get("/audit?role=tsp&action=case-write-off")).text
    assert 'raw"' not in audit
    assert f'<a href="/backoffice/transactions/{payment["payment"]}">' in clerk.page
    assert "Kind of case" not in clerk.page
    assert "It is not known whether the card was debited" in clerk.page


async def test_money_that_came_too_late_and_went_back(system: System, clerk: Clerk) -> None:
    box = await system.box()
    late = await box.pay("wallet:demo", "sports", "monthly")
    await box.post(f"/payments/{late['payment']}/cancel", {"reason": "cancelled"})
    moved = update(tables.payments).where(tables.payments.c.id == late["payment"]).values(state="refunded", reason="late", received_fen=1500, live=False)  # fmt: skip
    await system.tsp.core.database.write(lambda conn: conn.execute(moved))
    await clerk.get("/transactions?money=returned")
    assert late["payment"] in clerk.page
    await system.tsp.core.database.write(
        lambda conn: conn.execute(moved.values(state="cancelled", received_fen=None))
    )


async def test_what_was_typed_leads_to_the_payment_and_no_card_number_into_an_address(
    system: System, clerk: Clerk
) -> None:
    box = await system.box()
    payment = await box.pay("card", "sports", "monthly")
    card = Card(box)
    await card.pay(payment)
    await box.state(payment["payment"], "done")
    (order,) = await system.rows(tables.orders)
    (debit,) = await system.rows(tables.debits)
    number = card.purse.information.application_serial.hex()
    for typed in (order.number, order.number.lower(), payment["payment"], order.id, box.number, number, debit.card_masked, f"…{number[-4:]}", debit.terminal_transaction_number, "15.00 card", "card opened"):  # fmt: skip
        answer = await clerk.post("/transactions/search", "/transactions", q=typed)
        assert payment["payment"] in clerk.page, typed
        assert number not in clerk.page + str(answer.url)
        assert all(number not in str(one.headers.get("location")) for one in answer.history)
    await clerk.post("/transactions/search", "/transactions", q="no such thing")
    assert "Nothing was found" in clerk.page
    await clerk.post("/transactions/search", "/transactions", from_fen="much", card=number, state="opened")
    assert number not in clerk.page
    await clerk.get("/transactions?from_fen=much")
    assert "An amount in yuan, such as 25.00." in clerk.page
    assert payment["payment"] not in clerk.page


async def test_a_subscriber_is_found_by_name_and_id(system: System, clerk: Clerk) -> None:
    box, other = await system.box("85312047"), await system.box()
    mine, theirs = (
        await box.pay("wallet:demo", "opera", "monthly"),
        await other.pay("wallet:demo", "opera", "monthly"),
    )
    for typed in ("张女士", "Ms Zhang"):
        await clerk.post("/transactions/search", "/transactions", subscriber=typed)
        assert mine["payment"] in clerk.page
        assert theirs["payment"] not in clerk.page
    for payment, whose in ((mine, box), (theirs, other)):
        await whose.post(f"/payments/{payment['payment']}/cancel", {"reason": "cancelled"})


async def _file(system: System, clerk: Clerk, path: str, **form: str) -> Any:
    """A file that was asked for, once it is there."""
    answer = await clerk.post(path, "/transactions", **form)
    task = str(answer.url).rpartition("/")[2]
    while (await office_of(system).tasks.shown(task)).state == "running":  # type: ignore[union-attr]
        await asyncio.sleep(0)
    return task, await clerk.get(f"/exports/{task}")


async def test_a_search_is_exported_for_whoever_asked_and_a_day_long(system: System, clerk: Clerk) -> None:
    box = await system.box()
    for service in ("sports", "kids", "music"):
        payment = await box.pay("wallet:demo", service, "monthly")
        await system.phone(payment["qr"]["payload"], "pay")
        await box.state(payment["payment"], "done")
        system.clock.advance(60)
    changed = (
        update(tables.payments).where(tables.payments.c.service == "music").values(reason="=HYPERLINK(1)")
    )
    await system.tsp.core.database.write(lambda conn: conn.execute(changed))
    _, answer = await _file(system, clerk, "/transactions/export", format="csv", state="opened")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row[9] for row in rows] == ["Amount", "10.00", "12.00", "15.00"]
    assert rows[1][-1] == "'=HYPERLINK(1)"
    # Words, as on the page, in every column that has some.
    words = ("Monthly", "Demo wallet", "Wallet", "Paid and opened", "Done", "Taken")
    assert [rows[1][place] for place in (5, 6, 7, 11, 12, 13)] == [*words]
    task, answer = await _file(system, clerk, "/transactions/export", format="xlsx", state="opened")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:O4"
    assert [sheet.cell(row, 10).value for row in (2, 3, 4)] == [10, 12, 15]
    assert sheet.cell(4, 1).value == START.replace(tzinfo=None)
    assert sheet.cell(2, 15).value == "'=HYPERLINK(1)"
    _, answer = await _file(system, clerk, "/reports/2026-06/export", format="csv")
    assert list(csv.reader(io.StringIO(answer.text)))[1][:4] == ["2026-06-21", "3", "3", "37.00"]
    (name,) = set(re.findall(rf'/exports/{task}" download>([^<]+)<', (await clerk.get("/exports")).text))
    assert name in (await clerk.get(f"/tasks/{task}")).text
    assert "says by itself when it is ready" not in clerk.page
    assert clerk.page.count("/backoffice/exports") >= 2
    other = await let_in(system, "other", "clerk")
    assert (await other.get(f"/exports/{task}")).status_code == 404
    assert task not in (await other.get("/exports")).text
    viewer = await let_in(system, "viewer", "viewer")
    assert (await viewer.post("/transactions/export", "/transactions", format="csv")).status_code == 403
    system.clock.advance(timedelta(days=1, seconds=1).total_seconds())
    await clerk.sign_in()
    assert (await clerk.get(f"/exports/{task}")).status_code == 404
    assert "You have ordered no export today" in (await clerk.get("/exports")).text


def test_what_an_export_is_made_from_is_no_rubbish_whatever_dates_it_has(tmp_path: Path) -> None:
    """Parts of a spreadsheet that is being packed are of 1980."""
    making, left, old, fresh = (
        tmp_path / "a.part",
        tmp_path / "b.part",
        tmp_path / "c.csv",
        tmp_path / "d.csv",
    )
    for place in (making, left):
        place.mkdir()
        (place / "sheet").touch()
        os.utime(place / "sheet", (0, 315_532_800))
    for file in (old, fresh):
        file.touch()
    for gone in (left, old):
        os.utime(gone, (0, 1_000))
    make_room(tmp_path, 2_000_000)
    assert sorted(tmp_path.iterdir()) == [making, fresh]
    assert (making / "sheet").exists()


async def test_a_report_of_a_day_that_has_moved_is_of_now_or_says_that_it_is_not(
    system: System, clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await system.box()
    payment = await box.pay("wallet:demo", "kids", "monthly")
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "done")
    system.clock.advance(86_400)
    await clerk.sign_in()
    pages = ("/reports/2026-06", f"/reports/{START.date()}", "/reports")
    for page in pages:
        await clerk.get(page)  # counted in the page's own time
        assert "Total 1 ¥12.00 1 payment ¥0.00" in texts(clerk.page), page
        assert "still being counted" not in clerk.page
    table, core = tables.payments, system.tsp.core
    for state, origin in (("refunded", "opened"), ("opened", "refunded")):
        system.clock.advance(1)
        moved = update(table).where(table.c.id == payment["payment"]).values(state=state)
        record = {"machine": "wallet payment", "row": payment["payment"], "origin": origin, "target": state, "actor": "test", "legal": True}  # fmt: skip
        at = system.clock.now()
        await core.database.write(lambda conn, moved=moved: conn.execute(moved))
        await core.database.write(
            lambda conn, record=record, at=at: conn.execute(insert(tables.moves).values(**record, at=at))
        )
        system.clock.advance(1)
        if state == "refunded":
            for page in pages:
                await clerk.get(page)
                assert "Total 1 ¥0.00 0 payments" in texts(clerk.page), page
                assert "still being counted" not in clerk.page
    started = asyncio.Event()

    async def hang(self: Totals) -> None:
        started.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Totals, "bring_up", hang)
    monkeypatch.setattr(totals, "PATIENCE_S", 0.01)
    await clerk.get(pages[0])
    assert started.is_set()
    assert "1 day is still being counted." in clerk.page
    other = await clerk.get("/reports?year=2025")
    assert "Nothing was paid in this time" in other.text
    assert "still being counted" not in other.text
    await core.database.write(
        lambda conn: conn.execute(delete(tables.moves).where(tables.moves.c.actor == "test"))
    )


async def test_reports_count_a_day_once_and_again_when_something_of_it_moves(
    system: System, clerk: Clerk
) -> None:
    box = await system.box()
    for service in ("sports", "kids"):
        payment = await box.pay("wallet:demo", service, "monthly")
        await system.phone(payment["qr"]["payload"], "pay")
        await box.state(payment["payment"], "done")
    day = START.date()
    await clerk.get(f"/reports/{day}")
    assert "¥27.00" in texts(clerk.page)  # today's, as it is now
    system.clock.advance(86_400)
    office = office_of(system)
    days: Totals = office.totals()
    # Two processes that count the same day wait for each other.
    await asyncio.gather(days.bring_up(), days.bring_up(), days.bring_up())

    async def kept() -> dict[str, int]:
        rows = await office.database.read(lambda conn: between(conn, str(day), str(day), ["state"]))
        return {row.state: int(row.amount_fen) for row in rows}

    assert await kept() == {"opened": 2700}
    moved = (
        update(tables.payments).where(tables.payments.c.id == payment["payment"]).values(state="refunding")
    )
    record = {"machine": "wallet payment", "row": payment["payment"], "origin": "opened", "target": "refunding", "actor": "test", "legal": True}  # fmt: skip
    await system.tsp.core.database.write(lambda conn: conn.execute(moved))
    await days.bring_up()
    assert await kept() == {"opened": 2700}  # nothing says so yet
    await system.tsp.core.database.write(
        lambda conn: conn.execute(insert(tables.moves).values(**record, at=system.clock.now()))
    )
    await days.bring_up()
    assert await kept() == {"opened": 1500, "refunding": 1200}
    await clerk.sign_in()
    for path in ("/reports", "/reports/2026-06", f"/reports/{day}", "/reports?year=2025"):
        assert (await clerk.get(path)).status_code == 200
    await clerk.get("/reports/2026-06")
    assert "<title>2026-06-21: ¥27.00 taken" in clerk.page
    assert "‹ 2026-05 Days as CSV Days as XLSX" in texts(clerk.page)
    assert "Reports / 2026 / 2026-06 " in texts(clerk.page)
    await clerk.get(f"/reports/{day}")
    assert f"Reports / 2026-06 / {day} " in texts(clerk.page)
    assert clerk.page.count("<h2>Way to pay</h2>") == 1
    await clerk.get("/reports?year=2025")
    assert "Nothing was paid in this time" in clerk.page
    assert "<figure" not in clerk.page  # no chart of nothing
    for path in ("/reports/2026-13", "/reports/x", "/reports?year=9999"):
        assert (await clerk.get(path)).status_code == 404

    def undone(conn: Any) -> None:
        conn.execute(moved.values(state="opened"))
        conn.execute(delete(tables.moves).where(tables.moves.c.actor == "test"))

    await system.tsp.core.database.write(undone)


async def test_totals_are_those_of_the_rows(system: System) -> None:
    box = await system.box()
    for service, pays in (("sports", True), ("kids", False), ("sports", True)):
        payment = await box.pay("wallet:demo", service, "monthly")
        if pays:
            await system.phone(payment["qr"]["payload"], "pay")
            await box.state(payment["payment"], "done")
        else:
            await box.post(f"/payments/{payment['payment']}/cancel", {"reason": "cancelled"})
        system.clock.advance(86_400 if service == "kids" else 1)
    rows = await system.rows(tables.payments)
    for day in (START.date(), START.date() + timedelta(days=1)):
        found = await system.tsp.core.database.read(lambda conn, day=day: count(conn, day))
        mine = [row for row in rows if row.created_at.date() == day]
        assert sum(one.number for one in found) == len(mine)
        assert sum(one.amount_fen for one in found) == sum(row.amount_fen for row in mine)
        assert all(one.money in MONEY for one in found)


async def test_no_such_transaction(clerk: Clerk) -> None:
    for one in ("0" * 26, "x", "%2e%2e"):
        assert (await clerk.get(f"/transactions/{one}")).status_code == 404


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("ending", exports.FORMATS)
def test_no_cell_is_a_formula(tmp_path: Path, ending: str) -> None:
    evil = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", "plain"]
    out = exports.writer(tmp_path / f"one.{ending}", ending, [Column("=title")], "a/b")
    out.rows([[one] for one in evil])
    out.close()
    read: dict[str, Callable[[Path], list[str]]] = {
        "csv": lambda path: [row[0] for row in csv.reader(path.open(encoding="utf-8-sig", newline=""))],
        "xlsx": lambda path: [row[0].value for row in openpyxl.load_workbook(path).active.iter_rows()],
    }
    cells = read[ending](tmp_path / f"one.{ending}")[1:]
    assert len(cells) == len(evil)
    assert all(one == "plain" or one.startswith("'") for one in cells)


def test_values_stand_above_bars_where_they_have_room_and_else_above_the_largest() -> None:
    few = chart.bars([chart.Value("01", "", "¥12", (1_200, 0)), chart.Value("02", "", "¥3", (300, 0))])
    assert [bar.value for bar in few.bars] == ["¥12", "¥3"]
    amounts = [1_234_500 + day for day in range(31)]
    many = chart.bars([chart.Value("", "", "¥12,345", (fen,)) for fen in amounts])
    assert [bar.value for bar in many.bars] == [""] * 30 + ["¥12,345"]


async def test_an_exported_report_waits_until_its_days_are_counted(system: System) -> None:
    """First thing in the morning, when nobody has looked at a report yet."""
    box = await system.box()
    payment = await box.pay("wallet:demo", "kids", "monthly")
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "done")
    system.clock.advance(86_400)
    clerk = await let_in(system, "wu", "clerk")
    _, answer = await _file(system, clerk, "/reports/2026-06/export", format="csv")
    _, line = answer.content.decode("utf-8-sig").splitlines()
    assert line.split(",")[:3] == ["2026-06-21", "1", "1"]
    # What has moved since a report was looked at is in it as well.
    payment = await box.pay("wallet:demo", "music", "monthly")
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "done")
    system.clock.advance(86_400)
    await clerk.sign_in()
    _, answer = await _file(system, clerk, "/reports/2026-06/export", format="csv")
    assert [line[:12] for line in answer.content.decode("utf-8-sig").splitlines()[1:]] == [
        "2026-06-21,1",
        "2026-06-22,1",
    ]


async def test_what_was_not_looked_for_is_not_said_to_be_missing(system: System) -> None:
    viewer = await let_in(system, "vera", "viewer")
    page = (await viewer.get("/transactions?from_fen=much")).text
    assert "Nothing was looked for." in page
    assert "Nothing was found" not in page
    assert "Nothing was found" in (await viewer.get("/transactions?q=ZZZZ")).text


async def test_sums_by_way_to_pay_say_that_they_are_of_all_cards(system: System) -> None:
    box = await system.box()
    await Card(box).pay(await box.pay("card", "kids", "monthly"))
    viewer = await let_in(system, "vera", "viewer", "zh")
    for path in ("/", f"/reports/{system.clock.now():%Y-%m-%d}", "/transactions"):
        assert "插卡支付（各类卡）" in (await viewer.get(path)).text, path
