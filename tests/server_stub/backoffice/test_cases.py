"""A case decided in the browser: by one person below the limit, by two above it, and never by one twice."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import select

from server_stub.backoffice import tables as own
from server_stub.tsp import cases, tables
from tests.server_stub.backoffice.desk import Clerk, let_in, office_of, proposed
from tests.server_stub.system import Card, System, decided_by_two_from

pytestmark = pytest.mark.anyio


async def unknown(system: System, service: str, term: str) -> None:
    """A payment by card whose end nobody knows."""
    box = await system.box()
    await Card(box).authorised(await box.pay("card", service, term))


async def wait(system: System) -> None:
    for pause in system.tsp.core.settings.unknown_schedule:
        system.clock.advance(pause)
        await system.tsp.payments.sweep()


async def case_of(clerk: Clerk) -> str:
    (found,) = re.findall(r'href="/backoffice(/cases/\w+)"', (await clerk.get("/cases")).text)
    return str(found)


async def clerk_and_chief(
    system: System, service: str = "movies", term: str = "quarterly"
) -> tuple[Clerk, Clerk, str]:
    """Two who decide, and the case that waits for them; of what is dear, unless said otherwise."""
    await unknown(system, service, term)
    await wait(system)
    clerk, chief = await let_in(system, "wu", "clerk"), await let_in(system, "xu", "supervisor")
    return clerk, chief, await case_of(clerk)


async def records(system: System, table: Any, action: str) -> list[Any]:
    database = system.tsp.database if table is tables.audit else office_of(system).database
    query = select(table.records).where(table.records.c.action == action)
    return await database.read(lambda conn: list(conn.execute(query)))


async def test_below_the_limit_a_clerk_decides_after_a_question(system: System) -> None:
    await unknown(system, "sports", "monthly")
    clerk = await let_in(system, "wu", "clerk")
    assert "No case is open" in (await clerk.get("/cases")).text
    await wait(system)
    await clerk.sign_in()
    case = await case_of(clerk)
    assert "It is not known whether the card was debited" in (await clerk.get(case)).text
    assert re.search(r"<dt>Way to pay</dt><dd[^>]*>\s*Purse card\s*</dd>", clerk.page)
    said = {"action": "write-off", "reason": "Asked the bank: nothing was debited"}
    asked = await clerk.post(case, case, **said)
    assert "Decide this case?" in asked.text
    assert '<p class="what">Write off</p>' in asked.text
    (about,) = re.findall(r"This is about (.*?)\. What was decided is done at once", asked.text)
    (order,) = await system.rows(tables.orders)
    assert about == f"order {order.number} · ¥{order.amount_fen / 100:.2f}"
    assert about in re.search(r'data-ask="(.*?)"', (await clerk.get(case)).text)[1]  # type: ignore[index]
    (row_of,) = await system.rows(tables.cases)
    assert row_of.state == "open"
    done = await clerk.post(case, confirmed="yes", **said)
    assert "The case is decided" in done.text
    assert "No other case waits." in done.text
    assert f'href="/backoffice/transactions/{row_of.payment_id}"' in done.text
    assert 'href="/backoffice/boxes/85312048"' in done.text
    (row,) = await system.rows(tables.cases)
    assert (row.state, row.decision, row.actor, row.second) == ("decided", "write-off", "wu", None)
    (record,) = await records(system, tables.audit, "case-write-off")
    assert (record.actor, json.loads(record.facts)["by"]) == ("wu", "staff:wu")
    again = await clerk.post(case, case, confirmed="yes", **said)
    assert (again.status_code, "The case is decided" in again.text) == (200, True)
    assert (await clerk.post(case, case, confirmed="yes", **{**said, "reason": "no"})).status_code == 409


async def test_above_the_limit_one_proposes_and_another_confirms(system: System) -> None:
    await unknown(system, "movies", "quarterly")
    await wait(system)
    clerk, chief = await let_in(system, "wu", "clerk,supervisor"), await let_in(system, "xu", "supervisor")
    case = await case_of(clerk)
    await chief.get(case)
    await clerk.post(case, case, action="write-off", reason="seen by hand")
    assert "Proposed. A second person" in clerk.page
    assert [row.state for row in await system.rows(tables.cases)] == ["open"]
    again = await chief.post(case, action="write-off", reason="me too")
    assert again.status_code == 409
    (proposal,) = re.findall(r"/backoffice(/proposals/\w+)/withdraw", (await clerk.get("/proposals")).text)
    # Whoever proposed it has all the rights, and still may not.
    own_word = await clerk.post(f"{proposal}/confirm", "/proposals", confirmed="yes")
    assert own_word.status_code == 403
    assert "Nobody confirms what they have proposed themselves" in own_word.text
    assert [row.state for row in await system.rows(tables.cases)] == ["open"]
    asked = await chief.post(f"{proposal}/confirm", "/proposals")
    assert "Confirm and have it done?" in asked.text
    assert re.search(r'<p class="what">Write off · ¥[\d.]+ · \w{4} \w{4}</p>', asked.text)
    done = await chief.post(f"{proposal}/confirm", "/proposals", confirmed="yes")
    assert "Confirmed and done" in done.text
    (row,) = await system.rows(tables.cases)
    assert (row.decision, row.actor, row.second) == ("write-off", "wu", "xu")
    (record,) = await records(system, tables.audit, "case-write-off")
    assert (record.actor, json.loads(record.facts)["second"]) == ("wu", "xu")
    (record,) = await records(system, own.audit, "confirmed")
    assert (record.actor, json.loads(record.facts)["proposed_by"]) == ("xu", "wu")
    # A second click finds it done; anybody else is told so.
    assert (
        "Confirmed and done" in (await chief.post(f"{proposal}/confirm", "/proposals", confirmed="yes")).text
    )
    third = await let_in(system, "zhu", "supervisor")
    assert (await third.post(f"{proposal}/confirm", "/proposals", confirmed="yes")).status_code == 409
    assert len(await records(system, own.audit, "confirmed")) == 1


async def test_what_has_come_to_something_else_since_it_was_shown_is_not_decided(system: System) -> None:
    await unknown(system, "sports", "monthly")
    await wait(system)
    clerk = await let_in(system, "wu", "clerk")
    case = await case_of(clerk)
    await clerk.get(case)
    more = tables.payments.update().values(received_fen=1)
    await system.tsp.database.write(lambda conn: conn.execute(more))
    said = {"action": "write-off", "reason": "Asked the bank", "confirmed": "yes"}
    answer = await clerk.post(case, **said)
    assert (answer.status_code, "has changed since this page was shown" in answer.text) == (422, True)
    assert ">Asked the bank</textarea>" in answer.text
    assert [row.state for row in await system.rows(tables.cases)] == ["open"]
    assert "The case is decided" in (await clerk.post(case, **said)).text


async def test_what_has_come_to_something_else_since_it_was_proposed_is_not_confirmed(system: System) -> None:
    clerk, chief, case = await clerk_and_chief(system)
    assert "Needs a person</span>" in (await clerk.get("/cases")).text
    proposal = await proposed(clerk, case, "write-off")
    assert "Waits for a second person</span>" in (await clerk.get("/cases")).text
    assert "Needs a person</span>" not in clerk.page
    more = tables.payments.update().values(received_fen=1)
    await system.tsp.database.write(lambda conn: conn.execute(more))
    answer = await chief.post(f"{proposal}/confirm", "/proposals", confirmed="yes")
    assert (answer.status_code, "has changed since it was shown" in answer.text) == (409, True)
    assert [row.state for row in await system.rows(tables.cases)] == ["open"]
    assert "has changed since it was shown" in (await chief.get("/proposals?state=all")).text


async def test_the_limit_is_the_one_that_the_server_has_noted(system: System) -> None:
    """A server that has started since, or one beside a back office that runs alone, decides from 10 yuan on by two people."""
    clerk, chief, case = await clerk_and_chief(system, "sports", "monthly")
    assert "another person has to confirm it" not in (await clerk.get(case)).text
    await decided_by_two_from(system, 1_000)
    await clerk.post(case, action="write-off", reason="Asked the bank", confirmed="yes")
    assert "Proposed. A second person" in clerk.page
    assert [row.state for row in await system.rows(tables.cases)] == ["open"]
    assert "From ¥10.00 on" in (await clerk.get("/help")).text
    (shown,) = re.findall(r"(?s)<tr>.*?</tr>", (await chief.get("/parameters?q=case_second")).text)[1:]
    assert "¥10.00" in shown
    assert "the server that started last" in shown
    alone = cases.Decision(case.split("/")[-1], "write-off", "Asked the bank", "wu")
    with pytest.raises(cases.CaseRefused, match="from 1000 fen on a second person is wanted"):
        await system.tsp.database.write(lambda conn: cases.decide(conn, system.tsp.core, alone))


async def test_a_proposal_is_refused_by_another_and_withdrawn_by_whoever_made_it(system: System) -> None:
    clerk, chief, case = await clerk_and_chief(system)
    for who, verb, said, why in (
        (chief, "refuse", "is refused", {"note": "Ask the bank first"}),
        (clerk, "withdraw", "is withdrawn", {}),
    ):
        proposal = await proposed(clerk, case, "write-off")
        assert (await chief.post(f"{proposal}/withdraw", "/proposals")).status_code == 403
        assert said in (await who.post(f"{proposal}{'/' + verb}", "/proposals", **why)).text
    assert [row.state for row in await system.rows(tables.cases)] == ["open"]


async def test_whoever_proposed_reads_who_refused_it_and_why(system: System) -> None:
    clerk, chief, case = await clerk_and_chief(system)
    await clerk.post(case, case, action="write-off", reason="seen by hand")
    (way,) = re.findall(r'href="/backoffice(/proposals/\w+/refuse)"', (await chief.get("/proposals")).text)
    assert "seen by hand" in (await chief.get(way)).text
    for note, said in (("", "Say why"), ("6217001234567893", "last four digits")):
        answer = await chief.post(way, way, note=note)
        assert (answer.status_code, said in answer.text) == (422, True)
    assert "is refused" in (await chief.post(way, way, note="Ask the bank first")).text
    told = (await clerk.get(case)).text
    assert "refused it:" in told
    assert "Ask the bank first" in told


async def test_what_can_no_longer_be_done_says_so_and_is_written_down(system: System) -> None:
    clerk, chief, case = await clerk_and_chief(system)
    proposal = await proposed(clerk, case, "write-off")
    decided = tables.cases.update().values(state="decided", decision="settled", actor="sweep")
    await system.tsp.database.write(lambda conn: conn.execute(decided))
    answer = await chief.post(f"{proposal}/confirm", "/proposals", confirmed="yes")
    assert answer.status_code == 409
    assert "is decided: Settled by itself by the payment platform, by the clock" in answer.text
    assert (
        "is decided: Settled by itself by the payment platform"
        in (await clerk.get("/proposals?state=all")).text
    )
    await clerk.post("/language", "/proposals?state=all", language="zh")
    assert "已处理：自动结束（支付平台定时任务）" in (await clerk.get("/proposals?state=all")).text
    (row,) = await office_of(system).database.read(lambda conn: list(conn.execute(select(own.proposals))))
    assert row.state == "failed"
    assert len(await records(system, own.audit, "proposal-failed")) == 1
    reopened = tables.cases.update().values(state="open", decision=None, actor=None)
    await system.tsp.database.write(lambda conn: conn.execute(reopened))


@pytest.mark.parametrize(
    ("form", "said"),
    [({"action": "write-off"}, "Say why"), ({"action": "refund", "reason": "no"}, "Choose what")],
)
async def test_a_decision_needs_an_action_that_fits_and_a_reason(
    system: System, form: dict[str, str], said: str
) -> None:
    await unknown(system, "sports", "monthly")
    await wait(system)
    clerk = await let_in(system, "wu", "clerk")
    case = await case_of(clerk)
    answer = await clerk.post(case, case, confirmed="yes", **form)
    assert answer.status_code == 422
    assert said in answer.text
    assert [row.state for row in await system.rows(tables.cases)] == ["open"]


async def test_cases_are_found_by_what_somebody_has_in_hand(system: System) -> None:
    await unknown(system, "sports", "monthly")
    await wait(system)
    clerk = await let_in(system, "wu", "clerk")
    (order,) = await system.rows(tables.orders)
    for wanted in (order.number, order.number.replace(" ", "").lower(), "85312048"):
        await clerk.get(f"/cases?q={wanted}")
        assert order.number in clerk.page
    await clerk.get("/cases?q=99999999")
    assert "Nothing fits the search" in clerk.page
