"""How money, dates and times are written on the television:
alike in both languages, exact, without floating point.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date as Date
from datetime import datetime

from stb_app.kit.clock import CHINA

MINUS = "\N{MINUS SIGN}"


def money(amount_fen: int) -> str:
    """An amount of integer fen in yuan.

    >>> money(123450), money(-5), money(0)
    ('¥1,234.50', '−¥0.05', '¥0.00')
    """
    yuan, fen = divmod(abs(amount_fen), 100)
    return f"{MINUS if amount_fen < 0 else ''}¥{yuan:,}.{fen:02d}"


def day(when: str | datetime | Date) -> str:
    """A calendar day in China: of an ISO 8601 text (instant or date), an aware datetime, or a date.

    >>> day("2026-12-20T23:59:59+08:00"), day("2026-12-20"), day("2026-12-20T23:59:59+00:00")
    ('2026-12-20', '2026-12-20', '2026-12-21')
    """
    if isinstance(when, str):
        if len(when) == len("2026-12-20"):
            return Date.fromisoformat(when).isoformat()
        when = instant(when)
    if isinstance(when, datetime):
        when = when.astimezone(CHINA).date()
    return when.isoformat()


def moment(when: str | datetime) -> str:
    """An instant in China's time, to the second, without its year.

    >>> moment("2026-11-21T19:33:08+08:00")
    '11-21 19:33:08'
    """
    return _aware(when).strftime("%m-%d %H:%M:%S")


def full_moment(when: str | datetime) -> str:
    """An instant in China's time with its year.

    >>> full_moment("2026-11-21T19:33:08+08:00")
    '2026-11-21 19:33:08'
    """
    return _aware(when).strftime("%Y-%m-%d %H:%M:%S")


def minutes(seconds: int) -> str:
    """A countdown.

    >>> minutes(179), minutes(5), minutes(-1)
    ('2:59', '0:05', '0:00')
    """
    left = max(0, seconds)
    return f"{left // 60}:{left % 60:02d}"


def instant(text: str) -> datetime:
    """Reads an ISO 8601 instant;
    one without an offset is China's time. Raises ValueError for anything else.
    """
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=CHINA)


def say(text: Mapping[str, str], language: str) -> str:
    """The words of a server's TEXT in ``language``, else in the other one; empty when there are none."""
    return text.get(language) or next((words for words in text.values() if words), "")


def _aware(when: str | datetime) -> datetime:
    return (instant(when) if isinstance(when, str) else when).astimezone(CHINA)
