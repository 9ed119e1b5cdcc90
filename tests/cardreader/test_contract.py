"""What every slot, card and session must do alike: in this process, and behind a real pcscd."""

from __future__ import annotations

import datetime
import threading
import time

import pytest

from cardreader.errors import (
    ApplicationBlocked,
    ApplicationNotFound,
    Cancelled,
    CardRemoved,
    CardTimeout,
    InsufficientBalance,
    KeyIndexUnsupported,
    MacInvalid,
    PinBlocked,
    PinWrong,
    ProofUnavailable,
)
from cardreader.purse import Purse
from tests.cardreader.conftest import NEVER, WAIT_S, Slot
from tests.cardreader.terminal import Terminal


def test_a_purchase_from_select_to_the_psams_acceptance(slot: Slot) -> None:
    purse = Purse(slot.insert("good"))
    terminal = Terminal()
    assert purse.information.application_serial.hex() == "62170018340572162047"
    assert purse.information.expiry_date > datetime.date(2026, 11, 21)
    assert purse.balance_fen() == 23640
    purse.verify_pin("123456")
    begun = terminal.begin(purse, 1800)
    assert begun.card.balance_fen == 23640
    proof = begun.debit(purse)
    terminal.psam.credit_for_purchase(proof.mac2)
    assert purse.balance_fen() == 21840
    assert purse.prove_purchase(begun.card.offline_number) == proof
    newest = purse.log()[0]
    assert (newest.amount_fen, newest.sequence_number) == (1800, begun.card.offline_number)
    assert newest.terminal_number == terminal.psam.terminal_number


def test_the_pins_tries_are_counted_and_end(slot: Slot) -> None:
    purse = Purse(slot.insert("good"))
    for left in (2, 1):
        with pytest.raises(PinWrong) as wrong:
            purse.verify_pin("000000")
        assert wrong.value.tries_left == left
    slot.pull()
    purse = Purse(slot.insert("good"))
    with pytest.raises(PinBlocked):
        purse.verify_pin("000000")
    with pytest.raises(PinBlocked):
        purse.verify_pin("123456")


def test_the_right_pin_restores_the_tries(slot: Slot) -> None:
    purse = Purse(slot.insert("good"))
    with pytest.raises(PinWrong):
        purse.verify_pin("000000")
    purse.verify_pin("123456")
    with pytest.raises(PinWrong) as wrong:
        purse.verify_pin("000000")
    assert wrong.value.tries_left == 2


@pytest.mark.parametrize(
    ("profile", "error"), [("blocked", ApplicationBlocked), ("no-purse", ApplicationNotFound)]
)
def test_cards_without_a_usable_purse(slot: Slot, profile: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        Purse(slot.insert(profile))


def test_refusals_before_and_at_the_debit(slot: Slot) -> None:
    purse = Purse(slot.insert("little-money"))
    terminal = Terminal()
    with pytest.raises(InsufficientBalance):
        terminal.begin(purse, 321)
    with pytest.raises(KeyIndexUnsupported):
        purse.initialize_for_purchase(9, 100_000, terminal.psam.terminal_number)
    with pytest.raises(MacInvalid):
        Terminal("foreign").begin(purse, 100).debit(purse)
    assert purse.balance_fen() == 320


def test_pulled_after_the_debit_the_same_card_proves_it(slot: Slot) -> None:
    terminal = Terminal()
    purse = Purse(slot.insert("good", pull="after-debit"))
    begun = terminal.begin(purse, 1000)
    with pytest.raises(CardRemoved):
        begun.debit(purse)
    slot.reader.wait_for_removal(WAIT_S, NEVER)
    purse = Purse(slot.insert("good"))
    proof = purse.prove_purchase(begun.card.offline_number)
    terminal.psam.credit_for_purchase(proof.mac2)
    assert purse.balance_fen() == 22640


def test_pulled_before_the_debit_there_is_nothing_to_prove(slot: Slot) -> None:
    terminal = Terminal()
    purse = Purse(slot.insert("good", pull="before-debit"))
    begun = terminal.begin(purse, 1000)
    with pytest.raises(CardRemoved):
        begun.debit(purse)
    slot.reader.wait_for_removal(WAIT_S, NEVER)
    purse = Purse(slot.insert("good"))
    with pytest.raises(ProofUnavailable):
        purse.prove_purchase(begun.card.offline_number)
    assert purse.balance_fen() == 23640
    assert terminal.begin(purse, 1000).card.offline_number == begun.card.offline_number


def test_a_card_that_has_left_has_left_for_whoever_asks_again(slot: Slot) -> None:
    connection = slot.insert("good")
    slot.pull()
    for _ in range(3):
        with pytest.raises(CardRemoved):
            connection.transmit(bytes.fromhex("00A40000023F00"))


def test_the_slot_says_what_is_in_it(slot: Slot) -> None:
    assert slot.reader.simulated
    assert not slot.reader.card_present()
    connection = slot.insert("good")
    assert slot.reader.card_present()
    slot.pull()
    assert not slot.reader.card_present()
    with pytest.raises(CardRemoved):
        connection.transmit(bytes.fromhex("805C000204"))
    connection.close()
    connection.close()


def test_waiting_ends_in_time_and_when_cancelled(slot: Slot) -> None:
    with pytest.raises(CardTimeout):
        slot.reader.wait_for_card(0.05, NEVER)
    cancel = threading.Event()
    timer = threading.Timer(0.05, cancel.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        slot.reader.wait_for_card(WAIT_S, cancel)
    assert time.monotonic() - started < 0.05 + 0.2 + 0.1
    timer.join()
    slot.insert("good").close()
    with pytest.raises(Cancelled):
        slot.reader.wait_for_card(WAIT_S, cancel)
    with pytest.raises(CardTimeout):
        slot.reader.wait_for_removal(0.05, NEVER)
