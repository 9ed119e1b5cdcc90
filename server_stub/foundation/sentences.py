"""Sentences that are made in one place and read in another, by people with a language of their own.

A sentence is kept as its message and its values, and put into words where it is shown: in English by a command, in the
language of the page by the back office. The message is the catalogue's id, in English, marked with ``N_``.

Refusal      an exception whose text is a sentence
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def N_(message: str) -> str:
    """Marks a message that is translated where it is shown."""
    return message


@dataclass(frozen=True, slots=True)
class Sentence:
    """A message, and what stands in its ``%(name)s``; false where it says nothing.

    Args:
        values: names, and what they say: text, a number, or a sentence again. A name tells what it is: ``..._fen`` is an
            amount, ``state`` that of a payment.
    """

    message: str = ""
    values: tuple[tuple[str, str | int | Sentence], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.message)

    def __str__(self) -> str:
        """In English, with amounts in fen, and states and the like by their own names."""
        return self.worded(lambda message: message, _plain)

    def worded(self, message: Callable[[str], str], value: Callable[[str, str | int], str]) -> str:
        """In somebody's words.

        Args:
            message: translates a message.
            value: puts the value of a name into words.
        """
        told = {
            name: one.worded(message, value) if isinstance(one, Sentence) else value(name, one)
            for name, one in self.values
        }
        text = message(self.message) if self.message else ""
        return text % told if told else text

    def changed(self, change: Callable[[str], str]) -> Sentence:
        """The same with every text in it changed."""
        return Sentence(self.message, tuple((name, _changed(one, change)) for name, one in self.values))

    @property
    def kept(self) -> str:
        """What a row keeps of it, for ``read``; "" where it says nothing."""
        return json.dumps(_facts(self), ensure_ascii=False, separators=(",", ":")) if self.message else ""


NOTHING = Sentence()
"""Says nothing."""


def say(message: str, /, **values: object) -> Sentence:
    """A sentence.

    >>> str(say("%(count)s of %(day)s", count=2, day="2026-06-21"))
    '2 of 2026-06-21'
    """
    told = ((name, one if isinstance(one, int | Sentence) else str(one)) for name, one in values.items())
    return Sentence(message, tuple(told))


def read(kept: str | None) -> Sentence:
    """A sentence from what was kept of it; any other text is a sentence that nobody translates.

    >>> read(say("no file %(name)s", name="A").kept) == say("no file %(name)s", name="A")
    True
    >>> str(read("100% lost")), bool(read(None))
    ('100% lost', False)
    """
    if not kept or not kept.startswith('{"message":'):
        return Sentence(kept or "")
    try:
        return _sentence(json.loads(kept))
    except ValueError:
        return Sentence(kept)


class Refusal(Exception):
    """What is refused; its text says why.

    Attributes:
        said: the same, to be put into anybody's words.
    """

    def __init__(self, message: str | Sentence, /, **values: object) -> None:
        self.said = message if isinstance(message, Sentence) else say(message, **values)
        super().__init__(str(self.said))


def _plain(name: str, value: str | int) -> str:
    return f"{value} fen" if name.endswith("_fen") else str(value)


def _facts(sentence: Sentence) -> dict[str, Any]:
    values = {name: _facts(one) if isinstance(one, Sentence) else one for name, one in sentence.values}
    return {"message": sentence.message, "values": values}


def _sentence(facts: dict[str, Any]) -> Sentence:
    values = (
        (name, _sentence(one) if isinstance(one, dict) else one) for name, one in facts["values"].items()
    )
    return Sentence(facts["message"], tuple(values))


def _changed(one: str | int | Sentence, change: Callable[[str], str]) -> str | int | Sentence:
    if isinstance(one, Sentence):
        return one.changed(change)
    return change(one) if isinstance(one, str) else one
