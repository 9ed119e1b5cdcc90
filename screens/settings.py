"""How the television looks and sounds, what it is, and where the edges of the picture are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from screens.parts import button
from stb_app.journeys import Hello
from stb_app.journeys.steps import Loaded, Loading, Refused
from stb_app.kit.nodes import Column, Facts, Fit, Grow, Icon, Node, Panel, Row, Scroll, Space, Target, Text
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page

if TYPE_CHECKING:
    from stb_app.shell.app import App

MOST_MARGIN = 10
"""Percent of the picture on every side."""


class SettingsScreen(Page[None]):
    """Every choice applies at once and is visibly chosen."""

    id = "settings"

    @property
    def default_focus(self) -> str:  # type: ignore[override]
        return f"language:{self.app.settings.language}"

    def crumbs(self) -> Sequence[str]:
        return (self.t("Settings"),)

    def state(self) -> dict[str, Any]:
        now = self.app.settings
        return {
            "language": now.language,
            "text_scale": now.text_scale,
            "sound": now.sound,
            "motion": now.motion,
            "margin": now.margin,
        }

    def on_ok(self, key: str) -> None:
        name, _, value = key.partition(":")
        if name == "language":
            self.app.change_settings(language=value)
        elif name == "text":
            self.app.change_settings(text_scale=int(value))
        elif name in ("sound", "motion"):
            self.app.change_settings(**{name: value == "on"})
            self.app.sound("card" if key == "sound:on" else "key")
        else:
            self.app.push(key)

    def compose(self) -> Node:
        now = self.app.settings
        # A language is named in itself: who cannot read the present one must find the way out.
        languages = (
            ("language:zh", "中文", now.language == "zh"),
            ("language:en", "English", now.language == "en"),
        )
        named = ((100, self.t("Standard")), (125, self.t("Large")), (150, self.t("Largest")))
        sizes = tuple((f"text:{scale}", name, now.text_scale == scale) for scale, name in named)
        rows = (
            self._choices("language", self.t("Language"), "", languages),
            self._choices("text-size", self.t("Text size"), "", sizes),
            self._choices(
                "sound", self.t("Sound"), self.t("Keys, card and payment"), self._switch("sound", now.sound)
            ),
            self._choices(
                "motion",
                self.t("Motion"),
                self.t("Pages slide and buttons grow"),
                self._switch("motion", now.motion),
            ),
        )
        edges = self.t("{n}% margin").format(n=now.margin)
        more = (
            self._more("calibration", "frame", self.t("Picture edges"), edges),
            self._more("about", "info", self.t("About this box"), self.t("Version, box number, licences")),
            self._more("card-lab", "chip", self.t("Card lab"), self.t("For testers: all that a card tells")),
        )
        return Fit(
            (
                Column(
                    (
                        Panel(Column(rows, gap=28), pad=40),
                        Row(tuple(Grow(one) for one in more), gap=24),
                        Space(grow=1),
                    ),
                    gap=24,
                    grow=1,
                ),
                Scroll("page", Column((Panel(Column(rows, gap=28), pad=32), *more), gap=20)),
            )
        )

    def _switch(self, name: str, on: bool) -> tuple[tuple[str, str, bool], ...]:
        return ((f"{name}:on", self.t("On"), on), (f"{name}:off", self.t("Off"), not on))

    def _choices(self, icon: str, title: str, line: str, choices: tuple[tuple[str, str, bool], ...]) -> Node:
        words: tuple[Node, ...] = (Text(title, "row-bold"),)
        if line:
            words = (*words, Text(line, "small", "secondary"))
        targets = tuple(
            Grow(Target(key, Text(text, "row", align="center"), "button", checked=chosen, text=text))
            for key, text, chosen in choices
        )
        left = Grow(Row((Icon(icon, 52, "accent"), Grow(Column(words, gap=2))), gap=28), 4)
        buttons = Row(targets, gap=20)
        return Fit(
            (
                Row((left, Grow(buttons, 6)), gap=32),
                Column((*words, buttons), gap=12),
            )
        )

    def _more(self, key: str, icon: str, title: str, line: str) -> Target:
        words = Column((Text(title, "row-bold"), Text(line, "small", "secondary")), gap=2)
        return Target(key, Row((Icon(icon, 56, "accent"), Grow(words)), gap=28), "card", text=title)


class AboutScreen(Page[None]):
    """What a hotline asks for, and whose fonts these are."""

    id = "about"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.hello: Hello | None = None

    def on_enter(self) -> None:
        if self.app.verbs is not None:
            self.app.start(self.app.verbs.hello(), self._hello)

    def crumbs(self) -> Sequence[str]:
        return (self.t("Settings"), self.t("About this box"))

    def bindings(self) -> Sequence[Binding]:
        return (Binding(("KEY_OK",), self.t("Back")),)

    def on_ok(self, key: str) -> None:
        self.app.pop()

    def compose(self) -> Node:
        return Column(
            (
                Panel(
                    Scroll(
                        "facts",
                        Column(
                            (
                                Text(self.t("TV Services"), "title"),
                                Facts(self._pairs(), columns=2, gap=22),
                                Text(self._money(), "body-bold", "warning" if self.app.test_mode else "text"),
                                Text(
                                    self.t(
                                        "The characters on the screen are Noto Sans SC, (c) Google and Adobe, "
                                        "under the SIL Open Font License 1.1. Icons and sounds are our own."
                                    ),
                                    "small",
                                    "secondary",
                                ),
                            ),
                            gap=28,
                        ),
                    ),
                    pad=48,
                    grow=1,
                ),
                Row((button("back", self.t("Back"), "primary"),)),
            ),
            gap=28,
            grow=1,
        )

    def _money(self) -> str:
        return (
            self.t("Test mode: no real money moves.")
            if self.app.test_mode
            else self.t("Payments here are real.")
        )

    def _pairs(self) -> tuple[tuple[str, str | Text], ...]:
        facts, hello = self.app.facts, self.hello
        named = (
            ("version", self.t("Version")),
            ("box_number", self.t("Box number")),
            ("subscriber", self.t("Subscriber number")),
            ("tsp", self.t("Payment service")),
            ("reader", self.t("Card reader")),
        )
        pairs: list[tuple[str, str | Text]] = [(label, facts[key]) for key, label in named if facts.get(key)]
        if hello is not None:
            pairs.append((self.t("Service version"), f"{hello.name} {hello.version}"))
            pairs.append((self.t("Hotline"), hello.hotline))
        return tuple(pairs)

    def _hello(self, step: Loading | Loaded[Hello] | Refused) -> None:
        if isinstance(step, Loaded):
            self.hello = step.value
            self.app.refresh()


class CalibrationScreen(Page[None]):
    """The arrows draw the picture in until the whole frame is seen; OK keeps that, Back leaves it as it was."""

    id = "calibration"
    default_focus = "keep"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.before = app.settings.margin

    def crumbs(self) -> Sequence[str]:
        return (self.t("Settings"), self.t("Picture edges"))

    def bindings(self) -> Sequence[Binding]:
        return (
            Binding(("KEY_LEFT",), self.t("Smaller"), self._arrow),
            Binding(("KEY_RIGHT",), self.t("Larger"), self._arrow),
            Binding(("KEY_OK",), self.t("Keep it")),
            Binding(("KEY_BACK",), self.t("Leave it as it was")),
        )

    def state(self) -> dict[str, Any]:
        return {"margin": self.app.settings.margin, "before": self.before}

    def on_ok(self, key: str) -> None:
        self.app.pop()

    def on_back(self) -> bool:
        self.app.change_settings(margin=self.before)
        return False

    def compose(self) -> Node:
        margin = self.app.settings.margin
        words = (
            Space(grow=1),
            Text(self.t("Can you see the whole frame?"), "title", align="center"),
            Text(
                self.t(
                    "If its lines or the keys below are cut off, press left until they are not. Right makes the picture larger."
                ),
                "row",
                "secondary",
                "center",
            ),
            Text(self.t("{n}% margin").format(n=margin), "heading", "accent", "center"),
            button("keep", self.t("Keep it"), "primary"),
            Space(grow=1),
        )
        return Panel(Column(words, gap=28, align="center", grow=1), "none", frame=True, grow=1, radius=0)

    def _arrow(self, key: str) -> None:
        step = 1 if key == "KEY_LEFT" else -1
        margin = min(MOST_MARGIN, max(0, self.app.settings.margin + step))
        if margin != self.app.settings.margin:
            self.app.change_settings(margin=margin)
            self.app.refresh()
