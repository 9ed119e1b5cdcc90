"""``stb-server boxes``: the operator's word on boxes, spoken into BOSS's books while the servers run or stand."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from server_stub import cli
from server_stub.boss import keys, tables, word
from server_stub.boss.tables import box_keys, boxes, subscribers
from server_stub.commands import role_of, subcommand
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.foundation.startup import CannotStart
from server_stub.foundation.vault import vault_file
from server_stub.tsp import server_keys
from server_stub.tsp import tables as tsp_tables

COLUMNS = "{:<12}  {:<20}  {:<9}  {:<20}  {}"
HEADING = COLUMNS.format("BOX", "SMART CARD", "STATE", "SUBSCRIBER", "KEY")
DONE = {
    "suspend": "is suspended",
    "stolen": "is reported stolen",
    "revoke": "has no key any more, nor an activation code; give it one with boxes activation",
    "activation": "is registered with activation code {code} from now on",
}


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """One subcommand. Returns its exit code: 0; 1 for a box that BOSS does not know; 2 when there is no BOSS here."""
    clock = clock or SystemClock()
    now = clock.now()
    with closing(role_of(options, tables.metadata)) as database:
        if options.action == "list":
            lines = database.submit(lambda conn: listed(conn, now)).result()
            for line in (HEADING, *lines) if lines else ("no boxes",):
                cli.announce(line)
            return 0
        number, actor = options.box, cli.actor()
        code = word.fresh_code(os.urandom)
        code_hash = keys.activation_hash(number, code) if options.action == "activation" else ""
        if not database.submit(
            lambda conn: word.change(conn, options.action, number, clock, actor, code_hash)
        ).result():
            sys.stderr.write(f"stb-server: BOSS knows no box {number}\n")
            return 1
        if options.action == "activate":
            done = database.submit(lambda conn: activated(conn, number, now)).result()
        else:
            done = DONE[options.action].format(code=code)
        cli.announce(f"box {number} {done}")
        return 0


@subcommand
def rotate_server_key(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """``stb-server rotate-key``: a new key for answers. Running servers take it within three minutes."""
    clock = clock or SystemClock()
    now, actor = clock.now(), cli.actor()
    if not (key := options.data / "tsp.key").exists():
        raise CannotStart(f"{key} is not there; --data names the folder of a TSP that has run")
    with closing(role_of(options, tsp_tables.metadata)) as database:
        vault = vault_file(key)

        def work(conn: Connection) -> str:
            new = server_keys.rotate(conn, vault, os.urandom(32), now)
            tsp_tables.audit.append(conn, clock, actor, "server-key-rotated", new)
            return new

        new = database.submit(work).result()
    cli.announce(
        f"answers are signed with {new} in two to three minutes; boxes learn it from the key before it"
    )
    return 0


def listed(conn: Connection, now: datetime) -> list[str]:
    """A line for each box: number, smart card, state, subscriber, since when its key is registered or why it has none."""
    lines = []
    query = select(boxes, subscribers).join(subscribers, boxes.c.subscriber_id == subscribers.c.id)
    for box in conn.execute(query.order_by(boxes.c.box_number)):
        found = _keys(conn, box.box_number)
        good = _good(found, now)
        if good:
            key = ", ".join(f"{key.key_id} since {key.registered_at:%Y-%m-%d %H:%M}" for key in good)
        else:
            key = f"none ({found[0].ended})" if found else "none"
        lines.append(COLUMNS.format(box.box_number, box.smart_card_number, box.state, box.name_en, key))
    return lines


def activated(conn: Connection, box_number: str, now: datetime) -> str:
    """What a box that is active can do now."""
    if _good(_keys(conn, box_number), now):
        return "is in service"
    code = conn.scalar(select(boxes.c.activation_hash).where(boxes.c.box_number == box_number))
    if code:
        return "may be registered: it has no key yet"
    return "may be registered once it has an activation code: give it one with boxes activation"


def _keys(conn: Connection, box_number: str) -> Sequence[Row[Any]]:
    """All that a box has had, the last first."""
    mine = select(box_keys).where(box_keys.c.box_number == box_number)
    return conn.execute(mine.order_by(box_keys.c.registered_at.desc(), box_keys.c.key_id)).all()


def _good(found: Sequence[Row[Any]], now: datetime) -> list[Row[Any]]:
    return [key for key in found if key.ended is None or key.ended_at > now]
