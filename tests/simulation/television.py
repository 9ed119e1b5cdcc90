"""A set-top box: the real journeys, memory and client on a simulated slot, disk and network, until its power is cut."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cardreader import tlv
from cardreader.errors import Cancelled, CardRemoved, CardTimeout
from cardreader.sim.profiles import Profile, SimulatedCard, open_card
from cardreader.sim.reader import is_debit
from cardreader.sim.store import MemoryStore
from stb_app.journeys import on_disk, wallet_payment
from stb_app.journeys.memory import Memory
from stb_app.journeys.verbs import Verbs
from stb_app.shell import box as box_module
from stb_app.shell.box import BoxFiles
from stb_app.shell.connection import Connection, rotate
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Hello
from stb_app.tsp.signing import Identity
from tests.simulation.loop import ACTING, Actor, Gone, current_actor
from tests.simulation.network import BoxAdapter
from tests.simulation.plan import BoxPlan
from tests.simulation.servers import START, url_of

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

APDU_S = 0.02
_INIT = (0x80, 0x50)
_GENERATE_AC, _TC = (0x80, 0xAE), 0x40
_NEVER = threading.Event()


@dataclass(frozen=True, slots=True)
class Debit:
    """One debit as it took place on the card.

    Attributes:
        random: what the card answered to INITIALIZE: tells this transaction from all others.
    """

    card: str
    random: str
    amount_fen: int
    at_s: float


class Card:
    """A purse card in a person's hand, and the truth about its money."""

    def __init__(self, simulation: Simulation, profile: Profile) -> None:
        self.name = profile.name
        self.start_fen = profile.balance_fen
        self.debits: list[Debit] = []
        self._simulation = simulation
        self._card = SimulatedCard(profile, MemoryStore(), simulation.random(f"card {self.name}").randbytes)
        self._begun = ""

    @property
    def balance_fen(self) -> int:
        return self._card.state.balance_fen

    def power_on(self) -> None:
        self._card.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        before_fen = self.balance_fen
        data, sw = self._card.transmit(apdu)
        if tuple(apdu[:2]) == _INIT and sw == 0x9000:
            self._begun = data[-4:].hex().upper()
        if is_debit(apdu) and self.balance_fen != before_fen:
            amount_fen = before_fen - self.balance_fen
            self.debits.append(Debit(self.name, self._begun, amount_fen, self._simulation.loop.time()))
            self._simulation.note(self.name, f"debited {amount_fen} fen")
        return data, sw


class DebitCard(Card):
    """A debit or credit card: its money is the issuer's to tell; what it says itself are its TCs.

    Attributes:
        certificates: the TCs that it has given.
    """

    balance_fen = start_fen = 0

    def __init__(self, simulation: Simulation, profile: str) -> None:
        self.name = profile
        self.debits = []
        self.certificates: list[bytes] = []
        self._simulation = simulation
        self._card: Any = open_card(profile, None, simulation.random(f"card {profile}").randbytes)

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        data, sw = self._card.transmit(apdu)
        # Format 1 (EMV Book 3, 6.5.5.4): 9F27, 9F36, 9F26, 9F10.
        told = tlv.find(data, 0x80) if tuple(apdu[:2]) == _GENERATE_AC and sw == 0x9000 else None
        if told is not None and told[0] == _TC:
            self.certificates.append(told[3:11])
            self._simulation.note(self.name, "gave its TC")
        return data, sw


class Slot:
    """The reader of a box. A card may be pulled before or after any command is carried out."""

    name = "slot"
    simulated = True

    def __init__(self, box: Box) -> None:
        self._box = box
        self.card: Card | None = None
        self.insertions = 0
        self._powered = 0

    def card_present(self) -> bool:
        return self.card is not None

    def wait_for_card(self, timeout: float, cancel: threading.Event) -> _Contact:
        self._wait(lambda: self.card is not None, timeout, cancel)
        assert self.card is not None
        self.card.power_on()
        self._powered = self.insertions
        return _Contact(self._box, self, self.card, self.insertions)

    def wait_for_removal(self, timeout: float, cancel: threading.Event) -> None:
        powered = self._powered
        self._wait(lambda: self.card is None or 0 < powered < self.insertions, timeout, cancel)

    def _wait(self, arrived: Callable[[], bool], timeout: float, cancel: threading.Event) -> None:
        loop = self._box.simulation.loop
        until = loop.time() + timeout
        while True:
            if cancel.is_set():
                raise Cancelled("waiting for the slot was cancelled")
            if arrived():
                return
            left = until - loop.time()
            if left <= 0:
                raise CardTimeout("nothing happened at the slot")
            current_actor().block(left)


class _Contact:
    """A powered card."""

    def __init__(self, box: Box, slot: Slot, card: Card, insertion: int) -> None:
        self._box, self._slot, self._card, self._insertion = box, slot, card, insertion
        self._open = True

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self._box.apdus += 1
        pulled = self._box.plan.pulls.pop(self._box.apdus, None) if self._box.simulation.faulty else None
        fault, after = self._box.at_debit() if is_debit(apdu) else ("", False)
        self._pass(pull=pulled is False or (fault, after) == ("pull", False))
        if (fault, after) == ("cut", False):
            self._box.cut(20.0)
        answer = self._card.transmit(apdu)
        if (fault, after) == ("cut", True):
            self._box.cut(20.0)
        self._pass(pull=pulled is True or (fault, after) == ("pull", True))
        return answer

    def close(self) -> None:
        self._open = False

    def _pass(self, *, pull: bool) -> None:
        current_actor().block(APDU_S * self._box.random.random())
        if pull and self._slot.insertions == self._insertion:
            self._box.pull("in the middle of a command")
        if not self._open or self._slot.card is not self._card or self._slot.insertions != self._insertion:
            raise CardRemoved("the card was pulled out")


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
        self._watcher()


class Box:
    """One set-top box; its folder outlives its power.

    Attributes:
        told: every Finished that its screen has shown.
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


def _brief(step: Any) -> str:
    if hasattr(step, "outcome"):
        payment = step.payment.payment if step.payment else None
        return f"{step.outcome} money {step.money} reason {step.reason} payment {payment}"
    return repr(step)


class _Disk:
    """The operating system as the box's memory sees it: no room now and then, and power that goes in between."""

    O_WRONLY, O_CREAT, O_TRUNC, O_RDONLY = os.O_WRONLY, os.O_CREAT, os.O_TRUNC, os.O_RDONLY

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        box = _box()
        box.disk_operation()
        descriptor = os.open(path, flags, mode)
        if flags & os.O_WRONLY:
            box.unsynced[descriptor] = path
        return descriptor

    def write(self, descriptor: int, content: bytes) -> int:
        box = _box()
        box.disk_writes += 1
        if box.simulation.faulty and box.disk_writes in box.plan.full_disk:
            box.simulation.note(box.name, "disk full")
            os.write(descriptor, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "no space left on device")
        written = os.write(descriptor, content)
        box.disk_operation()
        return written

    def fsync(self, descriptor: int) -> None:
        box = _box()
        box.unsynced.pop(descriptor, None)
        # What an earlier attempt has left in this very file is flushed with it.
        box.unsynced.pop(-os.fstat(descriptor).st_ino, None)
        box.disk_operation()

    def close(self, descriptor: int) -> None:
        box = _box()
        path = box.unsynced.pop(descriptor, None)
        if path is not None:
            # Closed but never flushed: it stays at risk, also under the name that it gets next.
            box.unsynced[-os.fstat(descriptor).st_ino] = path.with_suffix(self._final(path))
        os.close(descriptor)
        if box.alive:
            box.disk_operation()

    def fdopen(self, descriptor: int, mode: str) -> _DiskFile:
        return _DiskFile(self, descriptor)

    def _final(self, path: Path) -> str:
        """What is written is renamed: ``NAME.new`` to ``NAME.json``, ``NAME.count.new`` to ``NAME.count``."""
        return ".json" if "." not in path.stem else ""


class _DiskFile:
    """A file over the same disk."""

    def __init__(self, disk: _Disk, descriptor: int) -> None:
        self._disk, self._descriptor = disk, descriptor

    def write(self, content: bytes) -> int:
        return self._disk.write(self._descriptor, content)

    def flush(self) -> None:
        """Nothing waits in between."""

    def fileno(self) -> int:
        return self._descriptor

    def __enter__(self) -> _DiskFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._disk.close(self._descriptor)


def _box() -> Box:
    owner = current_actor().owner
    assert isinstance(owner, Box)
    return owner


class _Thread:
    """In place of threading.Thread: an actor of the box on which it is started."""

    def __init__(self, target: Callable[[], None], name: str, daemon: bool) -> None:
        self._target, self._name = target, name

    def start(self) -> None:
        acting: Any = current_actor().owner
        box = acting if isinstance(acting, Box) else acting.box
        box.act(self._name, self._target)


@contextmanager
def simulated_machine() -> Any:
    """The box's disk and threads are the simulation's."""
    threads = SimpleNamespace(Thread=_Thread, Event=threading.Event)
    with (
        patch.object(on_disk, "os", _Disk()),
        patch.object(box_module, "os", _Disk()),
        patch.object(wallet_payment, "threading", threads),
        patch.object(wallet_payment, "modules_of", lambda payload: ()),
    ):
        yield


__all__ = ["ACTING", "Box", "Card", "Debit", "DebitCard", "Job", "simulated_machine"]
