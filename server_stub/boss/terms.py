"""Terms, the periods they cover, and what a longer one saves."""

from __future__ import annotations

import calendar
from datetime import date, datetime, time, timedelta

from server_stub.foundation.clock import CHINA

TERMS = ("per-use", "monthly", "quarterly", "yearly")
"""In the order to show."""
MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
PER_USE = timedelta(hours=24)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def add_months(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day.

    >>> add_months(date(2026, 11, 30), 3)
    datetime.date(2027, 2, 28)
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def period(term: str, now: datetime, active_until: datetime | None) -> tuple[datetime, datetime]:
    """The first and last instant that a term bought now covers.

    Args:
        active_until: last instant of what the subscriber has now, which the new period follows; or None.

    Whole months end on a day's last second. A period that begins in the middle of a day has the rest of that
    day besides; one that begins with a day has the whole months from there, so that a month after 28 February ends on
    31 March: nobody gets less than a month.
    """
    start = now.replace(microsecond=0) if active_until is None else active_until + SECOND
    if term == "per-use":
        return start, start + PER_USE - SECOND
    anchor = (now if active_until is None else active_until).astimezone(CHINA).date()
    months, first = MONTHS[term], start.astimezone(CHINA)
    last = add_months(anchor, months)
    if first.time() == time.min:
        last = max(last, add_months(first.date(), months) - DAY)
    return start, datetime(last.year, last.month, last.day, 23, 59, 59, tzinfo=CHINA)


def saving_percent(term: str, price_fen: int, monthly_fen: int | None) -> int:
    """What a term saves against paying by the month, rounded down.

    >>> saving_percent("quarterly", 4200, 1500)
    6
    """
    if monthly_fen is None or term not in ("quarterly", "yearly"):
        return 0
    full_fen = monthly_fen * MONTHS[term]
    return max(0, (full_fen - price_fen) * 100 // full_fen)
