"""Boxes that may be killed at any moment: `python -m scripts._kill_boxes` reads where and who from standard input.

Each remembers on disk, before it does anything, what it is about to do, and carries on from there; it repeats a request
with the same idempotency key until it is answered. Its card is a file, too. It ends when standard input ends, each box
after the payment it is at.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench._boxes import SERVICES, Box, Done, Line, Slot, card_facts
from cardreader.errors import CardReaderError
from cardreader.purse import DebitProof, Purse
from cardreader.sim.profiles import Profile, SimulatedCard
from cardreader.sim.store import FileStore

ANSWER_SECONDS = 12.0
PAUSE_SECONDS = 0.05
NO_MONEY = ("failed", "cancelled", "expired")
FULL_FEN = 50_000_000
WALLET_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Orders:
    """What a process of boxes is told: where the servers are, its boxes, and where they keep what they remember."""

    urls: list[str]
    boxes: list[str]
    folder: str
    seed: int


class Refused(Exception):
    """A problem that is an answer: asking again gives the same."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["code"])
        self.problem = problem


class KilledBox:
    """A box with a memory on disk."""

    def __init__(self, number: str, orders: Orders, stop: asyncio.Event) -> None:
        self._number = number
        self._urls = orders.urls
        self._random = random.Random(f"{orders.seed} {number} {os.getpid()}")
        self._stop = stop
        folder = Path(orders.folder)
        self._memory, self._log = folder / f"{number}.json", folder / f"{number}.log"
        self._record: dict[str, Any] = json.loads(self._memory.read_bytes()) if self._memory.exists() else {}
        self._signer = Box(number, orders.urls[0], Done())
        card = SimulatedCard(
            Profile("kill", "", f"62{int(number):018d}", balance_fen=FULL_FEN),
            FileStore(folder / f"card-{number}.json"),
        )
        card.power_on()
        self._purse = Purse(Slot(card))
        self._line: Line | None = None

    async def run(self) -> None:
        """Pays, payment after payment, beginning with the one that was under way."""
        while self._record or not self._stop.is_set():
            if not self._record:
                keys = {
                    step: secrets.token_hex(12)
                    for step in ("order", "begin", "card", "init", "debit", "not-debited")
                }
                method = "wallet:demo" if self._random.random() < WALLET_SHARE else "card"
                self._remember(stage="order", keys=keys, method=method, service=self._random.choice(SERVICES))
            try:
                await getattr(self, f"_{self._record['stage']}")()
            except Refused as refused:
                self._end(f"refused {self._record['stage']} {refused}")

    # The steps; each begins with what is remembered, and ends by remembering the next

    async def _order(self) -> None:
        answer = await self._post(
            "order", "/stb/v1/orders", {"service": self._record["service"], "term": "monthly"}
        )
        self._remember(stage="begin", order=answer["order"], amount_fen=answer["amount_fen"])

    async def _begin(self) -> None:
        answer = await self._post(
            "begin", f"/stb/v1/orders/{self._record['order']}/payments", {"method": self._record["method"]}
        )
        self._remember(
            stage="card" if self._record["method"] == "card" else "scan", payment=answer["payment"]
        )
        if answer["qr"] is not None:
            self._remember(code=answer["qr"]["payload"].rpartition("/w/")[2])

    async def _card(self) -> None:
        leased = await self._post("card", f"{self._path}/card", card_facts(self._purse))
        begun = self._purse.initialize_for_purchase(
            leased["key_index"], self._record["amount_fen"], bytes.fromhex(leased["terminal_number"])
        )
        body = {
            "balance_fen": begun.balance_fen,
            "offline_number": begun.offline_number,
            "overdraft_limit_fen": begun.overdraft_limit_fen,
            "key_version": begun.key_version,
            "algorithm_id": begun.algorithm_id,
            "random": begun.random.hex().upper(),
        }
        self._remember(stage="prove", init=body)
        told = await self._post("init", f"{self._path}/init", body)
        names = ("terminal_transaction_number", "date", "time", "mac1")
        try:
            proof = self._purse.debit_for_purchase(*(bytes.fromhex(told[name]) for name in names))
        except CardReaderError as error:
            self._say(f"debit refused {error}")
            return
        self._debited(proof)

    async def _prove(self) -> None:
        """Whether the card has debited is not known any more: the card itself knows."""
        init = self._record["init"]
        try:
            self._debited(self._purse.prove_purchase(init["offline_number"]))
        except CardReaderError:
            evidence = {
                "status_word": "9406",
                "offline_number": init["offline_number"],
                "balance_fen": self._purse.balance_fen(),
            }
            try:
                await self._post("not-debited", f"{self._path}/not-debited", evidence)
            except Refused as refused:
                if refused.problem["code"] != "wrong-state":
                    raise
                # MAC1 never left: nothing is unknown, and the payment is given up.
                await self._send("POST", f"{self._path}/cancel", {}, secrets.token_hex(12))
            self._end("not debited")

    def _debited(self, proof: DebitProof) -> None:
        self._say(f"debited {self._record['payment']} {self._record['amount_fen']}")
        self._remember(stage="debit", tac=proof.tac.hex().upper(), mac2=proof.mac2.hex().upper())

    async def _debit(self) -> None:
        body = {
            "tac": self._record["tac"],
            "mac2": self._record["mac2"],
            "balance_after_fen": self._purse.balance_fen(),
        }
        answer = await self._post("debit", f"{self._path}/debit", body)
        self._end(f"answered {answer['state']}")

    async def _scan(self) -> None:
        """A phone pays the code; then the box follows."""
        await self._send("POST", f"/w/{self._record['code']}/pay", None, "")
        while True:
            view = await self._send("GET", f"{self._path}?after=-1&wait=0", None, "")
            if view.get("state") in ("done", "late", *NO_MONEY):
                self._end(f"wallet {view['state']}")
                return
            await asyncio.sleep(PAUSE_SECONDS)

    # Requests

    @property
    def _path(self) -> str:
        return f"/stb/v1/payments/{self._record['payment']}"

    async def _post(self, step: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Asks until there is an answer; raises Refused for one that says no."""
        answer = await self._send("POST", path, body, self._record["keys"][step])
        if answer["status"] >= 400:
            raise Refused(answer)
        return answer

    async def _send(self, method: str, path: str, body: dict[str, Any] | None, key: str) -> dict[str, Any]:
        while True:
            content = b"" if body is None else json.dumps(body).encode()
            try:
                if self._line is None:
                    where = urlsplit(self._random.choice(self._urls))
                    self._signer.authority = where.netloc
                    loop = asyncio.get_running_loop()
                    _, self._line = await loop.create_connection(Line, str(where.hostname), where.port or 80)
                request = self._signer.request(method, path, content, key)
                status, text = await asyncio.wait_for(self._line.send(request), ANSWER_SECONDS)
            except (OSError, TimeoutError):
                if self._line is not None:
                    self._line.close()
                self._line = None
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if status == 303:
                return {"status": status}
            answer: dict[str, Any] = json.loads(text)
            if status >= 400 and answer["retryable"]:
                self._say(f"again {answer['code']} {path}")
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            return {"status": status, **answer}

    # What it remembers

    def _remember(self, **changes: Any) -> None:
        self._record |= changes
        beside = self._memory.with_suffix(".new")
        beside.write_text(json.dumps(self._record))
        os.replace(beside, self._memory)

    def _end(self, why: str) -> None:
        self._say(f"end {self._record.get('payment', '-')} {why}")
        self._memory.unlink(missing_ok=True)
        self._record = {}

    def _say(self, text: str) -> None:
        with open(self._log, "a", encoding="utf-8") as file:
            file.write(f"{text}\n")


async def work() -> None:
    """All boxes at once."""
    orders = Orders(**json.loads(sys.stdin.readline()))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: stop.set())
    await asyncio.gather(*(KilledBox(number, orders, stop).run() for number in orders.boxes))


if __name__ == "__main__":
    asyncio.run(work())
