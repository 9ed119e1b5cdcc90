"""The TSP's books: what each move of a payment books, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.boss import books as boss_books
from server_stub.boss import tables as boss_tables
from server_stub.tsp import books, machines
from server_stub.tsp.books import Money, difference, standing
from server_stub.tsp.tables import ledger
from tests.server_stub.system import Card, System, body_of, faults

pytestmark = pytest.mark.anyio
WALLET = "receivable:wallet:demo"


async def stands(system: System, payment: Any) -> dict[str, int]:
    return await system.tsp.database.read(lambda conn: ledger.standing(conn, payment["payment"]))


async def sheet(system: System) -> dict[str, int]:
    whole = await system.tsp.database.read(ledger.balance_sheet)
    return {account: fen for account, fen in whole.items() if fen}


async def kinds(system: System, payment: Any) -> list[str]:
    rows = await system.rows(ledger.journals)
    return [row.kind for row in sorted(rows, key=lambda row: row.at) if row.reference == payment["payment"]]


async def test_a_purse_payment_is_booked_at_each_step(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    assert await stands(system, payment) == {}
    card = Card(box)
    authorised = await card.authorised(payment)
    fen = payment["amount_fen"]
    assert await stands(system, payment) == {books.UNKNOWN_CARD: fen, books.CONTRA: -fen}
    assert await faults(system) == []
    system.network.cut.add("/boss")
    await box.post(f"/payments/{payment['payment']}/debit", body_of(card.debit(authorised)))
    assert await stands(system, payment) == {books.CARD: fen, books.ORDERS: -fen}
    assert await faults(system) == []
    system.network.cut.clear()
    system.clock.advance(2)
    await box.state(payment["payment"], "done")
    assert await stands(system, payment) == {books.CARD: fen, books.BOSS: -fen}
    assert await sheet(system) == {books.CARD: fen, books.BOSS: -fen}
    assert sorted(await kinds(system, payment)) == ["mac1-issued", "opened", "paid"]
    earned = await system.boss(lambda conn: boss_tables.ledger.balance(conn, boss_books.revenue("sports")))
    assert earned == -fen
    assert await faults(system) == []


async def test_a_card_that_shows_it_did_not_debit_leaves_nothing(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    card = Card(box)
    await card.authorised(payment)
    await box.post(f"/payments/{payment['payment']}/not-debited", card.evidence("9406"))
    assert await stands(system, payment) == {}
    assert sorted(await kinds(system, payment)) == ["failed", "mac1-issued"]
    assert await faults(system) == []


async def test_late_money_of_a_wallet_is_owed_back_until_it_is_back(system: System) -> None:
    box = await system.box()
    payment = await box.pay("wallet:demo")
    fen = payment["amount_fen"]
    await system.phone(payment["qr"]["payload"])
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "done")
    assert await stands(system, payment) == {WALLET: fen, books.BOSS: -fen}
    assert await faults(system) == []


STATES = sorted(machines.PAYMENT_SHOWN)


@given(
    st.sampled_from(STATES),
    st.sampled_from(STATES),
    st.sampled_from(["card", "wallet:demo"]),
    st.integers(1, 10**9),
    st.none() | st.integers(1, 10**9),
)
def test_every_standing_balances_and_differences_lead_from_one_to_another(
    before: str, after: str, method: str, amount_fen: int, received_fen: int | None
) -> None:
    money = Money(method, amount_fen, received_fen)
    start, end = standing(before, money), standing(after, money)
    assert sum(start.values()) == sum(end.values()) == 0
    for entry in difference(start, end):
        start[entry.account] = start.get(entry.account, 0) + entry.amount_fen
    assert {account: fen for account, fen in start.items() if fen} == end


def test_money_that_is_unknown_or_in_stands_in_the_books_and_no_other() -> None:
    for state, shown in machines.PAYMENT_SHOWN.items():
        for method in ("card", "wallet:demo"):
            stands_somewhere = bool(standing(state, Money(method, 500, 500)))
            by_hand = method == "card" and state == "refunded"
            assert stands_somewhere is (shown.money in ("unknown", "taken") or by_hand), (state, method)


def test_every_account_of_the_chart_is_explained() -> None:
    page = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text(encoding="utf-8")
    for account, (_, meaning) in books.CHART.items():
        assert f"| `{account}` |" in page
        assert meaning in page
