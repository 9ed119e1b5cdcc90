"""A card is pulled out of a real reader with the answer to every single command, and put back: all books agree. ONL-7, ONL-13

What the card has heard and nobody else knows is the hardest; that it is pulled before a command, too, is in test_pulled.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cardreader.lab.faults import FaultyCard, parse
from cardreader.pcsc import PcscReader
from cardreader.sim.profiles import open_card
from cardreader.sim.reader import SimReader
from cardreader.sim.vpcd import Ending, VirtualSlot
from stb_app.journeys.memory import Memory
from tests.pcscd import VIRTUAL_READER, running_pcscd
from tests.system import chain
from tests.system.chain import Chain
from tests.system.test_pulled import CASH, CERTIFICATE, COMMANDS, LOAD_COMMANDS, LOAD_FEN, on_card

pytestmark = [pytest.mark.pcscd, pytest.mark.xdist_group("pcscd")]
NEVER = threading.Event()
PULLS = [(profile, at) for profile, last in COMMANDS.items() for at in range(1, last + 1)]


class ShortWaits:
    """The clock is real, and pauses are short: a card that is put back really needs its time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float, until: threading.Event) -> bool:
        return until.wait(min(seconds, 0.05))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with running_pcscd(), chain.running(tmp_path_factory.mktemp("chain"), ShortWaits()) as running:
        yield running


@contextmanager
def at_the_reader(profile: str, cards: str, fault: str) -> Iterator[None]:
    """Somebody who puts a card in, whom it slips away from once, and who puts it back."""
    reader, done = PcscReader(VIRTUAL_READER), threading.Event()
    reader.wait_for_removal(5, NEVER)
    faults = [parse(fault)]
    slot = deque[VirtualSlot](maxlen=1)

    def hold() -> None:
        while not done.is_set():
            slot.append(VirtualSlot(FaultyCard(open_card(profile, cards), faults, time.sleep)))
            if slot[-1].run() is Ending.LEFT:
                reader.wait_for_removal(5, NEVER)

    hand = threading.Thread(target=hold)
    hand.start()
    try:
        yield
    finally:
        done.set()
        while hand.is_alive():
            for last in slot:
                last.pull()
            hand.join(0.02)
    assert faults == [], "there are fewer commands"


def held_by(bench: Chain, profile: str) -> int:
    """What is left on the card, in fen; read as it lies on the disk."""
    return on_card(SimReader(profile, state_dir=bench.cards), profile)


@pytest.mark.parametrize(("profile", "at"), PULLS)
def test_a_payment(bench: Chain, profile: str, at: int) -> None:
    held, taken = held_by(bench, profile), bench.taken_fen()
    lost = (profile, at) == (CASH, CERTIFICATE)
    with at_the_reader(profile, bench.cards, f"lose@{at}"):
        # What is not known yet is not paid again; the others go on.
        end = bench.pay(PcscReader(VIRTUAL_READER), "music" if lost else "sports")
    assert end.payment is not None
    if lost:
        assert bench.cases(end.payment.payment) == ["certificate-lost"]
        paid_fen = 0
    else:
        state, money = bench.state(end.payment.payment)
        paid_fen = end.payment.amount_fen if money == "taken" else 0
        assert state == ("done" if paid_fen else "failed")
        assert end.money in (money, "unknown")
    assert held - held_by(bench, profile) == (
        end.payment.amount_fen if lost else paid_fen if profile in ("good", CASH) else 0
    )
    assert bench.taken_fen() - taken == (0 if profile == "good" else paid_fen)
    assert bench.faults() == []


@pytest.mark.parametrize("at", range(1, LOAD_COMMANDS + 1))
def test_a_load(bench: Chain, tmp_path: Path, at: int) -> None:
    held, taken = held_by(bench, CASH), bench.taken_fen()
    with at_the_reader(CASH, bench.cards, f"lose@{at}"):
        end, load = bench.load(PcscReader(VIRTUAL_READER), LOAD_FEN, Memory(tmp_path))
    loaded_fen = LOAD_FEN if load.state == "loaded" else 0
    assert load.money == ("taken" if loaded_fen else "not-taken")
    assert held_by(bench, CASH) - held == loaded_fen
    assert bench.taken_fen() - taken == loaded_fen
    assert end.outcome in (load.state, "unknown")
    assert bench.faults() == []
