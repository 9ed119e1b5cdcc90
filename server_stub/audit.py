"""``stb-server audit``: whether the audit logs of the roles are as they were written."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import closing

from sqlalchemy import MetaData

from server_stub import cli
from server_stub.backoffice import tables as backoffice
from server_stub.boss import tables as boss
from server_stub.commands import settings_of, subcommand
from server_stub.exchange import tables as exchange
from server_stub.foundation.clock import machine_pauses
from server_stub.foundation.startup import CannotStart
from server_stub.opening import NotThere, read_role
from server_stub.ppp import tables as ppp
from server_stub.tsp import tables as tsp

LOGS = {
    "backoffice": (backoffice.metadata, backoffice.audit),
    "boss": (boss.metadata, boss.audit),
    "exchange": (exchange.metadata, exchange.audit),
    "ppp": (ppp.metadata, ppp.audit),
    "tsp": (tsp.metadata, tsp.audit),
}
"""By role."""


@subcommand
def run(options: argparse.Namespace) -> int:
    """``audit verify``. Returns its exit code: 0; 1 when a log was changed; 2 when there is none."""
    url = settings_of(options).database
    faults = [_verify(role, options, url) for role in LOGS if options.role in (None, role)]
    if all(fault is None for fault in faults):
        raise CannotStart("no role with an audit log has run here")
    return 1 if any(faults) else 0


def _verify(role: str, options: argparse.Namespace, url: str) -> bool | None:
    """Says what a role's log is like; returns whether it was changed, None where the role has not run."""
    metadata: MetaData
    metadata, log = LOGS[role]
    try:
        database = read_role(metadata, options.data, url, machine_pauses())
    except NotThere:
        return None
    with closing(database):
        # Reading holds up nobody, however long the log is.
        verdict = asyncio.run(database.read(lambda conn: log.verify(conn, options.head)))
    if verdict.fault is None:
        cli.announce(f"ok     {role}: {verdict.count} records, the last has hash {verdict.last}")
        return False
    cli.announce(
        f"WRONG  {role}: {verdict.fault} ({verdict.count} records before it fit, up to {verdict.last})"
    )
    return True
