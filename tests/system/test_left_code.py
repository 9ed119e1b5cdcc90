"""The plug of a television is pulled while a code is shown; the platform goes on, and so does whoever has scanned it. ONL-13, ONL-14"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.server_stub.test_process import started
from tests.system.subscriber import home, plain, recorded, result
from tests.system.television import Television

pytestmark = pytest.mark.xdist_group("left-code")
OPEN = "An earlier wallet payment is still open: "


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started(tmp_path_factory.mktemp("platform")) as (_, address):
        yield address


def on(data: Path, platform: str) -> Television:
    options = ("--reader", "sim:", "--lang", "en", "--box", "85312048", "--tsp", platform)
    return Television(data, *options, demo=False)


def noticed(tv: Television, words: str) -> str:
    """Waits for a text with these words in it, and returns it."""
    screen = tv.wait_for(lambda s: any(words in text for text in s["texts"]), 30)
    return next(str(text) for text in screen["texts"] if words in text)


def at_rest(tv: Television, *focus: str) -> None:
    """Home has all that it shows, and its first focus: on ``renew`` as soon as a service is there."""
    tv.wait_for(lambda s: s["state"]["connection"] == "online" and not s["busy"] and s["focus"] in focus)


def left(data: Path, platform: str, service: str) -> tuple[str, str]:
    """A code that was on the screen when the plug was pulled: what it says, and its order's number for people."""
    with on(data, platform) as tv:
        tv.order(service=service, method="wallet:demo")
        shown = tv.wait_for(lambda s: s["state"].get("qr_state") == "shown")
        number = next(t for t in shown["texts"] if t.startswith("Order ")).removeprefix("Order ")
        tv.kill()
    return shown["state"]["payload"], number


def pays(payload: str) -> str:
    """A phone presses "pay"; what it shows then."""
    shown = requests.post(f"{payload}/pay?lang=en", timeout=5)
    assert shown.ok
    return shown.text


def test_it_is_closed_before_the_same_service_is_paid_by_card(tmp_path: Path, platform: str) -> None:
    payload, number = left(tmp_path, platform, "kids")
    with on(tmp_path, platform) as tv:
        told = noticed(tv, f"{OPEN}Kids' World · Monthly · ¥12.00 · Order {number}")
        at_rest(tv, "browse", "renew")
        plain(tv, told)
        tv.order(service="kids")
        tv.prompt("insert")
        assert "Cancelled on the television" in pays(payload)
        tv.post("/card/insert/good")
        tv.prompt("enter-pin")
        tv.type("123456")
        tv.press("OK")
        tv.prompt("remove")
        tv.post("/card/pull")
        state = tv.wait_for("result")["state"]
        assert (state["outcome"], state["money_taken"]) == ("success", True)
        # Told when the present payment and its result are gone, by its number.
        home(tv)
        noticed(
            tv,
            f"An earlier wallet payment did not take place: Kids' World · Monthly · ¥12.00 · Order {number}",
        )
        assert recorded(tv, number) == ("cancelled", "not-taken")
        assert recorded(tv, state["number"]) == ("done", "taken")


def test_it_is_paid_after_all_and_the_television_tells(tmp_path: Path, platform: str) -> None:
    payload, number = left(tmp_path, platform, "music")
    with on(tmp_path, platform) as tv:
        noticed(tv, OPEN)
        assert "Look at the television" in pays(payload)
        done = f"An earlier wallet payment has been completed: Live Music · Monthly · ¥10.00 · Order {number}"
        told = noticed(tv, done)
        at_rest(tv, "renew")
        plain(tv, told)
        assert recorded(tv, number) == ("done", "taken")
    with on(tmp_path, platform) as tv:  # told once
        home(tv)
        assert not [text for text in tv.screen()["texts"] if "wallet payment" in text]


def test_it_is_cancelled_while_the_platform_is_away_and_the_plug_is_pulled(tmp_path: Path) -> None:
    box, data = tmp_path / "box", tmp_path / "platform"
    with started(data) as (server, platform), on(box, platform) as tv:
        tv.order(service="kids", method="wallet:demo")
        payload = tv.wait_for(lambda s: s["state"].get("qr_state") == "shown")["state"]["payload"]
        server.kill()
        tv.press("BACK")
        tv.choose("cancel-payment")
        tv.wait_for(lambda _: [*box.rglob("*.unwanted")])
        tv.kill()
    with started(data, "--port", platform.rpartition(":")[2]), on(box, platform) as tv:
        noticed(tv, "An earlier wallet payment did not take place: Kids' World")
        assert "Cancelled on the television" in pays(payload)


def test_it_was_paid_while_the_television_was_off(tmp_path: Path, platform: str) -> None:
    payload, _ = left(tmp_path, platform, "documentary")
    assert "Look at the television" in pays(payload)
    with on(tmp_path, platform) as tv:
        noticed(tv, "An earlier wallet payment has been completed: Documentary · Monthly · ¥12.00 · Order ")


def test_the_power_goes_between_the_card_s_payment_and_its_result(tmp_path: Path, platform: str) -> None:
    with on(tmp_path, platform) as tv:
        home(tv)
        tv.order(service="games")
        tv.prompt("insert")
        tv.post("/card/insert/good")
        tv.prompt("enter-pin")
        tv.type("123456")
        tv.press("OK")
        paid = tv.prompt("remove")  # the TSP has answered, the result is not on the screen yet
        tv.kill()
    with on(tmp_path, platform) as tv:
        assert paid["state"]["amount_fen"] == 1800
        done = "An earlier card payment has been completed: TV Games · Monthly · ¥18.00 · Order "
        told = noticed(tv, done)
        at_rest(tv, "renew")
        plain(tv, told)
        # Nobody was asked for a card meanwhile.
        assert not [text for text in tv.screen()["texts"] if "Put the same card in" in text]
        tv.choose("records")
        shown = tv.wait_for(lambda s: s["screen"] == "records" and not s["busy"])["state"]["records"]
        assert (shown[0]["state"], shown[0]["money"]) == ("done", "taken")
    with on(tmp_path, platform) as tv:  # told once
        home(tv)
        assert not [text for text in tv.screen()["texts"] if "card payment" in text]


@pytest.mark.parametrize(("method", "service"), [("card", "news"), ("wallet:demo", "opera")])
def test_while_its_wallet_is_silent_nothing_else_is_paid(
    tmp_path: Path, platform: str, method: str, service: str
) -> None:
    payload, number = left(tmp_path, platform, service)
    faults = f"{platform}/sandbox/faults"
    with on(tmp_path, platform) as tv:
        home(tv)
        requests.put(faults, json={"gateway_silent": True}, timeout=5).raise_for_status()
        try:
            tv.order(service=service, method=method)
            unknown = "It is not yet known whether money was taken."
            shown = result(tv, "pending", None, "Earlier payment (Monthly): no result yet", unknown)["state"]
            assert shown["number"] == number
            pays(payload)
        finally:
            requests.put(faults, json={"gateway_silent": False}, timeout=5).raise_for_status()
        state = tv.wait_for(lambda s: s["state"].get("outcome") == "success", 30)["state"]
        assert (state["number"], state["money_taken"]) == (number, True)
