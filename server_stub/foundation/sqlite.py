"""SQLite with one connection that writes and commits in groups, and separate read-only ones.

What is to be written is worked out in the event loop's thread: a thread of its own would have to win the interpreter
back from the loop after each statement, which costs more than the statement. Only what waits for the disk is done in
another thread: the commit, and all of a group that has to wait for another process.
"""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, QueuePool, RootTransaction, StaticPool, create_engine, event
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DatabaseError

from server_stub.foundation import compiled
from server_stub.foundation.database import Prepare, outage, outcome, untold
from server_stub.foundation.startup import CannotStart

T = TypeVar("T")
GROUP = 64
"""Most requests in one commit: a group shares one fsync, and none waits long for the others."""
READERS = 4
BUSY_SECONDS = 5.0
CACHE_KIB = 65_536
"""Of the connection that writes: with SQLite's usual 2 MiB, a million orders' indexes are read again and again."""
WHY_NOT = {
    sqlite3.SQLITE_FULL: "cannot be written, the disk is full; make room, or give --data another folder",
    sqlite3.SQLITE_IOERR: "cannot be written, the disk is full or broken; make room, or give --data another folder",
    sqlite3.SQLITE_READONLY: "may not be written by this user; give --data a folder of your own",
    sqlite3.SQLITE_PERM: "may not be written by this user; give --data a folder of your own",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened by this user; give --data a folder of your own",
    sqlite3.SQLITE_NOTADB: "is not a database; put it back from a copy, or give --data another folder",
    sqlite3.SQLITE_CORRUPT: "is damaged; put it back from a copy, or give --data another folder",
}
"""Why a database cannot be used, and what to do, by SQLite's primary result code."""


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[Connection], Any]
    done: asyncio.Future[Any] | Future[Any]
    context: contextvars.Context


class Compiler(SQLiteCompiler):
    """The library's, which leaves out what a statement says of indexes (``with_hint(table, "INDEXED BY ...", "sqlite")``)."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text


class SqliteDatabase:
    """One role's database file, for this process alone.

    Args:
        path: the file; its folder exists.
        prepare: makes or changes the tables.

    Raises:
        CannotStart: the file is not a database, or cannot be written, or is a newer program's.
    """

    shared = False
    _opening = threading.Lock()
    """A new file goes over to write-ahead logging, and SQLite waits for nobody at that; other processes are kept out by
    the folder's lock."""

    def __init__(self, path: Path, prepare: Prepare) -> None:
        self._path = path
        self.committed: Callable[[int, float], None] = untold
        self._full = False
        self._jobs: deque[_Job] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._write_engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False),
            poolclass=StaticPool,
            hide_parameters=True,  # an error's text goes to the log: no values of ours
            execution_options=compiled.SHARED,
        )
        self._write_engine.dialect.statement_compiler = Compiler
        event.listen(self._write_engine, "connect", _prepare_writer)
        event.listen(self._write_engine, "begin", lambda conn: _driver(conn).execute("BEGIN IMMEDIATE"))
        try:
            with self._opening:
                self._prepare(prepare)
        except DatabaseError as error:
            self._write_engine.dispose()
            raise _cannot_start(path, error) from error
        except CannotStart as error:
            self._write_engine.dispose()
            raise CannotStart(f"{path}: {error}") from error
        address = f"file:{quote(str(path))}?mode=ro"
        self._read_engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(
                address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
            ),
            poolclass=QueuePool,
            pool_size=READERS,
            hide_parameters=True,
            execution_options=compiled.SHARED,
        )
        self._read_engine.dialect.statement_compiler = Compiler
        # All of one read is of one moment.
        event.listen(self._read_engine, "begin", lambda conn: _driver(conn).execute("BEGIN"))
        self._own = threading.local()
        self._reading: list[Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"read-{path.stem}")
        self._looker = self._read_engine.connect()
        self._writer = self._write_engine.connect()
        _wait_for_others(self._writer, 0)
        self._held = threading.Lock()
        """By whoever uses the connection that writes, from the beginning of a transaction to its end."""
        self._disk = ThreadPoolExecutor(1, thread_name_prefix=f"write-{path.stem}")

    def load(self, work: Callable[[Connection], T]) -> T:
        """Like ``submit``, for what a role begins with. Raises CannotStart, as when the disk is full; it is closed then."""
        try:
            return self.submit(work).result()
        except DatabaseError as error:
            self.close()
            raise _cannot_start(self._path, error) from error

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` in a savepoint; returns when it is on the disk.

        Raises:
            whatever ``work`` raises; then nothing of it is kept, and the others of its group are not touched.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._jobs.append(_Job(work, done, contextvars.copy_context()))
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write())
        return await done

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Like ``write``, where there is no event loop, or where it may stand still: it is on the disk on return."""
        done: Future[T] = Future()
        group = _Group(self._writer, [_Job(work, done, contextvars.copy_context())])
        self._held.acquire()
        self._do(group)
        group.tell()
        return done

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Like ``read``, at once: a thread for a few rows costs more than the rows."""
        with self._looker.begin():
            return work(self._looker)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` on a read-only connection in another thread: it sees what is committed."""

        def run() -> T:
            # Each thread keeps its connection: to take one from a pool and to put it back costs more than most reads.
            conn: Connection | None = getattr(self._own, "conn", None)
            if conn is None:
                conn = self._own.conn = self._read_engine.connect()
                self._reading.append(conn)
            with conn.begin():
                return outcome(work, conn)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def probe(self) -> None:
        """Asks about nothing; after a write that found no room, also takes a page, and gives it back."""
        await self.read(lambda conn: conn.exec_driver_sql("SELECT 1").scalar())
        if self._full:

            def take_room(conn: Connection) -> None:
                conn.exec_driver_sql("CREATE TABLE room (taken)")
                conn.exec_driver_sql("DROP TABLE room")

            await self.write(take_room)
            self._full = False

    def close(self) -> None:
        """Commits what was handed in and lets go of the file. Nothing may be handed in afterwards."""
        while self._jobs:
            group = self._take()
            self._held.acquire()
            self._do(group)
            group.tell()
        self._disk.shutdown()
        self._readers.shutdown()
        for conn in (*self._reading, self._looker, self._writer):
            conn.close()
        self._read_engine.dispose()
        self._write_engine.dispose()

    def _prepare(self, prepare: Prepare) -> None:
        with self._write_engine.connect() as conn:
            # A table is changed by making it anew (SQLite, "ALTER TABLE", 7); meanwhile keys point nowhere.
            _set_foreign_keys(conn, on=False)
            with conn.begin():
                before = conn.exec_driver_sql("PRAGMA schema_version").scalar_one()
                prepare(conn)
                changed = conn.exec_driver_sql("PRAGMA schema_version").scalar_one() != before
                broken = conn.exec_driver_sql("PRAGMA foreign_key_check").first() if changed else None
                if broken is not None:
                    raise CannotStart(f"rows of table {broken[0]} belong to rows that are not there")
            _set_foreign_keys(conn, on=True)

    async def _write(self) -> None:
        """Writes what stands in line, group after group."""
        loop = asyncio.get_running_loop()
        while self._jobs:
            group = self._take()
            if not group.jobs:
                continue
            self._held.acquire()
            if group.begin():
                group.work()
                await loop.run_in_executor(self._disk, self._end, group)
            else:
                await loop.run_in_executor(self._disk, self._do, group)
            group.tell()

    def _take(self) -> _Group:
        """Those that stand in line, without those that nobody waits for any more."""
        jobs = [self._jobs.popleft() for _ in range(min(GROUP, len(self._jobs)))]
        return _Group(self._writer, [job for job in jobs if not job.done.cancelled()])

    def _do(self, group: _Group) -> None:
        """All of a group, at the longest after having waited for another process."""
        group.begin(BUSY_SECONDS)
        group.work()
        self._end(group)

    def _end(self, group: _Group) -> None:
        group.commit()
        self._full |= group.failed
        self._held.release()
        self.committed(len(group.jobs), time.perf_counter() - group.began)


class SqliteReader:
    """One role's database file for whoever only looks at it, beside a server or after one. Writes nothing.

    Args:
        path: the file; it is there.
        look: raises CannotStart where these are not the tables to look at.

    Raises:
        CannotStart: the file is not a database, or cannot be read.
    """

    def __init__(self, path: Path, look: Prepare) -> None:
        self._path = path
        try:
            self._conn = self._open(_shared)
            try:
                self._run(look)
            except DatabaseError as error:
                self.close()
                if not is_full(error.orig):
                    raise
                # What SQLite keeps beside the file for those who share it has no room; whoever is alone needs none of it.
                self._conn = self._open(alone)
                self._run(look)
        except DatabaseError as error:
            self.close()
            raise _cannot_start(path, error) from error
        except CannotStart as error:
            self.close()
            raise CannotStart(f"{path}: {error}") from error

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` at once: it sees what is committed, all of one moment."""
        return self._run(work)

    def close(self) -> None:
        """Lets go of the file."""
        self._conn.close()
        self._conn.engine.dispose()

    def _run(self, work: Callable[[Connection], T]) -> T:
        with self._conn.begin():
            self._conn.exec_driver_sql("BEGIN")
            return work(self._conn)

    def _open(self, connect: Callable[[Path], sqlite3.Connection]) -> Connection:
        creator = partial(connect, self._path)
        engine = create_engine(
            "sqlite://",
            creator=creator,
            poolclass=StaticPool,
            hide_parameters=True,
            execution_options=compiled.SHARED,
        )
        engine.dialect.statement_compiler = Compiler
        return engine.connect()


def _shared(path: Path) -> sqlite3.Connection:
    # Not opened for reading only: as the last one to close it, such a connection would leave files behind.
    conn = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    conn.execute("PRAGMA query_only=ON")
    return conn


def alone(path: Path) -> sqlite3.Connection:
    """A connection that keeps everybody else out of the file, and the index of the write-ahead log in memory."""
    conn = _shared(path)
    conn.execute("PRAGMA locking_mode=EXCLUSIVE")  # sqlite.org/wal.html, "Use of WAL Without Shared-Memory"
    return conn


def is_full(error: object) -> bool:
    """Whether an error of SQLite's says that the disk had no room."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class _Group:
    """Transactions that share a commit, each in a savepoint.

    Attributes:
        failed: the database itself has failed, as for want of disk.
    """

    def __init__(self, conn: Connection, jobs: list[_Job]) -> None:
        self.jobs = jobs
        self.failed = False
        self.began = time.perf_counter()
        self._conn = conn
        self._transaction: RootTransaction | None = None
        self._outcomes: list[tuple[Any, Exception | None]] = []
        self._fault: Exception | None = None

    def begin(self, patience_s: float = 0) -> bool:
        """Whether it has begun; not while another process has the file, for as long as that."""
        if patience_s:
            _wait_for_others(self._conn, patience_s)
        try:
            self._transaction = self._conn.begin()
        except sqlite3.OperationalError as error:
            if not patience_s and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            self._fault = error
        finally:
            if patience_s:
                _wait_for_others(self._conn, 0)
        return True

    def work(self) -> None:
        """Does what is asked for."""
        driver = _driver(self._conn)
        try:
            for job in self.jobs if self._fault is None else ():
                # The library's own way to a savepoint costs as much as a small job.
                driver.execute("SAVEPOINT job")
                try:
                    self._outcomes.append((job.context.run(outcome, job.work, self._conn), None))
                except Exception as error:  # noqa: BLE001 - handed to whoever asked
                    driver.execute("ROLLBACK TO job")
                    self._outcomes.append((None, error))
                    self.failed |= outage(error) is not None
                driver.execute("RELEASE job")
        except Exception as error:  # noqa: BLE001 - nothing of the group is kept, all must hear it
            self._fault = error

    def commit(self) -> None:
        """Puts it on the disk, all or nothing."""
        if self._transaction is not None:
            try:
                if self._fault is None:
                    self._transaction.commit()
            except Exception as error:  # noqa: BLE001 - nothing of the group is durable, all must hear it
                self._fault = error
            if self._fault is not None:
                # A commit that a deferred key has refused leaves the transaction open; the next group needs its own.
                self._transaction.close()
                _driver(self._conn).rollback()
        self.failed |= self._fault is not None and outage(self._fault) is not None

    def tell(self) -> None:
        """Hands everybody what came of theirs."""
        outcomes = self._outcomes if self._fault is None else [(None, self._fault)] * len(self.jobs)
        for job, (result, failure) in zip(self.jobs, outcomes, strict=True):
            if job.done.cancelled():
                continue  # who asked has gone meanwhile
            if failure is None:
                job.done.set_result(result)
            else:
                job.done.set_exception(failure)


def _cannot_start(path: Path, error: DatabaseError) -> CannotStart:
    # The low byte is the primary result code, https://sqlite.org/rescode.html.
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return CannotStart(f"{path} {WHY_NOT.get(code) or f'cannot be used as a database ({error.orig})'}")


def _prepare_writer(connection: sqlite3.Connection, record: object) -> None:
    # The driver must not open transactions: its deferred BEGIN fails with "locked" when it later writes.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"cache_size=-{CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")


def _set_foreign_keys(conn: Connection, *, on: bool) -> None:
    """Outside of a transaction, where alone SQLite obeys it."""
    _driver(conn).execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")


def _wait_for_others(conn: Connection, seconds: float) -> None:
    """How long the beginning of a transaction waits for another process's to end."""
    _driver(conn).execute(f"PRAGMA busy_timeout={round(1000 * seconds)}")


def _driver(conn: Connection) -> sqlite3.Connection:
    driver = conn.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
