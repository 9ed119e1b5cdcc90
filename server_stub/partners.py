"""``stb-server partners``: the accounts of the exchange, and the files that have gone through it, while servers run or stand."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing

from server_stub import cli
from server_stub.commands import role_of, subcommand
from server_stub.exchange import partners, tables
from server_stub.exchange.partners import CLOSED, OPEN, Limits, Partner, PartnerRefused
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.foundation.files import FileRow
from server_stub.foundation.ids import Ids
from server_stub.foundation.secret import SecretText

COLUMNS = "{:<12}  {:<6}  {:<24}  {:<24}  {}"
HEADING = COLUMNS.format("PARTNER", "STATE", "MAY COME FROM", "FOLDERS", "PASSWORD")
FILE_COLUMNS = "{:<16}  {:<8}  {:<3}  {:<32}  {:>7}  {:<10}  {:>12}  {}"
FILE_HEADING = FILE_COLUMNS.format("AT", "PARTNER", "", "NAME", "VERSION", "STATE", "BYTES", "SHA-256")
MOST_FILES = 1000


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """One subcommand. Returns its exit code: 0; 1 for what is not there or is refused; 2 when there is no exchange here."""
    clock, actor, name = clock or SystemClock(), cli.actor(), options.partner
    password = SecretText(Ids(clock, os.urandom).secret())
    with closing(role_of(options, tables.metadata)) as database:
        if options.action == "list":
            found = database.submit(partners.every).result()
            return _tell((HEADING, *map(line, found)))
        if options.action == "files":
            known = {row.name for row in database.submit(partners.every).result()}
            if name is not None and name not in known:
                sys.stderr.write(f"stb-server: there is no partner {name}\n")
                return 1
            files = database.submit(
                lambda conn: tables.files.listed(conn, partner=name, most=MOST_FILES)
            ).result()
            return _tell((FILE_HEADING, *map(file_line, reversed(files))) if files else ("no files",))
        if options.action == "add":
            try:
                folders = dict(_folder(text) for text in options.folder or ())
                given = {one: getattr(options, one) for one in Limits._fields if getattr(options, one)}
                told = (name, partners.hashed(password), options.address or (), folders, Limits(**given))
                database.submit(lambda conn: partners.add(conn, clock, actor, *told)).result()
            except PartnerRefused as error:
                sys.stderr.write(f"stb-server: {error}\n")
                return 1
            return _tell(
                (f"partner {name} signs in with {password.reveal()} from now on; it is not shown again",)
            )
        if options.action == "password":
            hashed = partners.hashed(password)
            there = database.submit(
                lambda conn: partners.set_password(conn, clock, actor, name, hashed)
            ).result()
            done = f"signs in with {password.reveal()} from now on; it is not shown again"
        else:
            state = OPEN if options.action == "open" else CLOSED
            there = database.submit(lambda conn: partners.set_state(conn, clock, actor, name, state)).result()
            done = f"is {state}"
    if not there:
        sys.stderr.write(f"stb-server: there is no partner {name}\n")
        return 1
    return _tell((f"partner {name} {done}",))


def line(partner: Partner) -> str:
    """An account in one line."""
    folders = " ".join(f"{name}={right}" for name, right in partner.folders.items())
    return COLUMNS.format(
        partner.name,
        partner.state,
        " ".join(partner.addresses) or "anywhere",
        "of all partners" if partner.house else folders,
        "its own" if partner.password else "of the partner key",
    )


def file_line(file: FileRow) -> str:
    """A version of a file in one line."""
    told = (f"{file.at:%Y-%m-%d %H:%M}", file.partner, file.direction, file.name, file.version)
    return FILE_COLUMNS.format(*told, file.state, file.size, file.sha256)


def _folder(text: str) -> tuple[str, str]:
    name, _, right = text.partition("=")
    return name, right


def _tell(lines: Sequence[str]) -> int:
    for text in lines:
        cli.announce(text)
    return 0
