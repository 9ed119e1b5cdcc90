"""``python -m tests.simulation``: many seeds, or one with its trace."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.invariants import ALL
from tests.simulation.many import outcomes
from tests.simulation.world import Outcome, run

SHORT = 40
"""Last lines of the trace that are shown of a failing seed."""


def main() -> int:
    """Entry point; the exit code is the number of failing seeds, at most 100."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="with everything that happened")
    options = parser.parse_args()
    if options.seed is not None:
        return show(run(options.seed, ALL, tracing=options.trace), whole=options.trace)
    failing, kinds, counts = 0, Counter[str](), Counter[str]()
    begun = time.monotonic()
    for outcome in outcomes(range(options.first, options.first + options.seeds), options.jobs):
        counts.update(outcome.counts)
        if outcome.broken:
            failing += 1
            kinds.update({text.partition(":")[0] for text in outcome.broken})
            show(outcome, whole=False)
    seconds = time.monotonic() - begun
    print(
        f"{options.seeds} seeds in {seconds:.1f} s ({options.seeds / seconds:.1f}/s), {failing} failing; {dict(counts)}"
    )
    for kind, number in kinds.most_common():
        print(f"  {kind}: {number}")
    return min(failing, 100)


def show(outcome: Outcome, *, whole: bool) -> int:
    """Prints what one seed came to; returns 1 when something is broken."""
    if outcome.broken or whole:
        lines = outcome.trace if whole else outcome.trace[-SHORT:]
        print(f"seed {outcome.seed}")
        for line in lines:
            print(f"  {line}")
    for text in outcome.broken:
        print(f"  BROKEN {text}", flush=True)
    if outcome.broken:
        print(f"  again: python -m tests.simulation --seed {outcome.seed} --trace")
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    sys.exit(main())
