"""The layout: how wide, how high, and where, in whole device pixels.

Two passes, as in CSS flexible boxes: every node can say its natural and its least width, and its height and least
height at a width; then parents hand out rectangles. Nothing here draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from stb_app.kit import fonts, theme
from stb_app.kit.items import (
    Box,
    Drawing,
    Edge,
    Gradient,
    Ink,
    Item,
    Page,
    Rect,
    Run,
    Spot,
    Viewport,
    Words,
    inside,
    intersect,
)
from stb_app.kit.nodes import (
    Column,
    Divider,
    Fit,
    Grid,
    Group,
    Grow,
    Node,
    Panel,
    Row,
    Scroll,
    Space,
    Span,
    Target,
    Text,
)
from stb_app.kit.theme import RGB

N = TypeVar("N", bound=Node)

_LEAST_VIEWPORT = 200
_BAR = 8
_BAR_ROOM = 32
_EDGE = 36
_BLEED = 28
_PADS = {
    "button": (36, 16),
    "primary": (36, 16),
    "danger": (36, 16),
    "card": (36, 26),
    "row": (32, 16),
    "plain": (20, 10),
}
_MARK, _MARK_GAP = 44, 24
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


@dataclass(slots=True)
class Line:
    """One line of a text: runs with their widths."""

    runs: list[tuple[str, bool, RGB, int]]
    width: int


class Layouter:
    """Lays out one tree at one scale, as often as its focus moves; what it measured stays measured."""

    def __init__(self, scale: float, text_scale: float = 1.0) -> None:
        self.scale = scale
        self.text_scale = text_scale
        self._widths: dict[int, tuple[int, int]] = {}
        self._heights: dict[tuple[int, int], tuple[int, int]] = {}
        self._lines: dict[tuple[int, int], list[Line]] = {}
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
        return self._width(node)[0]

    def least(self, node: Node) -> int:
        """The width below which something would be cut off."""
        return self._width(node)[1]

    def _width(self, node: Node) -> tuple[int, int]:
        found = self._widths.get(id(node))
        if found is None:
            found = self._widths[id(node)] = _MEASURES[type(node)][0](self, node)
        return found

    def height(self, node: Node, width: int) -> int:
        """The height that the node has at a width when nothing limits it."""
        return self._height(node, width)[0]

    def least_height(self, node: Node, width: int) -> int:
        """The height down to which viewports and alternatives can shrink."""
        return self._height(node, width)[1]

    def _height(self, node: Node, width: int) -> tuple[int, int]:
        key = (id(node), width)
        found = self._heights.get(key)
        if found is None:
            found = self._heights[key] = _MEASURES[type(node)][1](self, node, width)
        return found

    def place(self, node: Node, rect: Rect, context: Context) -> None:
        """Puts a node into a rectangle."""
        _MEASURES[type(node)][2](self, node, rect, context)

    # Text

    def lines(self, node: Text, width: int) -> list[Line]:
        """The lines of a text at a width."""
        key = (id(node), width)
        found = self._lines.get(key)
        if found is None:
            found = self._lines[key] = self._break(node, width)
        return found

    def _break(self, node: Text, width: int) -> list[Line]:
        kind = theme.TYPES[node.style]
        size = self.type_size(node.style)
        color = theme.TEXT[node.color]
        spans = (Span(node.content),) if isinstance(node.content, str) else node.content
        lines: list[Line] = []
        parts: list[tuple[str, int, int]] = []
        looks: list[tuple[bool, RGB]] = []

        def line(indices: list[int]) -> Line:
            runs: list[tuple[str, bool, RGB, int]] = []
            for index in indices:
                text, look = parts[index][0], looks[index]
                if runs and runs[-1][1:3] == look:
                    text = runs.pop()[0] + text
                runs.append((text, *look, 0))
            if runs:
                runs[-1] = (runs[-1][0].rstrip(" "), *runs[-1][1:])
            sized = [(t, b, c, fonts.width(t, size, b)) for t, b, c, _ in runs if t]
            return Line(sized, sum(run[3] for run in sized))

        def flush() -> None:
            # The parts' rounded widths add up to a pixel or two more or less than the whole, which is what is drawn.
            whole = line(list(range(len(parts))))
            if not node.wrap or whole.width <= width:
                lines.append(whole)
            else:
                limit, over = width, 1
                while over > 0:
                    broken = fonts.wrap.fill(parts, limit)
                    found = [line(indices) for indices in broken]
                    over = max(
                        (one.width - width for one, own in zip(found, broken, strict=True) if len(own) > 1), default=0
                    )
                    limit -= over
                lines.extend(found)
            parts.clear()
            looks.clear()

        for span in spans:
            bold = kind.bold or span.bold
            look = (bold, theme.TEXT[span.color] if span.color else color)
            for number, paragraph in enumerate(span.text.split("\n")):
                if number:
                    flush()
                found: tuple[tuple[str, int, int], ...] = ()
                if node.wrap:
                    found = fonts.parts(paragraph, size, bold, width)
                elif paragraph:
                    whole = fonts.width(paragraph, size, bold)
                    found = ((paragraph, whole, whole),)
                parts.extend(found)
                looks.extend([look] * len(found))
        flush()
        return lines

    def _text_width(self, node: Text) -> tuple[int, int]:
        natural = max(line.width for line in self.lines(replace_wrap(self, node), 1 << 30))
        if not node.wrap:
            return natural, natural
        size, kind = self.type_size(node.style), theme.TYPES[node.style]
        spans = (Span(node.content),) if isinstance(node.content, str) else node.content
        least = 0
        for span in spans:
            for paragraph in span.text.split("\n"):
                for _, bare, _ in fonts.parts(paragraph, size, kind.bold or span.bold, 1 << 30):
                    least = max(least, bare)
        return natural, min(natural, least)

    def _text_height(self, node: Text, width: int) -> tuple[int, int]:
        height = len(self.lines(node, width)) * self.leading(node.style)
        return height, height

    def _place_text(self, node: Text, rect: Rect, context: Context) -> None:
        self.place_lines(node, rect, context)

    def place_lines(self, node: Text, rect: Rect, context: Context, color: RGB | None = None) -> None:
        """Puts a text's lines into a rectangle; ``color`` overrides all of its own."""
        x, y, width, height = rect
        lines = self.lines(node, width)
        leading, size = self.leading(node.style), self.type_size(node.style)
        widest = max(line.width for line in lines)
        if node.align == "center":
            left = x + (width - widest) // 2
        elif node.align == "end":
            left = x + width - widest
        else:
            left = x
        area = (left, y, widest, leading * len(lines))
        for number, line in enumerate(lines):
            at = x
            if node.align == "center":
                at = x + (width - line.width) // 2
            elif node.align == "end":
                at = x + width - line.width
            for text, bold, own, advance in line.runs:
                top = y + number * leading + fonts.offset(size, bold, leading)
                shade = color or (DISABLED if context.disabled else own)
                self.text_run((at, top, advance, fonts.tall(size, bold)), text, size, bold, shade)
                at += advance
        words = (
            "".join(span.text for span in node.content) if isinstance(node.content, tuple) else node.content
        )
        if words.strip():
            bounds = intersect(context.bounds, rect) or rect
            fits = inside(area, bounds, 1)
            self.page.words.append(Words(words, area, not fits, context.layer))

    def text_run(self, rect: Rect, text: str, size: int, bold: bool, color: RGB) -> None:
        """One run of letters at a rectangle that is exactly theirs."""
        self.emit(rect, Run(text, size, bold, color))

    # Rows and columns

    def _row_width(self, node: Row) -> tuple[int, int]:
        gaps = self.px(node.gap) * max(0, len(node.children) - 1)
        pairs = [self._width(child) for child in node.children]
        shares = [_grow(child) for child in node.children]
        fixed = sum(p[0] for p, share in zip(pairs, shares, strict=True) if not share)
        per_share = max(
            (-(-p[0] // share) for p, share in zip(pairs, shares, strict=True) if share), default=0
        )
        return fixed + per_share * sum(shares) + gaps, sum(p[1] for p in pairs) + gaps

    def row_widths(self, node: Row, width: int) -> list[int]:
        """How a row shares its width among its children."""
        room = width - self.px(node.gap) * max(0, len(node.children) - 1)
        shares = [_grow(child) for child in node.children]
        least = [self.least(child) for child in node.children]
        natural = [self.natural(child) for child in node.children]
        fixed = sum(n for n, share in zip(natural, shares, strict=True) if not share)
        least_grown = sum(m for m, share in zip(least, shares, strict=True) if share)
        if fixed + least_grown <= room:
            left = room - fixed
            widths = [n if not share else 0 for n, share in zip(natural, shares, strict=True)]
            return _share_out(widths, shares, least, left)
        slack = sum(n - m for n, m, share in zip(natural, least, shares, strict=True) if not share)
        over = fixed + least_grown - room
        widths = []
        for n, m, share in zip(natural, least, shares, strict=True):
            widths.append(m if share else n - (min(n - m, -(-over * (n - m) // slack)) if slack else 0))
        return widths

    def _row_height(self, node: Row, width: int) -> tuple[int, int]:
        if node.height is not None:
            return self.px(node.height), self.px(node.height)
        widths = self.row_widths(node, width)
        pairs = [self._height(child, w) for child, w in zip(node.children, widths, strict=True)]
        return max((p[0] for p in pairs), default=0), max((p[1] for p in pairs), default=0)

    def _place_row(self, node: Row, rect: Rect, context: Context) -> None:
        x, y, width, height = rect
        widths = self.row_widths(node, width)
        gap = self.px(node.gap)
        x, gap = _justify(node.justify, x, width, widths, gap)
        even = node.align == "stretch" or all(isinstance(child, Target) for child in node.children)
        for child, own in zip(node.children, widths, strict=True):
            tall = height if even else min(self.height(child, own), height)
            top = y + (0 if node.align in ("start", "stretch") else height - tall)
            if node.align == "center":
                top = y + (height - tall) // 2
            self.place(child, (x, top, own, tall), context)
            x += own + gap

    def _column_width(self, node: Column) -> tuple[int, int]:
        if node.width is not None:
            return (self.px(node.width),) * 2
        pairs = [self._width(child) for child in node.children]
        return max((p[0] for p in pairs), default=0), max((p[1] for p in pairs), default=0)

    def _column_height(self, node: Column, width: int) -> tuple[int, int]:
        width = min(width, self.px(node.width)) if node.width is not None else width
        gaps = self.px(node.gap) * max(0, len(node.children) - 1)
        pairs = [self._height(child, self._child_width(node, child, width)) for child in node.children]
        return sum(p[0] for p in pairs) + gaps, sum(p[1] for p in pairs) + gaps

    def _child_width(self, node: Column, child: Node, width: int) -> int:
        if node.align == "stretch":
            fixed = _fixed_width(child)
            return width if fixed is None else min(width, self.px(fixed))
        return min(width, self.natural(child))

    def column_heights(self, node: Column, width: int, height: int) -> list[int]:
        """How a column shares its height among its children."""
        room = height - self.px(node.gap) * max(0, len(node.children) - 1)
        pairs = [self._height(child, self._child_width(node, child, width)) for child in node.children]
        natural = [p[0] for p in pairs]
        over = sum(natural) - room
        if over > 0:
            least = [p[1] for p in pairs]
            slack = sum(n - m for n, m in zip(natural, least, strict=True))
            if not slack:
                return natural
            return [n - min(n - m, -(-over * (n - m) // slack)) for n, m in zip(natural, least, strict=True)]
        shares = [_grow(child) for child in node.children]
        heights = [0 if share else n for n, share in zip(natural, shares, strict=True)]
        return _share_out(heights, shares, natural, room - sum(heights))

    def _place_column(self, node: Column, rect: Rect, context: Context) -> None:
        x, y, width, height = rect
        if node.width is not None:
            width = min(width, self.px(node.width))
        heights = self.column_heights(node, width, height)
        gap = self.px(node.gap)
        y, gap = _justify(node.justify, y, height, heights, gap)
        for child, tall in zip(node.children, heights, strict=True):
            own = self._child_width(node, child, width)
            left = x
            if node.align == "center":
                left = x + (width - own) // 2
            elif node.align == "end":
                left = x + width - own
            self.place(child, (left, y, own, tall), context)
            y += tall + gap

    # Grid

    def _grid_width(self, node: Grid) -> tuple[int, int]:
        gaps = self.px(node.gap) * (node.columns - 1)
        pairs = [self._width(child) for child in node.children]
        most, least = max((p[0] for p in pairs), default=0), max((p[1] for p in pairs), default=0)
        return most * node.columns + gaps, least * node.columns + gaps

    def _cell_width(self, node: Grid, width: int) -> int:
        return (width - self.px(node.gap) * (node.columns - 1)) // node.columns

    def _grid_rows(self, node: Grid, width: int) -> list[tuple[tuple[Node, ...], int]]:
        cell = self._cell_width(node, width)
        rows = [node.children[i : i + node.columns] for i in range(0, len(node.children), node.columns)]
        return [(row, max(self.height(child, cell) for child in row)) for row in rows]

    def _grid_height(self, node: Grid, width: int) -> tuple[int, int]:
        rows = self._grid_rows(node, width)
        height = sum(row[1] for row in rows) + self.px(node.gap) * max(0, len(rows) - 1)
        return height, height

    def _place_grid(self, node: Grid, rect: Rect, context: Context) -> None:
        x, y, width, _ = rect
        cell, gap = self._cell_width(node, width), self.px(node.gap)
        for row, tall in self._grid_rows(node, width):
            for column, child in enumerate(row):
                self.place(child, (x + column * (cell + gap), y, cell, tall), context)
            y += tall + gap

    # Panel and target

    def _panel_width(self, node: Panel) -> tuple[int, int]:
        if node.width is not None:
            return (self.px(node.width),) * 2
        natural, least = self._width(node.child)
        pads = 2 * self.px(node.pad)
        return natural + pads, least + pads

    def _panel_height(self, node: Panel, width: int) -> tuple[int, int]:
        pads = 2 * self.px(node.pad)
        natural, least = self._height(node.child, width - pads)
        low = self.px(node.min_height)
        return max(low, natural + pads), max(low, least + pads)

    def _place_panel(self, node: Panel, rect: Rect, context: Context) -> None:
        pad, radius = self.px(node.pad), self.px(node.radius)
        border = max(1, self.px(2)) if node.border else 0
        backdrop = context.backdrop
        if node.fill == "hero":
            self.emit(
                rect,
                Gradient(
                    theme.HERO,
                    radius,
                    theme.HERO_LIGHT,
                    max(1, self.px(2)),
                    theme.mix(theme.HERO[1], theme.WHITE, 0.1),
                ),
            )
            backdrop = theme.HERO[1]
        elif node.fill == "none":
            if border:
                self.emit(rect, Box((0, 0, 0, 0), radius, border, theme.LINE))
        else:
            backdrop = theme.FILLS[node.fill]
            self.emit(rect, Box((*backdrop, 255), radius, border, theme.LINE))
        inner = shrink(rect, pad, pad)
        self.place(
            node.child, inner, replace(context, bounds=shrink(rect, pad // 2, pad // 2), backdrop=backdrop)
        )

    def _target_pads(self, node: Target) -> tuple[int, int, int]:
        across, down = _PADS[node.style]
        mark = self.px(_MARK + _MARK_GAP) if node.checked is not None else 0
        return self.px(across), self.px(down), mark

    def _target_width(self, node: Target) -> tuple[int, int]:
        if node.width is not None:
            return (self.px(node.width),) * 2
        across, _, mark = self._target_pads(node)
        natural, least = self._width(node.child)
        return natural + 2 * across + mark, least + 2 * across + mark

    def _target_height(self, node: Target, width: int) -> tuple[int, int]:
        across, down, mark = self._target_pads(node)
        natural, least = self._height(node.child, width - 2 * across - mark)
        low = self.px(node.min_height)
        return max(low, natural + 2 * down), max(low, least + 2 * down)

    def _place_target(self, node: Target, rect: Rect, context: Context) -> None:
        x, y, width, height = rect
        across, down, mark = self._target_pads(node)
        radius = self.px(theme.R_CARD if node.style == "card" else theme.R_BUTTON)
        radius = min(radius, height // 2)
        line = max(1, self.px(2))
        if node.style == "plain":
            fill = context.backdrop
        elif node.enabled:
            fill = theme.PANEL if context.backdrop in (None, theme.SUNKEN) else theme.RAISED
            borders = {
                "primary": theme.mix(fill, theme.ACCENT, 0.55),
                "danger": theme.mix(fill, theme.BAD, 0.5),
            }
            border = borders.get(node.style, theme.LINE)
            edge = 0 if node.style in ("card", "row") and context.backdrop is None else line
            self.emit(rect, Box((*fill, 255), radius, edge, border))
        else:
            fill = theme.mix(theme.PANEL, theme.GROUND_BOTTOM, 0.45)
            self.emit(rect, Box((*fill, 255), radius, 0, theme.LINE))
        start = len(self.page.items)
        first_word = len(self.page.words)
        inner_w = width - 2 * across - mark
        own_w = inner_w
        child = node.child
        if isinstance(child, Text) and node.style in ("button", "primary", "danger"):
            words = child
            child = self.made(("button", id(words)), lambda: replace(words, align="center"))
        if node.style in ("button", "primary", "danger"):
            own_w = min(inner_w, self.natural(child))
        tall = min(self.height(child, own_w), height - 2 * down)
        if node.style == "card":
            tall = height - 2 * down if _grow(child) else tall
        inner = (x + across + (inner_w - own_w) // 2, y + (height - tall) // 2, own_w, tall)
        inner_context = replace(
            context,
            bounds=shrink(rect, across // 2, down // 2),
            backdrop=fill,
            disabled=context.disabled or not node.enabled,
        )
        self.place(child, inner, inner_context)
        if node.checked is not None:
            self._place_mark(node, (x + width - across - self.px(_MARK), y, self.px(_MARK), height))
        text = node.text
        if text is None:
            text = " ".join(words.text for words in self.page.words[first_word:])
        content = tuple(self.page.items[start:])
        self.page.spots.append(
            Spot(
                node.key,
                text,
                node.style,
                node.enabled,
                rect,
                radius,
                context.groups,
                context.scroll,
                content,
            )
        )

    def _place_mark(self, node: Target, area: Rect) -> None:
        x, y, size, height = area
        rect = (x, y + (height - size) // 2, size, size)
        if node.checked:
            self.emit(rect, Box((*theme.ACCENT, 255), size // 2))
            inset = size // 5
            self.emit(shrink(rect, inset, inset), Ink("check", theme.INK))
        else:
            self.emit(
                rect,
                Box((0, 0, 0, 0), size // 2, max(2, self.px(3)), theme.mix(theme.LINE, theme.WHITE, 0.25)),
            )

    # Scroll

    def _scroll_height(self, node: Scroll, width: int) -> tuple[int, int]:
        height = self.height(node.child, width)
        return height, min(height, self.px(_LEAST_VIEWPORT))

    def _place_scroll(self, node: Scroll, rect: Rect, context: Context) -> None:
        x, y, width, height = rect
        if self.height(node.child, width) <= height:
            self.offsets.pop(node.key, None)
            self.page.viewports.append(Viewport(node.key, rect, 0, height, False))
            if isinstance(node.child, Panel) and not node.child.grow:
                rect = (x, y, width, self.height(node.child, width))
            self.place(node.child, rect, context)
            return
        own = width - self.px(_BAR_ROOM)
        extent = self.height(node.child, own)
        outer = self.page
        self.page = inner = Page()
        whole = (x, y, own, extent)
        self.place(node.child, whole, replace(context, bounds=whole, scroll=node.key))
        self.page = outer
        offset = self._follow(node.key, inner.spots, y, height, extent)
        self.offsets[node.key] = offset
        bleed = self.px(_BLEED)
        clip = (x - bleed, y, own + 2 * bleed, height)
        self._shift_in(inner, outer, offset, clip)
        edge = self.px(_EDGE)
        if offset > 0:
            self.emit((clip[0], y, clip[2], edge), Edge(context.backdrop, True))
        if offset + height < extent:
            self.emit((clip[0], y + height - edge, clip[2], edge), Edge(context.backdrop, False))
        bar, track = self.px(_BAR), height
        thumb = max(self.px(48), track * height // extent)
        top = y + (track - thumb) * offset // max(1, extent - height)
        left = x + width - bar
        self.emit((left, y, bar, track), Box((*theme.mix(theme.PANEL, theme.LINE, 0.4), 255), bar // 2))
        alone = not inner.spots
        focused = alone and self.focus == node.key
        self.emit(
            (left, top, bar, thumb),
            Box((*(theme.ACCENT if focused else theme.mix(theme.LINE, theme.WHITE, 0.35)), 255), bar // 2),
        )
        outer.viewports.append(Viewport(node.key, rect, offset, extent, alone))
        if alone:
            text = " ".join(words.text for words in inner.words)
            outer.spots.append(
                Spot(
                    node.key,
                    text,
                    "plain",
                    True,
                    rect,
                    self.px(theme.R_BUTTON),
                    context.groups,
                    node.key,
                    (),
                    rect,
                )
            )

    def _follow(self, key: str, spots: Sequence[Spot], y: int, height: int, extent: int) -> int:
        furthest = extent - height
        offset = max(0, min(self.offsets.get(key, 0), furthest))
        at = next((index for index, spot in enumerate(spots) if spot.key == self.focus), None)
        if at is None:
            return offset
        margin = self.px(_EDGE + 12)
        top, bottom = spots[at].rect[1] - y, spots[at].rect[1] - y + spots[at].rect[3]
        if at == 0 and bottom + margin <= height:
            return 0
        if at == len(spots) - 1 and top - margin >= furthest:
            return furthest
        offset = max(offset, bottom + margin - height)
        offset = min(offset, top - margin)
        return max(0, min(offset, furthest))

    def _shift_in(self, inner: Page, outer: Page, offset: int, clip: Rect) -> None:
        def moved(rect: Rect) -> Rect:
            return (rect[0], rect[1] - offset, rect[2], rect[3])

        for item in inner.items:
            shifted = Item(moved(item.rect), item.what, clip)
            if intersect(shifted.rect, clip):
                outer.items.append(shifted)
        for words in inner.words:
            seen = intersect(moved(words.rect), clip)  # a text that is cut by the viewport's edge reaches to that edge
            outer.words.append(replace(words, rect=seen or moved(words.rect), hidden=seen is None))
        for spot in inner.spots:
            content = tuple(replace(item, rect=moved(item.rect)) for item in spot.content)
            outer.spots.append(replace(spot, rect=moved(spot.rect), content=content, clip=clip))
        outer.viewports.extend(inner.viewports)

    # Alternatives

    def choose(self, node: Fit, width: int, height: int | None = None) -> Node:
        """The option that fits."""
        for option in node.options[:-1]:
            if self.least(option) <= width and (height is None or self.least_height(option, width) <= height):
                return option
        return node.options[-1]

    def _fit_width(self, node: Fit) -> tuple[int, int]:
        return self.natural(node.options[0]), min(self.least(option) for option in node.options)

    def _fit_height(self, node: Fit, width: int) -> tuple[int, int]:
        fitting = [option for option in node.options if self.least(option) <= width] or [node.options[-1]]
        return self.height(fitting[0], width), min(self.least_height(option, width) for option in fitting)


def replace_wrap(layouter: Layouter, node: Text) -> Text:
    """The same text on as few lines as it has paragraphs."""
    if not node.wrap:
        return node
    return layouter.made(("flat", id(node)), lambda: replace(node, wrap=False))


def shrink(rect: Rect, across: int, down: int) -> Rect:
    """A rectangle made smaller on all sides."""
    return (rect[0] + across, rect[1] + down, max(0, rect[2] - 2 * across), max(0, rect[3] - 2 * down))


def _grow(node: Node) -> int:
    if isinstance(node, Grow):
        return node.share
    return int(getattr(node, "grow", 0))


def _fixed_width(node: Node) -> int | None:
    """The width a node insists on, in canvas pixels."""
    if isinstance(node, Group | Grow):
        return _fixed_width(node.child)
    return getattr(node, "width", None)


def _share_out(fixed: list[int], shares: list[int], least: list[int], left: int) -> list[int]:
    """Gives ``left`` to those with a share, none less than its least."""
    sizes = list(fixed)
    open_ = [i for i, share in enumerate(shares) if share]
    while open_:
        total = sum(shares[i] for i in open_)
        short = [i for i in open_ if left * shares[i] // total < least[i]]
        if not short:
            for index, i in enumerate(open_):
                part = left * shares[i] // total if index < len(open_) - 1 else left
                sizes[i] = part
                left -= part
                total -= shares[i]
            break
        for i in short:
            sizes[i] = least[i]
            left -= least[i]
            open_.remove(i)
    return sizes


def _justify(how: str, start: int, room: int, sizes: list[int], gap: int) -> tuple[int, int]:
    left = room - sum(sizes) - gap * max(0, len(sizes) - 1)
    if left <= 0 or how == "start":
        return start, gap
    if how == "center":
        return start + left // 2, gap
    if how == "end":
        return start + left, gap
    return (start, gap + left // (len(sizes) - 1)) if len(sizes) > 1 else (start, gap)


Width = Callable[[Layouter, Any], tuple[int, int]]
Height = Callable[[Layouter, Any, int], tuple[int, int]]
Place = Callable[[Layouter, Any, Rect, Context], None]
_MEASURES: dict[type, tuple[Width, Height, Place]] = {}


def register(kind: type, width: Width, height: Height, place: Place) -> None:
    """Says how a kind of node is measured (natural, least) and placed."""
    _MEASURES[kind] = (width, height, place)


def _inner_width(layouter: Layouter, node: Group | Grow) -> tuple[int, int]:
    return layouter.natural(node.child), layouter.least(node.child)


def _inner_height(layouter: Layouter, node: Group | Grow, width: int) -> tuple[int, int]:
    return layouter.height(node.child, width), layouter.least_height(node.child, width)


def _place_group(layouter: Layouter, node: Group, rect: Rect, context: Context) -> None:
    layouter.place(node.child, rect, replace(context, groups=(*context.groups, node.key)))


def _scroll_width(layouter: Layouter, node: Scroll) -> tuple[int, int]:
    room = layouter.px(_BAR_ROOM)
    return layouter.natural(node.child) + room, layouter.least(node.child) + room


def _space_size(layouter: Layouter, node: Space) -> tuple[int, int]:
    return (layouter.px(node.size),) * 2


def _line_height(layouter: Layouter) -> int:
    return max(1, layouter.px(2))


register(Text, Layouter._text_width, Layouter._text_height, Layouter._place_text)
register(Row, Layouter._row_width, Layouter._row_height, Layouter._place_row)
register(Column, Layouter._column_width, Layouter._column_height, Layouter._place_column)
register(Grid, Layouter._grid_width, Layouter._grid_height, Layouter._place_grid)
register(Panel, Layouter._panel_width, Layouter._panel_height, Layouter._place_panel)
register(Target, Layouter._target_width, Layouter._target_height, Layouter._place_target)
register(Scroll, _scroll_width, Layouter._scroll_height, Layouter._place_scroll)
register(
    Fit,
    Layouter._fit_width,
    Layouter._fit_height,
    lambda lay, node, rect, context: lay.place(lay.choose(node, rect[2], rect[3]), rect, context),
)
register(Group, _inner_width, _inner_height, _place_group)
register(
    Grow, _inner_width, _inner_height, lambda lay, node, rect, context: lay.place(node.child, rect, context)
)
register(
    Space, _space_size, lambda lay, node, _: _space_size(lay, node), lambda lay, node, rect, context: None
)
register(
    Divider,
    lambda lay, _: (0, 0),
    lambda lay, _, __: (_line_height(lay),) * 2,
    lambda lay, _, rect, context: lay.emit(rect, Box((*theme.LINE, 255), 0)),
)
