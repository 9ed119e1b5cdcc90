"""A card was pulled after the debit and left: whatever happens then, the same service is not paid another time. ONL-3, ONL-7"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.server_stub.test_process import started
from tests.system.subscriber import balance, home, online, pin, plain, recorded, with_card
from tests.system.television import Television

pytestmark = pytest.mark.xdist_group("settled-first")
FIRST = "A card may have paid for this service already. Put that card back: if it has paid, nothing more is taken."
PRICE_FEN = 1000
BANNER = "Put the same card in, and it is checked by itself. Please do not pay again."


def on(data: Path, platform: str, box: str) -> Television:
    return Television(data, "--reader", "sim:", "--lang", "en", "--box", box, "--tsp", platform, demo=False)


def pulled(tv: Television, service: str) -> str:
    """Pays with the good card, pulls it after the debit and leaves; the payment's number for people."""
    with_card(tv, "good", service)
    tv.prompt("enter-pin")
    tv.post("/card/pull?when=after-debit")
    pin(tv)
    tv.prompt("put-back")
    tv.press("BACK")
    tv.choose("leave")
    shown = tv.wait_for("result")
    assert shown["state"]["money_taken"] is None
    assert not bannered(shown)
    number: str = shown["state"]["number"]
    return number


def bannered(shown: dict[str, Any]) -> bool:
    """Whether the card of an earlier payment is asked for below the page."""
    return any(BANNER in text for text in shown["texts"])


def card_back(tv: Television, method: str) -> None:
    """Orders the same again; the confirmation asks for the card instead."""
    tv.choose("services")
    tv.choose("service:music")
    tv.choose("term:monthly")
    tv.choose("order")
    tv.wait_for("fee")
    tv.choose("continue")
    tv.wait_for("payment-methods")
    tv.choose(method)
    tv.wait_for("confirm")
    plain(tv, FIRST)
    tv.choose("card-back")


def test_the_psam_has_gone_on_when_the_card_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STB_SERVER_PSAMS", "sim:1")
    monkeypatch.setenv("STB_SERVER_UNKNOWN_LEASE_SECONDS", "1")
    with (
        started(tmp_path / "platform") as (_, platform),
        on(tmp_path / "a", platform, "85312048") as tv,
        on(tmp_path / "b", platform, "85312047") as other,
    ):
        online(tv)
        before_fen = balance(tv)
        number = pulled(tv, "music")
        home(other)
        other.order(service="documentary", term="per-use")
        other.prompt("insert")
        # Not the same card: that one would have to go back to its television first.
        shutil.copy(tmp_path / "a" / "cards" / "card-good.json", tmp_path / "b" / "cards")
        other.post("/card/insert/good")
        other.prompt("unsettled")
        other.post("/card/pull")
        other.prompt("insert")
        other.post("/card/insert/little-money")
        pin(other)
        other.prompt("remove", seconds=40)
        home(tv)
        tv.wait_for(bannered)
        card_back(tv, "card")
        tv.prompt("put-back")
        tv.post("/card/insert/good")
        tv.wait_for("result")
        shown = plain(
            tv, "Earlier payment (Monthly): no result yet", "It is not yet known whether money was taken."
        )
        assert (shown["state"]["number"], shown["state"]["reason"]) == (number, "proof-kept")
        assert not bannered(shown)
        assert recorded(tv, number) == ("unknown", "unknown")
        tv.order(service="music")
        tv.wait_for("result")
        assert plain(tv)["state"]["number"] == number
        assert before_fen - balance(tv) == PRICE_FEN


def test_a_phone_does_not_pay_for_it_either(tmp_path: Path) -> None:
    with (
        started(tmp_path / "platform") as (_, platform),
        on(tmp_path / "a", platform, "85312048") as tv,
    ):
        online(tv)
        before_fen = balance(tv)
        number = pulled(tv, "music")
        home(tv)
        card_back(tv, "wallet:demo")
        tv.prompt("put-back")
        tv.post("/card/insert/good")
        state = tv.wait_for("result")["state"]
        assert (state["outcome"], state["money_taken"], state["number"]) == ("success", True, number)
        assert before_fen - balance(tv) == PRICE_FEN
