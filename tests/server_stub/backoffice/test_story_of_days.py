"""A payment's story has the files that it was in, and the differences that were found about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from server_stub.backoffice import story
from server_stub.backoffice.story_words import SAID
from server_stub.tsp import cases
from tests.server_stub.system import System, exchange_below, running_with_ppp
from tests.server_stub.tsp.mornings import morning
from tests.server_stub.tsp.test_uploads import paid, tac_is

pytestmark = pytest.mark.anyio


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    async with running_with_ppp(tmp_path / "data", folder=exchange_below(tmp_path)) as system:
        yield system


async def test_files_and_differences_are_in_the_story(system: System) -> None:
    wrong, right = await paid(system, 2)
    await tac_is(system, "00000000", wrong["payment"])
    await morning(system)
    for payment, code, differs in ((wrong, "05", 1), (right, "00", 0)):
        told = await system.tsp.database.read(partial(story.at_tsp, transaction=payment["payment"]))
        assert told is not None
        filed = {
            event.values["name"]: dict(event.details) for event in told.events if event.text == SAID["filed"]
        }
        assert {name.partition("/")[0] for name in filed} == {"XFMX", "XFJG", "QSMX"}
        assert filed["XFJG/XFJG20260621.TXT"]["code"] == code
        assert [event.text for event in told.events].count(SAID["differed"]) == differs


async def test_cases_come_a_page_at_a_time(system: System) -> None:
    done = await paid(system, 2)
    core = system.tsp.core

    def ask(conn: object) -> None:
        for number in range(5):
            core.case(conn, done[number % 2]["payment"], f"kind-{number}")  # type: ignore[arg-type]
            system.clock.advance(1)

    await core.database.write(ask)
    every = await core.database.read(cases.listed)
    for newest in (False, True):
        found: list[str] = []
        while True:
            last = found[-1] if found else None
            page = await core.database.read(partial(cases.listed, newest=newest, beyond=last, most=2))
            if not page:
                break
            found += [row.id for row in page]
        assert found == [row.id for row in (reversed(every) if newest else every)]
    wanted = done[0]["number"].replace(" ", "").lower()
    named = await core.database.read(partial(cases.listed, wanted=wanted))
    assert {row.payment_id for row in named} == {done[0]["payment"]}
    assert await core.database.read(partial(cases.listed, wanted="%")) == []
    assert [row.kind for row in await core.database.read(partial(cases.listed, kind="kind-3"))] == ["kind-3"]
