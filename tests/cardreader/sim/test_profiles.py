"""The demo cards are what they say."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from cardreader.emv import cvm
from cardreader.errors import ApplicationBlocked, ApplicationNotFound, PinBlocked
from cardreader.pboc.files import mask_number
from cardreader.purse import Purse
from cardreader.sim import profiles
from cardreader.sim.emv.profile import EmvProfile
from cardreader.sim.issuers import FOREIGN, KNOWN
from cardreader.sim.profiles import find_profile, open_card
from tests.cardreader.sim.purse_card import Inserted

TODAY = datetime.date(2026, 11, 21)
WITH_PURSE = ["good", "little-money", "foreign-issuer", "expired", "pin-blocked"]


def purse_of(name: str) -> Purse:
    return Purse(Inserted(open_card(name, None)))


def test_all_are_listed_with_a_line_each() -> None:
    listed = dict(profiles.list_profiles())
    assert list(listed) == [
        "good",
        "little-money",
        "foreign-issuer",
        "expired",
        "blocked",
        "pin-blocked",
        "no-purse",
        "debit",
        "debit-sda",
        "debit-cda",
        "debit-t0",
        "credit",
        "electronic-cash",
    ]
    assert all(0 < len(line) < 70 and "\n" not in line for line in listed.values())
    assert len({open_card(name, None).number for name in listed}) == len(listed)


def test_what_is_said_of_the_credit_card_s_pin_is_what_its_cvm_list_says() -> None:
    profile = find_profile("credit")
    assert isinstance(profile, EmvProfile)
    assert "PIN online, else offline" in profile.description
    methods = [code & 0x3F for code in profile.applications[0].objects[0x8E][8::2]]
    assert methods == [cvm.ONLINE, cvm.ENCIPHERED, cvm.PLAINTEXT, cvm.SIGNATURE, cvm.NO_CVM]


def test_the_good_card() -> None:
    purse = purse_of("good")
    assert purse.balance_fen() == 23640
    assert mask_number(purse.information.application_serial) == "6217 00** **** **** 2047"
    assert purse.information.issuer_id == KNOWN.issuer_id
    assert purse.information.start_date < TODAY < purse.information.expiry_date
    purse.verify_pin("123456")
    log = purse.log()
    assert 3 <= len(log) <= 10
    moments = [(record.date, record.time) for record in log]
    assert moments == sorted(moments, reverse=True)
    assert all(record.date < TODAY for record in log)
    numbers = [record.sequence_number for record in log if record.transaction_type == 6]
    assert numbers == sorted(numbers, reverse=True)
    assert purse.initialize_for_purchase(1, 1, bytes(6)).offline_number == numbers[0] + 1
    assert purse.cardholder().name == "张敏"


def test_what_is_wrong_with_the_others() -> None:
    assert purse_of("little-money").balance_fen() == 320
    assert purse_of("foreign-issuer").information.issuer_id == FOREIGN.issuer_id
    assert purse_of("expired").information.expiry_date < TODAY
    with pytest.raises(PinBlocked):
        purse_of("pin-blocked").verify_pin("123456")
    with pytest.raises(ApplicationBlocked):
        purse_of("blocked")
    with pytest.raises(ApplicationNotFound):
        purse_of("no-purse")


@pytest.mark.parametrize("name", WITH_PURSE)
def test_validity_begins_before_it_ends(name: str) -> None:
    information = purse_of(name).information
    assert information.start_date < information.expiry_date


def test_the_answer_to_reset_is_well_formed() -> None:
    raw = profiles.atr(t0=False)
    assert raw[0] == 0x3B
    assert raw[1] >> 4 == 0x8
    assert raw[2] == 0x01
    assert len(raw) == 3 + (raw[1] & 0x0F) + 1
    check = 0
    for byte in raw[1:]:
        check ^= byte
    assert check == 0


def test_reset_makes_a_card_new(tmp_path: Path) -> None:
    card = open_card("pin-blocked", str(tmp_path))
    profiles.reset("pin-blocked", str(tmp_path))
    assert open_card("pin-blocked", str(tmp_path)).state == card.state
    good = open_card("good", str(tmp_path))
    fresh = good.state
    with pytest.raises(Exception, match="63C2"):
        Purse(Inserted(good)).verify_pin("000000")
    assert open_card("good", str(tmp_path)).state.pin_tries_left == 2
    profiles.reset("good", str(tmp_path))
    assert open_card("good", str(tmp_path)).state == fresh
    with pytest.raises(KeyError):
        profiles.reset("nothing", str(tmp_path))
