"""What a screen is made of: small frozen descriptions that say what is to be seen, never how it is drawn.

A screen composes a tree of these from its state; the stage lays it out, draws it, and on the next composition draws
only what is no longer equal. All lengths are in pixels of the 1920x1080 canvas. Texts are final words in the
subscriber's language. Every length that text decides follows the text scale, so no layout may assume one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Align = Literal["start", "center", "end", "stretch"]
Justify = Literal["start", "center", "end", "between"]
TextStyle = Literal[
    "amount",
    "due",
    "display",
    "title",
    "headline",
    "heading",
    "price",
    "row",
    "row-bold",
    "body",
    "body-bold",
    "small",
    "caption",
    "notice",
]
"""The type scale: amount 104 bold, due 88 bold, display 72 bold, title 60 bold, headline 48 bold, heading 44 bold, price 40 bold,
row 36, row-bold 36, body 32, body-bold 32, small 28, notice 28, caption 26; all times the text scale (notice grows at most to
125 %, amount, due, display and headline to 120 %)."""
Color = Literal["text", "secondary", "faint", "accent", "money", "good", "bad", "ink", "warning"]
Fill = Literal["panel", "raised", "hero", "none", "sunken", "bad-soft", "good-soft", "warning-soft"]
TargetStyle = Literal["button", "primary", "danger", "card", "row", "plain", "bare"]


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text within a Text that differs from it."""

    text: str
    color: Color | None = None
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Words. Wraps at the width it is given (between CJK characters, at spaces in Latin; no line starts with closing punctuation).

    ``most_lines``: what is longer ends in an ellipsis there; 0 is as many lines as it takes.
    In a disabled target words in the ``warning`` colour are its reason, and stay readable.
    """

    content: str | tuple[Span, ...]
    style: TextStyle = "body"
    color: Color = "text"
    align: Literal["start", "center", "end"] = "start"
    wrap: bool = True
    most_lines: int = 0


@dataclass(frozen=True, slots=True)
class Icon:
    """A line drawing of our own, ``size`` square. ``plate`` draws it in ink on a rounded coloured plate (home tiles)."""

    name: str
    size: int = 48
    color: Color = "text"
    plate: Literal["none", "teal", "blue", "amber", "violet", "green", "red"] = "none"


@dataclass(frozen=True, slots=True)
class Space:
    """Empty room. ``grow`` takes a share of what is left in its row or column."""

    size: int = 0
    grow: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """Children one below the other. ``grow``: this column's own share of what is left in its parent."""

    children: tuple[Node, ...]
    gap: int = 20
    align: Align = "stretch"
    justify: Justify = "start"
    width: int | None = None
    grow: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """Children side by side. A child with grow shares what is left; texts without wrap keep their width."""

    children: tuple[Node, ...]
    gap: int = 20
    align: Align = "center"
    justify: Justify = "start"
    height: int | None = None
    grow: int = 0


@dataclass(frozen=True, slots=True)
class Grow:
    """Gives its child a share of what is left in the row or column, from ``basis`` on."""

    child: Node
    share: int = 1


@dataclass(frozen=True, slots=True)
class Grid:
    """Children in equal columns; each row is as high as its highest child."""

    children: tuple[Node, ...]
    columns: int
    gap: int = 24


@dataclass(frozen=True, slots=True)
class Panel:
    """A rounded surface around a child. ``frame``: it has edges and corners that are seen from across the room."""

    child: Node
    fill: Fill = "panel"
    pad: int = 40
    radius: int = 24
    border: bool = False
    frame: bool = False
    width: int | None = None
    min_height: int = 0
    grow: int = 0


@dataclass(frozen=True, slots=True)
class Art:
    """A service's picture: a gradient of its own with its icon large and its name upon it; drawn by us from ``icon``."""

    icon: str
    title: str
    height: int = 300


@dataclass(frozen=True, slots=True)
class Target:
    """What can have the focus and be pressed. ``key`` is a stable word without language, unique on the screen.

    A button's, primary's or danger's child stands in its middle, and none is less than 240 wide; targets that are a row's only children are equally high.
    A target with a Qr in it is only framed when it has the focus; one that is ``bare`` not even that: its child shows where one is.

    ``text`` is what a tester reads in screen.json; None takes the words of the child.
    ``chosen``: what stands beside it is about it. It keeps an edge while the focus is elsewhere, and its viewport keeps it in sight.
    """

    key: str
    child: Node
    style: TargetStyle = "button"
    enabled: bool = True
    text: str | None = None
    min_height: int = 84
    width: int | None = None
    grow: int = 0
    checked: bool | None = None
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A named part of the focus path: the focus enters it at the target that had it last.

    ``beside``: a key that left and right enter it at instead, and leave it from; up and down then enter at the nearest.
    """

    key: str
    child: Node
    grow: int = 0
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class Scroll:
    """A viewport with its own height (what its parent leaves) that follows the focus; with a scroll bar when there is more.

    Up and down go through its targets before they leave it; from outside, what it shows can be entered.
    Without any target inside it is itself a target named ``key`` (when the content is higher than the viewport) and up/down scroll it.

    ``seen``: a node as high as what is to be seen at once where the room allows a choice (``Fit``); None: a few lines do.
    """

    key: str
    child: Node
    grow: int = 1
    seen: Node | None = None


@dataclass(frozen=True, slots=True)
class Divider:
    """A fine line."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Label and value in aligned columns; ``columns`` pairs side by side where the width allows, else fewer.

    ``style``: of the labels, and of values that are not a Text.
    ``most_lines``: where a value would take more beside its label, all stand below theirs; 0 is as many lines as it takes.
    """

    pairs: tuple[tuple[str, str | Text], ...]
    columns: int = 1
    gap: int = 16
    values_end: bool = False
    style: TextStyle = "body"
    most_lines: int = 0


@dataclass(frozen=True, slots=True)
class Pill:
    """A small rounded mark: a saving, a state."""

    text: str
    tone: Literal["money", "good", "bad", "neutral", "accent", "warning"] = "neutral"


@dataclass(frozen=True, slots=True)
class Badge:
    """A number or a letter on a disc that grows with the text scale."""

    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A small bar chart; ``values`` in any unit, labels below, figures above, the last one in the money colour."""

    values: tuple[int, ...]
    labels: tuple[str, ...]
    height: int = 120
    figures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """Where we are in a sequence: names, and the index of the present one (0-based); -1 before the first, all done when it equals the count; ``failed``: it went wrong there."""

    names: tuple[str, ...]
    current: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class PinCells:
    """Six (``length``) cells, ``filled`` of them with a bullet, the next one marked. It never knows a digit."""

    filled: int
    length: int = 6


@dataclass(frozen=True, slots=True)
class CardSlot:
    """The drawing of card and reader. ``pose``: what the person is to do, or what happens; of ``number`` its last four are shown.

    ``empty``: the reader alone; ``busy``: the same at work; ``missing``: a reader that is not there. ``percent`` of its full size.
    """

    pose: Literal[
        "insert", "inside", "reading", "processing", "remove", "wrong", "ok", "empty", "busy", "missing"
    ]
    number: str = ""
    title: str = ""
    percent: int = 100


@dataclass(frozen=True, slots=True)
class Qr:
    """A QR code: rows of modules (True is black), without quiet zone; four white modules around are drawn here.

    With ``side`` its white square is so many canvas pixels high and wide, without round corners, and its modules are as large as
    whole device pixels allow.
    """

    modules: tuple[tuple[bool, ...], ...]
    module_px: int = 12
    dimmed: bool = False
    side: int | None = None


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring that runs down; ``fraction`` 0.0 to 1.0 of it is left."""

    fraction: float
    size: int = 120


@dataclass(frozen=True, slots=True)
class Spinner:
    """Something is going on. Moves for ever, in its own rectangle only; stands still when the clock is frozen or motion is off."""

    size: int = 64


@dataclass(frozen=True, slots=True)
class Sign:
    """The result's sign that can be read from the kitchen; ``size`` at 100 %, it grows at most to 120 %."""

    kind: Literal[
        "success", "pending", "failed", "cancelled", "expired", "late", "question", "info", "warning"
    ]
    size: int = 180


@dataclass(frozen=True, slots=True)
class Full:
    """As the body of a page: it has the whole canvas, without top bar and notice; only the TEST mark stays, at the upper right, and
    the footer from ``foot`` on, in two lines."""

    child: Node
    foot: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The first of ``options`` that fits the room there is without clipping; the last one if none does.

    For a layout that stands side by side at 100 % and one below the other at 150 %.
    """

    options: tuple[Node, ...]


Node = (
    Text | Icon | Space | Column | Row | Grow | Grid | Panel | Art | Target | Group | Scroll | Divider | Facts | Pill | Badge | Bars
    | Steps | PinCells | CardSlot | Qr | Ring | Spinner | Sign | Fit | Full
)  # fmt: skip
