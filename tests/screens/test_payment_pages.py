"""Every page around a payment, in every state: one focus or busy, nothing cut off, nothing over anything else, words of its own."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.screens.dummies import Television
from tests.screens.scenes_payment import REASON_SCENES, SCENES, PaymentScene

VIEWPORTS = frozenset(("facts", "words", "log", "cards", "keys", "card"))
"""Targets that are scrolling areas: what they hold may reach out of them unseen."""
Rect = tuple[int, int, int, int]


def _seen(rect: Rect, viewports: list[Rect]) -> Rect:
    """The part of a text that its scrolling area lets through."""
    x, y, width, height = rect
    for left, top, wide, high in viewports:
        if left <= x and x + width <= left + wide and top - height < y < top + high:
            first, last = max(y, top), min(y + height, top + high)
            return (x, first, width, last - first)
    return rect


def _overlap(a: Rect, b: Rect) -> bool:
    return (
        min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]) > 1
        and min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]) > 4
    )


def _check(television: Television, scene: PaymentScene) -> None:
    app = television.app
    assert television.screen == scene.screen
    seen = app.snapshot()
    focused = [target.key for target in app.stage.targets() if target.focused and target.enabled]
    if seen["busy"]:
        assert scene.focus is None
        assert focused == []
    else:
        assert focused == [scene.focus]
    texts = [text for text in app.stage.texts() if text.layer == scene.screen]
    assert texts
    assert [text.text for text in app.stage.texts() if text.clipped] == []
    viewports = [target.rect for target in app.stage.targets() if target.key in VIEWPORTS]
    for one, other in combinations(texts, 2):
        assert not _overlap(_seen(one.rect, viewports), _seen(other.rect, viewports)), (one, other)
    targets = [target for target in app.stage.targets() if target.key not in VIEWPORTS]
    for a, b in combinations(targets, 2):
        assert not _overlap(a.rect, b.rect), (a, b)


@pytest.mark.parametrize("text_scale", [100, 150])
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_page_is_whole(scene: PaymentScene, language: str, text_scale: int) -> None:
    television = scene.play(language, text_scale)
    _check(television, scene)
    television.close()


@pytest.mark.parametrize("scene", SCENES[::3], ids=lambda scene: scene.name)
def test_page_is_whole_at_720p_and_125_percent(scene: PaymentScene) -> None:
    television = scene.play("en", 125, (1280, 720))
    _check(television, scene)
    television.close()


@pytest.mark.parametrize("scene", REASON_SCENES, ids=lambda scene: scene.name)
def test_every_reason_fits_where_there_is_least_room(scene: PaymentScene) -> None:
    television = scene.play("en", 150)
    _check(television, scene)
    television.close()
