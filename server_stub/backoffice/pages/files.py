"""Exchanged files of every role: every version, its hash, its history, what has used it, and its content."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from sqlalchemy import Connection, Row, and_, select
from starlette.responses import FileResponse, Response

from server_stub.backoffice.errors import Away, Clash, Unknown
from server_stub.backoffice.office import METADATA, Office
from server_stub.backoffice.pairs import wrong_days
from server_stub.backoffice.recon_words import DIRECTIONS, FILE_STATES, PARTNERS
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.tables import audit
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_, ROLES
from server_stub.foundation import statements
from server_stub.foundation.files import Files, Store
from server_stub.tsp.tables import book, upload_days

SHOWN = 50
pages = Pages()


def registers(office: Office) -> list[str]:
    """The roles here that exchange files."""
    return [role for role, one in METADATA.items() if "files" in one.info and role in office.databases]


def register_of(role: str) -> Files:
    """The register of a role. Raises Unknown."""
    found: Files | None = METADATA[role].info.get("files") if role in METADATA else None
    if found is None:
        raise Unknown
    return found


@pages.get("/files", Right.SEE)
async def listed(visit: Visit) -> Response:
    """Versions of files of one role, the newest first."""
    office, said = visit.office, visit.query
    roles = registers(office)
    if not roles:
        raise Away("tsp")
    role = said.text("role") if said.text("role") in roles else roles[0]
    names = ("partner", "direction", "day", "state", "q")
    told, before = {name: said.text(name) for name in names} | {"role": role}, said.text("before")
    table = register_of(role).files

    def look(conn: Connection) -> list[Row[Any]]:
        wanted = [table.c[name] == told[name] for name in names if name != "q" and told[name]]
        if told["q"]:
            wanted.append(table.c.name.contains(told["q"], autoescape=True))
        if before:
            wanted.append(table.c.id < before)
        query = select(table).where(and_(True, *wanted)).order_by(table.c.id.desc())
        return list(conn.execute(query.limit(SHOWN + 1)))

    rows = await office.books(role).read(look)
    facts: dict[str, Any] = {"rows": rows[:SHOWN], "told": told, "before": before}
    facts |= {"older": rows[SHOWN - 1].id if len(rows) > SHOWN else ""}
    facts |= {"roles": [(one, visit.t(ROLES[one])) for one in roles]}
    facts |= {"states": [(one, visit.t(mark.text)) for one, mark in FILE_STATES.items()]}
    mine = [(one, visit.t(text)) for one, text in PARTNERS.items() if one != role]
    others = {told["partner"]} - {"", *PARTNERS}  # an account that has no words
    facts |= {"partners": [*mine, *((one, one) for one in others)]}
    facts |= {"directions": [(one, visit.t(text)) for one, text in DIRECTIONS.items()]}
    return visit.page("files.html", **facts, wrong=wrong_days(visit, "day"))


@pages.get("/files/{role}/{file}", Right.SEE)
async def one(visit: Visit) -> Response:
    """One version, the others of its name, and what has become of it."""
    office, role, name = visit.office, visit.path["role"], visit.path["file"]
    register = register_of(role)
    table = register.files.c

    def look(conn: Connection) -> dict[str, Any]:
        file = _find(conn, register, name)
        same = and_(table.partner == file.partner, table.direction == file.direction, table.name == file.name)
        others = select(register.files).where(same).order_by(table.version.desc()).limit(SHOWN)
        history = register.history(conn, name)
        uses = _uses(conn, file) if role == "tsp" else ([], None)
        return {"versions": conn.execute(others).all(), "history": history, "file": file, "uses": uses}

    told = await office.books(role).read(look)
    file = told["file"]
    here = file.kept is not None and await asyncio.to_thread(_size, office, role, file.sha256) is not None
    known = sorted((fact, value) for fact, value in json.loads(file.facts).items() if fact != "mark")
    return visit.page("file.html", **told, role=role, here=here, known=known)


def _uses(conn: Connection, file: Row[Any]) -> tuple[list[tuple[Row[Any], bool]], Row[Any] | None]:
    """The comparisons of a file's day, each with whether it has used this version; and the day at UnionPay that it is of."""
    mine = (book.runs.c.pair == file.partner) & (book.runs.c.day == file.day)
    runs = conn.execute(select(book.runs).where(mine).order_by(book.runs.c.id.desc())).all()
    used = [(run, any(one.get("id") == file.id for one in _said(run))) for run in runs]
    day = statements.one(conn, upload_days, day=file.day) if file.partner == "ppp" and file.day else None
    return used, day


def _said(run: Row[Any]) -> list[dict[str, Any]]:
    return [one for one in json.loads(run.files or "{}").values() if isinstance(one, dict)]


@pages.get("/files/{role}/{file}/content", Right.FILES)
async def content(visit: Visit) -> Response:
    """What stands in it, to be kept elsewhere; who has had it stands in the audit log."""
    office, role, name = visit.office, visit.path["role"], visit.path["file"]
    register = register_of(role)
    file = await office.books(role).read(lambda conn: _find(conn, register, name))
    if await asyncio.to_thread(_size, office, role, file.sha256) is None:
        raise Clash(N_("The content is not kept on this machine (any more)."))
    told = {"role": role, "partner": file.partner, "name": file.name, "version": file.version}
    actor = visit.person.name
    await office.database.write(
        lambda conn: audit.append(conn, office.clock, actor, "file-read", name, **told)
    )
    stem, dot, ending = file.name.rpartition("/")[2].rpartition(".")
    saved = f"{stem}-{file.version}.{ending}" if dot else f"{ending}-{file.version}"
    path = _store(office, role).path(file.sha256)
    return FileResponse(path, media_type="application/octet-stream", filename=saved)


def _find(conn: Connection, register: Files, name: str) -> Row[Any]:
    row = statements.one(conn, register.files, id=name)
    if row is None:
        raise Unknown
    return row


def _store(office: Office, role: str) -> Store:
    assert office.files is not None
    return Store(office.files / role)


def _size(office: Office, role: str, sha256: str) -> int | None:
    """Bytes of a content; None where it is not on this machine."""
    return None if office.files is None else _store(office, role).size(sha256)
