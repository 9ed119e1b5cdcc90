"""Rows of transactions: inserted before anything is done, ended with what was answered, answered again out of that."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from server_stub.foundation import statements
from server_stub.foundation.ids import Ids
from server_stub.foundation.iso8583 import Message, decode, encode
from server_stub.ppp import books, chip
from server_stub.ppp.issuer import APPROVED, Refused
from server_stub.ppp.tables import changed_days, transactions
from server_stub.ppp.terminals import Answer, Request

SAME = (3, 4, 22, 23, 25, 41, 42, 49, 55, 60)
"""What makes two messages with one STAN the same; PIN block and track of a repeated one may be under new working keys."""
UNDONE = ("barred", "reversed")


@dataclass(frozen=True, slots=True)
class Started:
    """A transaction that has a row.

    Attributes:
        id: of the row.
        again: what was answered before; None for a new one.
    """

    id: str
    again: Answer | None = None

    def refused(self, conn: Connection, refused: Refused) -> Answer:
        """Ends it with a no."""
        said: Answer = {39: refused.code}
        self.ended(conn, said, "declined", reason=refused.reason)
        return said

    def ended(self, conn: Connection, said: Answer, state: str, **values: Any) -> None:
        """Keeps what is answered, and what has become of it."""
        kept = {"state": state, "code": said[39], "answer": encode(Message("0210", said)).hex(), **values}
        statements.change(conn, transactions, kept, id=self.id)


def begin(conn: Connection, ids: Ids, request: Request, kind: str, fen: int) -> Started:
    """Inserts the row of a message, or finds what it was answered before.

    That is 12 once it is reversed, and 94 for something else under its STAN.
    """
    message = request.message
    batch, stan, digest = message.network.batch, message.text(11), _digest(message)
    name, terminal = ids.row(), request.terminal.id
    row: dict[str, Any] = {
        "id": name,
        "terminal": terminal,
        "batch": batch,
        "stan": stan,
        "kind": kind,
        "digest": digest,
    }
    row |= {"state": "declined", "amount_fen": fen, "code": "", "reason": "", "answer": "", "at": request.now}
    if statements.insert_once(conn, transactions, row):
        return Started(name)
    found = statements.one(conn, transactions, terminal=terminal, batch=batch, stan=stan)
    assert found is not None
    if found.state in UNDONE:
        return Started(found.id, {39: "12"})
    if found.digest != digest:
        return Started(found.id, {39: "94"})
    return Started(found.id, decode(bytes.fromhex(found.answer)).fields)


def reverse(conn: Connection, ids: Ids, request: Request) -> Answer:
    """0400: undoes what was approved. What has not come yet is barred, so that it cannot come after this."""
    batch, stan = request.original
    fen, terminal = int(request.message.text(4)), request.terminal
    barred: dict[str, Any] = {
        "id": ids.row(),
        "terminal": terminal.id,
        "batch": batch,
        "stan": stan,
        "kind": "unknown",
    }
    barred |= {"digest": "", "state": "barred", "amount_fen": fen, "code": "25", "reason": "reversed-first"}
    barred |= {"answer": "", "at": request.now, "ended_at": request.now}
    if statements.insert_once(conn, transactions, barred):
        return {39: "25"}
    row = statements.one(conn, transactions, lock=True, terminal=terminal.id, batch=batch, stan=stan)
    assert row is not None
    if row.state == "barred":
        return {39: "25"}
    if row.state == "reversed":
        return {39: APPROVED}
    if row.state == "declined" or row.kind not in (books.SALE, books.LOAD):
        return {39: "12"}
    if row.amount_fen != fen:
        return {39: "64"}
    if row.kind == books.LOAD and _card_has_it(request.message, row):
        return {39: "12"}
    debit, credit = books.sides(row.kind, row.account, terminal.merchant)
    books.undo(conn, row.id, debit, credit, fen, request.now)
    statements.change(conn, transactions, {"state": "reversed", "ended_at": request.now}, id=row.id)
    changed_days.note(conn, row.at)
    return {39: APPROVED}


def script_result(conn: Connection, request: Request) -> Answer:
    """0620: what the card has done with the scripts of an answer. Raises Iso8583Error, ChipError."""
    batch, stan = request.original
    done = chip.script_done(chip.objects_of(request.message.data(55)).get(0xDF31, b""))
    key = {"terminal": request.terminal.id, "batch": batch, "stan": stan}
    row = statements.one(conn, transactions, lock=True, **key)
    if row is None or row.state == "barred":
        return {39: "25"}
    told = "done" if done else "failed"
    if row.script not in (None, told):
        return {39: "94"}
    statements.change(conn, transactions, {"script": told}, id=row.id)
    return {39: APPROVED}


def _card_has_it(message: Message, row: Row[Any]) -> bool:
    """Whether a card has done the script of a load: its holder has the money on it then."""
    if row.script is not None:
        return bool(row.script == "done")
    results = chip.objects_of(message.data(55)).get(0xDF31) if 55 in message else None
    return results is not None and chip.script_done(results)


def _digest(message: Message) -> str:
    made = hashlib.sha256()
    for number in SAME:
        value = message.fields.get(number, b"")
        raw = value if isinstance(value, bytes) else value.encode()
        made.update(number.to_bytes(1) + len(raw).to_bytes(2) + raw)
    return made.hexdigest()
