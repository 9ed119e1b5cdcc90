"""Arrows go where a person expects, and everywhere."""

from itertools import combinations

import pygame
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stb_app.kit import spatial
from stb_app.kit.chrome import TopBar
from stb_app.kit.items import Rect, Spot, intersect
from stb_app.kit.nodes import Column, Grid, Node, Row, Scroll, Target, Text
from stb_app.kit.stage import Layer, Picture, Stage
from tests.stb_app.kit import samples

DIRECTIONS: tuple[spatial.Direction, ...] = ("up", "down", "left", "right")


def spot(key: str, rect: Rect, enabled: bool = True, groups: tuple[str, ...] = ()) -> Spot:
    return Spot(key, key, "card", enabled, rect, 0, groups, None, ())


def reached(spots: list[Spot], start: str) -> dict[str, int]:
    """Presses from ``start`` to every target that arrows can reach from it."""
    presses = {start: 0}
    queue = [start]
    while queue:
        key = queue.pop(0)
        for direction in DIRECTIONS:
            found = spatial.neighbour(spots, key, direction, {})
            if found is not None and found not in presses:
                presses[found] = presses[key] + 1
                queue.append(found)
    return presses


def assert_everything_is_reached(spots: list[Spot]) -> None:
    enabled = {spot.key for spot in spots if spot.enabled}
    for start in enabled:
        assert set(reached(spots, start)) == enabled, start


def laid_out(body: Node, size: tuple[int, int] = (1920, 1080)) -> list[Spot]:
    stage = Stage(pygame.Surface(size), motion=False)
    stage.show(Picture(TopBar(""), (Layer("page", body, None),)), 0.0)
    return [spot(t.key, t.rect, t.enabled) for t in stage.targets()]


def walked(body: Node) -> set[str]:
    """What the arrows reach on a page whose viewports follow the focus, from its first enabled target."""
    stage = Stage(pygame.Surface((480, 270)), motion=False)
    stage.show(Picture(TopBar(""), (Layer("page", body, None),)), 0.0)
    first = next(t.key for t in stage.targets() if t.enabled)
    seen, queue = {first}, [first]
    while queue:
        key = queue.pop()
        for direction in DIRECTIONS:
            stage.show(Picture(TopBar(""), (Layer("page", body, key),)), 0.0)
            found = stage.neighbour(direction)
            if found is not None and found not in seen:
                seen.add(found)
                queue.append(found)
    return seen


def cells(prefix: str, enabled: list[bool]) -> tuple[Target, ...]:
    return tuple(
        Target(f"{prefix}{i}", Text(f"{prefix}{i}"), "card", able, min_height=200)
        for i, able in enumerate(enabled)
    )


@settings(max_examples=40)
@given(*[st.lists(st.booleans(), max_size=9)] * 2, st.integers(1, 3), st.booleans())
def test_every_target_is_reached_through_viewports(
    left: list[bool], right: list[bool], columns: int, above: bool
) -> None:
    side = Scroll("left", Column(cells("l", left)))
    grid = Column((Scroll("right", Grid(cells("r", right), columns)), Target("order", Text("Order"))))
    body = Row((side, Column((Target("above", Text("Above"), enabled=above), grid), grow=2)), align="stretch")
    wanted = {f"l{i}" for i, able in enumerate(left) if able} | {
        f"r{i}" for i, able in enumerate(right) if able
    }
    assert walked(body) >= wanted | {"order"} | ({"above"} if above else set())


def test_down_goes_through_a_viewport_before_it_leaves_it() -> None:
    spots = [
        Spot("first", "", "row", True, (0, 0, 100, 40), 0, (), "list", (), (0, 0, 100, 50)),
        Spot("second", "", "row", True, (0, 60, 100, 40), 0, (), "list", (), (0, 0, 100, 50)),
        spot("order", (0, 55, 100, 20)),
    ]
    assert spatial.neighbour(spots, "first", "down", {}) == "second"
    assert spatial.neighbour(spots, "order", "up", {}) == "first"


def numbered(shape: object, counter: list[int], enabled: list[bool]) -> Node:
    """A tree of rows, columns and grids whose leaves are targets."""
    if isinstance(shape, int):
        counter[0] += 1
        able = counter[0] == 1 or enabled[counter[0] % len(enabled)]
        return Target(str(counter[0]), Text("x" * shape, wrap=False), "card", able, min_height=64)
    kind, children = shape  # type: ignore[misc]
    nodes = tuple(numbered(child, counter, enabled) for child in children)
    if kind == "row":
        return Row(nodes)
    if kind == "column":
        return Column(nodes, align="start")
    return Grid(nodes, 2)


SHAPES = st.recursive(
    st.integers(1, 12),
    lambda inner: st.tuples(
        st.sampled_from(["row", "column", "grid"]), st.lists(inner, min_size=1, max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=60)
@given(SHAPES, st.lists(st.booleans(), min_size=3, max_size=7))
def test_every_enabled_target_is_reached_from_every_other(shape: object, enabled: list[bool]) -> None:
    spots = laid_out(numbered(shape, [0], enabled), (480, 270))
    # A row too wide for its page has pushed targets upon each other, which no page may have.
    assume(not any(intersect(one.rect, other.rect) for one, other in combinations(spots, 2)))
    assert_everything_is_reached(spots)


@pytest.mark.parametrize("text_scale", [1.0, 1.5])
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", [*samples.NAMES, "records"])
def test_the_sample_pages_are_reached_wholly(name: str, language: str, text_scale: float) -> None:
    stage = Stage(pygame.Surface((1280, 720)), text_scale=text_scale, motion=False)
    stage.show(samples.picture(name, language), 0.0)
    assert_everything_is_reached([spot(t.key, t.rect, t.enabled) for t in stage.targets()])


@pytest.mark.parametrize("name", samples.NAMES)
def test_six_presses_from_edge_to_edge(name: str) -> None:
    stage = Stage(pygame.Surface((1280, 720)), motion=False)
    stage.show(samples.picture(name), 0.0)
    spots = [spot(t.key, t.rect, t.enabled) for t in stage.targets()]
    for start in (s.key for s in spots if s.enabled):
        assert max(reached(spots, start).values()) <= 6


GRID = [
    spot("hero", (0, 0, 600, 400)),
    spot("a", (640, 0, 300, 90)),
    spot("b", (640, 110, 300, 90)),
    spot("c", (640, 220, 300, 90)),
    spot("below-left", (0, 430, 200, 100)),
    spot("below-right", (740, 430, 200, 100)),
]


@pytest.mark.parametrize(
    ("start", "direction", "there"),
    [
        ("a", "down", "b"),
        ("b", "down", "c"),
        ("c", "down", "below-right"),
        ("b", "left", "hero"),
        ("hero", "down", "below-left"),
        ("below-left", "right", "below-right"),
        ("below-right", "up", "c"),
        ("a", "up", None),
        ("a", "right", None),
    ],
)
def test_arrows_prefer_what_lies_straight_ahead(
    start: str, direction: spatial.Direction, there: str | None
) -> None:
    assert spatial.neighbour(GRID, start, direction, {}) == there


def test_what_cannot_be_pressed_is_passed_over() -> None:
    spots = [
        spot("a", (0, 0, 90, 90)),
        spot("off", (100, 0, 90, 90), enabled=False),
        spot("b", (200, 0, 90, 90)),
    ]
    assert spatial.neighbour(spots, "a", "right", {}) == "b"


def test_a_group_is_entered_where_it_was_left() -> None:
    spots = [
        spot("left", (0, 0, 90, 300)),
        spot("one", (200, 0, 90, 90), groups=("side",)),
        spot("two", (200, 100, 90, 90), groups=("side",)),
        spot("three", (200, 200, 90, 90), groups=("side",)),
    ]
    assert spatial.neighbour(spots, "left", "right", {"side": "three"}) == "three"
    assert spatial.neighbour(spots, "one", "down", {"side": "three"}) == "two"


def test_a_group_with_a_place_beside_is_entered_there_from_the_side_and_at_the_nearest_from_below() -> None:
    spots = [
        spot("left", (0, 200, 90, 90)),
        spot("one", (200, 0, 90, 90), groups=("side",)),
        spot("two", (200, 200, 90, 90), groups=("side",)),
        spot("below", (200, 400, 90, 90)),
    ]
    beside = {"side": "one"}
    assert spatial.neighbour(spots, "left", "right", {"side": "two"}, beside) == "one"
    assert spatial.neighbour(spots, "below", "up", {"side": "one"}, beside) == "two"
