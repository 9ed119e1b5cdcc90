"""What only a PC/SC reader does: names, exclusive use, T=0, and the command line behind it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from smartcard import scard

from cardreader import cli
from cardreader.apdu import Channel
from cardreader.contactless import is_contactless, uid
from cardreader.emv.selection import candidates
from cardreader.emv.settings import UNIONPAY, Interface
from cardreader.errors import CardRemoved, CardTimeout, ReaderUnavailable
from cardreader.lab import console, trace
from cardreader.lab.replay import ReplayedCard
from cardreader.pcsc import PcscReader, slots
from cardreader.purse import Purse
from cardreader.reader import Reader
from cardreader.readers import open_reader
from cardreader.sim import vpcd
from cardreader.sim.profiles import PROFILES, SimulatedCard, atr, open_card
from cardreader.sim.store import MemoryStore
from cardreader.sim.vpcd import DEFAULT_HOST, DEFAULT_PORT, VirtualSlot
from tests.cardreader.terminal import Terminal
from tests.pcscd import VIRTUAL_READER, InsertedCard, poll

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


def test_a_reader_with_a_card_in_it_takes_no_other_and_the_next_one_when_that_is_out(
    tmp_path: Path, reader: PcscReader, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vpcd, "NOTICED_S", 1.0)
    card = InsertedCard("good", tmp_path)
    try:
        assert cli.main(["insert", "debit", "--state", str(tmp_path)]) == console.EXIT_OCCUPIED
    finally:
        card.pull()
    assert "has a card in it already" in capsys.readouterr().err
    assert InsertedCard("good", tmp_path).pull() == 0


def test_stb_card_reads_what_stb_card_inserted(tmp_path: Path, reader: PcscReader) -> None:
    card = InsertedCard("little-money", tmp_path)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cardreader", "read"], capture_output=True, text=True, check=False
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


def test_the_trace_of_a_t0_card_is_played_through_the_real_stack(tmp_path: Path, reader: PcscReader) -> None:
    path = tmp_path / "t0.trace"
    assert cli.main(["trace", "--reader", "sim:debit-t0", "--to", str(path)]) == console.EXIT_OK
    card = ReplayedCard(trace.load(path))
    slot = VirtualSlot(card)
    answering = threading.Thread(target=slot.run)
    answering.start()
    try:
        assert cli.main(["explore"]) == console.EXIT_OK
    finally:
        slot.pull()
        answering.join(5)
    assert not card.strange


@contextlib.contextmanager
def inserted() -> Iterator[None]:
    """A card of our own in the virtual slot, as quickly as pcscd sees it."""
    slot = VirtualSlot(SimulatedCard(PROFILES["good"], MemoryStore()))
    answering = threading.Thread(target=slot.run)
    answering.start()
    try:
        yield
    finally:
        slot.pull()
        answering.join(5)


def test_a_card_that_was_swapped_while_nobody_looked_is_gone(reader: PcscReader) -> None:
    with inserted():
        reader.wait_for_card(5, NEVER).close()
        with pytest.raises(CardTimeout):
            reader.wait_for_removal(0.05, NEVER)
    reader.wait_for_removal(5, NEVER)
    with inserted():
        poll(reader.card_present, 5, "the second card")
        reader.wait_for_removal(0.05, NEVER)
        # The new card is the one that counts as soon as it is powered.
        reader.wait_for_card(5, NEVER).close()
        with pytest.raises(CardTimeout):
            reader.wait_for_removal(0.05, NEVER)


def test_where_events_are_not_counted_a_card_is_gone_when_the_slot_is_empty() -> None:
    reader = PcscReader(VIRTUAL_READER)
    reader._powered = (VIRTUAL_READER, 0)
    assert not reader._is_gone(VIRTUAL_READER, scard.SCARD_STATE_PRESENT)
    assert not reader._is_gone(VIRTUAL_READER, 3 << 16 | scard.SCARD_STATE_PRESENT)
    assert reader._is_gone(VIRTUAL_READER, scard.SCARD_STATE_EMPTY)


def test_a_service_that_is_killed_and_started_again(
    pcscd: Callable[[], None], tmp_path: Path, reader: PcscReader
) -> None:
    card = InsertedCard("good", tmp_path)
    connection = reader.wait_for_card(5, NEVER)
    pcscd()
    with pytest.raises(CardRemoved):
        connection.transmit(bytes.fromhex("00A4040000"))
    card.wait()
    card = InsertedCard("good", tmp_path)
    connection = reader.wait_for_card(5, NEVER)
    assert Purse(connection).balance_fen() == 23640
    connection.close()
    card.pull()


def test_the_slots_are_listed_with_what_is_in_them(reader: PcscReader) -> None:
    assert not next(one for one in slots() if one.name == VIRTUAL_READER).card_present
    with inserted():
        poll(reader.card_present, 5, "the card")
        connection = reader.wait_for_card(5, NEVER)
        slot = next(one for one in slots() if one.name == VIRTUAL_READER)
        assert (slot.simulated, slot.card_present, slot.in_use, slot.mute) == (True, True, True, False)
        assert slot.atr == connection.atr == atr(t0=False)
        connection.close()
    reader.wait_for_removal(5, NEVER)


def test_two_readers_at_once_one_of_them_contactless(reader: PcscReader, tmp_path: Path) -> None:
    profile = tmp_path / "tap.toml"
    shipped = files("cardreader.sim.emv").joinpath("profiles", "debit.toml").read_text("utf-8")
    profile.write_text(f"{shipped}\n[behaviour]\ncontactless = true\n")
    other = PcscReader("Virtual PCD 00 01")
    slot = VirtualSlot(open_card(str(profile), None), DEFAULT_HOST, DEFAULT_PORT + 1)
    answering = threading.Thread(target=slot.run)
    with inserted():
        answering.start()
        try:
            purse, tapped = reader.wait_for_card(5, NEVER), other.wait_for_card(5, NEVER)
            assert is_contactless(tapped.atr)
            assert not is_contactless(purse.atr)
            ppse = candidates(Channel(tapped), Interface.CONTACTLESS, UNIONPAY)
            assert [one.aid.hex().upper() for one in ppse] == ["A000000333010101"]
            assert len(uid(tapped)) == 4
            assert Purse(purse).balance_fen() == 23640
            purse.close()
            tapped.close()
            explored = stb_card("explore", "--reader", "pcsc:00 01")
            assert (explored.returncode, "PBOC DEBIT" in explored.stdout) == (0, True)
            assert "There are cards in" in stb_card("read").stderr
            listed = stb_card("readers").stdout
            assert "Virtual PCD 00 01 (simulated): a contactless card" in listed
        finally:
            slot.pull()
            answering.join(5)
    gone = stb_card("read", "--reader", "pcsc:Omnikey")
    assert (gone.returncode, "but Virtual PCD 00 00" in gone.stderr) == (3, True)


def stb_card(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "cardreader", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
