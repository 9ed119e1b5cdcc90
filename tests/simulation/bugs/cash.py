"""What can be done wrong with electronic cash: on the box, at the TSP, and at the issuer."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import Any

from server_stub.foundation.iso8583 import Message
from server_stub.ppp import books
from server_stub.tsp import books as tsp_books
from server_stub.tsp import card_loads, moves, pos
from server_stub.tsp.ppp_line import Unanswered
from stb_app.journeys import cash_load, memory
from tests.simulation.bugs.harness import bug, put


@bug("load-not-kept", "loads_agree", seed=2388)
def load_not_kept() -> AbstractContextManager[Any]:
    """The box does not write down that a card may be loaded."""

    def only_here(self: Any, load: Any) -> None:
        self._loads[load.load] = load

    return put(memory.Memory, "keep_load", only_here)


@bug("any-word-is-loaded", "loads_agree", seed=8)
def any_word_is_loaded() -> AbstractContextManager[Any]:
    """A load of which the card tells anything is taken for done."""
    return put(card_loads, "_rose", lambda conn, row, balance_fen: True)


@bug("load-reversal-not-owed", "loads_agree", seed=8)
def load_reversal_not_owed() -> AbstractContextManager[Any]:
    """A load that the card has not done is to be reversed, and nobody is told so."""

    def forgotten(self: Any, conn: Any, row: Any, code: str, reason: str, **values: Any) -> None:
        self._move(conn, row, "reversing", actor="tsp", reason=reason, reversal_reason=code, **values)

    return put(card_loads.CardLoads, "_reverse", forgotten)


@bug("silence-is-not-loaded", "people_are_told_the_truth", seed=608)
def silence_is_not_loaded() -> AbstractContextManager[Any]:
    """A card that went before it had said what it has done is taken for one that was not loaded."""

    def failed(self: Any, *_: Any) -> Any:
        return self._ended("failed", "card-removed")

    return put(cash_load.CashLoad, "_ask_back", failed)


@bug("certificate-told-anew", "unionpay_tsp_and_cards_agree", seed=1028)
def certificate_told_anew() -> AbstractContextManager[Any]:
    """A certificate that PPP does not answer is told once more, under a number of its own."""
    present = pos.Pos.present

    async def again(self: Any, slip: Any, *more: Any, **named: Any) -> Message:
        try:
            return await present(self, slip, *more, **named)
        except Unanswered:
            return await present(self, dataclasses.replace(slip, stan=f"9{slip.stan[1:]}"), *more, **named)

    return put(pos.Pos, "present", again)


@bug("cash-paid-by-account", "electronic_cash_is_whole", seed=58)
def cash_paid_by_account() -> AbstractContextManager[Any]:
    """What electronic cash has paid is booked from the account behind the card, which has paid it before."""
    sides = books.sides

    def of_account(kind: str, account: str, merchant_number: str) -> tuple[str, str]:
        return sides(books.SALE if kind == books.CASH_SALE else kind, account, merchant_number)

    return put(books, "sides", of_account)


@bug("borne-is-claimed", "house_accounts_are_right", seed=108)
def borne_is_claimed() -> AbstractContextManager[Any]:
    """What the operator bears is booked as if PPP owed it."""

    def owed(due: str, money: Any, against: str) -> dict[str, int]:
        return {due: money.amount_fen, against: -money.amount_fen}

    return put(tsp_books, "_paid", owed)


@bug("late-certificate-not-booked", "unionpay_tsp_and_cards_agree", seed=808)
def late_certificate_not_booked() -> AbstractContextManager[Any]:
    """PPP pays for the certificate of a payment that the operator bears, and nobody hears of it."""
    return put(moves.Moves, "received", lambda self, conn, payment, amount_fen, *, actor: None)
