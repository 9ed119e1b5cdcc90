"""Words on the panels with a light in them: they stand out wherever on the panel they are."""

from __future__ import annotations

import pytest

from stb_app.kit import shapes, theme
from stb_app.kit.items import Gradient, Rect, Run, inside, visible
from tests.screens import scenes, scenes_payment
from tests.screens.scenes import Scene

NAMES = (
    "home",
    "home-connecting",
    "home-offline",
    "home-newcomer",
    "fee",
    "fee-reduced",
    "fee-run-out",
    "card-inquiry-read",
    "card-inquiry-read-refused",
    "card-inquiry-read-unasked",
)
HEROES = [scene for scene in (*scenes.SCENES, *scenes_payment.SCENES) if scene.name in NAMES]


def worst_below(run: Rect, hero: Rect, what: Gradient, color: theme.RGB) -> float:
    """The least contrast of a colour with what lies behind the rectangle of its letters."""
    ground = shapes.gradient(hero[2], hero[3], what.colors, what.light)
    columns = range(run[0], run[0] + run[2], 8)
    lines = range(run[1], run[1] + run[3], 8)
    seen = {tuple(ground.get_at((x - hero[0], y - hero[1])))[:3] for x in columns for y in lines}
    return min(theme.contrast(color, behind) for behind in seen)  # type: ignore[arg-type]


@pytest.mark.parametrize("text_scale", [100, 150])
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("scene", HEROES, ids=lambda scene: scene.name)
def test_every_word_on_a_lit_panel_can_be_read(scene: Scene, language: str, text_scale: int) -> None:
    television = scene.play(language, text_scale, (1280, 720))
    try:
        items = television.app.stage._laid.items  # type: ignore[attr-defined]
        heroes = [
            (item, visible(item), item.what)
            for item in items
            if isinstance(item.what, Gradient) and item.what.light
        ]
        assert heroes
        read = 0
        for hero, seen, what in heroes:
            rect = hero.rect
            for item in items:
                if seen is not None and isinstance(item.what, Run) and inside(item.rect, seen):
                    read += 1
                    contrast = worst_below(item.rect, rect, what, item.what.color)
                    assert contrast >= 4.5, (item.what.text, round(contrast, 2))
        assert read
    finally:
        television.close()
