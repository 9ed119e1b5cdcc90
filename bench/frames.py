"""How long pictures take, on the real pages: a frame while the focus moves, a frame of a page change; and the whole
television in an X window: start, key to picture, rest, memory.

    python -m bench.frames [WIDTHxHEIGHT]

Frames are counted in processor time of the drawing thread, with software rendering, on one core: what the picture costs,
whatever else the machine is doing. What a person waits for (start, key to picture) is counted by the clock on the wall.
Ends with {"bench": "frames", "figures": {...}}.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from time import thread_time
from typing import Any

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ["SDL_FRAMEBUFFER_ACCELERATION"] = "0"
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pygame

from bench.support import living_room
from stb_app.kit.stage import Stage
from tests.screens.data import ORDER
from tests.screens.dummies import DummyVerbs, Television

FRAME_S = 1 / 60
PAGES: dict[str, dict[str, Any]] = {
    "home": {},
    "services": {},
    "service": {"service": "sports"},
    "fee": {"order": ORDER},
    "payment-methods": {"order": ORDER},
    "records": {},
    "settings": {},
}
WALK = ("RIGHT", "DOWN", "DOWN", "DOWN", "DOWN", "LEFT", "UP", "UP", "RIGHT", "UP", "LEFT")
Figures = dict[str, float]
Frame = tuple[float, list[pygame.Rect]]
"""Seconds, and the rectangles that were drawn."""


def one_core() -> set[int]:
    """Everything on one core, as on a box; returns the cores there were."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    return cores


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


class Room:
    """The television with all its pages around answers from memory, driven frame by frame on a clock of its own."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.surface = pygame.display.set_mode(size)
        self.tv = Television(DummyVerbs(), size=size, seen=True)
        self.tv.app.change_settings(motion=True)
        self.tv.app.resize(self.surface)
        assert isinstance(self.tv.app.stage, Stage)
        self.stage = self.tv.app.stage
        self.until_still(lambda: None)

    def until_still(self, act: Callable[[], object]) -> list[Frame]:
        """Does something, and draws as the loop does until nothing changes any more; the first frame carries what was done."""
        frames: list[Frame] = []
        for turn in range(40):
            began = thread_time()
            if turn == 0:
                act()
                self.tv.app.settle()
            self.tv.app.tick()
            rects = self.tv.app.draw()
            if rects:
                pygame.display.update(rects)
                frames.append((thread_time() - began, rects))
            self.tv.clock.passed += FRAME_S
        return frames

    def open(self, screen_id: str) -> list[Frame]:
        if screen_id == "home":
            return self.until_still(self.tv.app.home)
        return self.until_still(lambda: self.tv.app.push(screen_id, **PAGES[screen_id]))

    def press(self, name: str) -> list[Frame]:
        return self.until_still(lambda: self.tv.app.key(f"KEY_{name}"))


class Bare:
    """The blits and the update that a frame needs at least: the page under it, one picture upon it, nothing else."""

    def __init__(self, surface: pygame.Surface) -> None:
        self.surface = surface
        self.page = pygame.Surface(surface.get_size(), 0, surface)
        self.top = pygame.Surface((surface.get_width(), surface.get_height() // 2), pygame.SRCALPHA)
        self.top.fill((40, 60, 110, 230))

    def frame(self, rects: Sequence[pygame.Rect]) -> float:
        """What it takes for these rectangles, in seconds."""
        began = thread_time()
        for rect in rects:
            self.surface.blit(self.page, rect, rect)
        self.surface.blit(self.top, rects[-1], ((0, 0), rects[-1].size))
        pygame.display.update(list(rects))
        return thread_time() - began


def focus_frames(room: Room, rounds: int = 6) -> Figures:
    """Frames in which the focus moves: the key's answer (page, layout, drawing, update) and the 150 ms after it."""
    took: list[float] = []
    least: list[float] = []
    bare = Bare(room.surface)
    for screen_id in PAGES:
        room.open("home")
        room.open(screen_id)
        for turn in range(rounds * len(WALK)):
            for seconds, rects in room.press(WALK[turn % len(WALK)]):
                took.append(seconds)
                least.append(bare.frame(rects))
                room.stage.repaint(rects)
            room.tv.app.draw()
    return {
        "focus_frame_median_ms": milliseconds(statistics.median(took)),
        "focus_frame_p99_ms": milliseconds(percentile(took, 0.99)),
        "focus_to_bare_ratio": round(statistics.median(took) / statistics.median(least), 2),
    }


def page_frames(room: Room, rounds: int = 5) -> Figures:
    """Frames of page changes there and back, the first with composing and layout in it; the first round on cold caches."""
    took: list[float] = []
    worst: dict[str, float] = {}
    for turn in range(rounds):
        if turn == rounds // 2:
            room.until_still(lambda: room.tv.app.set_language("en"))
        for screen_id in PAGES:
            for frames in (room.open(screen_id), room.open("home")):
                took += [seconds for seconds, _ in frames]
                worst[screen_id] = max([worst.get(screen_id, 0.0), *(seconds for seconds, _ in frames)])
    print("worst frame of a page change, ms:", {name: milliseconds(value) for name, value in worst.items()})
    return {"page_frame_p99_ms": milliseconds(percentile(took, 0.99))}


def main() -> int:
    """Measures and prints."""
    size = tuple(int(side) for side in (sys.argv[1] if len(sys.argv) > 1 else "1920x1080").split("x"))
    cores = one_core()
    pygame.display.init()
    pygame.font.init()
    room = Room((size[0], size[1]))
    figures = page_frames(room) | focus_frames(room)
    pygame.display.quit()
    os.sched_setaffinity(0, cores)
    figures |= living_room.figures()
    print(json.dumps({"bench": "frames", "figures": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
