"""The main job with the card behind a real pcscd: vpcd, `stb-card insert` in another process, pyscard in between."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cardreader.pcsc import PcscReader
from tests.pcscd import VIRTUAL_READER, InsertedCard, running_pcscd
from tests.system import chain
from tests.system.subscriber import load, pin, recorded
from tests.system.television import Television

pytestmark = [pytest.mark.pcscd, pytest.mark.xdist_group("pcscd")]
LAST = {"debit": 16, "credit": 17}
"""The number of a payment's last command."""


def test_a_card_in_a_pcsc_reader_pays(tmp_path: Path) -> None:
    cards = tmp_path / "cards"
    with running_pcscd(), Television(tmp_path / "box", "--reader", "pcsc:") as tv:
        tv.order(service="kids", term="monthly")
        tv.prompt("insert")
        card = InsertedCard("good", cards)
        tv.prompt("enter-pin")
        tv.type("123456")
        tv.press("OK")
        tv.prompt("remove")
        card.pull()
        state = tv.wait_for("result")["state"]
        assert (state["outcome"], state["money_taken"]) == ("success", True)
        assert state["balance_after_fen"] < state["balance_before_fen"]
        _what_was_said(tv)


def _what_was_said(tv: Television) -> None:
    """The card lab has the payment's commands, and keeps them; played as a card they are looked into like any other."""
    tv.press("HOME")
    for key in ("settings", "card-lab", "sessions", "session:0", "item:0"):
        tv.choose(key)
    kept = tv.wait_for(lambda s: s["state"].get("saved"))["state"]["saved"]
    tv.press("BACK", "BACK")
    replayed = subprocess.Popen(
        [sys.executable, "-m", "cardreader", "replay", kept], stdout=subprocess.DEVNULL
    )
    try:
        seen = tv.wait_for(lambda s: s["screen"] == "card-lab" and s["state"]["prompt"] == "remove")["state"]
    finally:
        replayed.terminate()
        replayed.wait(10)
    assert (seen["reader"], seen["purse"], seen["replayed"]) == (VIRTUAL_READER, True, Path(kept).name)


def test_a_card_pulled_after_the_debit_is_put_back_and_proves_it(tmp_path: Path) -> None:
    """GET TRANSACTION PROVE through the whole real stack. cards.md A3, A4"""
    cards = tmp_path / "cards"
    with running_pcscd(), Television(tmp_path / "box", "--reader", "pcsc:") as tv:
        tv.order(service="kids", term="monthly")
        tv.prompt("insert")
        leaving = InsertedCard("good", cards, "--pull", "after-debit")
        tv.prompt("enter-pin")
        tv.type("123456")
        tv.press("OK")
        leaving.wait()
        tv.prompt("put-back")
        card = InsertedCard("good", cards)
        state = tv.wait_for("result")["state"]
        card.pull()
        assert (state["outcome"], state["money_taken"]) == ("success", True)


def test_bank_cards_in_a_pcsc_reader_pay_and_are_loaded(tmp_path: Path) -> None:
    """Debit, credit, electronic cash and its load on the television, to the issuer's books."""
    cards = tmp_path / "cards"
    with running_pcscd(), Television(tmp_path / "box", "--reader", "pcsc:", "--lang", "en") as tv:
        for profile, service in (("debit", "kids"), ("credit", "music"), ("electronic-cash", "movies")):
            tv.order(service=service, term="monthly")
            tv.prompt("insert")
            card = InsertedCard(profile, cards)
            if profile == "electronic-cash":
                tv.prompt("confirm-cash")
                tv.choose("agree")
            else:
                pin(tv)
            tv.prompt("remove")
            card.pull()
            state = tv.wait_for("result")["state"]
            assert (state["outcome"], state["money_taken"]) == ("success", True)
            assert recorded(tv, state["number"]) == ("done", "taken")
        card = InsertedCard("electronic-cash", cards)
        before, loaded = load(tv, "10000")
        card.pull()
        assert loaded == before + 10_000


def test_electronic_cash_pays(tmp_path: Path) -> None:
    with running_pcscd(), chain.running(tmp_path) as bench:
        card = InsertedCard("electronic-cash", tmp_path / "cards")
        end = bench.pay(PcscReader(VIRTUAL_READER))
        card.pull()
        assert end.payment is not None
        assert bench.state(end.payment.payment) == ("done", "taken")
        assert bench.taken_fen() == end.payment.amount_fen
        assert bench.faults() == []


@pytest.mark.parametrize("profile", ["debit", "credit"])
def test_a_bank_card_that_leaves_with_its_last_word_is_not_charged(tmp_path: Path, profile: str) -> None:
    """The answer to the second GENERATE AC is lost between card and box: what the issuer has booked is reversed."""
    with running_pcscd(), chain.running(tmp_path) as bench:
        reader = PcscReader(VIRTUAL_READER)
        for faults, wanted in (([], ("done", "taken")), ([f"lose@{LAST[profile]}"], ("failed", "not-taken"))):
            card = InsertedCard(profile, tmp_path / "cards", faults=faults)
            end = bench.pay(reader)
            card.pull()
            assert end.payment is not None
            assert bench.state(end.payment.payment) == wanted
            assert end.money == wanted[1]
        assert bench.taken_fen() == end.payment.amount_fen
        assert bench.faults() == []
