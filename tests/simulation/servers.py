"""The server's roles, each a process of its own: killed between any two durable writes, started again over the same files."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import httpx
import psycopg
from fastapi import FastAPI
from sqlalchemy import MetaData, NullPool, create_engine, event
from sqlalchemy.exc import OperationalError

from cardreader.errors import CardRemoved
from cardreader.sim.psam import open_psam
from server_stub.app import Roles, World, application
from server_stub.foundation import migrations, statements
from server_stub.foundation.clock import CHINA, Pauses
from server_stub.foundation.database import untold
from server_stub.foundation.jobs import LEASE_SECONDS, Jobs
from server_stub.foundation.outbox import CLAIM_SECONDS, Outbox
from server_stub.foundation.postgresql import WAIT_SECONDS, PostgresqlDatabase
from server_stub.settings import Settings
from server_stub.tsp import psam_pool
from tests.simulation.loop import Actor, Gone, current_actor
from tests.simulation.plan import ROLES, Kill

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

START = datetime(2026, 6, 21, 2, 59, 0, tzinfo=CHINA)
"""Just before what is done at night."""
DISK_FULL = "database or disk is full"
COLLISIONS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
KEY_OVERLAP_S = 600
"""So long a box's old key is good beside its new one: old keys end within a run."""
HERE: contextvars.ContextVar[Process] = contextvars.ContextVar("process")
"""The process in which a task runs."""


def url_of(role: str) -> str:
    """Where a role answers in the simulated network."""
    return f"http://{role}"


class ServerClock:
    """A role's machine's clock, which may be stepped while the process runs."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def now(self) -> datetime:
        return self._host.now()

    async def sleep_until(self, instant: datetime) -> None:
        await asyncio.sleep(max(0.0, (instant - self.now()).total_seconds()))


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

    def load(self, work: Callable[[Any], Any]) -> None:
        self._commit(work)

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
        """What is done meanwhile cannot change anything."""
        sqlite = self.process.host.files.sqlite
        sqlite.execute("PRAGMA query_only=ON")
        try:
            yield
        finally:
            self.conn.rollback()
            sqlite.execute("PRAGMA query_only=OFF")

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


class PsamTap:
    """A PSAM's contacts: they may fail, and what passes over them is written down."""

    def __init__(self, process: Process, name: str, connection: Any) -> None:
        self._process = process
        self._name = name
        self._connection = connection
        self._failing = False

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        simulation = self._process.host.simulation
        purchase = apdu[:1] == b"\x80"
        random = simulation.random("psam")
        if purchase and simulation.faulty and random.random() < simulation.plan.psam_before:
            simulation.note(self._name, "does not answer")
            raise CardRemoved("the PSAM does not answer")
        answer: tuple[bytes, int] = self._connection.transmit(apdu)
        if purchase:
            simulation.note(self._name, f"{apdu[1]:02X} -> {answer[1]:04X}")
            if (apdu[1], answer[1]) == (0x72, 0x9000):
                simulation.psam_accepted += 1
            if simulation.faulty and random.random() < simulation.plan.psam_after:
                simulation.note(self._name, "its answer is lost")
                raise CardRemoved("the PSAM's answer is lost")
        return answer

    def close(self) -> None:
        self._connection.close()


class Process:
    """One process of one role, from its start to its death."""

    def __init__(self, host: Host, place: int) -> None:
        self.host = host
        self.place = place
        self.dead = False
        self.ready = False
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.context = contextvars.Context()
        self.context.run(HERE.set, self)
        self.roles: Roles
        self.database: SimulatedDatabase
        self.context.run(self._make)
        self.spawn(self._run())

    @property
    def name(self) -> str:
        """Of the role, and of its place where there are several."""
        return self.host.role if self.place == 0 else f"{self.host.role} {self.place + 1}"

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """A task of this process."""
        return self.host.simulation.loop.create_task(work, context=self.context.copy())

    def step(self, actor: Actor) -> None:
        """A thread waits. A dead process has none."""
        if self.dead:
            raise Gone

    def check(self) -> None:
        """A dead process does nothing any more."""
        if self.dead:
            raise asyncio.CancelledError

    async def pause(self, most_s: float) -> None:
        self.check()
        await asyncio.sleep(self.host.simulation.random("disk").random() * most_s)
        self.check()

    def about_to_commit(self) -> None:
        simulation = self.host.simulation
        full = simulation.faulty and self.ready
        if full and simulation.random("server disk").random() < simulation.plan.server_disk_full:
            simulation.note(self.host.role, "disk full")
            full_there = psycopg.errors.DiskFull(DISK_FULL)
            full_here = sqlite3.OperationalError(DISK_FULL)
            raise OperationalError("COMMIT", None, full_there if simulation.plan.postgresql else full_here)
        self._write(after=False)

    def committed(self) -> None:
        self._write(after=True)
        if self.ready:
            self.host.writes += 1

    def _write(self, *, after: bool) -> None:
        kill = self.host.kill_at(after) if self.ready else None
        if kill is not None:
            self.host.simulation.note(
                self.host.role, f"killed {'after' if after else 'before'} write {self.host.writes}"
            )
            self.host.kill(kill.down_s, self.place)
            raise asyncio.CancelledError

    def execute(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        """In place of a thread: carried out a little later, answered a little later again."""
        loop, random = self.host.simulation.loop, self.host.simulation.random("threads")
        done: asyncio.Future[Any] = loop.create_future()

        def answer(value: Any, error: BaseException | None) -> None:
            if self.dead or done.done():
                return
            if error is None:
                done.set_result(value)
            else:
                done.set_exception(error)

        def run() -> None:
            if self.dead:
                return
            try:
                value, error = work(), None
            except Exception as failure:  # noqa: BLE001 - handed to whoever asked
                value, error = None, failure
            loop.call_later(random.random() * 0.01, answer, value, error)

        loop.call_later(random.random() * 0.01, run)
        return done

    def die(self) -> None:
        """Nothing that it does reaches anything from here on."""
        self.dead = True
        for task in list(self.tasks):
            task.cancel()

    async def serve(self, request: Request) -> Answer:
        """One request through the real application."""
        body = request.body
        status, headers, parts = 500, [], []

        async def receive() -> dict[str, Any]:
            nonlocal body
            if body is None:
                await asyncio.get_running_loop().create_future()
            message, body = {"type": "http.request", "body": body, "more_body": False}, None
            return message

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], message["headers"]
            else:
                parts.append(message.get("body", b""))

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": request.query,
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers],
            "client": ("box", 1),
            "server": (self.host.role, 80),
        }
        try:
            await _application(self.host.role)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - whatever it is, the web server does not end with it
            self.host.simulation.log("error", "fault", {"exc_info": error})
            status, headers, parts = 500, [], [b'{"code": "outside"}']
        self.check()
        return Answer(status, headers, b"".join(parts))

    def _make(self) -> None:
        simulation = self.host.simulation
        settings = Settings(
            boss_url=url_of("boss"),
            wallet_url=url_of("sandbox"),
            notify_url=url_of("tsp"),
            psams=",".join(f"sim:{number}" for number in range(1, simulation.plan.psams + 1)),
            key_overlap_seconds=KEY_OVERLAP_S,
        )
        world = World(
            clock=ServerClock(self.host),
            random=simulation.random(f"ids {self.name}").randbytes,
            own_url=url_of(self.host.role),
            public_url=url_of("sandbox"),
            pauses=pauses_of(simulation),
            client=lambda seconds: httpx.AsyncClient(
                transport=simulation.network.transport(self), timeout=seconds, trust_env=False
            ),
            database=lambda metadata, *_: SimulatedDatabase(self, metadata),
        )
        self.roles = Roles(settings, (self.host.role,), self.host.folder, world)

    async def _run(self) -> None:
        async with self.roles.running():
            self.ready = True
            await asyncio.get_running_loop().create_future()


class Request:
    """A request on its way."""

    __slots__ = ("body", "headers", "method", "path", "query", "source")

    def __init__(
        self,
        source: str,
        method: str,
        path: str,
        query: bytes,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> None:
        self.source, self.method, self.path = source, method, path
        self.query, self.headers, self.body = query, headers, body

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


class Answer:
    """What came back."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


@functools.cache
def _application(role: str) -> FastAPI:
    """The routes of a role, dear to make: the same for all processes; who answers depends on where it is asked."""
    return application((role,), lambda: HERE.get().roles)


class Host:
    """The machine on which a role runs, in each place one process after the other.

    Args:
        processes: so many share its database.
    """

    def __init__(
        self, simulation: Simulation, role: str, folder: Path, content: bytes | None, processes: int = 1
    ) -> None:
        self.simulation = simulation
        self.role = role
        self.folder = folder
        self.files = Files(content)
        self.offset_s = 0.0
        self.writes = 0
        self.kills = [kill for kill in simulation.plan.kills if kill.role == role]
        self.places: list[Process | None] = [None] * processes

    def now(self) -> datetime:
        """What its clock says."""
        return START + timedelta(seconds=self.simulation.loop.time() + self.offset_s)

    def start(self) -> None:
        for place, process in enumerate(self.places):
            if process is None:
                self.simulation.note(self.role, f"starts{f' in place {place + 1}' if place else ''}")
                self.places[place] = Process(self, place)

    def kill(self, down_s: float | None, place: int = 0) -> None:
        """Ends a process where it stands; it comes back after so many seconds, or not."""
        process = self.places[place]
        if process is None:
            return
        process.die()
        self.places[place] = None
        if down_s is not None:
            self.simulation.loop.call_later(down_s, self.start)

    def process(self, random: Random) -> Process | None:
        """The one that a request comes to; None when none listens."""
        ready = [process for process in self.places if process is not None and process.ready]
        return random.choice(ready) if len(ready) > 1 else next(iter(ready), None)

    def kill_at(self, after: bool) -> Kill | None:
        """The kill that is due at the present write, if any."""
        if self.simulation.faulty:
            for kill in self.kills:
                if kill.at_write is not None and (kill.at_write, kill.after) == (self.writes, after):
                    self.kills.remove(kill)
                    return kill
        return None


def task_factory(loop: Any, work: Any, context: contextvars.Context | None = None) -> asyncio.Task[Any]:
    """Tasks know their process, and a process its tasks."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    process = HERE.get(None) if context is None else context.get(HERE)
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(lambda done: process.tasks.pop(done, None))
        if process.dead:
            task.cancel()
    return task


@contextmanager
def tapped_psams() -> Any:
    """PSAMs have contacts that can fail."""

    def tapped(number: int, state_dir: str | None, issuer: str = "known") -> PsamTap:
        process = HERE.get()
        random = process.host.simulation.random("psam challenges").randbytes
        return PsamTap(process, f"psam {number}", open_psam(number, state_dir, issuer, random=random))

    with patch.object(psam_pool, "open_psam", tapped):
        yield


@dataclass(slots=True)
class Held:
    """A piece of work in the hands of one process.

    Attributes:
        until: None while it has it.
        lease_s: so long it is nobody else's.
    """

    process: Process
    begun: float
    lease_s: float
    until: float | None = None


@contextmanager
def watched_work(simulation: Simulation) -> Any:
    """Who has which job and which delivery in hand, and when, is written down."""

    @contextmanager
    def hands(what: str, lease_s: float) -> Any:
        process = HERE.get()
        held = Held(process, simulation.loop.time(), lease_s)
        simulation.held.setdefault(f"{process.host.role} {what}", []).append(held)
        try:
            yield
        finally:
            held.until = simulation.loop.time()

    job, delivery = Jobs._run, Outbox._attempt

    async def run(self: Jobs, name: str) -> None:
        with hands(f"job {name}", LEASE_SECONDS):
            await job(self, name)

    async def attempt(self: Outbox, row: Any) -> None:
        with hands(f"delivery {row.id}", CLAIM_SECONDS):
            await delivery(self, row)

    with patch.object(Jobs, "_run", run), patch.object(Outbox, "_attempt", attempt):
        yield


@contextmanager
def seen_statements(simulation: Simulation) -> Any:
    """What is given to the driver by PostgreSQL's layer is seen."""
    run = statements._run

    def told(conn: Any, compiled: Any, *values: Any, **more: Any) -> Any:
        """What is given to the driver as it is is seen here."""
        process = HERE.get(None)
        if process is not None and process.ready and process.database.current is not None:
            process.database.current.statement(compiled.text)
        return run(conn, compiled, *values, **more)

    seen = told if simulation.plan.postgresql else run
    with patch.object(statements, "_run", seen):
        yield


__all__ = [
    "ROLES",
    "START",
    "Answer",
    "Files",
    "Held",
    "Host",
    "Process",
    "Request",
    "opened",
    "seen_statements",
    "tapped_psams",
    "watched_work",
]
