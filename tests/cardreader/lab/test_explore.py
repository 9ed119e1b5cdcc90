"""Everything that a card tells, decoded; what is garbled stands in its place, and no card number anywhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache

import pytest

from cardreader import cli, tlv
from cardreader.emv import capk
from cardreader.emv.settings import TerminalSettings
from cardreader.errors import CardRemoved
from cardreader.lab import console
from cardreader.lab.explore import explore
from cardreader.lab.faults import Fault, FaultyCard
from cardreader.lab.trace import Recorder
from cardreader.lab.tree import node
from cardreader.sim.card import CardLeft
from cardreader.sim.profiles import EMV_PROFILES, open_card

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
