"""Finds screens by their id, through the entry-point group, and imports each when it is first wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any

from stb_app.kit.screen import Screen

GROUP = "stb_app.screens"
ScreenFactory = Callable[..., Screen[Any]]
log = logging.getLogger(__name__)


class NoSuchScreen(LookupError):
    """No installed part of the program offers a screen of this id."""


class Registry:
    """Screen id -> what makes it."""

    def __init__(self) -> None:
        self._loaders: dict[str, Callable[[], ScreenFactory]] = {}
        self._loaded: dict[str, ScreenFactory] = {}

    @classmethod
    def installed(cls) -> Registry:
        """Every screen that an installed distribution declares.

        Of two for one id the first stays and the other is reported.
        """
        registry, found = cls(), dict[str, str]()
        for point in entry_points(group=GROUP):
            if found.setdefault(point.name, point.value) != point.value:
                log.warning("screen %s is declared twice; %s is left out", point.name, point.value)
            elif point.name not in registry:
                registry.add(point.name, point.load)
        return registry

    def add(self, screen_id: str, load: Callable[[], ScreenFactory]) -> None:
        """Declares a screen; ``load`` is called when it is first wanted."""
        self._loaders[screen_id] = load

    def get(self, screen_id: str) -> ScreenFactory:
        """What makes the screen. Raises NoSuchScreen, or whatever its import raises."""
        if screen_id not in self._loaded:
            if screen_id not in self._loaders:
                raise NoSuchScreen(f"no screen {screen_id!r} is installed")
            self._loaded[screen_id] = self._loaders[screen_id]()
        return self._loaded[screen_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __contains__(self, screen_id: str) -> bool:
        return screen_id in self._loaders
