"""The TSP's books: what stands on which account while a payment is in which state (docs/ledger.md).

A move books the difference between two standings, in its own transaction. So at any moment the entries of a payment
add up to the standing of its state, which ``stb-server check`` proves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from server_stub.foundation.ledger import Account, Entry, Journal
from server_stub.tsp import machines
from server_stub.tsp.tables import ledger

CARD = "receivable:card"
ORDERS = "suspense:orders"
DIFFERENCES = "suspense:differences"
REFUNDS = "payable:refunds"
BOSS = "payable:boss"
SETTLED = "cash:settled"
COUNTER = "cash:counter"
BORNE = "expense:certificates"
UNKNOWN_CARD = "unknown:card"
UNKNOWN_WALLET = "unknown:wallet"
CONTRA = "unknown:contra"

CHART: Mapping[str, tuple[Account, str]] = {
    account.name: (account, meaning)
    for account, meaning in (
        (Account(CARD, "asset"), "What PPP or UnionPay owes us for debits of purse cards."),
        (
            Account(ORDERS, "liability"),
            "Money that is in for services that are not open yet: the subscribers'.",
        ),
        (Account(DIFFERENCES, "liability"), "Money that came with another amount than was asked for."),
        (Account(REFUNDS, "liability"), "Money that is on its way back to subscribers."),
        (Account(BOSS, "liability"), "What we owe the operator for services it has opened."),
        (Account(SETTLED, "asset"), "What PPP has accepted of it, and pays out."),
        (Account(COUNTER, "asset"), "Cash that was paid out by hand in place of a debit of a card."),
        (
            Account(BORNE, "expense"),
            "Services that a person has had opened though the electronic cash that paid for them has not come: what the operator bears.",
        ),
        (
            Account(UNKNOWN_CARD, "memorandum"),
            "Debits that cards may have made: MAC1 has left, PPP was asked, or electronic cash begun, and nothing is proved.",
        ),
        (Account(UNKNOWN_WALLET, "memorandum"), "Payments that a silent wallet may have taken."),
        (Account(CONTRA, "memorandum"), "The other side of both."),
    )
}
"""Accounts by name, each with what stands on it; besides, ``receivable:wallet:NAME`` for each wallet."""

SETTLEMENT = "settled"
"""The kind of the journals of what PPP has settled; their reference is a day's file, and no payment."""
BROUGHT_FORWARD = "brought-forward"
"""The kind of the journals with which payments came into the books that are older than these."""
UNKNOWN = frozenset(
    (*machines.CARD_UNKNOWN, *machines.ONLINE_UNKNOWN, *machines.CASH_UNKNOWN, "presenting", "wallet-silent")
)
"""A certificate that nobody has checked is no claim on anybody yet."""


@dataclass(frozen=True, slots=True)
class Money:
    """What the standing of a payment depends on, besides its state.

    Args:
        amount_fen: what is asked for.
        received_fen: what came, once anything has; it differs only where something is wrong, or where the operator bears
            what has not come.
    """

    method: str
    amount_fen: int
    received_fen: int | None


def receivable(method: str) -> str:
    """The account of who owes us what was paid in this way.

    >>> receivable("card"), receivable("wallet:demo")
    ('receivable:card', 'receivable:wallet:demo')
    """
    return f"receivable:{method}"


def open_accounts(conn: Connection, methods: Iterable[str]) -> None:
    """Opens the chart's accounts, and those of these ways to pay."""
    ours = (account for account, _ in CHART.values())
    ledger.open_accounts(conn, (*ours, *(Account(receivable(method), "asset") for method in methods)))


def standing(state: str, money: Money) -> dict[str, int]:
    """What stands on which account while a payment is in a state, in fen; adds up to zero."""
    due, asked = receivable(money.method), money.amount_fen
    came = asked if money.received_fen is None else money.received_fen
    if state in UNKNOWN:
        return {UNKNOWN_WALLET if state == "wallet-silent" else UNKNOWN_CARD: asked, CONTRA: -asked}
    match state:
        case "paid" | "service-refused":
            return _paid(due, money, ORDERS)
        case "opened":
            return _paid(due, money, BOSS)
        case "amount-differs":
            return {due: came, DIFFERENCES: -came}
        case "refunding":
            return {due: came, REFUNDS: -came}
        case "refunded" if money.method == "card":
            return _paid(due, money, COUNTER)
    return {}


def _paid(due: str, money: Money, against: str) -> dict[str, int]:
    """What counts as paid: what came is owed to us; what has not come, the operator bears."""
    asked = money.amount_fen
    came = asked if money.received_fen is None else money.received_fen
    sides = {due: came, BORNE: asked - came, against: -asked}
    return {account: fen for account, fen in sides.items() if fen}


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[Entry, ...]:
    """The entries that lead from one standing to another.

    >>> difference({"a": 5, "b": -5}, {"a": 5, "c": -5})
    (Entry(account='b', amount_fen=5), Entry(account='c', amount_fen=-5))
    """
    names = sorted(before.keys() | after.keys())
    moved = ((name, after.get(name, 0) - before.get(name, 0)) for name in names)
    return tuple(Entry(name, fen) for name, fen in moved if fen)


def book(
    conn: Connection,
    payment: str,
    kind: str,
    step: int,
    before: tuple[str, Money],
    after: tuple[str, Money],
    *,
    actor: str,
    at: datetime,
    of: str | None,
) -> None:
    """Books a move of a payment, in its transaction; one that moves no money books nothing.

    Args:
        kind: the state it moves to.
        step: the payment's version after the move.
        before, after: state and money on both sides of the move.
        of: the payment's correlation id.
    """
    entries = difference(standing(*before), standing(*after))
    if entries:
        ledger.post(conn, Journal(kind, payment, actor, at, entries, of, step))


def settled(conn: Connection, reference: str, fen: int, at: datetime) -> None:
    """Books that PPP has accepted debits of purses, and pays for them; what was booked before is not booked again.

    Args:
        reference: the day's file; one sum of it is booked once.
        fen: so much more than before.
    """
    if fen:
        entries = (Entry(SETTLED, fen), Entry(CARD, -fen))
        step = ledger.steps(conn, SETTLEMENT, reference)
        ledger.post(conn, Journal(SETTLEMENT, reference, "ppp", at, entries, step=step))
