"""SQLite with one writer thread that commits in groups, and separate read-only connections."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, QueuePool, StaticPool, create_engine, event
from sqlalchemy.exc import DatabaseError

from server_stub.foundation.database import Prepare, outage, untold
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
    done: Future[Any]
    context: contextvars.Context


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
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._write_engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False),
            poolclass=StaticPool,
            hide_parameters=True,  # an error's text goes to the log: no values of ours
        )
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
        )
        # All of one read is of one moment.
        event.listen(self._read_engine, "begin", lambda conn: _driver(conn).execute("BEGIN"))
        self._own = threading.local()
        self._reading: list[Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"read-{path.stem}")
        self._writer = threading.Thread(target=self._run, name=f"write-{path.stem}", daemon=True)
        self._writer.start()

    def load(self, work: Callable[[Connection], object]) -> None:
        """Puts in what must be there before the role begins. Raises CannotStart, as when the disk is full."""
        try:
            self.submit(work).result()
        except DatabaseError as error:
            self.close()
            raise _cannot_start(self._path, error) from error

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` on the writer thread, in a savepoint; returns when it is on the disk.

        Raises:
            whatever ``work`` raises; then nothing of it is kept, and the others of its group are not touched.
        """
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Like ``write``, from a thread without an event loop."""
        done: Future[T] = Future()
        self._jobs.put(_Job(work, done, contextvars.copy_context()))
        return done

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` on a read-only connection in another thread: it sees what is committed."""

        def run() -> T:
            # Each thread keeps its connection: to take one from a pool and to put it back costs more than most reads.
            conn: Connection | None = getattr(self._own, "conn", None)
            if conn is None:
                conn = self._own.conn = self._read_engine.connect()
                self._reading.append(conn)
            with conn.begin():
                return work(conn)

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
        self._jobs.put(None)
        self._writer.join()
        self._readers.shutdown()
        for conn in self._reading:
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

    def _run(self) -> None:
        with self._write_engine.connect() as conn:
            while True:
                group, last = self._take()
                if group:
                    began = time.perf_counter()
                    self._full |= _commit(conn, group)
                    self.committed(len(group), time.perf_counter() - began)
                if last:
                    return

    def _take(self) -> tuple[list[_Job], bool]:
        """Waits for one job and takes those that stand behind it; also says whether the end was reached."""
        group: list[_Job] = []
        while len(group) < GROUP:
            try:
                job = self._jobs.get(block=not group)
            except queue.Empty:
                break
            if job is None:
                return group, True
            if job.done.set_running_or_notify_cancel():
                group.append(job)
        return group, False


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


def _driver(conn: Connection) -> sqlite3.Connection:
    driver = conn.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _commit(conn: Connection, group: list[_Job]) -> bool:
    """Runs and commits a group; returns whether the database itself failed, as for want of disk."""
    failed = False
    outcomes: list[tuple[_Job, Any, Exception | None]] = []
    try:
        with conn.begin():
            driver = conn.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            for job in group:
                # The library's own way to a savepoint costs as much as a small job.
                driver.execute("SAVEPOINT job")
                try:
                    outcomes.append((job, job.context.run(job.work, conn), None))
                except Exception as error:  # noqa: BLE001 - handed to whoever asked, who is in another thread
                    driver.execute("ROLLBACK TO job")
                    outcomes.append((job, None, error))
                    failed |= outage(error) is not None
                driver.execute("RELEASE job")
    except Exception as error:  # noqa: BLE001 - the commit failed: nothing of the group is durable, all must hear it
        # A commit that a deferred key has refused leaves the transaction open; the next group needs its own.
        _driver(conn).rollback()
        for job in group:
            job.done.set_exception(error)
        return outage(error) is not None
    for job, result, failure in outcomes:
        if failure is None:
            job.done.set_result(result)
        else:
            job.done.set_exception(failure)
    return failed
