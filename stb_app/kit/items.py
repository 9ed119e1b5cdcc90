"""What a laid-out page consists of: drawings at device pixels, flat and in painting order, that can be compared.

Equal items paint equal pixels. That is what lets the stage paint only where two pages differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from stb_app.kit.nodes import TargetStyle
from stb_app.kit.theme import RGB, RGBA

Rect = tuple[int, int, int, int]
"""x, y, width, height in device pixels."""


@dataclass(frozen=True, slots=True)
class Run:
    """Letters of one look on one line."""

    text: str
    size: int
    bold: bool
    color: RGB


@dataclass(frozen=True, slots=True)
class Box:
    """A rounded rectangle of one colour, which may let the ground through, with or without a border inside it."""

    color: RGBA
    radius: int
    border: int = 0
    border_color: RGB = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Gradient:
    """A rounded rectangle with a gradient from the upper left to the lower right, with an optional soft light in it."""

    colors: tuple[RGB, ...]
    radius: int
    light: RGB | None = None
    border: int = 0
    border_color: RGB = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Shadow:
    """The soft shadow of a rounded rectangle; ``spread`` px lie around that rectangle within the item's own."""

    radius: int
    spread: int
    strength: int = 120


@dataclass(frozen=True, slots=True)
class Ink:
    """A line drawing; ``stroke`` in its grid of 24."""

    name: str
    color: RGB
    stroke: float = 1.9


@dataclass(frozen=True, slots=True)
class Modules:
    """The black modules of a QR code on white, ``module`` device pixels each, with four white ones around."""

    modules: tuple[tuple[bool, ...], ...]
    module: int
    radius: int
    dimmed: bool


@dataclass(frozen=True, slots=True)
class Arc:
    """A ring: its track, and ``steps`` of 720 of it in colour from the top clockwise."""

    steps: int
    color: RGB
    track: RGB
    thickness: int


@dataclass(frozen=True, slots=True)
class Halo:
    """A result's sign: two soft halos around a disc with a line drawing in ink."""

    icon: str
    color: RGB


@dataclass(frozen=True, slots=True)
class CardPicture:
    """Card and reader; the moving parts are Live items of their own. ``letters``: how much larger the number is."""

    pose: str
    number: str
    title: str
    letters: float = 1.0


@dataclass(frozen=True, slots=True)
class ArtPicture:
    """A service's picture without its name."""

    icon: str
    radius: int


@dataclass(frozen=True, slots=True)
class Live:
    """Something that moves for ever within its rectangle: ``what`` says how. ``still`` below a dialog."""

    what: Literal["spinner", "down", "up", "flow"]
    color: RGB
    still: bool = False


@dataclass(frozen=True, slots=True)
class Dim:
    """Darkness over everything below a dialog."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The edge of a viewport: what scrolls fades into ``color``, or into the ground where it is None."""

    color: RGB | None
    top: bool


Drawing = (
    Run | Box | Gradient | Shadow | Ink | Modules | Arc | Halo | CardPicture | ArtPicture | Live | Dim | Edge
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """A drawing at its place. ``clip`` is the viewport it must not leave."""

    rect: Rect
    what: Drawing
    clip: Rect | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A text as a reader meets it: its lines' common rectangle; ``clipped`` when it does not fit where it belongs."""

    text: str
    rect: Rect
    clipped: bool
    layer: str
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Spot:
    """A target at its place, with what is drawn within it: ``content`` counts from the target's upper left corner."""

    key: str
    text: str
    style: TargetStyle
    enabled: bool
    rect: Rect
    radius: int
    groups: tuple[str, ...]
    scroll: str | None
    content: tuple[Item, ...]
    clip: Rect | None = None
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Viewport:
    """A scroll's place: ``offset`` of ``extent`` pixels of content are above its upper edge.

    ``area`` is all that looks different when only the offset does.
    """

    key: str
    rect: Rect
    offset: int
    extent: int
    own_target: bool
    area: Rect


@dataclass(slots=True)
class Page:
    """A layout's result, in painting and reading order."""

    items: list[Item] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    viewports: list[Viewport] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)
    """By group, the key that left and right enter it at."""


def intersect(a: Rect, b: Rect) -> Rect | None:
    """The part that two rectangles share, None if they share nothing."""
    x, y = max(a[0], b[0]), max(a[1], b[1])
    right, bottom = min(a[0] + a[2], b[0] + b[2]), min(a[1] + a[3], b[1] + b[3])
    return (x, y, right - x, bottom - y) if right > x and bottom > y else None


def shifted(item: Item, across: int, down: int) -> Item:
    """The same drawing elsewhere, without a viewport."""
    x, y, w, h = item.rect
    return Item((x + across, y + down, w, h), item.what)


def without(areas: list[Rect], covers: Iterable[Rect]) -> list[Rect]:
    """What is left of the areas when the covers are taken out, in rectangles that do not overlap."""
    for cover in covers:
        left: list[Rect] = []
        for area in areas:
            gone = intersect(area, cover)
            if gone is None:
                left.append(area)
                continue
            x, y, w, h = area
            right, bottom, end, floor = gone[0] + gone[2], gone[1] + gone[3], x + w, y + h
            pieces = (
                (x, y, w, gone[1] - y),
                (x, gone[1], gone[0] - x, gone[3]),
                (right, gone[1], end - right, gone[3]),
                (x, bottom, w, floor - bottom),
            )
            left += [piece for piece in pieces if piece[2] > 0 and piece[3] > 0]
        areas = left
    return areas


def inside(inner: Rect, outer: Rect, slack: int = 0) -> bool:
    """Whether ``inner`` lies within ``outer``, give or take ``slack`` pixels."""
    return (
        inner[0] >= outer[0] - slack
        and inner[1] >= outer[1] - slack
        and inner[0] + inner[2] <= outer[0] + outer[2] + slack
        and inner[1] + inner[3] <= outer[1] + outer[3] + slack
    )


def visible(item: Item) -> Rect | None:
    """Where the item can leave pixels."""
    return item.rect if item.clip is None else intersect(item.rect, item.clip)
