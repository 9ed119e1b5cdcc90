"""Selecting an application: directories, names in part, priority, and cards that do not want to."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv.selection import Candidate, Fci, candidates, first_selectable
from cardreader.emv.settings import UNIONPAY, Application, Interface
from cardreader.errors import ApplicationBlocked, ApplicationNotFound, ProtocolError
from cardreader.tlv import encode
from tests.cardreader.emv.bench import Told

PSE = ("6F15840E315041592E5359532E4444463031A503880101", 0x9000)
NO, END = ("", 0x6A82), ("", 0x6A83)
DEBIT, CREDIT = "A000000333010101", "A000000333010102"
SELECT_PSE = "00A404000E315041592E5359532E444446303100"


def entry(aid: str, label: str = "", priority: int | None = None) -> bytes:
    inside = encode(0x4F, bytes.fromhex(aid)) + encode(0x50, label.encode())
    if priority is not None:
        inside += encode(0x87, bytes((priority,)))
    return encode(0x61, inside)


def record(*entries: bytes) -> tuple[str, int]:
    return encode(0x70, b"".join(entries)).hex(), 0x9000


def fci(aid: str, inside: bytes = b"") -> tuple[str, int]:
    name = encode(0x84, bytes.fromhex(aid))
    return encode(0x6F, name + encode(0xA5, inside or encode(0x50, b"PBOC"))).hex(), 0x9000


def found(card: Told, interface: Interface = Interface.CONTACT) -> list[tuple[str, str]]:
    return [(item.aid.hex().upper(), item.label) for item in candidates(card.channel, interface, UNIONPAY)]


def test_the_directory_is_read_to_its_end_and_priority_decides() -> None:
    other, whole = entry("A0000000031010", "VISA", 1), entry(DEBIT + "01", "PBOC DEBIT", 2)
    card = Told(PSE, record(other, whole), record(entry(CREDIT, "PBOC CREDIT", 0x81)), END)
    assert found(card) == [(CREDIT, "PBOC CREDIT"), (DEBIT + "01", "PBOC DEBIT")]
    assert card.asked == [SELECT_PSE, "00B2010C00", "00B2020C00", "00B2030C00"]


def test_no_priority_comes_last() -> None:
    card = Told(PSE, record(entry(DEBIT), entry(CREDIT, "C", 9)), END)
    assert [aid for aid, _ in found(card)] == [CREDIT, DEBIT]


def test_the_holder_is_to_be_asked_when_the_card_says_so() -> None:
    card = Told(PSE, record(entry(DEBIT, "", 0x82)), END)
    assert candidates(card.channel, Interface.CONTACT, UNIONPAY)[0].confirmation


def test_without_a_directory_names_are_tried_and_what_only_begins_so_is_asked_for_again() -> None:
    card = Told(NO, fci(DEBIT + "01"), fci(DEBIT + "02"), NO, fci(CREDIT), NO, NO, NO)
    assert [aid for aid, _ in found(card)] == [DEBIT + "01", DEBIT + "02", CREDIT]
    assert card.asked[1:4] == [
        f"00A4040008{DEBIT}00",
        f"00A4040208{DEBIT}00",
        f"00A4040208{DEBIT}00",
    ]


def test_a_name_is_taken_only_whole_where_the_terminal_says_so() -> None:
    card = Told(NO, fci(DEBIT + "01"))
    exact = Application(bytes.fromhex(DEBIT), partial=False)
    assert candidates(card.channel, Interface.CONTACT, (exact,)) == []
    card = Told(PSE, record(entry(DEBIT + "01")), END, NO)
    assert candidates(card.channel, Interface.CONTACT, (exact,)) == []


def test_a_card_that_names_the_same_for_ever_is_left() -> None:
    card = Told(NO, *[fci(DEBIT)] * 9)
    assert [aid for aid, _ in found(card)] == [DEBIT]


def test_a_blocked_application_is_left_out_and_a_blocked_card_is_told() -> None:
    blocked = (fci(DEBIT)[0], 0x6283)
    assert [aid for aid, _ in found(Told(NO, blocked, NO, fci(CREDIT), NO, NO, NO))] == [CREDIT]
    for card in (Told(("", 0x6A81)), Told(NO, ("", 0x6A81))):
        with pytest.raises(ApplicationBlocked):
            found(card)


def test_the_proximity_directory() -> None:
    directory = encode(0xBF0C, entry(DEBIT, "DEBIT", 2) + entry(CREDIT, "CREDIT", 1))
    card = Told(fci("325041592E5359532E4444463031", directory))
    assert found(card, Interface.CONTACTLESS) == [(CREDIT, "CREDIT"), (DEBIT, "DEBIT")]
    assert card.asked == ["00A404000E325041592E5359532E444446303100"]
    with pytest.raises(ApplicationNotFound):
        found(Told(NO), Interface.CONTACTLESS)


def test_the_label_is_the_preferred_name_when_it_is_latin() -> None:
    both = encode(0x50, b"PBOC DEBIT") + encode(0x9F12, b"UNIONPAY")
    for table, label in ((b"\x01", "UNIONPAY"), (b"\x05", "PBOC DEBIT")):
        card = Told(NO, fci(DEBIT, both + encode(0x9F11, table)), NO, NO, NO, NO)
        assert found(card) == [(DEBIT, label)]


def test_the_next_one_is_taken_when_the_first_does_not_want() -> None:
    first, second = (Candidate(bytes.fromhex(aid), UNIONPAY[0]) for aid in (DEBIT, CREDIT))
    card = Told(("", 0x6283), fci(CREDIT))
    assert first_selectable(card.channel, (first, second))[0] is second
    with pytest.raises(ApplicationBlocked):
        first_selectable(Told(("", 0x6283)).channel, (first,))
    with pytest.raises(ApplicationNotFound):
        first_selectable(Told().channel, ())
    with pytest.raises(ProtocolError, match=f"{CREDIT} was selected"):
        first_selectable(Told(fci(CREDIT)).channel, (first,))


@pytest.mark.parametrize(
    ("data", "says"),
    [("", "no template 6F"), ("8400", "no template 6F"), ("6F02A500", "no 84"), ("6F028400", "no A5")],
)
def test_an_fci_without_its_parts(data: str, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        Fci.parse(bytes.fromhex(data))


@given(st.binary(max_size=80))
def test_any_bytes_are_an_fci_or_refused(data: bytes) -> None:
    for told in (data, encode(0x6F, data), encode(0x6F, encode(0x84, b"") + encode(0xA5, data))):
        try:
            Fci.parse(told)
        except ProtocolError as error:
            assert "byte" in str(error)  # noqa: PT017


@given(
    st.lists(st.tuples(st.binary(max_size=40).map(bytes.hex), st.sampled_from((0x9000, 0x6A83))), max_size=4)
)
def test_any_directory_ends(answers: list[tuple[str, int]]) -> None:
    with contextlib.suppress(ProtocolError):
        found(Told(PSE, *answers, END, *[NO] * 5))
