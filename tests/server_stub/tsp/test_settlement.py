"""The end of a batch: totals, certificates, a new batch, and what differs. ONL-8"""

from __future__ import annotations

from asyncio import gather, to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from server_stub import settle
from server_stub.app import ROLES
from server_stub.cli import parse
from server_stub.ppp import tables as ppp
from server_stub.settings import Settings
from server_stub.tsp import housekeeping, settlement, tables
from server_stub.tsp.ppp_line import Unanswered
from server_stub.tsp.settlement import Settlement
from tests.server_stub.system import Box, System, databases, running_with_ppp
from tests.server_stub.tsp.test_card_loads import Loader
from tests.server_stub.tsp.test_online_card import ANSWER_S, Terminal

pytestmark = pytest.mark.anyio


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path / "data", Settings(ppp_seconds=ANSWER_S)) as system:
        yield system


def settling(system: System) -> Settlement:
    assert system.tsp.settlement is not None
    return system.tsp.settlement


async def settled(system: System) -> list[tuple[str, str, int, int, int, int]]:
    """Batch, state, and both totals."""
    return [
        (row.batch, row.state, row.told_fen, row.told_count, row.counted_fen, row.counted_count)
        for row in await system.rows(tables.settlements)
    ]


async def at_ppp(system: System, table: Any) -> list[Any]:
    assert system.roles.ppp is not None
    return await system.roles.ppp.database.read(lambda conn: list(conn.execute(table.select())))


async def sold(system: System, box: Box, profile: str = "debit", service: str = "sports") -> Any:
    """A sale that is paid; its payment. Each card serves once: a new one would be taken for a copy."""
    payment = await box.pay("card", service, "monthly")
    assert (await Terminal(system, box, profile).pay(payment))["money"] == "taken"
    return payment


async def test_totals_agree_and_certificates_are_uploaded(system: System) -> None:
    box = await system.box()
    sales = [await sold(system, box), await sold(system, box, "credit", "kids")]
    loader = Loader(system, box)
    await loader.complete(loader.end(await loader.authorise()))
    await settling(system).settle()
    fen = sum(sale["amount_fen"] for sale in sales) + loader.load["amount_fen"]
    assert await settled(system) == [("000001", "agreed", fen, 3, fen, 3)]
    (theirs,) = await at_ppp(system, ppp.settlements)
    assert (theirs.told, theirs.uploaded, theirs.ended_at) == (theirs.counted, 2, system.clock.now())
    found = sorted((row.kind, row.certificate) for row in await at_ppp(system, ppp.transactions))
    assert found == [("load", None), ("sale", "good"), ("sale", "good")]
    # The next batch is open; what is in no batch is not settled again.
    await settling(system).settle()
    assert len(await settled(system)) == 1
    (terminal,) = await system.rows(tables.pos_terminals)
    assert terminal.batch == "000002"


async def test_the_night_and_the_hour_at_once_tell_ppp_once(system: System) -> None:
    await sold(system, await system.box())
    (before,) = await system.rows(tables.pos_terminals)
    await gather(settling(system).settle(), settling(system).go_on())
    (after,) = await system.rows(tables.pos_terminals)
    # Totals, sign-in, the end of the upload: each with a number of its own.
    assert int(after.stan) - int(before.stan) == 3
    assert [state for _, state, *_ in await settled(system)] == ["agreed"]


async def test_nothing_is_sold_while_ppp_is_silent_about_a_batch(system: System) -> None:
    """The batch is closed there or not, nobody knows: a sale would be refused as one of another batch."""
    assert system.roles.ppp is not None
    box = await system.box()
    sale = await sold(system, box)
    system.roles.ppp.faults.drop_answers = True
    with pytest.raises(Unanswered):
        await settling(system).settle()
    payment = await box.pay("card", "kids", "monthly")
    terminal = Terminal(system, box, "credit")
    refused = await box.refused(
        f"/payments/{payment['payment']}/authorisation", await terminal.request(payment)
    )
    assert (refused["code"], refused["money"]) == ("ppp-unreachable", "not-taken")
    system.roles.ppp.faults.drop_answers = False
    await settling(system).go_on()
    fen = sale["amount_fen"]
    assert await settled(system) == [("000001", "agreed", fen, 1, fen, 1)]
    assert (await Terminal(system, box, "credit").pay(payment))["money"] == "taken"


async def test_what_is_reversed_meanwhile_explains_a_difference(system: System) -> None:
    assert system.roles.ppp is not None
    box = await system.box()
    sale = await sold(system, box)
    payment = await box.pay("card", "kids", "monthly")
    terminal = Terminal(system, box, "credit")
    body = await terminal.request(payment)
    system.roles.ppp.faults.drop_answers = True
    await box.post(f"/payments/{payment['payment']}/authorisation", body)
    system.roles.ppp.faults.drop_answers = False
    system.roles.ppp.faults.refuse, system.roles.ppp.faults.refuse_mti = "96", "0400"
    await settling(system).settle()
    ((_, state, told, _, counted, many),) = await settled(system)
    assert (state, told) == ("uploaded", sale["amount_fen"])
    system.roles.ppp.faults.refuse = None
    system.clock.advance(400)
    await box.state(payment["payment"], "failed")
    await settling(system).go_on()
    assert [state for _, state, *_ in await settled(system)] == ["agreed"]
    assert (counted, many) in ((told, 1), (told + payment["amount_fen"], 2))


async def test_a_sale_that_ppp_does_not_know_is_a_case_and_the_totals_differ(system: System) -> None:
    async def become(state: str) -> None:
        assert system.roles.ppp is not None
        work = update(ppp.transactions).values(state=state)
        await system.roles.ppp.database.write(lambda conn: conn.execute(work))

    sale = await sold(system, await system.box())
    await become("declined")
    await settling(system).settle()
    fen = sale["amount_fen"]
    assert await settled(system) == [("000001", "differs", fen, 1, 0, 0)]
    (case,) = await system.rows(tables.cases)
    assert (case.kind, case.payment_id) == (settlement.UNKNOWN_AT_PPP, sale["payment"])
    # A person finds out why, and says so.
    write, clock = system.tsp.database.write, system.clock
    said = ("000001", "PPP has lost it and books it by hand", "Wu", "person:wu", "88310001")
    assert await write(lambda conn: settlement.decide(conn, clock, *said))
    assert not await write(lambda conn: settlement.decide(conn, clock, *said))
    (line,) = settlement.lines(await system.rows(tables.settlements))
    assert "000001  of 88310001 " in line
    assert "decided" in line
    assert line.endswith("PPP has lost it and books it by hand (Wu)")
    await become("approved")


async def test_it_is_settled_when_somebody_says_so_and_at_night(system: System) -> None:
    box = await system.box()
    await sold(system, box)
    assert await system.tsp.database.write(
        lambda conn: housekeeping.order_settlement(conn, system.clock, "person:wu")
    )
    for hours in (0, 24):
        system.clock.advance(61 + hours * 3600)
        while [state for _, state, *_ in await settled(system)] != ["agreed"] * (1 + bool(hours)):
            pass
        if not hours:
            await sold(system, box, "credit", "kids")


def test_doubtful_sales_explain_only_what_they_can() -> None:
    held = settlement.Sales(settlement.Totals(1000, 1), (300, 500), undecided=False)
    counted = [(1000, 1), (1300, 2), (1500, 2), (1800, 3), (1300, 1), (1200, 2), (800, 3)]
    assert [held.explain(settlement.Totals(*one)) for one in counted] == [True] * 4 + [False] * 3


async def test_the_commands_beside_a_server_that_runs(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = databases.of(tmp_path / "data")

    async def operator(*words: str) -> int:
        where = ["--data", str(tmp_path / "data"), *(["--database", url] if url else [])]
        return await to_thread(settle.run, parse(["settle", *words, *where], ROLES), system.clock)

    assert await operator("list") == 0
    assert capsys.readouterr().out == "no batch has been settled\n"
    sale = await sold(system, await system.box())
    assert await operator("now") == 0
    await settling(system).settle()
    assert await operator("list") == 0
    fen = f"{sale['amount_fen'] / 100:.2f}"
    assert f"agreed    told {fen} in 1, PPP {fen} in 1" in capsys.readouterr().out
    assert await operator("decide", "000001", "--reason", "none", "--actor", "Wu") == 1
    assert "no batch 000001 that differs" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["decide", "decide 000001 --reason x", "list 000001", "now --actor Wu"])
def test_what_is_not_said_whole_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["settle", *words.split()], ROLES)
    assert "settle decide BATCH --reason TEXT --actor NAME" in capsys.readouterr().err
