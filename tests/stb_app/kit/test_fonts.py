"""Letters are measured as they are drawn, figures do not jump, and caches keep to their limits."""

import pygame
import pytest

from stb_app.kit import fonts


@pytest.mark.parametrize("bold", [False, True])
@pytest.mark.parametrize("size", [24, 36, 104])
def test_figures_are_equally_wide(size: int, bold: bool) -> None:
    assert len({fonts.width(figure * 8, size, bold) for figure in "0123456789"}) == 1


@pytest.mark.parametrize("text", ["体育频道 · 包月", "Sports, one month", "¥15.00"])
def test_a_line_is_as_wide_as_it_is_measured(text: str) -> None:
    assert fonts.render(text, 36, True, (255, 255, 255)).get_width() == fonts.width(text, 36, True)


def test_the_same_line_is_rendered_once() -> None:
    assert fonts.render("支付", 32, False, (1, 2, 3)) is fonts.render("支付", 32, False, (1, 2, 3))


def test_chinese_stands_in_the_middle_of_its_line() -> None:
    line = 60
    picture = fonts.render("田", 40, False, (255, 255, 255))
    box = picture.get_bounding_rect(min_alpha=60)
    top = fonts.offset(40, False, line) + box.top
    below = line - (fonts.offset(40, False, line) + box.bottom)
    assert abs(top - below) <= 3


def test_a_cache_drops_the_least_lately_used_and_keeps_to_its_limit() -> None:
    cache = fonts.ByteCache(3 * 4 * 100)
    surfaces = [pygame.Surface((10, 10), 0, 32) for _ in range(4)]
    for number in range(3):
        cache.put(number, surfaces[number])
    cache.get(0)
    cache.put(3, surfaces[3])
    assert cache.size == 3 * 4 * 100
    assert cache.get(1) is None
    assert cache.get(0) is surfaces[0]


def test_what_is_larger_than_the_whole_cache_is_not_kept() -> None:
    cache = fonts.ByteCache(100)
    cache.put("large", pygame.Surface((10, 10), 0, 32))
    assert cache.get("large") is None
    assert cache.size == 0
