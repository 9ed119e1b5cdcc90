"""Every page around a payment, in every state: one focus or busy, nothing cut off, nothing over anything else, words of its own."""

from __future__ import annotations

from itertools import combinations

import pytest

from stb_app.kit.items import Run
from stb_app.kit.nodes import Full
from tests.screens import data
from tests.screens.dummies import Television
from tests.screens.scenes_payment import CARD_SCENES, LOAD_SCENES, REASON_SCENES, SCENES, PaymentScene, ways
from tests.screens.test_all_pages import misplaced

VIEWPORTS = frozenset(("words", "log", "cards", "keys", "card"))
"""Targets that are scrolling areas and may hold others."""
Rect = tuple[int, int, int, int]


def _overlap(a: Rect, b: Rect) -> bool:
    return (
        min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]) > 1
        and min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]) > 4
    )


def _check(television: Television, scene: PaymentScene) -> None:
    app = television.app
    television.picture()  # what cannot be painted gives way to an apology
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
    # The bars and the page; under a dialog's veil the page may lie.
    seen_now = [text for text in app.stage.texts() if text.layer in (scene.screen, "foot", "top")]
    mark = next(text for text in seen_now if "TEST" in text.text)
    modal = app.navigator.top.modal
    for one, other in combinations(texts if modal else seen_now, 2):
        assert not _overlap(one.rect, other.rect), (one, other)
    assert not [text for text in texts if _overlap(text.rect, mark.rect)]
    if not isinstance(app.navigator.entries[-1].body, Full):
        assert misplaced(television) == []
    if scene.screen == "result":
        _check_result(television)
    targets = [target for target in app.stage.targets() if target.key not in VIEWPORTS]
    for a, b in combinations(targets, 2):
        # What lies behind the edge of a viewport may have something else there.
        assert a.viewport != b.viewport or not _overlap(a.rect, b.rect), (a, b)


def _check_result(television: Television) -> None:
    """Nothing is out of sight, and the time stands beside the order number."""
    assert "words" not in {target.key for target in television.app.stage.targets()}
    t = television.app.t
    rows = {text.text: text.rect for text in television.app.stage.texts()}
    number = next(rows[label] for label in (t("Order number"), t("Order not paid")) if label in rows)
    time = next(rows[label] for label in (t("Time"), t("Ordered at")) if label in rows)
    assert (time[1], time[0] > number[0] + number[2]) == (number[1], True)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_page_is_whole_in_every_text_size(scene: PaymentScene, language: str) -> None:
    television = scene.play(language, 100)
    _check(television, scene)
    television.app.change_settings(text_scale=150)
    television.show()
    _check(television, scene)
    television.close()


@pytest.mark.parametrize("scene", SCENES[::3], ids=lambda scene: scene.name)
def test_page_is_whole_at_720p_and_125_percent(scene: PaymentScene) -> None:
    television = scene.play("en", 125, (1280, 720))
    _check(television, scene)
    television.close()


WIDEST = (
    "result-success",
    "result-success-earlier",
    "result-success-card-in",
    "result-pending-opening",
    "result-pending-card-away-earlier",
    "result-pending-mac2",
)


@pytest.mark.parametrize("scene", [s for s in SCENES if s.name in WIDEST], ids=lambda scene: scene.name)
def test_a_result_is_whole_at_720p_in_the_largest_letters(scene: PaymentScene) -> None:
    television = scene.play("en", 150, (1280, 720))
    _check(television, scene)
    television.close()


@pytest.mark.parametrize("scene", REASON_SCENES, ids=lambda scene: scene.name)
def test_every_reason_fits_where_there_is_least_room(scene: PaymentScene) -> None:
    television = scene.play("en", 150)
    _check(television, scene)
    television.close()


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    "name", ["card-insert", "card-remove", "qr-large", "result-success", "result-pending"]
)
def test_the_amount_is_the_largest_where_letters_are_large(name: str, language: str) -> None:
    scene = next(scene for scene in SCENES if scene.name == name)
    television = scene.play(language, 150)
    runs = [item.what for item in television.app.stage._laid.items if isinstance(item.what, Run)]
    assert {run.text for run in runs if run.size == max(run.size for run in runs)} == {"¥15.00"}
    television.close()


def test_where_letters_are_large_a_success_keeps_what_belongs_together() -> None:
    scene = next(scene for scene in SCENES if scene.name == "result-success")
    television = scene.play("en", 150)
    lines = television.words().split("\n")
    assert f"{data.LONGEST.name['en']} · valid until 2026-12-21" in lines
    assert "The money was taken." in lines
    assert {"Balance before", "¥236.40", "Balance after", "¥221.40"} <= set(lines)
    television.close()


WITH_CHOICES = (
    "card-insert",
    "card-blocked",
    "card-question",
    "card-put-back-question",
    "qr-question",
    "result-success",
    "result-declined",
    "result-pending",
    "card-inquiry-read",
    "card-inquiry-waited",
    "card-load-cash-full",
    "card-load-failed",
    "help-card",
    "card-tray-inside",
)


@pytest.mark.parametrize("scene", [s for s in SCENES if s.name in WITH_CHOICES], ids=lambda scene: scene.name)
def test_every_way_on_can_be_reached_with_the_arrows(scene: PaymentScene) -> None:
    television = scene.play("en", 150)
    start = television.focus
    seen, queue = {start}, [start]
    while queue:
        key = queue.pop()
        assert key is not None
        for arrow in ("UP", "DOWN", "LEFT", "RIGHT"):
            television.app.focus(key)
            television.show()
            television.press(arrow)
            if television.focus not in seen:
                seen.add(television.focus)
                queue.append(television.focus)
    assert seen >= set(ways(television))
    television.close()


WITH_STEPS = tuple(scene for scene in (*CARD_SCENES, *LOAD_SCENES) if scene.screen in ("card", "card-load"))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("scene", WITH_STEPS, ids=lambda scene: scene.name)
def test_steps_and_title_are_whole_in_large_letters_on_a_small_picture(
    scene: PaymentScene, language: str
) -> None:
    television = scene.play(language, 150, (1280, 720))
    _check(television, scene)
    t = television.app.t
    last = t("Take out") if scene.screen == "card" else t("Load")
    lines = {text.text: text.rect for text in television.app.stage.texts() if text.layer == scene.screen}
    if t("Insert") in lines and last in lines:
        row = [lines[name] for name in (t("Insert"), last)]
        assert row[0][1] == row[1][1]
        assert max(rect[3] for rect in row) < 2 * min(rect[3] for rect in row), "each in one line"
    else:
        assert television.state.get("load"), "only an end has no steps"
    television.close()
