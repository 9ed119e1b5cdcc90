"""What was said to a card and what it has answered, with meaning and time; kept as a file when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from screens.card_lab_parts import Browser, Item, Tone, asked, grouped, milliseconds, tree, unbroken
from stb_app.journeys.card_lab import Kept, Spoken, Trace, said, spoken
from stb_app.journeys.steps import Loaded, Loading, Refused
from stb_app.kit.nodes import Column, Facts, Grow, Node, Pill, Row, Text

if TYPE_CHECKING:
    from stb_app.shell.app import App


class CardLabTraceScreen(Browser):
    """Every command of one card's stay, with its meaning and time; kept as a file when asked for."""

    id = "card-lab-trace"

    def __init__(self, app: App, *, trace: Trace) -> None:
        super().__init__(app)
        self._trace = trace
        self._spoken = spoken(trace)
        self._kept: Kept | Refused | None = None

    def crumbs(self) -> Sequence[str]:
        return (self.t("Card lab"), self._trace.made_at[:19].replace("T", " "))

    def ok_words(self) -> str:
        if self._chosen != 0:
            return super().ok_words()
        return "" if isinstance(self._kept, Kept) else self.t("Save")

    def items(self) -> Sequence[Item]:
        kept = isinstance(self._kept, Kept)
        mark: tuple[str, Tone] | None = (self.t("Saved"), "good") if kept else None
        return (
            Item(self.t("Save as a file"), self.t("Can be replayed as a card"), self._saving, mark),
            *map(self._line, range(len(self._spoken))),
        )

    def _line(self, number: int) -> Item:
        one = self._spoken[number]
        mark: tuple[str, Tone] = (
            (one.word, "good" if one.fine else "warning") if one.word else (self.t("left"), "bad")
        )
        when = self.t("no. {n} · at {at} · took {took}").format(
            n=number + 1, at=milliseconds(one.at_ms), took=milliseconds(one.took_ms)
        )
        return Item(asked(one.asked, self.t), unbroken(when), lambda: self._detail(one), mark)

    def _detail(self, one: Spoken) -> Node:
        words = said(one.meaning, self.t) if one.word else self.t("The card left instead of answering.")
        pill = (Pill(one.word, "good" if one.fine else "warning"),) if one.word else ()
        times = self.t("Began at {at}, took {took}").format(
            at=milliseconds(one.at_ms), took=milliseconds(one.took_ms)
        )
        return Column(
            (
                Text(asked(one.asked, self.t), "heading"),
                Row((*pill, Grow(Text(words, "small", "text" if one.fine else "warning"))), gap=16),
                Text(times, "caption", "secondary"),
                Column(
                    (Text(self.t("Command"), "small", "secondary"), Text(grouped(one.command), "small")),
                    gap=0,
                ),
                *tree(one.sent, self.t, 1),
                Column(
                    (Text(self.t("Answer"), "small", "secondary"), Text(grouped(one.answer) or "-", "small")),
                    gap=0,
                ),
                *tree(one.nodes, self.t, 1),
            ),
            gap=12,
        )

    def _saving(self) -> Node:
        kept = self._kept
        words: tuple[Node, ...] = (
            Text(
                self.t(
                    "OK writes all commands into a file on this box. PINs are never in it, the card's number is."
                ),
                "small",
            ),
            Text(
                self.t("stb-card replay FILE puts it into a virtual reader as a card."),
                "small",
                "secondary",
            ),
        )
        if isinstance(kept, Kept):
            facts = (
                (self.t("Folder"), Text(kept.folder, "small")),
                (self.t("File"), Text(kept.file, "small", "good")),
            )
            words = (Row((Pill(self.t("Saved"), "good"),)), Facts(facts, gap=12, style="small"), words[1])
        elif isinstance(kept, Refused):
            why = self.t("This box cannot write to its storage; its log says why.")
            words = (Text(self.t("It was not saved"), "body-bold", "bad"), Text(why, "small"), *words)
        return Column((Text(self.t("Save as a file"), "heading"), *words), gap=20)

    def state(self) -> dict[str, Any]:
        kept = self._kept
        return {**super().state(), "saved": f"{kept.folder}/{kept.file}" if isinstance(kept, Kept) else None}

    def on_ok(self, key: str) -> None:
        if key == "item:0" and isinstance(self._kept, Kept):
            return  # the same would be written once more
        if key == "item:0":
            self.app.start(self.app.verbs.keep_trace(self._trace), self._on_kept)
        else:
            super().on_ok(key)

    def _on_kept(self, step: Loading | Loaded[Kept] | Refused) -> None:
        if not isinstance(step, Loading):
            self._kept = step.value if isinstance(step, Loaded) else step
            self.app.refresh()
