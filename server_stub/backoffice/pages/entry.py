"""Signing in and out, one's own password and language, help, and how far something is that takes long."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, select
from starlette.responses import Response

from server_stub.backoffice import staff
from server_stub.backoffice.errors import Refused, Unknown
from server_stub.backoffice.passwords import LONGEST, SHORTEST, Weak, expect_good
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.tables import sessions
from server_stub.backoffice.visit import LANGUAGE, PREFIX, SESSION, Visit, _ours
from server_stub.backoffice.words import N_

WEAK = {
    "short": N_("A password has at least %(shortest)s characters."),
    "long": N_("A password has at most %(longest)s characters."),
    "common": N_("This password is one of those that are tried first. Take several words that nobody links."),
    "personal": N_("A password must not have your name in it."),
    "same": N_("That is the password you have."),
    "differ": N_("The two new passwords are not the same."),
    "wrong": N_("The present password is not right."),
}
"""Why a new password is not taken."""
WEAK_FIELD = {"wrong": "present", "differ": "again"}
"""What of the form that is about, where it is not the new one."""
pages = Pages()


@pages.get("/sign-in", Right.OPEN)
async def sign_in_form(visit: Visit) -> Response:
    """The form."""
    if visit.session is not None:
        return visit.go("/")
    return await _form(visit, refused=False)


@pages.post("/sign-in", Right.OPEN)
async def sign_in(visit: Visit) -> Response:
    """Lets somebody in, with a session of its own."""
    office, headers = visit.office, visit.request.headers
    name, password = visit.form.text("name"), visit.form.get("password", "")
    wrong = {} if name else {"name": visit.t(N_("Type the name you sign in with."))}
    wrong |= {} if password else {"password": visit.t(N_("Type your password."))}
    if wrong:
        return await _form(visit, refused=False, wrong=wrong)
    token = await office.sign_in.enter(name, password, visit.address, headers.get("user-agent", ""))
    if token is None:
        return await _form(visit, refused=True)
    if visit.session is not None:
        await office.sign_in.leave(visit.session)
    wanted = visit.form.text("to", 500)
    response = visit.go(wanted.removeprefix(PREFIX) if _ours(wanted) else "/")
    visit.set_cookie(response, SESSION, token)
    return response


async def _form(visit: Visit, *, refused: bool, wrong: Mapping[str, str] = MappingProxyType({})) -> Response:
    to = visit.form.text("to", 500) or visit.query.text("to", 500)
    facts = {"refused": refused, "name": visit.form.text("name"), "to": to if _ours(to) else ""}
    nobody = not await visit.office.anybody()
    status = 401 if refused else 422 if wrong else 200
    return visit.page("sign_in.html", status, nobody=nobody, wrong=wrong, **facts)


@pages.post("/sign-out", Right.OWN)
async def sign_out(visit: Visit) -> Response:
    """Ends this session."""
    assert visit.session is not None
    await visit.office.sign_in.leave(visit.session)
    return _left(visit, "signed-out")


@pages.post("/sign-out-everywhere", Right.OWN)
async def sign_out_everywhere(visit: Visit) -> Response:
    """Ends all sessions of this person."""
    await visit.office.sign_in.leave_everywhere(visit.person)
    return _left(visit, "signed-out-everywhere")


def _left(visit: Visit, done: str) -> Response:
    response = visit.go("/sign-in", done)
    visit.set_cookie(response, SESSION, "")
    return response


@pages.post("/language", Right.OPEN)
async def language(visit: Visit) -> Response:
    """The pages in the other language from now on."""
    wished = visit.form.text("language")
    if wished not in staff.LANGUAGES:
        raise Refused(N_("There is no such language here."))
    if visit.session is not None:
        name = visit.person.name
        await visit.office.database.write(lambda conn: staff.set_language(conn, name, wished))
    response = visit.go(visit.back())
    visit.set_cookie(response, LANGUAGE, wished)
    return response


@pages.get("/account", Right.OWN)
async def account(visit: Visit) -> Response:
    """Who is signed in, and where."""
    mine = select(sessions).where(sessions.c.name == visit.person.name).order_by(sessions.c.begun_at.desc())
    rows = await visit.office.database.read(lambda conn: conn.execute(mine).all())
    return visit.page("account.html", rows=rows)


@pages.get("/password", Right.OWN)
async def password_form(visit: Visit) -> Response:
    """The form for a new password."""
    return visit.page("password.html")


@pages.post("/password", Right.OWN)
async def password(visit: Visit) -> Response:
    """A new password; all other sessions end, and this one gets a new token."""
    office, person = visit.office, visit.person
    present, new = visit.form.get("present", ""), visit.form.get("new", "")
    why = "" if await office.sign_in.is_own(person, present, visit.address) else "wrong"
    if not why and new != visit.form.get("again", ""):
        why = "differ"
    if not why and new == present:
        why = "same"
    try:
        if not why:
            expect_good(new, person.name, *person.full_name.split())
    except Weak as weak:
        why = weak.why
    if why:
        text = visit.t(WEAK[why]) % {"shortest": SHORTEST, "longest": LONGEST}
        return visit.page("password.html", 422, wrong={WEAK_FIELD.get(why, "new"): text})
    kept = await office.passwords.hash(new)

    def change(conn: Connection) -> None:
        staff.set_password(conn, office.clock, person.name, person.name, kept, once=False)

    await office.database.write(change)
    agent = visit.request.headers.get("user-agent", "")
    token = await office.sign_in.enter(person.name, new, visit.address, agent)
    response = visit.go("/", "password")
    visit.set_cookie(response, SESSION, token or "")
    return response


@pages.get("/help", Right.OWN)
async def help_page(visit: Visit) -> Response:
    """What is where, keys, and what the signs mean."""
    return visit.page("help.html")


@pages.get("/tasks/{task}", Right.OWN, live=True)
async def task(visit: Visit) -> Response:
    """How far something is: a part of a page for htmx, a page that loads itself again without."""
    shown = await visit.office.tasks.shown(visit.path["task"])
    if shown is None or shown.name != visit.person.name:
        raise Unknown()
    return visit.page("task_live.html" if visit.live else "task.html", task=shown)
