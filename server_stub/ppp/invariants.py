"""What must be true of PPP's and the issuer's tables at any moment, each told as what is wrong; reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, func, select

from server_stub.foundation.money import yuan
from server_stub.foundation.purse_details import ACCEPTED
from server_stub.ppp import books
from server_stub.ppp.accounts import SCHEMES, STATES
from server_stub.ppp.tables import (
    accounts,
    audit,
    ledger,
    purse_debits,
    settlements,
    terminals,
    transactions,
)

Check = Callable[[Connection], list[str]]
MONEY = (books.SALE, books.LOAD, books.CASH_SALE)
KINDS = (*MONEY, "balance", "unknown")
ENDS = ("approved", "declined", "reversed", "barred")


def invariants(conn: Connection) -> list[str]:
    """Everything that is wrong; nothing in a PPP that works."""
    return [f"{name}: {said}" for name, check in CHECKS.items() for said in check(conn)]


def _books(conn: Connection) -> list[str]:
    return ledger.faults(conn)


def _booked(conn: Connection) -> list[str]:
    """Each approved transaction, and no other, has moved its amount between the accounts of its kind."""
    query = select(transactions, terminals.c.merchant).join(terminals)
    standings = dict(ledger.standings(conn))
    said, known = [], set()
    for row in conn.execute(query.order_by(transactions.c.id)):
        known.add(row.id)
        wanted: dict[str, int] = {}
        if row.state == "approved" and row.kind in MONEY and row.account is not None:
            debit, credit = books.sides(row.kind, row.account, row.merchant)
            wanted = {debit: row.amount_fen, credit: -row.amount_fen}
        found = standings.get(row.id, {})
        if found != wanted:
            said.append(
                f"{row.kind} {row.id} of {yuan(row.amount_fen)} yuan is {row.state}; its journals have left"
                f" {_told(found)}, not {_told(wanted)}"
            )
    journals = ledger.journals.c
    moves = select(journals.reference).where(journals.kind.in_((*MONEY, books.REVERSAL))).distinct()
    return said + [
        f"journals are booked for {name}, which is no transaction"
        for name in conn.scalars(moves)
        if name not in known
    ]


def _spent(conn: Connection) -> list[str]:
    """No card has spent more than it could, and no card more electronic cash than was loaded."""
    said = []
    for row in conn.execute(select(accounts)):
        left = books.available(conn, row.id, row.credit_fen)
        if left < 0:
            said.append(f"card {row.masked} has spent {yuan(-left)} yuan more than it could")
        unspent = books.unspent(conn, row.id)
        if unspent < 0:
            said.append(f"card {row.masked} has paid {yuan(-unspent)} yuan more than was loaded")
    return said


def _states(conn: Connection) -> list[str]:
    """Accounts and transactions are as they can be."""
    said = [
        f"card {row.masked} is {row.scheme}, {row.state}"
        for row in conn.execute(select(accounts))
        if row.state not in STATES or row.scheme not in SCHEMES
    ]
    for row in conn.execute(select(transactions)):
        if (
            row.kind not in KINDS
            or row.state not in ENDS
            or (row.state == "barred") != (row.kind == "unknown")
        ):
            said.append(f"transaction {row.id} is a {row.kind}, {row.state}")
        elif row.state in ("approved", "reversed") and (row.code != "00" or row.account is None):
            said.append(f"{row.kind} {row.id} is {row.state}, answered {row.code}")
    return said


def _atcs(conn: Connection) -> list[str]:
    """No cryptogram is younger than the account knows."""
    joined = transactions.join(accounts, accounts.c.id == transactions.c.account)
    query = select(transactions.c.id, transactions.c.atc, accounts.c.atc.label("last")).select_from(joined)
    ahead = query.where(transactions.c.atc > accounts.c.atc)
    return [f"transaction {row.id} has ATC {row.atc}, its card {row.last}" for row in conn.execute(ahead)]


def _batches(conn: Connection) -> list[str]:
    """A batch is closed once it is settled, and every one before the open one is."""
    said = []
    for terminal in conn.execute(select(terminals)):
        mine = settlements.c.terminal == terminal.id
        closed = set(conn.scalars(select(settlements.c.batch).where(mine)))
        if f"{terminal.batch:06d}" in closed:
            said.append(f"batch {terminal.batch} of terminal {terminal.id} is settled, and open")
    return said


def _purses(conn: Connection) -> list[str]:
    """What was accepted of purses, and nothing else, was paid out; each of it is of a card, and has its day."""
    debit = purse_debits.c
    query = select(debit.file, func.sum(debit.amount_fen).label("fen")).where(debit.code == ACCEPTED)
    wanted = {row.file: int(row.fen) for row in conn.execute(query.group_by(debit.file))}
    found: dict[str, int] = defaultdict(int)
    journals = select(ledger.journals.c.reference).where(ledger.journals.c.kind == books.PURSE_SALES)
    for reference in conn.scalars(journals):
        found[reference.partition(" ")[0]] += ledger.standing(conn, reference)[books.PURSES]
    said = [
        f"{yuan(wanted.get(file, 0))} yuan of file {file} were accepted; booked are {yuan(found[file])}"
        for file in sorted(wanted.keys() | found.keys())
        if wanted.get(file, 0) != found[file]
    ]
    odd = (debit.code == ACCEPTED) == (debit.card.is_(None) | debit.settled_on.is_(None))
    return said + [
        f"debit {row.reference} was answered {row.code}, for {row.masked or 'no card'}, settled {row.settled_on}"
        for row in conn.execute(select(purse_debits).where(odd))
    ]


def _audit(conn: Connection) -> list[str]:
    fault = audit.verify(conn).fault
    return [] if fault is None else [str(fault)]


def _told(standing: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {yuan(fen)}" for name, fen in sorted(standing.items())) or "nothing"


CHECKS: Mapping[str, Check] = {
    "books balance": _books,
    "what is approved is booked": _booked,
    "nobody has spent more than there was": _spent,
    "accounts and transactions are as they can be": _states,
    "transaction counters go up": _atcs,
    "a settled batch is closed": _batches,
    "what was accepted of purses is paid": _purses,
    "audit log is whole": _audit,
}
"""By name, in the order they are shown."""
