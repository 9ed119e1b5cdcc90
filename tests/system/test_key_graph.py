"""A walk of the whole key graph: every page, every arrow, OK on everything, Back and INFO. USE-1, USE-2

At every place, in both languages and at 100 % and 150 %: exactly one focus, nothing clipped and nothing upon another; at
both text sizes, in one language each: every target within reach of the arrows, whatever arrow was pressed. Home is never more
than a few presses of Back away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from itertools import cycle, product
from pathlib import Path

import pytest
import requests

from tests.system.television import Screen, Television

LOOKS = tuple(product(("zh", "en"), (100, 150)))
ARROWS = ("UP", "DOWN", "LEFT", "RIGHT")
BACKS = 12
"""So many presses of Back, answers to its questions included, lead home from everywhere."""
ACROSS = 6
"""From edge to edge of a page in so many presses (but for a list, which is as long as it is)."""
Graph = dict[str, dict[str, str]]
"""Where each arrow leads from each target."""
LISTS = frozenset(
    ("records", "card-tray", "card-lab-faults", "card-lab-files", "card-lab-sessions", "card-lab-trace")
)
CHANGING = frozenset(("card-lab-files", "card-lab-trace"))
"""What there is to focus on them besides depends on the focus."""
LEAVING = ("cancel-payment", "cancel-load", "leave")
"""The answers that go where Back wanted to go."""
BROWSING = frozenset(("home", "help", "card-tray", "services", "service"))
LAB = frozenset(("card-lab", "card-lab-files", "card-lab-trace", "card-lab-sessions", "card-lab-faults"))
REAL_READERS = frozenset(("card-lab-readers",))
"""Not where the only reader is a simulated one."""
SETTING = frozenset(("card-inquiry", "card-load", "load-record", "settings", "about", "calibration"))
ORDERING = frozenset(("fee", "payment-methods", "confirm", "card", "question"))
PAYING = frozenset(("card", "question", "result"))
PHONING = frozenset(("records", "record", "qr", "question", "result"))


class Walk:
    """One person at one television, trying everything."""

    def __init__(self, tv: Television, language: str, text_scale: int) -> None:
        self.tv = tv
        self.look = {"language": language, "text_scale": text_scale}
        self.visited: set[str] = set()
        tv.wait_for(lambda s: s["screen"] == "home" and s["state"]["connection"] == "online")
        tv.post("/settings", motion=False, **self.look)
        tv.post("/clock/freeze")  # no count goes on, nobody is sent home

    def settled(self, layout: bool = False) -> Screen:
        """The screen, once it is not busy: with one focus, which can be pressed."""
        while (screen := self.tv.screen(layout=layout))["busy"]:
            self.tv.wait_for(lambda s: not s["busy"])
        keys = [f["key"] for f in screen["focusables"] if f["enabled"]]
        assert keys.count(screen["focus"]) == 1, screen
        return screen

    def home(self) -> None:
        """Home with nothing but Back, and an answer where Back asks."""
        for _ in range(BACKS):
            screen = self.settled()
            if screen["screen"] == "home":
                return
            leaving = next((key for key in LEAVING if key in screen["state"].get("options", ())), None)
            if screen["screen"] == "question" and leaving is not None:
                self.tv.choose(leaving)
            elif self.tv.press("BACK")["version"] == screen["version"]:
                self.tv.screen(after=screen["version"], wait=2)  # a card reader takes a moment
        raise AssertionError(f"home is not reached with Back: {self.tv.screen()}")

    def visit(
        self,
        go: Callable[[], object],
        reached: Callable[[Screen], bool] | None = None,
        press: bool = True,
    ) -> None:
        """Everything there is to try at one place.

        Args:
            go: leads there, from home.
            reached: whether this is it; by default the screen's id decides.
            press: False where a page like it has been tried: only looks at it.
        """
        self.home()
        go()
        here = self.settled()["screen"]
        at = reached or (lambda screen: screen["screen"] == here)
        self.visited.add(here)
        graph = self.look_at_all(here)
        if press:
            self._info(here)
            for key in graph:
                if not at(self.settled()):
                    self.tv.press("BACK")
                    if not at(self.settled()):
                        self.home()
                        go()
                if key in {f["key"] for f in self.settled()["focusables"]}:
                    self._to(key, graph)
                    self.tv.press("OK")
                    self.settled()
                    self.tv.post("/settings", **self.look)  # it may have been a choice of the settings
        self.home()

    def look_at_all(self, name: str) -> Graph:
        """The layout in every look, and the arrows at both text sizes; where they lead in the walk's own look."""
        for language, text_scale in LOOKS:
            look = {"language": language, "text_scale": text_scale}
            if look == self.look:
                continue
            self.tv.post("/settings", **look)
            both_differ = language != self.look["language"] and text_scale != self.look["text_scale"]
            (self._look_at if both_differ else self._upright)(f"{name} {language} {text_scale}")
        self.tv.post("/settings", **self.look)
        return self._look_at(name)

    def _look_at(self, name: str) -> Graph:
        screen = self._upright(name)
        start = key = screen["focus"]
        wanted = {f["key"] for f in screen["focusables"] if f["enabled"]}
        graph: Graph = {start: {}}
        while True:
            untried = [arrow for arrow in ARROWS if arrow not in graph[key]]
            if not untried:
                step = _first_step(graph, key, lambda other: len(graph[other]) < len(ARROWS))
                if step is None:
                    break
                self.tv.key(step)
                key = self.settled()["focus"]
                continue
            found = graph[key][untried[0]] = self._press(untried[0], key, screen["screen"], name)
            graph.setdefault(found, {})
            key = found
        assert wanted <= set(graph), f"{name}: arrows do not lead to {wanted - set(graph)}"
        assert screen["screen"] in CHANGING or set(graph) == wanted, f"{name}: {set(graph) - wanted}"
        if screen["screen"] not in LISTS:
            for key, arrow in product(graph, ARROWS):
                assert len(_line(graph, key, arrow)) <= ACROSS, f"{name}: {arrow} from {key}"
        self._to(start, graph)
        return graph

    def _upright(self, name: str) -> Screen:
        """The screen, on which nothing is clipped and nothing upon another."""
        screen = self.settled(layout=True)
        assert screen["layout"] == {"clipped": [], "overlapping": []}, name
        return screen

    def _press(self, arrow: str, before: str, here: str, name: str) -> str:
        """Where an arrow leads from there; a text under the focus is scrolled to its end first."""
        for _ in range(20):
            used = self.tv.key(arrow)
            screen = self._upright(f"{name} after {arrow} on {before}")
            assert screen["screen"] == here, f"{name}: {arrow} on {before} leads to {screen['screen']}"
            if not used or screen["focus"] != before or screen["screen"] in ("calibration", "card"):
                break
        else:
            raise AssertionError(f"{name}: {arrow} on {before} never ends")
        focus: str = screen["focus"]
        return focus

    def _to(self, key: str, graph: Graph) -> None:
        """Goes to a target by ways that are known."""
        for _ in range(30):
            focus = self.settled()["focus"]
            if focus == key:
                return
            arrow = _first_step(graph, focus, lambda other: other == key)
            assert arrow is not None, f"no way from {focus} back to {key}: {graph}"
            self.tv.key(arrow)
        raise AssertionError(f"{key} is not reached again")

    def _info(self, here: str) -> None:
        if here == "help":
            return
        before = self.settled()
        self.tv.press("INFO")
        assert self.settled()["screen"] == "help"
        self.tv.press("BACK")
        after = self.settled()
        assert (after["screen"], after["focus"]) == (before["screen"], before["focus"])


def _line(graph: Graph, key: str, arrow: str) -> list[str]:
    """The targets that one arrow leads along, to the edge."""
    line: list[str] = []
    while (found := graph[key][arrow]) != key:
        line.append(found)
        key = found
        assert len(line) <= len(graph), f"{arrow} goes round in a circle: {line}"
    return line


def _first_step(graph: Graph, start: str, goal: Callable[[str], bool]) -> str | None:
    """The arrow that begins the shortest way to a target; None when there is no way."""
    queue: deque[tuple[str, str]] = deque(
        (found, arrow) for arrow, found in graph.get(start, {}).items() if found != start
    )
    seen = {start}
    while queue:
        key, first = queue.popleft()
        if goal(key):
            return first
        if key not in seen:
            seen.add(key)
            queue.extend((found, first) for found in graph.get(key, {}).values())
    return None


@pytest.fixture
def walk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Walk]:
    """At home, at a television of its own, for a subscriber, in the look that keys are tried in."""
    box, language, text_scale = request.param
    # The smaller of the usual screens; tests/screens looks at every page on the larger one.
    with Television(tmp_path, "--reader", "sim:", "--size", "1280x720", "--box", box) as tv:
        yield Walk(tv, language, text_scale)


def opener(tv: Television, *keys: str) -> Callable[[], None]:
    """Chooses one thing after the other, each on the next page."""

    def go() -> None:
        for key in keys:
            tv.choose(key)
            tv.wait_for(lambda s: not s["busy"])

    return go


def test_the_walks_together_reach_every_page() -> None:
    installed = {entry.name for entry in entry_points(group="stb_app.screens")}
    assert installed - REAL_READERS == BROWSING | SETTING | LAB | ORDERING | PAYING | PHONING


@pytest.mark.parametrize("walk", [("85312047", "zh", 100)], indirect=True)
def test_looking_around(walk: Walk) -> None:
    tv = walk.tv
    services = [f["key"] for f in (opener(tv, "services")(), tv.screen())[1]["focusables"]]
    walk.visit(lambda: None)
    walk.visit(lambda: tv.press("INFO"))
    walk.visit(then(card(tv, None), lambda: tv.press("BLUE")))
    walk.visit(then(card(tv, "good"), lambda: tv.press("BLUE")), press=False)
    walk.visit(opener(tv, "services"), press=False)
    for key in services:
        walk.home()
        opener(tv, "services", key)()
        for language, text_scale in LOOKS:
            tv.post("/settings", language=language, text_scale=text_scale)
            layout = tv.screen(layout=True)["layout"]
            assert layout == {"clipped": [], "overlapping": []}, f"{key} {language} {text_scale}"
    walk.visit(opener(tv, "service:sports"))
    walk.visit(opener(tv, "services", "service:life"))  # not sold any more
    walk.visit(opener(tv, "services", "service:drama"), press=False)  # refused
    assert walk.visited == BROWSING


@pytest.mark.parametrize("walk", [("85312047", "en", 100)], indirect=True)
def test_looking_at_cards_and_settings(walk: Walk) -> None:
    tv = walk.tv
    for profile in ("good", "no-purse"):
        tv.post(f"/card/insert/{profile}")
        walk.visit(opener(tv, "card-inquiry"), press=profile == "good")
    tv.post("/card/insert/electronic-cash")
    load = opener(tv, "card-inquiry", "load", "10000", "load")
    walk.visit(load)

    def loaded() -> None:
        tv.wait_for(lambda s: s["state"].get("prompt") == "enter-pin")
        tv.type("123456")
        tv.press("OK")
        tv.wait_for(lambda s: s["state"].get("load") == "loaded")
        walk.home()

    walk.visit(
        then(load, loaded, opener(tv, "records"), lambda: tv.press("OK"), lambda: tv.wait_for("load-record"))
    )
    tv.post("/card/pull")
    walk.visit(opener(tv, "card-inquiry"))
    walk.visit(opener(tv, "settings"))
    walk.visit(opener(tv, "settings", "about"))
    walk.visit(opener(tv, "settings", "calibration"))
    tv.post("/card/insert/no-purse")
    lab = opener(tv, "settings", "card-lab")
    walk.visit(lab)
    for page in ("files", "commands", "sessions", "faults"):
        walk.visit(then(lab, opener(tv, page)), press=False)
    tv.press("BACK")
    assert walk.settled()["focus"] == "stay"
    walk.look_at_all("switch off")
    tv.choose("stay")
    tv.wait_for("home")
    tv.press("BACK")
    tv.focus("off")
    with suppress(requests.ConnectionError):  # it may be gone before it has answered
        tv.key("OK")
    assert tv.ended() == 0
    assert walk.visited == SETTING | LAB


ORDER = ("services", "service:kids", "order", "continue")
CARD = (*ORDER, "card", "confirm")


@pytest.mark.parametrize("walk", [("85312048", "en", 150)], indirect=True)
def test_ordering_and_cards_that_cannot_pay(walk: Walk) -> None:
    tv = walk.tv
    walk.visit(opener(tv, *ORDER[:3]))
    walk.visit(opener(tv, *ORDER))
    walk.visit(opener(tv, *ORDER, "card"))
    walk.visit(opener(tv, *CARD))
    walk.visit(then(opener(tv, *CARD), lambda: tv.press("BACK")))
    refused = {"little-money": "balance-too-low", "foreign-issuer": "issuer-unknown", "expired": "expired"}
    for profile, prompt in (refused | {"blocked": "blocked", "no-purse": "no-purse"}).items():
        go = then(card(tv, None), opener(tv, *CARD), card(tv, profile), asked(tv, prompt))
        walk.visit(go, prompts(prompt), press=profile == "little-money")
    assert walk.visited == ORDERING


@pytest.mark.parametrize("walk", [("85312047", "en", 100)], indirect=True)
def test_paying_with_a_card(walk: Walk) -> None:
    tv = walk.tv

    def pin(digits: str) -> Callable[[], None]:
        def enter() -> None:
            tv.prompt("enter-pin", "wrong-pin")
            tv.type(digits)
            tv.press("OK")

        return enter

    def pulled(when: str) -> Callable[[], None]:
        return lambda: tv.post(f"/card/pull?when={when}")

    # Another service each time: an open payment for the same one would be settled in the place of a second.
    services = cycle(("kids", "sports", "documentary"))

    def order() -> None:
        opener(tv, "services", f"service:{next(services)}", *CARD[2:])()

    good = then(card(tv, None), order, card(tv, "good"))
    walk.visit(then(good, asked(tv, "enter-pin")))
    walk.visit(then(good, pin("654321"), asked(tv, "wrong-pin")))
    walk.visit(then(good, asked(tv, "enter-pin"), card(tv, None), asked(tv, "removed-early")))
    walk.visit(then(good, pin("123456"), asked(tv, "remove")), prompts("remove"))
    back = then(pulled("after-debit"), good, pin("123456"), asked(tv, "put-back"))
    walk.visit(back, prompts("put-back"))
    other = then(back, card(tv, "little-money"), asked(tv, "other-card"))
    walk.visit(other, prompts("other-card"))
    walk.visit(then(back, lambda: tv.press("BACK")), lambda s: "leave" in s["state"].get("options", ()))
    walk.visit(then(good, pin("123456"), asked(tv, "remove"), card(tv, None), lambda: tv.wait_for("result")))
    assert walk.visited == PAYING


@pytest.mark.parametrize("walk", [("85312051", "zh", 150)], indirect=True)
def test_paying_with_a_phone(walk: Walk) -> None:
    tv = walk.tv
    walk.visit(opener(tv, "records"))  # of somebody who has paid nothing here yet
    shown = opener(tv, *ORDER, "wallet:demo", "confirm")

    def phone(act: str) -> Callable[[], None]:
        def use() -> None:
            payload = tv.wait_for(lambda s: s["state"].get("payload"))["state"]["payload"]
            assert (
                requests.get(payload, timeout=5) if not act else requests.post(payload + act, timeout=5)
            ).ok

        return use

    walk.visit(shown, lambda s: s["screen"] == "qr" and not s["state"]["enlarged"])
    walk.visit(then(shown, lambda: tv.choose("code")), lambda s: s["state"].get("enlarged"))
    walk.visit(then(shown, lambda: tv.press("BACK")))
    walk.visit(
        then(shown, phone(""), lambda: tv.wait_for(lambda s: s["state"]["qr_state"] == "scanned")),
        press=False,
    )
    walk.visit(then(shown, phone("/decline"), lambda: tv.wait_for("result")))
    walk.visit(then(shown, phone("/pay"), lambda: tv.wait_for("result")), press=False)
    walk.visit(opener(tv, "records"))
    walk.visit(then(opener(tv, "records"), lambda: tv.press("OK"), lambda: tv.wait_for("record")))
    assert walk.visited == PHONING


def then(*steps: Callable[[], object]) -> Callable[[], None]:
    """One step after the other."""

    def go() -> None:
        for step in steps:
            step()

    return go


def card(tv: Television, profile: str | None) -> Callable[[], None]:
    """Puts a card in, or pulls it."""
    return lambda: tv.post("/card/pull" if profile is None else f"/card/insert/{profile}")


def asked(tv: Television, prompt: str) -> Callable[[], None]:
    """Waits for a prompt."""
    return lambda: tv.prompt(prompt) and None


def prompts(word: str) -> Callable[[Screen], bool]:
    return lambda screen: screen["state"].get("prompt") == word
