"""Painting what changed gives the same picture as painting all, and nothing is painted when nothing changed."""

from dataclasses import replace
from itertools import pairwise

import pygame
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from stb_app.kit import focus as focusing
from stb_app.kit import heap
from stb_app.kit import stage as stage_module
from stb_app.kit.chrome import FootKey, TopBar
from stb_app.kit.diff import merged
from stb_app.kit.items import Rect, intersect
from stb_app.kit.nodes import CardSlot, Column, Full, PinCells, Qr, Ring, Row, Spinner, Target, Text
from stb_app.kit.stage import How, Layer, Picture, Stage
from tests.stb_app.kit import samples

SIZE = (640, 360)


def pixels(surface: pygame.Surface) -> bytes:
    return pygame.image.tobytes(surface, "RGB")


def fresh(
    picture: Picture, now: float, text_scale: float = 1.0, offsets: dict[str, dict[str, int]] | None = None
) -> bytes:
    """The picture as a stage paints it that never painted anything else."""
    surface = pygame.Surface(SIZE)
    stage = Stage(surface, motion=False, text_scale=text_scale)
    if offsets:
        stage._scene.offsets = {key: dict(value) for key, value in offsets.items()}
    stage.show(picture, now)
    stage.frame(now)
    return pixels(surface)


def moved(picture: Picture, key: str) -> Picture:
    return replace(picture, layers=(*picture.layers[:-1], replace(picture.layers[-1], focus=key)))


ACTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("show"),
            st.sampled_from([*samples.NAMES, "records"]),
            st.sampled_from(["zh", "en"]),
            st.booleans(),
            st.sampled_from(["same", "push", "pop", "dialog", "fade"]),
        ),
        st.tuples(st.just("move"), st.sampled_from(["up", "down", "left", "right"])),
        st.tuples(st.just("wait"), st.floats(0, 0.4)),
        st.tuples(st.just("clock"), st.sampled_from(["19:32", "19:33"])),
    ),
    min_size=1,
    max_size=10,
)


# Shrinking an example of pictures takes minutes and explains little.
@settings(max_examples=40, phases=[Phase.explicit, Phase.generate])
@given(ACTS)
def test_changes_painted_one_by_one_equal_a_fresh_picture(acts: list[tuple]) -> None:  # type: ignore[type-arg]
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    picture = samples.picture("home")
    now = 10.0
    stage.show(picture, now)
    for act in acts:
        if act[0] == "show":
            picture = samples.picture(act[1], act[2], dialog=act[3])
            stage.show(picture, now, act[4])
        elif act[0] == "move":
            key = stage.neighbour(act[1])
            if key is not None:
                picture = moved(picture, key)
                stage.show(picture, now)
        elif act[0] == "wait":
            now += act[1]
        else:
            picture = replace(picture, top=replace(picture.top, clock=act[1]))
            stage.show(picture, now)
        stage.frame(now)
    stage.settle()
    stage.frame(now)
    # A stage without motion shows what moves 0.4 s into its turn; so does this one then.
    whole = 12.0 * (int(now / 12) + 1) + 0.41
    stage.frame(whole)
    assert pixels(surface) == fresh(picture, whole, offsets=stage._scene.offsets)


@pytest.mark.parametrize("name", samples.NAMES)
def test_pictures_are_the_same_from_run_to_run(name: str) -> None:
    first = fresh(samples.picture(name), 3.0)
    stage_module.forget()
    assert fresh(samples.picture(name), 3.0) == first


@pytest.mark.parametrize("name", ["home", "service", "qr"])
def test_nothing_is_drawn_when_nothing_changed(name: str) -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    stage.show(samples.picture(name), 1.0)
    assert stage.frame(1.0)
    for step in range(60):
        stage.frame(1.0 + step / 60)
    stage.show(samples.picture(name), 3.0)
    assert stage.frame(3.0) == []
    assert stage.next_wake(3.0) is None


def test_only_what_changed_is_drawn() -> None:
    surface = pygame.Surface((1920, 1080))
    stage = Stage(surface, motion=False)
    picture = samples.picture("home")
    stage.show(picture, 0.0)
    stage.frame(0.0)
    stage.show(replace(picture, top=replace(picture.top, clock="19:33")), 1.0)
    (rect,) = stage.frame(1.0)
    assert rect.width * rect.height < 200 * 100
    assert rect.bottom < 150


def test_a_focus_that_moves_touches_the_two_targets_only() -> None:
    surface = pygame.Surface((1920, 1080))
    stage = Stage(surface, motion=False)
    picture = samples.picture("home")
    stage.show(picture, 0.0)
    stage.frame(0.0)
    stage.show(moved(picture, "kids"), 1.0)
    drawn = stage.frame(1.0)
    assert sum(rect.width * rect.height for rect in drawn) < 1920 * 1080 / 6


def test_the_focus_is_there_at_once_and_comes_to_rest_after_150_ms() -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    picture = samples.picture("home")
    stage.show(picture, 0.0)
    stage.frame(0.0)
    before = pixels(surface)
    stage.show(moved(picture, "sports"), 1.0)
    assert stage.frame(1.0)
    at_once = pixels(surface)
    assert at_once != before
    assert stage.next_wake(1.0) is not None
    stage.frame(1.151)
    settled = pixels(surface)
    assert settled != at_once
    assert settled == fresh(moved(picture, "sports"), 0.0)
    assert stage.frame(1.3) == []


@pytest.mark.parametrize("how", ["push", "pop", "fade", "dialog"])
def test_a_change_of_page_moves_and_ends(how: How) -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    stage.show(samples.picture("home"), 0.0)
    stage.frame(0.0)
    target = samples.picture("qr")
    stage.show(target, 1.0, how)
    seen = set()
    now = 1.0
    while now < 1.29:
        stage.frame(now)
        seen.add(pixels(surface))
        now += 1 / 60
    assert len(seen) > 6
    stage.frame(1.31)
    assert pixels(surface) == fresh(target, 0.0)
    stage.frame(1.4)
    assert stage.next_wake(1.5) is None


def test_a_key_during_a_change_of_page_counts() -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    stage.show(samples.picture("home"), 0.0)
    stage.frame(0.0)
    picture = samples.picture("service")
    stage.show(picture, 1.0, "push")
    stage.frame(1.05)
    key = stage.neighbour("down")
    assert key == "term:year"
    stage.show(moved(picture, key), 1.1)
    stage.frame(1.1)
    assert [t.key for t in stage.targets() if t.focused] == ["term:year"]
    stage.frame(1.3)
    assert pixels(surface) == fresh(moved(picture, key), 0.0)


def test_without_motion_everything_happens_at_once() -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface, motion=False)
    stage.show(samples.picture("home"), 0.0)
    stage.frame(0.0)
    stage.show(samples.picture("qr"), 1.0, "push")
    stage.frame(1.0)
    assert pixels(surface) == fresh(samples.picture("qr"), 0.0)
    while stage.next_wake(1.0) is not None:
        assert stage.frame(1.0) == []


def test_settling_ends_a_change_of_page() -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    stage.show(samples.picture("home"), 0.0)
    stage.frame(0.0)
    stage.show(samples.picture("result"), 1.0, "push")
    stage.settle()
    stage.frame(1.0)
    assert pixels(surface) == fresh(samples.picture("result"), 0.0)


def page(*children: object) -> Picture:
    return Picture(TopBar(""), (Layer("page", Column(children)),))  # type: ignore[arg-type]


def test_what_moves_for_ever_stays_in_its_rectangle_and_stands_still_with_the_clock() -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    stage.show(page(Spinner(64)), 0.0)
    stage.frame(0.0)
    first = pixels(surface)
    (rect,) = stage.frame(0.5)
    assert pixels(surface) != first
    assert rect.width <= 24
    assert rect.height <= 24
    assert stage.frame(0.5) == []
    wake = stage.next_wake(0.5)
    assert wake is not None
    assert 0 < wake <= 0.05


def test_a_notice_of_what_is_going_on_turns_and_another_one_stands_still() -> None:
    for tone, moves in (("busy", True), ("info", False)):
        stage = Stage(pygame.Surface(SIZE))
        stage.show(replace(page(), notice="One moment, please.", notice_tone=tone), 0.0)  # type: ignore[arg-type]
        stage.frame(0.0)
        assert bool(stage.frame(0.5)) == moves


@pytest.mark.parametrize("pose", ["insert", "remove", "wrong", "reading", "processing", "busy"])
def test_the_card_moves_in_the_poses_that_ask_for_it(pose: str) -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    stage.show(page(CardSlot(pose, "6217", "Card")), 0.0)  # type: ignore[arg-type]
    stage.frame(0.0)
    assert stage.frame(0.55)
    assert stage.next_wake(0.55) is not None


@pytest.mark.parametrize("pose", ["inside", "missing", "ok", "empty"])
def test_the_card_stands_still_in_the_others(pose: str) -> None:
    stage = Stage(pygame.Surface(SIZE))
    stage.show(page(CardSlot(pose)), 0.0)  # type: ignore[arg-type]
    stage.frame(0.0)
    assert stage.frame(0.55) == []


def test_every_pose_every_count_and_every_part_of_the_ring_looks_different() -> None:
    poses = [CardSlot(pose) for pose in ("insert", "inside", "remove", "wrong", "ok", "empty", "missing")]  # type: ignore[arg-type]
    cells = [PinCells(count) for count in range(7)]
    rings = [Ring(fraction) for fraction in (0.0, 0.1, 0.5, 0.9, 1.0)]
    for family in (poses, cells, rings):
        assert len({fresh(page(node), 0.0) for node in family}) == len(family)


def test_busy_means_no_focus() -> None:
    stage = Stage(pygame.Surface(SIZE), motion=False)
    layer = Layer("page", Column((Target("a", Text("a")),)), "a", busy=True)
    stage.show(Picture(TopBar(""), (layer,)), 0.0)
    assert [t.focused for t in stage.targets()] == [False]
    assert stage.neighbour("down") is None


def test_what_moves_lies_still_below_a_dialog() -> None:
    stage = Stage(pygame.Surface(SIZE))
    covered = page(Column((Spinner(64), CardSlot("insert"))))
    stage.show(
        replace(covered, layers=(*covered.layers, Layer("ask", Target("a", Text("a")), "a", modal=True))), 0.0
    )
    stage.frame(0.0)
    for step in range(1, 60):
        assert stage.frame(step / 30) == []


def test_targets_are_those_of_the_dialog_and_its_page_is_dimmed() -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface, motion=False)
    stage.show(samples.picture("card"), 0.0)
    stage.frame(0.0)
    before = surface.get_at((40, 20))
    stage.show(samples.picture("card", dialog=True), 0.0)
    stage.frame(0.0)
    assert [t.key for t in stage.targets()] == ["keep", "stop"]
    assert sum(surface.get_at((40, 20))[:3]) < sum(before[:3])
    assert "Cancel" not in [t.text for t in stage.texts() if t.layer == "card"]


def test_a_group_is_remembered_per_screen() -> None:
    stage = Stage(pygame.Surface(SIZE), motion=False)
    picture = samples.picture("service")
    for key in ("term:month", "term:year", "order"):
        stage.show(moved(picture, key), 0.0)
    assert stage.neighbour("up") == "term:year"


@pytest.mark.parametrize("change", ["size", "text", "margin"])
def test_settings_change_the_picture_at_once(change: str) -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface, motion=False)
    stage.show(samples.picture("service"), 0.0)
    stage.frame(0.0)
    before = pixels(surface)
    if change == "size":
        surface = pygame.Surface((960, 540))
        stage.resize(surface)
    elif change == "text":
        stage.set_text_scale(1.5)
    else:
        stage.set_margin(0.05)
    stage.frame(0.0)
    assert pixels(surface) != before
    if change == "text":
        assert pixels(surface) == fresh(samples.picture("service"), 0.0, 1.5)


@given(st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 30)] * 2), max_size=12))
def test_merged_rectangles_cover_the_same_and_do_not_overlap(rects: list[Rect]) -> None:
    found = merged(rects)
    for rect in rects:
        assert any(intersect(rect, area) == rect for area in found)
    for number, area in enumerate(found):
        assert all(intersect(area, other) is None for other in found[number + 1 :])


def test_two_equal_rows_one_below_the_other_are_different_places() -> None:
    stage = Stage(pygame.Surface(SIZE), motion=False)
    row = Row((Text("same", wrap=False),))
    stage.show(page(row, row, row), 0.0)
    tops = [t.rect[1] for t in stage.texts()]
    assert all(a < b for a, b in pairwise(tops))


@pytest.mark.parametrize("part", [CardSlot("insert"), Spinner(64)])
def test_what_moves_comes_in_with_its_page_and_leaves_no_trace(part: object) -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    stage.show(samples.picture("home"), 0.0)
    stage.frame(0.0)
    stage.show(page(part), 12.0, "push")
    for step in range(16):
        stage.frame(12.0 + step / 60)
    coming = pixels(surface)
    stage.frame(12.41)
    assert pixels(surface) == fresh(page(part), 0.41)
    stage.show(page(), 13.0)
    stage.frame(13.0)
    assert pixels(surface) == fresh(page(), 0.0)
    assert coming != pixels(surface)


def test_news_that_arrive_while_a_page_comes_in_leave_no_trace_of_it() -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    stage.show(samples.picture("home"), 0.0)
    stage.frame(0.0)
    stage.show(samples.picture("result"), 1.0, "push")
    for step in range(12):
        stage.frame(1.0 + step / 60)
    stage.show(samples.picture("home"), 1.2)
    for step in range(30):
        stage.frame(1.2 + step / 60)
    assert pixels(surface) == fresh(samples.picture("home"), 0.0)


def test_a_list_that_scrolls_is_drawn_as_if_it_had_always_stood_there() -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface, motion=False)
    picture = samples.picture("records")
    stage.show(picture, 0.0)
    stage.frame(0.0)
    seen = set()
    for direction in ("down",) * 12 + ("up",) * 12:
        key = stage.neighbour(direction)  # type: ignore[arg-type]
        if key is None:
            continue
        picture = moved(picture, key)
        stage.show(picture, 0.0)
        stage.frame(0.0)
        seen.update(target.scroll for target in stage.targets())
        assert pixels(surface) == fresh(picture, 0.0, offsets=stage._scene.offsets)
    assert len(seen) > 4


def test_the_focused_picture_of_a_target_is_made_once_wherever_it_scrolls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(pygame.Surface(SIZE), motion=False)
    picture = samples.picture("records")
    stage.show(picture, 0.0)
    for _ in range(60):
        stage.frame(0.0)
    made = []
    original = focusing.lift
    monkeypatch.setattr(focusing, "lift", lambda *given: made.append(1) or original(*given))
    for direction in ("down",) * 6 + ("up",) * 6:
        picture = moved(picture, stage.neighbour(direction) or "")  # type: ignore[arg-type]
        stage.show(picture, 0.0)
        stage.frame(0.0)
    assert made == []


def test_memory_is_given_back_once_when_a_change_of_page_has_come_to_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = []
    stage = Stage(pygame.Surface(SIZE))
    now = 0.0
    monkeypatch.setattr(heap, "give_back", lambda: times.append(now))

    def until_nothing_is_due() -> None:
        nonlocal now
        while stage.next_wake(now) is not None:
            stage.frame(now)
            now += 1 / 60

    picture = samples.picture("home")
    stage.show(picture, now)
    until_nothing_is_due()
    assert len(times) == 1
    stage.show(moved(picture, "kids"), now)
    until_nothing_is_due()
    assert len(times) == 1
    began = now
    stage.show(samples.picture("qr"), now, "push")
    until_nothing_is_due()
    assert len(times) == 2
    assert times[1] - began > 0.2


def full_page(*children: object, test: str | None = "TEST") -> Picture:
    body = Full(Row((Qr(samples.modules(), side=1080), Column(children))), 1152)  # type: ignore[arg-type]
    top = TopBar("Hall", ("Page",), test, "Somebody", "19:32")
    return Picture(top, (Layer("page", body),), (FootKey("OK", "Choose"),), "A notice")


def test_a_full_page_has_the_whole_canvas_but_for_the_test_mark_and_the_keys() -> None:
    stage = Stage(pygame.Surface(SIZE), motion=False)
    stage.show(full_page(Text("beside")), 0.0)
    assert [t.text for t in stage.texts()] == ["beside", "OK", "Choose", "TEST"]
    stage.show(full_page(Text("beside"), test=None), 0.0)
    assert [t.text for t in stage.texts()] == ["beside", "OK", "Choose"]
    assert all(t.rect[0] >= 1152 for t in stage.texts() if t.layer == "foot")


@pytest.mark.parametrize(("count", "module"), [(33, 8), (82, 4), (177, 1)])
def test_a_code_over_the_whole_height_has_the_largest_modules_that_fit(count: int, module: int) -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface, motion=False)
    picture = full_page()
    body = Full(Row((Qr(((True,) * count,) * count, side=1080), Column(()))), 1152)
    stage.show(replace(picture, layers=(Layer("page", body),)), 0.0)
    stage.frame(0.0)
    rows = [surface.get_at((SIZE[1] // 2, y))[:3] for y in range(SIZE[1])]
    assert rows.count((0, 0, 0)) == count * module
    assert rows.count((255, 255, 255)) == SIZE[1] - count * module
    assert min(rows.index((0, 0, 0)), rows[::-1].index((0, 0, 0))) >= 4 * module


@pytest.mark.parametrize("how", ["same", "push", "fade"])
def test_a_full_page_comes_and_goes_without_a_trace(how: How) -> None:
    surface = pygame.Surface(SIZE)
    stage = Stage(surface)
    stage.show(samples.picture("home"), 0.0)
    stage.frame(0.0)
    now = 1.0
    for picture in (full_page(Text("beside")), samples.picture("service")):
        stage.show(picture, now, how)
        for _ in range(40):
            stage.frame(now)
            now += 1 / 60
        assert pixels(surface) == fresh(picture, 0.0)


def test_a_page_that_is_returned_to_is_scrolled_as_it_was() -> None:
    stage = Stage(pygame.Surface(SIZE), motion=False)
    picture = samples.picture("records")
    stage.show(picture, 0.0)
    for _ in range(15):
        picture = moved(picture, stage.neighbour("down") or "")
        stage.show(picture, 0.0)
    for _ in range(3):
        picture = moved(picture, stage.neighbour("up") or "")
        stage.show(picture, 0.0)
    before = [(t.key, t.rect, t.scroll) for t in stage.targets()]
    assert before[0][2] > 0
    stage.show(samples.picture("service"), 1.0, "push")
    stage.show(picture, 2.0, "pop")
    assert [(t.key, t.rect, t.scroll) for t in stage.targets()] == before
