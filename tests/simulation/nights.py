"""The nights after a run: days are told, answered and compared while folders and processes fail; what was planted is found.

What the books have come to agree on by day is put out of order here and there, as restores, slips and forgeries do. Some of that
heals by rule; the rest must be a break that a person sees, and nothing else may be one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Row, delete, select, update

from server_stub.boss import cancelling
from server_stub.boss import tables as boss
from server_stub.foundation.calendar import Calendar
from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.folders import Entry, FolderUnreachable, LocalFolder
from server_stub.tsp import tables as tsp
from tests.simulation.databases import opened

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

T = TypeVar("T")
PLACES = ("ppp/XFMX", "ppp/XFJG", "ppp/QSMX", "boss/DZMX")
NIGHTS, LATER = 3, 2
LATE = timedelta(days=12)
"""So long the last nights come after the first: nothing is told again then only because it is not long ago."""
STEPS = 9
"""So often within a night everybody works for a while, ten minutes apart."""
AWAY = 0.3
"""Of the folder's operations in the first night so many fail, half of them after they were done."""
CHANCE = 0.4
"""Of the payments that a plant fits, so many get it."""
CHANCE_OF_LATE = 0.7
"""Of the others so many were opened late."""
ONE_DAY = timedelta(days=1)


@dataclass(slots=True)
class Planted:
    """What was put out of order, and what must be left of it for people.

    Attributes:
        by_kind: how often each.
        wanted: pair and key of each break that must be open in the end.
        gone: payments whose money must be back in the end.
        late: payments that BOSS has opened late.
    """

    by_kind: Counter[str] = field(default_factory=Counter)
    wanted: set[tuple[str, str]] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)


class FailingFolder:
    """A plain folder behind a network that fails as long as the simulation says."""

    def __init__(self, simulation: Simulation, path: Path) -> None:
        self._simulation = simulation
        self._folder = LocalFolder(path)

    async def names(self, folder: str) -> list[str]:
        return await self._tried(lambda: self._folder.names(folder))

    async def entries(self, folder: str) -> list[Entry]:
        return await self._tried(lambda: self._folder.entries(folder))

    async def fetch(self, name: str, target: Path) -> None:
        await self._tried(lambda: self._folder.fetch(name, target))

    async def deliver(self, source: Path, name: str) -> None:
        await self._tried(lambda: self._folder.deliver(source, name))

    async def _tried(self, work: Callable[[], Awaitable[T]]) -> T:
        simulation = self._simulation
        fate = simulation.random("folder").random() if simulation.dark else 1.0
        if fate < AWAY / 2:
            raise FolderUnreachable("the folder is away")
        done = await work()
        if fate < AWAY:
            raise FolderUnreachable("the folder did not say whether it was done")
        return done


def folder_of(simulation: Simulation, role: str, partner: str) -> FailingFolder:
    """Where a role and a partner exchange files: the platform sees all, a partner its own."""
    for place in PLACES:
        (simulation.folder / "exchange" / place).mkdir(parents=True, exist_ok=True)
    return FailingFolder(simulation, simulation.folder / "exchange" / (partner if role == "tsp" else role))


def live(simulation: Simulation) -> Planted:
    """Lives through the nights. Raises Stuck."""
    planted = Planted()
    plant(simulation, planted)
    random = simulation.random("night")
    for night in range(NIGHTS + LATER):
        _come_to_midnight(simulation)
        if night == NIGHTS:
            simulation.loop.jump(LATE.total_seconds())
        elif night > NIGHTS:
            plant_late(simulation, planted)
        simulation.dark = night == 0
        for step in range(STEPS):
            if simulation.dark and random.random() < 0.3:
                role = random.choice(("tsp", "boss", "ppp"))
                simulation.note(role, "killed at night")
                simulation.hosts[role].kill(random.choice((1.0, 5.0)))
            simulation.run_for(15)
            simulation.dark = simulation.dark and step < STEPS - 4
            simulation.loop.jump(600)
        simulation.run_for(15)
    return planted


def _come_to_midnight(simulation: Simulation) -> None:
    now = simulation.hosts["tsp"].now()
    end = Calendar().end_of(Calendar().day_of(now)) + timedelta(minutes=12)
    simulation.loop.jump((end - now).total_seconds())


def plant(simulation: Simulation, planted: Planted) -> None:
    """Puts things out of order that the day has left in order."""
    random, late = (Random(f"{name} {simulation.seed}") for name in ("plants", "opened late"))
    tsp_files, boss_files = simulation.hosts["tsp"].files, simulation.hosts["boss"].files
    now = simulation.hosts["boss"].now()
    with opened(tsp_files) as ours, opened(boss_files) as theirs, ours.begin(), theirs.begin():
        for row in ours.execute(select(tsp.payments).where(tsp.payments.c.state == "opened")).all():
            if random.random() < CHANCE:
                # One thing at a time about a payment, so that it is known what must be left of it.
                kinds = [_lose, _take_back, _change_amount]
                if ours.execute(select(tsp.debits).filter_by(payment_id=row.id)).first() is not None:
                    kinds.append(_forge)
                kind = random.choice(kinds)
            elif late.random() < CHANCE_OF_LATE:
                kind = _open_late
            else:
                continue
            kind(ours, theirs, row, now, planted)
            planted.by_kind[kind.__name__.removeprefix("_")] += 1
            simulation.note("plant", f"{kind.__name__} {row.id}")


def plant_late(simulation: Simulation, planted: Planted) -> None:
    """BOSS takes back what it has opened long ago, also what it had told late."""
    now = simulation.hosts["boss"].now()
    tsp_files, boss_files = simulation.hosts["tsp"].files, simulation.hosts["boss"].files
    with opened(tsp_files) as ours, opened(boss_files) as theirs, theirs.begin():
        for row in ours.execute(select(tsp.payments).where(tsp.payments.c.state == "opened")).all():
            state = theirs.scalar(select(boss.orders.c.state).where(boss.orders.c.id == row.order_id))
            wanted = {("boss", row.id), ("ppp", row.id)} & planted.wanted
            # Of a card's, whether it was matched shows only where nothing else is left of it for a person.
            matched = row.method == "card" and row.id in planted.late
            if state == "opened" and not wanted and not matched:
                _take_back(ours, theirs, row, now, planted)
                planted.by_kind["late_take_back"] += 1
                simulation.note("plant", f"late take-back {row.id}")


def _open_late(ours: Connection, theirs: Connection, row: Row[Any], now: datetime, planted: Planted) -> None:
    """BOSS says that it has opened it days after it was paid, and tells it then. Heals."""
    mine = update(boss.orders).where(boss.orders.c.id == row.order_id)
    theirs.execute(mine.values(opened_at=now + timedelta(days=6)))
    planted.late.add(row.id)


def _lose(ours: Connection, theirs: Connection, row: Row[Any], now: datetime, planted: Planted) -> None:
    """BOSS has lost what it opened, and that it was asked. Heals."""
    order = boss.orders.c.id == row.order_id
    subscription = theirs.scalar(select(boss.orders.c.subscription_id).where(order))
    lost = {"state": "quoted", "payment": None, "subscription_id": None, "opened_at": None}
    theirs.execute(update(boss.orders).where(order).values(**lost))
    theirs.execute(delete(boss.subscriptions).where(boss.subscriptions.c.id == subscription))
    theirs.execute(delete(boss.keys).where(boss.keys.c.key == row.id))


def _take_back(ours: Connection, theirs: Connection, row: Row[Any], now: datetime, planted: Planted) -> None:
    """BOSS's staff take the service back. A wallet's money goes back by itself, a card's is for a person."""
    clock = SimulatedClock(now)
    cancelling.cancel(theirs, clock, row.order_id, reason="sold by mistake", actor="Li")
    if row.method == "card":
        planted.wanted.add(("boss", row.id))
    else:
        planted.gone.add(row.id)


def _change_amount(
    ours: Connection, theirs: Connection, row: Row[Any], now: datetime, planted: Planted
) -> None:
    """BOSS has another amount. A person finds out."""
    mine = boss.orders.c.id == row.order_id
    theirs.execute(update(boss.orders).where(mine).values(amount_fen=boss.orders.c.amount_fen + 100))
    planted.wanted.add(("boss", row.id))


def _forge(ours: Connection, theirs: Connection, row: Row[Any], now: datetime, planted: Planted) -> None:
    """A proof is not what it was: PPP refuses the debit. A person finds out."""
    ours.execute(update(tsp.debits).where(tsp.debits.c.payment_id == row.id).values(tac="00000000"))
    planted.wanted.add(("ppp", row.id))


def nights_leave_what_was_planted(simulation: Simulation, planted: Planted) -> Iterator[str]:
    """Every break that is left is one that was planted for a person; everything else has healed or agrees."""
    with opened(simulation.hosts["tsp"].files) as conn:
        left = {
            (row.pair, row.key): row
            for row in conn.execute(select(tsp.book.breaks).where(tsp.book.breaks.c.state != "closed"))
        }
    for pair, key in sorted(planted.wanted - left.keys()):
        yield f"{pair} {key} was planted for a person, and there is no break of it"
    for place in sorted(left.keys() - planted.wanted):
        row = left[place]
        yield f"{place[0]} {place[1]} is a break {row.cls}, {row.state} ({row.action}), that nobody has planted"
    for place in sorted(planted.wanted & left.keys()):
        if left[place].state != "open":
            yield f"break {place} waits for a person, but is {left[place].state}"


def nights_tell_every_day(simulation: Simulation, planted: Planted) -> Iterator[str]:
    """Each day that is over was told, answered and compared once everything was there again."""
    with opened(simulation.hosts["tsp"].files) as conn:
        days = {row.day: row.state for row in conn.execute(select(tsp.upload_days))}
        runs: dict[tuple[str, str], str] = {}
        for row in conn.execute(select(tsp.book.runs).order_by(tsp.book.runs.c.id)):
            runs[row.pair, row.day] = row.state
        paid = conn.scalars(select(tsp.payments.c.paid_at).where(tsp.payments.c.paid_at.is_not(None))).all()
    for day, state in sorted(days.items()):
        if state != "answered":
            yield f"day {day} is {state}"
    for (pair, day), state in sorted(runs.items()):
        if state != "done":
            yield f"{pair} {day} is {state}"
    for day in sorted({f"{Calendar().day_of(at):%Y-%m-%d}" for at in paid}):
        yield from (f"{pair} {day} was never compared" for pair in ("boss", "ppp") if (pair, day) not in runs)


def nights_give_money_back(simulation: Simulation, planted: Planted) -> Iterator[str]:
    """What a wallet paid for a service that was taken back is back, once; what BOSS had lost is open again."""
    with opened(simulation.hosts["tsp"].files) as conn:
        states = {row.id: row for row in conn.execute(select(tsp.payments))}
    with opened(simulation.hosts["boss"].files) as conn:
        orders = {row.id: row.state for row in conn.execute(select(boss.orders))}
    for name in sorted(planted.gone):
        row = states[name]
        if row.state != "refunded":
            yield f"payment {name} is {row.state}; its service was taken back"
        if len(simulation.network.refunds.get(name, ())) > 1:
            yield f"payment {name} was refunded more than once"
    for row in states.values():
        if row.state == "opened" and orders.get(row.order_id) not in ("opened", "cancelled"):
            yield f"payment {row.id} is opened; its order is {orders.get(row.order_id)} at BOSS"


CHECKS = (nights_leave_what_was_planted, nights_tell_every_day, nights_give_money_back)
"""What must hold after the nights."""
