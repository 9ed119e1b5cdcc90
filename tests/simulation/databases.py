"""The database of a simulated machine, as SQLite keeps it or as PostgreSQL's layer meets it."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import MetaData, NullPool, create_engine, event
from sqlalchemy.exc import OperationalError

from server_stub.foundation import migrations
from server_stub.foundation.clock import Pauses
from server_stub.foundation.database import untold
from server_stub.foundation.postgresql import WAIT_SECONDS, PostgresqlDatabase
from tests.simulation.loop import Actor, Gone, current_actor

if TYPE_CHECKING:
    from tests.simulation.servers import Process
    from tests.simulation.world import Simulation

DISK_FULL = "database or disk is full"
COLLISIONS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


class _File(sqlite3.Connection):
    """A database that outlives the process that had it open."""

    def close(self) -> None:
        """It stays."""


class Files:
    """What a role's machine keeps when its processes die: a database, and a folder."""

    def __init__(self, content: bytes | None) -> None:
        self.sqlite = sqlite3.connect(":memory:", factory=_File, check_same_thread=False)
        if content is not None:
            self.sqlite.deserialize(content)
        self.sqlite.isolation_level = None
        self.sqlite.execute("PRAGMA foreign_keys=ON")
        self.fresh = content is None


_opened: list[_File] = []
_engine = create_engine("sqlite://", creator=lambda: _opened[-1], poolclass=NullPool)
event.listen(_engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN"))


@contextmanager
def opened(files: Files) -> Any:
    """A connection to a database, for whoever looks at it from outside."""
    _opened.append(files.sqlite)
    try:
        with _engine.connect() as conn:
            yield conn
    finally:
        _opened.pop()


class SimulatedDatabase:
    """The contract of foundation.database over a file of a simulated machine; transactions follow one another."""

    def __init__(self, process: Process, metadata: MetaData) -> None:
        self.process = process
        plan = process.host.simulation.plan
        self.shared = len(process.host.places) > 1 or plan.postgresql
        self.committed: Callable[[int, float], None] = untold
        self.current: Transaction | None = None
        _opened.append(process.host.files.sqlite)
        self.conn = _engine.connect()
        _opened.pop()
        if process.host.files.fresh:
            migrations.prepare(metadata)(self.conn)
            self.conn.commit()
            process.host.files.fresh = False
        process.database = self
        self._postgresql = plan.postgresql
        if plan.postgresql:
            event.listen(self.conn, "before_cursor_execute", self._statement)
            event.listen(self.conn, "commit", self._committing)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        process = self.process
        # First the writer has others to do; then the disk takes its time.
        await process.pause(0.002)
        try:
            if self._postgresql:
                return await self._transact(work, reads=False)
            return self._commit(work)
        finally:
            if not process.dead:
                await process.pause(0.004)

    def load(self, work: Callable[[Any], Any]) -> Any:
        return self._commit(work)

    def submit(self, work: Callable[[Any], Any]) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(self._commit(work))
        return done

    async def read(self, work: Callable[[Any], Any]) -> Any:
        await self.process.pause(0.001)
        if self._postgresql:
            return await self._transact(work, reads=True)
        self.process.check()
        with self.only_reading():
            return work(self.conn)

    look = read

    @contextmanager
    def only_reading(self) -> Any:
        """What is done meanwhile must not change anything, and does not last."""
        sqlite = self.process.host.files.sqlite
        # PRAGMA query_only would make every statement be compiled anew.
        before = sqlite.total_changes
        try:
            yield
            assert sqlite.total_changes == before, "a work that only reads has written"
        finally:
            self.conn.rollback()

    def close(self) -> None:
        if not self.process.dead:
            self.conn.close()

    def _commit(self, work: Callable[[Any], Any]) -> Any:
        self.process.check()
        with self.conn.begin() as transaction:
            result = work(self.conn)
            self.process.about_to_commit()
            transaction.commit()
        self.process.committed()
        return result

    async def _transact(self, work: Callable[[Any], Any], *, reads: bool) -> Any:
        """In a thread of the pool, as PostgreSQL's layer does it."""
        loop = self.process.host.simulation.loop
        done: asyncio.Future[Any] = loop.create_future()
        transaction = Transaction(self, reads)
        context = contextvars.copy_context()

        def run() -> None:
            try:
                result = context.run(transaction.run, work)
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                if not done.done():
                    done.set_exception(error)
            except (Gone, asyncio.CancelledError):
                done.cancel()
            else:
                if not done.done():
                    done.set_result(result)

        Actor(loop, self.process, "transaction", run)
        result = await done
        self.process.check()
        return result

    def _statement(self, conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if self.current is not None:
            self.current.statement(statement)

    def _committing(self, conn: Any) -> None:
        if self.current is not None:
            self.current.committing()


def pauses_of(simulation: Simulation) -> Pauses:
    """Those of threads in simulated time."""
    return Pauses(
        simulation.loop.time,
        lambda seconds: current_actor().block(seconds),
        simulation.random("database pauses").randbytes,
    )


class Transaction(PostgresqlDatabase):
    """One transaction as PostgreSQL's layer runs it, again where it collided; it is the layer's engine, too.

    Collisions, broken connections and lost answers to commits come as the driver tells them.
    """

    def __init__(self, database: SimulatedDatabase, reads: bool) -> None:
        simulation = database.process.host.simulation
        self._database = database
        self._process = database.process
        self._simulation = simulation
        self._reads = reads
        self._chance = simulation.random("database")
        self._pauses = pauses_of(simulation)
        self._write_engine: Any = None if reads else self
        self._until = simulation.loop.time() + WAIT_SECONDS
        self._attempts: list[tuple[int, list[str]]] = []
        self._fails_at = 0
        self.committed = self._kept

    def run(self, work: Callable[[Any], Any]) -> Any:
        """Runs it to its end, in a thread. Raises what the layer raises."""
        engine: Any = self
        return self._run(engine, work, self._until)

    @contextmanager
    def connect(self) -> Any:
        """A connection for one try."""
        self._process.check()
        plan, now = self._simulation.plan, self._simulation.loop.time()
        if self._faulty and plan.database_away is not None:
            at, seconds = plan.database_away
            if at <= now < at + seconds:
                raise OperationalError("CONNECT", None, psycopg.OperationalError("connection refused"))
        collides = self._faulty and self._chance.random() < plan.collisions
        self._fails_at = self._chance.randint(1, 9) if collides else 0
        self._attempts.append((self._process.host.writes, []))
        self._database.current = self
        try:
            if self._reads:
                with self._database.only_reading():
                    yield self._database.conn
            else:
                yield self._database.conn
        finally:
            self._database.current = None
            sqlite = self._process.host.files.sqlite
            if sqlite.in_transaction:  # as the pool does with a connection that comes back
                sqlite.execute("ROLLBACK")
            self._compare()

    def statement(self, text: str) -> None:
        """A statement is sent. Raises OperationalError."""
        said = self._attempts[-1][1]
        said.append(text)
        if len(said) == self._fails_at:
            self._collide(*COLLISIONS, psycopg.errors.AdminShutdown)

    def committing(self) -> None:
        """The commit is sent. Raises OperationalError."""
        if self._reads:
            return
        if self._fails_at > len(self._attempts[-1][1]):
            self._collide(*COLLISIONS)
        self._process.about_to_commit()
        if self._faulty and self._chance.random() < self._simulation.plan.lost_commits:
            carried_out = self._chance.random() < 0.5
            self._simulation.note(self._process.name, f"answer to a commit lost, carried out: {carried_out}")
            if carried_out:
                self._process.host.files.sqlite.execute("COMMIT")
                self._process.committed()
            lost = psycopg.OperationalError("server closed the connection unexpectedly")
            raise OperationalError("COMMIT", None, lost, connection_invalidated=True)

    @property
    def _faulty(self) -> bool:
        return self._simulation.faulty and self._process.ready

    def _collide(self, *kinds: type[psycopg.Error]) -> None:
        kind = self._chance.choice(kinds)
        self._simulation.note(self._process.name, f"transaction: {kind.__name__}")
        broken = kind not in COLLISIONS
        raise OperationalError("", None, kind(kind.__name__), connection_invalidated=broken)

    def _kept(self, transactions: int, seconds: float) -> None:
        self._process.committed()
        self._database.committed(transactions, seconds)

    def _compare(self) -> None:
        """A work that is run again, where nobody has written anything since, must do what it did the first time."""
        if len(self._attempts) < 2:
            return
        (writes, before), (again, after) = self._attempts[-2:]
        common = min(len(before), len(after))
        if writes == again and before[:common] != after[:common]:
            self._simulation.unrepeatable.append(f"{self._process.name}: {before} then {after}")
