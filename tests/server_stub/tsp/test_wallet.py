"""The wallet payment, with the demo wallet's far side in the same process."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from server_stub.foundation.vault import signature
from server_stub.tsp import tables
from tests.server_stub.system import OWN, PUBLIC, Box, System

pytestmark = pytest.mark.anyio
QR_SECONDS = 180


async def shown(system: System, **order: str) -> tuple[Box, Any, str]:
    """A box, its payment, and the payload of its code."""
    box = await system.box()
    payment = await box.pay("wallet:demo", **order)
    return box, payment, payment["qr"]["payload"]


async def test_a_code_is_opened_paid_and_the_service_opened(system: System) -> None:  # ONL-14, VAS-4
    box, payment, payload = await shown(system)
    assert (payment["state"], payment["money"]) == ("waiting", "not-taken")
    assert payment["qr"]["seconds_left"] == QR_SECONDS
    assert payload.startswith(f"{PUBLIC}/w/")
    assert len(payload) <= 62
    await system.phone(payload)
    scanned = await box.state(payment["payment"], "scanned")
    assert scanned["qr"]["payload"] == payload
    assert scanned["version"] > payment["version"]
    await system.phone(payload, "pay")
    done = await box.state(payment["payment"], "done")
    assert (done["money"], done["qr"], done["card"]) == ("taken", None, None)
    assert done["valid_until"] == "2026-09-21T23:59:59+08:00"


async def test_paying_twice_is_harmless(system: System) -> None:
    box, payment, payload = await shown(system)
    first = await system.phone(payload, "pay")
    await box.state(payment["payment"], "done")
    second = await system.phone(payload, "pay")
    assert first.text == second.text
    assert 'data-view="paid"' in second.text
    assert [row.topic for row in await system.rows(tables.outbox)] == ["open-service"]


async def test_declined_on_the_phone(system: System) -> None:
    box, payment, payload = await shown(system)
    await system.phone(payload, "decline")
    failed = await box.state(payment["payment"], "failed")
    assert (failed["money"], failed["reason"]) == ("not-taken", "declined")
    assert (await box.get(f"/orders/{payment['order']}"))["state"] == "closed"
    assert 'data-view="declined"' in (await system.phone(payload, "pay")).text


async def test_not_paid_in_time(system: System) -> None:  # VAS-4
    box, payment, payload = await shown(system)
    system.clock.advance(QR_SECONDS - 1)
    await system.tsp.payments.sweep()
    assert (await box.get(f"/payments/{payment['payment']}"))["qr"]["seconds_left"] == 1
    system.clock.advance(1)
    expired = await box.state(payment["payment"], "expired")
    assert (expired["money"], expired["reason"], expired["qr"]) == ("not-taken", "expired", None)
    assert 'data-view="expired"' in (await system.phone(payload, "pay")).text
    problem = await box.refused(f"/orders/{payment['order']}/payments", {"method": "card"})
    assert problem["code"] == "order-closed"


async def test_paid_at_the_last_second_though_no_notice_came(system: System) -> None:
    box, payment, payload = await shown(system)
    system.network.cut.add("/notices")
    system.clock.advance(QR_SECONDS - 1)
    await system.phone(payload, "pay")
    assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "waiting"
    system.clock.advance(1)
    done = await box.state(payment["payment"], "done")
    assert done["money"] == "taken"


async def test_paid_between_the_question_and_the_closing(system: System) -> None:
    box, payment, payload = await shown(system)
    system.network.cut.add("/notices")
    wallet = system.tsp.core.wallets["demo"]
    query = wallet.query

    async def then_pay(reference: str) -> Any:
        status = await query(reference)
        await system.phone(payload, "pay")
        return status

    wallet.query = then_pay  # type: ignore[method-assign]
    system.clock.advance(QR_SECONDS)
    assert (await box.state(payment["payment"], "done"))["money"] == "taken"


async def test_money_that_comes_after_the_end_goes_back(system: System) -> None:  # rule 4
    box, payment, payload = await shown(system)
    assert 'data-view="settling"' in (await system.phone(payload, "pay-late")).text
    system.clock.advance(QR_SECONDS)
    await box.state(payment["payment"], "expired")
    system.clock.advance(5)
    late = await box.until(payment["payment"], lambda view: view["money"] == "returned")
    assert (late["state"], late["reason"], late["valid_until"]) == ("late", "expired", None)
    assert 'data-view="late-refunded"' in (await system.phone(payload)).text
    assert (await box.get("/services/sports"))["status"] == "none"


async def test_late_money_is_taken_until_the_wallet_has_confirmed_the_refund(system: System) -> None:
    box, payment, payload = await shown(system)
    await system.phone(payload, "pay-late")
    system.clock.advance(QR_SECONDS)
    await box.state(payment["payment"], "expired")

    async def unreachable(*_: Any) -> None:
        raise ConnectionError("refund")

    wallet = system.tsp.core.wallets["demo"]
    refund, wallet.refund = wallet.refund, unreachable  # type: ignore[method-assign]
    system.clock.advance(5)
    assert (await box.state(payment["payment"], "late"))["money"] == "taken"
    wallet.refund = refund  # type: ignore[method-assign]
    await system.tried("refund")
    system.clock.advance(1)
    await box.until(payment["payment"], lambda view: view["money"] == "returned")


async def test_late_money_is_found_even_if_its_notice_is_lost(system: System) -> None:
    box, payment, payload = await shown(system)
    await system.phone(payload, "pay-late")
    system.clock.advance(QR_SECONDS)
    await box.state(payment["payment"], "expired")
    system.network.cut.add("/notices")
    system.clock.advance(5)
    while 'data-view="too-late"' not in (await system.phone(payload)).text:
        pass
    system.clock.advance(55)
    await box.until(payment["payment"], lambda view: view["money"] == "returned")


async def test_cancelled_on_the_television(system: System) -> None:
    box, payment, payload = await shown(system)
    cancelled = await box.post(f"/payments/{payment['payment']}/cancel")
    assert (cancelled["state"], cancelled["money"], cancelled["reason"]) == (
        "cancelled",
        "not-taken",
        "cancelled",
    )
    assert 'data-view="cancelled"' in (await system.phone(payload, "pay")).text
    problem = await box.refused(f"/payments/{payment['payment']}/cancel")
    assert (problem["code"], problem["money"]) == ("payment-not-cancellable", "not-taken")


async def test_cancelling_what_has_just_been_paid_answers_paid(system: System) -> None:
    box, payment, payload = await shown(system)
    system.network.cut.add("/notices")
    system.network.cut.add("/boss")
    await system.phone(payload, "pay")
    paid = await box.post(f"/payments/{payment['payment']}/cancel")
    assert (paid["state"], paid["money"]) == ("paid", "taken")


async def test_cancelling_while_the_wallet_is_silent_changes_nothing(system: System) -> None:
    box, payment, _ = await shown(system)
    system.network.cut.add("/sandbox")
    problem = await box.refused(f"/payments/{payment['payment']}/cancel")
    assert (problem["code"], problem["money"]) == ("wallet-unreachable", "unknown")
    assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "waiting"


async def test_a_wallet_silent_at_the_end_makes_the_payment_unknown_until_it_speaks(system: System) -> None:
    box, payment, _ = await shown(system)
    await system.outside.put(f"{OWN}/sandbox/faults", json={"gateway_silent": True})
    system.clock.advance(QR_SECONDS)
    unknown = await box.state(payment["payment"], "unknown")
    assert (unknown["money"], unknown["qr"]) == ("unknown", None)
    system.clock.advance(1)
    await system.tried("ask-wallet")
    await system.outside.put(f"{OWN}/sandbox/faults", json={"gateway_silent": False})
    system.clock.advance(300)
    await box.state(payment["payment"], "expired")


async def test_a_wallet_silent_at_the_end_had_been_paid(system: System) -> None:
    box, payment, payload = await shown(system)
    system.network.cut |= {"/notices", "/sandbox"}
    await system.phone(payload, "pay")
    system.clock.advance(QR_SECONDS)
    await box.state(payment["payment"], "unknown")
    system.network.cut.clear()
    system.clock.advance(300)
    assert (await box.state(payment["payment"], "done"))["money"] == "taken"


async def test_no_wallet_no_code_and_the_order_can_be_paid_in_another_way(system: System) -> None:
    box = await system.box()
    order = await box.order()
    path = f"/orders/{order['order']}/payments"
    system.network.cut.add("/sandbox")
    problem = await box.refused(path, {"method": "wallet:demo"}, key="same-key-again")
    assert (problem["code"], problem["money"], problem["retryable"]) == (
        "wallet-unreachable",
        "not-taken",
        True,
    )
    assert (await box.get(f"/orders/{order['order']}"))["state"] == "quoted"
    (record,) = (await box.get("/records"))["records"]
    assert (record["state"], record["reason"]) == ("failed", "wallet-unreachable")
    system.network.cut.clear()
    again = await box.post(path, {"method": "wallet:demo"}, key="same-key-again")
    assert again["state"] == "waiting"


async def test_the_answer_that_made_the_code_was_lost_and_the_request_comes_again(system: System) -> None:
    box = await system.box()
    order = await box.order()
    path = f"/orders/{order['order']}/payments"
    wallet = system.tsp.core.wallets["demo"]
    prepare = wallet.prepare

    async def then_stop(purchase: Any) -> str:
        await prepare(purchase)
        raise RuntimeError("stopped")

    wallet.prepare = then_stop  # type: ignore[method-assign]
    first = await box.call("POST", path, {"method": "wallet:demo"}, key="same-key-again")
    assert first.json()["code"] == "internal"
    wallet.prepare = prepare  # type: ignore[method-assign]
    again = await box.post(path, {"method": "wallet:demo"}, key="same-key-again")
    assert again["state"] == "waiting"
    assert len(await system.rows(tables.payments)) == 1


async def test_boss_refuses_after_the_wallet_was_paid_and_the_money_goes_back(system: System) -> None:
    box = await system.box()
    # What could be had side by side when it was ordered cannot any more.
    await system.grouped("drama", None)
    payment = await box.pay("wallet:demo", "movies", "monthly")
    other = await box.pay("wallet:demo", "drama", "monthly")
    await system.phone(payment["qr"]["payload"], "pay")
    await box.state(payment["payment"], "done")
    await system.grouped("drama", "premiere")
    await system.phone(other["qr"]["payload"], "pay")
    late = await box.until(other["payment"], lambda view: view["money"] == "returned")
    assert (late["state"], late["reason"]) == ("late", "service-not-opened")
    assert 'data-view="service-not-opened"' in (await system.phone(other["qr"]["payload"])).text
    assert [(row.kind, json.loads(row.facts)) for row in await system.rows(tables.cases)] == [
        ("service-not-opened", {"code": "order-clash"})
    ]


async def notice(system: System, payment: str, secret: str | None = None, at: str | None = None) -> int:
    """Sends a notice as the wallet would; returns the answer's status."""
    body = json.dumps({"reference": payment, "event": "paid"}).encode()
    key = secret if secret is not None else system.roles._key.reveal()
    timestamp = at or system.clock.now().isoformat()
    headers = {
        "Wallet-Timestamp": timestamp,
        "Wallet-Nonce": "nonce",
        "Wallet-Signature": signature(key.encode(), timestamp, "nonce", body),
    }
    url = f"{OWN}/notices/wallets/demo"
    return (await system.outside.post(url, content=body, headers=headers)).status_code


async def test_a_notice_is_checked_and_what_it_says_is_not_believed(system: System) -> None:
    box, payment, _ = await shown(system)
    identity = payment["payment"]
    assert await notice(system, identity, secret="another secret") == 401
    assert await notice(system, identity, at="2026-06-21T09:54:59+08:00") == 401
    assert await notice(system, identity, at="2026-06-21T10:05:01+08:00") == 401
    assert await notice(system, identity, at="2026-06-21T10:00:00") == 401
    assert await notice(system, identity, at="yesterday") == 401
    assert await notice(system, "no-such-payment") == 404
    assert await notice(system, identity) == 204  # "paid", but the wallet itself says it is not
    assert (await box.get(f"/payments/{identity}"))["state"] == "waiting"
    card = await (await system.box("85312047")).pay("card")
    assert await notice(system, card["payment"]) == 404
    unknown = await system.outside.post(f"{OWN}/notices/wallets/none", content=b"{}")
    assert unknown.status_code == 404


async def test_the_same_notice_many_times_has_one_effect(system: System) -> None:
    box, payment, payload = await shown(system)
    await system.phone(payload, "pay")
    await box.state(payment["payment"], "done")
    for _ in range(5):
        assert await notice(system, payment["payment"]) == 204
    assert [row.topic for row in await system.rows(tables.outbox)] == ["open-service"]


def told_otherwise(system: System, **other: Any) -> None:
    """From now on the wallet answers the truth but for these; once a payment is open, not before."""
    wallet = system.tsp.core.wallets["demo"]
    query, close = wallet.query, wallet.close

    async def asked(reference: str) -> Any:
        return replace(await query(reference), **other)

    async def closed(reference: str, why: str) -> Any:
        return replace(await close(reference, why), **other)

    wallet.query, wallet.close = asked, closed  # type: ignore[method-assign]


async def asks(system: System) -> int:
    """How often the outbox has asked the wallet in vain."""
    return sum(row.attempts for row in await system.rows(tables.outbox) if row.topic == "ask-wallet")


async def asked_again(system: System, times: int) -> None:
    while await asks(system) < times:
        pass


async def test_a_payment_of_another_amount_is_one_case_unknown_and_asked_about_with_pauses(
    system: System,
) -> None:
    box, payment, _ = await shown(system)
    told_otherwise(system, state="paid", amount_fen=payment["amount_fen"] - 1)
    assert await notice(system, payment["payment"]) == 204
    path = f"/payments/{payment['payment']}"
    unknown = await box.get(path)
    assert (unknown["state"], unknown["money"], unknown["qr"]) == ("unknown", "unknown", None)
    refused = await box.refused(f"{path}/cancel")
    assert (refused["code"], refused["money"]) == ("payment-not-cancellable", "unknown")
    for times, pause in enumerate((5, 1, 2, 5, 10, 30), start=1):
        await system.tsp.core.outbox.deliver_due()
        assert await asks(system) == times - 1
        system.clock.advance(pause)
        await asked_again(system, times)
    system.clock.advance(QR_SECONDS)
    assert await notice(system, payment["payment"]) == 204
    assert [(row.kind, json.loads(row.facts)) for row in await system.rows(tables.cases)] == [
        ("amount-differs", {"paid_fen": payment["amount_fen"] - 1})
    ]
    assert (await box.get(path))["version"] == unknown["version"]
    # The wallet corrects itself: all of it is there.
    told_otherwise(system, state="paid", amount_fen=payment["amount_fen"])
    assert await notice(system, payment["payment"]) == 204
    assert (await box.state(payment["payment"], "done"))["money"] == "taken"


async def test_another_amount_found_at_the_end_of_the_time_is_found_once(system: System) -> None:
    box, payment, _ = await shown(system)
    told_otherwise(system, state="paid", amount_fen=1)
    system.clock.advance(QR_SECONDS)
    await box.state(payment["payment"], "unknown")
    assert await system.tsp.payments.sweep() == "0 swept"  # nothing more is due: no sweep after sweep
    assert len(await system.rows(tables.cases)) == 1


async def test_money_of_a_wallet_that_then_denies_it_stays_unknown(system: System) -> None:
    box, payment, _ = await shown(system)
    told_otherwise(system, state="paid", amount_fen=1)
    assert await notice(system, payment["payment"]) == 204
    told_otherwise(system, state="declined")
    assert await notice(system, payment["payment"]) == 204
    assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "unknown"


async def test_a_wallet_that_answers_nothing_that_ends_a_payment_is_asked_again(system: System) -> None:
    box, payment, _ = await shown(system)
    told_otherwise(system, state="refunded")
    system.clock.advance(QR_SECONDS)
    assert (await box.state(payment["payment"], "unknown"))["money"] == "unknown"
    assert await system.tsp.payments.sweep() == "0 swept"
    system.clock.advance(1)
    await asked_again(system, 1)
    told_otherwise(system, state="closed")
    system.clock.advance(1)
    await box.state(payment["payment"], "expired")


async def test_late_money_of_another_amount_goes_back_as_it_came(system: System) -> None:
    box, payment, _ = await shown(system)
    system.clock.advance(QR_SECONDS)
    await box.state(payment["payment"], "expired")
    came_fen = payment["amount_fen"] + 500
    told_otherwise(system, state="paid", amount_fen=came_fen)
    returned: list[int] = []

    async def refund(reference: str, refund: str, amount_fen: int, why: str) -> None:
        returned.append(amount_fen)

    system.tsp.core.wallets["demo"].refund = refund  # type: ignore[method-assign]
    assert await notice(system, payment["payment"]) == 204
    late = await box.until(payment["payment"], lambda view: view["money"] == "returned")
    assert late["state"] == "late"
    assert returned == [came_fen]
