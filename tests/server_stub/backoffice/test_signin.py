"""Signing in: sessions, their ends, forms that are not ours, and pauses after wrong passwords."""

from __future__ import annotations

import re
import zlib
from base64 import urlsafe_b64encode
from html import unescape
from importlib import resources

import pytest
from argon2 import PasswordHasher
from argon2.profiles import RFC_9106_LOW_MEMORY
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from sqlalchemy import select

from server_stub.backoffice import lockout, tables, typed
from server_stub.backoffice.passwords import Passwords, Weak, expect_good, once
from server_stub.backoffice.signin import session_id
from server_stub.backoffice.visit import SESSION
from tests.server_stub.backoffice.desk import PASSWORD, Clerk, let_in, office_of, register
from tests.server_stub.system import OWN, System

pytestmark = pytest.mark.anyio


def signed_in(clerk: Clerk) -> str | None:
    return clerk.client.cookies.get(SESSION)


async def rows(system: System, table: object) -> list[object]:
    return await office_of(system).database.read(lambda conn: list(conn.execute(select(table))))  # type: ignore[call-overload]


async def test_a_session_is_a_cookie_that_only_this_site_gets_and_a_hash_in_the_database(
    system: System,
) -> None:
    await register(system, "li.wei", "clerk")
    clerk = Clerk(system, " LI.Wei ")
    await clerk.get("/sign-in")
    token = re.search(r'name="csrf" value="(\w+)"', clerk.page)
    assert token
    form = {"csrf": token[1], "name": clerk.name, "password": PASSWORD}
    answer = await clerk.client.post("/backoffice/sign-in", data=form, follow_redirects=False)
    cookie = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(SESSION))
    assert {"HttpOnly", "Path=/backoffice", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    value = signed_in(clerk)
    assert value
    assert len(value) == 43
    found = await rows(system, tables.sessions)
    assert [one.id for one in found] == [session_id(value)]  # type: ignore[attr-defined]
    assert value not in str(found)


async def test_the_cookie_is_for_tls_alone_where_there_is_tls(system: System) -> None:
    clerk = Clerk(system, "nobody")
    answer = await clerk.client.get(
        f"{str(clerk.client.base_url).replace('http:', 'https:')}/backoffice/sign-in"
    )
    assert "; Secure" in answer.headers["set-cookie"]


async def test_every_sign_in_has_a_session_of_its_own_and_ends_the_one_before(system: System) -> None:
    clerk = await let_in(system, "li.wei", "clerk")
    before = signed_in(clerk)
    await clerk.get("/help")
    await clerk.post("/sign-in", name="li.wei", password=PASSWORD)
    assert signed_in(clerk) not in (None, before)
    assert len(await rows(system, tables.sessions)) == 1


async def test_a_session_ends_after_fifteen_idle_minutes_and_after_twelve_hours(system: System) -> None:
    clerk = await let_in(system, "li.wei", "clerk")
    for _ in range(3):
        system.clock.advance(14 * 60)
        assert (await clerk.get("/help")).url.path == "/backoffice/help"
    # A page that looks again by itself keeps nobody signed in.
    system.clock.advance(10 * 60)
    assert (await clerk.get("/psams/live")).status_code == 200
    system.clock.advance(5 * 60)
    answer = await clerk.get("/help")
    assert answer.url.path == "/backoffice/sign-in"
    assert "Your session has ended" in answer.text
    assert await rows(system, tables.sessions) == []
    await clerk.sign_in()
    for _ in range(12 * 5 - 1):
        system.clock.advance(12 * 60)
        assert (await clerk.get("/account")).url.path == "/backoffice/account"
    system.clock.advance(12 * 60)
    assert (await clerk.get("/help")).url.path == "/backoffice/sign-in"


async def test_after_the_sign_in_one_is_where_one_wanted_to_be_and_nowhere_else(system: System) -> None:
    await register(system, "li.wei", "clerk")
    clerk = Clerk(system, "li.wei")
    answer = await clerk.get("/boxes?q=8531")
    assert answer.url.path == "/backoffice/sign-in"
    wanted = re.search(r'name="to" value="([^"]*)"', clerk.page)
    assert wanted
    answer = await clerk.post("/sign-in", name="li.wei", password=PASSWORD, to=wanted[1])
    assert str(answer.url).endswith("/backoffice/boxes?q=8531")
    for elsewhere in ("https://evil.example/", "//evil.example", "/backoffice/\r\nset-cookie: a=b"):
        other = Clerk(system, "li.wei")
        await other.get("/sign-in")
        answer = await other.post("/sign-in", name="li.wei", password=PASSWORD, to=elsewhere)
        assert answer.url.path == "/backoffice/"


async def test_out_here_and_out_everywhere(system: System) -> None:
    one = await let_in(system, "li.wei", "clerk")
    other = Clerk(system, "li.wei")
    await other.sign_in()
    await one.post("/sign-out", "/help")
    assert (await one.get("/help")).url.path == "/backoffice/sign-in"
    assert (await other.get("/help")).url.path == "/backoffice/help"
    await one.sign_in()
    await one.post("/sign-out-everywhere", "/account")
    assert (await other.get("/help")).url.path == "/backoffice/sign-in"


async def test_a_form_of_another_site_or_session_changes_nothing(system: System) -> None:
    clerk, other = await let_in(system, "li.wei", "clerk"), await let_in(system, "wu", "clerk")
    await other.get("/help")
    foreign = re.search(r'name="csrf" value="(\w+)"', other.page)
    assert foreign
    for token in ("", "0" * 64, foreign[1]):
        answer = await clerk.post("/language", "/help", language="zh", csrf=token)
        assert answer.status_code == 403
        assert "Nothing was changed" in answer.text
    await clerk.get("/help")
    mine = re.search(r'name="csrf" value="(\w+)"', clerk.page)
    assert mine
    elsewhere: list[dict[str, str]] = [{"sec-fetch-site": site} for site in ("cross-site", "same-site")]
    # Over plain HTTP browsers do not say that, only this.
    elsewhere += [{"origin": origin} for origin in ("http://evil.example", "null", f"{OWN}:81")]
    for headers in elsewhere:
        data = {"language": "zh", "csrf": mine[1]}
        answer = await clerk.client.post("/backoffice/language", data=data, headers=headers)
        assert answer.status_code == 403
    # htmx sends it in a header.
    headers = {"x-csrf-token": mine[1], "origin": OWN}
    answer = await clerk.client.post("/backoffice/language", data={"language": "zh"}, headers=headers)
    assert answer.status_code == 200
    assert 'lang="zh-CN"' in answer.text


async def test_also_the_sign_in_itself_wants_its_form(system: System) -> None:
    await register(system, "li.wei", "clerk")
    clerk = Clerk(system, "li.wei")
    answer = await clerk.post("/sign-in", name="li.wei", password=PASSWORD)
    assert answer.status_code == 403
    assert signed_in(clerk) is None


async def test_wrong_name_wrong_password_closed_account_and_pause_are_answered_alike(system: System) -> None:
    await register(system, "li.wei", "clerk")
    said = set()
    for name, password in (("li.wei", "wrong"), ("nobody.here", PASSWORD), ("wrong", "li.wei")):
        clerk = Clerk(system, "x")
        answer = await clerk.post("/sign-in", "/sign-in", name=name, password=password)
        assert answer.status_code == 401
        assert re.findall(r'id="f-(\w+)"[^>]* autofocus', answer.text) == ["password"]
        said.add(re.sub(r'value="[^"]*"|X-CSRF-Token[^}]*', "", answer.text))
    assert len(said) == 1


async def test_an_account_is_paused_for_longer_and_longer_and_a_right_password_ends_it(
    system: System,
) -> None:
    await register(system, "li.wei", "clerk")
    clerk = Clerk(system, "li.wei")
    for _ in range(lockout.FREE["name"]):
        assert (await clerk.sign_in("wrong")).status_code == 401
    for pause in lockout.PAUSES[:3]:
        # Right, but it is not looked at.
        assert (await clerk.sign_in()).status_code == 401
        system.clock.advance(pause - 1)
        assert (await clerk.sign_in()).status_code == 401
        system.clock.advance(1)
        assert (await clerk.sign_in("wrong")).status_code == 401
    system.clock.advance(lockout.PAUSES[3])
    assert (await clerk.sign_in()).status_code == 200
    assert [one.key for one in await rows(system, tables.failures)] == []  # type: ignore[attr-defined]
    refused = [one for one in await rows(system, tables.audit.records) if one.action == "sign-in-refused"]  # type: ignore[attr-defined]
    assert len(refused) == lockout.FREE["name"] + 3
    told = generate_latest(system.roles.measures.registry).decode()
    for outcome, times in (("in", 1), ("refused", lockout.FREE["name"] + 3), ("paused", 6)):
        assert f'stb_staff_sign_ins_total{{outcome="{outcome}"}} {times}.0' in told


async def test_an_address_that_tries_many_names_is_paused(system: System) -> None:
    await register(system, "li.wei", "clerk")
    clerk = Clerk(system, "li.wei")
    for number in range(lockout.FREE["address"]):
        await clerk.post("/sign-in", "/sign-in", name=f"guess{number}", password="wrong")
    assert (await clerk.sign_in()).status_code == 401
    system.clock.advance(lockout.PAUSES[0])
    assert (await clerk.sign_in()).status_code == 200


async def test_what_was_typed_as_a_name_that_is_nobodys_stands_nowhere(system: System) -> None:
    clerk = Clerk(system, "my secret password 123")
    await clerk.sign_in("wrong")
    everything = [*await rows(system, tables.audit.records)]
    assert "secret" not in str(everything)


async def test_a_hash_of_other_parameters_is_made_anew_at_the_next_sign_in(system: System) -> None:
    await register(system, "li.wei", "clerk")
    office = office_of(system)
    other = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    kept = other.hash(PASSWORD)
    change = tables.staff.update().values(password=kept)
    await office.database.write(lambda conn: conn.execute(change))
    clerk = Clerk(system, "li.wei")
    assert (await clerk.sign_in()).status_code == 200
    (row,) = await rows(system, tables.staff)
    assert row.password != kept  # type: ignore[attr-defined]
    assert not office.passwords.outdated(row.password)  # type: ignore[attr-defined]
    assert (await clerk.sign_in()).status_code == 200


def test_passwords_are_kept_as_rfc_9106_says() -> None:
    kept = Passwords().hash_now(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert Passwords()._hasher.memory_cost == RFC_9106_LOW_MEMORY.memory_cost


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short enough", None),
        ("elevensigns", "short"),
        ("x1y2z" * 30, "long"),
        ("password1234", "common"),
        ("PASSWORD!!2026", "common"),
        ("qwertyuiop123", "common"),
        ("abababababab", "common"),
        ("abcdefghijklmn", "common"),
        ("ilovelimin99", "personal"),
        ("LiMin is my name", "personal"),
        ("纸船漂过七座桥再回到山下", None),
    ],
)
def test_what_a_password_must_be(password: str, why: str | None) -> None:
    if why is None:
        expect_good(password, "limin")
        return
    with pytest.raises(Weak) as weak:
        expect_good(password, "limin")
    assert weak.value.why == why


def test_a_password_for_once_is_good_and_can_be_read_out() -> None:
    made = once(bytes(range(7, 23)))
    assert re.fullmatch(r"([2-9A-HJ-NP-Z]{4}-){3}[2-9A-HJ-NP-Z]{4}", made)
    expect_good(made)


NOT_TAKEN: tuple[tuple[dict[str, str], str], ...] = (
    ({"present": "wrong"}, "present password is not right"),
    ({"again": "another one altogether"}, "not the same"),
    ({"new": PASSWORD, "again": PASSWORD}, "That is the password you have"),
    ({"new": "password1234", "again": "password1234"}, "tried first"),
    ({"new": "li.wei at the lake", "again": "li.wei at the lake"}, "your name"),
    ({"new": "short", "again": "short"}, "at least 12"),
)


async def test_a_new_password_that_is_not_taken_says_why(system: System) -> None:
    clerk = await let_in(system, "li.wei", "clerk")
    new = "three herons on one roof"
    for form, said in NOT_TAKEN:
        filled = {"present": PASSWORD, "new": new, "again": new, **form}
        answer = await clerk.post("/password", "/password", **filled)
        assert answer.status_code == 422
        assert said in answer.text
        # Beside the field that it is about, which has the focus.
        field = (
            "present" if "present" in form else "again" if "again" in form and "new" not in form else "new"
        )
        assert re.search(rf'<input id="f-{field}"[^>]*aria-invalid="true" autofocus', answer.text)
        assert answer.text.count("aria-invalid") == answer.text.count(" autofocus") == 1
    assert (await Clerk(system, "li.wei").sign_in()).status_code == 200


async def test_a_wrong_present_password_counts_as_at_the_sign_in(system: System) -> None:
    """Whoever sits down at a screen that was left open has no more tries than at the door."""
    clerk, new = await let_in(system, "li.wei", "clerk"), "three herons on one roof"
    filled = {"new": new, "again": new}
    for _ in range(lockout.FREE["name"] - 1):
        await clerk.post("/password", "/password", present="wrong", **filled)
    # One that is right, and a new one that is not taken: nothing is held against them any more.
    assert "at least 12" in (await clerk.post("/password", present=PASSWORD, new="short", again="short")).text
    for _ in range(lockout.FREE["name"]):
        await clerk.post("/password", "/password", present="wrong", **filled)
    assert "present password is not right" in (await clerk.post("/password", present=PASSWORD, **filled)).text
    assert (await Clerk(system, "li.wei").sign_in()).status_code == 401
    system.clock.advance(lockout.PAUSES[0])
    assert (await clerk.post("/password", "/password", present=PASSWORD, **filled)).status_code == 200
    assert (await Clerk(system, "li.wei").sign_in(new)).status_code == 200
    refused = [one for one in await rows(system, tables.audit.records) if one.action == "password-refused"]  # type: ignore[attr-defined]
    assert len(refused) == 2 * lockout.FREE["name"] - 1


SUSPEND, BOX = "/boxes/85312047/suspend", "/boxes/85312047"
LONG = '说了很久 "quoted" & <b>'
"""What somebody has typed for an hour."""


async def over(system: System, **headers: str) -> Clerk:
    """Somebody who sends a form after their session has ended."""
    clerk = await let_in(system, "li.wei", "clerk")
    await clerk.get(BOX)
    system.clock.advance(15 * 60)
    clerk.client.headers.update(headers)
    answer = await clerk.post(SUSPEND, reason=LONG, confirmed="yes", back=f"/backoffice{BOX}")
    assert answer.url.path == "/backoffice/sign-in"
    assert "Your session has ended" in clerk.page
    return clerk


def to_in(page: str) -> str:
    """Where the sign-in leads to."""
    told = re.search(r'name="to" value="([^"]*)"', page)
    assert told
    return unescape(told[1])


def reason_in(page: str) -> str:
    """What stands in the field of the reason."""
    (field,) = re.findall(r'<input[^>]* id="f-suspend"[^>]*>|<input id="f-suspend"[^>]*>', page)
    told = re.search(r' value="([^"]*)"', field)
    return "" if told is None else unescape(told[1])


async def test_what_was_typed_when_the_session_ended_is_filled_in_again_and_nothing_is_done(
    system: System,
) -> None:
    clerk = await over(system)
    await clerk.post("/sign-in", name="li.wei", password="not this one at all", to=to_in(clerk.page))
    answer = await clerk.post("/sign-in", name="li.wei", password=PASSWORD, to=to_in(clerk.page))
    assert answer.url.path == f"/backoffice{BOX}"
    assert "What you had typed is filled in again. Nothing was done yet." in clerk.page
    assert reason_in(clerk.page) == LONG
    assert "<details open" in clerk.page
    assert "Suspended" not in clerk.page
    # Once; and what was filled in is sent as any other form.
    page = clerk.page
    assert reason_in((await clerk.get(BOX)).text) == ""
    clerk.page = page
    assert "The box is suspended" in (await clerk.post(SUSPEND, reason=LONG, confirmed="yes")).text


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://elsewhere.example"}, {}]
)
async def test_nobody_else_fills_in_a_form(system: System, headers: dict[str, str]) -> None:
    """Neither another site, nor a form without the token of the session that has ended."""
    if headers:
        clerk = await over(system, **headers)
    else:
        clerk = await let_in(system, "li.wei", "clerk")
        system.clock.advance(15 * 60)
        await clerk.post(SUSPEND, reason=LONG, csrf="0" * 64, back=f"/backoffice{BOX}")
    assert typed.COOKIE not in clerk.client.cookies
    assert LONG not in clerk.page
    for name in headers:
        del clerk.client.headers[name]
    answer = await clerk.post("/sign-in", name="li.wei", password=PASSWORD, to=to_in(clerk.page))
    assert answer.url.path == "/backoffice/"
    assert reason_in((await clerk.get(f"{BOX}?done=typed")).text) == ""


async def test_another_site_puts_no_words_on_our_pages(system: System) -> None:
    clerk = await let_in(system, "li.wei", "clerk")
    await clerk.get(BOX)
    clerk.client.headers["sec-fetch-site"] = "cross-site"
    answer = await clerk.post(SUSPEND, reason=LONG, confirmed="yes", back=f"/backoffice{BOX}")
    assert answer.status_code == 403
    assert LONG not in answer.text
    assert "Back to the page" not in answer.text


def test_no_secret_is_kept() -> None:
    templates = resources.files("server_stub.backoffice").joinpath("templates")
    found = set()
    for one in templates.iterdir():
        for call in re.findall(r"m\.field\([^\n]*", one.read_text("utf-8")):
            if 'type="password"' in call:
                found.add(re.match(r'm\.field\("(\w+)"', call)[1])  # type: ignore[index]
    assert found == {"password", "present", "new", "again"}
    kept = typed.typed("/p", "/a", [(name, "secret") for name in (*found, "csrf")] + [("reason", "why")])
    assert kept.fields == (("reason", "why"),)
    (card,) = typed.typed("/p", "/a", [("reason", "6222020000000000035")]).fields
    assert card == ("reason", "6222 02** **** *** 0035")


FORMS = """<p>&lt;</p><form method="get" action="/a"><input name="reason" value=""></form>
<form method="post" action="/a" novalidate><input type="hidden" name="csrf" value="new"><input type="hidden" name="psam" value="2"><input name="reason" value=""></form>
<details class="act"><summary>x</summary>
<form method="post" action="/a" novalidate><input type="hidden" name="csrf" value="new"><input type="hidden" name="psam" value="1">
<svg><path d="M1"/></svg>&nbsp;&#8211;<label for="f"><input name="reason" value="x" id="f" required></label>
<textarea name="more">was &amp; is</textarea><input type="password" name="password" value="">
<input type="radio" name="how" value="dry" checked><input type="radio" name="how" value="wet">
<input type="checkbox" name="roles" value="a" checked><input type="checkbox" name="roles" value="b"><input type="checkbox" name="roles" value="c">
<select name="kind"><option value="1" selected>1</option><option value="2">2</option></select></form></details>"""


def test_only_the_form_that_was_sent_is_filled_in_and_all_kinds_of_its_fields() -> None:
    fields = [("psam", "1"), ("reason", '"<&'), ("more", "</textarea>"), ("how", "wet"), ("kind", "2")]
    form = typed.typed("/p", "/a", [*fields, ("roles", "b"), ("roles", "c"), ("password", "no")])
    before, after = FORMS.split("<details"), typed.filled(FORMS, form).split("<details")
    assert after[0] == before[0]
    told = before[1]
    for was, now in (
        (' class="act"', ' open class="act"'),
        (
            '<input name="reason" value="x" id="f" required>',
            '<input name="reason" id="f" required value="&quot;&lt;&amp;">',
        ),
        ("was &amp; is", "&lt;/textarea&gt;"),
        ('value="dry" checked>', 'value="dry">'),
        ('value="wet">', 'value="wet" checked>'),
        ('value="a" checked>', 'value="a">'),
        ('value="b">', 'value="b" checked>'),
        ('value="c">', 'value="c" checked>'),
        ('value="1" selected>', 'value="1">'),
        ('value="2">2', 'value="2" selected>2'),
    ):
        assert told.count(was) == 1, was
        told = told.replace(was, now)
    assert after[1] == told
    assert typed.filled(FORMS, form._replace(action="/other")) == FORMS


@given(page=st.text(), fields=st.lists(st.tuples(st.text(), st.text(min_size=1)), max_size=5))
def test_a_kept_form_is_read_as_it_was(page: str, fields: list[tuple[str, str]]) -> None:
    form = typed.typed(page, "/a", fields)
    assert typed.read(typed.written(form)) == form


@given(st.text() | st.binary().map(lambda raw: urlsafe_b64encode(zlib.compress(raw)).decode()))
def test_any_cookie_is_read_or_nothing(text: str) -> None:
    found = typed.read(text)
    assert found is None or typed.filled(FORMS, found)


def test_what_no_cookie_can_hold_is_not_kept() -> None:
    long = "".join(chr(0x4E00 + (place * 7919) % 20_000) for place in range(4_000))
    assert typed.written(typed.typed("/p", "/a", [("reason", long)])) == ""
    assert typed.written(typed.typed("/p", "/a", [("reason", long[:500])])) != ""


async def test_an_empty_form_is_no_wrong_try_and_says_what_is_missing(system: System) -> None:
    await register(system, "wu", "clerk")
    clerk = Clerk(system, "wu")
    for name, password, missing, focused in (
        ("", "", ("Type the name you sign in with.", "Type your password."), "name"),
        ("wu", "", ("Type your password.",), "password"),
    ):
        for _ in range(6):
            answer = await clerk.post("/sign-in", "/sign-in", name=name, password=password)
        assert answer.status_code == 422
        assert all(text in answer.text for text in missing)
        assert "Name or password is not right" not in answer.text
        (field,) = re.findall(r'id="f-(\w+)"[^>]*autofocus', answer.text)
        assert field == focused
    assert (await clerk.sign_in()).status_code == 200
    refused = select(tables.audit.records).where(tables.audit.records.c.action == "sign-in-refused")
    assert await office_of(system).database.read(lambda conn: list(conn.execute(refused))) == []
