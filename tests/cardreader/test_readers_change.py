"""Readers that come, go, are renamed, hang and lose their service: on functions that answer as PC/SC says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from smartcard import scard

from cardreader import pcsc
from cardreader.choosing import ChoosingReader
from cardreader.errors import (
    CardReaderError,
    CardRemoved,
    CardTimeout,
    ReaderGone,
    ReaderInUse,
    ReaderSilent,
    ReaderUnavailable,
    ServiceUnavailable,
)
from cardreader.lab.trace import Recorder
from cardreader.pcsc import PcscReader, slots
from cardreader.purse import Purse
from cardreader.sim.profiles import open_card
from cardreader.sim.recording import ASK, tell
from tests.cardreader.fake_scard import FakeScard, FakeSlot

NEVER = threading.Event()
LEFT, RIGHT = "Left Reader 00 00", "Right Reader 01 00"
SELECT = bytes.fromhex("00A4040000")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeScard]:
    """Two readers, both empty, at a service that is given up after a twentieth of a second."""
    before = set(threading.enumerate())
    fake = FakeScard()
    fake.slots = {LEFT: FakeSlot(), RIGHT: FakeSlot()}
    monkeypatch.setattr(pcsc, "scard", fake)
    for limit in ("SERVICE_S", "CARD_S"):
        monkeypatch.setattr(pcsc, limit, 0.05)
    yield fake
    fake.released.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    assert not fake.contexts, "a context was not released"


def balance(reader: PcscReader) -> int:
    connection = reader.wait_for_card(1, NEVER)
    try:
        return Purse(connection).balance_fen()
    finally:
        connection.close()


def test_a_reader_that_comes_later_is_used(service: FakeScard) -> None:
    reader = PcscReader("Third")
    with pytest.raises(ReaderUnavailable, match="'Third'"):
        reader.card_present()
    service.slots["Third Reader 02 00"] = FakeSlot(open_card("good", None))
    assert balance(reader) == 23640


def test_a_reader_that_leaves_while_a_card_is_waited_for_is_gone(service: FakeScard) -> None:
    reader = PcscReader("Left")
    del service.slots[LEFT]
    with pytest.raises(ReaderUnavailable):
        reader.wait_for_card(1, NEVER)


def test_a_reader_that_leaves_does_not_disturb_who_waits_at_another(service: FakeScard) -> None:
    service.slots[RIGHT].insert(open_card("good", None))
    service.leave_at_listing = [LEFT]
    assert balance(PcscReader()) == 23640


def test_a_card_whose_reader_is_unplugged_is_out(service: FakeScard) -> None:
    reader = PcscReader()
    service.slots[RIGHT].insert(open_card("good", None))
    connection = reader.wait_for_card(1, NEVER)
    del service.slots[RIGHT]
    with pytest.raises(CardRemoved):
        connection.transmit(SELECT)
    reader.wait_for_removal(1, NEVER)


def test_a_reader_that_comes_back_with_another_name_is_the_one_that_was_asked_for(service: FakeScard) -> None:
    reader = PcscReader("Left Reader")
    service.slots[LEFT].insert(open_card("good", None))
    assert balance(reader) == 23640
    service.slots = {RIGHT: service.slots[RIGHT], "Left Reader 02 00": service.slots[LEFT]}
    reader.wait_for_removal(1, NEVER)
    assert balance(reader) == 23640
    assert reader.name == "Left Reader 02 00"


def test_two_readers_have_a_card_each(service: FakeScard) -> None:
    service.slots[LEFT].insert(open_card("good", None))
    service.slots[RIGHT].insert(open_card("little-money", None))
    left, right = PcscReader("Left"), PcscReader("Right")
    one, other = left.wait_for_card(1, NEVER), right.wait_for_card(1, NEVER)
    assert (Purse(one).balance_fen(), Purse(other).balance_fen()) == (23640, 320)
    service.slots[LEFT].pull()
    left.wait_for_removal(1, NEVER)
    with pytest.raises(CardTimeout):
        right.wait_for_removal(0.01, NEVER)
    assert Purse(other).balance_fen() == 320
    one.close()
    other.close()


def test_a_card_that_is_taken_out_is_out_though_another_reader_has_one(service: FakeScard) -> None:
    reader = PcscReader()
    service.slots[LEFT].insert(open_card("good", None))
    reader.wait_for_card(1, NEVER).close()
    service.slots[RIGHT].insert(open_card("good", None))
    with pytest.raises(CardTimeout):
        reader.wait_for_removal(0.01, NEVER)
    service.slots[LEFT].pull()
    reader.wait_for_removal(1, NEVER)


def test_the_card_that_is_open_is_the_one_that_is_spoken_of(service: FakeScard) -> None:
    reader = PcscReader()
    service.slots[RIGHT].insert(open_card("good", None))
    connection = reader.wait_for_card(1, NEVER)
    service.slots[LEFT].insert(open_card("little-money", None))
    assert reader.card_present()
    assert reader.name == RIGHT
    connection.close()
    assert balance(reader) == 320


def test_a_card_that_another_program_uses_is_not_the_one_to_take(service: FakeScard) -> None:
    """A PSAM in one reader, a subscriber's card in the other."""
    service.slots[LEFT] = FakeSlot(open_card("no-purse", None), exclusive=True)
    service.slots[RIGHT].insert(open_card("good", None))
    assert balance(PcscReader()) == 23640
    service.slots[RIGHT].pull()
    with pytest.raises(ReaderInUse, match=r"another program .*; end that program"):
        PcscReader().wait_for_card(1, NEVER)


@pytest.mark.parametrize("protocol", [scard.SCARD_PROTOCOL_T0, scard.SCARD_PROTOCOL_T1])
def test_both_protocols_carry_what_they_can(service: FakeScard, protocol: int) -> None:
    service.slots[LEFT] = FakeSlot(open_card("good", None), protocol=protocol)
    assert balance(PcscReader()) == 23640
    with_le = [apdu for apdu in service.slots[LEFT].sent if len(apdu) == 6 + apdu[4]]
    # ISO 7816-3, 12.2: a command of T=0 has data or Le, never both.
    assert bool(with_le) == (protocol == scard.SCARD_PROTOCOL_T1)


@pytest.mark.parametrize("function", ["SCardTransmit", "SCardConnect"])
def test_a_reader_that_hangs_is_given_up_and_others_go_on(service: FakeScard, function: str) -> None:
    service.slots[LEFT].insert(open_card("good", None))
    service.slots[RIGHT].insert(open_card("little-money", None))
    service.blocked = {f"{function} {LEFT}"}
    reader, began = PcscReader(), time.monotonic()
    with pytest.raises(CardReaderError, match=r"has not answered|does not answer"):
        balance(reader)
    assert balance(reader) == 320
    # Nobody waits for it a second time.
    del service.slots[RIGHT]
    with pytest.raises(ReaderSilent, match="unplug it"):
        reader.card_present()
    assert time.monotonic() - began < 2
    service.released.set()
    service.blocked.clear()
    reader._lines[LEFT]._thread.join(5)
    service.slots[LEFT].exclusive = False
    assert balance(reader) == 23640


def test_a_reader_that_hangs_is_named_among_the_others(service: FakeScard) -> None:
    service.slots[LEFT].insert(open_card("good", None))
    service.blocked = {f"SCardConnect {LEFT}"}
    reader = ChoosingReader()
    assert [one.silent for one in reader.slots()] == [False, False]
    with pytest.raises(ReaderSilent):
        reader.wait_for_card(1, NEVER)
    assert [(one.name, one.silent) for one in reader.slots()] == [(LEFT, True), (RIGHT, False)]


@pytest.mark.parametrize(
    ("simulated", "answer", "file"),
    [
        ("Virtual PCD 00 00", tell("good.trace"), "good.trace"),
        ("Virtual PCD 00 00", tell(""), ""),
        ("Virtual PCD 00 00", b"\x6d\x00", ""),
        (LEFT, None, ""),
    ],
)
def test_only_a_virtual_reader_is_asked_for_a_recording(
    service: FakeScard, simulated: str, answer: bytes | None, file: str
) -> None:
    class Reader:
        atr = b"\x3b\x00"

        def power_on(self) -> None:
            return

        def transmit(self, apdu: bytes) -> tuple[bytes, int]:
            assert answer is not None, "a real card was asked"
            assert apdu == ASK
            return answer[:-2], int.from_bytes(answer[-2:])

    service.slots = {simulated: FakeSlot(Reader())}
    connection = PcscReader().wait_for_card(1, NEVER)
    assert Recorder(connection, lambda: 0.0).recording() == file
    connection.close()


def test_a_service_that_hangs_is_given_up(service: FakeScard) -> None:
    service.blocked = {"SCardEstablishContext"}
    began = time.monotonic()
    before = threading.active_count()
    for _ in range(20):
        with pytest.raises(ReaderUnavailable, match="has not answered"):
            PcscReader().card_present()
    assert time.monotonic() - began < 1
    assert threading.active_count() == before + 1
    service.released.set()
    service.blocked.clear()
    line = pcsc._Context._waiting
    assert line is not None
    line._thread.join(5)
    assert not PcscReader().card_present()
    # Of a context that comes so late nobody has the handle.
    service.contexts.clear()


def test_a_service_that_ends_and_begins_again(service: FakeScard) -> None:
    reader = PcscReader()
    service.slots[LEFT].insert(open_card("good", None))
    connection = reader.wait_for_card(1, NEVER)
    service.running = False
    with pytest.raises(ReaderGone, match=r"reader service .* has gone"):
        connection.transmit(SELECT)
    for ask in (reader.card_present, slots, lambda: reader.wait_for_card(1, NEVER)):
        with pytest.raises(ReaderUnavailable):
            ask()
    service.restart()
    assert balance(reader) == 23640


def test_a_service_without_readers(service: FakeScard) -> None:
    service.slots.clear()
    assert slots() == []
    with pytest.raises(ReaderUnavailable, match="no reader is plugged in"):
        PcscReader().card_present()


def test_no_state_of_the_readers_makes_anything_else_than_our_errors(service: FakeScard) -> None:
    """Whatever leaves between two calls."""
    service.slots[LEFT].insert(open_card("good", None))
    for function in ("SCardListReaders", "SCardGetStatusChange", "SCardConnect", "SCardTransmit"):
        for result in (scard.SCARD_E_NO_SERVICE, scard.SCARD_E_UNKNOWN_READER, scard.SCARD_F_COMM_ERROR):
            answer = (result, 0, 0) if function == "SCardConnect" else (result, [])
            setattr(service, function, lambda *_, answer=answer: answer)
            with suppress(CardReaderError):
                balance(PcscReader())
                raise AssertionError(function)
            delattr(service, function)
            service.restart()


def test_a_card_that_is_pulled_at_a_command_is_not_said_to_have_done_well(
    service: FakeScard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some readers give no error then, and no answer either."""
    service.slots[LEFT].insert(open_card("good", None))
    connection = PcscReader("Left").wait_for_card(1, NEVER)
    monkeypatch.setattr(service, "SCardTransmit", lambda *_: (scard.SCARD_S_SUCCESS, []), raising=False)
    with pytest.raises(CardRemoved, match="does not answer: it may have been pulled"):
        connection.transmit(SELECT)


def test_a_service_that_does_not_run_is_no_missing_reader(service: FakeScard) -> None:
    reader = PcscReader()
    service.running = False
    for ask in (reader.card_present, lambda: reader.wait_for_card(1, NEVER), slots):
        with pytest.raises(ServiceUnavailable, match="pcscd"):
            ask()
    service.running, service.slots = True, {}
    with pytest.raises(ReaderUnavailable) as missing:
        reader.card_present()
    assert not isinstance(missing.value, ServiceUnavailable)


@pytest.mark.parametrize("function", ["SCardListReaders", "SCardGetStatusChange", "SCardConnect"])
def test_a_service_that_goes_in_the_middle_is_no_missing_reader(
    service: FakeScard, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    service.slots[LEFT].insert(open_card("good", None))
    usual = getattr(service, function)

    def gone(*arguments: object) -> object:
        service.running = False
        return usual(*arguments)

    monkeypatch.setattr(service, function, gone)
    with pytest.raises(ServiceUnavailable):
        PcscReader().wait_for_card(1, NEVER)
