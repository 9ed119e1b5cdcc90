"""Who gets in where: every route, with and without the right that it declares."""

from __future__ import annotations

import re

import pytest
from prometheus_client import generate_latest

from server_stub.backoffice.pages import PAGES
from server_stub.backoffice.rights import RIGHTS, Right, Role, rights_of, roles_of
from server_stub.backoffice.routes import Page
from tests.server_stub.backoffice.desk import Clerk, let_in, office_of, register
from tests.server_stub.system import System

pytestmark = pytest.mark.anyio
OPEN = {("GET", "/sign-in"), ("POST", "/sign-in"), ("POST", "/language")}


def address(page: Page) -> str:
    return re.sub(r"\{(\w+)\}", "none", page.path)


def test_only_the_sign_in_and_the_language_are_open() -> None:
    assert {(page.method, page.path) for page in PAGES if page.right is Right.OPEN} == OPEN


def test_no_page_is_declared_twice() -> None:
    assert len({(page.method, page.path) for page in PAGES}) == len(PAGES)


def test_each_role_has_what_the_table_says() -> None:
    assert not RIGHTS[Role.ADMIN] & {Right.DECIDE, Right.CONFIRM, Right.BOXES, Right.PSAMS, Right.RUN}
    assert Right.CONFIRM in RIGHTS[Role.SUPERVISOR] - RIGHTS[Role.CLERK]
    assert rights_of(()) == {Right.OPEN, Right.OWN}
    assert rights_of(Role) == set(Right)
    with pytest.raises(ValueError, match="viewer, clerk, supervisor, admin"):
        roles_of("clerk,king")


async def test_nobody_gets_in_without_signing_in(system: System) -> None:
    nobody = Clerk(system, "nobody")
    await nobody.get("/sign-in")
    page = await nobody.client.get("/backoffice/%00")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for page in PAGES:
        if page.right is Right.OPEN:
            continue
        path = f"/backoffice{address(page)}"
        answer = await nobody.client.request(page.method, path, follow_redirects=False)
        assert answer.status_code == 303, page
        assert answer.headers["location"].startswith("/backoffice/sign-in"), page


@pytest.mark.parametrize("role", [role.value for role in Role])
async def test_no_role_gets_where_it_lacks_the_right(system: System, role: str) -> None:
    clerk = await let_in(system, "somebody", role)
    rights = rights_of([Role(role)])
    for page in PAGES:
        if page.right in rights:
            continue
        if page.method == "GET":
            answer = await clerk.get(address(page))
        else:
            answer = await clerk.post(address(page), "/help")
        assert answer.status_code == 403, page
        assert "You may not do that" in answer.text
    # And its own pages are there.
    for page in PAGES:
        if page.method == "GET" and page.right in rights and "{" not in page.path:
            assert (await clerk.get(page.path)).status_code == 200, page
    told = generate_latest(system.roles.measures.registry).decode()
    assert 'stb_request_seconds_count{method="GET",route="/backoffice/cases",status="200"} 1.0' in told
    refused = re.search(r'stb_refusals_total\{code="page-not-allowed"\} (\d+)', told)
    assert refused is not None
    assert int(refused[1]) == sum(page.right not in rights for page in PAGES)


async def test_the_menu_shows_only_where_one_may_go(system: System) -> None:
    viewer, admin = await let_in(system, "vera", "viewer"), await let_in(system, "adam", "admin")
    assert "/backoffice/cases" in (await viewer.get("/")).text
    assert "/backoffice/staff" not in viewer.page
    assert "/backoffice/audit" not in viewer.page
    assert "/backoffice/staff" in (await admin.get("/")).text


async def test_a_password_from_somebody_else_opens_nothing_but_the_form_for_another(system: System) -> None:
    await register(system, "new", "supervisor", once=True)
    clerk = Clerk(system, "new")
    await clerk.sign_in()
    for path in ("/", "/cases", "/psams"):
        assert (await clerk.get(path)).url.path == "/backoffice/password"
    assert "/backoffice/cases" not in clerk.page
    new = "seven boats below the bridge"
    present = "heron walks over the dam"
    answer = await clerk.post("/password", "/password", present=present, new=new, again=new)
    assert answer.url.path == "/backoffice/"
    assert (await clerk.get("/cases")).status_code == 200


async def test_whoever_is_closed_out_is_out_at_once(system: System) -> None:
    clerk, admin = await let_in(system, "carl", "clerk"), await let_in(system, "adam", "admin")
    assert (await clerk.get("/cases")).status_code == 200
    assert "account is closed" in (await admin.post("/staff/carl/close", "/staff/carl", confirmed="yes")).text
    assert (await clerk.get("/cases")).url.path == "/backoffice/sign-in"
    assert (await clerk.sign_in()).status_code == 401
    await admin.post("/staff/carl/open", "/staff/carl")
    assert (await clerk.sign_in()).status_code == 200


async def test_nobody_changes_their_own_roles(system: System) -> None:
    admin = await let_in(system, "adam", "admin")
    answer = await admin.post("/staff/adam/roles", "/staff", role="supervisor")
    assert answer.status_code == 403
    found = await admin.get("/staff/adam")
    assert "Nobody changes their own account" in found.text
    assert office_of(system).settings.case_second_fen == 5_000
