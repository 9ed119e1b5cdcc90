"""The back office's own tables: who may sign in, who has, what waits for a second person, what takes long."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table

from server_stub.foundation.audit import Audit
from server_stub.foundation.database import Fen, Instant

metadata = MetaData(info={"role": "backoffice"})
audit = Audit(metadata)

staff = Table(
    "staff",
    metadata,
    Column("name", String, primary_key=True),  # what is typed at the sign-in, folded
    Column("full_name", String, nullable=False),
    Column("roles", String, nullable=False),  # separated by commas, in the order of rights.ROLES
    Column("password", String, nullable=False),  # argon2id, with its parameters and salt
    Column(
        "once", Boolean, nullable=False
    ),  # the password was given by somebody else: it must be changed first
    Column("language", String, nullable=False),  # zh | en; "": the browser says
    Column("closed", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("signed_in_at", Instant),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),  # SHA-256 of the token that the browser has
    Column("name", ForeignKey("staff.name"), nullable=False, index=True),
    Column("begun_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("address", String, nullable=False),
    Column("agent", String, nullable=False),
)

failures = Table(
    "failures",
    metadata,
    Column("key", String, primary_key=True),  # "name:..." or "address:..."
    Column("count", Integer, nullable=False),  # in a row
    Column("last_at", Instant, nullable=False),
    Column("until", Instant),  # nobody gets in before
)
"""Sign-ins that have failed."""

proposals = Table(
    "proposals",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("facts", String, nullable=False),  # JSON
    Column("state", String, nullable=False),  # open | confirmed | done | refused | withdrawn | failed
    Column("proposed_by", String, nullable=False),
    Column("proposed_at", Instant, nullable=False),
    Column("second", String),  # who has confirmed or refused it
    Column("decided_at", Instant),
    Column("note", String),  # why it was refused, or what came of it
)
Index("proposals_by_state", proposals.c.state, proposals.c.proposed_at)
_waits = proposals.c.state.in_(("open", "confirmed"))
Index(
    "one_waiting_proposal",
    proposals.c.kind,
    proposals.c.subject,
    unique=True,
    sqlite_where=_waits,
    postgresql_where=_waits,
)
"""What one person wants done and another has to confirm."""

tasks = Table(
    "tasks",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),  # who began it
    Column("state", String, nullable=False),  # running | done | failed
    Column("percent", Integer, nullable=False),
    Column("step", String, nullable=False),
    Column("result", String, nullable=False),  # JSON
    Column("begun_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),  # by the process that does it
)
"""What takes longer than a page may: any process can tell how far it is."""

day_totals = Table(
    "day_totals",
    metadata,
    Column("day", String, primary_key=True),  # in China, on which the payments were begun
    Column("method", String, primary_key=True),
    Column("service", String, primary_key=True),
    Column("state", String, primary_key=True),  # inside the TSP
    Column("number", Integer, nullable=False),
    Column("amount_fen", Fen, nullable=False),
    Column("received_fen", Fen, nullable=False),
)
"""What the payments and loads of each day that is over come to: counted once, and again when one of them moves."""

counted_days = Table(
    "counted_days",
    metadata,
    Column("day", String, primary_key=True),
    Column("counted_at", Instant, nullable=False),
)

marks = Table(
    "marks",
    metadata,
    Column("name", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""How far something has been read."""
