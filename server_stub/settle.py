"""``stb-server settle``: batches and their totals; settling at once; a person's word on totals that differ."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from server_stub import cli
from server_stub.commands import role_of, settings_of, subcommand
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.tsp import housekeeping, settlement, tables


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """One subcommand. Returns its exit code: 0; 1 for what is not there or differs not; 2 when there is no TSP here."""
    clock = clock or SystemClock()
    with closing(role_of(options, tables.metadata)) as database:
        if options.action == "list":
            rows = database.submit(settlement.listed).result()
            for line in settlement.lines(rows) or ["no batch has been settled"]:
                cli.announce(line)
            return 0
        if options.action == "now":
            if not database.submit(
                lambda conn: housekeeping.order_settlement(conn, clock, cli.actor())
            ).result():
                sys.stderr.write("stb-server: no server with a way to PPP has run here\n")
                return 1
            cli.announce("a server that runs here settles within a minute")
            return 0
        terminal = options.terminal or settings_of(options).pos_terminal
        said = (options.batch, options.reason, options.actor, cli.actor(), terminal)
        if not database.submit(lambda conn: settlement.decide(conn, clock, *said)).result():
            sys.stderr.write(f"stb-server: there is no batch {options.batch} that differs\n")
            return 1
    cli.announce(f"batch {options.batch} is decided")
    return 0
