"""``stb-server staff``: who may sign in to the back office, while the servers run or stand."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing

from sqlalchemy import Connection

from server_stub import cli
from server_stub.backoffice import passwords, staff, tables
from server_stub.backoffice.rights import Role, roles_of
from server_stub.commands import settings_of, subcommand
from server_stub.foundation.clock import Clock, SystemClock, machine_pauses
from server_stub.foundation.startup import CannotStart
from server_stub.opening import open_role
from server_stub.settings import SettingsError

COLUMNS = "{:<20}  {:<24}  {:<28}  {:<8}  {}"
HEADING = COLUMNS.format("NAME", "FULL NAME", "ROLES", "STATE", "LAST SIGNED IN")


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """One subcommand. Returns its exit code: 0; 1 for what cannot be done; 2 where nothing can be kept."""
    clock = clock or SystemClock()
    try:
        roles = roles_of(options.role) if options.role is not None else ()
    except ValueError as error:
        raise SettingsError(f"--role: {error}") from None
    url = settings_of(options).database
    if not url and not options.data.is_dir():
        raise CannotStart(
            f"{options.data} is no folder of a server; --data names the one of a server that has run"
        )
    # The first person is let in before the back office has ever run.
    with closing(open_role(tables.metadata, options.data, url, machine_pauses())) as database:
        if options.action == "list":
            people = database.submit(staff.listed).result()
            for line in (HEADING, *map(_line, people)) if people else ("nobody may sign in yet",):
                cli.announce(line)
            return 0
        password = passwords.once(os.urandom(passwords.ONCE_LENGTH))
        kept = passwords.Passwords().hash_now(password) if options.action in ("add", "password") else ""
        try:
            database.submit(lambda conn: _do(conn, options, clock, roles, kept)).result()
        except staff.StaffError as error:
            sys.stderr.write(f"stb-server: {error}\n")
            return 1
    told = {
        "close": "is closed out",
        "open": "may sign in again",
        "roles": f"is {', '.join(roles)} from now on",
    }
    once = f"signs in with {password} the first time, and chooses a password of their own there; it is shown only now"
    said = told.get(options.action, once)
    cli.announce(f"{staff.folded(options.name)} {said}")
    return 0


def _do(
    conn: Connection, options: argparse.Namespace, clock: Clock, roles: tuple[Role, ...], kept: str
) -> None:
    actor, name = cli.actor(), options.name
    match options.action:
        case "add":
            staff.add(conn, clock, actor, name, options.full_name, roles, kept, options.language)
        case "password":
            staff.set_password(conn, clock, actor, name, kept, once=True)
        case "roles":
            staff.set_roles(conn, clock, actor, name, roles)
        case "close" | "open":
            staff.set_closed(conn, clock, actor, name, closed=options.action == "close")


def _line(person: staff.Person) -> str:
    state = "closed" if person.closed else "open"
    seen = "never" if person.signed_in_at is None else f"{person.signed_in_at:%Y-%m-%d %H:%M}"
    return COLUMNS.format(person.name, person.full_name, ",".join(person.roles), state, seen)
