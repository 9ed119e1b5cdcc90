"""Electronic cash: certificates of cards that have paid by themselves, and what PPP says to them."""

import sqlalchemy as sa
from alembic import op

revision = "0019_electronic_cash"
down_revision = "0018_authorisations"


def upgrade() -> None:
    op.create_table(
        "card_certificates",
        sa.Column("payment_id", sa.String(), sa.ForeignKey("payments.id"), primary_key=True),
        sa.Column("card_masked", sa.String(), nullable=False),
        sa.Column("card_fingerprint", sa.String(), nullable=False),
        sa.Column("card_sealed", sa.String(), nullable=False),
        sa.Column("sequence_number", sa.Integer()),
        sa.Column("balance_before_fen", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("atc", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("chip", sa.String()),
        sa.Column("balance_after_fen", sa.BigInteger().with_variant(sa.Integer(), "sqlite")),
        sa.Column("batch", sa.String()),
        sa.Column("stan", sa.String()),
        sa.Column("response_code", sa.String()),
        sa.Column("answered_at", sa.BigInteger()),
    )
    op.create_index("ix_card_certificates_card_fingerprint", "card_certificates", ["card_fingerprint"])
