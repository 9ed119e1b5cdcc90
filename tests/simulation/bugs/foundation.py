"""What the foundation of the servers can do wrong: keys, outbox, ledger, audit, claims, commits."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import httpx
from sqlalchemy import func, select, update

from server_stub.foundation import claims, idempotency, outbox, states
from server_stub.foundation.audit import Audit
from server_stub.foundation.ledger import Ledger, part_of
from server_stub.foundation.problems import Problem
from server_stub.tsp import (
    core,
    machines,
    moves,
    nonces,
    payments,
)
from server_stub.wallets import provider
from tests.simulation import databases
from tests.simulation.bugs.harness import both, bug, put


@bug("forget-idempotency", "same_key_same_answer", seed=19)
def forget_idempotency() -> AbstractContextManager[Any]:
    """Keys are not looked at: whatever comes twice is done twice."""
    return both(
        put(idempotency.KeyUse, "claim", lambda self, conn: None),
        put(idempotency.KeyUse, "recall", lambda self, conn: None),
    )


@bug("outbox-unacknowledged", "charged_is_served_or_open", "everything_ends", seed=96)
def outbox_without_acknowledgement() -> AbstractContextManager[Any]:
    """What is owed is ticked off when it is sent, whether it arrived or not."""

    async def careless(self: Any, row: Any) -> None:
        with contextlib.suppress(Problem, provider.WalletUnreachable, httpx.HTTPError, ConnectionError):
            acknowledged = await self._handlers[row.topic](outbox.json.loads(row.payload))
            await states.write(self._database, acknowledged.change)
            acknowledged.afterwards()
        done = update(self._table).where(self._table.c.id == row.id)
        values = {"delivered_at": self._clock.now(), "due_at": None}
        await self._database.write(lambda conn: conn.execute(done.values(**values)))

    return put(outbox.Outbox, "_deliver", careless)


@bug("outbox-after-commit", "charged_is_served_or_open", seed=157)
def outbox_after_commit() -> AbstractContextManager[Any]:
    """BOSS is owed its message only after the payment is on the disk, in a second write."""
    paid, owe = core.Core.paid, outbox.Outbox.put

    def later(self: Any, conn: Any, payment: Any, *, actor: str, received_fen: int | None = None) -> None:
        def second(conn: Any) -> None:
            owe(self.outbox, conn, moves.OPEN_SERVICE, {"payment": payment.id})

        with put(outbox.Outbox, "put", lambda self, conn, topic, payload, delay=0, **_: None):
            paid(self, conn, payment, actor=actor, received_fen=received_fen)
        asyncio.get_running_loop().create_task(self.database.write(second))

    return put(core.Core, "paid", later)


@bug("any-move", "moves_are_legal", seed=2)
def any_move_is_legal() -> AbstractContextManager[Any]:
    """The table of legal moves is not looked at, and a payment of which BOSS is told goes through ``refunding``."""
    free = {state: frozenset(machines.PAYMENT_SHOWN) for state in machines.PAYMENT_SHOWN}
    opened = payments.Payments._service_opened

    def roundabout(self: Any, conn: Any, payment: str, *more: Any) -> None:
        row = core.load_payment(conn, payment)
        self._core.move(conn, row, "refunding", actor="boss")
        self._core.move(conn, core.load_payment(conn, payment), "paid", actor="boss")
        opened(self, conn, payment, *more)

    return both(
        patch.object(machines, "CARD_PAYMENT", dataclasses.replace(machines.CARD_PAYMENT, moves=free)),
        patch.object(machines, "WALLET_PAYMENT", dataclasses.replace(machines.WALLET_PAYMENT, moves=free)),
        put(payments.Payments, "_service_opened", roundabout),
    )


@bug("replays-let-in", "signatures_are_used_once", seed=3)
def replays_are_let_in() -> AbstractContextManager[Any]:
    """Nobody looks whether a nonce came before."""

    async def use(self: Any, known: Any, signed: Any, take: Any) -> Any:
        counter = nonces.counter_of(signed.nonce)
        return nonces.Entry(known.box_number, known.key_id, counter, signed.nonce, signed.nonce)

    return both(
        put(nonces.Nonces, "use", use),
        put(nonces.Nonces, "keep", lambda self, conn, entry: None),
    )


@bug("journal-unbalanced", "journals_balance", seed=2)
def journals_do_not_balance() -> AbstractContextManager[Any]:
    """A journal has one fen too much, and the database is made not to mind."""
    post = Ledger.post

    def lame(self: Any, conn: Any, journal: Any) -> bool:
        conn.exec_driver_sql("DROP TRIGGER IF EXISTS ledger_journal_made")
        first, *others = journal.entries
        more = dataclasses.replace(first, amount_fen=first.amount_fen + 1)
        return post(self, conn, dataclasses.replace(journal, entries=(more, *others)))

    return put(Ledger, "post", lame)


@bug("balance-counted-twice", "balances_are_sums", seed=2)
def balances_are_counted_twice() -> AbstractContextManager[Any]:
    """The program counts balances, too."""
    post = Ledger.post

    def twice(self: Any, conn: Any, journal: Any) -> bool:
        done = post(self, conn, journal)
        conn.exec_driver_sql("DROP TRIGGER IF EXISTS ledger_balance_moved")
        for entry in journal.entries if done else ():
            table = self.balances.c
            mine = (table.account == entry.account) & (table.part == part_of(journal.reference))
            values = {"balance_fen": table.balance_fen + entry.amount_fen}
            conn.execute(update(self.balances).where(mine).values(**values))
        return done

    return put(Ledger, "post", twice)


@bug("audit-not-chained", "check_finds_nothing", seed=1)
def audit_is_not_chained() -> AbstractContextManager[Any]:
    """A record of the audit log is changed afterwards."""
    append = Audit.append

    def change(self: Any, conn: Any, *more: Any, **facts: Any) -> Any:
        head = append(self, conn, *more, **facts)
        conn.exec_driver_sql("DROP TRIGGER IF EXISTS audit_log_no_UPDATE")
        last = select(func.max(self.records.c.sequence)).scalar_subquery()
        conn.execute(update(self.records).where(self.records.c.sequence == last).values(actor="nobody"))
        return head

    return put(Audit, "append", change)


@bug("outbox-gives-up", "everything_owed_is_delivered", seed=13)
def outbox_gives_up() -> AbstractContextManager[Any]:
    """What could not be delivered is left for another year."""
    return patch.object(outbox, "PAUSES", (4e7,))


@bug("commit-not-flushed", "every_debit_is_known", seed=1494)
def commits_are_not_flushed() -> AbstractContextManager[Any]:
    """The database says that a commit is on the disk before it is."""
    commit = databases.SimulatedDatabase._commit

    def careless(self: Any, work: Any) -> Any:
        process = self.process
        kill = process.host.kill_at(False) if process.ready else None
        if kill is None:
            return commit(self, work)
        process.check()
        with self.conn.begin() as transaction:
            result = work(self.conn)
            transaction.rollback()
        loop = process.host.simulation.loop
        loop.call_later(0.02, process.host.kill, kill.down_s, process.place)
        return result

    return put(databases.SimulatedDatabase, "_commit", careless)


@bug("claims-overlooked", "work_is_held_by_one", seed=9)
def claims_are_not_looked_at() -> AbstractContextManager[Any]:
    """Whoever finds work takes it, also what another process has."""

    def take(conn: Any, due: Any, order: Any, limit: int, *, who: str, now: Any, seconds: float) -> Any:
        table = order[0].table
        conn.execute(update(table).where(due).values(claimed_by=None, claimed_until=None))
        return claim(conn, due, order, limit, who=who, now=now, seconds=seconds)

    claim = claims.claim
    return put(claims, "claim", take)


@bug("claims-never-end", "leases_run_out", seed=7)
def claims_never_end() -> AbstractContextManager[Any]:
    """What a process has claimed is its own until it gives it back, dead or alive."""
    claim = claims.claim

    def take(conn: Any, due: Any, order: Any, limit: int, *, who: str, now: Any, seconds: float) -> Any:
        return claim(conn, due, order, limit, who=who, now=now, seconds=1e8)

    return put(claims, "claim", take)


@bug("claimed-keys-remembered", "writes_can_be_repeated", seed=12)
def claimed_keys_are_remembered() -> AbstractContextManager[Any]:
    """A process remembers which idempotency keys it has written down, and does not see that it had to begin again."""
    claim = idempotency.KeyUse.claim
    claimed: set[int] = set()
    uses = []

    def remember(self: Any, conn: Any) -> None:
        if id(self) not in claimed:
            claimed.add(id(self))
            uses.append(self)
            claim(self, conn)

    return put(idempotency.KeyUse, "claim", remember)
