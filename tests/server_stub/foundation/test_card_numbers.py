"""Whole card numbers in what people type, however they write them; and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_stub.foundation.card_numbers import has_whole, hidden

CARD = "4111111111111111"


def checked(digits: str) -> str:
    """With the check digit that fits."""
    (last,) = [one for one in "0123456789" if has_whole(digits + one)]
    return digits + last


CARDS = st.from_regex(r"[1-9][0-9]{11,17}", fullmatch=True).map(checked)
BESIDE = st.text(st.characters(exclude_categories=["Nd"], exclude_characters=" -"), max_size=20)


def test_of_ten_last_digits_one_makes_a_card_number() -> None:
    assert [has_whole(CARD[:-1] + last) for last in "0123456789"].count(True) == 1


@given(
    CARDS,
    st.sampled_from(["", " ", "-", " - ", "\u3000", "\u2011"]),
    st.sampled_from([1, 2, 4, 5, 6]),
    BESIDE,
)
def test_however_it_is_grouped_it_is_found_and_does_not_stand_in_what_is_shown(
    card: str, gap: str, size: int, beside: str
) -> None:
    text = f"{beside}{gap.join(card[at : at + size] for at in range(0, len(card), size))}{beside}"
    assert has_whole(text)
    shown = hidden(text)
    assert not has_whole(shown)
    assert "".join(filter(str.isdecimal, shown)) == card[:6] + card[-4:]
    assert shown.startswith(beside)
    assert shown.endswith(f"{card[-4:]}{beside}")


@pytest.mark.parametrize(
    "text",
    [
        f"card {CARD} of 2026-06-21",
        "2026-06-21 4111 1111 1111 1111 14:00",
        "４１１１１１１１１１１１1111",
        f"卡号{CARD}，已问银行",
    ],
)
def test_it_is_found_beside_other_numbers_and_in_wide_digits(text: str) -> None:
    assert has_whole(text)
    assert not has_whole(hidden(text))


@pytest.mark.parametrize(
    "text",
    [
        "6222 02** **** *** 0035",
        "ends with 0035, 13912345678",
        "88310001-000042-000113 and 88310001-000042-000117",
        "01KVP7C0000000000000000000",
        "0000000000000000",
        "2026-06-21 10:00, ¥1,280.00",
        *(f"2026-06-21 2026-06-{day}" for day in range(10, 31)),
        "",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert not has_whole(text)


@given(st.text(st.sampled_from("0123456789 -a\uff11"), max_size=200))
def test_what_was_masked_is_whole_nowhere(text: str) -> None:
    assert not has_whole(hidden(text))
