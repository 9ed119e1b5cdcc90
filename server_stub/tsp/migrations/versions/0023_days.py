"""Days that PPP is told of, files, reconciliations and their breaks."""

import sqlalchemy as sa
from alembic import op

from server_stub.foundation import first_tables
from server_stub.foundation.first_tables import WHOLE

revision = "0023_days"
down_revision = "0022_load_cases"


def upgrade() -> None:
    first_tables.make_files()
    _make_uploads()
    _make_book()
    op.create_index("payments_of_day", "payments", ["paid_at"])
    op.create_index("authorisations_of_day", "card_authorisations", ["asked_at"])
    op.create_index("certificates_of_day", "card_certificates", ["answered_at"])


def _make_uploads() -> None:
    op.create_table(
        "upload_days",
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("fen", WHOLE, nullable=False),
        sa.Column("accepted_count", sa.Integer(), nullable=True),
        sa.Column("accepted_fen", WHOLE, nullable=True),
        sa.Column("refused_count", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("day"),
    )
    op.create_table(
        "uploads",
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=True),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("settled_on", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"]),
        sa.ForeignKeyConstraint(["day"], ["upload_days.day"]),
        sa.PrimaryKeyConstraint("payment_id"),
    )
    op.create_index("ix_uploads_day", "uploads", ["day"])


def _make_book() -> None:
    op.create_table(
        "recon_runs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pair", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("wanted_by", sa.String(), nullable=False),
        sa.Column("wanted_at", sa.BigInteger(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("step", sa.String(), nullable=False, server_default=""),
        sa.Column("percent", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("here_count", WHOLE, nullable=True),
        sa.Column("here_fen", WHOLE, nullable=True),
        sa.Column("there_count", WHOLE, nullable=True),
        sa.Column("there_fen", WHOLE, nullable=True),
        sa.Column("counts", sa.String(), nullable=True),
        sa.Column("healed", sa.String(), nullable=True),
        sa.Column("opened", sa.Integer(), nullable=True),
        sa.Column("closed", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("files", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("recon_runs_of_day", "recon_runs", ["pair", "day"])
    op.create_table(
        "breaks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pair", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("cls", sa.String(), nullable=False),
        sa.Column("here_fen", WHOLE, nullable=True),
        sa.Column("there_fen", WHOLE, nullable=True),
        sa.Column("here", sa.String(), nullable=True),
        sa.Column("there", sa.String(), nullable=True),
        sa.Column("fields", sa.String(), nullable=False, server_default=""),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("text", sa.String(), nullable=False, server_default=""),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=True),
        sa.Column("rule", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=True),
        sa.Column("second", sa.String(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["recon_runs.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "one_open_break_of_a_key",
        "breaks",
        ["pair", "key"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("breaks_of_key", "breaks", ["key"])
    op.create_index("breaks_of_run", "breaks", ["run"])
    op.create_index("breaks_of_day", "breaks", ["pair", "day"])
    op.create_table(
        "break_events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("break_id", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("facts", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["break_id"], ["breaks.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("break_events_of_break", "break_events", ["break_id"])
