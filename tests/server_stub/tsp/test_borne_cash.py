"""Electronic cash whose certificate nobody has: a person has the service opened, and the operator bears it. ONL-7"""

from __future__ import annotations

import json
import socket
from asyncio import to_thread
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from server_stub import cases as command
from server_stub.app import ROLES
from server_stub.cli import parse
from server_stub.foundation import outbox
from server_stub.foundation.ledger import Account
from server_stub.settings import Settings
from server_stub.tsp import books, cases, tables
from server_stub.tsp.cases import CaseRefused, Decision
from server_stub.tsp.invariants import invariants
from tests.server_stub.system import Box, Card, System, databases, decided_by_two_from, faults, running
from tests.server_stub.tsp.test_electronic_cash import HELD_FEN, Terminal
from tests.server_stub.tsp.test_online_card import ANSWER_S, at_issuer

pytestmark = pytest.mark.anyio
UNPAID = {"balance_fen": HELD_FEN, "atc": 18, "logged": False, "declined": False}
LOST = {**UNPAID, "logged": True}


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    with socket.create_server(("127.0.0.1", 0)) as terminals:
        async with running(tmp_path / "data", Settings(ppp_seconds=ANSWER_S), terminals=terminals) as system:
            yield system


class Lost:
    """A payment with electronic cash that has no certificate at the TSP, and what can be done about it."""

    def __init__(self, system: System, box: Box, payment: Any, certificate: Any) -> None:
        self.system, self.box, self.payment, self.certificate = system, box, payment, certificate
        self.fen: int = payment["amount_fen"]
        self.path = f"/payments/{payment['payment']}"

    @classmethod
    async def of(
        cls, system: System, stands: dict[str, Any] | None = LOST, begun: tuple[Box, Any] | None = None
    ) -> Lost:
        """``stands``: what the card has said when it came back; None: it has not. ``begun``: box and payment, if there are."""
        box = begun[0] if begun else await system.box()
        payment = begun[1] if begun else await box.pay("card")
        terminal = Terminal(system, box)
        await box.post(f"/payments/{payment['payment']}/offline", await terminal.begin(payment))
        lost = cls(system, box, payment, terminal.certificate())
        if stands is not None:
            await box.post(f"{lost.path}/no-certificate", stands)
        return lost

    async def decide(self, action: str, **other: Any) -> str:
        core = self.system.tsp.core
        case = (await self.open_cases())[0]
        decision = replace(Decision(case.id, action, "the card is broken", "Li"), **other)
        return (await core.change(case.payment_id, lambda conn: cases.decide(conn, core, decision))).state

    async def open_cases(self) -> list[Any]:
        return await self.system.tsp.database.read(cases.listed)

    async def borne(self) -> Any:
        assert await self.decide("open-service") == "paid"
        return await self.box.state(self.payment["payment"], "done")

    async def stands(self) -> dict[str, int]:
        name = self.payment["payment"]
        return await self.system.tsp.database.read(lambda conn: tables.ledger.standing(conn, name))

    async def until_paid_for(self) -> None:
        while books.BORNE in await self.stands():
            pass


async def test_the_service_opens_and_the_operator_bears_it(system: System) -> None:
    lost = await Lost.of(system)
    told = await lost.borne()
    assert (told["money"], told["reason"], told["valid_until"] is None) == (
        "taken",
        "opened-by-operator",
        False,
    )
    assert await lost.stands() == {books.BORNE: lost.fen, books.BOSS: -lost.fen}
    assert await at_issuer(system) == []
    assert await faults(system) == []
    assert await lost.open_cases() == []
    [record] = [row for row in await system.rows(tables.audit.records) if row.action == "case-open-service"]
    assert (record.actor, record.subject) == ("Li", lost.payment["payment"])
    assert json.loads(record.facts)["reason"] == "the card is broken"
    history = [row.actor for row in await system.rows(tables.moves) if row.target == "paid"]
    assert history == ["person:Li"]
    assert (await lost.box.get("/home"))["spending"][-1]["amount_fen"] == lost.fen


async def test_a_certificate_that_comes_all_the_same_turns_the_loss_around_once(system: System) -> None:
    """The card was never seen again, but its certificate stood on the disk of a box in a cupboard."""
    lost = await Lost.of(system, None)
    await system.tsp.database.write(
        lambda conn: system.tsp.core.case(conn, lost.payment["payment"], "card-unknown")
    )
    await lost.borne()
    for key in ("first-one", "second-one"):
        told = await lost.box.post(f"{lost.path}/certificate", lost.certificate, key=key)
        assert (told["state"], told["money"]) == ("done", "taken")
    await lost.until_paid_for()
    assert (await lost.box.get(lost.path))["reason"] is None
    assert await lost.stands() == {books.CARD: lost.fen, books.BOSS: -lost.fen}
    assert [state for _, state, _ in await at_issuer(system)] == ["approved"]
    assert await faults(system) == []
    targets = [row.target for row in await system.rows(tables.moves) if row.row == lost.payment["payment"]]
    assert targets == ["cash-begun", "paid", "opened"]


async def test_what_ppp_owes_while_boss_is_away_is_booked_too(system: System) -> None:
    lost = await Lost.of(system)
    system.network.cut.add("/boss")
    assert await lost.decide("open-service") == "paid"
    told = await lost.box.get(lost.path)
    assert (told["state"], told["money"], told["reason"]) == ("paid", "taken", None)
    assert await lost.stands() == {books.BORNE: lost.fen, books.ORDERS: -lost.fen}
    await lost.box.post(f"{lost.path}/certificate", lost.certificate)
    await lost.until_paid_for()
    assert await lost.stands() == {books.CARD: lost.fen, books.ORDERS: -lost.fen}
    system.network.cut.clear()
    system.clock.advance(60)
    await lost.box.state(lost.payment["payment"], "done")
    assert await lost.stands() == {books.CARD: lost.fen, books.BOSS: -lost.fen}
    assert await faults(system) == []


@pytest.mark.parametrize("before", [True, False])
async def test_a_certificate_that_ppp_refuses_is_told_again_by_a_person(system: System, before: bool) -> None:
    """PPP has refused it before the service was opened, or it came after that: what the operator bears stays a case."""
    assert system.roles.ppp is not None
    lost = await Lost.of(system, None if before else LOST)
    wrong = system.roles.ppp.faults
    wrong.refuse, wrong.refuse_mti = "05", "0320"
    if before:
        await lost.box.post(f"{lost.path}/certificate", lost.certificate)
        await lost.box.until(lost.payment["payment"], lambda view: view["reason"] == "certificate-refused")
    await lost.borne()
    if not before:
        with_case = len(await system.rows(tables.cases)) + 1
        await lost.box.post(f"{lost.path}/certificate", lost.certificate)
        while len(await system.rows(tables.cases)) < with_case:
            pass
    assert [case.kind for case in await lost.open_cases()] == ["certificate-refused"]
    assert (await lost.box.get(lost.path))["state"] == "done"
    assert await lost.stands() == {books.BORNE: lost.fen, books.BOSS: -lost.fen}
    assert await faults(system) == []
    [case] = await lost.open_cases()
    assert cases.able(case, case.stands, case) == ["present-again", "close"]
    wrong.refuse = None
    assert await lost.decide("present-again") == "opened"
    await lost.until_paid_for()
    assert await lost.stands() == {books.CARD: lost.fen, books.BOSS: -lost.fen}
    assert await faults(system) == []


async def test_nothing_is_presented_again_where_no_certificate_was_refused(system: System) -> None:
    lost = await Lost.of(system)
    await lost.borne()
    await system.tsp.database.write(
        lambda conn: system.tsp.core.case(conn, lost.payment["payment"], "certificate-lost")
    )
    [case] = await lost.open_cases()
    assert cases.able(case, case.stands, case) == ["close"]
    with pytest.raises(CaseRefused, match="no certificate is kept that PPP has refused"):
        await lost.decide("present-again")


async def test_a_card_that_has_not_paid_is_for_a_person_and_the_service_stays(system: System) -> None:
    lost = await Lost.of(system, None)
    await system.tsp.database.write(
        lambda conn: system.tsp.core.case(conn, lost.payment["payment"], "card-unknown")
    )
    await lost.borne()
    told = await lost.box.post(f"{lost.path}/no-certificate", LOST)
    assert (told["state"], await lost.open_cases()) == ("done", [])
    told = await lost.box.post(f"{lost.path}/no-certificate", UNPAID, key="and-once-more")
    assert (told["state"], told["money"]) == ("done", "taken")
    [case] = await lost.open_cases()
    assert (case.kind, json.loads(case.facts)["balance_fen"]) == ("evidence-contradicts", HELD_FEN)
    assert await faults(system) == []
    assert await lost.decide("close") == "opened"


async def test_above_the_limit_two_people_open_it(system: System) -> None:
    lost = await Lost.of(system)
    await decided_by_two_from(system, lost.fen)
    with pytest.raises(CaseRefused, match="a second person is wanted"):
        await lost.decide("open-service")
    assert await lost.decide("open-service", second="Wang") == "paid"
    await lost.box.state(lost.payment["payment"], "done")


async def test_what_boss_does_not_open_is_paid_back_by_the_operator_until_ppp_pays(system: System) -> None:
    box = await system.box()
    await system.grouped("drama", None)
    movies = await box.pay("card", "movies", "monthly")
    lost = await Lost.of(system, LOST, (box, await box.pay("card", "drama", "monthly")))
    await Card(box).pay(movies)
    await box.state(movies["payment"], "done")
    await system.grouped("drama", "premiere")
    assert await lost.decide("open-service") == "paid"
    refused = await lost.box.until(
        lost.payment["payment"], lambda view: view["reason"] == "service-not-opened"
    )
    assert (refused["state"], refused["money"]) == ("paid", "taken")
    assert await lost.decide("returned-by-hand") == "refunded"
    assert (await lost.box.get(lost.path))["money"] == "returned"
    assert await lost.stands() == {books.BORNE: lost.fen, books.COUNTER: -lost.fen}
    await lost.box.post(f"{lost.path}/certificate", lost.certificate)
    await lost.until_paid_for()
    assert await lost.stands() == {books.CARD: lost.fen, books.COUNTER: -lost.fen}
    assert await faults(system) == []


async def test_only_electronic_cash_without_a_certificate_is_opened_so(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    await Terminal(system, box).pay(payment)
    await box.state(payment["payment"], "done")
    await system.tsp.database.write(
        lambda conn: system.tsp.core.case(conn, payment["payment"], "card-unknown")
    )
    lost = Lost(system, box, payment, None)
    with pytest.raises(CaseRefused, match="open-service is not for a payment that is opened"):
        await lost.decide("open-service")


async def told_with(system: System, change: Any) -> str:
    """What ``stb-server check`` would say of the TSP after such a change."""
    core = system.tsp.core

    def look(conn: Connection) -> str:
        with conn.begin_nested() as tried:
            conn.execute(change)
            said = invariants(conn, core.clock.now(), core.settings)
            tried.rollback()
        return "\n".join(said)

    return await core.database.write(look)


async def test_check_finds_what_is_borne_without_a_decision_or_though_ppp_has_paid(system: System) -> None:
    lost = await Lost.of(system)
    await lost.borne()
    assert "opened with 0.00 of" in await told_with(system, update(tables.cases).values(decision="close"))
    answered = update(tables.certificates).values(chip="9F270140", response_code="00")
    assert "opened with 0.00 of" in await told_with(system, answered)
    here = update(tables.certificates).values(chip="9F270140")
    assert "PPP is not owed it" in await told_with(system, here)


async def test_check_knows_a_certificate_that_is_owed_to_ppp(system: System) -> None:
    assert system.roles.ppp is not None
    lost = await Lost.of(system)
    await lost.borne()
    assert system.tsp.online_cards._line.pos is not None
    await system.tsp.online_cards._line.pos.keys()
    system.roles.ppp.faults.drop_answers = True
    await lost.box.post(f"{lost.path}/certificate", lost.certificate)
    await system.tried("present")
    assert await faults(system) == []
    # PPP knows it and has booked it, and the TSP has not heard: told again, it is one purchase.
    system.roles.ppp.faults.drop_answers = False
    system.clock.advance(5)
    await lost.until_paid_for()
    assert len(await at_issuer(system)) == 1


async def test_the_command_decides_also_before_a_server_has_opened_the_accounts(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = await Lost.of(system)
    newer = {**books.CHART, "expense:newer": (Account("expense:newer", "expense"), "Of a newer program.")}
    monkeypatch.setattr(books, "CHART", newer)
    [case] = await lost.open_cases()
    data = tmp_path / "data"
    url = databases.of(data)
    where = ["--data", str(data), *(["--database", url] if url else [])]
    done = ["--action", "open-service", "--reason", "the card is broken", "--actor", "Li"]
    options = parse(["cases", "decide", case.id, *done, *where], ROLES)
    assert await to_thread(command.run, options, system.clock) == 0
    assert "expense:newer" in {row.name for row in await system.rows(tables.ledger.accounts)}
    system.clock.advance(outbox.LOOK_EVERY.total_seconds())  # nobody has told this process
    await lost.box.state(lost.payment["payment"], "done")
    assert await lost.stands() == {books.BORNE: lost.fen, books.BOSS: -lost.fen}
