"""A purse purchase through a real pcscd: how many commands, and our own time beside the reader's."""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from cardreader.pcsc import PcscReader
from cardreader.psam import Psam
from cardreader.purse import PURCHASE_EP, Purse
from cardreader.reader import Connection
from cardreader.sim.psam import open_psam
from tests.pcscd import VIRTUAL_READER, InsertedCard, running_pcscd

PURCHASES, WARM_UP = 200, 20
AMOUNT_FEN = 100
_DATE, _TIME = bytes.fromhex("20261121"), bytes.fromhex("201500")
_PIN = "123456"


class Stopwatch:
    """A connection that counts the commands of another and how long they were in the reader."""

    def __init__(self, connection: Connection) -> None:
        self._transmit = connection.transmit
        self.close = connection.close
        self.apdus = 0
        self.seconds = 0.0

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self.apdus += 1
        started = time.perf_counter()
        try:
            return self._transmit(apdu)
        finally:
            self.seconds += time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class Figures:
    """One purchase."""

    apdus: int
    reader_s: float
    own_s: float


def purchase(connection: Connection, psam: Psam) -> Figures:
    """Buys as the television does; the PSAM's work is the server's and is not counted."""
    watch = Stopwatch(connection)
    started = time.perf_counter()
    purse = Purse(watch)
    serial = purse.information.application_serial
    if purse.balance_fen() < AMOUNT_FEN:
        raise RuntimeError("the card is empty")
    purse.verify_pin(_PIN)
    card = purse.initialize_for_purchase(psam.application.key_index, AMOUNT_FEN, psam.terminal_number)
    before_psam = time.perf_counter()
    sam = psam.initialize_for_purchase(
        card.random,
        card.offline_number,
        AMOUNT_FEN,
        PURCHASE_EP,
        _DATE,
        _TIME,
        card.key_version,
        card.algorithm_id,
        serial[2:],
    )
    after_psam = time.perf_counter()
    proof = purse.debit_for_purchase(sam.terminal_transaction_number, _DATE, _TIME, sam.mac1)
    purse.balance_fen()  # for the result page
    ended = time.perf_counter()
    psam.credit_for_purchase(proof.mac2)
    session_s = ended - started - (after_psam - before_psam)
    return Figures(watch.apdus, watch.seconds, session_s - watch.seconds)


def state_parent() -> str | None:
    """A folder in memory where there is one: a slow disk must not make the reader look slow."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def main() -> None:
    """Prints the figures."""
    with running_pcscd(), tempfile.TemporaryDirectory(dir=state_parent()) as folder:
        inserted = InsertedCard("good", Path(folder))
        try:
            connection = PcscReader(VIRTUAL_READER).wait_for_card(10, threading.Event())
            psam = Psam(open_psam(1, None))
            runs = [purchase(connection, psam) for _ in range(WARM_UP + PURCHASES)][WARM_UP:]
            connection.close()
        finally:
            inserted.pull()
    own_s = statistics.median(run.own_s for run in runs)
    reader_s = statistics.median(run.reader_s for run in runs)
    figures = {
        "apdus": max(run.apdus for run in runs),
        "own_to_reader_ratio": round(statistics.median(run.own_s / run.reader_s for run in runs), 3),
        "own_us": round(own_s * 1e6, 1),
        "reader_us": round(reader_s * 1e6, 1),
        "purchases": len(runs),
    }
    print(f"a purchase takes {own_s * 1e6:.0f} us of ours, {reader_s * 1e6:.0f} us of the reader's (medians)")
    print(json.dumps({"bench": "purse", "figures": figures}))


if __name__ == "__main__":
    main()
