"""Two payments for one service: the older one is settled before the newer one may take money."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from server_stub.boss import tables as boss
from server_stub.tsp import tables
from tests.server_stub.system import OWN, Box, Card, System, body_of

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("method", ["card", "wallet:demo"])


async def with_code(system: System) -> tuple[Box, Any, str]:
    """A box that was switched off while it showed a code: its payment, and the payload."""
    box = await system.box()
    payment = await box.pay("wallet:demo")
    return box, payment, payment["qr"]["payload"]


async def refused_again(box: Box, method: str, term: str = "quarterly") -> Any:
    """The same service is ordered again: the problem of its payment, which is refused."""
    order = await box.order("sports", term)
    problem = await box.refused(f"/orders/{order['order']}/payments", {"method": method})
    assert (await box.get(f"/orders/{order['order']}"))["state"] == "quoted"
    return problem


async def state_of(box: Box, payment: Any) -> tuple[str, str]:
    now = await box.get(f"/payments/{payment['payment']}")
    return now["state"], now["money"]


async def subscriptions(box: Box) -> int:
    return len((await box.get("/services/sports"))["subscriptions"])


async def second_box(system: System) -> tuple[Box, Box]:
    """Two boxes of one subscriber."""
    first, second = await system.box("85312048"), await system.box("85312047")

    def same(conn: Any) -> None:
        whose = conn.execute(
            select(boss.boxes.c.subscriber_id).where(boss.boxes.c.box_number == first.number)
        ).scalar_one()
        for table in (boss.boxes, boss.box_keys):
            moved = update(table).where(table.c.box_number == second.number)
            conn.execute(moved.values(subscriber_id=whose))

    await system.boss(same)
    return first, second


@BOTH
@pytest.mark.parametrize("term", ["quarterly", "monthly"])
async def test_a_code_nobody_paid_is_closed_before_the_same_service_is_paid_again(
    system: System, method: str, term: str
) -> None:
    box, first, payload = await with_code(system)
    await system.phone(payload)
    second = await box.pay(method, "sports", term)
    assert await state_of(box, first) == ("cancelled", "not-taken")
    assert 'data-view="cancelled"' in (await system.phone(payload, "pay")).text
    if method == "card":
        await Card(box).pay(second)
    else:
        await system.phone(second["qr"]["payload"], "pay")
    await box.state(second["payment"], "done")
    assert await state_of(box, first) == ("cancelled", "not-taken")
    assert await subscriptions(box) == 1


@BOTH
async def test_a_code_that_turns_out_paid_wins(system: System, method: str) -> None:
    box, first, payload = await with_code(system)
    system.network.cut.add("/notices")
    await system.phone(payload, "pay")
    problem = await refused_again(box, method)
    assert (problem["code"], problem["status"], problem["money"]) == ("already-paid", 409, "taken")
    assert problem["facts"] == {"payment": first["payment"]}
    await box.state(first["payment"], "done")
    assert await subscriptions(box) == 1
    # It is known now, and whoever still wants to go on extends the service.
    assert (await box.pay(method))["state"] in ("preparing", "waiting")


async def test_the_phone_pays_in_the_moment_of_the_closing(system: System) -> None:
    box, first, payload = await with_code(system)
    system.network.cut.add("/notices")
    wallet = system.tsp.core.wallets["demo"]
    query = wallet.query

    async def then_pay(reference: str) -> Any:
        status = await query(reference)
        assert 'data-view="paid"' in (await system.phone(payload, "pay")).text
        return status

    wallet.query = then_pay  # type: ignore[method-assign]
    assert (await refused_again(box, "card"))["code"] == "already-paid"
    assert (await box.state(first["payment"], "done"))["money"] == "taken"


async def test_money_that_comes_after_the_closing_goes_back(system: System) -> None:
    box, first, payload = await with_code(system)
    await system.phone(payload, "pay-late")
    second = await box.pay("card")
    assert await state_of(box, first) == ("cancelled", "not-taken")
    await Card(box).pay(second)
    system.clock.advance(5)
    late = await box.until(first["payment"], lambda view: view["money"] == "returned")
    assert (late["state"], late["valid_until"]) == ("late", None)
    assert await subscriptions(box) == 1


@BOTH
async def test_a_wallet_that_is_silent_is_not_paid_around(system: System, method: str) -> None:
    box, first, payload = await with_code(system)
    await system.outside.put(f"{OWN}/sandbox/faults", json={"gateway_silent": True})
    await system.phone(payload, "pay")
    problem = await refused_again(box, method)
    assert (problem["code"], problem["money"]) == ("payment-in-progress", "unknown")
    assert problem["facts"] == {"payment": first["payment"]}
    system.clock.advance(180)
    await box.state(first["payment"], "unknown")
    assert (await refused_again(box, method))["code"] == "payment-in-progress"
    await system.outside.put(f"{OWN}/sandbox/faults", json={"gateway_silent": False})
    assert (await refused_again(box, method))["code"] == "already-paid"
    await box.state(first["payment"], "done")
    assert await subscriptions(box) == 1


async def test_a_silent_wallet_that_speaks_again_and_was_not_paid(system: System) -> None:
    box, first, _ = await with_code(system)
    system.network.cut.add("/sandbox")
    system.clock.advance(180)
    await box.state(first["payment"], "unknown")
    system.network.cut.clear()
    assert (await box.pay("card"))["state"] == "preparing"
    assert await state_of(box, first) == ("expired", "not-taken")


async def test_money_that_is_in_while_boss_is_silent_wins(system: System) -> None:
    box, first, payload = await with_code(system)
    order = await box.order()
    asked = system.tsp.core.boss.post

    async def silent(*_: Any) -> None:
        raise ConnectionError("opening")

    system.tsp.core.boss.post = silent  # type: ignore[method-assign, assignment]
    await system.phone(payload, "pay")
    await box.state(first["payment"], "paid")
    problem = await box.refused(f"/orders/{order['order']}/payments", {"method": "card"})
    assert (problem["code"], problem["money"]) == ("already-paid", "taken")
    system.tsp.core.boss.post = asked  # type: ignore[method-assign]
    system.clock.advance(300)
    await box.state(first["payment"], "done")


async def test_a_code_is_not_made_while_a_card_may_have_debited(system: System) -> None:
    box = await system.box()
    first, card = await box.pay("card"), Card(box)
    proof = card.debit(await card.authorised(first))
    problem = await refused_again(box, "wallet:demo")
    assert (problem["code"], problem["money"]) == ("payment-in-progress", "unknown")
    assert problem["facts"] == {"payment": first["payment"]}
    await box.post(f"/payments/{first['payment']}/debit", body_of(proof))
    await box.state(first["payment"], "done")
    assert (await box.pay("wallet:demo"))["state"] == "waiting"


async def test_another_card_does_not_pay_while_the_first_may_have_debited(system: System) -> None:
    box = await system.box()
    first, card = await box.pay("card"), Card(box)
    proof = card.debit(await card.authorised(first))
    # The payment itself begins: the first card may come back in it and explain what it did.
    second = await box.pay("card")
    path = f"/payments/{second['payment']}"
    problem = await box.refused(f"{path}/card", Card(box).data())
    assert (problem["code"], problem["money"]) == ("payment-in-progress", "unknown")
    assert problem["facts"] == {"payment": first["payment"]}
    assert await state_of(box, second) == ("preparing", "not-taken")
    await box.post(f"/payments/{first['payment']}/debit", body_of(proof))
    await box.state(first["payment"], "done")
    await box.post(f"{path}/card", Card(box).data())


@BOTH
async def test_a_card_payment_left_before_any_money_makes_room(system: System, method: str) -> None:
    box = await system.box()
    first, card = await box.pay("card"), Card(box)
    await box.post(f"/payments/{first['payment']}/card", card.data())
    assert (await box.pay(method))["state"] in ("preparing", "waiting")
    assert await state_of(box, first) == ("cancelled", "not-taken")
    assert await system.rows(tables.leases) == []
    problem = await box.refused(f"/payments/{first['payment']}/card", card.data())
    assert problem["code"] == "wrong-state"


async def test_another_service_is_paid_beside_it(system: System) -> None:
    box, first, _ = await with_code(system)
    await box.pay("wallet:demo", "kids", "monthly")
    assert await state_of(box, first) == ("waiting", "not-taken")


@BOTH
async def test_a_service_that_excludes_one_that_may_be_paid_is_not_paid(system: System, method: str) -> None:
    box = await system.box()
    await Card(box).authorised(await box.pay("card", "movies", "monthly"))
    order = await box.order("drama", "monthly")
    problem = await box.refused(f"/orders/{order['order']}/payments", {"method": method})
    assert (problem["code"], problem["money"]) == ("order-clash", "not-taken")
    assert problem["facts"]["clashes_with"]["en"] == "HD Movies"


async def test_the_code_of_a_service_that_excludes_another_is_closed_first(system: System) -> None:
    box = await system.box()
    left = await box.pay("wallet:demo", "movies", "monthly")
    begun = await box.pay("card", "drama", "monthly")
    assert begun["state"] == "preparing"
    assert await state_of(box, left) == ("cancelled", "not-taken")


async def test_what_boss_has_refused_to_open_stands_against_nothing(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    await system.boss(lambda conn: conn.execute(delete(boss.orders)))
    await Card(box).pay(payment)
    await box.until(payment["payment"], lambda view: view["reason"] is not None)
    assert (await box.pay("wallet:demo"))["state"] == "waiting"


async def test_another_box_of_the_same_subscriber_closes_the_code_too(system: System) -> None:
    first, second = await second_box(system)
    payment = await first.pay("wallet:demo")
    assert (await second.pay("wallet:demo"))["state"] == "waiting"
    assert await state_of(first, payment) == ("cancelled", "not-taken")
    assert 'data-view="paying-elsewhere"' in (await system.phone(payment["qr"]["payload"], "pay")).text


@BOTH
async def test_another_box_of_the_same_subscriber_hears_no_more_than_it_must(
    system: System, method: str
) -> None:
    first, second = await second_box(system)
    system.network.cut.add("/notices")
    payment = await first.pay("wallet:demo")
    await system.phone(payment["qr"]["payload"], "pay")
    problem = await refused_again(second, method)
    assert (problem["code"], problem["money"], problem["facts"]) == ("already-paid", "taken", {})
    await first.state(payment["payment"], "done")
    other, card = await first.pay("card"), Card(first)
    await card.authorised(other)
    problem = await refused_again(second, method)
    assert (problem["code"], problem["money"], problem["facts"]) == ("payment-in-progress", "unknown", {})


async def test_two_boxes_that_begin_at_once_have_one_live_payment(system: System) -> None:
    boxes = await second_box(system)
    orders = [await box.order() for box in boxes]
    begun = await asyncio.gather(
        *(
            box.post(f"/orders/{order['order']}/payments", {"method": "wallet:demo"})
            for box, order in zip(boxes, orders, strict=True)
        ),
        return_exceptions=True,
    )
    assert any(not isinstance(one, BaseException) for one in begun)
    assert [row.live for row in await system.rows(tables.payments)].count(True) == 1


async def test_strangers_do_not_close_each_other_s_codes(system: System) -> None:
    first, second = await system.box("85312048"), await system.box("85312047")
    payment = await first.pay("wallet:demo")
    await second.pay("wallet:demo")
    assert await state_of(first, payment) == ("waiting", "not-taken")


async def test_a_code_that_was_wanted_when_the_server_stopped_is_closed_too(system: System) -> None:
    box = await system.box()
    order = await box.order()
    wallet = system.tsp.core.wallets["demo"]
    prepare = wallet.prepare

    async def stop(_: Any) -> str:
        raise RuntimeError("stopped")

    wallet.prepare = stop  # type: ignore[method-assign]
    await box.call("POST", f"/orders/{order['order']}/payments", {"method": "wallet:demo"})
    wallet.prepare = prepare  # type: ignore[method-assign]
    assert (await box.pay("card"))["state"] == "preparing"
    assert [row.state for row in await system.rows(tables.payments)] == ["cancelled", "created"]


@BOTH
async def test_a_payment_closed_by_another_box_says_why(system: System, method: str) -> None:
    first, second = await second_box(system)
    payment = await first.pay(method)
    await second.pay("card")
    closed = await first.get(f"/payments/{payment['payment']}")
    assert (closed["state"], closed["reason"]) == ("cancelled", "paying-elsewhere")
    again = await second.pay("card", "kids", "monthly")
    await second.pay("card", "kids", "monthly")
    assert (await second.get(f"/payments/{again['payment']}"))["reason"] == "cancelled"


# One card at two boxes


async def test_a_card_that_has_yet_to_tell_another_box_does_not_pay(system: System) -> None:
    first, second = await second_box(system)
    card = Card(first)
    payment = await first.pay("card", "kids", "monthly")
    proof = card.debit(await card.authorised(payment))
    there = await second.pay("card")
    path = f"/payments/{there['payment']}/card"
    problem = await second.refused(path, card.data())
    assert (problem["status"], problem["code"], problem["money"]) == (409, "card-unsettled", "not-taken")
    asked = await second.post("/inquiries", {"kind": "card", **card.data()})
    assert (asked["usable"], asked["refusal"]) == (False, "card-unsettled")
    # Where it was, it explains itself; then it pays anywhere.
    assert (await first.post("/inquiries", {"kind": "card", **card.data()}))["usable"]
    await first.post(f"/payments/{payment['payment']}/debit", body_of(proof))
    await second.post(path, card.data())


async def test_a_card_that_has_not_debited_elsewhere_pays(system: System) -> None:
    """It went between MAC1 and its debit, which it will never make: its balance is what it was."""
    first, second = await second_box(system)
    card = Card(first)
    payment = await first.pay("card", "kids", "monthly")
    await card.authorised(payment)
    await first.get(f"/payments/{payment['payment']}")
    card.box = second
    there = await second.pay("card")
    assert (await second.post("/inquiries", {"kind": "card", **card.data()}))["usable"]
    assert (await card.pay(there))["money"] == "taken"
    # The other payment comes to its own end.
    assert (await first.get(f"/payments/{payment['payment']}"))["state"] == "unknown"


async def test_nobody_locks_a_card_out_who_knows_its_number(system: System) -> None:
    first, second = await second_box(system)
    card = Card(second)
    payment = await first.pay("card", "kids", "monthly")
    path = f"/payments/{payment['payment']}"
    typed = {"balance_fen": 999_999, "offline_number": 1, "overdraft_limit_fen": 0}
    typed |= {"key_version": 1, "algorithm_id": 0, "random": "00000000"}
    await first.post(f"{path}/card", card.data(balance_fen=999_999))
    await first.post(f"{path}/init", typed)
    assert (await second.post("/inquiries", {"kind": "card", **card.data()}))["usable"]
    assert (await card.pay(await second.pay("card")))["money"] == "taken"


async def test_a_card_that_has_contradicted_itself_is_a_person_s_case_and_not_asked_again(
    system: System,
) -> None:
    first, second = await second_box(system)
    card = Card(first)
    payment = await first.pay("card", "kids", "monthly")
    await card.authorised(payment)
    evidence = card.evidence("9406")
    evidence["offline_number"] += 1
    await first.refused(f"/payments/{payment['payment']}/not-debited", evidence)
    shown = await first.get(f"/payments/{payment['payment']}")
    assert (shown["state"], shown["reason"]) == ("unknown", "evidence-contradicts")
    order = await first.order("kids", "quarterly")
    problem = await first.refused(f"/orders/{order['order']}/payments", {"method": "card"})
    assert problem["facts"] == {"payment": payment["payment"]}
    there = await second.pay("card")
    await second.post(f"/payments/{there['payment']}/card", card.data())
