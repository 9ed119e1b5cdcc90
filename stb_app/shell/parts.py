"""What a television is put together from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stb_app.kit.clock import Clock, FreezableClock
from stb_app.kit.stage import Picture, PlacedTarget, PlacedText
from stb_app.shell.catalogue import Catalogue
from stb_app.shell.keys import Direction
from stb_app.shell.navigator import Change
from stb_app.shell.registry import Registry
from stb_app.shell.settings import SettingsFile
from stb_app.shell.sound import Sounds

if TYPE_CHECKING:
    import pygame


class StageLike(Protocol):
    """What the television asks of ``stb_app.kit.stage.Stage``."""

    def show(self, picture: Picture, now: float, how: Change = "same") -> None: ...
    def neighbour(self, direction: Direction) -> str | None: ...
    def targets(self) -> tuple[PlacedTarget, ...]: ...
    def texts(self) -> tuple[PlacedText, ...]: ...
    def frame(self, now: float) -> list[pygame.Rect]: ...
    def next_wake(self, now: float) -> float | None: ...
    def settle(self) -> None: ...
    def resize(self, surface: pygame.Surface) -> None: ...
    def set_text_scale(self, scale: float) -> None: ...
    def set_motion(self, on: bool) -> None: ...
    def set_margin(self, margin: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts, made and not yet used.

    ``post`` hands a call to the drawing thread, from any thread. ``input_clock`` measures key presses and
    never stands still.
    """

    stage: StageLike
    registry: Registry
    clock: FreezableClock
    input_clock: Clock
    catalogue: Catalogue
    settings_file: SettingsFile
    sounds: Sounds
    post: Callable[[Callable[[], None]], None]
