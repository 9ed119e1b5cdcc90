"""Differences in the browser: listed, narrowed, told in words with both records. On both databases."""

from __future__ import annotations

import re

import pytest

from server_stub.backoffice.pages.breaks import fen_of
from server_stub.foundation.sentences import say
from server_stub.reconciliation.records import BREAKS, Cls, Difference
from server_stub.tsp import tables
from tests.server_stub.backoffice.breaks import break_of, planted
from tests.server_stub.backoffice.desk import Clerk, let_in
from tests.server_stub.backoffice.differences import every_class, note_of, record
from tests.server_stub.system import Card, System
from tests.server_stub.tsp.mornings import bought
from tests.server_stub.tsp.test_uploads import DAY

pytestmark = pytest.mark.anyio


async def test_every_class_is_listed_and_told_in_words_with_both_records(system: System) -> None:
    await planted(system, every_class(DAY))
    viewer = await let_in(system, "vera", "viewer")
    listed = (await viewer.get("/breaks")).text
    assert len(re.findall(r'href="/backoffice/breaks/\w+"', listed)) == len(BREAKS)
    one = (await viewer.get(await break_of(system, Cls.AMOUNT))).text
    assert "Amounts differ" in one
    assert "differs: ¥10.00" in one
    assert one.index("¥118.00") < one.index("¥108.00")
    assert "Leave it open" not in one  # a viewer decides nothing
    assert "Viewers decide nothing." in one
    assert "sees everything but audit logs and parameters" in (await viewer.get("/help")).text
    assert "not a whole number" in (await viewer.get(await break_of(system, Cls.MALFORMED))).text
    assert "one side only" in (await viewer.get(await break_of(system, Cls.MISSING_HERE))).text
    assert "more than once" in (await viewer.get(await break_of(system, Cls.DUPLICATE_THERE))).text
    assert (await viewer.get("/breaks/none")).status_code == 404
    refused = await viewer.post(await break_of(system, Cls.AMOUNT), "/help", action="close", reason="no")
    assert refused.status_code == 403
    await viewer.post("/language", "/help", language="zh")
    assert "不是整数" in (await viewer.get(await break_of(system, Cls.MALFORMED))).text
    assert "not a whole number" not in viewer.page


FILTERS = {
    **{
        "pair=boss": 10,
        "pair=ppp": 0,
        "cls=amount": 1,
        "day=2026-06-21": 10,
        "day=2026-06-20": 0,
        "state=moon": 10,
    },
    **{"amount=118": 1, "amount=¥128.00": 1, "amount=much": 0, "q=88310001-000042-000113": 1, "q=none": 0},
    **{
        "q=88310001-000042": 2,
        "state=closed": 0,
        "state=all": 10,
        "state=healing": 0,
        "q=%25": 0,
        "before=2zz": 0,
    },
}
"""What is asked for, and how many differences that are."""


async def test_the_list_is_narrowed(system: System) -> None:
    await planted(system, every_class(DAY))
    viewer = await let_in(system, "vera", "viewer")
    found = {query: (await viewer.get(f"/breaks?{query}")).text for query in FILTERS}
    links = {query: len(re.findall(r'href="/backoffice/breaks/\w+"', page)) for query, page in found.items()}
    assert links == FILTERS
    assert found["amount=much"].count("No amount: type yuan") == 1  # beside its field
    typed = await viewer.get("/breaks?amount=much", **{"HX-Request": "true"})
    assert "No amount: type yuan" in typed.text.partition('id="found"')[2]  # all that htmx takes of it


async def test_pages_of_the_list_have_every_difference_once_those_that_wait_first(system: System) -> None:
    many = [
        Difference(Cls.MISSING_THERE, f"K{number:03}", record(f"K{number:03}", 100, "paid", DAY), None)
        for number in range(60)
    ]
    run = await planted(system, many)
    core = system.tsp.core
    (first, *_) = sorted(row.id for row in await system.rows(tables.book.breaks))
    await core.database.write(
        lambda conn: tables.book.close(conn, core.clock, first, "server", run=run)  # one is not open any more
    )
    viewer = await let_in(system, "vera", "viewer")
    seen: list[str] = []
    path = "/breaks?state=all"
    while path:
        page = (await viewer.get(path)).text
        seen += re.findall(r'href="/backoffice/breaks/(\w+)"', page)
        older = re.search(r'href="(\?[^"]+)" rel="next"', page)
        path = "/breaks" + older[1].replace("&amp;", "&") if older else ""
    assert len(seen) == len(set(seen)) == 60
    assert seen[-1] == first


async def test_a_payment_is_found_by_its_order_number_and_shown(system: System) -> None:
    payment = await bought(system, await system.box(), "kids")
    note = note_of(payment["payment"], "85312048", payment["number"], "wallet:demo")
    mine = record(payment["payment"], 1_000, "opened", DAY, **note)
    await planted(system, [Difference(Cls.MISSING_THERE, mine.key, mine, None)])
    viewer = await let_in(system, "vera", "viewer")
    for wanted in (payment["number"], payment["number"].lower().replace(" ", ""), payment["payment"]):
        assert payment["number"] in (await viewer.get(f"/breaks?q={wanted}")).text
    one = (await viewer.get(await break_of(system, Cls.MISSING_THERE))).text
    assert "/backoffice/boxes/85312048" in one
    assert "Kids" in (await viewer.get("/boxes/85312048")).text.split("Recent payments")[-1]
    assert f"/backoffice/transactions/{payment['payment']}" in one
    assert "Paid and opened" in one
    assert "DZMX20260621.TXT" in one


async def test_what_a_payment_was_begun_with_stands_in_the_difference_too(system: System) -> None:
    """And the order's number, not that of the record, in the title of the window."""
    box = await system.box()
    payment = await box.pay("card", "kids", "monthly")
    await Card(box).pay(payment)
    note = note_of(payment["payment"], "85312048", payment["number"], "card")
    mine = record(payment["payment"], payment["amount_fen"], "opened", DAY, **note)
    await planted(system, [Difference(Cls.MISSING_THERE, mine.key, mine, None)])
    viewer = await let_in(system, "vera", "viewer")
    page = (await viewer.get(await break_of(system, Cls.MISSING_THERE))).text
    assert re.search(r"<b>Way to pay</b>\s*Purse card", page)
    assert f"<title>Only in our books {payment['number']} ·" in page


async def test_markup_in_records_is_text(system: System) -> None:
    evil = "<script>alert(1)</script>"
    mine = record(evil, 100, evil, DAY, **note_of("x", evil, evil, evil))
    await planted(system, [Difference(Cls.MISSING_THERE, evil, mine, None, (), 3, say(evil))])
    clerk: Clerk = await let_in(system, "wu", "clerk")
    for path in ("/breaks", await break_of(system, Cls.MISSING_THERE), f"/breaks?q={evil}"):
        assert "<script>alert" not in (await clerk.get(path)).text
        assert "&lt;script&gt;" in clerk.page


def test_amounts_are_read_as_people_type_them() -> None:
    assert [fen_of(text) for text in ("12.5", "￥12.05", "1,200", "0", "-1", "12.345", "x", "9" * 12)] == [
        *(1250, 1205, 120_000, 0, -1, -1, -1, -1)
    ]


async def test_where_nothing_was_compared_nothing_is_said_to_agree(system: System) -> None:
    viewer = await let_in(system, "vera", "viewer")
    assert "Nothing was compared yet." in (await viewer.get("/breaks")).text
    assert "Every difference is settled" not in viewer.page
    assert "Nothing fits the search." in (await viewer.get("/breaks?amount=12")).text
