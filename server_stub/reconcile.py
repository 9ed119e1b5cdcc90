"""``stb-server reconcile``: days and their uploads, runs, breaks; what a person decides about one; while servers run or stand."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Row, select

from server_stub import cli
from server_stub.commands import operating_of, role_of, subcommand
from server_stub.foundation import sentences
from server_stub.foundation.card_numbers import hidden
from server_stub.foundation.clock import Clock, SystemClock
from server_stub.foundation.database import Database
from server_stub.foundation.ids import Ids
from server_stub.foundation.money import yuan
from server_stub.foundation.outbox import Outbox
from server_stub.reconciliation.actions import DecisionRefused
from server_stub.reconciliation.book import Decision
from server_stub.settings import Settings
from server_stub.tsp import books, remedies, tables, uploads
from server_stub.tsp.moves import Moves
from server_stub.tsp.own_books import earliest
from server_stub.tsp.remedies import Remedies, unheard
from server_stub.tsp.tables import book

PAIRS = (remedies.BOSS, remedies.PPP)
SHOWN = 60
"""Runs and days in a list."""
RUNS = "{:<12}  {:<5}  {:<8}  {:>9}  {:>14}  {:>9}  {:>14}  {}"
BREAKS = "{:<26}  {:<10}  {:<5}  {:<24}  {:>12}  {:>12}  {:<8}  {}"
LATER = "what can go back is offered once our books know that it was opened, and the day is compared again, with BOSS's next file or by this"
DAYS = "{:<12}  {:<9}  {:>8}  {:>14}  {:>9}  {:>14}  {:>8}"


@subcommand
def run(options: argparse.Namespace, clock: Clock | None = None) -> int:
    """One subcommand. Returns its exit code: 0; 1 for what is not there or is refused; 2 when there is no TSP here."""
    clock = clock or SystemClock()
    with closing(role_of(options, tables.metadata)) as database:
        settings = operating_of(options, database)
        outbox = Outbox(database, tables.outbox, clock, "reconcile", {})
        moves = Moves(clock, Ids(clock, os.urandom), settings, outbox)
        match options.action:
            case "runs":
                return _told(RUN_HEADING, database.submit(_runs).result(), "nothing was compared yet")
            case "days":
                return _told(DAY_HEADING, database.submit(_days).result(), "no day was told yet")
            case "breaks":
                found = database.submit(lambda conn: book.waiting(conn, everything=options.all)).result()
                return _told(BREAK_HEADING, [line(row) for row in found], "no breaks")
            case "run":
                return _want(database, clock, settings, options)
            case "send":
                return _send(database, clock, options)
            case "show":
                return _show(database, moves, options.subject)
        return _decide(database, clock, moves, options)


def line(row: Row[Any]) -> str:
    """A break in one line: id, day, pair, class, what stands here and there, state, and what was done."""
    sides = (yuan(fen) if fen is not None else "-" for fen in (row.here_fen, row.there_fen))
    done = f"{row.action} by {row.actor}" if row.action else ""
    return BREAKS.format(row.id, row.day, row.pair, row.cls, *sides, row.state, done).rstrip()


def shown(row: Row[Any], history: Sequence[Row[Any]], able: Sequence[str]) -> list[str]:
    """All that is known of a break, what became of it, and what can be done."""
    told = [("break", row.id), ("pair", row.pair), ("day", row.day), ("class", row.cls), ("key", row.key)]
    for side in ("here", "there"):
        text = getattr(row, side)
        record = None if text is None else json.loads(text)
        told.append((side, "-" if record is None else _record(record)))
    told += [("differs", row.fields), ("says", str(sentences.read(row.text))), ("state", row.state)]
    told += [("done", row.action), ("rule", row.rule), ("actor", row.actor), ("second", row.second)]
    told.append(("reason", hidden(row.reason or "")))
    told += [
        ("history", f"{one.at:%Y-%m-%d %H:%M:%S} {one.actor}: {one.event} {_facts(one.facts)}".rstrip())
        for one in history
    ]
    told += [("decide", action) for action in able]
    if able and unheard(row):
        told.append(("later", f"{LATER}: reconcile run {row.pair} {row.day}"))
    return [f"{name:<8} {value}" for name, value in told if value]


def _record(record: dict[str, Any]) -> str:
    said = f"{yuan(record['amount_fen'])} {record['currency']}, {record['status']}, {record['day']}"
    return f"{said}  {record['note']}".rstrip()


def _facts(text: str) -> str:
    told = json.loads(text)
    told |= {name: sentences.read(told[name]) for name in ("why", "text") if told.get(name)}
    return hidden(", ".join(f"{name} {value}" for name, value in told.items()))


def _runs(conn: Connection) -> list[str]:
    runs = book.runs
    query = select(runs).order_by(runs.c.id.desc()).limit(SHOWN)
    return [_run_line(row) for row in conn.execute(query)]


def _run_line(row: Row[Any]) -> str:
    totals: list[Any] = []
    for side in ("here", "there"):
        count, fen = getattr(row, f"{side}_count"), getattr(row, f"{side}_fen")
        totals += ["-", "-"] if count is None else [count, yuan(fen)]
    classes = json.loads(row.counts or "{}")
    found = ", ".join(f"{cls} {count}" for cls, (count, _) in classes.items())
    said = ": ".join(one for one in (str(sentences.read(row.error)), found) if one)
    state = f"{row.state}{' (dry)' if row.dry_run else ''}"
    return RUNS.format(row.day, row.pair, state, *totals, said).rstrip()


def _days(conn: Connection) -> list[str]:
    query = select(tables.upload_days).order_by(tables.upload_days.c.day.desc()).limit(SHOWN)
    lines = []
    for row in conn.execute(query):
        answer = ("-", "-", "-")
        if row.accepted_count is not None:
            answer = (str(row.accepted_count), yuan(row.accepted_fen), str(row.refused_count))
        lines.append(DAYS.format(row.day, row.state, row.count, yuan(row.fen), *answer).rstrip())
    return lines


RUN_HEADING = RUNS.format("DAY", "PAIR", "STATE", "HERE", "YUAN", "THERE", "YUAN", "FOUND")
BREAK_HEADING = BREAKS.format("BREAK", "DAY", "PAIR", "CLASS", "HERE", "THERE", "STATE", "DONE")
DAY_HEADING = DAYS.format("DAY", "STATE", "DEBITS", "YUAN", "ACCEPTED", "YUAN", "REFUSED")


def _told(heading: str, lines: Sequence[str], nothing: str) -> int:
    for text in (heading.rstrip(), *lines) if lines else (nothing,):
        cli.announce(text)
    return 0


def _want(database: Database, clock: Clock, settings: Settings, options: argparse.Namespace) -> int:
    pair, day, actor = options.subject, options.day, cli.actor()
    if pair not in PAIRS:
        return _refused(f"no pair {pair!r}; there are {', '.join(PAIRS)}")
    if day > settings.calendar.last_over(clock.now()):
        return _refused(f"{day} is not over yet")
    first = database.submit(lambda conn: earliest(conn, pair, settings.calendar)).result()
    if first is None:
        return _refused(f"there is nothing to compare yet: neither a payment here nor a file of {pair}")
    if day < first:
        return _refused(f"there is nothing to compare before {first}")

    def want(conn: Connection) -> None:
        book.want(conn, Ids(clock, os.urandom), clock, pair, day, actor, dry_run=options.dry_run)
        facts = {"pair": pair, "dry_run": options.dry_run}
        tables.audit.append(conn, clock, actor, "run-wanted", day.isoformat(), **facts)

    database.submit(want).result()
    cli.announce("a server that runs here does it within ten minutes; 'reconcile runs' tells what came of it")
    return 0


def _send(database: Database, clock: Clock, options: argparse.Namespace) -> int:
    day, actor = options.day, cli.actor()

    def send(conn: Connection) -> bool:
        if not uploads.send_again(conn, day):
            return False
        tables.audit.append(conn, clock, actor, "day-sent-again", day.isoformat())
        return True

    if not database.submit(send).result():
        return _refused(f"{day} was not sent yet; 'reconcile days' tells which were")
    cli.announce(f"{day} goes to PPP once more within ten minutes")
    return 0


def _show(database: Database, moves: Moves, wanted: str) -> int:
    actions = Remedies(moves).actions

    def look(conn: Connection) -> list[str] | None:
        row = conn.execute(select(book.breaks).where(book.breaks.c.id == wanted)).one_or_none()
        if row is None:
            return None
        return shown(row, book.history(conn, row.id), book.able(row, actions(row.pair)))

    lines = database.submit(look).result()
    if lines is None:
        return _refused(f"there is no break {wanted}")
    for text in lines:
        cli.announce(text)
    return 0


def _decide(database: Database, clock: Clock, moves: Moves, options: argparse.Namespace) -> int:
    told = (options.reason, options.actor, options.second, cli.actor())
    decision = Decision(options.subject, options.do, *told)

    def decide(conn: Connection) -> Row[Any]:
        books.open_accounts(conn, ())
        pair = conn.scalar(select(book.breaks.c.pair).where(book.breaks.c.id == decision.break_id))
        actions = Remedies(moves).actions(pair or "")
        limit = moves.settings.case_second_fen
        return book.decide(conn, clock, tables.audit, actions, decision, second_fen=limit)

    try:
        row = database.submit(decide).result()
    except DecisionRefused as refused:
        why = str(refused)
        database.submit(lambda conn: book.note_refused(conn, clock, tables.audit, decision, why)).result()
        return _refused(why)
    cli.announce(f"break {row.id}: {options.do}; it is {row.state} now")
    return 0


def _refused(why: str) -> int:
    sys.stderr.write(f"stb-server: {why}\n")
    return 1
