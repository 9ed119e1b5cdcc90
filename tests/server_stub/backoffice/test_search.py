"""The search finds exactly what a look at every row would, on both databases, and reads no whole table for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert

from cardreader.secret import mask_number
from server_stub.backoffice import transactions, ways
from server_stub.backoffice.criteria import Criteria, criteria_of, form_of, meanings
from server_stub.backoffice.transactions import Found, search
from server_stub.foundation import migrations
from server_stub.foundation.database import Database
from server_stub.foundation.ids import base32
from server_stub.tsp import machines, tables
from tests.server_stub.system import START, databases

COUNT, LOADS = 240, 40
SERVICES = ("sports", "kids", "music")
STATES = ("opened", "opened", "opened", "failed", "cancelled", "refunding", "mac1-issued", "paid")


class Model:
    """Transactions that are in the database, and whatever else is known of each, by name."""

    def __init__(self) -> None:
        self.rows: dict[type, list[Any]] = {}
        self.found: list[dict[str, Any]] = []
        self.tables: dict[Any, list[dict[str, Any]]] = {}
        chance = random.Random(5)
        for number in range(COUNT):
            self._payment(chance, number)
        for number in range(LOADS):
            self._load(chance, number)
        self.found.sort(key=lambda one: str(one["id"]), reverse=True)

    def put(self, conn: Connection) -> None:
        for table in tables.metadata.sorted_tables:
            if table in self.tables:
                for same in sorted({tuple(row) for row in self.tables[table]}):
                    conn.execute(insert(table), [row for row in self.tables[table] if tuple(row) == same])

    def _add(self, table: Any, **values: Any) -> None:
        self.tables.setdefault(table, []).append(values)

    def _beginning(self, chance: random.Random, number: int) -> dict[str, Any]:
        at = START + timedelta(minutes=7 * number, microseconds=number)
        tail = base32(chance.getrandbits(80), 16)
        box = f"8531{number % 7:04d}"
        if not any(row["box_number"] == box for row in self.tables.get(tables.boxes, ())):
            self._add(tables.boxes, box_number=box, enrolled_at=START)
        head = ("622202", "621700", "622848")[number % 3]
        card = mask_number(head + "0" * (6 if number % 2 else 9) + f"{number % 11:04d}")
        common = {
            "id": transactions.first_id(at) + tail,
            "at": at,
            "box": box,
            "card": card,
            "correlation": None,
        }
        if number % 4 == 0:
            common["correlation"] = f"{number // 12:032x}"
        return {**common, "card_head": head, "card_end": f"{number % 11:04d}"}

    def _payment(self, chance: random.Random, number: int) -> None:
        one = self._beginning(chance, number)
        kind = ("purse", "online", "electronic-cash", "wallet", None)[chance.randrange(5)]
        method = "wallet:demo" if kind == "wallet" else "card"
        state = chance.choice(STATES)
        amount = chance.choice((1500, 1500, 2500, 333))
        received = amount - 1 if number % 29 == 0 else amount if state in ("opened", "paid") else None
        order = transactions.first_id(one["at"] - timedelta(seconds=9)) + base32(number, 16)
        service, term = chance.choice(SERVICES), chance.choice(("monthly", "yearly"))
        reason = {"failed": chance.choice(("declined", "card-removed")), "cancelled": "cancelled"}.get(state)
        typed = f"{base32(number * 7919, 8)[:4]} {base32(number * 7919, 8)[4:]}"
        common = {"correlation": one["correlation"] if number % 8 else None}
        self._add(tables.orders, id=order, box_number=one["box"], number=typed, state="completed", service='{"service": "x"}', term=term, list_fen=amount, reduction_fen=0, amount_fen=amount, valid_from=START, valid_until=START, renews=False, created_at=START, expires_at=START, correlation=one["correlation"])  # fmt: skip
        self._add(tables.payments, id=one["id"], order_id=order, box_number=one["box"], service=service, term=term, method=method, amount_fen=amount, state=state, live=False, reason=reason, created_key="k", created_at=one["at"], expires_at=START, received_fen=received, **common)  # fmt: skip
        card = {
            "payment_id": one["id"],
            "card_masked": one["card"],
            "card_fingerprint": "F",
            "card_sealed": "S",
        }
        numbers = {"psam": None, "terminal": None, "transaction_number": None, "offline_number": None, "batch": None, "stan": None, "reference": None, "authorisation": None}  # fmt: skip
        if kind == "purse":
            numbers |= {"psam": f"sim:{number % 3}", "terminal": f"{number % 3:012d}", "transaction_number": f"{number:08X}", "offline_number": number % 50}  # fmt: skip
            self._add(tables.debits, **card, issuer_id="0" * 16, balance_before_fen=1, psam=numbers["psam"], terminal_number=numbers["terminal"], terminal_transaction_number=numbers["transaction_number"], offline_number=numbers["offline_number"])  # fmt: skip
        elif kind == "online":
            numbers |= {"batch": f"{number // 60:06d}", "stan": f"{number:06d}", "reference": f"{number:012d}", "authorisation": f"{number % 9:06d}"}  # fmt: skip
            self._add(tables.authorisations, **card, batch=numbers["batch"], stan=numbers["stan"], chip="", asked_at=START, retrieval_reference=numbers["reference"], authorisation_code=numbers["authorisation"])  # fmt: skip
        elif kind == "electronic-cash":
            numbers |= {"batch": f"{number // 60:06d}", "stan": f"{number:06d}"}
            self._add(tables.certificates, **card, batch=numbers["batch"], stan=numbers["stan"], balance_before_fen=1, atc=1, begun_at=START)  # fmt: skip
        if kind in (None, "wallet"):
            one |= {"card": None, "card_head": None, "card_end": None}
        case = {0: "open", 1: "decided"}.get(number % 13)
        if case:
            self._add(tables.cases, id=f"C{number}", payment_id=one["id"], kind="card-unknown", facts="{}", at=START, state=case)  # fmt: skip
        shown, money = machines.PAYMENT_SHOWN[state]
        known = {"number": typed.replace(" ", ""), "order": order, "method": method, "kind": kind, "state": state, "shown": shown, "money": money, "reason": reason, "service": service, "term": term, "fen": amount, "received_fen": received, "case": case}  # fmt: skip
        self.found.append({**one, **known, **numbers})

    def _load(self, chance: random.Random, number: int) -> None:
        one = self._beginning(chance, number * 5 + 3)
        state, reason = chance.choice((("loaded", None), ("failed", "declined"), ("disputed", None)))
        amount = chance.choice((1500, 10_000))
        numbers = {"batch": f"{number // 10:06d}", "stan": f"{900 + number:06d}", "reference": f"9{number:011d}", "authorisation": f"{number % 9:06d}"}  # fmt: skip
        self._add(tables.loads, id=one["id"], number=one["id"][-8:], box_number=one["box"], amount_fen=amount, state=state, reason=reason, created_at=one["at"], card_masked=one["card"], batch=numbers["batch"], stan=numbers["stan"], retrieval_reference=numbers["reference"], authorisation_code=numbers["authorisation"], correlation=one["correlation"])  # fmt: skip
        case = "open" if number % 13 == 0 else None
        if case:
            self._add(tables.cases, id=f"L{number}", load_id=one["id"], kind="load-disputed", facts="{}", at=START, state=case)  # fmt: skip
        shown, money = machines.LOAD_SHOWN[state]
        nothing = dict.fromkeys(("order", "service", "term", "received_fen", "psam", "terminal", "transaction_number", "offline_number"))  # fmt: skip
        known = {"number": one["id"][-8:], "method": "load", "kind": "load", "state": state, "shown": shown, "money": money, "reason": reason, "fen": amount, "case": case}  # fmt: skip
        self.found.append({**one, **nothing, **known, **numbers})

    def expected(self, asked: Criteria) -> list[str]:
        """By a look at every row."""
        return [
            one["id"]
            for one in self.found
            if all(self._true(one, name, getattr(asked, name)) for name in asked.given)
        ]

    def _true(self, one: dict[str, Any], name: str, value: Any) -> bool:
        match name:
            case "from_fen":
                return bool(one["fen"] >= value)
            case "to_fen":
                return bool(one["fen"] <= value)
            case "since":
                return bool(one["at"] >= value)
            case "until":
                return bool(one["at"] < value)
            case "subscriber":
                return True
            case "boxes":
                return one["box"] in value
            case "case":
                return one["case"] == "open" or (value == "any" and one["case"] is not None)
            case _:
                return bool(one[name] == value)


MODEL = Model()
NAMES = ("number", "id", "order", "box", "method", "kind", "card_head", "card_end", "received_fen", "state", "shown", "money", "reason", "service", "term", "psam", "terminal", "transaction_number", "offline_number", "batch", "stan", "reference", "authorisation", "correlation", "case")  # fmt: skip


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    """A TSP's database with the model's transactions."""
    with closing(databases.open(tmp_path / "tsp.db", migrations.prepare(tables.metadata))) as one:
        one.submit(MODEL.put).result()
        yield one


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """So few ids are put in order at once: the others are walked."""
    return lambda number: monkeypatch.setattr(ways, "FEW", number)


def questions() -> list[Criteria]:
    """Each field alone, with what there is of it and what there is not; two and three together; ranges."""
    chance = random.Random(8)
    asked: list[Criteria] = [Criteria()]
    for name in NAMES:
        values = sorted({one[name] for one in MODEL.found if one[name] is not None}, key=str)
        for value in chance.sample(values, min(3, len(values))):
            asked.append(Criteria(**{name: value}))
    for _ in range(40):
        one = chance.choice(MODEL.found)
        names = [name for name in chance.sample(NAMES, chance.choice((2, 3))) if one[name] is not None]
        other = (
            {name: chance.choice(MODEL.found)[name] for name in names[:1]} if chance.random() < 0.4 else {}
        )
        asked.append(Criteria(**{**{name: one[name] for name in names}, **other}))
    asked += [
        Criteria(from_fen=1000), Criteria(to_fen=1500), Criteria(from_fen=400, to_fen=1600, service="kids"), Criteria(from_fen=2, to_fen=1),
        Criteria(since=START + timedelta(hours=3), until=START + timedelta(hours=9)), Criteria(since=START + timedelta(hours=3), state="failed"),
        Criteria(subscriber="a", boxes=("85310001", "85310004")), Criteria(subscriber="nobody", boxes=()), Criteria(subscriber="unasked"),
        Criteria(number="ZZZZZZZZ"), Criteria(card_head="999999"), Criteria(card_end="9999"), Criteria(correlation="f" * 32), Criteria(id="0" * 26),
        Criteria(term="yearly", method="card"), Criteria(from_fen=1500, to_fen=1500, method="wallet:demo"), Criteria(kind="wallet", state="refunding"),
    ]  # fmt: skip
    return [replace(one, case="any") if one.case == "decided" else one for one in asked]


def unasked(asked: Criteria) -> bool:
    return asked.subscriber is not None and asked.boxes is None


@pytest.mark.parametrize("at_once", [10_000, 3], ids=["sorted", "walked"])
def test_every_field_finds_what_it_should_alone_and_together(
    database: Database, few: Callable[[int], None], at_once: int
) -> None:
    few(at_once)

    def ask(conn: Connection) -> list[tuple[Criteria, list[str], list[str]]]:
        said = []
        for asked in questions():
            found, before = [], None
            while True:
                page = search(conn, [asked], before, limit=150, seconds=60)
                found += [row.id for row in page.rows]
                before = page.before
                if before is None:
                    break
            said.append((asked, found, [] if unasked(asked) else MODEL.expected(asked)))
        return said

    answers = database.submit(ask).result()
    assert [one for one in answers if one[1] != one[2]] == []
    assert sum(len(wanted) > 0 for _, _, wanted in answers) > 70


def test_a_page_whose_time_is_over_says_so_and_the_next_goes_on(
    database: Database, few: Callable[[int], None]
) -> None:
    few(3)
    # True of many each, and together of few; no index has both.
    asked = Criteria(psam="sim:0", state="refunding")
    ticks = iter(range(10_000))

    def ask(conn: Connection) -> tuple[list[str], int]:
        found, late, before = [], 0, None
        while True:
            page = search(conn, [asked], before, seconds=0.5, monotonic=lambda: float(next(ticks)))
            found += [row.id for row in page.rows]
            late += page.back_to is not None
            before = page.before
            if before is None:
                return found, late

    found, late = database.submit(ask).result()
    assert found == MODEL.expected(asked)
    assert late


def test_pages_have_no_gaps_and_nothing_twice_while_payments_come_in(database: Database) -> None:
    asked = [Criteria(state="opened"), Criteria(service="kids")]
    wanted = sorted({one for part in asked for one in MODEL.expected(part)}, reverse=True)
    found: list[str] = []
    before = None
    for number in range(100):
        page = database.submit(lambda conn, at=before: search(conn, asked, at, limit=9, seconds=60)).result()
        found += [row.id for row in page.rows]
        before = page.before
        if before is None:
            break
        new = START + timedelta(days=30, minutes=number)
        order = MODEL.tables[tables.orders][0]["id"]
        values = {
            **MODEL.tables[tables.payments][0],
            "id": transactions.first_id(new) + "Z" * 16,
            "order_id": order,
        }
        values |= {"state": "opened", "created_at": new}
        database.submit(lambda conn, one=values: conn.execute(insert(tables.payments).values(**one))).result()
    assert found == wanted


def test_how_many_there_are_is_said_as_far_as_it_is_known(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "FEW", 60)
    page = database.submit(lambda conn: search(conn, [Criteria(state="opened")], seconds=60)).result()
    assert (page.total, page.more) == (60, True)
    page = database.submit(lambda conn: search(conn, [Criteria(number=MODEL.found[9]["number"])])).result()
    assert (page.total, page.more) == (1, False)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("at_once", [10_000, 3], ids=["sorted", "walked"])
def test_no_search_reads_a_whole_table(database: Database, few: Callable[[int], None], at_once: int) -> None:
    few(at_once)
    statements: dict[str, Any] = {}

    def ask(conn: Connection) -> list[str]:
        def note(conn: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
            statements.setdefault(statement, values)

        event.listen(conn, "before_cursor_execute", note)
        for asked in questions():
            search(conn, [asked], seconds=60)
        event.remove(conn, "before_cursor_execute", note)
        driver: Any = conn.connection.driver_connection
        scanned = []
        for statement, values in statements.items():
            for *_, step in driver.execute(f"EXPLAIN QUERY PLAN {statement}", values):
                # Through all of an index, newest first and up to a limit, is how the newest are found.
                walked = "USING" in step and "ORDER BY" in statement and "LIMIT" in statement
                counted = "count(*)" in statement and "LIMIT" in statement
                whole = step.startswith("SCAN ") and not step.startswith(
                    ("SCAN heads", "SCAN anon", "SCAN (sub", "SCAN CONSTANT")
                )
                if (whole and not walked and not counted) or "TEMP B-TREE" in step:
                    scanned.append(f"{step}: {statement}")
        return scanned

    assert database.submit(ask).result() == []
    assert len(statements) > 60
    assert sum("INDEXED BY" in one for one in statements) > 40


@given(st.text(max_size=60) | st.from_regex(r"[0-9A-Z ./*…:-]{1,30}", fullmatch=True))
@settings(max_examples=300, deadline=None)
def test_any_text_means_something_or_nothing_but_never_everything(text: str) -> None:
    found = meanings(text)
    assert all(one.given for one in found)
    assert bool(found) == bool(text.strip() and "\0" not in text)


@given(
    st.dictionaries(st.sampled_from([*criteria_of.__globals__["FIELDS"]]), st.text(max_size=40), max_size=4)
)
@settings(max_examples=200, deadline=None)
def test_any_form_is_read_or_refused_and_reads_the_same_again(form: dict[str, str]) -> None:
    asked, wrong = criteria_of(form)
    again, nothing = criteria_of(form_of(asked))
    assert (again, nothing) == (asked, {})
    filled = {name for name, text in form.items() if text.strip()}
    assert set(wrong) <= filled
    assert asked.given or wrong == {name: wrong[name] for name in filled}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("4C7F 20A1", {"number": "4C7F20A1"}),
        ("4c7f20a1", {"number": "4C7F20A1"}),
        ("85312048", {"box": "85312048"}),
        ("6222…0035", {}),
        ("622202…0035", {"card_head": "622202", "card_end": "0035"}),
        ("6222 02** **** *** 0035", {"card_head": "622202", "card_end": "0035"}),
        ("6222020000000000035", {"card_head": "622202", "card_end": "0035"}),
        ("25.00", {"from_fen": 2500, "to_fen": 2500}),
        ("¥25", {"from_fen": 2500, "to_fen": 2500}),
        ("refunding", {"state": "refunding"}),
        ("wallet:demo 25.00", {"method": "wallet:demo", "from_fen": 2500, "to_fen": 2500}),
        ("张女士", {"subscriber": "张女士"}),
        ("0" * 31 + "a", {"correlation": "0" * 31 + "a"}),
        ("01KAGJ5B8ZQ7T2M9XW4C7F20A1", {"order": "01KAGJ5B8ZQ7T2M9XW4C7F20A1"}),
        ("01KAGJ5B8ZQ7T2M9XW4C7F20A1 3 paid", {"id": "01KAGJ5B8ZQ7T2M9XW4C7F20A1"}),
        ("2026-06-21 mac1-issued", {"state": "mac1-issued", "since": START.replace(hour=0), "until": START.replace(hour=0) + timedelta(days=1)}),
    ],
)  # fmt: skip
def test_what_was_typed_is_recognised(text: str, wanted: dict[str, Any]) -> None:
    assert not wanted or Criteria(**wanted) in meanings(text)


def test_found_rows_say_what_stands_in_the_books(database: Database) -> None:
    page = database.submit(lambda conn: search(conn, [Criteria()], limit=1000, seconds=60)).result()
    known = {one["id"]: one for one in MODEL.found}
    for row in page.rows:
        one = known[row.id]
        mine: Found = row
        assert (mine.at, mine.box, mine.card, mine.kind) == (one["at"], one["box"], one["card"], one["kind"])
        assert (mine.amount_fen, mine.received_fen, mine.state) == (
            one["fen"],
            one["received_fen"],
            one["state"],
        )
        assert mine.number.replace(" ", "") == one["number"]
        assert mine.open == (one["case"] == "open")


def test_whole_days_are_written_as_the_days_that_were_typed() -> None:
    form = {"since": "2026-06-20", "until": "2026-06-21"}
    assert form_of(criteria_of(form)[0]) == form
    instant = {"since": "2026-06-20T10:30:00+08:00"}
    assert form_of(criteria_of(instant)[0]) == instant
