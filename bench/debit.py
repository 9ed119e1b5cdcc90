"""An online debit transaction through a real pcscd: how many commands, our own time beside the reader's, and how soon a card
that is put in is noticed beside a bare SCardGetStatusChange.

The reader's time has the simulated card's in it, which does its RSA and 3DES in Python as a chip does it in hardware.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from smartcard import scard

from bench.purse import Figures, Stopwatch, state_parent
from cardreader import tlv
from cardreader.emv import capk
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Approved, Online, PinEntered
from cardreader.emv.scripts import IssuerResponse
from cardreader.emv.settings import TerminalSettings, Transaction
from cardreader.pcsc import PcscReader
from cardreader.reader import Connection
from cardreader.secret import SecretBytes
from cardreader.sim.emv.issuer_keys import MASTER_AC, MASTER_MAC
from cardreader.sim.profiles import open_card
from cardreader.sim.vpcd import VirtualSlot
from server_stub.ppp.chip import CardKeys, ChipData, MasterKeys
from tests.pcscd import VIRTUAL_READER, InsertedCard, poll, running_pcscd

TRANSACTIONS, WARM_UP, INSERTIONS = 100, 10, 25
PROFILE, AMOUNT_FEN = "debit", 1200
NEVER = threading.Event()
TERMINAL = TerminalSettings(
    terminal_id="88310001",
    merchant_id="883100048990001",
    ca_keys=capk.simulated(),
    electronic_cash_limit_fen=0,
)
_MASTER = MasterKeys(SecretBytes(MASTER_AC), SecretBytes(MASTER_MAC))


def transaction(connection: Connection, number: int, pan: str) -> Figures:
    """Pays as the television does; the issuer's work is not counted."""
    watch = Stopwatch(connection)
    started = time.perf_counter()
    card = DebitCredit(watch, TERMINAL)
    card.prepare(Transaction(AMOUNT_FEN, datetime.now(UTC), number))
    first = card.authorise(PinEntered())
    if not isinstance(first, Online):
        raise RuntimeError(f"the card does not ask its issuer: {first}")
    chip = b"".join(tlv.encode(tag, value) for tag, value in first.data.items())
    asked = time.perf_counter()
    answer = CardKeys(_MASTER, pan, "01", ChipData.parse(chip)).answer("00")
    answered = time.perf_counter()
    final = card.complete(IssuerResponse.from_field_55(b"00", answer))
    ended = time.perf_counter()
    if not isinstance(final, Approved):
        raise RuntimeError(f"the card does not agree: {final}")
    session_s = ended - started - (answered - asked)
    return Figures(watch.apdus, watch.seconds, session_s - watch.seconds)


def bare_wait() -> None:
    """Returns when a card is in the virtual reader, as soon as the service says so."""
    _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    state = scard.SCARD_STATE_EMPTY
    while not state & scard.SCARD_STATE_PRESENT:
        _, states = scard.SCardGetStatusChange(context, 5000, [(VIRTUAL_READER, state)])
        state = states[0][1] & ~scard.SCARD_STATE_CHANGED
    scard.SCardReleaseContext(context)


def insertion(wait: Callable[[], object]) -> float:
    """Seconds from a card's insertion until it is noticed."""
    reader = PcscReader(VIRTUAL_READER)
    poll(lambda: not reader.card_present(), 5, "the empty slot")
    noticed: list[float] = []

    def watch() -> None:
        wait()
        noticed.append(time.perf_counter())

    watching = threading.Thread(target=watch)
    watching.start()
    slot = VirtualSlot(open_card(PROFILE, None))
    put_in = time.perf_counter()
    answering = threading.Thread(target=slot.run)
    answering.start()
    watching.join(10)
    slot.pull()
    answering.join(10)
    return noticed[0] - put_in


def main() -> None:
    """Prints the figures."""
    reader = PcscReader(VIRTUAL_READER)
    with running_pcscd(), tempfile.TemporaryDirectory(dir=state_parent()) as folder:
        inserted = InsertedCard(PROFILE, Path(folder))
        pan = open_card(PROFILE, None).number
        try:
            connection = reader.wait_for_card(10, NEVER)
            runs = [transaction(connection, number, pan) for number in range(1, WARM_UP + TRANSACTIONS + 1)]
            connection.close()
        finally:
            inserted.pull()
        runs = runs[WARM_UP:]
        ours, bare = [], []
        for _ in range(INSERTIONS):
            ours.append(insertion(lambda: reader.wait_for_card(10, NEVER).close()))
            bare.append(insertion(bare_wait))
    figures = {
        "apdus": max(run.apdus for run in runs),
        "own_to_reader_ratio": round(statistics.median(run.own_s / run.reader_s for run in runs), 3),
        "own_us": round(statistics.median(run.own_s for run in runs) * 1e6, 1),
        "reader_us": round(statistics.median(run.reader_s for run in runs) * 1e6, 1),
        "insertion_to_bare_ratio": round(statistics.mean(ours) / statistics.mean(bare), 3),
        "insertion_ms": round(statistics.mean(ours) * 1000, 1),
        "bare_ms": round(statistics.mean(bare) * 1000, 1),
        "transactions": len(runs),
    }
    print(
        f"a transaction takes {figures['own_us']:.0f} us of ours, {figures['reader_us']:.0f} us of reader and card"
    )
    print(
        f"a card is noticed after {figures['insertion_ms']} ms, by a bare wait after {figures['bare_ms']} ms"
    )
    print(json.dumps({"bench": "debit", "figures": figures}))


if __name__ == "__main__":
    main()
