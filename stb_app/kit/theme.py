"""The look in numbers: colours, type scale, radii and gaps, and how contrast is computed."""

from __future__ import annotations

from dataclasses import dataclass

from stb_app.kit.nodes import Color, Fill, TextStyle

RGB = tuple[int, int, int]
RGBA = tuple[int, int, int, int]

CANVAS_W, CANVAS_H = 1920, 1080
SAFE_X, SAFE_Y = 96, 54
BODY_TOP, BODY_BOTTOM = 156, 936
"""The body of a page stands between these two, 40 px above the footer's keys at the least. The footer's middle line lies at
FOOT_Y, the top bar's at TOP_Y."""
TOP_Y, FOOT_Y = 90, 1001

GROUND_TOP: RGB = (20, 28, 56)
GROUND_BOTTOM: RGB = (11, 16, 32)
LIGHT_BLUE: RGB = (34, 49, 108)
LIGHT_TEAL: RGB = (17, 62, 66)

PANEL: RGB = (26, 35, 66)
RAISED: RGB = (34, 45, 84)
FOCUSED: RGB = (48, 63, 120)
FOCUSED_DEEP: RGB = (38, 50, 98)
"""What a target that is neither primary nor danger is filled with while it has the focus."""
SUNKEN: RGB = (15, 21, 42)
LINE: RGB = (47, 59, 102)
WHITE: RGB = (255, 255, 255)
INK: RGB = (10, 16, 32)
ACCENT: RGB = (55, 214, 192)
ACCENT_DEEP: RGB = (26, 166, 148)
MONEY: RGB = (255, 203, 87)
GOOD: RGB = (79, 224, 139)
BAD: RGB = (255, 107, 107)
BAD_DEEP: RGB = (240, 82, 86)
HERO: tuple[RGB, RGB, RGB] = (19, 41, 88), (22, 66, 104), (25, 84, 90)
HERO_LIGHT: RGB = (26, 91, 98)
"""No lighter anywhere than every colour of letters on it keeps 4.5 to 1."""

TEXT: dict[Color, RGB] = {
    "text": (244, 246, 255),
    "secondary": (169, 179, 214),
    "faint": (142, 152, 192),
    "accent": ACCENT,
    "money": MONEY,
    "good": GOOD,
    "bad": (255, 128, 128),
    "ink": INK,
    "warning": MONEY,
}
ON_HERO: dict[RGB, RGB] = {
    TEXT["secondary"]: (206, 214, 240),
    TEXT["faint"]: (206, 214, 240),
    TEXT["bad"]: (255, 170, 170),
    ACCENT: (96, 232, 212),
}
"""Letters that would be too dark on a hero panel are these instead."""
FILLS: dict[Fill, RGB] = {
    "panel": PANEL,
    "raised": RAISED,
    "sunken": SUNKEN,
    "hero": HERO[1],
    "bad-soft": (62, 32, 52),
    "good-soft": (24, 58, 62),
    "warning-soft": (58, 48, 48),
}
PLATES: dict[str, tuple[RGB, RGB]] = {
    "teal": ((60, 220, 198), (34, 186, 166)),
    "blue": ((122, 172, 255), (88, 142, 246)),
    "amber": ((255, 211, 106), (246, 184, 62)),
    "violet": ((190, 152, 255), (160, 118, 246)),
    "green": ((104, 232, 156), (62, 200, 120)),
    "red": ((255, 136, 136), (240, 98, 98)),
}

R_HERO, R_CARD, R_BUTTON, R_MARK = 28, 24, 20, 16
FOCUS_BORDER, FOCUS_RING = 4, 6
HALO = 1.3
"""A sign with its halo, as a multiple of its disc."""
FOCUS_SCALE, FOCUS_SCALE_WIDE = 1.05, 1.02
WIDE = 900
"""A target wider than this grows by FOCUS_SCALE_WIDE only."""
FOCUS_SECONDS, PAGE_SECONDS, DIALOG_SECONDS = 0.150, 0.280, 0.220


@dataclass(frozen=True, slots=True)
class Type:
    """One step of the type scale: size in px, weight, line height as a multiple of the size, largest growth."""

    size: int
    bold: bool
    leading: float
    most: float = 1.5


TYPES: dict[TextStyle, Type] = {
    "amount": Type(104, True, 1.14, 1.2),
    "due": Type(88, True, 1.14, 1.2),
    "display": Type(72, True, 1.2, 1.2),
    "title": Type(60, True, 1.25),
    "headline": Type(48, True, 1.25, 1.2),
    "heading": Type(44, True, 1.3),
    "price": Type(40, True, 1.3),
    "row": Type(36, False, 1.36),
    "row-bold": Type(36, True, 1.36),
    "body": Type(32, False, 1.5),
    "body-bold": Type(32, True, 1.5),
    "small": Type(28, False, 1.42),
    "caption": Type(26, False, 1.38),
    "notice": Type(28, False, 1.42, 1.25),
}


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """``a`` with ``share`` (0-1) of ``b`` in it."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def _luminance(color: RGB) -> float:
    def linear(channel: int) -> float:
        c = channel / 255
        return c / 12.92 if c <= 0.04045 else float(((c + 0.055) / 1.055) ** 2.4)

    return 0.2126 * linear(color[0]) + 0.7152 * linear(color[1]) + 0.0722 * linear(color[2])


def contrast(a: RGB, b: RGB) -> float:
    """Contrast ratio of two colours, 1.0 to 21.0 (WCAG 2.2, "contrast ratio").

    >>> round(contrast((0, 0, 0), (255, 255, 255)), 1)
    21.0
    """
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
