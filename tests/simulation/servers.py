"""The server's roles, each a process of its own: killed between any two durable writes, started again over the same files."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from server_stub.app import Roles, World, application
from server_stub.foundation.clock import CHINA
from server_stub.settings import Settings
from tests.simulation import nights
from tests.simulation.databases import DISK_FULL, Files, SimulatedDatabase, pauses_of
from tests.simulation.loop import Actor, Gone
from tests.simulation.plan import Kill

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

START = datetime(2026, 6, 21, 2, 59, 0, tzinfo=CHINA)
"""Just before what is done at night."""
LINE = "/iso8583"
"""The way of messages on the line between TSP and PPP, which has no paths."""
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
        """One request through the real application; a message of PPP's terminals to PPP itself."""
        body = request.body
        if request.path == LINE:
            assert self.roles.ppp is not None
            try:
                return Answer(200, [], await self.roles.ppp.answer(body))
            except Exception as error:  # noqa: BLE001 - the listener breaks off, and goes on
                self.host.simulation.log("error", "fault", {"exc_info": error})
                return Answer(500, [], b"{}")
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
            ppp_address="ppp:1" if simulation.plan.debit or simulation.plan.nights else "",
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
            line=lambda host, port, connect_s, answer_s: simulation.network.line(self, answer_s),
            folder=partial(nights.folder_of, simulation) if simulation.plan.nights else None,
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
