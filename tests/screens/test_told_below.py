"""The longest notice below the pages: nothing lies over it or under it, and what a page is for stays in sight."""

from __future__ import annotations

import pytest

from stb_app.kit import theme
from tests.screens.dummies import Television
from tests.screens.scenes import SCENES, tell_longest
from tests.screens.scenes_payment import SCENES as PAYMENT_SCENES
from tests.screens.test_all_pages import LOOKS, overlaps

BY_NAME = {scene.name: scene for scene in (*SCENES, *PAYMENT_SCENES)}
PAGES = (
    "service", "service-some-terms", "service-no-terms", "service-refused-boss", "services", "services-refused",
    "fee", "fee-reduced", "payment-methods", "confirm", "records", "record", "record-unknown", "record-failed",
    "settings", "about", "calibration", "card-inquiry-read", "card-inquiry-waited", "load-record-loaded",
)  # fmt: skip
HARD = (("en", 150, (1920, 1080)), ("zh", 150, (1280, 720)))


def told(name: str, look: tuple[str, int, tuple[int, int]]) -> Television:
    tv = BY_NAME[name].play(*look)
    tell_longest(tv)
    return tv


def upper_edge(tv: Television) -> int:
    """Where the notice begins, canvas pixels: its words, and the room above them."""
    words = next(text for text in tv.app.stage.texts() if text.layer == "notice")
    assert "4C7F 1D55" in words.text
    return words.rect[1] - 12


def lower_edges(tv: Television) -> dict[str, float]:
    """Where every target ends if it is the one in focus: larger, and with its ring. In a viewport it ends with that."""
    grown = {}
    for target in tv.app.stage.targets():
        _, top, width, height = target.rect
        wide = width > theme.WIDE
        by = theme.FOCUS_SCALE_WIDE if wide else theme.FOCUS_SCALE
        if target.viewport is None:
            grown[target.key] = top + height * (1 + by) / 2 + theme.FOCUS_RING
    for view in tv.app.stage._laid.viewports:
        grown[view.key] = (view.rect[1] + view.rect[3]) / tv.app.stage._scene.scale
    return grown


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[1]}-{look[2][1]}p")
@pytest.mark.parametrize("name", ["home-told", "home-offline-told"])
def test_home_gives_way(name: str, look: tuple[str, int, tuple[int, int]]) -> None:
    tv = told(name, look)
    tiles = ("services", "records", "card-inquiry", "settings")
    for focus in (None, *tiles):
        if focus is not None:
            tv.app.focus(focus)
            tv.show()
        low = {key: edge for key, edge in lower_edges(tv).items() if edge > upper_edge(tv)}
        assert low == {}
        assert [t.text for t in tv.app.stage.texts() if t.clipped] == []
        assert overlaps(tv) == []
    tv.close()


@pytest.mark.parametrize("look", HARD)
def test_what_i_have_keeps_its_margin(look: tuple[str, int, tuple[int, int]]) -> None:
    tv = told("home-told", look)
    at = {target.key: target.rect for target in tv.app.stage.targets()}
    first = next(text for text in tv.app.stage.texts() if text.layer == "home")
    assert first.rect[0] >= at["services"][0] + 31
    assert at["renew"][0] + at["renew"][2] <= at["settings"][0] + at["settings"][2] - 31
    tv.close()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[1]}-{look[2][1]}p")
@pytest.mark.parametrize("name", ["home", "home-load-open", "home-told"])
def test_all_four_ways_on_stay_in_sight(name: str, look: tuple[str, int, tuple[int, int]]) -> None:
    tv = BY_NAME[name].play(*look)
    tiles = ("services", "records", "card-inquiry", "settings")
    shown = {t.key: t for t in tv.app.stage.targets() if t.key in tiles}
    low = min([t.rect[1] - 12 for t in tv.app.stage.texts() if t.layer == "notice"], default=937)
    views = [view.rect[1] + view.rect[3] for view in tv.app.stage._laid.viewports if view.key == "page"]
    low = min(low, *[edge / tv.app.stage._scene.scale for edge in views], 937)
    assert set(shown) == set(tiles)
    assert {key: t.rect for key, t in shown.items() if t.rect[1] + t.rect[3] > low} == {}
    tv.close()


@pytest.mark.parametrize("look", HARD, ids=lambda look: f"{look[0]}-{look[2][1]}p")
@pytest.mark.parametrize("name", PAGES)
def test_every_page_gives_way(name: str, look: tuple[str, int, tuple[int, int]]) -> None:
    tv = told(name, look)
    # Canvas pixels of the smaller picture are rounded ones.
    assert {key: edge for key, edge in lower_edges(tv).items() if edge > upper_edge(tv) - 24 + 2} == {}
    assert [t.text for t in tv.app.stage.texts() if t.clipped] == []
    assert overlaps(tv) == []
    tv.close()


@pytest.mark.parametrize("look", HARD, ids=lambda look: f"{look[0]}-{look[2][1]}p")
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("service", {"term:per-use", "term:monthly", "term:quarterly", "term:yearly", "order"}),
        ("payment-methods", {"card", "wallet:demo"}),
        ("fee", {"continue", "back"}),
        ("confirm", {"cancel", "confirm"}),
    ],
)
def test_what_can_be_chosen_is_seen_whole(
    name: str, keys: set[str], look: tuple[str, int, tuple[int, int]]
) -> None:
    tv = told(name, look)
    seen = {t.key for t in tv.app.stage.targets() if t.rect[1] + t.rect[3] <= upper_edge(tv)}
    assert seen >= keys
    views = {view.key: view for view in tv.app.stage._laid.viewports}
    assert all(views[key].extent <= views[key].rect[3] for key in ("terms", "ways") if key in views)
    tv.close()


@pytest.mark.parametrize("look", HARD, ids=lambda look: f"{look[0]}-{look[2][1]}p")
def test_whether_a_card_can_pay_is_seen(look: tuple[str, int, tuple[int, int]]) -> None:
    tv = told("card-inquiry-read", look)
    words = tv.words().split("\n")
    assert {tv.app.t("Can pay here"), tv.app.t("Valid until"), tv.app.t("Please take your card")} <= set(
        words
    )
    tv.close()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[1]}-{look[2][1]}p")
def test_the_number_of_the_order_is_not_torn(look: tuple[str, int, tuple[int, int]]) -> None:
    tv = told("home-told", look)
    lines = [item.what.text for item in tv.app.stage._laid.items if hasattr(item.what, "text")]
    whole = tv.app.t("Order {number}").format(number="4C7F 1D55")
    assert [line for line in lines if whole in line]
    assert not [line for line in lines if line.endswith("·")]
    tv.close()
