"""What only a PC/SC reader does: names, exclusive use, T=0, and the command line behind it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cardreader.errors import ReaderUnavailable
from cardreader.pcsc import PcscReader
from cardreader.purse import Purse
from cardreader.reader import Reader
from cardreader.readers import open_reader
from cardreader.sim.profiles import PROFILES, SimulatedCard
from cardreader.sim.store import MemoryStore
from cardreader.sim.vpcd import VirtualSlot
from tests.cardreader.terminal import Terminal
from tests.pcscd import VIRTUAL_READER, InsertedCard

pytestmark = [pytest.mark.pcscd, pytest.mark.usefixtures("pcscd")]
NEVER = threading.Event()


@pytest.fixture
def reader() -> Iterator[PcscReader]:
    reader = PcscReader(VIRTUAL_READER)
    yield reader
    if reader.card_present():
        reader.wait_for_removal(5, NEVER)


def test_a_reader_that_is_not_there() -> None:
    with pytest.raises(ReaderUnavailable, match="'No Such Reader'"):
        open_reader("pcsc:No Such Reader").card_present()


def test_the_reader_with_the_card_is_taken(tmp_path: Path, reader: PcscReader) -> None:
    anybody = open_reader("pcsc:")
    assert isinstance(anybody, Reader)
    card = InsertedCard("good", tmp_path)
    try:
        connection = anybody.wait_for_card(5, NEVER)
        assert anybody.name == VIRTUAL_READER
        assert Purse(connection).balance_fen() == 23640
        with pytest.raises(ReaderUnavailable, match="another program"):
            reader.wait_for_card(5, NEVER)
        # Whoever asks the same reader again has forgotten the connection before.
        anybody.wait_for_card(5, NEVER).close()
    finally:
        card.pull()


def test_stb_card_reads_what_stb_card_inserted(tmp_path: Path, reader: PcscReader) -> None:
    card = InsertedCard("little-money", tmp_path)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cardreader.cli", "read"], capture_output=True, text=True, check=False
        )
    finally:
        assert card.pull() == 0
    assert done.returncode == 0
    assert "3.20 yuan" in done.stdout
    assert "commands" in card.said


def test_a_t0_card_through_the_real_stack(reader: PcscReader) -> None:
    profile = replace(PROFILES["good"], get_response=True)
    slot = VirtualSlot(SimulatedCard(profile, MemoryStore()))
    answering = threading.Thread(target=slot.run)
    answering.start()
    traced: list[bytes] = []
    try:
        connection = reader.wait_for_card(5, NEVER)
        purse = Purse(connection, lambda apdu, data, sw: traced.append(apdu))
        purse.verify_pin("123456")
        Terminal().buy(purse, 100)
        assert purse.balance_fen() == 23540
        connection.close()
    finally:
        slot.pull()
        answering.join(5)
    assert 0xC0 in [apdu[1] for apdu in traced]
