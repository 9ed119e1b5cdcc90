"""Electronic cash is loaded: the real kernel and card, PPP and issuer; and what becomes of it when somebody is silent. ONL-7, ONL-13"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cardreader import tlv
from cardreader.emv import capk
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Approved, Online, PinEntered, Prepared
from cardreader.emv.scripts import IssuerResponse
from cardreader.emv.settings import TerminalSettings, Transaction, TransactionType
from cardreader.secret import Pin
from cardreader.sim.profiles import open_card
from server_stub.ppp import books as ppp_books
from server_stub.ppp import tables as ppp
from server_stub.settings import Settings
from server_stub.tsp import tables
from stb_app.tsp import envelope
from stb_app.tsp.model import Fields
from tests.server_stub.system import Box, System, running
from tests.server_stub.tsp.test_online_card import ANSWER_S, Slot, at_issuer, coded

pytestmark = pytest.mark.anyio
TERMINAL = TerminalSettings(
    terminal_id="88310001", merchant_id="883100048990001", merchant_name="STB", ca_keys=capk.simulated()
)
HELD_FEN, AMOUNT_FEN = 18650, 10000


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    with socket.create_server(("127.0.0.1", 0)) as terminals:
        async with running(tmp_path / "data", Settings(ppp_seconds=ANSWER_S), terminals=terminals) as system:
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


async def test_a_card_that_is_never_seen_again_is_reversed_and_disputed_when_it_has_the_money(
    system: System,
) -> None:
    loader = Loader(system, await system.box())
    body = loader.end(await loader.authorise())
    system.clock.advance(sum(Settings().unknown_schedule) + 61)
    assert (await loader.failed())["reason"] == "card-away"
    late = await loader.complete(body)
    assert (late["state"], late["money"], late["reason"]) == ("unknown", "unknown", "load-disputed")
    assert [row.state for row in await system.rows(tables.loads)] == ["disputed"]


async def test_a_load_that_its_box_gives_up_before_anybody_was_asked_is_over(system: System) -> None:
    """What the box has sent before, and comes later, is refused."""
    loader = Loader(system, await system.box())
    body = await loader.request()
    over = await loader.complete({"chip": None, "balance_fen": HELD_FEN, "logged": False})
    assert (over["state"], over["money"], over["reason"]) == ("failed", "not-taken", "tsp-unreachable")
    late = await loader.box.refused(f"/card-loads/{loader.load['load']}/authorisation", body)
    assert (late["code"], late["money"]) == ("wrong-state", "not-taken")
    assert await at_issuer(system) == []


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
