"""The contract of a screen: an id, bindings as data, a default focus, and a typed result for whoever pushed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from stb_app.kit.nodes import Node

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Binding:
    """A key that does something here. The footer and the INFO page are made from these.

    ``keys`` are KEY_ names that mean the same (arrows: all four in one binding); ``action`` is called with the name of the key
    and may be None for what the navigator does itself (moving the focus, OK on a target, Back).
    """

    keys: tuple[str, ...]
    label: str
    action: Callable[[str], None] | None = None
    footer: bool = True


class Host(Protocol):
    """What a screen may ask of the program around it. All of it on the drawing thread."""

    language: str

    def refresh(self) -> None:
        """The top screen's state changed: compose it again."""

    def push(self, screen_id: str, on_result: Callable[[Any], None] | None = None, **params: Any) -> None:
        """Opens a screen above this one; ``on_result`` gets what it is popped with (None for Back)."""

    def replace(self, screen_id: str, **params: Any) -> None:
        """Puts a screen in the place of the top one; whoever pushed that one now waits for this one."""

    def pop(self, result: Any = None) -> None:
        """Closes the top screen and hands ``result`` to whoever pushed it."""

    def home(self) -> None:
        """Closes everything above the home page."""

    def sound(self, name: str) -> None:
        """Plays ``key``, ``error``, ``card`` or ``paid``; silence when sound is off or missing."""


class Screen(Generic[R]):
    """Base of all screens. It draws and asks, decides nothing, does no I/O.

    ``compose`` is a pure function of the screen's state. The loop calls every method on the drawing thread.
    """

    id: ClassVar[str]
    modal: ClassVar[bool] = False
    """Drawn as a dialog over the dimmed screen below."""
    asks_to_leave: bool = False
    """A payment is under way: Home and Power are what Back is here, which asks first."""
    holds_idle: bool = False
    """While it is on top the television neither goes home by itself nor warns of it (payments and their results)."""
    guard_s: ClassVar[float] = 0.0
    """It comes by itself, when the last keys were meant for the page before: none counts until it has been seen this long."""
    default_focus: str | None = None
    """Key of the target that has the focus when the screen opens; None is the first enabled one."""
    busy: bool = False
    """Nothing can be pressed just now; the screen says what is going on."""

    def compose(self) -> Node:
        """The body of the page, between top bar and footer."""
        raise NotImplementedError

    def crumbs(self) -> Sequence[str]:
        """Where am I: the words behind the mark in the top bar."""
        return ()

    def bindings(self) -> Sequence[Binding]:
        """What the keys do here, besides moving and OK. The first are the most important."""
        return ()

    def state(self) -> dict[str, Any]:
        """What a tester sees in screen.json under ``state``. Never a PIN."""
        return {}

    def on_enter(self) -> None:
        """It has come on top for the first time: start what it needs."""

    def on_return(self) -> None:
        """It is on top again because the screen above was closed."""

    def on_leave(self) -> None:
        """It is being closed: stop what it started."""

    def on_focus(self, key: str) -> None:
        """The focus moved to this target."""

    def on_ok(self, key: str) -> None:
        """OK on this target."""

    def on_key(self, name: str) -> bool:
        """A key that no binding and no navigation took, e.g. a digit. True if it was used."""
        return False

    def on_back(self) -> bool:
        """Back. True if the screen dealt with it; False lets the navigator close the screen."""
        return False
