"""A card is pulled at every single command of its payment, through the whole chain: afterwards all books agree. ONL-7, ONL-13

Before the command, when the card has heard nothing of it, and after, when it has carried it out and nobody hears its answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

from cardreader.emv.kernel import DebitCredit
from cardreader.errors import CardRemoved
from cardreader.purse import Purse
from cardreader.sim.reader import SimConnection, SimReader
from stb_app.journeys.memory import Memory
from stb_app.journeys.steps import LoadTold
from tests.system import chain
from tests.system.chain import BOX_AS_TERMINAL, Chain

pytestmark = pytest.mark.xdist_group("pulled")
COMMANDS = {"good": 6, "debit": 16, "credit": 17, "electronic-cash": 23}
"""Of a payment that nothing happens to."""
CASH, CERTIFICATE = "electronic-cash", 19
"""The card whose cash is worth some forty payments, and the command whose answer is its certificate."""
LOAD_COMMANDS, LOAD_FEN = 33, 1000
PUT_DATA = b"\x04\xda"
"""The script that loads a card."""
WHEN = {False: "before", True: "after"}
PULLS = [
    pytest.param(profile, at, carried_out, id=f"{profile}-{at}-{WHEN[carried_out]}")
    for profile, last in COMMANDS.items()
    for at in range(1, last + 1)
    for carried_out in WHEN
    if profile in ("good", "debit") or carried_out != ((profile, at) == (CASH, CERTIFICATE))
]
"""Every one but the certificate that is lost. Two cards are pulled once at each: after is before the next."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with chain.running(tmp_path_factory.mktemp("chain")) as running:
        yield running


@dataclass(slots=True)
class Hand:
    """Pulls the card at one command of all, and puts it back."""

    at: int = 0
    carried_out: bool = False
    count: int = 0


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand, really = Hand(), SimConnection.transmit

    def transmit(self: SimConnection, apdu: bytes) -> tuple[bytes, int]:
        hand.count += 1
        pulled = hand.count == hand.at
        if pulled and not hand.carried_out:
            raise CardRemoved("pulled")
        answer = really(self, apdu)
        if pulled:
            raise CardRemoved("pulled")
        return answer

    monkeypatch.setattr(SimConnection, "transmit", transmit)
    return hand


def on_card(reader: SimReader, profile: str) -> int:
    """What is left on a card that holds money."""
    connection = reader.wait_for_card(1, threading.Event())
    try:
        if profile == "good":
            return Purse(connection).balance_fen()
        if profile == CASH:
            return DebitCredit(connection, BOX_AS_TERMINAL()).electronic_cash().balance_fen or 0
        return 0
    finally:
        connection.close()


def test_every_command_is_met(bench: Chain, hand: Hand) -> None:
    for profile, commands in COMMANDS.items():
        hand.count = 0
        end = bench.pay(SimReader(profile, state_dir=bench.cards))
        assert (end.outcome, end.money) == ("success", "taken")
        assert hand.count == commands, profile
    hand.count = 0
    end, load = bench.load(SimReader(CASH, state_dir=bench.cards), LOAD_FEN)
    assert (load.state, hand.count) == ("loaded", LOAD_COMMANDS)


ONLINE_PIN = "00000000 00000000 0203 1F03"
"""The CVM list of the shipped card (8E)."""


@pytest.mark.parametrize(("profile", "method"), [("debit-t0", "0100"), ("debit-cda", "0400")])
def test_a_card_that_checks_the_pin_itself_pays(
    bench: Chain, tmp_path: Path, profile: str, method: str
) -> None:
    """ONL-5: in clear or enciphered; the issuer gets no PIN block, and takes the card's word (CVR)."""
    shipped = files("cardreader.sim.emv").joinpath("profiles", f"{profile}.toml").read_text("utf-8")
    own = tmp_path / "own.toml"
    own.write_text(shipped.replace(ONLINE_PIN, f"00000000 00000000 {method} 1F03"))
    assert own.read_text() != shipped
    end = bench.pay(SimReader(str(own)))
    assert (end.outcome, end.money) == ("success", "taken")
    assert bench.faults() == []


@pytest.mark.parametrize("profile", ["debit", "debit-t0"])
def test_a_wrong_cryptogram_is_refused(bench: Chain, profile: str) -> None:
    """ONL-12: the fault `mac` of a tester is one that the issuer finds."""
    reader, taken = SimReader(profile), bench.taken_fen()
    reader.order_fault("mac@80AE")
    end = bench.pay(reader)
    assert reader.happened
    assert (end.outcome, end.money) == ("failed", "not-taken")
    assert bench.taken_fen() == taken
    assert bench.faults() == []


@pytest.mark.parametrize(("profile", "at", "carried_out"), PULLS)
def test_it_is_pulled(bench: Chain, hand: Hand, profile: str, at: int, carried_out: bool) -> None:
    reader = SimReader(profile, state_dir=bench.cards)
    held, taken = on_card(reader, profile), bench.taken_fen()
    hand.at, hand.carried_out, hand.count = at, carried_out, 0
    end = bench.pay(reader)
    assert hand.count >= at
    hand.at = 0
    assert end.payment is not None
    state, money = bench.state(end.payment.payment)
    paid_fen = end.payment.amount_fen if money == "taken" else 0
    assert state == ("done" if paid_fen else "failed")
    assert held - on_card(reader, profile) == (paid_fen if profile in ("good", CASH) else 0)
    assert bench.taken_fen() - taken == (0 if profile == "good" else paid_fen)
    # What the subscriber was told is what is so, or that it is not known yet.
    assert end.money in (money, "unknown")
    assert bench.faults() == []


def test_a_certificate_that_is_lost_is_for_a_person(bench: Chain, hand: Hand) -> None:
    reader = SimReader(CASH, state_dir=bench.cards)
    held, taken = on_card(reader, CASH), bench.taken_fen()
    hand.at, hand.carried_out, hand.count = CERTIFICATE, True, 0
    end = bench.pay(reader, "music")
    hand.at = 0
    assert end.payment is not None
    assert (end.money, end.reason) == ("unknown", "certificate-lost")
    assert held - on_card(reader, CASH) == end.payment.amount_fen
    assert bench.taken_fen() == taken
    assert bench.cases(end.payment.payment) == ["certificate-lost"]
    assert bench.faults() == []


@pytest.mark.parametrize("at", range(1, LOAD_COMMANDS + 1))
def test_it_is_pulled_while_it_is_loaded(bench: Chain, hand: Hand, at: int) -> None:
    reader = SimReader(CASH, state_dir=bench.cards)
    held, taken = on_card(reader, CASH), bench.taken_fen()
    hand.at, hand.carried_out, hand.count = at, True, 0
    end, load = bench.load(reader, LOAD_FEN)
    assert hand.count >= at
    hand.at = 0
    loaded_fen = LOAD_FEN if load.state == "loaded" else 0
    assert load.money == ("taken" if loaded_fen else "not-taken")
    assert on_card(reader, CASH) - held == loaded_fen
    assert bench.taken_fen() - taken == loaded_fen
    assert end.outcome in (load.state, "unknown")
    assert bench.faults() == []


@pytest.mark.parametrize("carried_out", [False, True], ids=WHEN.get)
def test_a_load_that_was_left_is_found_out_when_the_card_is_back(
    bench: Chain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, carried_out: bool
) -> None:
    """The card is taken away at the issuer's script, and the television switched off."""
    reader = SimReader(CASH, state_dir=bench.cards)
    held, taken = on_card(reader, CASH), bench.taken_fen()

    def transmit(self: SimConnection, apdu: bytes) -> tuple[bytes, int]:
        if apdu.startswith(PUT_DATA):
            if carried_out:
                really(self, apdu)
            reader.pull()
        return really(self, apdu)

    really = SimConnection.transmit
    with monkeypatch.context() as patched:
        patched.setattr(SimConnection, "transmit", transmit)
        end, load = bench.load(reader, LOAD_FEN, Memory(tmp_path), put_back=False)
    assert (end.outcome, end.reason, load.money) == ("unknown", "card-away", "unknown")
    memory = Memory(tmp_path)
    assert len(memory.open_loads()) == 1
    reader.insert(CASH)
    (told,) = (step for step in bench.recover(reader, memory) if isinstance(step, LoadTold))
    loaded_fen = LOAD_FEN if carried_out else 0
    assert told.load.state == ("loaded" if carried_out else "failed")
    assert on_card(reader, CASH) - held == loaded_fen
    assert bench.taken_fen() - taken == loaded_fen
    assert bench.faults() == []
