"""Tables of a role's reconciliations: runs, breaks, and what became of each break."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, false

from server_stub.foundation.database import Fen, Instant, Whole


def runs(metadata: MetaData) -> Table:
    """Reconciliations of one pair and one business day."""
    table = Table(
        "recon_runs",
        metadata,
        Column("id", String, primary_key=True),
        Column("pair", String, nullable=False),
        Column("day", String, nullable=False),  # ISO date
        Column("state", String, nullable=False),  # wanted, running, done, stopped, refused, failed
        Column("dry_run", Boolean, nullable=False, server_default=false()),
        Column("wanted_by", String, nullable=False),
        Column("wanted_at", Instant, nullable=False),
        Column("begun_at", Instant),
        Column("ended_at", Instant),
        Column("step", String, nullable=False, server_default=""),
        Column("percent", Integer, nullable=False, server_default="0"),
        Column("here_count", Whole),
        Column("here_fen", Fen),
        Column("there_count", Whole),
        Column("there_fen", Fen),
        Column("counts", String),  # JSON: class -> [count, fen]
        Column("healed", String),  # JSON: rule -> {action, count, fen, held}
        Column("opened", Integer),
        Column("closed", Integer),
        Column("error", String),  # why it was refused or has failed
        Column("files", String),  # JSON
        Column("sample", String),  # JSON: of one that was stopped, some of what it has found
    )
    Index("recon_runs_of_day", table.c.pair, table.c.day)
    return table


def breaks(metadata: MetaData) -> Table:
    """Differences that are kept until they are closed."""
    table = Table(
        "breaks",
        metadata,
        Column("id", String, primary_key=True),
        Column("pair", String, nullable=False),
        Column("day", String, nullable=False),  # ISO date, of the run that opened it
        Column("other_day", String),  # of the record that is of another day, where there are two
        Column("run", ForeignKey("recon_runs.id"), nullable=False),  # the last that saw it
        Column("key", String, nullable=False),
        Column("cls", String, nullable=False),
        Column("here_fen", Fen),
        Column("there_fen", Fen),
        Column("here", String),  # JSON of a record
        Column("there", String),
        Column(
            "fields", String, nullable=False, server_default=""
        ),  # names of those that differ, spaces between
        Column("line", Integer),
        Column("text", String, nullable=False, server_default=""),
        Column("state", String, nullable=False),  # open, healing, closed
        Column("action", String),
        Column("rule", String),
        Column("reason", String),
        Column("actor", String),
        Column("second", String),
        Column("opened_at", Instant, nullable=False),
        Column("closed_at", Instant),
        Column("seen_at", Instant, nullable=False),
    )
    there = table.c.closed_at.is_(None)
    Index(
        "one_open_break_of_a_key",
        table.c.pair,
        table.c.key,
        unique=True,
        sqlite_where=there,
        postgresql_where=there,
    )
    Index("breaks_of_key", table.c.key, table.c.pair)
    Index("breaks_of_run", table.c.run, table.c.id)
    Index("breaks_of_day", table.c.pair, table.c.day)
    apart = table.c.other_day.is_not(None)
    Index("breaks_over_days", table.c.pair, table.c.other_day, sqlite_where=apart, postgresql_where=apart)
    return table


def break_events(metadata: MetaData) -> Table:
    """What was done about breaks, by whom."""
    table = Table(
        "break_events",
        metadata,
        Column("id", Whole, primary_key=True, autoincrement=True),
        Column("break_id", ForeignKey("breaks.id"), nullable=False),
        Column("at", Instant, nullable=False),
        Column("actor", String, nullable=False),
        Column("event", String, nullable=False),
        Column("facts", String, nullable=False),  # canonical JSON
    )
    Index("break_events_of_break", table.c.break_id)
    return table
