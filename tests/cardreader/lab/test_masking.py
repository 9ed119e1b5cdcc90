"""That of a card's number only the ends are shown, whatever the card makes of its answer, and of its tracks nothing to copy."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardreader import cli, tlv
from cardreader.emv import capk
from cardreader.emv.settings import TerminalSettings
from cardreader.lab import console
from cardreader.lab.explore import explore
from cardreader.lab.masking import masked_answer
from cardreader.lab.trace import Recorder, Trace
from cardreader.lab.tree import node
from cardreader.sim.reader import SimReader
from cardreader.tlv import Tlv
from stb_app.journeys.card_lab import spoken

TERMINAL = TerminalSettings(terminal_id="88310001", merchant_id="883100048990001", ca_keys=capk.simulated())
NUMBER = "6210220110002707355"
READ, LOG = "00B2010C00", "00B2015C00"


@pytest.mark.parametrize(
    ("command", "answer", "shown"),
    [
        (READ, f"700C 5A0A {NUMBER}F", "700C5A0A621022*********7355F"),
        (READ, f"7012 5710 {NUMBER}D301220112345", "70125710621022*********7355D3012201*****"),
        (READ, "700B 9F1F 03 313233 9F20 02 1234", "700B9F1F03******9F2002****"),
        (READ, f"7014 5612 42{NUMBER.encode().hex()[:34]}", f"70145612{'*' * 36}"),
        (READ, f"700D DF0C 0A {NUMBER}F", f"700DDF0C0A{'*' * 20}"),
        (READ, f"7016 5A0A {NUMBER}F DF0D 07 010203040506FF", "70165A0A621022*********7355FDF0D07010203040506FF"),
        ("00B0950000", "6217000000008531 0201 62170018340572162047 20240301 20440229 0000",
         "62170000000085310201621700**********204720240301204402290000"),
        (READ, "700B 9F46 03 6A0102 9F2D 02 6A03", "700B9F4603******9F2D02****"),
        (READ, "7004 9302 A1B2", "70049302****"),
        (READ, "700D 9003 6A0102 9202 A1B2 9F3201 03", "700D90036A01029202A1B29F320103"),
        (READ, "70025A", "70025A"),
        ("80CA9F7900", "9F7906000000010000", "9F7906000000010000"),
        (LOG, "000000001500 000000000000 01560156 00 201118 193205 0021",
         "0000000015000000000000000156015600201118193205" "0021"),
    ],
)  # fmt: skip
def test_of_a_card_s_number_only_the_ends_are_shown(command: str, answer: str, shown: str) -> None:
    assert masked_answer(bytes.fromhex(command), bytes.fromhex(answer)) == shown


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (READ, f"700D 5A0A {NUMBER}F"),
        (READ, f"700B 5A0A {NUMBER}F"),
        (READ, f"7036 5710 {NUMBER}D301220100000"),
        (READ, f"7036 5612 42{NUMBER.encode().hex()[:34]}"),
        (READ, "7036 9F1F 03 313233"),
        (READ, "7081F8 9F4681B0 6A01A2C3"),
        (LOG, f"700D 5A0A {NUMBER}F"),
        ("00C000001E", "6217000000008531 0201 62170018340572162047 20240301 20440229 0000"),
    ],
)
def test_what_is_damaged_hides_all_where_a_number_could_be(command: str, answer: str) -> None:
    data = bytes.fromhex(answer)
    assert masked_answer(bytes.fromhex(command), data) == "*" * 2 * len(data)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_answer_has_its_length(apdu: bytes, answer: bytes) -> None:
    assert len(masked_answer(apdu, answer)) == 2 * len(answer)


@pytest.mark.parametrize("at", [0, 1, 3, 21])
def test_no_wrong_template_or_length_shows_the_number(at: int) -> None:
    record = bytearray.fromhex(f"701E 5710{NUMBER}D301220112345 5A0A{NUMBER}F")
    for byte in range(256):
        record[at] = byte
        assert NUMBER[6:-4] not in masked_answer(bytes.fromhex(READ), bytes(record))


@pytest.mark.parametrize("profile", ["debit", "credit", "electronic-cash"])
def test_what_is_shown_of_a_card_does_not_lead_to_its_number(
    profile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its certificate, opened with the keys that everybody has, has the number in it: no page shows the certificate."""
    recorder = Recorder(SimReader(profile).wait_for_card(1, threading.Event()), lambda: 0.0)
    explored = explore(recorder, TERMINAL, datetime(2026, 11, 21, tzinfo=UTC))
    trace = Trace("r", b"", "2026-11-21T19:32:00", tuple(recorder.exchanges))
    told = (tlv.parse(one.data) for one in trace.exchanges if one.command[1] == 0xB2 and one.sw == 0x9000)
    (certificate,) = {
        one.value for found in told for top in found for one in top.children if one.tag == 0x9F46
    }
    assert [one.authenticity for one in explored.applications] == ["verified"]
    pages = [repr(explored), repr(spoken(trace)), *(one.line() for one in trace.exchanges)]
    for options in ([], ["--json"]):
        assert cli.main(["explore", "--reader", f"sim:{profile}", *options]) == console.EXIT_OK
        pages.append(capsys.readouterr().out)
    assert cli.main(["trace", "--reader", f"sim:{profile}"]) == console.EXIT_OK
    for page in (*pages, capsys.readouterr().out):
        assert certificate.hex().upper()[:16] not in page
    assert certificate.hex().upper() in trace.to_text(), "what is saved is whole, and for its owner alone"


def test_a_node_hides_it_too() -> None:
    for tag in (0x9F1F, 0x9F61, 0x9F46, 0x9F2D):
        assert (node(Tlv(tag, b"123")).value, node(Tlv(tag, b"123")).text) == ("******", "")
    assert node(Tlv(0x57, bytes.fromhex(f"{NUMBER}D301220112345"))).value.endswith("7355D3012201*****")
