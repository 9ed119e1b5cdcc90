"""The correlation id that came with a code."""

import sqlalchemy as sa
from alembic import op

revision = "0008_correlation"
down_revision = "0002_claims"


def upgrade() -> None:
    for table in ("codes", "outbox", "state_moves"):
        op.add_column(table, sa.Column("correlation", sa.String(), nullable=True))
