"""The drawing of a bank card and its reader, in the poses that tell a person what to do."""

from __future__ import annotations

import pygame

from stb_app.kit import fonts, icons, shapes, theme
from stb_app.kit.items import CardPicture

_UNIT = 560
_CARD = (290, 344)
_CARD_X = 99
_TOP = {"insert": 20, "remove": 60, "wrong": 60}
_INSIDE_TOP = 150
_SLOT = 400
_BLUE = ((46, 120, 240), (30, 140, 206), (22, 164, 148))
_GREY = ((104, 66, 92), (120, 70, 88), (146, 78, 84))


def card_picture(width: int, what: CardPicture) -> pygame.Surface:
    """Card and reader, ``width`` device pixels wide and as high, without the parts that move."""
    unit = width / _UNIT

    def px(length: float) -> int:
        return round(length * unit)

    picture = pygame.Surface((width, width), pygame.SRCALPHA)
    if what.pose == "missing":
        return _missing(picture, unit)
    body = (px(24), px(390), px(440), px(140))
    spread = px(22)
    shade = shapes.shadow(body[2], body[3], px(28), spread, 110)
    picture.blit(shade, (body[0] - spread, body[1] - spread + px(6)))
    line = max(1, px(2.5))
    edge = theme.mix(theme.LINE, theme.WHITE, 0.12)
    shapes.solid_box(picture, body, px(28), edge)
    inner = (body[0] + line, body[1] + line, body[2] - 2 * line, body[3] - 2 * line)
    picture.blit(
        shapes.rounded(shapes.gradient(inner[2], inner[3], ((42, 54, 100), (26, 36, 72))), px(27)), inner[:2]
    )
    shapes.solid_box(picture, (px(82), px(392), px(324), px(17)), px(8), (6, 9, 20))

    top = px(_TOP.get(what.pose, _INSIDE_TOP))
    if what.pose not in ("empty", "busy"):
        card = _card(px(_CARD[0]), px(_CARD[1]), unit, what)
        seen = min(card.get_height(), px(_SLOT) - top)
        picture.blit(card, (px(_CARD_X), top), (0, 0, card.get_width(), seen))
    lamp = {"wrong": theme.BAD, "ok": theme.GOOD}.get(what.pose, theme.ACCENT)
    if what.pose not in ("reading", "processing", "busy"):
        glow = shapes.clear_box(px(40), px(40), px(20), (*lamp, 50))
        picture.blit(glow, (px(398), px(468)))
        shapes.solid_box(picture, (px(408), px(478), px(20), px(20)), px(10), lamp)
    if what.pose in ("wrong", "ok"):
        side = px(108)
        # Over the corner, beside the words on the card.
        left, above = px(_CARD_X + _CARD[0]) - side // 4, max(0, top - side // 2)
        shapes.solid_box(picture, (left, above, side, side), side // 2, theme.GROUND_BOTTOM)
        rim = px(8)
        disc = (left + rim, above + rim, side - 2 * rim, side - 2 * rim)
        shapes.solid_box(picture, disc, disc[2] // 2, lamp)
        size = round(disc[2] * 0.6)
        inset = (disc[2] - size) // 2
        mark = icons.draw("check" if what.pose == "ok" else "cross", size, theme.INK, 255, 2.8)
        picture.blit(mark, (disc[0] + inset, disc[1] + inset))
    return picture


def _missing(picture: pygame.Surface, unit: float) -> pygame.Surface:
    """The outline of a reader that is not there, and a plug that is out."""
    line, dash, gap = max(2, round(4 * unit)), round(26 * unit), round(16 * unit)
    left, top, right, bottom = (round(side * unit) for side in (24, 350, 464, 530))
    for x in range(left, right, dash + gap):
        for y in (top, bottom - line):
            picture.fill(theme.BAD, (x, y, min(dash, right - x), line))
    for y in range(top, bottom, dash + gap):
        for x in (left, right - line):
            picture.fill(theme.BAD, (x, y, line, min(dash, bottom - y)))
    size = round(150 * unit)
    plug = icons.draw("unplugged", size, theme.TEXT["bad"])
    picture.blit(plug, ((left + right - size) // 2, (top + bottom - size) // 2))
    return picture


def _card(width: int, height: int, unit: float, what: CardPicture) -> pygame.Surface:
    def px(length: float) -> int:
        return round(length * unit)

    colors = _GREY if what.pose == "wrong" else _BLUE
    picture = shapes.gradient(width, height, colors)
    # Two large circles, hardly lighter, as banks print them.
    for x, y, side in ((150, 120, 300), (-120, 210, 260)):
        ring = shapes.clear_box(px(side), px(side), px(side) // 2, (255, 255, 255, 16))
        picture.blit(ring, (px(x), px(y)))
    card = shapes.rounded(picture, px(24))
    pad = px(32)
    room = width - 2 * pad
    y = px(28)
    for words, size, bold, color in (
        (what.title, 30, True, theme.WHITE),
        (what.number, 34 * what.letters, False, (226, 238, 255)),
    ):
        points = px(size)
        while words and points > 8 and fonts.width(words, points, bold) > room:
            points -= 1
        if words:
            card.blit(fonts.render(words, points, bold, color), (pad, y))
        y += px(52)
    chip = (pad, height - px(132), px(66), px(52))
    shapes.solid_box(card, chip, px(11), (255, 206, 98))
    ink = (122, 88, 20)
    thin = max(1, px(2))
    third = chip[3] // 3
    for offset in (third, 2 * third):
        card.fill(ink, (chip[0], chip[1] + offset, chip[2], thin))
    card.fill(ink, (chip[0] + chip[2] // 2 - thin // 2, chip[1], thin, chip[3]))
    return card
