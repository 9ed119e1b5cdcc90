"""``stb-server boxes``: the operator's word on boxes, spoken into BOSS's books while the servers run or stand."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from datetime import datetime

from sqlalchemy import Connection, select

from server_stub import cli
from server_stub.boss import keys, tables
from server_stub.boss.tables import box_keys, boxes, subscribers
from server_stub.commands import role_of, subcommand
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.foundation.startup import CannotStart
from server_stub.foundation.vault import vault_file
from server_stub.tsp import server_keys
from server_stub.tsp import tables as tsp_tables

CODE_DIGITS = 10
STATES = {"suspend": "suspended", "activate": "active", "stolen": "stolen"}
DONE = {
    "suspend": "is suspended",
    "activate": "is in service",
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
            for line in database.submit(lambda conn: listed(conn, now)).result():
                cli.announce(line)
            return 0
        number, actor = options.box, cli.actor()
        code = f"{int.from_bytes(os.urandom(8)) % 10**CODE_DIGITS:0{CODE_DIGITS}}"
        code_hash = keys.activation_hash(number, code) if options.action == "activation" else ""
        if not database.submit(
            lambda conn: change(conn, options.action, number, clock, actor, code_hash)
        ).result():
            sys.stderr.write(f"stb-server: BOSS knows no box {number}\n")
            return 1
        cli.announce(f"box {number} {DONE[options.action].format(code=code)}")
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


def change(
    conn: Connection, action: str, box_number: str, clock: Clock, actor: str, code_hash: str = ""
) -> bool:
    """Changes a box's state, ends its keys and its activation code, or gives it another code; False when there is no such
    box.

    Args:
        actor: who does it, for the audit log.
        code_hash: of the new activation code.
    """
    if action in STATES:
        known = keys.set_state(conn, box_number, STATES[action])
    elif action == "activation":
        known = keys.set_activation(conn, box_number, code_hash)
    else:
        # Whoever has the code could register another key at once.
        known = keys.set_activation(conn, box_number, "")
        keys.end(conn, box_number, keys.REVOKED, clock.now())
    if known:
        tables.audit.append(conn, clock, actor, f"box-{action}", box_number)
    return known


def listed(conn: Connection, now: datetime) -> list[str]:
    """A line for each box: number, state, subscriber, since when its key is registered or why it has none."""
    lines = []
    query = select(boxes, subscribers).join(subscribers, boxes.c.subscriber_id == subscribers.c.id)
    for box in conn.execute(query.order_by(boxes.c.box_number)):
        mine = select(box_keys).where(box_keys.c.box_number == box.box_number)
        found = conn.execute(mine.order_by(box_keys.c.registered_at.desc(), box_keys.c.key_id)).all()
        good = [key for key in found if key.ended is None or key.ended_at > now]
        if good:
            state = ", ".join(f"key {key.key_id} since {key.registered_at:%Y-%m-%d %H:%M}" for key in good)
        else:
            state = found[0].ended if found else "not enrolled"
        lines.append(f"{box.box_number}  {box.state:<9}  {box.name_en}  {state}")
    return lines
