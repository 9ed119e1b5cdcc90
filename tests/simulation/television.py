"""A set-top box: the real journeys, memory and client on a simulated slot, disk and network, until its power is cut."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stb_app.journeys.memory import Memory
from stb_app.journeys.steps import LoadEnded, LoadTold
from stb_app.journeys.verbs import Verbs
from stb_app.shell.box import BoxFiles
from stb_app.shell.connection import Connection, rotate
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Hello
from stb_app.tsp.signing import Identity
from tests.simulation.cards import Card, Slot
from tests.simulation.loop import Actor, Gone, current_actor
from tests.simulation.network import BoxAdapter
from tests.simulation.plan import BoxPlan
from tests.simulation.servers import START, url_of

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

_NEVER = threading.Event()


class _Waits:
    """How journeys wait on a box."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def monotonic(self) -> float:
        return self._box.simulation.loop.time()

    def pause(self, seconds: float, until: threading.Event) -> bool:
        loop = self._box.simulation.loop
        end = loop.time() + seconds
        while not until.is_set() and (left := end - loop.time()) > 0:
            current_actor().block(left)
        return until.is_set()


class Job:
    """A journey that runs on a box, as whoever sits before it sees it.

    Attributes:
        cut: the power went before it was over.
    """

    def __init__(self, box: Box, journey: Any, watcher: Callable[[], None]) -> None:
        self.journey = journey
        self.steps: list[Any] = []
        self._box = box
        self._watcher = watcher
        self._done = False
        self._actor = box.act(type(journey).__name__, self._run)

    @property
    def over(self) -> bool:
        return self._actor.over

    @property
    def cut(self) -> bool:
        return self._actor.over and not self._done

    def _run(self) -> None:
        self.journey.run(self._post)
        self._done = True
        self._actor.over = True
        self._watcher()

    def _post(self, step: Any) -> None:
        self.steps.append(step)
        if isinstance(step, LoadEnded) and self.journey._record is not None:
            # Before that nobody was asked for it, and there is nothing that could be told wrongly.
            self._box.loads_told[self.journey._record.load].append(step.outcome)
        self._watcher()


class Box:
    """One set-top box; its folder outlives its power.

    Attributes:
        told: every Finished that its screen has shown.
        loads_told: by load, what its screens have said of it, in order: loaded, failed or another state.
        seen: what its records said in the end.
    """

    def __init__(
        self,
        simulation: Simulation,
        number: int,
        box_number: str,
        folder: Path,
        plan: BoxPlan,
    ) -> None:
        self.simulation = simulation
        self.name = f"box {number}"
        self.box_number = box_number
        self.folder = folder
        self.plan = plan
        self.random = simulation.random(self.name)
        self.slot = Slot(self)
        self._waits = _Waits(self)
        self.alive = False
        self.apdus = 0
        self.debits = 0
        self.offset_s = 0.0
        self.told: list[Any] = []
        self.loads_told: defaultdict[str, list[str]] = defaultdict(list)
        self.seen: Any = None
        self.actors: list[Actor] = []
        self.failures: list[str] = []
        self.disk_operations = 0
        self.disk_writes = 0
        self.unsynced: dict[int, Path] = {}
        self._blocks = 0
        self._keys = 0
        self._cuts = list(plan.cuts)
        self._disk_cuts = list(plan.disk_cuts)
        self._first = self._copied()
        self._rotates = False
        self._ahead = timedelta()
        self.memory: Memory
        self.verbs: Verbs

    def power_on(self) -> None:
        """Starts as the television does: memory from the disk, recovery in the background."""
        if self.alive:
            return
        self.alive = True
        self._blocks = 0
        self.simulation.note(self.name, "on")
        self.act("start", self._start)

    def _start(self) -> None:
        files = BoxFiles(self.folder, self.random.randbytes)
        if self._rotates:
            self._rotates = False
            self._rotate_key(files)
        self.memory = Memory(self.folder / "payments")
        self.verbs = self._verbs(self.memory)
        connection = Connection(
            self.verbs,
            self.box_number,
            files,
            self._connected,
            lambda code: self._usable(),
            self._now,
            wait=lambda seconds: self._waits.pause(seconds, _NEVER),
        )
        self.act("connection", connection.bring_up)

    def _rotate_key(self, files: BoxFiles) -> None:
        """``stb-app rotate-key``, which is run while the television is off."""
        enrolment = files.enrolment(self.box_number)
        assert enrolment is not None
        verbs = self._verbs(Memory(None))
        verbs.client.identity = files.identity(enrolment)
        refused = rotate(verbs, files, enrolment, self._now())
        self.simulation.note(self.name, f"rotate-key: {refused or 'done'}")

    def _verbs(self, memory: Memory) -> Verbs:
        names = self.simulation.random(f"names of {self.name}")
        name = lambda: f"{names.getrandbits(128):032x}"  # noqa: E731 - as short as the real one
        return Verbs(self._client(None), self.slot, memory, self._waits, self._true_now, self._key, name)

    def _client(self, identity: Identity | None) -> TspClient:
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", BoxAdapter(self))
        return TspClient(url_of("tsp"), identity, lambda: self._now().timestamp(), session=session)

    def _copied(self) -> tuple[str, bytes] | None:
        """Name and content of the key that it has in the beginning."""
        for path in (self.folder / "keys").glob("*.pem"):
            return path.stem, path.read_bytes()
        return None

    def thief(self) -> TspClient | None:
        """A client with a copy of the box's first key, where the box has gone over to another one since."""
        assert self._first is not None
        name, pem = self._first
        identity = self.verbs.client.identity
        if identity is None or identity.key_id == name:
            return None
        private: Any = load_pem_private_key(pem, None)
        counter = itertools.count(10**9)
        stolen = Identity(
            self.box_number, private, lambda: next(counter), self.random.randbytes, identity.server_keys
        )
        return self._client(stolen)

    def _connected(self, hello: Hello) -> None:
        self._ahead = hello.time - self._now()
        self.simulation.note(self.name, "connected")
        self.act("recovery", lambda: self.verbs.recover().run(self._recovered))
        self._usable()

    def _usable(self) -> None:
        """From now on its pages ask."""
        self.ready = True
        self.simulation.wake_people()

    def rotate(self) -> None:
        """Somebody switches it off, has its key changed, and switches it on."""
        if self.simulation.faulty and self.alive:
            self._rotates = True
            self.power_off(1.0)

    ready = False

    def power_off(self, down_s: float | None) -> None:
        """Everything that runs on it stops where it stands."""
        if not self.alive:
            return
        self.alive = self.ready = False
        self.simulation.note(self.name, "off")
        for mark, path in self.unsynced.items():
            # What was never flushed is not on the disk.
            if path.exists() and mark in (-path.stat().st_ino, abs(mark)):
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        self.unsynced.clear()
        actors, self.actors = self.actors, []
        for actor in actors:
            actor.end()
        if down_s is not None:
            self.simulation.loop.call_later(down_s, self.power_on)
        self.simulation.wake_people()

    def act(self, name: str, work: Callable[[], None]) -> Actor:
        """Something that runs on this box."""
        actor = Actor(self.simulation.loop, self, f"{self.name} {name}", work)
        self.actors = [one for one in self.actors if not one.over]
        self.actors.append(actor)
        self.simulation.actors.append(actor)
        return actor

    def step(self, actor: Actor) -> None:
        """A blocking point: here the power may go."""
        if not self.alive or actor not in self.actors:
            raise Gone
        self._blocks += 1
        if self.simulation.faulty and self._cuts and self._blocks >= self._cuts[0][0]:
            self.cut(self._cuts.pop(0)[1])

    def start(self, journey: Any, watcher: Callable[[], None]) -> Job:
        """Begins a journey."""
        return Job(self, journey, watcher)

    def insert(self, card: Card) -> None:
        self.slot.card = card
        self.slot.insertions += 1
        self.simulation.note(self.name, f"{card.name} inserted")
        self.poke()

    def pull(self, why: str = "by hand") -> None:
        if self.slot.card is not None:
            self.simulation.note(self.name, f"{self.slot.card.name} pulled {why}")
            self.slot.card = None
            self.poke()

    def poke(self) -> None:
        """Something has happened that somebody on this box may wait for."""
        for actor in self.actors:
            actor.wake()

    def disk_operation(self) -> None:
        """Between two operations on the disk the power may go."""
        self.disk_operations += 1
        if self.simulation.faulty and self._disk_cuts and self.disk_operations >= self._disk_cuts[0][0]:
            self.cut(self._disk_cuts.pop(0)[1])

    def at_keys(self, *, after: bool) -> None:
        """A new key is told to the TSP: here the power may go."""
        if self.simulation.faulty and self.plan.at_keys[:1] == [after]:
            self.plan.at_keys.pop(0)
            self.cut(15.0)

    def at_debit(self) -> tuple[str, bool]:
        """What goes wrong at this DEBIT, and whether after it."""
        self.debits += 1
        if not self.simulation.faulty:
            return "", False
        return self.plan.at_debit.pop(self.debits, ("", False))

    def cut(self, down_s: float) -> None:
        """The power goes, under whoever calls this."""
        self.power_off(down_s)
        raise Gone

    def _now(self) -> datetime:
        return START + timedelta(seconds=self.simulation.loop.time() + self.offset_s)

    def _true_now(self) -> datetime:
        return self._now() + self._ahead

    def _key(self) -> str:
        self._keys += 1
        return f"{self.name.replace(' ', '-')}-key-{self._keys:04d}-{self.random.getrandbits(32):08x}"

    def _recovered(self, step: Any) -> None:
        self.simulation.note(self.name, f"recovery: {_brief(step)}")
        if hasattr(step, "outcome"):
            self.told.append(step)
        if isinstance(step, LoadTold):
            self.loads_told[step.record.load].append(step.load.state)


def _brief(step: Any) -> str:
    if hasattr(step, "outcome"):
        payment = step.payment.payment if step.payment else None
        return f"{step.outcome} money {step.money} reason {step.reason} payment {payment}"
    return repr(step)
