"""What the pages show and do beside cases, and what they never let through."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from server_stub.app import Roles
from server_stub.backoffice import staff
from server_stub.backoffice import tables as own
from server_stub.backoffice.api import FONTS, POLICY
from server_stub.backoffice.criteria import FIELDS
from server_stub.backoffice.office import METADATA
from server_stub.backoffice.words import ROLES
from server_stub.boss import tables as boss
from server_stub.foundation.secret import SecretText
from server_stub.settings import Settings
from server_stub.tsp import tables
from tests.server_stub.backoffice.desk import Clerk, let_in, office_of, open_office, register
from tests.server_stub.system import System, databases, stand, world_of

pytestmark = pytest.mark.anyio
MARKUP = '<script>alert("x")</script><img src=x onerror=alert(1)>\'"&'


async def audited(system: System, role: str, action: str) -> list[Any]:
    log = METADATA[role].info["audit"].records
    query = select(log).where(log.c.action == action)
    return await office_of(system).books(role).read(lambda conn: list(conn.execute(query)))


async def result(system: System, clerk: Clerk, answer: httpx.Response) -> str:
    """The page of a task once it has come to its end."""
    while "Running" in answer.text:
        await office_of(system).database.read(lambda conn: None)  # lets the others work
        answer = await clerk.client.get(str(answer.url))
        assert answer.status_code == 200
    return answer.text


async def test_a_box_is_found_and_suspended_with_a_reason(system: System) -> None:
    clerk = await let_in(system, "wu", "clerk")
    for wanted in ("853120", "8310220477550019", "zhang", "张"):
        assert "85312047" in (await clerk.get(f"/boxes?q={wanted}")).text, wanted
    assert "85312047" not in (await clerk.get("/boxes?q=%25")).text
    assert "Sports Pack" in (await clerk.get("/boxes/85312047")).text
    lacking = await clerk.post("/boxes/85312047/suspend", "/boxes/85312047")
    assert lacking.status_code == 422
    (field,) = re.findall(r'<input id="f-suspend"[^>]*>', lacking.text)
    assert 'aria-describedby="w-suspend" aria-invalid="true" autofocus' in field
    assert 'id="w-suspend"' in lacking.text
    assert '<details class="act" open>' in lacking.text
    asked = await clerk.post("/boxes/85312047/suspend", "/boxes/85312047", reason="called in")
    assert "The box is refused until" in asked.text
    done = await clerk.post("/boxes/85312047/suspend", "/boxes/85312047", reason="called in", confirmed="yes")
    assert "The box is suspended" in done.text
    (record,) = await audited(system, "boss", "box-suspend")
    assert (record.actor, record.subject, json.loads(record.facts)) == (
        "wu",
        "85312047",
        {"reason": "called in"},
    )
    assert (await clerk.get("/boxes/12345678")).status_code == 404
    unknown = await clerk.post("/boxes/12345678/suspend", "/boxes", reason="called in", confirmed="yes")
    assert unknown.status_code == 404


async def test_a_new_activation_code_is_shown_once_and_stands_in_no_log(system: System) -> None:
    clerk = await let_in(system, "wu", "clerk")
    said = {"reason": "new subscriber", "confirmed": "yes"}
    await clerk.post("/boxes/85312048/activation", "/boxes/85312048", **said)
    code = re.search(r'class="secret">(\d{10})<', clerk.page)
    assert code
    box = system.box()
    with pytest.raises(AssertionError, match="activation-code-wrong"):
        await box
    (record,) = await audited(system, "boss", "box-activation")
    assert code[1] not in str(record)
    from tests.server_stub.system import Box

    await Box(system, "85312048").enrol(activation_code=code[1])


async def test_a_locked_psam_is_unlocked_with_a_reason(system: System) -> None:
    chief = await let_in(system, "xu", "supervisor")
    locked = insert(tables.psam_locks).values(psam="sim:2", locked_at=system.clock.now())
    await system.tsp.database.write(lambda conn: conn.execute(locked))
    assert "PSAM has locked itself" in (await chief.get("/")).text
    more = insert(tables.psam_locks).values(psam="sim:3", locked_at=system.clock.now())
    await system.tsp.database.write(lambda conn: conn.execute(more))
    assert "PSAMs have locked themselves" in (await chief.get("/")).text
    await system.tsp.database.write(
        lambda conn: conn.execute(tables.psam_locks.delete().where(tables.psam_locks.c.psam == "sim:3"))
    )
    assert "sim:2 has locked itself" in (await chief.get("/psams/live")).text
    said = {"psam": "sim:2", "reason": "bank has unlocked it"}
    assert "not locked any more?" in (await chief.post("/psams/unlock", "/psams", **said)).text
    assert "is used again" in (await chief.post("/psams/unlock", "/psams", **said, confirmed="yes")).text
    assert await system.rows(tables.psam_locks) == []
    (record,) = await audited(system, "tsp", "psam-unlock")
    assert (record.actor, json.loads(record.facts)["reason"]) == ("xu", "bank has unlocked it")
    assert "bank has unlocked it" in (await chief.get("/psams/module?psam=sim:2")).text
    # The same form once more finds it done; it unlocks nothing that has locked itself since.
    seen = json.loads(record.facts)["locked_at"]
    same = {**said, "confirmed": "yes", "seen": seen}
    assert "is used again" in (await chief.post("/psams/unlock", "/psams", **same)).text
    system.clock.advance(1)
    again = insert(tables.psam_locks).values(psam="sim:2", locked_at=system.clock.now())
    await system.tsp.database.write(lambda conn: conn.execute(again))
    other = await let_in(system, "yu", "supervisor")
    assert (await other.post("/psams/unlock", "/psams", **same)).status_code == 409
    assert (await chief.post("/psams/unlock", "/psams", **same)).status_code == 409
    assert len(await system.rows(tables.psam_locks)) == 1
    await system.tsp.database.write(lambda conn: conn.execute(tables.psam_locks.delete()))
    assert (await chief.post("/psams/unlock", "/psams", **said, confirmed="yes")).status_code == 409


async def test_a_psam_in_use_shows_whose_it_is(system: System) -> None:
    from tests.server_stub.system import Card

    box = await system.box()
    payment = await box.pay("card", "sports", "monthly")
    await Card(box).authorised(payment)
    viewer = await let_in(system, "vera", "viewer")
    live = (await viewer.get("/psams/live")).text
    (order,) = await system.rows(tables.orders)
    assert order.number in live
    assert "In use" in live
    assert "0:03:00" in live
    assert f'/backoffice/transactions/{payment["payment"]}"' in live
    (lease,) = await system.rows(tables.leases)
    assert f'href="/backoffice/psams/module?psam={lease.psam.replace(":", "%3A")}"' in live
    module = (await viewer.get(f"/psams/module?psam={lease.psam}")).text
    assert f'/backoffice/transactions/{payment["payment"]}"' in module
    assert "What people did" not in module
    assert (await viewer.get("/psams/module?psam=moon:1")).status_code == 404
    mine = (await viewer.get(f"/boxes/{box.number}")).text
    assert f'/backoffice/transactions/{payment["payment"]}"' in mine
    assert f'/backoffice/transactions?box={box.number}"' in mine
    system.clock.advance(200)
    assert "Reservation has run out" in (await viewer.get("/psams/live")).text


async def test_a_batch_that_differs_is_decided(system: System) -> None:
    now = system.clock.now()
    row = {"terminal": "88310001", "batch": "000007", "state": "differs", "begun_at": now, "settled_at": now}
    row |= {"told_fen": 5_000, "told_count": 2, "counted_fen": 4_500, "counted_count": 1}
    await system.tsp.database.write(lambda conn: conn.execute(insert(tables.settlements).values(**row)))
    other = {**row, "terminal": "88310002", "told_count": 3}  # of a terminal of before
    await system.tsp.database.write(lambda conn: conn.execute(insert(tables.settlements).values(**other)))
    clerk = await let_in(system, "wu", "clerk")
    assert "¥50.00" in (await clerk.get("/batches")).text
    assert "¥5.00" in clerk.page
    assert clerk.page.count("Terminal 88310002") == 2
    assert len(set(re.findall(r'id="(f-[^"]+)"', clerk.page))) == 2
    wrong = await clerk.post("/batches/000007", "/batches", reason="", terminal="88310002")
    assert re.findall(r'id="w-([^"]+)"', wrong.text) == ["88310002-000007"]
    said = {"reason": "one sale came twice", "confirmed": "yes", "terminal": "88310001"}
    assert (
        await clerk.post("/batches/000007", "/batches", **{**said, "terminal": "88310003"})
    ).status_code == 409
    assert "The batch is decided" in (await clerk.post("/batches/000007", "/batches", **said)).text
    assert "one sale came twice" in clerk.page
    # The same form once more finds it done; other words do not.
    again = await clerk.post("/batches/000007", "/batches", **said)
    assert (again.status_code, "The batch is decided" in again.text) == (200, True)
    assert (await clerk.post("/batches/000007", "/batches", **{**said, "reason": "no"})).status_code == 409


async def test_a_job_is_run_now(system: System) -> None:
    chief = await let_in(system, "xu", "supervisor")
    assert "checks balances against entries" in (await chief.get("/jobs")).text
    await chief.post("/jobs/tsp/books", "/jobs")
    assert "run within a minute" in chief.page
    while not any(row.id == "books" and row.result == "balanced" for row in await system.rows(tables.jobs)):
        pass
    (record,) = await audited(system, "tsp", "job-ordered")
    assert (record.actor, record.subject) == ("xu", "books")
    await chief.post("/language", "/jobs", language="zh")
    assert "账目平衡" in (await chief.get("/jobs")).text
    assert (await chief.post("/jobs/tsp/nothing", "/jobs")).status_code == 404
    assert (await chief.post("/jobs/moon/books", "/jobs")).status_code == 404


async def test_audit_logs_are_searched_and_their_chain_verified(system: System) -> None:
    chief = await let_in(system, "xu", "supervisor")
    assert "signed-in" in (await chief.get("/audit?role=backoffice&actor=xu")).text
    assert "Nothing fits" in (await chief.get("/audit?role=backoffice&actor=nobody")).text
    assert "signed-in" in (await chief.get("/audit?role=backoffice&from=2026-06-21&to=2026-06-21")).text
    assert "Nothing fits" in (await chief.get("/audit?role=backoffice&from=2999-01-01")).text
    for odd in ("from=never", "before=x", "role=moon", "to=9999-12-31"):
        assert (await chief.get(f"/audit?{odd}")).status_code == 200
    answer = await chief.post("/audit/verify", "/audit", role="tsp")
    assert "is whole" in await result(system, chief, answer)
    # Nobody else is shown what somebody has had done.
    other = await let_in(system, "yu", "supervisor")
    assert (await other.client.get(str(answer.url))).status_code == 404


async def test_a_changed_record_is_found(system: System, kind: str) -> None:
    chief = await let_in(system, "xu", "supervisor")
    off = {
        "sqlite": ["DROP TRIGGER audit_log_no_UPDATE"],
        "postgresql": ["ALTER TABLE audit_log DISABLE TRIGGER audit_stands"],
    }[kind]

    def change(conn: Any) -> None:
        for statement in off:
            conn.exec_driver_sql(statement)
        conn.execute(update(own.audit.records).where(own.audit.records.c.sequence == 2).values(actor="wu"))

    await office_of(system).database.write(change)
    answer = await chief.post("/audit/verify", "/audit", role="backoffice")
    assert "record 2 was changed" in await result(system, chief, answer)
    await chief.post("/language", "/help", language="zh")
    assert "第 2 条记录被改动过" in (await chief.get(answer.url.path.removeprefix("/backoffice"))).text


async def test_parameters_say_where_they_come_from_and_never_a_secret(tmp_path: Path, kind: str) -> None:
    secret = SecretText("a-partner-key-nobody-may-see")
    async with open_office(tmp_path, Settings(partner_key=secret, hotline="4001234567")) as system:
        office = office_of(system)
        office.set_by = frozenset({"STB_SERVER_HOTLINE"})
        chief = await let_in(system, "xu", "supervisor")
        page = (await chief.get("/parameters")).text
        assert "4001234567" in page
        assert "nobody-may-see" not in page
        url = databases.of(tmp_path)
        assert not url or url not in page
        assert page.count("set, not shown") == (2 if url else 1)
        row = re.search(r"<code>STB_SERVER_HOTLINE.*?</tr>", page, re.DOTALL)
        assert row
        assert "environment" in row[0]
        for shown in (
            "¥500.00",
            "12 hours",
            "1 day",
            "30 days",
            "1 minute · 5 minutes · 15 minutes · 1 hour",
        ):
            assert f"<strong>{shown}</strong>" in page, shown
        assert "Nothing fits" in (await chief.get("/parameters?q=zzzz")).text


async def test_an_administrator_lets_people_in_and_gives_passwords(system: System) -> None:
    admin = await let_in(system, "adam", "admin")
    said = {"name": "Lin.Na", "full_name": "林娜", "role": "clerk"}
    await admin.post("/staff", "/staff", **said)
    first = re.search(r'class="secret">([\w-]{19})<', admin.page)
    assert first
    new = Clerk(system, "lin.na")
    assert (await new.sign_in(first[1])).url.path == "/backoffice/password"
    assert (await admin.post("/staff", "/staff", **said)).status_code == 422
    assert "Somebody has this name already" in admin.page
    assert (await admin.post("/staff", "/staff", name="a b", role="clerk")).status_code == 422
    assert (await admin.post("/staff", "/staff", name="someone")).status_code == 422
    await admin.post("/staff/lin.na/roles", "/staff/lin.na", role="viewer")
    assert "The roles are changed" in admin.page
    await admin.post("/staff/lin.na/password", "/staff/lin.na", confirmed="yes")
    second = re.search(r'class="secret">([\w-]{19})<', admin.page)
    assert second
    assert second[1] != first[1]
    assert (await new.get("/")).url.path == "/backoffice/sign-in"
    everything = str(await audited(system, "backoffice", "staff-added"))
    assert first[1] not in everything
    assert "林娜" in everything


async def test_roles_that_somebody_else_has_given_meanwhile_are_not_taken_away(system: System) -> None:
    first, second = await let_in(system, "adam", "admin"), await let_in(system, "eve", "admin")
    await register(system, "carl", "clerk")
    await second.get("/staff/carl")
    await first.post("/staff/carl/roles", "/staff/carl", role="supervisor")
    refused = await second.post("/staff/carl/roles", role="viewer")
    assert refused.status_code == 422
    assert "It has changed since this page was shown" in refused.text
    assert re.findall(r'value="(\w+)" checked', refused.text) == ["supervisor"]
    await second.post("/staff/carl/roles", role="viewer")
    assert "The roles are changed" in second.page


async def test_who_has_chosen_no_language_reads_their_browser_s(system: System) -> None:
    await register(system, "fang", "viewer", language="")
    clerk = Clerk(system, "fang")
    await clerk.sign_in()
    assert '<html lang="en">' in clerk.page
    clerk.client.headers["accept-language"] = "zh-CN"
    assert '<html lang="zh-CN">' in (await clerk.get("/help")).text
    await clerk.post("/language", "/help", language="en")
    assert '<html lang="en">' in (await clerk.get("/help")).text


async def test_all_that_is_wrong_with_somebody_new_is_told_at_once_beside_its_field(system: System) -> None:
    admin = await let_in(system, "adam", "admin")
    long = "Li " * 30
    answer = await admin.post("/staff", "/staff", name=".li", full_name=long)
    assert answer.status_code == 422
    beside = {"name": "A name begins with", "full_name": "at most 60", "role": "Choose at least one role"}
    for field, said in beside.items():
        assert re.search(rf'id="w-{field}">.*?<span>[^<]*{said}', answer.text, re.DOTALL), field
        assert re.search(rf'<a href="#f-{field}">[^<]*{said}', answer.text), field
    assert answer.text.count("autofocus") == 1
    assert 'value=".li"' in answer.text
    # What is taken already is told together with what else is wrong.
    answer = await admin.post("/staff", "/staff", name="Adam", full_name="Ada")
    assert re.findall(r'id="w-(\w+)"', answer.text) == ["name", "role"]
    # The hint promises no more, and no less, than what is refused.
    for sign in ("digits", "dots", "hyphens", "underscores"):
        assert answer.text.count(sign) == 1, sign


async def test_nobody_is_let_in_by_a_card_number(system: System) -> None:
    admin = await let_in(system, "adam", "admin")
    card = "4111111111111111"
    for names in ({"name": card}, {"name": "lin.na", "full_name": f"Lin Na {card}"}):
        answer = await admin.post("/staff", "/staff", role="clerk", **names)
        assert (answer.status_code, "a whole card number" in answer.text) == (422, True), names
        assert card not in answer.text
    assert card not in str(await audited(system, "backoffice", "staff-added"))
    office = office_of(system)
    assert [one.name for one in await office.database.read(staff.listed)] == ["adam"]


async def test_markup_in_names_and_reasons_is_text(system: System) -> None:
    renamed = update(boss.subscribers).values(name_en=MARKUP, name_zh=MARKUP)
    await system.boss(lambda conn: conn.execute(renamed))
    everybody = await let_in(system, "mallory", "clerk,supervisor,admin", full_name=MARKUP[:60])
    said = {"reason": MARKUP, "confirmed": "yes"}
    await everybody.post("/boxes/85312048/suspend", "/boxes/85312048", **said)
    await everybody.post("/staff", "/staff", name="trudy", full_name=MARKUP[:58], role="viewer")
    pages = ("/", "/boxes", "/boxes/85312048", "/staff", "/staff/trudy", "/account", "/audit?role=boss")
    searches = ("/cases", "/boxes", "/parameters", "/audit")
    for path in (*pages, *(f"{path}?q={MARKUP}&actor={MARKUP}" for path in searches)):
        page = (await everybody.get(path)).text
        assert "<script>alert" not in page, path
        assert "<img src=x" not in page, path
    assert "&lt;script&gt;alert" in (await everybody.get("/audit?role=boss")).text
    asked = await everybody.post("/boxes/85312048/activate", "/boxes/85312048", reason=MARKUP, back=MARKUP)
    assert "<img src=x" not in asked.text


async def test_every_answer_says_what_a_browser_may_do_with_it(system: System) -> None:
    clerk = await let_in(system, "wu", "clerk")
    for path in ("/", "/nowhere", "/static/backoffice.css", "/sign-in"):
        headers = (await clerk.get(path)).headers
        assert headers["content-security-policy"] == POLICY
        assert "unsafe" not in POLICY
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
    assert (await clerk.get("/")).headers["cache-control"] == "no-store"
    for path in ("/", "/cases", "/psams", "/help", "/staff"):
        page = (await clerk.get(path)).text
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=", page), path
    for name in ("htmx.min.js", "backoffice.js", "icon.svg", f"fonts/{FONTS[0]}"):
        assert (await clerk.get(f"/static/{name}")).status_code == 200
    for odd in ("../tables.py", "fonts/OFL.txt", "%2e%2e/tables.py", ""):
        assert (await clerk.get(f"/static/{odd}")).status_code == 404


async def test_a_fault_has_a_page_with_the_number_that_stands_in_the_log(system: System) -> None:
    clerk = await let_in(system, "wu", "clerk")
    office = office_of(system)
    office.databases = {**office.databases, "boss": None}  # type: ignore[dict-item]
    answer = await clerk.get("/boxes", **{"correlation-id": "ab" * 16})
    assert answer.status_code == 500
    assert "ab" * 16 in answer.text
    assert "Traceback" not in answer.text


async def test_a_role_that_is_not_here_is_told_so_on_its_pages(system: System) -> None:
    clerk, office = await let_in(system, "wu", "clerk,supervisor"), office_of(system)
    office.databases = {"backoffice": office.databases["backoffice"]}
    for path, role in (("/boxes", "boss"), ("/cases", "tsp"), ("/psams", "tsp"), ("/batches", "tsp")):
        answer = await clerk.get(path)
        assert answer.status_code == 503
        assert f"{ROLES[role]} does not run with this back office" in answer.text
    assert "not here" in (await clerk.get("/")).text
    assert "No role with jobs runs here" in (await clerk.get("/jobs")).text
    assert "signed-in" in (await clerk.get("/audit")).text


async def test_the_language_is_the_person_s_own(system: System) -> None:
    clerk = await let_in(system, "wu", "clerk")
    await clerk.post("/language", "/cases", language="zh")
    assert "待处理事项" in clerk.page
    assert (await clerk.post("/language", "/cases", language="xx")).status_code == 409
    again = Clerk(system, "wu")
    await again.sign_in()
    assert "概览" in again.page
    stranger = Clerk(system, "nobody")
    assert "登录" in (await stranger.get("/sign-in", **{"accept-language": "zh-CN,zh;q=0.9"})).text
    assert "Sign in" in (await Clerk(system, "x").get("/sign-in", **{"accept-language": "en-GB"})).text


async def test_an_htmx_request_without_a_session_sends_the_whole_page_to_the_sign_in(system: System) -> None:
    stranger = Clerk(system, "nobody")
    answer = await stranger.get("/psams/live", **{"hx-request": "true"})
    assert answer.status_code == 204
    assert answer.headers["hx-redirect"].startswith("/backoffice/sign-in")


def test_settings_of_the_sessions_have_the_defaults_that_are_written_down() -> None:
    assert (Settings().staff_idle_seconds, Settings().staff_session_seconds) == (15 * 60, 12 * 3600)
    assert replace(Settings(), staff_idle_seconds=1).staff_idle_seconds == 1


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
async def test_alone_beside_a_shared_database_it_sees_and_decides_what_roles_elsewhere_have(
    system: System, tmp_path: Path
) -> None:
    """The same database, and a second process in which no other role runs."""
    names, world = ("backoffice",), world_of(tmp_path, system.clock, system.network)
    roles = Roles(replace(Settings(), database=databases.of(tmp_path)), names, tmp_path, world)
    first = stand().roles
    async with roles.running():
        stand().roles = roles
        try:
            alone = System(roles, system.clock, system.network, system.outside)
            clerk = await let_in(alone, "wu", "clerk,supervisor")
            assert "85312047" in (await clerk.get("/boxes")).text
            said = {"reason": "called in", "confirmed": "yes"}
            await clerk.post("/boxes/85312047/suspend", "/boxes/85312047", **said)
            assert "The box is suspended" in clerk.page
            await clerk.post("/jobs/tsp/books", "/jobs")
            assert "run within a minute" in clerk.page
            assert "85312047" in (await clerk.get("/audit?role=boss")).text
            assert (await clerk.get("/psams")).status_code == 200
        finally:
            stand().roles = first
    (record,) = await audited(system, "boss", "box-suspend")
    assert record.actor == "wu"


LISTS = {
    "/transactions": ("q", "before", *FIELDS),
    "/breaks": ("q", "pair", "cls", "state", "day", "amount", "before"),
    "/reconciliation": ("pair", "state", "day", "before"),
    "/files": ("role", "partner", "direction", "day", "state", "q", "before"),
    "/audit": ("role", "actor", "action", "subject", "from", "to", "before"),
    "/cases": ("q", "kind", "state", "beyond"),
    "/boxes": ("q", "page"),
    "/days": ("state", "before"),
    "/batches": ("page",),
    "/reports": ("year",),
    "/proposals": ("state",),
    "/psams/module": ("psam",),
    "/sign-in": ("to", "done"),
}
"""Pages that read what stands in their address."""
DATES = (
    st.dates().map(str)
    | st.datetimes().map(lambda at: at.isoformat())
    | st.sampled_from(("0001-01-01", "9999-12-31"))
)


async def test_whatever_is_typed_into_a_list_is_answered(system: System) -> None:
    everybody = await let_in(system, "chen", "clerk,supervisor,admin")
    loop = asyncio.get_running_loop()

    async def ask(path: str, query: dict[str, str]) -> int:
        return (await everybody.client.get(f"/backoffice{path}?{urlencode(query)}")).status_code

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def answered(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(LISTS)))
        texts = (
            DATES | st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.integers().map(str)
        )
        query = data.draw(st.dictionaries(st.sampled_from(LISTS[path]), texts, max_size=3))
        status = asyncio.run_coroutine_threadsafe(ask(path, query), loop).result(30)
        assert status in (200, 404), (path, query)

    await asyncio.to_thread(answered)


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "1970-01-01", "2026-02-30", "tomorrow"])
async def test_a_day_that_cannot_be_is_answered_beside_its_field(system: System, day: str) -> None:
    everybody = await let_in(system, "chen", "clerk,supervisor,admin")
    for path, names in {
        "/transactions": ("since", "until"),
        "/breaks": ("day",),
        "/reconciliation": ("day",),
        "/files": ("day",),
        "/audit": ("from", "to"),
    }.items():
        for name in names:
            answer = await everybody.get(f"{path}?{name}={day}")
            assert (answer.status_code, f'id="w-{name}"' in answer.text) == (200, True), (path, name)
    assert (await everybody.get(f"/transactions?q={day}")).status_code == 200
    answer = await everybody.post("/reconciliation", "/reconciliation", pair="boss", day=day, confirmed="yes")
    assert (answer.status_code, "Choose a day that is over" in answer.text) == (422, True)
    assert await system.rows(tables.book.runs) == []
