"""The end of a batch: totals, a new batch, certificates, electronic cash that is collected."""

from __future__ import annotations

from asyncio import gather

import pytest
from sqlalchemy import select

from server_stub.foundation.iso8583 import Message, Network, Value
from server_stub.ppp import books, tables
from server_stub.ppp.batches import told
from server_stub.ppp.service import PppService
from tests.server_stub.ppp.terminal import CASH, Card, TestTerminal

pytestmark = pytest.mark.anyio
PAID = bytes.fromhex("03940000")
"""CVR of a TC at the second GENERATE AC."""


async def settle(terminal: TestTerminal, fen: int, count: int) -> Message:
    fields: dict[int, Value] = {48: f"{told(fen, count)}0{'0' * 31}", 49: "156"}
    return await terminal.exchange("0500", {**fields, 60: str(Network("00", terminal.batch, "201"))})


async def balance(ppp: PppService, account: str) -> int:
    return await ppp.database.read(lambda conn: books.ledger.balance(conn, account))


async def row(ppp: PppService, stan: str) -> object:
    mine = tables.transactions.c.stan == stan
    return await ppp.database.read(lambda conn: conn.execute(select(tables.transactions).where(mine)).one())


@pytest.mark.parametrize(("fen", "result"), [(4500, "1"), (4400, "2")])
async def test_a_batch_is_settled(ppp: PppService, terminal: TestTerminal, fen: int, result: str) -> None:
    card = Card()
    await terminal.pay(card, 1500)
    await terminal.exchange("0200", terminal.payment(card, 700), stan=50)
    await terminal.reverse(700, 50)
    await terminal.pay(card, 3000)
    await terminal.pay(card, 100, pin="000000")
    answers = [await settle(terminal, fen, 2) for _ in range(2)]
    assert [answer.text(39) for answer in answers] == ["00", "00"]
    assert {answer.text(48) for answer in answers} == {f"{told(4500, 2)}{result}{'0' * 30}1"}
    assert await balance(ppp, books.merchant(terminal.merchant)) == 0
    assert await balance(ppp, books.PAID_OUT) == -4500


async def test_two_that_settle_a_batch_at_once_hear_the_same(ppp: PppService, terminal: TestTerminal) -> None:
    await terminal.pay(Card(), 1500)
    answers = await gather(*(settle(terminal, 1500, 1) for _ in range(8)))
    assert {answer.text(39) for answer in answers} == {"00"}


async def test_a_settled_batch_takes_no_more_sales(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    await settle(terminal, 0, 0)
    assert (await terminal.pay(card, 1500)).text(39) == "77"
    assert (await terminal.sign_in()).network.batch == "000002"
    assert (await terminal.pay(card, 1500)).text(39) == "00"
    terminal.batch = "000009"
    assert (await settle(terminal, 0, 0)).text(39) == "77"


async def test_a_reversal_still_counts_after_settlement(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    await terminal.exchange("0200", terminal.payment(card, 1500), stan=5)
    await settle(terminal, 1500, 1)
    assert (await terminal.reverse(1500, 5)).text(39) == "00"
    # The merchant has had the money, and owes it now.
    assert await balance(ppp, books.merchant(terminal.merchant)) == 1500
    await terminal.sign_in()
    await settle(terminal, 0, 0)
    assert await balance(ppp, books.merchant(terminal.merchant)) == 0


@pytest.mark.parametrize("digits", ["0" * 61, "0" * 63])
async def test_totals_of_another_length(terminal: TestTerminal, digits: str) -> None:
    assert (await terminal.exchange("0500", {48: digits, 60: "00000001201"})).text(39) == "30"


async def test_certificates_are_uploaded(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    await terminal.exchange("0200", terminal.payment(card, 1500), stan=5)
    certificate = card.data(1500, kind=0x40, fresh=False, results=PAID)
    await terminal.exchange("0200", terminal.payment(card, 1600), stan=6)
    await settle(terminal, 3100, 2)
    upload: dict[int, Value] = {4: f"{1500:012d}", 60: "00000001203"}
    for _ in range(2):
        assert (await terminal.exchange("0320", {**upload, 55: certificate}, stan=5)).text(39) == "00"
    assert (await terminal.exchange("0320", {**upload, 55: certificate}, stan=6)).text(39) == "00"
    assert (await terminal.exchange("0320", {**upload, 55: certificate}, stan=7)).text(39) == "25"
    assert (await terminal.exchange("0320", {60: "00000001207"})).text(39) == "00"
    found = [(await row(ppp, stan)).certificate for stan in ("000005", "000006")]  # type: ignore[attr-defined]
    assert found == ["good", "wrong"]
    settled = await ppp.database.read(lambda conn: conn.execute(select(tables.settlements)).one())
    assert (settled.uploaded, settled.ended_at) == (2, ppp.clock.now())


async def test_the_end_of_an_upload_that_was_not_settled(terminal: TestTerminal) -> None:
    assert (await terminal.exchange("0320", {60: "00000001207"})).text(39) == "25"
    assert (await terminal.exchange("0320", {60: "00000001210"})).text(39) == "12"


def cash_sale(terminal: TestTerminal, card: Card, fen: int, **told: int) -> dict[int, Value]:
    """A purchase that a card has approved by itself."""
    fields: dict[int, Value] = {3: "000000", 4: f"{fen:012d}", 49: "156", 60: f"36{terminal.batch}204"}
    data = card.data(fen, **{"kind": 0x40, "results": bytes.fromhex("03900000"), **told})  # type: ignore[arg-type]
    return {**fields, 55: data, **terminal.who(card)}


async def test_electronic_cash_is_collected_once(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card(CASH)
    fields = cash_sale(terminal, card, 650)
    for _ in range(2):
        assert (await terminal.exchange("0320", fields, stan=5)).text(39) == "00"
    assert (await terminal.exchange("0320", fields, stan=6)).text(39) == "94"
    name = ppp.accounts.name_of(CASH)
    assert await balance(ppp, books.cash(name)) == -18_000
    assert await balance(ppp, books.merchant(terminal.merchant)) == -650


async def test_what_is_no_certificate_is_no_money(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card(CASH)
    assert (await terminal.exchange("0320", cash_sale(terminal, card, 650, kind=0x80))).text(39) == "05"
    assert (await terminal.exchange("0320", cash_sale(terminal, card, 650) | {4: f"{651:012d}"})).text(
        39
    ) == "13"
    assert (await terminal.exchange("0320", cash_sale(terminal, Card("6217001834057286119"), 650))).text(
        39
    ) == "14"
    assert await balance(ppp, books.merchant(terminal.merchant)) == 0


async def test_cash_that_was_spent_offline_may_be_older_than_the_last_sale(
    ppp: PppService, terminal: TestTerminal
) -> None:
    card = Card(CASH)
    offline = cash_sale(terminal, card, 650)
    assert (await terminal.pay(card, 1500)).text(39) == "00"
    assert (await terminal.exchange("0320", offline)).text(39) == "00"


async def test_a_counter_that_paid_offline_does_not_pay_online(
    ppp: PppService, terminal: TestTerminal
) -> None:
    card = Card(CASH)
    assert (await terminal.exchange("0320", cash_sale(terminal, card, 650))).text(39) == "00"
    assert (await terminal.pay(card, 1500, fresh=False)).text(39) == "05"
    assert (await terminal.pay(card, 1500)).text(39) == "00"
