"""Leases of PSAMs: who gets which, and when they end."""

from __future__ import annotations

import asyncio
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from cardreader.errors import CardReaderError, CardRemoved, ReaderUnavailable
from cardreader.sim.psam import open_psam
from server_stub import psams
from server_stub.foundation.clock import SimulatedClock
from server_stub.settings import Settings
from server_stub.tsp import card_turns, cases, psam_pool, tables
from tests.server_stub.system import OWN, START, Box, Card, System, body_of, first_start, running

pytestmark = pytest.mark.anyio


async def test_with_every_psam_leased_the_next_card_is_refused_until_one_is_given_back(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, Settings(psams="sim:1")) as system:
        first, second = await system.box("85312047"), await system.box("85312048")
        payment, other = await first.pay("card"), await second.pay("card")
        await first.post(f"/payments/{payment['payment']}/card", Card(first).data())
        card = Card(second)
        problem = await second.refused(f"/payments/{other['payment']}/card", card.data())
        assert (problem["code"], problem["status"], problem["retryable"]) == ("psam-none-free", 503, True)
        await first.post(f"/payments/{payment['payment']}/cancel")
        assert (await card.pay(other))["money"] == "taken"


async def test_a_box_holds_one_psam_and_gives_back_what_it_held_for_another_payment(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1,sim:2")) as system:
        first, second = await system.box("85312048"), await system.box("85312047")
        card, other = Card(first), Card(second)
        payments = [await first.pay("card", service, "monthly") for service in ("kids", "music", "sports")]
        begun = []
        for payment in payments:
            leased = await first.post(f"/payments/{payment['payment']}/card", card.data())
            begun.append(card.initialize(leased, payment["amount_fen"]))
        assert [row.payment_id for row in await system.rows(tables.leases)] == [payments[-1]["payment"]]
        assert (await other.pay(await second.pay("card", "kids", "monthly")))["money"] == "taken"
        older = f"/payments/{payments[0]['payment']}/init"
        problem = await first.refused(older, begun[0])
        assert (problem["code"], problem["money"]) == ("lease-lost", "not-taken")
        assert (await card.pay(payments[0]))["money"] == "taken"
        # After MAC1 a payment keeps its PSAM, whatever the box begins.
        await card.authorised(payments[1])
        await first.post(f"/payments/{payments[2]['payment']}/card", card.data())
        assert len(await system.rows(tables.leases)) == 2
        await first.post(f"/payments/{payments[1]['payment']}/not-debited", card.evidence("9406"))


async def test_an_empty_pool_has_none_free(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="")) as system:
        box = await system.box()
        payment = await box.pay("card")
        problem = await box.refused(f"/payments/{payment['payment']}/card", Card(box).data())
        assert problem["code"] == "psam-none-free"


async def test_a_lease_ends_by_itself_and_whoever_lost_it_is_told_before_mac1(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1", lease_seconds=60)) as system:
        first, second = await system.box("85312047"), await system.box("85312048")
        slow, quick = Card(first), Card(second)
        payment, other = await first.pay("card"), await second.pay("card")
        leased = await first.post(f"/payments/{payment['payment']}/card", slow.data())
        assert leased["seconds_left"] == 60
        body = slow.initialize(leased, payment["amount_fen"])
        system.clock.advance(60)
        await quick.pay(other)
        problem = await first.refused(f"/payments/{payment['payment']}/init", body)
        assert (problem["code"], problem["money"]) == ("lease-lost", "not-taken")
        assert (await first.get(f"/payments/{payment['payment']}"))["state"] == "preparing"
        assert (await slow.pay(payment))["money"] == "taken"


async def test_a_lease_that_ran_out_is_lost_even_if_nobody_took_it(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1", lease_seconds=60)) as system:
        box = await system.box()
        card = Card(box)
        payment = await box.pay("card")
        leased = await box.post(f"/payments/{payment['payment']}/card", card.data())
        system.clock.advance(61)
        problem = await box.refused(
            f"/payments/{payment['payment']}/init", card.initialize(leased, payment["amount_fen"])
        )
        assert problem["code"] == "lease-lost"


async def test_an_unknown_payment_keeps_its_psam_longer_and_others_get_the_others(tmp_path: Path) -> None:
    settings = Settings(psams="sim:1,sim:2", lease_seconds=60, unknown_lease_seconds=600)
    async with running(tmp_path, settings) as system:
        first, second = await system.box("85312047"), await system.box("85312048")
        await Card(first).authorised(await first.pay("card"))
        (kept,) = await system.rows(tables.leases)
        system.clock.advance(300)
        other = await second.pay("card")
        leased = await second.post(f"/payments/{other['payment']}/card", Card(second).data())
        assert leased["terminal_number"] != system.tsp.core.psams[kept.psam].terminal_number.hex().upper()


async def test_pulled_cards_hold_the_pool_for_minutes_only(system: System) -> None:
    box = await system.box()
    for service in ("sports", "kids", "documentary"):
        await Card(box).authorised(await box.pay("card", service, "monthly"))
    path = f"/payments/{(await box.pay('card', 'learning', 'monthly'))['payment']}/card"
    assert (await box.refused(path, Card(box).data()))["code"] == "psam-none-free"
    system.clock.advance(180)
    assert "terminal_number" in await box.post(path, Card(box).data())


async def test_a_psam_for_other_issuers_is_not_given(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1:foreign")) as system:
        box = await system.box()
        payment = await box.pay("card")
        problem = await box.refused(f"/payments/{payment['payment']}/card", Card(box).data())
        assert (problem["code"], problem["retryable"]) == ("psam-none-for-issuer", False)


async def test_which_psams_there_are_decides_not_which_of_them_work(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1:foreign,sim:2")) as system:
        box = await system.box()
        path = f"/payments/{(await box.pay('card'))['payment']}/card"
        foreign, own = system.tsp.core.psams.values()
        now = system.clock.now()
        write = system.tsp.core.database.write
        await write(lambda conn: psam_pool.note_locked(conn, own.name, now))
        problem = await box.refused(path, Card(box).data())
        assert (problem["code"], problem["retryable"]) == ("psam-none-free", True)
        del system.tsp.core.psams[own.name]
        await write(lambda conn: psam_pool.note_locked(conn, foreign.name, now))
        problem = await box.refused(path, Card(box).data())
        assert (problem["code"], problem["retryable"]) == ("psam-none-for-issuer", False)
        own.close()


SERVICES = ("sports", "documentary", "opera")
"""A payment that stays unknown keeps its service from being paid again: each wrong proof has its own."""


async def wrong_proof(box: Box, service: str) -> Any:
    payment = await box.pay("card", service, "per-use")
    await Card(box).authorised(payment)
    return await box.refused(f"/payments/{payment['payment']}/debit", {"tac": "00000000", "mac2": "00000000"})


async def test_a_psam_that_locks_itself_is_not_given_again_by_any_process_until_it_is_unlocked(
    tmp_path: Path,
) -> None:
    settings = Settings(psams="sim:1", box_wrong_proofs=3)
    async with running(tmp_path, settings) as system:
        box = await system.box()
        for service in SERVICES:
            assert (await wrong_proof(box, service))["code"] == "mac2-refused"
        # It has locked itself over the last one, and has not said so.
        assert await system.rows(tables.psam_locks) == []
        other = await system.box("85312047")
        payment, card = await other.pay("card"), Card(other)
        path = f"/payments/{payment['payment']}"
        leased = await other.post(f"{path}/card", card.data())
        problem = await other.refused(f"{path}/init", card.initialize(leased, payment["amount_fen"]))
        assert problem["code"] == "psam-refused"
        assert (await other.refused(f"{path}/card", card.data()))["code"] == "psam-none-free"
        clock = system.clock
    async with running(tmp_path, settings, clock=clock) as system:
        other = other.at(system)
        assert (await other.refused(f"{path}/card", card.data()))["code"] == "psam-none-free"
        assert "stb_psam_pool_locked 1.0" in (await system.outside.get(f"{OWN}/metrics")).text

        def unlock(conn: Connection) -> bool:
            return psam_pool.unlock(conn, "sim:1", clock, "person:root")

        listed = await system.tsp.database.read(lambda conn: psams.listed(conn, ("sim:1", "sim:2")))
        assert listed == [f"sim:1  locked since {clock.now():%Y-%m-%d %H:%M}", "sim:2  good"]
        assert await system.tsp.database.write(unlock)
        assert not await system.tsp.database.write(unlock)
        told = [(row.actor, row.subject) for row in await system.rows(tables.audit.records)]
        assert ("person:root", "sim:1") in told
        # It is still locked, and says so.
        leased = await other.post(f"{path}/card", card.data())
        await other.refused(f"{path}/init", card.initialize(leased, payment["amount_fen"]))
        assert [row.psam for row in await system.rows(tables.psam_locks)] == ["sim:1"]


async def test_a_box_with_wrong_proofs_pays_with_no_card_until_a_person_has_looked(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1,sim:2,sim:3,sim:4")) as system:
        box = await system.box()
        card, honest = Card(box), await box.pay("card", "games", "per-use")
        proof = body_of(card.debit(await card.authorised(honest)))
        prepared = await box.pay("card", "kids", "monthly")
        leased = await box.post(f"/payments/{prepared['payment']}/card", Card(box).data())
        for service in SERVICES[:2]:
            assert (await wrong_proof(box, service))["code"] == "mac2-refused"
        order = await box.order("opera", "per-use")
        problem = await box.refused(f"/orders/{order['order']}/payments", {"method": "card"})
        assert (problem["code"], problem["money"]) == ("method-not-offered", "not-taken")
        init = Card(box).initialize(leased, prepared["amount_fen"])
        problem = await box.refused(f"/payments/{prepared['payment']}/init", init)
        assert (problem["code"], problem["money"]) == ("method-not-offered", "not-taken")
        # What a card has proved is taken in, but no PSAM is asked.
        problem = await box.refused(f"/payments/{honest['payment']}/debit", proof)
        assert (problem["code"], problem["money"]) == ("psam-refused", "unknown")
        (unchecked,) = [row for row in await system.rows(tables.cases) if row.kind == "proof-unchecked"]
        assert json.loads(unchecked.facts) == proof
        core = system.tsp.core
        for case in await system.tsp.database.read(cases.listed):
            action = "accept-proof" if case.payment_id == honest["payment"] else "write-off"
            decision = cases.Decision(case.id, action, "seen", "Li", "Wang")
            await core.change(case.payment_id, partial(cases.decide, moves=core, decision=decision))
        await box.state(honest["payment"], "done")
        assert (await Card(box).pay(await box.pay("card", "opera", "per-use")))["money"] == "taken"


async def test_proofs_of_one_box_that_come_at_once_are_not_all_given_to_psams(tmp_path: Path) -> None:
    async with running(tmp_path, Settings(psams="sim:1,sim:2,sim:3")) as system:
        box = await system.box()
        payments = [await box.pay("card", service, "per-use") for service in SERVICES]
        for payment in payments:
            await Card(box).authorised(payment)
        verified = []
        held = asyncio.Event()
        for unit in system.tsp.core.psams.values():

            async def slow(*given: Any, verify: Any = unit.verify) -> None:
                verified.append(given)
                await held.wait()
                await verify(*given)

            unit.verify = slow  # type: ignore[method-assign]
        wrong = {"tac": "00000000", "mac2": "00000000"}
        answers = [
            asyncio.ensure_future(box.refused(f"/payments/{payment['payment']}/debit", wrong))
            for payment in payments
        ]
        soon = system.clock.now() + card_turns.LOOK_AGAIN
        while soon not in [due for due, _ in system.clock._sleepers]:
            await asyncio.sleep(0)
        held.set()
        waiting: set[Any] = set(answers)
        while len(waiting) > 1:
            waiting = (await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED))[1]
        system.clock.advance(card_turns.LOOK_AGAIN.total_seconds())
        codes = sorted([(await answer)["code"] for answer in answers])
        assert codes == ["mac2-refused", "mac2-refused", "psam-refused"]
        assert len(verified) == 2


async def test_a_psam_that_cannot_be_reached_is_left_out_and_looked_for_until_it_can() -> None:
    clock = SimulatedClock(START)
    plugged_in: set[str] = {"sim:1"}
    asked: list[str] = []

    def open_one(url: str, state_dir: str | None) -> psam_pool.PsamUnit:
        asked.append(url)
        if url not in plugged_in:
            raise ReaderUnavailable("no reader is plugged in")
        return psam_pool.open_unit(url, state_dir)

    opener = psam_pool.Opener(("sim:1", "sim:2"), None, clock, open_one)
    opener.look()
    assert list(opener.units) == ["sim:1"]
    assert await opener.look_again() == clock.now() + psam_pool.LOOK_AGAIN
    plugged_in.add("sim:2")
    assert await opener.look_again() is None
    assert list(opener.units) == ["sim:1", "sim:2"]
    assert await opener.look_again() is None
    assert asked == ["sim:1", "sim:2", "sim:2", "sim:2"]
    for unit in opener.units.values():
        unit.close()


async def test_a_psam_that_comes_later_serves_the_next_payment(tmp_path: Path) -> None:
    shutil.copytree(first_start().name, tmp_path / "data")
    damaged = tmp_path / "data" / "psams" / "psam-001.json"
    damaged.write_text("not a PSAM")
    async with running(tmp_path / "data", Settings(psams="sim:1")) as system:
        box = await system.box()
        path = f"/payments/{(await box.pay('card'))['payment']}/card"
        assert (await box.refused(path, Card(box).data()))["code"] == "psam-none-free"
        damaged.unlink()
        for _ in range(50):
            system.clock.advance(psam_pool.LOOK_AGAIN.total_seconds())
            answer = await box.call("POST", path, Card(box).data())
            if answer.is_success:
                break
        assert "terminal_number" in answer.json()


class Contacts:
    """Of a PSAM in a reader; ``away``: the reader is unplugged."""

    def __init__(self) -> None:
        self.away = False
        self.number = 1
        self.powered = 0

    def power(self) -> Contacts:
        if self.away:
            raise ReaderUnavailable("the reader is unplugged")
        self.powered += 1
        self._psam = open_psam(self.number, None)
        return self

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        if self.away:
            raise CardRemoved("the reader is unplugged")
        return self._psam.transmit(apdu)

    def close(self) -> None:
        """Nothing to let go of."""


async def test_a_psam_whose_reader_was_away_is_powered_again_if_it_is_the_same() -> None:
    contacts = Contacts()
    unit = psam_pool.PsamUnit("pcsc:x", contacts.power)
    turn = psam_pool.Turn("a 1", None, alone=True)
    purchase = psam_pool.Purchase(bytes(4), 1, 100, bytes(4), bytes(3), 1, 0, bytes(8))
    first = await unit.initialize(turn, purchase)
    contacts.away = True
    for _ in range(2):
        with pytest.raises(CardReaderError):
            await unit.initialize(turn, purchase)
    contacts.away = False
    assert await unit.initialize(turn, purchase) == first
    assert contacts.powered == 2
    contacts.away, contacts.number = True, 2
    with pytest.raises(CardRemoved):
        await unit.initialize(turn, purchase)
    contacts.away = False
    with pytest.raises(ReaderUnavailable, match="another PSAM"):
        await unit.initialize(turn, purchase)
    unit.close()
