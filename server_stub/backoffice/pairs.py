"""The pairs of books that are compared, as the pages name them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from server_stub.backoffice import criteria
from server_stub.backoffice.words import N_
from server_stub.reconciliation.pair import Pair
from server_stub.tsp.reconciling import pair_named
from server_stub.tsp.remedies import BOSS, PPP

if TYPE_CHECKING:
    from server_stub.backoffice.visit import Visit

NO_DAY = N_("No day: type one such as 2026-06-21.")


@cache
def pairs() -> Mapping[str, Pair]:
    """By name."""
    return MappingProxyType({name: pair_named(name) for name in (BOSS, PPP)})


def options(language: str) -> list[tuple[str, str]]:
    """Name and title of each, to choose from."""
    return [(name, getattr(pair.title, language)) for name, pair in pairs().items()]


def day_of(text: str) -> date | None:
    """The day that was typed; None for what is none, or cannot be ours."""
    try:
        return criteria.day_of(text)
    except criteria.Unreadable:
        return None


def wrong_days(visit: Visit, *names: str) -> dict[str, str]:
    """What is said beside fields of the address that are to be days, and are none."""
    typed = {name: visit.query.text(name) for name in names}
    return {name: visit.t(NO_DAY) for name, text in typed.items() if text and day_of(text) is None}
