"""Pages stand as they should: nothing clipped, nothing upon another, at every size, scale and language."""

from dataclasses import replace
from itertools import combinations

import pygame
import pytest

from stb_app.kit import theme
from stb_app.kit.chrome import FootKey, TopBar
from stb_app.kit.items import Modules, Run, intersect
from stb_app.kit.nodes import (
    Column,
    Facts,
    Fit,
    Grid,
    Grow,
    Node,
    Panel,
    Qr,
    Row,
    Scroll,
    Space,
    Span,
    Target,
    Text,
)
from stb_app.kit.scene import Scene
from stb_app.kit.stage import Layer, Picture, PlacedTarget, PlacedText, Stage
from tests.stb_app.kit import samples

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}


def shown(body: Node, focus: str | None = None, text_scale: float = 1.0, modal: bool = False) -> Stage:
    stage = Stage(pygame.Surface((1920, 1080)), text_scale=text_scale, motion=False)
    stage.show(Picture(TopBar(""), (Layer("page", body, focus, modal=modal),)), 0.0)
    return stage


def target(stage: Stage, key: str) -> PlacedTarget:
    return next(t for t in stage.targets() if t.key == key)


def text(stage: Stage, words: str) -> PlacedText:
    return next(t for t in stage.texts() if t.text == words)


@pytest.mark.parametrize("text_scale", [1.0, 1.25, 1.5])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", [*samples.NAMES, "records", "dialog"])
def test_sample_pages_neither_clip_nor_overlap(
    name: str, language: str, size: str, text_scale: float
) -> None:
    dialog = name == "dialog"
    picture = samples.picture("card" if dialog else name, language, dialog=dialog)
    scene = Scene(SIZES[size], text_scale, 0.0)
    laid = scene.lay_out(picture)
    own = [words for words in laid.words if not words.hidden and (not dialog or words.layer != "card")]
    assert own
    assert [words.text for words in laid.words if words.clipped] == []
    for a, b in combinations(own, 2):
        both = intersect(a.rect, b.rect)
        # The line boxes of neighbours may touch; letters may not.
        assert both is None or min(both[2], both[3]) <= 2, (a.text, b.text)
    keys = [spot for spot in laid.spots if spot.clip is None]
    for one, other in combinations(keys, 2):
        assert intersect(one.rect, other.rect) is None, (one.key, other.key)


def test_a_row_gives_what_is_left_to_those_that_grow() -> None:
    row = Row(
        (Target("a", Text("a"), grow=1), Target("b", Text("b"), grow=3), Target("c", Text("c"), width=300)),
        gap=20,
    )
    stage = shown(Column((row,)))
    a, b, c = (target(stage, key).rect for key in "abc")
    assert c[2] == 300
    assert abs(b[2] - 3 * a[2]) <= 3
    assert a[2] + b[2] + c[2] + 40 == 1920 - 2 * 96


def test_a_column_pushes_to_its_ends() -> None:
    stage = shown(Column((Target("a", Text("a")), Space(grow=1), Target("b", Text("b")))))
    assert target(stage, "a").rect[1] == 156
    assert target(stage, "b").rect[1] + 84 == 936


def test_a_grid_has_equal_cells() -> None:
    stage = shown(Grid(tuple(Target(str(i), Text("x" * (1 + 9 * i))) for i in range(4)), 2, 24))
    assert len({t.rect[2] for t in stage.targets()}) == 1
    assert target(stage, "0").rect[1] == target(stage, "1").rect[1] < target(stage, "2").rect[1]


def test_texts_grow_with_the_text_scale_but_the_amount_less() -> None:
    body = Column((Text("body"), Text("9", "amount")), align="start")
    small, large = shown(body), shown(body, text_scale=1.5)
    assert text(large, "body").rect[2] / text(small, "body").rect[2] == pytest.approx(1.5, abs=0.04)
    assert text(large, "9").rect[2] / text(small, "9").rect[2] == pytest.approx(1.2, abs=0.04)


def test_a_text_that_must_not_wrap_and_does_not_fit_is_reported() -> None:
    stage = shown(Column((Panel(Text("long " * 30, wrap=False), width=400),)))
    assert [t.clipped for t in stage.texts()] == [True]


def test_a_page_that_is_too_high_is_reported() -> None:
    stage = shown(Column(tuple(Text(f"line {number}") for number in range(40))))
    assert not text(stage, "line 0").clipped
    assert text(stage, "line 39").clipped


def test_the_first_alternative_that_fits_is_taken() -> None:
    wide = Row((Text("W" * 28, wrap=False), Text("V" * 24, wrap=False)))
    body = Fit((wide, Column((Text("narrow"),))))
    assert [t.text for t in shown(body).texts()] == ["W" * 28, "V" * 24]
    assert [t.text for t in shown(body, text_scale=1.5).texts()] == ["narrow"]


def test_facts_stand_in_as_many_columns_as_fit() -> None:
    facts = Facts(tuple((f"label {i}", "value " * 2) for i in range(4)), columns=2)
    side = shown(Column((facts,)))
    assert text(side, "label 0").rect[1] == text(side, "label 1").rect[1]
    under = shown(Column((Panel(facts, width=700),)))
    assert text(under, "label 0").rect[1] < text(under, "label 1").rect[1]


def test_facts_at_the_end_end_together() -> None:
    stage = shown(Facts((("a", "1"), ("b", "22222")), values_end=True))
    ends = {t.rect[0] + t.rect[2] for t in stage.texts() if t.text in ("1", "22222")}
    assert ends == {1920 - 96}


def rows(count: int) -> Node:
    return Scroll("list", Column(tuple(Target(f"r{i}", Text(f"row {i}"), "row") for i in range(count))))


@pytest.mark.parametrize("key", ["r0", "r7", "r19", "r29"])
def test_a_viewport_shows_the_target_in_focus_whole(key: str) -> None:
    stage = shown(rows(30), key)
    rect = target(stage, key).rect
    assert rect[1] >= 156
    assert rect[1] + rect[3] <= 956


def test_a_viewport_stays_where_it_is_while_the_focus_stays_within() -> None:
    stage = shown(rows(30), "r15")
    before = target(stage, "r15").scroll
    assert before > 0
    stage.show(Picture(TopBar(""), (Layer("page", rows(30), "r13"),)), 0.0)
    assert target(stage, "r13").scroll == before


def test_what_a_viewport_hides_cannot_be_read() -> None:
    stage = shown(rows(30), "r0")
    words = [t.text for t in stage.texts()]
    assert "row 0" in words
    assert "row 29" not in words
    assert len(stage.targets()) == 30


def test_a_viewport_without_targets_is_one_and_scrolls_itself() -> None:
    body = Column(
        (Scroll("help", Column(tuple(Text(f"line {i}") for i in range(60)))), Target("close", Text("Close")))
    )
    stage = shown(body, "help")
    assert [t.key for t in stage.targets()] == ["help", "close"]
    presses = 0
    while stage.neighbour("down") == "help":
        presses += 1
        assert presses < 20
    assert presses > 1
    assert "line 59" in [t.text for t in stage.texts()]
    assert stage.neighbour("down") == "close"
    assert stage.neighbour("up") == "help"


def test_content_that_fits_needs_no_viewport() -> None:
    stage = shown(Column((Scroll("help", Text("short")), Target("close", Text("Close")))))
    assert [t.key for t in stage.targets()] == ["close"]


def test_spans_keep_their_order_and_wrap_together() -> None:
    body = Panel(
        Text((Span("有效至 "), Span("2026-12-01", "money", True), Span("，还有十天可以使用"))), width=500
    )
    (words,) = shown(Column((body,))).texts()
    assert words.text == "有效至 2026-12-01，还有十天可以使用"
    assert words.rect[3] > 60
    assert not words.clipped


@pytest.mark.parametrize(
    ("height", "wanted", "least"), [(720, 12, 6), (1080, 12, 8), (1080, 5, 8), (2160, 12, 16)]
)
def test_modules_are_whole_pixels_and_never_too_small(height: int, wanted: int, least: int) -> None:
    scene = Scene((height * 16 // 9, height), 1.0, 0.0)
    code = Qr(samples.modules(), wanted)
    laid = scene.lay_out(Picture(TopBar(""), (Layer("page", Column((code,), align="center")),)))
    (item,) = [item for item in laid.items if isinstance(item.what, Modules)]
    assert isinstance(item.what, Modules)
    assert item.what.module == max(wanted * height // 1080, least)
    assert item.rect[2] == item.rect[3] == item.what.module * (33 + 8)


def test_the_code_is_drawn_module_by_module_with_four_of_white_around() -> None:
    modules = samples.modules()
    surface = pygame.Surface((1920, 1080))
    stage = Stage(surface, motion=False)
    body = Column((Target("enlarge", Qr(modules, 12), "plain", text="QR"),), align="center", justify="center")
    stage.show(Picture(TopBar(""), (Layer("page", body, "enlarge"),)), 0.0)
    stage.frame(0.0)
    x, y, width, _ = target(stage, "enlarge").rect
    left = x + (width - 41 * 12) // 2
    top = y + (target(stage, "enlarge").rect[3] - 41 * 12) // 2
    for row in range(-4, 37):
        for column in range(-4, 37):
            inside = 0 <= row < 33 and 0 <= column < 33
            dark = inside and modules[row][column]
            place = (left + (column + 4) * 12, top + (row + 4) * 12)
            if row in (-4, -3, 35, 36) and column in (-4, -3, 35, 36):  # round corners
                continue
            for corner in ((0, 0), (11, 0), (0, 11), (11, 11)):
                color = surface.get_at((place[0] + corner[0], place[1] + corner[1]))[:3]
                assert color == ((0, 0, 0) if dark else (255, 255, 255))


def test_a_dialog_is_as_large_as_it_must_be_and_in_the_middle() -> None:
    stage = shown(Column((Text("Sure?"), Target("yes", Text("Yes")))), "yes", modal=True)
    x, _, width, _ = target(stage, "yes").rect
    assert abs((x + width / 2) - 960) <= 1
    assert width < 900


def test_the_top_bar_gives_up_crumbs_before_it_overflows() -> None:
    stage = Stage(pygame.Surface((1920, 1080)), text_scale=1.5, motion=False)
    crumbs = ("A rather long place", "Another rather long place", "The last")
    top = TopBar("Television services", crumbs, "TEST", "Ms Zhang 8531 2047", "19:32")
    stage.show(Picture(top, (Layer("page", Text("x")),)), 0.0)
    words = [t.text for t in stage.texts()]
    assert "19:32" in words
    assert "TEST" in words
    assert "The last" in words
    assert crumbs[0] not in words
    rects = [t.rect for t in stage.texts() if t.layer == "top"]
    assert all(intersect(a, b) is None for a, b in combinations(rects, 2))


def test_the_footer_leaves_out_what_does_not_fit() -> None:
    stage = Stage(pygame.Surface((1920, 1080)), text_scale=1.5, motion=False)
    foot = tuple(FootKey("OK", f"does something long {i}") for i in range(9))
    stage.show(Picture(TopBar(""), (Layer("page", Text("x")),), foot), 0.0)
    ends = [t.rect[0] + t.rect[2] for t in stage.texts() if t.layer == "foot"]
    assert 0 < len(ends) < 18
    assert max(ends) <= 1920 - 96


def test_a_notice_takes_its_room_from_the_page() -> None:
    body = Column((Space(grow=1), Target("last", Text("last"))))
    stage = Stage(pygame.Surface((1920, 1080)), motion=False)
    stage.show(
        Picture(TopBar(""), (Layer("page", body),), notice="No connection", notice_tone="warning"), 0.0
    )
    notice = text(stage, "No connection")
    assert target(stage, "last").rect[1] + target(stage, "last").rect[3] <= notice.rect[1]
    assert not notice.clipped


def test_a_page_that_cannot_be_so_low_scrolls_above_a_notice() -> None:
    body = Column(
        tuple(Target(f"t{number}", Text(str(number)), min_height=140) for number in range(5)), gap=20
    )
    stage = Stage(pygame.Surface((1920, 1080)), motion=False)
    for focus in ("t0", "t4"):
        stage.show(Picture(TopBar(""), (Layer("page", body, focus),), notice="A card\npayment"), 0.0)
        seen = target(stage, focus).rect
        assert seen[1] >= theme.BODY_TOP
        assert seen[1] + seen[3] < text(stage, "A card\npayment").rect[1]
    stage.show(Picture(TopBar(""), (Layer("page", body, "t4"),)), 0.0)
    assert target(stage, "t4").viewport is None, "without a notice there is room"


def test_a_viewport_cuts_through_no_letters() -> None:
    body = Column(tuple(Text(f"line {number}", "row") for number in range(60)), gap=20)
    stage = shown(Scroll("list", body))
    view = stage._laid.viewports[0].rect
    drawn = [i.rect for i in stage._laid.items if isinstance(i.what, Run) and i.what.text.startswith("line")]
    assert drawn
    slack = 0.19 * drawn[0][3]
    assert all(y + slack >= view[1] and y + height - slack <= view[1] + view[3] for _, y, _, height in drawn)
    assert len(drawn) < sum(1 for t in stage._laid.words if t.text.startswith("line") and not t.hidden)


@pytest.mark.parametrize("words", ["2026-11-20 08:05 · Demo wallet (scan)", "银联 IC 卡 · 演示钱包扫码"])
def test_no_line_ends_in_the_dot_between_two_things(words: str) -> None:
    for width in range(240, 700, 20):
        stage = shown(Row((Panel(Text(words), width=width),)))
        drawn = [i.what.text for i in stage._laid.items if isinstance(i.what, Run)]
        assert not [line for line in drawn if line.endswith("·")]


def test_a_frame_is_seen_from_across_the_room() -> None:
    stage = shown(Panel(Text("x"), "none", frame=True, grow=1))
    stage.frame(0.0)
    left, middle = theme.SAFE_X, (theme.BODY_TOP + theme.BODY_BOTTOM) // 2
    for x, thick in ((left, 4), (theme.CANVAS_W - theme.SAFE_X - 4, 4)):
        edge = [stage._surface.get_at((x + step, middle))[:3] for step in range(thick)]
        assert min(theme.contrast(ink, theme.GROUND_TOP) for ink in edge) >= 7
    corner = [stage._surface.get_at((left + step, theme.BODY_TOP + 20))[:3] for step in range(12)]
    assert min(theme.contrast(ink, theme.GROUND_TOP) for ink in corner) >= 7


def test_the_margin_keeps_everything_away_from_the_edge() -> None:
    stage = Stage(pygame.Surface((1920, 1080)), margin=0.1, motion=False)
    stage.show(samples.picture("home"), 0.0)
    inner = Scene((1920, 1080), 1.0, 0.1).lay_out(samples.picture("home"))
    assert min(item.rect[0] for item in inner.items) >= 192 + 76
    assert target(stage, "renew").rect[0] == pytest.approx(142, abs=2)


def test_rows_of_targets_are_equally_high() -> None:
    row = Row((Target("a", Text("short"), width=300), Target("b", Text("rather long words here"), width=300)))
    stage = shown(Column((row,)))
    assert target(stage, "a").rect[3] == target(stage, "b").rect[3] > 84


def test_grow_shares_by_weight() -> None:
    stage = shown(Row((Grow(Target("a", Text("a")), 2), Grow(Target("b", Text("b")), 1)), gap=0))
    assert target(stage, "a").rect[2] == pytest.approx(2 * target(stage, "b").rect[2], abs=2)


@pytest.mark.parametrize("count", [10, 11])
def test_rows_that_cannot_be_chosen_are_seen_from_the_last_that_can(count: int) -> None:
    rows = tuple(Target(f"r{i}", Text(f"row {i}"), "row", enabled=i < count) for i in range(12))
    for order in (rows, rows[::-1]):
        seen = shown(Scroll("list", Column(order)), f"r{count - 1}").texts()
        assert {f"row {count - 1}", "row 11"} <= {text.text for text in seen}


def test_a_text_of_so_many_lines_ends_in_an_ellipsis() -> None:
    long = "football and tennis " * 40
    whole, cut, short = (Text(long), Text(long, most_lines=2), Text("football", most_lines=2))
    stage = shown(Column((whole, cut, short)))
    heights = [t.rect[3] for t in stage.texts() if t.text.startswith("football")]
    assert heights[1] == 2 * heights[2] < heights[0]
    drawn = [i.what.text for i in stage._laid.items if isinstance(i.what, Run)]
    assert len([words for words in drawn if words.endswith("...")]) == 1


def test_a_short_text_leaves_no_word_alone_in_its_last_line() -> None:
    def drawn(words: str) -> list[str]:
        stage = shown(Row((Panel(Text(words), width=700),)))
        return [i.what.text for i in stage._laid.items if isinstance(i.what, Run) and i.what.text in words]

    for words in (
        "football and tennis and so much more of it all again",
        "如果一直连不上，可以取消，改日再支付。您也可以先离开。",
    ):
        found = drawn(words)
        assert len(found) == 2
        assert len(found[1]) * 2 > len(found[0])
        assert not found[0].endswith("支")


def test_the_reason_of_a_disabled_target_stays_readable() -> None:
    stage = shown(Target("t", Column((Text("name"), Text("why", color="warning"))), "card", enabled=False))
    colors = {i.what.text: i.what.color for i in stage._laid.items if isinstance(i.what, Run)}
    assert colors["why"] == theme.TEXT["secondary"] != colors["name"]


def test_the_mark_of_a_chosen_card_takes_no_room_from_its_words() -> None:
    card = Target("t", Text("words " * 100), "card", checked=True)
    chosen, other = shown(card), shown(replace(card, checked=None))
    assert [t.rect for t in chosen.texts()] == [t.rect for t in other.texts()]
