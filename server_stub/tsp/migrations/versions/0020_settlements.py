"""Batches that are settled, and what PPP is told beside sales: certificates, results of scripts; keys that are changed."""

import sqlalchemy as sa
from alembic import op

revision = "0020_settlements"
down_revision = "0019_electronic_cash"


def upgrade() -> None:
    for column in ("script_code", "certificate_code"):
        op.add_column("card_authorisations", sa.Column(column, sa.String()))
    op.add_column("card_authorisations", sa.Column("reversed_at", sa.BigInteger()))
    op.add_column("pos_terminals", sa.Column("closing", sa.String()))
    op.add_column("pos_terminals", sa.Column("tmk", sa.String()))
    op.add_column("pos_terminals", sa.Column("tmk_at", sa.BigInteger()))
    op.add_column("card_keys", sa.Column("valid_until", sa.BigInteger()))
    op.create_table(
        "settlements",
        sa.Column("terminal", sa.String(), primary_key=True),
        sa.Column("batch", sa.String(), primary_key=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("told_fen", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("told_count", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.BigInteger()),
        sa.Column("counted_fen", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        sa.Column("counted_count", sa.Integer()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("reason", sa.String()),
        sa.Column("actor", sa.String()),
    )
