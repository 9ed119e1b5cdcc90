"""The television around its screens:
language, settings, timers, journeys, and the keys that work everywhere.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from stb_app.journeys.base import Journey
from stb_app.kit.chrome import Tone
from stb_app.kit.clock import Clock, FreezableClock
from stb_app.kit.screen import Screen
from stb_app.kit.stage import Picture, PlacedTarget, PlacedText, TopBar
from stb_app.shell import footer, layout_check, words
from stb_app.shell.apology import Apology
from stb_app.shell.catalogue import Catalogue
from stb_app.shell.idle import IdleWatch
from stb_app.shell.keys import Direction, Typematic
from stb_app.shell.navigator import Change, Entry, Navigator
from stb_app.shell.notices import Notices
from stb_app.shell.page import Page
from stb_app.shell.registry import Registry
from stb_app.shell.running import Running
from stb_app.shell.settings import Settings, SettingsFile, checked
from stb_app.shell.sound import Sounds
from stb_app.shell.timers import Timer, Timers
from stb_app.shell.worker import Worker

if TYPE_CHECKING:
    import pygame

    from cardreader.reader import SimulatedSlot

LONG_LIST = 12
"""A page with more targets than this speeds up for a key that is held."""
SETTLED_S = 0.35
"""After this no page change and no focus is still moving."""
KeyState = Literal["down", "up", "press", "repeat"]
log = logging.getLogger(__name__)


def N_(msgid: str) -> str:
    """Marks a message that is translated when it is shown."""
    return msgid


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
    """What a television is put together from.

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


class App:
    """One television. Every method on the drawing thread; other threads go through ``post``.

    Attributes:
        verbs: what a subscriber can do (``journeys.verbs.Verbs``); None until the connection is set up.
        facts: what the about page tells: version, box_number, subscriber, tsp, reader; what is not known is
        missing.
        slot: the simulated card slot, None with a real reader, and until ``slot_known`` is set.
        test_mode: the money is not real; the TEST mark shows.
        quit_wanted: somebody switched the program off.
        version: grows whenever there is something else to see.
    """

    def __init__(self, parts: Parts, *, test_mode: bool = False) -> None:
        self._parts = parts
        self.stage = parts.stage
        self.clock = parts.clock
        self.post = parts.post
        self.verbs: Any = None
        self.facts: dict[str, str] = {}
        self.slot: SimulatedSlot | None = None
        self.slot_known = threading.Event()
        self.test_mode = test_mode
        self.quit_wanted = False
        self.version = 0
        self.timers = Timers(parts.clock)
        self.navigator = Navigator(self, parts.stage, parts.input_clock)
        self._typematic = Typematic()
        self._who: tuple[Mapping[str, str], str] | None = None
        self._notices = Notices(self.timers, self._outdated)
        self._dirty = True
        self._moved = False
        self._shown_at = 0.0
        self._picture: Picture | None = None
        self._laid_out: tuple[Entry | None, frozenset[str]] = (None, frozenset())
        self._ways: tuple[str, ...] = ("KEY_UP", "KEY_DOWN")
        self._state: dict[str, Any] = {}
        self._journeys: list[Running] = []
        self._last_profile: str | None = None
        self._warned = 0
        self._worker = Worker(lambda: self.post(self._job_failed))
        self._settings, problem = parts.settings_file.load()
        self._apply(self._settings)
        if problem:
            log.warning("settings: %s", problem)
            self.notice("The stored settings could not be read; the usual ones are in force.", seconds=30)

    def begin(self) -> None:
        """Opens the home page and starts the clock in the top bar and the watch for an empty sofa."""
        self.idle = IdleWatch(self.timers, self.clock, self)
        self.navigator.start()
        self._next_minute()

    # What screens ask (kit.screen.Host, and more)

    @property
    def language(self) -> str:
        return self._settings.language

    @property
    def settings(self) -> Settings:
        return self._settings

    def t(self, msgid: str) -> str:
        """``msgid`` (English) in the subscriber's language."""
        return self._parts.catalogue.text(msgid, self._settings.language)

    def say(self, text: Mapping[str, str]) -> str:
        """A server's TEXT in the subscriber's language."""
        return words.say(text, self._settings.language)

    def refresh(self) -> None:
        """The page on whose behalf this is called, or else the top one, must be composed again."""
        owner = self.navigator.owner
        if owner is not None:
            owner.body = None
        self._dirty = True

    def redraw(self) -> None:
        """The focus has moved, or a text has scrolled under it."""
        self._moved = True
        self._dirty = True

    def refresh_all(self) -> None:
        """Every page must be composed again."""
        self.navigator.outdated()
        self._dirty = True

    def connected(self, verbs: Any) -> None:
        """There is a connection, for the first time or again: pages that wait for one ask now."""
        self.verbs = verbs
        for entry in self.navigator.entries:
            if isinstance(entry.screen, Page):
                self.navigator.run(entry, entry.screen.on_connected)
        self.refresh_all()

    def push(self, screen_id: str, on_result: Callable[[Any], None] | None = None, **params: Any) -> None:
        self.navigator.push(screen_id, on_result, params)
        self._typematic.clear()

    def replace(self, screen_id: str, **params: Any) -> None:
        self.navigator.replace(screen_id, params)
        self._typematic.clear()

    def pop(self, result: Any = None) -> None:
        self.navigator.pop(result)
        self._typematic.clear()

    def home(self) -> None:
        self.navigator.go_home()
        self._typematic.clear()

    def focus(self, key: str) -> None:
        """Moves the focus of the calling screen to ``key``."""
        self.navigator.set_focus(key)

    def sound(self, name: str) -> None:
        self._parts.sounds.play(name)

    def set_language(self, language: str) -> None:
        self.change_settings(language=language)

    def change_settings(self, **changes: Any) -> None:
        """Puts choices in force everywhere at once and stores them.

        Raises ValueError for an unknown name or value.
        """
        settings = checked(self._settings, changes)
        if settings == self._settings:
            return
        pages = self.navigator.entries
        if settings.language != self._settings.language and pages and pages[-1].screen.id == "help":
            self.pop()  # its words are those of the page below, as they were
        self._settings = settings
        self._apply(settings)
        self._worker.do(lambda: self._parts.settings_file.save(settings))
        self._picture = None  # the same words may stand elsewhere now
        self.refresh_all()

    def start(self, journey: Journey[Any], on_step: Callable[[Any], None]) -> Running:
        """Runs a journey on a thread of its own; ``on_step`` gets its steps on the drawing thread while the
        calling screen is there.

        Steps for a screen that has been closed are dropped; the journey goes on unless its screen cancels it
        on leaving.
        """
        return self._start(self.navigator.owner, journey, on_step)

    def _start(self, owner: Entry | None, journey: Journey[Any], on_step: Callable[[Any], None]) -> Running:
        def deliver(step: Any) -> None:
            self.post(lambda: self._run_for(owner, on_step, step))

        running = Running(journey, deliver, lambda: self.post(self._journey_failed))
        self._journeys = [other for other in self._journeys if not other.over] + [running]
        return running

    def start_beside(self, journey: Journey[Any], on_step: Callable[[Any], None]) -> Running:
        """Like ``start``, for a journey that belongs to no screen."""
        return self._start(None, journey, on_step)

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Calls ``action`` once, on the drawing thread, unless the calling screen has been closed by then."""
        owner = self.navigator.owner
        return self.timers.after(seconds, lambda: self._run_for(owner, action), owner)

    def every(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Calls ``action`` every ``seconds`` until the calling screen is closed."""
        owner = self.navigator.owner
        return self.timers.every(seconds, lambda: self._run_for(owner, action), owner)

    def notice(
        self, msgid: str, tone: Tone = "warning", seconds: float | None = None, about: str = ""
    ) -> None:
        """A line above the footer, in the subscriber's language; it stays ``seconds``, or until ``clear_notice``.

        The last one told is seen, and after it again the one before that was told ``about`` something else.
        What an open page says itself (``Page.says``) is not seen as long as it does.
        """
        self._notices.tell(about, msgid, tone, seconds)

    def says_of(self, payment: str) -> bool:
        """Whether an open page tells how this payment ends."""
        return f"payment:{payment}" in self._said()

    def _said(self) -> frozenset[str]:
        """What the open pages say themselves."""
        pages = (entry.screen for entry in self.navigator.entries)
        return frozenset().union(*(page.says() for page in pages if isinstance(page, Page)))

    def clear_notice(self, about: str = "") -> None:
        self._notices.clear(about)

    def identify(self, name: Mapping[str, str], number: str) -> None:
        """Whose television it is; shown in the top bar."""
        self._who = (name, number)
        self._dirty = True

    def insert_card(self, profile: str) -> None:
        """Puts a simulated card in, beside the picture. Nothing without a simulated slot."""
        slot = self.slot
        if slot is not None:
            self._last_profile = profile
            self._worker.do(lambda: slot.insert(profile))
            self._worker.do(lambda: self.post(self.refresh_all))

    def pull_card(self) -> None:
        """Pulls the simulated card out, beside the picture."""
        slot = self.slot
        if slot is not None:
            self._last_profile = slot.profile or self._last_profile
            self._worker.do(slot.pull)
            self._worker.do(lambda: self.post(self.refresh_all))

    def switch_off(self) -> None:
        """Ends the program."""
        self.quit_wanted = True

    # Keys

    def key(self, name: str, state: KeyState = "press") -> bool:
        """A key of the remote control, from the root down. True if it was used."""
        if state == "up":
            self._typematic.up(name)
            return True
        if state == "down":
            self._typematic.down(name, self._parts.input_clock.monotonic())
        if self._dirty:
            # Several keys may come between two pictures; each must find the page that the one before it made.
            self._compose(self.clock.monotonic())
        if self.idle.key():
            self._typematic.clear()
            return True
        if state != "repeat" and self._everywhere(name):
            return True
        before = self.navigator.top
        used = self.navigator.key(name, repeat=state == "repeat")
        if self.navigator.top is not before:
            self._typematic.clear()
        return used

    def release_keys(self) -> None:
        """The window has lost its keyboard."""
        self._typematic.clear()

    def _everywhere(self, name: str) -> bool:
        """The keys that the television takes for itself, whatever page is there."""
        match name:
            case "KEY_LANGUAGE":
                self.set_language("en" if self.language == "zh" else "zh")
            case "KEY_HOME":
                self._leave(self.home)
            case "KEY_POWER":
                self._leave(self.ask_to_leave)
            case "KEY_INFO" if self.navigator.top.id != "help":
                self.push("help", bindings=self._bindings())
            case "KEY_BLUE" if self.slot is not None and self.navigator.top.id != "card-tray":
                self.push("card-tray")
            case "KEY_F5" if self.slot is not None:
                if self.slot.profile is None:
                    self.insert_card(self._last_profile or "good")
                else:
                    self.pull_card()
            case _:
                return False
        return True

    def _leave(self, go: Callable[[], None]) -> None:
        """While a payment holds the television, leaving is Back: the payment asks its own question."""
        if self.navigator.holds():
            self.navigator.key("KEY_BACK")
        else:
            go()

    # What the navigator asks

    def make(self, screen_id: str, params: dict[str, Any]) -> Screen[Any]:
        return self._parts.registry.get(screen_id)(self, **params)

    def apology(self, screen_id: str) -> Screen[Any]:
        return Apology(self, failed=screen_id)

    def closed(self, entry: Entry) -> None:
        self.timers.drop(entry)

    def ask_to_leave(self) -> None:
        """Whether to switch the program off; staying is the default."""
        if self.navigator.top.id == "question":
            return
        self.push(
            "question",
            lambda answer: self.switch_off() if answer == "off" else None,
            sign="question",
            title=N_("Switch off?"),
            text=N_("TV Services will be closed."),
            options=(("stay", N_("Stay")), ("off", N_("Switch off"))),
            default="stay",
            countdown=None,
        )

    # What the idle watch asks

    def may_idle(self) -> bool:
        return not self.navigator.at_home() and not self.navigator.holds()

    def warn(self, seconds: int, over: Callable[[], None]) -> None:
        self._warned = len(self.navigator.entries)
        self.push(
            "question",
            lambda _answer: over(),
            sign="question",
            title=N_("Are you still there?"),
            text=N_("The home page opens by itself. Press any key to stay here."),
            options=(("stay", N_("Stay here")),),
            default="stay",
            countdown=seconds,
        )

    def end_warning(self) -> None:
        if len(self.navigator.entries) > self._warned:
            self.pop("stay")

    # What the loop asks

    def tick(self) -> None:
        """Runs what is due: repeats of a held key, timers."""
        repeated = self._typematic.due(
            self._parts.input_clock.monotonic(), lambda: self.navigator.choices() > LONG_LIST
        )
        if repeated is not None:
            self.key(repeated, "repeat")
        for timer in self.timers.due():
            if timer.live:
                timer.action()

    def draw(self) -> list[pygame.Rect]:
        """Shows what has changed. Returns the changed rectangles of the stage's surface."""
        now = self.clock.monotonic()
        if self._dirty:
            self._compose(now)
        if self.clock.frozen:
            self.stage.settle()
        changed: list[pygame.Rect] = []
        self._drawable(lambda: changed.extend(self.stage.frame(now)))
        return changed

    def at_rest(self) -> bool:
        """Nothing is on its way from one place to another; a spinner may turn."""
        now = self.clock.monotonic()
        if self._dirty or self.clock.frozen:
            return not self._dirty
        wake = self.stage.next_wake(now)
        return wake is None or (wake > 0 and now - self._shown_at > SETTLED_S)

    def wait(self) -> float | None:
        """Seconds until something is due by itself, None when only an event can bring news."""
        if self._dirty:
            return 0.0
        times = [self._typematic.wait(self._parts.input_clock.monotonic())]
        if not self.clock.frozen:
            times += [self.timers.wait(), self.stage.next_wake(self.clock.monotonic())]
        return min((seconds for seconds in times if seconds is not None), default=None)

    def resize(self, surface: pygame.Surface) -> None:
        """There is another surface to draw on, of another size perhaps; everything is drawn again."""
        self.stage.resize(surface)
        self._picture = None
        self._dirty = True

    def screen_ids(self) -> tuple[str, ...]:
        """Every page that is installed."""
        return tuple(self._parts.registry)

    def warm(self, screen_id: str) -> None:
        """Imports a page before it is wanted.

        One that cannot be imported is reported now and apologises later.
        """
        try:
            self._parts.registry.get(screen_id)
        except Exception:
            log.exception("screen %s cannot be imported", screen_id)

    def freeze(self, at: datetime | None = None) -> None:
        """Stops clock, countdowns and animations; the picture is finished at once."""
        self.clock.freeze(at)
        self.refresh_all()

    def thaw(self) -> None:
        self.clock.thaw()
        self.refresh_all()

    def snapshot(self, layout: bool = False) -> dict[str, Any]:
        """What is to be seen, for testers: the body of screen.json; with ``layout`` also what stands badly."""
        top = self.navigator.top
        targets, texts = self.stage.targets(), self.stage.texts()
        focus, busy = self.navigator.entries[-1].focus, self.navigator.entries[-1].busy
        snapshot: dict[str, Any] = {
            "screen": top.id,
            "focus": None if busy else focus,
            "focusables": [
                {"key": t.key, "text": t.text, "enabled": t.enabled, "rect": list(t.rect)} for t in targets
            ],
            "texts": [text.text for text in texts],
            "busy": busy,
            "language": self.language,
            "test_mode": self.test_mode,
            "state": self._state,
            "version": self.version,
        }
        if layout:
            snapshot["layout"] = {
                "clipped": layout_check.clipped(texts),
                "overlapping": layout_check.overlapping(texts, targets),
            }
        return snapshot

    def close(self, timeout: float) -> None:
        """The program ends: journeys are asked to stop and get ``timeout`` seconds; settings reach the disk."""
        for running in self._journeys:
            running.cancel()
        clock = self._parts.input_clock
        until = clock.monotonic() + timeout
        for running in self._journeys:
            running.join(max(0.0, until - clock.monotonic()))
        self._worker.close(timeout)

    # Inside

    def _compose(self, now: float) -> None:
        for _ in range(
            3
        ):  # again when the layout moved the focus or the footer must follow it, or could not be made
            self._dirty = False
            layers = self.navigator.layers()
            how, self.navigator.change = self.navigator.change, "same"
            picture = Picture(
                self._top_bar(), layers, footer.foot(self._bindings(), self.t), *self._notice_line()
            )
            state = self.navigator.state()
            if picture != self._picture or state != self._state or how != "same":
                self.version += 1
                self._picture, self._state = picture, state
                if not self._drawable(lambda: self.stage.show(picture, now, how)):  # noqa: B023 - called at once
                    continue
                self._shown_at = now
            elif self._moved:
                self.version += 1
            self._moved = False
            moved, grown = self.navigator.settle_focus(), self._scrollers_changed()
            if not moved and not grown:
                break

    def _scrollers_changed(self) -> bool:
        """After a layout, which alone knows what texts have become targets and where: whether the footer was told wrong."""
        before = (self._scrollers(), self._ways)
        targets = self.stage.targets()
        found = frozenset(target.key for target in targets if target.key == target.viewport)
        self._laid_out = (self.navigator.entries[-1], found)
        self._ways = footer.arrows([target.rect for target in targets if target.enabled])
        return (found, self._ways) != before

    def _scrollers(self) -> frozenset[str]:
        """The texts of the top page that are targets because they scroll, by the last layout."""
        of, found = self._laid_out
        return found if of is self.navigator.entries[-1] else frozenset()

    def _drawable(self, draw: Callable[[], None]) -> bool:
        """Has the top page drawn. One that cannot be drawn gives way to an apology; that itself must be drawable."""
        try:
            draw()
        except Exception:
            if self.navigator.top.id == Apology.id:
                raise
            log.exception("screen %s cannot be drawn", self.navigator.top.id)
            self.navigator.give_way()
            return False
        return True

    def _top_bar(self) -> TopBar:
        who = f"{self.say(self._who[0])} · {self._who[1]}" if self._who else ""
        return TopBar(
            place=self.t("TV Services"),
            crumbs=self.navigator.crumbs(),
            test=self.t("TEST") if self.test_mode else None,
            who=who,
            clock=self.clock.now().strftime("%H:%M"),
        )

    def _notice_line(self) -> tuple[str | None, Tone]:
        seen = self._notices.seen(self._said())
        return (self.t(seen[0]), seen[1]) if seen else (None, "warning")

    def _bindings(self) -> tuple[Any, ...]:
        top, scrollers = self.navigator.entries[-1], self._scrollers()
        return footer.live(
            self.navigator.bindings(),
            self.t,
            language=self.language,
            choices=0 if top.busy else self.navigator.choices() + len(scrollers),
            ways=self._ways,
            focused=top.focus is not None and not top.busy,
            scrolls=top.focus in scrollers and not top.busy,
            at_home=top.screen.id == "home",
            modal=top.screen.modal,
            tray=self.slot is not None,
        )

    def _apply(self, settings: Settings) -> None:
        self.stage.set_text_scale(settings.text_scale / 100)
        self.stage.set_motion(settings.motion)
        self.stage.set_margin(settings.margin / 100)
        self._parts.sounds.on = settings.sound

    def _run_for(self, owner: Entry | None, action: Callable[..., Any], *args: Any) -> None:
        if owner is None:
            action(*args)
        else:
            self.navigator.run(owner, action, *args)

    def _outdated(self) -> None:
        self._dirty = True

    def _next_minute(self) -> None:
        self._dirty = True
        self.timers.after(
            60.0 - self.clock.now().second - self.clock.now().microsecond / 1e6, self._next_minute
        )

    def _journey_failed(self) -> None:
        self.notice(
            "Something went wrong in the background. The payment records say how a payment ended.",
            seconds=20,
        )

    def _job_failed(self) -> None:
        self.notice("That could not be stored.", seconds=10)
