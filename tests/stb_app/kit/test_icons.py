"""The drawings are there, within their square, and equally heavy."""

import math
from itertools import pairwise

import pygame
import pytest

from stb_app.kit import icons

NAMES = [
    "tv",
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
    "card",
    "qr",
    "wallet",
    "records",
    "settings",
    "info",
    "language",
    "text-size",
    "sound",
    "motion",
    "frame",
    "check",
    "cross",
    "clock",
    "question",
    "warning",
    "arrow-right",
    "arrow-left",
    "arrow-up",
    "arrow-down",
    "back",
    "user",
    "phone",
    "lock",
    "receipt",
    "refresh",
    "star",
    "remote",
    "chip",
    "gift",
    "home",
    "bolt",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_a_drawing_that_stays_in_its_square(name: str) -> None:
    lines, dots, _ = icons.strokes(icons.ICONS[name])
    assert lines or dots
    half = icons.STROKE / 2
    for x, y in (point for line in lines for point in line):
        assert half <= x <= icons.GRID - half
        assert half <= y <= icons.GRID - half


def test_drawings_differ() -> None:
    pictures = {pygame.image.tobytes(icons.draw(name, 48, (255, 255, 255)), "RGBA") for name in NAMES}
    assert len(pictures) == len(NAMES)


def test_a_stroke_is_as_wide_everywhere() -> None:
    mask = icons.mask("arrow-right", 96)
    column = [mask.get_at((30, y)).a for y in range(96)]
    assert sum(column) / 255 == pytest.approx(icons.STROKE * 96 / icons.GRID, abs=0.6)


def test_curves_end_where_they_should() -> None:
    (line,), _, _ = icons.strokes("M 1 2 C 3 4 5 6 7 8")
    assert line[0] == (1, 2)
    assert line[-1] == pytest.approx((7, 8))
    assert all(math.dist(a, b) < 1 for a, b in pairwise(line))


def test_a_word_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="X"):
        icons.strokes("X 1 2")
