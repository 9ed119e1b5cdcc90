"""The main job through real processes: television, server, card and PSAM simulators. ONL-1 to ONL-7, ONL-10, ONL-14"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.system.subscriber import online
from tests.system.television import Television


@pytest.fixture(scope="module")
def tv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Television]:
    with Television(tmp_path_factory.mktemp("box"), "--reader", "sim:") as television:
        yield television


def at_home(tv: Television) -> None:
    tv.press("HOME")
    tv.wait_for("home")


def test_a_card_pays_from_home_to_the_records(tv: Television) -> None:
    at_home(tv)
    tv.order(service="kids", term="monthly")
    tv.prompt("insert")
    tv.post("/card/insert/good")
    tv.prompt("enter-pin")
    tv.type("123456")
    tv.press("OK")
    tv.prompt("remove")
    tv.post("/card/pull")
    result = tv.wait_for("result")
    state = result["state"]
    assert (state["outcome"], state["money_taken"]) == ("success", True)
    assert state["valid_until"]
    assert state["balance_before_fen"] - state["balance_after_fen"] > 0
    assert any("****" in text for text in result["texts"])
    tv.choose("done")
    tv.wait_for("home")
    tv.choose("records")
    records = tv.wait_for(lambda s: s["screen"] == "records" and not s["busy"])
    assert any(state["number"] in text for text in records["texts"]) or records["focusables"]
    opened = tv.press("OK")
    opened = tv.wait_for("record")
    assert any(state["number"] in text for text in opened["texts"])


def test_a_phone_pays_and_the_television_follows(tv: Television) -> None:
    at_home(tv)
    tv.order(service="music", term="monthly", method="wallet:demo")
    shown = tv.wait_for(lambda s: s["screen"] == "qr" and s["state"]["qr_state"] == "shown")
    page = requests.get(shown["state"]["payload"], timeout=5)
    assert page.ok
    tv.wait_for(lambda s: s["state"].get("qr_state") == "scanned")
    paid = requests.post(shown["state"]["payload"] + "/pay", timeout=5)
    assert paid.ok
    state = tv.wait_for("result", seconds=5)["state"]
    assert (state["outcome"], state["money_taken"]) == ("success", True)


def test_a_card_can_be_looked_at(tv: Television) -> None:
    at_home(tv)
    tv.choose("card-inquiry")
    tv.wait_for("card-inquiry")
    tv.post("/card/insert/little-money")
    read = tv.wait_for(lambda s: s["screen"] == "card-inquiry" and any("3.20" in text for text in s["texts"]))
    assert any("****" in text for text in read["texts"])
    tv.post("/card/pull")


@pytest.mark.parametrize("when", ["before-debit", "after-debit"])
def test_a_card_pulled_around_the_debit_is_put_back(tv: Television, when: str) -> None:
    at_home(tv)
    tv.order(service="documentary", term="monthly")
    tv.prompt("insert")
    tv.post(f"/card/pull?when={when}")
    tv.post("/card/insert/good")
    tv.prompt("enter-pin")
    tv.type("123456")
    tv.press("OK")
    tv.prompt("put-back")
    tv.post("/card/insert/good")
    state = tv.wait_for("result")["state"]
    expected = ("success", True) if when == "after-debit" else ("failed", False)
    assert (state["outcome"], state["money_taken"]) == expected
    tv.post("/card/pull")


def test_the_plug_is_pulled_while_the_money_is_unknown_and_the_card_tells_later(tmp_path: Path) -> None:
    with Television(tmp_path, "--reader", "sim:") as tv:
        tv.order(service="kids", term="monthly")
        tv.prompt("insert")
        tv.post("/card/pull?when=after-debit")
        tv.post("/card/insert/good")
        tv.prompt("enter-pin")
        tv.type("123456")
        tv.press("OK")
        tv.prompt("put-back")
        tv.kill()
    with Television(tmp_path, "--reader", "sim:") as tv:
        tv.wait_for("home")
        tv.choose("card-inquiry")
        tv.wait_for("card-inquiry")
        tv.post("/card/insert/good")
        tv.wait_for(lambda s: s["screen"] == "card-inquiry" and any("****" in text for text in s["texts"]))
        tv.press("BACK")
        tv.wait_for("home")
        tv.choose("records")
        tv.wait_for(lambda s: s["screen"] == "records" and not s["busy"] and s["focusables"])
        tv.press("OK")
        record = tv.wait_for("record")
        assert record["state"]["outcome"] == "success"


def test_switched_off_in_order_it_cancels_what_has_not_begun(tmp_path: Path) -> None:
    with Television(tmp_path, "--reader", "sim:") as tv:
        tv.order(service="kids", term="monthly")
        tv.prompt("insert")
        assert tv.close() == 0
    with Television(tmp_path, "--reader", "sim:") as tv:
        online(tv)
        tv.choose("records")
        records = tv.wait_for(lambda s: s["screen"] == "records" and s["state"].get("records"))["state"][
            "records"
        ]
        assert [(r["state"], r["money"]) for r in records] == [("cancelled", "not-taken")]


def test_a_phone_in_the_local_network_opens_the_code_and_nothing_else(tmp_path: Path) -> None:
    """127.0.0.2 stands for the machine's address in the local network."""
    with Television(tmp_path, "--lan", environment={"STB_SERVER_LAN_ADDRESS": "127.0.0.2"}) as tv:
        tv.order(service="kids", term="monthly", method="wallet:demo")
        shown = tv.wait_for(lambda s: s["screen"] == "qr" and s["state"]["qr_state"] == "shown")
        payload = shown["state"]["payload"]
        assert payload.startswith("http://127.0.0.2:")
        assert len(payload) <= 62
        assert requests.get(payload, timeout=5).ok
        assert requests.get(payload.rpartition("/w/")[0] + "/stb/v1/hello", timeout=5).status_code == 404


def test_a_service_that_turns_out_paid_is_not_paid_again(tmp_path: Path) -> None:
    """ONL-13: the card left after the debit, the subscriber gave up and orders once more."""
    with Television(tmp_path, "--reader", "sim:") as tv:
        tv.order(service="kids", term="monthly")
        tv.prompt("insert")
        tv.post("/card/pull?when=after-debit")
        tv.post("/card/insert/good")
        tv.prompt("enter-pin")
        tv.type("123456")
        tv.press("OK")
        tv.prompt("put-back")
        tv.press("BACK")
        tv.choose("leave")
        first = tv.wait_for("result")["state"]
        assert (first["outcome"], first["money_taken"]) == ("pending", None)
        tv.press("HOME")
        tv.order(service="kids", term="monthly")
        tv.prompt("put-back")
        tv.post("/card/insert/good")
        second = tv.wait_for("result")["state"]
        assert (second["outcome"], second["money_taken"]) == ("success", True)
        assert second["number"] == first["number"]
        assert second["balance_after_fen"] == 23640 - 1200
