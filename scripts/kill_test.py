"""Kills servers and boxes at random moments while they pay, and looks whether anything was lost or doubled.

`python -m scripts.kill_test --database sqlite|postgresql --kills 200 --seed 1`: real `stb-server` processes (two on
PostgreSQL) and real processes of boxes are ended with SIGKILL under load and started again at once. In the end all
is left to settle and compared: cards, payments, what BOSS has opened, what the wallet has taken, and the PSAMs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, select

from bench._servers import ENVIRONMENT, fill, forget, numbers, open_role
from bench.payments import place
from scripts._kill_boxes import FULL_FEN, Orders
from server_stub.boss import tables as boss
from server_stub.main import bind
from server_stub.sandbox import tables as sandbox
from server_stub.tsp import tables as tsp

BOXES, PROCESSES = 8, 2
LONGEST_LIFE_SECONDS = 1.5
"""How long a server lives at most once it answers; a box's life is like it."""
BOX_SHARE = 0.25
"""Of the kills, those that hit boxes."""
SETTLE_SECONDS = 240.0
OPENED, TAKEN = ("opened",), ("paid", "service-refused", "opened")
OPEN_ENDS = ("mac1-issued", "mac2-refused", "contradicted")
"""A payment may stay there when a person has its case."""


@dataclass(slots=True)
class Server:
    """A server process that is started again wherever it was."""

    command: list[str]
    url: str
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env=_environment(),
        )  # fmt: skip
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise RuntimeError("the server did not start again")

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        self.process.wait(30)
        self.process.stdout.close()


class BoxProcess:
    """A process of boxes, likewise."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scripts._kill_boxes"], stdin=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(self._orders)) + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.end()

    def end(self) -> None:
        """No new payments."""
        assert self.process.stdin is not None
        self.process.stdin.close()


def _environment() -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT}


def run(kind: str, kills: int, seed: int) -> tuple[list[str], dict[str, Any]]:
    """Kills so many times; returns what is wrong in the end, and what was done."""
    chance = random.Random(seed)
    with place(kind) as here, tempfile.TemporaryDirectory(prefix="stb-kill-") as memory, ExitStack() as stack:
        boxes = numbers(BOXES)
        fill(here.data, here.url, boxes)
        servers = []
        for _ in range(2 if here.url else 1):
            with closing(bind("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            command = [
                sys.executable,
                "-m",
                "server_stub",
                "run",
                "--data",
                str(here.data),
                "--port",
                str(port),
            ]
            servers.append(
                Server(command + (["--database", here.url] if here.url else []), f"http://127.0.0.1:{port}")
            )
            servers[-1].start()
            stack.callback(servers[-1].kill, signal.SIGTERM)
        urls = [server.url for server in servers]
        paying = [
            BoxProcess(Orders(urls, boxes[place::PROCESSES], memory, seed)) for place in range(PROCESSES)
        ]
        for one in paying:
            stack.callback(one.kill)
        hits: Counter[str] = Counter()
        for _ in range(kills):
            time.sleep(chance.uniform(0.05, LONGEST_LIFE_SECONDS))
            victim: Server | BoxProcess
            victim = chance.choice(paying) if chance.random() < BOX_SHARE else chance.choice(servers)
            hits["boxes" if isinstance(victim, BoxProcess) else "servers"] += 1
            victim.kill()
            victim.start()
        for one in paying:
            one.end()
        unfinished = []
        until = time.monotonic() + SETTLE_SECONDS
        for one in paying:
            try:
                one.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                unfinished.append("boxes are still at a payment")
        while here.owed() and time.monotonic() < until:
            time.sleep(0.1)
        stack.close()
        rows = {
            "payments": _rows(here.data, here.url, tsp.metadata, tsp.payments),
            "orders": _rows(here.data, here.url, tsp.metadata, tsp.orders),
            "debits": _rows(here.data, here.url, tsp.metadata, tsp.debits),
            "cases": _rows(here.data, here.url, tsp.metadata, tsp.cases),
            "opened": _rows(here.data, here.url, boss.metadata, boss.orders),
            "subscriptions": _rows(here.data, here.url, boss.metadata, boss.subscriptions),
            "codes": _rows(here.data, here.url, sandbox.metadata, sandbox.codes),
        }
        wrong = unfinished + compare(rows, boxes, Path(memory), here.data / "psams")
        states = Counter(f"{row.method} {row.state}" for row in rows["payments"])
        ends = Counter(
            " ".join(line.split()[:1] + line.split()[2:])
            for log in Path(memory).glob("*.log")
            for line in log.read_text().splitlines()
            if line.startswith("end ")
        )
        forget(here.data)
        return wrong, {
            "kills": dict(hits),
            "payments": dict(states),
            "boxes": dict(ends),
            "cases": len(rows["cases"]),
        }


def _rows(data: Path, url: str, metadata: MetaData, table: Any) -> Sequence[Any]:
    with closing(open_role(data, url, metadata)) as database:
        return database.submit(lambda conn: conn.execute(select(table)).all()).result()


def compare(rows: dict[str, Sequence[Any]], boxes: Sequence[str], memory: Path, psams: Path) -> list[str]:
    """What does not fit together."""
    wrong = []
    cases = {row.payment_id for row in rows["cases"]}
    payments = {row.id: row for row in rows["payments"]}
    opened = {row.payment: row for row in rows["opened"] if row.state == "opened"}
    debited = _debited(memory)
    for payment, fen in debited.items():
        row = payments.get(payment)
        if row is None or row.amount_fen != fen:
            wrong.append(f"a card has paid {payment}, {fen} fen, which nobody knows")
        elif row.state not in TAKEN and not (row.state in OPEN_ENDS and payment in cases):
            wrong.append(f"a card has paid {payment}, which is {row.state}, and nobody has its case")
    for row in payments.values():
        if row.method == "card" and row.state in TAKEN and row.id not in debited:
            wrong.append(f"{row.id} is {row.state}, but no card has paid it")
        if row.state in TAKEN and (row.id in opened) != (row.state == "opened"):
            wrong.append(
                f"{row.id} is {row.state}, at BOSS it is {'open' if row.id in opened else 'not open'}"
            )
        if row.state in TAKEN and row.state != "opened" and row.id not in cases:
            wrong.append(f"{row.id} is {row.state}: not settled")
        if row.state not in TAKEN and row.id in opened:
            wrong.append(f"{row.id} is {row.state}, but BOSS has opened something for it")
    held = Counter(row.subscription_id for row in opened.values())
    bought = {
        row.id for row in rows["subscriptions"] if row.subscriber_id in {f"subscriber-{box}" for box in boxes}
    }
    if set(held) != bought or any(count != 1 for count in held.values()):
        wrong.append(f"{len(opened)} orders opened, {len(bought)} subscriptions of theirs")
    codes = {row.reference: row for row in rows["codes"]}
    for row in payments.values():
        if row.method == "card":
            continue
        code = codes.get(row.id)
        state = "none" if code is None else code.state
        fits = {"opened": ("paid",), "refunded": ("refunded",), "failed": ("closed", "declined", "none", "waiting", "scanned"),
                "cancelled": ("closed",), "expired": ("closed",)}.get(row.state, ())  # fmt: skip
        if state not in fits:
            wrong.append(f"wallet payment {row.id} is {row.state}, its code is {state}")
    spent_fen = sum(FULL_FEN - balance_fen for balance_fen in _balances(memory))
    if spent_fen != sum(debited.values()):
        wrong.append(f"the cards have spent {spent_fen} fen, for payments of {sum(debited.values())}")
    accepted = sum(_numbers(psams))
    taken = sum(row.method == "card" and row.state in TAKEN for row in payments.values())
    if accepted != taken:
        wrong.append(f"the PSAMs have accepted {accepted} purchases, {taken} are paid")
    return wrong


def _debited(memory: Path) -> dict[str, int]:
    """What the cards were seen to pay, by payment. A proof may be found twice: it is one payment."""
    found = {}
    for log in memory.glob("*.log"):
        for line in log.read_text().splitlines():
            if line.startswith("debited "):
                _, payment, fen = line.split()
                found[payment] = int(fen)
    return found


def _balances(memory: Path) -> list[int]:
    return [int(json.loads(file.read_bytes())["balance_fen"]) for file in memory.glob("card-*.json")]


def _numbers(psams: Path) -> list[int]:
    """How many purchases each PSAM has accepted: its number begins at 1."""
    return [json.loads(file.read_bytes())["terminal_transaction_number"] - 1 for file in psams.glob("*.json")]


def main() -> int:
    """Prints what was done and what is wrong; 1 when something is."""
    parser = argparse.ArgumentParser(prog="python -m scripts.kill_test")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    wrong, told = run(options.database, options.kills, options.seed)
    print(
        json.dumps(
            {
                "database": options.database,
                "seed": options.seed,
                "seconds": round(time.monotonic() - began),
                **told,
            }
        )
    )
    for line in wrong:
        print(f"wrong: {line}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
