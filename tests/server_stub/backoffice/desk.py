"""A back office inside a test: staff who sign in, fill in forms and read pages; and one with a day's business behind it."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from sqlalchemy import insert, select

from server_stub.backoffice import staff
from server_stub.backoffice.office import Office
from server_stub.backoffice.rights import roles_of
from server_stub.exchange import partners
from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.files import Store
from server_stub.reconciliation.healing import SETTLED_LATE, Tally
from server_stub.reconciliation.records import Totals
from server_stub.settings import Settings
from server_stub.tsp import tables
from server_stub.tsp.reconciling import pair_named
from server_stub.tsp.remedies import Remedies
from tests.server_stub.backoffice import differences
from tests.server_stub.system import (
    CHEAP,
    OWN,
    START,
    Card,
    System,
    exchange_below,
    running,
    running_with_ppp,
    stand,
)

T = TypeVar("T")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The first that is there is taken, as in scripts/setup."""
PASSWORD = "heron walks over the dam"
SEEN = re.compile(r'name="seen" value="([^"]+)"')
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
ALL = frozenset[str]()
"""``without`` of a server with all roles."""


@asynccontextmanager
async def open_office(
    data: Path,
    settings: Settings | None = None,
    without: frozenset[str] = ALL,
    clock: SimulatedClock | None = None,
) -> AsyncIterator[System]:
    """A server with a back office (``office_of``) whose staff nobody has let in yet."""
    async with running(data, settings, clock, without=without) as system:
        yield system


def office_of(system: System) -> Office:
    """Its back office."""
    assert system.roles.backoffice is not None
    return system.roles.backoffice


class Clerk:
    """Somebody with a browser, without JavaScript."""

    def __init__(self, system: System, name: str) -> None:
        self.name = name
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(stand().app),
            base_url=OWN,
            follow_redirects=True,
            headers={"accept-language": "en"},
        )
        self.page = ""
        self._system = system

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Opens a page; what it says is in ``page``."""
        answer = await self.client.get(f"/backoffice{path}", headers=headers)
        self.page = answer.text
        return answer

    async def post(self, path: str, at: str = "", **form: str) -> httpx.Response:
        """Sends a form, with what the page that stands there (or the one at ``at``) keeps for it."""
        if at:
            await self.get(at)
        token = CSRF.search(self.page)
        form.setdefault("csrf", token[1] if token else "")
        if seen := SEEN.search(self.page):
            form.setdefault("seen", seen[1])
        form.setdefault("back", f"/backoffice{at or '/'}")
        answer = await self.client.post(f"/backoffice{path}", data=form)
        self.page = answer.text
        return answer

    async def sign_in(self, password: str = PASSWORD) -> httpx.Response:
        return await self.post("/sign-in", "/sign-in", name=self.name, password=password)


async def let_in(system: System, name: str, roles: str, language: str = "en", full_name: str = "") -> Clerk:
    """Somebody who is on the staff, and signed in."""
    await register(system, name, roles, language, full_name)
    clerk = Clerk(system, name)
    answer = await clerk.sign_in()
    assert answer.status_code == 200, answer.text
    return clerk


async def register(
    system: System, name: str, roles: str, language: str = "en", full_name: str = "", once: bool = False
) -> None:
    """Somebody is on the staff from now on, with a password of their own unless ``once``."""
    office = office_of(system)

    def enter(conn: Any) -> None:
        kept = CHEAP.hash_now(PASSWORD)
        staff.add(conn, office.clock, "test", name, full_name, roles_of(roles), kept, language)
        if not once:
            staff.set_password(conn, office.clock, "test", name, kept, once=False)

    await office.database.write(enter)


async def proposed(clerk: Clerk, path: str, action: str, reason: str = "as agreed by telephone") -> str:
    """The path of the one proposal that somebody has made, about what stands at a path."""
    await clerk.post(path, path, action=action, reason=reason)
    (proposal,) = re.findall(r"/backoffice(/proposals/\w+)/withdraw", (await clerk.get("/proposals")).text)
    return str(proposal)


class Desk:
    """A server in a thread of its own, for a browser.

    Attributes:
        url: where its pages are.
    """

    def __init__(self, system: System, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.system = system
        self.url = url
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Has something done in the server's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@contextmanager
def desk(data: Path, prepare: Callable[[System], Coroutine[Any, Any, None]]) -> Iterator[Desk]:
    """A server that listens, after ``prepare`` has put some business into it."""
    ready: list[Desk] = []
    begun = threading.Event()
    failed: list[BaseException] = []

    ends: list[asyncio.Event] = []

    async def serve() -> None:
        end = asyncio.Event()
        ends.append(end)
        listener = socket.create_server(("127.0.0.1", 0))
        clock, folder = SimulatedClock(START), exchange_below(data)
        async with running_with_ppp(data / "data", SETTINGS, clock, folder, ALL) as system:
            await prepare(system)
            config = uvicorn.Config(stand().app, lifespan="off", log_config=None, access_log=False)
            server = uvicorn.Server(config)
            server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            task = asyncio.create_task(server._serve([listener]))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/backoffice"
            ready.append(Desk(system, url, asyncio.get_running_loop()))
            begun.set()
            await end.wait()
            server.should_exit = True
            await task

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 the test's own thread raises it
            failed.append(error)
            begun.set()

    thread = threading.Thread(target=run, name="desk")
    thread.start()
    begun.wait()
    try:
        if ready:
            yield ready[0]
    finally:
        if ready:
            ready[0]._loop.call_soon_threadsafe(ends[0].set)
        thread.join()
    if failed:
        raise failed[0]


SETTINGS = Settings(case_second_fen=5_000, ppp_seconds=5.0)
STAFF = (
    ("zhang.min", "张敏", "clerk"),
    ("li.wei", "李伟", "supervisor"),
    ("wang.fang", "王芳", "admin"),
    ("zhao.lei", "赵磊", "viewer"),
    ("chen.jing", "陈静", "clerk,supervisor,admin"),
)


async def business(system: System) -> None:
    """Staff, and a morning: payments of both kinds, some of which nobody knows what became of."""
    for name, full_name, roles in STAFF:
        await register(system, name, roles, "zh", full_name)
    first, other = await system.box(), await system.box("85312047")
    for box, method, service, term, pause in (
        (first, "wallet:demo", "kids", "monthly", 412),
        (first, "wallet:demo", "movies", "quarterly", 412),
        (first, "wallet:demo", "music", "monthly", 412),
        (first, "card", "sports", "quarterly", 97),
        (other, "card", "kids", "monthly", 97),
    ):
        payment = await box.pay(method, service, term)
        if method == "card":
            await Card(box).pay(payment)
        else:
            await system.phone(payment["qr"]["payload"], "pay")
            await box.state(payment["payment"], "done")
        system.clock.advance(pause)
    lost = await first.pay("card", "documentary", "yearly")
    await Card(first, "rich" if "rich" in _profiles() else "good").authorised(lost)
    small = await other.pay("card", "music", "monthly")
    await Card(other).authorised(small)
    for seconds in SETTINGS.unknown_schedule:
        system.clock.advance(seconds)
        await system.tsp.payments.sweep()

    def batches(conn: Any) -> None:
        now = system.clock.now()
        row = {"terminal": SETTINGS.pos_terminal, "begun_at": now, "settled_at": now, "ended_at": now}
        told = {"told_fen": 184_300, "told_count": 61, "counted_fen": 184_300, "counted_count": 61}
        conn.execute(insert(tables.settlements).values(**row, **told, batch="000041", state="agreed"))
        told = {"told_fen": 92_500, "told_count": 33, "counted_fen": 89_500, "counted_count": 32}
        conn.execute(insert(tables.settlements).values(**row, **told, batch="000042", state="differs"))
        conn.execute(insert(tables.psam_locks).values(psam="sim:3", locked_at=now))

    await system.tsp.database.write(batches)
    await mornings(system)


async def mornings(system: System) -> None:
    """A month of comparisons, differences of every class, days at UnionPay, files, a partner."""
    ids, clock, office = system.tsp.core.ids, system.clock, office_of(system)
    day = system.tsp.core.settings.calendar.day_of(clock.now()) - timedelta(days=1)

    def plant(conn: Any) -> None:
        query = select(tables.payments, tables.orders.c.number)
        query = query.join(tables.orders, tables.orders.c.id == tables.payments.c.order_id)
        paid = conn.execute(query.order_by(tables.payments.c.id)).all()
        mine = [
            differences.Ours(
                differences.note_of(row.id, row.box_number, row.number, row.method),
                row.amount_fen,
                row.order_id,
                row.service,
            )
            for row in paid
        ]
        for pair in ("boss", "ppp"):
            differences.month(conn, ids, clock, day, pair)
        # Limits hold what the rules could put right: all of it waits for people.
        rules = [replace(rule, limit_count=0) for rule in (*pair_named("boss").rules, SETTLED_LATE)]
        enter = partial(differences.compared, conn, ids, clock, day, differences.every_class(day, mine))
        enter = partial(enter, here=Totals(318, 1_402_600), there=Totals(317, 1_398_300))
        enter = partial(enter, actions=Remedies(office.moves()).actions("boss"))
        enter(tally=Tally(rules))
        enter(tally=Tally(rules), by="li.wei", dry_run=True)
        system.made_up |= differences.told_days(conn, clock, day)

    await system.tsp.database.write(plant)
    assert office.files is not None
    content = office.files.parent / "content"
    lines = ("H|DZMX|{}|1|1000", "D|01KVP7C|1000|CNY|opened|{}|o|b|kids", "T|DZMX|{}|1|1000", "")
    content.write_text("\n".join(lines).format(*[f"{day:%Y%m%d}"] * 3))
    kept = Store(office.files / "tsp").put(content)

    def files(conn: Any) -> None:
        for partner, direction, kind in (
            ("boss", "in", "DZMX"),
            ("ppp", "out", "XFMX"),
            ("ppp", "in", "QSMX"),
        ):
            about: dict[str, Any] = {"partner": partner, "direction": direction, "day": day}
            name = f"{kind}/{kind}{day:%Y%m%d}.TXT"
            row = tables.files.keep(conn, ids, clock, **about, name=name, content=kept, facts={"count": 1})
            tables.files.note(conn, clock, row.id, "used" if direction == "in" else "sent", "used")

    await system.tsp.database.write(files)
    await office.books("exchange").write(
        lambda conn: partners.add(
            conn, clock, "wang.fang", "bank", "no hash", ["192.0.2.0/24"], {"BILLS": "rw"}
        )
    )


def browser_program() -> str:
    """The browser that is there. Raises AssertionError."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert program, "Chromium is missing: make test installs it"
    return program


def _profiles() -> frozenset[str]:
    from cardreader.sim.profiles import PROFILES

    return frozenset(PROFILES)
