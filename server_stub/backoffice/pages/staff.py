"""Staff: let in, given roles or a password, closed out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection
from starlette.responses import Response

from server_stub.backoffice import passwords, staff
from server_stub.backoffice.errors import CHANGED, NotAllowed, Unknown
from server_stub.backoffice.rights import Right, Role
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.staff import Person, StaffError
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.foundation import card_numbers

pages = Pages()
WHY = {
    "name": N_(
        "A name begins with a letter or digit, and has 2 to 32 letters a–z, digits, dots, hyphens and underscores."
    ),
    "card-in-name": card_numbers.WHOLE,
    "taken": N_("Somebody has this name already."),
    "full-name": N_("A full name has at most 60 letters."),
    "card-in-full-name": card_numbers.WHOLE,
    "roles": N_("Choose at least one role."),
    "changed": CHANGED,
}
"""Why somebody cannot be let in."""
FIELDS = {
    **{"name": "name", "card-in-name": "name", "taken": "name"},
    **{"full-name": "full_name", "card-in-full-name": "full_name", "roles": "role", "changed": "role"},
}
"""What of the form that is about."""


@pages.get("/staff", Right.STAFF)
async def listed(visit: Visit) -> Response:
    """Everybody."""
    return await _list(visit)


@pages.post("/staff", Right.STAFF)
async def add(visit: Visit) -> Response:
    """Lets somebody in."""
    office, form = visit.office, visit.form
    roles = tuple(role for role in Role if role in form.all("role"))
    actor, name, full_name = visit.person.name, form.text("name"), form.text("full_name")

    def look(conn: Connection) -> list[str]:
        return [refusal.why for refusal in staff.unfit(conn, name, full_name)]

    wrong = [*await office.database.read(look), *([] if roles else ["roles"])]
    if wrong:
        return await _list(visit, _wrong(visit, *wrong))
    password = passwords.once(office.random(passwords.ONCE_LENGTH))
    kept = await office.passwords.hash(password)

    def enter(conn: Connection) -> Person:
        return staff.add(conn, office.clock, actor, name, full_name, roles, kept)

    try:
        person = await office.database.write(enter)
    except StaffError as error:  # somebody was faster
        return await _list(visit, _wrong(visit, error.why))
    return visit.page("staff_password.html", person=person, password=password)


@pages.get("/staff/{name}", Right.STAFF)
async def one(visit: Visit) -> Response:
    """One of them."""
    return visit.page("staff_one.html", person=await _find(visit))


@pages.post("/staff/{name}/roles", Right.STAFF)
async def roles(visit: Visit) -> Response:
    """Other roles."""
    person, office = await _somebody_else(visit), visit.office
    wished = tuple(role for role in Role if role in visit.form.all("role"))
    if not wished:
        return visit.page("staff_one.html", 422, person=person, wrong=_wrong(visit, "roles"))
    told = (visit.person.name, person.name, wished, visit.form.text("seen"))
    try:
        await office.database.write(lambda conn: staff.set_roles(conn, office.clock, *told))
    except StaffError as error:  # somebody was faster
        person = await _find(visit)
        return visit.page("staff_one.html", 422, person=person, wrong=_wrong(visit, error.why))
    return visit.go(f"/staff/{person.name}", "staff-roles")


@pages.post("/staff/{name}/password", Right.STAFF)
async def password(visit: Visit) -> Response:
    """A password to be used once, for whoever has forgotten theirs."""
    person, office, actor = await _somebody_else(visit), visit.office, visit.person.name
    title, text = N_("Give a new password?"), N_("The password they have ends, and so do their sessions.")
    if (asked := visit.ask(title, text, N_("New password"))) is not None:
        return asked
    fresh = passwords.once(office.random(passwords.ONCE_LENGTH))
    kept = await office.passwords.hash(fresh)
    await office.database.write(
        lambda conn: staff.set_password(conn, office.clock, actor, person.name, kept, once=True)
    )
    return visit.page("staff_password.html", person=person, password=fresh)


@pages.post("/staff/{name}/close", Right.STAFF)
async def close(visit: Visit) -> Response:
    """Out, at once."""
    person = await _somebody_else(visit)
    title, text = N_("Close this account?"), N_("They are signed out everywhere at once and cannot sign in.")
    if (asked := visit.ask(title, text, N_("Close the account"), destroys=True)) is not None:
        return asked
    return await _set_closed(visit, person, closed=True)


@pages.post("/staff/{name}/open", Right.STAFF)
async def reopen(visit: Visit) -> Response:
    """In again."""
    return await _set_closed(visit, await _somebody_else(visit), closed=False)


async def _set_closed(visit: Visit, person: Person, *, closed: bool) -> Response:
    office, actor = visit.office, visit.person.name
    await office.database.write(
        lambda conn: staff.set_closed(conn, office.clock, actor, person.name, closed=closed)
    )
    return visit.go(f"/staff/{person.name}", "staff-closed" if closed else "staff-opened")


def _wrong(visit: Visit, *whys: str) -> dict[str, str]:
    return {FIELDS[why]: visit.t(WHY[why]) for why in whys}


async def _list(visit: Visit, wrong: Mapping[str, str] = MappingProxyType({})) -> Response:
    people = await visit.office.database.read(staff.listed)
    facts = {"people": people, "wrong": wrong, "name": card_numbers.hidden(visit.form.text("name"))}
    facts |= {
        "full_name": card_numbers.hidden(visit.form.text("full_name")),
        "chosen": visit.form.all("role"),
    }
    return visit.page("staff.html", 422 if wrong else 200, **facts)


async def _find(visit: Visit) -> Person:
    name = visit.path["name"]
    try:
        return await visit.office.database.look(lambda conn: staff.found(conn, name))
    except StaffError:
        raise Unknown from None


async def _somebody_else(visit: Visit) -> Person:
    """Nobody gives themselves rights, or closes themselves out."""
    person = await _find(visit)
    if person.name == visit.person.name:
        raise NotAllowed(N_("Nobody changes their own account here; ask another administrator."))
    return person
