"""The simulation can find: each deliberate bug is noticed, by the invariant that is there for it."""

from __future__ import annotations

import pytest

from tests.simulation import nights
from tests.simulation.bugs import BUGS, Bug, caught
from tests.simulation.invariants import ALL

MORE = 120
"""So many other seeds are tried when the one that is known to notice does not any more."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_is_caught(bug: Bug) -> None:
    seeds = (bug.seed, *range(1, MORE + 1))
    assert caught(bug, seeds) is not None


def test_every_invariant_has_a_bug() -> None:
    """``cards_add_up`` watches the simulated card itself."""
    watched = {name for bug in BUGS for name in bug.caught_by}
    every = {check.__name__ for check in (*ALL, *nights.CHECKS)}
    assert every - watched == {"cards_add_up"}
