"""Names of those who decide, as they stay in the books: none is a whole card number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from server_stub.tsp import cases, tables
from server_stub.tsp.cases import CaseRefused
from tests.server_stub.system import Card, System

pytestmark = pytest.mark.anyio
CARD, MASKED = "4111111111111111", "4111 11** **** 1111"


@pytest.mark.parametrize("names", [{"actor": CARD}, {"second": f"Li {CARD}"}])
async def test_a_case_is_decided_by_nobody_with_a_card_number_for_a_name(
    system: System, names: dict[str, str]
) -> None:
    box = await system.box()
    await Card(box).authorised(await box.pay("card", "sports", "monthly"))
    for seconds in system.tsp.core.settings.unknown_schedule:
        system.clock.advance(seconds)
        await system.tsp.payments.sweep()
    (case,) = await system.rows(tables.cases)
    core = system.tsp.core
    wrong = replace(cases.Decision(case.id, "write-off", "asked the bank", "Wu"), **names)

    def decide(conn: Connection) -> Any:
        return cases.decide(conn, core, wrong)

    with pytest.raises(CaseRefused, match="a whole card number"):
        await core.database.write(decide)
    await core.database.write(lambda conn: cases.note_refused(conn, core, wrong, "so"))
    (row,) = await system.rows(tables.cases)
    assert (row.state, row.actor) == ("open", None)
    log = tables.audit.records
    (noted,) = await core.database.read(
        lambda conn: list(conn.execute(select(log).where(log.c.action == "case-refused")))
    )
    assert CARD not in str(noted)
    assert MASKED in str(noted)
