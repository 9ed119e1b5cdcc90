"""The screen stack: who is on top, where the focus is, what a key does, who waits for which result.

Keys are captured from the root down (the program's own keys, in ``app``) and then handled here from the leaf
up: the focused target, the groups around it, the screen's bindings, ``on_key`` and ``on_back``, and last the
navigator.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from stb_app.kit.clock import Clock
from stb_app.kit.nodes import Column, Node
from stb_app.kit.screen import Binding, Screen
from stb_app.kit.stage import Layer, PlacedTarget
from stb_app.shell.focus import place, targets, texts
from stb_app.shell.keys import DIGITS, DIRECTIONS, Direction

OK_GUARD_S = 0.3
"""A second OK within this time is a double press, not an answer to the page that has just opened.

Keys are timed when the box comes to them: a busy box sees two presses of a calm person close together. An OK on what
the focus was moved to in between is meant, however close.
"""
Change = Literal["same", "push", "pop", "dialog", "fade"]
OnResult = Callable[[Any], None]
_NOTHING: Node = Column(())
log = logging.getLogger(__name__)


class Eyes(Protocol):
    """What the navigator asks the stage."""

    def neighbour(self, direction: Direction) -> str | None: ...
    def targets(self) -> tuple[PlacedTarget, ...]: ...


class Around(Protocol):
    """What the navigator asks the program around it."""

    def make(self, screen_id: str, params: dict[str, Any]) -> Screen[Any]:
        """A new screen; raises whatever its import or constructor raises."""

    def apology(self, screen_id: str) -> Screen[Any]:
        """The page that stands in for a screen that failed."""

    def refresh(self) -> None:
        """The owner's page must be composed again."""

    def redraw(self) -> None:
        """Only the focus has changed."""

    def closed(self, entry: Entry) -> None:
        """The screen of this entry is gone; so are its timers and steps."""

    def ask_to_leave(self) -> None:
        """Back on the home page."""

    def sound(self, name: str) -> None: ...


@dataclass(eq=False, slots=True)
class Entry:
    """A screen on the stack, and what the navigator remembers of it."""

    on_result: OnResult | None = None
    opener: Entry | None = None
    screen: Screen[Any] = field(init=False)
    body: Node | None = None
    focus: str | None = None
    index: int = 0
    """The focus's place in the order of targets, for when its target goes."""
    told: str | None = None
    """The focus that the screen was told last."""
    busy: bool = False
    """As the screen said when it was composed last."""
    seen_at: float | None = None
    """When it was drawn for the first time."""


class Navigator:
    """The stack of one television. Everything on the drawing thread."""

    def __init__(self, around: Around, eyes: Eyes, clock: Clock, home: str = "home") -> None:
        """``clock`` measures presses and must never stand still."""
        self._around = around
        self._eyes = eyes
        self._clock = clock
        self._home = home
        self._stack: list[Entry] = []
        self._acting: list[Entry] = []
        self._last_ok = float("-inf")
        self._last_ok_on: tuple[Entry | None, str | None] = (None, None)
        self.change: Change = "same"
        """How the next picture follows from the last; the one who draws it sets it back."""

    # Who is there

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._stack)

    @property
    def top(self) -> Screen[Any]:
        return self._stack[-1].screen

    @property
    def owner(self) -> Entry | None:
        """On whose behalf code runs just now: the screen whose callback this is, else the top one."""
        return self._acting[-1] if self._acting else self._stack[-1] if self._stack else None

    def holds(self) -> bool:
        """Whether some screen on the stack must not be left by itself (a payment)."""
        return any(entry.screen.holds_idle for entry in self._stack)

    def asks_to_leave(self) -> bool:
        """Whether some screen on the stack asks before it is left (a payment under way)."""
        return any(entry.screen.asks_to_leave for entry in self._stack)

    def at_home(self) -> bool:
        return len(self._stack) == 1

    # Moving about

    def start(self) -> None:
        """Opens the home page, anew if need be."""
        while self._stack:
            self._close(self._stack.pop())
        self._open(self._home, {}, Entry())
        self.change = "fade"

    def push(self, screen_id: str, on_result: OnResult | None, params: dict[str, Any]) -> None:
        self._clear_above_owner()
        self._open(screen_id, params, Entry(on_result, self._stack[-1]))
        self.change = "dialog" if self.top.modal else "push"

    def replace(self, screen_id: str, params: dict[str, Any]) -> None:
        self._clear_above_owner()
        old = self._stack.pop()
        self._close(old)
        self._open(screen_id, params, Entry(old.on_result, old.opener))
        self.change = "push"

    def pop(self, result: Any = None) -> None:
        """Closes the owner's screen (and what stands above it);
        the home page cannot be closed, a page that stands in for it is.
        """
        self._clear_above_owner()
        if len(self._stack) == 1:
            if self.top.id != self._home:
                self.start()
            return
        entry = self._stack.pop()
        self._close(entry)
        below = self._stack[-1]
        below.body = None
        self.change = "fade" if entry.screen.modal else "pop"
        self.run(below, below.screen.on_return)
        if entry.on_result is not None and entry.opener in self._stack:
            self.run(below, entry.on_result, result)
        self._around.refresh()

    def uncover(self) -> None:
        """Closes what stands above the owner's screen; nobody gets an answer."""
        if self._stack[-1] is not self.owner:
            self._clear_above_owner()
            self.change = "fade"
            self._around.refresh()

    def go_home(self) -> None:
        if self.at_home() and self.top.id == self._home:
            return
        while len(self._stack) > 1:
            self._close(self._stack.pop())
        self.change = "pop"
        if self.top.id != self._home:
            self.start()
            return
        self._stack[0].body = None
        self.run(self._stack[0], self.top.on_return)
        self._around.refresh()

    def set_focus(self, key: str) -> None:
        """Puts the owner's focus on ``key``, if that is there when the page is next composed."""
        owner = self.owner
        if owner is not None:
            owner.focus = key
            owner.body = None
            self._around.refresh()

    # Callbacks

    def run(self, entry: Entry, action: Callable[..., Any], *args: Any) -> Any:
        """Calls a screen's code on behalf of its entry. Nothing happens when the entry has gone.

        A screen that lets an exception out is reported and gives way to an apology; the television goes on.
        """
        if entry not in self._stack:
            return None
        with self._on_behalf(entry):
            try:
                return action(*args)
            except Exception:
                log.exception("screen %s failed", entry.screen.id)
                self._give_way(entry)
                return None

    def give_way(self) -> None:
        """The top screen cannot be drawn: an apology takes its place."""
        self._give_way(self._stack[-1])

    # The picture

    def layers(self) -> tuple[Layer, ...]:
        """The page and the dialogs above it, composed where they are out of date."""
        while True:
            first = next(
                i for i in reversed(range(len(self._stack))) if i == 0 or not self._stack[i].screen.modal
            )
            shown = self._stack[first:]
            bodies = [self._compose(entry) for entry in shown]
            # Composing may have thrown a failed screen off the stack.
            if shown == self._stack[first:] and all(body is not None for body in bodies):
                break
        return tuple(
            Layer(
                e.screen.id,
                body or _NOTHING,
                None if e.screen.busy else e.focus,
                e.screen.modal,
                e.screen.busy,
            )
            for e, body in zip(shown, bodies, strict=True)
        )

    def outdated(self) -> None:
        """Every page must be composed again (another language, another state)."""
        for entry in self._stack:
            entry.body = None

    def settle_focus(self) -> bool:
        """After a layout: True when the focus had to move, so that the picture must be shown again.

        Only the layout knows whether a scrolling text has become a target.
        """
        entry = self._stack[-1]
        offered = tuple((t.key, t.enabled) for t in self._eyes.targets())
        if entry.busy or any(key == entry.focus for key, _ in offered):
            return False
        found = place(entry.focus, entry.index, None, offered)
        if found is None:
            return False
        self._focus(entry, found, offered)
        return True

    # Keys

    def key(self, name: str, repeat: bool = False) -> bool:
        """Handles a press from the leaf up. True if somebody used it."""
        entry = self._stack[-1]
        if name != "KEY_OK":
            self._last_ok_on = (None, None)
        elif self._double(repeat):
            return False
        if entry.busy and (name == "KEY_OK" or name in DIRECTIONS or name in DIGITS):
            return False
        if name == "KEY_OK" and entry.focus is not None and not self._reading(entry):
            self._around.sound("key")
            self.run(entry, entry.screen.on_ok, entry.focus)
            self._around.refresh()
            return True
        if self._bound(entry, name):
            return True
        if name in DIRECTIONS and self._move(entry, DIRECTIONS[name]):
            return True
        if self.run(entry, entry.screen.on_key, name):
            self._around.refresh()
            return True
        if name == "KEY_BACK":
            self._back(entry)
            return True
        return False

    def leave(self) -> None:
        """Goes one level up as Back does, past what the page's bindings make of that key (a digit less, a smaller code)."""
        self._last_ok_on = (None, None)
        self._back(self._stack[-1])

    def seen(self) -> None:
        """The page on top is in the picture."""
        entry = self._stack[-1]
        if entry.seen_at is None:
            entry.seen_at = self._clock.monotonic()

    def guarded_for(self) -> float:
        """Seconds until keys count on the page on top; what is pressed before was meant for another one."""
        entry = self._stack[-1]
        if entry.seen_at is None:
            return entry.screen.guard_s
        return max(0.0, entry.seen_at + entry.screen.guard_s - self._clock.monotonic())

    def bindings(self) -> tuple[Binding, ...]:
        """The top screen's own bindings."""
        entry = self._stack[-1]
        return tuple(self.run(entry, entry.screen.bindings) or ())

    def crumbs(self) -> tuple[str, ...]:
        """Where we are, in the words of the page (of the one below, when a dialog is on top)."""
        page = next((e for e in reversed(self._stack) if not e.screen.modal), self._stack[0])
        return tuple(self.run(page, page.screen.crumbs) or ())

    def state(self) -> dict[str, Any]:
        """What the top screen tells testers."""
        entry = self._stack[-1]
        return dict(self.run(entry, entry.screen.state) or {})

    def choices(self) -> int:
        """How many targets there are to choose from."""
        return sum(1 for target in targets(self._stack[-1].body or _NOTHING) if target.enabled)

    def _reading(self, entry: Entry) -> bool:
        """The focus is on a text that scrolls, and the page has no use of its own for OK there: nothing to press."""
        reads = any(t.key == entry.focus == t.viewport for t in self._eyes.targets())
        return reads and not any("KEY_OK" in binding.keys for binding in self.bindings())

    def _double(self, repeat: bool) -> bool:
        now = self._clock.monotonic()
        double = repeat or now - self._last_ok < OK_GUARD_S
        if not double:
            self._last_ok = now
            self._last_ok_on = (self._stack[-1], self._stack[-1].focus)
        return double

    def mean(self) -> None:
        """The next key is meant for what is there now, however soon it comes; a double press stays one.

        For testers, who see at once what has opened and press faster than people.
        """
        entry = self._stack[-1]
        entry.seen_at = self._clock.monotonic() - entry.screen.guard_s
        if self._last_ok_on != (entry, entry.focus):
            self._last_ok = float("-inf")

    def _bound(self, entry: Entry, name: str) -> bool:
        for binding in self.bindings():
            if name in binding.keys and binding.action is not None:
                self.run(entry, binding.action, name)
                self._around.refresh()
                return True
        return False

    def _move(self, entry: Entry, direction: Direction) -> bool:
        found = self._eyes.neighbour(direction)
        if found is None:
            return False
        if found != entry.focus:
            self._around.sound("key")
            self._focus(entry, found, self._offered(entry))
            self._last_ok = float("-inf")
        self._around.redraw()
        return True

    def _back(self, entry: Entry) -> None:
        if self.run(entry, entry.screen.on_back):
            self._around.refresh()
        elif entry not in self._stack:
            return  # it failed, or closed itself
        elif len(self._stack) > 1:
            self.pop()
        elif self.top.id == self._home:
            self._around.ask_to_leave()
        else:
            self.start()

    # Inside

    def _open(self, screen_id: str, params: dict[str, Any], entry: Entry) -> None:
        self._stack.append(entry)
        with self._on_behalf(entry):
            try:
                entry.screen = self._around.make(screen_id, params)
            except Exception:
                log.exception("screen %s cannot be opened", screen_id)
                entry.screen = self._around.apology(screen_id)
        self.run(entry, entry.screen.on_enter)
        self._around.refresh()

    def _close(self, entry: Entry) -> None:
        """The entry is off the stack already, so that nothing its screen does on leaving can reach another."""
        self._last_ok_on = (None, None)
        try:
            entry.screen.on_leave()
        except Exception:
            log.exception("screen %s failed on leaving", entry.screen.id)
        self._around.closed(entry)

    def _give_way(self, entry: Entry) -> None:
        """Puts an apology in the place of a failed screen; dialogs above it are closed."""
        if entry not in self._stack:
            return
        at = self._stack.index(entry)
        while len(self._stack) > at:
            self._close(self._stack.pop())
        stand_in = Entry(entry.on_result, entry.opener)
        stand_in.screen = self._around.apology(entry.screen.id)
        self._stack.append(stand_in)
        self.change = "fade"
        self._around.refresh()

    def _clear_above_owner(self) -> None:
        """What stands above the screen on whose behalf we act (a question, the help page) goes when that
        screen moves on.
        """
        owner = self.owner
        while owner is not None and owner in self._stack and self._stack[-1] is not owner:
            self._close(self._stack.pop())

    def _compose(self, entry: Entry) -> Node | None:
        if entry.body is None:
            composed = self.run(entry, _look, entry.screen)
            if composed is None:
                return None
            entry.body, entry.busy, default = composed
            offered = self._offered(entry)
            if not entry.busy and offered and entry.focus not in set(texts(entry.body)):
                found = place(entry.focus, entry.index, default, offered)
                if found is not None:
                    self._focus(entry, found, offered)
                else:
                    entry.focus = None
        return entry.body

    def _offered(self, entry: Entry) -> tuple[tuple[str, bool], ...]:
        return tuple((target.key, target.enabled) for target in targets(entry.body or _NOTHING))

    def _focus(self, entry: Entry, key: str, offered: tuple[tuple[str, bool], ...]) -> None:
        entry.focus = key
        entry.index = next((i for i, (name, _) in enumerate(offered) if name == key), entry.index)
        if entry.told != key:
            entry.told = key
            self.run(entry, entry.screen.on_focus, key)

    @contextmanager
    def _on_behalf(self, entry: Entry) -> Iterator[None]:
        self._acting.append(entry)
        try:
            yield
        finally:
            self._acting.pop()


def _look(screen: Screen[Any]) -> tuple[Node, bool, str | None]:
    """What a screen says of itself for one picture."""
    return screen.compose(), screen.busy, screen.default_focus
