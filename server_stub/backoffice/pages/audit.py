"""The audit logs of every role: searched, and their chains verified."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from server_stub.backoffice import code_words
from server_stub.backoffice.errors import Unknown
from server_stub.backoffice.office import METADATA, Office
from server_stub.backoffice.pairs import day_of, wrong_days
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.tasks import Progress
from server_stub.backoffice.visit import Form, Visit
from server_stub.foundation.audit import Audit
from server_stub.foundation.clock import CHINA

SHOWN = 50
PATHS = (
    ("case-refused", "/cases/{}"),
    ("case-", "/transactions/{}"),
    ("break-", "/breaks/{}"),
    ("box-", "/boxes/{}"),
    ("key-", "/boxes/{}"),
    ("partner-", "/partners/{}"),
    ("order-cancelled", "/transactions?order={}"),
    ("psam-", "/psams/module?psam={}"),
)
"""Where the subjects of records have a page, by how their action begins."""
pages = Pages()


def logs(office: Office) -> list[str]:
    """The roles here that have an audit log."""
    return [
        role
        for role, one in METADATA.items()
        if one.info.get("audit") is not None and role in office.databases
    ]


@pages.get("/audit", Right.AUDIT)
async def search(visit: Visit) -> Response:
    """Records of one role's log, the newest first."""
    office, said = visit.office, visit.query
    roles = logs(office)
    role = said.text("role") if said.text("role") in roles else roles[0]
    names = ("role", "actor", "action", "subject", "from", "to")
    told = {name: said.text(name) for name in names} | {"role": role}
    log: Audit = METADATA[role].info["audit"]
    before = said.number("before")

    wrong = wrong_days(visit, "from", "to")

    def look(conn: Connection) -> list[Any]:
        if wrong:
            return []
        records = log.records.c
        query = select(log.records)
        if before:
            query = query.where(records.sequence < before)
        for name in ("actor", "action", "subject"):
            if told[name]:
                query = query.where(records[name].startswith(told[name], autoescape=True))
        since, until = _days(said)
        if since is not None:
            query = query.where(records.at >= since)
        if until is not None:
            query = query.where(records.at < until)
        return list(conn.execute(query.order_by(records.sequence.desc()).limit(SHOWN + 1)))

    rows = await office.books(role).read(look)
    older = rows[SHOWN - 1].sequence if len(rows) > SHOWN else 0
    facts: dict[str, Any] = {"rows": rows[:SHOWN], "roles": roles, "told": told, "before": before}
    named = partial(code_words.subject, visit.language)
    facts |= {"older": older, "path_of": path_of, "subject_of": lambda row: named(row.action, row.subject)}
    return visit.page("audit.html", **facts, wrong=wrong)


def path_of(row: Row[Any]) -> str:
    """The page of what a record is about; "" where it has none."""
    for beginning, path in PATHS:
        if row.action.startswith(beginning):
            return path.format(quote(row.subject))
    return ""


def _days(said: Form) -> tuple[datetime | None, datetime | None]:
    """From the first day, to the end of the last one."""

    def day(name: str) -> datetime | None:
        found = day_of(said.text(name))
        return None if found is None else datetime.combine(found, time(), CHINA)

    last = day("to")
    return day("from"), None if last is None else last + timedelta(days=1)


@pages.post("/audit/verify", Right.AUDIT)
async def verify(visit: Visit) -> Response:
    """Goes through the whole chain of a role's log, which may take a while."""
    office, role = visit.office, visit.form.text("role")
    if role not in logs(office):
        raise Unknown
    log: Audit = METADATA[role].info["audit"]

    async def work(progress: Progress) -> Mapping[str, Any]:
        books = office.books(role)
        head = await books.look(lambda conn: conn.execute(select(log.head.c.sequence)).scalar_one_or_none())
        whole = max(1, head or 0)
        verdict = await books.read(
            lambda conn: log.verify(conn, progress=lambda count: progress(100 * count / whole))
        )
        fault = None if verdict.fault is None else verdict.fault.kept
        return {"role": role, "count": verdict.count, "last": verdict.last, "fault": fault}

    task = await office.tasks.begin("verify", visit.person.name, work)
    await asyncio.sleep(0)  # most logs are through before anybody has looked
    return visit.go(f"/tasks/{task}")
