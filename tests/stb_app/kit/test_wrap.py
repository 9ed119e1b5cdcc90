"""Lines end where Chinese and Latin lines may end."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stb_app.kit import wrap

MIXED = st.text(st.sampled_from("打开手机钱包扫码支付 abcDEF019 ，。！？、：；（）《》“”¥.-%"), max_size=60)


def width(text: str) -> int:
    return sum(2 if wrap.is_cjk(char) else 1 for char in text)


def lines(text: str, limit: int, share: Callable[..., list[list[int]]] = wrap.fill) -> list[str]:
    parts = []
    for piece in wrap.pieces(text):
        cut = wrap.split_long(piece, limit, width) if width(piece.rstrip(" ")) > limit else [piece]
        parts += [(part, width(part.rstrip(" ")), width(part)) for part in cut]
    return ["".join(parts[i][0] for i in line) for line in share(parts, limit)]


@given(MIXED)
def test_pieces_lose_nothing(text: str) -> None:
    assert "".join(wrap.pieces(text)) == text


@given(MIXED, st.integers(4, 40))
def test_lines_lose_nothing_and_fit(text: str, limit: int) -> None:
    broken = lines(text, limit)
    assert "".join(broken) == text
    assert all(width(line.rstrip(" ")) <= limit for line in broken)


@given(MIXED)
def test_no_piece_begins_with_closing_or_ends_with_opening_punctuation(text: str) -> None:
    found = wrap.pieces(text)
    for before, after in pairwise(found):
        assert after[0] not in wrap.NO_START
        assert before.endswith(" ") or before[-1] not in wrap.NO_END


@given(st.lists(st.text(st.sampled_from("abcxyz"), min_size=1, max_size=8), min_size=1, max_size=9))
def test_latin_words_stay_whole_where_they_fit(words: list[str]) -> None:
    broken = lines(" ".join(words), 8)
    assert [word for line in broken for word in line.split()] == words


def test_a_comma_takes_its_character_with_it() -> None:
    assert lines("支付成功，谢谢", 8) == ["支付成", "功，谢谢"]


@pytest.mark.parametrize(
    "words",
    ["Order 4C7F 1D55", "订单 4C7F 1D55", "订单4C7F 1D55", "4C7F 1D55", "Order KDX1 05YQ", "11-21 18:02"],
)
def test_what_tells_a_payment_from_another_stays_together(words: str) -> None:
    assert words in [piece.strip(" ·") for piece in wrap.pieces(f"支付 · {words} · again")]


def test_an_opening_bracket_goes_with_what_follows() -> None:
    assert lines("请打开（手机）", 8) == ["请打开", "（手机）"]


def test_the_currency_sign_stays_with_its_amount() -> None:
    assert lines("应付¥15.00元", 8) == ["应付", "¥15.00元"]


def test_a_long_latin_word_breaks_only_because_it_must() -> None:
    assert lines("no ABCDEFGHIJKL", 6) == ["no ", "ABCDEF", "GHIJKL"]


@pytest.mark.parametrize(
    ("text", "limit", "found"),
    [
        ("支付成功，业务已开通", 16, ["支付成功，", "业务已开通"]),
        ("业务正在开通", 10, ["业务正在", "开通"]),
        ("还没有查清", 8, ["还没有", "查清"]),
        ("连不上支付平台", 12, ["连不上", "支付平台"]),
        ("同时订购", 6, ["同时", "订购"]),
        ("Paid. Your service is ready.", 22, ["Paid. Your ", "service is ready."]),
    ],
)
def test_titles_break_between_words_into_lines_alike(text: str, limit: int, found: list[str]) -> None:
    assert lines(text, limit, wrap.balance) == found


@given(MIXED, st.integers(4, 40))
def test_balanced_lines_lose_nothing_fit_and_are_as_few(text: str, limit: int) -> None:
    broken = lines(text, limit, wrap.balance)
    assert "".join(broken) == text
    assert all(width(line.rstrip(" ")) <= limit for line in broken)
    assert len(broken) == len(lines(text, limit))
