"""Files for a spreadsheet: made in the background for whoever asked, and kept for them for a day."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse, Response

from server_stub.backoffice import code_words, exports, words
from server_stub.backoffice.criteria import Criteria
from server_stub.backoffice.errors import Away, Refused, Unknown
from server_stub.backoffice.exports import FORMATS, KEPT, MOST_ROWS, Cell, Column
from server_stub.backoffice.office import Office
from server_stub.backoffice.pages.reports import Line, by
from server_stub.backoffice.pages.transactions import asked_of, at_boss, services_of
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.search_words import FIELD_NAMES, KIND_NAMES, MONEY_NAMES, SHOWN_NAMES
from server_stub.backoffice.tasks import Progress
from server_stub.backoffice.transactions import Found, search
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_

KIND = "export"
PIECE = 1_000
"""Rows that are read and written at once."""
SECONDS = 5.0
PART = ".part"
"""Whatever ends so is a folder in which a file is being made."""
WRITING = N_("Rows are being written")
pages = Pages()


@pages.post("/transactions/export", Right.EXPORT)
async def transactions(visit: Visit) -> Response:
    """A search as a file."""
    asked, wrong, _ = asked_of(visit.form)
    if wrong:
        raise Refused(N_("Some fields could not be read."))
    resolved = await at_boss(visit.office, asked)
    names = {name: told[visit.language] for name, told in await services_of(visit.office)}
    work = partial(_transactions, visit.office, visit.language, resolved, names)
    return await _begin(visit, "transactions", work)


@pages.post("/reports/{period}/export", Right.EXPORT)
async def report(visit: Visit) -> Response:
    """A report as a file: the days of a month, or of a year."""
    period = visit.path["period"]
    if re.fullmatch(r"[0-9]{4}(-(0[1-9]|1[0-2]))?", period) is None or not "1971" <= period[:4] <= "9998":
        raise Unknown()
    first = date.fromisoformat(f"{period}-01" if "-" in period else f"{period}-01-01")
    last = date(first.year, 12, 31) if "-" not in period else date.fromisoformat(_last(first))

    async def work(path: Path, kind: str, progress: Progress) -> int:
        progress(0, N_("Days are being counted"))
        await visit.office.totals().caught_up()
        found = await by(visit, first, last, "day")
        progress(0, WRITING)
        columns = _columns(visit.language, REPORT)
        return await asyncio.to_thread(_whole, path, kind, columns, period, map(_line, found.lines))

    return await _begin(visit, f"report-{period}", work)


@pages.get("/exports", Right.EXPORT)
async def listed(visit: Visit) -> Response:
    """The files that somebody has ordered: which are ready, and which are still being made."""
    office = visit.office
    since = office.clock.now() - KEPT
    rows = [one for one in await office.tasks.of(KIND, visit.person.name) if one.begun_at >= since]
    return visit.page("exports.html", rows=rows)


@pages.get("/exports/{task}", Right.EXPORT)
async def fetched(visit: Visit) -> Response:
    """A file that is ready, for whoever asked for it."""
    office = visit.office
    task = await office.tasks.shown(visit.path["task"])
    mine = task is not None and task.kind == KIND and task.name == visit.person.name and task.state == "done"
    if not mine or task is None or office.exports is None:
        raise Unknown()
    path = office.exports / f"{task.id}.{task.result['format']}"
    if office.clock.now() - task.begun_at > KEPT or not path.exists():
        raise Unknown()
    return FileResponse(path, media_type=FORMATS[task.result["format"]], filename=task.result["name"])


def _last(first: date) -> str:
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return date.fromordinal(following.toordinal() - 1).isoformat()


async def _begin(visit: Visit, name: str, write: Any) -> Response:
    """Begins the work and shows how far it is."""
    office, kind = visit.office, visit.form.text("format")
    if office.exports is None:
        raise Away("backoffice")
    if kind not in FORMATS:
        raise Unknown()
    folder = office.exports
    await asyncio.to_thread(make_room, folder, office.clock.now().timestamp() - KEPT.total_seconds())
    stem = f"{name}-{office.clock.now():%Y%m%d-%H%M%S}.{kind}"
    named = asyncio.get_running_loop().create_future()

    async def work(progress: Progress) -> Mapping[str, Any]:
        progress(0, WRITING)
        # What a spreadsheet is packed from stands beside it: nobody else's place, whatever dates those files have.
        place = Path(await asyncio.to_thread(tempfile.mkdtemp, PART, None, folder))
        try:
            rows = await write(path=place / kind, kind=kind, progress=progress)
            task = await named
            await asyncio.to_thread((place / kind).rename, folder / f"{task}.{kind}")
        finally:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        return {"format": kind, "name": stem, "rows": rows, "limit": rows >= MOST_ROWS}

    task = await office.tasks.begin(KIND, visit.person.name, work)
    named.set_result(task)
    return visit.go(f"/tasks/{task}")


def make_room(folder: Path, before: float) -> None:
    """Files of yesterday go, and what a process that was killed has left."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in folder.iterdir():
        with suppress(FileNotFoundError):  # another process has taken it away meanwhile
            if old.stat().st_mtime < before:
                shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink()


async def _transactions(
    office: Office,
    language: str,
    asked: Sequence[Criteria],
    services: Mapping[str, str],
    path: Path,
    kind: str,
    progress: Progress,
) -> int:
    """Page after page is read and written: never more than one is in memory."""
    columns = _columns(language, SEARCH)
    title = words.said(language, N_("Transactions"))
    out = await asyncio.to_thread(exports.writer, path, kind, columns, title)
    before: str | None = None
    count = 0
    try:
        while count < MOST_ROWS:
            limit = min(PIECE, MOST_ROWS - count)
            find = partial(search, asked=asked, before=before, limit=limit, seconds=SECONDS)
            found = await office.books("tsp").read(find)
            rows = [_row(row, language, services) for row in found.rows]
            count += await asyncio.to_thread(out.rows, rows)
            progress(100 * count / max(found.total or 0, count + PIECE))
            before = found.before
            if before is None:
                break
    finally:
        await asyncio.to_thread(out.close)
    return count


def _whole(
    path: Path, kind: str, columns: Sequence[Column], title: str, rows: Iterable[Sequence[Cell]]
) -> int:
    out = exports.writer(path, kind, columns, title)
    try:
        return out.rows(rows)
    finally:
        out.close()


def _columns(language: str, columns: Sequence[Column]) -> list[Column]:
    return [Column(words.said(language, column.title), column.kind) for column in columns]


SEARCH = (
    Column(N_("Time"), "time"), Column(FIELD_NAMES["number"]), Column(FIELD_NAMES["id"]), Column(FIELD_NAMES["box"]),
    Column(FIELD_NAMES["service"]), Column(FIELD_NAMES["term"]), Column(FIELD_NAMES["method"]),
    Column(FIELD_NAMES["kind"]), Column(FIELD_NAMES["card"]), Column(FIELD_NAMES["amount"], "fen"),
    Column(FIELD_NAMES["received_fen"], "fen"), Column(FIELD_NAMES["state"]), Column(FIELD_NAMES["shown"]),
    Column(FIELD_NAMES["money"]), Column(FIELD_NAMES["reason"]),
)  # fmt: skip
REPORT = (
    Column(N_("Day")), Column(N_("Transactions"), "number"), Column(N_("Taken"), "number"),
    Column(N_("Amount taken"), "fen"), Column(N_("Refunded"), "number"), Column(N_("Amount refunded"), "fen"),
    Column(N_("Not known"), "number"), Column(N_("Amount not known"), "fen"), Column(N_("Not taken"), "number"),
)  # fmt: skip


def _row(row: Found, language: str, services: Mapping[str, str]) -> list[Cell]:
    def t(message: str | None) -> str | None:
        return None if message is None else words.said(language, message)

    return [
        row.at,
        row.number,
        row.id,
        row.box,
        None if row.service is None else services.get(row.service, row.service),
        t(words.TERMS.get(row.term or "", row.term)),
        t(words.METHODS.get(row.method, row.method)),
        t(KIND_NAMES.get(row.kind or "")),
        row.card,
        row.amount_fen,
        row.received_fen,
        t(words.PAYMENT_STATES[row.state].text),
        t(SHOWN_NAMES[row.shown]),
        t(MONEY_NAMES[row.money].text),
        t(code_words.REASONS.get(row.reason or "", row.reason)),
    ]


def _line(one: Line) -> list[Cell]:
    return list(one)
