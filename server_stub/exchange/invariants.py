"""What must be true of the exchange's tables, and of the files that it keeps; reads only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, select

from server_stub.exchange.partners import CLOSED, HOUSE, OPEN, PartnerRefused, expect_right
from server_stub.exchange.tables import audit, files, partners
from server_stub.foundation.files import Store

Check = Callable[[Connection], list[str]]


def checks(store: Store) -> Mapping[str, Check]:
    """By name, in the order they are shown.

    Args:
        store: with the files.
    """
    return {
        "every version of every file is kept": lambda conn: files.faults(conn, store),
        "accounts are as they can be": _accounts,
        "audit log is whole": _audit,
    }


def _accounts(conn: Connection) -> list[str]:
    said = []
    for row in conn.execute(select(partners).order_by(partners.c.name)):
        if row.state not in (OPEN, CLOSED):
            said.append(f"partner {row.name} is {row.state}")
        if row.house and row.name != HOUSE:
            said.append(f"partner {row.name} sees the folders of all")
        try:
            expect_right(row.name, json.loads(row.addresses), json.loads(row.folders))
        except PartnerRefused as error:
            said.append(f"partner {row.name}: {error}")
    return said


def _audit(conn: Connection) -> list[str]:
    fault = audit.verify(conn).fault
    return [] if fault is None else [str(fault)]
