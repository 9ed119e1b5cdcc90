"""Enrolment, looking around, orders and inquiries over the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select

from server_stub.boss import tables as boss
from server_stub.boss.keys import activation_hash
from server_stub.foundation.problems import Problem
from server_stub.tsp import tables
from tests.server_stub.system import ACTIVATION, OWN, SMART_CARDS, Box, Card, System

pytestmark = pytest.mark.anyio


def second_box(conn: Connection, first: str, number: str, smart_card: str) -> None:
    """Gives the subscriber behind a box another one."""
    owner = conn.execute(select(boss.boxes).where(boss.boxes.c.box_number == first)).one()
    conn.execute(
        insert(boss.boxes).values(
            box_number=number,
            subscriber_id=owner.subscriber_id,
            smart_card_number=smart_card,
            activation_hash=activation_hash(number, ACTIVATION),
            state="active",
        )
    )


async def test_hello_needs_no_signature(system: System) -> None:
    answer = (await system.outside.get(f"{OWN}/stb/v1/hello")).json()
    assert answer["api"] == 1
    assert answer["test_mode"] is True
    assert answer["time"] == "2026-06-21T10:00:00+08:00"
    assert answer["hotline"] == "96123"


@pytest.mark.parametrize(
    ("box", "other", "code"),
    [
        ("85312099", {}, "box-unknown"),
        ("85312050", {}, "box-suspended"),
        ("85312047", {"activation_code": "000000"}, "activation-code-wrong"),
        ("85312047", {"smart_card_number": SMART_CARDS["85312048"]}, "activation-code-wrong"),
    ],
)
async def test_a_box_that_boss_does_not_accept_is_not_enrolled(
    system: System, box: str, other: dict[str, str], code: str
) -> None:  # ONL-11
    one = Box(system, box)
    card = SMART_CARDS.get(box, "8310220477550019")
    problem = await one.refused("/enrolments", one.papers(**{"smart_card_number": card, **other}))
    assert (problem["code"], problem["status"], problem["money"]) == (code, 403, "not-taken")
    assert (await one.call("GET", "/home")).json()["code"] == "not-enrolled"


async def test_an_enrolment_repeated_gives_the_same_answer(system: System) -> None:
    box = Box(system, "85312047")
    first = await box.post("/enrolments", box.papers(), key="the-same-key")
    assert await box.post("/enrolments", box.papers(), key="the-same-key") == first
    assert first["subscriber"] == {"name": {"zh": "张女士", "en": "Ms Zhang"}, "number": "8531 2047"}
    assert first["key_id"] == box.key.key_id
    await box.get("/home")


async def test_a_box_that_has_paid_may_be_enrolled_anew(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card", "sports", "monthly")
    await box.enrol()
    assert [one["payment"] for one in (await box.get("/records"))["records"]] == [payment["payment"]]


async def test_home_of_a_subscriber_with_a_history(system: System) -> None:
    home = await (await system.box("85312047")).get("/home")
    assert home["subscriber"]["number"] == "8531 2047"
    assert home["current"]["service"] == "movies"
    assert home["current"]["days_left"] == 10
    assert [one["month"] for one in home["spending"]] == [f"2026-0{month}" for month in range(1, 7)]
    assert sum(one["amount_fen"] > 0 for one in home["spending"]) >= 4
    assert home["service_count"] == 12
    services = (await (await system.box("85312047")).get("/services"))["services"]
    assert home["active_count"] == sum(one["status"] == "active" for one in services) > 0
    assert home["last_payment"]["amount_fen"] > 0
    assert len(home["suggestions"]) == 4


def spent(home: Any) -> list[int]:
    """What home says of the last six months, oldest first."""
    return [one["amount_fen"] for one in home["spending"]]


async def test_home_of_a_subscriber_without_one(system: System) -> None:
    home = await (await system.box("85312048")).get("/home")
    assert (home["current"], home["last_payment"]) == (None, None)
    assert spent(home) == [0] * 6


async def test_records_name_what_was_paid_elsewhere_and_home_names_the_newest(system: System) -> None:
    box = await system.box("85312047")
    before = await box.get("/records")
    assert before["records"] == []
    dates = [one["date"] for one in before["earlier"]]
    assert dates == sorted(dates, reverse=True)
    assert len(dates) == 10
    newest = before["earlier"][0]
    last = (await box.get("/home"))["last_payment"]
    assert last == {"date": newest["date"], "amount_fen": newest["amount_fen"]}
    assert {one["status"] for one in before["earlier"]} == {"active", "expired", "used", "cancelled"}
    payment = await box.pay("card", "sports", "monthly")
    await Card(box).pay(payment)
    await box.state(payment["payment"], "done")
    after = await box.get("/records")
    assert [one["payment"] for one in after["records"]] == [payment["payment"]]
    # What was opened for this payment does not stand a second time among the others.
    assert [(one["service"]["service"], one["date"]) for one in after["earlier"]] == [
        (one["service"]["service"], one["date"]) for one in before["earlier"]
    ]
    assert (await box.get("/home"))["last_payment"] == {"date": "2026-06-21", "amount_fen": 1500}


async def test_another_box_of_the_same_subscriber_sees_the_payment_as_paid_elsewhere(system: System) -> None:
    box, other = await system.box("85312047"), Box(system, "85312099")
    smart_card = "8310220477550098"
    await system.boss(lambda conn: second_box(conn, box.number, other.number, smart_card))
    await other.enrol(smart_card_number=smart_card)
    payment = await box.pay("card", "sports", "monthly")
    await Card(box).pay(payment)
    await box.state(payment["payment"], "done")
    seen = await other.get("/records")
    assert seen["records"] == []
    assert len(seen["earlier"]) == 11
    assert (seen["earlier"][0]["service"]["service"], seen["earlier"][0]["date"]) == ("sports", "2026-06-21")


async def test_records_stand_without_boss_and_home_names_what_boss_does_not_know_yet(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card", "sports", "monthly")
    system.network.cut.add("/boss")
    await Card(box).pay(payment)
    records = await box.get("/records")
    assert [one["payment"] for one in records["records"]] == [payment["payment"]]
    assert records["earlier"] is None
    await system.tried("open-service")
    system.network.cut.clear()
    # The clock stands still: BOSS has not heard of the payment, and is not told again.
    assert (await box.get("/home"))["last_payment"] == {"date": "2026-06-21", "amount_fen": 1500}


async def test_a_service_with_its_terms_and_its_past(system: System) -> None:  # ONL-1
    box = await system.box("85312047")
    service = await box.get("/services/sports")
    assert [one["term"] for one in service["terms"]] == ["per-use", "monthly", "quarterly", "yearly"]
    assert [one["price_fen"] for one in service["terms"]] == [500, 1500, 4200, 15000]
    assert [one["saving_percent"] for one in service["terms"]] == [0, 0, 6, 16]
    assert [one["refusal"] for one in service["terms"]] == [None] * 4
    assert service["from"] == {"term": "per-use", "price_fen": 500}
    assert service["hotline"] == "96123"
    assert service["renews"] is False
    assert {one["status"] for one in service["subscriptions"]} == {"used", "expired"}
    begins = [one["valid_from"] for one in service["subscriptions"]]
    assert begins == sorted(begins, reverse=True)
    missing = await box.call("GET", "/services/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")


async def test_services_are_listed_in_the_operator_s_order(system: System) -> None:
    services = (await (await system.box("85312047")).get("/services"))["services"]
    assert len(services) == 12
    assert [one["service"] for one in services][:3] == ["movies", "sports", "kids"]
    assert {one["status"] for one in services} == {"active", "expired", "none"}


@pytest.mark.parametrize(
    ("number", "service", "term", "code"),
    [
        ("85312047", "learning", "monthly", "already-subscribed"),
        ("85312047", "kids", "per-use", "term-not-sold"),
        ("85312049", "sports", "monthly", "subscriber-in-arrears"),
        ("85312047", "life", "monthly", "service-withdrawn"),
        ("85312047", "drama", "monthly", "order-clash"),
        ("85312051", "movies", "monthly", "order-clash"),
    ],
)
async def test_boss_refuses_a_choice(
    system: System, number: str, service: str, term: str, code: str
) -> None:  # ONL-4
    box = await system.box(number)
    problem = await box.refused("/orders", {"service": service, "term": term})
    assert (problem["code"], problem["status"], problem["money"]) == (code, 409, "not-taken")
    listed = await box.get(f"/services/{service}")
    assert {one["term"]: one["refusal"] for one in listed["terms"]}[term] == code
    rival = {"drama": "HD Movies", "movies": "Drama First"}.get(service)
    for told in (problem["facts"], listed):
        assert (told.get("clashes_with") or {}).get("en") == rival
    assert await system.rows(tables.orders) == []


async def test_an_order_says_all_that_the_fee_page_shows(system: System) -> None:  # ONL-2
    box = await system.box("85312047")
    order = await box.order("movies", "quarterly")
    assert (order["list_fen"], order["reduction_fen"], order["amount_fen"]) == (7000, 350, 6650)
    assert set(order["reduction_reason"]) == {"zh", "en"}
    assert order["valid_from"] == "2026-07-02T00:00:00+08:00"
    assert order["valid_until"] == "2026-10-01T23:59:59+08:00"
    assert order["state"] == "quoted"
    assert order["expires_at"] == "2026-06-21T10:15:00+08:00"
    assert len(order["number"]) == 9
    assert [one["key"] for one in order["methods"]] == ["card", "wallet:demo"]
    assert await box.get(f"/orders/{order['order']}") == order


async def test_without_boss_nothing_can_be_looked_at_or_ordered(system: System) -> None:
    box = await system.box()
    system.network.cut.add("/boss")
    for path in ("/home", "/services", "/services/sports"):
        answer = await box.call("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (503, "boss-unreachable")
    body = {"service": "sports", "term": "monthly"}
    problem = await box.refused("/orders", body, key="the-same-key")
    assert (problem["code"], problem["retryable"]) == ("boss-unreachable", True)
    system.network.cut.clear()
    assert (await box.post("/orders", body, key="the-same-key"))["state"] == "quoted"


async def test_the_same_key_a_hundred_times_at_once_makes_one_order(system: System) -> None:  # rule 1
    box = await system.box()
    body = {"service": "sports", "term": "monthly"}
    answers = await asyncio.gather(*(box.post("/orders", body, key="the-same-key") for _ in range(100)))
    assert all(answer == answers[0] for answer in answers)
    assert len(await system.rows(tables.orders)) == 1
    problem = await box.refused("/orders", {**body, "term": "yearly"}, key="the-same-key")
    assert (problem["code"], problem["status"]) == ("idempotency-key-reused", 409)
    # Another box may use the same key for something else.
    other = await system.box("85312047")
    assert (await other.post("/orders", {**body, "term": "yearly"}, key="the-same-key"))["term"] == "yearly"


async def test_a_refusal_is_an_answer_too_and_stays_the_same(system: System) -> None:
    box = await system.box("85312047")
    body = {"service": "life", "term": "monthly"}
    first = await box.refused("/orders", body, key="the-same-key")
    system.network.cut.add("/boss")
    assert await box.refused("/orders", body, key="the-same-key") == first


WRONG_BODIES: list[tuple[str, dict[str, object], str]] = [
    ("/orders", {"service": "sports"}, "body.term"),
    ("/orders", {"service": "sports", "term": "weekly"}, "body.term"),
    ("/orders/x/payments", {"method": "cash"}, "body.method"),
    ("/payments/x/debit", {"tac": "0000000g", "mac2": "00000000"}, "body.tac"),
    (
        "/payments/x/not-debited",
        {"status_word": "9302", "offline_number": 65536, "balance_fen": 0},
        "body.offline_number",
    ),
]


async def test_a_body_or_a_key_that_is_not_as_described(system: System) -> None:
    box = await system.box()
    for path, body, field in WRONG_BODIES:
        problem = await box.refused(path, body)
        assert (problem["code"], problem["status"]) == ("bad-request", 422)
        assert problem["facts"]["field"] == field
    for key in ("short", "x" * 65, "with space", "!!!!!!!!"):
        problem = await box.refused("/orders", {"service": "sports", "term": "monthly"}, key=key)
        assert problem["facts"]["field"] == "header.Idempotency-Key"


async def test_an_inquiry_is_recorded_and_moves_no_money(system: System) -> None:  # ONL-10
    box = await system.box()
    data = Card(box).data()
    body = dict(data)
    known = await box.post("/inquiries", {"kind": "card", **body})
    assert set(known["issuer"]) == {"zh", "en"}
    assert (known["usable"], known["refusal"]) == (True, None)
    foreign = await box.post("/inquiries", {"kind": "card", **body, "issuer_id": "6225990000004410"})
    assert foreign == {"issuer": None, "usable": False, "refusal": "card-issuer-unknown"}
    expired = await box.post("/inquiries", {"kind": "card", **body, "expiry_date": "20200101"})
    assert (expired["usable"], expired["refusal"]) == (False, "card-expired")
    rows = await system.rows(tables.inquiries)
    assert [row.card_masked for row in rows] == ["6217 00** **** **** 2047"] * 3
    assert await system.rows(tables.payments) == []


@pytest.mark.parametrize("name", ["%00", "a b", "%E4%BD%93", "a%3Fb", "%23", "s" * 33, "%0A"])
async def test_what_can_be_no_service_is_not_found(system: System, name: str) -> None:
    box = await system.box()
    system.network.seen.clear()
    answer = await box.call("GET", f"/services/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert all("/services/" not in path for _, path in system.network.seen)
    for other in ("..", ".", "../home"):  # as another client might send it
        with pytest.raises(Problem, match="not-found"):
            await system.tsp.orders.service(box.number, other)


async def test_boss_is_asked_for_the_very_parts_of_a_path(system: System) -> None:
    await system.box()
    with pytest.raises(Problem, match="not-found"):
        await system.tsp.core.boss.get("85312048", "services", "no/such?#\0")
    assert system.network.seen[-1][1].startswith("/boss/v1/boxes/85312048/services/no")


async def test_home_names_what_was_paid_after_a_payment_that_waits_for_a_person(system: System) -> None:
    box = await system.box()
    refused = await box.pay("card", "sports", "monthly")
    await system.boss(lambda conn: conn.execute(delete(boss.orders)))
    await Card(box).pay(refused)
    await box.until(refused["payment"], lambda view: view["reason"] is not None)
    home = await box.get("/home")
    assert home["last_payment"]["amount_fen"] == refused["amount_fen"]
    assert spent(home) == [0] * 5 + [refused["amount_fen"]]
    system.clock.advance(60)
    later = await box.pay("card", "health", "per-use")
    await Card(box).pay(later)
    await box.state(later["payment"], "done")
    home = await box.get("/home")
    assert home["last_payment"]["amount_fen"] == later["amount_fen"]
    assert spent(home)[-1] == refused["amount_fen"] + later["amount_fen"]


async def test_home_counts_a_payment_once_while_the_word_of_its_opening_is_on_its_way(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card", "sports", "monthly")
    system.network.deaf = {"/boss/v1/boxes/85312048/orders/"}
    await Card(box).pay(payment)
    await system.tried("open-service")
    home = await box.get("/home")
    assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "paid"
    assert home["active_count"] == 1, "BOSS has opened it"
    assert spent(home)[-1] == payment["amount_fen"]
    assert home["last_payment"]["amount_fen"] == payment["amount_fen"]
    assert "counted" not in home


async def test_home_counts_money_until_it_is_returned(system: System) -> None:
    box = await system.box()
    payment = await box.pay("wallet:demo", "sports", "monthly")
    await system.boss(lambda conn: conn.execute(delete(boss.orders)))
    wallet = system.tsp.core.wallets["demo"]

    async def unreachable(*_: Any) -> None:
        raise ConnectionError("refund")

    refund, wallet.refund = wallet.refund, unreachable  # type: ignore[method-assign]
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "late")
    assert spent(await box.get("/home"))[-1] == payment["amount_fen"]
    await system.tried("refund")
    wallet.refund = refund  # type: ignore[method-assign]
    system.clock.advance(1)
    await box.until(payment["payment"], lambda view: view["money"] == "returned")
    home = await box.get("/home")
    assert (spent(home)[-1], home["last_payment"]) == (0, None)
