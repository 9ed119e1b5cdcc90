"""The records: what stands in them, that an open payment changes by itself, and one payment in full."""

from __future__ import annotations

from dataclasses import replace

from stb_app.journeys.steps import finished
from tests.screens import data
from tests.screens.dummies import DummyVerbs, Television

OPEN = data.RECORDS[1]
CLOSED = replace(OPEN, state="done", money="taken", version=4)


def test_a_record_says_when_what_how_much_and_what_became_of_it() -> None:
    words = Television(DummyVerbs(), "en").open("records").words()
    for part in (
        "Sports Pack · Monthly",
        "2026-11-21 19:33 · UnionPay IC card",
        "¥15.00",
        "Paid",
        "Being checked",
        "Time ran out",
    ):
        assert part in words


def test_open_payments_are_followed_to_their_end() -> None:
    verbs = DummyVerbs(follow=(finished(CLOSED),))
    tv = Television(verbs).open("records")
    assert ("follow", OPEN.payment) in verbs.asked
    states = {record["order"]: record["state"] for record in tv.state["records"]}
    assert states[OPEN.number] == "done"


def test_a_record_opens_in_full_and_back_finds_the_focus() -> None:
    tv = Television(DummyVerbs(), "en").open("records").ok(f"record:{data.RECORDS[2].payment}")
    assert tv.screen == "record"
    assert "4C7E 9B22" in tv.words()
    assert tv.press("BACK").focus == f"record:{data.RECORDS[2].payment}"


def test_a_card_payment_shows_card_and_balances() -> None:
    words = Television(DummyVerbs(), "en").open("record", payment=data.RECORDS[0]).words()
    for part in ("6217 00** **** 2047", "¥236.40", "¥221.40", "2026-12-20", "The money was taken."):
        assert part in words


def test_an_open_payment_in_full_changes_by_itself() -> None:
    tv = Television(DummyVerbs(follow=(finished(CLOSED),)), "en").open("record", payment=OPEN)
    assert tv.state["state"] == "done"
    assert "The money was taken." in tv.words()


def test_looking_again_asks_again() -> None:
    verbs = DummyVerbs(records=())
    tv = Television(verbs).open("records")
    assert tv.focus == "services"
    verbs.answers["records"] = data.RECORDS
    assert len(tv.ok("refresh").state["records"]) == len(data.RECORDS)


def test_an_empty_list_leads_to_the_services() -> None:
    assert Television(DummyVerbs(records=())).open("records").press("OK").screen == "services"
