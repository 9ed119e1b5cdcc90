"""``stb-server partners``: the accounts of the exchange, and the files that have gone through it, while servers run or stand."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TypeVar

from sqlalchemy import Connection

from server_stub import cli
from server_stub.commands import role_of, subcommand
from server_stub.exchange import partners, tables
from server_stub.exchange.partners import CLOSED, OPEN, Limits, Partner, PartnerRefused
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.foundation.database import Database
from server_stub.foundation.files import FileRow
from server_stub.foundation.ids import Ids
from server_stub.foundation.secret import SecretText

COLUMNS = "{:<12}  {:<6}  {:<24}  {:<24}  {}"
HEADING = COLUMNS.format("PARTNER", "STATE", "MAY COME FROM", "FOLDERS", "PASSWORD")
FILE_COLUMNS = "{:<16}  {:<8}  {:<3}  {:<32}  {:>7}  {:<10}  {:>12}  {}"
FILE_HEADING = FILE_COLUMNS.format("AT", "PARTNER", "", "NAME", "VERSION", "STATE", "BYTES", "SHA-256")
MOST_FILES = 1000
T = TypeVar("T")


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """One subcommand. Returns its exit code: 0; 1 for what is not there or is refused; 2 when there is no exchange here."""
    name = options.partner
    try:
        with closing(role_of(options, tables.metadata)) as database:
            if options.action == "list":
                found = database.submit(partners.every).result()
                return _tell((HEADING, *map(line, found)))
            if options.action == "files":
                return _files(database, name)
            there, done = _changed(database, options, clock or SystemClock())
    except PartnerRefused as error:
        sys.stderr.write(f"stb-server: {error}\n")
        return 1
    return _tell((f"partner {name} {done}",)) if there else _unknown(name)


def _changed(database: Database, options: argparse.Namespace, clock: Clock) -> tuple[bool, str]:
    """Whether there is such a partner, and what has become of it. Raises PartnerRefused."""
    actor, name = cli.actor(), options.partner
    limits = {one: given for one in Limits._fields if (given := getattr(options, one)) is not None}
    folders = None if options.folder is None else partners.folders_of(options.folder)

    def made(work: Callable[[Connection], T]) -> T:
        return database.submit(work).result()

    if options.action == "change":
        if options.address is folders is None and not limits:
            raise PartnerRefused("nothing is given that could be changed: --address, --folder or a limit")
        told = (name, options.address, folders, limits)
        return made(lambda conn: partners.change(conn, clock, actor, *told)), "is changed"
    if options.action in ("open", "close"):
        state = OPEN if options.action == "open" else CLOSED
        return made(lambda conn: partners.set_state(conn, clock, actor, name, state)), f"is {state}"
    password = SecretText(Ids(clock, os.urandom).secret())
    hashed = partners.hashed(password)
    done = f"signs in with {password.reveal()} from now on; it is not shown again"
    if options.action == "password":
        return made(lambda conn: partners.set_password(conn, clock, actor, name, hashed)), done
    new = (name, hashed, options.address or (), folders, Limits(**limits))
    made(lambda conn: partners.add(conn, clock, actor, *new))
    return True, done


def _files(database: Database, name: str | None) -> int:
    if name is not None and database.submit(lambda conn: partners.one(conn, name)).result() is None:
        return _unknown(name)
    files = database.submit(lambda conn: tables.files.listed(conn, partner=name, most=MOST_FILES)).result()
    return _tell((FILE_HEADING, *map(file_line, reversed(files))) if files else ("no files",))


def _unknown(name: str) -> int:
    sys.stderr.write(f"stb-server: there is no partner {name}\n")
    return 1


def line(partner: Partner) -> str:
    """An account in one line."""
    folders = " ".join(f"{name}={right}" for name, right in partner.folders.items())
    return COLUMNS.format(
        partner.name,
        partner.state,
        " ".join(partner.addresses) or "anywhere",
        "of all partners" if partner.house else folders,
        "its own" if partner.password else "derived from the partner key",
    )


def file_line(file: FileRow) -> str:
    """A version of a file in one line."""
    told = (f"{file.at:%Y-%m-%d %H:%M}", file.partner, file.direction, file.name, file.version)
    return FILE_COLUMNS.format(*told, file.state, file.size, file.sha256)


def _tell(lines: Sequence[str]) -> int:
    for text in lines:
        cli.announce(text)
    return 0
