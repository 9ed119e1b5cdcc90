"""From the pages to the picture: composed when something has changed, drawn, and told to testers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stb_app.kit.chrome import Tone
from stb_app.kit.clock import FreezableClock
from stb_app.kit.stage import Picture, TopBar
from stb_app.shell import footer, layout_check
from stb_app.shell.apology import Apology
from stb_app.shell.navigator import Entry, Navigator
from stb_app.shell.parts import StageLike

if TYPE_CHECKING:
    import pygame

    from stb_app.shell.app import App

SETTLED_S = 0.35
"""After this no page change and no focus is still moving."""
log = logging.getLogger(__name__)


class Composer:
    """Keeps the stage showing what the pages of ``navigator`` say.

    Attributes:
        dirty: something has changed since the picture was composed.
        version: grows whenever there is something else to see.
        picture: what the stage shows; None when it must be shown anew.
    """

    def __init__(self, app: App, stage: StageLike, navigator: Navigator, clock: FreezableClock) -> None:
        self._app = app
        self._stage = stage
        self._navigator = navigator
        self._clock = clock
        self.dirty = True
        self.version = 0
        self.picture: Picture | None = None
        self._moved = False
        self._shown_at = 0.0
        self._laid_out: tuple[Entry | None, frozenset[str]] = (None, frozenset())
        self._ways: tuple[str, ...] = ("KEY_UP", "KEY_DOWN")
        self._state: dict[str, Any] = {}

    def outdated(self) -> None:
        """Something else may have to be seen."""
        self.dirty = True

    def focus_moved(self) -> None:
        """The focus has moved, or a text has scrolled under it."""
        self._moved = True
        self.dirty = True

    def start_over(self) -> None:
        """Everything is shown again, also what has not changed: the same words may stand elsewhere now."""
        self.picture = None
        self.dirty = True

    def draw(self) -> list[pygame.Rect]:
        """Shows what has changed. Returns the changed rectangles of the stage's surface."""
        now = self._clock.monotonic()
        if self.dirty:
            self.compose(now)
        if self._clock.frozen:
            self._stage.settle()
        changed: list[pygame.Rect] = []
        self._drawable(lambda: changed.extend(self._stage.frame(now)))
        return changed

    def at_rest(self) -> bool:
        """Nothing is on its way from one place to another; a spinner may turn."""
        now = self._clock.monotonic()
        if self.dirty or self._clock.frozen:
            return not self.dirty
        wake = self._stage.next_wake(now)
        return wake is None or (wake > 0 and now - self._shown_at > SETTLED_S)

    def snapshot(self, layout: bool = False) -> dict[str, Any]:
        """What is to be seen, for testers: the body of screen.json; with ``layout`` also what stands badly."""
        top = self._navigator.top
        targets, texts = self._stage.targets(), self._stage.texts()
        focus, busy = self._navigator.entries[-1].focus, self._navigator.entries[-1].busy
        snapshot: dict[str, Any] = {
            "screen": top.id,
            "focus": None if busy else focus,
            "focusables": [
                {"key": t.key, "text": t.text, "enabled": t.enabled, "rect": list(t.rect)} for t in targets
            ],
            "texts": [text.text for text in texts],
            "busy": busy,
            "language": self._app.language,
            "test_mode": self._app.test_mode,
            "state": self._state,
            "version": self.version,
        }
        if layout:
            snapshot["layout"] = {
                "clipped": layout_check.clipped(texts),
                "overlapping": layout_check.overlapping(texts, targets),
            }
        return snapshot

    def compose(self, now: float) -> None:
        """Has the picture made again if it must be."""
        if not self.dirty:
            return
        for _ in range(
            3
        ):  # again when the layout moved the focus or the footer must follow it, or could not be made
            self.dirty = False
            layers = self._navigator.layers()
            how, self._navigator.change = self._navigator.change, "same"
            picture = Picture(
                self._top_bar(), layers, footer.foot(self.bindings(), self._app.t), *self._notice_line()
            )
            state = self._navigator.state()
            if picture != self.picture or state != self._state or how != "same":
                self.version += 1
                self.picture, self._state = picture, state
                if not self._drawable(lambda: self._stage.show(picture, now, how)):  # noqa: B023 - called at once
                    continue
                self._shown_at = now
            elif self._moved:
                self.version += 1
            self._moved = False
            moved, grown = self._navigator.settle_focus(), self._scrollers_changed()
            if not moved and not grown:
                break

    def _scrollers_changed(self) -> bool:
        """After a layout, which alone knows what texts have become targets and where: whether the footer was told wrong."""
        before = (self._scrollers(), self._ways)
        targets = self._stage.targets()
        found = frozenset(target.key for target in targets if target.key == target.viewport)
        self._laid_out = (self._navigator.entries[-1], found)
        self._ways = footer.arrows([target.rect for target in targets if target.enabled])
        return (found, self._ways) != before

    def _scrollers(self) -> frozenset[str]:
        """The texts of the top page that are targets because they scroll, by the last layout."""
        of, found = self._laid_out
        return found if of is self._navigator.entries[-1] else frozenset()

    def _drawable(self, draw: Callable[[], None]) -> bool:
        """Has the top page drawn. One that cannot be drawn gives way to an apology; that itself must be drawable."""
        try:
            draw()
        except Exception:
            if self._navigator.top.id == Apology.id:
                raise
            log.exception("screen %s cannot be drawn", self._navigator.top.id)
            self._navigator.give_way()
            return False
        return True

    def _top_bar(self) -> TopBar:
        who = f"{self._app.say(self._app.who[0])} · {self._app.who[1]}" if self._app.who else ""
        return TopBar(
            place=self._app.t("TV Services"),
            crumbs=self._navigator.crumbs(),
            test=self._app.t("TEST") if self._app.test_mode else None,
            who=who,
            clock=self._clock.now().strftime("%H:%M"),
        )

    def _notice_line(self) -> tuple[str | None, Tone]:
        seen = self._app.notices.seen()
        if seen is None:
            return None, "warning"
        words, tone = seen
        return words() if callable(words) else self._app.t(words), tone

    def bindings(self) -> tuple[Any, ...]:
        """What the footer offers, and the page of all keys."""
        top, scrollers = self._navigator.entries[-1], self._scrollers()
        return footer.live(
            self._navigator.bindings(),
            self._app.t,
            language=self._app.language,
            choices=0 if top.busy else self._navigator.choices() + len(scrollers),
            ways=self._ways,
            focused=top.focus is not None and not top.busy,
            scrolls=top.focus in scrollers and not top.busy,
            at_home=top.screen.id == "home",
            holds=self._navigator.asks_to_leave(),
            modal=top.screen.modal,
            tray=self._app.slot is not None,
        )
