"""What each day comes to."""

import sqlalchemy as sa
from alembic import op

revision = "0002_totals"
down_revision = "0001_first"


def upgrade() -> None:
    fen = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "day_totals",
        *(sa.Column(name, sa.String(), primary_key=True) for name in ("day", "method", "service", "state")),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("amount_fen", fen, nullable=False),
        sa.Column("received_fen", fen, nullable=False),
    )
    op.create_table(
        "counted_days",
        sa.Column("day", sa.String(), primary_key=True),
        sa.Column("counted_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
    )
