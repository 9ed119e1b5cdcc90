"""The purse session with cards that are not like the demo cards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardreader.errors import ProtocolError, StatusError
from cardreader.purse import DebitProof, ProofForm, Purse, pack_pin
from cardreader.sim.profiles import PROFILES
from tests.cardreader.sim.purse_card import GOOD, Inserted, inserted
from tests.cardreader.terminal import DATE, TIME, Terminal

PUBLIC = "6217000000008531020162170018340572162047" + "2024030120440229" + "0000"


class Answers:
    """A card that answers each command with what is laid down for its beginning, and 6D00 to all others."""

    def __init__(self, answers: dict[str, tuple[str, int]]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        asked = apdu.hex().upper()
        self.asked.append(asked)
        for beginning, (data, sw) in self._answers.items():
            if asked.startswith(beginning):
                return bytes.fromhex(data), sw
        return b"", 0x6D00

    def close(self) -> None:
        """Nothing to let go of."""


def test_the_public_data_comes_from_the_fci_without_a_command() -> None:
    card = inserted()
    traced: list[bytes] = []
    purse = Purse(card, lambda apdu, data, sw: traced.append(apdu))
    serial = purse.information.application_serial
    assert serial.hex() == PROFILES["good"].serial
    assert len(traced) == 1


@pytest.mark.parametrize("fci", ["", "6F00", "6F04A5029F0C", "6F06A5049F0C0101", "6F03840100"])
def test_otherwise_it_is_read_once(fci: str) -> None:
    card = Answers({"00A4": (fci, 0x9000), "00B095": (PUBLIC, 0x9000)})
    purse = Purse(card)
    if fci == "6F04A5029F0C":
        with pytest.raises(ProtocolError):
            _ = purse.information
        return
    assert purse.information == purse.information
    assert purse.information.application_serial.hex() == "62170018340572162047"
    assert [asked[:4] for asked in card.asked] == ["00A4", "00B0"]


def test_an_answer_of_another_length_is_refused() -> None:
    card = Answers({"00A4": ("", 0x9000), "805C": ("000000", 0x9000), "8050": ("00" * 14, 0x9000)})
    purse = Purse(card)
    with pytest.raises(ProtocolError, match="GET BALANCE: 4 bytes expected, 3 came"):
        purse.balance_fen()
    with pytest.raises(ProtocolError, match="15 bytes expected"):
        purse.initialize_for_purchase(1, 1, bytes(6))


@pytest.mark.parametrize(
    ("form", "asked", "proof"),
    [
        (ProofForm(), "805A000602001008", DebitProof(tac=b"BBBB", mac2=b"AAAA")),
        (ProofForm(number_offset=0), "805A000602000F08", DebitProof(tac=b"BBBB", mac2=b"AAAA")),
        (ProofForm(mac2_first=False), "805A000602001008", DebitProof(tac=b"AAAA", mac2=b"BBBB")),
    ],
)
def test_cards_differ_in_get_transaction_prove(form: ProofForm, asked: str, proof: DebitProof) -> None:
    card = Answers({"00A4": ("", 0x9000), "805A": (b"AAAABBBB".hex(), 0x9000)})
    assert Purse(card, proof_form=form).prove_purchase(15) == proof
    assert card.asked[-1] == asked


def test_a_card_with_a_short_log_ends_it() -> None:
    record = "0001000000000000640685310000000120261121201500"
    card = Answers({"00A4": ("", 0x9000), "00B201": (record, 0x9000), "00B202": ("", 0x6A83)})
    assert [item.amount_fen for item in Purse(card).log()] == [100]
    assert card.asked[-1] == "00B202C417"
    with pytest.raises(StatusError):
        Purse(Answers({"00A4": ("", 0x9000), "00B2": ("", 0x6982)})).log()


def test_the_log_holds_the_last_ten() -> None:
    purse = Purse(inserted())
    terminal = Terminal()
    for amount_fen in range(1, 13):
        terminal.buy(purse, amount_fen)
    assert [record.amount_fen for record in purse.log()] == list(range(12, 2, -1))


def test_empty_records_are_left_out() -> None:
    assert len(Purse(Answers({"00A4": ("", 0x9000), "00B2": ("00" * 23, 0x9000)})).log()) == 0


def test_a_purchase_takes_five_commands() -> None:
    traced: list[bytes] = []
    purse = Purse(inserted(), lambda apdu, data, sw: traced.append(apdu))
    assert purse.balance_fen()
    purse.verify_pin("123456")
    Terminal().buy(purse, 100)
    assert [apdu[1] for apdu in traced] == [0xA4, 0x5C, 0x20, 0x50, 0x54]


def test_a_t0_card_is_not_seen_through() -> None:
    traced: list[bytes] = []
    card: Inserted = inserted(replace(GOOD, get_response=True))
    purse = Purse(card, lambda apdu, data, sw: traced.append(apdu))
    assert purse.information.application_serial.hex() == GOOD.serial
    assert [apdu[1] for apdu in traced] == [0xA4, 0xC0]


@pytest.mark.parametrize("pin", ["", "1", "1234567890123", "12a4", "１２３４"])
def test_what_is_no_pin_is_not_sent(pin: str) -> None:
    with pytest.raises(ValueError, match="2 to 12 decimal digits") as refused:
        pack_pin(pin)
    assert not pin or pin not in str(refused.value).replace("2 to 12", "")


def test_elements_of_another_length_are_not_sent() -> None:
    card = inserted()
    purse = Purse(card)
    with pytest.raises(ValueError, match="6 bytes, not 5"):
        purse.initialize_for_purchase(1, 1, bytes(5))
    with pytest.raises(ValueError, match="4 bytes, not 3"):
        purse.debit_for_purchase(bytes(4), DATE, TIME, bytes(3))
