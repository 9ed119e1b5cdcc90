"""Differences decided in the browser, comparisons wanted, days sent again, files and partners: over HTTP, on both databases."""

from __future__ import annotations

import asyncio
import json
import re
from asyncio import gather
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from server_stub.backoffice import proposals, run_charts
from server_stub.backoffice import tables as own
from server_stub.backoffice.errors import Clash
from server_stub.backoffice.pages.breaks import fen_of
from server_stub.boss import tables as boss
from server_stub.exchange import tables as exchange
from server_stub.foundation.audit import Audit
from server_stub.foundation.day_files import FileBad
from server_stub.foundation.sentences import say
from server_stub.reconciliation.healing import Tally
from server_stub.reconciliation.reading import FileRefused
from server_stub.reconciliation.records import BREAKS, Cls, Difference, Totals
from server_stub.settings import Settings
from server_stub.tsp import tables
from server_stub.tsp.reconciling import pair_named
from tests.server_stub.backoffice.desk import ALL, SEEN, Clerk, let_in, office_of
from tests.server_stub.backoffice.differences import compared, every_class, month, note_of, record
from tests.server_stub.system import Card, System, decided_by_two_from, exchange_below, running_with_ppp
from tests.server_stub.tsp.test_reconciling import bought, morning, taken_back
from tests.server_stub.tsp.test_uploads import DAY, answering, days_of, next_day, paid, telling

pytestmark = pytest.mark.anyio


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    """All roles, which exchange files; from 50 yuan on two people decide."""
    settings, folder = Settings(case_second_fen=5_000), exchange_below(tmp_path)
    async with running_with_ppp(tmp_path / "data", settings, folder=folder, without=ALL) as one:
        yield one


async def planted(system: System, differences: list[Difference], **more: Any) -> str:
    """A comparison has found them; returns its id."""
    core = system.tsp.core
    return await core.database.write(
        lambda conn: compared(conn, core.ids, core.clock, DAY, differences, **more)
    )


async def break_of(system: System, cls: Cls) -> str:
    """The address of the one break of a class."""
    (row,) = [row for row in await system.rows(tables.book.breaks) if row.cls == cls]
    return f"/breaks/{row.id}"


async def logged(system: System, role: str, log: Audit, action: str) -> list[Any]:
    query = select(log.records).where(log.records.c.action == action)
    return await office_of(system).books(role).read(lambda conn: list(conn.execute(query)))


async def standing(system: System, cls: Cls) -> tuple[str, str | None, str | None, str | None]:
    (row,) = [row for row in await system.rows(tables.book.breaks) if row.cls == cls]
    return row.state, row.action, row.actor, row.second


async def test_every_class_is_listed_and_told_in_words_with_both_records(system: System) -> None:
    await planted(system, every_class(DAY))
    viewer = await let_in(system, "vera", "viewer")
    listed = (await viewer.get("/breaks")).text
    assert len(re.findall(r'href="/backoffice/breaks/\w+"', listed)) == len(BREAKS)
    one = (await viewer.get(await break_of(system, Cls.AMOUNT))).text
    assert "Amounts differ" in one
    assert "differs: ¥10.00" in one
    assert one.index("¥118.00") < one.index("¥108.00")
    assert "Leave it open" not in one  # a viewer decides nothing
    assert "Viewers decide nothing." in one
    assert "sees everything but audit logs and parameters" in (await viewer.get("/help")).text
    assert "not a whole number" in (await viewer.get(await break_of(system, Cls.MALFORMED))).text
    assert "one side only" in (await viewer.get(await break_of(system, Cls.MISSING_HERE))).text
    assert "more than once" in (await viewer.get(await break_of(system, Cls.DUPLICATE_THERE))).text
    assert (await viewer.get("/breaks/none")).status_code == 404
    refused = await viewer.post(await break_of(system, Cls.AMOUNT), "/help", action="close", reason="no")
    assert refused.status_code == 403
    await viewer.post("/language", "/help", language="zh")
    assert "不是整数" in (await viewer.get(await break_of(system, Cls.MALFORMED))).text
    assert "not a whole number" not in viewer.page


FILTERS = {
    **{
        "pair=boss": 10,
        "pair=ppp": 0,
        "cls=amount": 1,
        "day=2026-06-21": 10,
        "day=2026-06-20": 0,
        "state=moon": 10,
    },
    **{"amount=118": 1, "amount=¥128.00": 1, "amount=much": 0, "q=88310001-000042-000113": 1, "q=none": 0},
    **{
        "q=88310001-000042": 2,
        "state=closed": 0,
        "state=all": 10,
        "state=healing": 0,
        "q=%25": 0,
        "before=2zz": 0,
    },
}
"""What is asked for, and how many differences that are."""


async def test_the_list_is_narrowed(system: System) -> None:
    await planted(system, every_class(DAY))
    viewer = await let_in(system, "vera", "viewer")
    found = {query: (await viewer.get(f"/breaks?{query}")).text for query in FILTERS}
    links = {query: len(re.findall(r'href="/backoffice/breaks/\w+"', page)) for query, page in found.items()}
    assert links == FILTERS
    assert found["amount=much"].count("No amount: type yuan") == 1  # beside its field
    typed = await viewer.get("/breaks?amount=much", **{"HX-Request": "true"})
    assert "No amount: type yuan" in typed.text.partition('id="found"')[2]  # all that htmx takes of it


async def test_pages_of_the_list_have_every_difference_once_those_that_wait_first(system: System) -> None:
    many = [
        Difference(Cls.MISSING_THERE, f"K{number:03}", record(f"K{number:03}", 100, "paid", DAY), None)
        for number in range(60)
    ]
    run = await planted(system, many)
    core = system.tsp.core
    (first, *_) = sorted(row.id for row in await system.rows(tables.book.breaks))
    await core.database.write(
        lambda conn: tables.book.close(conn, core.clock, first, "server", run=run)  # one is not open any more
    )
    viewer = await let_in(system, "vera", "viewer")
    seen: list[str] = []
    path = "/breaks?state=all"
    while path:
        page = (await viewer.get(path)).text
        seen += re.findall(r'href="/backoffice/breaks/(\w+)"', page)
        older = re.search(r'href="(\?[^"]+)" rel="next"', page)
        path = "/breaks" + older[1].replace("&amp;", "&") if older else ""
    assert len(seen) == len(set(seen)) == 60
    assert seen[-1] == first


async def test_a_payment_is_found_by_its_order_number_and_shown(system: System) -> None:
    payment = await bought(system, await system.box(), "kids")
    note = note_of(payment["payment"], "85312048", payment["number"], "wallet:demo")
    mine = record(payment["payment"], 1_000, "opened", DAY, **note)
    await planted(system, [Difference(Cls.MISSING_THERE, mine.key, mine, None)])
    viewer = await let_in(system, "vera", "viewer")
    for wanted in (payment["number"], payment["number"].lower().replace(" ", ""), payment["payment"]):
        assert payment["number"] in (await viewer.get(f"/breaks?q={wanted}")).text
    one = (await viewer.get(await break_of(system, Cls.MISSING_THERE))).text
    assert "/backoffice/boxes/85312048" in one
    assert "Kids" in (await viewer.get("/boxes/85312048")).text.split("Recent payments")[-1]
    assert f"/backoffice/transactions/{payment['payment']}" in one
    assert "Paid and opened" in one
    assert "DZMX20260621.TXT" in one


async def test_below_the_limit_one_person_decides_after_a_question(system: System) -> None:
    await planted(system, every_class(DAY))
    clerk, path = await let_in(system, "wu", "clerk"), await break_of(system, Cls.MISSING_HERE)
    assert "Nothing is moved." in (await clerk.get(path)).text
    said = {"action": "close", "reason": "BOSS has struck it off"}
    assert "Decide about this difference?" in (await clerk.post(path, path, **said)).text
    assert (await standing(system, Cls.MISSING_HERE))[0] == "open"
    done = (await clerk.post(path, path, **said, confirmed="yes")).text
    assert "is carried out" in done
    (following,) = re.findall(r'href="/backoffice(/breaks/\w+)">Next difference', done)
    assert following != path
    assert "Waits for a decision" in (await clerk.get(following)).text
    assert await standing(system, Cls.MISSING_HERE) == ("closed", "close", "wu", None)
    (entry,) = await logged(system, "tsp", tables.audit, "break-close")
    assert (entry.actor, json.loads(entry.facts)["by"]) == ("wu", "staff:wu")
    # The same form once more finds it done; another one, or another person's, does not.
    again = await clerk.post(path, path, **said, confirmed="yes")
    assert (again.status_code, "is carried out" in again.text) == (200, True)
    other_person = await let_in(system, "li", "clerk")
    assert (await other_person.post(path, path, **said, confirmed="yes")).status_code == 409
    said["reason"] = "another one"
    assert (await clerk.post(path, path, **said, confirmed="yes")).status_code == 409
    assert len(await logged(system, "tsp", tables.audit, "break-close")) == 1
    assert await logged(system, "tsp", tables.audit, "break-refused") == []
    assert "BOSS has struck it off" in (await clerk.get(path)).text
    assert "BOSS has struck it off" in (await clerk.get(path)).text
    for form, what in (
        ({"action": "refund", "reason": "x"}, "Choose what"),
        ({"action": "close"}, "Say why"),
    ):
        other = await break_of(system, Cls.STATUS)
        answer = await clerk.post(other, other, confirmed="yes", **form)
        assert (answer.status_code, what in answer.text) == (422, True)


async def test_the_question_says_what_is_done_and_about_which_record(system: System) -> None:
    """Without a payment of ours it is the number of the record, and of a line the line."""
    one = record("SMALL", 1_500, "opened", DAY)
    await planted(system, [Difference(Cls.MISSING_HERE, one.key, None, one), every_class(DAY)[-1]])
    clerk = await let_in(system, "wu", "clerk")
    for cls, action, what, about in (
        (Cls.MISSING_HERE, "close", "Close: settled outside", "record SMALL · ¥15.00"),
        (Cls.MALFORMED, "wait", "Leave it open", "line 17 of their file"),
    ):
        path = await break_of(system, cls)
        asked = (await clerk.post(path, path, action=action, reason="asked BOSS")).text
        assert f'<p class="what">{what}</p>' in asked
        assert f"This is about {about}. What was decided is done at once" in asked


async def test_above_the_limit_one_proposes_and_another_confirms(system: System) -> None:
    await planted(system, every_class(DAY))
    both = await let_in(system, "wu", "clerk,supervisor", full_name="Wu Fang")
    chief = await let_in(system, "xu", "supervisor")
    path = await break_of(system, Cls.OTHER_DAY)
    await both.post(path, path, action="wait", reason="asked the bank", confirmed="yes")
    assert await standing(system, Cls.OTHER_DAY) == ("open", None, None, None)
    assert "asked the bank" in (await both.get(path)).text
    await chief.get(path)
    await both.post(path, path, action="match", reason="around midnight")
    assert "Proposed. A second person" in both.page
    assert (await standing(system, Cls.OTHER_DAY))[0] == "open"
    assert (await chief.post(path, action="match", reason="me too")).status_code == 409
    listed = (await both.get("/proposals")).text
    assert "It is the same payment" in listed
    assert '<dd class="">Wu Fang</dd>' in listed
    # On its own page, too: what is proposed and why; to whoever did it as theirs.
    for who, said in ((both, "You have proposed a decision."), (chief, "Wu Fang has proposed a decision.")):
        page = (await who.get(path)).text
        assert "<strong>It is the same payment</strong><br>around midnight<br>" in page
        assert page.count("Another person has to confirm it.") == page.count(said) == 1
    (proposal,) = re.findall(r"/backoffice(/proposals/\w+)/withdraw", listed)
    assert (await both.post(f"{proposal}/confirm", "/proposals", confirmed="yes")).status_code == 403
    assert (await standing(system, Cls.OTHER_DAY))[0] == "open"
    done = await chief.post(f"{proposal}/confirm", "/proposals", confirmed="yes")
    assert "Confirmed and done" in done.text
    assert await standing(system, Cls.OTHER_DAY) == ("closed", "match", "wu", "xu")
    # A person is called otherwise than the page where they confirm.
    await chief.post("/language", "/help", language="zh")
    page = (await chief.get(path)).text
    assert "<dt>复核人</dt>" in page
    assert "复核人：xu" in page
    assert ">双人复核</h1>" in (await chief.get("/proposals")).text
    logs = (await chief.get("/audit?role=tsp&action=break-match")).text
    assert "Wu Fang<small>wu</small>" in logs
    assert "复核人</b> xu" in logs
    (entry,) = await logged(system, "tsp", tables.audit, "break-match")
    assert json.loads(entry.facts)["second"] == "xu"


async def proposed(clerk: Clerk, path: str, action: str = "close") -> str:
    """Where somebody's proposal about a difference is confirmed."""
    await clerk.post(path, path, action=action, reason="as agreed by telephone")
    (proposal,) = re.findall(r"/backoffice(/proposals/\w+)/withdraw", (await clerk.get("/proposals")).text)
    return f"{proposal}/confirm"


async def in_office(system: System) -> list[tuple[str, str, str | None]]:
    query = select(own.proposals).order_by(own.proposals.c.id)
    rows = await office_of(system).database.read(lambda conn: conn.execute(query).all())
    return [(row.state, row.proposed_by, row.second) for row in rows]


async def test_what_a_comparison_has_changed_is_neither_decided_nor_confirmed_as_it_was(
    system: System,
) -> None:
    """The same file once more: what agreed before is now about another amount."""
    small, large = record("SMALL", 1_500, "opened", DAY), record("LARGE", 6_000, "opened", DAY)
    first = [Difference(Cls.STATUS, one.key, one, replace(one, status="returned")) for one in (small, large)]
    then = [
        Difference(Cls.AMOUNT, one.key, one, replace(one, amount_fen=99_999_900)) for one in (small, large)
    ]
    await planted(system, first)
    clerk, chief = await let_in(system, "wu", "clerk"), await let_in(system, "xu", "supervisor")
    paths = {row.key: f"/breaks/{row.id}" for row in await system.rows(tables.book.breaks)}
    confirm = await proposed(clerk, paths["LARGE"])
    said = {"action": "close", "reason": "a slip of the pen", "confirmed": "yes"}
    await clerk.get(paths["SMALL"])
    await planted(system, then)
    answer = await clerk.post(paths["SMALL"], **said)
    assert (answer.status_code, "has changed since this page was shown" in answer.text) == (422, True)
    assert "999,999.00" in answer.text
    answer = await chief.post(confirm, "/proposals", confirmed="yes")
    assert (answer.status_code, "has changed since it was shown" in answer.text) == (409, True)
    assert [row.state for row in await system.rows(tables.book.breaks)] == ["open", "open"]
    assert await in_office(system) == [("failed", "wu", "xu")]
    # A form that says nothing of what was shown decides nothing either.
    assert (await clerk.post(paths["SMALL"], paths["SMALL"], **{**said, "seen": ""})).status_code == 422
    assert "Proposed. A second person" in (await clerk.post(paths["SMALL"], **said)).text


async def test_the_limit_that_the_server_has_noted_is_that_of_differences_too(system: System) -> None:
    one = record("SMALL", 1_500, "opened", DAY)
    await planted(system, [Difference(Cls.MISSING_THERE, one.key, one, None)])
    clerk, path = await let_in(system, "wu", "clerk"), await break_of(system, Cls.MISSING_THERE)
    assert "another person has to confirm it" not in (await clerk.get(path)).text
    await decided_by_two_from(system, 1_500)
    await clerk.post(path, action="close", reason="a slip of the pen", confirmed="yes")
    assert "Proposed. A second person" in clerk.page
    assert (await standing(system, Cls.MISSING_THERE))[0] == "open"


async def test_of_two_clicks_on_confirm_both_say_that_it_is_done(system: System) -> None:
    await planted(system, every_class(DAY))
    clerk, chief = await let_in(system, "wu", "clerk"), await let_in(system, "xu", "supervisor")
    confirm = await proposed(clerk, await break_of(system, Cls.OTHER_DAY), "match")
    await chief.get("/proposals")
    answers = await gather(*(chief.post(confirm, confirmed="yes") for _ in range(3)))
    assert [(one.status_code, "Confirmed and done" in one.text) for one in answers] == [(200, True)] * 3
    assert await in_office(system) == [("done", "wu", "xu")]
    for role, log, action, count in (
        ("backoffice", own.audit, "confirmed", 1),
        ("backoffice", own.audit, "proposal-failed", 0),
        ("tsp", tables.audit, "break-match", 1),
        ("tsp", tables.audit, "break-refused", 0),
    ):
        assert len(await logged(system, role, log, action)) == count, action


async def test_of_several_proposals_about_one_difference_one_is_entered(system: System) -> None:
    await planted(system, every_class(DAY))
    office, (row,) = (
        office_of(system),
        [row for row in await system.rows(tables.book.breaks) if row.cls == Cls.OTHER_DAY],
    )
    actors = ("wu", "xu", "li", "zhu", "ma")
    entered = await gather(
        *(proposals.propose(office, "break", row.id, actor, {"action": "match"}) for actor in actors),
        return_exceptions=True,
    )
    assert [type(one) for one in entered if not isinstance(one, str)] == [Clash] * 4
    assert len(await in_office(system)) == 1


@pytest.mark.parametrize("carried_out", [False, True])
async def test_what_was_broken_off_another_second_person_finishes(
    system: System, monkeypatch: pytest.MonkeyPatch, carried_out: bool
) -> None:
    """Before it was done, or after, when only the proposal did not say so yet."""
    await planted(system, every_class(DAY))
    clerk, chief = await let_in(system, "wu", "clerk,supervisor"), await let_in(system, "xu", "supervisor")
    path, kind = await break_of(system, Cls.OTHER_DAY), proposals.KINDS["break"]
    other = await let_in(system, "zhu", "supervisor")
    await other.get(path)
    confirm = await proposed(clerk, path, "match")

    async def cut(*told: Any) -> str:
        if carried_out:
            await kind.do(*told)
        raise RuntimeError("the power is cut")

    monkeypatch.setitem(proposals.KINDS, "break", kind._replace(do=cut))
    assert (await chief.post(confirm, "/proposals", confirmed="yes")).status_code == 500
    monkeypatch.undo()
    assert await in_office(system) == [("confirmed", "wu", "xu")]
    if not carried_out:
        assert (await other.post(path, action="match", reason="once more")).status_code == 409
    assert (await clerk.post(confirm, "/proposals", confirmed="yes")).status_code == 403
    assert "Confirmed and done" in (await other.post(confirm, "/proposals", confirmed="yes")).text
    by = "xu" if carried_out else "zhu"
    assert await in_office(system) == [("done", "wu", by)]
    assert await standing(system, Cls.OTHER_DAY) == ("closed", "match", "wu", by)


async def test_what_cannot_be_done_any_more_is_said_and_written_down(system: System) -> None:
    """Our record is of a payment that has not been paid."""
    box = await system.box()
    payment = await box.pay("wallet:demo", "kids", "monthly")
    note = note_of(payment["payment"], "85312048", "x", "wallet:demo")
    mine = record(payment["payment"], 1_000, "paid", DAY, **note)
    await planted(system, [Difference(Cls.MISSING_THERE, mine.key, mine, None)])
    clerk, path = await let_in(system, "wu", "clerk"), await break_of(system, Cls.MISSING_THERE)
    answer = await clerk.post(path, path, action="open", reason="it was paid", confirmed="yes")
    assert answer.status_code == 409
    assert "It can no longer be done" in answer.text
    assert (await standing(system, Cls.MISSING_THERE))[0] == "open"
    (entry,) = await logged(system, "tsp", tables.audit, "break-refused")
    assert (entry.actor, json.loads(entry.facts)["wanted"]) == ("wu", "open")
    assert json.loads(entry.facts)["why"] == f"payment {payment['payment']} is code-shown now"
    await clerk.post("/language", "/help", language="zh")
    await clerk.post(path, path, action="open", reason="it was paid", confirmed="yes")
    assert f"支付 {payment['payment']} 现在的状态是“二维码已显示”" in unescape(clerk.page)


async def test_a_service_is_taken_back_and_the_money_follows_in_the_morning(system: System) -> None:
    payment = await bought(system, await system.box(), "kids")
    clerk, viewer = await let_in(system, "wu", "clerk"), await let_in(system, "vera", "viewer")
    assert "/services/" not in (await viewer.get("/boxes/85312048")).text
    (order,) = (
        await office_of(system)
        .books("boss")
        .read(
            lambda conn: list(conn.execute(select(boss.orders).where(boss.orders.c.id == payment["order"])))
        )
    )
    path = f"/boxes/85312048/services/{order.subscription_id}"
    assert f"/backoffice{path}" in (await clerk.get("/boxes/85312048")).text
    assert "The money follows with the night" in (await clerk.get(path)).text
    assert (await clerk.get(path.replace("85312048", "85312047"))).status_code == 404
    assert (await clerk.post(path, path)).status_code == 422
    asked = await clerk.post(path, path, reason="sold by mistake")
    assert "Take this service back?" in asked.text
    assert "is taken back" in (await clerk.post(path, path, reason="sold by mistake", confirmed="yes")).text
    (entry,) = await logged(system, "boss", boss.audit, "order-cancelled")
    assert (entry.actor, json.loads(entry.facts)["reason"]) == ("wu", "sold by mistake")
    again = await clerk.post(path, path, reason="sold by mistake", confirmed="yes")
    assert (again.status_code, "is taken back" in again.text) == (200, True)
    assert (await clerk.post(path, path, reason="again", confirmed="yes")).status_code == 409
    assert len(await logged(system, "boss", boss.audit, "order-cancelled")) == 1
    await morning(system)
    assert (await standing(system, Cls.REVERSED))[:2] == ("closed", "refund")


async def test_above_the_limit_a_service_is_taken_back_by_two(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = await bought(system, await system.box(), "kids")
    await decided_by_two_from(system, payment["amount_fen"])
    clerk, chief = await let_in(system, "wu", "clerk,supervisor"), await let_in(system, "xu", "supervisor")
    (path,) = re.findall(
        r'href="/backoffice(/boxes/85312048/services/\w+)"', (await clerk.get("/boxes/85312048")).text
    )
    assert "another person has to confirm it" in (await chief.get(path)).text
    await clerk.post(path, path, reason="sold by mistake", confirmed="yes")
    assert "Proposed. A second person" in clerk.page
    assert "To the proposals" in clerk.page
    assert await logged(system, "boss", boss.audit, "order-cancelled") == []
    assert (await chief.post(path, reason="me too", confirmed="yes")).status_code == 409
    listed = (await clerk.get("/proposals")).text
    (proposal,) = re.findall(r"/backoffice(/proposals/\w+)/withdraw", listed)
    assert "sold by mistake" in listed
    assert f"/backoffice/transactions?order={payment['order']}" in listed
    assert payment["payment"] in (await clerk.get(f"/transactions?order={payment['order']}")).text
    assert (await clerk.post(f"{proposal}/confirm", "/proposals", confirmed="yes")).status_code == 403
    # Broken off before the proposal said that it was done: finished, and not done twice.
    with monkeypatch.context() as patch:
        patch.setattr(proposals, "_finish", None)
        assert (await chief.post(f"{proposal}/confirm", "/proposals", confirmed="yes")).status_code == 500
    done = await chief.post(f"{proposal}/confirm", "/proposals", confirmed="yes")
    assert "Confirmed and done" in done.text
    assert await in_office(system) == [("done", "wu", "xu")]
    (entry,) = await logged(system, "boss", boss.audit, "order-cancelled")
    assert (entry.actor, json.loads(entry.facts)["second"]) == ("wu", "xu")


async def test_a_run_is_wanted_done_at_once_and_shown(system: System) -> None:
    payment = await bought(system, await system.box(), "kids")
    await taken_back(system, payment["order"])
    await morning(system)
    chief, clerk = await let_in(system, "xu", "supervisor"), await let_in(system, "wu", "clerk")
    form = {"pair": "boss", "day": DAY.isoformat()}
    assert (await clerk.post("/reconciliation", "/reconciliation", **form, how="dry")).status_code == 403
    today = DAY + timedelta(days=1)
    too_soon = await chief.post("/reconciliation", "/help", pair="ppp", day=str(today), how="dry")
    assert too_soon.status_code == 422
    assert f"{today} is not over yet. Choose a day that is over." in too_soon.text
    assert f'name="day" type="date" required value="{today}"' in too_soon.text
    assert 'name="pair" value="ppp"' in too_soon.text
    await chief.post("/language", "/help", language="zh")
    await chief.post("/reconciliation", "/help", pair="ppp", day=str(today), how="real", confirmed="yes")
    assert f"{today} 还没有结束，请选择已经结束的日期。" in chief.page
    await chief.post("/language", "/help", language="en")
    asked = await chief.post("/reconciliation", "/help", **form, how="real")
    assert "Compare this day now?" in asked.text
    assert f"Payments and services · {form['day']}. What the rules may" in asked.text
    wanted = await chief.post("/reconciliation", "/help", **form, how="dry")
    run = wanted.url.path.removeprefix("/backoffice")
    while "hx-get" in (await chief.get(f"{run}/live")).text:
        assert "progress" in chief.page
        assert "Dry run: changes nothing" in chief.page
    assert "Dry run: nothing was changed" in (await chief.get(run)).text
    assert ">Agree<" in chief.page  # for the money has gone back since
    (entry,) = await logged(system, "tsp", tables.audit, "run-wanted")
    assert (entry.actor, json.loads(entry.facts)) == ("xu", {"dry_run": True, "pair": "boss"})
    history = (await chief.get("/reconciliation?pair=boss")).text
    assert "Dry run" in history
    assert history.count("2026-06-21</a>") == 2
    assert "2026-06-21</a>" not in (await chief.get("/reconciliation?pair=boss&state=failed")).text
    assert (await chief.get("/reconciliation/none")).status_code == 404


async def test_what_a_limit_holds_and_what_was_refused_is_said(system: System) -> None:
    tally = Tally([rule for rule in pair_named("boss").rules if rule.action == "refund"])
    found = every_class(DAY)
    for _ in range(21):
        tally.add(found[2].cls, found[2].here, found[2].there)
    run = await planted(system, found, tally=tally)
    core = system.tsp.core

    def refused(conn: Connection) -> str:
        other = tables.book.want(conn, core.ids, core.clock, "boss", DAY - timedelta(days=1), "server")
        why = say("it declares %(declared)s records; there are %(found)s", declared=1234, found=1233)
        refusal = FileRefused("DZMX20260620.TXT", None, why)
        tables.book.fail(conn, core.clock, other, refusal.said, refused=True)
        return other

    bad = await core.database.write(refused)
    # Days long over, which nobody has files of: one that waits, and one on which nothing was done anywhere.
    queued = await core.database.write(
        lambda conn: tables.book.want(conn, core.ids, core.clock, "none", DAY - timedelta(days=90), "server")
    )
    nothing = Totals(0, 0)
    await core.database.write(
        lambda conn: compared(
            conn, core.ids, core.clock, DAY - timedelta(days=9), here=nothing, there=nothing
        )
    )
    viewer = await let_in(system, "vera", "viewer")
    page = (await viewer.get(f"/reconciliation/{queued}")).text
    assert "It begins within a minute" in page
    assert '<li class="now" aria-current="step">' in page
    day = (await viewer.get(f"/reconciliation?pair=boss&day={DAY - timedelta(days=9)}")).text
    assert "Both books are empty" in day
    assert "Everything agrees" not in day
    assert "held by its limit: people decide" in (await viewer.get(f"/reconciliation/{run}")).text
    page = (await viewer.get(f"/reconciliation/{bad}")).text
    assert "DZMX20260620.TXT: it declares 1,234 records; there are 1,233" in page
    assert "ask the other side to send it again" in page
    zeros = Totals(0, 0)

    def too_many(conn: Connection) -> str:
        other = tables.book.want(conn, core.ids, core.clock, "boss", DAY - timedelta(days=1), "server")
        told: dict[str, Any] = {
            "here": zeros,
            "there": zeros,
            "counts": {Cls.AMOUNT: (12_000, 5)},
            "limit": 10_000,
        }
        tables.book.stop(conn, core.clock, other, **told, sample=found)
        return other

    stopped = await core.database.write(too_many)
    page = (await viewer.get(f"/reconciliation/{stopped}")).text
    assert "12,000 differences were found; more than 10,000 are not entered" in page
    assert "Some of them" in page
    assert "88310001-000042-000113" in page
    await viewer.post("/language", "/help", language="zh")
    for path in (f"/reconciliation/{bad}", "/reconciliation?pair=boss"):
        assert "DZMX20260620.TXT：文件声明 1,234 条记录，实际有 1,233 条" in (await viewer.get(path)).text
    await viewer.post("/language", "/help", language="en")
    home = (await viewer.get("/")).text
    assert "differences wait for a decision" in home
    assert "day could not be compared" in home
    (way,) = re.findall(r'href="/backoffice(/reconciliation\?[^"]*)"', home)
    assert way == "/reconciliation?pair=boss&amp;state=uncompared"
    (row,) = re.findall(r'<tr><td class="num left".*', (await viewer.get(unescape(way))).text)
    assert f"/reconciliation/{max(bad, stopped)}" in row  # the other one is of the same day
    system.clock.advance(1)
    await core.database.write(
        lambda conn: compared(conn, core.ids, core.clock, DAY - timedelta(days=1))  # and now it could
    )
    assert "could not be compared" not in (await viewer.get("/")).text
    assert "Nothing fits the search." in (await viewer.get(unescape(way))).text


async def test_the_charts_are_of_the_last_run_that_is_done_and_have_words(system: System) -> None:
    core = system.tsp.core
    await core.database.write(partial(month, ids=core.ids, clock=core.clock, last=DAY, pair="boss"))
    viewer = await let_in(system, "vera", "viewer")
    page = (await viewer.get("/reconciliation?pair=boss")).text
    wide, _, narrow = page.partition('class="at-narrow"')
    assert (wide.count('class="missing"'), narrow.count('class="missing"')) == (2, 1)
    assert "<title>2026-06-20 · Payment platform ¥" in wide
    assert "Of the last 10 days" in narrow
    assert "Of the last 30 days 28 were compared" in page
    (missed,) = re.findall(r'href="/backoffice(/reconciliation/\w+)">2026-05-31<', page)
    assert "<span>No file DZMX/DZMX20260531.TXT of BOSS is here</span>" in (await viewer.get(missed)).text
    await viewer.post("/language", "/help", language="zh")
    assert "<span>没有" in (await viewer.get(missed)).text
    await viewer.post("/language", "/help", language="en")
    assert ">999+</text>" in page
    runs = [row for row in await system.rows(tables.book.runs) if row.pair == "boss"]
    days = run_charts.days_of(runs, DAY - timedelta(days=1))
    assert [day.day for day in days] == [DAY - timedelta(days=away) for away in range(30, 0, -1)]
    chart = run_charts.chart_of(days)
    assert chart.compared == 28
    assert max(bar.there for bar in chart.bars) <= run_charts.BASE - run_charts.TOP
    thirteen = next(bar for bar in chart.bars if bar.day.day == DAY - timedelta(days=13))
    assert thirteen.there > thirteen.here
    assert thirteen.differs


async def test_a_day_is_sent_again_after_a_question(system: System) -> None:
    await paid(system)
    next_day(system)
    await telling(system).run()
    await answering(system).answer()
    await telling(system).run()
    chief, clerk = await let_in(system, "xu", "supervisor"), await let_in(system, "wu", "clerk")
    assert "2026-06-21" in (await clerk.get("/days")).text
    assert "Send again" not in clerk.page
    assert (await clerk.post("/days/2026-06-21/again", "/days")).status_code == 403
    asked = await chief.post("/days/2026-06-21/again", "/days")
    assert "Send this day once more?" in asked.text
    assert "once more" in (await chief.post("/days/2026-06-21/again", "/days", confirmed="yes")).text
    (entry,) = await logged(system, "tsp", tables.audit, "day-sent-again")
    assert (entry.actor, entry.subject) == ("xu", "2026-06-21")
    while (await days_of(system))[0][1] == "made":
        pass
    assert (await days_of(system))[0][1] == "sent"
    never = await chief.post("/days/2026-01-01/again", "/days", confirmed="yes")
    assert never.status_code == 409
    assert (await chief.post("/days/never/again", "/days", confirmed="yes")).status_code == 404


async def test_files_are_listed_and_downloaded_by_supervisors_alone(system: System) -> None:
    await paid(system)
    await morning(system)
    chief, clerk = await let_in(system, "xu", "supervisor"), await let_in(system, "wu", "clerk")
    assert "XFMX/XFMX20260621.TXT" in (await clerk.get("/files?role=tsp")).text
    assert "DZMX/" not in (await clerk.get("/files?role=tsp&partner=ppp")).text
    assert "QSMX/" in (await clerk.get("/files?role=ppp&q=QSMX&day=2026-06-21&direction=out")).text
    assert "Nothing fits" in (await clerk.get("/files?role=tsp&state=failed")).text
    assert "Nothing fits" not in (await clerk.get("/files?role=moon&partner=ppp")).text
    (file,) = [row for row in await system.rows(tables.files.files) if row.name == "DZMX/DZMX20260621.TXT"]
    path = f"/files/tsp/{file.id}"
    page = (await clerk.get(path)).text
    assert file.sha256 in page
    assert "Comparison of" in page
    assert "has used this version" in page
    assert "Download" not in page
    assert (await clerk.get(f"{path}/content")).status_code == 403
    assert "Download" in (await chief.get(path)).text
    got = await chief.get(f"{path}/content")
    assert got.text.startswith("H|DZMX|20260621")
    assert 'attachment; filename="DZMX20260621-1.TXT"' in got.headers["content-disposition"]
    (entry,) = await logged(system, "backoffice", own.audit, "file-read")
    assert (entry.actor, entry.subject) == ("xu", file.id)
    for odd in ("/files/tsp/none", "/files/moon/none", "/files/tsp/none/content", "/files/sandbox/none"):
        assert (await chief.get(odd)).status_code == 404, odd
    kept = system.roles.backoffice.files / "tsp" / file.kept  # type: ignore[union-attr, operator]
    kept.chmod(0o600)
    kept.unlink()
    assert (await chief.get(f"{path}/content")).status_code == 409
    kept.write_bytes(got.content)
    bad = FileBad("line %(line)s: something comes after the trailer", line=3)
    note = partial(tables.files.note, clock=system.clock, file_id=file.id, state="refused", event="refused")
    await system.tsp.database.write(lambda conn: note(conn, why=bad.said.kept))
    assert "line 3: something comes after the trailer" in (await chief.get(path)).text
    await chief.post("/language", path, language="zh")
    assert "<b>原因</b> 第 3 行：文件尾之后还有内容" in (await chief.get(path)).text
    await system.tsp.database.write(lambda conn: note(conn, state="used"))


async def test_partners_are_let_in_given_passwords_and_closed(system: System) -> None:
    admin = await let_in(system, "adam", "admin")

    async def account(name: str) -> Any:
        query = select(exchange.partners).where(exchange.partners.c.name == name)
        return await office_of(system).books("exchange").read(lambda conn: conn.execute(query).one())

    assert "XFMX" in (await admin.get("/partners")).text
    said = {"name": "bank", "addresses": "192.0.2.0/24, 198.51.100.7", "folders": "BILLS=rw OUT=r"}
    added = await admin.post("/partners", "/partners", **said, connections="3", file="5", room="50")
    first = re.search(r'class="secret long">(\w{40})<', added.text)
    assert first
    row = await account("bank")
    assert json.loads(row.folders) == {"BILLS": "rw", "OUT": "r"}
    assert json.loads(row.addresses) == ["192.0.2.0/24", "198.51.100.7/32"]
    assert (row.connections, row.file_bytes, row.room_bytes) == (3, 5 << 20, 50 << 20)
    (entry,) = await logged(system, "exchange", exchange.audit, "partner-added")
    assert (entry.actor, first[1] in str(entry)) == ("adam", False)
    for wrong in ({"name": "bank"}, {"name": "A b"}, {"name": "two", "folders": "X=q"}, {"name": "two", "addresses": "moon"}, {"name": "two", "file": "0"}):  # fmt: skip
        answer = await admin.post("/partners", "/partners", **wrong)
        assert answer.status_code == 422, wrong
        assert re.search(rf'id="f-{[*wrong][-1]}"[^>]* aria-invalid="true" autofocus', answer.text), wrong
    every = {"name": "bank", "addresses": "moon", "folders": "X=q", "connections": "0", "file": "much", "room": "2000 GB"}  # fmt: skip
    await admin.post("/partners", "/partners", **every)
    assert re.findall(r'<li><a href="#f-(\w+)">', admin.page) == [*every]  # all at once, in the page's order
    assert all(f'id="w-{name}"' in admin.page for name in every)
    assert re.findall(r'id="f-(\w+)"[^>]* autofocus', admin.page) == ["name"]
    await admin.post("/partners", "/partners", name="")
    assert admin.page.count("Type the name it signs in with.") == 2  # at the top, and beside the field
    assert "''" not in unescape(admin.page)
    await admin.post("/language", "/partners", language="zh")
    await admin.post("/partners", "/partners", name="bank")
    assert "已有名为 bank 的合作方" in admin.page
    await admin.post("/language", "/partners", language="en")
    assert "198.51.100.7/32" in (await admin.get("/partners/bank")).text
    page = "/partners/bank"
    told = {"addresses": "", "folders": "BILLS=r NEW=rw", "connections": "4", "file": "5", "room": "60"}
    assert "The account is changed" in (await admin.post(f"{page}/change", page, **told)).text
    changed = await account("bank")
    assert json.loads(changed.folders) == {"BILLS": "r", "NEW": "rw"}
    assert (changed.addresses, changed.connections, changed.room_bytes) == ("[]", 4, 60 << 20)
    (entry,) = await logged(system, "exchange", exchange.audit, "partner-changed")
    assert (entry.actor, entry.subject) == ("adam", "bank")
    for wrong in ({"folders": "IN=r in=rw"}, {"folders": "IN=r IN=rw"}, {"addresses": "moon"}, {"room": "0"}):
        refused = await admin.post(f"{page}/change", page, **{**told, **wrong})
        assert refused.status_code == 422, wrong
        assert all(value in refused.text for value in wrong.values())
        assert re.search(rf'id="f-{next(iter(wrong))}"[^>]* aria-invalid="true" autofocus', refused.text), (
            wrong
        )
    every = {"addresses": "moon", "folders": "IN=r IN=rw", "connections": "many", "file": "0", "room": "-1"}
    await admin.post(f"{page}/change", page, **every)
    assert re.findall(r'<li><a href="#f-(\w+)">', admin.page) == [*every]
    assert await account("bank") == changed
    sizes = {"file": "1 gb", "room": "1,500MB"}
    await admin.post(f"{page}/change", page, **{**told, **sizes})
    stands = await account("bank")
    assert (stands.file_bytes, stands.room_bytes) == (1 << 30, 1500 << 20)
    said = (await admin.get(page)).text
    for size in ("1 GB", "1,500 MB"):
        assert f'<dd class="num">{size}</dd>' in said
        assert f'value="{size}"' in said
    assert re.search(r">Its last files</h2>\s*<div class=\"empty", said)
    await admin.post(f"{page}/change", page, **told)
    assert 'name="folders"' not in (await admin.get("/partners/ppp")).text
    await admin.post("/partners/ppp/change", "/partners/ppp", addresses="192.0.2.1")
    assert (await account("ppp")).addresses == '["192.0.2.1/32"]'
    second = await admin.post("/partners/bank/password", "/partners/bank", confirmed="yes")
    assert "shown only now" in second.text
    assert (await account("bank")).password != row.password
    assert "Close this account?" in (await admin.post("/partners/bank/close", "/partners/bank")).text
    await admin.post("/partners/bank/close", "/partners/bank", confirmed="yes")
    assert (await account("bank")).state == "closed"
    await admin.post("/partners/bank/open", "/partners/bank")
    assert (await account("bank")).state == "open"
    assert (await admin.get("/partners/none")).status_code == 404


async def test_markup_in_records_is_text(system: System) -> None:
    evil = "<script>alert(1)</script>"
    mine = record(evil, 100, evil, DAY, **note_of("x", evil, evil, evil))
    await planted(system, [Difference(Cls.MISSING_THERE, evil, mine, None, (), 3, say(evil))])
    clerk: Clerk = await let_in(system, "wu", "clerk")
    for path in ("/breaks", await break_of(system, Cls.MISSING_THERE), f"/breaks?q={evil}"):
        assert "<script>alert" not in (await clerk.get(path)).text
        assert "&lt;script&gt;" in clerk.page


def test_amounts_are_read_as_people_type_them() -> None:
    assert [fen_of(text) for text in ("12.5", "￥12.05", "1,200", "0", "-1", "12.345", "x", "9" * 12)] == [
        *(1250, 1205, 120_000, 0, -1, -1, -1, -1)
    ]


def test_ticks_of_a_chart_are_round_and_few() -> None:
    for most in (0, 1, 99, 10_000, 184_300, 999_999_999):
        day = run_charts.Day(date(2026, 6, 21), "r", "done", most, most, {})
        ticks = [fen for _, fen in run_charts.chart_of([day]).ticks]
        assert 2 <= len(ticks) <= 6
        assert ticks[-1] >= most


def test_a_chart_for_a_narrow_window_has_the_last_days_and_stays_within_its_width() -> None:
    days = run_charts.days_of([], date(2026, 6, 21))
    narrow = run_charts.chart_of(days[-run_charts.FEW_DAYS :], run_charts.NARROW)
    assert [bar.day.day for bar in narrow.bars] == [date(2026, 6, 12 + away) for away in range(10)]
    assert all(run_charts.LEFT < bar.middle < run_charts.NARROW for bar in narrow.bars)


@pytest.mark.parametrize("action", ["close", "wait"])
async def test_a_decision_that_was_clicked_twice_is_made_once(system: System, action: str) -> None:
    await planted(system, every_class(DAY))
    clerk, path = await let_in(system, "wu", "clerk"), await break_of(system, Cls.MISSING_HERE)
    await clerk.get(path)
    said = {"action": action, "reason": "asked BOSS", "confirmed": "yes"}
    answers = await asyncio.gather(*(clerk.post(path, **said) for _ in range(3)))
    assert [(answer.status_code, "is carried out" in answer.text) for answer in answers] == [(200, True)] * 3
    assert len(await logged(system, "tsp", tables.audit, f"break-{action}")) == 1
    assert await logged(system, "tsp", tables.audit, "break-refused") == []
    if action == "wait":
        # What it is about is another thing now: the same words are a decision of their own.
        name = path.rpartition("/")[2]
        values = {"break_id": name, "at": system.clock.now(), "actor": "server", "event": "changed"}
        await system.tsp.database.write(
            lambda conn: conn.execute(tables.book.events.insert().values(**values, facts="{}"))
        )
        await clerk.post(path, **said)
        assert len(await logged(system, "tsp", tables.audit, "break-wait")) == 2


async def test_what_was_proposed_or_refused_twice_is_so_once(system: System) -> None:
    await planted(system, every_class(DAY))
    clerk, chief = await let_in(system, "wu", "clerk"), await let_in(system, "xu", "supervisor")
    path = await break_of(system, Cls.OTHER_DAY)
    await clerk.get(path)
    seen = SEEN.search(clerk.page)
    assert seen
    said = {"action": "match", "reason": "around midnight", "seen": seen[1]}
    answers = await asyncio.gather(*(clerk.post(path, **said) for _ in range(2)))
    assert [(one.status_code, "Proposed. A second" in one.text) for one in answers] == [(200, True)] * 2
    assert (await clerk.post(path, **{**said, "reason": "after all"})).status_code == 409
    await chief.get("/proposals")
    (proposal,) = re.findall(r"/backoffice(/proposals/\w+)/refuse", chief.page)
    answers = await asyncio.gather(
        *(chief.post(f"{proposal}/refuse", note="no", reason="no") for _ in range(2))
    )
    assert [one.status_code for one in answers] == [200, 200]


async def test_what_a_payment_was_begun_with_stands_in_the_difference_too(system: System) -> None:
    """And the order's number, not that of the record, in the title of the window."""
    box = await system.box()
    payment = await box.pay("card", "kids", "monthly")
    await Card(box).pay(payment)
    note = note_of(payment["payment"], "85312048", payment["number"], "card")
    mine = record(payment["payment"], payment["amount_fen"], "opened", DAY, **note)
    await planted(system, [Difference(Cls.MISSING_THERE, mine.key, mine, None)])
    viewer = await let_in(system, "vera", "viewer")
    page = (await viewer.get(await break_of(system, Cls.MISSING_THERE))).text
    assert re.search(r"<b>Way to pay</b>\s*Purse card", page)
    assert f"<title>Only in our books {payment['number']} ·" in page


async def test_an_empty_day_is_handed_back_empty(system: System) -> None:
    chief = await let_in(system, "xu", "supervisor")
    form = {"pair": "boss", "day": "", "how": "dry"}
    answer = await chief.post("/reconciliation", "/reconciliation?pair=boss", **form)
    assert (answer.status_code, "Choose a day that is over." in answer.text) == (422, True)
    assert re.search(r'id="f-want"[^>]* value="" ', answer.text)


async def test_the_first_page_names_the_oldest_day_that_was_not_compared(system: System) -> None:
    core = system.tsp.core

    def fail(conn: Connection) -> None:
        for away in (20, 12):
            run = tables.book.want(conn, core.ids, core.clock, "boss", DAY - timedelta(days=away), "server")
            tables.book.fail(conn, core.clock, run, say("no file"))

    await core.database.write(fail)
    viewer = await let_in(system, "vera", "viewer")
    home = (await viewer.get("/")).text
    first = (DAY - timedelta(days=20)).isoformat()
    assert f'<small class="num nowrap">since {first}</small>' in home
    await viewer.post("/language", "/help", language="zh")
    assert f'<small class="num nowrap">最早 {first}</small>' in (await viewer.get("/")).text


async def test_a_cell_of_the_chart_never_rounds_down(system: System) -> None:
    counts = {Cls.MISSING_HERE.value: 1_240, Cls.AMOUNT.value: 999}
    chart = run_charts.chart_of([run_charts.Day(DAY, "R", "done", 1, 1, counts)])
    assert {row.name: row.cells[0].text for row in chart.rows} == {"missing-here": "999+", "amount": "999"}
