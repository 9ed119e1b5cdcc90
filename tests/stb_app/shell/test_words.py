"""Money and dates, exact in both languages."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from stb_app.shell import words


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_money_is_exact(amount_fen: int) -> None:
    shown = words.money(amount_fen)
    assert Decimal(shown.replace("¥", "").replace(",", "").replace("−", "-")) == Decimal(amount_fen) / 100


def test_money_has_thousands_and_two_places() -> None:
    assert [words.money(fen) for fen in (123450, 5, -1234567)] == ["¥1,234.50", "¥0.05", "−¥12,345.67"]


def test_instants_are_shown_in_chinas_time() -> None:
    utc = datetime(2026, 12, 31, 17, 0, 1, tzinfo=timezone.utc)  # noqa: UP017
    assert words.day(utc) == "2027-01-01"
    assert words.moment(utc) == "01-01 01:00:01"
    assert words.full_moment(utc) == "2027-01-01 01:00:01"
    assert words.day(date(2026, 12, 20)) == "2026-12-20"


def test_a_text_in_one_language_only_is_better_than_none() -> None:
    assert words.say({"zh": "体育", "en": "Sports"}, "en") == "Sports"
    assert words.say({"zh": "体育", "en": ""}, "en") == "体育"
    assert words.say({}, "en") == ""
