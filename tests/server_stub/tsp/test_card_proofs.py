"""Proofs that a card has debited: late, twice, forged, and where the PSAM has gone on. ONL-13"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cardreader.errors import CardReaderError
from server_stub import cases as command
from server_stub.foundation.locks import KeyedLocks
from server_stub.settings import Settings
from server_stub.tsp import books, card_proofs, card_turns, cases, contradictions, models, psam_pool, tables
from server_stub.tsp.core import load_payment
from tests.server_stub.system import Box, Card, System, body_of, faults, running

pytestmark = pytest.mark.anyio


async def debited(system: System) -> tuple[Box, Card, Any, dict[str, str]]:
    """A payment whose card has debited, and the proof, of which nobody has been told yet."""
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    return box, card, payment, body_of(card.debit(await card.authorised(payment)))


async def psam_goes_on(system: System) -> None:
    """Another box pays with the only PSAM, once nobody holds it for the payment before."""
    system.clock.advance(181)
    other = await system.box("85312047")
    await Card(other).pay(await other.pay("card"))


async def test_a_payment_s_first_proof_is_never_overwritten(system: System) -> None:
    """What a PSAM has called wrong goes to none again, nor does any other: a person has both proofs."""
    box, card, payment, proof = await debited(system)
    path = f"/payments/{payment['payment']}"
    wrong = {"tac": proof["tac"], "mac2": "00000000"}
    for _ in range(4):
        problem = await box.refused(f"{path}/debit", wrong)
        assert (problem["code"], problem["money"]) == ("mac2-refused", "unknown")
    assert await system.rows(tables.leases) == []
    for other in (proof, {**wrong, "tac": "00000000"}):
        problem = await box.refused(f"{path}/debit", other)
        assert (problem["code"], problem["money"]) == ("evidence-contradicts", "unknown")
    shown = await box.get(path)
    assert (shown["state"], shown["reason"]) == ("unknown", "mac2-refused")
    cases = [(row.kind, json.loads(row.facts)) for row in await system.rows(tables.cases)]
    assert [(kind, facts["tac"], facts["mac2"]) for kind, facts in sorted(cases, key=lambda one: one[0])] == [
        ("evidence-contradicts", proof["tac"], proof["mac2"]),
        ("evidence-contradicts", "00000000", "00000000"),
        ("mac2-refused", proof["tac"], "00000000"),
    ]
    (kept,) = await system.rows(tables.debits)
    assert (kept.tac, kept.mac2) == (wrong["tac"], wrong["mac2"])
    refused = await box.refused(f"{path}/not-debited", card.evidence("9406"))
    assert (refused["code"], refused["money"]) == ("wrong-state", "unknown")


async def test_a_proof_that_waits_for_its_psam_is_not_replaced_and_is_what_the_psam_checks(
    system: System,
) -> None:
    box, _, payment, proof = await debited(system)
    (debit,) = await system.rows(tables.debits)
    unit = system.tsp.core.psams.pop(debit.psam)
    path = f"/payments/{payment['payment']}/debit"
    await box.refused(path, proof)
    problem = await box.refused(path, {"tac": "DEADBEEF", "mac2": "DEADBEEF"})
    assert (problem["code"], problem["money"]) == ("evidence-contradicts", "unknown")
    system.tsp.core.psams[debit.psam] = unit
    assert (await box.post(path, proof))["money"] == "taken"


async def test_proofs_without_end_are_refused_until_later(system: System) -> None:
    box, _, payment, proof = await debited(system)
    path = f"/payments/{payment['payment']}/debit"
    codes = [
        (await box.refused(path, {"tac": "00000000", "mac2": f"{number:08X}"}))["code"]
        for number in range(contradictions.CONTRADICTIONS.amount + 2)
    ]
    assert codes[0] == "mac2-refused"
    assert set(codes[1:-1]) == {"evidence-contradicts"}
    problem = await box.refused(path, proof)
    assert (problem["code"], problem["money"], problem["retryable"]) == ("too-many-requests", "unknown", True)
    system.clock.advance(3600)
    assert (await box.refused(path, proof))["code"] == "evidence-contradicts"


async def test_the_card_comes_back_days_later_and_its_psam_has_waited(system: System) -> None:
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    card.debit(await card.authorised(payment))
    system.clock.advance(5 * 86_400)
    assert card.begun is not None
    proof = card.purse.prove_purchase(card.begun.offline_number)
    await box.post(f"/payments/{payment['payment']}/debit", body_of(proof))
    await box.state(payment["payment"], "done")


async def test_a_psam_that_began_something_else_begins_again_for_the_late_proof(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        box = await system.box()
        card = Card(box)
        payment = await box.pay("card")
        proof = card.debit(await card.authorised(payment))
        system.clock.advance(1801)
        # Another card's purchase takes the PSAM over, and is given up: the number has not moved.
        other_box = await system.box("85312047")
        other = await other_box.pay("card")
        other_card = Card(other_box)
        await other_card.authorised(other)
        path = f"/payments/{payment['payment']}/debit"
        busy = await box.refused(path, body_of(proof))
        assert (busy["code"], busy["money"], busy["retryable"]) == ("psam-none-free", "unknown", True)
        await other_box.post(f"/payments/{other['payment']}/not-debited", other_card.evidence("9406"))
        assert (await box.post(path, body_of(proof)))["money"] == "taken"


async def test_a_psam_that_has_gone_on_cannot_check_the_late_proof_which_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        box, _, payment, proof = await debited(system)
        await psam_goes_on(system)
        problem = await box.refused(f"/payments/{payment['payment']}/debit", proof)
        assert (problem["code"], problem["money"]) == ("lease-lost", "unknown")
        told = await box.get(f"/payments/{payment['payment']}")
        assert (told["state"], told["money"], told["reason"]) == ("unknown", "unknown", "proof-kept")
        assert [row.kind for row in await system.rows(tables.cases)] == ["psam-number-moved"]
        kept = [row for row in await system.rows(tables.debits) if row.payment_id == payment["payment"]]
        assert (kept[0].tac, kept[0].mac2) == (proof["tac"], proof["mac2"])
        forged = {"tac": "DEADBEEF", "mac2": "DEADBEEF"}
        problem = await box.refused(f"/payments/{payment['payment']}/debit", forged)
        assert (problem["code"], problem["money"]) == ("evidence-contradicts", "unknown")
        assert kept == [
            row for row in await system.rows(tables.debits) if row.payment_id == payment["payment"]
        ]


async def test_a_late_proof_that_is_for_a_person_is_one_case_however_often_it_comes(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        box, card, payment, proof = await debited(system)
        await psam_goes_on(system)
        for _ in range(3):
            problem = await box.refused(f"/payments/{payment['payment']}/debit", proof)
            assert (problem["code"], problem["money"]) == ("lease-lost", "unknown")
        assert [row.kind for row in await system.rows(tables.cases)] == ["psam-number-moved"]
        assert await system.rows(tables.leases) == []
        # Its card has said all it can: the same service is not paid again, and evidence against the proof ends nothing.
        order = await box.order("sports", "monthly")
        for method in ("card", "wallet:demo"):
            problem = await box.refused(f"/orders/{order['order']}/payments", {"method": method})
            assert (problem["code"], problem["money"]) == ("payment-in-progress", "unknown")
        evidence = card.evidence("9406")
        problem = await box.refused(f"/payments/{payment['payment']}/not-debited", evidence)
        assert (problem["code"], problem["money"]) == ("wrong-state", "unknown")

        def settle(conn: Any) -> None:
            core = system.tsp.core
            core.paid(conn, load_payment(conn, payment["payment"]), actor="person")

        await system.tsp.core.change(payment["payment"], settle)
        done = await box.state(payment["payment"], "done")
        assert (done["money"], done["reason"]) == ("taken", None)


async def test_a_psam_that_failed_once_over_a_late_proof_is_not_taken_to_have_accepted_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        box, _, payment, proof = await debited(system)
        await psam_goes_on(system)
        (unit,) = system.tsp.core.psams.values()
        verify = unit.verify

        async def fails(*_: Any) -> None:
            raise CardReaderError("no answer")

        unit.verify = fails  # type: ignore[method-assign]
        path = f"/payments/{payment['payment']}"
        assert (await box.refused(f"{path}/debit", proof))["code"] == "psam-refused"
        unit.verify = verify  # type: ignore[method-assign]
        # It has moved by one, but with the other's purchase.
        problem = await box.refused(f"{path}/debit", proof)
        assert (problem["code"], problem["money"]) == ("lease-lost", "unknown")
        assert (await box.get(path))["state"] == "unknown"


async def test_a_forged_proof_does_not_gain_by_a_server_that_stops_over_it(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        box = await system.box()
        payment = await box.pay("card")
        await Card(box).authorised(payment)
        await psam_goes_on(system)
        (unit,) = system.tsp.core.psams.values()
        verify = unit.verify

        async def stops(*_: Any) -> None:
            raise asyncio.CancelledError

        unit.verify = stops  # type: ignore[method-assign]
        path, forged = f"/payments/{payment['payment']}", {"tac": "DEADBEEF", "mac2": "DEADBEEF"}
        with pytest.raises(asyncio.CancelledError):
            await box.post(f"{path}/debit", forged)
        unit.verify = verify  # type: ignore[method-assign]
        # The PSAM has moved by one, with the other's purchase, and this payment has had it again since.
        problem = await box.refused(f"{path}/debit", forged)
        assert (problem["code"], problem["money"]) == ("lease-lost", "unknown")
        assert (await box.get(path))["reason"] == "proof-kept"
        assert [row.kind for row in await system.rows(tables.cases)] == ["psam-number-moved"]


def offered(case: Any) -> list[str]:
    """The actions that are shown for a case."""
    told = (line.removeprefix("decide").strip() for line in command.shown(case) if line.startswith("decide "))
    return [action.partition(":")[0] for action in told]


@pytest.mark.parametrize("state", ["created", "card-checked", "cancelled", "expired"])
async def test_a_proof_where_no_mac1_is_known_of_is_kept_for_a_person(system: System, state: str) -> None:
    """As after a restore of a backup from before it."""
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    path = f"/payments/{payment['payment']}"
    if state != "created":
        await box.post(f"{path}/card", card.data())
    if state == "cancelled":
        await box.post(f"{path}/cancel")
    if state == "expired":
        system.clock.advance(3600)
        await box.state(payment["payment"], "expired")
    proof = {"tac": "0A0B0C0D", "mac2": "01020304"}
    for _ in range(2):
        problem = await box.refused(f"{path}/debit", proof)
        assert (problem["code"], problem["money"]) == ("evidence-contradicts", "unknown")
    told = await box.get(path)
    assert (told["state"], told["money"], told["reason"]) == ("unknown", "unknown", "evidence-contradicts")
    (case,) = [row for row in await system.rows(tables.cases) if row.kind == "evidence-contradicts"]
    assert json.loads(case.facts) == {**proof, "balance_after_fen": None}
    assert await system.rows(tables.leases) == []
    assert (await box.get(f"/orders/{payment['order']}"))["state"] == "closed"
    (listed,) = [row for row in await system.tsp.database.read(cases.listed) if row.id == case.id]
    assert offered(listed) == ["accept-proof", "write-off"]
    core = system.tsp.core
    decision = cases.Decision(case.id, "accept-proof", "the bank knows it", "Li", "Wang")
    await core.change(payment["payment"], partial(cases.decide, moves=core, decision=decision))
    done = await box.state(payment["payment"], "done")
    # Before a card came nothing is known of it, and nothing is made up.
    assert (done["money"], done["card"] is None) == ("taken", state == "created")
    fen = payment["amount_fen"]
    stands = await system.tsp.database.read(lambda conn: tables.ledger.standing(conn, payment["payment"]))
    assert stands == {books.CARD: fen, books.BOSS: -fen}
    assert await faults(system) == []
    assert (await box.post(f"{path}/debit", proof))["state"] == "done"
    assert (await box.refused(f"{path}/debit", {**proof, "tac": "00000000"}))["code"] == "wrong-state"


async def test_a_case_without_a_proof_offers_none_to_accept(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    await box.refused(f"/payments/{payment['payment']}/debit", {"tac": "0A0B0C0D", "mac2": "01020304"})

    def ask(conn: Any) -> None:
        conn.execute(tables.cases.delete())
        system.tsp.core.case(conn, payment["payment"], "card-unknown")

    await system.tsp.database.write(ask)
    (case,) = await system.tsp.database.read(cases.listed)
    assert offered(case) == ["write-off"]
    decision = cases.Decision(case.id, "accept-proof", "the bank knows it", "Li", "Wang")
    with pytest.raises(cases.CaseRefused, match="no proof of the card is kept"):
        await system.tsp.database.write(partial(cases.decide, moves=system.tsp.core, decision=decision))


async def test_a_proof_after_evidence_of_no_debit_is_kept_and_nobody_knows(
    system: System,
) -> None:  # rules 3, 4
    box = await system.box()
    card = Card(box)
    payment = await box.pay("card")
    authorised = await card.authorised(payment)
    path = f"/payments/{payment['payment']}"
    failed = await box.post(f"{path}/not-debited", card.evidence("9406"))
    assert (failed["state"], failed["money"]) == ("failed", "not-taken")
    proof = body_of(card.debit(authorised))
    for _ in range(2):
        problem = await box.refused(f"{path}/debit", proof)
        assert (problem["code"], problem["money"]) == ("evidence-contradicts", "unknown")
    unknown = await box.get(path)
    assert (unknown["state"], unknown["money"]) == ("unknown", "unknown")
    assert unknown["reason"] == "evidence-contradicts"
    assert unknown["version"] == failed["version"] + 1
    (case,) = await system.rows(tables.cases)
    assert case.kind == "evidence-contradicts"
    assert json.loads(case.facts) == {**proof, "balance_after_fen": None}
    (kept,) = await system.rows(tables.debits)
    assert (kept.tac, kept.mac2) == (proof["tac"], proof["mac2"])
    # Another proof is another case; the first stays where it is. Evidence against it changes nothing.
    await box.refused(f"{path}/debit", {**proof, "tac": "00000000"})
    assert len(await system.rows(tables.cases)) == 2
    assert (await system.rows(tables.debits))[0].tac == proof["tac"]
    refused = await box.refused(f"{path}/not-debited", card.evidence("9406"))
    assert (refused["code"], refused["money"]) == ("wrong-state", "unknown")
    assert (await box.get("/services/sports"))["status"] == "none"


async def debited_elsewhere(system: System, box: Any, payment: str, proof: dict[str, str]) -> Any:
    """The same proof, given to another process on the same database."""
    core = replace(system.tsp.core, who="another", locks=KeyedLocks())
    use = core.idempotency.use(f"box {box.number}", f"elsewhere-{payment}", "")
    answer = await card_proofs.CardProofs(core).debited(
        box.number, payment, models.DebitProof.model_validate(proof), use
    )
    return json.loads(answer.body)


async def test_of_two_processes_that_have_a_proof_the_one_that_waits_answers_as_the_other_did(
    system: System,
) -> None:
    box = await system.box()
    card = Card(box)
    payment = (view := await box.pay("card"))["payment"]
    proof = body_of(card.debit(await card.authorised(view)))
    unit = system.tsp.core.psams[(await system.rows(tables.debits))[0].psam]
    verify, later = unit.verify, []

    async def slow(*given: Any) -> None:
        later.append(asyncio.ensure_future(debited_elsewhere(system, box, payment, proof)))
        soon = system.clock.now() + card_turns.LOOK_AGAIN
        while soon not in [due for due, _ in system.clock._sleepers]:
            await asyncio.sleep(0)
        await verify(*given)

    unit.verify = slow  # type: ignore[method-assign]
    assert (await box.post(f"/payments/{payment}/debit", proof))["money"] == "taken"
    system.clock.advance(card_turns.LOOK_AGAIN.total_seconds())
    assert (await later[0])["money"] == "taken"
    assert await system.rows(tables.leases) == []
    assert [row for row in await system.rows(tables.moves) if not row.legal] == []


@pytest.mark.parametrize("moved", [1, 2])
async def test_a_process_whose_psam_has_gone_on_because_another_was_quicker_answers_as_that_did(
    system: System, moved: int
) -> None:
    box = await system.box()
    card = Card(box)
    payment = (view := await box.pay("card"))["payment"]
    proof = body_of(card.debit(await card.authorised(view)))
    unit = system.tsp.core.psams[(await system.rows(tables.debits))[0].psam]
    verify, later = unit.verify, []
    begun, ended = asyncio.Event(), asyncio.Event()

    async def gone_on(*_: Any) -> None:
        begun.set()
        await ended.wait()
        raise psam_pool.NumberMoved(moved)

    async def slow(*given: Any) -> None:
        unit.verify = gone_on  # type: ignore[method-assign]
        await verify(*given)
        system.clock.advance(psam_pool.TURN.total_seconds())
        later.append(asyncio.ensure_future(debited_elsewhere(system, box, payment, proof)))
        await begun.wait()

    unit.verify = slow  # type: ignore[method-assign]
    assert (await box.post(f"/payments/{payment}/debit", proof))["money"] == "taken"
    ended.set()
    assert (await later[0])["money"] == "taken"
    assert await system.rows(tables.leases) == []
    assert [row for row in await system.rows(tables.moves) if not row.legal] == []


async def test_the_proof_completes_after_the_server_was_stopped_and_started(tmp_path: Path) -> None:
    async with running(tmp_path) as system:
        box = await system.box()
        card = Card(box)
        payment = await box.pay("card")
        proof = card.debit(await card.authorised(payment))
        clock = system.clock
    async with running(tmp_path, clock=clock) as system:
        box._system = system
        await box.post(f"/payments/{payment['payment']}/debit", body_of(proof))
        await box.state(payment["payment"], "done")


async def test_a_proof_the_psam_accepted_just_before_a_stop_counts(tmp_path: Path) -> None:
    async with running(tmp_path) as system:
        box = await system.box()
        card = Card(box)
        payment = await box.pay("card")
        proof = card.debit(await card.authorised(payment))
        # The PSAM accepts, and the server stops before it can write that down.
        core = system.tsp.core

        def stop(*_: Any, **__: Any) -> None:
            raise RuntimeError("stopped")

        core.outbox.put = stop  # type: ignore[method-assign]
        answer = await box.call("POST", f"/payments/{payment['payment']}/debit", body_of(proof))
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        clock = system.clock
    async with running(tmp_path, clock=clock) as system:
        box._system = system
        assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "unknown"
        clock.advance(psam_pool.TURN.total_seconds())  # the one that stopped had not ended its turn
        await box.post(f"/payments/{payment['payment']}/debit", body_of(proof))
        await box.state(payment["payment"], "done")


async def test_the_same_proof_again_with_another_key_is_answered_with_the_payment(system: System) -> None:
    box, _, payment, proof = await debited(system)
    path = f"/payments/{payment['payment']}"
    await box.post(f"{path}/debit", proof)
    done = await box.state(payment["payment"], "done")
    assert (await box.post(f"{path}/debit", proof))["state"] == done["state"]
    other = await box.refused(f"{path}/debit", {**proof, "tac": "00000000"})
    assert (other["code"], other["money"]) == ("wrong-state", "taken")
    assert await system.rows(tables.cases) == []
    assert len(await system.rows(tables.outbox)) == 1
