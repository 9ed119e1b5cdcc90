"""Pauses after sign-ins that have failed: by account and by address, growing, in the database.

A try is counted before its password is looked at: many at once are as many as one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, delete, select, update

from server_stub.backoffice.tables import failures
from server_stub.foundation import statements

FREE: Mapping[str, int] = MappingProxyType({"name": 5, "address": 20})
"""So many failures in a row cost nothing: of an account, and of an address, behind which there may be an office."""
PAUSES = (30, 60, 120, 300, 900, 3600)
"""Seconds after each failure from then on; the last one for all others."""
FORGOTTEN = timedelta(days=1)
"""Failures so long ago count no more."""


def enter(conn: Connection, keys: Sequence[str], now: datetime) -> bool:
    """Counts a try under each of these as a failure, until ``forget`` says otherwise; whether it may be looked at now.

    Args:
        keys: ``"name:..."``, ``"address:..."``.
    """
    conn.execute(delete(failures).where(failures.c.last_at < now - FORGOTTEN))
    rows: list[Any] = []
    for key in sorted(keys):  # in one order: two who try at once do not wait for each other
        statements.insert_once(conn, failures, {"key": key, "count": 0, "last_at": now, "until": None})
        row = conn.execute(select(failures).where(failures.c.key == key).with_for_update()).one()
        rows.append(row)
    if any(row.until is not None and row.until > now for row in rows):
        return False
    for row in rows:
        count = row._mapping["count"] + 1
        beyond = count - FREE[row.key.partition(":")[0]]
        until = None
        if beyond >= 0:
            until = now + timedelta(seconds=PAUSES[min(beyond, len(PAUSES) - 1)])
        mine = failures.c.key == row.key
        conn.execute(update(failures).where(mine).values(count=count, last_at=now, until=until))
    return True


def forget(conn: Connection, *keys: str) -> None:
    """It was right after all: nothing is held against these any more."""
    conn.execute(delete(failures).where(failures.c.key.in_(keys)))
