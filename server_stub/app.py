"""Puts the roles together into one application."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

import httpx
import structlog
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel
from sqlalchemy import MetaData
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from cardreader.sim.emv import issuer_keys
from server_stub import docs_page, metrics
from server_stub.backoffice import api as backoffice_api
from server_stub.backoffice import office as backoffice
from server_stub.backoffice import tables as backoffice_tables
from server_stub.boss import api as boss_api
from server_stub.boss import demo as boss_demo
from server_stub.boss import tables as boss_tables
from server_stub.boss.service import BossService
from server_stub.exchange import tables as exchange_tables
from server_stub.exchange.listener import Doorway
from server_stub.exchange.listener import Listener as ExchangeListener
from server_stub.exchange.service import ExchangeService
from server_stub.foundation import correlation, http
from server_stub.foundation.clock import Clock, Pauses, SystemClock, machine_pauses
from server_stub.foundation.database import Database, DatabaseFault, outage
from server_stub.foundation.day_exchange import DayExchange
from server_stub.foundation.files import Store
from server_stub.foundation.folders import Folder, account_password, folder_of
from server_stub.foundation.ids import Ids, RandomBytes
from server_stub.foundation.inside import Inside
from server_stub.foundation.measures import Measured, Measures
from server_stub.foundation.problems import ProblemBody
from server_stub.foundation.secret import SecretBytes, SecretText
from server_stub.foundation.startup import cannot_keep
from server_stub.foundation.vault import Vault, key_file, vault_file
from server_stub.foundation.working_keys import master_key
from server_stub.opening import NotThere, expect_both, open_role
from server_stub.ppp import api as ppp_api
from server_stub.ppp import tables as ppp_tables
from server_stub.ppp.accounts import any_opened
from server_stub.ppp.chip import MasterKeys
from server_stub.ppp.listener import Listener
from server_stub.ppp.service import PppService
from server_stub.sandbox import api as sandbox_api
from server_stub.sandbox import tables as sandbox_tables
from server_stub.sandbox.service import Gateway, SandboxService
from server_stub.settings import Settings, SettingsError
from server_stub.tsp import api as tsp_api
from server_stub.tsp import server_keys
from server_stub.tsp import tables as tsp_tables
from server_stub.tsp.boss_client import BossClient
from server_stub.tsp.door import AnswerSigner, Door
from server_stub.tsp.pos import Access
from server_stub.tsp.ppp_line import Line, TcpLine
from server_stub.tsp.service import TspService
from server_stub.wallets import provider

if TYPE_CHECKING:
    from server_stub.backoffice.passwords import Passwords

Role = TypeVar("Role")
ROLES = ("boss", "tsp", "sandbox", "ppp", "exchange", "backoffice")
NAME = "STB payment server"
NOTICES = "/notices/wallets/demo"
READY_SECONDS = 2.0
"""A database that does not answer a question about nothing in this time is not there for payments either."""
log = structlog.get_logger(__name__)


class Readiness(BaseModel):
    """Whether requests should be sent here.

    Attributes:
        waiting_for: ``stopping``, or the roles whose databases do not answer; empty when it is ready.
    """

    status: Literal["ready", "not-ready"]
    waiting_for: list[str]


class Health(BaseModel):
    """That the server answers, and with which roles."""

    status: str
    roles: list[str]


@dataclass(frozen=True, slots=True)
class World:
    """What an application is given from outside: tests give a simulated one.

    Attributes:
        own_url: where this process answers, for the roles in it that ask each other.
        public_url: where phones reach it.
        pauses: of threads that try again.
        client: makes the HTTP client with which roles reach others; given a time limit in seconds.
        attach: told of the application, once there is one, for clients that reach it without the network.
        database: opens a role's database, as ``open_role`` does.
        terminals: listens for PPP's terminals; None: nobody reaches PPP by the network.
        doorway: where the exchange listens; None: nobody reaches it.
        line: the way to a PPP; given host, port, and the seconds that connecting and answering may take.
        folder: where a role (the first) and a partner (the second) exchange files; None: as the settings say, or at the
            exchange of this process.
        authority: whose certificates are believed; None: those of the system's authorities.
        passwords: hashes those of staff; None: as they should be.
        environment: names of variables that are set, for whoever wants to know where a setting comes from.
    """

    clock: Clock
    random: RandomBytes
    own_url: str
    public_url: str
    pauses: Pauses
    client: Callable[[float], httpx.AsyncClient]
    attach: Callable[[ASGIApp], None] = lambda app: None
    database: Callable[[MetaData, Path, str, Pauses], Database] = open_role
    terminals: socket.socket | None = None
    doorway: Doorway | None = None
    line: Callable[[str, int, float, float], Line] = TcpLine
    folder: Callable[[str, str], Folder] | None = None
    authority: ssl.SSLContext | None = None
    passwords: Passwords | None = None
    environment: frozenset[str] = frozenset()


def real_world(
    own_url: str,
    public_url: str,
    authority: ssl.SSLContext | None = None,
    terminals: socket.socket | None = None,
    doorway: Doorway | None = None,
) -> World:
    """The machine's clock, randomness and network. The environment's proxies are not for our partners.

    Args:
        authority: whose certificates are believed; None: those of the system's authorities.
        terminals: listens for PPP's terminals.
        doorway: where the exchange listens.
    """
    ways: list[Inside] = []

    def client(seconds: float) -> httpx.AsyncClient:
        ways.append(Inside(seconds))
        return httpx.AsyncClient(
            timeout=seconds,
            trust_env=False,
            verify=True if authority is None else authority,
            mounts={own_url: ways[-1]},
        )

    def attach(app: ASGIApp) -> None:
        for way in ways:
            way.app = app

    return World(
        SystemClock(),
        os.urandom,
        own_url,
        public_url,
        machine_pauses(),
        client,
        attach,
        terminals=terminals,
        doorway=doorway,
        authority=authority,
        environment=frozenset(os.environ),
    )


def release() -> str:
    """The distribution's version."""
    try:
        return version("stb-pay")
    except PackageNotFoundError:
        return "0"


class Roles:
    """The roles of one process."""

    def __init__(self, settings: Settings, names: Sequence[str], data: Path, world: World) -> None:
        for name, url, variable in (
            ("boss", settings.boss_url, "STB_SERVER_BOSS_URL"),
            ("sandbox", settings.wallet_url, "STB_SERVER_WALLET_URL"),
        ):
            if "tsp" in names and name not in names and not url:
                raise SettingsError(f"role tsp without role {name}: set {variable} to where it answers")
        self._settings = settings
        self._data = data
        self._world = world
        self.clock = world.clock
        self.stopping = False
        self.under_way = http.UnderWay()
        self.measures = Measures(release(), tuple(names))
        self._ids = Ids(world.clock, world.random)
        if not settings.database and {"boss", "tsp"} <= {*names}:
            expect_both(data)
        # Before any key is made: a server that reaches no database, or has another one's folder, leaves nothing behind.
        every = (
            *(boss_tables.metadata, sandbox_tables.metadata, ppp_tables.metadata, tsp_tables.metadata),
            exchange_tables.metadata,
            backoffice_tables.metadata,
        )
        wanted = {one.info["role"]: one for one in every if one.info["role"] in names}
        self._databases = {role: self._open(metadata) for role, metadata in wanted.items()}
        vault = self._open_vault() if "tsp" in names else None
        self._key = settings.partner_key or SecretText(
            key_file(data / "partners.key").reveal().decode("ascii")
        )
        self.http = world.client(settings.partner_seconds)
        self.http.event_hooks = {"request": [correlation.hand_on]}
        self.boss = self._boss() if "boss" in names else None
        self.sandbox = self._sandbox() if "sandbox" in names else None
        self.ppp = self._ppp() if "ppp" in names else None
        self.exchange = self._exchange() if "exchange" in names else None
        self.tsp = None if vault is None else self._tsp(vault)
        self._exchange_days()
        self.backoffice = self._backoffice() if "backoffice" in names else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Background work runs; at the end everything is let go of, the asking roles before the asked.

        Raises:
            CannotStart: a database is away, or has no room.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.http.aclose)
            if self.exchange is not None:
                self.exchange.start()
                stack.push_async_callback(self.exchange.stop)
                if self._world.doorway is not None:
                    door = ExchangeListener(self.exchange, self._world.doorway)
                    await door.start()
                    stack.push_async_callback(door.stop)
            if self.boss is not None:
                self.boss.start()
                stack.push_async_callback(self.boss.stop)
            if self.sandbox is not None:
                self.sandbox.start()
                stack.push_async_callback(self.sandbox.stop)
            if self.ppp is not None:
                self.ppp.start()
                stack.push_async_callback(self.ppp.stop)
                if self._world.terminals is not None:
                    listener = Listener(self.ppp, self._world.terminals)
                    await listener.start()
                    stack.push_async_callback(listener.stop)
            if self.tsp is not None:
                self.tsp.start()
                stack.push_async_callback(self.tsp.stop)
            if self.backoffice is not None:
                self.backoffice.start()
                stack.push_async_callback(self.backoffice.stop)
            yield

    def folder(self, account: str, base: str = "") -> Folder | None:
        """The exchange of this process, as one of its own accounts has it; None where there is none.

        Args:
            account: ``tsp``, which sees the folders of all partners, each below its name; ``ppp``, ``boss``.
            base: a folder to begin in.
        """
        if self.exchange is None or self._world.doorway is None:
            return None
        host, port = self._world.doorway.address
        url = f"ftps://{account}@{f'[{host}]' if ':' in host else host}:{port}/{base}"
        return folder_of(url, account_password(self._key, account), self._world.doorway.own_context())

    def begin_stop(self) -> None:
        """From now on it is not ready for more; all long polls are answered."""
        self.stopping = True
        if self.tsp is not None:
            self.tsp.core.changes.close()

    def break_off(self) -> int:
        """What is still under way is answered with ``stopping``. Returns how many requests that were."""
        return self.under_way.break_off()

    async def not_ready(self) -> list[str]:
        """Why no requests should be sent here: ``stopping``, or the roles whose databases do not answer."""
        if self.stopping:
            return ["stopping"]
        return [role for role, database in self._databases.items() if not await _answers(database)]

    def _exchange_days(self) -> None:
        """What the roles tell each other of each day goes through agreed folders, where there are such."""
        calendar = self._settings.calendar
        theirs: tuple[tuple[BossService | PppService | None, MetaData], ...] = (
            (self.boss, boss_tables.metadata),
            (self.ppp, ppp_tables.metadata),
        )
        for service, metadata in theirs:
            exchange = None if service is None else self._day_exchange(metadata, "tsp")
            if service is not None and exchange is not None:
                service.exchange_days(exchange, calendar)
        if self.tsp is not None:
            ours = (self._day_exchange(tsp_tables.metadata, partner) for partner in ("boss", "ppp"))
            self.tsp.exchange_days(*ours, calendar=calendar)

    def _day_exchange(self, metadata: MetaData, partner: str) -> DayExchange | None:
        """One role's side of the folder that it shares with a partner."""
        role = metadata.info["role"]
        folder = self._agreed_folder(role, partner)
        if folder is None:
            return None
        return DayExchange(
            partner=partner,
            database=self._databases[role],
            clock=self._world.clock,
            ids=self._ids,
            files=metadata.info["files"],
            store=Store(self._data / "files" / role),
            folder=folder,
        )

    def _agreed_folder(self, role: str, partner: str) -> Folder | None:
        if self._world.folder is not None:
            return self._world.folder(role, partner)
        settings = self._settings
        url, password = {
            "boss": (settings.boss_files, settings.boss_files_password),
            "ppp": (settings.ppp_files, settings.ppp_files_password),
            "tsp": (settings.tsp_files, settings.tsp_files_password),
        }[partner]
        if not url:
            return self.folder(role, partner if role == "tsp" else "")
        # Without a password it is our own exchange, in another process.
        user = urlsplit(url).username or role
        authority = (
            self._world.doorway.own_context() if self._world.doorway is not None else self._world.authority
        )
        return folder_of(url, password or account_password(self._key, user), authority)

    def _open(self, metadata: MetaData) -> Database:
        """The database of the role whose tables these are."""
        database = self._world.database(metadata, self._data, self._settings.database, self._world.pauses)
        database.committed = self.measures.commits(metadata.info["role"])
        return database

    def _boss(self) -> BossService:
        database = self._databases["boss"]
        database.load(lambda conn: boss_demo.load(conn, self._ids, self._world.clock))
        return BossService(database, self._world.clock, self._ids, self._key)

    def _sandbox(self) -> SandboxService:
        gateway = Gateway(self.http, self._world.public_url, self._key, self._settings.late_settle_seconds)
        database = self._databases["sandbox"]
        return SandboxService(database, self._world.clock, self._ids, gateway)

    def _ppp(self) -> PppService:
        database = self._databases["ppp"]
        begun = database.submit(any_opened).result()
        return PppService(
            database,
            self._world.clock,
            self._ids,
            self._world.random,
            vault_file(self._data / "ppp.key", make=not begun),
            master_key(key_file(self._data / "terminal.key")),
            MasterKeys(SecretBytes(issuer_keys.MASTER_AC), SecretBytes(issuer_keys.MASTER_MAC)),
        )

    def _exchange(self) -> ExchangeService:
        return ExchangeService(
            self._databases["exchange"],
            self._world.clock,
            self._ids,
            self._data,
            self._key,
            self._settings.ftp_failures_per_hour,
        )

    def _open_vault(self) -> Vault:
        # A new key beside what the old one has sealed would only hide that the old one is lost.
        begun = self._databases["tsp"].submit(server_keys.any_made).result()
        return vault_file(self._data / "tsp.key", make=not begun)

    def _tsp(self, vault: Vault) -> TspService:
        own = self._world.own_url
        context = provider.Context(
            http=self.http,
            clock=self._world.clock,
            random=self._world.random,
            url=self._settings.wallet_url or own,
            notify_url=(self._settings.notify_url or own) + NOTICES,
            secret=self._key,
        )
        psams = self._data / "psams"
        try:
            psams.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise cannot_keep(psams, error) from error
        return TspService(
            self._databases["tsp"],
            self._world.clock,
            self._ids,
            vault,
            self._settings,
            BossClient(self.http, self._settings.boss_url or own, self._key),
            provider.find(context),
            self._world.random,
            psams,
            self._access(),
        )

    def _backoffice(self) -> backoffice.Office:
        """It looks into the books of the roles beside it; on a shared database also of those that run elsewhere."""
        beside = {role: one for role, one in self._databases.items() if role != "backoffice"}
        elsewhere: dict[str, Database] = {}
        if self._settings.database:
            for role in backoffice.METADATA.keys() - beside.keys() - {"backoffice"}:
                with suppress(NotThere):
                    elsewhere[role] = open_role(
                        backoffice.METADATA[role],
                        self._data,
                        self._settings.database,
                        self._world.pauses,
                        make=False,
                    )

        def let_go() -> None:
            for one in elsewhere.values():
                one.close()

        return backoffice.Office(
            self._databases["backoffice"],
            self._world.clock,
            self._world.random,
            self._settings,
            {**beside, **elsewhere},
            self.tsp,
            self._world.environment,
            self._world.passwords,
            let_go,
            exports=self._data / "exports",
            files=self._data / "files",
            noted=self.measures.signed_in,
        )

    def _access(self) -> Access | None:
        """The way to PPP; None where there is none."""
        host, _, port = self._settings.ppp_address.rpartition(":")
        if not host:
            if self.ppp is None or self._world.terminals is None:
                return None
            host, port = self._world.terminals.getsockname()[:2]
        tmk, part = master_key(key_file(self._data / "terminal.key")).reveal(), self._world.random(16)
        components = (part, bytes(a ^ b for a, b in zip(tmk, part, strict=True)))
        return Access(
            self._world.line(host, int(port), self._settings.partner_seconds, self._settings.ppp_seconds),
            self._settings.pos_terminal,
            self._settings.pos_merchant,
            [SecretBytes(one) for one in components],
        )


def build(settings: Settings, names: Sequence[str], data: Path, world: World) -> FastAPI:
    """The application with these roles (its ``state.roles``), whose ``running`` does their background work.

    Raises:
        SettingsError: a role lacks the address of another.
        CannotStart: a key or a database in the folder is not one.
    """
    roles = Roles(settings, names, data, world)
    app = application(names, lambda: roles)
    app.state.roles = roles
    world.attach(app)
    return app


def phone_application(roles: Roles) -> FastAPI:
    """What phones in the local network reach: the page behind a code of role sandbox, and nothing else."""
    app = FastAPI(title=NAME, docs_url=None, redoc_url=None, openapi_url=None)
    http.install(app, lambda: roles.under_way)
    app.include_router(sandbox_api.phone_page(lambda: _there(roles.sandbox), faults=False))
    return app


def application(names: Sequence[str], current: Callable[[], Roles]) -> FastAPI:
    """All routes of these roles.

    Args:
        current: the roles that answer; asked for with every request.
    """

    app = FastAPI(title=NAME, version=release(), docs_url=None, redoc_url=None)
    if "tsp" in names:
        app.add_middleware(Door, services=lambda: _there(current().tsp))
    http.install(app, lambda: current().under_way)
    if "tsp" in names:
        app.add_middleware(AnswerSigner, services=lambda: _there(current().tsp))
    app.add_middleware(Measured, measures=lambda: current().measures)
    metrics.install(app, current, guarded=True)
    routers = []
    if "tsp" in names:
        routers += tsp_api.routers(lambda: _there(current().tsp), NAME, release())
    if "boss" in names:
        routers.append(boss_api.router(lambda: _there(current().boss)))
    if "sandbox" in names:
        routers += sandbox_api.routers(lambda: _there(current().sandbox))
    if "ppp" in names:
        routers += ppp_api.routers(lambda: _there(current().ppp))
    for router in routers:
        # Not include_router: through that every request looks for its route twice.
        app.router.routes.extend(router.routes)
    if "backoffice" in names:
        app.router.routes.append(backoffice_api.mount(lambda: _there(current().backoffice)))

    @app.get("/healthz", tags=["Server"])
    async def healthz() -> Health:
        """That the server answers."""
        return Health(status="ok", roles=list(names))

    @app.get("/readyz", tags=["Server"], response_model=Readiness, responses={503: {"model": Readiness}})
    async def readyz(response: Response) -> Readiness:
        """Whether requests should be sent here: 503 while it stops, or while a database does not answer."""
        waiting = await current().not_ready()
        if waiting:
            response.status_code = 503
        return Readiness(status="not-ready" if waiting else "ready", waiting_for=waiting)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page.render(app.openapi()))

    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        # The problem bodies are answered by handlers, so the framework does not find their schema by itself.
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("ProblemBody", ProblemBody.model_json_schema())
        tsp_api.describe(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _answers(database: Database) -> bool:
    try:
        await asyncio.wait_for(database.probe(), READY_SECONDS)
    except (DatabaseFault, SQLAlchemyError, TimeoutError) as error:
        log.warning("database-silent", error=outage(error) or repr(error))
        return False
    return True


def _there(role: Role | None) -> Role:
    """A role whose routes were installed because it runs here."""
    assert role is not None
    return role
