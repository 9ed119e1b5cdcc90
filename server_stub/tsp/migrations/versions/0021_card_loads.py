"""Loads of electronic cash."""

import sqlalchemy as sa
from alembic import op

revision = "0021_card_loads"
down_revision = "0020_settlements"
FEN = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "card_loads",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("box_number", sa.String(), sa.ForeignKey("boxes.box_number"), nullable=False),
        sa.Column("amount_fen", FEN, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("card_masked", sa.String()),
        sa.Column("card_fingerprint", sa.String()),
        sa.Column("balance_before_fen", FEN),
        sa.Column("balance_after_fen", FEN),
        sa.Column("batch", sa.String()),
        sa.Column("stan", sa.String()),
        sa.Column("chip", sa.String()),
        sa.Column("asked_at", sa.BigInteger()),
        sa.Column("response_code", sa.String()),
        sa.Column("retrieval_reference", sa.String()),
        sa.Column("authorisation_code", sa.String()),
        sa.Column("chip_answer", sa.String()),
        sa.Column("answered_at", sa.BigInteger()),
        sa.Column("chip_end", sa.String()),
        sa.Column("script_code", sa.String()),
        sa.Column("reversal_reason", sa.String()),
        sa.Column("reversal_code", sa.String()),
        sa.Column("reversed_at", sa.BigInteger()),
        sa.Column("correlation", sa.String()),
    )
    op.create_index("ix_card_loads_box_number", "card_loads", ["box_number"])
    op.create_index("ix_card_loads_state", "card_loads", ["state"])
