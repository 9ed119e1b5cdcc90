"""Electronic cash is loaded: the real kernel and card, PPP and issuer; and what becomes of it when somebody is silent. ONL-7, ONL-13"""

from __future__ import annotations

import json
import re
from asyncio import to_thread
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from cardreader import tlv
from cardreader.emv import capk
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Approved, Online, PinEntered, Prepared
from cardreader.emv.scripts import IssuerResponse
from cardreader.emv.settings import TerminalSettings, Transaction, TransactionType
from cardreader.secret import Pin
from cardreader.sim.profiles import open_card
from server_stub import cases as command
from server_stub.app import ROLES
from server_stub.cli import parse
from server_stub.ppp import books as ppp_books
from server_stub.ppp import tables as ppp
from server_stub.settings import Settings
from server_stub.tsp import cases, housekeeping, orders, tables
from server_stub.tsp.cases import CaseRefused, Decided, Decision
from stb_app.tsp import envelope
from stb_app.tsp.model import Fields, Records
from tests.server_stub.system import Box, System, databases, decided_by_two_from, faults, running_with_ppp
from tests.server_stub.tsp.test_online_card import ANSWER_S, Slot, at_issuer, coded

pytestmark = pytest.mark.anyio
TERMINAL = TerminalSettings(
    terminal_id="88310001", merchant_id="883100048990001", merchant_name="STB", ca_keys=capk.simulated()
)
HELD_FEN, AMOUNT_FEN = 18650, 10000


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path / "data", Settings(ppp_seconds=ANSWER_S)) as system:
        yield system


class Loader:
    """A box with a card in its slot that is to be loaded."""

    def __init__(self, system: System, box: Box) -> None:
        self.system = system
        self.box = box
        self._in_slot = open_card("electronic-cash", None)
        self.put_in()
        self.load: Any = None

    def put_in(self, of: Loader | None = None) -> None:
        """Its card anew, or that of another one."""
        self._in_slot = self._in_slot if of is None else of._in_slot
        self._in_slot.power_on()
        self.card = DebitCredit(Slot(self._in_slot), TERMINAL)

    async def request(self, amount_fen: int = AMOUNT_FEN, pin: str = "123456") -> dict[str, Any]:
        """Begins a load; the body of ``authorisation``."""
        self.load = await self.box.post("/card-loads", {"amount_fen": amount_fen})
        assert (self.load["state"], self.load["money"]) == ("preparing", "not-taken")
        transaction = Transaction(amount_fen, self.system.clock.now(), 1, TransactionType.LOAD)
        assert isinstance(self.card.prepare(transaction), Prepared)
        first = self.card.authorise(PinEntered())
        assert isinstance(first, Online)
        key = envelope.CardKey.read(Fields((await self.box.get("/card-keys"))["card_keys"][0], "card_keys"))
        sealed = envelope.seal(key, self.load["load"], envelope.CardData.of(self.card.objects), Pin(pin))
        return {"envelope": sealed, "chip": coded(first.data), "balance_before_fen": self.held}

    @property
    def held(self) -> int:
        return self.card.electronic_cash().balance_fen or 0

    async def authorise(self, **how: Any) -> Any:
        body = await self.request(**how)
        return await self.box.post(f"/card-loads/{self.load['load']}/authorisation", body)

    def end(self, said: Any, *, scripts: bool = True) -> dict[str, Any]:
        """The body of ``completion``, with what the card has done."""
        objects = tlv.parse(bytes.fromhex(said["chip"]))
        wanted = tuple(one.value for one in objects if one.tag == 0x72) if scripts else ()
        arpc = next(one.value for one in objects if one.tag == 0x91)
        end = self.card.complete(IssuerResponse(said["response_code"].encode(), arpc, (), wanted))
        assert isinstance(end, Approved)
        chip = coded({**end.data, **({0xDF31: end.script_results} if wanted else {})})
        return {"chip": chip, "balance_fen": self.held, "logged": bool(self.card.load_log())}

    async def complete(self, body: dict[str, Any]) -> Any:
        return await self.box.post(f"/card-loads/{self.load['load']}/completion", body)

    async def failed(self) -> Any:
        """Once it has failed."""
        while [row.state for row in await self.system.rows(tables.loads)] != ["failed"]:
            pass
        return await self.box.get(f"/card-loads/{self.load['load']}")


async def script_told(system: System) -> str | None:
    assert system.roles.ppp is not None
    rows = await system.roles.ppp.database.read(lambda conn: conn.execute(ppp.transactions.select()).all())
    return next(row.script for row in rows if row.kind == ppp_books.LOAD)


async def test_the_money_goes_from_the_account_onto_the_card(system: System) -> None:
    loader = Loader(system, await system.box())
    said = await loader.authorise()
    assert (said["response_code"], said["load"]["state"], said["load"]["money"]) == (
        "00",
        "unknown",
        "unknown",
    )
    done = await loader.complete(loader.end(said))
    assert (done["state"], done["money"]) == ("loaded", "taken")
    assert done["card"]["kind"] == "electronic-cash"
    assert (done["card"]["balance_before_fen"], done["card"]["balance_after_fen"]) == (
        HELD_FEN,
        HELD_FEN + AMOUNT_FEN,
    )
    assert loader.held == HELD_FEN + AMOUNT_FEN
    while await script_told(system) is None:
        pass
    assert await at_issuer(system) == [(ppp_books.LOAD, "approved", AMOUNT_FEN)]
    assert await script_told(system) == "done"
    # It counts in the terminal's batch, as PPP counts it.
    assert system.tsp.settlement is not None
    await system.tsp.settlement.settle()
    (batch,) = await system.rows(tables.settlements)
    assert (batch.state, batch.told_fen, batch.counted_fen) == ("agreed", AMOUNT_FEN, AMOUNT_FEN)


@pytest.mark.parametrize(
    ("how", "reason"), [({"pin": "111111"}, "pin-refused"), ({"amount_fen": 90000}, "over-limit")]
)
async def test_what_the_issuer_declines_costs_nothing(system: System, how: Any, reason: str) -> None:
    loader = Loader(system, await system.box())
    said = await loader.authorise(**how)
    assert (said["load"]["state"], said["load"]["money"], said["load"]["reason"]) == (
        "failed",
        "not-taken",
        reason,
    )
    assert [state for _, state, _ in await at_issuer(system)] == ["declined"]


async def test_what_the_card_has_not_done_is_reversed(system: System) -> None:
    loader = Loader(system, await system.box())
    said = await loader.authorise()
    assert (await loader.complete(loader.end(said, scripts=False)))["state"] == "unknown"
    failed = await loader.failed()
    assert (failed["money"], failed["reason"]) == ("not-taken", "declined-by-card")
    assert [state for _, state, _ in await at_issuer(system)] == ["reversed"]
    assert loader.held == HELD_FEN


async def test_a_card_that_was_pulled_after_it_was_loaded_has_the_money(system: System) -> None:
    """Its answer is lost; its balance and its own log tell."""
    loader = Loader(system, await system.box())
    said = await loader.authorise()
    told = {**loader.end(said), "chip": None}
    assert (await loader.complete(told))["state"] == "loaded"
    assert [state for _, state, _ in await at_issuer(system)] == ["approved"]


async def test_an_answer_that_is_lost_is_reversed_until_it_is_acknowledged(system: System) -> None:
    assert system.roles.ppp is not None
    loader = Loader(system, await system.box())
    body = await loader.request()
    await system.tsp.online_cards._line.pos.keys()
    system.roles.ppp.faults.drop_answers = True
    said = await loader.box.post(f"/card-loads/{loader.load['load']}/authorisation", body)
    assert (said["response_code"], said["load"]["state"]) == (None, "unknown")
    await system.tried("reverse-load")
    assert (await loader.box.get(f"/card-loads/{loader.load['load']}"))["state"] == "unknown"
    system.roles.ppp.faults.drop_answers = False
    system.clock.advance(5)
    assert (await loader.failed())["reason"] == "ppp-silent"
    assert [state for _, state, _ in await at_issuer(system)] == ["reversed"]


async def disputed(system: System) -> tuple[Loader, dict[str, Any]]:
    """A card has the money of a load that was reversed; and what it has told of that."""
    loader = Loader(system, await system.box())
    body = loader.end(await loader.authorise())
    system.clock.advance(sum(Settings().unknown_schedule) + 61)
    assert (await loader.failed())["reason"] == "card-away"
    late = await loader.complete(body)
    assert (late["state"], late["money"], late["reason"]) == ("unknown", "unknown", "load-disputed")
    assert [row.state for row in await system.rows(tables.loads)] == ["disputed"]
    return loader, body


async def test_a_card_that_is_never_seen_again_is_reversed_and_disputed_when_it_has_the_money(
    system: System,
) -> None:
    loader, body = await disputed(system)
    assert (await loader.complete(body))["reason"] == "load-disputed"
    (case,) = await system.tsp.database.read(cases.listed)
    assert (case.kind, case.stands, case.amount_fen, case.box_number) == (
        *("load-disputed", "disputed", AMOUNT_FEN),
        loader.box.number,
    )
    assert json.loads(case.facts) == {"balance_fen": HELD_FEN + AMOUNT_FEN, "reversal": "00"}
    # Nothing but a person settles it.
    core = system.tsp.core
    assert await system.tsp.database.write(lambda conn: housekeeping.settle_cases(conn, core)) == 0
    assert await faults(system) == []


@pytest.mark.parametrize(
    ("action", "state", "shown", "reason"),
    [
        ("charged-by-bank", "loaded", ("loaded", "taken"), None),
        ("write-off", "written-off", ("failed", "not-taken"), "not-debited"),
    ],
)
async def test_a_person_says_whether_the_account_was_charged(
    system: System, action: str, state: str, shown: tuple[str, str], reason: str | None
) -> None:
    loader, body = await disputed(system)
    core = system.tsp.core
    await decided_by_two_from(system, AMOUNT_FEN)
    (case,) = await system.tsp.database.read(cases.listed)
    decision = Decision(case.id, action, "seen at the bank", "Li")

    async def decide(decision: Decision) -> Decided:
        return await core.database.write(lambda conn: cases.decide(conn, core, decision))

    with pytest.raises(CaseRefused, match="a second person is wanted"):
        await decide(decision)
    decision = replace(decision, second="Wang")
    with pytest.raises(CaseRefused, match="no action 'refund' for a load; there are charged-by-bank, write"):
        await decide(replace(decision, action="refund"))
    with pytest.raises(CaseRefused, match="close is not for a load that is disputed"):
        await decide(replace(decision, action="close"))
    assert await decide(decision) == ("load", state)
    with pytest.raises(CaseRefused, match=f"is decided: {action} by Li"):
        await decide(decision)
    # What the card tells once more is known, and asks no person again.
    told = await loader.complete(body)
    assert ((told["state"], told["money"]), told["reason"]) == (shown, reason)
    assert await loader.box.get(f"/card-loads/{loader.load['load']}") == told
    assert [row.state for row in await system.rows(tables.cases)] == ["decided"]
    (record,) = [row for row in await system.rows(tables.audit.records) if row.action == f"case-{action}"]
    facts = json.loads(record.facts)
    assert (record.actor, record.subject) == ("Li", loader.load["load"])
    assert (facts["amount_fen"], facts["second"], facts["state"]) == (AMOUNT_FEN, "Wang", "disputed")
    assert await faults(system) == []
    # Without that case nobody could say why the load stands so.
    await core.database.write(lambda conn: conn.execute(update(tables.cases).values(decision="close")))
    assert any(f"load {loader.load['load']} is {state}" in fault for fault in await faults(system))
    await core.database.write(lambda conn: conn.execute(update(tables.cases).values(decision=action)))


async def test_a_disputed_load_without_an_open_case_is_told(system: System) -> None:
    loader, _ = await disputed(system)
    core = system.tsp.core
    for state in ("decided", "open"):
        await core.database.write(
            lambda conn, state=state: conn.execute(update(tables.cases).values(state=state))
        )
        said = f"load {loader.load['load']} is disputed, and no case is open"
        assert any(said in fault for fault in await faults(system)) == (state == "decided")


async def test_the_card_has_it_before_the_reversal_is_acknowledged(system: System) -> None:
    """PPP is not told to undo what the card has: whether it was undone the case cannot say."""
    assert system.roles.ppp is not None
    loader = Loader(system, await system.box())
    said = await loader.authorise()
    body = loader.end(said)
    system.roles.ppp.faults.drop_answers = True
    without = {"chip": None, "balance_fen": HELD_FEN, "logged": False}
    assert (await loader.complete(without))["reason"] == "card-removed"
    await system.tried("reverse-load")
    assert (await loader.complete(body))["reason"] == "load-disputed"
    (case,) = await system.rows(tables.cases)
    assert json.loads(case.facts)["reversal"] == "unanswered"
    system.roles.ppp.faults.drop_answers = False


async def test_the_command_shows_and_decides_a_load(
    system: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loader, _ = await disputed(system)
    (case,) = await system.rows(tables.cases)
    url = databases.of(tmp_path / "data")
    where = ["--data", str(tmp_path / "data"), *(["--database", url] if url else [])]

    async def said(*words: str) -> tuple[int, str]:
        code = await to_thread(command.run, parse(["cases", *words, *where], ROLES), system.clock)
        told = capsys.readouterr()
        return code, told.out + told.err

    heading, line = (await said("list"))[1].splitlines()
    number = loader.load["number"]
    assert (line.rindex("disputed"), line.index(number)) == (
        heading.index("STANDS AS"),
        heading.index("NUMBER"),
    )
    _, text = await said("show", case.id)
    assert await said("show", number.lower()) == await said("show", number.replace(" ", "")) == (0, text)
    assert (await said("show", "0000 0000"))[0] == 1
    assert "None" not in text
    assert [line.split()[1] for line in text.splitlines() if line.startswith("decide")] == [
        "charged-by-bank:",
        "write-off:",
    ]
    shown = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert (shown["load"], shown["number"], shown["box"], shown["amount"]) == (
        loader.load["load"],
        number,
        loader.box.number,
        "100.00",
    )
    assert (shown["state"], shown["reversal"], shown["balance_fen"]) == ("disputed", "00", "28650")
    assert re.fullmatch(r"6[0-9* ]+ \*{3} [0-9]{4}", shown["card"])
    done = ("decide", case.id, "--reason", "the bank says so", "--actor", "Li", "--action", "charged-by-bank")
    assert await said(*done) == (0, f"case {case.id}: charged-by-bank; the load is loaded now\n")
    assert "charged-by-bank by Li" in (await said("list", "--all"))[1]
    assert "seen" not in (await said("show", case.id))[1]


async def test_a_case_is_about_one_payment_or_one_load(system: System) -> None:
    loader, _ = await disputed(system)
    payment = await loader.box.pay("wallet:demo")
    for about in ({}, {"payment_id": payment["payment"], "load_id": loader.load["load"]}):
        case = insert(tables.cases).values(id="odd", kind="odd", facts="{}", at=system.clock.now(), **about)
        with pytest.raises(IntegrityError):
            await system.tsp.database.write(lambda conn, case=case: conn.execute(case))


async def test_a_script_result_that_ppp_does_not_take_is_a_case(system: System) -> None:
    loader = Loader(system, await system.box())
    body = loader.end(await loader.authorise())
    assert system.roles.ppp is not None
    told_otherwise = update(ppp.transactions).values(script="failed")
    await system.roles.ppp.database.write(lambda conn: conn.execute(told_otherwise))
    assert (await loader.complete(body))["state"] == "loaded"
    while not await system.rows(tables.cases):
        pass
    (case,) = await system.tsp.database.read(cases.listed)
    assert (case.kind, case.load_id, json.loads(case.facts)) == (
        *("script-result-refused", loader.load["load"]),
        {"code": "94"},
    )
    core = system.tsp.core
    closed = Decision(case.id, "close", "compared", "Li")
    assert await core.database.write(lambda conn: cases.decide(conn, core, closed)) == ("load", "loaded")


async def test_the_records_tell_the_loads_that_ppp_was_asked_for(system: System) -> None:
    box, other = await system.box(), await system.box("85312047")
    first, second, elsewhere = Loader(system, box), Loader(system, box), Loader(system, other)
    loaded = await first.complete(first.end(await first.authorise()))
    system.clock.advance(60)
    refused = (await second.authorise(pin="111111"))["load"]
    await elsewhere.authorise()
    await box.post("/card-loads", {"amount_fen": 1})  # no card was put in for it
    told = await box.get("/records")
    assert told["loads"] == [refused, loaded]
    # The box reads the same, and nothing where the platform is older.
    read = Records.read(Fields(told, "records")).loads
    assert [(one.load, one.state, one.amount_fen) for one in read] == [
        (refused["load"], "failed", AMOUNT_FEN),
        (loaded["load"], "loaded", AMOUNT_FEN),
    ]
    assert [one.time.isoformat() for one in read] == [refused["time"], loaded["time"]]
    del told["loads"]
    assert Records.read(Fields(told, "records")).loads == ()


async def test_the_records_tell_no_more_loads_than_payments(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "RECORDS", 1)
    box = await system.box()
    await Loader(system, box).authorise(pin="111111")
    system.clock.advance(60)
    newest = (await Loader(system, box).authorise(pin="111111"))["load"]
    assert (await box.get("/records"))["loads"] == [newest]


async def test_a_load_that_its_box_gives_up_before_anybody_was_asked_is_over(system: System) -> None:
    """What the box has sent before, and comes later, is refused."""
    loader = Loader(system, await system.box())
    body = await loader.request()
    over = await loader.complete({"chip": None, "balance_fen": HELD_FEN, "logged": False})
    assert (over["state"], over["money"], over["reason"]) == ("failed", "not-taken", "tsp-unreachable")
    late = await loader.box.refused(f"/card-loads/{loader.load['load']}/authorisation", body)
    assert (late["code"], late["money"]) == ("wrong-state", "not-taken")
    assert await at_issuer(system) == []
    assert await faults(system) == []


async def test_a_load_that_only_its_card_knows_of_is_for_a_person(system: System) -> None:
    """As after a restore: the card's own log has it, and nobody here has ever asked."""
    loader = Loader(system, await system.box())
    await loader.request()
    told = await loader.complete({"chip": None, "balance_fen": HELD_FEN, "logged": True})
    assert (told["state"], told["money"], told["reason"]) == ("unknown", "unknown", "load-disputed")
    (case,) = await system.tsp.database.read(cases.listed)
    assert (case.kind, case.stands, case.amount_fen) == ("load-disputed", "disputed", AMOUNT_FEN)
    assert await faults(system) == []


@pytest.mark.parametrize(
    ("done", "states"), [(False, ("unknown", "reversing")), (True, ("unknown", "disputed"))]
)
async def test_what_the_card_says_of_a_load_whose_answer_is_lost_here(
    system: System, monkeypatch: pytest.MonkeyPatch, done: bool, states: tuple[str, str]
) -> None:
    """A process has died while PPP was asked: a card that was told nothing is undone at once."""
    loader = Loader(system, await system.box())
    body = await loader.request()

    async def died(*_: Any) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(system.tsp.card_loads._line, "ask", died)
        await loader.box.refused(f"/card-loads/{loader.load['load']}/authorisation", body)
    told = await loader.complete({"chip": None, "balance_fen": HELD_FEN, "logged": done})
    assert (told["state"], (await system.rows(tables.loads))[0].state) == states
    assert await faults(system) == []
    if not done:
        assert (await loader.failed())["reason"] == "ppp-silent"


async def test_another_load_of_the_same_amount_is_no_proof_of_this_one(system: System) -> None:
    """The power went before the card had heard of the first; its holder has begun once more."""
    box = await system.box()
    first, second = Loader(system, box), Loader(system, box)
    await first.authorise()
    second.put_in(first)
    loaded = await second.complete(second.end(await second.authorise()))
    assert loaded["state"] == "loaded"
    told = await first.complete({"chip": None, "balance_fen": second.held, "logged": False})
    assert (told["state"], told["reason"]) == ("unknown", "card-removed")
    while {row.state for row in await system.rows(tables.loads)} != {"loaded", "failed"}:
        pass
    assert sorted(state for _, state, _ in await at_issuer(system)) == ["approved", "reversed"]


async def test_it_is_for_this_load_this_box_and_this_money_alone(system: System) -> None:
    box = await system.box()
    first, second = Loader(system, box), Loader(system, box)
    body, other = await first.request(), await second.request()
    path = f"/card-loads/{first.load['load']}"
    refused = await first.box.refused(f"{path}/authorisation", {**other})
    assert (refused["code"], refused["facts"]["kind"]) == ("bad-request", "card")
    answers = [await first.box.post(f"{path}/authorisation", body, key="once-and-only") for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(await at_issuer(system)) == 1
