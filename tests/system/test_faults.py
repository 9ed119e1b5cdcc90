"""Everything that can go wrong between a wall socket and a result, as a subscriber meets it. Issue 2, part 5; ONL-4 to ONL-7

Each fault has words in both languages, says whether money was taken, offers a next step, and loses nothing: afterwards the
records and the card agree.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cardreader.sim.issuers import KNOWN
from tests.server_stub.signing import RemoteBox
from tests.system.subscriber import (
    NOT_TAKEN,
    RETURNED,
    balance,
    balance_offline,
    code,
    cut,
    home,
    online,
    paid,
    phone,
    pin,
    plain,
    recorded,
    result,
    server_of,
    to_confirmation,
    with_card,
)
from tests.system.television import Television


def fixture_of(*options: str, **environment: str) -> Any:
    """A television for all tests that name it: English, without motion."""

    @pytest.fixture(scope="module")
    def television(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Television]:
        changes = {f"STB_SERVER_{name.upper()}": value for name, value in environment.items()}
        with Television(
            tmp_path_factory.mktemp("box"), "--reader", "sim:", "--lang", "en", *options, environment=changes
        ) as tv:
            online(tv)
            tv.post("/settings", motion=False)
            yield tv

    return television


tv = fixture_of("--box", "85312047")
hurried = fixture_of("--box", "85312048", qr_seconds="4", late_settle_seconds="1", psams="sim:1")
locking = fixture_of("--box", "85312048")
in_arrears = fixture_of("--box", "85312049")


# BOSS refuses the choice (ONL-4)


def test_a_service_that_is_held_and_cannot_be_extended(tv: Television) -> None:
    home(tv)
    tv.choose("services")
    tv.choose("service:learning")
    tv.wait_for(lambda s: s["screen"] == "service" and not s["busy"])
    assert plain(tv, "You already have this service")["focus"] == "other"
    tv.press("OK")
    tv.wait_for("services")


def test_a_term_that_is_not_sold_cannot_be_chosen(tv: Television) -> None:
    home(tv)
    tv.choose("services")
    tv.choose("service:kids")
    tv.wait_for(lambda s: s["screen"] == "service" and not s["busy"])
    screen = plain(tv, "Not on offer")
    assert {f["key"]: f["enabled"] for f in screen["focusables"]}["term:per-use"] is False
    assert screen["focus"] == "term:monthly"


def test_a_service_that_is_withdrawn(tv: Television) -> None:
    home(tv)
    tv.choose("services")
    tv.choose("service:life")
    tv.wait_for(lambda s: s["screen"] == "service" and not s["busy"])
    assert plain(tv, "This service is no longer sold")["focus"] == "other"


def test_a_service_that_clashes_with_one_that_is_held(tv: Television) -> None:
    home(tv)
    tv.choose("services")
    tv.choose("service:drama")
    tv.wait_for(lambda s: s["screen"] == "service" and not s["busy"])
    assert plain(tv, "Cannot be combined with your HD Movies")["focus"] == "other"


@pytest.mark.xdist_group("in-arrears")
def test_a_subscriber_in_arrears(in_arrears: Television) -> None:
    tv = in_arrears
    home(tv)
    tv.choose("services")
    tv.choose("service:kids")
    screen = tv.wait_for(lambda s: s["screen"] == "service" and not s["busy"])
    if "order" in {f["key"] for f in screen["focusables"]}:
        tv.choose("order")
        tv.wait_for(lambda s: not s["busy"] and s["state"]["refusal"])
    assert plain(tv, "Your account has unpaid bills")["focus"] in ("other", "terms")


@pytest.mark.parametrize(
    ("box", "title"),
    [("11112222", "We do not know this box"), ("85312050", "This box is out of service")],
)
def test_a_box_that_the_operator_does_not_accept(tmp_path: Path, box: str, title: str) -> None:
    papers = {"11112222": {"smart_card_number": "8310220477550099", "activation_code": "246810"}}
    (tmp_path / "boxes.json").write_text(json.dumps(papers))
    with Television(tmp_path, "--reader", "sim:", "--lang", "en", "--box", box) as tv:
        tv.wait_for(lambda s: s["state"].get("problem"))
        assert plain(tv, title)["focus"] in ("retry", "services")
        tv.choose("services")
        tv.wait_for(lambda s: s["screen"] == "services" and not s["busy"])
        assert plain(tv)["focus"] == "retry"
        tv.press("BACK")
        tv.wait_for("home")


# The card


def test_nobody_has_a_card_at_hand(tv: Television) -> None:
    home(tv)
    tv.order()
    tv.prompt("insert")
    plain(tv, "Please insert your UnionPay card")
    assert tv.press("BACK")["focus"] == "keep"
    plain(tv, "Nothing has been taken yet.")
    tv.choose("cancel-payment")
    number = result(tv, "cancelled", False, NOT_TAKEN)["state"]["number"]
    assert recorded(tv, number) == ("cancelled", "not-taken")


@pytest.mark.parametrize(
    ("profile", "prompt", "title"),
    [
        ("no-purse", "no-purse", "This card has no electronic purse"),
        ("foreign-issuer", "issuer-unknown", "Cards of this bank are not accepted here"),
        ("expired", "expired", "This card has expired"),
        ("blocked", "blocked", "This card is locked"),
        ("little-money", "balance-too-low", "There is not enough money on the card"),
    ],
)
def test_a_card_that_cannot_pay_gives_way_to_another_one(
    tv: Television, profile: str, prompt: str, title: str
) -> None:
    with_card(tv, profile)
    tv.prompt(prompt)
    screen = plain(tv, title)
    assert screen["focus"] == "pay-otherwise"
    if profile == "little-money":
        assert any("¥3.20" in text and "¥8.80" in text for text in screen["texts"])
    tv.post("/card/pull")
    tv.prompt("insert")
    tv.post("/card/insert/good")
    tv.prompt("enter-pin")
    tv.post("/card/pull")
    tv.prompt("removed-early")
    assert "cancel" in {f["key"] for f in plain(tv, "Please put the card back")["focusables"]}
    tv.press("BACK")
    tv.choose("cancel-payment")
    result(tv, "cancelled", False, NOT_TAKEN)


def test_a_card_whose_pin_is_blocked(tv: Television) -> None:
    with_card(tv, "pin-blocked")
    pin(tv)
    tv.prompt("pin-blocked")
    assert plain(tv, "The PIN of this card is locked")["focus"] == "pay-otherwise"
    tv.press("OK")
    tv.wait_for("payment-methods")
    assert plain(tv)["focus"] in ("card", "wallet:demo")


def test_a_wrong_pin_and_then_the_right_one(tv: Television) -> None:
    before_fen = balance(tv)
    with_card(tv)
    pin(tv, "111111")
    assert tv.prompt("wrong-pin")["state"]["tries_left"] == 2
    assert plain(tv, "That PIN is not right")["focus"] == "pin"
    pin(tv)
    tv.prompt("remove")
    plain(tv, "Please take your card")
    tv.post("/card/pull")
    paid(tv, before_fen)


@pytest.mark.xdist_group("locking")
def test_three_wrong_pins_lock_the_card(locking: Television) -> None:
    tv = locking
    with_card(tv)
    for left in (2, 1):
        pin(tv, "111111")
        tv.wait_for(lambda s, left=left: s["state"].get("tries_left") == left)
    plain(tv, "Wrong PIN: last try")
    pin(tv, "111111")
    tv.prompt("pin-blocked")
    assert plain(tv, "The PIN of this card is locked")["focus"] == "pay-otherwise"
    tv.choose("cancel")
    number = result(tv, "cancelled", False, NOT_TAKEN, "Please take your card")["state"]["number"]
    assert recorded(tv, number) == ("cancelled", "not-taken")


# The pool of PSAMs, and the deduction


def other_box(tv: Television) -> Callable[..., Any]:
    """Another subscriber's box at the same platform, without a television: its way to post and hear JSON."""
    home(tv)
    tv.focus("services")  # the tiles stand one below the other
    tv.choose("settings")
    tv.choose("about")
    texts = tv.wait_for(lambda s: any(text.startswith("http://") for text in s["texts"]))["texts"]
    url = next(text for text in texts if text.startswith("http://"))
    box = RemoteBox(url, "85312051")
    box.enrol()
    return box.post


@pytest.mark.xdist_group("hurried")
def test_all_psams_are_in_use_until_one_is_free(hurried: Television) -> None:
    tv = hurried
    post = other_box(tv)
    order = post("/orders", service="kids", term="monthly")
    payment = post(f"/orders/{order['order']}/payments", method="card")["payment"]
    post(
        f"/payments/{payment}/card",
        issuer_id=KNOWN.issuer_id.hex().upper(),
        application_serial="62170018340572163118",
        application_type="02",
        start_date="20240301",
        expiry_date="20440229",
        balance_fen=5000,
    )
    before_fen = balance(tv)
    with_card(tv)
    pin(tv)
    tv.prompt("waiting-psam")
    assert plain(tv, "Many people are paying just now")["focus"] == "cancel"
    post(f"/payments/{payment}/cancel")
    tv.prompt("remove")
    tv.post("/card/pull")
    paid(tv, before_fen)


def test_no_psam_at_all(tmp_path: Path) -> None:
    with Television(tmp_path, "--reader", "sim:", "--lang", "en", environment={"STB_SERVER_PSAMS": ""}) as tv:
        online(tv)
        before_fen = balance(tv)
        with_card(tv)
        pin(tv)
        tv.prompt("waiting-psam")
        tv.choose("cancel")
        tv.choose("pay-otherwise")
        tv.wait_for("payment-methods")
        assert plain(tv)["focus"] in ("card", "wallet:demo")
        assert balance(tv) == before_fen


def test_the_card_refuses_mac1(tv: Television) -> None:
    before_fen = balance(tv)
    with_card(tv)
    tv.prompt("enter-pin")
    # The platform works with another amount than the card was told: the card sees that in MAC1.
    with closing(sqlite3.connect(tv.data / "server" / "tsp.db")) as database, database:
        changed = database.execute("UPDATE payments SET amount_fen = amount_fen + 1 WHERE state = 'created'")
        assert changed.rowcount == 1
    pin(tv)
    screen = result(tv, "failed", False, "The card refused the payment", NOT_TAKEN)
    assert screen["state"]["reason"] == "mac1-refused"
    assert recorded(tv, screen["state"]["number"]) == ("failed", "not-taken")
    assert balance(tv) == before_fen


# The code


def test_the_phone_declines(tv: Television) -> None:
    phone(code(tv), "decline")
    number = result(tv, "failed", False, "The payment was declined on the phone", NOT_TAKEN)["state"][
        "number"
    ]
    tv.choose("again")
    tv.wait_for(lambda s: s["screen"] == "service" and not s["busy"])
    assert recorded(tv, number) == ("failed", "not-taken")


@pytest.mark.xdist_group("hurried")
def test_nobody_scans_the_code(hurried: Television) -> None:
    code(hurried)
    number = result(hurried, "expired", False, "The code has run out", NOT_TAKEN)["state"]["number"]
    assert recorded(hurried, number) == ("expired", "not-taken")


@pytest.mark.xdist_group("hurried")
def test_the_phone_pays_at_the_last_second(hurried: Television) -> None:
    tv = hurried
    payload = code(tv)
    tv.wait_for(lambda s: s["state"].get("seconds_left") == 1)
    phone(payload, "pay")
    state = tv.wait_for("result")["state"]
    assert (state["outcome"], state["money_taken"]) == ("success", True)
    assert recorded(tv, state["number"]) == ("done", "taken")


@pytest.mark.xdist_group("hurried")
def test_the_phone_pays_too_late_and_the_money_comes_back(hurried: Television) -> None:
    tv = hurried
    phone(code(tv), "pay-late")
    result(tv, "expired", False, "The code has run out", NOT_TAKEN)
    tv.wait_for(lambda s: s["state"].get("outcome") == "late")
    tv.wait_for(lambda s: s["state"].get("money") == "returned")
    number = result(tv, "late", False, "The payment came too late", RETURNED)["state"]["number"]
    assert recorded(tv, number) == ("late", "returned")


# The platform


def test_the_platform_is_out_of_reach_from_the_start(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and nobody listens
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with Television(tmp_path, "--reader", "sim:", "--lang", "en", "--tsp", url, demo=False) as tv:
            tv.wait_for(lambda s: s["state"].get("connection") == "offline")
            assert plain(tv, "The payment service cannot be reached")["focus"] in ("retry", "services")
            for page in ("services", "records"):
                tv.choose(page)
                tv.wait_for(lambda s, page=page: s["screen"] == page and not s["busy"])
                assert plain(tv, "The payment service cannot be reached")["focus"] == "retry"
                tv.press("BACK")
                tv.wait_for("home")
            assert balance_offline(tv) == 23640


def test_the_server_dies_before_the_order(tv: Television) -> None:
    home(tv)
    tv.choose("services")
    tv.choose("service:kids")
    tv.focus("order")
    cut(tv)
    tv.press("OK")
    tv.wait_for(lambda s: not s["busy"] and s["state"].get("refusal") == "tsp-unreachable")
    screen = plain(tv, "The payment service cannot be reached", NOT_TAKEN)
    assert screen["focus"] == "again"
    for _ in range(20):
        tv.press("OK")
        screen = tv.wait_for(lambda s: not s["busy"])
        if screen["screen"] == "fee":
            break
        screen = tv.screen(after=screen["version"], wait=0.5)
    assert screen["screen"] == "fee"


def test_the_server_dies_while_a_card_payment_starts(tv: Television) -> None:
    home(tv)
    to_confirmation(tv)
    cut(tv)
    tv.press("OK")
    tv.prompt("reconnecting")
    assert (
        plain(tv, "The payment service does not answer", "Nothing has been taken yet.")["focus"] == "cancel"
    )
    tv.prompt("insert", "no-service")
    if tv.screen()["state"]["prompt"] == "no-service":  # a slow machine
        tv.press("OK")
        tv.prompt("insert")
    tv.press("BACK")
    tv.choose("cancel-payment")
    number = result(tv, "cancelled", False, NOT_TAKEN)["state"]["number"]
    assert recorded(tv, number) == ("cancelled", "not-taken")


def test_the_server_hangs_at_the_pin_and_the_payment_is_tried_again(tv: Television) -> None:
    before_fen = balance(tv)
    with_card(tv)
    tv.prompt("enter-pin")
    server = server_of(tv)
    os.kill(server, signal.SIGSTOP)
    try:
        pin(tv)
        tv.prompt("no-service")
        assert plain(tv, "The payment service cannot be reached", NOT_TAKEN)["focus"] == "try-again"
    finally:
        os.kill(server, signal.SIGCONT)
    tv.press("OK")
    tv.prompt("remove")
    tv.post("/card/pull")
    paid(tv, before_fen)


def test_the_server_dies_while_the_code_is_shown(tv: Television) -> None:
    payload = code(tv)
    cut(tv)
    tv.wait_for(lambda s: s["state"].get("qr_state") == "reconnecting")
    plain(tv, "No connection just now")
    tv.wait_for(lambda s: s["state"].get("qr_state") == "shown")
    phone(payload, "pay")
    state = tv.wait_for("result")["state"]
    assert (state["outcome"], state["money_taken"]) == ("success", True)
    assert recorded(tv, state["number"]) == ("done", "taken")


def test_the_server_dies_while_the_pin_is_asked_for(tv: Television) -> None:
    before_fen = balance(tv)
    with_card(tv)
    tv.prompt("enter-pin")
    cut(tv)
    pin(tv)
    tv.prompt("remove", "no-service")
    if tv.screen()["state"]["prompt"] == "no-service":  # a slow machine
        tv.press("OK")
        tv.prompt("remove")
    tv.post("/card/pull")
    paid(tv, before_fen)


def test_the_server_dies_right_after_the_debit(tv: Television) -> None:
    before_fen = balance(tv)
    tv.post("/card/pull?when=after-debit")
    with_card(tv)
    pin(tv)
    tv.prompt("put-back")
    assert plain(tv, "Please put the card ending 2047 back")["focus"] == "leave"
    cut(tv)
    tv.post("/card/insert/good")
    paid(tv, before_fen)


def test_the_server_dies_after_the_payment(tv: Television) -> None:
    before_fen = balance(tv)
    with_card(tv)
    pin(tv)
    tv.prompt("remove")
    tv.post("/card/pull")
    tv.wait_for("result")
    cut(tv)
    tv.wait_for(lambda s: any("is being started again" in text for text in s["texts"]))
    plain(tv, "Paid. Your service is ready.", "The money was taken.")
    tv.wait_for(lambda s: not any("is being started again" in text for text in s["texts"]))
    paid(tv, before_fen)


# The card is pulled


def test_the_card_is_pulled_at_the_pin_and_comes_back(tv: Television) -> None:
    before_fen = balance(tv)
    with_card(tv)
    tv.prompt("enter-pin")
    tv.type("123")
    tv.post("/card/pull")
    tv.prompt("removed-early")
    plain(tv, "Please put the card back", "Nothing has been taken yet.")
    tv.post("/card/insert/good")
    assert tv.prompt("enter-pin")["state"]["digits"] == 0
    pin(tv)
    tv.prompt("remove")
    tv.post("/card/pull")
    paid(tv, before_fen)


def test_the_card_is_pulled_before_it_has_debited(tv: Television) -> None:
    before_fen = balance(tv)
    with_card(tv)
    tv.prompt("enter-pin")
    tv.post("/card/pull?when=before-debit")
    pin(tv)
    tv.prompt("put-back")
    tv.post("/card/insert/little-money")
    tv.prompt("other-card")
    plain(tv, "This is a different card")
    tv.post("/card/pull")
    tv.prompt("put-back")
    tv.post("/card/insert/good")
    screen = result(tv, "failed", False, "The card was taken out too early", NOT_TAKEN)
    assert recorded(tv, screen["state"]["number"]) == ("failed", "not-taken")
    assert balance(tv) == before_fen


def test_the_card_is_pulled_after_the_debit_and_taken_away(tv: Television) -> None:
    before_fen = balance(tv)
    with_card(tv)
    tv.prompt("enter-pin")
    tv.post("/card/pull?when=after-debit")
    pin(tv)
    tv.prompt("put-back")
    assert tv.press("BACK")["focus"] == "keep"
    tv.choose("leave")
    state = result(tv, "pending", None, "It is not yet known whether money was taken.")["state"]
    assert recorded(tv, state["number"]) == ("unknown", "unknown")
    after_fen = balance(tv)  # the card is seen again, and tells
    assert after_fen < before_fen
    assert recorded(tv, state["number"]) == ("done", "taken")
    assert balance(tv) == after_fen
