"""A whole card number in a reason: refused beside its field, by the roles too, and masked where one stands already."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Connection, select

from server_stub.backoffice import proposals
from server_stub.backoffice import tables as own
from server_stub.boss import cancelling
from server_stub.boss import tables as boss
from server_stub.foundation.sentences import Refusal
from server_stub.reconciliation.book import Decision
from server_stub.reconciliation.records import Cls, Difference
from server_stub.tsp import cases, settlement, tables
from server_stub.tsp.remedies import Remedies
from tests.server_stub.backoffice.breaks import break_of, planted
from tests.server_stub.backoffice.desk import let_in, office_of
from tests.server_stub.backoffice.differences import record
from tests.server_stub.backoffice.test_cases import case_of, unknown, wait
from tests.server_stub.system import System
from tests.server_stub.tsp.mornings import bought
from tests.server_stub.tsp.test_uploads import DAY

pytestmark = pytest.mark.anyio
CARD = "4111 1111 1111 1111"
REASON = f"Card {CARD}, asked the bank"
MASKED = "4111 11** **** 1111"
SAID = "Here stands a whole card number. Write its last four digits only."


async def small_difference(system: System) -> str:
    """One below the limit; its path."""
    one = record("SMALL", 1_500, "opened", DAY)
    await planted(system, [Difference(Cls.MISSING_THERE, one.key, one, None)])
    return await break_of(system, Cls.MISSING_THERE)


async def kept(system: System) -> str:
    """All that is kept of what people have said."""
    found = []
    for role, wanted in (
        ("tsp", (tables.audit.records, tables.cases, tables.settlements, tables.book.breaks)),
        ("boss", (boss.audit.records,)),
        ("backoffice", (own.audit.records, own.proposals)),
    ):
        books = office_of(system).books(role)
        for table in wanted:
            found += await books.read(
                lambda conn, table=table: [str(row) for row in conn.execute(select(table))]
            )
    return "".join(found)


async def test_every_form_whose_text_is_kept_refuses_it_beside_the_field(system: System) -> None:
    await unknown(system, "sports", "monthly")
    await wait(system)
    await bought(system, await system.box("85312047"), "kids")
    difference = await small_difference(system)
    now = system.clock.now()

    def plant(conn: Connection) -> None:
        row = {"terminal": "88310001", "begun_at": now, "batch": "000042", "state": "differs"}
        row |= {"counted_fen": 0, "counted_count": 0}
        conn.execute(tables.settlements.insert().values(**row, told_fen=1, told_count=1))
        conn.execute(tables.psam_locks.insert().values(psam="sim:1", locked_at=now))

    await system.tsp.database.write(plant)
    chief = await let_in(system, "chen", "clerk,supervisor,admin")
    case = await case_of(chief)
    (mine,) = (
        await office_of(system)
        .books("boss")
        .read(
            lambda conn: list(
                conn.scalars(select(boss.orders.c.subscription_id).where(boss.orders.c.state == "opened"))
            )
        )
    )
    service = f"/boxes/85312047/services/{mine}"
    forms: tuple[tuple[str, str, dict[str, str]], ...] = (
        (case, case, {"action": "write-off"}),
        (difference, difference, {"action": "close"}),
        (service, service, {}),
        ("/boxes/85312047/suspend", "/boxes/85312047", {}),
        ("/batches/000042", "/batches", {"terminal": "88310001"}),
        ("/psams/unlock", "/psams", {"psam": "sim:1"}),
    )
    for path, at, form in forms:
        answer = await chief.post(path, at, reason=REASON, confirmed="yes", **form)
        assert (answer.status_code, SAID in answer.text) == (422, True), path
        assert 'class="hint bad"' in answer.text, path
        assert CARD not in answer.text, path
    assert CARD not in await kept(system)
    await chief.post("/language", "/help", language="zh")
    answer = await chief.post(difference, difference, reason=REASON, action="close")
    assert "这里有完整卡号，请只写后四位" in answer.text
    assert f"Card {MASKED}, asked the bank</textarea>" in answer.text


async def test_the_roles_refuse_it_too_and_log_it_masked(system: System) -> None:
    await unknown(system, "sports", "monthly")
    await wait(system)
    payment = await bought(system, await system.box("85312047"), "kids")
    difference = await small_difference(system)
    core, office = system.tsp.core, office_of(system)
    (case,) = [row.id for row in await system.rows(tables.cases)]
    wrong = Decision(difference.split("/")[-1], "close", REASON, "Wu")

    def decide(conn: Connection) -> Any:
        actions = Remedies(office.moves()).actions("boss")
        return tables.book.decide(conn, core.clock, tables.audit, actions, wrong, second_fen=5_000)

    def cancel(conn: Connection) -> None:
        cancelling.cancel(conn, core.clock, payment["order"], reason=REASON, actor="Wu")

    def decide_case(conn: Connection) -> Any:
        return cases.decide(conn, core, cases.Decision(case, "write-off", REASON, "Wu"))

    def decide_batch(conn: Connection) -> Any:
        return settlement.decide(conn, core.clock, "000042", REASON, "Wu", "staff:Wu", "88310001")

    for role, work in (("tsp", decide), ("tsp", decide_batch), ("boss", cancel), ("tsp", decide_case)):
        with pytest.raises(Refusal, match="whole card number"):
            await office.books(role).write(work)
    await core.database.write(
        lambda conn: tables.book.note_refused(conn, core.clock, tables.audit, wrong, "so")
    )
    assert CARD not in await kept(system)
    assert MASKED in await kept(system)


async def test_one_that_was_kept_before_is_shown_masked(system: System) -> None:
    await unknown(system, "sports", "monthly")
    await wait(system)
    difference = await small_difference(system)
    core, office = system.tsp.core, office_of(system)
    name = difference.split("/")[-1]

    def plant(conn: Connection) -> None:
        closed = {"state": "closed", "closed_at": core.clock.now(), "action": "close", "actor": "wu"}
        conn.execute(tables.book.breaks.update().values(**closed, reason=REASON))
        conn.execute(tables.book.events.update().values(facts=json.dumps({"reason": REASON})))
        conn.execute(
            tables.cases.update().values(state="decided", decision="write-off", actor="wu", reason=REASON)
        )
        row = {"terminal": "88310001", "begun_at": core.clock.now(), "batch": "000042", "state": "decided"}
        conn.execute(
            tables.settlements.insert().values(**row, told_fen=1, told_count=1, reason=REASON, actor="wu")
        )
        tables.audit.append(conn, core.clock, "wu", "break-close", name, reason=REASON, note=REASON)

    await core.database.write(plant)
    await proposals.propose(office, "break", name, "wu", {"action": "close", "reason": REASON})
    chief = await let_in(system, "chen", "clerk,supervisor,admin")
    (case,) = [row.id for row in await system.rows(tables.cases)]
    for path in (
        difference,
        f"/cases/{case}",
        "/batches",
        "/proposals",
        "/audit?role=tsp",
        "/audit?role=backoffice",
    ):
        page = (await chief.get(path)).text
        assert (CARD in page, MASKED in page) == (False, True), path
    reopened = tables.cases.update().values(state="open", decision=None, actor=None, reason=None)
    await core.database.write(lambda conn: conn.execute(reopened))
