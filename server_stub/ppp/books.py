"""The issuer's books (docs/ledger.md). Debits are positive: what a card has paid is a debit of its account."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from server_stub.foundation.ledger import Account, Entry, Journal
from server_stub.ppp.tables import ledger

FUNDS = "cash:deposits"
"""What cardholders have paid in; an asset."""
PAID_OUT = "cash:settlement"
"""What merchants have been paid; an asset, that goes down."""
DEPOSITED, SALE, LOAD, CASH_SALE, REVERSAL, SETTLED = (
    "deposited",
    "sale",
    "load",
    "cash-sale",
    "reversal",
    "settled",
)
PURSES = "purses:float"
"""What purses hold that was loaded onto them elsewhere; a liability, that goes down with what they pay."""
PURSE_SALES = "purse-sales"


def card(account: str) -> str:
    """The account behind a card: what the bank owes its holder (credit), or is owed (debit)."""
    return f"card:{account[:16]}"


def cash(account: str) -> str:
    """Electronic cash on a card that has not been spent, as far as the issuer knows."""
    return f"electronic-cash:{account[:16]}"


def merchant(number: str) -> str:
    """What is owed to a merchant."""
    return f"payable:{number}"


def open_merchant(conn: Connection, number: str) -> None:
    """Opens the accounts of the house and of a merchant."""
    ledger.open_accounts(
        conn,
        [
            *(Account(FUNDS, "asset"), Account(PAID_OUT, "asset"), Account(PURSES, "liability")),
            Account(merchant(number), "liability"),
        ],
    )


def open_card(conn: Connection, account: str, scheme: str) -> None:
    """Opens the accounts of a card."""
    kind = Account(card(account), "asset" if scheme == "credit" else "liability")
    ledger.open_accounts(conn, [kind, Account(cash(account), "liability")])


def deposit(conn: Connection, account: str, fen: int, cash_fen: int, at: datetime) -> None:
    """What a card and its electronic cash begin with."""
    if not fen + cash_fen:
        return
    parts = ((FUNDS, fen + cash_fen), (card(account), -fen), (cash(account), -cash_fen))
    entries = tuple(Entry(name, amount) for name, amount in parts if amount)
    ledger.post(conn, Journal(DEPOSITED, account[:32], "server", at, entries))


def available(conn: Connection, account: str, credit_fen: int) -> int:
    """What can be spent with a card, in fen."""
    return credit_fen - ledger.balance(conn, card(account))


def unspent(conn: Connection, account: str) -> int:
    """Electronic cash that was loaded onto a card and has not been collected, in fen."""
    return -ledger.balance(conn, cash(account))


def sides(kind: str, account: str, merchant_number: str) -> tuple[str, str]:
    """The accounts that a transaction of this kind debits and credits."""
    return {
        SALE: (card(account), merchant(merchant_number)),
        LOAD: (card(account), cash(account)),
        CASH_SALE: (cash(account), merchant(merchant_number)),
    }[kind]


def book(
    conn: Connection, kind: str, reference: str, debit: str, credit: str, fen: int, at: datetime
) -> None:
    """Books an approved transaction under its id."""
    ledger.post(conn, Journal(kind, reference, "terminal", at, (Entry(debit, fen), Entry(credit, -fen))))


def undo(conn: Connection, reference: str, debit: str, credit: str, fen: int, at: datetime) -> None:
    """Books its reversal: the same entries the other way round."""
    entries = (Entry(debit, -fen), Entry(credit, fen))
    ledger.post(conn, Journal(REVERSAL, reference, "terminal", at, entries))


def owed(conn: Connection, merchant_number: str) -> int:
    """What is owed to a merchant at present, in fen."""
    return -ledger.balance(conn, merchant(merchant_number))


def settle(conn: Connection, terminal: str, batch: str, merchant_number: str, fen: int, at: datetime) -> None:
    """Books that a batch was paid to the merchant."""
    if fen:
        entries = (Entry(merchant(merchant_number), fen), Entry(PAID_OUT, -fen))
        ledger.post(conn, Journal(SETTLED, f"{terminal} {batch}", "terminal", at, entries))


def settle_purses(conn: Connection, reference: str, fen: int, at: datetime) -> None:
    """Books that debits of purses were accepted, and are paid out.

    Args:
        reference: the file, and the first of its lines that these are.
    """
    entries = (Entry(PURSES, fen), Entry(PAID_OUT, -fen))
    ledger.post(conn, Journal(PURSE_SALES, reference, "platform", at, entries))
