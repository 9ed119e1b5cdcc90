"""The card lab, for testers: which applications a card has, everything it tells, and what was said to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from screens.card_lab_parts import AUTHENTICITY, Tone, card_kind, grouped, milliseconds, way
from screens.loading import LoadingPage
from screens.parts import button, message
from screens.problems import N_, prompt_words, words_for
from stb_app.journeys.base import Journey
from stb_app.journeys.card_lab import (
    ApplicationFound,
    CardReading,
    CardSeen,
    LabStep,
    PurseFound,
    ReaderSeen,
    Trace,
    bank_card,
    said,
    session,
)
from stb_app.journeys.steps import CardPrompt, Refused
from stb_app.kit.nodes import (
    CardSlot,
    Column,
    Facts,
    Fit,
    Grow,
    Node,
    Panel,
    Pill,
    Row,
    Scroll,
    Space,
    Target,
    Text,
)
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page
from stb_app.shell.running import Running
from stb_app.shell.words import money

if TYPE_CHECKING:
    from stb_app.shell.app import App

PROMPTS: dict[str, tuple[str, str]] = {
    "starting": (N_("One moment, please."), N_("Another task of this box is using the reader.")),
    "insert": (
        N_("Put in any card"),
        N_("Everything that it tells is shown. No money moves; a bank card's counter goes up by one."),
    ),
    "reading": (N_("Reading the card"), N_("Please leave the card in.")),
    "removed-early": (N_("Please put the card back"), N_("It came out before everything was read.")),
    "reader-missing": (
        N_("The card reader cannot be found"),
        N_("Please check that its cable is plugged in."),
    ),
}
TROUBLES = {
    "service": N_(
        "pcscd does not answer; on most boxes 'systemctl start pcscd' starts it. It is asked again by itself."
    ),
    "in-use": N_(
        "Another program has the card for itself. End that one, or choose another reader at Card readers. It is asked again by itself."
    ),
    "silent": N_(
        "The reader's driver hangs. Unplug it and plug it in again, or choose another one at Card readers."
    ),
}
"""Why no reader can be used, for testers."""
POSES: dict[str, Literal["insert", "reading", "missing", "busy"]] = {
    "starting": "busy",
    "insert": "insert",
    "reading": "reading",
    "removed-early": "insert",
    "reader-missing": "missing",
}


PURPOSES = {
    "payment": N_("Payment"),
    "load": N_("Load electronic cash"),
    "inquiry": N_("Balance inquiry"),
    "looked at": N_("Looked at"),
}
OUTCOMES: dict[tuple[str, str], tuple[str, Tone]] = {
    ("payment", "done"): (N_("Paid"), "good"),
    ("payment", "not done"): (N_("Not paid"), "neutral"),
    ("load", "done"): (N_("Loaded"), "good"),
    ("load", "not done"): (N_("Not loaded"), "neutral"),
}
"""What became of a payment or a load, as the card has said."""
UNKNOWN: tuple[str, Tone] = (N_("Not known"), "warning")
HOLDS = {
    "nothing": N_("No card in it"),
    "card": N_("A card is in it"),
    "mute": N_("A card that does not answer: is it the right way round?"),
    "taken": N_("A card that another program is using"),
    "silent": N_("Does not answer: please unplug it and plug it in again"),
}


class CardLabScreen(Page[None]):
    """Reads every card that is put in; the last one stays on the screen when it is taken out, until the next one is in."""

    id = "card-lab"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._prompt: CardPrompt | Refused = CardPrompt("starting")
        self._seen: CardSeen | None = None
        self._reading: CardReading | None = None
        self._running: Running | None = None
        self._journey: Any = None

    # The journey

    def on_enter(self) -> None:
        self._begin()

    def on_connected(self) -> None:
        if self._running is None:
            self._begin()

    def on_leave(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _begin(self) -> None:
        if self.app.verbs is None:  # the connection is still being set up
            return
        self._prompt = CardPrompt("insert")
        journey = self._journey = self.app.verbs.look_into_card()
        self._running = self.app.start(journey, lambda step: self._on_step(journey, step))
        self.app.refresh()

    def _on_step(self, journey: Any, step: LabStep) -> None:
        if journey is not self._journey:
            return  # the last word of one that was begun again
        if isinstance(step, CardSeen):
            self._seen, self._prompt = step, CardPrompt("remove" if step.whole else "removed-early")
            if step.whole:
                self.app.sound("card")
            self.app.focus(self._first(step))
        elif isinstance(step, CardReading):
            self._reading = step
        else:
            self._prompt = step
            if step == CardPrompt("reading"):  # another stay: nothing of the last one is this card's
                self._seen = self._reading = None
            if isinstance(step, Refused) and step.code != "cancelled":
                self.app.focus("again")
        self.app.refresh()

    def _first(self, seen: CardSeen) -> str:
        """What a tester wants to see first."""
        if seen.found.applications:
            return "application:0"
        if not seen.whole and seen.found.told:
            return "files"
        return "purse" if seen.found.purse is not None else "commands"

    @property
    def default_focus(self) -> str:  # type: ignore[override]
        if self._seen is not None:
            return self._first(self._seen)
        return "again" if isinstance(self._prompt, Refused) else "sessions"

    # Keys

    def bindings(self) -> Sequence[Binding]:
        return (Binding(("KEY_OK",), self.t("Open")),)

    def on_ok(self, key: str) -> None:
        name, _, number = key.partition(":")
        seen = self._seen
        if name == "sessions":
            self.app.push("card-lab-sessions")
        elif name == "readers":
            self.app.push("card-lab-readers", self._chosen)
        elif name == "faults":
            self.app.push("card-lab-faults")
        elif name == "again":
            self.on_leave()
            self._begin()
        elif seen is None:
            return
        elif name == "application":
            self.app.push("card-lab-files", part=seen.found.applications[int(number)])
        elif name == "purse":
            self.app.push("card-lab-files", part=seen.found.purse)
        elif name == "files":
            self.app.push("card-lab-files", part=seen.found.told)
        elif name == "commands":
            self.app.push("card-lab-trace", trace=seen.trace)

    def _chosen(self, reader: str | None) -> None:
        if reader is not None:
            self.on_leave()
            self._begin()

    # The picture

    def crumbs(self) -> Sequence[str]:
        return (self.t("Settings"), self.t("Card lab"))

    def state(self) -> dict[str, Any]:
        prompt, seen = self._prompt, self._seen
        about = {"prompt": prompt.prompt} if isinstance(prompt, CardPrompt) else {"problem": prompt.code}
        if seen is None:
            reading = self._progress()
            commands = {} if reading is None else {"commands": reading.commands}
            return {**about, "reader": None if reading is None else reading.reader, **commands}
        return {
            **about,
            "reader": seen.reader,
            "whole": seen.whole,
            "replayed": seen.recording or None,
            "atr": seen.trace.atr.hex().upper(),
            "purse": seen.found.purse is not None,
            "applications": [one.aid for one in seen.found.applications],
            "authenticity": [one.authenticity for one in seen.found.applications],
            "commands": len(seen.trace.exchanges),
        }

    def compose(self) -> Node:
        rows = Scroll("rows", Column(self._rows(), gap=16))
        facts, title, text, pill = self._about()
        words: list[Node] = [Text(title, "heading")]
        if pill is not None:
            words.append(Row((pill,)))
        if text:
            words.append(Text(text, "small", "secondary"))
        words += facts
        drawing = CardSlot(self._pose(), self._number(), "", 62)
        roomy = Panel(
            Column((Row((drawing,), justify="center"), *words, Space(grow=1)), gap=18), "hero", pad=36, grow=1
        )
        less = Panel(Column((*words, Space(grow=1)), gap=14), "hero", pad=28, grow=1)
        last = Panel(Scroll("card", Column(tuple(words), gap=14)), "hero", pad=28, grow=1)
        return Fit(
            tuple(
                Row((Grow(left, 2), Grow(rows, 3)), gap=48, align="stretch", grow=1)
                for left in (roomy, less, last)
            )
        )

    @property
    def _in_use(self) -> bool:
        """Another program has the reader: nothing is unplugged."""
        return isinstance(self._prompt, CardPrompt) and self._prompt.trouble == "in-use"

    def _pose(self) -> Literal["insert", "inside", "reading", "missing", "empty", "busy"]:
        if isinstance(self._prompt, Refused):
            return "empty"
        if self._in_use:
            return "inside"
        return POSES.get(self._prompt.prompt, "inside")

    def _number(self) -> str:
        """Of the card in the slot, masked; empty when none is in, or it has told none."""
        if self._seen is None or self._in_use or self._pose() != "inside":  # whose card is in it is not known
            return ""
        found = self._seen.found
        numbers = [one.card for one in found.applications] + ([found.purse.number] if found.purse else [])
        return next((number for number in numbers if number), "")

    def _about(self) -> tuple[tuple[Node, ...], str, str, Pill | None]:
        """Facts, title, text and mark of what is in the slot, or of what to do."""
        seen, prompt = self._seen, self._prompt
        if seen is None:
            return self._so_far(), *self._said(), None
        gone = not (isinstance(prompt, CardPrompt) and prompt.prompt == "remove")
        pill = Pill(self.t("Taken out"), "neutral") if gone else Pill(self.t("In the slot"), "good")
        trace = seen.trace
        took = trace.exchanges[-1].at_ms + trace.exchanges[-1].took_ms if trace.exchanges else 0.0
        pairs: tuple[tuple[str, str | Text], ...] = (
            (self.t("Reader"), Text(seen.reader, "small")),
            ("ATR", Text(grouped(trace.atr.hex().upper()) or "-", "small")),
            (self.t("Read in"), Text(milliseconds(took), "small")),
        )
        found = seen.found
        text = said(found.problem, self.t)
        if seen.whole and not found.applications and found.purse is None:
            text = text or self.t("It has no application that this box knows.")
        if isinstance(prompt, CardPrompt) and prompt.prompt == "reader-missing":
            text = self._said()[1]
        facts = Facts(pairs, gap=10, style="small")
        _, why = PROMPTS["removed-early"]
        part = () if seen.whole else (Text(self.t(why), "small", "warning"),)
        return (*part, *self._recording(seen), facts), self._kind(seen), text, pill

    def _progress(self) -> CardReading | None:
        """How far the card that is being read has come."""
        reads = isinstance(self._prompt, CardPrompt) and self._prompt.prompt == "reading"
        return self._reading if reads else None

    def _so_far(self) -> tuple[Node, ...]:
        one = self._progress()
        if one is None:
            return ()
        pairs: tuple[tuple[str, str | Text], ...] = (
            (self.t("Reader"), Text(one.reader, "small")),
            ("ATR", Text(grouped(one.atr.hex().upper()) or "-", "small")),
            (self.t("Commands so far"), Text(str(one.commands), "small")),
        )
        return (Facts(pairs, gap=10, style="small"),)

    def _recording(self, seen: CardSeen) -> tuple[Node, ...]:
        if not seen.recording:
            return ()
        words = self.t("A replayed recording ({file})").format(file=seen.recording)
        return (Text(words, "small", "warning"),)

    def _said(self) -> tuple[str, str]:
        if isinstance(self._prompt, Refused):
            if self._prompt.code == "internal":
                return self.t("The card lab has stopped"), self.t(
                    "The box's log says why. It can be begun again."
                )
            words = words_for(self._prompt.code, self._prompt.facts, self.t)
            return words.title, words.text
        title, text = PROMPTS.get(self._prompt.prompt, PROMPTS["insert"])
        trouble = self._prompt.trouble
        if trouble in TROUBLES:
            title = prompt_words(self._prompt.prompt, None, {}, str, trouble=trouble).title
            text = TROUBLES[trouble]
        return self.t(title), self.t(text)

    def _kind(self, seen: CardSeen) -> str:
        found = seen.found
        if not seen.whole:
            return self.t(card_kind(session(seen.trace).kind))
        if found.applications:
            kind = bank_card(found.applications[0].aid)
            return self.t(card_kind(kind)) if kind else self.t("Bank card")
        return self.t("Purse card") if found.purse is not None else self.t("Unknown card")

    def _rows(self) -> tuple[Node, ...]:
        rows: list[Node] = []
        seen = self._seen
        if isinstance(self._prompt, Refused):
            rows.append(way("again", "refresh", self.t("Read again")))
        if seen is not None:
            found = seen.found
            rows += [self._application(n, one) for n, one in enumerate(found.applications)]
            if found.purse is not None:
                rows.append(self._purse(found.purse))
            answers = (
                self.t("1 answer")
                if len(found.told) == 1
                else self.t("{n} answers").format(n=len(found.told))
            )
            rows.append(way("files", "records", self.t("All files and records"), answers))
            count = self.t("{n} commands").format(n=len(seen.trace.exchanges))
            rows.append(way("commands", "clock", self.t("Commands and times"), count))
        rows.append(
            way(
                "sessions",
                "receipt",
                self.t("Earlier cards and payments"),
                self.t("All commands of the last cards"),
            )
        )
        if self.app.slot is not None:
            ordered = self.t("{n} ordered").format(n=len(self.app.slot.faults))
            rows.append(way("faults", "bolt", self.t("Faults of the test card"), ordered))
        else:
            line = self.t("Choose one of several")
            rows.append(way("readers", "card", self.t("Card readers"), line))
        if seen is not None and not isinstance(self._prompt, Refused):
            rows.append(way("again", "refresh", self.t("Read again")))
        return tuple(rows)

    def _application(self, number: int, one: ApplicationFound) -> Target:
        cash = ""
        if one.cash.balance_fen is not None:
            cash = self.t("Electronic cash {amount}").format(amount=money(one.cash.balance_fen))
        mark: tuple[str, Tone] = (N_("Not read"), "warning")
        if one.authenticity is not None:
            mark = AUTHENTICITY[one.authenticity]
        pill = Pill(self.t(mark[0]), mark[1])
        title = one.label or grouped(one.aid)
        return way(f"application:{number}", "chip", title, grouped(one.aid), one.card, cash, mark=pill)

    def _purse(self, purse: PurseFound) -> Target:
        balance = Text(money(purse.balance_fen), "row-bold", "money", wrap=False)
        return way("purse", "wallet", self.t("Electronic purse"), purse.number, mark=balance)


class CardLabSessionsScreen(Page[None]):
    """The last cards, whatever they were put in for; OK shows what was said to one."""

    id = "card-lab-sessions"

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self._traces: tuple[Trace, ...] = app.verbs.traces() if app.verbs is not None else ()

    @property
    def default_focus(self) -> str:  # type: ignore[override]
        return "session:0" if self._traces else "back"

    def crumbs(self) -> Sequence[str]:
        return (self.t("Card lab"), self.t("Earlier cards and payments"))

    def state(self) -> dict[str, Any]:
        return {
            "sessions": [len(one.exchanges) for one in self._traces],
            "outcomes": [session(one).outcome for one in self._traces],
        }

    def on_ok(self, key: str) -> None:
        if key == "back":
            self.app.pop()
        else:
            self.app.push("card-lab-trace", trace=self._traces[int(key.removeprefix("session:"))])

    def compose(self) -> Node:
        rows = tuple(self._session(number, one) for number, one in enumerate(self._traces))
        if not rows:
            return message(
                "info",
                self.t("No card was put in yet"),
                self.t(
                    "What is said to a card while paying or looking at it is remembered here until the box is switched off."
                ),
                (button("back", self.t("Back"), "primary"),),
            )
        return Scroll("sessions", Column(rows, gap=16))

    def _session(self, number: int, one: Trace) -> Target:
        about = session(one)
        card = self.t(card_kind(about.kind)) + (f" **** {about.number}" if about.number else "")
        title = f"{card} · {self.t(PURPOSES[about.purpose])}"
        count = self.t("{n} commands").format(n=len(one.exchanges))
        lines = one.made_at[:19].replace("T", " "), f"{one.reader} · {count}"
        pill = None
        if about.outcome is not None:
            words, tone = OUTCOMES.get((about.purpose, about.outcome), UNKNOWN)
            pill = Pill(self.t(words), tone)
        icon = "card" if about.purpose == "looked at" else "receipt"
        return way(f"session:{number}", icon, title, *lines, mark=pill)


class CardLabReadersScreen(LoadingPage[tuple[ReaderSeen, ...]]):
    """The readers of this box and what is in them; OK chooses one. Its result is the chosen one's name."""

    id = "card-lab-readers"

    @property
    def default_focus(self) -> str:  # type: ignore[override]
        used = (number for number, one in enumerate(self.value or ()) if one.used)
        return f"reader:{next(used, 0)}" if self.value else "retry"

    def question(self) -> Journey[Any]:
        journey: Journey[Any] = self.app.verbs.readers()
        return journey

    def crumbs(self) -> Sequence[str]:
        return (self.t("Card lab"), self.t("Card readers"))

    def state(self) -> dict[str, Any]:
        return {**super().state(), "readers": [[one.name, one.holds] for one in self.value or ()]}

    def on_ok(self, key: str) -> None:
        name, _, number = key.partition(":")
        if name == "reader" and self.value is not None:
            chosen = self.value[int(number)].name
            self.app.verbs.choose_reader(chosen)
            self.app.pop(chosen)
        else:
            super().on_ok(key)

    def content(self, value: tuple[ReaderSeen, ...]) -> Node:
        if not value:
            said = (
                self.t("The card reader cannot be found"),
                self.t("Please check that its cable is plugged in."),
            )
            return message("warning", *said, (button("retry", self.t("Try again"), "primary"),))
        return Scroll("readers", Column(tuple(self._reader(n, one) for n, one in enumerate(value)), gap=16))

    def _reader(self, number: int, one: ReaderSeen) -> Target:
        line = " · ".join(part for part in (self.t(HOLDS[one.holds]), grouped(one.atr)) if part)
        pill = Pill(self.t("In use"), "accent") if one.used else None
        return way(f"reader:{number}", "card", one.name, line, mark=pill)
