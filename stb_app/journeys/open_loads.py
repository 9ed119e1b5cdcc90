"""Loads of electronic cash that have no end yet: their card says what it has done, the TSP is told, and the end is told, once.

What the card has said stands on the box's disk before the TSP hears it. A card that is not seen again does not keep the TSP:
it has the money booked back, and the subscriber is told so. Should the card say otherwise later, the TSP hears that, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from cardreader.emv.kernel import DebitCredit
from cardreader.errors import ProtocolError
from stb_app.journeys.memory import Memory, OpenLoad
from stb_app.journeys.steps import LoadTold
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Load
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)

BALANCE, COUNTER = 0x9F79, 0x9F36
LOOK_S = 60.0
"""How often the TSP is asked about a load that waits for its card."""


def hear(memory: Memory, record: OpenLoad, card: DebitCredit, chip: bytes | None) -> OpenLoad:
    """Asks a card what it has done about its load; from now on the box knows.

    Args:
        card: the same one.
        chip: its last word; None where that was lost.

    Raises:
        CardRemoved, StatusError, ProtocolError: it could not be read.
    """
    balance_fen = card.electronic_cash().balance_fen
    if balance_fen is None:
        raise ProtocolError("the card does not tell where its electronic cash stands")
    logged = any(
        entry.tag == BALANCE and int.from_bytes(entry.values.get(COUNTER, b"")) == record.atc
        for entry in card.load_log()
    )
    said = record.explained(balance_fen, logged, chip)
    memory.explain_load(said)
    return said


def tell(client: TspClient, memory: Memory, record: OpenLoad) -> Load:
    """Tells the TSP what the card has said. Raises Problem: it is to be told again, unless the code is ``not-found``."""
    assert record.balance_fen is not None
    chip = None if record.chip is None else bytes.fromhex(record.chip)
    key = f"{record.key}-{record.balance_fen:X}{record.logged:d}{chip is not None:d}"
    client = client.under(record.correlation)
    load = client.complete_load(record.load, chip, record.balance_fen, key, logged=record.logged)
    memory.acknowledge_load(record.load)
    return load


def look(client: TspClient, memory: Memory, record: OpenLoad) -> Load:
    """Tells the TSP what it is owed, and asks how the load stands. Raises Problem."""
    if record.balance_fen is not None and not record.acknowledged:
        tell(client, memory, record)
    return client.under(record.correlation).load(record.load)


def told(memory: Memory, record: OpenLoad, load: Load) -> None:
    """The subscriber knows the end. A card that has not said what it has done may still contradict."""
    if record.balance_fen is None and load.state == "failed":
        memory.explain_load(replace(record, told=load.state))
    else:
        memory.forget_load(record.load)


class OpenLoads:
    """The loads whose pages were left, as a background that looks again and again sees them."""

    def __init__(self, client: TspClient, memory: Memory, waits: Waits) -> None:
        self._client = client
        self._memory = memory
        self._waits = waits
        self._next: dict[str, float] = {}
        """Loads that wait for their card -> when the TSP is asked about them again."""

    def settle(self, record: OpenLoad, card: DebitCredit) -> None:
        """Has a card tell of its load. Raises CardReaderError."""
        hear(self._memory, record, card, None)
        self._next.pop(record.load, None)

    def look_now(self) -> None:
        """Somebody may just have been told of a load elsewhere: none is left for later."""
        self._next.clear()

    def follow(self, post: Callable[[LoadTold], None]) -> bool:
        """Tells the TSP what is owed, asks how the loads stand, and tells ends. False: one will have its end within moments."""
        done = True
        for record in self._memory.open_loads():
            if record.balance_fen is None and self._next.get(record.load, 0.0) > self._waits.monotonic():
                continue
            try:
                load = look(self._client, self._memory, record)
            except Problem as problem:
                log.warning("load %s: %s", record.load, problem.code)
                if problem.code == "not-found":
                    # Another platform, or one that has lost its memory: it will never tell.
                    self._memory.forget_load(record.load)
                done = False
                continue
            if load.ended:
                if load.state != record.told:
                    post(LoadTold(record, load))
                told(self._memory, record, load)
            elif record.balance_fen is None:
                self._next[record.load] = self._waits.monotonic() + LOOK_S
            else:
                done = False
        return done
