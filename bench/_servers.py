"""What measurements of the server stand on: filled data, real servers, the bare route, PostgreSQL with its fsync."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Connection, MetaData

from bench._boxes import Done, Task, private_key
from server_stub.boss import demo
from server_stub.boss import tables as boss
from server_stub.foundation import migrations, postgresql
from server_stub.foundation.clock import SystemClock, machine_pauses
from server_stub.foundation.database import Database
from server_stub.foundation.ids import Ids
from server_stub.foundation.signatures import key_id
from server_stub.foundation.sqlite import SqliteDatabase
from server_stub.tsp import tables as tsp

PSAMS = 48
ENVIRONMENT = {
    "STB_SERVER_PSAMS": ",".join(f"sim:{number}" for number in range(1, PSAMS + 1)),
    # One box of the measurement asks what a hundred at home do.
    "STB_SERVER_BOX_REQUESTS_PER_MINUTE": "10000000",
    "STB_SERVER_CARD_ATTEMPTS_PER_HOUR": "10000000",
}


def numbers(count: int) -> list[str]:
    """Boxes that are made for a measurement."""
    return [f"9{number:07d}" for number in range(count)]


def open_role(data: Path, url: str, metadata: MetaData) -> Database:
    """The tables of a role whose server keeps them there; with SQLite it must not be running."""
    role, prepare = metadata.info["role"], migrations.prepare(metadata)
    if url:
        return postgresql.PostgresqlDatabase(postgresql.address(url), role, prepare, machine_pauses())
    return SqliteDatabase(data / f"{role}.db", prepare)


def fill(data: Path, url: str, boxes: Sequence[str]) -> None:
    """An operator with its catalogue, and a subscriber with an enrolled box each."""
    # The simulated PSAMs' memory is the measuring machine's, not the server's disk.
    if Path("/dev/shm").is_dir():
        (data / "psams").symlink_to(tempfile.mkdtemp(dir="/dev/shm", prefix="stb-psams-"))
    now = SystemClock().now()
    ids = Ids(SystemClock(), os.urandom)
    keys = {number: private_key(number).public_key().public_bytes_raw() for number in boxes}

    def at_boss(conn: Connection) -> None:
        demo.load(conn, ids, SystemClock())
        for number, key in keys.items():
            person = {"id": f"subscriber-{number}", "name_zh": "某", "name_en": "Somebody"}
            conn.execute(boss.subscribers.insert().values(person))
            box = {"box_number": number, "subscriber_id": person["id"], "smart_card_number": "0" * 16}
            conn.execute(boss.boxes.insert().values(**box, activation_hash="", state="active"))
            conn.execute(
                boss.box_keys.insert().values(**box, key_id=key_id(key), registered_at=now, generation=1)
            )

    def at_tsp(conn: Connection) -> None:
        for number, key in keys.items():
            conn.execute(tsp.boxes.insert().values(box_number=number, enrolled_at=now))
            own = {
                "key_id": key_id(key),
                "box_number": number,
                "public_key": key.hex().upper(),
                "generation": 1,
            }
            conn.execute(tsp.box_keys.insert().values(**own, created_at=now, turned_at=now))

    for metadata, work in ((boss.metadata, at_boss), (tsp.metadata, at_tsp)):
        with closing(open_role(data, url, metadata)) as database:
            database.load(work)


def forget(data: Path) -> None:
    """Removes what ``fill`` has put outside of the folder."""
    psams = data / "psams"
    if psams.is_symlink():
        subprocess.run(["rm", "-rf", "--", str(psams.resolve())], check=True)


@contextmanager
def running(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that says where it listens, and that address."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if "STB_BENCH_ERRORS" not in os.environ else None,
        text=True,
        env={**os.environ, **ENVIRONMENT},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if " listening on " not in line:
            raise RuntimeError(f"{' '.join(command)} did not start")
        yield process, line.rpartition(" ")[2].strip()
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def servers(data: Path, url: str, count: int = 1) -> Iterator[list[tuple[subprocess.Popen[str], str]]]:
    """So many server processes over one database."""
    command = ["server_stub", "run", "--port", "0", "--data", str(data)]
    with ExitStack() as stack:
        yield [
            stack.enter_context(running([*command, *(["--database", url] if url else [])]))
            for _ in range(count)
        ]


class Boxes:
    """A process of boxes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench._boxes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def work(self, task: Task) -> Done:
        """Raises RuntimeError when a request was refused; what it was stands on standard error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(task)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the boxes have failed")
        return Done(**json.loads(line))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def cpu_seconds(processes: Sequence[subprocess.Popen[str]]) -> float:
    """What processes have used so far."""
    ticks = (_ticks(_fields(process.pid)) for process in processes)
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def family_cpu_seconds(ancestor: int) -> float:
    """What the processes that descend from one have used so far, and those of them that have ended."""
    stats: dict[int, list[str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):
                stats[int(folder.name)] = _fields(int(folder.name))
    family, ticks = {ancestor}, 0
    while found := {pid for pid, fields in stats.items() if int(fields[1]) in family} - family:
        family |= found
        ticks += sum(_ticks(stats[pid], ended_children=True) for pid in found)
    return ticks / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    """Of /proc/PID/stat (proc(5)), from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _ticks(fields: Sequence[str], *, ended_children: bool = False) -> int:
    return sum(int(field) for field in fields[11 : 15 if ended_children else 13])
