"""A service that BOSS has taken back while our books did not know yet that it was opened: the page says what is missing, and helps."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from server_stub import reconcile
from server_stub.reconciliation.records import Cls
from server_stub.tsp import tables
from tests.server_stub.backoffice.breaks import break_of, standing
from tests.server_stub.backoffice.desk import ALL, let_in
from tests.server_stub.system import System, exchange_below, running_with_ppp
from tests.server_stub.tsp.mornings import bought, morning, reconciling, taken_back
from tests.server_stub.tsp.test_uploads import paid

pytestmark = pytest.mark.anyio
TITLE = "Nothing to give back yet"


@pytest.fixture
async def system(tmp_path: Path, kind: str) -> AsyncIterator[System]:
    """All roles, which exchange files."""
    folder = exchange_below(tmp_path)
    async with running_with_ppp(tmp_path / "data", None, folder=folder, without=ALL) as one:
        yield one


async def stands(system: System, state: str) -> None:
    """Our payment is in a state, whatever BOSS knows."""
    changed = update(tables.payments).values(state=state)
    await system.tsp.database.write(lambda conn: conn.execute(changed))


def offered(page: str) -> list[str]:
    return re.findall(r'name="action" value="([\w-]+)"', page)


async def test_nothing_is_given_back_before_our_books_know_and_the_day_is_compared_again(
    system: System,
) -> None:
    (payment,) = await paid(system)
    await taken_back(system, payment["order"])
    await stands(system, "paid")
    await morning(system)
    path = await break_of(system, Cls.REVERSED)
    chief = await let_in(system, "xu", "supervisor")
    page = (await chief.get(path)).text
    assert offered(page) == ["wait"]
    assert TITLE in page
    assert "BOSS is asked about that again and again by itself" in page
    clerk = await let_in(system, "wu", "clerk", "zh")
    assert "现在还不能退款" in (await clerk.get(path)).text
    await clerk.post("/language", "/help", language="en")
    assert "A supervisor can compare it at once." in (await clerk.get(path)).text
    assert "Compare this day again" not in clerk.page
    # Our books know by now; the difference is still as it was seen.
    await stands(system, "opened")
    page = (await chief.get(path)).text
    assert offered(page) == ["wait"]
    assert "or now if you wish; then what is right is offered" in page
    form = re.search(r'<form [^>]*action="/backoffice/reconciliation".*?</form>', page, re.DOTALL)
    assert form
    told = dict(re.findall(r'name="(pair|day|how)" value="([\w-]+)"', form[0]))
    asked = await chief.post("/reconciliation", path, **told)
    assert "Compare this day now?" in asked.text
    await chief.post("/reconciliation", path, confirmed="yes", **told)
    await reconciling(system).run()
    page = (await chief.get(path)).text
    assert TITLE not in page
    assert offered(page) == ["returned-by-hand", "close", "wait"]


async def test_what_a_wallet_has_paid_goes_back_by_rule_then(system: System) -> None:
    payment = await bought(system, await system.box(), "kids")
    await taken_back(system, payment["order"])
    await stands(system, "paid")
    await morning(system)
    assert await standing(system, Cls.REVERSED) == ("open", None, None, None)
    (row,) = await system.rows(tables.book.breaks)
    later = f"later    {reconcile.LATER}: reconcile run boss 2026-06-21"
    assert reconcile.shown(row, [], ["close", "wait"])[-1] == later
    await stands(system, "opened")
    chief = await let_in(system, "xu", "supervisor")
    told = {"pair": "boss", "day": "2026-06-21", "how": "real", "confirmed": "yes"}
    await chief.post("/reconciliation", "/reconciliation", **told)
    await reconciling(system).run()
    assert (await standing(system, Cls.REVERSED))[:2] == ("closed", "refund")
    (row,) = await system.rows(tables.book.breaks)
    assert later not in reconcile.shown(row, [], [])
