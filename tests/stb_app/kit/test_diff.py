"""Where two pages differ, and what is left of areas that are partly covered."""

from hypothesis import given
from hypothesis import strategies as st

from stb_app.kit.diff import differences
from stb_app.kit.items import Box, Item, Rect, intersect, without

RECTS = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 25)] * 2)
ITEMS = st.lists(
    st.builds(
        Item, RECTS, st.builds(Box, st.just((9, 9, 9, 255)), st.integers(0, 2)), st.one_of(st.none(), RECTS)
    ),
    max_size=6,
)


def cells(rects: list[Rect]) -> list[tuple[int, int]]:
    return [(x, y) for left, top, w, h in rects for x in range(left, left + w) for y in range(top, top + h)]


@given(st.lists(RECTS, min_size=1, max_size=1), st.lists(RECTS, max_size=6))
def test_what_is_left_is_what_no_cover_reaches_and_nothing_twice(
    areas: list[Rect], covers: list[Rect]
) -> None:
    left = cells(without(areas, covers))
    assert len(left) == len(set(left))
    assert set(left) == set(cells(areas)) - set(cells(covers))


def painted(items: list[Item]) -> dict[tuple[int, int], list[Item]]:
    """What lies on each pixel, in painting order."""
    found: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        seen = item.rect if item.clip is None else intersect(item.rect, item.clip)
        for cell in cells([seen] if seen else []):
            found.setdefault(cell, []).append(Item(item.rect, item.what))
    return found


@given(ITEMS, ITEMS, ITEMS, ITEMS, st.lists(RECTS, max_size=2))
def test_outside_the_differences_everything_lies_as_before(
    start: list[Item], old: list[Item], new: list[Item], end: list[Item], known: list[Rect]
) -> None:
    before, after = [*start, *old, *end], [*start, *new, *end]
    dirty = set(cells(differences(before, after, known)))
    was, is_ = painted(before), painted(after)
    assert all(was.get(cell) == is_.get(cell) for cell in {*was, *is_} - dirty)


def test_what_is_known_to_differ_is_not_looked_at_and_what_is_beside_it_is() -> None:
    def box(x: int, shade: int) -> Item:
        return Item((x, 0, 10, 10), Box((shade, 0, 0, 255), 0))

    known = (0, 0, 30, 10)
    assert differences([box(0, 1), box(50, 1)], [box(0, 2), box(50, 1)], [known]) == [known]
    assert (50, 0, 10, 10) in differences([box(0, 1), box(50, 1)], [box(0, 2), box(50, 2)], [known])
