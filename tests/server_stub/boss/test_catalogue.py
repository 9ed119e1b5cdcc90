"""The demo data: complete, in both languages, within the characters the television's font has."""

from __future__ import annotations

import pytest

from server_stub.boss import demo, terms

ICONS = [
    "movies",
    "sports",
    "kids",
    "music",
    "news",
    "games",
    "learning",
    "life",
    "documentary",
    "drama",
    "opera",
    "health",
]
ENTRIES = demo.catalogue()


def test_twelve_services_each_with_its_own_icon() -> None:
    assert sorted(entry["icon"] for entry in ENTRIES) == sorted(ICONS)
    assert len({entry["service"] for entry in ENTRIES}) == 12


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["service"] for entry in ENTRIES])
def test_words_fit_the_screen_and_the_font(entry: dict[str, list[str]]) -> None:
    for name in ("name", "summary", "category", "introduction"):
        chinese, english = entry[name]
        chinese.encode("gb2312")
        assert english.isascii()
    assert len(entry["summary"][0]) <= 14
    assert len(entry["summary"][1]) <= 28
    assert 40 <= len(entry["introduction"][0]) <= 70


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["service"] for entry in ENTRIES])
def test_a_longer_term_costs_more_in_all_and_less_a_month(entry: dict[str, dict[str, int]]) -> None:
    prices = entry["prices"]
    assert set(prices) <= set(terms.TERMS)
    sold = [term for term in terms.TERMS if term in prices]
    assert [prices[term] for term in sold] == sorted(prices.values())
    monthly = [prices[term] / terms.MONTHS[term] for term in sold if term in terms.MONTHS]
    assert monthly == sorted(monthly, reverse=True)


def test_there_is_one_of_everything_that_can_be_refused() -> None:
    assert [entry["service"] for entry in ENTRIES if entry.get("withdrawn")] == ["life"]
    assert [entry["service"] for entry in ENTRIES if not entry.get("extendable", True)] == ["learning"]
    assert any(len(entry["prices"]) < len(terms.TERMS) for entry in ENTRIES)
    names = {entry["service"] for entry in ENTRIES}
    for person in demo.PEOPLE:
        "".join(person.name[0]).encode("gb2312")
        assert {past.service for past in person.history} <= names
