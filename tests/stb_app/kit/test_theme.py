"""Text can be read and the focus cannot be missed: the contrast of what the theme puts on what."""

import pytest

from stb_app.kit import theme
from stb_app.kit.focus import colors
from stb_app.kit.items import Spot

GROUNDS = {
    "ground at its lightest": theme.mix(theme.GROUND_TOP, theme.LIGHT_BLUE, 0.7),
    "ground at its darkest": theme.GROUND_BOTTOM,
    "panel": theme.PANEL,
    "raised": theme.RAISED,
}


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("color", ["text", "secondary", "faint", "accent", "money", "good", "bad", "warning"])
def test_words_stand_out_from_what_they_stand_on(color: theme.Color, ground: str) -> None:
    assert theme.contrast(theme.TEXT[color], GROUNDS[ground]) >= 4.5


@pytest.mark.parametrize("fill", ["bad-soft", "good-soft", "warning-soft", "hero", "sunken"])
def test_words_stand_out_from_soft_fills(fill: theme.Fill) -> None:
    assert theme.contrast(theme.TEXT["text"], theme.FILLS[fill]) >= 4.5


@pytest.mark.parametrize("end", [*theme.HERO, theme.HERO_LIGHT])
def test_words_stand_out_from_the_whole_hero(end: theme.RGB) -> None:
    assert theme.contrast(theme.TEXT["text"], end) >= 3.0
    assert theme.contrast(theme.TEXT["money"], theme.mix(end, theme.HERO[0], 0.4)) >= 4.5


def spot(style: str) -> Spot:
    return Spot("key", "", style, True, (0, 0, 300, 84), 20, (), None, ())  # type: ignore[arg-type]


@pytest.mark.parametrize("style", ["button", "primary", "danger", "card", "row", "plain"])
def test_words_stand_out_from_a_focused_target(style: str) -> None:
    fill, ink = colors(spot(style))
    for end in fill:
        for color in (ink,) if ink else (theme.TEXT["text"], theme.TEXT["secondary"], theme.TEXT["money"]):
            assert theme.contrast(color, end) >= 4.5


@pytest.mark.parametrize("around", GROUNDS)
def test_the_focus_border_stands_out_from_everything_unfocused(around: str) -> None:
    assert theme.contrast(theme.WHITE, GROUNDS[around]) >= 3.0
    assert theme.contrast(theme.WHITE, theme.FILLS["hero"]) >= 3.0


def test_the_type_scale_keeps_to_its_least_size_and_the_amount_is_the_largest() -> None:
    assert min(kind.size for kind in theme.TYPES.values()) >= 24
    assert max(theme.TYPES.values(), key=lambda kind: kind.size) is theme.TYPES["amount"]


def test_contrast_of_black_on_white_and_of_equals() -> None:
    assert round(theme.contrast((0, 0, 0), (255, 255, 255)), 2) == 21.0
    assert theme.contrast((80, 90, 100), (80, 90, 100)) == 1.0
