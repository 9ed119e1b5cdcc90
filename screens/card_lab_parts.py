"""What the pages of the card lab share: bytes and data objects that can be read from the sofa, and a list with its details beside."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from screens.problems import N_, Translate
from stb_app.journeys.card_lab import Node as DataObject
from stb_app.journeys.card_lab import Told, said
from stb_app.kit.nodes import (
    Column,
    Fit,
    Group,
    Grow,
    Icon,
    Node,
    Panel,
    Pill,
    Row,
    Scroll,
    Span,
    Target,
    Text,
)
from stb_app.kit.screen import Binding
from stb_app.shell.page import Page

Tone = Literal["good", "bad", "neutral", "warning"]
AUTHENTICITY: dict[str, tuple[str, Tone]] = {
    "verified": (N_("Genuine"), "good"),
    "failed": (N_("Does not verify"), "bad"),
    "not checked": (N_("Could not be checked"), "warning"),
    "not offered": (N_("No certificates"), "neutral"),
}
"""Whether a card's certificates verify, and the tone of that."""
KINDS = {
    "debit": N_("Debit card"),
    "credit": N_("Credit card"),
    "quasi-credit": N_("Quasi-credit card"),
    "electronic-cash": N_("Electronic cash card"),
    "purse": N_("Purse card"),
}
GROUP = 8
"""Hexadecimal digits that stand together; a line may end behind them."""
INDENT = 32
AMOUNTS = frozenset(("Amount", "Overdraft limit"))
"""Elements of a purse's records that are money."""
LONGEST_LINE = 4
"""Lines that the longest name of a data object takes with the largest letters; only bytes that nobody can name take more."""


def grouped(digits: str) -> str:
    """Hexadecimal digits that lines may end in.

    >>> grouped("A00000033301010106")
    'A0000003 33010101 06'
    """
    return " ".join(digits[at : at + GROUP] for at in range(0, len(digits), GROUP))


_NAMED = re.compile(r"\b[0-9A-F]{10,32}\b")
"""A file's name or an AID (5 to 16 bytes) among the words of what was asked."""


def asked(told: str, t: Translate) -> str:
    """What a card was asked, with the AID in it as everywhere else.

    >>> asked("SELECT A000000333010101", str)
    'SELECT A0000003 33010101'
    """
    return _NAMED.sub(lambda found: grouped(found[0]), said(told, t))


def unbroken(line: str) -> str:
    """A line that ends, where it has to, only between its parts.

    >>> unbroken("no. 2 · took 1.7 ms")
    'no.\\xa02 · took\\xa01.7\\xa0ms'
    """
    return " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in line.split(" · "))


def tree(objects: Sequence[DataObject], t: Translate, depth: int = 0) -> Iterator[Node]:
    """Data objects, one below the other: tag and name, what it says, its bytes; what is inside further to the right.

    Parts of a purse's files have no tags: there the value is what is read.
    """
    for one in objects:
        name, lines = said(one.name, t), list[Node]()
        if one.tag:
            mark = Span(f"{one.tag}  ", "accent", bold=True)
            lines.append(Text((mark, Span(name, bold=bool(one.children))), "small"))
            if one.text:
                lines.append(Text(said(one.text, t), "small", "good"))
            if one.value:
                lines.append(Text(grouped(one.value), "caption", "secondary"))
        else:
            value = f"\N{YEN SIGN}{one.value}" if one.name in AMOUNTS else one.value
            if one.text:
                value = f"{said(one.text, t)} ({value})"
            lines += (Text(name, "caption", "secondary"), Text(value, "small"))
        yield Row((Column((), width=depth * INDENT), Grow(Column(tuple(lines), gap=0))), gap=0, align="start")
        yield from tree(one.children, t, depth + 1)


def answer(told: Told, t: Translate) -> Node:
    """One answer of a card: what was asked, and its tree or its bytes."""
    body = tuple(tree(told.nodes, t)) or (Text(grouped(told.raw), "small", "secondary"),)
    return Column((Text(asked(told.asked, t), "heading"), *body), gap=12)


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a list, and what is shown beside it while it has the focus.

    Attributes:
        title, line: its words; ``line`` may be empty.
        mark: a word at its end and that word's tone.
    """

    title: str
    line: str
    detail: Callable[[], Node]
    mark: tuple[str, Tone] | None = None


class Browser(Page[None], ABC):
    """A list, and beside it what its focused line is about, which can be gone into with the arrow to the right."""

    default_focus = "item:0"
    _chosen = 0

    @abstractmethod
    def items(self) -> Sequence[Item]:
        """The lines, at least one."""

    def ok_words(self) -> str:
        """What OK does on the focused line."""
        return self.t("Read on")

    def bindings(self) -> Sequence[Binding]:
        """None for OK where the focus is in what is read: there is nothing to press."""
        if self._reads():
            return (Binding(("KEY_BACK",), self.t("Back to the list")),)
        words = self.ok_words()
        return (Binding(("KEY_OK",), words),) if words else ()

    def state(self) -> dict[str, Any]:
        return {"chosen": self._chosen, "items": len(self.items())}

    def on_focus(self, key: str) -> None:
        name, _, number = key.partition(":")
        if name == "item" and int(number) != self._chosen:
            self._chosen = int(number)
            self.app.refresh()

    def on_ok(self, key: str) -> None:
        self.app.focus(f"detail:{self._chosen}")

    def on_back(self) -> bool:
        """From what is read to the list first."""
        reads = self._reads()
        if reads:
            self.app.focus(f"item:{self._chosen}")
        return reads

    def _reads(self) -> bool:
        return self.app.focused == f"detail:{self._chosen}"

    def compose(self) -> Node:
        listed = self.items()
        self._chosen = min(self._chosen, len(listed) - 1)
        rows = tuple(self._row(number, one) for number, one in enumerate(listed))
        left = Group("items", Scroll("all", Column(rows, gap=12)), beside=f"item:{self._chosen}")
        right = Panel(Scroll(f"detail:{self._chosen}", listed[self._chosen].detail()), pad=32, grow=1)
        return Row((Grow(left, 2), Grow(right, 3)), gap=40, align="stretch", grow=1)

    def _row(self, number: int, one: Item) -> Target:
        words: list[Node] = [Text(one.title, "body")]
        if one.line:
            words.append(Text(one.line, "caption", "secondary", most_lines=LONGEST_LINE))
        line: list[Node] = [Grow(Column(tuple(words), gap=2))]
        if one.mark is not None:
            line.append(Pill(*one.mark))
        chosen = number == self._chosen
        return Target(f"item:{number}", Row(tuple(line), gap=16), "row", text=one.title, chosen=chosen)


def way(key: str, icon: str, title: str, *lines: str, mark: Node | None = None) -> Target:
    """A way on: a drawing, what is there, and perhaps a mark at its end, below its title where no line would be whole beside it."""

    def row(words: tuple[Node, ...], *end: Node) -> Row:
        return Row((Icon(icon, 48, "accent"), Grow(Column(words, gap=2)), *end), gap=24)

    below = tuple(Text(one, "small", "secondary") for one in lines if one)
    if mark is None:
        return Target(key, row((Text(title, "row-bold"), *below)), "row", text=title)
    whole = tuple(Text(one, "small", "secondary", wrap=False) for one in lines if one)
    beside = row((Text(title, "row-bold", wrap=False), *whole), mark)
    return Target(key, Fit((beside, row((Text(title, "row-bold"), mark, *below)))), "row", text=title)


def card_kind(kind: str) -> str:
    """The message that names a kind of card (`bank_card`)."""
    return KINDS.get(kind, N_("Unknown card"))


def milliseconds(value: float) -> str:
    """A time in milliseconds for people."""
    return f"{value:.1f}\u00a0ms" if value < 1000 else f"{value / 1000:.2f}\u00a0s"
