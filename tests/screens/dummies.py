"""A television for tests: verbs that answer at once with what they are given, a picture in memory, a clock that stands."""

from __future__ import annotations

import functools
import os
import tomllib
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import pygame

from stb_app.journeys import Load, Order, Payment
from stb_app.journeys.memory import OpenPayment
from stb_app.journeys.steps import CardPrompt, Loaded, Loading, Refused
from stb_app.kit.clock import FreezableClock
from stb_app.kit.items import Run
from stb_app.kit.stage import Stage
from stb_app.shell.app import App
from stb_app.shell.catalogue import Catalogue
from stb_app.shell.parts import Parts
from stb_app.shell.registry import Registry
from stb_app.shell.running import Running
from stb_app.shell.settings import SettingsFile
from stb_app.shell.sound import Sounds
from tests.screens import data

ROOT = Path(__file__).resolve().parents[2]
FACTS = {
    "version": "0.1.0",
    "box_number": "85312047",
    "subscriber": "8531 2047",
    "tsp": "http://127.0.0.1:8780",
    "reader": "sim:good",
    "hotline": "96123",
}


class Told:
    """A journey that posts the steps it was made with and is over."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.cancelled = False

    def run(self, post: Callable[[Any], None]) -> None:
        for step in self.steps:
            post(step)

    def cancel(self) -> None:
        self.cancelled = True


class DummyVerbs:
    """What journeys.verbs.Verbs offers. Each verb answers with what ``answers`` has under its name.

    An answer is a value (then Loading and Loaded of it), a Refused, ``Loading()`` alone (it never comes), or a tuple of
    steps. ``asked`` keeps what was asked, in order.
    """

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "home": data.HOME,
            "services": data.SERVICES,
            "service": data.SPORTS_PAGE,
            "records": data.ALL_RECORDS,
            "order": data.ORDER,
            "hello": data.HELLO,
            "payment": data.UNSETTLED,
            "follow": (),
            "follow_load": (),
            "inquire_card": (CardPrompt("insert"),),
            **answers,
        }
        self.asked: list[tuple[Any, ...]] = []
        self.cards_wanted: set[str] = set()
        self.looked_at: list[str] = []
        self.was_told: list[str] = []

    def _tell(self, verb: str, *arguments: Any) -> Told:
        self.asked.append((verb, *arguments))
        answer = self.answers[verb]
        if isinstance(answer, Loading):
            return Told(answer)
        if isinstance(answer, Refused):
            return Told(Loading(), answer)
        if isinstance(answer, tuple) and verb in (
            "follow",
            "follow_load",
            "pay_by_card",
            "pay_by_wallet",
            "inquire_card",
        ):
            return Told(*answer)
        return Told(Loading(), Loaded(answer))

    def hello(self) -> Told:
        return self._tell("hello")

    def home(self) -> Told:
        return self._tell("home")

    def services(self) -> Told:
        return self._tell("services")

    def service(self, service: str) -> Told:
        return self._tell("service", service)

    def records(self) -> Told:
        return self._tell("records")

    def order(self, service: str, term: str) -> Told:
        return self._tell("order", service, term)

    def follow(self, payment: Payment, seconds: float = 120.0) -> Told:
        return self._tell("follow", payment.payment)

    def follow_load(self, load: Load) -> Told:
        return self._tell("follow_load", load.load)

    def pay_by_card(self, order: Order, settles: str = "") -> Told:
        return self._tell("pay_by_card", order.order, *((f"settles {settles}",) if settles else ()))

    def pay_by_wallet(self, order: Order, method: str) -> Told:
        return self._tell("pay_by_wallet", order.order, method)

    def card_wanted(self, service: str) -> OpenPayment | None:
        return data.OPEN_PAYMENT if service in self.cards_wanted else None

    def payment(self, payment: str) -> Told:
        return self._tell("payment", payment)

    def look_at(self, payment: str) -> None:
        self.looked_at.append(payment)

    def look_away(self, payment: str) -> None:
        self.looked_at.remove(payment)

    def told(self, payment: Payment) -> Told:
        self.was_told.append(payment.payment)
        return Told()

    def watch_slot(self) -> Told:
        return Told()

    def inquire_card(self, *, account: bool = False) -> Told:
        return self._tell("inquire_card")


class ManualClock:
    """Stands until it is moved."""

    def __init__(self, at: datetime = data.NOW) -> None:
        self.start = at
        self.passed = 0.0

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return 1000.0 + self.passed


class SteppedApp(App):
    """A television whose journeys are over, and their steps delivered, when ``settle`` returns."""

    def __init__(self, parts: Parts, calls: list[Callable[[], None]]) -> None:
        self._calls = calls
        self._started: list[Running] = []
        super().__init__(parts, test_mode=True)

    def start(self, journey: Any, on_step: Callable[[Any], None]) -> Running:
        running = super().start(journey, on_step)
        self._started.append(running)
        return running

    def settle(self) -> None:
        while self._started or self._calls:
            while self._started:
                assert self._started.pop().join(5), "a dummy journey did not end"
            while self._calls:
                self._calls.pop(0)()
        self.tick()


@functools.cache
def _declared() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    screens: dict[str, str] = project["entry-points"]["stb_app.screens"]
    return screens


def project_screens() -> Registry:
    """The screens that pyproject.toml declares, whether or not the project is installed."""
    registry = Registry()
    for screen_id, where in _declared().items():
        module, name = where.split(":")

        def load(module: str = module, name: str = name) -> Any:
            return getattr(import_module(module), name)

        registry.add(screen_id, load)
    return registry


class UnseenStage(Stage):
    """Lays everything out, and paints when somebody looks: most tests read."""

    looked_at = False

    def frame(self, now: float) -> list[pygame.Rect]:
        return super().frame(now) if self.looked_at else []


class Television:
    """A whole television in memory: the real stage, navigator and screens around dummy verbs.

    Args:
        verbs: what the TSP would say; None before there is a connection.
        text_scale: percent.
        seen: somebody looks all the time; otherwise only ``picture`` paints.
    """

    def __init__(
        self,
        verbs: DummyVerbs | None = None,
        language: str = "zh",
        text_scale: int = 100,
        size: tuple[int, int] = (1920, 1080),
        *,
        seen: bool = False,
    ) -> None:
        self.verbs = verbs
        self.clock = ManualClock()
        calls: list[Callable[[], None]] = []
        self.surface = pygame.Surface(size)
        self.stage = UnseenStage(self.surface)
        self.stage.looked_at = seen
        parts = Parts(
            stage=self.stage,
            registry=project_screens(),
            clock=FreezableClock(self.clock),
            input_clock=self.clock,
            catalogue=Catalogue(ROOT / "assets" / "locale"),
            settings_file=SettingsFile(None),
            sounds=Sounds(lambda name: lambda: None),
            post=calls.append,
        )
        self.app = SteppedApp(parts, calls)
        self.app.verbs = verbs
        self.app.facts = dict(FACTS)
        self.app.change_settings(language=language, text_scale=text_scale, motion=False, sound=False)
        # Settings are stored on a thread that ends with the program: it would keep every test's pictures until then.
        self.app.close(5)
        self.app.begin()
        self.show()

    def open(self, screen_id: str, **params: Any) -> Television:
        """Opens a page above the present one."""
        self.app.push(screen_id, **params)
        self.show()
        return self

    def press(self, *keys: str) -> Television:
        """Presses keys, a second apart: OK, LEFT ..., each followed by whatever it set going."""
        for key in keys:
            self.clock.passed += 1.0
            self.app.key(f"KEY_{key}")
            self.show()
        return self

    def ok(self, key: str) -> Television:
        """Puts the focus on ``key``, which must be there and enabled, and presses OK."""
        target = next((t for t in self.app.stage.targets() if t.key == key), None)
        assert target is not None, (key, self.targets())
        assert target.enabled, key
        self.app.focus(key)
        self.show()
        return self.press("OK")

    def wait(self, seconds: float) -> Television:
        """Lets time pass, a second at a time."""
        while seconds > 0:
            step = min(1.0, seconds)
            self.clock.passed += step
            seconds -= step
            self.app.tick()
            self.show()
        return self

    def show(self) -> None:
        self.app.settle()
        self.app.draw()
        self.stage.settle()

    @property
    def screen(self) -> str:
        return self.app.navigator.top.id

    @property
    def focus(self) -> str | None:
        focus: str | None = self.app.snapshot()["focus"]
        return focus

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.app.snapshot()["state"]
        return state

    def targets(self, enabled_only: bool = True) -> list[str]:
        return [t.key for t in self.app.stage.targets() if t.enabled or not enabled_only]

    def words(self) -> str:
        """Everything that can be read, one text a line."""
        return "\n".join(text.text for text in self.app.stage.texts())

    def color(self, words: str) -> tuple[int, int, int]:
        """Of the letters that a line of a text begins with."""
        runs = [item.what for item in self.stage._laid.items if isinstance(item.what, Run)]
        return next(run.color for run in runs if run.text.startswith(words))

    def picture(self) -> pygame.Surface:
        before, self.stage.looked_at = self.stage.looked_at, True
        self.app.draw()
        self.stage.looked_at = before
        return self.surface

    def close(self) -> None:
        self.app.close(1.0)
