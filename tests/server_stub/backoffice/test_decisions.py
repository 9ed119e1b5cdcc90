"""A difference decided in the browser: by one person below the limit, by two above it, and never by one twice."""

from __future__ import annotations

import json
import re
from asyncio import gather
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from server_stub.backoffice import proposals
from server_stub.backoffice import tables as own
from server_stub.backoffice.errors import Clash
from server_stub.boss import tables as boss
from server_stub.reconciliation.records import Cls, Difference
from server_stub.tsp import tables
from tests.server_stub.backoffice.breaks import break_of, in_office, logged, planted, standing
from tests.server_stub.backoffice.desk import SEEN, let_in, office_of, proposed
from tests.server_stub.backoffice.differences import OPENED_LATE, every_class, note_of, record
from tests.server_stub.system import System, decided_by_two_from
from tests.server_stub.tsp.mornings import bought
from tests.server_stub.tsp.test_uploads import DAY

pytestmark = pytest.mark.anyio


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
    assert "Needs a person" in (await clerk.get(following)).text
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
    # The second person sees what both sides say.
    day, late = DAY.isoformat(), (DAY + OPENED_LATE).isoformat()
    for side, one in (("Payment platform · ours", day), ("BOSS · theirs", late)):
        said = rf'<dt>{side}</dt><dd>¥128.00 · Settled by UnionPay · <span class="num">{one}</span></dd>'
        assert said in listed, side
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
    confirm = f"{await proposed(clerk, paths['LARGE'], 'close')}/confirm"
    listed = (await clerk.get("/breaks")).text
    assert listed.count("Waits for a second person</span>") == 1
    assert listed.count("Needs a person</span>") == len(paths) - 1
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


@pytest.mark.parametrize("action", ["close", "wait"])
async def test_a_decision_that_was_clicked_twice_is_made_once(system: System, action: str) -> None:
    await planted(system, every_class(DAY))
    clerk, path = await let_in(system, "wu", "clerk"), await break_of(system, Cls.MISSING_HERE)
    await clerk.get(path)
    said = {"action": action, "reason": "asked BOSS", "confirmed": "yes"}
    answers = await gather(*(clerk.post(path, **said) for _ in range(3)))
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
    answers = await gather(*(clerk.post(path, **said) for _ in range(2)))
    assert [(one.status_code, "Proposed. A second" in one.text) for one in answers] == [(200, True)] * 2
    late = await clerk.post(path, **{**said, "reason": "after all", "back": f"/backoffice{path}"})
    assert late.status_code == 409
    # Nothing that was written is lost, and the way back leads to what waits.
    assert '<p class="what">after all</p>' in late.text
    assert f'href="/backoffice{path}">Back to the page' in late.text
    for elsewhere in (
        "https://elsewhere.example/",
        "/backoffice/../x",
        "/backoffice/transactions?q=4111111111111111",
    ):
        late = await clerk.post(path, **{**said, "reason": "after all", "back": elsewhere})
        assert (late.status_code, "Back to the page" in late.text) == (409, False)
    # An old form comes too late for what waits, and says so: there is no form any more in which anything could be marked.
    late = await clerk.post(path, **{**said, "reason": "after all", "seen": "0"})
    assert "A proposal about this waits for a second person already." in late.text
    await chief.get("/proposals")
    (proposal,) = re.findall(r"/backoffice(/proposals/\w+)/refuse", chief.page)
    answers = await gather(*(chief.post(f"{proposal}/refuse", note="no", reason="no") for _ in range(2)))
    assert [one.status_code for one in answers] == [200, 200]


async def test_of_two_clicks_on_confirm_both_say_that_it_is_done(system: System) -> None:
    await planted(system, every_class(DAY))
    clerk, chief = await let_in(system, "wu", "clerk"), await let_in(system, "xu", "supervisor")
    confirm = f"{await proposed(clerk, await break_of(system, Cls.OTHER_DAY), 'match')}/confirm"
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


async def test_of_two_second_persons_at_once_one_confirms(system: System) -> None:
    await planted(system, every_class(DAY))
    clerk, chief = await let_in(system, "wu", "clerk"), await let_in(system, "xu", "supervisor")
    other = await let_in(system, "zhu", "supervisor")
    confirm = f"{await proposed(clerk, await break_of(system, Cls.OTHER_DAY), 'match')}/confirm"
    for one in (chief, other):
        await one.get("/proposals")
    answers = await gather(*(one.post(confirm, confirmed="yes") for one in (chief, other)))
    assert sorted(one.status_code for one in answers) == [200, 409]
    by = ("xu", "zhu")[[one.status_code for one in answers].index(200)]
    assert await in_office(system) == [("done", "wu", by)]
    (record,) = await logged(system, "backoffice", own.audit, "confirmed")
    assert record.actor == by


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
    confirm = f"{await proposed(clerk, path, 'match')}/confirm"

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
    # It may be being done still, and every page says so.
    if not carried_out:
        assert "Being done" in (await other.get("/breaks")).text
        assert "xu has confirmed it, and it is being done." in (await other.get(path)).text
    assert "It is being done. Should it" in (await clerk.get("/proposals")).text
    assert "another person can confirm it in a minute" in (await other.get("/proposals")).text
    assert confirm not in other.page
    assert (await other.post(confirm, "/proposals", confirmed="yes")).status_code == 409
    system.clock.advance(proposals.BROKEN_OFF_AFTER.total_seconds())
    assert confirm in (await other.get("/proposals")).text
    assert "Broken off: confirm again" in other.page
    assert "Whoever confirms it now finishes it." in other.page
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
