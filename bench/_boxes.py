"""The boxes of a measurement, in a process of their own: `python -m bench._boxes` reads what to do from standard input.

They do on the wire what a box does for a payment with a purse card, and no more: no screens, no PIN, no disk. What
they send is as a real box sends it, signatures included; the cards are simulated, in memory.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import resource
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cardreader.purse import Purse
from cardreader.sim.profiles import Profile, SimulatedCard
from cardreader.sim.store import MemoryStore
from server_stub.foundation.signatures import key_id

SERVICES = ("sports", "kids", "music", "news", "documentary", "opera", "games", "health")
FULL_PURSE_FEN = 0xFFFF_FFFF
STEPS = 6
"""Requests of one payment: order, begin, inquiry, card, MAC1, proof."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a process of boxes is to do.

    Attributes:
        urls: of the servers; the boxes are dealt out over them.
        boxes: their numbers.
        seconds: for how long new payments are begun.
        bare: the same requests to the bare route instead.
        every_s: each box begins a payment so often, one after the other; 0: as soon as the one before is done.
    """

    urls: list[str]
    boxes: list[str]
    seconds: float
    bare: bool = False
    every_s: float = 0.0


@dataclass(slots=True)
class Done:
    """What came of it.

    Attributes:
        seconds: from the first request to the last answer. ``cpu_seconds``: of this process meanwhile.
        latencies_ms: of every request.
    """

    payments: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    by_step_ms: dict[str, list[float]] = field(default_factory=dict)


class Line(asyncio.Protocol):
    """One kept connection: one request at a time."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server has closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        begin = head.lower().find(b"content-length:")
        length = int(head[begin + 15 :].split(b"\r\n", 1)[0])
        if len(body) >= length and self._answer is not None:
            self._buffer = b""
            self._answer.set_result((int(head[9:12]), body))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


class Slot:
    """A connection straight to a simulated card."""

    def __init__(self, card: SimulatedCard) -> None:
        self.transmit = card.transmit

    def close(self) -> None:
        """Nothing to let go of."""


class Box:
    """A box with its key and its card."""

    def __init__(self, number: str, url: str, done: Done) -> None:
        self.number = number
        self._done = done
        self.authority = url.removeprefix("http://")
        self._private = private_key(number)
        self._key = key_id(self._private.public_key().public_bytes_raw())
        # A key's counter never goes back, also not from one process of boxes to the next.
        self._counter = itertools.count(time.time_ns() // 1_000_000)
        card = SimulatedCard(
            Profile("bench", "", f"62{int(number):018d}", balance_fen=FULL_PURSE_FEN), MemoryStore()
        )
        card.power_on()
        self.purse = Purse(Slot(card))
        self._line: Line | None = None

    async def connect(self) -> None:
        host, port = self.authority.split(":")
        _, self._line = await asyncio.get_running_loop().create_connection(Line, host, int(port))

    def close(self) -> None:
        if self._line is not None:
            self._line.close()

    async def post(self, step: str, path: str, body: Any) -> Any:
        """Sends a signed request. Raises RuntimeError when it is refused."""
        assert self._line is not None
        request = self.request("POST", path, json.dumps(body).encode(), secrets.token_hex(12))
        began = time.perf_counter()
        status, answer = await self._line.send(request)
        passed_ms = (time.perf_counter() - began) * 1000
        self._done.latencies_ms.append(passed_ms)
        self._done.by_step_ms.setdefault(step, []).append(passed_ms)
        if status >= 300:
            raise RuntimeError(f"{path}: {status} {answer.decode()}")
        return json.loads(answer)

    def request(self, method: str, path: str, body: bytes, key: str) -> bytes:
        """A signed request as it goes over the wire.

        Args:
            key: the idempotency key; empty for a request that changes nothing.
        """
        plain, _, query = path.partition("?")
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
        created = int(time.time())
        covered = '"@method" "@authority" "@path" "@query" "content-digest" "stb-number"'
        covered += ' "idempotency-key"' if key else ""
        parameters = (
            f"({covered})"
            f';created={created};keyid="{self._key}";alg="ed25519";expires={created + 60}'
            f';nonce="{next(self._counter)}-{secrets.token_urlsafe(16)}";tag="stb-request"'
        )
        base = (
            f'"@method": {method}\n"@authority": {self.authority}\n"@path": {plain}\n"@query": ?{query}\n'
            f'"content-digest": {digest}\n"stb-number": {self.number}\n'
            + (f'"idempotency-key": {key}\n' if key else "")
            + f'"@signature-params": {parameters}'
        )
        signature = base64.b64encode(self._private.sign(base.encode())).decode()
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self.authority}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nSTB-Number: {self.number}\r\n"
            + (f"Idempotency-Key: {key}\r\n" if key else "")
            + f"Content-Digest: {digest}\r\nSignature-Input: stb={parameters}\r\nSignature: stb=:{signature}:\r\n\r\n"
        ).encode() + body


def private_key(number: str) -> Ed25519PrivateKey:
    """A box's key; known to whoever fills the database."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"bench {number}".encode()).digest())


async def pay(box: Box, service: str) -> str:
    """A whole payment, from the order to the proof; returns its id."""
    order = await box.post("order", "/stb/v1/orders", {"service": service, "term": "monthly"})
    payment = await box.post("begin", f"/stb/v1/orders/{order['order']}/payments", {"method": "card"})
    facts = card_facts(box.purse)
    await box.post("inquiry", "/stb/v1/inquiries", {"kind": "card", **facts})
    path = f"/stb/v1/payments/{payment['payment']}"
    leased = await box.post("card", f"{path}/card", facts)
    terminal = bytes.fromhex(leased["terminal_number"])
    begun = box.purse.initialize_for_purchase(leased["key_index"], order["amount_fen"], terminal)
    told = await box.post(
        "init",
        f"{path}/init",
        {
            "balance_fen": begun.balance_fen,
            "offline_number": begun.offline_number,
            "overdraft_limit_fen": begun.overdraft_limit_fen,
            "key_version": begun.key_version,
            "algorithm_id": begun.algorithm_id,
            "random": begun.random.hex().upper(),
        },
    )
    names = ("terminal_transaction_number", "date", "time", "mac1")
    proof = box.purse.debit_for_purchase(*(bytes.fromhex(told[name]) for name in names))
    body = {"tac": proof.tac.hex().upper(), "mac2": proof.mac2.hex().upper(), "balance_after_fen": None}
    paid = await box.post("debit", f"{path}/debit", body)
    if paid["money"] != "taken":
        raise RuntimeError(f"not paid: {paid}")
    return str(payment["payment"])


async def pay_bare(box: Box, service: str) -> str:
    """As many requests, about as long, to a route that keeps one row of each."""
    facts = card_facts(box.purse)
    bodies: Sequence[dict[str, Any]] = (
        {"service": service, "term": "monthly"},
        {"method": "card"},
        {"kind": "card", **facts},
        facts,
        {"balance_fen": 1, "offline_number": 2, "overdraft_limit_fen": 0, "key_version": 1, "algorithm_id": 0, "random": "0" * 8},
        {"tac": "0" * 8, "mac2": "0" * 8, "balance_after_fen": None},
    )  # fmt: skip
    for body in bodies:
        await box.post("bare", "/stb/v1/payments/01KAMMQ6F9Z3P6B5T1T8J6V5AN/rows", body)
    return ""


def card_facts(purse: Purse) -> dict[str, Any]:
    """What a box tells of a card."""
    information = purse.information
    return {
        "issuer_id": information.issuer_id.hex().upper(),
        "application_serial": information.application_serial.hex().upper(),
        "application_type": f"{information.application_type:02X}",
        "start_date": f"{information.start_date:%Y%m%d}",
        "expiry_date": f"{information.expiry_date:%Y%m%d}",
        "balance_fen": purse.balance_fen(),
    }


async def work(task: Task) -> Done:
    """All boxes pay, one payment after the other each, until the time is over."""
    done = Done()
    boxes = [Box(number, task.urls[place % len(task.urls)], done) for place, number in enumerate(task.boxes)]
    one_payment: Callable[[Box, str], Awaitable[str]] = pay_bare if task.bare else pay
    for box in boxes:
        await box.connect()
    cpu, began = _cpu_seconds(), time.perf_counter()
    until = began + task.seconds

    async def keep_paying(box: Box, services: Iterator[str], due: float) -> None:
        while (now := time.perf_counter()) < until:
            if now < due:
                await asyncio.sleep(due - now)
            due += task.every_s
            await one_payment(box, next(services))
            done.payments += 1

    await asyncio.gather(
        *(
            keep_paying(box, itertools.cycle(SERVICES), began + place / len(boxes) * task.every_s)
            for place, box in enumerate(boxes)
        )
    )
    done.seconds = time.perf_counter() - began
    done.cpu_seconds = _cpu_seconds() - cpu
    for box in boxes:
        box.close()
    return done


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Task in, what came of it out; both a line of JSON."""
    for line in sys.stdin:
        done = asyncio.run(work(Task(**json.loads(line))))
        print(json.dumps(asdict(done)), flush=True)


if __name__ == "__main__":
    main()
