"""What is seen of the processes from inside: their PSAMs, the work in their hands, their statements."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cardreader.errors import CardRemoved
from cardreader.sim.psam import open_psam
from server_stub.foundation import statements
from server_stub.foundation.jobs import LEASE_SECONDS, Jobs
from server_stub.foundation.outbox import CLAIM_SECONDS, Outbox
from server_stub.tsp import psam_pool
from tests.simulation.servers import HERE, Process

if TYPE_CHECKING:
    from tests.simulation.world import Simulation


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
