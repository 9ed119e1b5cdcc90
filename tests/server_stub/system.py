"""A whole server inside a test: a simulated clock, a network that can be cut, boxes and cards."""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
import shutil
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import httpx
from argon2 import Parameters, Type
from fastapi import FastAPI
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import MetaData, Table, select, update

from cardreader.errors import CardReaderError
from cardreader.purse import DebitProof, PurchaseInit, Purse
from cardreader.reader import Connection
from cardreader.sim.profiles import PROFILES, SimulatedCard
from cardreader.sim.store import open_store
from server_stub.app import ROLES, Roles, World, application
from server_stub.backoffice.passwords import Passwords
from server_stub.boss import tables as boss_tables
from server_stub.check import examine
from server_stub.exchange.listener import Doorway
from server_stub.foundation import migrations, postgresql
from server_stub.foundation.clock import CHINA, SimulatedClock, machine_pauses
from server_stub.foundation.database import Database, Prepare
from server_stub.foundation.folders import Folder, LocalFolder
from server_stub.foundation.sqlite import SqliteDatabase
from server_stub.settings import Settings
from server_stub.tsp import tables
from server_stub.tsp.service import TspService
from tests.postgres import cluster
from tests.server_stub.signing import ACTIVATION, SMART_CARDS, BoxKey

T = TypeVar("T")
_seeds = itertools.count()
_starts: Counter[Path] = Counter()
START = datetime(2026, 6, 21, 10, 0, 0, tzinfo=CHINA)
OWN = "http://server"
ORDER = {"service": "sports", "term": "monthly"}
PUBLIC = "http://192.168.100.200:8780"
CHEAP = Passwords(Parameters(Type.ID, 19, 16, 32, time_cost=1, memory_cost=8, parallelism=1))
"""Staff's passwords in tests: nobody has to guess them."""


class Network(httpx.AsyncBaseTransport):
    """Carries requests to the application in this process.

    Attributes:
        cut: paths that begin with one of these are not reached.
        deaf: requests to these arrive, but the answer is lost.
        seen: method and path of every request that arrived.
    """

    def __init__(self) -> None:
        self.cut: set[str] = set()
        self.deaf: set[str] = set()
        self.seen: list[tuple[str, str]] = []
        self._app: httpx.ASGITransport | None = None

    def attach(self, app: FastAPI) -> None:
        self._app = httpx.ASGITransport(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if any(path.startswith(part) for part in self.cut):
            raise httpx.ConnectError("cut", request=request)
        self.seen.append((request.method, path))
        assert self._app is not None
        response = await self._app.handle_async_request(request)
        if any(path.startswith(part) for part in self.deaf):
            raise httpx.ReadError("lost", request=request)
        return response


class Box:
    """A set-top box that talks to the TSP; checks the signature of every answer once it is enrolled."""

    def __init__(self, system: System, number: str, key: BoxKey | None = None) -> None:
        self.number = number
        self.key = key or BoxKey.of(f"{number} {next(_seeds)}")
        self._system = system
        self._keys = (f"{number}-key-{count:04d}" for count in itertools.count())

    def at(self, system: System) -> Box:
        """The same box, talking to a server that was started anew."""
        other = Box(system, self.number, self.key)
        other._keys = self._keys
        return other

    def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **query: Any
    ) -> httpx.Request:
        """A request that is not signed yet."""
        headers = {"STB-Number": self.number}
        if method == "POST":
            headers["Idempotency-Key"] = key or next(self._keys)
        return self._system.outside.build_request(
            method, f"{OWN}/stb/v1{path}", json=body, headers=headers, params=query
        )

    async def send(self, request: httpx.Request, **signature: Any) -> httpx.Response:
        """Signs it and sends it; ``signature`` as of ``BoxKey.sign``."""
        self.key.sign(request, self.number, self._system.clock.now(), **signature)
        answer = await self._system.outside.send(request)
        if self.key.server_keys:
            self.key.check(answer)
        return answer

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **query: Any
    ) -> httpx.Response:
        return await self.send(self.request(method, path, body, key=key, **query))

    async def get(self, path: str, **query: Any) -> Any:
        response = await self.call("GET", path, **query)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        response = await self.call("POST", path, body, key=key)
        assert response.is_success, response.text
        return response.json()

    async def refused(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """A request that must be refused: its problem."""
        response = await self.call("POST", path, body, key=key)
        assert response.status_code >= 400, response.text
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["status"] == response.status_code
        assert problem["type"] == f"urn:stb-pay:problem:{problem['code']}"
        return problem

    def papers(self, **other: str) -> dict[str, str]:
        """The body of an enrolment."""
        papers = {
            "box_number": self.number,
            "smart_card_number": SMART_CARDS.get(self.number, ""),
            "activation_code": ACTIVATION,
            "public_key": self.key.public,
        }
        return {**papers, **other}

    async def enrol(self, **other: str) -> Any:
        answer = await self.post("/enrolments", self.papers(**other))
        self.key.trust(answer["server_keys"])
        return answer

    async def order(self, service: str = "sports", term: str = "quarterly") -> Any:
        return await self.post("/orders", {"service": service, "term": term})

    async def pay(self, method: str, service: str = "sports", term: str = "quarterly") -> Any:
        """A fresh order, and a payment of it that has just begun."""
        order = await self.order(service, term)
        return await self.post(f"/orders/{order['order']}/payments", {"method": method})

    async def until(self, payment: str, reached: Callable[[Any], bool]) -> Any:
        """Follows a payment by long poll; the clock stands still meanwhile."""
        view = await self.get(f"/payments/{payment}")
        while not reached(view):
            view = await self.get(f"/payments/{payment}", after=view["version"], wait=25)
        return view

    async def state(self, payment: str, *states: str) -> Any:
        return await self.until(payment, lambda view: view["state"] in states)


class Card:
    """A purse card in a box's reader, and what the box does with it. Every box but the first has a card of its own."""

    def __init__(self, box: Box, profile: str = "good", folder: Path | None = None) -> None:
        self.box = box
        own = PROFILES[profile]
        if box.number != "85312048":
            own = replace(own, serial=own.serial[:12] + box.number)
        state = open_store(None if folder is None else str(folder), f"card-{profile}")
        self.card = SimulatedCard(own, state)
        self.card.power_on()
        self.purse = Purse(_Slot(self.card))
        self.begun: PurchaseInit | None = None

    def data(self, **other: Any) -> dict[str, Any]:
        information = self.purse.information
        return {
            "issuer_id": information.issuer_id.hex().upper(),
            "application_serial": information.application_serial.hex().upper(),
            "application_type": f"{information.application_type:02X}",
            "start_date": f"{information.start_date:%Y%m%d}",
            "expiry_date": f"{information.expiry_date:%Y%m%d}",
            "balance_fen": self.purse.balance_fen(),
            **other,
        }

    def initialize(self, leased: Any, amount_fen: int) -> dict[str, Any]:
        """INITIALIZE FOR PURCHASE; returns the body of ``init``."""
        terminal = bytes.fromhex(leased["terminal_number"])
        self.begun = self.purse.initialize_for_purchase(leased["key_index"], amount_fen, terminal)
        return {
            "balance_fen": self.begun.balance_fen,
            "offline_number": self.begun.offline_number,
            "overdraft_limit_fen": self.begun.overdraft_limit_fen,
            "key_version": self.begun.key_version,
            "algorithm_id": self.begun.algorithm_id,
            "random": self.begun.random.hex().upper(),
        }

    def debit(self, authorised: Any) -> DebitProof:
        names = ("terminal_transaction_number", "date", "time", "mac1")
        return self.purse.debit_for_purchase(*(bytes.fromhex(authorised[name]) for name in names))

    async def authorised(self, payment: Any) -> Any:
        """From the card check to MAC1."""
        path = f"/payments/{payment['payment']}"
        leased = await self.box.post(f"{path}/card", self.data())
        return await self.box.post(f"{path}/init", self.initialize(leased, payment["amount_fen"]))

    async def pay(self, payment: Any) -> Any:
        """The whole way; returns what ``debit`` was answered."""
        proof = self.debit(await self.authorised(payment))
        return await self.box.post(f"/payments/{payment['payment']}/debit", body_of(proof))

    def evidence(self, status_word: str) -> dict[str, Any]:
        """The body of ``not-debited``: number and balance as the card has them now."""
        return {
            "status_word": status_word,
            "offline_number": self.card.state.offline_number,
            "balance_fen": self.card.state.balance_fen,
        }


def body_of(proof: DebitProof) -> dict[str, str]:
    """The body of ``debit``."""
    return {"tac": proof.tac.hex().upper(), "mac2": proof.mac2.hex().upper()}


class _Slot:
    """A connection straight to a simulated card."""

    def __init__(self, card: Connection | Any) -> None:
        self._card = card

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        answer: tuple[bytes, int] = self._card.transmit(apdu)
        return answer

    def close(self) -> None:
        """Nothing to let go of."""


class System:
    """A server with all roles."""

    def __init__(
        self, roles: Roles, clock: SimulatedClock, network: Network, outside: httpx.AsyncClient
    ) -> None:
        self.roles = roles
        self.clock = clock
        self.network = network
        self.outside = outside
        self.made_up: set[str] = set()
        """Days whose totals a test has written down by itself: nobody debited what they say."""

    @property
    def tsp(self) -> TspService:
        assert self.roles.tsp is not None
        return self.roles.tsp

    async def box(self, number: str = "85312048") -> Box:
        """An enrolled box; by default that of a subscriber without history."""
        box = Box(self, number)
        await box.enrol()
        return box

    async def phone(self, payload: str, verb: str = "") -> httpx.Response:
        """A phone opens a code's page, or presses one of its buttons."""
        url = payload.replace(PUBLIC, OWN)
        if not verb:
            return await self.outside.get(url)
        return await self.outside.post(f"{url}/{verb}", follow_redirects=True)

    async def boss(self, work: Callable[[SqlConnection], T]) -> T:
        """Changes something in BOSS's own tables."""
        assert self.roles.boss is not None
        return await self.roles.boss.database.write(work)

    async def grouped(self, service: str, group: str | None) -> None:
        """BOSS's catalogue changes: a service is of that exclusive group from now on, or of none."""
        products = boss_tables.products
        changed = update(products).where(products.c.service == service).values(exclusive_group=group)
        await self.boss(lambda conn: conn.execute(changed))

    async def rows(self, table: Table) -> list[Any]:
        """All rows of one of the TSP's tables."""
        return await self.tsp.core.database.read(lambda conn: list(conn.execute(select(table))))

    async def tried(self, topic: str) -> None:
        """Returns once the TSP's outbox has tried a delivery in vain and written that down."""
        while not any(row.topic == topic and row.attempts for row in await self.rows(tables.outbox)):
            pass


class Stand:
    """One application for all tests: its routes are the same for every server, and dear to make."""

    def __init__(self) -> None:
        self.roles: Roles | None = None
        self.app = application(ROLES, self.current)

    def current(self) -> Roles:
        assert self.roles is not None, "no server is running"
        return self.roles


@functools.cache
def stand() -> Stand:
    """Made by the first test that needs it."""
    return Stand()


def exchange_below(data: Path) -> Callable[[str, str], Folder]:
    """A folder in place of the file exchange: the platform sees that of every partner, a partner its own."""
    for name in ("ppp/XFMX", "ppp/XFJG", "ppp/QSMX", "boss/DZMX"):
        (data / "exchange" / name).mkdir(parents=True, exist_ok=True)
    return lambda role, partner: LocalFolder(data / "exchange" / (partner if role == "tsp" else role))


def world_of(
    data: Path,
    clock: SimulatedClock,
    network: Network,
    terminals: socket.socket | None = None,
    folder: Callable[[str, str], Folder] | None = None,
) -> World:
    """A simulated world; its randomness depends on folder and time, and is another one at every start."""
    _starts[data] += 1
    return World(
        clock=clock,
        random=random.Random(f"{data.name}{clock.now()}{_starts[data]}").randbytes,
        own_url=OWN,
        public_url=PUBLIC,
        pauses=machine_pauses(),
        client=lambda seconds: httpx.AsyncClient(transport=network),
        terminals=terminals,
        folder=folder,
        passwords=CHEAP,
    )


@functools.cache
def first_start() -> TemporaryDirectory[str]:
    """A folder as the first start leaves it: keys, tables, demo data. Made once, by a real start."""
    folder = TemporaryDirectory(prefix="stb-server-test-")
    data = Path(folder.name)
    roles = Roles(Settings(psams=""), ROLES, data, world_of(data, SimulatedClock(START), Network()))
    every = (roles.tsp, roles.boss, roles.sandbox, roles.ppp, roles.exchange, roles.backoffice)
    for role in every:
        assert role is not None
        role.database.close()
    return folder


@functools.cache
def first_database() -> str:
    """A PostgreSQL database as the first start over the same keys leaves it; copied, never used."""
    name = cluster().make()
    settings = Settings(psams="", database=cluster().url(name))
    data = Path(first_start().name)
    roles = Roles(settings, ROLES, data, world_of(data, SimulatedClock(START), Network()))
    every = (roles.tsp, roles.boss, roles.sandbox, roles.ppp, roles.exchange, roles.backoffice)
    for role in every:
        assert role is not None
        role.database.close()
    return name


class Databases:
    """Where servers in tests keep their rows: in SQLite files, or in a PostgreSQL database for each folder.

    Attributes:
        kind: ``"sqlite"`` or ``"postgresql"``.
    """

    def __init__(self) -> None:
        self.kind = "sqlite"
        self._made: dict[Path, str] = {}

    def of(self, data: Path) -> str:
        """What ``--database`` says for a server over that folder."""
        if self.kind == "sqlite":
            return ""
        if data not in self._made:
            self._made[data] = cluster().make(first_database())
        return cluster().url(self._made[data])

    def keep(self, data: Path) -> str:
        """The database of a folder outlives the test, to be copied by others; its name, or nothing."""
        return self._made.pop(data, "")

    def copy(self, kept: str, data: Path) -> None:
        """A copy of a kept database is that of this folder."""
        if kept:
            self._made[data] = cluster().make(kept)

    def empty(self, data: Path) -> str:
        """The same, where nothing has ever run."""
        if self.kind == "sqlite":
            return ""
        self._made[data] = cluster().make()
        return cluster().url(self._made[data])

    def open(self, path: Path, prepare: Prepare) -> Database:
        """A database by itself: the file, or the PostgreSQL database that stands for it."""
        if self.kind == "sqlite":
            return SqliteDatabase(path, prepare)
        if path not in self._made:
            self._made[path] = cluster().make()
        return self._connect(path, "role", prepare)

    def open_role(self, data: Path, metadata: MetaData) -> Database:
        """The tables of a role whose server is over that folder; with PostgreSQL it may be running."""
        role, prepare = metadata.info["role"], migrations.prepare(metadata)
        if not self.of(data):
            return SqliteDatabase(data / f"{role}.db", prepare)
        return self._connect(data, role, prepare)

    def _connect(self, path: Path, schema: str, prepare: Prepare) -> Database:
        url = postgresql.address(cluster().url(self._made[path]))
        return postgresql.PostgresqlDatabase(url, schema, prepare, machine_pauses())

    def drop(self) -> None:
        """The test is over."""
        for name in self._made.values():
            cluster().drop(name)
        self._made.clear()


databases = Databases()
FEW = frozenset({"backoffice", "exchange"})
"""Roles that few tests want."""


@contextlib.asynccontextmanager
async def running(
    data: Path,
    settings: Settings | None = None,
    clock: SimulatedClock | None = None,
    terminals: socket.socket | None = None,
    folder: Callable[[str, str], Folder] | None = None,
    without: frozenset[str] = FEW,
    doorway: Doorway | None = None,
) -> AsyncIterator[System]:
    """A server over that folder; one at a time. At the end of a test that went well all that must be true is.

    Its roles reach each other through ``network``, the test from outside.

    Args:
        without: roles that do not run.
        terminals: where PPP listens; without it there is no PPP for the TSP.
        folder: where files of a day are exchanged.
        doorway: where the exchange listens; without it there is none.
    """
    network = Network()
    if not data.exists() or not any(data.iterdir()):
        shutil.copytree(first_start().name, data, dirs_exist_ok=True)
    clock = clock or SimulatedClock(START)
    settings = replace(settings or Settings(), database=databases.of(data))
    # Opening a role's tables takes a while, and few tests have a terminal for PPP, or partners.
    needless = {*without, *(() if terminals is not None else ("ppp",))}
    needless -= set() if doorway is None else {"exchange"}
    names = tuple(name for name in ROLES if name not in needless)
    world = replace(world_of(data, clock, network, terminals, folder), doorway=doorway)
    roles = Roles(settings, names, data, world)
    app = stand().app
    network.attach(app)
    assert stand().roles is None
    stand().roles = roles
    try:
        async with (
            roles.running(),
            httpx.AsyncClient(transport=httpx.ASGITransport(app)) as outside,
        ):
            system = System(roles, clock, network, outside)
            yield system
            await proved(system)
    finally:
        stand().roles = None


@contextlib.asynccontextmanager
async def running_with_ppp(
    data: Path,
    settings: Settings | None = None,
    clock: SimulatedClock | None = None,
    folder: Callable[[str, str], Folder] | None = None,
    without: frozenset[str] = FEW,
    doorway: Doorway | None = None,
) -> AsyncIterator[System]:
    """The same with PPP, on a line that is not simulated."""
    with socket.create_server(("127.0.0.1", 0)) as terminals:
        async with running(data, settings, clock, terminals, folder, without, doorway) as system:
            yield system


async def proved(system: System) -> None:
    """Asserts what ``stb-server check`` asks for, as of now.

    Time that a test has let pass without leave for anybody to work is not held against the server.
    """
    now = datetime.min.replace(tzinfo=CHINA) + timedelta(days=366)
    # An order that BOSS has lost is how tests have it refuse a service that was paid.
    wrong = [one for one in await faults(system, now) if "of nothing at BOSS" not in one]
    wrong = [one for one in wrong if not any(f"day {day} says" in one for day in system.made_up)]
    assert not wrong, wrong


async def faults(system: System, now: datetime | None = None) -> list[str]:
    """What ``stb-server check`` finds wrong with a running server."""
    assert system.roles.boss is not None
    core = system.tsp.core
    ppp = None if system.roles.ppp is None else system.roles.ppp.database
    found = await examine(
        core.database, system.roles.boss.database, ppp, now or core.clock.now(), core.settings
    )
    return [f"{finding.name}: {fault}" for finding in found for fault in finding.faults]


async def decided_by_two_from(system: System, fen: int) -> None:
    """A server that has started since has noted this limit: from it on, a second person is wanted."""
    limit = (
        tables.operating.update().where(tables.operating.c.name == "case_second_fen").values(value=f"{fen}")
    )
    await system.tsp.database.write(lambda conn: conn.execute(limit))


def works(attempt: Callable[[], Any]) -> bool:
    """Whether a card did what it was told."""
    try:
        attempt()
    except CardReaderError:
        return False
    return True


async def code(answer: httpx.Response) -> str:
    """The code of a refusal."""
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code >= 400
    return str(problem["code"])


async def sent(system: System, request: httpx.Request) -> str:
    """The code that a request which was signed and then changed is refused with."""
    return await code(await system.outside.send(request))


def signed(box: Box, system: System, **other: Any) -> httpx.Request:
    """An order as the box signs it, but for what is to be other."""
    request = box.request("POST", "/orders", ORDER)
    return box.key.sign(request, box.number, system.clock.now(), **other)
