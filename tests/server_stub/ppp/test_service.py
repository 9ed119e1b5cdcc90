"""PPP's messages, from a terminal's side."""

from __future__ import annotations

import pytest

from server_stub.ppp import books
from server_stub.ppp.service import PppService
from tests.server_stub.ppp.terminal import Card, TestTerminal

pytestmark = pytest.mark.anyio


async def spent(ppp: PppService, card: Card) -> int:
    """What a card has less than at first, in fen."""
    name = ppp.accounts.name_of(card.pan)
    first = 0 if card.pan.startswith("6259") else 500_000
    return first + await ppp.database.read(lambda conn: books.ledger.balance(conn, books.card(name)))


async def test_a_sale_is_approved_and_booked(ppp: PppService, terminal: TestTerminal) -> None:
    card = Card()
    answer = await terminal.pay(card, 1500)
    assert answer.text(39) == "00"
    assert card.believes(answer.data(55), "00")
    assert await spent(ppp, card) == 1500
