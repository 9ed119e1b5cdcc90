"""How long pictures take: a frame while the focus moves, a frame of a page change, and the memory of it all.

    python -m bench.frames [WIDTHxHEIGHT]

Software rendering on one core. Ends with {"bench": "frames", "figures": {...}}.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ["SDL_FRAMEBUFFER_ACCELERATION"] = "0"
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pygame

from stb_app.kit.spatial import Direction
from stb_app.kit.stage import Picture, Stage
from tests.stb_app.kit import samples

FRAME = 1 / 60
_WALK: tuple[Direction, ...] = (
    "right",
    "down",
    "down",
    "down",
    "down",
    "left",
    "up",
    "up",
    "right",
    "up",
    "left",
)
Figures = dict[str, float]


def one_core() -> None:
    """Everything on one core, as on a box."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


class Screen:
    """A stage on a window, driven frame by frame on a clock of its own."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.surface = pygame.display.set_mode(size)
        self.stage = Stage(self.surface)
        self.now = 1.0

    def frame(self) -> tuple[float, list[pygame.Rect]]:
        """One frame as the loop does it; returns what it took and what it drew."""
        start = time.perf_counter()
        rects = self.stage.frame(self.now)
        if rects:
            pygame.display.update(rects)
        took = time.perf_counter() - start
        self.now += FRAME
        return took, rects

    def until_still(self) -> list[tuple[float, list[pygame.Rect]]]:
        """Frames until nothing moves that ends by itself."""
        frames = []
        for _ in range(40):
            frames.append(self.frame())
        return [frame for frame in frames if frame[1]]


def move(picture: Picture, key: str) -> Picture:
    """The same picture with the focus elsewhere in its top layer."""
    return replace(picture, layers=(*picture.layers[:-1], replace(picture.layers[-1], focus=key)))


class Bare:
    """The blits and the update that a frame needs at least: the page under it, one picture upon it, nothing else."""

    def __init__(self, surface: pygame.Surface) -> None:
        self.surface = surface
        self.page = pygame.Surface(surface.get_size(), 0, surface)
        self.top = pygame.Surface((surface.get_width(), surface.get_height() // 2), pygame.SRCALPHA)
        self.top.fill((40, 60, 110, 230))

    def frame(self, rects: Sequence[pygame.Rect]) -> float:
        """What it takes for these rectangles, in seconds."""
        start = time.perf_counter()
        for rect in rects:
            self.surface.blit(self.page, rect, rect)
        self.surface.blit(self.top, rects[-1], ((0, 0), rects[-1].size))
        pygame.display.update(list(rects))
        return time.perf_counter() - start


def focus_frames(screen: Screen, rounds: int = 12) -> Figures:
    """Frames in which the focus moves: the key's answer (layout, drawing, update) and the 150 ms after it."""
    took: list[float] = []
    least: list[float] = []
    bare = Bare(screen.surface)
    for name in ("home", "service", "records"):
        picture = samples.picture(name)
        screen.stage.show(picture, screen.now)
        screen.until_still()
        for turn in range(rounds * len(_WALK)):
            direction = _WALK[turn % len(_WALK)]
            start = time.perf_counter()
            key = screen.stage.neighbour(direction)
            if key is None:
                continue
            picture = move(picture, key)
            screen.stage.show(picture, screen.now)
            answered = time.perf_counter() - start
            for index, (seconds, rects) in enumerate(screen.until_still()):
                took.append(seconds + (answered if index == 0 else 0.0))
                least.append(bare.frame(rects))
                screen.stage.repaint(rects)
                screen.stage.frame(screen.now)
    return {
        "focus_frame_median_ms": milliseconds(statistics.median(took)),
        "focus_frame_p99_ms": milliseconds(percentile(took, 0.99)),
        "focus_to_bare_ratio": round(statistics.median(took) / statistics.median(least), 2),
    }


def page_frames(screen: Screen, rounds: int = 4) -> Figures:
    """Frames of page changes, the first with the layout in it; the first round on cold caches."""
    took: list[float] = []
    worst: dict[str, float] = {}
    for turn in range(rounds):
        for name in (*samples.NAMES, "records"):
            for language in ("zh", "en"):
                start = time.perf_counter()
                screen.stage.show(samples.picture(name, language), screen.now, "push" if turn % 2 else "pop")
                laid = time.perf_counter() - start
                for index, (seconds, _) in enumerate(screen.until_still()):
                    took.append(seconds + (laid if index == 0 else 0.0))
                    worst[name] = max(worst.get(name, 0), took[-1])
    print("worst frame of a page change, ms:", {name: milliseconds(value) for name, value in worst.items()})
    return {"page_frame_p99_ms": milliseconds(percentile(took, 0.99))}


def memory_mb() -> float:
    """Resident memory of this process."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


PARTS: tuple[Callable[[Screen], Figures], ...] = (page_frames, focus_frames)


def main() -> int:
    """Measures and prints."""
    one_core()
    width, height = (int(side) for side in (sys.argv[1] if len(sys.argv) > 1 else "1920x1080").split("x"))
    start = time.perf_counter()
    pygame.display.init()
    screen = Screen((width, height))
    screen.stage.show(samples.picture("home"), screen.now)
    screen.frame()
    print(f"window and first picture: {milliseconds(time.perf_counter() - start)} ms")
    figures: Figures = {}
    for part in PARTS:
        figures |= part(screen)
    figures["memory_mb"] = memory_mb()
    print(json.dumps({"bench": "frames", "figures": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
