"""Debit and credit cards: the real kernel, the simulated card, HSM, ISO 8583 over TCP, PPP and issuer. ONL-7, ONL-12, ONL-13"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cardreader import tlv
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Approved, Declined, Online, PinEntered, Prepared
from cardreader.emv.scripts import IssuerResponse, UnableToGoOnline
from cardreader.emv.settings import TerminalSettings, Transaction, TransactionType
from cardreader.secret import Pin
from cardreader.sim.card import DemoCard
from cardreader.sim.profiles import open_card
from server_stub.foundation.iso8583 import Message
from server_stub.ppp import books as ppp_books
from server_stub.ppp import tables as ppp
from server_stub.settings import Settings
from server_stub.tsp import cases, tables
from stb_app.tsp import envelope
from stb_app.tsp.model import Fields
from tests.server_stub.system import Box, System, running, running_with_ppp

pytestmark = pytest.mark.anyio
TERMINAL = TerminalSettings(terminal_id="88310001", merchant_id="883100048990001", merchant_name="STB")

ANSWER_S = 0.5
"""Longer than any answer takes here; as long as a test waits for one that does not come."""


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path / "data", Settings(ppp_seconds=ANSWER_S)) as system:
        yield system


class Slot:
    def __init__(self, card: DemoCard) -> None:
        self._card = card

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        return self._card.transmit(apdu)

    def close(self) -> None:
        """Nothing to let go of."""


class Terminal:
    """A box with a card in its slot."""

    def __init__(self, system: System, box: Box, profile: str = "debit") -> None:
        self.system = system
        self.box = box
        card = open_card(profile, None)
        card.power_on()
        self.card = DebitCredit(Slot(card), TERMINAL)

    async def request(self, payment: Any, pin: str = "123456") -> dict[str, Any]:
        """The body of ``authorisation``, up to the card's ARQC."""
        prepared = self.card.prepare(Transaction(payment["amount_fen"], self.system.clock.now(), 1))
        assert isinstance(prepared, Prepared)
        first = self.card.authorise(PinEntered())
        assert isinstance(first, Online)
        key = envelope.CardKey.read(Fields((await self.box.get("/card-keys"))["card_keys"][0], "card_keys"))
        data = envelope.CardData.of(self.card.objects)
        sealed = envelope.seal(key, payment["payment"], data, Pin(pin))
        return {"envelope": sealed, "chip": coded(first.data)}

    async def authorise(self, payment: Any, pin: str = "123456") -> Any:
        body = await self.request(payment, pin)
        return await self.box.post(f"/payments/{payment['payment']}/authorisation", body)

    def end(self, said: Any) -> Approved | Declined:
        """The card's last word on what the issuer has said."""
        if said["response_code"] is None:
            return self.card.complete(UnableToGoOnline())
        objects = {one.tag: one.value for one in tlv.parse(bytes.fromhex(said["chip"] or ""))}
        scripts = (objects[0x72],) if 0x72 in objects else ()
        response = IssuerResponse(said["response_code"].encode(), objects.get(0x91, b""), (), scripts)
        return self.card.complete(response)

    async def complete(self, payment: Any, end: Approved | Declined) -> Any:
        path = f"/payments/{payment['payment']}/completion"
        results = {0xDF31: end.script_results} if end.script_results else {}
        return await self.box.post(path, {"chip": coded({**end.data, **results})})

    async def pay(self, payment: Any) -> Any:
        return await self.complete(payment, self.end(await self.authorise(payment)))


def coded(data: dict[int, bytes]) -> str:
    return b"".join(tlv.encode(tag, value) for tag, value in data.items()).hex().upper()


async def at_issuer(system: System) -> list[tuple[str, str, int]]:
    """Transactions as PPP has them: kind, state, amount."""
    assert system.roles.ppp is not None
    rows = await system.roles.ppp.database.read(lambda conn: list(conn.execute(ppp.transactions.select())))
    return [(row.kind, row.state, row.amount_fen) for row in rows]


@pytest.mark.parametrize("profile", ["debit", "credit"])
async def test_it_is_paid_and_the_service_opens(system: System, profile: str) -> None:
    box = await system.box()
    payment = await box.pay("card")
    paid = await Terminal(system, box, profile).pay(payment)
    assert paid["money"] == "taken"
    done = await box.state(payment["payment"], "done")
    assert done["card"]["number"].endswith(paid["card"]["number"][-4:])
    assert await at_issuer(system) == [(ppp_books.SALE, "approved", payment["amount_fen"])]
    (kept,) = await system.rows(tables.authorisations)
    assert (kept.response_code, kept.reversal_reason) == ("00", None)


async def told_of_scripts(system: System) -> list[str | None]:
    """What PPP knows of scripts, once it has been told."""
    assert system.roles.ppp is not None
    while not all(row.script_code for row in await system.rows(tables.authorisations)):
        pass
    rows = await system.roles.ppp.database.read(lambda conn: list(conn.execute(ppp.transactions.select())))
    return [row.script for row in rows]


@pytest.mark.parametrize(("script", "done"), [("84240000", "done"), ("04DA9F7799", "failed")])
async def test_what_the_card_does_with_scripts_is_told(system: System, script: str, done: str) -> None:
    assert system.roles.ppp is not None
    system.roles.ppp.faults.script = script
    box = await system.box()
    payment = await box.pay("card")
    assert (await Terminal(system, box).pay(payment))["money"] == "taken"
    assert await told_of_scripts(system) == [done]
    assert [row.script_code for row in await system.rows(tables.authorisations)] == ["00"]


async def test_a_script_result_that_ppp_does_not_take_is_a_case(system: System) -> None:
    assert system.roles.ppp is not None
    system.roles.ppp.faults.script = "84240000"
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    end = terminal.end(await terminal.authorise(payment))
    told_otherwise = ppp.transactions.update().values(script="failed")
    await system.roles.ppp.database.write(lambda conn: conn.execute(told_otherwise))
    await terminal.complete(payment, end)
    while not await system.rows(tables.cases):
        pass
    await box.state(payment["payment"], "done")
    (case,) = await system.tsp.database.read(cases.listed)
    assert (case.kind, case.payment_id, case.facts) == (
        *("script-result-refused", payment["payment"]),
        '{"code": "94"}',
    )
    assert case.card_masked is not None
    core = system.tsp.core
    closed = cases.Decision(case.id, "close", "compared", "Li")
    assert await core.database.write(lambda conn: cases.decide(conn, core, closed)) == ("payment", "opened")


async def test_so_it_is_where_the_issuer_has_declined_and_ppp_was_away(system: System) -> None:
    """A script that came with a no is told when PPP answers again, once."""
    assert system.roles.ppp is not None
    system.roles.ppp.faults.script = "84240000"
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    said = await terminal.authorise(payment, pin="111111")
    assert said["payment"]["state"] == "failed"
    system.roles.ppp.faults.drop_answers = True
    await terminal.complete(payment, terminal.end(said))
    await system.tried("script-result")
    system.roles.ppp.faults.drop_answers = False
    system.clock.advance(5)
    assert await told_of_scripts(system) == ["done"]


async def test_what_the_issuer_declines_costs_nothing_and_says_why(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    said = await terminal.authorise(payment, pin="111111")
    assert (said["response_code"], said["payment"]["state"]) == ("55", "failed")
    assert (said["payment"]["money"], said["payment"]["reason"]) == ("not-taken", "pin-refused")
    assert isinstance(terminal.end(said), Declined)
    assert [state for _, state, _ in await at_issuer(system)] == ["declined"]


async def test_an_answer_that_is_lost_is_reversed_until_it_is_acknowledged(system: System) -> None:
    """ONL-13: the sale was booked, and nobody at the television has heard of it."""
    assert system.roles.ppp is not None
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    body = await terminal.request(payment)
    await Terminal(system, box, "credit").authorise(
        await box.pay("card", "kids", "monthly")
    )  # it has signed in
    system.roles.ppp.faults.drop_answers = True
    said = await box.post(f"/payments/{payment['payment']}/authorisation", body)
    assert (said["response_code"], said["payment"]["state"], said["payment"]["money"]) == (
        None,
        "unknown",
        "unknown",
    )
    await system.tried("reverse")
    assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "unknown"
    system.roles.ppp.faults.drop_answers = False
    system.clock.advance(5)
    failed = await box.state(payment["payment"], "failed")
    assert (failed["money"], failed["reason"]) == ("not-taken", "ppp-silent")
    assert [state for _, state, _ in await at_issuer(system)] == ["approved", "reversed"]


async def test_an_answer_without_a_mac_proves_nothing(system: System) -> None:
    """Somebody on the line says that the MAC was wrong, when the sale has been booked: it is reversed."""
    box = await system.box()
    payment = await box.pay("card")
    body = await Terminal(system, box).request(payment)
    pos = system.tsp.online_cards._line.pos
    assert pos is not None
    really = pos.sale

    async def forged(*args: Any, **kwargs: Any) -> Message:
        said = await really(*args, **kwargs)
        return Message(said.mti, {**said.fields, 39: "A0"})

    pos.sale = forged  # type: ignore[method-assign]
    said = await box.post(f"/payments/{payment['payment']}/authorisation", body)
    assert (said["response_code"], said["payment"]["state"]) == (None, "unknown")
    failed = await box.state(payment["payment"], "failed")
    assert (failed["money"], failed["reason"]) == ("not-taken", "ppp-silent")
    assert [state for _, state, _ in await at_issuer(system)] == ["reversed"]


async def test_a_last_word_that_is_none_leaves_the_money_unknown(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    said = await terminal.authorise(payment)
    path = f"/payments/{payment['payment']}/completion"
    for chip in ("9F", "9F3601AA"):
        refused = await box.refused(path, {"chip": chip})
        assert (refused["code"], refused["money"]) == ("bad-request", "unknown")
    assert (await terminal.complete(payment, terminal.end(said)))["money"] == "taken"


async def test_a_card_that_declines_after_all_is_not_charged(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    said = await terminal.authorise(payment)
    assert said["payment"]["state"] == "unknown"
    end = terminal.card.complete(UnableToGoOnline())  # as if the answer had been lost on its way to the box
    assert isinstance(end, Declined)
    assert (await terminal.complete(payment, end))["state"] == "unknown"
    failed = await box.state(payment["payment"], "failed")
    assert (failed["money"], failed["reason"]) == ("not-taken", "declined-by-card")
    assert [state for _, state, _ in await at_issuer(system)] == ["reversed"]


async def test_a_box_that_never_comes_back_is_not_charged(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    said = await terminal.authorise(payment)
    system.clock.advance(61)
    failed = await box.state(payment["payment"], "failed")
    assert (failed["money"], failed["reason"]) == ("not-taken", "card-removed")
    # Its TC comes too late to change that: the service was not opened, and the account has its money back.
    late = await terminal.complete(payment, terminal.end(said))
    assert (late["state"], late["money"]) == ("failed", "not-taken")
    assert [state for _, state, _ in await at_issuer(system)] == ["reversed"]


async def test_a_platform_that_is_away_before_anything_left_takes_nothing(tmp_path: Path, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    async with running(tmp_path / "data", Settings(ppp_address=f"127.0.0.1:{port}")) as system:
        box = await system.box()
        payment = await box.pay("card")
        body = await Terminal(system, box).request(payment)
        refused = await box.refused(f"/payments/{payment['payment']}/authorisation", body)
        assert (refused["code"], refused["money"]) == ("ppp-unreachable", "not-taken")
        assert (await box.get(f"/payments/{payment['payment']}"))["state"] == "preparing"


async def test_it_is_for_this_payment_and_this_money_alone(system: System) -> None:
    box = await system.box()
    first, second = await box.pay("card"), await box.pay("card", "kids", "monthly")
    body = await Terminal(system, box).request(first)
    refused = await box.refused(f"/payments/{second['payment']}/authorisation", body)
    assert (refused["code"], refused["facts"]["kind"]) == ("bad-request", "card")
    other = await Terminal(system, box).request({**first, "amount_fen": 1})
    refused = await box.refused(f"/payments/{first['payment']}/authorisation", other)
    assert (refused["code"], refused["facts"]["kind"]) == ("bad-request", "other_amount")
    assert await at_issuer(system) == []


async def test_a_batch_that_somebody_else_has_closed_costs_one_sale(system: System) -> None:
    assert system.roles.ppp is not None
    box = await system.box()
    await system.tsp.online_cards._line.pos.keys()
    await system.roles.ppp.database.write(lambda conn: conn.execute(ppp.terminals.update().values(batch=7)))
    said = await Terminal(system, box).authorise(await box.pay("card"))
    assert (said["response_code"], said["payment"]["money"]) == ("77", "not-taken")
    paid = await Terminal(system, box, "credit").pay(await box.pay("card", "kids", "monthly"))
    assert paid["money"] == "taken"
    assert sorted(row.batch for row in await system.rows(tables.authorisations)) == ["000001", "000007"]


async def test_the_same_request_twice_is_one_sale(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    path, body = f"/payments/{payment['payment']}/authorisation", await Terminal(system, box).request(payment)
    answers = [await box.post(path, body, key="once-and-only") for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(await at_issuer(system)) == 1


@pytest.mark.parametrize(
    ("pin", "fen", "refusal"), [("123456", 500_000, None), ("111111", None, "pin-refused")]
)
async def test_an_account_can_be_asked_about(
    system: System, pin: str, fen: int | None, refusal: str | None
) -> None:
    """ONL-10: with PIN, recorded; no money moves."""
    box = await system.box()
    terminal = Terminal(system, box)
    asked = Transaction(0, system.clock.now(), 1, TransactionType.BALANCE_INQUIRY)
    assert isinstance(terminal.card.prepare(asked), Prepared)
    first = terminal.card.authorise(PinEntered())
    assert isinstance(first, Online)
    key = envelope.CardKey.read(Fields((await box.get("/card-keys"))["card_keys"][0], "card_keys"))
    data = envelope.CardData.of(terminal.card.objects)
    body = {"envelope": envelope.seal(key, "inquiry-0001", data, Pin(pin)), "chip": coded(first.data)}
    refused = await box.refused("/account-inquiries", body, key="inquiry-0002")
    assert (refused["code"], refused["facts"]["kind"]) == ("bad-request", "card")
    said = await box.post("/account-inquiries", body, key="inquiry-0001")
    assert (said["balance_fen"], said["refusal"]) == (fen, refusal)
    (kept,) = await system.rows(tables.inquiries)
    assert (kept.kind, kept.refusal) == ("account", refusal)
