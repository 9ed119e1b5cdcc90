"""Which key speaks for which box."""

import sqlalchemy as sa
from alembic import op

revision = "0002_trust"
down_revision = "0001_first"


def upgrade() -> None:
    op.create_table(
        "box_keys",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("box_number", sa.String(), nullable=False),
        sa.Column("smart_card_number", sa.String(), nullable=False),
        sa.Column("subscriber_id", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.String(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["subscriber_id"],
            ["subscribers.id"],
        ),
        sa.PrimaryKeyConstraint("key_id"),
    )
    op.create_index(op.f("ix_box_keys_box_number"), "box_keys", ["box_number"], unique=False)
