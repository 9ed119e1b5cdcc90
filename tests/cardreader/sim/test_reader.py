"""The simulated slot, its hands and its faults."""

from __future__ import annotations

import threading
from importlib.resources import files
from pathlib import Path

import pytest

from cardreader.errors import CardRemoved, ProofUnavailable, ProtocolError, ReaderUnavailable, StateDamaged
from cardreader.lab.faults import AlreadyOrdered
from cardreader.purse import Purse
from cardreader.reader import Connection, OwnCard, Reader, SimulatedSlot
from cardreader.readers import open_reader
from cardreader.sim.reader import PullWhen, SimReader
from tests.cardreader.terminal import Terminal

NEVER = threading.Event()


def test_it_is_a_reader_and_a_slot() -> None:
    reader = SimReader("good")
    assert isinstance(reader, Reader)
    assert isinstance(reader, SimulatedSlot)
    assert isinstance(reader.wait_for_card(1, NEVER), Connection)
    assert reader.simulated


def test_urls() -> None:
    assert isinstance(open_reader("sim:"), SimReader)
    assert not open_reader("sim:").card_present()
    reader = open_reader("sim:little-money")
    assert isinstance(reader, SimReader)
    assert reader.profile == "little-money"
    with pytest.raises(ReaderUnavailable, match="good, little-money"):
        open_reader("sim:goood")
    with pytest.raises(ReaderUnavailable, match="pcsc:"):
        open_reader("usb:1")
    assert open_reader("pcsc:Some Reader").name == "Some Reader"


def test_a_card_keeps_its_state_between_insertions() -> None:
    reader = SimReader("good")
    Terminal().buy(Purse(reader.wait_for_card(1, NEVER)), 100)
    reader.insert("little-money")
    assert Purse(reader.wait_for_card(1, NEVER)).balance_fen() == 320
    reader.insert("good")
    assert Purse(reader.wait_for_card(1, NEVER)).balance_fen() == 23540
    with pytest.raises(KeyError):
        reader.insert("nothing")
    assert reader.profile == "good"


def test_a_connection_ends_with_its_card() -> None:
    reader = SimReader("good")
    purse = Purse(reader.wait_for_card(1, NEVER))
    reader.pull()
    reader.pull()
    assert reader.profile is None
    with pytest.raises(CardRemoved):
        purse.balance_fen()
    reader.insert("good")
    with pytest.raises(CardRemoved):
        purse.balance_fen()
    connection = reader.wait_for_card(1, NEVER)
    connection.close()
    with pytest.raises(CardRemoved):
        connection.transmit(bytes.fromhex("805C000204"))


@pytest.mark.parametrize(("pull_when", "debited_fen"), [("before-debit", 0), ("after-debit", 100)])
def test_the_card_leaves_once_around_the_debit(tmp_path: Path, pull_when: PullWhen, debited_fen: int) -> None:
    reader = SimReader("good", str(tmp_path))
    terminal = Terminal()
    purse = Purse(reader.wait_for_card(1, NEVER))
    reader.pull_when = pull_when
    begun = terminal.begin(purse, 100)
    with pytest.raises(CardRemoved):
        begun.debit(purse)
    assert not reader.card_present()
    assert reader.pull_when is None
    reader.insert("good")
    purse = Purse(reader.wait_for_card(1, NEVER))
    assert purse.balance_fen() == 23640 - debited_fen
    if debited_fen:
        terminal.psam.credit_for_purchase(purse.prove_purchase(begun.card.offline_number).mac2)
    else:
        with pytest.raises(ProofUnavailable):
            purse.prove_purchase(begun.card.offline_number)
    terminal.buy(purse, 100)
    assert reader.card_present()


def test_who_waits_sees_the_card_come_and_go() -> None:
    reader = SimReader()
    seen: list[str] = []

    def wait() -> None:
        reader.wait_for_card(5, NEVER)
        seen.append("in")
        reader.wait_for_removal(5, NEVER)
        seen.append("out")

    waiting = threading.Thread(target=wait)
    waiting.start()
    reader.insert("good")
    while not seen:
        waiting.join(0.01)
    reader.pull()
    waiting.join(5)
    assert seen == ["in", "out"]


def test_threads_do_not_disturb_each_other() -> None:
    reader = SimReader("good")
    connection = reader.wait_for_card(1, NEVER)
    connection.transmit(bytes.fromhex("00A4040009A0000000038698070100"))
    answers: list[tuple[bytes, int]] = []

    def ask() -> None:
        for _ in range(50):
            answers.append(connection.transmit(bytes.fromhex("805C000204")))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [((23640).to_bytes(4), 0x9000)] * 200


def test_faults_are_ordered_before_or_after_the_card_is_in() -> None:
    reader = SimReader()
    reader.order_fault("word@2:6f00")
    reader.insert("good")
    connection = reader.wait_for_card(1, NEVER)
    reader.order_fault("lose@805C")
    assert reader.faults == ("word@2:6F00", "lose@805C")
    balance = bytes.fromhex("805C000204")
    assert connection.transmit(bytes.fromhex("00A40400 09A00000000386980701"))[1] == 0x9000
    assert connection.transmit(balance) == (b"", 0x6F00)
    with pytest.raises(CardRemoved):
        connection.transmit(balance)
    assert reader.profile is None
    assert (reader.faults, reader.happened) == ((), ((2, "word@2:6F00"), (3, "lose@805C")))
    reader.insert("debit")
    assert reader.happened == ()
    with pytest.raises(ValueError, match="no fault"):
        reader.order_fault("explode")
    reader.order_fault("garbage@80AE")
    with pytest.raises(AlreadyOrdered, match="garbage@80AE is ordered already"):
        reader.order_fault("garbage@80ae")
    assert reader.faults == ("garbage@80AE",)
    reader.forget_faults()
    assert reader.faults == ()


def test_a_card_that_dawdles_can_be_pulled_meanwhile() -> None:
    reader = SimReader("good")
    reader.order_fault("delay@1:60000")
    connection = reader.wait_for_card(1, NEVER)
    hand = threading.Timer(0.02, reader.pull)
    hand.start()
    with pytest.raises(CardRemoved):
        connection.transmit(bytes.fromhex("805C000204"))
    hand.join()


def test_a_tester_s_own_card_is_put_in_again_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = files("cardreader.sim.emv").joinpath("profiles", "debit.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(raw.replace("6217001834057286101", "6217001834057286119"))
    monkeypatch.chdir(tmp_path)
    reader = SimReader("mine.toml")
    assert reader.own == (OwnCard("mine.toml", "a UnionPay debit card in order: online, with PIN"),)
    monkeypatch.chdir("/")
    reader.insert("good")
    reader.insert("mine.toml")
    assert reader.card is not None
    assert (reader.profile, reader.card.number[-4:]) == ("mine.toml", "6119")
    (tmp_path / "mine.toml").write_text(raw.replace("in order", "changed"))
    reader.insert("mine.toml")
    assert reader.card.number[-4:] == "6101", "the file is read anew"
    assert reader.own == (OwnCard("mine.toml", "a UnionPay debit card changed: online, with PIN"),)
    with pytest.raises(ProtocolError, match="cannot be read"):
        reader.insert("other.toml")


def test_a_tester_s_own_card_that_is_bad_stays_known_until_it_is_mended(tmp_path: Path) -> None:
    raw = files("cardreader.sim.emv").joinpath("profiles", "debit.toml").read_text("utf-8")
    path = tmp_path / "mine.toml"
    path.write_text("[card]")
    reader = SimReader(None)
    with pytest.raises(ProtocolError):
        reader.insert(str(path))
    wrong = "profile mine.toml: description: is missing"
    assert reader.own == (OwnCard("mine.toml", "", wrong),)
    assert not reader.card_present()
    path.write_text(raw)
    assert reader.own[0].problem == wrong  # nobody has looked
    reader.read_own()
    about = "a UnionPay debit card in order: online, with PIN"
    assert reader.own == (OwnCard("mine.toml", about),)
    reader.insert("mine.toml")
    path.write_text("[card]")
    reader.read_own()
    assert reader.own == (OwnCard("mine.toml", about, wrong),)
    assert reader.profile == "mine.toml"  # the card that is in stays in


def test_an_own_card_whose_state_is_damaged_stays_known(tmp_path: Path) -> None:
    raw = files("cardreader.sim.emv").joinpath("profiles", "debit.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(raw)
    (tmp_path / "card-mine.toml.json").write_text("{}")
    reader = SimReader(None, str(tmp_path))
    with pytest.raises(StateDamaged):
        reader.insert(str(tmp_path / "mine.toml"))
    assert "state of card mine.toml is damaged" in reader.own[0].problem
    (tmp_path / "card-mine.toml.json").unlink()
    reader.read_own()
    assert reader.own[0].problem == ""


def test_a_damaged_state_is_told_from_a_file_that_is_no_card(tmp_path: Path) -> None:
    (tmp_path / "card-debit.json").write_text("{}")
    with pytest.raises(StateDamaged):
        SimReader("debit", str(tmp_path))
    (tmp_path / "mine.toml").write_text("?")
    with pytest.raises(ProtocolError) as refused:
        SimReader(str(tmp_path / "mine.toml"), str(tmp_path))
    assert not isinstance(refused.value, StateDamaged)
