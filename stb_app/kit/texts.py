"""Texts on a page: broken into lines at a width, measured, and put down run by run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from stb_app.kit import fonts, theme, wrap
from stb_app.kit.items import Rect, Run, Words, inside
from stb_app.kit.layout import DISABLED, Context, Layouter, register
from stb_app.kit.nodes import Span, Text
from stb_app.kit.theme import RGB

TITLES = frozenset(("display", "title", "headline", "heading"))
"""Styles whose lines are about equally long rather than full, however many they are."""
SHORT = 3
"""Other texts of so many lines at most have them too: no word stands alone in the last one."""


@dataclass(slots=True)
class Line:
    """One line of a text: runs (words, bold, colour, width), and their common width."""

    runs: list[tuple[str, bool, RGB, int]]
    width: int


def lines(lay: Layouter, node: Text, width: int) -> list[Line]:
    """The lines of a text at a width."""
    key = (id(node), width)
    found = lay.broken.get(key)
    if found is None:
        found = lay.broken[key] = _break(lay, node, width)
    return found


def _break(lay: Layouter, node: Text, width: int) -> list[Line]:
    kind = theme.TYPES[node.style]
    size = lay.type_size(node.style)
    color = theme.TEXT[node.color]
    spans = (Span(node.content),) if isinstance(node.content, str) else node.content
    done: list[Line] = []
    parts: list[tuple[str, int, int]] = []
    looks: list[tuple[bool, RGB]] = []

    def line(indices: Iterable[int]) -> Line:
        runs: list[tuple[str, bool, RGB]] = []
        for index in indices:
            text, look = parts[index][0], looks[index]
            if runs and runs[-1][1:] == look:
                text = runs.pop()[0] + text
            runs.append((text, *look))
        if runs:
            runs[-1] = (runs[-1][0].rstrip(" "), *runs[-1][1:])
        sized = [(t, b, c, fonts.width(t, size, b)) for t, b, c in runs if t]
        return Line(sized, sum(run[3] for run in sized))

    def flush() -> None:
        # The parts' rounded widths add up to a pixel or two more or less than the whole, which is what is drawn.
        whole = line(range(len(parts)))
        if not node.wrap or whole.width <= width:
            done.append(whole)
        else:
            limit, over = width, 1
            while over > 0:
                broken = wrap.fill(parts, limit)
                if not node.most_lines and (node.style in TITLES or len(broken) <= SHORT):
                    broken = wrap.balance(parts, limit)
                found = [line(indices) for indices in broken]
                pairs = zip(found, broken, strict=True)
                over = max((one.width - width for one, own in pairs if len(own) > 1), default=0)
                limit -= over
            for one in found[:-1]:
                _without_dot(one, size)
            done.extend(found)
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
    if 0 < node.most_lines < len(done):
        del done[node.most_lines :]
        done[-1] = _ended(done[-1], size, width)
    return done


def _without_dot(line: Line, size: int) -> None:
    """A dot that stands between two things says nothing at the end of a line."""
    text, bold, color, _ = line.runs[-1]
    kept = text.rstrip(" ·")
    if kept and kept != text:
        line.runs[-1] = (kept, bold, color, fonts.width(kept, size, bold))
        line.width = sum(run[3] for run in line.runs)


def _ended(line: Line, size: int, width: int) -> Line:
    """A line that ends in an ellipsis, and in as few letters less as that takes."""
    runs = [run[:3] for run in line.runs]
    while True:
        text, bold, color = runs.pop()
        kept = text.rstrip(" ,.;:，。；：、")
        # The type face's ellipsis is the Chinese one, in the middle of the line.
        more = "…" if kept and wrap.is_cjk(kept[-1]) else "..."
        sized = [(t, b, c, fonts.width(t, size, b)) for t, b, c in (*runs, (kept + more, bold, color))]
        total = sum(run[3] for run in sized)
        if total <= width or (not runs and not kept):
            return Line(sized, total)
        if kept:
            runs.append((kept[:-1], bold, color))


def _text_width(lay: Layouter, node: Text) -> tuple[int, int]:
    natural = max(line.width for line in lines(lay, _flat(lay, node), 1 << 30))
    if not node.wrap:
        return natural, natural
    size, kind = lay.type_size(node.style), theme.TYPES[node.style]
    spans = (Span(node.content),) if isinstance(node.content, str) else node.content
    least = 0
    for span in spans:
        for paragraph in span.text.split("\n"):
            for _, bare, _ in fonts.parts(paragraph, size, kind.bold or span.bold, 1 << 30):
                least = max(least, bare)
    return natural, min(natural, least)


def _text_height(lay: Layouter, node: Text, width: int) -> tuple[int, int]:
    height = len(lines(lay, node, width)) * lay.leading(node.style)
    return height, height


def place_lines(lay: Layouter, node: Text, rect: Rect, context: Context, color: RGB | None = None) -> None:
    """Puts a text's lines into a rectangle; ``color`` overrides all of its own."""
    x, y, width, _ = rect
    broken = lines(lay, node, width)
    leading, size = lay.leading(node.style), lay.type_size(node.style)
    widest = max(line.width for line in broken)
    if node.align == "center":
        left = x + (width - widest) // 2
    elif node.align == "end":
        left = x + width - widest
    else:
        left = x
    area = (left, y, widest, leading * len(broken))
    for number, line in enumerate(broken):
        at = x
        if node.align == "center":
            at = x + (width - line.width) // 2
        elif node.align == "end":
            at = x + width - line.width
        for text, bold, own, advance in line.runs:
            top = y + number * leading + fonts.offset(size, bold, leading)
            shade = color or (_disabled(own) if context.disabled else own)
            if context.backdrop == theme.HERO[1]:
                shade = theme.ON_HERO.get(shade, shade)
            text_run(lay, (at, top, advance, fonts.tall(size, bold)), text, size, bold, shade)
            at += advance
    words = "".join(span.text for span in node.content) if isinstance(node.content, tuple) else node.content
    if words.strip():
        fits = inside(area, rect, 1) and inside(area, context.bounds, 1)
        lay.page.words.append(Words(words, area, not fits, context.layer))


def _disabled(color: RGB) -> RGB:
    """The colour of words in a disabled target: faint, but for the reason why it is."""
    return theme.TEXT["secondary"] if color == theme.TEXT["warning"] else DISABLED


def text_run(lay: Layouter, rect: Rect, text: str, size: int, bold: bool, color: RGB) -> None:
    """One run of letters at a rectangle that is exactly theirs."""
    lay.emit(rect, Run(text, size, bold, color))


def _flat(layouter: Layouter, node: Text) -> Text:
    """The same text on as few lines as it has paragraphs."""
    if not node.wrap:
        return node
    return layouter.made(("flat", id(node)), lambda: replace(node, wrap=False))


register(Text, _text_width, _text_height, place_lines)


def last_four(number: str) -> str:
    """The last four digits of a card's number as people see it, whatever its length and groups.

    >>> last_four("6217 00** **** *** 6101")
    '6101'
    """
    return number.replace(" ", "")[-4:]
