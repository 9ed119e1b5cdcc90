"""Faults happen once, at the command that was named, and in no other way than was asked for."""

from __future__ import annotations

import pytest

from cardreader.lab.faults import FaultyCard, parse
from cardreader.sim.card import CardLeft
from cardreader.sim.profiles import open_card

SELECT = bytes.fromhex("00A4040009A00000000386980701")
BALANCE = bytes.fromhex("805C000204")
MONEY = bytes.fromhex("00005C58")


def faulty(*faults: str) -> tuple[FaultyCard, list[float]]:
    pauses: list[float] = []
    card = FaultyCard(open_card("good", None), [*map(parse, faults)], pauses.append)
    card.power_on()
    card.transmit(SELECT)
    return card, pauses


@pytest.mark.parametrize("place", ["2", "805C"])
@pytest.mark.parametrize(
    ("kind", "data", "sw"),
    [
        ("word@{}:6985", b"", 0x6985),
        ("garbage@{}", bytes(byte ^ 0xFF for byte in MONEY), 0x6FFF),
        ("mac@{}", MONEY[:-1] + b"\x59", 0x9000),
    ],
)
def test_the_answer_is_wrong_once(place: str, kind: str, data: bytes, sw: int) -> None:
    card, _ = faulty(kind.format(place))
    assert card.transmit(BALANCE) == (data, sw)
    assert card.transmit(BALANCE) == (MONEY, 0x9000)
    assert [number for number, _ in card.happened] == [2]


class Answers:
    """A card that gives these answers, one after the other."""

    atr = b""

    def __init__(self, *answers: tuple[str, int]) -> None:
        self._answers = iter(answers)

    def power_on(self) -> None:
        """Nothing to forget."""

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        data, sw = next(self._answers)
        return bytes.fromhex(data), sw


@pytest.mark.parametrize(
    ("answer", "with_wrong_mac"),
    [
        (
            "8014 80 0001 1122334455667788 0701010A0000000000",
            "8014 80 0001 1122334455667789 0701010A0000000000",
        ),
        (
            "7719 9F270180 9F36020001 9F26081122334455667788 9F10020601",
            "7719 9F270180 9F36020001 9F26081122334455667789 9F10020601",
        ),
        ("770E 9F270180 9F4B02ABCD 9F10020601", "770E 9F270180 9F4B02ABCC 9F10020601"),
        ("8003 800001", "8003 800000"),
        ("77FF", "77FE"),
    ],
    ids=["format 1", "format 2", "CDA", "cut off", "garbled"],
)
def test_a_wrong_mac_is_in_the_cryptogram(answer: str, with_wrong_mac: str) -> None:
    wrong = bytes.fromhex(with_wrong_mac)
    at_once = FaultyCard(Answers((answer, 0x9000)), [parse("mac@80AE")], lambda seconds: None)
    assert at_once.transmit(bytes.fromhex("80AE80000100")) == (wrong, 0x9000)
    waiting = Answers(("", 0x6120), ("", 0x6C16), (answer, 0x9000), (answer, 0x9000))
    under_t0 = FaultyCard(waiting, [parse("mac@80AE")], lambda seconds: None)
    under_t0.transmit(bytes.fromhex("80AE80000100"))
    get_response = bytes.fromhex("00C0000020")
    assert under_t0.transmit(get_response) == (b"", 0x6C16)
    assert under_t0.transmit(get_response) == (wrong, 0x9000)
    assert under_t0.transmit(get_response) == (bytes.fromhex(answer), 0x9000)


def test_the_answer_comes_late() -> None:
    card, pauses = faulty("delay@2:250")
    assert card.transmit(BALANCE) == (MONEY, 0x9000)
    assert pauses == [0.25]


@pytest.mark.parametrize(("kind", "carried_out"), [("pull", False), ("lose", True)])
def test_the_card_leaves(kind: str, carried_out: bool) -> None:
    card, _ = faulty(f"{kind}@2")
    with pytest.raises(CardLeft) as left:
        card.transmit(BALANCE)
    assert left.value.carried_out is carried_out


def test_several_faults_each_have_their_turn() -> None:
    card, _ = faulty("word@805C:6F00", "word@805C:6581", "word@9:6A82")
    assert [card.transmit(BALANCE)[1] for _ in range(3)] == [0x6F00, 0x6581, 0x9000]
    assert len(card.happened) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no fault"),
        ("pull", "no fault"),
        ("push@3", "no fault"),
        ("pull@0", "counted from 1"),
        ("pull@1000000", "no fault"),
        ("pull@1000", "counted to 999"),
        ("pull@3:1", "nothing behind a colon"),
        ("word@3", "status word of four"),
        ("word@3:6F0", "status word of four"),
        ("word@3:1234", "status word of four"),
        ("delay@3", "milliseconds"),
        ("delay@3:A", "milliseconds"),
        ("delay@3:60001", "milliseconds"),
    ],
)
def test_what_is_no_fault_is_explained(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)
