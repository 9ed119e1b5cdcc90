"""The CVM list rule by rule, and offline PINs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv import cvm
from cardreader.emv.bits import TerminalCapabilities, Tvr
from cardreader.emv.certificates import PublicKey
from cardreader.emv.cvm import Circumstances, Cvm, CvmList, begin, fulfilled, refused
from cardreader.emv.outcome import ClearPin
from cardreader.emv.settings import TransactionType
from cardreader.errors import PinBlocked, PinWrong, ProtocolError
from cardreader.secret import Pin
from tests.cardreader.emv.bench import SETTINGS, Told, settings

PURCHASE, CASH, CASHBACK = TransactionType.PURCHASE, TransactionType.CASH, TransactionType.CASHBACK
ATTENDED = settings(terminal_type=0x22)


def rules(text: str, x: int = 0, y: int = 0) -> CvmList:
    return CvmList.parse(x.to_bytes(4) + y.to_bytes(4) + bytes.fromhex(text))


def circumstances(
    type: TransactionType = PURCHASE, amount_fen: int = 100, same: bool = True, terminal=SETTINGS
) -> Circumstances:
    return Circumstances(terminal, type, amount_fen, same)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0200", Cvm.ONLINE_PIN),
        ("0203 1F00", Cvm.ONLINE_PIN),
        ("0100", Cvm.OFFLINE_PIN),
        ("0400", Cvm.OFFLINE_PIN),
        ("1F00", Cvm.NONE),
        ("0201 1F00", Cvm.NONE),  # the condition is not fulfilled: the next one without being told so
        ("1E03 0200", Cvm.ONLINE_PIN),  # no signatures on a television
        ("5E00 0200", Cvm.ONLINE_PIN),
        ("6000 0200", Cvm.ONLINE_PIN),  # a code nobody knows, and the next one
        ("02F0 1F00", Cvm.NONE),  # a condition nobody knows
    ],
)
def test_the_first_rule_that_applies(text: str, wanted: Cvm) -> None:
    rule = begin(rules(text), circumstances()).rule
    assert rule is not None
    assert rule.cvm is wanted


@pytest.mark.parametrize(
    ("condition", "type", "terminal", "applies"),
    [
        ("00", CASHBACK, SETTINGS, True),
        ("01", CASH, SETTINGS, True),
        ("01", CASH, ATTENDED, False),
        ("01", PURCHASE, SETTINGS, False),
        ("02", PURCHASE, SETTINGS, True),
        ("02", CASH, SETTINGS, False),
        ("02", CASHBACK, SETTINGS, False),
        ("03", PURCHASE, SETTINGS, True),
        ("03", PURCHASE, settings(capabilities=TerminalCapabilities.CONTACTS), False),
        ("04", CASH, ATTENDED, True),
        ("04", CASH, SETTINGS, False),
        ("05", CASHBACK, SETTINGS, True),
        ("05", PURCHASE, SETTINGS, False),
    ],
)
def test_conditions(condition: str, type: TransactionType, terminal, applies: bool) -> None:
    step = begin(rules("02" + condition), circumstances(type, terminal=terminal))
    assert (step.rule is not None) == applies


@pytest.mark.parametrize(
    ("condition", "amount_fen", "applies"),
    [("06", 99, True), ("06", 100, False), ("07", 100, False), ("07", 101, True)],
)
def test_amounts(condition: str, amount_fen: int, applies: bool) -> None:
    for text, x, y in (("02" + condition, 100, 0), (f"02{int(condition) + 2:02}", 0, 100)):
        assert (begin(rules(text, x, y), circumstances(amount_fen=amount_fen)).rule is not None) == applies
        assert begin(rules(text, x, y), circumstances(amount_fen=amount_fen, same=False)).rule is None


@pytest.mark.parametrize(
    ("text", "results", "tvr"),
    [
        ("", "3F0001", Tvr.CVM_FAILED),
        ("0201", "3F0001", Tvr.CVM_FAILED),
        ("0000", "000001", Tvr.CVM_FAILED),
        ("2000", "3F0001", Tvr.CVM_FAILED | Tvr.UNRECOGNISED_CVM),
        ("1E00", "1E0001", Tvr.CVM_FAILED),
        ("1E00 1F00", "1E0001", Tvr.CVM_FAILED),  # the next one counts only when the rule says so
    ],
)
def test_lists_that_end_at_once(text: str, results: str, tvr: Tvr) -> None:
    step = begin(rules(text), circumstances())
    assert (step.rule, step.results.hex().upper(), step.tvr) == (None, results, tvr)


def test_a_pin_without_a_pin_pad() -> None:
    terminal = settings(capabilities=TerminalCapabilities.CONTACTS | TerminalCapabilities.NO_CVM)
    step = begin(rules("4200 1F00"), circumstances(terminal=terminal))
    assert step.rule is not None
    assert (step.rule.cvm, step.tvr) == (Cvm.NONE, Tvr.PIN_PAD_ABSENT)


@pytest.mark.parametrize(
    ("text", "results"), [("0200", "020000"), ("0100", "010002"), ("0400", "040002"), ("1F03", "1F0302")]
)
def test_what_was_done_is_told(text: str, results: str) -> None:
    step = fulfilled(begin(rules(text), circumstances()))
    assert (step.rule, step.results.hex().upper(), step.tvr) == (None, results, Tvr(0))


def test_after_a_refusal_the_next_rule_counts_or_none() -> None:
    cvms = rules("4203 0103 1F00")
    here = circumstances()
    step = refused(cvms, here, begin(cvms, here), Tvr.PIN_NOT_ENTERED)
    assert step.rule is not None
    assert (step.rule.cvm, step.tvr) == (Cvm.OFFLINE_PIN, Tvr.PIN_NOT_ENTERED)
    step = refused(cvms, here, step, Tvr.PIN_TRY_LIMIT_EXCEEDED)
    assert step.rule is None
    assert step.results.hex() == "010301"
    assert step.tvr == Tvr.PIN_NOT_ENTERED | Tvr.PIN_TRY_LIMIT_EXCEEDED | Tvr.CVM_FAILED


@pytest.mark.parametrize(("value", "says"), [("00" * 7, "byte 7"), ("00" * 9, "half a rule at byte 8")])
def test_a_list_that_is_none(value: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        CvmList.parse(bytes.fromhex(value))


@given(st.binary(max_size=252), st.sampled_from(TransactionType), st.integers(0, 10**9))
def test_any_list_is_gone_through_to_its_end(value: bytes, type: TransactionType, amount_fen: int) -> None:
    try:
        cvms = CvmList.parse(value)
    except ProtocolError as error:
        assert "at byte" in str(error)  # noqa: PT017
        return
    here = circumstances(type, amount_fen)
    step = begin(cvms, here)
    for _ in range(len(cvms.rules)):
        if step.rule is not None:
            step = refused(cvms, here, step, Tvr.PIN_NOT_ENTERED)
    assert step.rule is None
    assert Tvr.CVM_FAILED in step.tvr


def test_a_plain_pin() -> None:
    card = Told(("", 0x9000))
    cvm.verify(card.channel, Pin("123456"), None, bytes)
    assert card.asked == ["002000800826123456FFFFFFFF"]
    with pytest.raises(PinWrong) as wrong:
        cvm.verify(Told(("", 0x63C2)).channel, Pin("1234"), None, bytes)
    assert wrong.value.tries_left == 2
    with pytest.raises(PinBlocked):
        cvm.verify(Told(("", 0x6983)).channel, Pin("1234"), None, bytes)
    with pytest.raises(ValueError, match="4 to 12"):
        ClearPin(Pin("123"))


def test_an_enciphered_pin() -> None:
    # With exponent 1 the cipher is the block itself (EMV Book 2, table 24).
    key = PublicKey(b"\xff" * 64, b"\x01")
    card = Told(("0102030405060708", 0x9000), ("", 0x9000))
    cvm.verify(card.channel, Pin("12345"), key, lambda size: b"\xee" * size)
    block = "7F" + "2512345FFFFFFFFF" + "0102030405060708" + "EE" * 47
    assert card.asked == ["0084000000", "0020008840" + block]
    with pytest.raises(ProtocolError, match="8 bytes expected, 4 came"):
        cvm.verify(Told(("01020304", 0x9000)).channel, Pin("12345"), key, bytes)
