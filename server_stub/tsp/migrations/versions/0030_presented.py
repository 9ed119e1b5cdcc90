"""A debit that was presented again stays in the day that it was refused with."""

import sqlalchemy as sa
from alembic import op

revision = "0030_presented"
down_revision = "0029_over_days"


def upgrade() -> None:
    op.create_table(
        "refused_uploads",
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"]),
        sa.ForeignKeyConstraint(["day"], ["upload_days.day"]),
        sa.PrimaryKeyConstraint("payment_id", "day"),
    )
    op.create_index("ix_refused_uploads_day", "refused_uploads", ["day"])
    # Which those were is told by the breaks that they were.
    op.execute(
        "INSERT INTO refused_uploads (payment_id, day, code) SELECT DISTINCT breaks.key, breaks.day, '' FROM breaks"
        " JOIN break_events ON break_events.break_id = breaks.id AND break_events.event = 'present-again'"
        " JOIN uploads ON uploads.payment_id = breaks.key JOIN upload_days ON upload_days.day = breaks.day"
        " WHERE uploads.day IS NULL OR uploads.day <> breaks.day"
    )
