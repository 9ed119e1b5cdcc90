"""Everything that a card tells, decoded; what is garbled stands in its place, and no card number anywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

from cardreader import cli, tlv
from cardreader.contactless import is_contactless
from cardreader.emv import capk
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.selection import PSE
from cardreader.emv.settings import TerminalSettings, Transaction
from cardreader.errors import CardRemoved
from cardreader.lab import console, reading
from cardreader.lab.explore import MOST_APPLICATIONS, Explored, explore
from cardreader.lab.faults import Fault, FaultyCard, parse
from cardreader.lab.replay import ReplayedCard
from cardreader.lab.trace import Recorder, Trace
from cardreader.lab.tree import node
from cardreader.sim.card import CardLeft, DemoCard
from cardreader.sim.emv.card import EmvCard
from cardreader.sim.profiles import EMV_PROFILES, open_card
from cardreader.sim.reader import SimReader
from cardreader.sim.store import MemoryStore
from tests.cardreader.sim.emv.terminal import changed

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TERMINAL = TerminalSettings(terminal_id="STBCARD0", merchant_id="STBCARD00000000", ca_keys=capk.simulated())
COMMANDS = 40
"""More than any card here is asked."""


@pytest.mark.parametrize("profile", EMV_PROFILES)
def test_a_debit_or_credit_card_is_laid_open(profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explore", "--reader", f"sim:{profile}"]) == console.EXIT_OK
    said = capsys.readouterr().out
    assert "result: verified" in said
    assert "5F24  Application Expiration Date" in said
    assert "Application Transaction Counter (ATC): 00" in said
    assert open_card(profile, None).number not in said
    assert "unknown" not in said


def test_it_is_told_to_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explore", "--reader", "sim:electronic-cash", "--json"]) == console.EXIT_OK
    content = json.loads(capsys.readouterr().out)
    (application,) = content["applications"]
    assert application["aid"] == "A000000333010106"
    assert application["electronic_cash"]["balance_fen"] == 18650
    assert application["authentication"] == {"result": "verified"}
    fci = next(one for one in content["told"] if one["asked"] == "SELECT A000000333010106")
    assert fci["objects"][0]["name"] == "File Control Information (FCI) Template"


def test_a_purse_card_has_no_application_and_its_purse(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explore", "--reader", "sim:good"]) == console.EXIT_OK
    said = capsys.readouterr().out
    assert "balance: 236.40 yuan" in said
    assert "applications: none" in said
    assert "62170018340572162047" not in said


def test_a_log_that_cannot_be_read_hides_nothing_else() -> None:
    card = FaultyCard(open_card("good", None), [parse("word@00B2:6982")], lambda seconds: None)
    card.power_on()
    purse = explore(Recorder(Slot(card), lambda: 0.0), TERMINAL, NOW).purse
    assert purse is not None
    assert (purse.balance_fen, purse.log_records) == (23640, 0)
    assert "6982" in purse.content()["log_problem"]


class Slot:
    def __init__(self, card: FaultyCard) -> None:
        self._card = card

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        try:
            return self._card.transmit(apdu)
        except CardLeft as left:
            raise CardRemoved("it has left") from left

    def close(self) -> None:
        """Nothing to let go of."""


@cache
def asked_of(profile: str) -> int:
    """How many commands a card gets that has no fault."""
    card = FaultyCard(open_card(profile, None), [], lambda seconds: None)
    card.power_on()
    recorder = Recorder(Slot(card), lambda: 0.0)
    explore(recorder, TERMINAL, NOW)
    return len(recorder.exchanges)


def card_has(profile: str, number: int) -> bool:
    return number <= asked_of(profile)


@pytest.mark.parametrize("kind", ["garbage", "word", "pull", "mac"])
@pytest.mark.parametrize("profile", ["electronic-cash", "debit-cda"])
def test_a_fault_at_any_command_ends_it_in_order(kind: str, profile: str) -> None:
    for number in range(1, COMMANDS):
        card = FaultyCard(open_card(profile, None), [Fault(kind, number, 0x6F00)], lambda seconds: None)  # type: ignore[arg-type]
        card.power_on()
        looked_at = Recorder(Slot(card), lambda: 0.0)
        if kind == "pull" and card_has(profile, number):
            with pytest.raises(CardRemoved):
                explore(looked_at, TERMINAL, NOW)
        else:
            assert explore(looked_at, TERMINAL, NOW).told


def test_names_values_and_meanings() -> None:
    lines = list(node(tlv.parse(bytes.fromhex("700C 8202 7C00 5F2D027A68 DF0000"))[0]).lines())
    assert lines[0].startswith("70    READ RECORD Response Message Template")
    assert "cardholder verification" in lines[1]
    assert lines[2] == "  5F2D  Language Preference: 7A68  (zh)"


VISA = "A0000000031010"


@pytest.mark.parametrize("more", [[], [("atc = 17", "atc = 17\npse = false")]])
def test_an_application_of_another_scheme_is_laid_open_too(more: list[tuple[str, str]]) -> None:
    """Its directory names it: for contact readers, or for contactless ones alone."""
    profile = changed("debit", ("A000000333010101", VISA), *more)
    card = FaultyCard(EmvCard(profile, MemoryStore()), [], lambda seconds: None)
    card.power_on()
    found = explore(Recorder(Slot(card), lambda: 0.0), TERMINAL, NOW)
    (application,) = found.applications
    assert (application.aid, application.label) == (VISA, "PBOC DEBIT" if more else "UNIONPAY DEBIT")
    assert (application.problem, application.card) == ("", "6217 00** **** *** 6101")
    # Our CA is UnionPay's here: nothing vouches for a card of another scheme.
    assert application.authenticity == "not checked"
    assert any(VISA in told.asked for told in application.told)


def test_a_contactless_card_tells_its_directory_and_uid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "tap.toml"
    shipped = files("cardreader.sim.emv").joinpath("profiles", "debit.toml").read_text("utf-8")
    assert "[behaviour]" not in shipped
    profile.write_text(f"{shipped}\n[behaviour]\ncontactless = true\n")
    assert cli.main(["explore", "--reader", f"sim:{profile}", "--json"]) == console.EXIT_OK
    content = json.loads(capsys.readouterr().out)
    assert is_contactless(bytes.fromhex(content["atr"]))
    assert len(bytes.fromhex(content["uid"])) == 4
    assert [one["aid"] for one in content["applications"]] == ["A000000333010101"]
    asked = [one["asked"] for one in content["told"]]
    assert any(command.startswith("SELECT 2PAY") for command in asked), asked


def test_a_card_of_t0_is_laid_open_like_one_of_t1(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for profile in ("debit", "debit-t0"):
        assert cli.main(["explore", "--reader", f"sim:{profile}", "--json"]) == console.EXIT_OK
        told.append({one["asked"] for one in json.loads(capsys.readouterr().out)["told"]})
    assert told[0] == told[1]


def laid_open(card: DemoCard, *faults: str) -> Explored:
    faulty = FaultyCard(card, [parse(one) for one in faults], lambda seconds: None)
    faulty.power_on()
    return explore(Recorder(Slot(faulty), lambda: 0.0), TERMINAL, NOW)


def records_of(found: Explored) -> int:
    return sum(one.asked.startswith("READ RECORD") for one in found.applications[0].told)


@pytest.mark.parametrize(
    ("fault", "says"),
    [("mac@80CA", ""), ("word@80CA:9000", "GET DATA 9F36: no object 9F36"), ("garbage@80CA", "")],
)
def test_one_bad_answer_hides_nothing_else(fault: str, says: str) -> None:
    sound = laid_open(open_card("debit", None)).applications[0]
    (application,) = laid_open(open_card("debit", None), fault).applications
    assert says in application.problem
    assert (application.card, application.authenticity) == (sound.card, "verified")


def test_a_log_without_a_format_hides_nothing_else() -> None:
    sound = changed("debit")
    application = sound.applications[0]
    assert 0x9F4D in application.discretionary
    without = replace(
        application, objects={tag: value for tag, value in application.objects.items() if tag != 0x9F4F},
        readable=application.readable - {0x9F4F},
    )  # fmt: skip
    found = laid_open(EmvCard(replace(sound, applications=(without,)), MemoryStore()))
    assert found.applications[0].problem == "log format 9F4F: 0 bytes a record"
    assert found.applications[0].authenticity == "verified"
    assert found.anything


def test_a_bad_record_does_not_hide_those_behind_it() -> None:
    whole = laid_open(open_card("debit", None))
    number = next(
        number
        for number in range(1, COMMANDS)
        if "READ RECORD" in laid_open(open_card("debit", None), f"word@{number}:6F00").applications[0].problem
    )
    found = laid_open(open_card("debit", None), f"word@{number}:6F00")
    assert "6F00" in found.applications[0].problem
    assert records_of(found) >= records_of(whole) - 1 > 1


@pytest.mark.parametrize("fault", ["word@00B2:6C10", "garbage@00B2", "word@00B2:9000"])
def test_a_directory_that_is_garbled_is_told_and_done_without(fault: str) -> None:
    found = laid_open(open_card("debit", None), fault)
    assert found.problem.startswith("READ RECORD 1 of SFI 1: ")
    assert [one.authenticity for one in found.applications] == ["verified"]


def test_where_nothing_can_be_read_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explore", "--reader", "sim:no-purse"]) == console.EXIT_CARD
    said = capsys.readouterr()
    assert "applications: none" in said.out
    assert said.err == "stb-card: nothing on this card can be read\n"


def test_a_payment_that_is_played_again_tells_its_records() -> None:
    """Nothing but the payment is in the trace: counters and the format of the log were never asked for."""
    card = FaultyCard(open_card("debit", None), [], lambda seconds: None)
    card.power_on()
    recorder = Recorder(Slot(card), lambda: 0.0)
    DebitCredit(recorder, TERMINAL).prepare(Transaction(1500, NOW, 1))
    paid = Trace("r", recorder.atr, "", tuple(recorder.exchanges))
    played = FaultyCard(ReplayedCard(paid), [], lambda seconds: None)
    played.power_on()
    found = explore(Recorder(Slot(played), lambda: 0.0), TERMINAL, NOW)
    (application,) = found.applications
    assert (application.problem, application.card) == (
        "log format 9F4F: 0 bytes a record",
        "6217 00** **** *** 6101",
    )
    begun = next(place for place, one in enumerate(paid.exchanges) if one.command[1] == 0xA8)
    assert records_of(found) == len({one.command for one in paid.exchanges[begun:] if one.command[1] == 0xB2})


class SlotOfT0(Slot):
    """Brings commands to the card as T=0 does: without the Le of one that has data too."""

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        return super().transmit(apdu[:-1] if len(apdu) > 5 and len(apdu) == 6 + apdu[4] else apdu)


@pytest.mark.parametrize(
    ("traced_in", "played_in"), [(Slot, SlotOfT0), (SlotOfT0, SlotOfT0), (SlotOfT0, Slot)]
)
def test_the_trace_of_a_card_of_t0_is_played_again(traced_in: type[Slot], played_in: type[Slot]) -> None:
    card = FaultyCard(open_card("debit-t0", None), [], lambda seconds: None)
    card.power_on()
    recorder = Recorder(traced_in(card), lambda: 0.0)
    recorder.atr = card.atr
    found = explore(recorder, TERMINAL, NOW)
    played = ReplayedCard(Trace("r", recorder.atr, "", tuple(recorder.exchanges)))
    again = Recorder(played_in(FaultyCard(played, [], lambda seconds: None)), lambda: 0.0)
    again.atr = played.atr
    told = explore(again, TERMINAL, NOW).told
    assert not played.strange
    assert {one.asked for one in told} == {one.asked for one in found.told}


def test_records_that_another_afl_names_are_read_too() -> None:
    """Electronic cash and account have a CVM list each, in a record of their own; who asks is told one AFL only."""
    card = open_card("electronic-cash", None)
    card.power_on()
    recorder = Recorder(Slot(card), lambda: 0.0)
    (application,) = explore(recorder, TERMINAL, NOW).applications
    asked = [told.asked for told in application.told]
    assert {f"READ RECORD {number} of SFI 2" for number in range(1, 5)} <= {*asked}


class Answering:
    """A card that answers some commands in another way than it would.

    Args:
        answers: data and status word by how a command begins; the first that fits counts.
    """

    def __init__(self, card: DemoCard, answers: dict[bytes, tuple[bytes, int]]) -> None:
        self._card = card
        self._answers = answers
        self.atr, self.number = card.atr, card.number
        self.asked: list[bytes] = []

    def power_on(self) -> None:
        self._card.power_on()

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        self.asked.append(apdu)
        really = self._card.transmit(apdu)
        return next((answer for begin, answer in self._answers.items() if apdu.startswith(begin)), really)


SELECT_PSE = bytes.fromhex("00A404000E") + PSE
AID = "A000000333010101"


@pytest.mark.parametrize("names_its_file", [True, False])
def test_a_directory_is_read_once(names_its_file: bool) -> None:
    card = Answering(open_card("debit", None), {})
    if not names_its_file:
        card = Answering(EmvCard(changed("debit", ("atc = 17", "atc = 17\npse = false")), MemoryStore()), {})
    assert laid_open(card).applications[0].authenticity == "verified"
    assert card.asked.count(SELECT_PSE + b"\x00") == 1


def test_a_directory_without_end_is_looked_at_as_far_as_is_sensible() -> None:
    """255 records of 15 AIDs each."""

    class Endless(Answering):
        def transmit(self, apdu: bytes) -> tuple[bytes, int]:
            if apdu[:2] == b"\x00\xb2" and apdu[3] == 1 << 3 | 4:
                entries = (
                    tlv.encode(0x61, tlv.encode(0x4F, b"\xa0\x00\x00" + bytes((apdu[2], number))))
                    for number in range(15)
                )
                super().transmit(apdu)
                return tlv.encode(0x70, b"".join(entries)), 0x9000
            return super().transmit(apdu)

    card = Endless(open_card("debit", None), {})
    found = laid_open(card)
    assert len(found.applications) == MOST_APPLICATIONS
    named = 255 * 15 + 1  # the card's own is found by its name
    assert f"{named - MOST_APPLICATIONS} of {named} applications were left out" in found.problem
    assert len(card.asked) < 255 + 20 * MOST_APPLICATIONS


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((b"", 0x6985), "6985"),
        ((b"", 0x6F00), "6F00"),
        ((bytes.fromhex("DEADBEEF"), 0x9000), "GET PROCESSING OPTIONS"),
        ((bytes.fromhex("80027C00"), 0x9000), "GET PROCESSING OPTIONS: no AFL"),
    ],
    ids=["refused", "without a reason", "garbage", "empty AFL"],
)
def test_without_options_the_rest_is_read_all_the_same(options: tuple[bytes, int], says: str) -> None:
    whole = laid_open(open_card("debit", None))
    found = laid_open(Answering(open_card("debit", None), {b"\x80\xa8": options}))
    (application,) = found.applications
    assert says in application.problem
    assert found.anything
    assert application.counters
    assert records_of(found) == records_of(whole)


@pytest.mark.parametrize("profile", ["debit", "debit-t0"])
@pytest.mark.parametrize("pse", ["true", "false"])
def test_a_blocked_application_is_laid_open(profile: str, pse: str) -> None:
    sound = changed(profile, ("atc = 17", f"atc = 17\npse = {pse}"))
    sound = replace(sound, behaviour=replace(sound.behaviour, blocked=True))
    found = laid_open(EmvCard(sound, MemoryStore()))
    (application,) = found.applications
    assert application.problem.startswith("this application is blocked")
    assert application.counters
    assert records_of(found) > 3
    assert found.anything
    assert any(one.asked == f"SELECT {AID}" for one in application.told) == (profile == "debit")


@pytest.mark.parametrize(
    ("fci", "says"),
    [
        ("6F84FFFFFFFF", "TLV: 6F is longer than 65535 at byte 1"),
        ("6F0AFFFFFFFFFFFFFFFFFFFF", "TLV: the tag at byte 2 is longer than 3 bytes"),
        ("6F80", "TLV: 6F has no definite length at byte 1"),
        ("7050" * 80, "TLV: 70 says 80 bytes at byte 4, only 78 are there"),
        ("6F028400", "FCI: no A5 in the template at byte 0"),
        ("", "FCI: no template 6F at byte 0"),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_a_garbled_directory_has_its_trouble_named(fci: str, says: str, alone: bool) -> None:
    """Also where nothing else is on the card, and the PPSE is refused for no reason."""
    answers = {SELECT_PSE: (bytes.fromhex(fci), 0x9000)}
    if alone:
        answers[bytes.fromhex("00A404")] = b"", 0x6F00
    found = laid_open(Answering(open_card("debit", None), answers))
    assert f"SELECT 1PAY.SYS.DDF01: {says}" in found.problem
    assert ("6F00" in found.problem) == alone


def test_what_a_card_has_told_before_it_left_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_with_fault(url: str) -> SimReader:
        reader = SimReader(url.removeprefix("sim:"))
        reader.order_fault("pull@8")
        return reader

    monkeypatch.setattr(reading, "open_reader", open_with_fault)
    assert cli.main(["explore", "--reader", "sim:debit"]) == console.EXIT_CARD
    said = capsys.readouterr()
    assert "84    Dedicated File (DF) Name" in said.out
    assert said.err.startswith("stb-card: the card was pulled out")


def test_what_takes_long_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 100_000, 2))
    times = console.Times(lambda: NOW, lambda: float(next(clock)), lambda seconds: None)
    assert cli.run(["explore", "--reader", "sim:debit"], times) == console.EXIT_OK
    said = capsys.readouterr()
    assert "Still reading, after 2 commands" in said.err
    assert "electronic cash: none" in said.out
