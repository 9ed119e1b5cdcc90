"""One run: a world made from a seed, its people's hour, the calm afterwards, and the books for the auditor."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

import structlog
from sqlalchemy import Table, func, select

from cardreader.sim.profiles import PROFILES
from server_stub.boss import tables as boss
from server_stub.foundation.clock import SimulatedClock
from server_stub.foundation.ids import Ids
from server_stub.foundation.outbox import Outbox
from server_stub.foundation.vault import vault_file
from server_stub.settings import Settings
from server_stub.tsp import cases, machines, server_keys
from server_stub.tsp import tables as tsp
from server_stub.tsp.cases import Decision
from server_stub.tsp.moves import Moves
from stb_app.shell.connection import KEY_AGE
from tests.simulation import databases, nights, servers, taps
from tests.simulation.cards import Card, CashCard, DebitCard
from tests.simulation.loop import Actor, SimulatedLoop, Stuck
from tests.simulation.machine import simulated_machine
from tests.simulation.network import Network
from tests.simulation.people import Person
from tests.simulation.plan import ROLES, BoxPlan, Plan, make
from tests.simulation.servers import Host
from tests.simulation.taps import Held
from tests.simulation.television import Box

BOXES = ("85312048", "85312047")
"""Those of the demo subscribers that take part."""
HOUR_S = 2400.0
"""In so much time all people have done what they wanted."""
FAULTY_S = 240.0
"""Faults happen in this time at the longest; journeys may still be under way when they end."""
CALM = (40.0, 300.0, 10.0, 900.0, 10.0, 300.0, 10.0, 3600.0, 10.0, 1200.0, 10.0)
"""Afterwards: seconds that are lived through, and seconds that are jumped over, in turn."""
LATE_CALM = (3600.0, 10.0)
"""And then, where a load of electronic cash may wait for its card: it is reversed later than anything else."""
DECIDED = 0.6
"""Of the payments with electronic cash that are cases, so many are opened all the same."""
HANDLED = frozenset({"fault", "worker-fault", "job-failed", "sweep-fault", "wallet-broken"})
"""Log events that mean that the server has met something nobody thought of."""


AWAY = frozenset({"NoConnection", "OutcomeUnknown", "SweepFault", "Unanswered", "FolderUnreachable"})
"""What background work says of a database, a PPP or a folder that is away; what a sweep could not do it has said before."""
FORESEEN = (
    *("WalletUnreachable", "Problem", "Unanswered", "NoConnection", "OutcomeUnknown", "OperationalError"),
    *("ReadTimeout", "ConnectError", "ReadError", "HTTPStatusError"),
)
"""Why a delivery may fail."""


@dataclass(frozen=True, slots=True)
class Start:
    """The system as everybody left it the day before: all boxes enrolled."""

    databases: dict[str, bytes]
    files: tuple[dict[str, bytes], ...]
    """What each box has on its disk, by path."""
    subscriptions: int
    """That BOSS has from the beginning."""


@dataclass(slots=True)
class Simulation:
    """The world of one run.

    Attributes:
        faulty: faults happen now.
        dark: the folders that files are exchanged in fail now.
        planted: what was put out of order before the nights, by kind.
        trace: what happened, a line each.
        logged: faults that the code under test has written into its log.
        unrepeatable: transactions that did something else when they were run again.
        distrusted: answers that a box did not believe.
        held: by job and delivery, who had it in hand.
    """

    seed: int
    plan: Plan
    folder: Path
    tracing: bool = False
    loop: SimulatedLoop = field(default_factory=SimulatedLoop)
    trace: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    unrepeatable: list[str] = field(default_factory=list)
    distrusted: list[str] = field(default_factory=list)
    held: dict[str, list[Held]] = field(default_factory=dict)
    actors: list[Actor] = field(default_factory=list)
    hosts: dict[str, Host] = field(default_factory=dict)
    boxes: list[Box] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    faulty: bool = False
    dark: bool = False
    planted: Counter[str] = field(default_factory=Counter)
    psam_accepted: int = 0
    stepped: set[str] = field(default_factory=set)
    network: Network = field(init=False)
    _randoms: dict[str, Random] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network = Network(self)
        self.loop.set_task_factory(servers.task_factory)
        self.loop.set_exception_handler(self._on_loop_fault)
        self.loop.executes = lambda work: servers.HERE.get().execute(work)

    def random(self, what: str) -> Random:
        """Each thing has its own randomness, so that one more question there changes nothing here."""
        if what not in self._randoms:
            self._randoms[what] = Random(f"{self.seed} {what}")
        return self._randoms[what]

    def note(self, who: str, what: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.loop.time():10.3f}  {who:<18} {what}")

    def wake_people(self) -> None:
        for person in self.people:
            person.wake()

    def log(self, level: str, event: str, facts: dict[str, Any]) -> None:
        """The code under test has written a line into its log."""
        error = facts.get("exc_info")
        if event in HANDLED and not self._foreseen(error):
            self.logged.append(f"{event} {error!r}")
        said = str(facts.get("error", ""))
        if event == "delivery-failed" and not said.startswith(FORESEEN):
            self.logged.append(f"{event} {said}")
        if self.tracing or level in ("error", "critical"):
            self.note("log", f"{event} { {key: value for key, value in facts.items() if key != 'request'} }")

    def _foreseen(self, error: Any) -> bool:
        """What a full disk or a database that is away makes of anything."""
        away = error is not None and type(error).__name__ in AWAY
        return away or databases.DISK_FULL in str(error)

    def run_for(self, seconds: float) -> None:
        """Lets so much time pass."""
        self.loop.call_later(seconds, self.loop.stop)
        self.loop.run_forever()

    def _on_loop_fault(self, loop: Any, context: dict[str, Any]) -> None:
        self.logged.append(f"loop: {context.get('message')} {context.get('exception')!r}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to.

    Attributes:
        broken: invariants that do not hold, each with what was seen.
    """

    seed: int
    broken: tuple[str, ...]
    trace: tuple[str, ...]
    counts: dict[str, int]

    @property
    def digest(self) -> str:
        """Equal for equal runs."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


@contextmanager
def _captured(simulation: Simulation) -> Iterator[None]:
    """The logs of the code under test are the auditor's."""

    def structured(logger: Any, method: str, event: dict[str, Any]) -> Any:
        if event.get("exc_info") is True:
            event["exc_info"] = sys.exc_info()[1]
        simulation.log(method, event.pop("event"), event)
        raise structlog.DropEvent

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            text = record.getMessage()
            expected = isinstance(error, OSError) or "does not say where it stands" in text
            if "cannot be believed" in text:
                simulation.distrusted.append(text)
            if record.levelno >= logging.ERROR and not expected:
                simulation.logged.append(f"{record.name}: {text}: {error!r}")
            simulation.note("log", text)

    handler, logger = Handler(), logging.getLogger("stb_app")
    before, propagate = structlog.get_config(), logger.propagate
    structlog.configure(
        processors=[structured], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
    )
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        structlog.configure(**before)


@contextmanager
def _world(simulation: Simulation, databases: dict[str, bytes]) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(taps.tapped_psams())
        stack.enter_context(taps.watched_work(simulation))
        stack.enter_context(taps.seen_statements(simulation))
        stack.enter_context(simulated_machine())
        stack.enter_context(_captured(simulation))
        (simulation.folder / "partners.key").write_text("the partners' key")
        (simulation.folder / "tsp.key").write_bytes(urlsafe_b64encode(b"the vault's key is 32 bytes long"))
        (simulation.folder / "ppp.key").write_bytes(urlsafe_b64encode(b"the key of PPP is 32 bytes long."))
        (simulation.folder / "terminal.key").write_text("the terminal's key")
        for role in ROLES:
            asked = simulation.plan.debit or simulation.plan.nights
            if role == "ppp" and databases and not asked:
                continue  # nobody asks it
            processes = simulation.plan.tsps if role == "tsp" else 1
            host = Host(simulation, role, simulation.folder, databases.get(role), processes)
            simulation.hosts[role] = host
            host.start()
        try:
            yield
        finally:
            _end(simulation)


def _end(simulation: Simulation) -> None:
    for box in simulation.boxes:
        box.power_off(None)
    for person in simulation.people:
        person.actor.end()
    for host in simulation.hosts.values():
        for place in range(len(host.places)):
            host.kill(None, place)
    for task in asyncio.all_tasks(simulation.loop):
        task.cancel()
    simulation.run_for(0)
    simulation.run_for(0)
    simulation.loop.close()


def _scratch() -> str | None:
    """Where a run keeps its few files: in memory, where there is such a folder."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@functools.cache
def the_day_before() -> Start:
    """Starts everything once and enrols the boxes, as the real commands do."""
    with tempfile.TemporaryDirectory(prefix="stb-sim-", dir=_scratch()) as folder:
        simulation = Simulation(0, Plan(), Path(folder))
        with _world(simulation, {}):
            simulation.run_for(1)
            files = tuple(_enrol(simulation, number, box) for number, box in enumerate(BOXES))
            simulation.run_for(1)
            databases = {role: host.files.sqlite.serialize() for role, host in simulation.hosts.items()}
            subscriptions = _count(simulation, "boss", boss.subscriptions)
        return Start(databases, files, subscriptions)


def _count(simulation: Simulation, role: str, table: Table) -> int:
    with databases.opened(simulation.hosts[role].files) as conn:
        return int(conn.execute(select(func.count()).select_from(table)).scalar_one())


def _enrol(simulation: Simulation, number: int, box_number: str) -> dict[str, bytes]:
    """A box is switched on for the first time; returns what it then has on its disk."""
    box = Box(simulation, number, box_number, simulation.folder / f"box-{number}", BoxPlan())
    box.folder.mkdir()
    box.power_on()
    # It finds itself not enrolled, and enrols with the papers that it has.
    simulation.run_for(2)
    assert box.ready
    assert box.verbs.client.identity is not None
    box.power_off(None)
    return {
        str(path.relative_to(box.folder)): path.read_bytes()
        for path in sorted(box.folder.rglob("*"))
        if path.is_file()
    }


def attend(simulation: Simulation, box: Box, work: Callable[[], None]) -> None:
    """Has something done on a box, and waits for it. Raises what it raises."""
    actor = box.act("auditor", work)
    while not actor.over:
        simulation.run_for(1)
    if actor.failure is not None:
        raise actor.failure


def run(seed: int, checks: Sequence[Any], *, tracing: bool = False) -> Outcome:
    """Lives through one seed and has its books checked.

    Args:
        checks: functions that take the finished simulation and yield what is wrong.
    """
    start = the_day_before()
    with tempfile.TemporaryDirectory(prefix="stb-sim-", dir=_scratch()) as folder:
        simulation = Simulation(seed, make(seed), Path(folder), tracing)
        with _world(simulation, start.databases):
            _people(simulation, start.files)
            _schedule(simulation)
            try:
                _live(simulation)
                broken = _broken(simulation, checks)
                if simulation.plan.nights:
                    broken += _nights(simulation)
            except Stuck as stuck:
                broken = [f"nothing_hangs: {stuck}"]
            counts = _counts(simulation)
        return Outcome(seed, tuple(broken), tuple(simulation.trace), counts)


def _people(simulation: Simulation, files: tuple[dict[str, bytes], ...]) -> None:
    for number, plan in enumerate(simulation.plan.boxes):
        folder = simulation.folder / f"box-{number}"
        for path, content in files[number].items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if plan.old_key and path == "enrolment.json":
                content = _aged(content)
            (folder / path).write_bytes(content)
        box = Box(simulation, number, BOXES[number], folder, plan)
        cards = tuple(
            Card(simulation, replace(PROFILES["good"], name=name, serial=serial, balance_fen=balance_fen))
            for name, serial, balance_fen in (
                (f"card {number}a", f"6217001834057{number}000001", 60000),
                (f"card {number}b", f"6217001834057{number}000002", 9000),
            )
        )
        if simulation.plan.cash and number == 0:
            cards = CashCard(simulation), cards[1]
        elif simulation.plan.debit:
            cards = DebitCard(simulation, ("debit", "credit")[number]), cards[1]
        simulation.boxes.append(box)
        simulation.cards += cards
        simulation.people.append(Person(simulation, box, (cards[0], cards[1])))


def _aged(enrolment: bytes) -> bytes:
    """A box's enrolment as if it had its key for longer than any is kept."""
    stored = json.loads(enrolment)
    made = datetime.fromisoformat(stored["enrolled_at"]) - KEY_AGE - timedelta(days=1)
    return json.dumps({**stored, "enrolled_at": made.isoformat()}).encode()


def _rotate_server_key(simulation: Simulation) -> None:
    """``stb-server rotate-key``, beside the running processes."""
    host = simulation.hosts["tsp"]
    vault = vault_file(simulation.folder / "tsp.key")
    with databases.opened(host.files) as conn, conn.begin():
        name = server_keys.rotate(conn, vault, simulation.random("server key").randbytes(32), host.now())
    simulation.note("tsp", f"signs with {name}")


def _schedule(simulation: Simulation) -> None:
    """The faults that come at an instant."""
    simulation.faulty = True
    for box in simulation.boxes:
        simulation.loop.call_later(0.1, box.power_on)
        for at_s in box.plan.rotations:
            simulation.loop.call_later(at_s, box.rotate)
    for at_s in simulation.plan.server_rotations:
        simulation.loop.call_later(at_s, _rotate_server_key, simulation)

    def step(who: str, by_s: float) -> None:
        if simulation.faulty:
            simulation.note(who, f"clock stepped by {by_s} s")
            simulation.stepped.add(who)
            machines = simulation.boxes if who == "box" else [simulation.hosts[who]]
            for machine in machines:
                machine.offset_s += by_s

    for at_s, who, by_s in simulation.plan.steps:
        simulation.loop.call_later(at_s, step, who, by_s)

    def kill(one: Any) -> None:
        if simulation.faulty:
            simulation.note(one.role, "killed")
            simulation.hosts[one.role].kill(one.down_s)

    for one in simulation.plan.kills:
        if one.at_write is None:
            simulation.loop.call_later(one.at_s, kill, one)


def _live(simulation: Simulation) -> None:
    until = simulation.loop.time() + HOUR_S
    simulation.loop.call_later(FAULTY_S, _calm, simulation)
    while simulation.loop.time() < until and not all(person.actor.over for person in simulation.people):
        simulation.run_for(10)
    _calm(simulation)
    for host in simulation.hosts.values():
        host.start()
    if simulation.plan.cupboard:
        for _ in range(3):
            # What is unknown becomes a case.
            simulation.loop.jump(3600)
            simulation.run_for(5)
        _decide(simulation)
        simulation.run_for(10)
    if simulation.plan.away_s:
        simulation.run_for(5)
        simulation.loop.jump(simulation.plan.away_s)
        simulation.run_for(5)
    for box in simulation.boxes:
        box.power_on()
    simulation.run_for(5)
    for person in simulation.people:
        # First out, so that the card is seen anew.
        person.box.pull()
    simulation.run_for(5)
    for person in simulation.people:
        person.put_back()
    for number, seconds in enumerate((*CALM, *LATE_CALM) if simulation.plan.cash else CALM):
        if number % 2:
            simulation.loop.jump(seconds)
        else:
            _decide(simulation)
            simulation.run_for(seconds)


def _decide(simulation: Simulation) -> None:
    """``stb-server cases decide``, beside the running processes: of the payments with electronic cash that are cases somebody
    has the service opened, of some.
    """
    if not simulation.plan.cash:
        return
    host = simulation.hosts["tsp"]
    clock = SimulatedClock(host.now())
    # It is only put into: the processes deliver.
    outbox = Outbox(cast(Any, None), tsp.outbox, clock, "cases", {})
    moves = Moves(clock, Ids(clock, simulation.random("clerk's ids").randbytes), Settings(), outbox)
    with databases.opened(host.files) as conn, conn.begin():
        for case in cases.listed(conn):
            open_it = Random(f"{simulation.seed} clerk {case.id}").random() < DECIDED
            if case.load_id is None and case.stands in machines.CASH_UNKNOWN and open_it:
                cases.decide(conn, moves, Decision(case.id, cases.BEAR, "the card is broken", "Li", "Wang"))
                simulation.note("clerk", f"opens the service of payment {case.payment_id}")


def _calm(simulation: Simulation) -> None:
    if simulation.faulty:
        simulation.faulty = False
        simulation.note("world", "no more faults")
        if simulation.plan.cupboard:
            simulation.boxes[0].power_off(None)
        for machine in (*simulation.hosts.values(), *simulation.boxes):
            # Somebody sets the clocks right.
            machine.offset_s = 0.0


def _broken(simulation: Simulation, checks: Sequence[Any]) -> list[str]:
    found = []
    for check in checks:
        for what in check(simulation):
            found.append(f"{check.__name__}: {what}")
    return found


def _nights(simulation: Simulation) -> list[str]:
    planted = nights.live(simulation)
    simulation.planted = planted.by_kind
    found = [f"{check.__name__}: {what}" for check in nights.CHECKS for what in check(simulation, planted)]
    return found + [f"nothing_broke: {what}" for what in simulation.logged]


def _counts(simulation: Simulation) -> dict[str, int]:
    """How much happened, so that an empty run is seen."""
    return {
        "intents": sum(len(person.intents) for person in simulation.people),
        "debits": sum(len(card.debits) for card in simulation.cards),
        "shown": sum(len(box.told) for box in simulation.boxes),
        "refunds": len(simulation.network.refunds),
        "planted": simulation.planted.total(),
        "borne": sum("opens the service of payment" in line for line in simulation.trace),
        "loads": sum(len(card.loads) for card in simulation.cards if isinstance(card, CashCard)),
    }
