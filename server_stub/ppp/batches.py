"""The end of a terminal's batch: totals compared (0500), transactions uploaded (0320), electronic cash collected.

Bit 48 of an 0500 (62 digits): debits, their number, credits, their number, what came of it; then the same of foreign cards.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from server_stub.foundation import statements
from server_stub.foundation.ids import Ids
from server_stub.foundation.iso8583 import Iso8583Error
from server_stub.foundation.vault import Vault
from server_stub.ppp import books, chip, transactions
from server_stub.ppp.accounts import Accounts
from server_stub.ppp.issuer import APPROVED, CURRENCY, Issuer, Refused, card_of
from server_stub.ppp.tables import accounts, settlements, terminals
from server_stub.ppp.tables import transactions as rows
from server_stub.ppp.terminals import Answer, Request

EQUAL, UNEQUAL = "1", "2"
FOREIGN = "0" * 30
ENDS = ("202", "207")
"""Network management codes of an upload's last message: of stripe cards, of IC cards."""
ONLINE_CHIP = "203"
CASH = "36"
"""60.1 of a purchase with electronic cash."""


def totals(conn: Connection, terminal: str, batch: str) -> tuple[int, int]:
    """Sum and number of what a batch has debited cards with, in fen."""
    mine = (rows.c.terminal == terminal) & (rows.c.batch == batch) & (rows.c.state == "approved")
    money = rows.c.kind.in_((books.SALE, books.LOAD))
    found = conn.execute(select(func.sum(rows.c.amount_fen), func.count()).where(mine & money)).one()
    return int(found[0] or 0), int(found[1])


def told(fen: int, count: int) -> str:
    """The first 30 digits of bit 48: debits; we have no credits.

    >>> told(1500, 1)
    '000000001500001000000000000000'
    """
    return f"{fen:012d}{count % 1000:03d}{0:012d}{0:03d}"


def settle(conn: Connection, request: Request) -> Answer:
    """0500: the batch is closed with our totals, whatever the terminal's are; another one begins with the next sign-in."""
    terminal, batch = request.terminal, request.message.network.batch
    theirs = request.message.text(48)
    if len(theirs) != 62:
        raise Iso8583Error(f"field 48 has {len(theirs)} digits; 62 are totals")
    # With the terminal locked nothing more comes into the batch, nor is it closed by another request: who writes there asks
    # for it first.
    row = statements.one(conn, terminals, lock=True, id=terminal.id)
    assert row is not None
    known = statements.one(conn, settlements, terminal=terminal.id, batch=batch)
    if known is None:
        if batch != f"{row.batch:06d}":
            return {39: "77"}
        ours = told(*totals(conn, terminal.id, batch))
        values = {"terminal": terminal.id, "batch": batch, "told": theirs[:30], "counted": ours}
        statements.insert(conn, settlements, {**values, "uploaded": 0, "at": request.now})
        statements.change(conn, terminals, {"batch": row.batch % 999_999 + 1}, id=terminal.id)
        paid = books.owed(conn, terminal.merchant)
        books.settle(conn, terminal.id, batch, terminal.merchant, paid, request.now)
    else:
        ours = known.counted
    result = EQUAL if ours == theirs[:30] else UNEQUAL
    return {39: APPROVED, 48: f"{ours}{result}{FOREIGN}{EQUAL}"}


class Upload:
    """0320: one transaction a message, and the end."""

    def __init__(self, issuer: Issuer, found: Accounts, vault: Vault, ids: Ids) -> None:
        self._issuer = issuer
        self._accounts = found
        self._vault = vault
        self._ids = ids

    def take(self, conn: Connection, request: Request) -> Answer:
        """One message. Raises Iso8583Error, ChipError."""
        network = request.message.network
        if network.code in ENDS:
            return self._end(conn, request)
        if network.kind == CASH:
            return self._collect(conn, request)
        if network.code == ONLINE_CHIP:
            return self._certificate(conn, request)
        return {39: "12"}

    def _end(self, conn: Connection, request: Request) -> Answer:
        key = {"terminal": request.terminal.id, "batch": request.message.network.batch}
        if not statements.change(conn, settlements, {"ended_at": request.now}, **key):
            return {39: "25"}
        return {39: APPROVED}

    def _certificate(self, conn: Connection, request: Request) -> Answer:
        """The TC of a transaction that was approved online: kept with it, good or wrong."""
        batch, stan = request.original
        row = statements.one(conn, rows, lock=True, terminal=request.terminal.id, batch=batch, stan=stan)
        if row is None or row.state != "approved" or row.account is None:
            return {39: "25"}
        if row.certificate is None:
            account = statements.one(conn, accounts, id=row.account)
            assert account is not None
            data = chip.ChipData.parse(request.message.data(55))
            pan = self._vault.unseal(account.pan).decode()
            same = int.from_bytes(data.atc) == row.atc and data.amount_fen == row.amount_fen
            good = same and self._issuer.certified(account, pan, data)
            statements.change(conn, rows, {"certificate": "good" if good else "wrong"}, id=row.id)
            _count(conn, request.terminal.id, batch)
        return {39: APPROVED}

    def _collect(self, conn: Connection, request: Request) -> Answer:
        """A purchase with electronic cash, approved by the card alone: its TC is the money."""
        message, terminal = request.message, request.terminal
        batch, fen = message.network.batch, int(message.text(4))
        started = transactions.begin(conn, self._ids, request, books.CASH_SALE, fen)
        if started.again is not None:
            return started.again
        try:
            if message.text(49) != CURRENCY or fen <= 0:
                raise Refused("13", "amount")
            card = card_of(message, request.keys)
            account = self._accounts.find(conn, card.pan.reveal())
            if account is None:
                raise Refused("14", "no-such-card")
            data = chip.ChipData.parse(message.data(55))
            self._expect(conn, account, card.pan.reveal(), data, fen)
        except Refused as refused:
            return started.refused(conn, refused)
        debit, credit = books.sides(books.CASH_SALE, account.id, terminal.merchant)
        books.book(conn, books.CASH_SALE, started.id, debit, credit, fen, request.now)
        atc = int.from_bytes(data.atc)
        # What was paid offline may be older than the last online transaction.
        statements.change(conn, accounts, {"atc": max(account.atc, atc)}, id=account.id)
        kept: dict[str, Any] = {"account": account.id, "atc": atc, "certificate": "good"}
        said: Answer = {39: APPROVED}
        started.ended(conn, said, "approved", **kept)
        _count(conn, terminal.id, batch)
        return said

    def _expect(self, conn: Connection, account: Row[Any], pan: str, data: chip.ChipData, fen: int) -> None:
        if data.amount_fen != fen:
            raise Refused("13", "amount")
        if not self._issuer.certified(account, pan, data):
            raise Refused("05", "cryptogram")
        if statements.one(conn, rows, account=account.id, atc=int.from_bytes(data.atc)) is not None:
            raise Refused("94", "atc")


def _count(conn: Connection, terminal: str, batch: str) -> None:
    mine = (settlements.c.terminal == terminal) & (settlements.c.batch == batch)
    conn.execute(update(settlements).where(mine).values(uploaded=settlements.c.uploaded + 1))
