"""A purse's money and its state: what survives, and that nothing that anybody sends loses a fen."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cardreader.errors import PinWrong, ProtocolError
from cardreader.purse import Purse
from cardreader.sim.profiles import SimulatedCard, fresh_state
from cardreader.sim.purse_state import PurseState
from cardreader.sim.store import FileStore, MemoryStore
from tests.cardreader.sim.counting import Counting
from tests.cardreader.sim.purse_card import GOOD, SELECT, Inserted, debit_apdu, init_apdu, inserted
from tests.cardreader.terminal import DATE, TIME, Terminal

# -- what survives


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "card.json"
    purse = Purse(Inserted(SimulatedCard(GOOD, FileStore(path), Counting())))
    terminal = Terminal()
    begun_ = terminal.begin(purse, 100)
    proof = begun_.debit(purse)
    with pytest.raises(PinWrong):
        purse.verify_pin("000000")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600  # its PIN and keys are in it
    again = Inserted(SimulatedCard(GOOD, FileStore(path), Counting()))
    purse = Purse(again)
    assert purse.balance_fen() == 23540
    assert purse.prove_purchase(begun_.card.offline_number) == proof
    assert purse.log()[0].amount_fen == 100
    with pytest.raises(PinWrong) as wrong:
        purse.verify_pin("000000")
    assert wrong.value.tries_left == 1
    assert [item.name for item in path.parent.iterdir()] == ["card.json"]


class Failing(MemoryStore):
    """A store whose disk is full."""

    def save(self, contents: dict[str, object]) -> None:
        raise OSError("no space left")


def test_no_answer_leaves_before_the_change_is_saved() -> None:
    card = Inserted(SimulatedCard(GOOD, Failing(), Counting()))
    card.ask(SELECT)
    random = card.ask(init_apdu(100))[0][-8:]
    with pytest.raises(OSError, match="no space"):
        card.ask(debit_apdu(card, 100, random))
    assert card.card.state == fresh_state(GOOD)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"public": 1}', "\xff", "[" * 5000])
def test_a_damaged_state_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ProtocolError, match=r"card"):
        SimulatedCard(GOOD, FileStore(path))


# -- whatever anybody sends


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_no_bytes_make_the_card_fail_or_move_money(apdus: list[bytes]) -> None:
    card = inserted()
    card.ask(SELECT)
    for apdu in apdus:
        data, sw = card.transmit(apdu)
        assert 0x6000 <= sw <= 0x9FFF
        assert len(data) <= 256
    assert card.card.state.balance_fen == 23640


class PurseMachine(RuleBasedStateMachine):
    """Purchases, right and wrong, commands in between: only a DEBIT with the right MAC1 moves money."""

    def __init__(self) -> None:
        super().__init__()
        self.card = inserted()
        self.card.ask(SELECT)
        self.debited_fen = 0
        self.debits = 0
        self.first_number = self.card.card.state.offline_number
        self.ready: tuple[int, str] | None = None

    @rule(amount_fen=st.integers(0, 30_000))
    def initialize(self, amount_fen: int) -> None:
        data, sw = self.card.ask(init_apdu(amount_fen))
        affordable = amount_fen <= 23640 - self.debited_fen
        assert sw == (0x9000 if affordable else 0x9401)
        self.ready = (amount_fen, data[-8:]) if affordable else None

    @rule()
    def debit(self) -> None:
        amount_fen, random = self.ready or (0, "00000000")
        _, sw = self.card.ask(debit_apdu(self.card, amount_fen, random))
        assert sw == (0x9000 if self.ready else 0x6985)
        if self.ready:
            self.debited_fen += amount_fen
            self.debits += 1
        self.ready = None

    @rule(mac1=st.binary(min_size=4, max_size=4))
    def debit_with_a_guessed_mac(self, mac1: bytes) -> None:
        _, sw = self.card.ask(f"805401000F00000000{DATE.hex()}{TIME.hex()}{mac1.hex()}08")
        assert sw == (0x9302 if self.ready else 0x6985)
        self.ready = None

    @rule(apdu=st.sampled_from(["805C000204", "0084000004", "00B201C417", SELECT]))
    def something_else(self, apdu: str) -> None:
        self.card.ask(apdu)
        self.ready = None

    @invariant()
    def no_fen_is_lost(self) -> None:
        state = self.card.card.state
        assert state.balance_fen + self.debited_fen == 23640
        assert state.offline_number == self.first_number + self.debits
        assert len(state.log) <= 10


TestPurseMachine = PurseMachine.TestCase
TestPurseMachine.settings = settings(max_examples=30, stateful_step_count=20)


@given(st.data())
def test_a_state_is_written_and_read_again(data: st.DataObject) -> None:
    state = replace(
        fresh_state(GOOD),
        balance_fen=data.draw(st.integers(0, 0xFFFFFFFF)),
        pin_tries_left=data.draw(st.integers(0, 3)),
        log=tuple(data.draw(st.lists(st.binary(min_size=23, max_size=23), max_size=10))),
        card_blocked=data.draw(st.booleans()),
    )
    assert PurseState.from_contents(state.to_contents()) == state
