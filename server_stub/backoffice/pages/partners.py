"""Partners of the file exchange: their accounts, where they come from, and what they may do in which folders."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Connection
from starlette.responses import Response

from server_stub.backoffice.errors import Unknown
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.exchange import partners
from server_stub.exchange.partners import CLOSED, OPEN, Limits, Partner, PartnerRefused
from server_stub.exchange.tables import files
from server_stub.foundation.secret import SecretText

T = TypeVar("T")
UNITS: Mapping[str, int] = {"GB": 1 << 30, "MB": 1 << 20, "KB": 1 << 10, "B": 1}
SIZE = re.compile(r"([0-9]{1,12}) ?(GB|MB|KB|B)?")
MOST_CONNECTIONS, MOST_BYTES = 100, 1 << 40
FILES_SHOWN = 10
pages = Pages()


@pages.get("/partners", Right.PARTNERS)
async def listed(visit: Visit) -> Response:
    """All accounts, and a new one."""
    return await _list(visit)


@pages.post("/partners", Right.PARTNERS)
async def add(visit: Visit) -> Response:
    """A new account; its password is shown once."""
    office, form, actor = visit.office, visit.form, visit.person.name
    name, addresses = form.text("name"), form.text("addresses", 2000).replace(",", " ").split()
    books, wrong = office.books("exchange"), dict[str, str]()
    await books.read(lambda conn: _tried(visit, wrong, lambda: partners.expect_new(conn, name)))
    _tried(visit, wrong, lambda: partners.networks_of(addresses))
    folders = _tried(visit, wrong, lambda: _folders(form.text("folders", 2000)))
    limits = _limits(visit, wrong)
    if wrong:
        return await _list(visit, wrong)
    password, kept = await _password(visit)

    def enter(conn: Connection) -> None:
        told = (name, kept, addresses, folders, limits)
        partners.add(conn, office.clock, actor, *told)

    try:
        await books.write(enter)
    except PartnerRefused as refused:  # somebody was faster
        return await _list(visit, {refused.field or "name": visit.worded(refused.said)})
    return visit.page("partner_password.html", name=name, password=password)


def _tried(visit: Visit, wrong: dict[str, str], check: Callable[[], T]) -> T | None:
    """What a check returns; what it refuses is put down by its field, so that all that is wrong is told at once."""
    try:
        return check()
    except PartnerRefused as refused:
        wrong[refused.field] = visit.worded(refused.said)
        return None


def _folders(text: str) -> dict[str, str]:
    """Folders as they were typed: each with =r or =rw. Raises PartnerRefused."""
    folders = partners.folders_of(text.replace(",", " ").split())
    partners.expect_folders(folders)
    return folders


def _limits(visit: Visit, wrong: dict[str, str], usual: Limits = Limits()) -> Limits:
    """What is not filled in stays as usual; what cannot be is put down in ``wrong``."""
    typed = visit.form.text
    numbers = (
        _tried(visit, wrong, lambda: _connections(typed("connections") or str(usual.connections))),
        _tried(visit, wrong, lambda: _size("file", typed("file") or written(usual.file_bytes))),
        _tried(visit, wrong, lambda: _size("room", typed("room") or written(usual.room_bytes))),
    )
    limits = Limits(*(number or 0 for number in numbers))
    if all(numbers):
        _tried(visit, wrong, lambda: partners.expect_limits(limits))
    return limits


def _connections(text: str) -> int:
    """How many at once. Raises PartnerRefused."""
    if re.fullmatch("[0-9]{1,3}", text) is None or not 0 < int(text) <= MOST_CONNECTIONS:
        said = N_("connections are 1 to %(connections)s")
        raise PartnerRefused(said, "connections", connections=MOST_CONNECTIONS)
    return int(text)


def _size(field: str, text: str) -> int:
    """Bytes as they were typed with their unit; without one they are MB. Raises PartnerRefused."""
    found = SIZE.fullmatch(" ".join(text.upper().replace(",", "").split()))
    size = int(found[1]) * UNITS[found[2] or "MB"] if found else 0
    if not 0 < size <= MOST_BYTES:
        said = N_("'%(text)s': a size up to %(most)s is wanted, like 500 MB or 20 GB")
        raise PartnerRefused(said, field, text=text, most=written(MOST_BYTES))
    return size


def written(size: int) -> str:
    """A size as people type it, to the byte.

    >>> written(20 << 30), written(1500 << 20), written(1 << 40), written(1_000_000)
    ('20 GB', '1,500 MB', '1,024 GB', '1,000,000 B')
    """
    name, unit = next(one for one in UNITS.items() if size % one[1] == 0)
    return f"{size // unit:,} {name}"


@pages.get("/partners/{name}", Right.PARTNERS)
async def one(visit: Visit) -> Response:
    """One account, and the last files of its folders."""
    return await _one(visit, await _find(visit))


@pages.post("/partners/{name}/change", Right.PARTNERS)
async def change(visit: Visit) -> Response:
    """What was agreed anew: addresses, folders, limits."""
    office, form, partner = visit.office, visit.form, await _find(visit)
    addresses = form.text("addresses", 2000).replace(",", " ").split()
    wrong = dict[str, str]()
    _tried(visit, wrong, lambda: partners.networks_of(addresses))
    bundled = partner.name in partners.BUNDLED
    folders = None if bundled else _tried(visit, wrong, lambda: _folders(form.text("folders", 2000)))
    if folders == {}:
        wrong["folders"] = visit.t(N_("Name at least one folder."))
    limits = _limits(visit, wrong, partner.limits)
    if wrong:
        return await _one(visit, partner, wrong)

    def enter(conn: Connection) -> None:
        told = (partner.name, addresses, folders, limits._asdict(), form.text("seen"))
        partners.change(conn, office.clock, visit.person.name, *told)

    try:
        await office.books("exchange").write(enter)
    except PartnerRefused as refused:  # somebody was faster
        return await _one(visit, await _find(visit), {refused.field: visit.worded(refused.said)})
    return visit.go(f"/partners/{partner.name}", "partner-changed")


async def _one(visit: Visit, partner: Partner, wrong: Mapping[str, str] = MappingProxyType({})) -> Response:
    last = await visit.office.books("exchange").read(
        lambda conn: files.listed(conn, partner=partner.name, most=FILES_SHOWN)
    )
    kept: dict[str, Any] = {
        "addresses": " ".join(partner.addresses),
        "folders": " ".join(f"{name}={right}" for name, right in partner.folders.items()),
        "connections": partner.connections,
        "file": written(partner.file_bytes),
        "room": written(partner.room_bytes),
    }
    told = {name: visit.form.text(name, 2000) for name in kept} if wrong else kept
    facts = {"partner": partner, "files": last, "kept": kept, "told": told, "wrong": wrong}
    return visit.page("partner.html", 422 if wrong else 200, **facts, bundled=partners.BUNDLED)


@pages.post("/partners/{name}/password", Right.PARTNERS)
async def password(visit: Visit) -> Response:
    """Another password, shown once."""
    office, actor, partner = visit.office, visit.person.name, await _find(visit)
    title, text = N_("Give a new password?"), N_("The password that the partner has ends within seconds.")
    if (asked := visit.ask(title, text, N_("New password"))) is not None:
        return asked
    fresh, kept = await _password(visit)
    await office.books("exchange").write(
        lambda conn: partners.set_password(conn, office.clock, actor, partner.name, kept)
    )
    return visit.page("partner_password.html", name=partner.name, password=fresh)


@pages.post("/partners/{name}/close", Right.PARTNERS)
async def close(visit: Visit) -> Response:
    """Nobody signs in with it any more."""
    partner = await _find(visit)
    title, text = (
        N_("Close this account?"),
        N_("The partner is signed out within seconds and exchanges nothing."),
    )
    if (asked := visit.ask(title, text, N_("Close the account"), destroys=True)) is not None:
        return asked
    return await _set_state(visit, partner, CLOSED)


@pages.post("/partners/{name}/open", Right.PARTNERS)
async def reopen(visit: Visit) -> Response:
    """It may be used again."""
    return await _set_state(visit, await _find(visit), OPEN)


async def _set_state(visit: Visit, partner: Partner, state: str) -> Response:
    office, actor = visit.office, visit.person.name
    await office.books("exchange").write(
        lambda conn: partners.set_state(conn, office.clock, actor, partner.name, state)
    )
    return visit.go(f"/partners/{partner.name}", "partner-opened" if state == OPEN else "partner-closed")


async def _password(visit: Visit) -> tuple[str, str]:
    """A fresh one, and what is kept of it."""
    fresh = SecretText(visit.office.ids.secret())
    return fresh.reveal(), await asyncio.to_thread(partners.hashed, fresh)


async def _list(visit: Visit, wrong: Mapping[str, str] = MappingProxyType({})) -> Response:
    found = await visit.office.books("exchange").read(partners.every)
    names = ("name", "addresses", "folders", "connections", "file", "room")
    told: dict[str, Any] = {name: visit.form.text(name, 2000) for name in names}
    usual = Limits()
    sizes = {"file": written(usual.file_bytes), "room": written(usual.room_bytes)}
    told |= {
        name: told[name] or value for name, value in ({"connections": usual.connections} | sizes).items()
    }
    return visit.page("partners.html", 422 if wrong else 200, partners=found, wrong=wrong, told=told)


async def _find(visit: Visit) -> Partner:
    name = visit.path["name"]
    partner = await visit.office.books("exchange").read(lambda conn: partners.one(conn, name))
    if partner is None:
        raise Unknown
    return partner
