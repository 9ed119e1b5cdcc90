"""The layout: how wide, how high, and where, in whole device pixels.

Two passes, as in CSS flexible boxes: every node can say its natural and its least width, and its height and least
height at a width; then parents hand out rectangles. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from stb_app.kit import theme
from stb_app.kit.items import Drawing, Item, Page, Rect
from stb_app.kit.nodes import Node
from stb_app.kit.theme import RGB

N = TypeVar("N", bound=Node)

DISABLED: RGB = (112, 122, 160)
"""Words and drawings of a target that cannot be pressed."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a node stands: what it must not leave, and how what is around it looks."""

    layer: str
    bounds: Rect
    backdrop: RGB | None = None
    disabled: bool = False
    groups: tuple[str, ...] = ()
    scroll: str | None = None


class Layouter:
    """Lays out one tree at one scale, as often as its focus moves; what it measured stays measured."""

    def __init__(self, scale: float, text_scale: float = 1.0) -> None:
        self.scale = scale
        self.text_scale = text_scale
        self._widths: dict[int, tuple[int, int]] = {}
        self._heights: dict[tuple[int, int], tuple[int, int]] = {}
        self.broken: dict[tuple[int, int], list[Any]] = {}
        """The lines of texts by identity and width."""
        self.placed: dict[object, Page] = {}
        """The contents of viewports at their upper ends."""
        self._made: dict[object, Node] = {}
        self.begin(None, {})

    def begin(self, focus: str | None, offsets: Mapping[str, int]) -> None:
        """Starts another page. ``focus`` is followed by viewports; ``offsets`` is where they stood, by key."""
        self.focus = focus
        self.offsets = dict(offsets)
        self.page = Page()

    # What parts of pages call

    def px(self, length: float) -> int:
        """A length of the canvas in device pixels."""
        return round(length * self.scale)

    def type_size(self, style: str) -> int:
        """A text style's size in device pixels."""
        kind = theme.TYPES[style]  # type: ignore[index]
        return max(1, round(kind.size * self.scale * min(self.text_scale, kind.most)))

    def leading(self, style: str) -> int:
        """A text style's line height in device pixels."""
        return round(self.type_size(style) * theme.TYPES[style].leading)  # type: ignore[index]

    def made(self, key: object, make: Callable[[], N]) -> N:
        """A node that is not part of the tree, made once for each key: measures are remembered by identity."""
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = make()
        return cast("N", found)

    def emit(self, rect: Rect, what: Drawing) -> None:
        """Adds a drawing to the page."""
        self.page.items.append(Item(rect, what))

    # Measures

    def natural(self, node: Node) -> int:
        """The width at which nothing needs to wrap."""
        return self.widths(node)[0]

    def least(self, node: Node) -> int:
        """The width below which something would be cut off."""
        return self.widths(node)[1]

    def widths(self, node: Node) -> tuple[int, int]:
        """Natural and least width."""
        found = self._widths.get(id(node))
        if found is None:
            found = self._widths[id(node)] = _MEASURES[type(node)][0](self, node)
        return found

    def height(self, node: Node, width: int) -> int:
        """The height that the node has at a width when nothing limits it."""
        return self.heights(node, width)[0]

    def least_height(self, node: Node, width: int) -> int:
        """The height down to which viewports and alternatives can shrink."""
        return self.heights(node, width)[1]

    def heights(self, node: Node, width: int) -> tuple[int, int]:
        """Height and least height at a width."""
        key = (id(node), width)
        found = self._heights.get(key)
        if found is None:
            found = self._heights[key] = _MEASURES[type(node)][1](self, node, width)
        return found

    def place(self, node: Node, rect: Rect, context: Context) -> None:
        """Puts a node into a rectangle."""
        _MEASURES[type(node)][2](self, node, rect, context)


def shrink(rect: Rect, across: int, down: int) -> Rect:
    """A rectangle made smaller on all sides."""
    return (rect[0] + across, rect[1] + down, max(0, rect[2] - 2 * across), max(0, rect[3] - 2 * down))


Width = Callable[[Layouter, Any], tuple[int, int]]
Height = Callable[[Layouter, Any, int], tuple[int, int]]
Place = Callable[[Layouter, Any, Rect, Context], None]
_MEASURES: dict[type, tuple[Width, Height, Place]] = {}


def register(kind: type, width: Width, height: Height, place: Place) -> None:
    """Says how a kind of node is measured (natural, least) and placed."""
    _MEASURES[kind] = (width, height, place)
