"""The correlation id from the box stands in every row that its key press made."""

import sqlalchemy as sa
from alembic import op

revision = "0008_correlation"
down_revision = "0007_jobs"


def upgrade() -> None:
    for table in ("orders", "payments", "inquiries", "cases", "outbox", "state_moves"):
        op.add_column(table, sa.Column("correlation", sa.String(), nullable=True))
