"""A record in full: what became of it, and every number a hotline could ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from stb_app.kit.nodes import (
    Color,
    Column,
    Facts,
    Fit,
    Grow,
    Node,
    Panel,
    Row,
    Scroll,
    Sign,
    Space,
    Span,
    Text,
)

Pairs = tuple[tuple[str, str | Text], ...]


def record_page(
    kind: Literal["success", "failed", "pending", "expired", "cancelled", "late"],
    title: str,
    taken: tuple[str, Color],
    sentences: Sequence[Text],
    pairs: Callable[[Literal["body", "small"]], Pairs],
    ways: Node,
) -> Node:
    """The page of one record.

    Args:
        kind: of the sign.
        taken: what became of the money, and how loud that is.
        sentences: what it means, and what to do.
        pairs: the facts, in letters of that size.
        ways: the buttons below.
    """
    said, tone = taken
    words = (Text(title, "title"), Text((Span(said, tone, True),), "row"), *sentences)
    head = Row((Sign(kind, 120), Grow(Column(words, gap=8))), gap=40)
    facts = Panel(Facts(pairs("body"), columns=2, gap=22), pad=44)
    # Large letters: every sentence stays, and the facts, in smaller ones, may scroll.
    small_words = tuple(replace(sentence, style="small") for sentence in sentences)
    close_words = (Text(title, "headline"), Text(said, "body-bold", tone), *small_words)
    close = Row((Sign(kind, 120), Grow(Column(close_words, gap=0))), gap=28)
    small = Panel(Facts(pairs("small"), columns=2, gap=12, style="small"), pad=32)
    return Fit(
        (
            Column((head, facts, Space(grow=1), ways), gap=32, grow=1),
            Column((close, small, Space(grow=1), ways), gap=20, grow=1),
            Column((close, Scroll("facts", small), ways), gap=16, grow=1),
            Column((Scroll("facts", Column((close, small), gap=16)), ways), gap=16, grow=1),
        )
    )
