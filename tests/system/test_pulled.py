"""A card is pulled at every single command of its payment, through the whole chain: afterwards all books agree. ONL-7, ONL-13

Before the command, when the card has heard nothing of it, and after, when it has carried it out and nobody hears its answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cardreader.errors import CardRemoved
from cardreader.purse import Purse
from cardreader.sim.reader import SimConnection, SimReader
from tests.system import chain
from tests.system.chain import Chain

pytestmark = pytest.mark.xdist_group("pulled")
COMMANDS = {"good": 6, "debit": 15, "credit": 16}
"""Of a payment that nothing happens to."""
FULL_FEN = 23640
"""On the purse card, as it comes."""


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


def on_card(reader: SimReader) -> int:
    """The balance of a purse."""
    connection = reader.wait_for_card(1, threading.Event())
    try:
        return Purse(connection).balance_fen()
    finally:
        connection.close()


def test_every_command_is_met(bench: Chain, hand: Hand) -> None:
    for profile, commands in COMMANDS.items():
        hand.count = 0
        end = bench.pay(SimReader(profile))
        assert (end.outcome, end.money) == ("success", "taken")
        assert hand.count == commands, profile


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("profile", "at"), [(profile, at) for profile, last in COMMANDS.items() for at in range(1, last + 1)]
)
def test_it_is_pulled(bench: Chain, hand: Hand, profile: str, at: int, carried_out: bool) -> None:
    reader = SimReader(profile, state_dir=bench.cards)
    before = bench.taken_fen() + (FULL_FEN - on_card(reader) if profile == "good" else 0)
    hand.at, hand.carried_out, hand.count = at, carried_out, 0
    end = bench.pay(reader)
    assert hand.count >= at
    hand.at = 0
    assert end.payment is not None
    state, money = bench.state(end.payment.payment)
    after = bench.taken_fen() + (FULL_FEN - on_card(reader) if profile == "good" else 0)
    assert after - before == (end.payment.amount_fen if money == "taken" else 0), (state, money)
    assert state == ("done" if money == "taken" else "failed")
    # What the subscriber was told is what is so, or that it is not known yet.
    assert end.money in (money, "unknown")
    assert bench.faults() == []
