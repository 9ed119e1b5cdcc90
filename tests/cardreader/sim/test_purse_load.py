"""What the holder of a purse opens with the PIN: its log, and loads; and how the PIN is changed and reloaded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardreader.errors import MacInvalid, PinBlocked, PinWrong, StatusError
from cardreader.pboc import crypto
from cardreader.purse import Purse
from cardreader.sim.issuers import KNOWN
from cardreader.sim.profiles import PIN, PROFILES, fresh_state
from tests.cardreader.sim.purse_card import (
    GOOD,
    KEYS,
    SELECT,
    TERMINAL_NUMBER,
    Inserted,
    debit_apdu,
    init_apdu,
    inserted,
)
from tests.cardreader.terminal import DATE, TIME

# -- PIN


def test_the_pin_is_asked_for_where_the_standard_wants_it() -> None:
    card = inserted(replace(GOOD, log_needs_pin=True))
    purse = Purse(card)
    for asked in (purse.log, lambda: purse.initialize_for_load(1, 100, TERMINAL_NUMBER)):
        with pytest.raises(StatusError) as refused:
            asked()
        assert refused.value.sw == 0x6982
    purse.verify_pin(PIN)
    assert purse.log()
    assert purse.initialize_for_load(1, 100, TERMINAL_NUMBER).balance_fen == 23640
    with pytest.raises(StatusError):
        Purse(card).log()


def test_a_wrong_pin_takes_the_verification_back() -> None:
    purse = Purse(inserted(replace(GOOD, log_needs_pin=True)))
    purse.verify_pin(PIN)
    with pytest.raises(PinWrong):
        purse.verify_pin("000000")
    with pytest.raises(StatusError):
        purse.log()


def test_the_pin_is_changed_by_who_knows_it() -> None:
    card = inserted()
    purse = Purse(card)
    with pytest.raises(PinWrong) as wrong:
        purse.change_pin("000000", "9999")
    assert wrong.value.tries_left == 2
    purse.change_pin(PIN, "98765")
    purse.verify_pin("98765")
    with pytest.raises(PinWrong):
        purse.verify_pin(PIN)
    assert card.ask("805E010003123456") == ("", 0x6A80)
    assert card.ask("805E020003123456") == ("", 0x6A86)


def test_the_issuer_reloads_a_blocked_pin() -> None:
    card = inserted(PROFILES["pin-blocked"])
    purse = Purse(card)
    with pytest.raises(PinBlocked):
        purse.verify_pin(PIN)
    keys = KNOWN.card_keys(bytes.fromhex(PROFILES["pin-blocked"].serial))
    new = bytes.fromhex("654321")
    mac = crypto.mac(crypto.halves_xored(keys.reload_pin), new)
    assert card.ask("805E000007" + new.hex() + "00000000") == ("", 0x9302)
    assert card.ask("805E000007" + new.hex() + mac.hex()) == ("", 0x9000)
    assert card.ask("805E000004" + mac.hex()) == ("", 0x6700)
    purse.verify_pin("654321")


# -- load


def load_mac2(card: Inserted, amount_fen: int, random: bytes) -> bytes:
    key = crypto.load_session_key(KEYS.load, random, card.card.state.online_number)
    return crypto.load_mac2(key, amount_fen, 2, TERMINAL_NUMBER, DATE, TIME)


def test_a_load_credits_logs_and_gives_the_issuers_tac() -> None:
    card = inserted()
    purse = Purse(card)
    purse.verify_pin(PIN)
    init = purse.initialize_for_load(1, 5000, TERMINAL_NUMBER)
    key = crypto.load_session_key(KEYS.load, init.random, init.online_number)
    assert init.mac1 == crypto.load_mac1(key, 23640, 5000, 2, TERMINAL_NUMBER)
    tac = purse.credit_for_load(DATE, TIME, load_mac2(card, 5000, init.random))
    assert tac == crypto.load_tac(KEYS.tac, 28640, init.online_number, 5000, 2, TERMINAL_NUMBER, DATE, TIME)
    assert purse.balance_fen() == 28640
    newest = purse.log()[0]
    assert (newest.transaction_type, newest.sequence_number) == (2, init.online_number)
    assert card.card.state.online_number == init.online_number + 1
    assert card.ask(f"805A000202{init.online_number + 1:04X}08") == (tac.hex().upper(), 0x9000)


def test_a_load_with_a_wrong_mac2_credits_nothing() -> None:
    card = inserted()
    purse = Purse(card)
    purse.verify_pin(PIN)
    init = purse.initialize_for_load(1, 5000, TERMINAL_NUMBER)
    with pytest.raises(MacInvalid):
        purse.credit_for_load(DATE, TIME, bytes(4))
    with pytest.raises(StatusError) as late:
        purse.credit_for_load(DATE, TIME, load_mac2(card, 5000, init.random))
    assert late.value.sw == 0x6985
    assert purse.balance_fen() == 23640


@pytest.mark.parametrize(
    ("key_index", "amount_fen", "online_number", "sw"),
    [(2, 1, 0, 0x9403), (1, 1, 0xFFFF, 0x9402), (1, 0xFFFFFFFF, 0, 0x6985)],
)
def test_loads_that_cannot_begin(key_index: int, amount_fen: int, online_number: int, sw: int) -> None:
    card = inserted(state=replace(fresh_state(GOOD), online_number=online_number))
    card.ask(SELECT)
    card.ask("0020000003123456")
    assert card.ask(init_apdu(amount_fen, key_index, p1=0)) == ("", sw)


def test_a_load_is_not_finished_by_a_debit_nor_a_purchase_by_a_credit() -> None:
    card = inserted()
    card.ask(SELECT)
    card.ask("0020000003123456")
    random = card.ask(init_apdu(100, p1=0))[0][22:30]
    assert card.ask(debit_apdu(card, 100, random)) == ("", 0x6985)
    random = card.ask(init_apdu(100))[0][-8:]
    mac2 = load_mac2(card, 100, bytes.fromhex(random))
    assert card.ask(f"805200000B{DATE.hex()}{TIME.hex()}{mac2.hex()}04") == ("", 0x6985)
