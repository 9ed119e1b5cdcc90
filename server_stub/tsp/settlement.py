"""The end of a terminal's batch: totals compared with PPP's (0500), certificates uploaded (0320), a new batch (cards.md D10).

A settlement is a row, from the moment on that its batch takes no more sales. Each step can be done again after a
silence or a kill. Which sales PPP has counted is not always known: what was being reversed meanwhile may be among
them or not. Only totals that no such sale explains differ, and a person finds out why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Row, select

from server_stub.foundation import card_numbers, statements
from server_stub.foundation.card_numbers import hidden
from server_stub.foundation.clock import Clock
from server_stub.foundation.money import yuan
from server_stub.foundation.sentences import Refusal
from server_stub.tsp.core import Core
from server_stub.tsp.pos import APPROVED, Pos, Slip, Totals
from server_stub.tsp.ppp_line import Unanswered
from server_stub.tsp.tables import audit, authorisations, loads, payments, settlements

CLOSING, CLOSED, UPLOADED, AGREED, DIFFERS, DECIDED = (
    *("closing", "closed", "uploaded", "agreed", "differs", "decided"),
)
"""No more sales; PPP has its totals and has ours; it has all certificates; and what came of it."""
FULL = 500
"""So many sales in a batch and it is settled within the hour: its count has three digits."""
ENDS = ("response_code", "reversal_reason", "reversal_code", "reversed_at")
"""Columns of what PPP was asked that tell how it ended."""
UNKNOWN_AT_PPP = "unknown-at-ppp"
"""A case: the card has certified a sale that PPP does not know as approved."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sales:
    """What a batch holds, as far as it is known here.

    Attributes:
        sure: what PPP must have counted.
        doubtful: amounts that it may have counted, each one or not: they were reversed about then.
        undecided: whether something else has no end yet.
    """

    sure: Totals
    doubtful: tuple[int, ...]
    undecided: bool

    def explain(self, counted: Totals) -> bool:
        """Whether what is sure, with some of what is doubtful, is what PPP has counted."""
        reached = {(self.sure.fen, self.sure.count % Totals.MOST)}
        for fen in self.doubtful:
            reached |= {(sum_ + fen, (count + 1) % Totals.MOST) for sum_, count in reached}
        return (counted.fen, counted.count) in reached


class Settlement:
    """Settles the batches of this platform's terminal."""

    def __init__(self, parts: Core, pos: Pos) -> None:
        self._core = parts
        self._pos = pos

    async def settle(self) -> str:
        """What is done once a day: the batch is closed, whatever is in it. Raises Unanswered: to be done again."""
        await self._begin(1)
        return await self.go_on()

    async def go_on(self) -> str:
        """What is done every hour: settlements that are not at their end, and a batch that is full. Raises Unanswered."""
        # The night's and the hour's come at the same time; another process may tell PPP the same twice, which does no harm.
        async with self._core.locks.hold("settlement"):
            await self._begin(FULL)
            rows = await self._core.database.read(_unfinished)
            for row in rows:
                await self._bring_on(row)
        return f"{len(rows)} brought on"

    async def _begin(self, least: int) -> None:
        def begin(conn: Connection) -> None:
            batch, terminal = self._pos.open_batch(conn), self._pos.terminal
            if len(_asked(conn, batch)) < least:
                return
            if statements.one(conn, settlements, terminal=terminal, batch=batch) is not None:
                return
            now = self._core.clock.now()
            self._pos.close_batch(conn, batch)
            told = sales(conn, batch, now).sure
            row = {"terminal": terminal, "batch": batch, "state": CLOSING, "begun_at": now}
            statements.insert(conn, settlements, {**row, "told_fen": told.fen, "told_count": told.count})

        await self._core.database.write(begin)

    async def _bring_on(self, row: Row[Any]) -> None:
        told, counted, state = Totals(row.told_fen, row.told_count), None, row.state
        if row.settled_at is not None:
            counted = Totals(row.counted_fen, row.counted_count)
        if counted is None:
            counted = await self._pos.settle(row.batch, told)
            values = {"counted_fen": counted.fen, "counted_count": counted.count}
            await self._to(row, CLOSING, CLOSED, {**values, "settled_at": self._core.clock.now()})
            log.info("batch-settled", batch=row.batch, told=told, counted=counted)
            state = CLOSED
        if state == CLOSED:
            # The next batch comes with new keys; until then nothing is sold.
            if (await self._pos.batch()) == row.batch:
                await self._pos.sign_in()
            await self._upload(row.batch)
            await self._to(row, CLOSED, UPLOADED, {"ended_at": self._core.clock.now()})
        await self._judge(row, counted)

    async def _upload(self, batch: str) -> None:
        """Each sale's certificate, once; then the end. Raises Unanswered."""
        for sale in await self._core.database.read(lambda conn: _to_upload(conn, batch)):
            chip = bytes.fromhex(sale.chip_end)
            code = (await self._pos.upload(Slip(batch, sale.stan), sale.amount_fen, chip)).text(39)

            def told(conn: Connection, sale: Row[Any] = sale, code: str = code) -> None:
                statements.change(
                    conn, authorisations, {"certificate_code": code}, payment_id=sale.payment_id
                )
                if code != APPROVED:
                    self._core.case(
                        conn, sale.payment_id, UNKNOWN_AT_PPP, batch=batch, stan=sale.stan, code=code
                    )

            await self._core.database.write(told)
        code = (await self._pos.end_upload(batch)).text(39)
        if code != APPROVED:
            raise Unanswered(f"the end of the upload was answered {code}", sent=True)

    async def _judge(self, row: Row[Any], counted: Totals) -> None:
        def judge(conn: Connection) -> None:
            held = sales(conn, row.batch, row.begun_at)
            if held.undecided:
                return
            state = AGREED if held.explain(counted) else DIFFERS
            key = {"terminal": row.terminal, "batch": row.batch, "state": UPLOADED}
            if statements.change(conn, settlements, {"state": state}, **key) and state == DIFFERS:
                log.error("settlement-differs", batch=row.batch, ours=held.sure, counted=counted)

        await self._core.database.write(judge)

    async def _to(self, row: Row[Any], origin: str, target: str, values: dict[str, Any]) -> None:
        key = {"terminal": row.terminal, "batch": row.batch, "state": origin}
        await self._core.database.write(
            lambda conn: statements.change(conn, settlements, {**values, "state": target}, **key)
        )


def sales(conn: Connection, batch: str, begun_at: datetime) -> Sales:
    """What is known of a batch that was closed at an instant."""
    fen, count, doubtful, undecided = 0, 0, [], False
    for row in _asked(conn, batch):
        if row.state in ("authorising", "authorised", "reversing"):
            undecided = True
        if row.reversal_reason is not None:
            gone = row.reversed_at is not None and row.reversed_at < begun_at
            never = row.reversal_code not in (None, APPROVED)
            if not gone and not never:
                doubtful.append(row.amount_fen)
        elif row.response_code == APPROVED:
            fen, count = fen + row.amount_fen, count + 1
    return Sales(Totals(fen, count), tuple(doubtful), undecided)


def lines(rows: Iterable[Row[Any]]) -> list[str]:
    """Settlements for people, a line each."""
    return [
        f"{row.batch}  of {row.terminal}  {row.begun_at:%Y-%m-%d %H:%M}  {row.state:<8}  told {yuan(row.told_fen)} in {row.told_count}"
        + ("" if row.settled_at is None else f", PPP {yuan(row.counted_fen)} in {row.counted_count}")
        + (f"  {hidden(row.reason)} ({row.actor})" if row.reason else "")
        for row in rows
    ]


def listed(conn: Connection) -> list[Row[Any]]:
    """All settlements, the newest first."""
    return list(conn.execute(select(settlements).order_by(settlements.c.begun_at.desc())))


def decide(
    conn: Connection, clock: Clock, batch: str, reason: str, actor: str, by: str, terminal: str
) -> bool:
    """A person has found out why PPP's totals differ; False for a batch whose do not.

    Args:
        by: who gives the command, as the system knows them.

    Raises:
        Refusal: the reason has a whole card number in it.
    """
    if card_numbers.has_whole(reason):
        raise Refusal(card_numbers.WHOLE)
    values = {"state": DECIDED, "reason": reason, "actor": actor}
    if not statements.change(conn, settlements, values, terminal=terminal, batch=batch, state=DIFFERS):
        return False
    audit.append(conn, clock, actor, "settlement-decided", batch, reason=reason, by=by, terminal=terminal)
    return True


def _asked(conn: Connection, batch: str) -> list[Row[Any]]:
    """What PPP was asked in a batch and counts: sales, and loads of electronic cash."""
    sold = select(payments.c.state, payments.c.amount_fen, *(authorisations.c[name] for name in ENDS))
    sold = sold.join(authorisations, authorisations.c.payment_id == payments.c.id)
    loaded = select(loads.c.state, loads.c.amount_fen, *(loads.c[name] for name in ENDS))
    asked = sold.where(authorisations.c.batch == batch), loaded.where(loads.c.batch == batch)
    return [row for query in asked for row in conn.execute(query)]


def _to_upload(conn: Connection, batch: str) -> list[Row[Any]]:
    """Sales that stand, and whose certificates PPP has not yet taken."""
    sale = authorisations.c
    stands = (sale.response_code == APPROVED) & sale.reversal_reason.is_(None) & sale.chip_end.is_not(None)
    query = select(authorisations, payments.c.amount_fen).join(payments, payments.c.id == sale.payment_id)
    query = query.where(stands & (sale.batch == batch) & sale.certificate_code.is_(None))
    return list(conn.execute(query.order_by(sale.stan)))


def _unfinished(conn: Connection) -> list[Row[Any]]:
    mine = settlements.c.state.in_((CLOSING, CLOSED, UPLOADED))
    return list(conn.execute(select(settlements).where(mine).order_by(settlements.c.begun_at)))
