"""The pairs of books that are compared, as the pages name them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from types import MappingProxyType

from server_stub.reconciliation.pair import Pair
from server_stub.tsp.reconciling import pair_named
from server_stub.tsp.remedies import BOSS, PPP


@cache
def pairs() -> Mapping[str, Pair]:
    """By name."""
    return MappingProxyType({name: pair_named(name) for name in (BOSS, PPP)})


def options(language: str) -> list[tuple[str, str]]:
    """Name and title of each, to choose from."""
    return [(name, getattr(pair.title, language)) for name, pair in pairs().items()]


def day_of(text: str) -> date | None:
    """The day that was typed; None for what is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
