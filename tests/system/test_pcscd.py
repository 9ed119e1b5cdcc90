"""The main job with the card behind a real pcscd: vpcd, `stb-card insert` in another process, pyscard in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pcscd import InsertedCard, running_pcscd
from tests.system.television import Television

pytestmark = [pytest.mark.pcscd, pytest.mark.xdist_group("pcscd")]


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
