"""BOSS's rules: periods, fees, refusals."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.boss import rules, terms
from server_stub.foundation.clock import CHINA

NOW = datetime(2026, 6, 21, 10, 0, 0, tzinfo=CHINA)
PRICES = {"per-use": 500, "monthly": 1500, "quarterly": 4200}
GROUPS = {"a": "g", "b": "g", "c": None}


def product(
    name: str = "a", *, extendable: bool = True, withdrawn: bool = False, group: str | None = "g"
) -> rules.Product:
    return rules.Product(name, extendable, withdrawn, group, PRICES)


def held(name: str, days: int, *, term: str = "monthly", cancelled: bool = False) -> rules.Held:
    end = NOW + timedelta(days=days)
    return rules.Held(name, term, end - timedelta(days=20), end, 1500, cancelled)


@pytest.mark.parametrize(
    ("one", "term", "has", "arrears_fen", "refusal"),
    [
        (product(), "monthly", [], 0, None),
        (product(withdrawn=True), "monthly", [], 0, "service-withdrawn"),
        (product(), "yearly", [], 0, "term-not-sold"),
        (product(), "monthly", [], 1, "subscriber-in-arrears"),
        (product(), "monthly", [held("a", 3)], 0, None),
        (product(extendable=False), "monthly", [held("a", 3)], 0, "already-subscribed"),
        (product(extendable=False), "monthly", [held("a", -3)], 0, None),
        (product(extendable=False), "monthly", [held("a", 3, cancelled=True)], 0, None),
        (product(), "monthly", [held("b", 3)], 0, "order-clash"),
        (product(), "monthly", [held("b", 0)], 0, "order-clash"),
        (product(), "monthly", [held("b", -3)], 0, None),
        (product("c", group=None), "monthly", [held("b", 3)], 0, None),
    ],
)
def test_pre_check(
    one: rules.Product, term: str, has: list[rules.Held], arrears_fen: int, refusal: str | None
) -> None:
    assert rules.pre_check(one, term, has, arrears_fen, GROUPS, NOW) == refusal


def test_an_extension_follows_what_is_there_and_staying_on_is_cheaper() -> None:
    fee = rules.fee(product(), "quarterly", [held("a", 3), held("a", 40)], NOW)
    assert fee.valid_from == NOW + timedelta(days=40, seconds=1)
    assert (fee.reduction_fen, fee.amount_fen) == (210, 3990)
    assert fee.reduction_reason == rules.CONTINUING_REASON
    fresh = rules.fee(product(), "quarterly", [held("a", -1)], NOW)
    assert (fresh.valid_from, fresh.reduction_fen, fresh.reduction_reason) == (NOW, 0, None)
    assert rules.fee(product(), "monthly", [held("a", 3)], NOW).reduction_fen == 0


@pytest.mark.parametrize(
    ("one", "status"),
    [
        (held("a", 3), "active"),
        (held("a", 0), "active"),
        (held("a", 30), "upcoming"),
        (held("a", -1), "expired"),
        (held("a", -1, term="per-use"), "used"),
        (held("a", 3, cancelled=True), "cancelled"),
    ],
)
def test_status(one: rules.Held, status: str) -> None:
    assert rules.status_of(one, NOW) == status


@pytest.mark.parametrize(
    ("term", "now", "last"),
    [
        ("monthly", datetime(2026, 1, 31, 9, tzinfo=CHINA), "2026-02-28T23:59:59+08:00"),
        ("quarterly", datetime(2026, 11, 30, 0, tzinfo=CHINA), "2027-02-28T23:59:59+08:00"),
        ("yearly", datetime(2028, 2, 29, 23, 59, tzinfo=CHINA), "2029-02-28T23:59:59+08:00"),
        ("per-use", datetime(2026, 6, 21, 10, tzinfo=CHINA), "2026-06-22T09:59:59+08:00"),
    ],
)
def test_ends_of_terms(term: str, now: datetime, last: str) -> None:
    assert terms.period(term, now, None)[1].isoformat() == last


@pytest.mark.parametrize(
    ("held_until", "last"),
    [
        (date(2026, 11, 21), date(2026, 12, 21)),
        (date(2026, 11, 30), date(2026, 12, 31)),
        (date(2027, 2, 28), date(2027, 3, 31)),
        (date(2027, 1, 30), date(2027, 2, 28)),
    ],
)
def test_what_follows_has_whole_months_from_its_first_day(held_until: date, last: date) -> None:
    end = datetime(held_until.year, held_until.month, held_until.day, 23, 59, 59, tzinfo=CHINA)
    assert terms.period("monthly", NOW, end)[1].date() == last


@given(
    st.dates(date(2020, 1, 1), date(2060, 1, 1)), st.sampled_from(list(terms.MONTHS)), st.integers(0, 86_399)
)
def test_whole_months_are_never_shorter_than_the_calendar_s(day: date, term: str, second: int) -> None:
    now = datetime(day.year, day.month, day.day, tzinfo=CHINA) + timedelta(seconds=second)
    begin, end = terms.period(term, now, None)
    assert begin == now
    assert end.date() == terms.add_months(day, terms.MONTHS[term])
    follows, later = terms.period(term, now, end)
    assert follows == end + terms.SECOND
    assert later.date() >= terms.add_months(follows.date(), terms.MONTHS[term]) - timedelta(days=1)
    assert later.date() >= terms.add_months(end.date(), terms.MONTHS[term])
