"""The television around its screens: what pages may ask for, keys, language, settings, timers, journeys.

What it is made of is in ``parts``; how pages become a picture, in ``composer``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from cardreader.errors import ProtocolError, StateDamaged
from stb_app.journeys.base import Journey
from stb_app.kit.chrome import Tone
from stb_app.kit.screen import Screen
from stb_app.shell import words
from stb_app.shell.apology import Apology
from stb_app.shell.composer import Composer
from stb_app.shell.everywhere import everywhere
from stb_app.shell.idle import IdleWatch
from stb_app.shell.keys import Typematic
from stb_app.shell.navigator import Entry, Navigator
from stb_app.shell.notices import Notices, Words
from stb_app.shell.page import Page
from stb_app.shell.parts import Parts
from stb_app.shell.questions import Questions
from stb_app.shell.running import Running
from stb_app.shell.settings import Settings, checked
from stb_app.shell.timers import Timer, Timers
from stb_app.shell.worker import Worker

if TYPE_CHECKING:
    import pygame

    from cardreader.reader import SimulatedSlot

LONG_LIST = 12
"""A page with more targets than this speeds up for a key that is held."""
KeyState = Literal["down", "up", "press", "repeat"]
log = logging.getLogger(__name__)


class App:
    """One television. Every method on the drawing thread; other threads go through ``post``.

    Attributes:
        verbs: what a subscriber can do (``journeys.verbs.Verbs``); None until the connection is set up.
        facts: what the about page tells: version, box_number, subscriber, tsp, reader; and the hotline. What is
        not known is missing.
        slot: the simulated card slot, None with a real reader, and until ``slot_known`` is set.
        test_mode: the money is not real; the TEST mark shows.
        quit_wanted: somebody switched the program off.
        who: whose television it is, name and number; None until it is known.
        notices: what is told above the footer.
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
        self.timers = Timers(parts.clock)
        self.navigator = Navigator(self, parts.stage, parts.input_clock)
        self._typematic = Typematic()
        self.who: tuple[Mapping[str, str], str] | None = None
        self._composer = Composer(self, parts.stage, self.navigator, parts.clock)
        self.notices = Notices(self.timers, self._composer.outdated, self.navigator.holds)
        self._journeys: list[Running] = []
        self._last_profile = "good"
        self._questions = Questions(self)
        self._worker = Worker(lambda: self.post(self._job_failed))
        self._settings, problem = parts.settings_file.load()
        self._apply(self._settings)
        if problem:
            log.warning("settings: %s", problem)
            self.notice("The stored settings could not be read; the usual ones are in force.", seconds=30)

    def begin(self) -> None:
        """Opens the home page and starts the clock in the top bar and the watch for an empty sofa."""
        self.idle = IdleWatch(self.timers, self.clock, self._questions)
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
        self._composer.outdated()

    def redraw(self) -> None:
        """The focus has moved, or a text has scrolled under it."""
        self._composer.focus_moved()

    def refresh_all(self) -> None:
        """Every page must be composed again."""
        self.navigator.outdated()
        self._composer.outdated()

    def connected(self, verbs: Any) -> None:
        """There is a connection, for the first time or again: pages that wait for one ask now."""
        self.verbs = verbs
        self._tell_pages(lambda page: page.on_connected())
        self.refresh_all()

    def settled(self) -> None:
        """An earlier payment is known better than before: pages that say what was paid ask anew."""
        self._tell_pages(lambda page: page.on_settled())

    def push(self, screen_id: str, on_result: Callable[[Any], None] | None = None, **params: Any) -> None:
        self.navigator.push(screen_id, on_result, params)
        self._typematic.clear()

    def replace(self, screen_id: str, **params: Any) -> None:
        self.navigator.replace(screen_id, params)
        self._typematic.clear()

    def pop(self, result: Any = None) -> None:
        self.navigator.pop(result)
        self._typematic.clear()

    def uncover(self) -> None:
        """Closes what stands above the calling screen (a question that has lost its sense)."""
        self.navigator.uncover()
        self._typematic.clear()

    def home(self) -> None:
        self.navigator.go_home()
        self._typematic.clear()

    def focus(self, key: str) -> None:
        """Moves the focus of the calling screen to ``key``."""
        self.navigator.set_focus(key)

    @property
    def focused(self) -> str | None:
        """Where the focus of the calling screen is; also on a text that scrolls."""
        owner = self.navigator.owner
        return None if owner is None else owner.focus

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
        self._composer.start_over()
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
        self,
        words: Words,
        tone: Tone = "warning",
        seconds: float | None = None,
        about: str = "",
        waits: bool = False,
    ) -> None:
        """A line above the footer, in the subscriber's language; it stays ``seconds``, or until ``clear_notice``.

        The last one told is seen, and after it again the one before that was told ``about`` something else.

        Args:
            words: a msgid (English), or what says it in the language that is in force by then.
            waits: it is not seen beside a page that stays by itself (a payment, its result), and its ``seconds`` do not end there.
        """
        self.notices.tell(about, words, tone, seconds, waits)

    def clear_notice(self, about: str = "") -> None:
        self.notices.clear(about)

    def identify(self, name: Mapping[str, str], number: str) -> None:
        """Whose television it is; shown in the top bar."""
        self.who = (name, number)
        self._composer.outdated()

    def insert_card(self, profile: str | None = None) -> None:
        """Puts a simulated card in, beside the picture: the one of last time again, if none is named.

        Nothing without a simulated slot.
        """
        slot = self.slot
        if slot is not None:
            chosen = self._last_profile = profile or self._last_profile

            def insert() -> None:
                try:
                    slot.insert(chosen)
                except ProtocolError as damaged:
                    log.warning("%s", damaged)
                    state = isinstance(damaged, StateDamaged)
                    self.post(lambda: self.card_damaged(state))

            self._worker.do(insert)
            self._worker.do(lambda: self.post(self.refresh_all))

    def card_damaged(self, state: bool) -> None:
        """Tells that a simulated card has not been put in: for what it has kept, or for the file that describes it."""
        if state:
            self.notice("This card cannot be used: its stored state is damaged.", seconds=30)
        else:
            self.notice("This card cannot be used: its file does not describe a card.", seconds=30)

    def read_own_cards(self) -> None:
        """Reads the files of a tester's own simulated cards again, beside the picture."""
        slot = self.slot
        if slot is not None and slot.own:
            self._worker.do(slot.read_own)
            self._worker.do(lambda: self.post(self.refresh_all))

    def pull_card(self) -> None:
        """Pulls the simulated card out, beside the picture."""
        slot = self.slot
        if slot is not None:
            self._last_profile = slot.profile or self._last_profile
            self._worker.do(slot.pull)
            self._worker.do(lambda: self.post(self.refresh_all))

    def order_fault(self, fault: str) -> None:
        """Orders a fault of the simulated card (``SimulatedSlot.order_fault``), beside the picture."""
        slot = self.slot
        if slot is not None:

            def order() -> None:
                try:
                    slot.order_fault(fault)
                except ValueError:  # only one that is ordered already: pages order none that is no fault
                    self.post(
                        lambda: self.notice("This fault is ordered already. It happens once.", seconds=6)
                    )

            self._worker.do(order)
            self._worker.do(lambda: self.post(self.refresh_all))

    def forget_faults(self) -> None:
        """None of the faults that were ordered will happen."""
        slot = self.slot
        if slot is not None:
            self._worker.do(slot.forget_faults)
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
        # Several keys may come between two pictures; each must find the page that the one before it made.
        self._composer.compose(self.clock.monotonic())
        if self.idle.key():
            self._typematic.clear()
            return True
        if self.navigator.guarded_for() > 0:
            return False
        if state != "repeat" and everywhere(self, name):
            return True
        before = self.navigator.top
        used = self.navigator.key(name, repeat=state == "repeat")
        if self.navigator.top is not before:
            self._typematic.clear()
        return used

    def press(self, name: str) -> bool:
        """A key of somebody who means what is shown now: see ``Navigator.mean``. True if it was used."""
        self._composer.compose(self.clock.monotonic())
        self.navigator.mean()
        return self.key(name)

    def release_keys(self) -> None:
        """The window has lost its keyboard."""
        self._typematic.clear()

    # What the navigator asks

    def make(self, screen_id: str, params: dict[str, Any]) -> Screen[Any]:
        return self._parts.registry.get(screen_id)(self, **params)

    def apology(self, screen_id: str) -> Screen[Any]:
        return Apology(self, failed=screen_id)

    def closed(self, entry: Entry) -> None:
        self.timers.drop(entry)
        if entry.screen.holds_idle:
            self.idle.anew()

    def ask_to_leave(self) -> None:
        self._questions.ask_to_leave()

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

    @property
    def version(self) -> int:
        """Grows whenever there is something else to see."""
        return self._composer.version

    def draw(self) -> list[pygame.Rect]:
        """Shows what has changed. Returns the changed rectangles of the stage's surface."""
        changed = self._composer.draw()
        self.navigator.seen()
        return changed

    def at_rest(self) -> bool:
        """Nothing is on its way from one place to another; a spinner may turn."""
        return self._composer.at_rest()

    def snapshot(self, layout: bool = False) -> dict[str, Any]:
        """What is to be seen, for testers: the body of screen.json; with ``layout`` also what stands badly."""
        return self._composer.snapshot(layout)

    def bindings(self) -> tuple[Any, ...]:
        """What every key does now, for the page of all keys."""
        return self._composer.bindings()

    def wait(self) -> float | None:
        """Seconds until something is due by itself, None when only an event can bring news."""
        if self._composer.dirty:
            return 0.0
        times = [self._typematic.wait(self._parts.input_clock.monotonic())]
        if not self.clock.frozen:
            times += [self.timers.wait(), self.stage.next_wake(self.clock.monotonic())]
        return min((seconds for seconds in times if seconds is not None), default=None)

    def resize(self, surface: pygame.Surface) -> None:
        """There is another surface to draw on, of another size perhaps; everything is drawn again."""
        self.stage.resize(surface)
        self._composer.start_over()

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

    def _apply(self, settings: Settings) -> None:
        self.stage.set_text_scale(settings.text_scale / 100)
        self.stage.set_motion(settings.motion)
        self.stage.set_margin(settings.margin / 100)
        self._parts.sounds.on = settings.sound

    def _tell_pages(self, news: Callable[[Page[Any]], None]) -> None:
        for entry in self.navigator.entries:
            if isinstance(entry.screen, Page):
                self.navigator.run(entry, news, entry.screen)

    def _run_for(self, owner: Entry | None, action: Callable[..., Any], *args: Any) -> None:
        if owner is None:
            action(*args)
        else:
            self.navigator.run(owner, action, *args)

    def _next_minute(self) -> None:
        self._composer.outdated()
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
