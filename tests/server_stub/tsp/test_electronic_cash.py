"""Electronic cash: the real kernel and simulated card pay offline, PPP and issuer are told. ONL-3, ONL-7, ONL-13"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cardreader import tlv
from cardreader.emv import capk
from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import ApprovedOffline, Prepared
from cardreader.emv.settings import TerminalSettings, Transaction
from cardreader.sim.profiles import open_card
from server_stub.ppp import books as ppp_books
from server_stub.settings import Settings
from server_stub.tsp import tables
from server_stub.tsp.cases import Decision, decide
from stb_app.tsp import envelope
from stb_app.tsp.model import Fields
from tests.server_stub.system import Box, System, running_with_ppp
from tests.server_stub.tsp.test_online_card import ANSWER_S, Slot, at_issuer, coded

pytestmark = pytest.mark.anyio
TERMINAL = TerminalSettings(
    terminal_id="88310001", merchant_id="883100048990001", merchant_name="STB", ca_keys=capk.simulated()
)
HELD_FEN = 18650


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path / "data", Settings(ppp_seconds=ANSWER_S)) as system:
        yield system


class Terminal:
    """A box with a card in its slot that has electronic cash."""

    def __init__(self, system: System, box: Box) -> None:
        self.system = system
        self.box = box
        card = open_card("electronic-cash", None)
        card.power_on()
        self.card = DebitCredit(Slot(card), TERMINAL)

    async def begin(self, payment: Any, balance_fen: int = HELD_FEN) -> dict[str, Any]:
        """The body of ``offline``."""
        prepared = self.card.prepare(Transaction(payment["amount_fen"], self.system.clock.now(), 1))
        assert isinstance(prepared, Prepared)
        assert (prepared.electronic_cash, prepared.balance_fen) == (True, HELD_FEN)
        key = envelope.CardKey.read(Fields((await self.box.get("/card-keys"))["card_keys"][0], "card_keys"))
        sealed = envelope.seal(key, payment["payment"], envelope.CardData.of(self.card.objects), None)
        return {"envelope": sealed, "balance_before_fen": balance_fen, "atc": self.counter}

    @property
    def counter(self) -> int:
        return int.from_bytes(self.card.get_data(0x9F36) or b"")

    def certificate(self) -> dict[str, Any]:
        """The card pays: the body of ``certificate``."""
        said = self.card.authorise()
        assert isinstance(said, ApprovedOffline)
        return {"chip": coded(said.data), "balance_after_fen": self.card.electronic_cash().balance_fen}

    async def pay(self, payment: Any) -> Any:
        path = f"/payments/{payment['payment']}"
        begun = await self.box.post(f"{path}/offline", await self.begin(payment))
        assert (begun["state"], begun["money"]) == ("unknown", "unknown")
        return await self.box.post(f"{path}/certificate", self.certificate())


async def test_the_card_pays_by_itself_and_the_service_opens(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    paid = await Terminal(system, box).pay(payment)
    assert (paid["state"], paid["money"]) in (("paid", "taken"), ("done", "taken"))
    done = await box.state(payment["payment"], "done")
    fen = payment["amount_fen"]
    assert done["card"]["balance_before_fen"] == HELD_FEN
    assert done["card"]["balance_after_fen"] == HELD_FEN - fen
    assert await at_issuer(system) == [(ppp_books.CASH_SALE, "approved", fen)]


async def test_no_service_is_given_before_ppp_has_the_certificate(system: System) -> None:
    """The same message again is one purchase, also when it was booked and only the answer was lost."""
    assert system.roles.ppp is not None
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    path = f"/payments/{payment['payment']}"
    await box.post(f"{path}/offline", await terminal.begin(payment))
    assert system.tsp.online_cards._line.pos is not None
    await system.tsp.online_cards._line.pos.keys()
    system.roles.ppp.faults.drop_answers = True
    await box.post(f"{path}/certificate", terminal.certificate())
    await system.tried("present")
    told = await box.get(path)
    assert (told["state"], told["money"]) == ("paid", "taken")
    assert [row.state for row in await system.rows(tables.payments)] == ["presenting"]
    assert (await box.get("/home"))["spending"][-1]["amount_fen"] == 0
    system.roles.ppp.faults.drop_answers = False
    system.clock.advance(5)
    await box.state(payment["payment"], "done")
    assert len(await at_issuer(system)) == 1


async def test_ppp_has_other_keys_meanwhile(system: System) -> None:
    assert system.roles.ppp is not None
    box = await system.box()
    payment = await box.pay("card")
    pos = system.tsp.online_cards._line.pos
    assert pos is not None
    first = await pos.keys()
    await pos.sign_in()
    await system.tsp.database.write(
        lambda conn: conn.execute(
            tables.pos_terminals.update().values(pik=first.pik, mak=first.mak, tdk=first.tdk)
        )
    )
    await Terminal(system, box).pay(payment)
    await box.state(payment["payment"], "done")


async def test_a_certificate_that_ppp_refuses_is_for_a_person(system: System) -> None:
    assert system.roles.ppp is not None
    box = await system.box()
    payment = await box.pay("card")
    system.roles.ppp.faults.refuse, system.roles.ppp.faults.refuse_mti = "05", "0320"
    await Terminal(system, box).pay(payment)
    refused = await box.state(payment["payment"], "unknown")
    assert (refused["money"], refused["reason"]) == ("unknown", "certificate-refused")
    (case,) = await system.rows(tables.cases)
    assert case.kind == "certificate-refused"
    system.roles.ppp.faults.refuse = None
    decision = Decision(case.id, "present-again", "the bank had the wrong key", "alice")
    decided = await system.tsp.database.write(lambda conn: decide(conn, system.tsp.core, decision))
    assert decided == ("payment", "presenting")
    system.tsp.core.outbox.worker.kick()
    await box.state(payment["payment"], "done")


async def test_an_answer_that_decides_nothing_is_no_refusal(system: System) -> None:
    assert system.roles.ppp is not None
    box = await system.box()
    payment = await box.pay("card")
    system.roles.ppp.faults.refuse, system.roles.ppp.faults.refuse_mti = "96", "0320"
    await Terminal(system, box).pay(payment)
    await system.tried("present")
    assert [row.state for row in await system.rows(tables.payments)] == ["presenting"]


async def test_a_card_that_was_pulled_before_it_paid(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    path = f"/payments/{payment['payment']}"
    await box.post(f"{path}/offline", await terminal.begin(payment))
    stands = {"balance_fen": HELD_FEN, "atc": 18, "logged": False, "declined": False}
    failed = await box.post(f"{path}/no-certificate", stands)
    assert (failed["state"], failed["money"], failed["reason"]) == ("failed", "not-taken", "card-removed")
    assert await at_issuer(system) == []


@pytest.mark.parametrize("stands", [{"balance_fen": HELD_FEN - 1500, "logged": True}, {"logged": True}])
async def test_a_card_that_has_paid_and_whose_certificate_is_lost(
    system: System, stands: dict[str, Any]
) -> None:
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    path = f"/payments/{payment['payment']}"
    await box.post(f"{path}/offline", await terminal.begin(payment))
    stands = {"balance_fen": HELD_FEN, "atc": 18, "declined": False, **stands}
    lost = await box.post(f"{path}/no-certificate", stands)
    assert (lost["state"], lost["money"], lost["reason"]) == ("unknown", "unknown", "certificate-lost")
    (case,) = await system.rows(tables.cases)
    assert case.kind == "certificate-lost"
    # It turns up after all, as where the box had told of another card: then it is money as any other.
    paid = await box.post(f"{path}/certificate", terminal.certificate())
    assert paid["money"] == "taken"
    await box.state(payment["payment"], "done")


async def test_a_certificate_that_comes_weeks_later_is_money_all_the_same(system: System) -> None:
    """The box stood in a cupboard; meanwhile a person has said that nothing was taken."""
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    path = f"/payments/{payment['payment']}"
    await box.post(f"{path}/offline", await terminal.begin(payment))
    body = terminal.certificate()

    def write_off(conn: Any) -> None:
        system.tsp.core.case(conn, payment["payment"], "card-unknown")
        (case,) = conn.execute(tables.cases.select())
        decide(conn, system.tsp.core, Decision(case.id, "write-off", "nobody came", "alice"))

    await system.tsp.database.write(write_off)
    assert (await box.get(path))["state"] == "failed"
    await box.post(f"{path}/certificate", body)
    await box.state(payment["payment"], "done")


async def test_it_is_for_this_payment_this_money_and_this_transaction_alone(system: System) -> None:
    box = await system.box()
    payment, other = await box.pay("card"), await box.pay("card", "kids", "monthly")
    terminal = Terminal(system, box)
    path, body = f"/payments/{payment['payment']}", await terminal.begin(payment)
    refused = await box.refused(f"/payments/{other['payment']}/offline", body)
    assert (refused["code"], refused["facts"]["kind"]) == ("bad-request", "card")
    refused = await box.refused(f"{path}/offline", {**body, "balance_before_fen": 1})
    assert (refused["code"], refused["money"]) == ("balance-too-low", "not-taken")
    await box.post(f"{path}/offline", body)
    chip = bytes.fromhex(terminal.certificate()["chip"])
    for tag, value, kind in ((0x9F02, bytes(6), "other_amount"), (0x9F36, bytes(2), "other_counter")):
        changed = {one.tag: one.value for one in tlv.parse(chip)} | {tag: value}
        refused = await box.refused(f"{path}/certificate", {"chip": coded(changed)})
        assert (refused["code"], refused["money"], refused["facts"]["kind"]) == (
            "bad-request",
            "unknown",
            kind,
        )
    asked = {one.tag: one.value for one in tlv.parse(chip)} | {0x9F27: b"\x80"}
    refused = await box.refused(f"{path}/certificate", {"chip": coded(asked)})
    assert refused["facts"]["kind"] == "no_tc"


@pytest.mark.parametrize("failed", [False, True])
async def test_a_certificate_against_what_is_known_is_kept_for_a_person(system: System, failed: bool) -> None:
    """As after a restore; or of a card that had said that it has not paid."""
    box = await system.box()
    payment = await box.pay("card")
    path = f"/payments/{payment['payment']}"
    if failed:
        await box.post(f"{path}/offline", await Terminal(system, box).begin(payment))
        stands = {"balance_fen": HELD_FEN, "atc": 18, "logged": False, "declined": False}
        await box.post(f"{path}/no-certificate", stands)
    problem = await box.refused(f"{path}/certificate", {"chip": "9F270140"})
    assert (problem["code"], problem["money"]) == ("evidence-contradicts", "unknown")
    told = await box.get(path)
    assert (told["state"], told["money"], told["reason"]) == ("unknown", "unknown", "evidence-contradicts")
    assert [case.kind for case in await system.rows(tables.cases)] == ["evidence-contradicts"]


async def test_the_same_certificate_under_another_key_is_one_purchase(system: System) -> None:
    box = await system.box()
    payment = await box.pay("card")
    terminal = Terminal(system, box)
    path = f"/payments/{payment['payment']}"
    await box.post(f"{path}/offline", await terminal.begin(payment))
    body = terminal.certificate()
    for key in ("first-one", "second-one"):
        assert (await box.post(f"{path}/certificate", body, key=key))["money"] == "taken"
    await box.state(payment["payment"], "done")
    assert len(await at_issuer(system)) == 1
