"""Many seeds, side by side where there are processors."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from multiprocessing import get_context

from tests.simulation.invariants import ALL
from tests.simulation.world import Outcome, run

COLLECT_EVERY = 25
"""A run leaves little behind, and much that lives on: looking through all of it takes longer than the run."""


def one(seed: int) -> Outcome:
    """One seed, checked for everything."""
    gc.disable()
    if seed % COLLECT_EVERY == 0:
        gc.collect()
    return run(seed, ALL)


def outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    """All seeds, in order, on so many processors."""
    if jobs == 1:
        yield from map(one, seeds)
        return
    # Fresh processes: nothing of this one is shared with them.
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(one, seeds, chunksize=20)
