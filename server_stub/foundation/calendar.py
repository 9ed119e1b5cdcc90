"""Business days: when one ends, which one an instant belongs to, on which days partners work.

A day ends at its cut-off, in China's zone; what happens at that very instant belongs to the next one. A cut-off at
midnight makes a business day the calendar's; one at 23:00 gives the evening's last hour to the day that follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from server_stub.foundation.clock import CHINA

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ONE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The business calendar that two sides have agreed on.

    Args:
        cut_off: when a day ends; midnight is the end of the calendar's day.
        closed: days on which nothing is exchanged and nothing settled.
        weekly: days of the week of which the same is true, Monday is 0.
    """

    cut_off: time = time(0)
    closed: frozenset[date] = field(default_factory=frozenset)
    weekly: frozenset[int] = field(default_factory=frozenset)

    @classmethod
    def of(cls, cut_off: str, closed: str) -> Calendar:
        """From settings.

        Args:
            cut_off: HH:MM.
            closed: dates (2026-10-01) and days of the week (sat), with commas between.

        Raises:
            ValueError: the text says what is wrong.

        >>> Calendar.of("23:00", "sat, 2026-10-01").is_open(date(2026, 10, 3))
        False
        """
        words = [word.strip().lower() for word in closed.split(",") if word.strip()]
        weekly = frozenset(WEEKDAYS.index(word) for word in words if word in WEEKDAYS)
        if len(weekly) == len(WEEKDAYS):
            raise ValueError("every day of the week is closed")
        days = frozenset(date.fromisoformat(word) for word in words if word not in WEEKDAYS)
        hour, _, minute = cut_off.partition(":")
        if not (len(hour) == len(minute) == 2 and (hour + minute).isdecimal()):
            raise ValueError(f"{cut_off!r} is no time of day like 23:00")
        return cls(time(int(hour), int(minute)), days, weekly)

    def end_of(self, day: date) -> datetime:
        """The instant at which a day is over; it belongs to the next one.

        >>> Calendar().end_of(date(2026, 6, 21)).isoformat()
        '2026-06-22T00:00:00+08:00'
        """
        last = day + ONE if self.cut_off == time(0) else day
        return datetime.combine(last, self.cut_off, CHINA)

    def begin_of(self, day: date) -> datetime:
        """The first instant of a day."""
        return self.end_of(day - ONE)

    def day_of(self, at: datetime) -> date:
        """The day that an instant belongs to.

        >>> evening = datetime(2026, 6, 21, 23, 30, tzinfo=CHINA)
        >>> Calendar(time(23)).day_of(evening).isoformat(), Calendar().day_of(evening).isoformat()
        ('2026-06-22', '2026-06-21')
        """
        there = at.astimezone(CHINA)
        return there.date() if there < self.end_of(there.date()) else there.date() + ONE

    def last_over(self, now: datetime) -> date:
        """The last day that is over."""
        return self.day_of(now) - ONE

    def is_open(self, day: date) -> bool:
        """Whether partners work on it."""
        return day not in self.closed and day.weekday() not in self.weekly

    def settles_on(self, day: date) -> date:
        """When what a day has brought is settled: the first open day after it."""
        following = day + ONE
        while not self.is_open(following):
            following += ONE
        return following

    def resumes_after(self, day: date) -> datetime:
        """The instant from which partners work on what a day has brought: its end, or when the closed days after it are over.

        >>> Calendar(weekly=frozenset({5, 6})).resumes_after(date(2026, 6, 19)).isoformat()
        '2026-06-22T00:00:00+08:00'
        """
        return self.begin_of(self.settles_on(day))


def days(first: date, last: date) -> Iterator[date]:
    """All of them, both ends among them.

    >>> len(list(days(date(2026, 2, 27), date(2026, 3, 1))))
    3
    """
    while first <= last:
        yield first
        first += ONE


def compact(day: date) -> str:
    """As it stands in the name of a file.

    >>> compact(date(2026, 6, 21))
    '20260621'
    """
    return f"{day:%Y%m%d}"
