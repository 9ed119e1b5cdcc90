"""Key pairs that boxes seal card data and PINs for; the private halves are the HSM's key blocks."""

import sqlalchemy as sa
from alembic import op

revision = "0017_card_keys"
down_revision = "0016_marks"


def upgrade() -> None:
    op.create_table(
        "card_keys",
        sa.Column("generation", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("key_id", sa.String(), nullable=False, unique=True),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("private_key", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
