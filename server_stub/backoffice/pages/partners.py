"""Partners of the file exchange: their accounts, where they come from, and what they may do in which folders."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from server_stub.backoffice.errors import Unknown
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Form, Visit
from server_stub.backoffice.words import N_
from server_stub.exchange import partners
from server_stub.exchange.partners import CLOSED, OPEN, Limits, Partner, PartnerRefused
from server_stub.exchange.tables import files
from server_stub.foundation.secret import SecretText

MB = 1 << 20
MOST_CONNECTIONS, MOST_MB = 100, 1 << 20
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
    books = office.books("exchange")
    try:
        folders, limits = _folders(form.text("folders", 2000)), _limits(form)
        partners.expect_right(name, addresses, folders or partners.FOLDERS)
        password, kept = await _password(visit)

        def enter(conn: Connection) -> None:
            told = (name, kept, addresses, folders, limits)
            partners.add(conn, office.clock, actor, *told)

        await books.write(enter)
    except PartnerRefused as refused:
        return await _list(visit, {refused.field or "name": visit.worded(refused.said)})
    return visit.page("partner_password.html", name=name, password=password)


def _folders(text: str) -> dict[str, str]:
    """Folders as they were typed: each with =r or =rw. Raises PartnerRefused."""
    return partners.folders_of(text.replace(",", " ").split())


def _limits(form: Form, usual: Limits = Limits()) -> Limits:
    """What is not filled in, or shows what it is, stays as usual. Raises PartnerRefused."""
    connections = form.number("connections", usual.connections)
    kept = {"file": usual.file_bytes, "room": usual.room_bytes}
    sizes = {name: form.number(name, _mb(size)) for name, size in kept.items()}
    most = {"connections": MOST_CONNECTIONS, **dict.fromkeys(sizes, MOST_MB)}
    for name, number in {"connections": connections, **sizes}.items():
        if not 0 < number <= most[name]:
            said = N_("connections are 1 to %(connections)s, sizes 1 to %(size)s MB")
            raise PartnerRefused(said, name, connections=MOST_CONNECTIONS, size=f"{MOST_MB:,}")
    given = (kept[name] if size == _mb(kept[name]) else size * MB for name, size in sizes.items())
    return Limits(connections, *given)


def _mb(size: int) -> int:
    """For a form; a command may have set less than one."""
    return -(-size // MB)


@pages.get("/partners/{name}", Right.PARTNERS)
async def one(visit: Visit) -> Response:
    """One account, and the last files of its folders."""
    return await _one(visit, await _find(visit))


@pages.post("/partners/{name}/change", Right.PARTNERS)
async def change(visit: Visit) -> Response:
    """What was agreed anew: addresses, folders, limits."""
    office, form, partner = visit.office, visit.form, await _find(visit)
    addresses = form.text("addresses", 2000).replace(",", " ").split()
    try:
        folders = None if partner.name in partners.BUNDLED else _folders(form.text("folders", 2000))
        limits = _limits(form, Limits(partner.connections, partner.file_bytes, partner.room_bytes))

        def enter(conn: Connection) -> None:
            told = (partner.name, addresses, folders or None, limits._asdict())
            partners.change(conn, office.clock, visit.person.name, *told)

        await office.books("exchange").write(enter)
    except PartnerRefused as refused:
        return await _one(visit, partner, {refused.field or "addresses": visit.worded(refused.said)})
    return visit.go(f"/partners/{partner.name}", "partner-changed")


async def _one(visit: Visit, partner: Partner, wrong: Mapping[str, str] = MappingProxyType({})) -> Response:
    last = await visit.office.books("exchange").read(
        lambda conn: files.listed(conn, partner=partner.name, most=FILES_SHOWN)
    )
    told: dict[str, Any] = {
        "addresses": " ".join(partner.addresses),
        "folders": " ".join(f"{name}={right}" for name, right in partner.folders.items()),
        "connections": partner.connections,
        "file": _mb(partner.file_bytes),
        "room": _mb(partner.room_bytes),
    }
    if wrong:
        told = {name: visit.form.text(name, 2000) for name in told}
    facts = {"partner": partner, "files": last, "told": told, "wrong": wrong}
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
    typed = {"connections": usual.connections, "file": usual.file_bytes // MB, "room": usual.room_bytes // MB}
    told |= {name: told[name] or str(value) for name, value in typed.items()}
    return visit.page("partners.html", 422 if wrong else 200, partners=found, wrong=wrong, told=told)


async def _find(visit: Visit) -> Partner:
    name = visit.path["name"]
    partner = await visit.office.books("exchange").read(lambda conn: partners.one(conn, name))
    if partner is None:
        raise Unknown
    return partner
