"""Command APDUs and the channel that finishes answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.apdu import Channel, Command, masked
from cardreader.errors import ProtocolError

BYTE = st.integers(0, 255)
COMMANDS = st.builds(
    Command,
    BYTE,
    BYTE,
    BYTE,
    BYTE,
    st.binary(max_size=255),
    st.none() | st.integers(1, 256),
)


class Script:
    """A card that answers what it was told to, and remembers what it was asked."""

    def __init__(self, *answers: tuple[str, int]) -> None:
        self._answers = [(bytes.fromhex(data), sw) for data, sw in answers]
        self.asked: list[str] = []

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self.asked.append(apdu.hex().upper())
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def close(self) -> None:
        """Nothing to let go of."""


@given(COMMANDS)
def test_what_is_written_is_read_again(command: Command) -> None:
    assert Command.parse(command.to_bytes()) == command


@given(st.binary(max_size=270))
def test_any_bytes_are_a_command_or_refused(apdu: bytes) -> None:
    try:
        command = Command.parse(apdu)
    except ProtocolError:
        return
    assert command.to_bytes() == apdu


@pytest.mark.parametrize(
    ("apdu", "case"),
    [
        ("00A40400", Command(0, 0xA4, 4, 0)),
        ("0084000008", Command(0, 0x84, 0, 0, le=8)),
        ("0020000003123456", Command(0, 0x20, 0, 0, bytes.fromhex("123456"))),
        ("00A40000023F0000", Command(0, 0xA4, 0, 0, bytes.fromhex("3F00"), 256)),
    ],
)
def test_the_four_cases(apdu: str, case: Command) -> None:
    assert Command.parse(bytes.fromhex(apdu)) == case
    assert case.to_bytes().hex().upper() == apdu


@pytest.mark.parametrize("apdu", ["", "00A404", "00A4040000000A", "00A404000511", "00A4040001AA0000"])
def test_what_is_no_short_command_is_refused(apdu: str) -> None:
    with pytest.raises(ProtocolError):
        Command.parse(bytes.fromhex(apdu))


def test_what_no_short_apdu_can_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 255"):
        Command(0, 0, 0, 0, bytes(256)).to_bytes()
    with pytest.raises(ValueError, match="Le"):
        Command(0, 0, 0, 0, le=257).to_bytes()


def test_the_answer_is_fetched_in_parts() -> None:
    card = Script(("", 0x6103), ("0102", 0x6101), ("03", 0x9000))
    assert Channel(card).send(Command(0x00, 0xA4, 0, 0, b"\x3f\x00", 256)) == (
        bytes.fromhex("010203"),
        0x9000,
    )
    assert card.asked == ["00A40000023F0000", "00C0000003", "00C0000001"]


def test_a_wrong_le_is_corrected_once() -> None:
    card = Script(("", 0x6C1E), ("AA", 0x9000))
    assert Channel(card).send(Command(0x00, 0xB0, 0x95, 0, le=0x20)) == (b"\xaa", 0x9000)
    assert card.asked == ["00B0950020", "00B095001E"]
    with pytest.raises(ProtocolError, match="refuses"):
        Channel(Script(("", 0x6C1E))).send(Command(0x00, 0xB0, 0x95, 0, le=0x20))


@pytest.mark.parametrize(
    ("command", "again"),
    [
        (Command(0, 0xB0, 0, 0), "00B0000007"),
        (Command(0, 0xB2, 1, 0x0C, le=256), "00B2010C07"),
        (Command(0, 0xA4, 0, 0, b"\x3f\x00"), "00A40000023F0007"),
        (Command(0, 0xA4, 0, 0, b"\x3f\x00", 9), "00A40000023F0007"),
    ],
)
def test_le_is_corrected_in_every_case(command: Command, again: str) -> None:
    card = Script(("", 0x6C07), ("", 0x9000))
    Channel(card).send(command)
    assert card.asked[1] == again


def test_a_corrected_get_response_goes_on() -> None:
    card = Script(("", 0x6110), ("", 0x6C02), ("0102", 0x9000))
    assert Channel(card).send(Command(0x80, 0x50, 1, 2, b"\x01", 15)) == (b"\x01\x02", 0x9000)
    assert card.asked[1:] == ["00C0000010", "00C0000002"]


def test_each_part_may_be_corrected_once() -> None:
    card = Script(("", 0x6110), ("", 0x6C02), ("0102", 0x6105), ("", 0x6C01), ("03", 0x9000))
    assert Channel(card).send(Command(0x80, 0x50, 1, 2, b"\x01", 15)) == (b"\x01\x02\x03", 0x9000)


def test_a_card_that_never_ends_is_left() -> None:
    card = Script(("00", 0x6101))
    with pytest.raises(ProtocolError, match="did not finish"):
        Channel(card).send(Command(0x00, 0xB0, 0, 0, le=1))
    assert len(card.asked) < 50


def test_the_trace_sees_every_exchange_and_no_pin() -> None:
    traced: list[tuple[str, str, int]] = []
    channel = Channel(
        Script(("", 0x6102), ("0102", 0x9000)),
        lambda apdu, data, sw: traced.append((apdu.hex(), data.hex(), sw)),
    )
    channel.send(Command(0x00, 0x20, 0, 0, bytes.fromhex("123456")))
    assert traced == [("0020000003ffffff", "", 0x6102), ("00c0000002", "0102", 0x9000)]


@pytest.mark.parametrize("ins", [0x20, 0x24, 0x2C, 0x5E])
@given(pin=st.binary(min_size=2, max_size=16))
def test_no_command_with_a_pin_is_traced_in_clear(ins: int, pin: bytes) -> None:
    shown = masked(Command(0x80, ins, 0, 0, pin).to_bytes())
    assert shown[5:] == b"\xff" * len(pin)
    plain = Command(0x80, 0x50, 0, 0, pin).to_bytes()
    assert masked(plain) == plain
