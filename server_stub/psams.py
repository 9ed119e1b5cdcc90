"""``stb-server psams``: the security modules, and the operator's word that one is not locked any more."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from sqlalchemy import Connection, select

from server_stub import cli
from server_stub.commands import role_of, settings_of, subcommand
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.tsp import psam_pool, tables


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """One subcommand. Returns its exit code: 0; 1 for a PSAM that is not locked; 2 when there is no TSP here."""
    clock = clock or SystemClock()
    actor, named = cli.actor(), settings_of(options).psam_urls
    with closing(role_of(options, tables.metadata)) as database:
        if options.action == "list":
            for line in database.submit(lambda conn: listed(conn, named)).result():
                cli.announce(line)
            return 0
        if not database.submit(lambda conn: psam_pool.unlock(conn, options.psam, clock, actor)).result():
            sys.stderr.write(f"stb-server: {options.psam} is not noted as locked\n")
            return 1
    cli.announce(f"{options.psam} is used again; if it is still locked, its next payment says so")
    return 0


def listed(conn: Connection, urls: tuple[str, ...]) -> list[str]:
    """A line for each PSAM that the settings name, or that is locked: its URL, and since when it is locked."""
    locked = {row.psam: row.locked_at for row in conn.execute(select(tables.psam_locks))}
    return [
        f"{name}  locked since {locked[name]:%Y-%m-%d %H:%M}" if name in locked else f"{name}  good"
        for name in dict.fromkeys((*urls, *sorted(locked)))
    ]
