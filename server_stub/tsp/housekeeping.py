"""The TSP's periodic jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection, delete, select, tuple_, update

from server_stub.foundation.clock import Clock
from server_stub.foundation.jobs import Job, every, nightly
from server_stub.tsp import machines, tables
from server_stub.tsp.card_loads import CardLoads
from server_stub.tsp.core import Core
from server_stub.tsp.payments import Payments, next_due
from server_stub.tsp.settlement import Settlement

SWEEP = "sweep"
BOOKS = "books"
CASES = "cases"
LOADS = "loads"
FORGET_ANSWERS = "forget-answers"
MINUTE_S, HOUR_S = 60, 3600
SETTLED = "settled"
SETTLE, SETTLEMENTS = "settle", "settlements"
BATCH = 500
"""Answers forgotten in one transaction: others need not wait long."""


class BooksWrong(Exception):
    """The balances are not what the entries say (rule 5); the text names the first fault."""


def jobs(
    core: Core, payments: Payments, loads: CardLoads, settlement: Settlement | None
) -> Mapping[str, Job]:
    """The jobs, by name.

    Args:
        settlement: with PPP; None where there is none.
    """

    async def check_books() -> str:
        faults = await core.database.read(tables.ledger.faults)
        if faults:
            raise BooksWrong(f"{len(faults)} faults: {faults[0]}")
        return "balanced"

    async def close_cases() -> str:
        closed = await core.database.write(lambda conn: settle_cases(conn, core))
        return f"{closed} settled"

    async def forget_answers() -> str:
        gone = 0
        while True:
            old = await core.database.read(lambda conn: old_answers(conn, core))
            if not old:
                return f"{gone} forgotten"
            gone += await core.database.write(partial(forget, rows=old))

    with_ppp: dict[str, Job] = {}
    if settlement is not None:
        with_ppp[LOADS] = Job(loads.sweep, every(MINUTE_S))
        with_ppp[SETTLE] = Job(settlement.settle, nightly(3), longest_pause=MINUTE_S)
        with_ppp[SETTLEMENTS] = Job(settlement.go_on, every(HOUR_S), longest_pause=MINUTE_S)
    return {
        **with_ppp,
        SWEEP: Job(payments.sweep, wanted=next_due, longest_pause=MINUTE_S),
        BOOKS: Job(check_books, nightly(3)),
        CASES: Job(close_cases, every(HOUR_S)),
        FORGET_ANSWERS: Job(forget_answers, nightly(4)),
    }


def settle_cases(conn: Connection, core: Core) -> int:
    """Cases that asked for the end of a payment that has come to it by itself need nobody any more; returns how many."""
    waiting = select(tables.payments.c.id).where(tables.payments.c.state.in_(machines.WATCHED))
    mine = (tables.cases.c.state == "open") & tables.cases.c.kind.in_(machines.SETTLED_BY_END)
    mine &= tables.cases.c.payment_id.not_in(waiting)
    values = {"state": "decided", "decision": SETTLED, "actor": "sweep", "decided_at": core.clock.now()}
    return conn.execute(update(tables.cases).where(mine).values(**values)).rowcount


def old_answers(conn: Connection, core: Core) -> list[tuple[str, str]]:
    """Scope and key of answers so old that nobody repeats the request: the next that can be forgotten at once."""
    limit = core.clock.now() - timedelta(days=core.settings.idempotency_days)
    keys = tables.keys.c
    query = select(keys.scope, keys.key).where(keys.created_at < limit).limit(BATCH)
    return [(row.scope, row.key) for row in conn.execute(query)]


def forget(conn: Connection, rows: list[tuple[str, str]]) -> int:
    """Deletes these; returns how many were there."""
    keys = tables.keys.c
    return conn.execute(delete(tables.keys).where(tuple_(keys.scope, keys.key).in_(rows))).rowcount


def order_settlement(conn: Connection, clock: Clock, actor: str) -> bool:
    """The batch is to be settled now; False where nobody ever does."""
    mine = tables.jobs.c.id == SETTLE
    if not conn.execute(update(tables.jobs).where(mine).values(due_at=clock.now())).rowcount:
        return False
    tables.audit.append(conn, clock, actor, "settle", "now")
    return True
