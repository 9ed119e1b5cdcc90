"""``stb-server cases``: what stays open, shown to a person and decided by one, while the servers run or stand."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Row

from server_stub import cli
from server_stub.commands import operating_of, role_of, subcommand
from server_stub.foundation.card_numbers import hidden
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.foundation.ids import Ids, number_of
from server_stub.foundation.money import yuan
from server_stub.foundation.outbox import Outbox
from server_stub.tsp import books, cases, tables
from server_stub.tsp.moves import Moves

COLUMNS = "{:<26}  {:<16}  {:<21}  {:>10}  {:<15}  {:<9}  {}"
HEADING = COLUMNS.format("CASE", "SINCE", "KIND", "YUAN", "STANDS AS", "NUMBER", "DECIDED").rstrip()


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """One subcommand. Returns its exit code: 0; 1 for what is not there or is refused; 2 when there is no TSP here."""
    clock = clock or SystemClock()
    with closing(role_of(options, tables.metadata)) as database:
        if options.action == "decide":
            outbox = Outbox(database, tables.outbox, clock, "cases", {})
            moves = Moves(clock, Ids(clock, os.urandom), operating_of(options, database), outbox)
            told = (options.reason, options.actor, options.second, cli.actor())
            # A program that was changed may decide before a server has started with it.
            database.submit(lambda conn: books.open_accounts(conn, ())).result()
            decision = cases.Decision(options.case, options.do, *told)
            return _decide(lambda work: database.submit(work).result(), moves, decision)
        everything = options.action == "show" or options.all
        rows = asyncio.run(database.read(lambda conn: cases.listed(conn, everything=everything)))
        if options.action == "list":
            cli.announce(HEADING if rows else "no cases" if options.all else "no open cases")
            for row in rows:
                cli.announce(line(row))
            return 0
        wanted = compact(options.case)
        found = [row for row in rows if wanted in (row.id, compact(number(row)))]
        if not found:
            sys.stderr.write(f"stb-server: there is no case {options.case}\n")
            return 1
        for row in found:
            for text in shown(row):
                cli.announce(text)
        return 0


def compact(told: str) -> str:
    """An id or number as somebody has typed it, in the form that can be compared.

    >>> compact("4c7f 20a1")
    '4C7F20A1'
    """
    return "".join(told.split()).upper()


def number(row: Row[Any]) -> str:
    """What the subscriber has in hand: the number of the payment's order, or of the load."""
    return row.number or number_of(row.load_id)


def line(row: Row[Any]) -> str:
    """A case in one line: id, since when, kind, amount, the payment's or load's state, the number the subscriber has."""
    decided = f"{row.decision} by {row.actor}" if row.state == "decided" else ""
    told = (
        row.id,
        f"{row.at:%Y-%m-%d %H:%M}",
        row.kind,
        yuan(row.amount_fen),
        row.stands,
        number(row),
    )
    return COLUMNS.format(*told, decided).rstrip()


def shown(row: Row[Any]) -> list[str]:
    """All that is known of a case, and what can be done about it."""
    told = [("case", row.id), ("kind", row.kind), ("since", f"{row.at:%Y-%m-%d %H:%M:%S}")]
    told += [
        ("payment", row.payment_id),
        ("load", row.load_id),
        ("number", number(row)),
        ("box", row.box_number),
    ]
    if row.service is not None:
        told.append(("service", f"{json.loads(row.service)['name']['en']}, {row.term}"))
    told += [("by", row.method), ("card", row.card_masked)]
    told += [("amount", yuan(row.amount_fen)), ("state", row.stands)]
    if row.received_fen is not None:
        told.append(("received", yuan(row.received_fen)))
    facts = json.loads(row.facts)
    if (proof := cases.proof_of(row, row)) is not None:
        facts |= {"tac": proof[0], "mac2": proof[1]}
    told += sorted((name, str(value)) for name, value in facts.items())
    if row.state == "decided":
        told += [
            ("decided", row.decision),
            ("actor", row.actor),
            ("second", row.second),
            ("reason", hidden(row.reason or "")),
        ]
    else:
        able = cases.able(row, row.stands, row)
        words = cli.CASE_ACTIONS if row.load_id is None else cli.LOAD_ACTIONS
        told += [("decide", f"{action}: {words[action]}") for action in able] or [
            ("decide", "nothing by hand: what is owed is being delivered")
        ]
    return [f"{name:<9} {value}" for name, value in told if value is not None]


def _decide(
    write: Callable[[Callable[[Connection], Any]], Any], moves: Moves, decision: cases.Decision
) -> int:
    try:
        about, state = write(lambda conn: cases.decide(conn, moves, decision))
    except cases.CaseRefused as refused:
        why = str(refused)
        write(lambda conn: cases.note_refused(conn, moves, decision, why))
        sys.stderr.write(f"stb-server: {why}\n")
        return 1
    cli.announce(f"case {decision.case}: {decision.action}; the {about} is {state} now")
    return 0
