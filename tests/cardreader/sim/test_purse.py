"""What a purse does at a purchase, command by command: in which order, what it refuses, and what it proves afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardreader.errors import CounterExhausted, ProofUnavailable
from cardreader.pboc import crypto
from cardreader.purse import AID, Purse
from cardreader.sim.profiles import fresh_state
from tests.cardreader.sim.purse_card import (
    GOOD,
    KEYS,
    SELECT,
    TERMINAL_NUMBER,
    begun,
    debit_apdu,
    init_apdu,
    inserted,
)
from tests.cardreader.terminal import DATE, TIME, Terminal

# -- purchase


def test_debit_right_after_init_debits() -> None:
    card, debit = begun(100)
    before = card.card.state
    data, sw = card.ask(debit)
    assert (len(data), sw) == (16, 0x9000)
    after = card.card.state
    assert after.balance_fen == before.balance_fen - 100
    assert after.offline_number == before.offline_number + 1
    assert after.online_number == before.online_number
    assert len(after.log) == len(before.log) + 1


def test_tac_and_mac2_are_what_the_issuer_and_the_psam_compute() -> None:
    card, debit = begun(100)
    number = card.card.state.offline_number
    data, _ = card.ask(debit)
    tac = crypto.purchase_tac(KEYS.tac, 100, 6, TERMINAL_NUMBER, bytes(4), DATE, TIME)
    key = crypto.purchase_session_key(KEYS.purchase, (1).to_bytes(4), number, bytes(4))
    assert bytes.fromhex(data) == tac + crypto.purchase_mac2(key, 100)


@pytest.mark.parametrize(
    "between",
    [
        "805C000204",
        "0084000004",
        "00B095001E",
        "00B201C417",
        "0020000003123456",
        "805A000602000108",
        "80520000 0B 0000000000000000000000 04",
        "00FF0000",
        "805401000F" + "00" * 15 + "08",
        "80540100",
        SELECT,
    ],
)
def test_any_command_between_init_and_debit_cancels(between: str) -> None:
    card, debit = begun()
    balance_fen = card.card.state.balance_fen
    card.ask(between)
    expected = 0x6985
    assert card.ask(debit) == ("", expected)
    assert card.card.state.balance_fen == balance_fen


def test_a_reset_between_init_and_debit_cancels() -> None:
    card, debit = begun()
    card.card.power_on()
    card.ask(SELECT)
    assert card.ask(debit) == ("", 0x6985)


def test_a_wrong_mac1_changes_nothing_and_ends_the_purchase() -> None:
    card, debit = begun()
    before = card.card.state
    wrong = debit[:-10] + "00000000" + debit[-2:]
    assert card.ask(wrong) == ("", 0x9302)
    assert card.ask(debit) == ("", 0x6985)
    assert card.card.state == before


def test_a_debit_cannot_be_played_twice() -> None:
    card, debit = begun()
    assert card.ask(debit)[1] == 0x9000
    assert card.ask(debit) == ("", 0x6985)
    card.ask(init_apdu(100))
    assert card.ask(debit) == ("", 0x9302)


@pytest.mark.parametrize("changed", ["amount", "date", "terminal transaction number"])
def test_mac1_covers_everything(changed: str) -> None:
    card = inserted()
    card.ask(SELECT)
    random = card.ask(init_apdu(100))[0][-8:]
    debit = debit_apdu(card, 99 if changed == "amount" else 100, random)
    if changed == "date":
        debit = debit.replace(DATE.hex(), "20261122")
    if changed == "terminal transaction number":
        debit = debit.replace("0F00000000", "0F00000001")
    assert card.ask(debit) == ("", 0x9302)


def test_the_key_index_is_checked_before_the_balance() -> None:
    card = inserted()
    card.ask(SELECT)
    assert card.ask(init_apdu(0xFFFFFFFF, key_index=2)) == ("", 0x9403)
    assert card.ask(init_apdu(0xFFFFFFFF)) == ("", 0x9401)
    assert card.ask(init_apdu(23640))[1] == 0x9000


def test_a_full_offline_counter_ends_purchases() -> None:
    card = inserted(state=replace(fresh_state(GOOD), offline_number=0xFFFF))
    with pytest.raises(CounterExhausted):
        Terminal().begin(Purse(card), 100)


@pytest.mark.parametrize(
    ("apdu", "sw"),
    [
        ("8050010105", 0x6A86),
        ("805001020100", 0x6700),
        ("8054020000", 0x6A86),
        ("805401000100", 0x6700),
        ("805C000104", 0x6A86),
        ("805C000205", 0x6700),
        ("805A010602000108", 0x6A86),
        ("805A0006010108", 0x6700),
        ("0020010003123456", 0x6A86),
        ("00200000", 0x6700),
        ("0084000005", 0x6700),
        ("00B0990001", 0x6A82),
        ("00B0951E01", 0x6B00),
        ("00B0980001", 0x6981),
        ("00B0000001", 0x6986),
        ("00B095001F", 0x6C1E),
        ("00B2010417", 0x6A82),
        ("00B201AC17", 0x6981),
        ("00B20BC417", 0x6A83),
        ("00B201C518", 0x6A86),
        ("00A4040002AABB", 0x6A82),
        ("00A40200023F00", 0x6A86),
        ("00FF0000", 0x6D00),
        ("90FF0000", 0x6E00),
        ("00C0000004", 0x6985),
        ("00A404", 0x6700),
    ],
)
def test_what_the_card_refuses_and_how(apdu: str, sw: int) -> None:
    card = inserted()
    card.ask(SELECT)
    assert card.ask(apdu) == ("", sw)


# -- GET TRANSACTION PROVE


def test_only_the_last_transaction_can_be_proved() -> None:
    purse = Purse(inserted())
    terminal = Terminal()
    first = terminal.begin(purse, 100)
    first.debit(purse)
    second = terminal.begin(purse, 200)
    proof = second.debit(purse)
    assert purse.prove_purchase(second.card.offline_number) == proof
    for number in (first.card.offline_number, second.card.offline_number + 1):
        with pytest.raises(ProofUnavailable):
            purse.prove_purchase(number)


def test_a_purchase_begun_and_left_proves_nothing() -> None:
    purse = Purse(inserted())
    left = Terminal().begin(purse, 100)
    with pytest.raises(ProofUnavailable):
        purse.prove_purchase(left.card.offline_number)


# -- selection and transport


def test_the_purse_is_found_by_name_by_file_and_in_the_directory() -> None:
    card = inserted()
    fci = card.ask(SELECT)
    assert fci[1] == 0x9000
    assert card.ask("00A4000002100100") == fci
    assert card.ask("00A4040005A00000000300") == fci
    assert card.ask("00A4040209" + AID.hex()) == ("", 0x6A82)
    name = b"1PAY.SYS.DDF01".hex()
    assert card.ask("00A404000E" + name + "00")[0].startswith("6F")
    record, sw = card.ask("00B2010C00")
    assert (sw, AID.hex().upper() in record) == (0x9000, True)
    assert card.ask("00B2020C00") == ("", 0x6A83)
    assert card.ask("00B2011400") == ("", 0x6A82)
    assert card.ask("00B0950000") == ("", 0x6A82)


def test_a_t0_card_lets_its_answers_be_fetched() -> None:
    card = inserted(replace(GOOD, get_response=True))
    assert card.ask(SELECT) == ("", 0x6134)
    assert card.ask("00C00000FF") == ("", 0x6C34)
    part, sw = card.ask("00C0000010")
    assert (len(part), sw) == (32, 0x6124)
    assert card.ask("00C0000024")[1] == 0x9000
    card.ask(SELECT)
    card.ask("805C000204")
    assert card.ask("00C0000034") == ("", 0x6985)
    purse = Purse(card)
    terminal = Terminal()
    begun_ = terminal.begin(purse, 100)
    proof = begun_.debit(purse)
    terminal.psam.credit_for_purchase(proof.mac2)
    assert purse.prove_purchase(begun_.card.offline_number) == proof
    assert purse.balance_fen() == 23540
