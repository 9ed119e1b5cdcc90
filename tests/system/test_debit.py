"""Debit and credit cards and electronic cash on the television, through the whole chain to the issuer's books. ONL-5, ONL-7, ONL-12"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.subscriber import home, load, pin, plain, recorded, result, with_card
from tests.system.television import Television

pytestmark = pytest.mark.xdist_group("debit")


@pytest.fixture(scope="module")
def tv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Television]:
    with Television(tmp_path_factory.mktemp("box"), "--reader", "sim:", "--lang", "en") as tv:
        yield tv


@pytest.mark.parametrize(("profile", "service"), [("debit", "kids"), ("credit", "music")])
def test_it_is_paid_online(tv: Television, profile: str, service: str) -> None:
    with_card(tv, profile, service)
    pin(tv)
    tv.prompt("remove")
    tv.post("/card/pull")
    state = tv.wait_for("result")["state"]
    assert (state["outcome"], state["money_taken"]) == ("success", True)
    assert recorded(tv, state["number"]) == ("done", "taken")


def test_electronic_cash_pays_without_a_pin(tv: Television) -> None:
    """ONL-3: what is on the card before and after; the service opens when PPP has the card's certificate."""
    with_card(tv, "electronic-cash", "movies")
    asked = tv.prompt("confirm-cash")
    assert asked["focus"] == "cancel"
    tv.choose("agree")
    tv.prompt("remove")
    tv.post("/card/pull")
    state = tv.wait_for("result")["state"]
    assert (state["outcome"], state["money_taken"]) == ("success", True)
    assert state["balance_before_fen"] - state["balance_after_fen"] == asked["state"]["amount_fen"]
    assert recorded(tv, state["number"]) == ("done", "taken")


def test_its_issuer_says_no(tv: Television) -> None:
    with_card(tv, "debit", "opera")
    pin(tv, "111111")
    result(tv, "failed", False, "The PIN was not right", "No money was taken.")
    home(tv)


def test_a_card_is_loaded_from_its_account(tv: Television) -> None:
    """The account pays, the issuer's script loads the card, and the card shows it."""
    home(tv)
    tv.post("/card/insert/electronic-cash")
    before, loaded = load(tv, "10000")
    assert loaded == before + 10_000
    plain(tv, "The card is loaded", "¥100.00 was taken from the account.")
    tv.choose("done")
    read = tv.wait_for(lambda s: s["state"].get("kind") == "electronic-cash")["state"]
    assert read["balance_fen"] == before + 10_000
    home(tv)
