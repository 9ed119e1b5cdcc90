"""Surfaces with something on them: panels, targets, and viewports that follow the focus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stb_app.kit import theme
from stb_app.kit.flow import grow_share
from stb_app.kit.items import (
    Box,
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
    intersect,
    shifted,
)
from stb_app.kit.layout import Context, Layouter, register, shrink
from stb_app.kit.nodes import Panel, Scroll, Target, Text

_LEAST_VIEWPORT = 200
_BAR = 8
_BAR_ROOM = 32
_EDGE, _EDGE_SHARE = 72, 6
"""How high the fade at the end of a viewport is at the most, and which part of a low one it takes."""
_BLEED = 28
_OUTSIDE = 20
"""How far beside a text that scrolls its focus is drawn, so that it touches no letter."""
_EMPTY_ABOVE, _EMPTY_BELOW = 0.19, 0.06
"""The parts of a line's height that no letter of Noto Sans SC reaches into."""
_PADS = {
    "button": (36, 16),
    "primary": (36, 16),
    "danger": (36, 16),
    "card": (36, 26),
    "row": (32, 16),
    "plain": (20, 10),
    "bare": (0, 0),
}
_FRAME, _CORNER, _CORNER_ARM = 4, 12, 96
_LEAST_BUTTON = 240
"""A button of one short word looks like one all the same."""
_MARK, _MARK_GAP = 44, 24


def _panel_width(lay: Layouter, node: Panel) -> tuple[int, int]:
    if node.width is not None:
        return (lay.px(node.width),) * 2
    natural, least = lay.widths(node.child)
    pads = 2 * lay.px(node.pad)
    return natural + pads, least + pads


def _panel_height(lay: Layouter, node: Panel, width: int) -> tuple[int, int]:
    pads = 2 * lay.px(node.pad)
    natural, least = lay.heights(node.child, width - pads)
    low = lay.px(node.min_height)
    return max(low, natural + pads), max(low, least + pads)


def _place_panel(lay: Layouter, node: Panel, rect: Rect, context: Context) -> None:
    pad, radius = lay.px(node.pad), lay.px(node.radius)
    border = max(1, lay.px(2)) if node.border else 0
    backdrop = context.backdrop
    if node.fill == "hero":
        lay.emit(
            rect,
            Gradient(
                theme.HERO,
                radius,
                theme.HERO_LIGHT,
                max(1, lay.px(2)),
                theme.mix(theme.HERO[1], theme.WHITE, 0.1),
            ),
        )
        backdrop = theme.HERO[1]
    elif node.fill == "none":
        if border:
            lay.emit(rect, Box((0, 0, 0, 0), radius, border, theme.LINE))
    else:
        backdrop = theme.FILLS[node.fill]
        lay.emit(rect, Box((*backdrop, 255), radius, border, theme.LINE))
    if node.frame:
        _frame(lay, rect)
    inner = shrink(rect, pad, pad)
    lay.place(node.child, inner, replace(context, bounds=shrink(rect, pad // 2, pad // 2), backdrop=backdrop))


def _frame(lay: Layouter, rect: Rect) -> None:
    """Lines along the edges, and thicker ones that meet in the corners."""
    x, y, width, height = rect
    line, thick, arm = lay.px(_FRAME), lay.px(_CORNER), lay.px(_CORNER_ARM)
    ink = Box((*theme.TEXT["text"], 255), 0)
    for top in (y, y + height - line):
        lay.emit((x, top, width, line), ink)
    for left in (x, x + width - line):
        lay.emit((left, y, line, height), ink)
    for end, left in ((x, x), (x + width - arm, x + width - thick)):
        for top, upper in ((y, y), (y + height - thick, y + height - arm)):
            lay.emit((end, top, arm, thick), ink)
            lay.emit((left, upper, thick, arm), ink)


def _target_pads(lay: Layouter, node: Target) -> tuple[int, int, int]:
    across, down = _PADS[node.style]
    mark = lay.px(_MARK + _MARK_GAP) if node.checked is not None and node.style != "card" else 0
    return lay.px(across), lay.px(down), mark


def _target_width(lay: Layouter, node: Target) -> tuple[int, int]:
    if node.width is not None:
        return (lay.px(node.width),) * 2
    across, _, mark = _target_pads(lay, node)
    low = lay.px(_LEAST_BUTTON) if node.style in ("button", "primary", "danger") else 0
    natural, least = lay.widths(node.child)
    return max(low, natural + 2 * across + mark), max(low, least + 2 * across + mark)


def _target_height(lay: Layouter, node: Target, width: int) -> tuple[int, int]:
    across, down, mark = _target_pads(lay, node)
    natural, least = lay.heights(node.child, width - 2 * across - mark)
    low = lay.px(node.min_height)
    return max(low, natural + 2 * down), max(low, least + 2 * down)


def _place_target(lay: Layouter, node: Target, rect: Rect, context: Context) -> None:
    x, y, width, height = rect
    across, down, mark = _target_pads(lay, node)
    radius = lay.px(theme.R_CARD if node.style == "card" else theme.R_BUTTON)
    radius = min(radius, height // 2)
    line = max(1, lay.px(2))
    if node.style in ("plain", "bare"):
        fill = context.backdrop
    elif node.enabled:
        fill = theme.PANEL if context.backdrop in (None, theme.SUNKEN) else theme.RAISED
        borders = {
            "primary": theme.mix(fill, theme.ACCENT, 0.55),
            "danger": theme.mix(fill, theme.BAD, 0.5),
        }
        soft = theme.mix(fill, theme.LINE, 0.5) if node.style in ("card", "row") else theme.LINE
        border = borders.get(node.style, soft)
        if node.chosen:
            line, border = max(2, lay.px(theme.FOCUS_BORDER)), theme.mix(fill, theme.ACCENT, 0.7)
        lay.emit(rect, Box((*fill, 255), radius, line, border))
    else:
        fill = theme.mix(theme.PANEL, theme.GROUND_BOTTOM, 0.45)
        lay.emit(rect, Box((*fill, 255), radius, 0, theme.LINE))
    start = len(lay.page.items)
    first_word = len(lay.page.words)
    inner_w = width - 2 * across - mark
    own_w = inner_w
    child = node.child
    if isinstance(child, Text) and node.style in ("button", "primary", "danger"):
        words = child
        child = lay.made(("button", id(words)), lambda: replace(words, align="center"))
    if node.style in ("button", "primary", "danger"):
        own_w = min(inner_w, lay.natural(child))
    tall = min(lay.height(child, own_w), height - 2 * down)
    if node.style == "card":
        tall = height - 2 * down if grow_share(child) else tall
    inner = (x + across + (inner_w - own_w) // 2, y + (height - tall) // 2, own_w, tall)
    inner_context = replace(
        context,
        bounds=shrink(rect, across // 2, down // 2),
        backdrop=fill,
        disabled=context.disabled or not node.enabled,
    )
    lay.place(child, inner, inner_context)
    if node.checked is not None:
        size = lay.px(_MARK)
        # A card's mark stands in its upper corner, beside its first line; that of anything else in the middle.
        area = (y + down, size) if node.style == "card" else (y, height)
        _place_mark(lay, node, (x + width - across - size, area[0], size, area[1]))
    text = node.text
    if text is None:
        text = " ".join(words.text for words in lay.page.words[first_word:])
    content = tuple(shifted(item, -x, -y) for item in lay.page.items[start:])
    lay.page.spots.append(
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
            chosen=node.chosen,
        )
    )


def _place_mark(lay: Layouter, node: Target, area: Rect) -> None:
    x, y, size, height = area
    rect = (x, y + (height - size) // 2, size, size)
    if node.checked:
        lay.emit(rect, Box((*theme.ACCENT, 255), size // 2))
        inset = size // 5
        lay.emit(shrink(rect, inset, inset), Ink("check", theme.INK, 3.0))
    else:
        lay.emit(
            rect,
            Box((0, 0, 0, 0), size // 2, max(2, lay.px(3)), theme.mix(theme.LINE, theme.WHITE, 0.25)),
        )


def _scroll_height(lay: Layouter, node: Scroll, width: int) -> tuple[int, int]:
    height = lay.height(node.child, width)
    least = lay.px(_LEAST_VIEWPORT)
    if node.seen is not None:
        # What fades at the lower edge is not seen.
        least = lay.height(node.seen, width - lay.px(_BAR_ROOM)) + lay.px(_EDGE)
    return height, min(height, least)


def _place_scroll(lay: Layouter, node: Scroll, rect: Rect, context: Context) -> None:
    x, y, width, height = rect
    if lay.height(node.child, width) <= height:
        lay.offsets.pop(node.key, None)
        lay.page.viewports.append(Viewport(node.key, rect, 0, height, False, rect))
        if isinstance(node.child, Panel) and not node.child.grow:
            rect = (x, y, width, lay.height(node.child, width))
        lay.place(node.child, rect, context)
        return
    own = width - lay.px(_BAR_ROOM)
    extent = lay.height(node.child, own)
    whole = (x, y, own, extent)
    outer = lay.page
    inner = _unscrolled(lay, node, whole, replace(context, bounds=whole, scroll=node.key))
    bleed = lay.px(_BLEED)
    edge = min(lay.px(_EDGE), height // _EDGE_SHARE)
    offset = _follow(lay, node.key, inner.spots, y, height, extent, lay.px(48))
    lay.offsets[node.key] = offset
    clip = (x - bleed, y, own + 2 * bleed, height)
    _shift_in(lay, inner, outer, offset, clip)
    if offset > 0:
        lay.emit((clip[0], y, clip[2], edge), Edge(context.backdrop, True))
    if offset + height < extent:
        lay.emit((clip[0], y + height - edge, clip[2], edge), Edge(context.backdrop, False))
    bar, track = lay.px(_BAR), height
    thumb = max(lay.px(48), track * height // extent)
    top = y + (track - thumb) * offset // max(1, extent - height)
    left = x + width - bar
    lay.emit((left, y, bar, track), Box((*theme.mix(theme.PANEL, theme.LINE, 0.4), 255), bar // 2))
    alone = not inner.spots
    focused = alone and lay.focus == node.key
    lay.emit(
        (left, top, bar, thumb),
        Box((*(theme.ACCENT if focused else theme.mix(theme.LINE, theme.WHITE, 0.35)), 255), bar // 2),
    )
    area = (x - bleed, y, width + bleed, height)
    outer.viewports.append(Viewport(node.key, rect, offset, extent, alone, area))
    if alone:
        text = " ".join(words.text for words in inner.words)
        across = lay.px(_OUTSIDE)
        frame = (x - across, y, width + 2 * across, height)
        outer.spots.append(
            Spot(
                node.key,
                text,
                "plain",
                True,
                frame,
                lay.px(theme.R_BUTTON),
                context.groups,
                node.key,
                (),
                frame,
            )
        )


def _unscrolled(lay: Layouter, node: Scroll, whole: Rect, context: Context) -> Page:
    """A viewport's content at its upper end. Placed once: most of what is scrolled differs by its offset only."""
    key = (id(node), whole, context)
    kept = lay.placed.get(key)
    if kept is not None:
        return kept
    outer = lay.page
    lay.page = inner = Page()
    lay.place(node.child, whole, context)
    lay.page = outer
    if not inner.viewports:  # a viewport within follows the focus, which may be elsewhere next time
        lay.placed[key] = inner
    return inner


def _follow(
    lay: Layouter, key: str, spots: Sequence[Spot], y: int, height: int, extent: int, margin: int
) -> int:
    furthest = extent - height
    offset = max(0, min(lay.offsets.get(key, 0), furthest))
    at = next((index for index, spot in enumerate(spots) if spot.key == lay.focus), None)
    if at is None:
        at = next((index for index, spot in enumerate(spots) if spot.chosen), None)
    if at is None:
        return offset
    top, bottom = spots[at].rect[1] - y, spots[at].rect[1] - y + spots[at].rect[3]
    # What cannot be chosen before the first and after the last that can is seen from there.
    can = [index for index, spot in enumerate(spots) if spot.enabled]
    if can[:1] == [at] and bottom + margin <= height:
        return 0
    if can[-1:] == [at] and (top - margin >= furthest or at < len(spots) - 1):
        return max(0, min(furthest, top - margin))
    offset = max(offset, bottom + margin - height)
    offset = min(offset, top - margin)
    return max(0, min(offset, furthest))


def _shift_in(lay: Layouter, inner: Page, outer: Page, offset: int, clip: Rect) -> None:
    def moved(rect: Rect) -> Rect:
        return (rect[0], rect[1] - offset, rect[2], rect[3])

    for item in inner.items:
        rect = moved(item.rect)
        if intersect(rect, clip) and not (isinstance(item.what, Run) and _cut(rect, clip)):
            outer.items.append(Item(rect, item.what, clip))
    for words in inner.words:
        rect = moved(words.rect)
        seen = intersect(rect, clip)
        outer.words.append(Words(words.text, seen or rect, words.clipped, words.layer, seen is None))
    for spot in inner.spots:
        outer.spots.append(replace(spot, rect=moved(spot.rect), clip=clip))
    outer.viewports.extend(inner.viewports)
    outer.beside.update(inner.beside)


def _cut(line: Rect, clip: Rect) -> bool:
    """Whether an edge of a viewport goes through the letters of a line, which then is not there: half of them say nothing."""
    above, below = line[3] * _EMPTY_ABOVE, line[3] * _EMPTY_BELOW
    return line[1] + above < clip[1] or line[1] + line[3] - below > clip[1] + clip[3]


def _scroll_width(lay: Layouter, node: Scroll) -> tuple[int, int]:
    room = lay.px(_BAR_ROOM)
    return lay.natural(node.child) + room, lay.least(node.child) + room


register(Panel, _panel_width, _panel_height, _place_panel)
register(Target, _target_width, _target_height, _place_target)
register(Scroll, _scroll_width, _scroll_height, _place_scroll)
