"""ONL-11: who is let in. Enrolment and change of keys; copied, suspended and stolen boxes; limits."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from server_stub.boss import keys as boss_keys
from server_stub.boss import tables as boss
from server_stub.foundation.locks import KeyedLocks
from server_stub.foundation.problems import Problem
from server_stub.settings import Settings
from server_stub.tsp import tables
from server_stub.tsp.boxes import Boxes, rotation_text
from tests.server_stub.signing import BoxKey
from tests.server_stub.system import ORDER, Box, Card, System, body_of, code, running, sent, signed, stand

pytestmark = pytest.mark.anyio


# Keys


async def test_a_new_enrolment_ends_the_key_before_and_the_old_box_is_told(system: System) -> None:
    box = await system.box()
    copy = await system.box()
    assert (await copy.get("/home"))["subscriber"]
    assert await code(await box.call("GET", "/home")) == "key-replaced"
    # The key that has ended does not come back, also not with the right papers.
    assert (await box.refused("/enrolments", box.papers()))["code"] == "key-replaced"
    ended = {
        row.key_id: row.ended
        for row in await system.boss(lambda conn: list(conn.execute(boss.box_keys.select())))
    }
    assert ended == {box.key.key_id: "key-replaced", copy.key.key_id: None}


async def test_boss_ties_the_key_to_box_smart_card_and_subscriber(system: System) -> None:
    box = await system.box("85312047")
    (row,) = await system.boss(lambda conn: list(conn.execute(boss.box_keys.select())))
    (owner,) = await system.boss(
        lambda conn: list(conn.execute(boss.boxes.select().where(boss.boxes.c.box_number == box.number)))
    )
    assert (row.key_id, row.box_number) == (box.key.key_id, "85312047")
    assert (row.smart_card_number, row.subscriber_id) == (owner.smart_card_number, owner.subscriber_id)


async def test_an_enrolment_is_signed_by_the_key_in_it(system: System) -> None:
    box = Box(system, "85312048")
    other = BoxKey.of("somebody else's")
    assert (await box.refused("/enrolments", box.papers(public_key=other.public)))[
        "code"
    ] == "signature-invalid"
    request = box.request("POST", "/enrolments", box.papers())
    forged = other.sign(request, box.number, system.clock.now(), key_id=box.key.key_id)
    assert await sent(system, forged) == "signature-invalid"
    assert await sent(system, box.request("POST", "/enrolments", box.papers())) == "signature-missing"
    request = box.request("POST", "/enrolments", box.papers())
    assert await sent(system, box.key.sign(request, "85312047", system.clock.now())) == "signature-invalid"
    assert await system.rows(tables.box_keys) == []


async def rotated(box: Box, system: System, new: BoxKey) -> httpx.Response:
    proof = new.private.sign(rotation_text(box.key.key_id, new.key_id)).hex().upper()
    return await box.call("POST", "/keys", {"public_key": new.public, "proof": proof})


async def test_a_box_goes_over_to_a_new_key_and_both_are_good_for_a_day(system: System) -> None:
    box = await system.box()
    new = BoxKey.of("new")
    answer = await rotated(box, system, new)
    assert answer.json() == {"key_id": new.key_id, "old_valid_until": "2026-06-22T10:00:00+08:00"}
    # An answer that was lost: the same once more.
    assert (await rotated(box, system, new)).json()["key_id"] == new.key_id
    after = Box(system, box.number, new)
    new.server_keys = box.key.server_keys
    await box.get("/home")
    await after.get("/home")
    system.clock.advance(86_400)
    await after.get("/home")
    assert await code(await box.call("GET", "/home")) == "key-replaced"


async def test_a_change_of_key_that_is_interrupted_once_boss_knows_leaves_the_new_one_good(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await system.box()
    new = BoxKey.of("new")
    boss = system.tsp.core.boss
    post = boss.post

    async def then_killed(*asked: Any, **more: Any) -> None:
        await post(*asked, **more)
        raise ConnectionResetError

    with monkeypatch.context() as killed:
        killed.setattr(boss, "post", then_killed)
        await rotated(box, system, new)
    system.clock.advance(86_401)
    assert await code(await rotated(box, system, new)) == "key-replaced"
    new.server_keys = box.key.server_keys
    await Box(system, box.number, new).get("/home")


async def test_only_who_has_the_new_key_can_rotate_to_it(system: System) -> None:
    box = await system.box()
    new = BoxKey.of("new")
    body = {"public_key": new.public, "proof": Ed25519PrivateKey.generate().sign(b"").hex().upper()}
    assert (await box.refused("/keys", body))["code"] == "signature-invalid"
    # Nor can a key of another box be taken.
    other = await system.box("85312047")
    assert await code(await rotated(box, system, other.key)) == "key-revoked"
    await other.get("/home")


async def test_a_key_does_not_follow_itself(system: System) -> None:
    box = await system.box()
    assert await code(await rotated(box, system, box.key)) == "signature-invalid"
    system.clock.advance(86_401)
    await box.get("/home")


# A copied data folder


async def test_two_devices_with_one_key_are_found_out_when_their_counters_meet(system: System) -> None:
    box = await system.box()
    copy = Box(system, box.number, BoxKey(box.key.private, server_keys=box.key.server_keys))
    next(copy.key.counter)  # copied after the enrolment
    await box.get("/home")
    assert (
        await code(await copy.send(copy.request("GET", "/home"), nonce="2-another-random-part"))
        == "key-copied"
    )
    assert await code(await box.call("GET", "/home")) == "key-copied"
    for row in await system.boss(lambda conn: list(conn.execute(boss.box_keys.select()))):
        assert row.ended in (None, "key-copied")


async def test_boss_hears_of_a_copied_key(system: System) -> None:
    box = await system.box()
    await box.call("GET", "/home")
    assert (
        await code(await box.send(box.request("GET", "/home"), nonce="2-another-random-part")) == "key-copied"
    )
    for _ in range(100):
        (row,) = await system.boss(lambda conn: list(conn.execute(boss.box_keys.select())))
        if row.ended:
            break
        await asyncio.sleep(0.01)
    assert row.ended == "key-copied"


@pytest.mark.parametrize("kind_of_request", ["GET", "POST"])
async def test_a_copy_that_is_behind_is_found_out_long_after(system: System, kind_of_request: str) -> None:
    box = await system.box()

    async def ask(**signature: Any) -> httpx.Response:
        path, body = ("/services", None) if kind_of_request == "GET" else ("/orders", ORDER)
        return await box.send(box.request(kind_of_request, path, body), **signature)

    for _ in range(4):
        assert (await ask()).is_success
        system.clock.advance(121)
        assert (await ask()).is_success
    rows = await system.rows(tables.box_nonces)
    assert len(rows) < 8  # what is below the floor need not be kept
    assert await code(await ask(nonce="3-0123456789abcdefgh")) == "key-copied"


async def test_requests_that_overtake_each_other_are_no_copy(system: System) -> None:
    box = await system.box()
    requests = [signed(box, system) for _ in range(5)]
    for request in reversed(requests):
        assert (await system.outside.send(request)).status_code == 201
    system.clock.advance(59)
    late = signed(box, system)
    system.clock.advance(59)
    for _ in range(3):
        await box.get("/services")
    assert (await system.outside.send(late)).status_code == 201


def thief_of(box: Box, system: System) -> Box:
    """Who has a copy of the box's data folder, and a counter far from the box's own."""
    key = BoxKey(box.key.private, itertools.count(5000), box.key.server_keys)
    return Box(system, box.number, key)


async def gone_over(box: Box, system: System, seed: str) -> Box:
    """The same, with a new key."""
    new = BoxKey.of(seed)
    assert (await rotated(box, system, new)).status_code == 200
    new.server_keys = box.key.server_keys
    return Box(system, box.number, new)


async def all_ended(system: System, *boxes: Box) -> None:
    """None of these keys is good, here or at BOSS, nor is the activation code, which may have been copied too."""
    for box in boxes:
        assert await code(await box.call("GET", "/home")) == "key-copied"
    assert {row.ended for row in await system.rows(tables.box_keys)} == {"key-copied"}
    for _ in range(100):
        rows = await system.boss(lambda conn: list(conn.execute(boss.box_keys.select())))
        if {row.ended for row in rows} == {"key-copied"}:
            break
        await asyncio.sleep(0.01)
    assert {(row.ended, row.ended_at) for row in rows} == {("key-copied", system.clock.now())}
    anew = Box(system, boxes[0].number)
    assert (await anew.refused("/enrolments", anew.papers()))["code"] == "activation-code-wrong"
    hashed = boss_keys.activation_hash(anew.number, "1234567890")
    await system.boss(lambda conn: boss_keys.set_activation(conn, anew.number, hashed))
    await anew.enrol(activation_code="1234567890")
    await anew.get("/home")


async def test_a_copied_key_takes_with_it_what_follows_it(system: System) -> None:
    """Whoever copied it has been quicker to change it."""
    box = await system.box()
    thief = await gone_over(thief_of(box, system), system, "the thief's")
    await thief.get("/home")
    await box.post("/orders", ORDER)
    request = box.request("POST", "/orders", ORDER)
    assert await code(await box.send(request, nonce="5000-another-random-part")) == "key-copied"
    await all_ended(system, box, thief)


async def test_a_key_names_one_successor_and_a_second_one_is_a_copy_s(system: System) -> None:
    box = await system.box()
    after = await gone_over(box, system, "the owner's")
    await after.get("/home")
    thief = thief_of(box, system)
    assert await code(await rotated(thief, system, BoxKey.of("the thief's"))) == "key-copied"
    await all_ended(system, box, after)


async def test_boss_too_hears_of_one_successor_only(system: System) -> None:
    box = await system.box()
    await gone_over(box, system, "one")
    later = (system.clock.now() + timedelta(days=1)).isoformat()
    body = {"key_id": BoxKey.of("another").key_id, "old_valid_until": later}
    with pytest.raises(Problem, match="key-copied"):
        await system.tsp.core.boss.post(box.number, f"keys/{box.key.key_id}/successor", body)
    rows = await system.boss(lambda conn: list(conn.execute(boss.box_keys.select())))
    assert [row.ended for row in rows] == ["key-copied"] * 2
    system.clock.advance(16)  # until the TSP asks again
    assert await code(await box.call("GET", "/home")) == "key-copied"


# What BOSS says of a box


async def state_of(system: System, box: Box, state: str) -> None:
    await system.boss(lambda conn: boss_keys.set_state(conn, box.number, state))


@pytest.mark.parametrize(("state", "told"), [("suspended", "box-suspended"), ("stolen", "box-stolen")])
async def test_a_box_that_boss_stops_gets_nothing_until_boss_lets_it(
    system: System, state: str, told: str
) -> None:
    box = await system.box()
    payment = await box.pay("wallet:demo")
    await state_of(system, box, state)
    system.clock.advance(15)
    for path in ("/home", "/services", "/records", f"/payments/{payment['payment']}", "/server-keys"):
        assert await code(await box.call("GET", path)) == told, path
    assert (await box.refused("/orders", ORDER))["code"] == told
    assert (await box.refused("/enrolments", box.papers()))["code"] == told
    await state_of(system, box, "active")
    system.clock.advance(15)
    await box.get("/home")


async def test_a_key_that_boss_revokes_gets_nothing(system: System) -> None:
    box = await system.box()
    now = system.clock.now()
    assert await system.boss(lambda conn: boss_keys.end(conn, box.number, "key-revoked", now)) == 1
    system.clock.advance(15)
    assert await code(await box.call("GET", "/records")) == "key-revoked"
    again = await system.box()
    await again.get("/home")


async def test_while_boss_is_silent_its_last_word_holds(system: System) -> None:
    box, stopped = await system.box(), await system.box("85312047")
    await box.get("/records")
    await state_of(system, stopped, "stolen")
    assert await code(await stopped.call("GET", "/home")) == "box-stolen"
    system.network.cut.add("/boss")
    system.clock.advance(3600)
    await box.get("/records")
    assert await code(await stopped.call("GET", "/records")) == "box-stolen"


async def begun(system: System) -> tuple[Box, str, dict[str, Any]]:
    """A box whose next step asks for MAC1: its path and body."""
    box = await system.box()
    payment = await box.pay("card")
    path, card = f"/payments/{payment['payment']}", Card(box)
    leased = await box.post(f"{path}/card", card.data())
    return box, f"{path}/init", card.initialize(leased, payment["amount_fen"])


async def test_what_boss_has_said_is_known_to_all_processes_when_boss_is_silent(system: System) -> None:
    box, path, body = await begun(system)
    await state_of(system, box, "stolen")
    assert (await box.refused(path, body))["code"] == "box-stolen"
    system.network.cut.add("/boss")
    await forget(system)
    assert (await box.refused(path, body))["code"] == "box-stolen"
    assert await code(await box.call("GET", "/home")) == "box-stolen"
    assert [row.state for row in await system.rows(tables.payments)] == ["card-checked"]


async def test_a_process_learns_within_seconds_what_boss_has_told_another(system: System) -> None:
    box = await system.box()
    await box.get("/records")
    here = system.tsp.boxes
    await state_of(system, box, "stolen")
    await forget(system)
    assert await code(await box.call("GET", "/records")) == "box-stolen"
    system.tsp.boxes = here
    system.network.cut.add("/boss")
    system.clock.advance(2)
    assert await code(await box.call("GET", "/records")) == "box-stolen"


async def test_a_good_word_of_boss_is_kept_too(system: System) -> None:
    box, path, body = await begun(system)
    await state_of(system, box, "suspended")
    system.clock.advance(15)
    assert await code(await box.call("GET", "/records")) == "box-suspended"
    await state_of(system, box, "active")
    system.clock.advance(15)
    await box.get("/records")
    system.network.cut.add("/boss")
    await forget(system)
    await box.post(path, body)


async def test_without_a_word_of_boss_there_is_no_mac1(system: System) -> None:
    box, path, body = await begun(system)
    await system.tsp.core.database.write(lambda conn: conn.execute(update(tables.box_keys).values(word=None)))
    system.network.cut.add("/boss")
    await forget(system)
    refused = await box.refused(path, body, key="one-and-the-same")
    assert (refused["code"], refused["retryable"]) == ("boss-unreachable", True)
    assert [row.state for row in await system.rows(tables.payments)] == ["card-checked"]
    await box.get("/records")  # what is under way can end
    system.network.cut.clear()
    await box.post(path, body, key="one-and-the-same")
    assert [row.word for row in await system.rows(tables.box_keys)] == [tables.SERVED]


async def test_what_a_card_has_done_is_heard_from_a_suspended_box(system: System) -> None:  # ONL-13
    box = await system.box()
    payment = await box.pay("card")
    card = Card(box)
    proof = card.debit(await card.authorised(payment))
    await state_of(system, box, "suspended")
    system.clock.advance(15)
    debited = await box.call("POST", f"/payments/{payment['payment']}/debit", body_of(proof))
    assert debited.json()["money"] == "taken"


@pytest.mark.parametrize("state", ["suspended", "stolen"])
async def test_mac1_is_not_for_a_box_that_boss_has_just_stopped(system: System, state: str) -> None:
    """Though BOSS's good word of a moment ago still holds for looking around."""
    box = await system.box()
    payment = await box.pay("card")
    path, card = f"/payments/{payment['payment']}", Card(box)
    begun = card.initialize(await box.post(f"{path}/card", card.data()), payment["amount_fen"])
    await state_of(system, box, state)
    assert (await box.refused(f"{path}/init", begun))["code"] == f"box-{state}"
    assert [row.state for row in await system.rows(tables.payments)] == ["card-checked"]
    # That this process has heard it counts at once, also when BOSS is silent from now on.
    system.network.cut.add("/boss")
    assert await code(await box.call("GET", "/services")) == f"box-{state}"


async def test_a_process_that_hears_of_a_stolen_box_lets_it_in_no_more(system: System) -> None:
    box = await system.box()
    await box.get("/records")
    await state_of(system, box, "stolen")
    await box.get("/records")
    assert (await box.refused("/orders", ORDER))["code"] == "box-stolen"
    assert await code(await box.call("GET", "/records")) == "box-stolen"
    system.network.cut.add("/boss")
    assert await code(await box.call("GET", "/records")) == "box-stolen"


async def test_a_refusal_at_the_door_says_nothing_of_money_that_may_have_moved(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    card = Card(box)
    proof = card.debit(await card.authorised(payment))
    await system.box()  # another device has this box's number now
    path = f"/payments/{payment['payment']}"
    refused = await box.refused(f"{path}/debit", body_of(proof))
    assert (refused["code"], refused["money"]) == ("key-replaced", "unknown")
    refused = await box.refused("/orders", ORDER)
    assert (refused["code"], refused["money"]) == ("key-replaced", "not-taken")


async def test_only_who_has_its_code_is_told_how_a_box_stands(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(enrolment_failures_per_hour=2)) as system:
        stopped = Box(system, "85312050")
        for told in ("activation-code-wrong", "activation-code-wrong", "too-many-requests"):
            wrong = stopped.papers(activation_code="000000")
            assert (await stopped.refused("/enrolments", wrong))["code"] == told
        system.clock.advance(3600)
        assert (await stopped.refused("/enrolments", stopped.papers()))["code"] == "box-suspended"


# Limits


async def test_a_box_may_ask_so_much_and_no_more(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(box_requests_per_minute=6)) as system:
        box = await system.box()
        other = await system.box("85312047")
        for _ in range(6):
            await box.get("/services")
        refused = await box.call("GET", "/services")
        assert (refused.status_code, await code(refused)) == (429, "too-many-requests")
        assert refused.headers["retry-after"] == "10"
        assert refused.json()["facts"] == {"retry_after_seconds": 10}
        assert refused.json()["retryable"] is True
        await other.get("/services")
        system.clock.advance(10)
        await box.get("/services")
        assert (await box.call("GET", "/services")).status_code == 429


async def test_who_guesses_activation_codes_is_stopped_for_the_box_and_for_the_address(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, Settings(enrolment_failures_per_hour=2)) as system:

        async def guess(number: str) -> str:
            box = Box(system, number)
            return str((await box.refused("/enrolments", box.papers(activation_code="000000")))["code"])

        assert [await guess("85312047") for _ in range(3)] == ["activation-code-wrong"] * 2 + [
            "too-many-requests"
        ]
        right = Box(system, "85312047")
        assert (await right.refused("/enrolments", right.papers()))["code"] == "too-many-requests"
        transport = httpx.ASGITransport(stand().app, client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport) as elsewhere:
            request = right.request("POST", "/enrolments", right.papers())
            right.key.sign(request, right.number, system.clock.now())
            assert (await elsewhere.send(request)).status_code == 201
        # Who is right has not guessed, and counts for nothing.
        for _ in range(5):
            await system.box("85312048")
        assert await guess("85312049") == "activation-code-wrong"
        assert [await guess("85312051") for _ in range(2)] == ["activation-code-wrong"] * 2
        # Six from one address, whatever the box. Two refusals have taken their share of it, too.
        assert await guess("85312049") in ("activation-code-wrong", "too-many-requests")
        assert await guess("85312048") == "too-many-requests"
        system.clock.advance(3600)
        await system.box("85312047")


async def test_a_card_that_comes_without_ever_paying_is_stopped(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(card_attempts_per_hour=2)) as system:
        box = await system.box()
        payment = await box.pay("card")
        card = Card(box)
        body = {"kind": "card", **card.data()}
        for _ in range(4):
            # Asked about, its PIN right, paying: no attempt at anything.
            await box.post("/inquiries", body)
            leased = await box.call("POST", f"/payments/{payment['payment']}/card", card.data())
            assert leased.is_success
        for _ in range(2):
            await box.post("/inquiries", body)
        refused = await box.refused("/inquiries", body, key="one-and-the-same")
        assert refused["code"] == "too-many-requests"
        system.clock.advance(3600)
        await box.post("/inquiries", body, key="one-and-the-same")


async def test_a_key_that_another_process_has_ended_changes_nothing_from_then_on(system: System) -> None:
    box = await system.box()
    await box.get("/home")
    await system.tsp.core.database.write(
        lambda conn: conn.execute(update(tables.box_keys).values(ended="key-copied"))
    )
    assert await code(await box.call("POST", "/orders", ORDER)) == "key-copied"
    assert await system.rows(tables.orders) == []
    system.clock.advance(2)
    assert await code(await box.call("GET", "/home")) == "key-copied"


# Several processes, each with a memory of its own


async def forget(system: System) -> None:
    """As if the next request came to another process."""
    service = system.tsp
    service.boxes = Boxes(service.core, service.boxes.server_keys)
    service.core.who += "x"


async def test_what_was_answered_is_a_replay_everywhere(system: System) -> None:
    box = await system.box()
    asked = [
        box.request("POST", "/orders", ORDER),
        box.request("POST", "/orders", ORDER, key="a-key-of-its-own"),
        box.request("POST", "/orders", ORDER, key="a-key-of-its-own"),  # answered from memory
        box.request("POST", "/orders", ORDER | {"term": "yearly"}, key="a-key-of-its-own"),  # reused
        box.request("POST", "/orders", ORDER | {"service": "nothing"}),  # refused for good
    ]
    answers = [(await box.send(request)).status_code for request in asked]
    assert answers == [201, 201, 201, 409, 404]
    system.network.cut.add("/boss")
    asked.append(box.request("POST", "/orders", ORDER))  # refused for now
    assert await code(await box.send(asked[-1])) == "boss-unreachable"
    system.network.cut.clear()
    before = len(await system.rows(tables.orders))
    await forget(system)
    for request in asked:
        assert await sent(system, request) == "signature-replayed"
    assert len(await system.rows(tables.orders)) == before


async def test_a_copy_is_found_out_by_another_process(system: System) -> None:
    box = await system.box()
    await box.post("/orders", ORDER)
    await forget(system)
    request = box.request("POST", "/orders", ORDER)
    assert await code(await box.send(request, nonce="2-another-random-part")) == "key-copied"
    assert await code(await box.call("POST", "/orders", ORDER)) == "key-copied"


async def test_two_processes_enrol_one_box_and_the_last_key_at_boss_is_the_good_one(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BOSS hears of one key, then of another; here the two answers are worked on the other way round."""
    first, second = Box(system, "85312048"), Box(system, "85312048")
    boss, arrived, go_on = system.tsp.core.boss, asyncio.Event(), asyncio.Event()
    post = boss.post

    async def late(box_number: str, path: str, body: Any, *more: Any, **other: Any) -> Any:
        answer = await post(box_number, path, body, *more, **other)
        if path == "keys" and body["key_id"] == first.key.key_id:
            arrived.set()
            await go_on.wait()
        return answer

    monkeypatch.setattr(boss, "post", late)
    task = asyncio.create_task(first.call("POST", "/enrolments", first.papers()))
    await arrived.wait()
    system.tsp.core.locks = KeyedLocks()  # the other process has its own
    await second.enrol()
    go_on.set()
    assert await code(await task) == "key-replaced"
    await second.get("/home")
    await forget(system)
    system.clock.advance(16)
    await second.post("/orders", ORDER)
    assert await code(await first.call("GET", "/home")) == "not-enrolled"
