"""How busy a queue of boxes keeps PSAMs that need 150 ms for a command: one of them (`busy_percent`), and twenty (`scale_20`: how
many times as much work twenty do as one).

That is the pool: its queue, leases and turns as rows of a durable SQLite database, the threads, cards that take no time. Beside it,
as `service_...`, the same with whole payments by card, from the check to the message to BOSS and the service opened there: their
limit is the one processor that a server's Python has, as in `bench.payments`. HTTP and signatures are not in either.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog
from sqlalchemy import Connection

from bench._boxes import FULL_PURSE_FEN, SERVICES, Slot, card_facts
from bench._servers import fill, forget, numbers
from cardreader.purse import Purse
from cardreader.sim.profiles import Profile, SimulatedCard
from cardreader.sim.psam import open_psam
from cardreader.sim.store import MemoryStore
from server_stub.app import build, real_world
from server_stub.foundation.idempotency import Answer
from server_stub.settings import Settings
from server_stub.tsp import models, psam_pool
from server_stub.tsp.service import TspService

COMMAND_S = 0.150
SLOTS = 20
BOXES_A_SLOT = 6
WARM_UP_S, SECONDS = 1.5, 8.0
ROUNDS = 3
WAIT_S = 25
PURCHASE = b"\x80"
"""The class of the commands of a purchase."""


class SlowPsam:
    """A PSAM that needs its time for a command, and remembers when it was at work."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.worked: list[tuple[float, float]] = []

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if apdu[:1] != PURCHASE:
            answer: tuple[bytes, int] = self._connection.transmit(apdu)
            return answer
        began = time.perf_counter()
        answer = self._connection.transmit(apdu)
        time.sleep(max(0.0, began + COMMAND_S - time.perf_counter()))
        self.worked.append((began, began + COMMAND_S))
        return answer

    def close(self) -> None:
        self._connection.close()


def purse_of(number: str) -> Purse:
    """The card of a box."""
    card = SimulatedCard(
        Profile("bench", "", f"62{int(number):018d}", balance_fen=FULL_PURSE_FEN), MemoryStore()
    )
    card.power_on()
    return Purse(Slot(card))


class Box:
    """A box that has ordered, and does as `bench._boxes` does; its requests go to the services."""

    def __init__(self, tsp: TspService, number: str) -> None:
        self._tsp = tsp
        self.number = number
        self.purse = purse_of(number)
        self._key = 0

    def _use(self) -> Any:
        self._key += 1
        return self._tsp.core.idempotency.use(f"box:{self.number}", f"key-{self._key:08d}", "")

    async def begin(self) -> list[tuple[str, int]]:
        """Orders, and a payment of each, by id and amount."""
        begun = []
        for service in SERVICES:
            wanted = models.OrderRequest(service=service, term="monthly")
            order = said(await self._tsp.orders.create(self.number, wanted, self._use()))
            payment = said(await self._tsp.payments.begin(self.number, order["order"], "card", self._use()))
            begun.append((payment["payment"], order["amount_fen"]))
        return begun

    async def pay(self, payment: str, amount_fen: int) -> None:
        """From the card to the proof."""
        cards, number = self._tsp.cards, self.number
        facts = models.CardData.model_validate(card_facts(self.purse))
        leased = said(await cards.check(number, payment, facts, self._use(), WAIT_S))
        terminal = bytes.fromhex(leased["terminal_number"])
        begun = self.purse.initialize_for_purchase(leased["key_index"], amount_fen, terminal)
        init = models.PurchaseInit(
            balance_fen=begun.balance_fen,
            offline_number=begun.offline_number,
            overdraft_limit_fen=begun.overdraft_limit_fen,
            key_version=begun.key_version,
            algorithm_id=begun.algorithm_id,
            random=begun.random.hex().upper(),
        )
        told = said(await cards.authorise(number, payment, init, self._use()))
        names = ("terminal_transaction_number", "date", "time", "mac1")
        proof = self.purse.debit_for_purchase(*(bytes.fromhex(told[name]) for name in names))
        debited = models.DebitProof(tac=proof.tac.hex().upper(), mac2=proof.mac2.hex().upper())
        paid = said(await self._tsp.proofs.debited(number, payment, debited, self._use()))
        if paid["money"] != "taken":
            raise RuntimeError(f"not paid: {paid}")


class PoolUser(Box):
    """The same, but of what the TSP does with a card only the pool's part is done."""

    async def pay(self, payment: str, amount_fen: int) -> None:
        """From the lease to the proof."""
        core, issuer = self._tsp.core, self.purse.information.issuer_id
        now = core.clock.now

        def lease(conn: Connection) -> str | None:
            names = psam_pool.candidates(conn, core.psams, issuer)
            return psam_pool.lease(conn, payment, names, now(), 120)

        queue, waits_for = core.psam_queue, issuer.hex().upper()
        psam = None if queue.waited_for(waits_for) else await core.database.write(lease)
        if psam is None:
            with queue.place(waits_for, payment) as place:
                while psam is None and await place.wait(now() + timedelta(seconds=WAIT_S)):
                    psam = await core.database.write(lease)
        assert psam is not None
        unit = core.psams[psam]

        async def take() -> psam_pool.Turn:
            name = f"{core.who} {core.ids.row()}"
            turn = await core.database.write(
                lambda conn: psam_pool.take_turn(conn, payment, psam, name, now(), 180, anew=False)
            )
            assert isinstance(turn, psam_pool.Turn)
            return turn

        turn = await take()
        begun = self.purse.initialize_for_purchase(unit.key_index, amount_fen, unit.terminal_number)
        serial = self.purse.information.application_serial[2:]
        date, time_ = bytes.fromhex("20261122"), bytes.fromhex("120000")
        purchase = psam_pool.Purchase(
            begun.random, begun.offline_number, amount_fen, date, time_, begun.key_version, begun.algorithm_id, serial
        )  # fmt: skip
        answer = await unit.initialize(turn, purchase)
        await core.database.write(lambda conn: psam_pool.end_turn(conn, psam, turn))
        number = answer.terminal_transaction_number
        proof = self.purse.debit_for_purchase(number, date, time_, answer.mac1)
        await unit.verify(await take(), purchase, number, proof.mac2)
        await core.change(payment, lambda conn: core.give_back(conn, payment))


def said(answer: Answer) -> Any:
    """What a service answers."""
    return json.loads(answer.body)


@contextmanager
def slow_psams() -> Iterator[list[SlowPsam]]:
    """The pool's PSAMs are slow; as they are opened."""
    opened: list[SlowPsam] = []

    def slow(number: int, state_dir: str | None, issuer: str = "known") -> SlowPsam:
        opened.append(SlowPsam(open_psam(number, state_dir, issuer)))
        return opened[-1]

    with patch.object(psam_pool, "open_psam", slow):
        yield opened


async def keep_busy(boxes: Sequence[Box], psams: Sequence[SlowPsam]) -> float:
    """The boxes pay, one payment after the other each. Returns the seconds of work of all PSAMs in a second."""
    begun = {box.number: await box.begin() for box in boxes}

    async def pay_all(box: Box) -> None:
        for payment, amount_fen in begun[box.number]:
            await box.pay(payment, amount_fen)

    paying = [asyncio.ensure_future(pay_all(box)) for box in boxes]
    await asyncio.sleep(WARM_UP_S)
    began = time.perf_counter()
    await asyncio.sleep(SECONDS)
    ended = time.perf_counter()
    for task in paying:
        if task.done():
            task.result()
            raise RuntimeError("the queue is over too soon")
        task.cancel()
    await asyncio.gather(*paying, return_exceptions=True)
    worked = [interval for psam in psams for interval in list(psam.worked)]
    return sum(max(0.0, min(to, ended) - max(since, began)) for since, to in worked) / (ended - began)


def measure(slots: int, kind: type[Box]) -> float:
    """The seconds of work in a second of so many PSAMs."""
    numbered = numbers(slots * BOXES_A_SLOT)
    with tempfile.TemporaryDirectory(prefix="stb-bench-") as folder, slow_psams() as psams:
        data = Path(folder)
        fill(data, "", numbered)
        settings = Settings(psams=",".join(f"sim:{number}" for number in range(1, slots + 1)))
        # Nobody listens there: the roles of one process reach each other without the network.
        app = build(settings, ("boss", "tsp", "sandbox"), data, real_world("http://127.0.0.1:9", ""))

        async def run() -> float:
            roles = app.state.roles
            async with roles.running():
                return await keep_busy([kind(roles.tsp, number) for number in numbered], psams)

        try:
            return asyncio.run(run())
        finally:
            forget(data)


def compare(kind: type[Box], what: str, rounds: int) -> tuple[float, float]:
    """How busy one is in percent, and how many times as much twenty do: the medians of some rounds."""
    busy, scale = [], []
    for _ in range(rounds):
        one, many = measure(1, kind), measure(SLOTS, kind)
        busy.append(100 * one)
        scale.append(many / one)
        print(f"{what}: one PSAM is busy {busy[-1]:.1f} %; {SLOTS} do {scale[-1]:.2f} times that", flush=True)
    return statistics.median(busy), statistics.median(scale)


def main() -> None:
    """Prints the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    busy, scale = compare(PoolUser, "the pool", ROUNDS)
    service_busy, service_scale = compare(Box, "whole payments", 1)
    figures = {
        "busy_percent": round(busy, 1),
        f"scale_{SLOTS}": round(scale, 2),
        "service_busy_percent": round(service_busy, 1),
        f"service_scale_{SLOTS}": round(service_scale, 2),
    }
    print(
        f"load of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} processors"
    )
    print(json.dumps({"bench": "psam_pool", "figures": figures}))


if __name__ == "__main__":
    main()
