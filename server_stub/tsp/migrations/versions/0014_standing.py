"""A key has one successor, and what BOSS last said of it is known to all processes, and after a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0014_standing"
down_revision = "0013_leased_again"


def upgrade() -> None:
    op.add_column("box_keys", sa.Column("successor", sa.String(), nullable=True))
    op.add_column("box_keys", sa.Column("word", sa.String(), nullable=True))
