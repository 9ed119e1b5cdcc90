"""The card lab's journey: what every card tells, whatever it is; faults; traces that are remembered, kept and played again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cardreader.emv import capk
from cardreader.emv.capk import CaKey
from cardreader.emv.certificates import PublicKey
from cardreader.emv.settings import UNIONPAY_RID, TerminalSettings
from cardreader.errors import ReaderSilent, ReaderUnavailable, ServiceUnavailable
from cardreader.lab import trace as traces
from cardreader.lab.explore import explore
from cardreader.lab.replay import ReplayedCard
from cardreader.lab.sessions import RecordingReader
from cardreader.lab.trace import Exchange, Recorder, Trace
from cardreader.pcsc import Slot
from cardreader.purse import Purse
from cardreader.secret import Pin
from cardreader.sim.card import Card
from cardreader.sim.emv.keys import rsa_key
from cardreader.sim.reader import SimReader
from stb_app.journeys.card_lab import (
    CardLab,
    CardReading,
    CardSeen,
    ReaderSeen,
    Session,
    keep,
    readers,
    session,
    spoken,
)
from stb_app.journeys.memory import Memory
from stb_app.journeys.steps import CardPrompt, Loaded, Loading, Refused
from stb_app.journeys.verbs import Verbs
from stb_app.tsp.client import TspClient
from stb_app.tsp.problem import Problem
from tests.stb_app.journeys.bench import FastWaits

NOW = datetime(2026, 11, 21, 19, 32, tzinfo=UTC)
TERMINAL = TerminalSettings(
    terminal_id="88310001",
    merchant_id="883100048990001",
    ca_keys=capk.simulated(),
    electronic_cash_limit_fen=0,
)


class Lab:
    """A card lab that a tester leaves when ``hands`` are through: what they do at each step, in turn."""

    def __init__(self, reader: SimReader, *hands: Callable[[], Any]) -> None:
        self.reader = reader
        self.steps: list[Any] = []
        self._hands = list(hands)
        self.journey = CardLab(reader, FastWaits(), lambda: TERMINAL, lambda: NOW, threading.Lock())
        self.journey.run(self._on_step)

    def _on_step(self, step: Any) -> None:
        self.steps.append(step)
        if isinstance(step, CardSeen) or step == CardPrompt("insert"):
            (self._hands.pop(0) if self._hands else self.journey.cancel)()

    @property
    def seen(self) -> list[CardSeen]:
        return [step for step in self.steps if isinstance(step, CardSeen)]


def test_every_card_is_read_until_the_tester_leaves() -> None:
    reader = SimReader("electronic-cash")
    lab = Lab(reader, reader.pull, lambda: reader.insert("good"), reader.pull)
    cash, purse = lab.seen
    assert [step.prompt for step in lab.steps if isinstance(step, CardPrompt)] == [
        "reading",
        "insert",
        "reading",
        "insert",
    ]
    assert lab.steps[-1] == Refused("cancelled")
    (application,) = cash.found.applications
    assert (application.aid, application.authenticity) == ("A000000333010106", "verified")
    # Although this box does not take it now: a tester wants to see its files.
    assert application.cash.balance_fen == 18650
    assert any("ECC001" in line for told in application.told for line in told.lines())
    assert purse.found.purse is not None
    assert (purse.found.purse.balance_fen, purse.found.applications) == (23640, ())
    assert purse.reader == "Simulated reader"


def test_a_recording_in_a_virtual_reader_is_called_one() -> None:
    class Replayed(SimReader):
        def wait_for_card(self, timeout: float, cancel: threading.Event) -> Any:
            connection: Any = super().wait_for_card(timeout, cancel)
            connection.recording = lambda: "good.trace"
            return connection

    (replayed,) = Lab(Replayed("good")).seen
    (card,) = Lab(SimReader("good")).seen
    assert (replayed.recording, card.recording) == ("good.trace", "")
    assert len(replayed.trace.exchanges) == len(card.trace.exchanges), "the card was asked nothing for it"


def test_a_card_pulled_while_it_is_read_is_wanted_back_and_shown_as_far_as_it_came() -> None:
    reader = SimReader("credit")
    reader.order_fault("pull@80CA")
    steps: list[Any] = []
    lab = CardLab(reader, FastWaits(), lambda: TERMINAL, lambda: NOW, threading.Lock())

    def on_step(step: Any) -> None:
        steps.append(step)
        if step == CardPrompt("removed-early"):
            reader.insert("debit")
        if isinstance(step, CardSeen) and step.whole:
            lab.cancel()

    lab.run(on_step)
    words = [one.prompt if isinstance(one, CardPrompt) else one for one in steps]
    part, whole = (one for one in steps if isinstance(one, CardSeen))
    told = [one for one in words if not isinstance(one, CardReading)]
    assert told == ["reading", part, "removed-early", "reading", whole, Refused("cancelled")]
    assert (part.whole, part.found.applications, session(part.trace).kind) == (False, (), "credit")
    assert part.trace.exchanges[-1].sw is None
    assert "A000000333010102" in part.found.told[-1].asked
    assert [one.aid for one in whole.found.applications] == ["A000000333010101"]


def test_a_fault_happens_at_the_command_that_has_its_number_in_the_trace_also_when_the_card_is_read_again() -> (
    None
):
    reader = SimReader("debit")
    Lab(reader)
    reader.order_fault("word@10:6F00")
    (again,) = Lab(reader).seen
    assert [number for number, one in enumerate(again.trace.exchanges, 1) if one.sw == 0x6F00] == [10]
    assert reader.happened == ((10, "word@10:6F00"),)


def test_it_tells_how_far_it_has_read() -> None:
    reader = SimReader("debit")
    lab = Lab(reader)
    came = [one for one in lab.steps if isinstance(one, CardReading)]
    assert [one.commands for one in came] == [*range(1, len(lab.seen[0].trace.exchanges) + 1)]
    assert (came[0].reader, came[0].atr) == ("Simulated reader", lab.seen[0].trace.atr)


def test_another_card_s_stay_is_told_also_when_a_quick_hand_has_put_it_in() -> None:
    reader = SimReader("debit")
    lab = Lab(reader, lambda: reader.insert("credit"))
    told = [
        one if isinstance(one, CardSeen) else one.prompt
        for one in lab.steps[:-1]
        if not isinstance(one, CardReading)
    ]
    assert told == ["reading", lab.seen[0], "reading", lab.seen[1]]


def test_without_its_ca_key_a_card_is_not_genuine() -> None:
    reader = SimReader("debit")
    lab = Lab.__new__(Lab)
    lab.steps, lab._hands = [], []
    terminal = replace(TERMINAL, ca_keys={})
    lab.journey = CardLab(reader, FastWaits(), lambda: terminal, lambda: NOW, threading.Lock())
    lab.journey.run(lab._on_step)
    (application,) = lab.seen[0].found.applications
    assert application.authenticity == "not checked"
    assert "issuer public key certificate" in application.failure


@pytest.mark.parametrize(("index", "authenticity"), [(0xF0, "failed"), (0xF1, "verified")])
def test_the_keys_of_the_terminal_s_file_hold_for_simulated_cards_too_and_come_first(
    index: int, authenticity: str
) -> None:
    key = rsa_key("issuer")
    own = CaKey(UNIONPAY_RID, index, PublicKey(key.modulus, key.public_exponent), date(2049, 12, 31))
    terminal = replace(TERMINAL, ca_keys=capk.table([own]))
    verbs = Verbs(TspClient(), SimReader("debit"), Memory(None), FastWaits(), lambda: NOW, terminal=terminal)
    lab = verbs.look_into_card()
    steps: list[Any] = []

    def on_step(step: Any) -> None:
        steps.append(step)
        if isinstance(step, CardSeen):
            lab.cancel()

    lab.run(on_step)
    (seen,) = (step for step in steps if isinstance(step, CardSeen))
    assert seen.found.applications[0].authenticity == authenticity
    assert (UNIONPAY_RID, index) in verbs._terminal().ca_keys


def seen(profile: str) -> CardSeen:
    return Lab(SimReader(profile)).seen[0]


def test_a_trace_is_kept_and_plays_as_the_same_card(tmp_path: Path) -> None:
    first = seen("debit")
    kept = keep(first.trace, tmp_path / "traces")
    assert kept.file == "20261121T193200.trace"
    assert keep(first.trace, tmp_path / "traces").file == "20261121T193200-2.trace"
    path = Path(kept.folder) / kept.file
    assert path.stat().st_mode & 0o777 == 0o600
    again: Card = ReplayedCard(traces.load(path))
    found = explore(
        Recorder(Played(again), lambda: 0.0), replace(TERMINAL, electronic_cash_limit_fen=100_000), NOW
    )
    assert found.applications[0].card == first.found.applications[0].card
    assert [one.asked for one in found.told] == [one.asked for one in first.found.told]


class Played:
    def __init__(self, card: Card) -> None:
        self._card = card
        self.atr = card.atr

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        return self._card.transmit(apdu)

    def close(self) -> None:
        """Nothing to let go of."""


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "traces").write_text("in the way")
    with pytest.raises(Problem, match="box-storage"):
        keep(seen("no-purse").trace, tmp_path / "traces")
    with pytest.raises(Problem, match="box-storage"):
        keep(seen("no-purse").trace, None)


def test_commands_are_told_with_meaning_and_without_secrets() -> None:
    reader = SimReader("good")
    recorder = Recorder(reader.wait_for_card(1, threading.Event()), lambda: 0.0)
    purse = Purse(recorder)
    purse.verify_pin(Pin("123456"))
    assert purse.balance_fen() == 23640
    reader.order_fault("pull@805C")
    with pytest.raises(Exception, match="pulled"):
        purse.balance_fen()
    lines = spoken(Trace("r", b"", "2026-11-21T19:32:00", tuple(recorder.exchanges)))
    verify = next(one for one in lines if one.asked == "VERIFY")
    assert "123456" not in verify.command
    assert (verify.word, verify.meaning, verify.fine) == ("9000", "success", True)
    assert (lines[-1].word, lines[-1].fine) == ("", False)
    assert not any("62170018340572162047" in one.answer for one in lines)


def test_what_was_said_to_the_last_cards_is_remembered() -> None:
    slot = SimReader("good")
    verbs = Verbs(TspClient(), slot, Memory(None), FastWaits(), lambda: NOW)
    assert verbs.traces() == ()
    purse = Purse(verbs.reader.wait_for_card(1, threading.Event()))
    assert purse.balance_fen() == 23640
    slot.insert("debit")
    verbs.reader.wait_for_card(1, threading.Event()).transmit(bytes.fromhex("80AE800000"))
    newest, oldest = verbs.traces()
    assert session(newest).purpose == "payment"
    assert session(oldest) == Session("purse", "2047", "looked at")
    assert newest.made_at == "2026-11-21T19:32:00+00:00"
    assert newest.atr == slot.card.atr  # type: ignore[union-attr]
    assert oldest.exchanges[-1].sw == 0x9000


@pytest.mark.parametrize(
    ("code", "purpose"), [("00", "payment"), ("31", "inquiry"), ("60", "load"), ("63", "load")]
)
def test_what_a_bank_card_was_asked_for_is_told_by_its_transaction_type(code: str, purpose: str) -> None:
    trace = seen("electronic-cash").trace
    cdol1 = "9F02069F03069F1A0295055F2A029A039C01"
    assert any(cdol1 in one.data.hex().upper() for one in trace.exchanges)
    values = f"{'00' * 6}{'00' * 6}0156{'00' * 5}0156261121{code}{'00' * 27}"
    asked = Exchange(bytes.fromhex(f"80AE8000{len(values) // 2:02X}{values}"), b"", 0x9000, 0.0, 0.0)
    paid = replace(trace, exchanges=(*trace.exchanges, asked))
    outcome = None if purpose == "inquiry" else "not done"
    assert session(paid) == Session("electronic-cash", "4204", purpose, outcome)  # type: ignore[arg-type]


def test_only_so_many_are_remembered() -> None:
    slot = SimReader("good")
    reader = RecordingReader(slot, lambda: 0.0, lambda: NOW)
    for _ in range(20):
        reader.wait_for_card(1, threading.Event()).transmit(bytes.fromhex("805C000204"))
    assert len(reader.traces()) == 12


class Two:
    """Two readers, of which one can be chosen."""

    name, simulated, chosen = "ACS 00 00", False, ""

    def slots(self) -> list[Slot]:
        return [
            Slot("ACS 00 00", False, True, b"\x3b\x00", False, False),
            Slot("ACS 01 00", False, True, b"", True, False),
            Slot("ACS 02 00", False, True, b"", False, True),
            Slot("ACS 03 00", False, False, b"", False, False),
            Slot("ACS 04 00", False, True, b"", True, False, silent=True),
        ]

    def choose(self, name: str) -> None:
        self.chosen = name

    def card_present(self) -> bool:
        raise ReaderUnavailable("no reader is plugged in")

    wait_for_card = wait_for_removal = card_present


def test_of_several_readers_one_is_chosen() -> None:
    two: Any = Two()
    verbs = Verbs(TspClient(), two, Memory(None), FastWaits(), lambda: NOW)
    assert [one.holds for one in readers(two)] == ["card", "taken", "mute", "nothing", "silent"]
    assert [one.used for one in readers(two)] == [True, False, False, False, False]
    verbs.choose_reader("ACS 01 00")
    steps: list[Any] = []
    verbs.readers().run(steps.append)
    assert isinstance(steps[0], Loading)
    assert isinstance(steps[1], Loaded)
    assert [one.used for one in steps[1].value] == [False, True, False, False, False]
    assert readers(SimReader("good")) == (ReaderSeen("Simulated reader", "card", "", True),)
    two.slots = two.card_present
    assert readers(two) == ()

    def silent() -> None:
        raise ReaderSilent("it hangs")

    two.slots = silent
    assert readers(two) == (ReaderSeen("ACS 00 00", "silent", "", True),)

    def down() -> None:
        raise ServiceUnavailable("pcscd does not run")

    two.slots = down
    verbs.readers().run(steps.append)
    assert steps[-1] == Refused("reader-service-down", retryable=True)
