"""Boxes have keys instead of tokens: those that were enrolled before are enrolled anew."""

import sqlalchemy as sa
from alembic import op

revision = "0003_trust"
down_revision = "0002_claims"


def upgrade() -> None:
    op.drop_column("boxes", "token_hash")
    op.create_table(
        "box_keys",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("box_number", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("ended", sa.String(), nullable=True),
        sa.Column("valid_until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("middle", sa.BigInteger(), nullable=False),
        sa.Column("turned_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["box_number"],
            ["boxes.box_number"],
        ),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_index(op.f("ix_box_keys_box_number"), "box_keys", ["box_number"], unique=False)
    op.create_table(
        "box_nonces",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("counter", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("request", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"],
            ["box_keys.key_id"],
        ),
        sa.PrimaryKeyConstraint("key_id", "counter"),
    )
    op.create_table(
        "server_keys",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_table(
        "rate_buckets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("tokens", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
