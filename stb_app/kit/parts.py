"""How the parts that carry something of their own are measured and placed: pictures, facts, steps, codes, signs."""

from __future__ import annotations

import math

from stb_app.kit import theme
from stb_app.kit.items import (
    Arc,
    ArtPicture,
    Box,
    CardPicture,
    Gradient,
    Halo,
    Ink,
    Live,
    Modules,
    Rect,
)
from stb_app.kit.layout import DISABLED, Context, Layouter, register, shrink
from stb_app.kit.nodes import (
    Art,
    Badge,
    Bars,
    CardSlot,
    Color,
    Facts,
    Icon,
    Pill,
    PinCells,
    Qr,
    Ring,
    Sign,
    Span,
    Spinner,
    Steps,
    Text,
)
from stb_app.kit.texts import last_four, place_lines
from stb_app.kit.theme import RGB

CARD_W, CARD_H = 560, 560
"""The canvas size of the drawing of card and reader."""
_CARD_LETTERS = 1.25
_QUIET = 4
_LEAST_MODULE = 8
ARC_STEPS = 720

_SIGNS: dict[str, tuple[str, RGB]] = {
    "success": ("check", theme.GOOD),
    "pending": ("clock", theme.MONEY),
    "failed": ("cross", theme.BAD),
    "cancelled": ("cross", (150, 162, 205)),
    "expired": ("clock", (150, 162, 205)),
    "late": ("back", (150, 162, 205)),
    "question": ("question", theme.ACCENT),
    "info": ("info", (122, 172, 255)),
    "warning": ("warning", theme.MONEY),
}


def _square(layouter: Layouter, node: Icon | Ring | Spinner | Sign) -> tuple[int, int]:
    return (layouter.px(node.size),) * 2


def _centred(rect: Rect, width: int, height: int) -> Rect:
    """A rectangle of that size in the middle of the height, at the left."""
    return (rect[0], rect[1] + (rect[3] - height) // 2, width, height)


def _place_icon(layouter: Layouter, node: Icon, rect: Rect, context: Context) -> None:
    size = layouter.px(node.size)
    box = _centred(rect, size, size)
    if node.plate == "none":
        color = DISABLED if context.disabled else theme.TEXT[node.color]
        layouter.emit(box, Ink(node.name, color))
        return
    colors = theme.PLATES[node.plate]
    if context.disabled:
        colors = tuple(theme.mix(color, theme.PANEL, 0.65) for color in colors)  # type: ignore[assignment]
    layouter.emit(box, Gradient(colors, round(size * 0.26)))
    inset = round(size * 0.23)
    layouter.emit(shrink(box, inset, inset), Ink(node.name, theme.INK))


# A service's picture


def _art_title(layouter: Layouter, node: Art) -> Text:
    return layouter.made(("title", node.title), lambda: Text(node.title, "title"))


def _art_pads(layouter: Layouter) -> tuple[int, int]:
    return layouter.px(44), layouter.px(36)


def _art_width(layouter: Layouter, node: Art) -> tuple[int, int]:
    title = _art_title(layouter, node)
    pad = 2 * _art_pads(layouter)[0]
    return max(layouter.px(640), layouter.natural(title) + pad), layouter.least(title) + pad


def _art_height(layouter: Layouter, node: Art, width: int) -> tuple[int, int]:
    across, down = _art_pads(layouter)
    words = layouter.height(_art_title(layouter, node), width - 2 * across) + 2 * down
    return (max(layouter.px(node.height), words),) * 2


def _place_art(layouter: Layouter, node: Art, rect: Rect, context: Context) -> None:
    layouter.emit(rect, ArtPicture(node.icon, layouter.px(theme.R_HERO)))
    across, down = _art_pads(layouter)
    title = _art_title(layouter, node)
    inner = shrink(rect, across, down)
    tall = layouter.height(title, inner[2])
    place_lines(layouter, title, (inner[0], inner[1] + inner[3] - tall, inner[2], tall), context, theme.WHITE)


# Facts


_FACT_GAP = {True: 56, False: 32}
"""Between label and value: of body size, and of small ones."""


class _FactPlan:
    """How facts stand at a width: columns, where values begin, and the rows' heights."""

    def __init__(self, layouter: Layouter, node: Facts, width: int) -> None:
        self.pairs = _fact_texts(layouter, node)
        self.between = layouter.px(64)
        self.gap = layouter.px(_FACT_GAP[node.style == "body"])
        self.label = max((layouter.natural(label) for label, _ in self.pairs), default=0)
        self.columns = 1
        for columns in range(node.columns, 0, -1):
            cell = (width - self.between * (columns - 1)) // columns
            widest = max((layouter.natural(v) for _, v in self.pairs), default=0)
            if columns == 1 or self.label + self.gap + widest <= cell:
                self.columns = columns
                break
        self.cell = (width - self.between * (self.columns - 1)) // self.columns
        least = max((layouter.least(v) for _, v in self.pairs), default=0)
        room = self.cell - self.label - self.gap
        self.stacked = room < least or room < self.cell * 0.3 or self._too_high(layouter, node, room)
        self.value_width = self.cell if self.stacked else room
        self.heights: list[int] = []
        for start in range(0, len(self.pairs), self.columns):
            tall = 0
            for label, value in self.pairs[start : start + self.columns]:
                own = layouter.height(value, self.value_width)
                head = layouter.height(label, self.cell)
                tall = max(tall, own + head if self.stacked else max(own, head))
            self.heights.append(tall)

    def _too_high(self, layouter: Layouter, node: Facts, room: int) -> bool:
        return node.most_lines > 0 and any(
            layouter.height(value, room) > node.most_lines * layouter.leading(value.style)
            for _, value in self.pairs
        )


def _fact_texts(layouter: Layouter, node: Facts) -> list[tuple[Text, Text]]:
    def text(words: str | Text, color: Color) -> Text:
        if isinstance(words, Text):
            return words
        return layouter.made(("fact", words, color, node.style), lambda: Text(words, node.style, color))

    return [(text(label, "secondary"), text(value, "text")) for label, value in node.pairs]


def _facts_width(layouter: Layouter, node: Facts) -> tuple[int, int]:
    pairs = _fact_texts(layouter, node)
    label = max((layouter.natural(a) for a, _ in pairs), default=0)
    value = max((layouter.natural(b) for _, b in pairs), default=0)
    between = layouter.px(64) * (node.columns - 1)
    least = max((max(layouter.least(a), layouter.least(b)) for a, b in pairs), default=0)
    gap = layouter.px(_FACT_GAP[node.style == "body"])
    return (label + gap + value) * node.columns + between, least


def _facts_height(layouter: Layouter, node: Facts, width: int) -> tuple[int, int]:
    plan = _FactPlan(layouter, node, width)
    height = sum(plan.heights) + layouter.px(node.gap) * max(0, len(plan.heights) - 1)
    return height, height


def _place_facts(layouter: Layouter, node: Facts, rect: Rect, context: Context) -> None:
    plan = _FactPlan(layouter, node, rect[2])
    y = rect[1]
    for number, tall in enumerate(plan.heights):
        for column in range(plan.columns):
            index = number * plan.columns + column
            if index >= len(plan.pairs):
                break
            label, value = plan.pairs[index]
            x = rect[0] + column * (plan.cell + plan.between)
            head = layouter.height(label, plan.cell)
            own = layouter.height(value, plan.value_width)
            if plan.stacked:
                layouter.place(label, (x, y, plan.cell, head), context)
                layouter.place(value, (x, y + head, plan.cell, own), context)
                continue
            line = max(head, layouter.leading(value.style))
            layouter.place(label, (x, y + (line - head) // 2, plan.label, head), context)
            left = x + plan.label + plan.gap
            wide = plan.value_width
            if node.values_end:
                wide = min(wide, layouter.natural(value))
                left = x + plan.cell - wide
            top = y + (max(0, line - own) // 2)
            layouter.place(value, (left, top, wide, own), context)
        y += tall + layouter.px(node.gap)


# Small parts

_TONES: dict[str, tuple[RGB, RGB]] = {
    "money": (theme.MONEY, theme.INK),
    "good": (theme.mix(theme.PANEL, theme.GOOD, 0.22), theme.GOOD),
    "bad": (theme.mix(theme.PANEL, theme.BAD, 0.22), theme.TEXT["bad"]),
    "neutral": (theme.LINE, theme.TEXT["text"]),
    "accent": (theme.mix(theme.PANEL, theme.ACCENT, 0.22), theme.ACCENT),
    "warning": (theme.mix(theme.PANEL, theme.MONEY, 0.22), theme.MONEY),
}


def _pill_text(layouter: Layouter, node: Pill) -> Text:
    return layouter.made(("pill", node.text), lambda: Text(_bold(node.text), "caption", wrap=False))


def _bold(words: str) -> tuple[Span, ...]:
    return (Span(words, bold=True),)


def _pill_width(layouter: Layouter, node: Pill) -> tuple[int, int]:
    return (layouter.natural(_pill_text(layouter, node)) + 2 * layouter.px(20),) * 2


def _pill_height(layouter: Layouter, node: Pill, width: int) -> tuple[int, int]:
    return (layouter.leading("caption") + 2 * layouter.px(5),) * 2


def _place_pill(layouter: Layouter, node: Pill, rect: Rect, context: Context) -> None:
    fill, ink = _TONES[node.tone]
    if context.disabled:
        fill, ink = theme.mix(fill, theme.PANEL, 0.6), DISABLED
    width, height = _pill_width(layouter, node)[0], _pill_height(layouter, node, 0)[0]
    box = _centred(rect, min(width, rect[2]), height)
    layouter.emit(box, Box((*fill, 255), height // 2))
    text = _pill_text(layouter, node)
    place_lines(layouter, text, shrink(box, layouter.px(20), layouter.px(5)), context, ink)


def _badge_text(layouter: Layouter, node: Badge) -> Text:
    return layouter.made(
        ("badge", node.text), lambda: Text(node.text, "body-bold", align="center", wrap=False)
    )


def _badge_size(layouter: Layouter, node: Badge) -> tuple[int, int]:
    return (
        max(layouter.leading("body-bold") + layouter.px(12), layouter.natural(_badge_text(layouter, node))),
    ) * 2


def _place_badge(layouter: Layouter, node: Badge, rect: Rect, context: Context) -> None:
    size = _badge_size(layouter, node)[0]
    box = _centred(rect, size, size)
    layouter.emit(box, Box((*theme.mix(theme.RAISED, theme.LINE, 0.5), 255), size // 2))
    place_lines(layouter, _badge_text(layouter, node), shrink(box, 0, layouter.px(6)), context)


def _bar_labels(layouter: Layouter, node: Bars) -> list[Text]:
    def make(label: str) -> Text:
        return layouter.made(("bar", label), lambda: Text(label, "caption", align="center", wrap=False))

    return [make(label) for label in (*node.labels, *node.figures)]


def _bars_width(layouter: Layouter, node: Bars) -> tuple[int, int]:
    count = max(1, len(node.values))
    gaps = layouter.px(14) * (count - 1)
    widest = max((layouter.natural(label) for label in _bar_labels(layouter, node)), default=0)
    return max(layouter.px(120), widest) * count + gaps, max(layouter.px(24), widest) * count + gaps


def _bars_height(layouter: Layouter, node: Bars, width: int) -> tuple[int, int]:
    lines = 2 if node.figures else 1
    return (layouter.px(node.height) + lines * (layouter.px(8) + layouter.leading("caption")),) * 2


def _place_bars(layouter: Layouter, node: Bars, rect: Rect, context: Context) -> None:
    count = max(1, len(node.values))
    gap, height = layouter.px(14), layouter.px(node.height)
    most = max(node.values, default=0) or 1
    step = (rect[2] + gap) / count
    soft = theme.mix(context.backdrop or theme.PANEL, theme.WHITE, 0.2)
    texts = _bar_labels(layouter, node)
    labels, figures = texts[: len(node.labels)], texts[len(node.labels) :]
    line = layouter.leading("caption")
    base = rect[1] + height + (line + layouter.px(8) if figures else 0)
    for index, (value, label) in enumerate(zip(node.values, labels, strict=True)):
        left = rect[0] + round(index * step)
        wide = rect[0] + round((index + 1) * step) - gap - left
        tall = max(layouter.px(12), height * value // most)
        last = index == count - 1
        radius = min(layouter.px(10), tall // 2)
        color = (*theme.MONEY, 255) if last else ((255, 255, 255, 46) if context.backdrop else (*soft, 255))
        layouter.emit((left, base - tall, wide, tall), Box(color, radius))
        top = base + layouter.px(8)
        shade = theme.TEXT["text"] if last else theme.mix(theme.TEXT["secondary"], theme.WHITE, 0.35)
        place_lines(layouter, label, (left, top, wide, line), context, shade)
        if figures:
            above = base - tall - layouter.px(8) - line
            place_lines(layouter, figures[index], (left, above, wide, line), context, shade)


def _step_names(layouter: Layouter, node: Steps) -> list[Text]:
    def make(name: str, now: bool) -> Text:
        return layouter.made(("step", name, now), lambda: Text(_bold(name) if now else name, "caption"))

    return [make(name, index == node.current) for index, name in enumerate(node.names)]


def _steps_width(layouter: Layouter, node: Steps) -> tuple[int, int]:
    names = _step_names(layouter, node)
    gaps = layouter.px(16) * (len(names) - 1)
    natural = max(layouter.natural(name) for name in names)
    least = max(layouter.least(name) for name in names)
    return max(layouter.px(200), natural) * len(names) + gaps, least * len(names) + gaps


def _steps_height(layouter: Layouter, node: Steps, width: int) -> tuple[int, int]:
    names = _step_names(layouter, node)
    own = (width - layouter.px(16) * (len(names) - 1)) // len(names)
    return (layouter.px(10 + 12) + max(layouter.height(name, own) for name in names),) * 2


def _place_steps(layouter: Layouter, node: Steps, rect: Rect, context: Context) -> None:
    names = _step_names(layouter, node)
    gap = layouter.px(16)
    step = (rect[2] + gap) / len(names)
    bar = layouter.px(10)
    for index, name in enumerate(names):
        left = rect[0] + round(index * step)
        wide = rect[0] + round((index + 1) * step) - gap - left
        color, shade = theme.LINE, theme.TEXT["faint"]
        if index < node.current:
            color, shade = theme.ACCENT, theme.TEXT["secondary"]
        elif index == node.current:
            color, shade = (
                (theme.BAD, theme.TEXT["bad"]) if node.failed else (theme.WHITE, theme.TEXT["text"])
            )
        layouter.emit((left, rect[1], wide, bar), Box((*color, 255), bar // 2))
        top = rect[1] + bar + layouter.px(12)
        place_lines(layouter, name, (left, top, wide, layouter.height(name, wide)), context, shade)


_CELL_W, _CELL_H, _CELL_GAP = 104, 120, 22
_CELL_MOST = 1.25


def _cell(layouter: Layouter, length: int) -> int:
    """A length of the cells; they grow with the text as far as six of them have room beside a card."""
    return round(layouter.px(length) * min(layouter.text_scale, _CELL_MOST))


def _pin_width(layouter: Layouter, node: PinCells) -> tuple[int, int]:
    return (_cell(layouter, _CELL_W) * node.length + _cell(layouter, _CELL_GAP) * (node.length - 1),) * 2


def _place_pin(layouter: Layouter, node: PinCells, rect: Rect, context: Context) -> None:
    width, height, gap = (_cell(layouter, length) for length in (_CELL_W, _CELL_H, _CELL_GAP))
    dot, line = _cell(layouter, 52), max(2, layouter.px(4))
    ring, radius = max(2, layouter.px(theme.FOCUS_RING)), layouter.px(theme.R_CARD)
    active = min(node.filled, node.length - 1)
    for index in range(node.length):
        box = (rect[0] + index * (width + gap), rect[1], width, height)
        nxt = index == active
        if nxt:
            soft = theme.mix(theme.GROUND_BOTTOM, theme.ACCENT, 0.6)
            layouter.emit(shrink(box, -ring, -ring), Box((0, 0, 0, 0), radius + ring, ring, soft))
        color = theme.WHITE if nxt else theme.LINE
        fill = theme.RAISED if nxt else theme.PANEL
        layouter.emit(box, Box((*fill, 255), radius, line, color))
        if index < node.filled:
            middle = (box[0] + (width - dot) // 2, box[1] + (height - dot) // 2, dot, dot)
            layouter.emit(middle, Box((*theme.TEXT["text"], 255), dot // 2))


def _card_size(layouter: Layouter, node: CardSlot) -> tuple[int, int]:
    return layouter.px(CARD_W * node.percent / 100), layouter.px(CARD_H * node.percent / 100)


def _place_card(layouter: Layouter, node: CardSlot, rect: Rect, context: Context) -> None:
    width, height = _card_size(layouter, node)
    box = _centred(rect, width, height)
    # A small drawing keeps its letters as large as the room on the card allows.
    letters = min(layouter.text_scale, _CARD_LETTERS) * 100 / node.percent
    number = f"**** {last_four(node.number)}" if node.number else ""
    layouter.emit(box, CardPicture(node.pose, number, node.title, letters))
    moves = {
        "insert": "down", "remove": "up", "wrong": "up", "reading": "flow", "processing": "flow", "busy": "flow",
    }  # fmt: skip
    if node.pose in moves:
        unit = width / CARD_W
        what = moves[node.pose]
        left, top, wide, tall = (124, 452, 240, 24) if what == "flow" else (480, 120, 76, 196)
        area = (
            box[0] + round(left * unit),
            box[1] + round(top * unit),
            round(wide * unit),
            round(tall * unit),
        )
        layouter.emit(area, Live(what, theme.ACCENT))  # type: ignore[arg-type]


def qr_module(layouter: Layouter, node: Qr) -> int:
    """Device pixels of one module: whole ones, and never less than 8 px of the canvas unless the square is given."""
    if node.side is not None:
        return max(1, layouter.px(node.side) // (len(node.modules) + 2 * _QUIET))
    return max(int(layouter.px(1000 * node.module_px) / 1000), math.ceil(_LEAST_MODULE * layouter.scale), 1)


def _qr_size(layouter: Layouter, node: Qr) -> tuple[int, int]:
    own = (len(node.modules) + 2 * _QUIET) * qr_module(layouter, node)
    return (own if node.side is None else layouter.px(node.side),) * 2


def _place_qr(layouter: Layouter, node: Qr, rect: Rect, context: Context) -> None:
    module = qr_module(layouter, node)
    size = _qr_size(layouter, node)[0]
    box = _centred(rect, size, size)
    radius = 0 if node.side is not None else min(layouter.px(theme.R_HERO), 2 * module)
    layouter.emit(box, Modules(node.modules, module, radius, node.dimmed))


def _place_ring(layouter: Layouter, node: Ring, rect: Rect, context: Context) -> None:
    size = layouter.px(node.size)
    steps = round(max(0.0, min(1.0, node.fraction)) * ARC_STEPS)
    color = theme.ACCENT if node.fraction > 1 / 6 else theme.MONEY
    track = theme.mix(theme.PANEL, theme.LINE, 0.7)
    layouter.emit(_centred(rect, size, size), Arc(steps, color, track, max(2, round(size * 0.095))))


def _place_spinner(layouter: Layouter, node: Spinner, rect: Rect, context: Context) -> None:
    size = layouter.px(node.size)
    layouter.emit(_centred(rect, size, size), Live("spinner", theme.ACCENT))


def _sign_size(layouter: Layouter, node: Sign) -> tuple[int, int]:
    """The disc is ``size`` and grows as amounts do; around it there is its halo."""
    return (layouter.px(_disc(layouter, node) * theme.HALO),) * 2


def _disc(layouter: Layouter, node: Sign) -> float:
    return node.size * min(layouter.text_scale, theme.TYPES["amount"].most)


def _place_sign(layouter: Layouter, node: Sign, rect: Rect, context: Context) -> None:
    size = _sign_size(layouter, node)[0]
    if node.kind == "warning":  # a triangle of its own, without a disc
        inset = (size - layouter.px(_disc(layouter, node))) // 2
        layouter.emit(shrink(_centred(rect, size, size), inset, inset), Ink(*_SIGNS[node.kind]))
        return
    layouter.emit(_centred(rect, size, size), Halo(*_SIGNS[node.kind]))


def _same(height: int) -> tuple[int, int]:
    return height, height


register(Icon, _square, lambda lay, node, _: _square(lay, node), _place_icon)
register(Art, _art_width, _art_height, _place_art)
register(Facts, _facts_width, _facts_height, _place_facts)
register(Pill, _pill_width, _pill_height, _place_pill)
register(Badge, _badge_size, lambda lay, node, _: _badge_size(lay, node), _place_badge)
register(Bars, _bars_width, _bars_height, _place_bars)
register(Steps, _steps_width, _steps_height, _place_steps)
register(PinCells, _pin_width, lambda lay, _, __: _same(_cell(lay, _CELL_H)), _place_pin)
register(
    CardSlot,
    lambda lay, node: _same(_card_size(lay, node)[0]),
    lambda lay, node, _: _same(_card_size(lay, node)[1]),
    _place_card,
)
register(Qr, _qr_size, lambda lay, node, _: _qr_size(lay, node), _place_qr)
register(Ring, _square, lambda lay, node, _: _square(lay, node), _place_ring)
register(Spinner, _square, lambda lay, node, _: _square(lay, node), _place_spinner)
register(Sign, _sign_size, lambda lay, node, _: _sign_size(lay, node), _place_sign)
