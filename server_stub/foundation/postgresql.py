"""PostgreSQL: transactions in threads over pools of connections, run again where they collided.

Any number of processes may be at one database. What must hold is held by row locks, unique constraints and
state checks inside the transactions (READ COMMITTED), never by a lock of one process.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from server_stub.foundation import compiled
from server_stub.foundation.clock import Pauses
from server_stub.foundation.database import NoConnection, OutcomeUnknown, Prepare, outcome, untold
from server_stub.foundation.startup import CannotStart

T = TypeVar("T")
OLDEST = 15
"""The oldest major version that is tried."""
WRITERS = 8
"""Connections that write, for each role of a process: so many commits at once share fsyncs."""
READERS = 4
CONNECT_SECONDS = 5
WAIT_SECONDS = 10.0
"""How long anybody waits for a thread, a connection and a transaction that goes through, all together."""
LOCK_SECONDS = 5
"""How long one statement waits for a row; longer than PostgreSQL takes to find a deadlock."""
STATEMENT_SECONDS = 10
IDLE_SECONDS = 30
"""A transaction that does nothing for so long is not ours any more: its process hangs."""
UPGRADE_SECONDS = 120
"""How long a start waits for another one to change the tables."""
PATIENCE = {
    "lock_timeout": f"{UPGRADE_SECONDS}s",
    "statement_timeout": 0,
    "idle_in_transaction_session_timeout": 0,
}
"""While tables are made or changed."""
UPGRADE_LOCK = 0x5354_4250
_PIN = """DO $$ DECLARE one regprocedure; BEGIN
    FOR one IN SELECT oid FROM pg_proc
            WHERE pronamespace = current_schema()::regnamespace AND prorettype = 'trigger'::regtype LOOP
        EXECUTE 'ALTER FUNCTION ' || one || ' SET search_path = ' || quote_ident(current_schema()) || ', pg_temp';
    END LOOP;
END $$"""
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.5
"""Seconds between two tries: doubled each time, and half of it at random."""
COLLISIONS = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected (PostgreSQL, appendix A)."""
NOT_NOW = ("08", "57P", "53300")
"""Connection exceptions, the server stopping or starting, too many connections."""


def address(url: str) -> URL:
    """What ``--database`` says.

    Raises:
        CannotStart: it is no address of a PostgreSQL database. The text does not repeat it: it may have a password.
    """
    wanted = "--database (STB_SERVER_DATABASE): an address like postgresql://user@host:5432/stb is wanted"
    try:
        made = make_url(url)
        if made.drivername not in ("postgresql", "postgres", "postgresql+psycopg") or not made.database:
            raise CannotStart(wanted)
    except (ArgumentError, ValueError):
        raise CannotStart(wanted) from None
    return made.set(drivername="postgresql+psycopg")


class PostgresqlDatabase:
    """One role's schema in a PostgreSQL database.

    Args:
        url: from ``address``.
        schema: the role's; made if it is missing.
        prepare: makes or changes the tables.
        pauses: before another try, and for how long to try.

    Raises:
        CannotStart: it cannot be reached or used; the text is one line and has no password.
    """

    shared = True

    def __init__(self, url: URL, schema: str, prepare: Prepare, pauses: Pauses) -> None:
        self._pauses = pauses
        self.committed: Callable[[int, float], None] = untold
        self._write_engine = _engine(url, schema, WRITERS, "READ COMMITTED", {})
        _make_ready(self._write_engine, schema, prepare)
        self._read_engine = _engine(
            url, schema, READERS, "REPEATABLE READ", {"default_transaction_read_only": "on"}
        )
        self._read_engine.dialect.statement_compiler = _WithoutLocks
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix=f"write-{schema}")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"read-{schema}")
        self._place = f"the database at {_place(url)}"

    def load(self, work: Callable[[Connection], T]) -> T:
        """Like ``submit``, one process after the other. Raises CannotStart; it is closed then."""

        def alone(conn: Connection) -> T:
            conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
            return work(conn)

        try:
            return self.submit(alone).result()
        except (DBAPIError, NoConnection, OutcomeUnknown) as error:
            self.close()
            raise CannotStart(f"{self._place} cannot be written: {_line(error)}") from error

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` in one transaction, again where it collided or its connection broke before the commit.

        Raises:
            whatever ``work`` raises; then nothing of it is kept. NoConnection, OutcomeUnknown.
        """
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Like ``write``, from a thread without an event loop."""
        until = self._pauses.monotonic() + WAIT_SECONDS
        # The thread knows what the asking task is at: whose key press it was.
        run = contextvars.copy_context().run
        return self._writers.submit(run, self._run, self._write_engine, work, until)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs ``work`` in a read-only transaction: it sees what is committed, all of one moment."""
        until = self._pauses.monotonic() + WAIT_SECONDS
        return await asyncio.wrap_future(self._readers.submit(self._run, self._read_engine, work, until))

    look = read

    async def probe(self) -> None:
        """Asks about nothing. Raises NoConnection."""
        await self.read(lambda conn: conn.execute(text("SELECT 1")).scalar())

    def close(self) -> None:
        """Ends what was handed in and lets go of the connections."""
        self._writers.shutdown()
        self._readers.shutdown()
        self._write_engine.dispose()
        self._read_engine.dispose()

    def _run(self, engine: Engine, work: Callable[[Connection], T], until: float) -> T:
        pause, cause = FIRST_PAUSE, None
        while (began := self._pauses.monotonic()) < until:
            try:
                result = _once(engine, partial(outcome, work))
            except PoolTimeout as error:
                cause = str(error)
            except DBAPIError as error:
                if not _worth_another_try(error):
                    raise
                cause = _line(error)
            else:
                if engine is self._write_engine:
                    self.committed(1, self._pauses.monotonic() - began)
                return result
            self._pauses.pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        raise NoConnection(f"no transaction in {WAIT_SECONDS:g} s: {cause or 'all connections were in use'}")


class _WithoutLocks(PGCompiler_psycopg):
    """For connections that only read: a row cannot be locked there, as in SQLite, whose compiler does the same."""

    def for_update_clause(self, select: Any, **_: Any) -> str:
        return ""


def _once(engine: Engine, work: Callable[[Connection], T]) -> T:
    committing = False
    try:
        with engine.connect() as conn, conn.begin():
            result = work(conn)
            committing = True
        return result
    except DBAPIError as error:
        if committing and _sqlstate(error) not in COLLISIONS and error.connection_invalidated:
            raise OutcomeUnknown("the connection was lost while it committed") from error
        raise


def _worth_another_try(error: DBAPIError) -> bool:
    """Whether nothing is kept of a transaction, and the same may go through later."""
    state = _sqlstate(error)
    if state is None:  # the driver's own word: no connection, or none any more
        return isinstance(error, OperationalError)
    return error.connection_invalidated or state in COLLISIONS or state.startswith(NOT_NOW)


def _sqlstate(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def _engine(url: URL, schema: str, size: int, isolation: Any, settings: dict[str, str]) -> Engine:
    return create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS,
        pool_use_lifo=True,
        isolation_level=isolation,
        hide_parameters=True,  # an error's text goes to the log: no values of ours
        execution_options=compiled.SHARED,
        use_native_hstore=False,  # else every new connection asks whether there is such a type
        connect_args=_arguments(
            url,
            search_path=schema,
            lock_timeout=f"{LOCK_SECONDS}s",
            statement_timeout=f"{STATEMENT_SECONDS}s",
            idle_in_transaction_session_timeout=f"{IDLE_SECONDS}s",
            **settings,
        ),
    )


def _arguments(url: URL, **settings: str) -> dict[str, Any]:
    """For the driver: the session's settings, after those of the address."""
    said = url.query.get("options", "")
    options = [said if isinstance(said, str) else " ".join(said)]
    options += [f"-c {name}={value}" for name, value in settings.items()]
    return {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "stb-server",
        "options": " ".join(options).strip(),
    }


def pin_functions(conn: Connection) -> None:
    """Makes the role's trigger functions look only at the role's own tables, whatever the session's search_path puts
    before them; temporary tables come first unless they are named. Nothing where there are no functions.
    """
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql(_PIN)


def _make_ready(engine: Engine, schema: str, prepare: Prepare) -> None:
    """Makes schema and tables, or changes them; of several processes that start at once, one after the other.

    Raises:
        CannotStart: the engine is of no more use then.
    """
    place = _place(engine.url)
    try:
        with engine.begin() as conn:
            # A long table takes its time.
            for name, span in PATIENCE.items():
                conn.execute(text(f"SET LOCAL {name} = '{span}'"))
            version = conn.execute(
                text("SELECT current_setting('server_version_num')::int / 10000")
            ).scalar_one()
            if version < OLDEST:
                raise CannotStart(
                    f"the server at {place} is PostgreSQL {version}; {OLDEST} or newer is wanted"
                )
            conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
            there = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
            if conn.execute(there, {"name": schema}).first() is None:
                conn.execute(text(f'CREATE SCHEMA "{schema}"'))
            _prepare(conn, prepare, f"schema {schema} of the database at {place}")
    except DBAPIError as error:
        engine.dispose()
        raise CannotStart(f"the database at {place} cannot be used: {_line(error)}") from error
    except CannotStart:
        engine.dispose()
        raise


def _prepare(conn: Connection, prepare: Prepare, place: str) -> None:
    try:
        prepare(conn)
    except CannotStart as error:
        raise CannotStart(f"{place}: {error}") from error


def _place(url: URL) -> str:
    """Where it is, for people: without user, password and options."""
    return f"{url.host or 'the local socket'}{f':{url.port}' if url.port else ''}/{url.database}"


def _line(error: Exception) -> str:
    """A driver's words as one line."""
    return " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
