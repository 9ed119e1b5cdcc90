"""The whole chain in one process: the box's journey and client, HTTP, the TSP with its HSM, ISO 8583, PPP, issuer and BOSS."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select

from cardreader.reader import Reader
from cardreader.secret import Pin, SecretText
from server_stub.app import ROLES, Roles, build, real_world
from server_stub.check import examine
from server_stub.foundation.clock import CHINA
from server_stub.main import bind
from server_stub.ppp.tables import transactions
from server_stub.settings import Settings
from server_stub.tsp.tables import cases
from stb_app.journeys.card_payment import CardPayment
from stb_app.journeys.cash_load import CashLoad
from stb_app.journeys.memory import Memory
from stb_app.journeys.recovery import Recovery, RecoveryStep
from stb_app.journeys.steps import CardPrompt, CardStep, Finished, LoadEnded, LoadsOpen, LoadStep
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Load
from stb_app.tsp.signing import Identity
from tests.server_stub.signing import ACTIVATION, SMART_CARDS
from tests.server_stub.system import first_start
from tests.stb_app.journeys.bench import BOX as TERMINAL_AND_TIME
from tests.stb_app.journeys.bench import FastWaits

T = TypeVar("T")
BOX = "85312048"
PIN = "123456"
BOX_AS_TERMINAL, _ = TERMINAL_AND_TIME
LIMIT_S = 20.0


class Chain:
    """A box that is enrolled at a server of the same process."""

    def __init__(
        self, roles: Roles, loop: asyncio.AbstractEventLoop, url: str, folder: Path, waits: Waits
    ) -> None:
        self._roles = roles
        self._waits = waits
        self._loop = loop
        self.cards = str(folder / "cards")
        self._keys = (f"key-{count:08d}" for count in itertools.count())
        self.client = TspClient(url)
        counter = itertools.count(1)
        identity = Identity(BOX, Ed25519PrivateKey.generate(), lambda: next(counter), os.urandom, {})
        self.client.enrol(identity, SMART_CARDS[BOX], SecretText(ACTIVATION), next(self._keys))

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Has something done by the server."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)

    def pay(self, reader: Reader, service: str = "sports") -> Finished:
        """Orders a service and pays it with the card in the reader: as a subscriber who does what the box asks for."""
        order = self.client.order(service, "per-use", next(self._keys))
        memory, steps = Memory(None), list[CardStep]()
        journey = CardPayment(
            self.client, reader, memory, self._waits, lambda: next(self._keys), order,
            lambda: datetime.now(CHINA), threading.Lock(), terminal=BOX_AS_TERMINAL,
        )  # fmt: skip

        def post(step: CardStep) -> None:
            steps.append(step)
            if isinstance(step, CardPrompt):
                if step.prompt in ("enter-pin", "wrong-pin"):
                    journey.enter_pin(Pin(PIN))
                elif step.prompt == "confirm-cash":
                    journey.agree()
                elif step.prompt == "remove":
                    journey.go_on()

        journey.run(post)
        end = steps[-1]
        assert isinstance(end, Finished)
        return end

    def load(
        self, reader: Reader, amount_fen: int, memory: Memory | None = None, put_back: bool = True
    ) -> tuple[LoadEnded, Load]:
        """Loads electronic cash onto the card in the reader: what the subscriber is told, and what the TSP has at last.

        Args:
            put_back: the card, when it is asked for; else the page is left, and the TSP has no end yet.
        """
        steps, begun = list[LoadStep](), list[Load]()
        client = self.client.under("")

        def begin(amount_fen: int, key: str) -> Load:
            begun.append(self.client.begin_load(amount_fen, key))
            return begun[-1]

        client.begin_load = begin  # type: ignore[method-assign]
        journey = CashLoad(
            client, reader, memory or Memory(None), self._waits, lambda: next(self._keys),
            lambda: datetime.now(CHINA), threading.Lock(), BOX_AS_TERMINAL, amount_fen,
        )  # fmt: skip

        def post(step: LoadStep) -> None:
            steps.append(step)
            if isinstance(step, CardPrompt) and step.prompt == "enter-pin":
                journey.enter_pin(Pin(PIN))
            elif isinstance(step, CardPrompt) and step.prompt == "put-back" and not put_back:
                journey.cancel()

        journey.run(post)
        end = steps[-1]
        assert isinstance(end, LoadEnded)
        if not put_back:
            return end, self.client.load(begun[0].load)
        until = time.monotonic() + LIMIT_S
        while (load := self.client.load(begun[0].load)).money == "unknown":
            assert time.monotonic() < until, load
        return end, load

    def recover(self, reader: Reader, memory: Memory) -> list[RecoveryStep]:
        """What the box's background says until nothing of a load is open any more."""
        steps = list[RecoveryStep]()
        recovery = Recovery(
            self.client,
            reader,
            memory,
            self._waits,
            threading.Lock(),
            BOX_AS_TERMINAL,
            lambda: datetime.now(CHINA),
        )
        until = time.monotonic() + LIMIT_S

        def post(step: RecoveryStep) -> None:
            assert time.monotonic() < until, steps
            steps.append(step)
            if step == LoadsOpen(()):
                recovery.cancel()

        recovery.run(post)
        return steps

    def state(self, payment: str) -> tuple[str, str]:
        """State and money of a payment, once that is known."""
        until = time.monotonic() + LIMIT_S
        while True:
            told = self.client.payment(payment)
            if told.money != "unknown" and told.state not in ("paid", "preparing"):
                return told.state, told.money
            assert time.monotonic() < until, told
            self.client.payment(payment, told.version, 5)

    def cases(self, payment: str) -> list[str]:
        """What a person has to look at about a payment."""
        assert self._roles.tsp is not None
        kinds = select(cases.c.kind).where((cases.c.payment_id == payment) & (cases.c.state == "open"))
        return self.call(self._roles.tsp.database.read(lambda conn: list(conn.scalars(kinds))))

    def faults(self) -> list[str]:
        """What the books of TSP, BOSS and PPP say against each other or themselves."""
        roles = self._roles
        assert roles.tsp is not None
        assert roles.boss is not None
        assert roles.ppp is not None
        core = roles.tsp.core
        found = self.call(
            examine(core.database, roles.boss.database, roles.ppp.database, core.clock.now(), core.settings)
        )
        return [f"{finding.name}: {fault}" for finding in found for fault in finding.faults]

    def taken_fen(self) -> int:
        """What the issuer has taken from all its accounts, for sales and loads."""
        assert self._roles.ppp is not None
        sales = select(func.coalesce(func.sum(transactions.c.amount_fen), 0)).where(
            transactions.c.state == "approved"
        )
        return int(self.call(self._roles.ppp.database.read(lambda conn: conn.execute(sales).scalar_one())))


@contextmanager
def running(folder: Path, waits: Waits | None = None) -> Iterator[Chain]:
    """A server in a thread, on the machine's clock, until the end of the block.

    Args:
        waits: of the box; else it does not wait at all.
    """
    data = folder / "server"
    shutil.copytree(first_start().name, data)
    listener, terminals = bind("127.0.0.1", 0), socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings(psams="sim:1", ppp_seconds=5.0, card_attempts_per_hour=10_000)
    app = build(settings, ROLES, data, real_world(url, "", terminals=terminals))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="off"))
    started: list[asyncio.AbstractEventLoop] = []
    ready = threading.Event()

    async def serve() -> None:
        async with app.state.roles.running():
            started.append(asyncio.get_running_loop())
            ready.set()
            await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="server")
    thread.start()
    try:
        assert ready.wait(LIMIT_S)
        yield Chain(app.state.roles, started[0], url, folder / "box", waits or FastWaits())
    finally:
        server.should_exit = True
        thread.join(LIMIT_S)
