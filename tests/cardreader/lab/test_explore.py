"""Everything that a card tells, decoded; what is garbled stands in its place, and no card number anywhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

from cardreader import cli, tlv
from cardreader.contactless import is_contactless
from cardreader.emv import capk
from cardreader.emv.settings import TerminalSettings
from cardreader.errors import CardRemoved
from cardreader.lab import console
from cardreader.lab.explore import explore
from cardreader.lab.faults import Fault, FaultyCard, parse
from cardreader.lab.trace import Recorder
from cardreader.lab.tree import node
from cardreader.sim.card import CardLeft
from cardreader.sim.emv.card import EmvCard
from cardreader.sim.profiles import EMV_PROFILES, open_card
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
    assert (application.problem, application.card) == ("", "6217 00** **** ***6 101")
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
