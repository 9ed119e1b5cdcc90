"""What is drawn larger in focus keeps its shape."""

from __future__ import annotations

import pytest

from stb_app.kit import focus, fonts
from stb_app.kit.items import Item, Run

ROW = (600.0, 60.0)
"""The middle of a row."""
WORDS = ("A", "A longer line of a row", "6217 00** **** 2047", "体育频道包")


def line(x: int, words: str) -> Item:
    return Item(
        (x, 20, fonts.width(words, 30, False), fonts.tall(30, False)), Run(words, 30, False, (255, 255, 255))
    )


@pytest.mark.parametrize("by", [1.015, 1.03, 1.08])
def test_lines_below_each_other_keep_their_edge(by: float) -> None:
    left = [focus._scaled(line(90, words), ROW, by, None).rect for words in WORDS]
    assert max(rect[0] for rect in left) - min(rect[0] for rect in left) <= 1
    ends = [line(1100 - fonts.width(words, 30, False), words) for words in WORDS]
    right = [focus._scaled(item, ROW, by, None).rect for item in ends]
    assert max(x + w for x, _, w, _ in right) - min(x + w for x, _, w, _ in right) <= 1


def test_a_line_in_the_middle_stays_there() -> None:
    for words in WORDS:
        width = fonts.width(words, 30, False)
        x, _, w, _ = focus._scaled(line(600 - width // 2, words), ROW, 1.08, None).rect
        assert abs(x + w / 2 - 600) <= 1
