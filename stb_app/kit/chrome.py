"""What stands around every page: the top bar, the footer with what the keys do, the notice above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stb_app.kit import fonts, theme
from stb_app.kit.items import Box, Gradient, Ink, Live, Rect, Words
from stb_app.kit.layout import Context, Layouter, shrink
from stb_app.kit.nodes import Text
from stb_app.kit.texts import place_lines, text_run
from stb_app.kit.theme import RGB

Tone = Literal["info", "busy", "warning", "bad"]

_MOST = 1.25
"""The bars grow with the text scale up to here; a page at 150 % needs its room."""
_CAPS = {
    "arrows": ("cap-left", "cap-up", "cap-down", "cap-right"),
    "arrows-lr": ("cap-left", "cap-right"),
    "arrows-ud": ("cap-up", "cap-down"),
    "arrow-left": ("cap-left",),
    "arrow-right": ("cap-right",),
    "arrow-up": ("cap-up",),
    "arrow-down": ("cap-down",),
}
_TONES: dict[Tone, tuple[str, RGB, RGB]] = {
    "info": ("info", theme.mix(theme.PANEL, theme.ACCENT, 0.14), theme.ACCENT),
    "busy": ("info", theme.mix(theme.PANEL, theme.ACCENT, 0.14), theme.ACCENT),
    "warning": ("warning", theme.FILLS["warning-soft"], theme.MONEY),
    "bad": ("warning", theme.FILLS["bad-soft"], theme.TEXT["bad"]),
}


@dataclass(frozen=True, slots=True)
class TopBar:
    """Where we are, whose box it is, what time it is; ``test`` is the TEST mark's words while the money is not real."""

    place: str
    crumbs: tuple[str, ...] = ()
    test: str | None = None
    who: str = ""
    clock: str = ""


@dataclass(frozen=True, slots=True)
class FootKey:
    """A key's cap ("OK", "返回", "arrows", "arrows-lr", "arrows-ud", "arrow-left" ...) and what it does."""

    cap: str
    label: str


class _Pen:
    """Writes single lines around a middle line."""

    def __init__(self, layouter: Layouter, layer: str) -> None:
        self.layouter = layouter
        self.layer = layer

    def size(self, canvas: float) -> int:
        scale = min(self.layouter.text_scale, _MOST)
        return max(1, round(canvas * self.layouter.scale * scale))

    def width(self, text: str, canvas: float, bold: bool = False) -> int:
        return fonts.width(text, self.size(canvas), bold)

    def write(self, text: str, x: int, middle: int, canvas: float, color: RGB, bold: bool = False) -> int:
        """Writes at ``x`` and returns where the text ends."""
        size = self.size(canvas)
        width = fonts.width(text, size, bold)
        line = round(size * 1.4)
        top = middle - line // 2
        rect = (x, top + fonts.offset(size, bold, line), width, fonts.tall(size, bold))
        text_run(self.layouter, rect, text, size, bold, color)
        self.layouter.page.words.append(Words(text, (x, top, width, line), False, self.layer))
        return x + width


def top_bar(layouter: Layouter, top: TopBar, area: Rect) -> Rect:
    """Puts the top bar into ``area`` (the safe width, any height around the middle line), but for the TEST mark.

    Returns the area at whose right end the mark has its room. What does not fit goes in this order: all crumbs but the last, who, the last crumb, the place.
    """
    pen = _Pen(layouter, "top")
    px = layouter.px
    x, y, width, height = area
    middle = y + height // 2
    right = x + width
    mark = px(56)
    gap = px(28)
    clock = pen.width(top.clock, 48) if top.clock else 0
    badge = _badge_width(pen, top.test) if top.test else 0
    room = width - mark - px(22) - (clock + gap if clock else 0) - (badge + gap if badge else 0)
    last = top.crumbs[-1:]
    options = (
        (top.place, top.crumbs, top.who),
        (top.place, last, top.who),
        (top.place, last, ""),
        (top.place, (), ""),
        ("", (), ""),
    )
    for place, crumbs, who in options:
        need = pen.width(place, 36, True) + (pen.width(who, 30) + gap if who else 0)
        need += sum(px(44) + pen.width(crumb, 30) for crumb in crumbs)
        if need <= room:
            break
    box = (x, middle - mark // 2, mark, mark)
    layouter.emit(box, Gradient(((64, 224, 190), (52, 196, 200), (96, 150, 255)), px(theme.R_MARK)))
    inset = round(mark * 0.22)
    layouter.emit(shrink(box, inset, inset), Ink("tv", theme.INK))
    at = x + mark + px(22)
    if place:
        at = pen.write(place, at, middle, 36, theme.TEXT["text"], True)
    for crumb in crumbs:
        side = px(24)
        layouter.emit(
            (at + (px(44) - side) // 2, middle - side // 2, side, side), Ink("chevron", theme.TEXT["faint"])
        )
        at = pen.write(crumb, at + px(44), middle, 30, theme.TEXT["secondary"])
    if clock:
        right -= clock
        pen.write(top.clock, right, middle, 48, theme.TEXT["text"])
        right -= gap
    if who:
        right -= pen.width(who, 30)
        pen.write(who, right, middle, 30, theme.TEXT["secondary"])
        right -= gap
    return (x, y, right - x, height)


def test_mark(layouter: Layouter, words: str, area: Rect) -> None:
    """The TEST mark, at the right end of ``area``, which is the top bar's or what it has left."""
    pen = _Pen(layouter, "top")
    px = layouter.px
    right, middle = area[0] + area[2], area[1] + area[3] // 2
    width, tall = _badge_width(pen, words), pen.size(26) + 2 * px(10)
    left = right - width
    layouter.emit((left, middle - tall // 2, width, tall), Box((*theme.MONEY, 255), px(10)))
    pen.write(words, left + px(18), middle, 26, theme.INK, True)


def _badge_width(pen: _Pen, words: str) -> int:
    return pen.width(words, 26, True) + 2 * pen.layouter.px(18)


def footer(layouter: Layouter, foot: tuple[FootKey, ...], areas: Sequence[Rect]) -> None:
    """Puts what the keys do into ``areas``, a line each; the last ones stay away when there is no room for them."""
    pen = _Pen(layouter, "foot")
    px = layouter.px
    lines = iter(areas)
    x, y, width, height = next(lines)
    at = x
    for key in foot:
        drawn = _CAPS.get(key.cap)
        side = pen.size(22)
        pad = px(14)
        cap = (len(drawn) * side if drawn else pen.width(key.cap, 24)) + 2 * pad
        tall = pen.size(26) + px(16)
        cap = max(cap, tall)
        end = at + cap + px(14) + pen.width(key.label, 26)
        if end > x + width:
            line_below = next(lines, None)
            if line_below is None:
                return
            end += line_below[0] - at
            x, y, width, height = line_below
            at = x
        middle = y + height // 2
        line = max(1, px(2))
        edge = theme.mix(theme.LINE, theme.WHITE, 0.3)
        layouter.emit((at, middle - tall // 2, cap, tall), Box((0, 0, 0, 0), px(12), line, edge))
        if drawn:
            left = at + (cap - len(drawn) * side) // 2
            for index, name in enumerate(drawn):
                layouter.emit(
                    (left + index * side, middle - side // 2, side, side), Ink(name, theme.TEXT["text"])
                )
        else:
            own = pen.width(key.cap, 24)
            pen.write(key.cap, at + (cap - own) // 2, middle, 24, theme.TEXT["text"])
        pen.write(key.label, at + cap + px(14), middle, 26, theme.TEXT["secondary"])
        at = end + px(44)


def notice(layouter: Layouter, words: str, tone: Tone, area: Rect) -> None:
    """Puts a line above the footer into ``area``."""
    icon, fill, ink = _TONES[tone]
    px = layouter.px
    layouter.emit(area, Box((*fill, 255), px(theme.R_MARK)))
    side = px(34)
    left = area[0] + px(24)
    layouter.emit(
        (left, area[1] + (area[3] - side) // 2, side, side),
        Live("spinner", ink) if tone == "busy" else Ink(icon, ink),
    )
    text = layouter.made(("notice", words), lambda: Text(words, "notice"))
    x = left + side + px(18)
    wide = area[0] + area[2] - x - px(24)
    tall = layouter.height(text, wide)
    place_lines(layouter, text, (x, area[1] + (area[3] - tall) // 2, wide, tall), Context("notice", area))


def notice_height(layouter: Layouter, words: str, width: int) -> int:
    """How high the notice will be in a width."""
    text = layouter.made(("notice", words), lambda: Text(words, "notice"))
    return layouter.height(text, width - layouter.px(100)) + 2 * layouter.px(12)
