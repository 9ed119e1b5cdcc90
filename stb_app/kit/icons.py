"""Our own line drawings: strokes of one weight with round ends on a grid of 24, drawn large and scaled down.

A drawing is a line of words: ``M x y`` starts a stroke, ``L x y`` goes on straight, ``C`` six numbers go on along a cubic
curve, ``Z`` closes it; ``O x y r`` is a circle, ``A x y r from to`` an arc (degrees, clockwise from three o'clock),
``R x y w h r`` a rounded rectangle, ``D x y r`` a filled dot, ``P`` before a closed stroke fills it.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pygame

from stb_app.kit.fonts import ByteCache
from stb_app.kit.theme import RGB

GRID = 24.0
STROKE = 1.9
_OVER = 4
_CACHE_BYTES = 1_500_000

ICONS: dict[str, str] = {
    "tv": "R 2.5 4 19 12.5 2.6 M 12 16.5 L 12 20 M 7.5 20.2 L 16.5 20.2",
    "movies": "R 3 4 18 16 2.6 M 7.5 4 L 7.5 20 M 16.5 4 L 16.5 20 M 3 9.3 L 7.5 9.3 M 3 14.7 L 7.5 14.7 M 16.5 9.3 L 21 9.3 "
    "M 16.5 14.7 L 21 14.7",
    "sports": "O 12 12 9 M 12 8 L 15.8 10.8 L 14.4 15.2 L 9.6 15.2 L 8.2 10.8 Z M 12 8 L 12 3.2 M 15.8 10.8 L 20.5 9.3 "
    "M 14.4 15.2 L 17.2 19.2 M 9.6 15.2 L 6.8 19.2 M 8.2 10.8 L 3.5 9.3",
    "kids": "O 12 13 7.6 A 5.2 6.6 2.7 100 350 A 18.8 6.6 2.7 190 440 D 9.3 11.8 1.15 D 14.7 11.8 1.15 A 12 13.6 3 25 155",
    "music": "O 6.4 17.6 2.9 O 17.6 15.6 2.9 M 9.3 17.6 L 9.3 6 L 20.5 3.8 L 20.5 15.6",
    "news": "R 3 4.5 15 15.5 2.4 M 18 9 L 19.2 9 C 20.3 9 21 9.7 21 10.8 L 21 17.8 C 21 19.1 20.1 20 18.8 20 L 15.6 20 "
    "M 6.6 8.6 L 14.4 8.6 M 6.6 12.4 L 14.4 12.4 M 6.6 16 L 11.4 16",
    "games": "M 7.4 6.8 L 16.6 6.8 C 19.6 6.8 21 9.2 21.6 13 C 22.2 17 20.9 19 19 19 C 17.2 19 16.4 15.8 14.8 15.8 "
    "L 9.2 15.8 C 7.6 15.8 6.8 19 5 19 C 3.1 19 1.8 17 2.4 13 C 3 9.2 4.4 6.8 7.4 6.8 Z M 8 9.6 L 8 13 M 6.3 11.3 L 9.7 11.3 "
    "D 15.2 12.6 1.15 D 17.5 10.1 1.15",
    "learning": "M 12 4.5 L 22 9.2 L 12 13.9 L 2 9.2 Z M 6 11.2 L 6 16 C 6 17.6 9 19.4 12 19.4 C 15 19.4 18 17.6 18 16 L 18 11.2 "
    "M 22 9.2 L 22 14.8",
    "life": "M 4 20 C 3 11 8.5 4 20.4 3.8 C 20.8 14.5 15 20 7 17.4 M 4 20 C 5.6 15.6 8.8 12 13.4 9.8",
    "documentary": "O 12 12 9 M 3 12 L 21 12 M 12 3 C 15 5.6 16.2 8.6 16.2 12 C 16.2 15.4 15 18.4 12 21 "
    "M 12 3 C 9 5.6 7.8 8.6 7.8 12 C 7.8 15.4 9 18.4 12 21",
    "drama": "M 4.2 4.6 C 9 6.4 15 6.4 19.8 4.6 L 19.8 11.4 C 19.8 16 16.6 19.4 12 21 C 7.4 19.4 4.2 16 4.2 11.4 Z "
    "A 8.6 11 1.5 200 340 A 15.4 11 1.5 200 340 A 12 13.6 3.4 25 155",
    "opera": "R 8.6 2.6 6.8 11.4 3.4 M 5 11 C 5 15.6 7.8 17.8 12 17.8 C 16.2 17.8 19 15.6 19 11 M 12 17.8 L 12 21.4 M 8.4 21.4 L 15.6 21.4",
    "health": "M 12 20.4 C 6.4 16.4 2.8 13 2.8 8.8 C 2.8 5.8 5 3.9 7.5 3.9 C 9.4 3.9 11.1 4.9 12 6.6 C 12.9 4.9 14.6 3.9 16.5 3.9 "
    "C 19 3.9 21.2 5.8 21.2 8.8 C 21.2 13 17.6 16.4 12 20.4 Z M 6.2 11.4 L 9.4 11.4 L 11 8.8 L 13.2 13.8 L 14.6 11.4 L 17.8 11.4",
    "card": "R 2.5 5 19 14 2.8 M 2.5 9.6 L 21.5 9.6 M 6.2 14.8 L 10.2 14.8",
    "qr": "R 3 3 7 7 1.6 R 14 3 7 7 1.6 R 3 14 7 7 1.6 M 14 14 L 14 17 M 14 14 L 16.6 14 M 20.9 14 L 20.9 17.4 L 17.6 17.4 "
    "M 14 20.9 L 17 20.9 M 20.9 20.9 L 20.9 20.9",
    "wallet": "M 18.4 7.4 L 18.4 5.8 C 18.4 4.4 17.4 3.6 16.2 3.6 L 5.4 3.6 C 4 3.6 3 4.4 3 5.6 C 3 6.8 4 7.4 5.4 7.4 L 18.6 7.4 "
    "C 20 7.4 21 8.4 21 9.8 L 21 18 C 21 19.4 20 20.4 18.6 20.4 L 5.4 20.4 C 4 20.4 3 19.4 3 18 L 3 5.6 D 16.8 13.9 1.35",
    "records": "M 9.2 6 L 20.5 6 M 9.2 12 L 20.5 12 M 9.2 18 L 16.4 18 D 4.4 6 1.35 D 4.4 12 1.35 D 4.4 18 1.35",
    "settings": "O 12 12 3.1 M 12 2.6 L 12 5.6 M 12 18.4 L 12 21.4 M 2.6 12 L 5.6 12 M 18.4 12 L 21.4 12 M 5.35 5.35 L 7.5 7.5 "
    "M 16.5 16.5 L 18.65 18.65 M 5.35 18.65 L 7.5 16.5 M 16.5 7.5 L 18.65 5.35",
    "info": "O 12 12 9 M 12 11.2 L 12 16.6 D 12 7.6 1.3",
    "language": "M 2.8 5.8 L 13.2 5.8 M 8 3.2 L 8 5.8 M 11 5.8 C 10.4 10 7.4 13 3.4 14.6 M 5.2 9 C 6.4 11.6 8.8 13.4 11.6 14.2 "
    "M 11.4 20.8 L 16.2 10.4 L 21 20.8 M 13 17.4 L 19.4 17.4",
    "text-size": "M 2.4 19 L 8.2 4.8 L 14 19 M 4.4 14.2 L 12 14.2 M 15.4 19 L 18.7 10.8 L 22 19 M 16.5 16.3 L 20.9 16.3",
    "sound": "M 3 9.4 L 6.6 9.4 L 11.4 5 L 11.4 19 L 6.6 14.6 L 3 14.6 Z A 12 12 4 -38 38 A 12 12 8 -42 42",
    "motion": "O 15.6 12 5.8 M 2.6 7.6 L 8 7.6 M 1.8 12 L 6.2 12 M 2.6 16.4 L 8 16.4",
    "frame": "M 3.4 8 L 3.4 5.8 C 3.4 4.4 4.4 3.8 5.6 3.8 L 8 3.8 M 16 3.8 L 18.4 3.8 C 19.8 3.8 20.6 4.6 20.6 5.8 L 20.6 8 "
    "M 20.6 16 L 20.6 18.2 C 20.6 19.6 19.6 20.2 18.4 20.2 L 16 20.2 M 8 20.2 L 5.6 20.2 C 4.2 20.2 3.4 19.4 3.4 18.2 L 3.4 16 "
    "R 8 8.6 8 6.8 1.4",
    "check": "M 4.6 12.8 L 9.6 17.8 L 19.6 6.8",
    "cross": "M 6 6 L 18 18 M 18 6 L 6 18",
    "clock": "O 12 12 9 M 12 6.8 L 12 12 L 15.6 14.2",
    "question": "M 8 8.6 C 8 6 9.8 4.4 12.1 4.4 C 14.5 4.4 16.2 6 16.2 8.2 C 16.2 11.2 12.1 11.4 12.1 14.8 D 12.1 19.2 1.45",
    "warning": "M 12 3.8 L 21.6 20 L 2.4 20 Z M 12 9.8 L 12 14 D 12 16.9 1.25",
    "arrow-right": "M 4 12 L 20 12 M 13.4 5.4 L 20 12 L 13.4 18.6",
    "arrow-left": "M 20 12 L 4 12 M 10.6 5.4 L 4 12 L 10.6 18.6",
    "arrow-up": "M 12 20 L 12 4 M 5.4 10.6 L 12 4 L 18.6 10.6",
    "arrow-down": "M 12 4 L 12 20 M 5.4 13.4 L 12 20 L 18.6 13.4",
    "back": "M 8.6 4.6 L 3.4 9.6 L 8.6 14.6 M 3.4 9.6 L 15 9.6 C 18.2 9.6 20.6 11.8 20.6 14.6 C 20.6 17.4 18.2 19.6 15 19.6 L 9.4 19.6",
    "user": "O 12 8 4.2 M 3.8 20.6 C 4.6 16.6 8 14.9 12 14.9 C 16 14.9 19.4 16.6 20.2 20.6",
    "phone": "R 6.5 2.5 11 19 2.6 M 10.6 18 L 13.4 18",
    "unplugged": "M 2 12 L 6 12 M 6 7.6 L 6 16.4 C 9 16.4 10.6 14.6 10.6 12 C 10.6 9.4 9 7.6 6 7.6 M 10.4 10.2 L 13 10.2 M 10.4 13.8 L 13 13.8 "
    "M 22 12 L 18.6 12 M 18.6 7.6 L 18.6 16.4 L 15.6 16.4 L 15.6 7.6 Z M 11.6 5.4 L 10.6 3 M 14.6 5.4 L 15.6 3",
    "phone-check": "R 4.5 2.5 11 19 2.6 M 8.6 18 L 11.4 18 M 11.2 10.6 L 14.4 13.8 L 21.4 6.4",
    "lock": "R 4.5 10.4 15 10.6 2.6 M 7.8 10.4 L 7.8 7.4 C 7.8 4.8 9.6 3 12 3 C 14.4 3 16.2 4.8 16.2 7.4 L 16.2 10.4 M 12 14.6 L 12 16.8",
    "receipt": "M 5 21 L 5 4.6 C 5 3.7 5.7 3 6.6 3 L 17.4 3 C 18.3 3 19 3.7 19 4.6 L 19 21 L 16.7 19.4 L 14.3 21 L 12 19.4 "
    "L 9.7 21 L 7.3 19.4 Z M 8.8 8 L 15.2 8 M 8.8 12 L 15.2 12",
    "refresh": "A 12 12 8.4 -160 -20 A 12 12 8.4 20 160 M 20.4 4.4 L 20 9 L 15.4 8.7 M 3.6 19.6 L 4 15 L 8.6 15.3",
    "star": "M 12 3 L 14.8 8.8 L 21.2 9.7 L 16.6 14.1 L 17.7 20.4 L 12 17.4 L 6.3 20.4 L 7.4 14.1 L 2.8 9.7 L 9.2 8.8 Z",
    "remote": "R 7.5 2.5 9 19 3 O 12 7.6 2 D 10.2 13 0.95 D 13.8 13 0.95 D 10.2 16.6 0.95 D 13.8 16.6 0.95",
    "chip": "R 5.4 5.4 13.2 13.2 2.4 R 9.4 9.4 5.2 5.2 1 M 9 2.4 L 9 5.4 M 15 2.4 L 15 5.4 M 9 18.6 L 9 21.6 M 15 18.6 L 15 21.6 "
    "M 2.4 9 L 5.4 9 M 2.4 15 L 5.4 15 M 18.6 9 L 21.6 9 M 18.6 15 L 21.6 15",
    "gift": "R 3 8 18 4.4 1.4 M 4.8 12.4 L 4.8 18.8 C 4.8 20 5.6 20.8 6.8 20.8 L 17.2 20.8 C 18.4 20.8 19.2 20 19.2 18.8 L 19.2 12.4 "
    "M 12 8 L 12 20.8 M 12 8 C 8.4 8 6.4 6.9 6.4 5.2 C 6.4 3.9 7.3 3.1 8.5 3.1 C 10.4 3.1 11.5 5.2 12 8 "
    "C 12.5 5.2 13.6 3.1 15.5 3.1 C 16.7 3.1 17.6 3.9 17.6 5.2 C 17.6 6.9 15.6 8 12 8",
    "home": "M 3 11.4 L 12 3.6 L 21 11.4 M 5.4 9.6 L 5.4 18.4 C 5.4 19.8 6.2 20.6 7.6 20.6 L 16.4 20.6 C 17.8 20.6 18.6 19.8 18.6 18.4 "
    "L 18.6 9.6 M 9.8 20.4 L 9.8 14.4 L 14.2 14.4 L 14.2 20.4",
    "bolt": "M 13.4 2.6 L 4.4 13.6 L 11 13.6 L 10.2 21.4 L 19.6 10 L 12.8 10 Z",
    # What the footer's caps show: filled, without a shaft.
    "cap-left": "P M 16.5 5 L 6.5 12 L 16.5 19 Z",
    "cap-right": "P M 7.5 5 L 17.5 12 L 7.5 19 Z",
    "cap-up": "P M 5 16.5 L 12 6.5 L 19 16.5 Z",
    "cap-down": "P M 5 7.5 L 12 17.5 L 19 7.5 Z",
    "chevron": "M 9 5.5 L 15.5 12 L 9 18.5",
}
"""Every drawing by name."""

Point = tuple[float, float]
_cache = ByteCache(_CACHE_BYTES)


def forget() -> None:
    """Drops everything kept."""
    _cache.clear()


def _curve(a: Point, b: Point, c: Point, d: Point) -> list[Point]:
    points = []
    for step in range(1, 17):
        t = step / 16
        u = 1 - t
        k = (u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t)
        points.append(
            (
                k[0] * a[0] + k[1] * b[0] + k[2] * c[0] + k[3] * d[0],
                k[0] * a[1] + k[1] * b[1] + k[2] * c[1] + k[3] * d[1],
            )
        )
    return points


def _arc(x: float, y: float, r: float, start: float, end: float) -> list[Point]:
    count = max(6, int(abs(end - start) / 6))
    angles = [math.radians(start + (end - start) * i / count) for i in range(count + 1)]
    return [(x + r * math.cos(a), y + r * math.sin(a)) for a in angles]


def _rounded(x: float, y: float, w: float, h: float, r: float) -> list[Point]:
    return [
        *_arc(x + w - r, y + r, r, -90, 0),
        *_arc(x + w - r, y + h - r, r, 0, 90),
        *_arc(x + r, y + h - r, r, 90, 180),
        *_arc(x + r, y + r, r, 180, 270),
        (x + w - r, y),
    ]


def strokes(drawing: str) -> tuple[list[list[Point]], list[tuple[Point, float]], list[list[Point]]]:
    """A drawing's strokes as points, its dots (centre, radius) and its filled outlines, in the grid of 24."""
    words = drawing.split()
    lines: list[list[Point]] = []
    dots: list[tuple[Point, float]] = []
    filled: list[list[Point]] = []
    solid = False
    at = 0

    def numbers(count: int) -> list[float]:
        nonlocal at
        found = [float(word) for word in words[at : at + count]]
        at += count
        return found

    while at < len(words):
        word = words[at]
        at += 1
        if word == "M":
            x, y = numbers(2)
            lines.append([(x, y)])
        elif word == "L":
            x, y = numbers(2)
            lines[-1].append((x, y))
        elif word == "C":
            n = numbers(6)
            lines[-1].extend(_curve(lines[-1][-1], (n[0], n[1]), (n[2], n[3]), (n[4], n[5])))
        elif word == "Z":
            lines[-1].append(lines[-1][0])
            if solid:
                filled.append(list(lines[-1]))
                solid = False
        elif word == "O":
            x, y, r = numbers(3)
            lines.append(_arc(x, y, r, 0, 360))
        elif word == "A":
            x, y, r, start, end = numbers(5)
            lines.append(_arc(x, y, r, start, end))
        elif word == "R":
            x, y, w, h, r = numbers(5)
            lines.append(_rounded(x, y, w, h, r))
        elif word == "D":
            x, y, r = numbers(3)
            dots.append(((x, y), r))
        elif word == "P":
            solid = True
        else:
            raise ValueError(f"{word!r} is no word of a drawing")
    return lines, dots, filled


def _thick(surface: pygame.Surface, points: list[Point], radius: float) -> None:
    color = (255, 255, 255, 255)
    for (ax, ay), (bx, by) in pairwise(points):
        length = math.hypot(bx - ax, by - ay)
        if length:
            nx, ny = -(by - ay) / length * radius, (bx - ax) / length * radius
            quad = [(ax + nx, ay + ny), (bx + nx, by + ny), (bx - nx, by - ny), (ax - nx, ay - ny)]
            pygame.draw.polygon(surface, color, quad)
    for x, y in points:
        pygame.draw.circle(surface, color, (x, y), radius)


def mask(name: str, size: int, stroke: float = STROKE) -> pygame.Surface:
    """The drawing in white on nothing, ``size`` device pixels square."""
    key = (name, size, stroke)
    found = _cache.get(key)
    if found is not None:
        return found
    over = _OVER if size < 200 else 2
    large = size * over
    unit = large / GRID
    canvas = pygame.Surface((large, large), pygame.SRCALPHA)
    canvas.fill((255, 255, 255, 0))
    lines, dots, filled = strokes(ICONS[name])
    for outline in filled:
        pygame.draw.polygon(canvas, (255, 255, 255, 255), [(x * unit, y * unit) for x, y in outline])
    for line in lines:
        _thick(canvas, [(x * unit, y * unit) for x, y in line], stroke * unit / 2)
    for (x, y), r in dots:
        pygame.draw.circle(canvas, (255, 255, 255, 255), (x * unit, y * unit), r * unit)
    return _cache.put(key, pygame.transform.smoothscale(canvas, (size, size)))


def draw(name: str, size: int, color: RGB, alpha: int = 255, stroke: float = STROKE) -> pygame.Surface:
    """The drawing in a colour; kept."""
    key = (name, size, color, alpha, stroke)
    found = _cache.get(key)
    if found is not None:
        return found
    tinted = mask(name, size, stroke).copy()
    tinted.fill((*color, alpha), special_flags=pygame.BLEND_RGBA_MULT)
    return _cache.put(key, tinted)
