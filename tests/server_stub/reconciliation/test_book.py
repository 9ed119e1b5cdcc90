"""The book of reconciliations: what becomes of breaks from run to run, by rule and by people; on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, select

from server_stub.foundation.audit import Audit
from server_stub.foundation.clock import CHINA, SimulatedClock
from server_stub.foundation.database import Database
from server_stub.foundation.ids import Ids
from server_stub.foundation.sentences import read, say
from server_stub.reconciliation.actions import AGREED, Action, DecisionRefused
from server_stub.reconciliation.book import Book, Decision
from server_stub.reconciliation.break_rows import fields_of, records
from server_stub.reconciliation.findings import AT_ONCE
from server_stub.reconciliation.healing import Healed, Rule, Tally
from server_stub.reconciliation.records import Carried, Cls, Difference, Record, Side, Totals
from server_stub.reconciliation.runs import Seen, counts_of
from tests.server_stub.system import databases

metadata = MetaData()
book, audit = Book(metadata), Audit(metadata)
DAY, NEXT = date(2026, 6, 21), date(2026, 6, 22)
SECOND_FEN = 10_000


@pytest.fixture
def database(tmp_path: Path, kind: str) -> Iterator[Database]:
    with closing(databases.open(tmp_path / "book.db", metadata.create_all)) as one:
        yield one


class House:
    """A role that reconciles: runs with what they find, a person, and actions that are counted."""

    def __init__(self, database: Database) -> None:
        self.clock = SimulatedClock(datetime(2026, 6, 22, 4, tzinfo=CHINA))
        self.count = 0
        self.ids = Ids(self.clock, self._random)
        self.database = database
        self.done: list[str] = []
        opens = Action(lambda row: row.cls == Cls.STATUS, lambda conn, row, actor: self.done.append(row.key))
        self.actions = {"open": opens, "no": Action(lambda row: True, self._no)}

    def _random(self, size: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(size, "big")

    def _no(self, conn: Connection, row: Any, actor: str) -> None:
        raise DecisionRefused("not today")

    def __call__(self, work: Callable[[Connection], Any]) -> Any:
        return self.database.submit(work).result()

    def run(
        self, *found: Difference, day: date = DAY, rules: tuple[Rule, ...] = (), dry: bool = False
    ) -> tuple[str, Seen, int, list[Healed]]:
        """A whole run; what it has seen, agreed and healed."""
        self.clock.advance(3600)

        def work(conn: Connection) -> tuple[str, Seen, int, list[Healed]]:
            run = book.want(conn, self.ids, self.clock, "a-b", day, "night", dry_run=dry)
            book.begin(conn, self.clock, run)
            tally = Tally(rules)
            seen = book.see(
                conn, self.ids, self.clock, run, found, tally=tally if dry else None, actions=self.actions
            )
            closed = book.agree(conn, self.clock, run, book.gone(conn, run))
            if not dry:
                book.fits(conn, run, tally, self.actions)
                after: str | None = ""
                while after is not None:
                    some = book.heal(conn, self.clock, run, tally, self.actions, after)
                    for rule, fen in some.failed:
                        tally.take_off(rule, fen)
                    after = some.last
            totals = Totals(len(found), 7)
            counts = {one.cls: (1, 5) for one in found}
            told = {
                "here": totals,
                "there": totals,
                "counts": counts,
                "seen": seen,
                "healed": tally.outcome(),
            }
            book.finish(conn, self.clock, run, **told, closed=closed, files={"there": "f1"})
            return run, seen, closed, tally.outcome()

        found_out: tuple[str, Seen, int, list[Healed]] = self(work)
        return found_out

    def one(self, key: str = "K1") -> Any:
        rows = self(lambda conn: book.waiting(conn, everything=True))
        return [row for row in rows if row.key == key][-1]

    def events(self, key: str = "K1") -> list[str]:
        mine = self.one(key).id
        return [row.event for row in self(lambda conn: book.history(conn, mine))]

    def decide(self, action: str, **more: Any) -> Any:
        values = {"reason": "seen with the bank", "actor": "Li Na", **more}
        decision = Decision(self.one(values.pop("key", "K1")).id, action, **values)
        return self(
            lambda conn: book.decide(conn, self.clock, audit, self.actions, decision, second_fen=SECOND_FEN)
        )


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def record(key: str = "K1", fen: int = 500, status: str = "settled", day: date = DAY) -> Record:
    return Record(key, fen, "CNY", status, day, "box 4")


def status(key: str = "K1", fen: int = 500) -> Difference:
    return Difference(Cls.STATUS, key, record(key, fen, "paid"), record(key, fen), ("status",))


def missing(side: Side = "there", key: str = "K1", day: date = DAY) -> Difference:
    if side == "there":
        return Difference(Cls.MISSING_THERE, key, record(key, day=day), None)
    return Difference(Cls.MISSING_HERE, key, None, record(key, day=day))


def test_a_break_is_opened_seen_again_and_closed_when_the_books_agree(house: House) -> None:
    first, seen, _, _ = house.run(status(), missing(key="K2"))
    assert seen == Seen(opened=2)
    row = house.one()
    assert (row.state, row.cls, row.here_fen, row.there_fen, row.day) == (
        "open",
        "status",
        500,
        500,
        "2026-06-21",
    )
    assert records(row) == (record(status="paid"), record())
    assert fields_of(row) == ("status",)
    second, seen, closed, _ = house.run(
        Difference(Cls.AMOUNT, "K1", record(fen=400), record(), ("amount_fen",))
    )
    assert (seen, closed) == (Seen(again=1), 1)
    assert (house.one().cls, house.one().here_fen, house.one().run) == ("amount", 400, second)
    assert (house.one("K2").state, house.one("K2").action) == ("closed", AGREED)
    assert house.events() == ["opened", "changed"]
    house.run()
    assert house.events() == ["opened", "changed", AGREED]
    # What comes back after it had only been away is a break of its own.
    assert house.run(status())[1] == Seen(opened=1)
    assert len(house(lambda conn: book.waiting(conn, everything=True))) == 3
    kept = house(lambda conn: conn.execute(select(book.runs).where(book.runs.c.id == first)).one())
    assert (kept.state, kept.here_count, kept.there_fen, kept.opened, kept.percent) == ("done", 2, 7, 2, 100)
    assert counts_of(kept) == {Cls.STATUS: (1, 5), Cls.MISSING_THERE: (1, 5)}
    assert json.loads(kept.files) == {"there": "f1"}
    last = house(lambda conn: book.last_run(conn, "a-b", DAY))
    assert last.id > second


def test_another_day_leaves_the_breaks_of_a_day_alone(house: House) -> None:
    house.run(missing())
    assert house.run(day=NEXT)[2] == 0
    assert house.one().state == "open"


def test_what_was_left_over_is_carried_until_it_is_found(house: House) -> None:
    house.run(missing(), missing("here", "K2"), status("K3"))
    carried = [Carried("here", record()), Carried("there", record("K2"))]
    for day in (NEXT, NEXT + timedelta(days=300), DAY - timedelta(days=1)):
        assert house(lambda conn, day=day: book.carry(conn, "a-b", day)) == carried
    for other in (("a-b", DAY), ("other", NEXT)):
        assert house(lambda conn, other=other: book.carry(conn, *other)) == []
    found = Difference(Cls.OTHER_DAY, "K1", record(), record(day=NEXT), ("day",))
    assert house.run(found, day=NEXT)[3] == [Healed("settled-late", "match", 1, 500, held=False)]
    assert (house.one().state, house.one().action, house.one().day) == ("closed", "match", "2026-06-21")
    # The day once more, alone: what was settled late is no new break.
    assert house.run(missing(), missing("here", "K2"), status("K3"))[1] == Seen(again=2, known=1)


def test_two_records_of_two_days_know_each_other_from_then_on(house: House) -> None:
    """Either day can be compared once more; what is otherwise then is told of both."""
    house.run(missing())
    house.run(Difference(Cls.OTHER_DAY, "K1", record(), record(day=NEXT), ("day",)), day=NEXT)
    known = {DAY: Carried("there", record(day=NEXT)), NEXT: Carried("here", record(), known=True)}
    for day, one in known.items():
        assert house(lambda conn, day=day: book.carry(conn, "a-b", day)) == [one]
    assert house(lambda conn: book.carry(conn, "a-b", NEXT + timedelta(days=1))) == []
    # Found again from either day, also with another status by now, it is nothing new.
    moved = replace(record(), status="refunded"), replace(record(day=NEXT), status="refunded")
    late = Difference(Cls.OTHER_DAY, "K1", *moved, ("day",))
    assert [house.run(late, day=day)[1] for day in (DAY, NEXT)] == [Seen(known=1)] * 2
    back = replace(record(day=NEXT), status="refunded")
    house.run(Difference(Cls.REVERSED, "K1", record(), back, ("status",)), day=NEXT)
    assert house.one().state == "open"
    assert house(lambda conn: book.carry(conn, "a-b", DAY)) == [Carried("there", back)]
    house.run(Difference(Cls.REVERSED, "K1", record(), back, ("status",)), day=DAY)
    assert house(lambda conn: book.carry(conn, "a-b", NEXT)) == [Carried("here", record(), known=True)]


def test_a_partner_of_another_day_that_is_gone_is_a_difference_again(house: House) -> None:
    """What was matched late: the other side tells that day anew, without it."""
    late = Difference(Cls.OTHER_DAY, "K1", record(), record(day=NEXT), ("day",))
    house.run(missing())
    house.run(late, day=NEXT)
    assert house.run(missing(), day=NEXT)[1] == Seen(opened=1)
    assert (house.one().cls, house.one().day) == (Cls.MISSING_THERE, NEXT.isoformat())
    # It has come back on a third day: whichever of the three is compared once more, nothing is missing.
    third = NEXT + timedelta(days=9)
    house.run(Difference(Cls.OTHER_DAY, "K1", record(), record(day=third), ("day",)), day=third)
    assert house.one().state == "closed"
    for day in (DAY, NEXT, third):
        assert not any(one.known for one in house(lambda conn, day=day: book.carry(conn, "a-b", day)))


def test_a_key_has_one_open_break_and_its_history_knows_the_rest(house: House) -> None:
    found = [
        Difference(cls, "K1", record(), record(), text=say("%(count)s times", count=2))
        for cls in (Cls.DUPLICATE_HERE, Cls.DUPLICATE_THERE)
    ]
    assert house.run(*found)[1] == Seen(opened=1, again=1)
    assert house.one().cls == Cls.DUPLICATE_HERE
    assert house.events() == ["opened", "also"]


def test_a_rule_heals_what_fits_and_nothing_else(house: House) -> None:
    rule = Rule("paid-but-not-opened", Cls.STATUS, "open", here="paid", there="settled", limit_count=2)
    found = [status("K1"), status("K2"), missing(key="K3")]
    _, _, _, healed = house.run(*found, rules=(rule,))
    assert healed == [Healed("paid-but-not-opened", "open", 2, 1000, held=False)]
    assert house.done == ["K1", "K2"]
    assert [house.one(key).state for key in ("K1", "K2", "K3")] == ["healing", "healing", "open"]
    assert (house.one().rule, house.one().actor) == ("paid-but-not-opened", "rule:paid-but-not-opened")
    # What is being healed is not begun again, and is closed when the books agree.
    house.run(status("K1"), rules=(rule,))
    assert house.done == ["K1", "K2"]
    assert [house.one(key).state for key in ("K1", "K2")] == ["healing", "closed"]
    mine = house.one().id
    assert house(lambda conn: book.close(conn, house.clock, mine, "server"))
    assert not house(lambda conn: book.close(conn, house.clock, mine, "server"))
    assert (house.one().state, house.one().action) == ("closed", "open")


@pytest.mark.parametrize("limit", [{"limit_count": 1}, {"limit_fen": 999}])
def test_a_rule_that_fits_more_than_its_limit_heals_nothing(house: House, limit: dict[str, int]) -> None:
    rule = Rule("many", Cls.STATUS, "open", **limit)
    _, _, _, healed = house.run(status("K1"), status("K2"), rules=(rule,))
    assert healed == [Healed("many", "open", 2, 1000, held=True)]
    assert house.done == []
    assert [house.one(key).state for key in ("K1", "K2")] == ["open", "open"]
    assert house.events() == ["opened", "held"]


def test_what_an_action_is_not_for_counts_for_no_rule_and_uses_up_no_limit(house: House) -> None:
    """Three that the rule fits by their class; one of them is for its action, one is, and is refused by it."""
    rules = (Rule("opens", Cls.MISSING_THERE, "opens-K1", limit_count=2),)
    begun: list[str] = []

    def opens(conn: Connection, row: Any, actor: str) -> None:
        if row.key == "K2":
            raise DecisionRefused("moved on")
        begun.append(row.key)

    house.actions["opens-K1"] = Action(lambda row: "K3" not in row.here, opens)
    found = [missing(key=key) for key in ("K1", "K2", "K3")]
    assert house.run(*found, rules=rules, dry=True)[3] == [Healed("opens", "opens-K1", 2, 1000, held=False)]
    assert house.run(*found, rules=rules)[3] == [Healed("opens", "opens-K1", 1, 500, held=False)]
    assert begun == ["K1"]
    assert [house.one(key).state for key in ("K1", "K2", "K3")] == ["healing", "open", "open"]


def test_what_a_rule_has_begun_in_vain_it_does_not_begin_again(house: House) -> None:
    rules = (Rule("opens", Cls.STATUS, "open"), Rule("no", Cls.MISSING_THERE, "no"))
    house.run(status(), rules=rules)
    mine = house.one().id
    ((name, at),) = house(lambda conn: book.begun(conn, "a-b"))
    assert (name, at) == (mine, house.clock.now())
    assert house(lambda conn: book.last_compared(conn, "a-b")) == DAY
    house(lambda conn: book.reopen(conn, house.clock, mine, "server", say("not shown")))
    assert house(lambda conn: book.begun(conn, "a-b")) == []
    assert house.run(status(), rules=rules, dry=True)[3] == []
    assert house.run(status(), rules=rules)[3] == []
    assert (house.one().state, house.done) == ("open", ["K1"])
    assert house.events() == ["opened", "open", "not-healed"]
    assert house.decide("open").state == "healing"


def test_a_dry_run_tells_and_changes_nothing(house: House) -> None:
    rule = Rule("paid-but-not-opened", Cls.STATUS, "open")
    house.run(status("K1"), missing(key="K2"))
    house.decide("close", key="K2")
    before = house(lambda conn: book.waiting(conn, everything=True))
    run, seen, closed, healed = house.run(
        status("K1"), missing(key="K2"), status("K3"), rules=(rule,), dry=True
    )
    assert (seen, closed) == (Seen(opened=1, again=1, known=1), 0)
    assert healed == [Healed("paid-but-not-opened", "open", 2, 1000, held=False)]
    assert house(lambda conn: book.waiting(conn, everything=True)) == before
    assert house.done == []
    assert house(lambda conn: book.last_run(conn, "a-b", DAY)).id != run


def test_many_are_healed_a_few_at_a_time_and_one_that_cannot_be_stops_none(house: House) -> None:
    count = AT_ONCE + 1
    house.run(*(status(f"K{number}") for number in range(count)), rules=(Rule("all", Cls.STATUS, "open"),))
    assert len(house.done) == count
    assert house.run()[2] == count  # they agree now
    house.run(missing(key="M1"), missing("here", "M2"), day=NEXT, rules=(Rule("n", Cls.MISSING_THERE, "no"), Rule("o", Cls.MISSING_HERE, "open")))  # fmt: skip
    assert [house.one(key).state for key in ("M1", "M2")] == ["open", "open"]
    assert house.events("M1") == house.events("M2") == ["opened", "not-healed"]
    house.run(missing(key="M1"), missing("here", "M2"), day=NEXT, rules=(Rule("n", Cls.MISSING_THERE, "no"), Rule("o", Cls.MISSING_HERE, "open")))  # fmt: skip
    assert house.events("M1") == house.events("M2") == ["opened", "not-healed"]  # once, not every night


def test_a_person_decides_with_a_reason_and_it_is_in_the_audit_log(house: House) -> None:
    house.run(status(), missing(key="K2"))
    assert book.able(house.one(), house.actions) == ["open", "no", "close", "wait"]
    assert house.decide("wait").state == "open"
    assert house.decide("open").state == "healing"
    mine = house.one().id
    assert house(lambda conn: book.reopen(conn, house.clock, mine, "server", say("BOSS says no")))
    row = house.decide("close", second="Wang Wei")
    assert (row.state, row.action, row.reason, row.actor, row.second) == (
        "closed", "close", "seen with the bank", "Li Na", "Wang Wei",
    )  # fmt: skip
    assert house.events() == ["opened", "wait", "open", "not-healed", "close"]
    kept = house(lambda conn: conn.execute(select(audit.records.c.action, audit.records.c.subject)).all())
    assert [tuple(one) for one in kept][-1] == ("break-close", row.id)
    # What a person has closed is not opened again by the next run that sees it unchanged; changed, it is.
    assert house.run(status(), missing(key="K2"))[1] == Seen(again=1, known=1)
    assert house.run(status(fen=501), missing(key="K2"))[1] == Seen(opened=1, again=1)


@pytest.mark.parametrize(
    ("action", "more", "said"),
    [
        ("burn", {}, "no action 'burn'; there are close, match, no, open, wait"),
        ("match", {}, "match is not for a break status that is open"),
        ("close", {"reason": " "}, "a reason and an actor"),
        ("close", {"actor": ""}, "a reason and an actor"),
        ("close", {"actor": "4111111111111111"}, "a whole card number"),
        ("close", {"second": "Li 4111 1111 1111 1111"}, "a whole card number"),
        ("close", {"key": "K2"}, "from 10000 fen on a second person is wanted; this is about 10000 fen"),
        ("close", {"key": "K2", "second": "li  NA"}, "a second person"),
        ("no", {}, "not today"),
    ],
)
def test_what_nobody_may_decide_is_refused_and_noted(
    house: House, action: str, more: dict[str, Any], said: str
) -> None:
    house.run(status(), status("K2", SECOND_FEN))
    with pytest.raises(DecisionRefused, match=said):
        house.decide(action, **more)
    assert house.one(more.get("key", "K1")).state == "open"
    decision = Decision(house.one().id, action, "why", "Li Na")
    house(lambda conn: book.note_refused(conn, house.clock, audit, decision, said))
    assert house(lambda conn: audit.verify(conn)).fault is None
    assert house.decide("wait", key="K2").state == "open"  # no money moves
    house.decide("close")
    with pytest.raises(DecisionRefused, match="is closed: close by Li Na"):
        house.decide("close")


def test_a_run_that_fails_says_why_and_can_go_on(house: House) -> None:
    def work(conn: Connection) -> list[Any]:
        run = book.want(conn, house.ids, house.clock, "a-b", DAY, "Li Na")
        rows = []
        for change in (
            lambda: book.begin(conn, house.clock, run),
            lambda: book.progress(conn, run, "totals-here", 20),
            lambda: book.fail(conn, house.clock, run, say("f1: cut short"), refused=True),
            lambda: book.begin(conn, house.clock, run),
            lambda: book.fail(conn, house.clock, run, say("away")),
        ):
            change()
            row = conn.execute(select(book.runs)).one()
            rows.append((row.state, row.step, row.percent, str(read(row.error))))
        return rows

    assert house(work) == [
        ("running", "", 0, ""),
        ("running", "totals-here", 20, ""),
        ("refused", "totals-here", 20, "f1: cut short"),
        ("running", "", 0, ""),
        ("failed", "", 0, "away"),
    ]


def test_an_amount_that_nobody_can_read_is_decided_by_two(house: House) -> None:
    house.run(Difference(Cls.MALFORMED, "K1", None, None, (), 2, say("there, line 2")))
    with pytest.raises(DecisionRefused, match="nobody can tell what amount"):
        house.decide("close")
    with pytest.raises(DecisionRefused, match="nobody can tell what amount"):
        house.decide("close", second="li na")
    assert house.decide("close", second="Wang").state == "closed"


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_a_key_is_found_without_going_through_all_breaks_there_ever_were(house: House, kind: str) -> None:
    """PostgreSQL has statistics, and chooses by them."""
    asked: list[str] = []

    def listen(statement: str) -> None:
        of_one = 'breaks."key" =' in statement or "breaks.run =" in statement
        if statement.startswith("SELECT") and "FROM breaks" in statement and of_one:
            asked.append(statement)

    def work(conn: Connection) -> list[str]:
        raw = conn.connection.driver_connection
        assert raw is not None
        raw.set_trace_callback(listen)
        run = book.want(conn, house.ids, house.clock, "a-b", DAY, "night")
        book.begin(conn, house.clock, run)
        book.see(conn, house.ids, house.clock, run, [status()])
        book.heal(conn, house.clock, run, Tally(()), {})
        raw.set_trace_callback(None)
        plans = (raw.execute(f"EXPLAIN QUERY PLAN {one}") for one in asked)
        return [str(row[-1]) for plan in plans for row in plan]

    plans = house(work)
    assert len(asked) == 3
    assert {plan for plan in plans if plan.startswith(("SEARCH", "SCAN"))} == {
        "SEARCH breaks USING INDEX one_open_break_of_a_key (pair=? AND key=?)",
        "SEARCH breaks USING INDEX breaks_of_key (key=? AND pair=?)",
        "SEARCH breaks USING INDEX breaks_of_run (run=? AND id>?)",
    }
