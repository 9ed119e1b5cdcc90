"""Real processes on one database: two on PostgreSQL, one on SQLite. Every request goes to the other one in turn."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import Connection, MetaData, select

from server_stub.boss import tables as boss
from server_stub.foundation.clock import SystemClock
from server_stub.tsp import tables as tsp
from tests.server_stub.signing import BoxKey
from tests.server_stub.system import Box, Card, body_of, databases, first_start
from tests.server_stub.test_process import started

pytestmark = pytest.mark.anyio
HUNDRED = 100
LIMITS = httpx.Limits(max_connections=HUNDRED, max_keepalive_connections=0)
"""A server lets go of an idle connection after five seconds, and nobody here knows how busy this machine is."""
FIVE = ",".join(f"sim:{number}" for number in range(1, 6))
SECOND = "95000000"
"""A second box of the first of the people."""


class InTurn(httpx.AsyncBaseTransport):
    """Sends every request to another one of the servers than the one before."""

    def __init__(self, addresses: list[str]) -> None:
        self._inner = httpx.AsyncHTTPTransport(limits=LIMITS)
        self.addresses = addresses
        self._turns = itertools.count()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        parts = urlsplit(self.addresses[next(self._turns) % len(self.addresses)])
        request.url = request.url.copy_with(host=parts.hostname, port=parts.port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(slots=True)
class Several:
    """Running servers, as far as the boxes of ``tests.server_stub.system`` need to know them.

    Attributes:
        outside: sends to all of them in turn.
    """

    processes: list[subprocess.Popen[str]]
    turns: InTurn
    data: Path
    outside: httpx.AsyncClient
    clock: SystemClock = field(default_factory=SystemClock)
    boxes: dict[str, Box] = field(default_factory=dict)

    def box(self, number: str = "85312048") -> Box:
        """One that ``settle`` has enrolled."""
        return self.boxes.setdefault(number, Box(self, number, BoxKey.of(number)))  # type: ignore[arg-type]

    def rows(self, statement: Any, metadata: MetaData = tsp.metadata) -> list[Any]:
        """What stands in a role's tables at this moment."""
        with closing(databases.open_role(self.data, metadata)) as database:
            return list(database.submit(lambda conn: conn.execute(statement).all()).result())


def people(count: int) -> list[str]:
    """Numbers of boxes that are made for a test."""
    return [f"9{number:07d}" for number in range(count)]


def settle(data: Path, numbers: list[str]) -> None:
    """Boxes with a subscriber each, enrolled, beside those of the demo, of which one is enrolled too."""

    enrolled = [*numbers, SECOND, "85312048"]
    now = SystemClock().now()

    def at_boss(conn: Connection) -> None:
        for number in numbers:
            name = {"name_zh": "某", "name_en": "Somebody"}
            conn.execute(boss.subscribers.insert().values(id=f"subscriber-{number}", **name))
        for number in [*numbers, SECOND]:
            conn.execute(
                boss.boxes.insert().values(
                    box_number=number,
                    subscriber_id=f"subscriber-{numbers[0] if number == SECOND else number}",
                    smart_card_number="0" * 16,
                    activation_hash="",
                    state="active",
                )
            )

        for number in enrolled:
            values = {"smart_card_number": "0" * 16, "registered_at": now, "generation": 1}
            subscriber = select(boss.boxes.c.subscriber_id).where(boss.boxes.c.box_number == number)
            whose = conn.execute(subscriber).scalar_one()
            conn.execute(
                boss.box_keys.insert().values(
                    key_id=BoxKey.of(number).key_id, box_number=number, subscriber_id=whose, **values
                )
            )

    def at_tsp(conn: Connection) -> None:
        for number in enrolled:
            key = BoxKey.of(number)
            conn.execute(tsp.boxes.insert().values(box_number=number, enrolled_at=now))
            values = {"generation": 1, "created_at": now, "turned_at": now}
            conn.execute(
                tsp.box_keys.insert().values(
                    key_id=key.key_id, box_number=number, public_key=key.public, **values
                )
            )

    for metadata, work in ((boss.metadata, at_boss), (tsp.metadata, at_tsp)):
        with closing(databases.open_role(data, metadata)) as database:
            database.submit(work).result()


@pytest.fixture
async def several(tmp_path: Path, kind: str, anyio_backend: str) -> AsyncIterator[Several]:
    data = tmp_path / "data"
    shutil.copytree(first_start().name, data)
    settle(data, people(HUNDRED))
    url = databases.of(data)
    options = ("--database", url) if url else ()
    with ExitStack() as running:
        both = [
            running.enter_context(started(data, *options, STB_SERVER_PSAMS=FIVE))
            for _ in range(2 if url else 1)
        ]
        turns = InTurn([address for _, address in both])
        async with httpx.AsyncClient(transport=turns, timeout=60) as outside:
            yield Several([process for process, _ in both], turns, data, outside)


async def all_of(tries: list[Awaitable[httpx.Response]]) -> list[httpx.Response]:
    return list(await asyncio.gather(*tries))


async def test_what_one_begins_the_other_carries_on(several: Several) -> None:
    box = several.box()
    for term in ("per-use", "monthly"):
        payment = await box.pay("card", term=term)
        await Card(box).pay(payment)
        done = await box.state(payment["payment"], "done")
        assert (done["money"], done["term"]) == ("taken", term)
    payment = await box.pay("wallet:demo", "kids")
    code = payment["qr"]["payload"].rpartition("/w/")[2]
    # Neither hears of the phone but through the database.
    await several.outside.post(f"http://server/w/{code}/pay")
    assert (await box.state(payment["payment"], "done"))["money"] == "taken"


async def test_ten_that_want_to_pay_one_order_at_once_begin_one_payment(several: Several) -> None:
    box = several.box()
    order = await box.order()
    path = f"/orders/{order['order']}/payments"
    answers = await all_of([box.call("POST", path, {"method": "card"}) for _ in range(10)])
    codes = Counter(answer.json().get("code", answer.status_code) for answer in answers)
    assert codes == {201: 1, "payment-in-progress": 9}
    assert len(several.rows(select(tsp.payments))) == 1


async def test_two_boxes_of_a_household_begin_one_payment_for_a_service(several: Several) -> None:
    boxes = [several.box(number) for number in (people(1)[0], SECOND)]
    for service in ("sports", "kids", "drama", "news"):
        orders = [await box.order(service, "monthly") for box in boxes]
        answers = await all_of(
            [
                box.call("POST", f"/orders/{order['order']}/payments", {"method": "card"})
                for box, order in zip(boxes, orders, strict=True)
            ]
        )
        live = [row for row in several.rows(select(tsp.payments)) if row.live]
        begun = [answer.json()["payment"] for answer in answers if answer.is_success]
        # The later one may also have ended the earlier one, whose card had not been put in.
        assert len(live) == 1, service
        assert live[0].id in begun
        await several.box(live[0].box_number).call(
            "POST", f"/payments/{live[0].id}/cancel", key=f"{service}-cancel"
        )


async def test_the_same_request_a_hundred_times_at_once_has_one_effect(several: Several) -> None:
    box = several.box()

    async def hundred(path: str, body: Any) -> Any:
        key = f"the-key-of{path[-40:]}".replace("/", "-")
        answers = await all_of([box.call("POST", path, body, key=key) for _ in range(HUNDRED)])
        assert {answer.status_code for answer in answers} <= {200, 201}, [answer.text for answer in answers]
        assert len({answer.text for answer in answers}) == 1
        return answers[0].json()

    order = await hundred("/orders", {"service": "sports", "term": "monthly"})
    assert len(several.rows(select(tsp.orders))) == 1
    payment = await hundred(f"/orders/{order['order']}/payments", {"method": "card"})
    path = f"/payments/{payment['payment']}"
    card = Card(box)
    leased = await hundred(f"{path}/card", card.data())
    authorised = await hundred(f"{path}/init", card.initialize(leased, payment["amount_fen"]))
    await hundred(f"{path}/debit", body_of(card.debit(authorised)))
    assert (await box.state(payment["payment"], "done"))["money"] == "taken"
    assert len(several.rows(select(tsp.payments))) == len(several.rows(select(tsp.debits))) == 1
    assert len(several.rows(select(tsp.outbox))) == 1
    who = select(boss.boxes.c.subscriber_id).where(boss.boxes.c.box_number == box.number)
    held = select(boss.subscriptions).where(boss.subscriptions.c.subscriber_id == who.scalar_subquery())
    assert [row.service for row in several.rows(held, boss.metadata)] == ["sports"]


async def test_a_hundred_boxes_share_five_psams(several: Several) -> None:
    async def buy(number: str) -> None:
        box, pause = several.box(number), 0.2
        payment = await box.pay("card")
        card, path = Card(box), f"/payments/{payment['payment']}"
        while (answer := await box.call("POST", f"{path}/card", card.data())).status_code == 503:
            assert answer.json()["code"] == "psam-none-free"
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.8)
        authorised = await box.post(f"{path}/init", card.initialize(answer.json(), payment["amount_fen"]))
        await box.post(f"{path}/debit", body_of(card.debit(authorised)))
        await box.state(payment["payment"], "done")

    await asyncio.gather(*(buy(number) for number in people(HUNDRED)))
    used = [(row.psam, row.terminal_transaction_number) for row in several.rows(select(tsp.debits))]
    assert len(set(used)) == len(used) == HUNDRED
    assert {psam for psam, _ in used} == set(FIVE.split(","))
    assert several.rows(select(tsp.leases)) == []


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
async def test_what_one_that_was_killed_had_begun_the_other_carries_on(several: Several) -> None:
    box = several.box()
    card = Card(box)
    payment = await box.pay("card")
    proof = card.debit(await card.authorised(payment))
    several.processes[0].kill()
    several.processes[0].wait(10)
    del several.turns.addresses[0]
    await box.post(f"/payments/{payment['payment']}/debit", body_of(proof))
    assert (await box.state(payment["payment"], "done"))["money"] == "taken"
