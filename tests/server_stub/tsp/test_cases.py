"""Cases: what waits too long becomes one, and what a person decides happens, is booked and is in the audit log."""

from __future__ import annotations

import json
import re
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server_stub import cases as command
from server_stub.app import ROLES
from server_stub.boss import tables as boss_tables
from server_stub.cli import parse
from server_stub.foundation import outbox
from server_stub.settings import Settings
from server_stub.tsp import books, cases, housekeeping, tables
from server_stub.tsp.cases import CaseRefused, Decision
from tests.server_stub.system import (
    Box,
    Card,
    System,
    body_of,
    databases,
    decided_by_two_from,
    faults,
    running,
)

pytestmark = pytest.mark.anyio
SCHEDULE = Settings().unknown_schedule


async def decide(system: System, action: str, **other: Any) -> str:
    """Decides the payment that a case is open about."""
    asked = await opened(system)
    case = asked[0]
    decision = replace(Decision(case.id, action, "seen by hand", "Li"), **other)
    core = system.tsp.core
    decided = await core.change(case.payment_id, lambda conn: cases.decide(conn, core, decision))
    # What was done may have been answered by now, with a case again.
    assert {row.id for row in asked}.isdisjoint({row.id for row in await opened(system)})
    assert decided.about == "payment"
    return decided.state


async def opened(system: System) -> list[Any]:
    return await system.tsp.database.read(cases.listed)


async def wait_out(system: System) -> None:
    """Lets the whole schedule pass, look by look."""
    for pause in SCHEDULE:
        system.clock.advance(pause)
        await system.tsp.payments.sweep()


async def stands(system: System, payment: Any) -> dict[str, int]:
    return await system.tsp.database.read(lambda conn: tables.ledger.standing(conn, payment["payment"]))


@asynccontextmanager
async def proof_kept(tmp_path: Path) -> AsyncIterator[tuple[System, Box, Any, dict[str, str]]]:
    """A server on which a payment's proof cannot be checked any more."""
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        box = await system.box()
        card = Card(box)
        payment = await box.pay("card")
        proof = body_of(card.debit(await card.authorised(payment)))
        system.clock.advance(181)
        other_box = await system.box("85312047")
        other = await other_box.pay("card")
        await Card(other_box).pay(other)
        await other_box.state(other["payment"], "done")
        assert (await box.refused(f"/payments/{payment['payment']}/debit", proof))["code"] == "lease-lost"
        yield system, box, payment, proof


async def test_an_unknown_card_payment_is_one_case_after_its_schedule_and_stays_unknown(
    system: System,
) -> None:
    box = await system.box()
    payment = await box.pay("card")
    card = Card(box)
    authorised = await card.authorised(payment)
    for pause in SCHEDULE[:-1]:
        system.clock.advance(pause)
        await system.tsp.payments.sweep()
        assert await opened(system) == []
    system.clock.advance(SCHEDULE[-1])
    await system.tsp.payments.sweep()
    assert [(row.kind, row.stands) for row in await opened(system)] == [("card-unknown", "mac1-issued")]
    for _ in range(3):
        system.clock.advance(86_400)
        await system.tsp.payments.sweep()
    assert len(await opened(system)) == 1
    assert (await box.get(f"/payments/{payment['payment']}"))["money"] == "unknown"
    # The card comes back after all: what it proves counts, and the case is nobody's any more.
    await box.post(f"/payments/{payment['payment']}/debit", body_of(card.debit(authorised)))
    await box.state(payment["payment"], "done")
    assert await system.tsp.database.write(lambda conn: housekeeping.settle_cases(conn, system.tsp.core)) == 1
    [row] = await system.rows(tables.cases)
    assert (row.state, row.decision) == ("decided", "settled")


async def test_pauses_that_are_shorter_than_the_sweep_s_own_are_kept(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(unknown_pauses="2,3")) as system:
        box = await system.box()
        await Card(box).authorised(await box.pay("card"))
        for looks, pause in enumerate((2, 3), 1):
            system.clock.advance(pause)
            while [row.looks for row in await system.rows(tables.payments)] != [looks]:
                pass
        assert [row.kind for row in await opened(system)] == ["card-unknown"]


async def test_whether_money_is_right_is_not_answered_by_a_payment_s_end(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    await Card(box).pay(payment)
    await box.state(payment["payment"], "done")
    asked = ("psam-number-moved", "amount-differs", "evidence-contradicts", "mac2-refused", "opening-overdue")

    def ask(conn: Any) -> int:
        for kind in asked:
            system.tsp.core.case(conn, payment["payment"], kind)
        return housekeeping.settle_cases(conn, system.tsp.core)

    assert await system.tsp.database.write(ask) == 1
    assert {row.kind for row in await opened(system)} == {*asked} - {"opening-overdue"}
    assert await decide(system, "close") == "opened"


async def test_a_proof_that_was_kept_but_not_checked_is_checked_without_the_box(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    card = Card(box)
    proof = body_of(card.debit(await card.authorised(payment)))
    kept = tables.debits.update().values(tac=proof["tac"], mac2=proof["mac2"])
    await system.tsp.database.write(lambda conn: conn.execute(kept))
    system.clock.advance(SCHEDULE[0])
    await system.tsp.payments.sweep()
    assert (await box.state(payment["payment"], "done"))["card"]["balance_after_fen"] is not None


async def test_a_kept_proof_that_a_person_accepts_opens_the_service(tmp_path: Path) -> None:
    async with proof_kept(tmp_path) as (system, box, payment, _proof):
        assert await decide(system, "accept-proof") == "paid"
        done = await box.state(payment["payment"], "done")
        assert (done["money"], done["valid_until"] is not None) == ("taken", True)
        fen = payment["amount_fen"]
        assert await stands(system, payment) == {books.CARD: fen, books.BOSS: -fen}
        record = [row for row in await system.rows(tables.audit.records) if row.action == "case-accept-proof"]
        assert (record[0].actor, record[0].subject) == ("Li", payment["payment"])
        assert json.loads(record[0].facts)["reason"] == "seen by hand"
        history = [row for row in await system.rows(tables.moves) if row.target == "paid"]
        assert "person:Li" in [row.actor for row in history]


async def test_what_a_person_writes_off_has_failed_until_a_proof_comes(tmp_path: Path) -> None:
    async with proof_kept(tmp_path) as (system, box, payment, proof):
        path = f"/payments/{payment['payment']}"
        assert await decide(system, "write-off") == "written-off"
        told = await box.get(path)
        assert (told["state"], told["money"], told["reason"]) == ("failed", "not-taken", "not-debited")
        assert await stands(system, payment) == {}
        for _ in range(2):  # more than once, each time booked anew
            assert (await box.refused(f"{path}/debit", proof))["code"] == "evidence-contradicts"
            assert books.UNKNOWN_CARD in await stands(system, payment)
            assert await faults(system) == []
            assert await decide(system, "write-off") == "written-off"
        await box.refused(f"{path}/debit", proof)
        assert await decide(system, "accept-proof") == "paid"
        assert (await box.state(payment["payment"], "done"))["money"] == "taken"


async def refused_by_boss(system: System) -> tuple[Box, Any]:
    """A card was debited for what cannot be opened."""
    box = await system.box()
    await system.grouped("drama", None)
    first, second = await box.pay("card", "movies", "monthly"), await box.pay("card", "drama", "monthly")
    card = Card(box)
    await card.pay(first)
    await box.state(first["payment"], "done")
    await system.grouped("drama", "premiere")
    await card.pay(second)
    await box.until(second["payment"], lambda view: view["reason"] is not None)
    return box, second


async def test_an_opening_is_tried_again_with_another_key(system: System) -> None:
    box, payment = await refused_by_boss(system)
    assert await decide(system, "retry-opening") == "paid"
    await box.until(
        payment["payment"], lambda view: view["reason"] is not None
    )  # refused once more: a case again
    cancelled = boss_tables.subscriptions.update().values(cancelled=True)
    await system.boss(lambda conn: conn.execute(cancelled))
    assert await decide(system, "retry-opening") == "paid"
    assert (await box.state(payment["payment"], "done"))["money"] == "taken"
    assert len(await system.rows(tables.cases)) == 2


async def test_money_that_is_returned_by_hand_is_booked_as_cash(system: System) -> None:
    box, payment = await refused_by_boss(system)
    assert await decide(system, "returned-by-hand") == "refunded"
    told = await box.get(f"/payments/{payment['payment']}")
    assert (told["state"], told["money"]) == ("late", "returned")
    fen = payment["amount_fen"]
    assert await stands(system, payment) == {books.CARD: fen, books.COUNTER: -fen}
    assert (await box.get(f"/orders/{payment['order']}"))["state"] == "closed"


async def test_what_a_wallet_took_too_much_or_too_little_of_goes_back_as_it_came(system: System) -> None:
    box = await system.box()
    payment = await box.pay("wallet:demo")
    wallet = system.tsp.core.wallets["demo"]
    query = wallet.query

    async def less(reference: str) -> Any:
        return replace(await query(reference), state="paid", amount_fen=1)

    wallet.query = less  # type: ignore[method-assign]
    await system.tsp.wallets.settle(payment["payment"], None, actor="wallet")
    assert await stands(system, payment) == {"receivable:wallet:demo": 1, books.DIFFERENCES: -1}
    assert await faults(system) == []
    sent = []

    async def refund(reference: str, name: str, amount_fen: int, why: str) -> None:
        sent.append(amount_fen)

    wallet.refund = refund  # type: ignore[method-assign]
    assert await decide(system, "refund") == "refunding"
    await box.until(payment["payment"], lambda view: view["money"] == "returned")
    assert sent == [1]
    assert await stands(system, payment) == {}


async def test_a_silent_wallet_is_a_case_and_can_be_written_off(system: System) -> None:
    box = await system.box()
    payment = await box.pay("wallet:demo")
    system.network.cut.add("/sandbox")
    system.clock.advance(180)
    await box.state(payment["payment"], "unknown")
    await wait_out(system)
    assert [row.kind for row in await opened(system)] == ["wallet-unknown"]
    assert await decide(system, "write-off") == "written-off"
    assert (await box.get(f"/payments/{payment['payment']}"))["money"] == "not-taken"


async def test_above_the_limit_two_people_decide(tmp_path: Path) -> None:
    async with proof_kept(tmp_path) as (system, box, payment, _proof):
        await decided_by_two_from(system, payment["amount_fen"])
        for second in (None, "", "\u200b.", " li ", "\uff2ci", "L\u200bi"):
            with pytest.raises(CaseRefused, match="a second person is wanted"):
                await decide(system, "accept-proof", second=second)
        assert await decide(system, "accept-proof", second="Wang") == "paid"
        [row] = await system.rows(tables.cases)
        assert (row.actor, row.second, row.reason) == ("Li", "Wang", "seen by hand")
        await box.state(payment["payment"], "done")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"action": "refund"}, "refund is not for a payment that is proof-kept"),
        ({"action": "close"}, "close is not for a payment that is proof-kept"),
        ({"action": "burn"}, "no action 'burn'"),
        ({"reason": " "}, "a reason and an actor are wanted"),
        ({"actor": ""}, "a reason and an actor are wanted"),
        ({"case": "none"}, "there is no case none"),
    ],
)
async def test_what_cannot_be_decided_so_changes_nothing(
    tmp_path: Path, other: dict[str, str], said: str
) -> None:
    async with proof_kept(tmp_path) as (system, _box, payment, _proof):
        before = await stands(system, payment)
        with pytest.raises(CaseRefused, match=said):
            await decide(system, **{"action": "accept-proof", **other})
        assert await stands(system, payment) == before
        assert len(await opened(system)) == 1


async def test_the_command_lists_shows_and_decides_beside_a_server_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with proof_kept(tmp_path) as (system, box, payment, _proof):
        url = databases.of(tmp_path)
        where = ["--data", str(tmp_path), *(["--database", url] if url else [])]

        async def said(*words: str) -> tuple[int, str]:
            options = parse(["cases", *words, *where], ROLES)
            code = await to_thread(command.run, options, system.clock)
            told = capsys.readouterr()
            return code, told.out + told.err

        [case] = await opened(system)
        code, text = await said("list")
        assert (code, case.id in text, "psam-number-moved" in text) == (0, True, True)
        heading, line = text.splitlines()
        assert (line.index("proof-kept"), line[26:28]) == (heading.index("STANDS AS"), "  ")
        code, text = await said("show", case.id)
        decisions = [line.split()[1] for line in text.splitlines() if line.startswith("decide")]
        assert decisions == ["accept-proof:", "write-off:"]
        assert re.search(r"^service   .+, \w+$", text, re.MULTILINE)
        assert re.search(r"^card      .*\*.*[0-9]{4}$", text, re.MULTILINE), text
        assert f"box       {box.number}\n" in text
        assert (await said("show", "none"))[0] == 1
        done = ("decide", case.id, "--reason", "TAC is right", "--actor", "Li", "--action")
        code, text = await said(*done, "refund")
        assert (code, "refund is not for" in text) == (1, True)
        code, text = await said(*done, "accept-proof")
        assert (code, text) == (0, f"case {case.id}: accept-proof; the payment is paid now\n")
        assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "paid"
        system.clock.advance(outbox.LOOK_EVERY.total_seconds())  # nobody has told this process
        await box.state(payment["payment"], "done")
        code, text = await said(*done, "accept-proof")
        assert (code, "is decided: accept-proof by Li" in text) == (1, True)
        assert (await said("list"))[1] == "no open cases\n"
        assert "accept-proof by Li" in (await said("list", "--all"))[1]
        actions = [row.action for row in await system.rows(tables.audit.records)]
        assert [action for action in actions if action.startswith("case-")] == [
            "case-refused",
            "case-accept-proof",
            "case-refused",
        ]


async def test_a_person_accepts_the_proof_that_the_case_shows(tmp_path: Path) -> None:
    forged = {"tac": "DEADBEEF", "mac2": "DEADBEEF"}
    async with proof_kept(tmp_path) as (system, box, payment, proof):
        await box.refused(f"/payments/{payment['payment']}/debit", forged)
        about = {json.loads(row.facts)["tac"]: row for row in await opened(system)}
        assert set(about) == {proof["tac"], "DEADBEEF"}
        core = system.tsp.core
        decision = Decision(about["DEADBEEF"].id, "accept-proof", "the bank says so", "Li", "Wang")
        await core.change(payment["payment"], lambda conn: cases.decide(conn, core, decision))
        done = await box.state(payment["payment"], "done")
        (taken,) = [row for row in await system.rows(tables.debits) if row.payment_id == done["payment"]]
        assert (taken.tac, taken.mac2) == ("DEADBEEF", "DEADBEEF")
        (told,) = [
            row for row in await system.rows(tables.audit.records) if row.action == "case-accept-proof"
        ]
        facts = json.loads(told.facts)
        assert (facts["tac"], facts["instead_of"]) == ("DEADBEEF", [proof["tac"], proof["mac2"]])
    async with proof_kept(tmp_path / "other") as (system, box, payment, proof):
        await box.refused(f"/payments/{payment['payment']}/debit", forged)
        (number,) = [row for row in await opened(system) if row.kind == "psam-number-moved"]
        assert f"tac       {proof['tac']}" in command.shown(number)
        core = system.tsp.core
        decision = Decision(number.id, "accept-proof", "seen", "Li", "Wang")
        await core.change(payment["payment"], lambda conn: cases.decide(conn, core, decision))
        kept = [row.tac for row in await system.rows(tables.debits) if row.payment_id == payment["payment"]]
        assert kept == [proof["tac"]]
