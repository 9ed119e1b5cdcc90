"""Purse payments a second through HTTP, beside a bare route that keeps one row a request on the same database.

Both get the same requests from the same boxes, signed alike, in turns of some seconds in the same run, and both are
limited by the same two things: a processor for Python, and the disk's fsync. A payment counts when the service is
open at BOSS, too: what is still owed to BOSS when the boxes stop is waited for.

``p99_ms`` is a request's while the boxes begin half as many payments a second as the server can take: then it tells what
a viewer waits. ``p99_ms_saturated`` is that of boxes which begin the next payment as soon as one is done: it tells how long
the queue of as many requests as there are boxes is, whatever the server can take.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, create_engine, func, select

from bench._bare import INSERT, metadata
from bench._boxes import STEPS, Task
from bench._servers import Boxes, cpu_seconds, family_cpu_seconds, fill, forget, numbers, running, servers
from server_stub.foundation import postgresql
from server_stub.foundation.clock import SystemClock, machine_pauses
from server_stub.foundation.database import Database
from server_stub.foundation.ids import Ids
from server_stub.foundation.sqlite import SqliteDatabase
from server_stub.tsp import tables as tsp

BOXES = 32
ROUNDS, SECONDS = 5, 4.0
KINDS = ("sqlite", "postgresql")


@dataclass(slots=True)
class Measured:
    """Rounds of one thing.

    Attributes:
        rates: payments a second, by round. ``latencies_ms``: of all requests.
    """

    rates: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    by_step_ms: dict[str, list[float]] = field(default_factory=dict)
    server_cpu_s: float = 0.0
    boxes_cpu_s: float = 0.0
    database_cpu_s: float = 0.0
    seconds: float = 0.0
    payments: int = 0

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def percentile(self, share: float) -> float:
        """Milliseconds that this share of the requests took at most."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def say(self, name: str) -> None:
        print(
            f"{name}: {self.rate:.1f} payments/s (rounds {', '.join(f'{rate:.1f}' for rate in self.rates)});"
            f" a request {self.percentile(0.5):.1f} ms, p99 {self.percentile(0.99):.1f} ms;"
            f" a payment {1000 * self.server_cpu_s / self.payments:.2f} ms of the servers' processor,"
            f" {1000 * self.boxes_cpu_s / self.payments:.2f} ms of the boxes',"
            f" {1000 * self.database_cpu_s / self.payments:.2f} ms of PostgreSQL's;"
            f" busy: servers {100 * self.server_cpu_s / self.seconds:.0f} %,"
            f" boxes {100 * self.boxes_cpu_s / self.seconds:.0f} %,"
            f" PostgreSQL {100 * self.database_cpu_s / self.seconds:.0f} %",
            flush=True,
        )
        for step, all_ms in self.by_step_ms.items():
            ordered = sorted(all_ms)
            print(
                f"  {step}: median {ordered[len(ordered) // 2]:.1f} ms, p99 {ordered[int(0.99 * len(ordered))]:.1f} ms"
            )


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows are: a folder, and for PostgreSQL an address.

    Attributes:
        keeper: the process whose children PostgreSQL's are; 0 without.
    """

    data: Path
    url: str
    keeper: int = 0

    def database_cpu_seconds(self) -> float:
        """What PostgreSQL has used so far; SQLite's work is its server's."""
        return family_cpu_seconds(self.keeper) if self.keeper else 0.0

    def owed(self) -> int:
        """What of the payments BOSS has not heard of yet."""
        address = postgresql.address(self.url) if self.url else f"sqlite:///{self.data / 'tsp.db'}"
        engine = create_engine(address, connect_args={"options": "-c search_path=tsp"} if self.url else {})
        try:
            with engine.connect() as conn:
                left = select(func.count()).select_from(tsp.outbox).where(tsp.outbox.c.due_at.is_not(None))
                return int(conn.execute(left).scalar_one())
        finally:
            engine.dispose()


@contextmanager
def place(kind: str) -> Iterator[Place]:
    """An empty place, with a PostgreSQL that keeps its word when it is one."""
    with tempfile.TemporaryDirectory(prefix="stb-bench-") as folder:
        data = Path(folder)
        try:
            if kind == "sqlite":
                yield Place(data, "")
                return
            with postgres() as (socket, keeper):
                yield Place(data, f"postgresql://stb@/postgres?host={socket}", keeper)
        finally:
            forget(data)


@contextmanager
def postgres() -> Iterator[tuple[str, int]]:
    """A PostgreSQL with its usual durability: the folder of its socket, and the process that keeps it."""
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.postgres_keeper", "durable"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        yield keeper.stdout.readline().strip(), keeper.pid
    finally:
        keeper.stdin.close()
        keeper.wait(30)
        keeper.stdout.close()


def one_round(
    boxes: Boxes,
    measured: Measured,
    here: Place,
    serving: Sequence[tuple[subprocess.Popen[str], str]],
    bare: bool,
    every_s: float = 0.0,
) -> None:
    """Adds a round; payments until BOSS has heard of all."""
    processes = [process for process, _ in serving]
    cpu, database_cpu = cpu_seconds(processes), here.database_cpu_seconds()
    began = time.perf_counter()
    done = boxes.work(Task([url for _, url in serving], numbers(BOXES), SECONDS, bare, every_s))
    drained = time.perf_counter()
    while not bare and here.owed():
        time.sleep(0.02)
    passed_s = done.seconds + time.perf_counter() - drained
    measured.server_cpu_s += cpu_seconds(processes) - cpu
    measured.database_cpu_s += here.database_cpu_seconds() - database_cpu
    measured.seconds += time.perf_counter() - began
    measured.boxes_cpu_s += done.cpu_seconds
    measured.payments += done.payments
    measured.rates.append(done.payments / passed_s)
    measured.latencies_ms += done.latencies_ms
    for step, all_ms in done.by_step_ms.items():
        measured.by_step_ms.setdefault(step, []).extend(all_ms)


def commits(here: Place, seconds: float) -> float:
    """One-row commits a second without HTTP, as many callers as there are boxes."""
    database: Database
    if here.url:
        address = postgresql.address(here.url)
        database = postgresql.PostgresqlDatabase(address, "commits", metadata.create_all, machine_pauses())
    else:
        database = SqliteDatabase(here.data / "commits.db", metadata.create_all)

    ids = Ids(SystemClock(), os.urandom)

    async def work() -> float:
        began = time.perf_counter()

        async def caller() -> int:
            count = 0
            while time.perf_counter() - began < seconds:
                values = {"id": ids.row(), "box": "9", "body": "x" * 100}
                await database.write(partial(_insert, values=values))
                count += 1
            return count

        counts = await asyncio.gather(*(caller() for _ in range(BOXES)))
        return sum(counts) / (time.perf_counter() - began)

    def _insert(conn: Connection, values: dict[str, str]) -> None:
        conn.execute(INSERT, values)

    with closing(database):
        return asyncio.run(work())


def measure(kind: str, rounds: int) -> dict[str, float]:
    """Payments beside the bare route, in turns; on PostgreSQL then two processes beside one."""
    with place(kind) as here, closing(Boxes()) as boxes:
        fill(here.data, here.url, numbers(BOXES))
        bare_command = ["bench._bare", str(here.data), *([here.url] if here.url else [])]
        payments, bare, half, rates = Measured(), Measured(), Measured(), []
        with servers(here.data, here.url) as serving, running(bare_command) as bare_one:
            one_round(boxes, Measured(), here, serving, bare=False)
            one_round(boxes, Measured(), here, [bare_one], bare=True)
            for _ in range(rounds):
                rates.append(commits(here, 1))
                one_round(boxes, bare, here, [bare_one], bare=True)
                one_round(boxes, payments, here, serving, bare=False)
            for _ in range(rounds):
                one_round(boxes, half, here, serving, bare=False, every_s=2 * BOXES / payments.rate)
        payments.say(f"payments on {kind}")
        half.say(f"half as many payments on {kind}")
        bare.say(f"bare route on {kind} ({STEPS} requests a payment)")
        print(f"bare commits on {kind}: {statistics.median(rates):.0f}/s")
        figures = {
            f"payments_s_{kind}": payments.rate,
            f"bare_requests_s_{kind}": bare.rate * STEPS,
            f"ratio_{kind}": statistics.median(
                ours / theirs for ours, theirs in zip(payments.rates, bare.rates, strict=True)
            ),
            f"p99_ms_{kind}": half.percentile(0.99),
            f"p99_ms_saturated_{kind}": payments.percentile(0.99),
            f"commit_share_{kind}": payments.rate * STEPS / statistics.median(rates),
        }
        if here.url:
            two = Measured()
            with servers(here.data, here.url, 2) as serving:
                one_round(boxes, Measured(), here, serving, bare=False)
                for _ in range(rounds):
                    one_round(boxes, two, here, serving, bare=False)
            two.say(f"payments on {kind}, two processes")
            figures["two_processes_to_one"] = two.rate / payments.rate
        return figures


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.payments")
    parser.add_argument("--database", choices=KINDS, action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for kind in options.database or KINDS:
        figures |= measure(kind, options.rounds)
    for name in ("p99_ms", "p99_ms_saturated"):
        figures[name] = max(figures[f"{name}_{kind}"] for kind in options.database or KINDS)
    print(
        f"load of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} processors"
    )
    print(
        json.dumps(
            {"bench": "payments", "figures": {name: round(value, 3) for name, value in figures.items()}}
        )
    )


if __name__ == "__main__":
    main()
