"""How a deliberate bug is declared, put in, and found."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

Make = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Bug:
    """One way to be wrong.

    Attributes:
        make: puts the bug in, for as long as the context lasts.
        caught_by: names of invariants, one of which has to break.
        seed: one that is known to notice.
    """

    name: str
    make: Make
    caught_by: tuple[str, ...]
    seed: int


BUGS: list[Bug] = []
"""All that are declared."""
PUT: set[str] = set()
RAN: set[str] = set()
"""Functions that a bug has put in the place of others; those of them that were called."""
OURS = ("TypeError", "AttributeError", "NameError", "UnboundLocalError")
"""What a bug raises that is no bug of the code but one of this module."""


def bug(name: str, *caught_by: str, seed: int) -> Callable[[Make], Make]:
    """Declares a bug; what is decorated puts it in."""

    def declare(make: Make) -> Make:
        BUGS.append(Bug(name, make, caught_by, seed))
        return make

    return declare


def put(owner: Any, name: str, new: Callable[..., Any]) -> AbstractContextManager[Any]:
    """Puts a function in another's place: it can be called alike, and it is noted that it was."""
    old = getattr(owner, name)
    for everything in (False, True):
        args, named = _call(old, everything)
        inspect.signature(new).bind(*args, **named)

    PUT.add(name)

    @functools.wraps(new)
    def noted(*args: Any, **named: Any) -> Any:
        RAN.add(name)
        return new(*args, **named)

    return patch.object(owner, name, noted)


def _call(function: Callable[..., Any], everything: bool) -> tuple[list[Any], dict[str, Any]]:
    """Arguments with which a function can be called: as few as there may be, or all."""
    args: list[Any] = []
    named: dict[str, Any] = {}
    for one in inspect.signature(function).parameters.values():
        wanted = everything or one.default is one.empty
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and wanted:
            args.append(None)
        elif one.kind is one.KEYWORD_ONLY and wanted:
            named[one.name] = None
        elif one.kind is one.VAR_KEYWORD and everything:
            named["any_other"] = None
    return args, named


@contextmanager
def both(*patches: AbstractContextManager[Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for one in patches:
            stack.enter_context(one)
        yield


def caught(bug: Bug, seeds: Iterator[int] | range) -> int | None:
    """The first of these seeds that notices a bug by one of its invariants; None when none does.

    Raises:
        AssertionError: the bug's own code broke, or has not run: then it is no test of anything.
    """
    from tests.simulation.many import one
    from tests.simulation.world import the_day_before

    the_day_before()
    PUT.clear()
    RAN.clear()
    with bug.make():
        for seed in seeds:
            broken = one(seed).broken
            ours = [
                text
                for text in broken
                if text.startswith("nothing_broke") and any(name in text for name in OURS)
            ]
            assert not ours, f"{bug.name} tests nothing: {ours}"
            if any(text.partition(":")[0] in bug.caught_by for text in broken):
                assert PUT <= RAN, f"{bug.name}: {PUT - RAN} never ran"
                return seed
    return None
