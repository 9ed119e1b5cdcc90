"""What can be done wrong with a debit or credit card: at the TSP, which asks, and at PPP, which books."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import Any

from server_stub.foundation.iso8583 import Message
from server_stub.foundation.outbox import Acknowledged
from server_stub.ppp import transactions
from server_stub.tsp import core, online_card, pos, settlement
from server_stub.tsp.ppp_line import Unanswered
from tests.simulation.bugs.harness import bug, put

AGREE = "unionpay_tsp_and_cards_agree"


@bug("silence-is-a-no", AGREE, "people_are_told_the_truth", seed=66)
def silence_is_a_no() -> AbstractContextManager[Any]:
    """A sale that PPP does not answer is taken for one that it has declined."""

    def failed(self: Any, conn: Any, row: Any, code: str, reason: str) -> None:
        self._core.move(conn, row, "reversing", actor="tsp", reason=reason)
        self._core.move(conn, core.load_payment(conn, row.id), "failed", actor="tsp", reason=reason)

    return put(online_card.OnlineCards, "_reverse", failed)


@bug("reversal-not-repeated", AGREE, "check_finds_nothing", seed=306)
def reversal_not_repeated() -> AbstractContextManager[Any]:
    """A reversal that PPP does not answer is taken for acknowledged."""
    reverse = online_card.OnlineCards.reverse

    async def once(self: Any, payload: Any) -> Acknowledged:
        try:
            return await reverse(self, payload)
        except Unanswered:

            def change(conn: Any) -> None:
                row = core.load_payment(conn, payload["payment"])
                self._core.move(conn, row, "failed", actor="ppp", reason=row.reason)

            return Acknowledged(change)

    return put(online_card.OnlineCards, "reverse", once)


@bug("reversal-bars-nothing", AGREE, "everything_ends", seed=456)
def reversal_bars_nothing() -> AbstractContextManager[Any]:
    """A reversal of a sale that has not come yet does not keep it from being booked when it comes."""
    reverse = transactions.reverse

    def lenient(conn: Any, ids: Any, request: Any) -> Any:
        batch, stan = request.original
        known = conn.execute(
            transactions.transactions.select().where(
                transactions.transactions.c.stan == stan, transactions.transactions.c.batch == batch
            )
        ).first()
        return {39: "25"} if known is None else reverse(conn, ids, request)

    return put(transactions, "reverse", lenient)


@bug("approval-is-payment", AGREE, seed=66)
def approval_is_payment() -> AbstractContextManager[Any]:
    """What the issuer has approved is paid, before the card has had its last word."""
    answered = online_card.OnlineCards._answered

    def paid(self: Any, conn: Any, row: Any, said: Any) -> None:
        answered(self, conn, row, said)
        now = core.load_payment(conn, row.id)
        if now.state == "authorised":
            self._core.paid(conn, now, actor="ppp")

    return put(online_card.OnlineCards, "_answered", paid)


@bug("sale-asked-again", AGREE, "check_finds_nothing", seed=306)
def sale_is_asked_again() -> AbstractContextManager[Any]:
    """A sale without an answer is asked for once more, under a number of its own."""
    sale = pos.Pos.sale

    async def again(self: Any, slip: Any, *more: Any, **named: Any) -> Message:
        try:
            return await sale(self, slip, *more, **named)
        except Unanswered:
            return await sale(self, dataclasses.replace(slip, stan=f"9{slip.stan[1:]}"), *more, **named)

    return put(pos.Pos, "sale", again)


@bug("reversals-are-totals", "batches_agree", seed=16)
def reversals_are_totals() -> AbstractContextManager[Any]:
    """What was reversed before its batch was settled counts as sold."""
    sales = settlement.sales

    def all_sold(conn: Any, batch: str, begun_at: Any) -> settlement.Sales:
        held = sales(conn, batch, begun_at)
        fen = sum(row.amount_fen for row in settlement._asked(conn, batch) if row.reversal_reason is not None)
        return dataclasses.replace(
            held, sure=settlement.Totals(held.sure.fen + fen, held.sure.count), doubtful=()
        )

    return put(settlement, "sales", all_sold)
