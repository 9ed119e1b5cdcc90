"""``stb-server cancel``: BOSS's staff take back what an order has opened; the money follows with the day's reconciliation."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from server_stub import cli
from server_stub.boss import cancelling, tables
from server_stub.commands import role_of, subcommand
from server_stub.foundation.clock import Clock, SystemClock


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """The subcommand. Returns its exit code: 0; 1 for an order that has opened nothing; 2 when there is no BOSS here."""
    clock, actor = clock or SystemClock(), cli.actor()
    with closing(role_of(options, tables.metadata)) as database:
        try:
            database.submit(
                lambda conn: cancelling.cancel(conn, clock, options.order, reason=options.reason, actor=actor)
            ).result()
        except cancelling.NotCancellable as refused:
            sys.stderr.write(f"stb-server: {refused}\n")
            return 1
    cli.announce(
        f"order {options.order} is taken back; what was paid goes back with tonight's reconciliation"
    )
    return 0
