"""The purse application's rules, command by command: who may, in which order, and what survives."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cardreader.errors import (
    ApplicationBlocked,
    CounterExhausted,
    MacInvalid,
    PinBlocked,
    PinWrong,
    ProofUnavailable,
    ProtocolError,
    StatusError,
)
from cardreader.pboc import crypto
from cardreader.purse import AID, Purse
from cardreader.sim.issuers import KNOWN
from cardreader.sim.profiles import PIN, PROFILES, Profile, SimulatedCard, fresh_state
from cardreader.sim.purse_state import PurseState
from cardreader.sim.store import FileStore, MemoryStore
from tests.cardreader.terminal import DATE, TIME, Terminal

GOOD = PROFILES["good"]
KEYS = KNOWN.card_keys(bytes.fromhex(GOOD.serial))
TERMINAL_NUMBER = bytes.fromhex("853100000001")
SELECT = "00A4040009" + AID.hex() + "00"


class Counting:
    """Random numbers that are none: each call gives the next."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        self._calls += 1
        return self._calls.to_bytes(size)


class Inserted:
    """A powered card without a reader."""

    def __init__(self, card: SimulatedCard) -> None:
        self.card = card
        card.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        return self.card.transmit(apdu)

    def close(self) -> None:
        """Nothing to let go of."""

    def ask(self, apdu: str) -> tuple[str, int]:
        data, sw = self.transmit(bytes.fromhex(apdu))
        return data.hex().upper(), sw


def inserted(profile: Profile = GOOD, state: PurseState | None = None) -> Inserted:
    store = MemoryStore()
    if state is not None:
        store.save(state.to_contents())
    return Inserted(SimulatedCard(profile, store, Counting()))


def init_apdu(amount_fen: int, key_index: int = 1, p1: int = 1) -> str:
    return f"8050{p1:02X}020B{key_index:02X}{amount_fen:08X}{TERMINAL_NUMBER.hex()}0F"


def debit_apdu(card: Inserted, amount_fen: int, random: str) -> str:
    """A DEBIT that the card accepts after an INIT for this amount that gave this random number."""
    key = crypto.purchase_session_key(
        KEYS.purchase, bytes.fromhex(random), card.card.state.offline_number, bytes(4)
    )
    mac1 = crypto.purchase_mac1(key, amount_fen, 6, TERMINAL_NUMBER, DATE, TIME)
    return f"805401000F00000000{DATE.hex()}{TIME.hex()}{mac1.hex()}08"


def begun(amount_fen: int = 100) -> tuple[Inserted, str]:
    """A card after INIT, and the DEBIT that would finish it."""
    card = inserted()
    card.ask(SELECT)
    data, sw = card.ask(init_apdu(amount_fen))
    assert sw == 0x9000
    return card, debit_apdu(card, amount_fen, data[-8:])


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


# -- the issuer's commands


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
