"""What only a purse's issuer may do: block, unblock and rewrite it, with a MAC that is good once."""

from __future__ import annotations

import pytest

from cardreader.errors import ApplicationBlocked
from cardreader.pboc import crypto
from cardreader.purse import Purse
from cardreader.sim.profiles import PROFILES
from tests.cardreader.sim.purse_card import KEYS, SELECT, Inserted, inserted


def protected(card: Inserted, apdu: str) -> tuple[str, int]:
    """The command with its line-protection MAC behind it; Lc in ``apdu`` counts the MAC already."""
    challenge = bytes.fromhex(card.ask("0084000004")[0])
    raw = bytes.fromhex(apdu)
    mac = crypto.secure_messaging_mac(KEYS.maintenance, challenge, raw[:5], raw[5:])
    return card.ask(apdu + mac.hex())


def test_the_issuer_blocks_and_unblocks_the_application() -> None:
    card = inserted()
    card.ask(SELECT)
    assert protected(card, "841E000004") == ("", 0x9000)
    with pytest.raises(ApplicationBlocked):
        Purse(card)
    assert card.ask("805C000204") == ("", 0x6A81)
    assert protected(card, "8418000004") == ("", 0x9000)
    assert Purse(card).balance_fen() == 23640
    assert protected(card, "8418000004") == ("", 0x6985)


def test_three_wrong_macs_at_unblocking_block_for_ever() -> None:
    card = inserted(PROFILES["blocked"])
    card.ask(SELECT)
    for sw in (0x6988, 0x6988, 0x9303):
        card.ask("0084000004")
        assert card.ask("841800000400000000") == ("", sw)
    assert card.ask(SELECT) == ("", 0x9303)
    assert card.ask("0084000004") == ("", 0x9303)
    with pytest.raises(ApplicationBlocked):
        Purse(card)


def test_a_permanent_block_and_a_card_block() -> None:
    card = inserted()
    card.ask(SELECT)
    assert protected(card, "841E000104") == ("", 0x9000)
    assert card.ask(SELECT) == ("", 0x9303)
    card = inserted()
    card.ask(SELECT)
    assert protected(card, "8416000004") == ("", 0x9000)
    assert card.ask(SELECT) == ("", 0x6A81)
    assert card.ask("00A40000023F0000") == ("", 0x6A81)


def test_a_line_protection_mac_is_good_once_and_right_after_its_challenge() -> None:
    card = inserted()
    card.ask(SELECT)
    assert card.ask("841E00000400000000") == ("", 0x6984)
    assert card.ask("841E000003000000") == ("", 0x6987)
    card.ask("0084000004")
    assert card.ask("841E00000400000000") == ("", 0x6988)
    challenge = bytes.fromhex(card.ask("0084000004")[0])
    mac = crypto.secure_messaging_mac(KEYS.maintenance, challenge, bytes.fromhex("841E000004")).hex()
    card.ask("805C000204")
    assert card.ask("841E000004" + mac) == ("", 0x6984)
    card.ask("0084000008")
    assert card.ask("841E000004" + mac) == ("", 0x6984)
    assert card.ask("841E010004" + mac) == ("", 0x6A86)


def test_the_issuer_updates_the_public_file() -> None:
    card = inserted()
    card.ask(SELECT)
    assert protected(card, "04D6951808" + "20991231") == ("", 0x9000)
    assert Purse(card).information.expiry_date.year == 2099
    assert protected(card, "04D6951E05AA") == ("", 0x6B00)
    assert card.ask("04D6960005AA00000000") == ("", 0x6982)
