"""What a card has told, in words: lists of data objects, files, amounts, the purse's own files; nothing garbled stops it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader.emv import capk
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Online, PinEntered
from cardreader.emv.scripts import UnableToGoOnline
from cardreader.emv.settings import TerminalSettings, Transaction
from cardreader.lab.trace import Exchange, Recorder
from cardreader.lab.tree import answer, asked, node, nodes, sent, told
from cardreader.sim.reader import SimReader
from cardreader.tlv import Tlv


@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [
        (0x9F38, "9F7A019F02065F2A02", "9F7A 1, 9F02 6, 5F2A 2"),
        (0x9F38, "9F7A", ""),
        (0x94, "0801010010010300", "SFI 1 records 1-1, SFI 2 records 1-3"),
        (0x94, "080101", ""),
        (0x9F27, "40", "TC"),
        (0x9F27, "4040", ""),
        (
            0x9F10,
            "07010103A02000010A01000000000000C2040E",
            "key 1, CVN 1, second not requested, first ARQC, velocity exceeded, balance 0.00",
        ),
        (0x9F10, "06", ""),
        (0x8E, "000000000000000042031F00", "online PIN or next, none"),
        (0x8E, "00", ""),
        (0x9F79, "000000018650", "186.50"),
        (0x9F79, "00000001865A", ""),
        (0x5F20, "5A48414E47", "ZHANG"),
        (0x5F20, "FFFF", ""),
        (0x5A, "6217001234567890", ""),
    ],
)
def test_what_a_value_says(tag: int, value: str, says: str) -> None:
    text = node(Tlv(tag, bytes.fromhex(value))).text
    assert text.endswith(says) if says else text == ""


TAGS = (
    0x50,
    0x57,
    0x5A,
    0x80,
    0x82,
    0x8C,
    0x8E,
    0x94,
    0x95,
    0x9F07,
    0x9F20,
    0x9F38,
    0x9F4F,
    0x9F79,
    0xDF4F,
    0xDF7F,
)


@given(st.sampled_from(TAGS), st.binary(max_size=40))
def test_no_value_stops_it(tag: int, value: bytes) -> None:
    assert nodes({tag: value})[0].tag == f"{tag:X}"


@given(
    st.sampled_from(["00B0950000", "00B201C400", "80CA9F7900", "00A40400", "00B2010C00"]),
    st.binary(max_size=60),
)
def test_no_answer_stops_it(command: str, data: bytes) -> None:
    assert answer(Exchange(bytes.fromhex(command), data, 0x9000, 0.0, 0.0)).raw is not None


def test_the_purse_s_files_have_names_and_no_number_in_full() -> None:
    public = bytes.fromhex("6217000000085310 02 01 62170018340572162047 20240301 20440229 0000")
    said = "\n".join(answer(Exchange(bytes.fromhex("00B0950000"), public, 0x9000, 0.0, 0.0)).lines())
    assert "Application serial: 6217 00** **** **** 2047" in said
    assert "Expiry date: 2044-02-29" in said
    record = bytes.fromhex("002F 000000 000005DC 06 110000320417 20261118 193205")
    said = "\n".join(answer(Exchange(bytes.fromhex("00B201C400"), record, 0x9000, 0.0, 0.0)).lines())
    assert "Amount: 15.00" in said
    assert "Time: 19:32:05" in said


def test_what_was_sent_by_the_card_s_own_lists_has_names() -> None:
    """PDOL, DDOL, CDOL1 and CDOL2, each with the values of its command; answers in format 1 have names too."""
    settings = TerminalSettings(
        terminal_id="88310001", merchant_id="883100048990001", ca_keys=capk.simulated()
    )
    recorder = Recorder(SimReader("electronic-cash").wait_for_card(1, threading.Event()), lambda: 0.0)
    card = DebitCredit(recorder, settings)
    card.prepare(Transaction(100_000, datetime(2026, 11, 22, tzinfo=UTC), 1))
    assert isinstance(card.authorise(PinEntered()), Online)
    card.complete(UnableToGoOnline())
    lists = {
        answer(one).asked: (answer(one), by_list)
        for one, by_list in zip(recorder.exchanges, sent(recorder.exchanges), strict=True)
    }
    assert [one.tag for one in lists["GET PROCESSING OPTIONS"][1]] == ["9F7A", "9F02", "5F2A"]
    assert [one.tag for one in lists["INTERNAL AUTHENTICATE"][1]] == ["9F37"]
    told, first = lists["GENERATE AC ARQC"]
    assert first[0].text == "1000.00"
    assert [one.tag for one in told.nodes[0].children] == ["9F27", "9F36", "9F26", "9F10"]
    assert told.nodes[0].children[0].text == "ARQC"
    (second,) = [
        by_list for asked, (_, by_list) in lists.items() if asked in ("GENERATE AC AAC", "GENERATE AC TC")
    ]
    assert (second[0].tag, second[0].text) == ("8A", "Z3")
    assert all(by_list == () for asked, (_, by_list) in lists.items() if asked.startswith(("SELECT", "READ")))


def test_get_response_brings_the_answer_of_the_command_before_it() -> None:
    """T=0: SELECT and GET PROCESSING OPTIONS tell as much as with T=1; a GET RESPONSE that follows nothing is itself."""
    said = (
        ("00A4040008A000000333010101", "", 0x6114),
        ("00C0000014", "6F12", 0x6110),
        ("00C0000011", "", 0x6C10),
        ("00C0000010", "8408A000000333010101A5069F38039F7A01", 0x9000),
        ("80A80000038301", "", 0x6108),
        ("00C0000008", "80067C0008010100", 0x9000),
        ("00C0000008", "80067C0008010100", 0x9000),
    )
    exchanges = [Exchange(bytes.fromhex(one), bytes.fromhex(data), sw, 0.0, 0.0) for one, data, sw in said]
    exchanges[4] = Exchange(bytes.fromhex("80A8000003830101"), b"", 0x6108, 0.0, 0.0)
    select, options = told(exchanges)
    assert (select.asked, options.asked) == ("SELECT A000000333010101", "GET PROCESSING OPTIONS")
    assert [one.tag for one in options.nodes[0].children] == ["82", "94"]
    assert [one.command for one in asked(exchanges)][-2:] == [exchanges[4].command, exchanges[6].command]
    assert [[one.tag for one in sending] for sending in sent(exchanges)] == [[], [], [], [], ["9F7A"], [], []]
