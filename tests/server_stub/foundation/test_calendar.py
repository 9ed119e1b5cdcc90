"""Business days: cut-offs, closed days, settlement."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.foundation.calendar import Calendar, days
from server_stub.foundation.clock import CHINA

DAYS = st.dates(date(2020, 1, 2), date(2040, 1, 1))
CUT_OFFS = st.times().map(lambda at: at.replace(second=0, microsecond=0))


@given(CUT_OFFS, DAYS)
def test_each_instant_belongs_to_one_day(cut_off: time, day: date) -> None:
    calendar = Calendar(cut_off)
    begin, end = calendar.begin_of(day), calendar.end_of(day)
    assert end - begin == timedelta(days=1)
    assert calendar.day_of(begin) == calendar.day_of(end - timedelta(microseconds=1)) == day
    assert calendar.day_of(end) == day + timedelta(days=1)
    assert calendar.last_over(end) == day
    assert calendar.last_over(end - timedelta(microseconds=1)) == day - timedelta(days=1)


def test_days_are_chinas_whatever_zone_an_instant_is_told_in() -> None:
    evening = datetime(2026, 6, 21, 16, 30, tzinfo=UTC)  # half past midnight in China
    assert Calendar().day_of(evening) == date(2026, 6, 22)


@given(DAYS, st.sets(DAYS, max_size=3), st.sets(st.integers(0, 6), max_size=6))
def test_a_day_settles_on_the_first_open_day_after_it(day: date, closed: set[date], weekly: set[int]) -> None:
    calendar = Calendar(time(0), frozenset(closed), frozenset(weekly))
    settled = calendar.settles_on(day)
    assert settled > day
    assert calendar.is_open(settled)
    assert not any(
        calendar.is_open(one) for one in days(day + timedelta(days=1), settled - timedelta(days=1))
    )


def test_a_friday_before_a_holiday_settles_after_it() -> None:
    calendar = Calendar.of("23:00", "sat,sun, 2026-10-05")
    assert calendar.settles_on(date(2026, 10, 2)) == date(2026, 10, 6)
    assert calendar.end_of(date(2026, 10, 2)) == datetime(2026, 10, 2, 23, tzinfo=CHINA)


@pytest.mark.parametrize(
    ("cut_off", "closed"),
    [("24:00", ""), ("7:00", ""), ("now", ""), ("00:00", "2026-02-30"), ("00:00", "friday"),
     ("00:00", "mon,tue,wed,thu,fri,sat,sun")],
)  # fmt: skip
def test_what_is_no_calendar_is_refused(cut_off: str, closed: str) -> None:
    with pytest.raises(ValueError):
        Calendar.of(cut_off, closed)
