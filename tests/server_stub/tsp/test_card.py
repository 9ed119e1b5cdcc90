"""The purse payment, with a simulated card and simulated PSAMs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from cardreader.secret import CardNumber
from server_stub.tsp import card as tsp_card
from server_stub.tsp import tables
from tests.server_stub.system import Card, System, works

pytestmark = pytest.mark.anyio


async def test_a_whole_purchase_ends_with_the_service_open(system: System) -> None:  # ONL-7, ONL-3
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    assert (payment["state"], payment["money"], payment["version"]) == ("preparing", "not-taken", 1)

    answered = await card.pay(payment)
    assert (answered["state"], answered["money"]) == ("paid", "taken")
    done = await box.state(payment["payment"], "done")

    assert done["money"] == "taken"
    assert done["valid_until"] == "2026-09-21T23:59:59+08:00"
    assert done["card"] == {
        "kind": "purse",
        "number": "6217 00** **** **** 2047",
        "balance_before_fen": 23640,
        "balance_after_fen": 19440,
    }
    assert done["service"]["status"] == "active"
    assert card.purse.balance_fen() == 19440
    assert (await box.get(f"/orders/{payment['order']}"))["state"] == "completed"
    assert (await box.get("/services/sports"))["valid_until"] == done["valid_until"]
    assert [one["payment"] for one in (await box.get("/records"))["records"]] == [payment["payment"]]
    assert await system.rows(tables.leases) == []


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"application_type": "01"}, "card-no-purse"),
        ({"issuer_id": "6225990000004410"}, "card-issuer-unknown"),
        ({"expiry_date": "20260620"}, "card-expired"),
        ({"start_date": "20260622"}, "card-not-yet-valid"),
        ({"balance_fen": 4199}, "balance-too-low"),
        ({"issuer_id": "6228480000003117"}, "psam-none-for-issuer"),
    ],
)
async def test_a_card_that_cannot_pay_is_refused_and_another_may_be_tried(
    system: System, other: dict[str, Any], code: str
) -> None:  # ONL-5, ONL-6
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    path = f"/payments/{payment['payment']}"
    problem = await box.refused(f"{path}/card", card.data(**other))
    assert (problem["code"], problem["money"]) == (code, "not-taken")
    if code == "balance-too-low":
        assert problem["facts"] == {"balance_fen": 4199, "amount_fen": 4200}
    assert (await box.get(path))["state"] == "preparing"
    assert (await card.pay(payment))["money"] == "taken"


async def test_dates_of_validity_include_the_first_and_the_last_day(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    data = Card(box).data(start_date="20260621", expiry_date="20260621")
    assert "terminal_number" in await box.post(f"/payments/{payment['payment']}/card", data)


@pytest.mark.parametrize("field", ["start_date", "expiry_date"])
@pytest.mark.parametrize("text", ["99999999", "20269999", "20260229", "00000101", "2026-1-1"])
async def test_a_date_that_is_no_day_is_refused(system: System, field: str, text: str) -> None:
    box = await system.box()
    payment = await box.pay("card")
    problem = await box.refused(f"/payments/{payment['payment']}/card", Card(box).data(**{field: text}))
    assert (problem["status"], problem["code"]) == (422, "bad-request")
    assert problem["facts"]["field"] == f"body.{field}"


async def test_a_listed_card_is_refused(system: System) -> None:
    box = await system.box()
    card = Card(box)
    serial = card.purse.information.application_serial
    row = insert(tables.listed_cards).values(
        card_fingerprint=tsp_card.fingerprint(system.tsp.core, CardNumber(serial)),
        listed_at=system.clock.now(),
    )
    await system.tsp.core.database.write(lambda conn: conn.execute(row))
    payment = await box.pay("card")
    assert (await box.refused(f"/payments/{payment['payment']}/card", card.data()))["code"] == "card-listed"


async def test_no_card_number_stands_in_the_database(system: System, tmp_path: Path) -> None:  # rule 11
    box = await system.box()
    card = Card(box)
    await card.pay(await box.pay("card"))
    serial = card.purse.information.application_serial
    for path in (*tmp_path.glob("*.db*"), *tmp_path.glob("psams/*")):
        content = path.read_bytes()
        assert serial not in content, path
        assert serial.hex().encode() not in content.lower(), path


async def test_unknown_is_committed_before_mac1_leaves(system: System) -> None:
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    await card.authorised(payment)
    view = await box.get(f"/payments/{payment['payment']}")
    assert (view["state"], view["money"]) == ("unknown", "unknown")
    refused = await box.refused(f"/payments/{payment['payment']}/cancel")
    assert (refused["code"], refused["money"]) == ("payment-not-cancellable", "unknown")
    system.clock.advance(86_400)
    await system.tsp.payments.sweep()
    assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "unknown"


async def test_mac1_that_the_card_refuses_ends_the_payment_without_money(system: System) -> None:
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    authorised = await card.authorised(payment)
    assert not works(lambda: card.debit({**authorised, "mac1": "00000000"}))
    failed = await box.post(f"/payments/{payment['payment']}/not-debited", card.evidence("9302"))
    assert (failed["state"], failed["money"], failed["reason"]) == ("failed", "not-taken", "mac1-refused")
    assert (await box.get(f"/orders/{payment['order']}"))["state"] == "closed"
    assert await system.rows(tables.leases) == []


@pytest.mark.parametrize(("status_word", "reason"), [("9406", "card-removed"), ("6985", "card-refused")])
async def test_a_card_that_shows_it_did_not_debit_ends_the_payment(
    system: System, status_word: str, reason: str
) -> None:
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    await card.authorised(payment)
    path = f"/payments/{payment['payment']}/not-debited"
    failed = await box.post(path, card.evidence(status_word))
    assert (failed["state"], failed["reason"]) == ("failed", reason)
    again = await box.post(path, card.evidence(status_word))
    assert again == failed


@pytest.mark.parametrize("moved", ["offline_number", "balance_fen", "status_word"])
async def test_evidence_that_contradicts_itself_leaves_the_payment_unknown(
    system: System, moved: str
) -> None:
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    await card.authorised(payment)
    evidence = card.evidence("9406")
    evidence[moved] = "9000" if moved == "status_word" else evidence[moved] + 1
    problem = await box.refused(f"/payments/{payment['payment']}/not-debited", evidence)
    assert (problem["code"], problem["money"]) == ("evidence-contradicts", "unknown")
    assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "unknown"
    assert [row.kind for row in await system.rows(tables.cases)] == ["evidence-contradicts"]


async def test_asking_again_for_mac1_with_the_same_key_gives_the_same_mac1(system: System) -> None:
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    path = f"/payments/{payment['payment']}"
    body = card.initialize(await box.post(f"{path}/card", card.data()), payment["amount_fen"])
    first = await box.post(f"{path}/init", body, key="the-same-key")
    assert await box.post(f"{path}/init", body, key="the-same-key") == first
    problem = await box.refused(f"{path}/init", body)
    assert (problem["code"], problem["money"]) == ("wrong-state", "unknown")


async def test_steps_out_of_order_are_refused_and_recorded(system: System) -> None:
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    path = f"/payments/{payment['payment']}"
    problem = await box.refused(f"{path}/not-debited", card.evidence("9406"))
    assert (problem["code"], problem["money"]) == ("wrong-state", "not-taken")
    illegal = [row for row in await system.rows(tables.moves) if not row.legal]
    assert [(row.origin, row.target, row.actor) for row in illegal] == [("created", "failed", "box")]
    init = {"balance_fen": 9000, "offline_number": 1, "overdraft_limit_fen": 0, "key_version": 1}
    body = {**init, "algorithm_id": 0, "random": "00000000"}
    assert (await box.refused(f"{path}/init", body))["code"] == "wrong-state"


async def test_key_version_the_psam_does_not_have(system: System) -> None:
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    path = f"/payments/{payment['payment']}"
    body = card.initialize(await box.post(f"{path}/card", card.data()), payment["amount_fen"])
    problem = await box.refused(f"{path}/init", {**body, "key_version": 9})
    assert (problem["code"], problem["money"]) == ("psam-refused", "not-taken")
    assert (await box.get(path))["state"] == "preparing"
    assert await system.rows(tables.leases) == []
    assert (await card.pay(payment))["money"] == "taken"


async def test_mac1_does_not_leave_after_evidence_that_nothing_was_debited(system: System) -> None:
    """The request for MAC1 was on its way for longer than the box waited."""
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    path = f"/payments/{payment['payment']}"
    body = card.initialize(await box.post(f"{path}/card", card.data()), payment["amount_fen"])
    failed = await box.post(f"{path}/not-debited", card.evidence("0000"))
    assert (failed["state"], failed["money"], failed["reason"]) == ("failed", "not-taken", "connection-lost")
    problem = await box.refused(f"{path}/init", body)
    assert (problem["code"], problem["money"]) == ("wrong-state", "not-taken")
    assert await system.rows(tables.leases) == []


async def test_a_card_number_in_the_wrong_place_is_not_kept(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    box = await system.box()
    card = Card(box)
    number = card.data()["application_serial"]
    for path in (f"/payments/{number}/card", f"/payments/{number}/cancel", f"/orders/{number}/payments"):
        body = {"method": "card"} if "orders" in path else card.data()
        refused = await box.refused(path, body)
        assert (refused["code"], refused["facts"]) == ("not-found", {})
    assert (await box.refused("/orders", {"service": number, "term": "monthly"}))["facts"] == {}
    kept = await system.rows(tables.keys)
    assert len([row for row in kept if row.status == 404]) == 4
    assert not [row for row in kept if number in str(row.answer)]
    assert number not in "".join(capsys.readouterr())
