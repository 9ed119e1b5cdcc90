"""Debit and credit cards: the platform as a terminal of PPP, and what PPP was asked."""

import sqlalchemy as sa
from alembic import op

revision = "0018_authorisations"
down_revision = "0017_card_keys"


def upgrade() -> None:
    op.create_table(
        "pos_terminals",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("batch", sa.String(), nullable=False),
        sa.Column("stan", sa.Integer(), nullable=False),
        sa.Column("pik", sa.String()),
        sa.Column("mak", sa.String()),
        sa.Column("tdk", sa.String()),
        sa.Column("signed_in_at", sa.BigInteger()),
    )
    op.create_table(
        "card_authorisations",
        sa.Column("payment_id", sa.String(), sa.ForeignKey("payments.id"), primary_key=True),
        sa.Column("card_masked", sa.String(), nullable=False),
        sa.Column("card_fingerprint", sa.String(), nullable=False),
        sa.Column("card_sealed", sa.String(), nullable=False),
        sa.Column("batch", sa.String(), nullable=False),
        sa.Column("stan", sa.String(), nullable=False),
        sa.Column("chip", sa.String(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("response_code", sa.String()),
        sa.Column("retrieval_reference", sa.String()),
        sa.Column("authorisation_code", sa.String()),
        sa.Column("chip_answer", sa.String()),
        sa.Column("answered_at", sa.BigInteger()),
        sa.Column("chip_end", sa.String()),
        sa.Column("reversal_reason", sa.String()),
        sa.Column("reversal_code", sa.String()),
    )
    op.create_index("ix_card_authorisations_card_fingerprint", "card_authorisations", ["card_fingerprint"])
    op.create_index("one_of_a_slip", "card_authorisations", ["batch", "stan"], unique=True)
