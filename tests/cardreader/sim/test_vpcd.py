"""The card's side of the vpcd protocol, against a hand-written reader's side."""

from __future__ import annotations

import socket
import threading

import pytest

from cardreader.errors import ReaderUnavailable
from cardreader.lab.faults import FaultyCard, parse
from cardreader.sim.profiles import PROFILES, SimulatedCard, atr, open_card
from cardreader.sim.store import MemoryStore
from cardreader.sim.vpcd import Ending, VirtualSlot
from tests.cardreader.reader_side import DEBIT, SELECT, ReaderSide


class Running:
    """A slot that answers in another thread."""

    def __init__(self, side: ReaderSide, *faults: str) -> None:
        self.power: list[bool] = []
        card = FaultyCard(open_card("good", None), [*map(parse, faults)], lambda seconds: None)
        self.slot = VirtualSlot(card, "127.0.0.1", side.port, self.power.append)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        side.accept()

    def _run(self) -> None:
        self._ending = self.slot.run()

    def ending(self) -> Ending:
        self._thread.join(5)
        return self._ending


def test_power_atr_and_commands(side: ReaderSide) -> None:
    running = Running(side)
    side.send(b"\x01")
    assert side.ask("04") == atr(t0=False).hex().upper()
    assert side.ask(SELECT).endswith("9000")
    assert side.ask("805C000204") == "00005C589000"
    side.send(b"\x02")
    assert side.ask("805C000204") == "6D00"
    side.send(b"\x00")
    side.send(b"")
    side.hang_up()
    assert running.ending() is Ending.READER_GONE
    assert running.power == [True, False]
    assert running.slot.apdus == 3


def test_messages_may_come_in_one_piece(side: ReaderSide) -> None:
    running = Running(side)
    side.client.sendall(bytes.fromhex("0001 04 0001 04"))
    assert side.receive() == side.receive() == atr(t0=False)
    running.slot.pull()
    assert running.ending() is Ending.PULLED


def test_pulling_twice_and_after_the_end_is_harmless(side: ReaderSide) -> None:
    running = Running(side)
    running.slot.pull()
    assert running.ending() is Ending.PULLED
    running.slot.pull()
    assert side.receive() == b""


@pytest.mark.parametrize(("fault", "carried_out"), [("pull@8054", 0), ("lose@8054", 1)])
def test_leaving_at_the_debit(side: ReaderSide, fault: str, carried_out: int) -> None:
    running = Running(side, fault)
    assert side.ask(DEBIT) == ""
    assert running.ending() is Ending.LEFT
    assert running.slot.apdus == carried_out


def test_a_card_that_cannot_save_says_so(side: ReaderSide) -> None:
    class Full(MemoryStore):
        def save(self, contents: dict[str, object]) -> None:
            raise OSError("no space left")

    slot = VirtualSlot(SimulatedCard(PROFILES["good"], Full()), "127.0.0.1", side.port)
    side.accept()
    for message in (SELECT, "0020000003000000"):
        side.send(bytes.fromhex(message))
    with pytest.raises(OSError, match="no space"):
        slot.run()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ReaderUnavailable, match=str(port)):
        VirtualSlot(open_card("good", None), "127.0.0.1", port)
