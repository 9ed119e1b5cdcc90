"""Every scene at every size: exactly one focus, nothing clipped, nothing over anything else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from stb_app.kit.nodes import Scroll, Target
from tests.screens.dummies import Television
from tests.screens.scenes import SCENES, Scene

LOOKS = [
    (language, text, size)
    for language in ("zh", "en")
    for text, size in (
        (100, (1920, 1080)),
        (125, (1920, 1080)),
        (150, (1920, 1080)),
        (100, (1280, 720)),
        (150, (1280, 720)),
    )
]


def overlaps(television: Television) -> list[tuple[str, str]]:
    """Pairs of texts of one layer that lie over each other by more than the room around letters."""
    texts = [t for t in television.app.stage.texts() if t.text.strip()]
    found = []
    for a, b in itertools.combinations(texts, 2):
        if a.layer != b.layer:
            continue
        across = min(a.rect[0] + a.rect[2], b.rect[0] + b.rect[2]) - max(a.rect[0], b.rect[0])
        down = min(a.rect[1] + a.rect[3], b.rect[1] + b.rect[3]) - max(a.rect[1], b.rect[1])
        if across > 4 and down > 8:
            found.append((a.text, b.text))
    return found


def in_viewports(node: object, inside: bool = False) -> Iterator[str]:
    """Keys of targets that stand in some viewport, which may hide them."""
    if isinstance(node, Target) and inside:
        yield node.key
    inside = inside or isinstance(node, Scroll)
    for part in (getattr(node, "child", None), *getattr(node, "children", ()), *getattr(node, "options", ())):
        if part is not None:
            yield from in_viewports(part, inside)


def misplaced(television: Television) -> list[str]:
    """Targets outside every viewport that lie over each other or leave the body of the page."""
    hidden = set(in_viewports(television.app.navigator.entries[-1].body))
    placed = [t for t in television.app.stage.targets() if t.key not in hidden]
    out = [t.key for t in placed if t.rect[1] < 150 or t.rect[1] + t.rect[3] > 937]
    out += [t.key for t in placed if t.rect[0] < 0 or t.rect[0] + t.rect[2] > 1920]
    for a, b in itertools.combinations(placed, 2):
        across = min(a.rect[0] + a.rect[2], b.rect[0] + b.rect[2]) - max(a.rect[0], b.rect[0])
        down = min(a.rect[1] + a.rect[3], b.rect[1] + b.rect[3]) - max(a.rect[1], b.rect[1])
        if across > 2 and down > 2:
            out.append(f"{a.key} over {b.key}")
    return out


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[1]}-{look[2][1]}p")
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_one_focus_and_room_for_every_word(scene: Scene, look: tuple[str, int, tuple[int, int]]) -> None:
    language, text_scale, size = look
    television = scene.play(language, text_scale, size)
    try:
        television.picture()  # what cannot be painted gives way to an apology
        assert television.screen == scene.screen
        snapshot = television.app.snapshot()
        focused = [t.key for t in television.app.stage.targets() if t.focused]
        if scene.focus is None:
            assert snapshot["busy"]
            assert focused == []
        else:
            assert focused == [scene.focus.format(language=language)]
            assert snapshot["focus"] == focused[0]
        keys = [t.key for t in television.app.stage.targets()]
        assert len(keys) == len(set(keys))
        assert all(key.isascii() for key in keys)
        clipped = [t.text for t in television.app.stage.texts() if t.clipped]
        assert clipped == []
        assert overlaps(television) == []
        assert misplaced(television) == []
    finally:
        television.close()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_target_can_be_reached_with_the_arrows(scene: Scene) -> None:
    television = scene.play("en", 150)
    try:
        if scene.focus is None or scene.name == "calibration":
            return
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
        assert seen >= set(television.targets())
    finally:
        television.close()
