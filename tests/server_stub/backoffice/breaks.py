"""Differences in a back office: found, looked up, proposed about, and what was logged of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from server_stub.backoffice import tables as own
from server_stub.foundation.audit import Audit
from server_stub.reconciliation.records import Cls, Difference
from server_stub.tsp import tables
from tests.server_stub.backoffice.desk import office_of
from tests.server_stub.backoffice.differences import compared
from tests.server_stub.system import System
from tests.server_stub.tsp.test_uploads import DAY


async def planted(system: System, differences: list[Difference], **more: Any) -> str:
    """A comparison has found them; returns its id."""
    core = system.tsp.core
    return await core.database.write(
        lambda conn: compared(conn, core.ids, core.clock, DAY, differences, **more)
    )


async def break_of(system: System, cls: Cls) -> str:
    """The address of the one break of a class."""
    (row,) = [row for row in await system.rows(tables.book.breaks) if row.cls == cls]
    return f"/breaks/{row.id}"


async def standing(system: System, cls: Cls) -> tuple[str, str | None, str | None, str | None]:
    (row,) = [row for row in await system.rows(tables.book.breaks) if row.cls == cls]
    return row.state, row.action, row.actor, row.second


async def logged(system: System, role: str, log: Audit, action: str) -> list[Any]:
    query = select(log.records).where(log.records.c.action == action)
    return await office_of(system).books(role).read(lambda conn: list(conn.execute(query)))


async def in_office(system: System) -> list[tuple[str, str, str | None]]:
    query = select(own.proposals).order_by(own.proposals.c.id)
    rows = await office_of(system).database.read(lambda conn: conn.execute(query).all())
    return [(row.state, row.proposed_by, row.second) for row in rows]
