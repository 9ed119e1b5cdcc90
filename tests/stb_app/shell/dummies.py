"""Dummies that keep the real contracts: a stage without fonts, a clock that is moved by hand, pages made of words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pygame

from cardreader.errors import StateDamaged
from cardreader.reader import OwnCard
from stb_app.kit.clock import CHINA, FreezableClock
from stb_app.kit.nodes import Column, Node, Target, Text
from stb_app.kit.screen import Binding
from stb_app.kit.stage import Picture, PlacedTarget, PlacedText
from stb_app.shell.app import App
from stb_app.shell.catalogue import Catalogue
from stb_app.shell.focus import targets
from stb_app.shell.page import Page
from stb_app.shell.parts import Parts
from stb_app.shell.registry import Registry
from stb_app.shell.settings import SettingsFile
from stb_app.shell.sound import Sounds


class HandClock:
    """Goes only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.start = datetime(2026, 11, 21, 19, 32, 30, tzinfo=CHINA)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self) -> float:
        return self.seconds


class DummyStage:
    """Every target is a row of its own: up and down go from one enabled target to the next."""

    def __init__(self, surface: pygame.Surface | None = None) -> None:
        self.surface = surface
        self.shown: list[tuple[Picture, str]] = []
        self.scale = 1.0
        self.motion = True
        self.margin = 0.0
        self.settled = 0
        self.wake: float | None = None
        self._due = False

    @property
    def picture(self) -> Picture:
        return self.shown[-1][0]

    def show(self, picture: Picture, now: float, how: str = "same") -> None:
        self.shown.append((picture, how))
        self._due = True

    def neighbour(self, direction: str) -> str | None:
        focus = self.picture.layers[-1].focus
        keys = [target.key for target in self.targets() if target.enabled]
        if direction not in ("up", "down") or focus not in keys:
            return None
        index = keys.index(focus) + (1 if direction == "down" else -1)
        return keys[index] if 0 <= index < len(keys) else None

    def targets(self) -> tuple[PlacedTarget, ...]:
        layer = self.picture.layers[-1]
        return tuple(
            PlacedTarget(
                t.key, t.text or _words(t.child), t.enabled, (96, 54 + 90 * i, 400, 84), t.key == layer.focus
            )
            for i, t in enumerate(targets(layer.body))
        )

    def texts(self) -> tuple[PlacedText, ...]:
        found = [word for layer in self.picture.layers for word in _texts(layer.body)]
        found += [key.label for key in self.picture.foot]
        return tuple(PlacedText(word, (0, 0, 10, 10), False, 0) for word in found)

    def frame(self, now: float) -> list[pygame.Rect]:
        if not self._due:
            return []
        self._due = False
        if self.surface is not None:
            shade = sum(map(ord, self.picture.layers[-1].focus or "x")) % 200 + 20
            self.surface.fill((shade, shade, shade))
        return [pygame.Rect(0, 0, 16, 9)]

    def next_wake(self, now: float) -> float | None:
        return self.wake

    def settle(self) -> None:
        self.settled += 1

    def resize(self, surface: pygame.Surface) -> None:
        self.surface = surface
        self._due = True

    def set_text_scale(self, scale: float) -> None:
        self.scale = scale

    def set_motion(self, on: bool) -> None:
        self.motion = on

    def set_margin(self, margin: float) -> None:
        self.margin = margin


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, Text):
        yield str(node.content)
    child = getattr(node, "child", None)
    for inner in (*getattr(node, "children", ()), *([child] if child is not None else [])):
        yield from _texts(inner)


def _words(node: Node) -> str:
    return " ".join(_texts(node))


class Words(Page[Any]):
    """A page of targets whose keys are given; it remembers what happened to it."""

    id = "words"
    keys: tuple[str, ...] = ("a", "b", "c")

    def __init__(self, app: App, **params: Any) -> None:
        super().__init__(app)
        self.params = params
        self.disabled: set[str] = set()
        self.log: list[Any] = []
        self.back_is_mine = False

    def compose(self) -> Node:
        return Column(
            tuple(Target(key, Text(self.t(key)), enabled=key not in self.disabled) for key in self.keys)
        )

    def crumbs(self) -> Sequence[str]:
        return (self.id,)

    def bindings(self) -> Sequence[Binding]:
        return ()

    def state(self) -> dict[str, Any]:
        return {"log": len(self.log)}

    def on_enter(self) -> None:
        self.log.append("enter")

    def on_return(self) -> None:
        self.log.append("return")

    def on_leave(self) -> None:
        self.log.append("leave")

    def on_focus(self, key: str) -> None:
        self.log.append(("focus", key))

    def on_ok(self, key: str) -> None:
        self.log.append(("ok", key))

    def on_key(self, name: str) -> bool:
        self.log.append(("key", name))
        return name == "KEY_1"

    def on_back(self) -> bool:
        self.log.append("back")
        return self.back_is_mine


class Home(Words):
    id = "home"
    keys = ("services", "records", "settings")


class Services(Words):
    id = "services"
    keys = ("movies", "sports", "kids")


class Payment(Words):
    id = "card"
    keys = ("cancel",)
    asks_to_leave = True
    holds_idle = True

    def __init__(self, app: App, **params: Any) -> None:
        super().__init__(app, **params)
        self.back_is_mine = True


class Question(Words):
    id = "question"
    modal = True

    def __init__(self, app: App, **params: Any) -> None:
        super().__init__(app, **params)
        self.keys = tuple(key for key, _ in params["options"])
        self.default_focus = params["default"]

    def on_ok(self, key: str) -> None:
        self.app.pop(key)


class Help(Words):
    id = "help"
    keys = ()


class Tray(Words):
    id = "card-tray"
    keys = ("good",)


class DummySlot:
    """A simulated slot that knows two cards."""

    def __init__(self) -> None:
        self.profile: str | None = None
        self.pull_when: str | None = None
        self.damaged: set[str] = set()
        self.own: tuple[OwnCard, ...] = ()
        self.faults: tuple[str, ...] = ()
        self.happened: tuple[tuple[int, str], ...] = ((4, "lose@8054"),)

    def read_own(self) -> None:
        return

    def order_fault(self, fault: str) -> None:
        if "@" not in fault or fault in self.faults:
            raise ValueError(f"{fault!r} is no fault, or ordered already")
        self.faults = (*self.faults, fault)

    def forget_faults(self) -> None:
        self.faults = ()

    def insert(self, profile: str) -> None:
        if profile not in ("good", "expired", *(one.name for one in self.own)):
            raise KeyError(profile)
        if profile in self.damaged:
            raise StateDamaged(f"the state of card {profile} is damaged")
        self.profile = profile

    def pull(self) -> None:
        self.profile = None


class Television:
    """An app on dummies. Posts are kept until ``work`` or a loop takes them."""

    def __init__(
        self, *extra: type[Page[Any]], post: Any = None, settings: SettingsFile | None = None
    ) -> None:
        self.hand = HandClock()
        self.stage = DummyStage()
        self.registry = Registry()
        for screen in (Home, Services, Payment, Question, Help, Tray, *extra):
            self.registry.add(screen.id, lambda screen=screen: screen)
        self.posts: list[Callable[[], None]] = []
        self.played: list[str] = []
        self.app = App(
            Parts(
                stage=self.stage,
                registry=self.registry,
                clock=FreezableClock(self.hand),
                input_clock=self.hand,
                catalogue=Catalogue(None),
                settings_file=settings or SettingsFile(None),
                sounds=Sounds(lambda name: lambda: self.played.append(name)),
                post=post or self.posts.append,
            )
        )
        self.app.begin()
        self.app.draw()

    @property
    def top(self) -> Any:
        return self.app.navigator.top

    @property
    def focus(self) -> str | None:
        return self.stage.picture.layers[-1].focus

    def press(self, *names: str) -> None:
        """Presses keys as a calm person does, more than 300 ms apart."""
        for name in names:
            self.hand.seconds += 0.31
            self.app.key(name)
            self.app.draw()

    def go_on(self, seconds: float) -> None:
        """Lets time pass, in steps that no timer is lost in."""
        end = self.hand.seconds + seconds
        while self.hand.seconds < end:
            step = self.app.wait()
            self.hand.seconds = min(
                end, self.hand.seconds + max(0.001, step if step is not None else seconds)
            )
            self.work()

    def work(self) -> None:
        while self.posts:
            self.posts.pop(0)()
        self.app.tick()
        self.app.draw()
